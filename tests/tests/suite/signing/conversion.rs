//! What a host gets converted to fewer octets is signed anew: what leaves us verifies (RFC 6376 §5.3).

use fulmar_core::model::BodyType;

use super::*;

/// A header of Alice's, to which what says how the body is encoded is added.
const HEAD: &str =
    "From: Alice <alice@home.test>\r\nTo: b@far.test\r\nSubject: hello\r\nMIME-Version: 1.0\r\n";
const EIGHT_BIT: &[&str] = &["PIPELINING", "CHUNKING", "8BITMIME"];

fn text() -> Vec<u8> {
    let label = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    format!("{HEAD}{label}gr\u{fc}n  is = a colour \r\n\r\n").into_bytes()
}

/// Parts within parts, and a message within the message.
fn nested() -> Vec<u8> {
    let message = "Subject: within\r\nFrom: c@far.test\r\n\r\nd\u{e9}j\u{e0} vu\r\n";
    format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: 8bit\r\n\r\npre\u{e9}mble\r\n\
         --o\r\nContent-Type: multipart/alternative; boundary=i\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         --i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n<p>\u{fc}ber</p>\r\n--i--\r\n\
         --o\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{message}\r\n\
         --o\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u{df}\u{df}\r\n--o--\r\n"
    )
    .into_bytes()
}

fn binary() -> Vec<u8> {
    let label = "Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    [format!("{HEAD}{label}").as_bytes(), &b"\0a\nb\r\xff"[..], "\u{fc}\t \r\n".repeat(50).as_bytes()]
        .concat()
}

/// Nobody says what its octets are.
fn unlabelled() -> Vec<u8> {
    MESSAGE.replace("works", "w\u{f6}rks").into_bytes()
}

fn large() -> Vec<u8> {
    [text(), "Gr\u{fc}\u{df}e aus  K\u{f6}ln\t\r\n".repeat(LARGE / 22).into_bytes()].concat()
}

fn send(node: &Node, kind: BodyType, content: &[u8]) -> String {
    node.send_with(ALICE, MailOptions::of(kind), &[(FAR, RecipientOptions::default())], content.to_vec())
}

#[test]
fn what_is_converted_for_a_host_verifies_there() {
    let folder = tempfile::tempdir().unwrap();
    let zone = Zone::default();
    let (seven, eight) = (Sink::start(Script::default()), Sink::start(Script::default().offering(EIGHT_BIT)));
    let all = Script::default().offering(EIGHT_BIT).offering(&["BINARYMIME"]);
    let whole = Sink::start(all);
    let mut made: Option<Vec<DomainKeySummary>> = None;
    for (sink, most) in
        [(&seven, BodyType::SevenBit), (&eight, BodyType::EightBitMime), (&whole, BodyType::BinaryMime)]
    {
        // From memory, and read again from the store.
        for memory in [16 << 20, 0] {
            let mut ground = ground_with(folder.path(), sink, |config| config.queue.memory = memory);
            if made.is_none() {
                ground = ground.account(ALICE);
            }
            let node = ground.start();
            let keys = made.get_or_insert_with(|| generate(&node, "home.test", &zone, &[]));
            for (kind, content) in [
                (BodyType::EightBitMime, text()),
                (BodyType::EightBitMime, nested()),
                (BodyType::EightBitMime, unlabelled()),
                (BodyType::EightBitMime, large()),
                (BodyType::BinaryMime, binary()),
            ] {
                let before = sink.accepted().len();
                send(&node, kind, &content);
                let arrived = sink.wait_for_accepted(before + 1).pop().unwrap().content;
                let shown = String::from_utf8_lossy(split(&arrived).0).into_owned();
                assert_eq!(signers(&arrived, &zone, &node), expected("home.test", keys), "{most:?}: {shown}");
                assert!(arrived.is_ascii() || most > BodyType::SevenBit, "{most:?}: {shown}");
                assert_eq!(arrived.ends_with(&content), kind <= most, "{most:?}: {shown}");
            }
        }
    }
}

#[test]
fn a_client_that_sends_chunks_to_a_host_without_them_has_its_message_signed() {
    let (folder, sink, zone) =
        (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
    let node = ground(folder.path(), &sink).account(ALICE).start();
    let keys = generate(&node, "home.test", &zone, &[]);
    let content = binary();
    let mut client = node.client();
    client.command(&format!("MAIL FROM:<{ALICE}> BODY=BINARYMIME"), "250 ");
    client.command(&format!("RCPT TO:<{FAR}>"), "250 ");
    let (one, other) = content.split_at(content.len() / 2);
    client.send([format!("BDAT {}\r\n", one.len()).as_bytes(), one].concat());
    client.expect("250 ");
    client.send([format!("BDAT {} LAST\r\n", other.len()).as_bytes(), other].concat());
    client.accepted();
    let arrived = sink.wait_for_accepted(1).remove(0).content;
    assert_eq!(signers(&arrived, &zone, &node), expected("home.test", &keys));
    assert!(arrived.is_ascii());
}

#[test]
fn nobody_has_a_message_signed_by_having_it_converted() {
    let (folder, sink, zone) =
        (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
    let ground = ground(folder.path(), &sink).account(ALICE).alias("away@home.test", &[FAR]);
    let mut node = ground.start();
    let keys = generate(&node, "home.test", &zone, &[]);
    let far = node.listen(Protocol::Smtp, Some("192.0.2.9:1024".parse().unwrap()));
    let by_stranger = |content: &[u8]| {
        let before = sink.accepted().len();
        let mut client = Client::greeted(far);
        client.command("MAIL FROM:<mallory@foe.test> BODY=8BITMIME", "250 ");
        client.command("RCPT TO:<away@home.test>", "250 ");
        client.command("DATA", "354 ");
        client.send(content);
        client.send(".\r\n");
        client.accepted();
        sink.wait_for_accepted(before + 1).pop().unwrap().content
    };
    // As Alice has sent it to somebody, with our signatures, so that the stranger knows how they look.
    send_home(&node);
    let genuine = node.inbox(ALICE).remove(0);
    let at = genuine.windows(14).position(|octets| octets == b"DKIM-Signature").unwrap();
    let genuine = String::from_utf8(genuine[at..].to_vec()).unwrap();
    for (what, content, is_good) in [
        ("unsigned", String::from_utf8(text()).unwrap(), None),
        ("our signatures of other words", genuine.replace("a colour", "a lie"), Some(false)),
        (
            "our signatures under another subject",
            genuine.replace("Subject: hello", "Subject: bye"),
            Some(false),
        ),
        ("our signatures with a field more", format!("Sender: mallory@foe.test\r\n{genuine}"), Some(false)),
        ("as Alice has sent it", genuine.clone(), Some(true)),
    ] {
        let report = verify(&by_stranger(content.as_bytes()), &zone, &node);
        let results: Vec<_> = report.signatures.iter().map(|one| one.result == DkimResult::Pass).collect();
        assert_eq!(results, is_good.map_or(vec![], |is_good| vec![is_good; keys.len()]), "{what}");
    }
}

/// Sends what is signed and 8-bit to Alice herself.
fn send_home(node: &Node) {
    let to = [(ALICE, RecipientOptions::default())];
    let id = node.send_with(ALICE, MailOptions::of(BodyType::EightBitMime), &to, text());
    node.delivered(&id, ALICE);
}
