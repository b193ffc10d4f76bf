//! The Sender Rewriting Scheme: addresses of ours that stand for reverse-paths of strangers, in mail that is forwarded.
//!
//! Who forwards mail under the reverse-path with which it came, as RFC 5321 §3.9.1 has it for aliases, fails SPF at the next hop: the domain
//! in it does not name us (RFC 7208 §2.4). Under an address of ours the mail passes, and reports come to us; the address says to whom they go
//! on. No RFC describes it; the format is that of Shevek's "The Sender Rewriting Scheme" (2004), which other programs write too:
//!
//! | | stands for | when `at` forwards |
//! |---|---|---|
//! | `SRS0=HHHHHHHH=TT=domain=local@at` | `local@domain` | a message of `local@domain` |
//! | `SRS1=HHHHHHHH=host=rest@at` | `SRS0rest@host` | one that `host` has forwarded already, or others after it |
//!
//! `H` is the beginning of an HMAC-SHA-256 under a secret of `at`, `T` the day. What others have made is not wrapped once more: the first
//! forwarder and the last stay, and those between them drop out, so that addresses do not grow from hop to hop.
//!
//! *Nobody else can make one.* Hosts fold the case of local-parts, so that neither hash nor day may depend on it: both are in base32, and what
//! is hashed is in lower case. Its eight characters, where others write four, hold 40 bits: a guess costs a `550`, and at a thousand guesses a
//! second it takes some twenty years to find one address to which we would send. Whoever has seen an address can send to what it stands for
//! as long as it is good, and to nobody else.
//!
//! *It expires* after [`LIFETIME_DAYS`]. The day is written modulo 1,024, but hashed whole, so that an address does not come to life again
//! after three years. An `SRS1` has no day of its own: the forwarder to which it leads looks at the one in `rest`.
//!
//! *A secret that has been replaced* is good for what was made before that, and for nothing later.
//!
//! *Length.* A local-part has at most 64 octets (RFC 5321 §4.5.3.1.1), which a rewritten one often exceeds: bulk senders have 60 to begin with, and
//! ours adds 18 and the domain. It is sent all the same, as by all who do this, and as that section wants limits to be overcome where
//! that can be done; a host that insists on it refuses the reverse-path, and the sender is told so. Beyond what we take ourselves
//! ([`LOCAL_PART_LIMIT`](crate::model::address::LOCAL_PART_LIMIT)) there is no address, since reports to it could not come back.

#[cfg(test)]
mod tests;

use std::time::Duration;

use ring::hmac::{self, HMAC_SHA256};

use crate::model::{Address, AddressError, Domain, UtcTime};

/// How many days after it was made an address still leads back: longer than mailers try to deliver, which is some 5 days.
pub const LIFETIME_DAYS: u64 = 21;
/// Days that an address may come from the future: clocks of nodes differ, and midnight passes.
const SKEW_DAYS: u64 = 1;
/// Characters of a hash, five bits each.
const HASH: u32 = 8;
/// Characters of a day.
const STAMP: u32 = 2;
/// Days that can be told apart by them.
const CYCLE: u64 = 1 << (5 * STAMP);
/// RFC 4648 §6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DAY: Duration = Duration::from_hours(24);

/// A secret of a domain, ready to sign and to verify.
#[derive(Clone, Debug)]
pub struct SrsKey {
    key: hmac::Key,
    /// When another one took its place.
    replaced: Option<UtcTime>,
}

/// Why an address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrsFault {
    /// We have not made it, or somebody altered it.
    #[error("it was not signed here")]
    Forged,
    /// We made it long ago.
    #[error("it was good for {LIFETIME_DAYS} days")]
    Expired,
}

impl SrsKey {
    /// A key, from as many octets as there are, and when it was replaced if it was.
    pub fn new(secret: &[u8], replaced: Option<UtcTime>) -> Self {
        Self { key: hmac::Key::new(HMAC_SHA256, secret), replaced }
    }

    /// The hash of an address and, where that is signed with it, a day.
    fn hash(&self, original: &Address, day: Option<u64>) -> String {
        let (kind, day) = (if day.is_some() { 0 } else { 1 }, day.unwrap_or_default());
        let signed = format!("{kind} {day} {}", original.normalized());
        let tag = hmac::sign(&self.key, signed.as_bytes());
        let first = tag.as_ref().iter().take(8).fold(0, |number, octet| (number << 8) | u64::from(*octet));
        base32(first, HASH)
    }

    /// Whether it may vouch for what was made on a day, or at any time before `today`.
    fn covers(&self, day: Option<u64>, today: u64) -> bool {
        let Some(replaced) = self.replaced.map(day_of) else { return true };
        match day {
            Some(day) => day <= replaced + SKEW_DAYS,
            None => today <= replaced + SKEW_DAYS + LIFETIME_DAYS,
        }
    }
}

/// Whether a local-part has the form of a rewritten one, whoever made it.
pub fn is_rewritten(local_part: &str) -> bool {
    tail(local_part, "SRS0").or_else(|| tail(local_part, "SRS1")).is_some()
}

/// The address under which mail with this reverse-path is forwarded by `at`. Fails where it would be too long.
pub fn rewrite(
    reverse_path: &Address,
    at: &Domain,
    key: &SrsKey,
    now: UtcTime,
) -> Result<Address, AddressError> {
    if let Some((host, rest)) = first_forwarder(reverse_path)
        && let Ok(original) = Address::with_local_part(&format!("SRS0{rest}"), host.clone())
    {
        let hash = key.hash(&original, None);
        return Address::with_local_part(&format!("SRS1={hash}={host}={rest}"), at.clone());
    }
    let day = day_of(now);
    let (hash, stamp) = (key.hash(reverse_path, Some(day)), base32(day << (64 - 5 * STAMP), STAMP));
    let (domain, local_part) = (reverse_path.domain(), reverse_path.local_part());
    Address::with_local_part(&format!("SRS0={hash}={stamp}={domain}={local_part}"), at.clone())
}

/// What an address stands for that was made with one of these keys.
pub fn original(rewritten: &Address, keys: &[SrsKey], now: UtcTime) -> Result<Address, SrsFault> {
    let today = day_of(now);
    let (hash, original, day) = parse(rewritten.local_part(), today).ok_or(SrsFault::Forged)?;
    let is_its_own = |key: &&SrsKey| is_same(&key.hash(&original, day), hash);
    let key = keys.iter().find(is_its_own).ok_or(SrsFault::Forged)?;
    if day.is_some_and(|day| day + LIFETIME_DAYS < today) {
        return Err(SrsFault::Expired);
    }
    if !key.covers(day, today) {
        return Err(if day.is_some() { SrsFault::Forged } else { SrsFault::Expired });
    }
    Ok(original)
}

/// Hash, original address and, of an `SRS0`, the latest day that its stamp can mean.
fn parse(local_part: &str, today: u64) -> Option<(&str, Address, Option<u64>)> {
    if let Some(tail) = tail(local_part, "SRS0") {
        let [hash, stamp, domain, local_part] = parts::<4>(tail)?;
        let latest = today + SKEW_DAYS;
        let age = (latest + CYCLE - number(stamp)?) % CYCLE;
        let original = Address::with_local_part(local_part, Domain::parse(domain).ok()?).ok()?;
        return Some((hash, original, Some(latest.checked_sub(age)?)));
    }
    let [hash, host, rest] = parts::<3>(tail(local_part, "SRS1")?)?;
    let original = Address::with_local_part(&format!("SRS0{rest}"), Domain::parse(host).ok()?).ok()?;
    Some((hash, original, None))
}

/// Who has forwarded mail first, and what it wrote behind `SRS0`, where the reverse-path tells.
fn first_forwarder(reverse_path: &Address) -> Option<(Domain, &str)> {
    let local_part = reverse_path.local_part();
    if let Some(tail) = tail(local_part, "SRS1") {
        let [_, host, rest] = parts::<3>(tail)?;
        return Some((Domain::parse(host).ok()?, rest));
    }
    tail(local_part, "SRS0")?;
    Some((reverse_path.domain().clone(), &local_part["SRS0".len()..]))
}

/// What follows a tag and its separator; other programs may be told to write `+` or `-` there.
fn tail<'a>(local_part: &'a str, tag: &str) -> Option<&'a str> {
    let (found, rest) = local_part.split_at_checked(tag.len())?;
    found.eq_ignore_ascii_case(tag).then(|| rest.strip_prefix(['=', '+', '-'])).flatten()
}

/// As many parts as are wanted; the last one may hold more `=`.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.splitn(N, '=').collect::<Vec<_>>().try_into().ok()
}

fn day_of(time: UtcTime) -> u64 {
    time.0 / DAY.as_millis() as u64
}

/// The first characters of a number, from its highest bits on.
fn base32(number: u64, characters: u32) -> String {
    let character = |at: u32| char::from(BASE32[(number >> (64 - 5 * (at + 1))) as usize & 31]);
    (0..characters).map(character).collect()
}

/// A number of as many characters as a day has.
fn number(text: &str) -> Option<u64> {
    if text.len() != STAMP as usize {
        return None;
    }
    text.bytes().try_fold(0, |number, octet| {
        let digit = BASE32.iter().position(|known| *known == octet.to_ascii_uppercase())?;
        Some((number << 5) | digit as u64)
    })
}

/// Compares in the same time, however much of a guess is right.
fn is_same(hash: &str, guess: &str) -> bool {
    let difference = |(a, b): (u8, u8)| a ^ b.to_ascii_uppercase();
    hash.len() == guess.len()
        && hash.bytes().zip(guess.bytes()).map(difference).fold(0, |all, one| all | one) == 0
}
