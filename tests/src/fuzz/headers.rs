//! Header blocks, addresses in them, and the conversion of whole messages.

use fulmar_core::model::BodyType;
use fulmar_core::model::message::{
    Downgrade, HeaderScan, HeaderSplit, Survey, Unconvertible, field_count, fields, parse_address_list,
};

use super::{Cut, has_bare_line_end, pieces};

/// Octets in a line without its end (RFC 5322 §2.1.1).
const LONGEST_LINE: usize = 998;

/// A message. Its header block ends at the same place however it comes, and its fields are all of that block but the empty line; addresses
/// that are found are found again; and converted, it is the same however it was cut, and has nothing in its body that its host does not take.
pub fn headers(octets: &[u8]) {
    let Some(input) = Cut::read(octets) else { return };
    let message = input.octets;
    let end = split(message, [message.len()].into_iter());
    assert_eq!(split(message, input.lengths()), end, "cut");
    check_fields(&message[..end]);
    check_survey(input);
    for to in [BodyType::SevenBit, BodyType::EightBitMime] {
        let converted = convert(to, [message].into_iter());
        assert_eq!(convert(to, pieces(message, input.lengths())), converted, "cut, to {to:?}");
        let Ok(converted) = converted else { continue };
        // Fields go as they are, and so does what is not said to be binary: who took it has seen to its line ends.
        assert!(has_bare_line_end(message) || !has_bare_line_end(&converted), "a bare line end, to {to:?}");
        if to == BodyType::SevenBit {
            check_seven_bit(message, &converted);
        }
    }
}

/// Where the header block ends, of a message that comes in pieces of these lengths.
fn split(message: &[u8], lengths: impl Iterator<Item = usize>) -> usize {
    let mut scan = HeaderScan::default();
    let mut seen = 0;
    for piece in pieces(message, lengths) {
        seen += piece.len();
        if let HeaderSplit::At(end) = scan.advance(&message[..seen]) {
            assert!(end <= seen, "ends in what has not come");
            return end;
        }
    }
    scan.finish(message)
}

fn check_fields(header: &[u8]) {
    let found: Vec<_> = fields(header).collect();
    let octets: Vec<u8> = found.iter().flat_map(|field| field.octets).copied().collect();
    let rest = header.strip_prefix(&octets[..]).expect("fields stand in their block, one behind the other");
    assert!(matches!(rest, b"" | b"\r\n" | b"\n"), "left of the block: {}", rest.escape_ascii());
    for field in &found {
        assert!(!field.name.is_empty() && field.name.iter().all(u8::is_ascii_graphic));
        assert!(field.octets.starts_with(field.name) && field.octets.ends_with(field.body));
        let name = str::from_utf8(field.name).expect("ASCII");
        let same = found.iter().filter(|other| other.name.eq_ignore_ascii_case(field.name)).count();
        assert_eq!(field_count(header, name), same, "{name}");
        if let Ok(addresses) = parse_address_list(field.body) {
            let shown: Vec<String> = addresses.iter().map(|address| format!("<{address}>")).collect();
            assert_eq!(parse_address_list(shown.join(", ").as_bytes()), Ok(addresses));
        }
    }
}

fn check_survey(input: Cut<'_>) {
    let mut survey = Survey::default();
    pieces(input.octets, input.lengths()).for_each(|piece| survey.advance(piece));
    let is_long = |line: &[u8]| line.iter().filter(|octet| **octet != b'\r').count() > LONGEST_LINE;
    let is_lines = !has_bare_line_end(input.octets)
        && !input.octets.ends_with(b"\r")
        && !input.octets.contains(&0)
        && !input.octets.split(|octet| *octet == b'\n').any(is_long);
    let expected = match (is_lines, input.octets.is_ascii()) {
        (true, true) => BodyType::SevenBit,
        (true, false) => BodyType::EightBitMime,
        (false, _) => BodyType::BinaryMime,
    };
    assert_eq!(survey.least(BodyType::BinaryMime), expected);
}

fn convert<'a>(to: BodyType, mut pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Unconvertible> {
    let (mut downgrade, mut out) = (Downgrade::new(to), Vec::new());
    pieces.try_for_each(|piece| downgrade.push(piece, &mut out))?;
    downgrade.finish(&mut out)?;
    Ok(out)
}

/// Header fields stay as they are; nothing else may have 8-bit octets.
fn check_seven_bit(message: &[u8], converted: &[u8]) {
    let is_field = |line: &[u8]| matches!(line, [b' ' | b'\t', ..]) || line.contains(&b':');
    for line in converted.split_inclusive(|octet| *octet == b'\n').filter(|line| !line.is_ascii()) {
        assert!(is_field(line), "8-bit: {}", line.escape_ascii());
    }
    // The name of a type may be folded and spaced as its sender liked.
    let visible = message.iter().filter(|octet| !octet.is_ascii_whitespace());
    let lower: Vec<u8> = visible.map(u8::to_ascii_lowercase).collect();
    let has = |word: &[u8]| lower.windows(word.len()).any(|part| part == word);
    // Of one part, all that follows the header block is its body.
    if !has(b"multipart") && !has(b"message") {
        let end = split(converted, [converted.len()].into_iter());
        assert!(converted[end..].is_ascii(), "8-bit body");
    }
}
