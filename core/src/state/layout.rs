//! The names of objects, all relative to the deployment's prefix.
//!
//! Numbers are 16 hex digits and identities are ULIDs, so that the children of one folder sort alike in every store, also
//! in those that put `/` before all other characters. Where children differ in length (accounts, domains), nothing
//! depends on their order: a whole folder is skipped by listing after [`past`] it.

use ring::digest::{SHA256, digest};

use super::log::BatchId;
use crate::model::{Address, BodyId, Domain, Incarnation, Nonce};

/// Octets of a percent-encoded name beyond which its hash stands in the key instead.
const NAME_LIMIT: usize = 200;

/// The version of the layout, written once.
pub const FORMAT: &str = "format";
/// Heartbeats and other signs of life.
pub const LIVE: &str = "live/";
/// All logs.
pub const SPOOL: &str = "spool/";
/// What is put there is sent.
pub const PICKUP: &str = "pickup/";
/// Who has taken what lies in [`PICKUP`].
pub const PICKUP_CHAINS: &str = "spool/pickup/";
/// All accounts.
pub const ACCOUNTS: &str = "account/";
/// All domains.
pub const DOMAINS: &str = "domain/";
/// The event log.
pub const EVENTS: &str = "events/";
/// What tests of the store itself write, and remove again.
pub const CHECKS: &str = "check/";
/// Verdicts of such tests.
pub const PROBES: &str = "probe/";
/// Which days have been swept.
pub const SWEEPS: &str = "gc/";
/// Aggregate reports of DMARC that others have sent, by the domain that they are about.
pub const RECEIVED_REPORTS: &str = "reports/received/";
/// All reports.
pub const REPORTS: &str = "reports/";
/// Aggregate reports of DMARC in the making, by day.
pub const DMARC_REPORTS: &str = "reports/dmarc/";
/// Certificates of our own with their keys, for all nodes.
pub const CERTIFICATES: &str = "tls/";
/// What ends the name of one.
const CERTIFICATE_SUFFIX: &str = ".pem";
/// Octets of a certificate's name.
const CERTIFICATE_NAME: std::ops::RangeInclusive<usize> = 1..=NAME_LIMIT;
/// Octets of the hash that stands for an endpoint.
const ENDPOINT_OCTETS: usize = 8;

/// Heartbeat of an incarnation; only its own node writes it.
pub fn beat(incarnation: Incarnation) -> String {
    format!("{LIVE}{incarnation}.beat")
}

/// Sign of an incarnation that ended gracefully and left entries.
pub fn free(incarnation: Incarnation) -> String {
    format!("{LIVE}{incarnation}.free")
}

/// An operator's order.
pub fn order(order: Nonce) -> String {
    format!("{LIVE}{order}.todo")
}

/// Whom a node has locked out.
pub fn lock(lock: Nonce) -> String {
    format!("{LIVE}{lock}.lock")
}

/// What a key in `live/` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveKey {
    /// A heartbeat.
    Beat(Incarnation),
    /// A release.
    Free(Incarnation),
    /// An operator's order.
    Order(Nonce),
    /// Whom a node has locked out.
    Lock(Nonce),
}

/// Reads a key of `live/`; nothing for a key of any other form.
pub fn parse_live(key: &str) -> Option<LiveKey> {
    let (name, kind) = key.strip_prefix(LIVE)?.split_once('.')?;
    match kind {
        "beat" => name.parse().ok().map(LiveKey::Beat),
        "free" => name.parse().ok().map(LiveKey::Free),
        "todo" => name.parse().ok().map(LiveKey::Order),
        "lock" => name.parse().ok().map(LiveKey::Lock),
        _ => None,
    }
}

/// The certificate that goes by this name; nothing where no certificate can: lower-case letters, digits, `.`, `-` and `_`, of which
/// the first is a letter, a digit or `_`.
pub fn certificate(name: &str) -> Option<String> {
    let is_plain =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b".-_".contains(&octet);
    let is_name =
        CERTIFICATE_NAME.contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with(['.', '-']);
    is_name.then(|| format!("{CERTIFICATES}{name}{CERTIFICATE_SUFFIX}"))
}

/// The name of a certificate, out of its key; nothing for a key of any other form.
pub fn parse_certificate(key: &str) -> Option<&str> {
    let name = key.strip_prefix(CERTIFICATES)?.strip_suffix(CERTIFICATE_SUFFIX)?;
    certificate(name).map(|_| name)
}

/// The folder of one incarnation, with its final `/`.
pub fn spool(incarnation: Incarnation) -> String {
    let name = incarnation.to_string();
    format!("{SPOOL}{}/{name}/", spread(&name))
}

/// The incarnation in whose folder a key lies.
pub fn parse_spool(key: &str) -> Option<Incarnation> {
    key.strip_prefix(SPOOL)?.split('/').nth(1)?.parse().ok()
}

/// The folder of a log's segments and seals.
pub fn log(incarnation: Incarnation) -> String {
    spool(incarnation) + "log/"
}

/// One segment or seal.
pub fn segment(incarnation: Incarnation, number: u64) -> String {
    numbered(&log(incarnation), number)
}

/// The folder of a log's chain of owners.
pub fn owners(incarnation: Incarnation) -> String {
    spool(incarnation) + "own/"
}

/// One owner.
pub fn owner(incarnation: Incarnation, epoch: u64) -> String {
    numbered(&owners(incarnation), epoch)
}

/// The folder of a log's checkpoints.
pub fn checkpoints(incarnation: Incarnation) -> String {
    spool(incarnation) + "ck/"
}

/// The checkpoint that covers all segments below `number`.
pub fn checkpoint(incarnation: Incarnation, number: u64) -> String {
    numbered(&checkpoints(incarnation), number)
}

/// One piece of a large body in the spool.
pub fn spool_piece(incarnation: Incarnation, body: BodyId, piece: usize) -> String {
    numbered(&format!("{}{body}/", spool_bodies(incarnation)), piece as u64)
}

/// The folder of a log's large bodies.
pub fn spool_bodies(incarnation: Incarnation) -> String {
    spool(incarnation) + "body/"
}

/// The large body that a key in a log's folder is a piece of.
pub fn parse_spool_body(key: &str) -> Option<BodyId> {
    let (_, body) = key.strip_prefix(SPOOL)?.split_once("/body/")?;
    body.split('/').next()?.parse().ok()
}

/// The folder of an account's chain, with its final `/`.
pub fn account(address: &Address) -> String {
    named(ACCOUNTS, &address.normalized().to_string())
}

/// One piece of a large body in an account.
pub fn account_piece(account: &Address, body: BodyId, piece: usize) -> String {
    numbered(&chain_body(&self::account(account), body), piece as u64)
}

/// The folder of a domain's chain, with its final `/`.
pub fn domain(domain: &Domain) -> String {
    named(DOMAINS, domain.as_str())
}

/// The folder of the commits of the chain in `folder`.
pub fn commits(folder: &str) -> String {
    format!("{folder}c/")
}

/// The folder of its snapshots.
pub fn snapshots(folder: &str) -> String {
    format!("{folder}snap/")
}

/// The folder of one of its large bodies.
pub fn chain_body(folder: &str, body: BodyId) -> String {
    format!("{folder}body/{body}/")
}

/// A folder in which one test of the store writes, with its final `/`.
pub fn check(nonce: Nonce) -> String {
    format!("{CHECKS}{nonce}/")
}

/// The folder of the verdicts on the store behind an endpoint, with its final `/`.
pub fn verdicts(endpoint: &str) -> String {
    let hash = digest(&SHA256, endpoint.as_bytes());
    format!("{PROBES}{}/", hex(&hash.as_ref()[..ENDPOINT_OCTETS]))
}

/// One verdict on the store behind an endpoint.
pub fn verdict(endpoint: &str, nonce: Nonce) -> String {
    format!("{}{nonce}", verdicts(endpoint))
}

/// That somebody sweeps on this day, counted from 1970 by the store's clock.
pub fn sweep(day: u64) -> String {
    numbered(SWEEPS, day)
}

/// The folder of what becomes of a day's aggregate reports; the day is counted from 1970.
pub fn report_day(day: u64) -> String {
    numbered(DMARC_REPORTS, day) + "/"
}

/// A batch of rows for a report.
pub fn filed_batch(batch: BatchId) -> String {
    let BatchId { by, day, cut } = batch;
    report_object(day, ReportKey::Rows(format!("{by}-{cut:08x}")))
}

/// What an object is in a day's folder of reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportKey {
    /// A batch of rows, by its name.
    Rows(String),
    /// That somebody merges.
    Run(u64),
    /// That this is done.
    Done(u64),
    /// That a report was handed over, by its name.
    Sent(String),
}

/// The key of an object of that day.
pub fn report_object(day: u64, object: ReportKey) -> String {
    let folder = report_day(day);
    match object {
        ReportKey::Rows(name) => format!("{folder}rows/{name}"),
        ReportKey::Run(number) => numbered(&format!("{folder}run/"), number),
        ReportKey::Done(number) => numbered(&format!("{folder}done/"), number),
        ReportKey::Sent(name) => format!("{folder}sent/{name}"),
    }
}

/// Reads such a key; nothing for a key of any other form.
pub fn parse_report(key: &str) -> Option<(u64, ReportKey)> {
    let (day, rest) = key.strip_prefix(DMARC_REPORTS)?.split_once('/')?;
    let (kind, name) = rest.split_once('/')?;
    let named = || (!name.is_empty() && !name.contains('/')).then(|| name.to_owned());
    let object = match kind {
        "rows" => ReportKey::Rows(named()?),
        "run" => ReportKey::Run(exact_number(name)?),
        "done" => ReportKey::Done(exact_number(name)?),
        "sent" => ReportKey::Sent(named()?),
        _ => return None,
    };
    Some((exact_number(day)?, object))
}

/// A report that others have sent about a domain, by the first second that it tells of and a name of hexadecimal digits.
pub fn received_report(domain: &Domain, begin: u64, name: &str) -> String {
    format!("{}-{name}", numbered(&received_reports(domain), begin))
}

/// The folder of those about a domain.
pub fn received_reports(domain: &Domain) -> String {
    named(RECEIVED_REPORTS, domain.as_str())
}

/// The name of such a report, out of its key; nothing for a key of any other form.
pub fn parse_received_report(key: &str) -> Option<&str> {
    let (begin, name) = key.strip_prefix(folder(RECEIVED_REPORTS, key)?)?.split_once('-')?;
    let is_name = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_hexdigit());
    exact_number(begin).filter(|_| is_name).map(|_| name)
}

/// What an object is in its chain's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKey {
    /// A commit.
    Commit(u64),
    /// A snapshot.
    Snapshot(u64),
    /// One piece of a large body.
    Piece(BodyId, u64),
}

/// Reads what follows a chain's folder in a key; nothing for a key of any other form.
pub fn parse_chain(rest: &str) -> Option<ChainKey> {
    let (kind, rest) = rest.split_once('/')?;
    match kind {
        "c" => exact_number(rest).map(ChainKey::Commit),
        "snap" => exact_number(rest).map(ChainKey::Snapshot),
        "body" => parse_piece(rest).map(|(body, piece)| ChainKey::Piece(body, piece)),
        _ => None,
    }
}

/// What an object is in its incarnation's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolKey {
    /// A segment or seal.
    Segment(u64),
    /// A link of the chain of owners.
    Owner(u64),
    /// A checkpoint.
    Checkpoint(u64),
    /// One piece of a large body.
    Piece(BodyId, u64),
}

/// Reads what follows an incarnation's folder in a key; nothing for a key of any other form.
pub fn parse_spool_object(rest: &str) -> Option<SpoolKey> {
    let (kind, rest) = rest.split_once('/')?;
    match kind {
        "log" => exact_number(rest).map(SpoolKey::Segment),
        "own" => exact_number(rest).map(SpoolKey::Owner),
        "ck" => exact_number(rest).map(SpoolKey::Checkpoint),
        "body" => parse_piece(rest).map(|(body, piece)| SpoolKey::Piece(body, piece)),
        _ => None,
    }
}

fn parse_piece(rest: &str) -> Option<(BodyId, u64)> {
    let (body, piece) = rest.split_once('/')?;
    Some((body.parse().ok()?, exact_number(piece)?))
}

/// A number and nothing else, as [`numbered`] writes it.
fn exact_number(text: &str) -> Option<u64> {
    let is_exact = text.len() == 16 && text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    if is_exact { u64::from_str_radix(text, 16).ok() } else { None }
}

/// The folder of the account, domain or pickup that a key below `root` belongs to, with its final `/`.
pub fn folder<'a>(root: &str, key: &'a str) -> Option<&'a str> {
    let rest = key.strip_prefix(root)?;
    let (slash, _) = rest.match_indices('/').nth(1)?;
    key.get(..root.len() + slash + 1)
}

/// A key after everything in this folder and before nothing that is not: children begin with letters or digits.
pub fn past(folder: &str) -> String {
    format!("{folder}~")
}

/// An object's number, from the last part of its key.
pub fn number(key: &str) -> Option<u64> {
    let digits = key.rsplit('/').next()?;
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// A numbered object in a folder.
pub fn numbered(folder: &str, number: u64) -> String {
    format!("{folder}{number:016x}")
}

fn named(root: &str, name: &str) -> String {
    let encoded = encode(name);
    let shown =
        if encoded.len() > NAME_LIMIT { hex(digest(&SHA256, name.as_bytes()).as_ref()) } else { encoded };
    format!("{root}{}/{shown}/", spread(name))
}

/// Two hex digits of a hash, so that load spreads over a store's partitions.
fn spread(name: &str) -> String {
    hex(&digest(&SHA256, name.as_bytes()).as_ref()[..1])
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}

/// Percent-encoding of everything that some store or file system might mind.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.@+".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    #[test]
    fn names_have_folders_of_their_own_whatever_is_in_them() {
        let mut folders = std::collections::BTreeSet::new();
        let long = format!("{}@{}.test", "%".repeat(100), "x".repeat(60));
        for text in ["alice@example.org", "\"a/b %\"@x.test", "\"a/b\"@x.test", "o'neil!@x.test", &long] {
            let address = Address::parse(text).unwrap();
            let key = account(&address) + "c/0000000000000001";
            assert_eq!(folder(ACCOUNTS, &key), Some(account(&address).as_str()));
            assert!(key.len() < 240 && folders.insert(account(&address)), "{key}");
        }
    }

    #[test]
    fn the_objects_of_a_folder_are_told_apart_and_nothing_else_is_taken_for_one() {
        let body = BodyId::draw(UtcTime(5), [3; 10]);
        let folder = "account/00/a@x.test/";
        for (key, parsed) in [
            (numbered(&commits(folder), 7), ChainKey::Commit(7)),
            (numbered(&snapshots(folder), 8), ChainKey::Snapshot(8)),
            (numbered(&chain_body(folder, body), 9), ChainKey::Piece(body, 9)),
        ] {
            assert_eq!(key.strip_prefix(folder).and_then(parse_chain), Some(parsed));
        }
        let inc = Incarnation::draw(UtcTime(1_795_306_347_500), [7; 10]);
        for (key, parsed) in [
            (segment(inc, 1), SpoolKey::Segment(1)),
            (owner(inc, 2), SpoolKey::Owner(2)),
            (checkpoint(inc, 3), SpoolKey::Checkpoint(3)),
            (spool_piece(inc, body, 4), SpoolKey::Piece(body, 4)),
        ] {
            assert_eq!(key.strip_prefix(&spool(inc)).and_then(parse_spool_object), Some(parsed));
        }
        for foreign in
            ["c/1", "c/000000000000000G", "c/+00000000000000a", "c/0000000000000001/x", "pack/1", "c"]
        {
            assert_eq!(parse_chain(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn spool_and_live_keys_name_their_incarnation() {
        let inc = Incarnation::draw(UtcTime(1_795_306_347_500), [7; 10]);
        assert_eq!(parse_spool(&segment(inc, 255)), Some(inc));
        assert_eq!(number(&segment(inc, 255)), Some(255));
        let body = BodyId::draw(UtcTime(2), [9; 10]);
        assert_eq!(parse_spool_body(&spool_piece(inc, body, 3)), Some(body));
        assert_eq!(parse_spool_body(&segment(inc, 255)), None);
        assert_eq!(parse_live(&beat(inc)), Some(LiveKey::Beat(inc)));
        assert_eq!(parse_live(&free(inc)), Some(LiveKey::Free(inc)));
        let order = Nonce::draw(UtcTime(1), [8; 10]);
        assert_eq!(parse_live(&super::order(order)), Some(LiveKey::Order(order)));
        assert_eq!(parse_live(&super::lock(order)), Some(LiveKey::Lock(order)));
        assert_eq!(parse_live("live/whatever"), None);
    }

    #[test]
    fn certificates_have_plain_names_and_nothing_else_is_taken_for_one() {
        for name in ["mx.example.org", "_wildcard.example.org", "7", &"x".repeat(200)] {
            assert_eq!(certificate(name).as_deref().and_then(parse_certificate), Some(name));
        }
        for name in ["", ".", "../format", "a/b", "*.example.org", "MX", "-a", &"x".repeat(201)] {
            assert_eq!(certificate(name), None, "{name}");
        }
        for key in ["tls/a", "tls/.pem", "tls/a/b.pem", "tls/A.pem", "live/a.pem"] {
            assert_eq!(parse_certificate(key), None, "{key}");
        }
    }
}
