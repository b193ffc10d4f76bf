//! Content in its transport form (RFC 5321 §4.5.2): out of it, as it streams in.
//!
//! Content ends at `CRLF.CRLF` and nowhere else. A CR or LF that is not part of a CRLF may not be sent (RFC 5321 §2.3.8), and
//! programs disagree about what it means; where two of them disagree about where content ends, the rest of one message becomes
//! commands to the other (SMTP smuggling). So one bare CR or LF spoils the content: it is swallowed up to its strict end and
//! refused. A client that ends its lines so would wait for ever for an end that we do not see; what it takes for the end
//! is therefore looked for in spoilt content too ([`Decoded::Cut`]), after which the connection must be closed, for whatever
//! follows might be meant as content.
//!
//! From clients that an operator lists, bare line ends are taken for CRLF instead. Even then none of them is part of an end of content.

use memchr::memchr2;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// Takes content out of its transport form. How the input is cut into chunks makes no difference to what comes out.
#[derive(Clone, Debug)]
pub struct Decoder {
    place: Place,
    /// Octets in a line, its CRLF counted and the dot put in front for transparency not (RFC 5321 §4.5.3.1.6).
    line_limit: usize,
    /// Octets of the current line so far.
    line: usize,
    /// Octets of content that may still come.
    room: u64,
    /// Whether a fault has been found; from then on nothing is handed on.
    is_faulty: bool,
    /// A fault that has been found and not been told yet.
    untold: Option<Fault>,
    /// Whether bare line ends become CRLF.
    normalizes: bool,
    /// Octets of content that stand in for others, to be handed on next.
    instead: &'static [u8],
}

/// What comes out of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The next octets of content; never empty.
    Content(&'a [u8]),
    /// The content cannot be accepted, and no more of it is handed out. Told once; the end is still looked for.
    Fault(Fault),
    /// The content is over; what follows are commands.
    End,
    /// The content is spoilt, and its client takes it to be over. What follows must not be read as anything.
    Cut,
}

/// Why content cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A CR or LF that is not part of a CRLF.
    BareLineEnd,
    /// A line over the limit.
    LongLine,
    /// More octets than the limit.
    TooBig,
}

/// What the last octet leads to. A loose line begins after a bare CR or LF, so only spoilt content has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    LineStartDot,
    LineStartDotCr,
    InLine,
    Cr,
    LooseStart,
    LooseStartDot,
    /// After a bare line end that was made a CRLF.
    MendedStart,
    MendedStartDot,
    Ended,
    Cut,
}

impl Decoder {
    /// At the start of content, whose lines may have `line_limit` octets with their CRLF and which may have `size_limit`
    /// octets in all, both without the dots put in for transparency.
    pub fn new(line_limit: usize, size_limit: u64) -> Self {
        Self {
            place: Place::LineStart,
            line_limit,
            line: 0,
            room: size_limit,
            is_faulty: false,
            untold: None,
            normalizes: false,
            instead: b"",
        }
    }

    /// The same, but bare line ends become CRLF.
    pub fn normalizing(self) -> Self {
        Self { normalizes: true, ..self }
    }

    /// Takes octets from the front of `input` and gives what comes of them; nothing once `input` is used up. After
    /// `End` and `Cut` it takes no more.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<Decoded<'a>> {
        loop {
            if let Some(fault) = self.untold.take() {
                return Some(Decoded::Fault(fault));
            }
            let instead = std::mem::take(&mut self.instead);
            if !instead.is_empty() && self.count(instead.len()) == instead.len() {
                if instead.ends_with(b"\n") {
                    self.line = 0;
                }
                if !self.is_faulty {
                    return Some(Decoded::Content(instead));
                }
                continue;
            }
            match self.place {
                Place::Ended => return Some(Decoded::End),
                Place::Cut => return Some(Decoded::Cut),
                _ if input.is_empty() => return None,
                _ => {}
            }
            let was_faulty = self.is_faulty;
            let (kept, taken) = self.scan(input);
            let content = &input[..kept];
            *input = &input[taken..];
            if !was_faulty && !content.is_empty() {
                return Some(Decoded::Content(content));
            }
        }
    }

    /// Goes on to the next octet that is not content, or the first fault. Gives how many octets are content, and how many
    /// were taken: those, and perhaps one that is dropped.
    fn scan(&mut self, octets: &[u8]) -> (usize, usize) {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            let (next, length) = match (self.place, octet) {
                (Place::InLine, CR) => (Place::Cr, 1),
                (Place::InLine, LF) if self.normalizes => return self.mend(at, 1, b"\r\n"),
                (Place::InLine, LF) => {
                    self.spoil();
                    return self.drop_one(at, Place::LooseStart);
                }
                (Place::InLine, _) => {
                    (Place::InLine, memchr2(CR, LF, &octets[at..]).unwrap_or(octets.len() - at))
                }
                (Place::Cr, LF) => (Place::LineStart, 1),
                (Place::Cr, _) if self.normalizes => return self.mend(at, 0, b"\n"),
                (Place::Cr, _) => {
                    self.spoil();
                    self.place = Place::LooseStart;
                    return (at, at);
                }
                (Place::LineStart, b'.') => return self.drop_one(at, Place::LineStartDot),
                (Place::LineStartDot, CR) => return self.drop_one(at, Place::LineStartDotCr),
                (Place::LineStartDotCr, LF) => return self.drop_one(at, Place::Ended),
                (Place::LineStartDot, LF) if self.normalizes => return self.mend(at, 1, b".\r\n"),
                (Place::LineStartDotCr, _) if self.normalizes => return self.mend(at, 0, b".\r\n"),
                (Place::MendedStart, b'.') => return self.drop_one(at, Place::MendedStartDot),
                (Place::MendedStartDot, CR | LF) => {
                    // No end: a line that holds a dot.
                    self.instead = b".";
                    self.place = Place::InLine;
                    return (at, at);
                }
                (Place::LineStartDot, LF) | (Place::LineStartDotCr, _) => {
                    self.spoil();
                    return self.drop_one(at, Place::Cut);
                }
                (Place::LooseStart, b'.') => (Place::LooseStartDot, 1),
                (Place::LooseStartDot, CR | LF) => return self.drop_one(at, Place::Cut),
                (
                    Place::LineStart
                    | Place::LineStartDot
                    | Place::LooseStart
                    | Place::LooseStartDot
                    | Place::MendedStart
                    | Place::MendedStartDot,
                    _,
                ) => (Place::InLine, 0),
                (Place::Ended | Place::Cut, _) => return (at, at),
            };
            let counted = self.count(length);
            at += counted;
            if counted < length {
                return (at, at);
            }
            self.place = next;
            if next == Place::LineStart {
                self.line = 0;
            }
        }
        (at, at)
    }

    /// What is before `at` is handed on, then `instead`, which ends a line; so many octets are dropped.
    fn mend(&mut self, at: usize, dropped: usize, instead: &'static [u8]) -> (usize, usize) {
        self.instead = instead;
        self.place = Place::MendedStart;
        (at, at + dropped)
    }

    /// The octet at `at` is not handed on: what is before it is.
    fn drop_one(&mut self, at: usize, next: Place) -> (usize, usize) {
        self.place = next;
        (at, at + 1)
    }

    /// Counts octets of one line, and gives how many of them are within the limits.
    fn count(&mut self, octets: usize) -> usize {
        if self.is_faulty {
            return octets;
        }
        let line_room = self.line_limit - self.line;
        let size_room = usize::try_from(self.room).unwrap_or(usize::MAX);
        let counted = octets.min(line_room).min(size_room);
        self.line += counted;
        self.room -= counted as u64;
        if counted < octets {
            self.fail(if counted == line_room { Fault::LongLine } else { Fault::TooBig });
        }
        counted
    }

    fn spoil(&mut self) {
        if !self.is_faulty {
            self.fail(Fault::BareLineEnd);
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.is_faulty = true;
        self.untold = Some(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What came out of some octets: content, fault, `End` or `Cut`, and what was not taken.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Outcome {
        content: Vec<u8>,
        fault: Option<Fault>,
        end: Option<&'static str>,
        rest: Vec<u8>,
    }

    fn decode(mut decoder: Decoder, wire: &[u8], cuts: &[usize]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut from = 0;
        for to in cuts.iter().copied().chain([wire.len()]) {
            let mut chunk = &wire[from..to.max(from)];
            from = to.max(from);
            while outcome.end.is_none()
                && let Some(decoded) = decoder.decode(&mut chunk)
            {
                match decoded {
                    Decoded::Content(octets) => outcome.content.extend_from_slice(octets),
                    Decoded::Fault(fault) => assert_eq!(outcome.fault.replace(fault), None, "told once"),
                    Decoded::End => outcome.end = Some("end"),
                    Decoded::Cut => outcome.end = Some("cut"),
                }
            }
            outcome.rest.extend_from_slice(chunk);
        }
        outcome
    }

    fn check(
        decoder: &Decoder,
        wire: &[u8],
        content: &[u8],
        fault: Option<Fault>,
        end: Option<&'static str>,
    ) {
        let rest = if end.is_some() { wire[wire.len() - 4..].to_vec() } else { Vec::new() };
        let expected = Outcome { content: content.to_vec(), fault, end, rest };
        let each_octet: Vec<usize> = (0..wire.len()).collect();
        for cuts in [&[][..], &each_octet] {
            let got = decode(decoder.clone(), wire, cuts);
            assert_eq!(got, expected, "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn content_ends_at_a_dot_between_two_crlfs_and_dots_are_unstuffed() {
        let decoder = Decoder::new(1000, 1000);
        for (wire, content) in [
            (&b".\r\nREST"[..], &b""[..]),
            (b"a\r\n.\r\nREST", b"a\r\n"),
            (b"..\r\n...a\r\nb.\r\n.\r\nREST", b".\r\n..a\r\nb.\r\n"),
            (b".a\r\n\r\n\r\n.\r\nREST", b"a\r\n\r\n\r\n"),
            (b"\xff\0\r\n.\r\nREST", b"\xff\0\r\n"),
        ] {
            check(&decoder, wire, content, None, Some("end"));
        }
        check(&decoder, b"a\r\n.", b"a\r\n", None, None);
    }

    #[test]
    fn a_bare_cr_or_lf_spoils_content_up_to_its_strict_end() {
        let decoder = Decoder::new(1000, 1000);
        for (wire, content) in [
            (&b"a\nb\r\n.\r\nREST"[..], &b"a"[..]),
            (b"a\rb\r\n.\r\nREST", b"a\r"),
            (b"a\r\r\n.\r\nREST", b"a\r"),
            (b"a\n..\n\r\n.\r\nREST", b"a"),
            (b"a\n.b\r\n.\r\nREST", b"a"),
            (b"\n\r\n.\r\nREST", b""),
        ] {
            check(&decoder, wire, content, Some(Fault::BareLineEnd), Some("end"));
        }
    }

    #[test]
    fn what_a_lax_client_takes_for_the_end_cuts_the_session() {
        let decoder = Decoder::new(1000, 1000);
        for (wire, content) in [
            (&b"a\n.\nREST"[..], &b"a"[..]),
            (b"a\n.\rREST", b"a"),
            (b"a\r.\rREST", b"a\r"),
            (b"a\r.\nREST", b"a\r"),
            (b"a\r\n.\nREST", b"a\r\n"),
            (b".\nREST", b""),
            (b"a\nb\r\n.\nREST", b"a"),
            (b"a\nb\r.\rREST", b"a"),
        ] {
            check(&decoder, wire, content, Some(Fault::BareLineEnd), Some("cut"));
        }
        // `\n.\r\n`: what is left of it is not taken either.
        check(&decoder, b"a\n.\r\nEST", b"a", Some(Fault::BareLineEnd), Some("cut"));
        // `\r\n.\r` and no LF: the octet that proves it is the last one taken.
        check(&decoder, b"a\r\n.\r REST", b"a\r\n", Some(Fault::BareLineEnd), Some("cut"));
    }

    #[test]
    fn bare_line_ends_of_listed_clients_become_crlf_and_never_end_content() {
        let decoder = Decoder::new(1000, 1000).normalizing();
        for (wire, content) in [
            (&b"a\nb\r\n.\r\nREST"[..], &b"a\r\nb\r\n"[..]),
            (b"a\rb\r\n.\r\nREST", b"a\r\nb\r\n"),
            (b"a\r\r\nb\n\r\n.\r\nREST", b"a\r\n\r\nb\r\n\r\n"),
            (b"\n\n.\n.\r\n.\r\nREST", b"\r\n\r\n.\r\n.\r\n"),
            (b"a\n.\r\nb\r\n.\r\nREST", b"a\r\n.\r\nb\r\n"),
            (b"a\r\n.\nb\r\n.\r\nREST", b"a\r\n.\r\nb\r\n"),
            (b"a\r\n.\rb\r\n.\r\nREST", b"a\r\n.\r\nb\r\n"),
            (b"a\n..b\r.c\r\n..d\r\n.\r\nREST", b"a\r\n.b\r\nc\r\n.d\r\n"),
        ] {
            check(&decoder, wire, content, None, Some("end"));
        }
        // The line end that is put there counts to the line that it ends.
        let narrow = Decoder::new(4, 99).normalizing();
        check(&narrow, b"ab\nab\r\n.\r\nREST", b"ab\r\nab\r\n", None, Some("end"));
        check(&narrow, b"abc\nd\r\n.\r\nREST", b"abc", Some(Fault::LongLine), Some("end"));
        check(
            &Decoder::new(99, 2).normalizing(),
            b"a\nb\r\n.\r\nREST",
            b"a",
            Some(Fault::TooBig),
            Some("end"),
        );
    }

    #[test]
    fn limits_count_octets_without_the_stuffed_dots() {
        let line = Fault::LongLine;
        let size = Fault::TooBig;
        for (line_limit, size_limit, wire, content, fault) in [
            (5, 99, &b"abc\r\n..bc\r\n.\r\nREST"[..], &b"abc\r\n.bc\r\n"[..], None),
            (4, 99, b"a\r\nabc\r\n.\r\nREST", b"a\r\nabc\r", Some(line)),
            (4, 99, b"abcdefg\r\n.\r\nREST", b"abcd", Some(line)),
            (99, 5, b"..bc\r\n.\r\nREST", b".bc\r\n", None),
            (99, 5, b"abc\r\nd\r\n.\r\nREST", b"abc\r\n", Some(size)),
            (99, 0, b".\r\nREST", b"", None),
            (99, 0, b"a\r\n.\r\nREST", b"", Some(size)),
        ] {
            check(&Decoder::new(line_limit, size_limit), wire, content, fault, Some("end"));
        }
        // Too big, and of a client that would wait for ever.
        check(&Decoder::new(99, 2), b"abc\n.\nREST", b"ab", Some(size), Some("cut"));
    }

    /// The transport form, written down naively.
    fn encode(content: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in content.split_inclusive(|octet| *octet == LF) {
            wire.extend(line.starts_with(b".").then_some(b'.'));
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec("[.a\u{e9} ]{0,5}\r\n", 0..12).prop_map(|lines| lines.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_the_same_however_it_is_cut(content in lines(), mut cuts in prop::collection::vec(0usize..80, 0..20)) {
            let wire = encode(&content);
            cuts.retain(|cut| *cut <= wire.len());
            cuts.sort_unstable();
            let expected = Outcome { content, end: Some("end"), ..Outcome::default() };
            prop_assert_eq!(decode(Decoder::new(100, 10_000), &wire, &cuts), expected);
        }

        #[test]
        fn cutting_the_input_changes_nothing(wire in "[\r\n.a]{0,40}", line_limit in 2usize..8, size_limit in 0u64..30, mut cuts in prop::collection::vec(0usize..40, 0..20)) {
            let decoder = Decoder::new(line_limit, size_limit);
            cuts.retain(|cut| *cut <= wire.len());
            cuts.sort_unstable();
            let whole = decode(decoder.clone(), wire.as_bytes(), &[]);
            prop_assert_eq!(decode(decoder, wire.as_bytes(), &cuts), whole);
        }
    }
}
