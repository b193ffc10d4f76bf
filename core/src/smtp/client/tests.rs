//! What transcripts in `tests/transcripts/smtp-client` cannot show: sessions that are cut, content refused amid it, bounds, and
//! that no input and no cut of it does harm.

mod pair;

use proptest::prelude::*;

use super::{
    Closing, Envelope, OCTETS_IN_FLIGHT, Phase, Recipient, RecipientOutcome, Session, StartTls, Step,
};
use crate::model::{Address, Domain, MailOptions, RecipientOptions, ReversePath, UtcTime};

fn session() -> Session {
    Session::new(Domain::parse("client.test").unwrap(), StartTls::IfOffered)
}

fn envelope(forward_paths: &[String]) -> Envelope {
    Envelope {
        reverse_path: ReversePath::try_from("a@x.test".to_owned()).unwrap(),
        recipients: forward_paths.iter().map(|path| to(path)).collect(),
        size: 9,
        options: MailOptions::default(),
        now: UtcTime(0),
    }
}

fn to(path: &str) -> Recipient {
    Recipient { address: Address::parse(path).unwrap(), options: RecipientOptions::default() }
}

fn recipients(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}@y.test")).collect()
}

/// Drives a session whose server is written down, and collects what it did.
struct Driver {
    session: Session,
    /// To be sent, one after the other; then QUIT.
    messages: Vec<(Envelope, Vec<u8>)>,
    /// How many of them were begun.
    begun: usize,
    /// What the server got, `[TLS]` standing for a handshake.
    sent: String,
    /// What became of the recipients of all messages, in order.
    outcomes: Vec<(usize, String)>,
    closing: Option<Closing>,
}

impl Driver {
    fn new(messages: &[(Envelope, Vec<u8>)]) -> Self {
        Self {
            session: session(),
            messages: messages.to_vec(),
            begun: 0,
            sent: String::new(),
            outcomes: Vec::new(),
            closing: None,
        }
    }

    /// Hands in what the server says, cut into chunks, and does what is then to be done until the server is to speak again.
    fn hear(&mut self, burst: &[u8], cuts: &[usize]) {
        let mut from = 0;
        for to in cuts.iter().copied().chain([burst.len()]) {
            let mut chunk = &burst[from..to.max(from)];
            from = to.max(from);
            while !chunk.is_empty() && self.closing.is_none() {
                self.step(&mut chunk);
            }
        }
        while self.step(&mut &b""[..]) && self.closing.is_none() {}
    }

    /// One step; false where it is for the server to speak. What is for the driver to do waits for the end of the burst.
    fn step(&mut self, input: &mut &[u8]) -> bool {
        let is_amid_burst = !input.is_empty();
        let step = self.session.advance(input);
        self.sent += &String::from_utf8_lossy(&self.session.take_output());
        match step {
            Step::Idle => return false,
            Step::Settled { recipients, outcome } => {
                self.outcomes.extend(recipients.into_iter().map(|recipient| (recipient, shown(&outcome))));
            }
            Step::Closed(closing) => self.closing = Some(closing),
            _ if is_amid_burst => {}
            Step::StartTls => {
                self.sent += "[TLS]\r\n";
                self.session.tls_started();
            }
            Step::Ready => match self.messages.get(self.begun) {
                Some((envelope, _)) => {
                    self.begun += 1;
                    self.session.begin(envelope.clone()).unwrap();
                }
                None => self.session.quit(),
            },
            Step::NeedContent => {
                self.session.content(&self.messages[self.begun - 1].1);
                self.session.end_content();
            }
        }
        true
    }
}

fn shown(outcome: &RecipientOutcome) -> String {
    match outcome {
        RecipientOutcome::Replied { phase, reply } => format!("{phase:?} {}", reply.code),
        outcome => format!("{outcome:?}"),
    }
}

/// What the server says to one message for three recipients, the second of which it refuses, and what is then awaited.
const REPLIES: [(&str, Phase); 9] = [
    ("220 mx.test\r\n", Phase::Hello),
    ("250-mx.test\r\n250 SIZE\r\n", Phase::Mail),
    ("250 reverse-path\r\n", Phase::Recipient),
    ("250 first\r\n", Phase::Recipient),
    ("550 second\r\n", Phase::Recipient),
    ("250 third\r\n", Phase::Data),
    ("354 go ahead\r\n", Phase::FinalDot),
    ("250 queued\r\n", Phase::Quit),
    ("221 bye\r\n", Phase::Quit),
];

/// Ends a session after each of [`REPLIES`], with pipelining and without, and checks that each recipient is settled once:
/// as answered, or else as `unsettled` says for the number of replies and what was awaited.
fn check_ending(
    mut end: impl FnMut(&mut Driver),
    unsettled: impl Fn(Phase) -> &'static str,
    closes: impl Fn(&Closing) -> bool,
) {
    for extension in ["SIZE", "PIPELINING"] {
        for heard in 0..REPLIES.len() {
            let mut driver = Driver::new(&[(envelope(&recipients(3)), b"text\r\n".to_vec())]);
            for (reply, awaited) in &REPLIES[..heard] {
                driver.hear(reply.replace("SIZE", extension).as_bytes(), &[]);
                assert_eq!(driver.session.phase(), *awaited);
            }
            let phase = driver.session.phase();
            end(&mut driver);
            driver.hear(b"", &[]);
            let place = format!("after {heard} replies, {extension}");
            let closing = driver.closing.unwrap_or_else(|| panic!("{place}: open"));
            let is_over = phase == Phase::Quit;
            assert!(if is_over { closing == Closing::Quit } else { closes(&closing) }, "{place}: {closing}");
            let mut expected = Vec::new();
            if heard >= 2 {
                let rest = if is_over { "FinalDot 250" } else { unsettled(phase) };
                let second = if heard >= 5 { "Recipient 550" } else { rest };
                expected = vec![(0, rest.to_owned()), (1, second.to_owned()), (2, rest.to_owned())];
            }
            driver.outcomes.sort();
            assert_eq!(driver.outcomes, expected, "{place}");
        }
    }
}

#[test]
fn a_session_that_is_lost_or_late_tells_what_surely_was_not_delivered_from_what_may_have_been() {
    let unsettled = |phase| if phase == Phase::FinalDot { "CutAfterDot" } else { "CutBeforeDot" };
    for reason in [Closing::Lost, Closing::TimedOut, Closing::Abandoned] {
        check_ending(
            |driver| driver.session.abandon(reason.clone()),
            unsettled,
            |closing| *closing == reason,
        );
    }
    // Cut amid a reply.
    let lose_amid_reply = |driver: &mut Driver| {
        driver.hear(b"250-half", &[]);
        driver.session.abandon(Closing::Lost);
    };
    check_ending(lose_amid_reply, unsettled, |closing| *closing == Closing::Lost);
}

#[test]
fn garbage_in_place_of_any_reply_ends_the_session_as_if_it_had_been_lost() {
    let unsettled = |phase| if phase == Phase::FinalDot { "CutAfterDot" } else { "CutBeforeDot" };
    let is_protocol = |closing: &Closing| matches!(closing, Closing::Protocol { .. });
    for garbage in ["\r\n", "what?\r\n", "250 ok\n", "250-a\r\n550 b\r\n", "399 neither\r\n"] {
        // The last one would do for DATA.
        let garbage = |driver: &mut Driver| match driver.session.phase() {
            Phase::Data => driver.hear(b"250 go ahead\r\n", &[]),
            _ => driver.hear(garbage.as_bytes(), &[]),
        };
        check_ending(garbage, unsettled, is_protocol);
    }
}

#[test]
fn a_421_answers_all_that_was_not_answered_before() {
    let unsettled = |phase| match phase {
        Phase::Mail => "Mail 421",
        Phase::Recipient => "Recipient 421",
        Phase::Data => "Data 421",
        _ => "FinalDot 421",
    };
    let is_refused =
        |closing: &Closing| matches!(closing, Closing::Refused { reply, .. } if reply.code == 421);
    check_ending(|driver| driver.hear(b"421 4.3.2 shutting down\r\n", &[]), unsettled, is_refused);
}

/// A session whose server has just invited content for two recipients.
fn awaiting_content() -> Session {
    let mut session = session();
    for burst in ["220 x\r\n", "250 x\r\n"] {
        session.advance(&mut burst.as_bytes());
    }
    session.begin(envelope(&recipients(2))).unwrap();
    assert_eq!(session.advance(&mut &b"250 x\r\n250 x\r\n250 x\r\n354 x\r\n"[..]), Step::NeedContent);
    session
}

#[test]
fn a_refusal_amid_content_is_the_answer_and_no_dot_is_sent() {
    for (reply, outcome) in [
        ("552 5.3.4 too big\r\n", "Content 552"),
        ("421 4.3.2 shutting down\r\n", "Content 421"),
        ("250 already\r\n", "CutBeforeDot"),
    ] {
        let mut session = awaiting_content();
        session.content(b"text\r\n");
        let Step::Settled { recipients, outcome: got } = session.advance(&mut reply.as_bytes()) else {
            panic!("{reply}: not settled");
        };
        assert_eq!((recipients, shown(&got).as_str()), (vec![0, 1], outcome));
        session.content(b"more");
        session.end_content();
        assert!(matches!(session.advance(&mut &b""[..]), Step::Closed(_)));
        assert!(String::from_utf8(session.take_output()).unwrap().ends_with("DATA\r\ntext\r\n"));
    }
}

#[test]
fn content_with_bare_line_ends_is_never_ended() {
    for content in ["text\n.\r\n", "text\r.\r\n", "text\r"] {
        let mut session = awaiting_content();
        session.content(content.as_bytes());
        session.end_content();
        let outcome = RecipientOutcome::BareLineEnd;
        assert_eq!(session.advance(&mut &b""[..]), Step::Settled { recipients: vec![0, 1], outcome });
        assert_eq!(session.advance(&mut &b""[..]), Step::Closed(Closing::BareLineEnd));
        assert!(!session.take_output().ends_with(b".\r\n"), "{content:?}");
    }
}

#[test]
fn no_more_commands_are_in_flight_than_the_bound_and_their_order_is_kept() {
    let mut session = session();
    session.advance(&mut &b"220 x\r\n"[..]);
    session.advance(&mut &b"250-x\r\n250 PIPELINING\r\n"[..]);
    session.take_output();
    session.begin(envelope(&recipients(1_000))).unwrap();
    let (mut sent, mut answered, mut most) = (Vec::new(), 0, 0);
    while !sent.ends_with(b"DATA\r\n") || answered < sent.len() {
        sent.extend(session.take_output());
        most = most.max(sent.len() - answered);
        answered += sent[answered..].iter().position(|octet| *octet == b'\n').unwrap() + 1;
        let reply = if answered == sent.len() { "354 x\r\n" } else { "250 x\r\n" };
        session.advance(&mut reply.as_bytes());
    }
    assert!((OCTETS_IN_FLIGHT - 64..=OCTETS_IN_FLIGHT).contains(&most), "{most}");
    let sent = String::from_utf8(sent).unwrap();
    let lines = sent.lines().filter_map(|line| line.strip_prefix("RCPT TO:<")?.strip_suffix('>'));
    assert!(lines.eq(recipients(1_000)));
    assert_eq!(session.phase(), Phase::Content);
}

#[test]
fn a_transaction_is_begun_only_where_the_session_is_ready() {
    let mut session = session();
    let envelope = envelope(&recipients(1));
    assert_eq!(session.begin(envelope.clone()), Err(envelope.clone()));
    session.quit();
    session.advance(&mut &b"220 x\r\n"[..]);
    assert_eq!(session.advance(&mut &b"250 x\r\n"[..]), Step::Ready);
    assert_eq!(session.take_output(), b"EHLO client.test\r\n");
    assert_eq!(session.begin(Envelope { recipients: Vec::new(), ..envelope.clone() }), Ok(()));
    assert_eq!(session.advance(&mut &b""[..]), Step::Ready);
    assert_eq!(session.begin(envelope.clone()), Ok(()));
    assert_eq!(session.begin(envelope.clone()), Err(envelope));
}

#[test]
fn what_a_server_says_unasked_between_transactions_ends_the_session() {
    for (said, expected) in [
        ("421 4.4.2 idle for too long\r\n", "refused (Ready): 421 4.4.2 idle for too long"),
        ("250 what?\r\n", "protocol error (Ready): a reply of 250 to no command"),
    ] {
        let mut session = session();
        session.advance(&mut &b"220 x\r\n"[..]);
        assert_eq!(session.advance(&mut &b"250 x\r\n"[..]), Step::Ready);
        assert_eq!(session.advance(&mut &said.as_bytes()[..5]), Step::Idle);
        let Step::Closed(closing) = session.advance(&mut &said.as_bytes()[5..]) else {
            panic!("{said}: open");
        };
        assert_eq!(closing.to_string(), expected);
    }
}

#[test]
fn a_server_is_given_the_time_that_the_standard_asks_for() {
    // RFC 5321 §4.5.3.2
    for (phase, minutes) in [
        (Phase::Greeting, 5),
        (Phase::Mail, 5),
        (Phase::Recipient, 5),
        (Phase::Data, 2),
        (Phase::Content, 3),
        (Phase::FinalDot, 10),
    ] {
        assert_eq!(phase.longest_wait().as_secs(), minutes * 60, "{phase:?}");
    }
}

/// What a server might say, right or wrong.
fn burst() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        24 => prop::sample::select(vec![
            "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "220 ready\r\n", "550 5.1.1 no\r\n", "450 no\r\n", "250-a\r\n250 b\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["421 bye\r\n", "250-a\r\n", "251 b\r\n", "25", "\r", "\n", "250 ok\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_cut_of_the_input_changes_what_is_done(
        bursts in prop::collection::vec(burst(), 1..20),
        mut cuts in prop::collection::vec(0usize..60, 0..20),
        extensions in prop::sample::subsequence(vec!["PIPELINING", "SIZE 9", "STARTTLS", "8BITMIME"], 0..4),
    ) {
        cuts.sort_unstable();
        let messages = [2, 3].map(|count| (envelope(&recipients(count)), b".text\r\n".to_vec()));
        let (mut whole, mut cut) = (Driver::new(&messages), Driver::new(&messages));
        let mut hello = "250-mx.test\r\n".to_owned();
        for extension in extensions {
            hello += &format!("250-{extension}\r\n");
        }
        hello += "250 HELP\r\n";
        for burst in [b"220 mx.test\r\n".to_vec(), hello.into_bytes()].into_iter().chain(bursts) {
            let cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut <= burst.len()).collect();
            whole.hear(&burst, &[]);
            cut.hear(&burst, &cuts);
            prop_assert_eq!((&whole.sent, &whole.outcomes, &whole.closing), (&cut.sent, &cut.outcomes, &cut.closing));
        }
        whole.session.abandon(Closing::Lost);
        whole.hear(b"", &[]);
        // Each recipient of each message that was begun is settled once.
        let mut settled: Vec<usize> = whole.outcomes.iter().map(|(recipient, _)| *recipient).collect();
        settled.sort_unstable();
        prop_assert_eq!(settled, [&[][..], &[0, 1], &[0, 0, 1, 1, 2]][whole.begun].to_vec());
    }
}
