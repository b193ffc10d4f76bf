//! Transcripts of SMTP.

use std::collections::BTreeMap;

use fulmar_core::config::SmtpLimits;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::smtp::server::{Session, Step};

use super::{CHUNKS, Dialogue, Machine, Script, octets, scripts};

/// One session of a file.
#[derive(Debug, Default)]
struct Transcript {
    limits: SmtpLimits,
    /// What the handler refuses: `mail a@x.test`, `recipient b@x.test`, `data`, `content`; or says at `end`.
    answers: BTreeMap<String, Reply>,
    dialogue: Dialogue,
    /// Content that must come out of it.
    kept: Vec<u8>,
}

/// A driven session, and what it has done.
struct Driven<'a> {
    transcript: &'a Transcript,
    session: Session,
    content: Vec<u8>,
    kept: Vec<u8>,
    closing: Option<String>,
}

#[test]
fn smtp_sessions_go_as_written_down() {
    let scripts = scripts("smtp");
    for script in &scripts {
        let transcript = parse(script);
        for chunk in CHUNKS {
            check(&transcript, chunk, &script.place);
        }
    }
    assert!(scripts.len() > 50, "only {} sessions were found", scripts.len());
}

fn check(transcript: &Transcript, chunk: usize, place: &str) {
    let session = Session::new(Domain::parse("mx.test").unwrap(), transcript.limits.clone());
    let (content, kept) = (Vec::new(), Vec::new());
    let mut driven = Driven { transcript, session, content, kept, closing: None };
    transcript.dialogue.play(&mut driven, chunk, place);
    let kept = [&driven.kept, &transcript.kept].map(|octets| String::from_utf8_lossy(octets));
    assert_eq!(kept[0], kept[1], "{place}, in chunks of {chunk}: content");
    assert_eq!(driven.closing, transcript.dialogue.closing, "{place}, in chunks of {chunk}: end");
}

impl Machine for Driven<'_> {
    fn step(&mut self, input: &mut &[u8]) -> bool {
        let Self { transcript, session, .. } = self;
        let answer = |question: String| transcript.answers.get(&question).cloned().map_or(Ok(()), Err);
        match session.advance(input) {
            Step::Idle => return false,
            Step::Send => panic!("no transcript has so many replies"),
            Step::Mail(mail) => session.answer(answer(format!("mail {}", mail.reverse_path))),
            Step::Recipient(forward_path) => session.answer(answer(format!("recipient {forward_path}"))),
            Step::Data => session.answer(answer("data".to_owned())),
            Step::Content(octets) => {
                self.content.extend_from_slice(octets);
                session.answer(answer("content".to_owned()));
            }
            Step::EndOfContent => {
                self.kept.append(&mut self.content);
                let reply = transcript.answers.get("end").cloned();
                session.conclude(reply.unwrap_or_else(|| Reply::new(250, (2, 0, 0), "ID queued")));
            }
            Step::Reset => self.content.clear(),
            Step::Refused { .. } => {}
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
        match kind.as_str() {
            "K" => transcript.kept.extend([&octets(rest)[..], b"\r\n"].concat()),
            "H" => transcript.set(rest),
            kind => assert!(transcript.dialogue.take(kind, rest), "unknown kind of line: {kind}"),
        }
    }
    transcript
}

impl Transcript {
    /// A setting: `after EHLO`, `after DATA`, `limit NAME NUMBER`, or an answer of the handler.
    fn set(&mut self, setting: &str) {
        match setting.split_once(' ') {
            Some(("after", place)) => self.begin(place),
            Some(("limit", limit)) => {
                let (name, number) = limit.split_once(' ').unwrap();
                let number: usize = number.parse().unwrap();
                match name {
                    "command_line" => self.limits.command_line = number,
                    "content_line" => self.limits.content_line = number,
                    "message_size" => self.limits.message_size = number as u64,
                    "recipients" => self.limits.recipients = number,
                    "errors" => self.limits.errors = number,
                    "refused_content" => self.limits.refused_content = number as u64,
                    "fruitless_commands" => self.limits.fruitless_commands = number,
                    _ => panic!("unknown limit: {name}"),
                }
            }
            Some((question @ ("mail" | "recipient"), rest)) => {
                let (path, reply) = rest.split_once(' ').unwrap();
                self.answers.insert(format!("{question} {path}"), parse_reply(reply));
            }
            Some((question @ ("data" | "content" | "end"), reply)) => {
                self.answers.insert(question.to_owned(), parse_reply(reply));
            }
            _ => panic!("unknown setting: {setting}"),
        }
    }

    /// The usual beginning, for sessions in which something else is of interest.
    fn begin(&mut self, place: &str) {
        let ehlo = ["220", "250-mx.test", "250-", "250-", "250-", "250-", "250"];
        self.dialogue.exchange("EHLO client.test\r\n", &ehlo);
        if place == "DATA" {
            let group = "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n";
            self.dialogue.exchange(group, &["250 2.1.0", "250 2.1.5", "354"]);
        }
    }
}

/// `550 5.1.1 text`
fn parse_reply(text: &str) -> Reply {
    let mut words = text.splitn(3, ' ');
    let code = words.next().unwrap().parse().unwrap();
    let status: Vec<u16> = words.next().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    let class = u8::try_from(status[0]).unwrap();
    Reply::new(code, (class, status[1], status[2]), words.next().unwrap().to_owned())
}
