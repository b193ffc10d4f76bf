//! The sessions, and what they send in step.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fulmar_tests::Fallible;
use fulmar_tests::dice::Dice;

use crate::author::{Author, RSA, body_hash, header, lines};

/// Octets that a session sends before the next one has its turn, about.
const CHUNK: usize = 64 << 10;
/// How long the server may take to take a chunk, or to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Octets of replies that are read at a time.
const REPLIES: usize = 512;
const SEED: u64 = 7;

/// What every session sends: a signed header block, and then the same lines again and again.
pub(super) struct Message {
    /// The header block and the first lines.
    first: Vec<u8>,
    lines: Vec<u8>,
    chunks: usize,
}

impl Message {
    /// One of about so many octets, signed with RSA.
    pub(super) fn signed(author: &Author, octets: usize) -> Fallible<Self> {
        let lines = lines(&mut Dice::new(SEED), CHUNK);
        let chunks = (octets / lines.len()).max(1);
        let header = header(super::AUTHOR, 0);
        let hash = body_hash(std::iter::repeat_n(&lines[..], chunks))?;
        let signature = author.sign(&[RSA], &header, &hash)?;
        Ok(Self { first: [signature.as_bytes(), header.as_bytes(), &lines].concat(), lines, chunks })
    }

    /// Of all of it.
    pub(super) fn octets(&self) -> u64 {
        (self.first.len() + (self.chunks - 1) * self.lines.len()) as u64
    }

    /// How many pieces it is sent in.
    pub(super) fn chunks(&self) -> usize {
        self.chunks
    }

    /// One of them.
    pub(super) fn chunk(&self, number: usize) -> &[u8] {
        if number == 0 { &self.first } else { &self.lines }
    }
}

/// Sessions that all have a message under way.
pub(super) struct Crowd {
    sessions: Vec<BufReader<TcpStream>>,
}

impl Crowd {
    /// Opens so many sessions as far as the `354`; an error where one is refused.
    pub(super) fn begin(to: SocketAddr, from: &str, recipients: &[String], count: usize) -> Fallible<Self> {
        let open = |recipient: &String| -> Fallible<BufReader<TcpStream>> {
            let stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut session = BufReader::with_capacity(REPLIES, stream);
            expect(&mut session, "220")?;
            for (command, code) in [
                ("EHLO large.test".to_owned(), "250"),
                (format!("MAIL FROM:<{from}>"), "250"),
                (format!("RCPT TO:<{recipient}>"), "250"),
                ("DATA".to_owned(), "354"),
            ] {
                session.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
                expect(&mut session, code).map_err(|error| format!("{command}: {error}"))?;
            }
            Ok(session)
        };
        let sessions = recipients.iter().cycle().take(count).map(open).collect::<Fallible<_>>()?;
        Ok(Self { sessions })
    }

    /// Each session sends this, one after the other.
    pub(super) fn send(&mut self, octets: &[u8]) -> Fallible<()> {
        for session in &mut self.sessions {
            session.get_mut().write_all(octets)?;
        }
        Ok(())
    }

    /// Ends all messages, and gives how many were answered how: by `250`, or by other replies as they came.
    pub(super) fn end(mut self) -> Fallible<BTreeMap<String, u64>> {
        self.send(b".\r\n")?;
        let mut answers = BTreeMap::new();
        for session in &mut self.sessions {
            let reply = reply(session)?;
            let answer = if reply.starts_with("250 ") { "250" } else { reply.trim_end() };
            *answers.entry(answer.to_owned()).or_default() += 1;
        }
        Ok(answers)
    }
}

fn expect(session: &mut BufReader<TcpStream>, code: &str) -> Fallible<()> {
    let reply = reply(session)?;
    if reply.starts_with(code) { Ok(()) } else { Err(reply.into()) }
}

/// The last line of the next reply (RFC 5321 §4.2.1).
fn reply(session: &mut BufReader<TcpStream>) -> Fallible<String> {
    loop {
        let mut line = String::new();
        if session.read_line(&mut line)? == 0 {
            return Err("the server has closed the session".into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use fulmar_core::authn::dkim::{BodyHasher, body_methods, verify};
    use fulmar_core::model::verdict::DkimResult;
    use fulmar_core::platform::Clock;
    use fulmar_runtime_smol::SmolClock;

    use super::*;

    #[test]
    fn a_message_is_as_large_as_it_should_be_and_its_signature_holds() {
        let author = Author::new().unwrap();
        let message = Message::signed(&author, 1_000_000).unwrap();
        let sent = (0..message.chunks()).map(|number| message.chunk(number)).collect::<Vec<_>>().concat();
        assert_eq!(sent.len() as u64, message.octets());
        assert!(sent.len().abs_diff(1_000_000) < 2 * CHUNK, "{}", sent.len());
        assert!(sent.ends_with(b"\r\n") && !sent.windows(3).any(|part| part == b"\r\n."));
        let (header, body) = sent.split_at(sent.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4);
        let mut hasher = BodyHasher::new(body_methods(header));
        hasher.push(body);
        let zone = author.zone().unwrap();
        let report = smol::block_on(verify(header, &hasher.finish(), &zone, SmolClock.utc()));
        let results: Vec<_> = report.signatures.iter().map(|signature| signature.result).collect();
        assert_eq!(results, [DkimResult::Pass]);
    }
}
