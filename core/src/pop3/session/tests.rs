//! What transcripts in `tests/transcripts/pop3` cannot show: bounds, and that no input and no cut of it does harm.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Closing, PORTION, REPLIES_HELD, Session, Step};
use crate::model::Domain;
use crate::pop3::{Credentials, Denial, Entry, Maildrop, Unavailable};

/// Content of message n, in two pieces.
const CONTENT: [[&str; 2]; 3] =
    [["A: b\r\n\r\n", "c\r\n"], ["A: b\r\n\r\n.c\r", "\n.\r\n"], ["A: b\r\n", "\r\n"]];

fn session() -> Session {
    Session::new(Domain::parse("mx.test").unwrap(), true)
}

/// A session that has logged in, with all replies so far taken.
fn logged_in(messages: Vec<Entry>) -> Session {
    let mut session = session();
    let question = session.advance(&mut &b"USER u\r\nPASS p\r\n"[..]);
    assert_eq!(question, Step::LogIn(Credentials { name: "u".into(), password: "p".into() }));
    session.answer_log_in(Ok(Maildrop { uid_validity: 7, messages }));
    session.take_output();
    session
}

/// Drives a session as one burst that is cut into chunks; gives all replies, and the steps but `Send` and `Idle`.
fn drive(session: &mut Session, burst: &[u8], cuts: &[usize]) -> (String, Vec<String>) {
    let (mut output, mut steps, mut pieces) = (Vec::new(), Vec::new(), Vec::new().into_iter());
    let mut from = 0;
    for to in cuts.iter().copied().chain([burst.len()]) {
        let mut chunk = &burst[from..to.max(from)];
        from = to.max(from);
        loop {
            let step = session.advance(&mut chunk);
            output.extend(session.take_output());
            match &step {
                Step::Idle => break,
                Step::Send => continue,
                Step::LogIn(credentials) => session.answer_log_in(log_in(credentials)),
                Step::Open(uid) => {
                    pieces = CONTENT[*uid as usize - 1].to_vec().into_iter();
                    session.answer_open(Ok(()));
                }
                Step::Read => {
                    session.answer_read(Ok(pieces.next().map(|piece| Bytes::from_static(piece.as_bytes()))))
                }
                Step::Expunge(_) => session.answer_expunge(Ok(())),
                Step::StartTls => session.answer_start_tls(),
                Step::Release => {}
                Step::Closed(_) => {
                    steps.push(format!("{step:?}"));
                    break;
                }
            }
            steps.push(format!("{step:?}"));
        }
    }
    steps.dedup_by(|a, b| a == b && a.starts_with("Closed"));
    (String::from_utf8(output).unwrap(), steps)
}

fn log_in(credentials: &Credentials) -> Result<Maildrop, Denial> {
    match credentials.password.as_str() {
        "right" => {
            let entry = |(index, content): (usize, &[&str; 2])| Entry {
                uid: index as u32 + 1,
                octets: content.concat().len() as u64,
            };
            Ok(Maildrop { uid_validity: 7, messages: CONTENT.iter().enumerate().map(entry).collect() })
        }
        "down" => Err(Denial::Unavailable),
        _ => Err(Denial::Credentials),
    }
}

#[test]
fn a_listing_of_a_million_messages_and_a_piece_of_megabytes_go_out_in_portions() {
    let mut session = logged_in((1..=1_000_000).map(|uid| Entry { uid, octets: 1 }).collect());
    let mut input = &b"LIST\r\nUIDL\r\nRETR 1\r\n"[..];
    let (mut lines, mut largest, mut is_read) = (0, 0, false);
    loop {
        let step = session.advance(&mut input);
        let output = session.take_output();
        largest = largest.max(output.len());
        lines += output.iter().filter(|octet| **octet == b'\n').count();
        match step {
            Step::Idle => break,
            Step::Open(_) => session.answer_open(Ok(())),
            Step::Read if is_read => session.answer_read(Ok(None)),
            Step::Read => {
                is_read = true;
                // The worst: every line needs a dot.
                session.answer_read(Ok(Some(Bytes::from(".\r\n".repeat(1 << 20)))));
            }
            _ => {}
        }
    }
    assert_eq!(lines, 2 * (1_000_000 + 2) + (1 << 20) + 2);
    assert!(largest <= REPLIES_HELD + 2 * PORTION, "{largest}");
    assert_eq!(session.retrieved(), 1);
}

#[test]
fn nothing_is_taken_while_an_answer_is_owed() {
    let mut session = logged_in(vec![Entry { uid: 3, octets: 1 }]);
    let mut input = &b"RETR 1\r\nDELE 1\r\nQUIT\r\n"[..];
    assert_eq!(session.advance(&mut input), Step::Open(3));
    assert_eq!(session.advance(&mut input), Step::Idle);
    // The answer to another question is none.
    session.answer_expunge(Ok(()));
    session.answer_read(Ok(None));
    assert_eq!(session.advance(&mut input), Step::Idle);
    assert_eq!(input, b"DELE 1\r\nQUIT\r\n");
    session.answer_open(Err(Unavailable));
    assert_eq!(session.advance(&mut input), Step::Expunge(vec![3]));
    assert_eq!(session.advance(&mut input), Step::Idle);
    session.answer_expunge(Ok(()));
    assert_eq!(session.advance(&mut input), Step::Closed(Closing::Quit));
}

#[test]
fn a_message_that_cannot_be_read_on_is_never_ended_as_if_it_were_whole() {
    let mut session = logged_in(vec![Entry { uid: 3, octets: 100 }]);
    let mut input = &b"RETR 1\r\nNOOP\r\n"[..];
    assert_eq!(session.advance(&mut input), Step::Open(3));
    session.answer_open(Ok(()));
    assert_eq!(session.advance(&mut input), Step::Read);
    session.answer_read(Ok(Some(Bytes::from_static(b"A: b\r\n"))));
    assert_eq!(session.advance(&mut input), Step::Read);
    session.answer_read(Err(Unavailable));
    assert_eq!(session.advance(&mut input), Step::Closed(Closing::ContentLost));
    assert_eq!(session.take_output(), b"+OK 100 octets\r\nA: b\r\n");
    assert_eq!(session.retrieved(), 0);
}

#[test]
fn shutting_down_waits_for_a_message_and_for_nothing_else() {
    let mut session = logged_in(vec![Entry { uid: 3, octets: 100 }]);
    let mut input = &b"DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n"[..];
    assert_eq!(session.advance(&mut input), Step::Open(3));
    session.take_output();
    session.shut_down();
    session.answer_open(Ok(()));
    assert_eq!(session.advance(&mut input), Step::Read);
    session.answer_read(Ok(None));
    assert_eq!(session.advance(&mut input), Step::Release);
    assert_eq!(session.advance(&mut input), Step::Closed(Closing::ShuttingDown));
    let output = String::from_utf8(session.take_output()).unwrap();
    assert_eq!(output, "+OK 100 octets\r\n.\r\n-ERR [SYS/TEMP] shutting down, try again later\r\n");
}

#[test]
fn a_lost_or_late_client_deletes_nothing_and_is_told_nothing() {
    for closing in [Closing::Lost, Closing::TimedOut] {
        let mut session = logged_in(vec![Entry { uid: 3, octets: 100 }]);
        drive(&mut session, b"DELE 1\r\n", &[]);
        session.abandon(closing);
        assert_eq!(
            drive(&mut session, b"QUIT\r\n", &[]),
            (String::new(), vec![format!("Closed({closing:?})")])
        );
    }
}

#[test]
fn the_password_does_not_show() {
    let credentials = Credentials { name: "u@x.test".into(), password: "s3cret".into() };
    assert!(!format!("{credentials:?}").contains("s3cret"));
}

/// Input that gets far into a session, with noise in it.
fn burst() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "USER u\r\n", "PASS right\r\n", "PASS wrong\r\n", "PASS down\r\n", "STAT\r\n", "LIST\r\n", "LIST 2\r\n", "LIST 9\r\n",
            "UIDL\r\n", "UIDL 1\r\n", "RETR 1\r\n", "RETR 2\r\n", "RETR 3\r\n", "TOP 2 1\r\n", "TOP 3 0\r\n", "DELE 1\r\n", "DELE 2\r\n",
            "RSET\r\n", "NOOP\r\n", "CAPA\r\n", "QUIT\r\n", "\r\n", "\n", "\r", "RETR", " 1",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => (240usize..300).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_cut_of_the_input_changes_what_is_seen(
        bursts in prop::collection::vec(burst(), 1..6),
        mut cuts in prop::collection::vec(0usize..300, 0..40),
        begins_logged_in in any::<bool>(),
    ) {
        cuts.sort_unstable();
        let (mut whole, mut cut) = (session(), session());
        let opening = begins_logged_in.then(|| b"USER u\r\nPASS right\r\n".to_vec());
        for burst in opening.into_iter().chain(bursts) {
            let cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut <= burst.len()).collect();
            prop_assert_eq!(drive(&mut cut, &burst, &cuts), drive(&mut whole, &burst, &[]));
        }
    }

    #[test]
    fn every_command_gets_a_status_and_every_line_stays_short(burst in burst()) {
        let mut session = session();
        drive(&mut session, b"USER u\r\nPASS right\r\n", &[]);
        let (output, _) = drive(&mut session, &burst, &[]);
        prop_assert!(output.is_empty() || output.ends_with("\r\n"));
        prop_assert!(output.is_empty() || output.starts_with("+OK ") || output.starts_with("-ERR "));
        for line in output.split_terminator("\r\n") {
            prop_assert!(line.len() < 510 && !line.contains(['\r', '\n']), "{line:?}");
        }
    }
}

#[test]
fn stls_begins_anew_and_what_comes_with_it_in_the_clear_ends_the_session() {
    let mut clear = Session::new(Domain::parse("mx.test").unwrap(), false).offering_tls();
    let (said, steps) = drive(&mut clear, b"USER u\r\nCAPA\r\nSTLS\r\n", &[]);
    assert!(said.contains("\r\nSTLS\r\n") && !said.contains("\r\nUSER\r\n"), "{said}");
    assert!(said.ends_with("+OK begin TLS negotiation\r\n") && steps == ["StartTls"], "{said} {steps:?}");
    let (said, _) = drive(&mut clear, b"PASS right\r\nSTLS\r\nCAPA\r\nUSER u\r\nPASS right\r\nSTLS\r\n", &[]);
    assert!(
        said.starts_with("-ERR say USER first\r\n-ERR TLS cannot begin here\r\n+OK capabilities"),
        "{said}"
    );
    assert!(said.contains("\r\nUSER\r\n") && !said.contains("\r\nSTLS\r\n"), "{said}");
    assert!(said.ends_with("-ERR logged in already\r\n"), "{said}");

    for behind in ["USER eve\r\n", "\r\n", "\0", "\x16\x03\x01"] {
        let mut session = session().offering_tls();
        let burst = format!("USER u\r\nSTLS\r\n{behind}");
        let (said, steps) = drive(&mut session, burst.as_bytes(), &[]);
        assert_eq!(steps, ["Closed(OctetsBehindStls)"], "{behind:?}");
        assert!(
            said.ends_with("+OK send PASS\r\n-ERR nothing may follow STLS but the handshake; closing\r\n")
        );
    }
    let (said, _) = drive(&mut clear, b"STLS\r\n", &[]);
    assert_eq!(said, "-ERR logged in already\r\n");
}

#[test]
fn stls_does_not_forget_how_many_logins_failed() {
    let mut session = session().offering_tls();
    let (_, steps) = drive(&mut session, b"USER u\r\nPASS x\r\nUSER u\r\nPASS x\r\nSTLS\r\n", &[]);
    assert_eq!(steps.last().map(String::as_str), Some("StartTls"));
    let (_, steps) = drive(&mut session, b"USER u\r\nPASS x\r\n", &[]);
    assert_eq!(steps.last().map(String::as_str), Some("Closed(TooManyLogins)"));
}
