//! Transcripts of POP3.

use bytes::Bytes;
use fulmar_core::model::Domain;
use fulmar_core::pop3::{Credentials, Denial, Entry, Maildrop, Session, Step, Unavailable};

use super::{CHUNKS, Dialogue, Machine, Script, octets, scripts};

const UID_VALIDITY: u64 = 7;
/// Octets of content in one piece.
const PIECE: usize = 7;
/// The messages of sessions that name none.
const USUAL: [(u32, &str); 2] =
    [(11, "Subject: one\r\n\r\nfirst\r\n.dot\r\nlast\r\n"), (12, "Subject: two\r\n\r\n")];

/// One session of a file.
#[derive(Debug, Default)]
struct Transcript {
    refuses_clear_text: bool,
    offers_tls: bool,
    messages: Vec<(u32, Vec<u8>)>,
    /// What cannot be had: `login`, `open`, `read` or `expunge`.
    unavailable: Vec<String>,
    dialogue: Dialogue,
    /// UIDs that must have been deleted.
    deleted: Vec<u32>,
}

/// A driven session, and what it has done.
struct Driven<'a> {
    transcript: &'a Transcript,
    session: Session,
    /// What is left of the message being read.
    content: Option<&'a [u8]>,
    deleted: Vec<u32>,
    closing: Option<String>,
}

#[test]
fn pop3_sessions_go_as_written_down() {
    let scripts = scripts("pop3");
    for script in &scripts {
        let transcript = parse(script);
        for chunk in CHUNKS {
            check(&transcript, chunk, &script.place);
        }
    }
    assert!(scripts.len() > 25, "only {} sessions were found", scripts.len());
}

fn check(transcript: &Transcript, chunk: usize, place: &str) {
    let session = Session::new(Domain::parse("mx.test").unwrap(), !transcript.refuses_clear_text);
    let session = if transcript.offers_tls { session.offering_tls() } else { session };
    let mut driven = Driven { transcript, session, content: None, deleted: Vec::new(), closing: None };
    transcript.dialogue.play(&mut driven, chunk, place);
    assert_eq!(driven.deleted, transcript.deleted, "{place}, in chunks of {chunk}: deleted");
    assert_eq!(driven.closing, transcript.dialogue.closing, "{place}, in chunks of {chunk}: end");
    assert_eq!(driven.content, None, "{place}, in chunks of {chunk}: a message was not let go");
}

impl Machine for Driven<'_> {
    fn step(&mut self, input: &mut &[u8]) -> bool {
        match self.session.advance(input) {
            Step::Idle => return false,
            Step::Send => panic!("no transcript has so many replies"),
            Step::LogIn(credentials) => self.session.answer_log_in(self.transcript.log_in(&credentials)),
            Step::Open(uid) => {
                let answer = self.transcript.have("open");
                let messages = &self.transcript.messages;
                let found = messages.iter().find(|(known, _)| answer.is_ok() && *known == uid);
                self.content = found.map(|(_, content)| &content[..]);
                self.session.answer_open(answer);
            }
            Step::Read => {
                let content = self.content.take().expect("a message is open");
                let answer = self.transcript.have("read");
                let (piece, rest) = content.split_at(content.len().min(PIECE));
                // After a failure nothing more is asked.
                self.content = answer.is_ok().then_some(rest);
                self.session
                    .answer_read(answer.map(|()| (!piece.is_empty()).then(|| Bytes::copy_from_slice(piece))));
            }
            Step::StartTls => self.session.answer_start_tls(),
            Step::Release => self.content = None,
            Step::Expunge(uids) => {
                let answer = self.transcript.have("expunge");
                if answer.is_ok() {
                    self.deleted = uids;
                }
                self.session.answer_expunge(answer);
            }
            Step::Closed(closing) => {
                self.closing = Some(closing.to_string());
                return false;
            }
        }
        true
    }

    fn take_output(&mut self) -> Vec<u8> {
        self.session.take_output()
    }
}

fn parse(script: &Script) -> Transcript {
    let mut transcript = Transcript::default();
    for (kind, rest) in &script.lines {
        match (kind.as_str(), rest.split_once(' ')) {
            ("M", _) => {
                let (_, content) = transcript.messages.last_mut().expect("a message has begun");
                content.extend([&octets(rest)[..], b"\r\n"].concat());
            }
            ("D", _) => transcript.deleted = rest.split(' ').map(|uid| uid.parse().unwrap()).collect(),
            ("H", Some(("message", uid))) => transcript.messages.push((uid.parse().unwrap(), Vec::new())),
            ("H", Some(("unavailable", what))) => transcript.unavailable.push(what.to_owned()),
            ("H", Some(("after", "login"))) => transcript
                .dialogue
                .exchange("USER u@x.test\r\nPASS secret word\r\n", &["+OK", "+OK send PASS", "+OK"]),
            ("H", None) if rest == "refuse-clear-text" => transcript.refuses_clear_text = true,
            ("H", None) if rest == "offer-tls" => transcript.offers_tls = true,
            ("H", None) if rest == "empty" => transcript.messages.clear(),
            (kind, _) => assert!(transcript.dialogue.take(kind, rest), "unknown line: {kind}: {rest}"),
        }
    }
    if transcript.messages.is_empty() && !script.lines.iter().any(|(_, rest)| rest == "empty") {
        transcript.messages = USUAL.map(|(uid, content)| (uid, content.as_bytes().to_vec())).to_vec();
    }
    transcript
}

impl Transcript {
    fn log_in(&self, Credentials { name, password }: &Credentials) -> Result<Maildrop, Denial> {
        self.have("login").map_err(|Unavailable| Denial::Unavailable)?;
        if (name.as_str(), password.as_str()) != ("u@x.test", "secret word") {
            return Err(Denial::Credentials);
        }
        let entry = |(uid, content): &(u32, Vec<u8>)| Entry { uid: *uid, octets: content.len() as u64 };
        Ok(Maildrop { uid_validity: UID_VALIDITY, messages: self.messages.iter().map(entry).collect() })
    }

    fn have(&self, what: &str) -> Result<(), Unavailable> {
        if self.unavailable.iter().any(|known| known == what) { Err(Unavailable) } else { Ok(()) }
    }
}
