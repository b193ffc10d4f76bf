//! Transcripts of SMTP.

use std::collections::{BTreeMap, VecDeque};

use fulmar_core::config::SmtpLimits;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::smtp::server::{Offers, Query, Service, Session, Step};

use super::{CHUNKS, Dialogue, Machine, Script, octets, scripts};

/// Lines between the first and the last of the reply to EHLO, whatever else is offered.
const ALWAYS_OFFERED: usize = 11;

/// One session of a file.
#[derive(Debug, Default)]
struct Transcript {
    limits: SmtpLimits,
    service: Service,
    offers: Offers,
    normalizes: bool,
    /// What the handler says to AUTH and to each response, in order.
    auth: VecDeque<Auth>,
    /// What the handler refuses: `mail a@x.test`, `recipient b@x.test`, `data`, `content`; or says at `end`, to `vrfy alice` and the like.
    answers: BTreeMap<String, Reply>,
    dialogue: Dialogue,
    /// Content that must come out of it.
    kept: Vec<u8>,
}

/// A challenge, or the end.
#[derive(Clone, Debug)]
enum Auth {
    Challenge(String),
    Done(Option<Reply>),
}

/// A driven session, and what it has done.
struct Driven<'a> {
    transcript: &'a Transcript,
    session: Session,
    auth: VecDeque<Auth>,
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
    let (hostname, limits) = (Domain::parse("mx.test").unwrap(), transcript.limits.clone());
    let mut session = Session::serving(transcript.service, hostname, None, limits, transcript.offers.clone());
    if transcript.normalizes {
        session.normalize();
    }
    let (content, kept) = (Vec::new(), Vec::new());
    let mut driven =
        Driven { transcript, session, auth: transcript.auth.clone(), content, kept, closing: None };
    transcript.dialogue.play(&mut driven, chunk, place);
    let kept = [&driven.kept, &transcript.kept].map(|octets| String::from_utf8_lossy(octets));
    assert_eq!(kept[0], kept[1], "{place}, in chunks of {chunk}: content");
    assert_eq!(driven.closing, transcript.dialogue.closing, "{place}, in chunks of {chunk}: end");
}

impl Machine for Driven<'_> {
    fn step(&mut self, input: &mut &[u8]) -> bool {
        let Self { transcript, session, auth, .. } = self;
        let answer = |question: String| transcript.answers.get(&question).cloned().map_or(Ok(()), Err);
        match session.advance(input) {
            Step::Idle => return false,
            Step::Send => panic!("no transcript has so many replies"),
            Step::Mail(mail) => session.answer(answer(format!("mail {}", mail.reverse_path))),
            Step::Recipient(forward_path, _) => session.answer(answer(format!("recipient {forward_path}"))),
            Step::Hello(name) => session.answer(answer(format!("hello {name}"))),
            Step::Data => session.answer(answer("data".to_owned())),
            Step::Tls => session.answer(Ok(())),
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
            Step::StartTls | Step::Xclient(_) => {
                let offers = transcript.offers.clone();
                session.restart(Offers { starttls: false, is_encrypted: true, ..offers });
            }
            Step::Auth(..) | Step::AuthResponse(_) => match auth.pop_front() {
                Some(Auth::Challenge(text)) => session.challenge(text.as_bytes()),
                Some(Auth::Done(None)) => session.authenticate(Ok(transcript.offers.clone())),
                Some(Auth::Done(Some(reply))) => session.authenticate(Err(reply)),
                None => panic!("nothing is written down for AUTH"),
            },
            Step::AuthCancelled => {}
            Step::Query(query) => {
                let question = match query {
                    Query::Vrfy(text, _) => format!("vrfy {text}"),
                    Query::Expn(text, _) => format!("expn {text}"),
                    Query::Etrn(node) => format!("etrn {node}"),
                    Query::Xforward(_) => "xforward".to_owned(),
                };
                let reply = transcript.answers.get(&question).cloned();
                session.tell(reply.unwrap_or_else(|| Reply::new(252, (2, 1, 5), "perhaps")));
            }
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
            Some(("service", "lmtp")) => self.service = Service::Lmtp,
            Some(("service", "submission")) => self.service = Service::Submission,
            Some(("offer", offer)) => self.offer(offer),
            Some(("auth", "ok")) => self.auth.push_back(Auth::Done(None)),
            Some(("auth", rest)) => self.auth.push_back(match rest.strip_prefix("challenge ") {
                Some(text) => Auth::Challenge(text.to_owned()),
                None => Auth::Done(Some(parse_reply(rest))),
            }),
            Some(("mend", "newlines")) => self.normalizes = true,
            Some((question @ ("mail" | "recipient" | "hello" | "vrfy" | "expn" | "etrn"), rest)) => {
                let (path, reply) = rest.split_once(' ').unwrap();
                self.answers.insert(format!("{question} {path}"), parse_reply(reply));
            }
            Some((question @ ("data" | "content" | "end" | "xforward"), reply)) => {
                self.answers.insert(question.to_owned(), parse_reply(reply));
            }
            _ => panic!("unknown setting: {setting}"),
        }
    }

    /// `starttls`, `encrypted`, `auth PLAIN LOGIN` and so on.
    fn offer(&mut self, offer: &str) {
        let offers = &mut self.offers;
        match offer.split_once(' ').unwrap_or((offer, "")) {
            ("starttls", "") => offers.starttls = true,
            ("encrypted", "") => offers.is_encrypted = true,
            ("needs_tls", "") => offers.needs_tls = true,
            ("needs_auth", "") => offers.needs_auth = true,
            ("expn", "") => offers.expn = true,
            ("etrn", "") => offers.etrn = true,
            ("xclient", "") => offers.xclient = true,
            ("xforward", "") => offers.xforward = true,
            ("hold", seconds) => offers.longest_hold = Some(seconds.parse().unwrap()),
            ("auth", names) => {
                let known = ["PLAIN", "LOGIN", "SCRAM-SHA-256"];
                offers.mechanisms = known.into_iter().filter(|name| names.contains(name)).collect();
            }
            _ => panic!("unknown offer: {offer}"),
        }
    }

    /// The usual beginning, for sessions in which something else is of interest.
    fn begin(&mut self, place: &str) {
        let Offers {
            starttls, is_encrypted, mechanisms, longest_hold, expn, etrn, xclient, xforward, ..
        } = &self.offers;
        let more = [*starttls, *is_encrypted, !mechanisms.is_empty(), longest_hold.is_some(), *expn];
        let more = more.iter().chain([etrn, xclient, xforward]).filter(|is_offered| **is_offered).count();
        let lines = ["250-"].repeat(ALWAYS_OFFERED + more);
        let reply: Vec<&str> = ["220", "250-mx.test"].into_iter().chain(lines).chain(["250 HELP"]).collect();
        let hello = if self.service == Service::Lmtp { "LHLO" } else { "EHLO" };
        self.dialogue.exchange(&format!("{hello} client.test\r\n"), &reply);
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
