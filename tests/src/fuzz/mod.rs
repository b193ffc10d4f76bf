//! What the fuzz targets assert, as plain functions from octets to nothing: one that returns has found nothing wrong. The fuzzer in
//! `tests/fuzz` calls them with what it makes up, and the suite with the corpora that are kept there.
//!
//! This module is also the root of the fuzzer's library, so that nothing but core is compiled for it: its modules name each other by `super`.

#![expect(clippy::expect_used, reason = "what does not go as expected is a finding")]

mod dkim;
mod dmarc;
mod dns;
mod headers;
mod names;
mod proxy;
mod sasl;
mod session;
mod spf;
mod syntax;
mod unstuffing;
mod written;

pub use dkim::dkim;
pub use dmarc::dmarc;
pub use dns::dns;
pub use headers::headers;
pub use proxy::proxy;
pub use sasl::sasl;
pub use session::session;
pub use spf::spf;
pub use syntax::syntax;
pub use unstuffing::unstuffing;

/// What takes octets, and ends the process where something is wrong with what comes of them.
pub type Target = fn(&[u8]);

/// Every target by the name that it has in `tests/fuzz`.
pub const TARGETS: [(&str, Target); 10] = [
    ("dkim", dkim),
    ("dmarc", dmarc),
    ("dns", dns),
    ("headers", headers),
    ("proxy", proxy),
    ("sasl", sasl),
    ("session", session),
    ("spf", spf),
    ("syntax", syntax),
    ("unstuffing", unstuffing),
];

/// An input that says itself how it is cut: flags, the number of lengths (its low four bits), as many lengths less one, and the octets.
#[derive(Clone, Copy, Debug)]
struct Cut<'a> {
    /// What they mean is the target's affair.
    flags: u8,
    lengths: &'a [u8],
    octets: &'a [u8],
}

impl<'a> Cut<'a> {
    /// Nothing where the input is too short.
    fn read(input: &'a [u8]) -> Option<Self> {
        let (&[flags, count], rest) = input.split_first_chunk()?;
        let (lengths, octets) = rest.split_at_checked(usize::from(count & 0xf))?;
        Some(Self { flags, lengths, octets })
    }

    /// Lengths of pieces, without end: those of the input again and again, or 1 where it names none.
    fn lengths(self) -> impl Iterator<Item = usize> {
        let lengths = if self.lengths.is_empty() { &[0] } else { self.lengths };
        lengths.iter().cycle().map(|length| usize::from(*length) + 1)
    }
}

/// Octets in pieces of these lengths; none is empty.
fn pieces(octets: &[u8], lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    lengths.map_while(move |length| {
        let (piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Whether a CR or LF stands in these octets that is not part of a CRLF. A CR at their end may still become part of one.
fn has_bare_line_end(octets: &[u8]) -> bool {
    let has_bare_lf = octets
        .iter()
        .enumerate()
        .any(|(at, octet)| *octet == b'\n' && at.checked_sub(1).is_none_or(|before| octets[before] != b'\r'));
    has_bare_lf || octets.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}
