use super::*;
use crate::platform::Target;
use crate::smtp::client::{Needed, ProtocolError};

const HOST: &str = "mx.test[1.0.0.1]:25";

fn host() -> Host {
    Host { name: "mx.test".into(), target: Target::Address("1.0.0.1:25".parse().unwrap()) }
}

/// `settled | next | again`, then `delivered | failed | deferred`, then the reply.
fn show(verdict: Verdict) -> String {
    let then = match verdict {
        Verdict::Settled(_) => "settled",
        Verdict::NextHost(_) => "next",
        Verdict::Again(_) => "again",
    };
    let outcome = verdict.into_outcome();
    let (what, class) = match outcome {
        Outcome::Delivered(_) => ("delivered", 2),
        Outcome::Deferred(_) => ("deferred", 4),
        Outcome::Failed(_) => ("failed", 5),
        Outcome::Cancelled(_) => panic!("only operators cancel"),
    };
    let reply = outcome.reply();
    let status = reply.enhanced_status.expect("a status is always known");
    assert_eq!((reply.code / 100, u16::from(status.0)), (class, class), "{reply}");
    format!("{then} {what} {reply}")
}

/// A reply as the session reads it, without status where `status` is 0.0.0.
fn reply(code: u16, status: (u8, u16, u16), text: &str) -> Reply {
    match status {
        (0, 0, 0) => Reply::bare(code, text.to_owned()),
        _ => Reply::new(code, status, text.to_owned()),
    }
}

fn check(phase: Phase, code: u16, status: (u8, u16, u16), expected: &str) {
    let reply = reply(code, status, "text");
    let verdict = outcome(&RecipientOutcome::Replied { phase, reply }, &host());
    assert_eq!(show(verdict), expected.replace("HOST", HOST), "{phase:?} {code}");
}

const NONE: (u8, u16, u16) = (0, 0, 0);

#[test]
fn only_a_positive_reply_to_the_final_dot_is_a_delivery() {
    use Phase as P;
    check(P::FinalDot, 250, NONE, "settled delivered 250 2.0.0 HOST said at final dot: text");
    check(P::FinalDot, 250, (2, 6, 0), "settled delivered 250 2.6.0 HOST said at final dot: text");
    check(P::FinalDot, 251, NONE, "settled delivered 251 2.0.0 HOST said at final dot: text");
    check(P::FinalDot, 354, NONE, "settled deferred 451 4.5.0 HOST said at final dot: 354 text");
    check(P::Recipient, 250, (2, 1, 5), "settled deferred 451 4.5.0 HOST said at RCPT: 250 2.1.5 text");
    check(P::Data, 354, NONE, "settled deferred 451 4.5.0 HOST said at DATA: 354 text");
}

#[test]
fn a_host_that_does_not_serve_us_leaves_it_to_the_next() {
    for (phase, at) in [
        (Phase::Greeting, "greeting"),
        (Phase::Hello, "EHLO"),
        (Phase::StartTls, "STARTTLS"),
        (Phase::Ready, "rest"),
        (Phase::Reset, "RSET"),
    ] {
        for (code, status, expected) in [
            (421, (4, 3, 2), "421 4.3.2 HOST said at PHASE: text"),
            (450, NONE, "450 4.0.0 HOST said at PHASE: text"),
            (554, NONE, "451 4.0.0 HOST said at PHASE: 554 text"),
            (554, (5, 7, 1), "451 4.7.1 HOST said at PHASE: 554 5.7.1 text"),
        ] {
            check(phase, code, status, &format!("next deferred {}", expected.replace("PHASE", at)));
        }
    }
}

#[test]
fn a_host_that_closes_before_the_final_dot_leaves_it_to_the_next() {
    for (phase, at) in [
        (Phase::Mail, "MAIL"),
        (Phase::Recipient, "RCPT"),
        (Phase::Data, "DATA"),
        (Phase::Content, "content"),
    ] {
        check(phase, 421, (4, 3, 2), &format!("next deferred 421 4.3.2 HOST said at {at}: text"));
    }
    check(Phase::FinalDot, 421, NONE, "settled deferred 421 4.0.0 HOST said at final dot: text");
}

#[test]
fn the_first_digit_decides_for_the_message() {
    for (phase, at) in [
        (Phase::Mail, "MAIL"),
        (Phase::Recipient, "RCPT"),
        (Phase::Data, "DATA"),
        (Phase::Content, "content"),
        (Phase::FinalDot, "final dot"),
    ] {
        check(phase, 451, NONE, &format!("settled deferred 451 4.0.0 HOST said at {at}: text"));
        check(phase, 450, (4, 2, 1), &format!("settled deferred 450 4.2.1 HOST said at {at}: text"));
        check(phase, 550, NONE, &format!("settled failed 550 5.0.0 HOST said at {at}: text"));
        check(phase, 571, (5, 7, 1), &format!("settled failed 571 5.7.1 HOST said at {at}: text"));
    }
}

#[test]
fn too_many_recipients_are_sent_again_and_other_lacks_of_space_are_not() {
    for (code, status, expected) in [
        (452, NONE, "again deferred 452 4.5.3 HOST said at RCPT: 452 text"),
        (452, (4, 5, 3), "again deferred 452 4.5.3 HOST said at RCPT: 452 4.5.3 text"),
        (451, (4, 5, 3), "again deferred 452 4.5.3 HOST said at RCPT: 451 4.5.3 text"),
        (552, NONE, "again deferred 452 4.5.3 HOST said at RCPT: 552 text"),
        (552, (5, 5, 3), "again deferred 452 4.5.3 HOST said at RCPT: 552 5.5.3 text"),
        (552, (5, 2, 2), "settled deferred 452 4.2.2 HOST said at RCPT: 552 5.2.2 text"),
        (452, (4, 2, 2), "settled deferred 452 4.2.2 HOST said at RCPT: text"),
        (552, (5, 2, 3), "settled failed 552 5.2.3 HOST said at RCPT: text"),
        (552, (5, 3, 4), "settled failed 552 5.3.4 HOST said at RCPT: text"),
    ] {
        check(Phase::Recipient, code, status, expected);
    }
    check(Phase::Mail, 452, NONE, "settled deferred 452 4.0.0 HOST said at MAIL: text");
    check(Phase::Mail, 552, NONE, "settled failed 552 5.0.0 HOST said at MAIL: text");
    check(Phase::FinalDot, 552, (5, 2, 2), "settled failed 552 5.2.2 HOST said at final dot: text");
}

#[test]
fn without_a_reply_what_was_sent_decides() {
    let host = host();
    let closing = |closing, phase| closed(&closing, phase, &host);
    let refused = Reply::bare(554, "go away");
    let error = |kind: io::ErrorKind| io::Error::from(kind);
    for (verdict, expected) in [
        (
            outcome(&RecipientOutcome::CutBeforeDot, &host),
            "next deferred 451 4.4.2 HOST: the connection was lost before the message was sent",
        ),
        (
            outcome(&RecipientOutcome::CutAfterDot, &host),
            "settled deferred 451 4.4.2 HOST: the connection was lost after the message was sent; it may have been \
             delivered",
        ),
        (
            outcome(&RecipientOutcome::NotOffered(Needed::EightBitMime), &host),
            "next failed 554 5.6.3 HOST does not offer 8BITMIME, and the message has octets beyond ASCII",
        ),
        (
            not_offered(Needed::Smtputf8, &host),
            "next failed 553 5.6.7 HOST does not offer SMTPUTF8, and the message has addresses or fields beyond ASCII",
        ),
        (
            not_offered(Needed::RequireTls, &host),
            "next failed 554 5.7.30 HOST does not offer REQUIRETLS, which the sender insists on",
        ),
        (
            tls_required(&host, "it does not offer STARTTLS"),
            "next failed 554 5.7.10 HOST: the sender insists on verified TLS: it does not offer STARTTLS",
        ),
        (
            outcome(&RecipientOutcome::BareLineEnd, &host),
            "settled failed 554 5.6.0 the message has a CR or LF that is not part of a CRLF, and cannot be sent",
        ),
        (
            unreachable(&host, &error(io::ErrorKind::ConnectionRefused)),
            "next deferred 451 4.4.1 connecting to HOST: connection refused",
        ),
        (
            unreachable(&host, &io::Error::other("no\u{7} such\r\nhost (os error 7)")),
            "next deferred 451 4.4.1 connecting to HOST: no? such host",
        ),
        (
            tls_failed(&host, &io::Error::other("no cipher in common")),
            "next deferred 451 4.7.5 HOST: TLS handshake: no cipher in common",
        ),
        (timed_out(Phase::Greeting, &host), "next deferred 451 4.4.2 HOST: timed out at greeting"),
        (
            timed_out(Phase::FinalDot, &host),
            "settled deferred 451 4.4.2 HOST: the connection was lost after the message was sent; it may have been \
             delivered",
        ),
        (closing(Closing::TimedOut, Phase::StartTls), "next deferred 451 4.4.2 HOST: timed out at STARTTLS"),
        (closing(Closing::Lost, Phase::Hello), "next deferred 451 4.4.2 HOST: connection lost at EHLO"),
        (
            closing(Closing::Refused { phase: Phase::Greeting, reply: refused }, Phase::Quit),
            "next deferred 451 4.0.0 HOST said at greeting: 554 go away",
        ),
        (
            closing(
                Closing::Protocol { phase: Phase::Greeting, error: ProtocolError::NotAReply },
                Phase::Quit,
            ),
            "next deferred 451 4.5.0 HOST broke the protocol at greeting: a line that is not a reply",
        ),
        (
            closing(Closing::Abandoned, Phase::Hello),
            "settled deferred 451 4.4.2 HOST: the session was ended before the message was sent",
        ),
    ] {
        assert_eq!(show(verdict), expected.replace("HOST", HOST));
    }
}

#[test]
fn a_servers_text_is_kept_within_bounds_and_its_status_is_found() {
    let long = "x".repeat(5000);
    let many = "line\n".repeat(100);
    for (text, expected) in [
        (
            "5.1.1 no such user\nask others",
            "550 5.1.1 HOST said at RCPT: no such user\nask others".to_owned(),
        ),
        ("4.1.1 wrong class", "550 5.0.0 HOST said at RCPT: 4.1.1 wrong class".to_owned()),
        ("", "550 5.0.0 HOST said at RCPT:".to_owned()),
        (" \n\n a\tb \r\u{1b}[31m\u{85}c\0 \n", "550 5.0.0 HOST said at RCPT: a?b ??[31m?c?".to_owned()),
        ("grüße", "550 5.0.0 HOST said at RCPT: grüße".to_owned()),
        (&long, format!("550 5.0.0 HOST said at RCPT: {}", "x".repeat(TEXT_LIMIT))),
        (&many, format!("550 5.0.0 HOST said at RCPT: {}", ["line"; TEXT_LINES].join("\n"))),
    ] {
        let reply = Reply::bare(550, text.to_owned());
        let outcome = outcome(&RecipientOutcome::Replied { phase: Phase::Recipient, reply }, &host());
        let outcome = outcome.into_outcome();
        let Reply { code, enhanced_status, text } = outcome.reply();
        let shown = format!("{code} {} {text}", enhanced_status.unwrap());
        assert_eq!(shown, expected.replace("HOST", HOST));
    }
}
