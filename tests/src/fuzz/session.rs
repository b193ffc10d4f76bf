//! Whole SMTP and LMTP sessions.

mod watch;

use fulmar_core::config::SmtpLimits;
use fulmar_core::model::reply::REPLY_LINE_LIMIT;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::smtp::server::{Offers, Service, Session, Step};

use self::watch::Watch;
use super::{Cut, pieces};

/// What ends a burst: the client waits for the replies to all that it has said. No text in UTF-8 has this octet.
const BURST_END: u8 = 0xff;
/// Flags: the service in the lowest two bits, then what is different.
const SERVICE: u8 = 3;
const MENDS: u8 = 4;
const NEEDS_TLS: u8 = 8;
const NEEDS_AUTH: u8 = 16;
const REFUSES_CONTENT: u8 = 32;
const HAS_WIDE_LIMITS: u8 = 64;
const REFUSES_MESSAGES: u8 = 128;
/// What the handler refuses content for, where it does.
const REFUSED: u8 = b'!';

/// A session in bursts, with everything on offer. However the bursts are cut, the same is seen; what goes out is whole replies; and the steps
/// keep the order that [`Watch`] knows.
pub fn session(octets: &[u8]) {
    let Some(input) = Cut::read(octets) else { return };
    let whole = drive(input, false);
    let cut = drive(input, true);
    // How much of a message has been seen when the handler refuses it depends on how it comes.
    if input.flags & REFUSES_CONTENT == 0 {
        assert_eq!(cut, whole, "cut");
    }
}

/// What was seen of a session: replies, and steps. Of content, only what was kept.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    output: String,
    steps: Vec<String>,
}

struct Driver {
    flags: u8,
    session: Session,
    watch: Watch,
    output: Vec<u8>,
    steps: Vec<String>,
}

fn drive(input: Cut<'_>, is_cut: bool) -> Seen {
    let mut driver = Driver::new(input.flags);
    let mut lengths = input.lengths();
    for burst in input.octets.split(|octet| *octet == BURST_END) {
        let whole = [burst.len().max(1)];
        let lengths: &mut dyn Iterator<Item = usize> =
            if is_cut { &mut lengths } else { &mut whole.into_iter() };
        for mut piece in pieces(burst, lengths) {
            // An empty input would say that nothing more has come.
            while !piece.is_empty() && driver.step(&mut piece) {}
        }
        while driver.step(&mut &b""[..]) {}
        driver.send();
    }
    driver.watch.end(&driver.session);
    let output = String::from_utf8(driver.output).expect("replies are ASCII");
    check_replies(&output);
    Seen { output, steps: driver.steps }
}

impl Driver {
    fn new(flags: u8) -> Self {
        let limits = match flags & HAS_WIDE_LIMITS {
            0 => SmtpLimits {
                command_line: 80,
                content_line: 40,
                message_size: 200,
                errors: 8,
                recipients: 2,
                fruitless_commands: 30,
                ..SmtpLimits::default()
            },
            _ => SmtpLimits::default(),
        };
        // How far refused content is read depends on how it comes.
        let limits = SmtpLimits { refused_content: u64::MAX, ..limits };
        let service = match flags & SERVICE {
            1 => Service::Submission,
            2 => Service::Lmtp,
            _ => Service::Transfer,
        };
        let offers = offers(flags, false);
        let hostname = Domain::parse("mx.test").expect("a domain");
        let mut session = Session::serving(service, hostname, None, limits.clone(), offers.clone());
        if flags & MENDS != 0 {
            session.normalize();
        }
        let watch = Watch::new(limits, offers);
        Self { flags, session, watch, output: Vec::new(), steps: Vec::new() }
    }

    /// One step; false where the session is idle or over.
    fn step(&mut self, input: &mut &[u8]) -> bool {
        let Self { flags, session, watch, .. } = self;
        let has = |flag: u8| *flags & flag != 0;
        let step = session.advance(input);
        match &step {
            Step::Idle => return false,
            Step::Send => {
                self.send();
                return true;
            }
            Step::Content(octets) => {
                let is_refused = has(REFUSES_CONTENT) && octets.contains(&REFUSED);
                watch.content(octets);
                session.answer(if is_refused { Err(refusal(554)) } else { Ok(()) });
                return true;
            }
            Step::Closed(_) => {
                let is_known = watch.closed();
                if !is_known {
                    self.steps.push(format!("{step:?}"));
                }
                return false;
            }
            Step::Hello(name) => session.answer(watch.hello(name, verdict(name))),
            Step::Mail(mail) => session.answer(watch.mail(mail, verdict(&mail.reverse_path.to_string()))),
            Step::Recipient(forward_path, _) => {
                session.answer(watch.recipient(verdict(&forward_path.to_string())));
            }
            Step::Data => session.answer(watch.data(has(REFUSES_CONTENT))),
            Step::EndOfContent => {
                let reply =
                    if has(REFUSES_MESSAGES) { refusal(452) } else { Reply::new(250, (2, 0, 0), "queued") };
                self.steps.push(format!("kept {}", watch.end_of_content(&reply).escape_ascii()));
                session.conclude(reply);
            }
            Step::Reset => watch.reset(),
            Step::Tls => session.answer(Ok(())),
            Step::StartTls => {
                watch.restart(offers(*flags, true));
                session.restart(offers(*flags, true));
            }
            Step::Auth(_, None) => {
                watch.auth();
                session.challenge(&[b'?'; 400]);
            }
            Step::Auth(_, Some(response)) | Step::AuthResponse(response) => {
                watch.auth();
                match &response[..] {
                    b"me" => session.authenticate(Ok(watch.known())),
                    b"" => session.challenge(b""),
                    _ => session.authenticate(Err(refusal(535))),
                }
            }
            Step::Query(_) => session.tell(Reply::new(252, (2, 1, 5), "perhaps")),
            Step::Xclient(attributes) if attributes[0].value.is_some() => {
                watch.restart(offers(*flags, watch.is_encrypted()));
                session.restart(offers(*flags, watch.is_encrypted()));
            }
            Step::Xclient(_) => session.tell(refusal(501)),
            Step::AuthCancelled | Step::Refused { .. } => {}
        }
        self.steps.push(format!("{step:?}"));
        true
    }

    /// What goes out at once is whole lines.
    fn send(&mut self) {
        let octets = self.session.take_output();
        assert!(octets.is_empty() || octets.ends_with(b"\r\n"), "{}", octets.escape_ascii());
        self.output.extend_from_slice(&octets);
    }
}

fn offers(flags: u8, is_encrypted: bool) -> Offers {
    Offers {
        starttls: !is_encrypted,
        is_encrypted,
        mechanisms: vec!["SCRAM-SHA-256", "PLAIN"],
        needs_tls: flags & NEEDS_TLS != 0,
        needs_auth: flags & NEEDS_AUTH != 0,
        longest_hold: Some(60),
        expn: true,
        etrn: true,
        xclient: true,
        xforward: true,
    }
}

/// Whatever is called `no...` is refused.
fn verdict(name: &str) -> Result<(), Reply> {
    if name.starts_with("no") { Err(refusal(550)) } else { Ok(()) }
}

fn refusal(code: u16) -> Reply {
    let class = if code < 500 { 4 } else { 5 };
    Reply::new(code, (class, 7, 1), "not wanted")
}

/// Each line has a code, and of one reply all have the same; none but a challenge is longer than it may be (RFC 5321 §4.5.3.1.5).
fn check_replies(output: &str) {
    assert!(output.starts_with("220 "), "no greeting");
    let mut begun: Option<&str> = None;
    for line in output.split_terminator("\r\n") {
        assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?}");
        let (code, text) = line.split_at_checked(3).expect("a code");
        assert!(code.bytes().all(|octet| octet.is_ascii_digit()), "{line:?}");
        assert!(line.len() + 2 <= REPLY_LINE_LIMIT || code == "334", "{line:?}");
        assert!(begun.is_none_or(|begun| begun == code), "{line:?} amid a reply of {begun:?}");
        begun = match text.as_bytes() {
            [b'-', ..] => Some(code),
            [b' ', ..] => None,
            _ => panic!("{line:?}"),
        };
    }
    assert_eq!(begun, None, "the last reply has no end");
}
