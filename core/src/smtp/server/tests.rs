//! What transcripts in `tests/transcripts/smtp` cannot show: bounds, and that no input and no cut of it does harm.

use proptest::prelude::*;

use super::{Awaited, Closing, Offers, Service, Session, Step};
use crate::config::SmtpLimits;
use crate::model::{Domain, Reply};

fn session(limits: SmtpLimits) -> Session {
    Session::new(Domain::parse("mx.test").unwrap(), limits)
}

/// One that offers all that can be offered.
fn rich_session(limits: SmtpLimits, service: Service, normalizes: bool) -> Session {
    let offers = Offers {
        starttls: true,
        mechanisms: vec!["PLAIN"],
        longest_hold: Some(60),
        expn: true,
        etrn: true,
        xclient: true,
        xforward: true,
        ..Offers::default()
    };
    let mut session = Session::serving(service, Domain::parse("mx.test").unwrap(), None, limits, offers);
    if normalizes {
        session.normalize();
    }
    session
}

/// Everything that a driver saw: replies, and steps with neighbouring content put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    output: String,
    steps: Vec<String>,
}

/// Drives a session as one burst of input that is cut into chunks. Recipients `no...` and reverse-paths `no...` are refused.
fn drive(session: &mut Session, burst: &[u8], cuts: &[usize]) -> Seen {
    let mut seen = Seen::default();
    let mut content = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([burst.len()]) {
        let mut chunk = &burst[from..to.max(from)];
        from = to.max(from);
        while !chunk.is_empty() && step(session, &mut chunk, &mut content, &mut seen.steps) {}
    }
    while step(session, &mut &b""[..], &mut content, &mut seen.steps) {}
    seen.steps.dedup_by(|a, b| a == b && a.starts_with("Closed"));
    if !content.is_empty() {
        seen.steps.push(format!("content {:?}", String::from_utf8_lossy(&content)));
    }
    seen.output = String::from_utf8(session.take_output()).unwrap();
    seen
}

/// One step; false where the session is idle or over.
fn step(session: &mut Session, chunk: &mut &[u8], content: &mut Vec<u8>, steps: &mut Vec<String>) -> bool {
    let step = session.advance(chunk);
    if let Step::Content(octets) = step {
        content.extend_from_slice(octets);
        return true;
    }
    if step != Step::Idle && !content.is_empty() {
        steps.push(format!("content {:?}", String::from_utf8_lossy(&std::mem::take(content))));
    }
    let refusal = |text: String| if text.starts_with("no") { Err(no_such_user()) } else { Ok(()) };
    match &step {
        Step::Idle | Step::Send => return false,
        Step::Mail(mail) => session.answer(refusal(mail.reverse_path.to_string())),
        Step::Recipient(forward_path, _) => session.answer(refusal(forward_path.to_string())),
        Step::Hello(name) => session.answer(refusal(name.clone())),
        Step::StartTls | Step::Xclient(_) => {
            session.restart(Offers { is_encrypted: true, ..Offers::default() })
        }
        Step::Auth(..) => session.challenge(b"?"),
        Step::AuthResponse(response) if response == b"me" => session.authenticate(Ok(Offers::default())),
        Step::AuthResponse(_) => session.authenticate(Err(no_such_user())),
        Step::Query(_) => session.tell(Reply::new(252, (2, 1, 5), "perhaps")),
        Step::Data | Step::Tls => session.answer(Ok(())),
        Step::EndOfContent => session.conclude(Reply::new(250, (2, 0, 0), "queued")),
        Step::Content(_) | Step::Reset | Step::AuthCancelled | Step::Refused { .. } | Step::Closed(_) => {}
    }
    steps.push(format!("{step:?}"));
    !matches!(step, Step::Closed(_))
}

fn no_such_user() -> Reply {
    Reply::new(550, (5, 1, 1), "no such user")
}

fn last_reply(session: &mut Session, burst: &[u8]) -> String {
    let output = drive(session, burst, &[]).output;
    output.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_ten_thousand_and_first_recipient_is_told_to_come_later_and_the_transaction_goes_on() {
    let mut session = session(SmtpLimits::default());
    drive(&mut session, b"EHLO c\r\nMAIL FROM:<>\r\n", &[]);
    for number in 0..10_000 {
        let reply = last_reply(&mut session, format!("RCPT TO:<u{number}@x.test>\r\n").as_bytes());
        assert_eq!(reply, "250 2.1.5 forward-path taken");
    }
    let reply = last_reply(&mut session, b"RCPT TO:<one-more@x.test>\r\n");
    assert!(reply.starts_with("452 4.5.3 "), "{reply}");
    assert!(last_reply(&mut session, b"DATA\r\n").starts_with("354 "));
    assert_eq!(last_reply(&mut session, b".\r\n"), "250 2.0.0 queued");
    assert_eq!(session.messages(), 1);
}

#[test]
fn one_error_more_than_allowed_closes_the_session_after_its_own_reply() {
    let mut session = session(SmtpLimits { errors: 2, ..SmtpLimits::default() });
    let seen = drive(
        &mut session,
        b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<no@x.test>\r\nX\r\nRCPT TO:<no@x.test>\r\nNOOP\r\n",
        &[],
    );
    let codes: Vec<&str> =
        seen.output.lines().filter(|l| l.as_bytes()[3] == b' ').map(|l| l.get(..9).unwrap_or(l)).collect();
    assert_eq!(
        codes,
        ["220 mx.te", "250 HELP", "250 2.1.0", "550 5.1.1", "500 5.5.1", "550 5.1.1", "421 4.7.0"]
    );
    assert!(seen.steps.contains(&"Reset".to_owned()), "{:?}", seen.steps);
    assert_eq!(session.advance(&mut &b"NOOP\r\n"[..]), Step::Closed(Closing::TooManyErrors));
}

#[test]
fn nothing_is_taken_while_an_answer_is_owed() {
    let mut session = session(SmtpLimits::default());
    let mut input = &b"EHLO c\r\nMAIL FROM:<>\r\nQUIT\r\n"[..];
    assert_eq!(session.advance(&mut input), Step::Hello("c".to_owned()));
    assert_eq!(session.advance(&mut input), Step::Idle);
    session.answer(Ok(()));
    assert!(matches!(session.advance(&mut input), Step::Mail(_)));
    assert_eq!(session.advance(&mut input), Step::Idle);
    assert_eq!(input, b"QUIT\r\n");
    session.answer(Ok(()));
    assert_eq!(session.advance(&mut input), Step::Reset);
    assert_eq!(session.advance(&mut input), Step::Closed(Closing::Quit));
}

#[test]
fn a_message_refused_amid_its_content_is_swallowed_and_then_told() {
    let mut session = session(SmtpLimits::default());
    drive(&mut session, b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\n", &[]);
    drive(&mut session, b"DATA\r\n", &[]);
    assert_eq!(session.awaits(), Awaited::Content);
    let mut input = &b"one\r\n"[..];
    assert_eq!(session.advance(&mut input), Step::Content(b"one\r\n"));
    session.answer(Err(Reply::new(451, (4, 3, 0), "store down")));
    let seen = drive(&mut session, b"two\nthree\r\n.\r\nNOOP\r\n", &[]);
    assert_eq!(seen.output, "451 4.3.0 store down\r\n250 2.0.0 ok\r\n");
    assert_eq!(seen.steps[0], "Reset");
    assert_eq!((seen.steps.len(), session.messages()), (2, 0));
}

#[test]
fn shutting_down_waits_for_content_and_for_nothing_else() {
    let shutting_down = "421 4.3.2 mx.test is shutting down; try again";
    let mut idle = session(SmtpLimits::default());
    drive(&mut idle, b"EHLO c\r\nMAIL FROM:<>\r\n", &[]);
    idle.shut_down();
    let seen = drive(&mut idle, b"RCPT TO:<a@x.test>\r\n", &[]);
    assert_eq!(seen.output.trim_end(), shutting_down);
    assert_eq!(seen.steps.last().unwrap(), "Closed(ShuttingDown)");
    assert!(seen.steps.contains(&"Reset".to_owned()));

    let mut receiving = session(SmtpLimits::default());
    drive(&mut receiving, b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\n", &[]);
    drive(&mut receiving, b"DATA\r\n", &[]);
    receiving.shut_down();
    assert_eq!(drive(&mut receiving, b"one\r\n", &[]).output, "");
    let seen = drive(&mut receiving, b".\r\nMAIL FROM:<>\r\n", &[]);
    assert_eq!(seen.output, format!("250 2.0.0 queued\r\n{shutting_down}\r\n"));
}

#[test]
fn a_lost_or_late_client_leaves_no_transaction_behind() {
    for group in [
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n",
    ] {
        for is_late in [false, true] {
            let mut session = session(SmtpLimits::default());
            drive(&mut session, format!("EHLO c\r\n{group}").as_bytes(), &[]);
            if is_late {
                session.time_out()
            } else {
                session.abandon(Closing::Lost)
            };
            let seen = drive(&mut session, b"", &[]);
            assert_eq!(seen.steps[usize::from(is_late)], "Reset", "{group:?}");
            assert_eq!(seen.output.starts_with("421 4.4.2 "), is_late);
        }
    }
}

/// Input that gets far into a session, with noise in it.
fn burst() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "EHLO c\r\n", "HELO c\r\n", "MAIL FROM:<a@x.test>\r\n", "MAIL FROM:<no@x.test> SIZE=9\r\n", "RCPT TO:<b@x.test>\r\n",
            "RCPT TO:<no@x.test>\r\n", "DATA\r\n", "RSET\r\n", "NOOP\r\n", "QUIT\r\n", "VRFY a\r\n", "\r\n.\r\n", ".\r\n", "\n", "\r",
            "BDAT 4\r\n", "BDAT 0 LAST\r\n", "BDAT 70 LAST\r\n", "BDAT x\r\n", "MAIL FROM:<> BODY=BINARYMIME\r\n",
            "STARTTLS\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN bWU=\r\n", "bWU=\r\n", "*\r\n", "XCLIENT ADDR=::1\r\n", "EXPN a\r\n",
            ".", "text\r\n", "..\r\n", "\n.\n", "GET / HTTP/1.1\r\n", "a line that is longer than the limit is\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_cut_of_the_input_changes_what_is_seen(
        bursts in prop::collection::vec(burst(), 1..6),
        mut cuts in prop::collection::vec(0usize..300, 0..40),
        greeted in any::<bool>(),
        normalizes in any::<bool>(),
    ) {
        let limits = SmtpLimits { command_line: 38, content_line: 30, message_size: 60, errors: 8, recipients: 2, ..SmtpLimits::default() };
        cuts.sort_unstable();
        let (mut whole, mut cut) =
            [limits.clone(), limits].map(|limits| rich_session(limits, Service::Transfer, normalizes)).into();
        let opening = [&b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n"[..], b"DATA\r\n"];
        for burst in opening.iter().filter(|_| greeted).map(|text| text.to_vec()).chain(bursts) {
            let cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut <= burst.len()).collect();
            prop_assert_eq!(drive(&mut cut, &burst, &cuts), drive(&mut whole, &burst, &[]));
        }
    }

    #[test]
    fn every_reply_stands_on_lines_of_its_own(burst in burst()) {
        let seen = drive(&mut session(SmtpLimits { errors: 1000, ..SmtpLimits::default() }), &burst, &[]);
        prop_assert!(seen.output.ends_with("\r\n"));
        for line in seen.output.split_terminator("\r\n") {
            prop_assert!(line.len() > 4 && line.bytes().take(3).all(|b| b.is_ascii_digit()), "{line:?}");
            prop_assert!(!line.contains(['\r', '\n']));
        }
    }
}
