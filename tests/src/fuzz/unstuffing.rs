//! Content in its transport form, and content that comes by BDAT.

use fulmar_core::model::BodyType;
use fulmar_core::smtp::data::{Decoded, Decoder, Fault};
use fulmar_core::smtp::inspector::Inspector;

use super::{Cut, has_bare_line_end, pieces};

/// Flags: whether bare line ends are mended.
const MENDS: u8 = 1;
/// Flags: whether lines and content may be long.
const IS_WIDE: u8 = 2;

/// What came out of some octets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    content: Vec<u8>,
    fault: Option<Fault>,
    end: Option<End>,
    /// Octets that were not taken.
    left: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Strict,
    Cut,
}

/// However it is cut, content decodes to the same; it ends at the first `CRLF.CRLF` and at nothing else, within its limits and without
/// bare line ends; and what came out comes out again. As content of BDAT, the same octets are judged as a naive reader would.
pub fn unstuffing(octets: &[u8]) {
    let Some(input) = Cut::read(octets) else { return };
    let (line_limit, size_limit) = if input.flags & IS_WIDE == 0 { (8, 24) } else { (1_000, 10_000) };
    let mends = input.flags & MENDS != 0;
    let decoder = || match Decoder::new(line_limit, size_limit as u64) {
        decoder if mends => decoder.normalizing(),
        decoder => decoder,
    };
    let outcome = decode(decoder(), [input.octets].into_iter());
    assert_eq!(decode(decoder(), pieces(input.octets, input.lengths())), outcome, "cut");
    assert!(!has_bare_line_end(&outcome.content));
    assert!(outcome.content.len() <= size_limit);
    assert!(outcome.content.split_inclusive(|octet| *octet == b'\n').all(|line| line.len() <= line_limit));
    assert!(
        !mends
            || !matches!(
                outcome,
                Outcome { end: Some(End::Cut), .. } | Outcome { fault: Some(Fault::BareLineEnd), .. }
            )
    );

    let taken = input.octets.len() - outcome.left;
    match (&outcome.end, strict_end(input.octets)) {
        (Some(End::Strict), end) => assert_eq!(Some(taken), end, "not at the first end"),
        (Some(End::Cut), end) => {
            assert!(outcome.fault.is_some(), "cut without a fault");
            assert!(end.is_none_or(|end| taken <= end), "cut behind the end");
        }
        (None, end) => assert_eq!((end, outcome.left), (None, 0), "read past the end"),
    }
    if outcome.end == Some(End::Strict) && outcome.fault.is_none() {
        let again = decode(decoder(), [&encode(&outcome.content)[..]].into_iter());
        assert_eq!(again, outcome_of(&outcome.content), "does not survive");
    }
    inspect(input, line_limit);
}

fn outcome_of(content: &[u8]) -> Outcome {
    Outcome { content: content.to_vec(), end: Some(End::Strict), ..Outcome::default() }
}

fn decode<'a>(mut decoder: Decoder, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut outcome = Outcome::default();
    for mut piece in pieces {
        while outcome.end.is_none()
            && let Some(decoded) = decoder.decode(&mut piece)
        {
            match decoded {
                Decoded::Content(octets) => {
                    assert!(!octets.is_empty() && outcome.fault.is_none(), "content after a fault");
                    outcome.content.extend_from_slice(octets);
                }
                Decoded::Fault(fault) => assert_eq!(outcome.fault.replace(fault), None, "told twice"),
                Decoded::End => outcome.end = Some(End::Strict),
                Decoded::Cut => outcome.end = Some(End::Cut),
            }
        }
        outcome.left += piece.len();
    }
    outcome
}

/// Octets up to and with the first end of content (RFC 5321 §4.1.1.4). It may stand at the beginning, where the CRLF is that of DATA.
fn strict_end(octets: &[u8]) -> Option<usize> {
    if octets.starts_with(b".\r\n") {
        return Some(3);
    }
    octets.windows(5).position(|part| part == b"\r\n.\r\n").map(|at| at + 5)
}

/// The transport form, written down naively.
fn encode(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        wire.extend(line.starts_with(b".").then_some(b'.'));
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

fn judge<'a>(mut inspector: Inspector, mut pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), Fault> {
    pieces.try_for_each(|piece| inspector.inspect(piece))?;
    inspector.finish()
}

fn inspect(input: Cut<'_>, line_limit: usize) {
    for body in [BodyType::EightBitMime, BodyType::BinaryMime] {
        let judged = judge(Inspector::new(body, line_limit), [input.octets].into_iter());
        let judged_too = judge(Inspector::new(body, line_limit), pieces(input.octets, input.lengths()));
        assert_eq!(judged_too, judged, "cut, {body:?}");
        // Of binary content, the header block alone has lines.
        let header = match input.octets.windows(4).position(|part| part == b"\r\n\r\n") {
            _ if input.octets.starts_with(b"\r\n") => 2,
            Some(at) => at + 4,
            None => input.octets.len(),
        };
        let lines = if body == BodyType::BinaryMime { &input.octets[..header] } else { input.octets };
        let is_short = |line: &[u8]| line.len() + usize::from(!line.ends_with(b"\n")) <= line_limit;
        let is_good = !has_bare_line_end(lines)
            && !lines.ends_with(b"\r")
            && lines.split_inclusive(|octet| *octet == b'\n').all(is_short);
        assert_eq!(judged.is_ok(), is_good, "{body:?}: {judged:?}");
    }
}
