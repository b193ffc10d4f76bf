//! Transcripts of SMTP, seen from our client.

use fulmar_core::model::options::{DeliverBy, Notify, OriginalRecipient, Ret};
use fulmar_core::model::{Address, BodyType, Domain, MailOptions, RecipientOptions, ReversePath, UtcTime};
use fulmar_core::smtp::client::{Closing, Envelope, Recipient, RecipientOutcome, Session, StartTls, Step};

use super::{CHUNKS, Script, scripts};

/// What every message holds.
const CONTENT: &[u8] = b"text\r\n";

/// One session of a file.
#[derive(Debug, Default)]
struct Transcript {
    in_the_clear: bool,
    messages: Vec<Envelope>,
    /// What the server says at once, and what it must then get. The connection is lost where it says nothing.
    exchanges: Vec<(Option<String>, Vec<String>)>,
    /// What must become of the recipients, in this order.
    outcomes: Vec<String>,
    closing: String,
}

/// What a driven session has done.
#[derive(Debug, Default)]
struct Outcome {
    begun: usize,
    sent: String,
    outcomes: Vec<String>,
    closing: Option<Closing>,
}

#[test]
fn clients_go_as_written_down() {
    let scripts = scripts("smtp-client");
    for script in &scripts {
        let transcript = parse(script);
        for chunk in CHUNKS {
            check(&transcript, chunk, &script.place);
        }
    }
    assert!(scripts.len() > 25, "only {} sessions were found", scripts.len());
}

fn check(transcript: &Transcript, chunk: usize, place: &str) {
    let place = format!("{place}, in chunks of {chunk}");
    let start_tls = if transcript.in_the_clear { StartTls::Never } else { StartTls::IfOffered };
    let mut session = Session::new(Domain::parse("client.test").unwrap(), start_tls);
    let mut outcome = Outcome::default();
    for (said, expected) in &transcript.exchanges {
        match said {
            Some(said) => {
                for mut piece in said.as_bytes().chunks(chunk.min(said.len())) {
                    while !piece.is_empty() && step(transcript, &mut session, &mut piece, &mut outcome) {}
                }
            }
            None => session.abandon(Closing::Lost),
        }
        while step(transcript, &mut session, &mut &b""[..], &mut outcome) {}
        let sent = std::mem::take(&mut outcome.sent);
        let sent: Vec<&str> = sent.split_terminator("\r\n").collect();
        assert_eq!(&sent, expected, "{place}\nafter {said:?}");
    }
    assert_eq!(outcome.outcomes, transcript.outcomes, "{place}: outcomes");
    let closing = outcome.closing.map(|closing| closing.to_string()).unwrap_or_default();
    assert_eq!(closing, transcript.closing, "{place}: end");
}

/// One step; false where it is for the server to speak, or the session is over. What is for the driver to do is done when
/// all that the server said has been handed in.
fn step(transcript: &Transcript, session: &mut Session, input: &mut &[u8], outcome: &mut Outcome) -> bool {
    let is_amid_input = !input.is_empty();
    let step = session.advance(input);
    outcome.sent += str::from_utf8(&session.take_output()).unwrap();
    match step {
        Step::Settled { recipients, outcome: settled } => {
            let settled = shown(&settled);
            outcome.outcomes.extend(recipients.iter().map(|recipient| format!("{recipient} {settled}")));
        }
        Step::Closed(closing) => {
            outcome.closing = Some(closing);
            return false;
        }
        Step::Idle => return false,
        _ if is_amid_input => {}
        Step::StartTls => {
            outcome.sent += "[TLS]\r\n";
            session.tls_started();
        }
        Step::Ready => match transcript.messages.get(outcome.begun) {
            Some(envelope) => {
                outcome.begun += 1;
                session.begin(envelope.clone()).unwrap();
            }
            None => session.quit(),
        },
        Step::NeedContent => {
            session.content(CONTENT);
            session.end_content();
        }
    }
    true
}

/// `FinalDot 250 2.0.0 ok`, or the name of what happened.
fn shown(outcome: &RecipientOutcome) -> String {
    match outcome {
        RecipientOutcome::Replied { phase, reply } => format!("{phase:?} {reply}"),
        outcome => format!("{outcome:?}"),
    }
}

fn parse(script: &Script) -> Transcript {
    let mut transcript = Transcript::default();
    for (kind, rest) in &script.lines {
        match kind.as_str() {
            "S" => transcript.hear(rest),
            "L" => transcript.exchanges.push((None, Vec::new())),
            "C" => transcript.exchanges.last_mut().expect("the server speaks first").1.push(rest.clone()),
            "O" => transcript.outcomes.push(rest.clone()),
            "E" => transcript.closing.clone_from(rest),
            "H" => transcript.set(rest),
            _ => panic!("unknown kind of line: {kind}"),
        }
    }
    transcript
}

impl Transcript {
    /// Lines that the server says in a row come at once.
    fn hear(&mut self, line: &str) {
        match self.exchanges.last_mut() {
            Some((Some(said), sent)) if sent.is_empty() => *said += &format!("{line}\r\n"),
            _ => self.exchanges.push((Some(format!("{line}\r\n")), Vec::new())),
        }
    }

    /// A setting: `clear`, `after EHLO EXTENSION,...`, or `message [OPTION ...] REVERSE-PATH FORWARD-PATH ...`.
    fn set(&mut self, setting: &str) {
        match setting.split_once(' ') {
            None if setting == "clear" => self.in_the_clear = true,
            Some(("after", place)) => {
                self.hear("220 mx.test");
                self.exchanges.last_mut().unwrap().1.push("EHLO client.test".to_owned());
                self.hear("250-mx.test");
                for extension in place.strip_prefix("EHLO").unwrap().trim().split_terminator(',') {
                    self.hear(&format!("250-{extension}"));
                }
                self.hear("250 HELP");
            }
            Some(("message", message)) => self.messages.push(parse_envelope(message)),
            _ => panic!("unknown setting: {setting}"),
        }
    }
}

/// `OPTION` is one of those of [`set_option`], for the message or all its recipients.
fn parse_envelope(text: &str) -> Envelope {
    let (mut options, mut of_recipients) = (MailOptions::default(), RecipientOptions::default());
    let mut words = text.split(' ').peekable();
    while words.next_if(|word| set_option(word, &mut options, &mut of_recipients)).is_some() {}
    let reverse_path = words.next().map(|path| if path == "<>" { "" } else { path });
    let to = |path| Recipient { address: Address::parse_utf8(path).unwrap(), options: of_recipients.clone() };
    Envelope {
        reverse_path: ReversePath::try_from(reverse_path.unwrap().to_owned()).unwrap(),
        recipients: words.map(to).collect(),
        size: CONTENT.len() as u64,
        options,
        now: UtcTime(0),
    }
}

/// Whether a word is an option.
fn set_option(word: &str, options: &mut MailOptions, of_recipients: &mut RecipientOptions) -> bool {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    match name {
        "8bit" => options.body = BodyType::EightBitMime,
        "binary" => options.body = BodyType::BinaryMime,
        "utf8" => options.smtputf8 = true,
        "tls" => options.require_tls = true,
        "full" => options.ret = Some(Ret::Full),
        "hdrs" => options.ret = Some(Ret::Headers),
        "envid" => options.envid = Some(value.to_owned()),
        "priority" => options.priority = value.parse().unwrap(),
        // Seconds, and `R` for those who want the message back.
        "by" => {
            let at = UtcTime(value.trim_end_matches('R').parse::<u64>().unwrap() * 1_000);
            options.deliver_by = Some(DeliverBy { at, is_return: value.ends_with('R'), is_traced: false });
        }
        "notify" => {
            let [success, failure, delay] = ["S", "F", "D"].map(|letter| value.contains(letter));
            of_recipients.notify = Some(Notify { success, failure, delay });
        }
        "orcpt" => {
            let (kind, address) = value.split_once(';').unwrap();
            of_recipients.original =
                Some(OriginalRecipient { kind: kind.to_owned(), address: address.to_owned() });
        }
        _ => return false,
    }
    true
}
