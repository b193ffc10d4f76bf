//! Somebody elsewhere whose mail is authenticated: a domain with keys, and what the DNS says of it.

use std::net::{IpAddr, Ipv4Addr};

use fulmar_core::authn::dkim::{
    BodyHash, BodyHasher, BodyMethod, Signatory, SigningKey, generate_ed25519, generate_rsa, sign,
};
use fulmar_core::authn::iprev::reverse_name;
use fulmar_core::model::{DnsName, Domain};
use fulmar_core::platform::{Clock, Record, RecordKind};
use fulmar_runtime_smol::{SmolClock, SmolEntropy};
use fulmar_tests::Fallible;
use fulmar_tests::dice::Dice;
use fulmar_tests::zone::Zone;

/// The domain.
const DOMAIN: &str = "far.test";
/// Who writes there, as an address and as a reverse-path.
pub(crate) const AUTHOR: &str = "ann@far.test";
/// The selector of its key of RSA, of 2048 bits.
pub(crate) const RSA: &str = "rsa";
/// The selector of its key of Ed25519.
pub(crate) const ED25519: &str = "ed";
/// The host that sends from this machine.
const HOST: &str = "mx.far.test";
/// Octets of a line with its CRLF.
const LINE: usize = 78;
/// What lines are made of: as base64, and thus as hard to compress.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The author's domain.
#[derive(Debug)]
pub(crate) struct Author {
    domain: Domain,
    rsa: SigningKey,
    ed25519: SigningKey,
}

impl Author {
    /// One with new keys.
    pub(crate) fn new() -> Fallible<Self> {
        Ok(Self {
            domain: Domain::parse(DOMAIN)?,
            rsa: SigningKey::from_pkcs8(&generate_rsa(&SmolEntropy)?)?,
            ed25519: SigningKey::from_pkcs8(&generate_ed25519(&SmolEntropy))?,
        })
    }

    /// What the DNS says: this machine may send for the domain, whose mail is to be refused where it does not pass.
    pub(crate) fn zone(&self) -> Fallible<Zone> {
        let zone = Zone::default();
        let text = |name: &str, text: String| {
            zone.set(name, RecordKind::Txt, Ok(vec![Record::Txt(text.into_bytes())]));
        };
        text(DOMAIN, "v=spf1 ip4:127.0.0.0/8 -all".to_owned());
        text(&format!("_dmarc.{DOMAIN}"), "v=DMARC1; p=reject".to_owned());
        text(&format!("{RSA}._domainkey.{DOMAIN}"), self.rsa.public_record());
        text(&format!("{ED25519}._domainkey.{DOMAIN}"), self.ed25519.public_record());
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        zone.host(HOST, &[here]);
        let host = Record::Ptr(DnsName::parse(HOST)?);
        zone.set(reverse_name(here).as_str(), RecordKind::Ptr, Ok(vec![host]));
        Ok(zone)
    }

    /// Signatures by the keys with these selectors over this header block and the body of this hash, as fields to be put in front.
    pub(crate) fn sign(&self, selectors: &[&str], header: &str, body: &BodyHash) -> Fallible<String> {
        let signatories: Vec<_> = selectors
            .iter()
            .map(|selector| Signatory {
                domain: &self.domain,
                selector,
                key: if *selector == RSA { &self.rsa } else { &self.ed25519 },
            })
            .collect();
        Ok(sign(header.as_bytes(), body, &signatories, SmolClock.utc(), None)?)
    }
}

/// A header block as people's programs write it; the number makes it another message's.
pub(crate) fn header(author: &str, number: usize) -> String {
    let date = SmolClock.utc().to_rfc5322();
    format!(
        "From: Ann Example <{author}>\r\nTo: Bob Example <bob@example.org>\r\nSubject: The birds of the cliff, {number}\r\n\
         Date: {date}\r\nMessage-ID: <{number}.bench@{DOMAIN}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    )
}

/// Lines of at most so many octets together, of which none begins with a dot.
pub(crate) fn lines(dice: &mut Dice, octets: usize) -> Vec<u8> {
    let mut line = || {
        let text = (2..LINE).map(|_| ALPHABET[dice.below(ALPHABET.len())]);
        text.chain(*b"\r\n").collect::<Vec<u8>>()
    };
    (0..octets / LINE).flat_map(|_| line()).collect()
}

/// The hash of a body, which comes in pieces, as our signatures want it.
pub(crate) fn body_hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Fallible<BodyHash> {
    let mut hasher = BodyHasher::new([BodyMethod::SIGNING]);
    pieces.into_iter().for_each(|piece| hasher.push(piece));
    Ok(*hasher.finish().find(BodyMethod::SIGNING).ok_or("no hash")?)
}
