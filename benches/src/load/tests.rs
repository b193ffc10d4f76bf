//! The client against servers that say what they are told to.

use std::net::TcpListener;
use std::thread;

use async_io::Async;
use clap::Parser;
use fulmar_tests::certificate::Certificate;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What a server does on one connection, step by step; then it closes it.
type Script<'a> = &'a [Step<'a>];

#[derive(Clone, Copy)]
enum Step<'a> {
    /// Says this.
    Say(&'a str),
    /// Waits for the client to have said this last.
    Hear(&'a str),
    /// Waits for this, and answers it.
    Answer(&'a str, &'a str),
    /// Takes up TLS.
    Tls,
}

use Step::{Answer, Hear, Say, Tls};

/// Plays these scripts on a connection each, one after the other.
async fn play(listener: Async<TcpListener>, scripts: &[Script<'_>]) {
    let certificate = Certificate::new("sink.invalid");
    for script in scripts {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream: Box<dyn fulmar_core::platform::Stream> = Box::new(socket);
        for step in *script {
            match step {
                Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Hear(text) => hear(&mut stream, text).await,
                Answer(text, answer) => {
                    hear(&mut stream, text).await;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                Tls => stream = Box::new(certificate.acceptor().accept(stream).await.unwrap()),
            }
            stream.flush().await.unwrap();
        }
    }
}

async fn hear(stream: &mut Box<dyn fulmar_core::platform::Stream>, text: &str) {
    let mut heard = Vec::new();
    let mut octet = [0];
    while !heard.ends_with(text.as_bytes()) {
        let read = stream.read(&mut octet).await;
        assert_eq!(read.ok(), Some(1), "{text:?} is missing after {:?}", String::from_utf8_lossy(&heard));
        heard.extend(octet);
    }
}

/// One session sends messages of three recipients to that server.
fn check(options: &str, scripts: &[Script<'_>], expected: &Value) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap().to_string();
    let common = ["load", "--to", &address, "--size=1000", "--timeout=20", "--recipients=3", "--rcpt=a@b"];
    let options = Options::try_parse_from(common.into_iter().chain(options.split(' '))).unwrap();
    let json = thread::scope(|scope| {
        let server = scope.spawn(move || smol::block_on(play(listener, scripts)));
        let json = run(&options).unwrap();
        server.join().unwrap();
        json
    });
    for (key, expected) in expected.as_object().unwrap() {
        assert_eq!(json[key], *expected, "{key}: {json}");
    }
}

const GREETING: Step<'_> = Say("220 sink.invalid\r\n");
const EHLO: Step<'_> = Answer("EHLO load.invalid\r\n", "250-sink.invalid\r\n250 PIPELINING\r\n");
const ALONE: Step<'_> = Answer("EHLO load.invalid\r\n", "250 sink.invalid\r\n");
const AGREED: Step<'_> = Answer("DATA\r\n", "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n");
const QUIT: Step<'_> = Answer("QUIT\r\n", "221 bye\r\n");
const ONE: &str = "--messages=1";

#[test]
fn a_message_is_accepted_by_the_reply_to_its_own_final_dot_alone() {
    let accepted = json!({"sent": 1, "accepted": 1, "recipients_accepted": 3, "refused": {}, "failed": 0});
    let all = json!({"sent": 2, "accepted": 2, "recipients_accepted": 6, "failed": 0});
    let with_tls = format!("{ONE} --tls");
    let with_starttls = format!("{ONE} --starttls");
    let last = Answer("\r\n.\r\nQUIT\r\n", "250 f\r\n221 g\r\n");
    let cases: [(&str, Script<'_>, &Value); 5] = [
        (ONE, &[GREETING, EHLO, AGREED, last], &accepted),
        (
            "--messages=2 --per-connection=all",
            &[
                GREETING,
                EHLO,
                AGREED,
                Answer("\r\n.\r\n", "250 f\r\n"),
                AGREED,
                Answer("\r\n.\r\n", "250 g\r\n"),
                QUIT,
            ],
            &all,
        ),
        (
            ONE,
            &[
                GREETING,
                ALONE,
                Answer("MAIL FROM:<load@load.invalid>\r\n", "250 a\r\n"),
                Answer("RCPT TO:<a@b>\r\n", "250 b\r\n"),
                Answer("RCPT TO:<1a@b>\r\n", "250 c\r\n"),
                Answer("RCPT TO:<2a@b>\r\n", "250 d\r\n"),
                Answer("DATA\r\n", "354 e\r\n"),
                Answer("\r\n.\r\n", "250-f\r\n250 g\r\n"),
                QUIT,
            ],
            &accepted,
        ),
        (&with_tls, &[Tls, GREETING, EHLO, AGREED, last], &accepted),
        (
            &with_starttls,
            &[
                GREETING,
                Answer("EHLO load.invalid\r\n", "250-a\r\n250 STARTTLS\r\n"),
                Answer("STARTTLS\r\n", "220 go\r\n"),
                Tls,
                EHLO,
                AGREED,
                last,
            ],
            &accepted,
        ),
    ];
    for (options, script, expected) in cases {
        check(options, &[script], expected);
    }
}

#[test]
fn a_session_logs_in_before_it_sends_and_a_refusal_is_one_of_auth() {
    // NUL, a@b, NUL, c
    let options = "--messages=1 --user=a@b --password=c";
    let last = Answer("\r\n.\r\nQUIT\r\n", "250 f\r\n221 g\r\n");
    let taken = Answer("AUTH PLAIN AGFAYgBj\r\n", "235 in\r\n");
    check(options, &[&[GREETING, EHLO, taken, AGREED, last]], &json!({"sent": 1, "accepted": 1}));
    // Before the run, and then once more for the message.
    let refused: Script<'_> = &[GREETING, EHLO, Answer("AUTH PLAIN AGFAYgBj\r\n", "535 no\r\n")];
    check(options, &[refused, refused], &json!({"sent": 1, "accepted": 0, "refused": {"AUTH 535": 1}}));
}

#[test]
fn a_refused_message_is_counted_where_and_how_it_was_refused() {
    let data = |answer| vec![GREETING, EHLO, Answer("DATA\r\n", answer)];
    let quit = |mut script: Vec<Step<'static>>| {
        script.push(QUIT);
        script
    };
    let no_recipient = data("250 a\r\n550 b\r\n550 c\r\n550 d\r\n354 e\r\n");
    let too_large = Answer("\r\n.\r\nQUIT\r\n", "552 large\r\n221 bye\r\n");
    for (script, refusal) in [
        (vec![Say("421 busy\r\n")], "connect 421"),
        (vec![Say("554 never\r\n")], "connect 554"),
        (vec![GREETING, Answer("EHLO load.invalid\r\n", "421 busy\r\n")], "EHLO 421"),
        (quit(data("452 full\r\n503 b\r\n503 c\r\n503 d\r\n503 e\r\n")), "MAIL 452"),
        (data("421 bye\r\n"), "MAIL 421"),
        (quit(data("250 a\r\n450 b\r\n550 c\r\n450 d\r\n554 e\r\n")), "RCPT 450"),
        (quit([no_recipient, vec![Answer(".\r\n", "250 f\r\n")]].concat()), "RCPT 550"),
        (quit(data("250 a\r\n250 b\r\n250 c\r\n250 d\r\n451 e\r\n")), "DATA 451"),
        (vec![GREETING, EHLO, AGREED, too_large], "content 552"),
    ] {
        check(ONE, &[&script], &json!({"sent": 1, "accepted": 0, "refused": {refusal: 1}, "failed": 0}));
    }
}

#[test]
fn a_message_without_its_own_reply_has_failed() {
    let last = "\r\n.\r\nQUIT\r\n";
    let cases: [(&[Step<'_>], &str); 9] = [
        (&[], "connect cut"),
        (&[Say("SSH-2.0-x\r\n"), Hear("")], "connect garbage"),
        (&[GREETING, Answer("EHLO load.invalid\r\n", "354 a\r\n")], "EHLO unexpected"),
        (&[GREETING, Hear("EHLO load.invalid\r\n")], "EHLO cut"),
        // More replies than commands: none of them can be told to be the one that counts.
        (
            &[GREETING, EHLO, Answer("DATA\r\n", "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n")],
            "content garbage",
        ),
        (
            &[GREETING, EHLO, Answer("DATA\r\n", "250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n")],
            "DATA unexpected",
        ),
        (&[GREETING, EHLO, AGREED, Hear(last)], "content cut"),
        (&[GREETING, EHLO, AGREED, Answer(last, "250 f")], "content cut"),
        (&[GREETING, EHLO, AGREED, Answer(last, "251 f\r\n")], "content unexpected"),
    ];
    for (script, failure) in cases {
        check(ONE, &[script], &json!({"sent": 1, "accepted": 0, "failed": 1, "failures": {failure: 1}}));
    }
}

#[test]
fn recipients_that_are_refused_do_not_keep_a_message_from_the_others() {
    let some = Answer("DATA\r\n", "250 a\r\n550 b\r\n250 c\r\n452 d\r\n354 e\r\n");
    let expected = json!({
        "accepted": 1, "refused": {}, "recipients_accepted": 1, "recipients_refused": {"452": 1, "550": 1},
    });
    check(ONE, &[&[GREETING, EHLO, some, Answer("QUIT\r\n", "250 f\r\n221 g\r\n")]], &expected);
}

#[test]
fn a_connection_is_used_again_after_a_refusal_and_replaced_after_a_failure() {
    let full = Answer("DATA\r\n", "452 full\r\n503 b\r\n503 c\r\n503 d\r\n503 e\r\n");
    let dot = Answer("\r\n.\r\n", "250 f\r\n");
    let first = [GREETING, EHLO, full, Answer("RSET\r\n", "250 reset\r\n"), AGREED, Hear("\r\n.\r\n")];
    let second = [GREETING, EHLO, AGREED, dot, QUIT];
    let expected = json!({
        "sent": 3, "accepted": 1, "refused": {"MAIL 452": 1}, "failures": {"content cut": 1},
    });
    check("--messages=3 --per-connection=all", &[&first, &second], &expected);
}

#[test]
fn threads_share_all_sessions() {
    for (sessions, threads) in [(0, 1), (1, 1), (1, 4), (20, 3), (21, 3)] {
        let shares: Vec<_> = (0..threads).map(|thread| share(sessions, threads, thread)).collect();
        assert_eq!(shares.iter().sum::<u64>(), sessions);
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
    }
}
