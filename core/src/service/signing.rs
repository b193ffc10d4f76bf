//! Signs what leaves for a domain of ours (DKIM, RFC 6376).
//!
//! Keys come from the domain's chain as the directory has it, so that every node signs with what an operator has changed within
//! [`FRESH`](crate::directory::FRESH). Where they cannot be read because the store is away, a message is put off: unsigned it might be refused
//! for good by whoever gets it. A key that is no key does not hold up mail: it is reported, and the others sign.
//!
//! RSA takes about a millisecond of a processor. On a thread of the executor that would hold up whatever else the thread carries, some
//! thousand sessions, and signatures of many messages would come one behind the other; beside that, the way to a thread for blocking work and
//! back, some tens of microseconds, is little. Ed25519 is done by then, and stays where it is.

pub mod renewal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Context;
use crate::authn::arc::{self, ArcReport};
use crate::authn::dkim::{
    self, Algorithm, BodyHash, BodyHashes, BodyMethod, Signatory, SigningError, SigningKey, has_signature_of,
};
use crate::model::message::{fields, parse_address_list};
use crate::model::{Domain, Event, UtcTime};
use crate::platform::Instant;
use crate::state::StateError;
use crate::state::domain::keys::{DomainKey, KeyState, PrivateKey};

/// Keys that are kept read, each some kilobytes.
const PARSED: usize = 1_000;
/// Domains that are remembered for having no active key.
const KEYLESS: usize = 10_000;
/// How long they are. So long after its first key at most a domain's mail may still go unsigned, beside what the directory takes.
const KEYLESS_TIME: Duration = Duration::from_secs(2);

/// What is remembered for signing.
#[derive(Debug, Default)]
pub struct SigningMemory {
    /// Private keys that have been read: reading one of RSA takes as long as some signatures.
    parsed: Mutex<BTreeMap<PrivateKey, Arc<SigningKey>>>,
    /// Domains without keys, and when that was found: the bodies of their messages are not hashed.
    keyless: Mutex<BTreeMap<Domain, Instant>>,
}

/// A key and its selector.
type Named = (String, Arc<SigningKey>);

/// How the body of a message is to be hashed that may be signed for its author: as our signatures want it, and as those want it that are
/// there; not at all where nothing will be signed.
pub fn body_methods(context: &Context, header: &[u8]) -> Vec<BodyMethod> {
    // An author who is missing may yet be added.
    if author_domain(header).is_some_and(|domain| is_keyless(context, &domain)) {
        return Vec::new();
    }
    let mut methods = dkim::body_methods(header);
    methods.push(BodyMethod::SIGNING);
    methods
}

/// The signatures of the domain of a message's author; see [`sign`].
pub async fn sign_for_author(
    context: &Context,
    header: &[u8],
    hashes: &BodyHashes,
) -> Result<String, StateError> {
    match author_domain(header) {
        Some(domain) => sign(context, &domain, header, hashes).await,
        None => Ok(String::new()),
    }
}

/// The domain of a message's author, the first where there are several; none where nobody can be told.
fn author_domain(header: &[u8]) -> Option<Domain> {
    let from = fields(header).find(|field| field.name.eq_ignore_ascii_case(b"From"))?;
    let authors = parse_address_list(from.body).ok()?;
    authors.first().map(|author| author.domain().clone())
}

/// The signatures of a domain, one for each of its active keys: fields to be put in front of the header block. Empty where the domain is not
/// ours or has no such key, where the message has a signature of the domain already, and where its body was not hashed.
///
/// `header` is the block as it leaves, `hashes` those of the body as it leaves, by [`body_methods`].
pub async fn sign(
    context: &Context,
    domain: &Domain,
    header: &[u8],
    hashes: &BodyHashes,
) -> Result<String, StateError> {
    let Some(body) = hashes.find(BodyMethod::SIGNING).copied() else { return Ok(String::new()) };
    let keys = keys(context, domain).await?;
    let now = context.requests.platform().clock.utc();
    if keys.is_empty() || has_signature_of(domain, header, hashes, now) {
        return Ok(String::new());
    }
    let (is_slow, validity) = (keys.iter().any(is_slow), context.config.signing.validity);
    let (owner, header) = (domain.clone(), header.to_vec());
    let signed =
        run(context, is_slow, move || sign_with(&keys, &owner, &header, &body, (now, validity))).await?;
    Ok(signed.unwrap_or_else(|error| {
        report(context, domain, &error);
        String::new()
    }))
}

/// One more ARC set, to be put in front of the header block of a message that is forwarded (RFC 8617 §5.1). Empty where the domain is not ours or
/// has no active key, where the body was not hashed, and where no set may be added: see [`arc::seal`], as for what is given.
pub async fn seal(
    context: &Context,
    domain: &Domain,
    header: &[u8],
    hashes: &BodyHashes,
    found: &ArcReport,
    results: &str,
) -> Result<String, StateError> {
    let Some(body) = hashes.find(BodyMethod::SIGNING).copied() else { return Ok(String::new()) };
    let keys = keys(context, domain).await?;
    let Some(key) = for_seal(&keys).cloned() else { return Ok(String::new()) };
    let is_slow = is_slow(&key);
    let now = context.requests.platform().clock.utc();
    let (owner, header, found, results) =
        (domain.clone(), header.to_vec(), found.clone(), results.to_owned());
    let seal = move || arc::seal(&header, &body, &found, &results, &signatory(&owner, &key), now);
    let sealed = run(context, is_slow, seal).await?;
    Ok(sealed.map(Option::unwrap_or_default).unwrap_or_else(|error| {
        report(context, domain, &error);
        String::new()
    }))
}

/// The active keys of a domain, ready to sign.
async fn keys(context: &Context, domain: &Domain) -> Result<Vec<Named>, StateError> {
    if is_keyless(context, domain) {
        return Ok(Vec::new());
    }
    let mut known = context.directory.keys(domain).await?;
    known.retain(|_, key| key.state == KeyState::Active);
    if known.is_empty() {
        context.signing.note_keyless(domain, context.requests.platform().clock.instant());
    }
    Ok(read_keys(context, domain, &known))
}

fn read_keys<'a>(
    context: &Context,
    domain: &Domain,
    known: impl IntoIterator<Item = (&'a String, &'a DomainKey)>,
) -> Vec<Named> {
    let mut keys = Vec::new();
    for (selector, known) in known {
        match context.signing.read(&known.private_key) {
            Ok(key) => keys.push((selector.clone(), key)),
            Err(error) => report(context, domain, &format!("key {selector}: {error}")),
        }
    }
    keys
}

/// The key for a set, which has one signature of each kind (RFC 8617 §4.2): better one of RSA, which everybody verifies.
fn for_seal(keys: &[Named]) -> Option<&Named> {
    keys.iter().find(|key| is_slow(key)).or(keys.first())
}

fn is_keyless(context: &Context, domain: &Domain) -> bool {
    context.signing.is_keyless(domain, context.requests.platform().clock.instant())
}

async fn run<T: Send + 'static>(
    context: &Context,
    is_slow: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StateError> {
    if !is_slow {
        return Ok(work());
    }
    let done = context.requests.platform().spawn.unblock(work).await;
    done.ok_or_else(|| StateError::Unavailable("signing was interrupted".to_owned()))
}

fn sign_with(
    keys: &[Named],
    domain: &Domain,
    header: &[u8],
    body: &BodyHash,
    (at, validity): (UtcTime, Option<Duration>),
) -> Result<String, SigningError> {
    let signatories: Vec<_> = keys.iter().map(|key| signatory(domain, key)).collect();
    dkim::sign(header, body, &signatories, at, validity)
}

fn signatory<'a>(domain: &'a Domain, (selector, key): &'a Named) -> Signatory<'a> {
    Signatory { domain, selector, key }
}

fn is_slow((_, key): &Named) -> bool {
    key.algorithm() != Algorithm::Ed25519Sha256
}

fn report(context: &Context, domain: &Domain, error: &dyn std::fmt::Display) {
    let doing = format!("signing for {domain}");
    context.journal.report(&Event::Trouble { doing, error: error.to_string() });
}

impl SigningMemory {
    /// The key, read now if it was not yet.
    fn read(&self, private_key: &PrivateKey) -> Result<Arc<SigningKey>, SigningError> {
        if let Some(key) = lock(&self.parsed).get(private_key) {
            return Ok(key.clone());
        }
        let key = Arc::new(SigningKey::from_base64(private_key.expose())?);
        let mut parsed = lock(&self.parsed);
        if parsed.len() >= PARSED {
            parsed.clear();
        }
        parsed.insert(private_key.clone(), key.clone());
        Ok(key)
    }

    fn is_keyless(&self, domain: &Domain, now: Instant) -> bool {
        lock(&self.keyless).get(domain).is_some_and(|found| now.since(*found) <= KEYLESS_TIME)
    }

    fn note_keyless(&self, domain: &Domain, now: Instant) {
        let mut keyless = lock(&self.keyless);
        if keyless.len() >= KEYLESS {
            keyless.clear();
        }
        keyless.insert(domain.clone(), now);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::authn::dkim::generate_ed25519;
    use crate::platform::Entropy;

    const NOW: Instant = Instant::from_origin(Duration::from_hours(1));

    /// The same octet for ever.
    struct Same(u8);

    impl Entropy for Same {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn private_key(seed: u8) -> PrivateKey {
        PrivateKey::new(STANDARD.encode(generate_ed25519(&Same(seed))))
    }

    #[test]
    fn a_key_is_read_once_and_what_is_no_key_every_time() {
        let memory = SigningMemory::default();
        let first = memory.read(&private_key(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &memory.read(&private_key(1)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &memory.read(&private_key(2)).unwrap()));
        for text in ["", "not base64", "AAAA"] {
            assert_eq!(memory.read(&PrivateKey::new(text.to_owned())).unwrap_err(), SigningError::NoKey);
        }
        assert_eq!(lock(&memory.parsed).len(), 2);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let memory = SigningMemory::default();
        let key = memory.read(&private_key(1)).unwrap();
        for number in 1..PARSED {
            lock(&memory.parsed).insert(PrivateKey::new(number.to_string()), key.clone());
        }
        memory.read(&private_key(2)).unwrap();
        assert_eq!(lock(&memory.parsed).len(), 1);
        for number in 0..=KEYLESS {
            memory.note_keyless(&Domain::parse(&format!("{number}.test")).unwrap(), NOW);
        }
        assert_eq!(lock(&memory.keyless).len(), 1);
    }

    #[test]
    fn a_domain_without_keys_is_asked_about_again_before_long() {
        let (memory, domain) = (SigningMemory::default(), Domain::parse("x.test").unwrap());
        assert!(!memory.is_keyless(&domain, NOW));
        memory.note_keyless(&domain, NOW);
        for (later, expected) in [(Duration::ZERO, true), (KEYLESS_TIME, true), (KEYLESS_TIME * 2, false)] {
            assert_eq!(memory.is_keyless(&domain, NOW + later), expected, "{later:?}");
        }
    }

    #[test]
    fn the_author_is_the_first_in_the_first_from_field() {
        for (header, expected) in [
            ("Subject: s\r\nFROM: A <a@X.test>, b@y.test\r\n\r\n", Some("x.test")),
            ("From: a@x.test\r\nFrom: a@y.test\r\n\r\n", Some("x.test")),
            ("Sender: a@x.test\r\n\r\n", None),
            ("From: a@\r\n\r\n", None),
            ("From:\r\n\r\n", None),
        ] {
            let found = author_domain(header.as_bytes());
            assert_eq!(found.as_ref().map(Domain::as_str), expected, "{header:?}");
        }
    }
}
