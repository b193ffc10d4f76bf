use super::returned::{HEADER_LIMIT, LINE_LIMIT};
use super::words::REPLY_LIMIT;
use super::*;

const HEADER: &[u8] =
    b"Received: from client.test\r\n\tby mx.test;\r\nMessage-ID: <1@client.test>\r\nSubject: lunch\r\n\r\n";
const BOUNDARY: &str = "=_abababababababababab";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn id(n: u8) -> QueueId {
    QueueId::draw(UtcTime(0), [n; ENTROPY_OCTETS])
}

fn failed<'a>(
    recipient: &'a Address,
    alias: Option<&'a Address>,
    reply: &'a Reply,
    attempts: u32,
) -> Told<'a> {
    Told { recipient, alias, original: None, action: Action::Failed, reply, attempts, remote_mta: None }
}

fn composed(recipients: &[Told<'_>], header: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let report = Report {
        id: id(2),
        now: UtcTime(1_795_306_347_500),
        reporting_mta: &Domain::parse("mx.test").unwrap(),
        original: id(1),
        accepted: UtcTime(1_795_306_347_500 - 7_200_000),
        reverse_path: &address("alice@home.test"),
        envid: None,
        recipients,
        returned: header.map_or(Returned::Nothing, Returned::Header),
        entropy: [0xab; ENTROPY_OCTETS],
    };
    let (header, body) = report.compose();
    check(&header, &body);
    (header, body)
}

/// What holds of every report.
fn check(header: &[u8], body: &[u8]) {
    assert!(body.len() < 8 << 20, "{} octets", body.len());
    assert!(header.ends_with(b"\r\n\r\n") && body.ends_with(b"\r\n"));
    for line in [header, body].concat().split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("every line ends with CRLF");
        assert!(line.len() <= LINE_LIMIT, "{line:?}");
        assert!(line.iter().all(|b| matches!(b, b'\t' | b' '..=b'~')), "{line:?}");
    }
}

/// The parts, each as its header block and its content.
fn parts(body: &[u8]) -> Vec<(String, String)> {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let (body, rest) = body.split_once(&format!("\r\n--{BOUNDARY}--\r\n")).expect("a closing boundary");
    assert_eq!(rest, "");
    let body = format!("\r\n{body}");
    let parts: Vec<&str> = body.split(&format!("\r\n--{BOUNDARY}\r\n")).skip(1).collect();
    let halves = parts.into_iter().map(|part| part.split_once("\r\n\r\n").expect("an empty line"));
    halves.map(|(header, content)| (header.to_owned(), content.to_owned())).collect()
}

fn one_failure(reply: &Reply, header: Option<&[u8]>) -> Vec<(String, String)> {
    let recipient = address("bob@home.test");
    let failure = failed(&recipient, None, reply, 1);
    parts(&composed(&[failure], header).1)
}

#[test]
fn a_whole_report_reads_like_this() {
    let (bob, carol) = (address("bob@home.test"), address("carol@far.test"));
    let team = address("team@home.test");
    let nobody = Reply::new(550, (5, 1, 1), "the account is not there any more");
    let refused = Reply::bare(554, "not here\nask somebody else");
    let failures = [failed(&bob, Some(&team), &nobody, 1), failed(&carol, None, &refused, 3)];
    let (header, body) = composed(&failures, Some(HEADER));
    let expected = "\
Date: Sun, 22 Nov 2026 00:12:27 +0000
From: \"Mail Delivery System\" <MAILER-DAEMON@mx.test>
To: <alice@home.test>
Subject: Your message could not be delivered
Message-ID: <0000000000081040G2081040G2@mx.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
In-Reply-To: <1@client.test>
References: <1@client.test>
Content-Type: multipart/report; report-type=\"delivery-status\";
 boundary=\"=_abababababababababab\"

--=_abababababababababab
Content-Type: text/plain; charset=\"us-ascii\"
Content-Transfer-Encoding: 7bit

This is the mail system at mx.test.

The message that it took from you on Sat, 21 Nov 2026 22:12:27 +0000 could
not be delivered to the 2 recipients below. They will not be tried again.

<bob@home.test>
    which is where mail for <team@home.test> goes,
    given up after 1 attempt in 2 hours:
    550 5.1.1 the account is not there any more

<carol@far.test>
    given up after 3 attempts in 2 hours:
    554 not here ask somebody else

If you need help, send this report to <postmaster@mx.test>. Your message is
called 0000000000040G2081040G2081 there. Its header fields are at the end of
this report; the rest of it is not returned.

--=_abababababababababab
Content-Type: message/delivery-status
Content-Transfer-Encoding: 7bit

Reporting-MTA: dns; mx.test
Arrival-Date: Sat, 21 Nov 2026 22:12:27 +0000

Original-Recipient: rfc822; team@home.test
Final-Recipient: rfc822; bob@home.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 the account is not there any more
Last-Attempt-Date: Sun, 22 Nov 2026 00:12:27 +0000

Final-Recipient: rfc822; carol@far.test
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 554 not here ask somebody else
Last-Attempt-Date: Sun, 22 Nov 2026 00:12:27 +0000

--=_abababababababababab
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 7bit

Received: from client.test
\tby mx.test;
Message-ID: <1@client.test>
Subject: lunch

--=_abababababababababab--
";
    let whole = String::from_utf8([header, body].concat()).unwrap();
    assert_eq!(whole.replace("\r\n", "\n"), expected);
}

#[test]
fn a_reply_cannot_break_out_of_its_line() {
    let evil =
        format!("no\r\n\r\nAction: delivered\r\n--{BOUNDARY}--\r\n\u{0}gr\u{fc}n {}", "x".repeat(9_000));
    let parts = one_failure(&Reply::new(550, (5, 1, 1), evil), Some(HEADER));
    assert_eq!(parts.len(), 3);
    let actions: Vec<&str> = parts[1].1.lines().filter(|line| line.starts_with("Action")).collect();
    assert_eq!(actions, ["Action: failed"]);
    let diagnosis = parts[1].1.lines().find(|line| line.starts_with("Diagnostic-Code")).unwrap();
    assert!(diagnosis.contains("?gr?n") && diagnosis.len() < REPLY_LIMIT + 30, "{diagnosis}");
}

#[test]
fn the_status_is_always_that_of_a_failure() {
    for (reply, status) in [
        (Reply::new(554, (5, 4, 7), "expired"), "5.4.7"),
        (Reply::new(451, (4, 3, 0), "later"), "5.0.0"),
        (Reply::bare(550, "no"), "5.0.0"),
    ] {
        let parts = one_failure(&reply, None);
        assert!(parts[1].1.contains(&format!("\r\nStatus: {status}\r\n")), "{reply}");
    }
}

#[test]
fn no_header_block_breaks_the_report() {
    let long = [b"X: ".to_vec(), vec![b'x'; 5_000], b"\r\n".to_vec()].concat();
    for (header, is_encoded) in [
        (&b""[..], false),
        (b"\r\n", false),
        (b"Subject: no line end", false),
        (b"A: bare\rCR\nB: bare LF\n\0: nul\r\n\r\n", false),
        ("Subject: grün\r\nTo: a@b.test\r\n\r\n".as_bytes(), true),
        (b"Subject: \xff\xfe\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\r\n", true),
        (&long, true),
    ] {
        let parts = one_failure(&Reply::bare(550, "no"), Some(header));
        assert_eq!(parts.len(), 3);
        let is_plain = parts[2].0.contains("Content-Transfer-Encoding: 7bit");
        assert_eq!(is_plain, !is_encoded, "{:?}", parts[2]);
    }
}

#[test]
fn what_follows_the_header_block_is_not_returned() {
    let parts = one_failure(&Reply::bare(550, "no"), Some(b"A: 1\r\n\r\nsecret\r\n"));
    assert_eq!(parts[2].1, "A: 1\r\n");
}

#[test]
fn a_long_header_block_is_cut_at_a_line_and_a_lost_one_is_said_to_be_lost() {
    let header = b"Received: from somewhere\r\n".repeat(HEADER_LIMIT / 20);
    let parts = one_failure(&Reply::bare(550, "no"), Some(&header));
    assert!(parts[0].1.contains("Its first header fields"));
    assert!(parts[2].1.len() <= HEADER_LIMIT && parts[2].1.ends_with("Received: from somewhere\r\n"));
    let parts = one_failure(&Reply::bare(550, "no"), None);
    assert_eq!(parts.len(), 2);
    assert!(parts[0].1.contains("cannot be read any more"));
}

#[test]
fn only_a_well_formed_message_id_is_referred_to() {
    let long = format!("Message-ID: <{}@x>\r\n", "x".repeat(MESSAGE_ID_LIMIT));
    for (header, expected) in [
        ("Message-ID: <a@b>\r\n", Some("<a@b>")),
        ("message-id:\r\n\t<a@b> \r\n", Some("<a@b>")),
        ("Message-ID: <a@b> <c@d>\r\n", None),
        ("Message-ID: <a>\r\n", None),
        ("Message-ID: a@b\r\n", None),
        ("Message-ID: <a\u{fc}@b>\r\n", None),
        ("Message-ID: <a@b\0>\r\n", None),
        (&long, None),
        ("Subject: none\r\n", None),
    ] {
        let reply = Reply::bare(550, "no");
        let bob = address("bob@home.test");
        let failure = failed(&bob, None, &reply, 1);
        let (report, _) = composed(&[failure], Some(header.as_bytes()));
        let report = String::from_utf8(report).unwrap();
        for name in ["In-Reply-To", "References"] {
            let found = report.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            assert_eq!(found, expected, "{header:?}");
        }
    }
}

#[test]
fn every_one_of_ten_thousand_recipients_is_listed_and_the_report_stays_small() {
    for (local_part, listed) in [("x".repeat(100), 10_000), ("\"".repeat(128), 10_000)] {
        let recipients: Vec<Address> = (0..10_000)
            .map(|n| {
                let domain = format!("{}.{}.{}.{n}.test", "a".repeat(63), "b".repeat(63), "c".repeat(63));
                Address::with_local_part(&local_part, Domain::parse(&domain).unwrap()).unwrap()
            })
            .collect();
        let reply = Reply::bare(550, "x".repeat(1_000));
        let failures: Vec<_> =
            recipients.iter().map(|recipient| failed(recipient, Some(recipient), &reply, 1)).collect();
        let parts = parts(&composed(&failures, Some(HEADER)).1);
        assert_eq!(parts[1].1.matches("Final-Recipient: ").count(), listed);
        assert!(parts[0].1.contains("... and 9980 more, all in the second part"));
        let more = [&failures[..], &failures[..]].concat();
        let text = &super::tests::parts(&composed(&more, Some(HEADER)).1)[0].1;
        assert!(text.contains("too many to be listed"), "{text}");
    }
}

/// The report of these to Alice about a message with this header, in one text.
fn told(recipients: &[Told<'_>], envid: Option<&str>, sender: &Address, returned: Returned<'_>) -> String {
    let report = Report {
        id: id(2),
        now: UtcTime(1_795_306_347_500),
        reporting_mta: &Domain::parse("mx.test").unwrap(),
        original: id(1),
        accepted: UtcTime(1_795_306_347_500 - 7_200_000),
        reverse_path: sender,
        envid,
        recipients,
        returned,
        entropy: [0xab; ENTROPY_OCTETS],
    };
    let (header, body) = report.compose();
    let text = String::from_utf8([header, body].concat()).unwrap();
    assert_eq!(text.is_ascii(), report.options().body == BodyType::SevenBit, "{text}");
    assert_eq!(!sender.is_ascii(), report.options().smtputf8);
    text
}

fn assert_has(text: &str, facts: &[&str]) {
    for fact in facts {
        assert!(text.contains(fact), "{fact:?} is not in\n{text}");
    }
}

#[test]
fn each_recipient_is_told_of_by_what_was_done() {
    let (alice, bob, far) = (address("alice@home.test"), address("bob@home.test"), address("c@far.test"));
    let (taken, later) = (Reply::new(250, (2, 1, 5), "taken"), Reply::new(451, (4, 3, 0), "later"));
    let original = OriginalRecipient { kind: "rfc822".into(), address: "Bob+x@old.test".into() };
    let until = UtcTime(1_795_306_347_500 + 3_600_000);
    let recipients = [
        Told { action: Action::Delivered, original: Some(&original), ..failed(&bob, None, &taken, 1) },
        Told { action: Action::Relayed, remote_mta: Some("mx.far.test"), ..failed(&far, None, &taken, 1) },
        Told { action: Action::Delayed { until }, ..failed(&far, None, &later, 3) },
        Told { action: Action::Expanded, ..failed(&alice, None, &taken, 1) },
    ];
    let text = told(&recipients, Some("a b"), &alice, Returned::Header(HEADER));
    assert_has(
        &text,
        &[
            "\r\nSubject: Your message is delayed\r\n",
            "\r\nOriginal-Envelope-Id: a b\r\nReporting-MTA: dns; mx.test\r\n",
            "\r\nOriginal-Recipient: rfc822; Bob+x@old.test\r\nFinal-Recipient: rfc822; bob@home.test\r\n\
             Action: delivered\r\nStatus: 2.1.5\r\nLast-Attempt-Date: ",
            "\r\nAction: relayed\r\nStatus: 2.1.5\r\nRemote-MTA: dns; mx.far.test\r\n",
            "\r\nAction: delayed\r\nStatus: 4.3.0\r\nDiagnostic-Code: smtp; 451 4.3.0 later\r\n",
            "\r\nWill-Retry-Until: Sun, 22 Nov 2026 01:12:27 +0000\r\n",
            "\r\nAction: expanded\r\n",
        ],
    );
}

#[test]
fn only_a_sender_beyond_ascii_gets_a_report_beyond_ascii() {
    let ascii = address("alice@home.test");
    let jose = Address::parse_utf8("jos\u{e9}@home.test").unwrap();
    let reply = Reply::bare(550, "no");
    let header = "Subject: gr\u{fc}n\r\n\r\n".as_bytes();
    let text = told(&[failed(&jose, None, &reply, 1)], None, &ascii, Returned::Header(header));
    assert_has(
        &text,
        &[
            "\r\nContent-Type: message/delivery-status\r\n",
            "\r\nFinal-Recipient: utf-8; jos\\x{E9}@home.test\r\n",
            "\r\n<jos\\x{E9}@home.test>\r\n",
        ],
    );
    let text = told(&[failed(&jose, None, &reply, 1)], None, &jose, Returned::Header(header));
    assert_has(
        &text,
        &[
            "\r\nTo: <jos\u{e9}@home.test>\r\n",
            "\r\nContent-Type: message/global-delivery-status\r\n",
            "\r\nFinal-Recipient: utf-8; jos\u{e9}@home.test\r\n",
            "\r\nContent-Type: message/global-headers\r\n",
            "\r\nSubject: gr\u{fc}n\r\n",
        ],
    );
}

#[test]
fn a_whole_message_is_returned_as_it_was() {
    let alice = address("alice@home.test");
    let reply = Reply::bare(550, "no");
    let body = [bytes::Bytes::from_static("\u{e9}\r\n".as_bytes())];
    let text = told(&[failed(&alice, None, &reply, 1)], None, &alice, Returned::Whole(HEADER, &body));
    let header = str::from_utf8(HEADER).unwrap();
    let part = "\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    assert_has(&text, &[&format!("{part}{header}\u{e9}\r\n"), "It is at the end of this report."]);
}
