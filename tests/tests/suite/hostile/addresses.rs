//! Addresses that are written so that they look like others, or are others: quotes, literals, characters beyond ASCII, NUL.

use std::time::Duration;

use fulmar_core::config::{AccessAction, AccessRule, AddressPattern};
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node, address};

use super::{ALICE, ground};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";
/// `jörg@bücher.test`, composed.
const JOERG: &str = "j\u{f6}rg@b\u{fc}cher.test";
/// The same, of letters and marks.
const JOERG_APART: &str = "jo\u{308}rg@bu\u{308}cher.test";

/// Names a recipient in a transaction of its own, and gives the reply.
fn rcpt(client: &mut Client, recipient: &str) -> String {
    client.command("MAIL FROM:<sender@far.test> SMTPUTF8", "250 ");
    client.send(format!("RCPT TO:<{recipient}>\r\n"));
    let reply = client.reply();
    assert!(reply.is_ascii() && reply.lines().count() == 1, "{recipient}: {reply:?}");
    client.command("RSET", "250 ");
    reply
}

#[test]
fn an_address_means_the_same_however_it_is_quoted() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    for (recipient, expected) in [
        (r#""alice"@home.test"#, "250 2.1.5 "),
        (r#""a\lice"@home.test"#, "250 2.1.5 "),
        (r#""\a\l\i\c\e"@home.test"#, "250 2.1.5 "),
        ("ALICE@HOME.TEST", "250 2.1.5 "),
        ("alice@home.test.", "250 2.1.5 "),
        (r#""alice "@home.test"#, "550 5.1.1 "),
        (r#"" alice"@home.test"#, "550 5.1.1 "),
        (r#""\"alice\""@home.test"#, "550 5.1.1 "),
        (r#""alice@home.test"@home.test"#, "550 5.1.1 "),
        (r#""alice@home.test> SMTPUTF8"@home.test"#, "550 5.1.1 "),
        (r#""alice""@home.test"#, "501 5.1.3 "),
        (r#""alice"bob@home.test"#, "501 5.1.3 "),
        (r#"a"lic"e@home.test"#, "501 5.1.3 "),
        (r#""alice@home.test"#, "501 5.1.3 "),
        (r#""alice\"@home.test"#, "501 5.1.3 "),
        (r#"""@home.test"#, "501 5.1.3 "),
        ("alice@home.test@far.test", "501 5.1.3 "),
        ("alice @home.test", "501 5.1.3 "),
        ("alice@home.test ", "501 5.1.3 "),
        ("(x)alice@home.test", "501 5.1.3 "),
        ("alice@home..test", "501 5.1.3 "),
        ("alice@.home.test", "501 5.1.3 "),
        ("alice@-home.test", "501 5.1.3 "),
        ("alice@home.test:25", "501 5.1.3 "),
    ] {
        let reply = rcpt(&mut client, recipient);
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
}

#[test]
fn no_address_literal_and_no_source_route_is_a_way_round() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    for (recipient, expected) in [
        ("alice@[127.0.0.1]", "550 5.7.1 "),
        ("alice@[IPv6:::1]", "550 5.7.1 "),
        ("alice@[IPv6:::ffff:127.0.0.1]", "550 5.7.1 "),
        ("alice@127.0.0.1", "550 5.7.1 "),
        ("alice@[127.1]", "501 5.1.3 "),
        ("alice@[0x7f.0.0.1]", "501 5.1.3 "),
        ("alice@[0177.0.0.1]", "501 5.1.3 "),
        ("alice@[2130706433]", "501 5.1.3 "),
        ("alice@[::1]", "501 5.1.3 "),
        ("alice@[IPv6:::1%lo]", "501 5.1.3 "),
        ("alice@[home.test]", "501 5.1.3 "),
        ("alice@[x:home.test]", "501 5.1.3 "),
        ("alice@[127.0.0.1]home.test", "501 5.1.3 "),
        ("alice@[127.0.0.1", "501 5.1.3 "),
        ("@[127.0.0.1]:alice@far.test", "550 5.7.1 "),
        ("@far.test:alice@[127.0.0.1]", "550 5.7.1 "),
        ("@home.test:alice@far.test", "550 5.7.1 "),
        ("@far.test:@far.test:alice@home.test", "501 5.1.3 "),
        ("@far.test,alice@home.test", "501 5.1.3 "),
        ("@far.test:", "501 5.1.3 "),
        ("@:alice@home.test", "501 5.1.3 "),
        ("@far.test:alice@home.test", "250 2.1.5 "),
    ] {
        let reply = rcpt(&mut client, recipient);
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
}

#[test]
fn a_character_of_two_forms_is_one_account_and_whoever_looks_like_it_is_nobody() {
    let node = Ground::new(|_| ()).account(JOERG).account(ALICE).start();
    let again = node.administer(async |admin| admin.account_add(&address(JOERG_APART), "password").await);
    assert!(again.is_err(), "two accounts that nobody can tell apart");
    let mut client = node.client();
    let own = [
        JOERG,
        JOERG_APART,
        "J\u{d6}RG@B\u{dc}CHER.test",
        "JO\u{308}RG@xn--bcher-kva.test",
        // Full width, and the full stop of other scripts: IDNA maps them in domains (RFC 5895 §2).
        "j\u{f6}rg@\u{ff42}\u{fc}cher.test",
        "j\u{f6}rg@b\u{fc}cher\u{3002}test",
        "j\u{f6}rg@xn--BCHER-kva.TEST.",
    ];
    for recipient in own {
        client.command("MAIL FROM:<sender@far.test> SMTPUTF8", "250 ");
        client.command(&format!("RCPT TO:<{recipient}>"), "250 2.1.5 ");
        client.command("DATA", "354 ");
        client.send(format!("{MESSAGE}.\r\n"));
        let id = client.accepted();
        node.delivered(&id, JOERG);
    }
    assert_eq!(node.inbox(JOERG).len(), own.len());
    for (recipient, expected) in [
        // Cyrillic, Greek, full width, mathematical, with marks, with a soft hyphen, and turned round.
        ("\u{430}lice@home.test", "550 5.1.1 "),
        ("alic\u{435}@home.test", "550 5.1.1 "),
        ("\u{3b1}lice@home.test", "550 5.1.1 "),
        ("\u{ff41}lice@home.test", "550 5.1.1 "),
        ("\u{1d41a}lice@home.test", "550 5.1.1 "),
        ("al\u{131}ce@home.test", "550 5.1.1 "),
        ("a\u{301}lice@home.test", "550 5.1.1 "),
        ("al\u{ad}ice@home.test", "501 5.1.3 "),
        ("al\u{200d}ice@home.test", "501 5.1.3 "),
        ("al\u{2060}ice@home.test", "501 5.1.3 "),
        ("al\u{feff}ice@home.test", "501 5.1.3 "),
        ("\u{202e}ecila@home.test", "501 5.1.3 "),
        // A domain in which one letter is of another script is another domain.
        ("alice@h\u{43e}me.test", "550 5.7.1 "),
        ("alice@hom\u{435}.test", "550 5.7.1 "),
        ("alice@ho\u{200b}me.test", "250 2.1.5 "),
        ("alice@home\u{2100}x.test", "501 5.1.3 "),
        ("alice@xn--home-.test", "501 5.1.3 "),
        // An at-sign and a bracket that are none.
        ("alice\u{ff20}home.test", "501 5.1.3 "),
        ("alice@home.test\u{ff1e}", "501 5.1.3 "),
    ] {
        let reply = rcpt(&mut client, recipient);
        assert!(reply.starts_with(expected), "{}: {reply}", recipient.escape_unicode());
    }
    // Without SMTPUTF8 none of it is an address.
    client.command("MAIL FROM:<j\u{f6}rg@far.test>", "553 5.6.7 ");
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command(&format!("RCPT TO:<{JOERG}>"), "553 5.6.7 ");
}

#[test]
fn no_other_way_of_writing_an_address_gets_past_an_access_list() {
    let deny = |senders: &[&str], recipients: &[&str]| {
        let patterns = |texts: &[&str]| -> Vec<AddressPattern> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        AccessRule {
            list: None,
            clients: Vec::new(),
            hellos: Vec::new(),
            senders: patterns(senders),
            recipients: patterns(recipients),
            action: AccessAction::Deny,
            reply: None,
        }
    };
    let node = Ground::new(|config| {
        config.policy.access =
            vec![deny(&["b\u{fc}cher.test", "eve@far.test", "\u{e9}ve@far.test"], &[]), deny(&[], &[ALICE])];
    })
    .account(ALICE)
    .start();
    let mut client = node.client();
    for sender in [
        "x@b\u{fc}cher.test",
        "x@bu\u{308}cher.test",
        "x@B\u{dc}CHER.TEST",
        "x@xn--bcher-kva.test",
        "x@XN--BCHER-KVA.test.",
        "x@b\u{fc}cher\u{ff0e}test",
        "eve@far.test",
        "\"eve\"@far.test",
        "\"\\eve\"@FAR.test",
        "EVE@far.test.",
        "@a.test,@b.test:eve@far.test",
        "\u{e9}ve@far.test",
        "e\u{301}ve@far.test",
        "\u{c9}VE@\u{ff46}ar.test",
    ] {
        client.command(&format!("MAIL FROM:<{sender}> SMTPUTF8"), "550 5.7.1 ");
    }
    for recipient in [
        ALICE,
        "Alice@HOME.test.",
        "\"alice\"@home.test",
        "@a.test:alice@home.test",
        "alice@\u{ff48}ome.test",
    ] {
        let reply = rcpt(&mut client, recipient);
        assert!(reply.starts_with("550 5.7.1 "), "{recipient}: {reply}");
    }
}

#[test]
fn nul_is_no_part_of_any_address() {
    let mut node: Node = ground(|_| ()).start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test> SMTPUTF8", "250 ");
    for line in [
        "RCPT TO:<alice\0@home.test>",
        "RCPT TO:<alice@home.test\0>",
        "RCPT TO:<alice@home.test\0.far.test>",
        "RCPT TO:<\"alice\0\"@home.test>",
        "RCPT TO:<\"alice\\\0\"@home.test>",
        "RCPT TO:<alice@home.test>\0",
        "\0RCPT TO:<alice@home.test>",
        "RCPT\0TO:<alice@home.test>",
    ] {
        client.command(line, "500 5.5.2 ");
    }
    client.command("RCPT TO:<alice@home.test> ORCPT=rfc822;alice+00@home.test", "501 5.5.4 ");
    client.command("DATA", "503 5.5.1 ");
    drop(client);
    node.shut_down(Duration::from_secs(10));
    assert_eq!(node.accepted(), 0);
}
