//! Replies of a server, out of the octets that it sends (RFC 5321 §4.2).

use std::ops::Range;

use memchr::memchr;

/// Longest reply with all of its lines, in octets. RFC 5321 §4.5.3.1.5 gives a line 512.
const MAX_REPLY: usize = 8 << 10;

/// Octets that were received, and the replies in them.
#[derive(Debug)]
pub(super) struct Replies {
    octets: Box<[u8]>,
    unread: Range<usize>,
}

/// One reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    pub(super) code: u16,
    /// All of its lines, as they came.
    pub(super) lines: &'a [u8],
}

/// What came is no reply, or longer than any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage;

impl Replies {
    pub(super) fn new() -> Self {
        Self { octets: vec![0; MAX_REPLY].into(), unread: 0..0 }
    }

    /// Where the next octets go; [`Self::received`] says how many did.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Garbage> {
        self.octets.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let space = &mut self.octets[self.unread.end..];
        if space.is_empty() { Err(Garbage) } else { Ok(space) }
    }

    pub(super) fn received(&mut self, octets: usize) {
        self.unread.end += octets;
    }

    /// Whether nothing was received beyond the replies that were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// Takes the next reply, when all of it has come.
    pub(super) fn take(&mut self) -> Result<Option<Reply<'_>>, Garbage> {
        let Some((code, length)) = first_reply(&self.octets[self.unread.clone()])? else { return Ok(None) };
        let start = self.unread.start;
        self.unread.start += length;
        Ok(Some(Reply { code, lines: &self.octets[start..start + length] }))
    }
}

/// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF`, with the length of all its lines.
fn first_reply(octets: &[u8]) -> Result<Option<(u16, usize)>, Garbage> {
    let (mut at, mut code) = (0, None);
    while let Some(length) = memchr(b'\n', &octets[at..]) {
        let line = octets[at..at + length].strip_suffix(b"\r").ok_or(Garbage)?;
        at += length + 1;
        let (digits, rest) = line.split_at_checked(3).ok_or(Garbage)?;
        let this = reply_code(digits)?;
        if *code.get_or_insert(this) != this {
            return Err(Garbage);
        }
        match rest.first() {
            None | Some(b' ') => return Ok(Some((this, at))),
            Some(b'-') => {}
            Some(_) => return Err(Garbage),
        }
    }
    Ok(None)
}

/// `Reply-code = %x32-35 %x30-35 %x30-39`
fn reply_code(digits: &[u8]) -> Result<u16, Garbage> {
    match digits {
        [a @ b'2'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9'] => {
            Ok([a, b, c].into_iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(octets: &[u8]) -> Replies {
        let mut replies = Replies::new();
        replies.space().unwrap()[..octets.len()].copy_from_slice(octets);
        replies.received(octets.len());
        replies
    }

    #[test]
    fn replies_are_taken_one_by_one_whatever_their_lines() {
        for (octets, codes) in [
            ("250 ok\r\n", &[250][..]),
            ("250\r\n", &[250]),
            ("250-a\r\n250-b\r\n250 c\r\n", &[250]),
            ("250-\r\n250 \r\n354 go\r\n", &[250, 354]),
            ("421 bye\r\n250 o", &[421]),
            ("250-a\r\n", &[]),
            ("250 ok\r", &[]),
            ("", &[]),
        ] {
            let mut replies = received(octets.as_bytes());
            let mut taken = Vec::new();
            while let Some(reply) = replies.take().unwrap() {
                taken.push(reply.code);
            }
            assert_eq!(taken, codes, "{octets:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_garbage() {
        for octets in [
            "\r\n",
            "25\r\n",
            "250 ok\n",
            "250ok\r\n",
            "150 ok\r\n",
            "650 ok\r\n",
            "260 ok\r\n",
            "2x0 ok\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "250-a\r\n251 b\r\n",
            "250-a\r\nb\r\n",
        ] {
            assert_eq!(received(octets.as_bytes()).take(), Err(Garbage), "{octets:?}");
        }
    }

    #[test]
    fn a_reply_may_come_in_any_pieces() {
        let whole = b"250-a\r\n250 b\r\n";
        for cut in 1..whole.len() {
            let mut replies = received(&whole[..cut]);
            assert_eq!(replies.take(), Ok(None), "{cut}");
            replies.space().unwrap()[..whole.len() - cut].copy_from_slice(&whole[cut..]);
            replies.received(whole.len() - cut);
            assert_eq!(replies.take(), Ok(Some(Reply { code: 250, lines: whole })), "{cut}");
            assert!(replies.is_empty());
        }
    }

    #[test]
    fn an_endless_reply_is_garbage_when_the_space_is_used_up() {
        let mut replies = Replies::new();
        while let Ok(space) = replies.space() {
            let line = b"250-on and on\r\n";
            let length = line.len().min(space.len());
            space[..length].copy_from_slice(&line[..length]);
            replies.received(length);
            assert_eq!(replies.take(), Ok(None));
        }
        assert_eq!(replies.unread.len(), MAX_REPLY);
    }
}
