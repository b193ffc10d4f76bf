//! The messages of a scenario: each carries its number, and what it says follows from that and its size alone, so that any copy can be judged
//! wherever it turns up.

use fulmar_core::model::QueueId;

/// The field that names a message. It comes first in the content.
const MARKER: &str = "X-Message: ";
/// Columns of a line of body.
const COLUMNS: usize = 72;
/// Within so many octets the header block of a report names it.
const HEADER_OCTETS: usize = 4096;

/// The content of a message, at least so many octets long, with a CRLF after every line.
pub fn compose(number: usize, octets: usize) -> Vec<u8> {
    let mut content = format!("{MARKER}{number}\r\nSubject: message {number}\r\n\r\n").into_bytes();
    let mut line = 0_usize;
    while content.len() < octets {
        // Some lines begin with dots, which are doubled on their way.
        let dots = &"..."[..(number + line) % 4];
        let text = format!("{dots}{number} {line} ");
        content.extend_from_slice(text.as_bytes());
        let filling = (octets - content.len().min(octets)).min(COLUMNS - text.len());
        content.extend(std::iter::repeat_n(b'a' + ((number + line) % 26) as u8, filling));
        content.extend_from_slice(b"\r\n");
        line += 1;
    }
    content
}

/// A copy of a message, as it lies in a mailbox or came to another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy<'a> {
    /// From the trace field in front.
    pub queue_id: QueueId,
    /// The number of the message that it is a copy of; nothing where it is none of the scenario's, such as a report.
    pub number: Option<usize>,
    /// Everything behind the trace fields.
    pub content: &'a [u8],
}

impl<'a> Copy<'a> {
    /// Takes a stored message apart: one `Return-Path`, if any, then one `Received` (RFC 5321 §4.4), then what was sent. A report came
    /// through no client and has no `Received`, but its queue id in its Message-ID. Nothing where it is neither.
    pub fn read(stored: &'a [u8]) -> Option<Self> {
        let rest = take_field(stored, "Return-Path: ").map_or(stored, |(_, rest)| rest);
        let Some((received, content)) = take_field(rest, "Received: ") else {
            return Some(Self { queue_id: report_id(rest)?, number: None, content: rest });
        };
        let received = String::from_utf8_lossy(received);
        let mut words = received.split([' ', '\t', '\r', '\n', ';']).skip_while(|word| *word != "id");
        let queue_id = words.nth(1)?.parse().ok()?;
        Some(Self { queue_id, number: number(content), content })
    }
}

/// The queue id of a report.
fn report_id(content: &[u8]) -> Option<QueueId> {
    let header = String::from_utf8_lossy(&content[..content.len().min(HEADER_OCTETS)]);
    let (_, rest) = header.split_once("Message-ID: <")?;
    rest.split_once('@')?.0.parse().ok()
}

/// The message that content belongs to.
fn number(content: &[u8]) -> Option<usize> {
    let line = content.split(|octet| *octet == b'\r').next()?;
    std::str::from_utf8(line).ok()?.strip_prefix(MARKER)?.parse().ok()
}

/// A header field of this name at the start, and what follows it.
fn take_field<'a>(octets: &'a [u8], name: &str) -> Option<(&'a [u8], &'a [u8])> {
    let body = octets.strip_prefix(name.as_bytes())?;
    let mut end = 0;
    loop {
        end += body[end..].iter().position(|octet| *octet == b'\n')? + 1;
        // A line that begins with white space goes on with the field (RFC 5322 §2.2.3).
        if !matches!(body.get(end), Some(b' ' | b'\t')) {
            return Some(body.split_at(end));
        }
    }
}

/// Content in its transport form (RFC 5321 §4.5.2), with its end.
pub fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len() + content.len() / COLUMNS + 3);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_what_stands_in_front_of_it() {
        let content = compose(17, 5_000);
        assert!((5_000..5_100).contains(&content.len()), "{}", content.len());
        assert!(content.windows(3).any(|octets| octets == b"\n.."));
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let trace =
            format!("Return-Path: <a@b>\r\nReceived: from c\r\n\tby d with ESMTP id {id};\r\n\tdate\r\n");
        let stored = [trace.as_bytes(), &content].concat();
        let copy = Copy::read(&stored).unwrap();
        assert_eq!((copy.queue_id.to_string().as_str(), copy.number), (id, Some(17)));
        assert!(copy.content == content);
        assert_eq!(Copy::read(&content), None);
        assert_ne!(compose(18, 5_000), content);
    }
}
