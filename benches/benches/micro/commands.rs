//! Commands of SMTP: one line each, and sessions.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use fulmar_core::config::SmtpLimits;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::smtp::server::{Session, Step};
use fulmar_core::smtp::syntax;

use super::content;

const LINES: [&str; 4] = [
    "EHLO client.example.org",
    "MAIL FROM:<somebody@example.org> SIZE=10240 BODY=8BITMIME",
    "RCPT TO:<somebody.else@example.com>",
    "DATA",
];
/// Recipients of a pipelined group.
const RECIPIENTS: usize = 100;
/// Messages of a session.
const MESSAGES: usize = 64;
/// Octets of each.
const OCTETS: usize = 10 << 10;

#[divan::bench(args = LINES)]
fn line(bencher: Bencher<'_, '_>, line: &str) {
    let parse = || syntax::command(divan::black_box(line.as_bytes())).is_ok();
    bencher.counter(ItemsCount::new(1_usize)).bench(parse);
}

/// A session with one transaction of many recipients, in one group.
#[divan::bench]
fn pipelined_group(bencher: Bencher<'_, '_>) {
    let mut group = "EHLO client.test\r\nMAIL FROM:<somebody@example.org>\r\n".to_owned();
    (0..RECIPIENTS).for_each(|number| group += &format!("RCPT TO:<somebody.{number}@example.com>\r\n"));
    let counter = ItemsCount::new(RECIPIENTS + 2);
    bencher.counter(counter).bench(|| {
        let mut session = session();
        advance(&mut session, group.as_bytes());
        session
    });
}

/// A session with many messages, as a client sends them that pipelines all but the content.
#[divan::bench]
fn transactions(bencher: Bencher<'_, '_>) {
    let mut stuffed = content::lines(OCTETS, "");
    stuffed.extend_from_slice(b".\r\n");
    let counter = BytesCount::new(MESSAGES * OCTETS);
    bencher.counter(counter).bench(|| {
        let mut session = session();
        advance(&mut session, b"EHLO client.test\r\n");
        for _ in 0..MESSAGES {
            advance(
                &mut session,
                b"MAIL FROM:<somebody@example.org>\r\nRCPT TO:<else@example.com>\r\nDATA\r\n",
            );
            advance(&mut session, &stuffed);
        }
        assert_eq!(session.messages(), MESSAGES as u64);
    });
}

fn session() -> Session {
    Session::new(Domain::parse("mx.test").unwrap(), SmtpLimits::default())
}

/// Takes all of the input and agrees to everything.
fn advance(session: &mut Session, mut input: &[u8]) {
    loop {
        match session.advance(&mut input) {
            Step::Idle | Step::Closed(_) => {
                drop(session.take_output());
                return;
            }
            Step::Send => drop(session.take_output()),
            Step::Mail(_) | Step::Recipient(..) | Step::Data | Step::Hello(_) => session.answer(Ok(())),
            Step::Content(octets) => drop(divan::black_box(octets)),
            Step::EndOfContent => session.conclude(Reply::new(250, (2, 0, 0), "queued")),
            _ => {}
        }
    }
}
