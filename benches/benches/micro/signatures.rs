//! Signatures of a message: what a node pays to make them, and to verify them once their keys are known.

use std::time::Duration;

use async_trait::async_trait;
use divan::Bencher;
use divan::counter::BytesCount;
use fulmar_core::authn::dkim::{
    self, BodyHasher, BodyHashes, BodyMethod, Canonicalization, Signatory, SigningKey,
};
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::{Answer, Dns, DnsError, Entropy, Question, Record};
use futures::FutureExt;

/// Octets of a body.
const BODY: usize = 10 << 10;
/// Octets that a body comes in at a time.
const CHUNK: usize = 16 << 10;
const NOW: UtcTime = UtcTime(1_795_306_347_500);
const HEADER: &str = "Received: from client.example.org by mx.example.org; Sun, 22 Nov 2026 00:12:27 +0000\r\n\
    From: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.net>\r\nSubject: The birds of the cliff\r\n\
    Date: Sun, 22 Nov 2026 00:12:27 +0000\r\nMessage-ID: <20261122001227.1@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";

/// A body of 10 KiB hashed in one form.
#[divan::bench(args = [Canonicalization::Simple, Canonicalization::Relaxed])]
fn hash_body(bencher: Bencher<'_, '_>, canonicalization: Canonicalization) {
    let body = body();
    let method = BodyMethod { canonicalization, length: None };
    bencher.counter(BytesCount::new(body.len())).bench(|| hash(&body, [method]));
}

/// A message of 10 KiB verified, body and all, that is signed with RSA-2048 and with Ed25519.
#[divan::bench]
fn verify_two_signatures(bencher: Bencher<'_, '_>) {
    let keys = Keys::generate();
    let body = body();
    let header = [keys.sign(&body).as_str(), HEADER].concat();
    bencher.bench(|| {
        let hashes = hash(&body, dkim::body_methods(header.as_bytes()));
        let report = dkim::verify(header.as_bytes(), &hashes, &keys, NOW).now_or_never().unwrap();
        assert_eq!(report.domains().count(), 2);
        report
    });
}

/// The same message signed.
#[divan::bench]
fn sign_with_both_algorithms(bencher: Bencher<'_, '_>) {
    let keys = Keys::generate();
    let body = body();
    bencher.bench(|| keys.sign(&body));
}

fn body() -> Vec<u8> {
    let line = b"A fulmar stays aloft for days on stiff wings, and owns no perch on the cliff.\r\n";
    line.repeat(BODY / line.len())
}

fn hash(body: &[u8], methods: impl IntoIterator<Item = BodyMethod>) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods);
    body.chunks(CHUNK).for_each(|chunk| hasher.push(chunk));
    hasher.finish()
}

/// The keys of example.org, and the DNS that has them.
struct Keys {
    domain: Domain,
    rsa: SigningKey,
    ed25519: SigningKey,
}

impl Keys {
    fn generate() -> Self {
        let key = |der: Vec<u8>| SigningKey::from_pkcs8(&der).unwrap();
        Self {
            domain: Domain::parse("example.org").unwrap(),
            rsa: key(dkim::generate_rsa(&Counter).unwrap()),
            ed25519: key(dkim::generate_ed25519(&Counter)),
        }
    }

    fn sign(&self, body: &[u8]) -> String {
        let hashes = hash(body, [BodyMethod::SIGNING]);
        let signatories = [("rsa", &self.rsa), ("ed", &self.ed25519)].map(|(selector, key)| Signatory {
            domain: &self.domain,
            selector,
            key,
        });
        let hash = hashes.find(BodyMethod::SIGNING).unwrap();
        dkim::sign(HEADER.as_bytes(), hash, &signatories, NOW, None).unwrap()
    }
}

#[async_trait]
impl Dns for Keys {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let key = if question.name.as_str().starts_with("rsa.") { &self.rsa } else { &self.ed25519 };
        let records = vec![Record::Txt(key.public_record().into_bytes())];
        Ok(Answer { records, secure: false, ttl: Duration::from_secs(300) })
    }
}

/// Octets of which a key can be made; nobody uses it.
struct Counter;

impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        use std::sync::atomic::{AtomicU64, Ordering};
        static STATE: AtomicU64 = AtomicU64::new(1);
        for octet in buffer {
            let next = |state: u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            let state = STATE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap();
            *octet = (state >> 56) as u8;
        }
    }
}
