//! What is a command line, and what is wrong with others.

use proptest::prelude::*;

use super::*;
use crate::model::options::{Notify, OriginalRecipient, Ret};
use crate::model::{Address, AddressError, BodyType, UtcTime};

fn reverse(text: &str) -> ReversePath {
    ReversePath::try_from(text.to_owned()).unwrap()
}

fn forward(text: &str) -> ForwardPath {
    ForwardPath::Address(Address::parse_utf8(text).unwrap())
}

#[test]
fn commands_are_read_as_clients_write_them() {
    let plain = Box::<MailParameters>::default();
    let with = |size, body| {
        Box::new(MailParameters { size: Some(size), body: Some(body), ..MailParameters::default() })
    };
    let (sized, huge) = (with(1000, BodyType::EightBitMime), with(u64::MAX, BodyType::SevenBit));
    let no = RcptParameters::default();
    let question = |text, smtputf8| Question { text, smtputf8 };
    for (line, expected) in [
        ("HELO foo_bar", Command::Helo("foo_bar")),
        ("ehlo [192.0.2.1]  \t", Command::Ehlo("[192.0.2.1]")),
        ("EHLO  -odd.$name$", Command::Ehlo("-odd.$name$")),
        ("MAIL FROM:<>", Command::Mail(ReversePath::Null, plain.clone())),
        ("mail from: <a@X.test> ", Command::Mail(reverse("a@x.test"), plain.clone())),
        ("MAIL FROM:<\">\"@x.test>", Command::Mail(reverse("\">\"@x.test"), plain.clone())),
        ("MAIL FROM:<\"\\\">\"@x.test>", Command::Mail(reverse("\"\\\">\"@x.test"), plain.clone())),
        ("MAIL FROM:<@a.test,@b.test:u@x.test>", Command::Mail(reverse("u@x.test"), plain)),
        ("MAIL FROM:<> SIZE=1000  body=8bitmime", Command::Mail(ReversePath::Null, sized)),
        ("MAIL FROM:<> BODY=7BIT SIZE=99999999999999999999", Command::Mail(ReversePath::Null, huge)),
        ("RCPT TO:<POSTmaster>", Command::Rcpt(ForwardPath::Postmaster, no.clone())),
        ("rcpt to:\t<@relay.test:u@x.test>", Command::Rcpt(forward("u@x.test"), no.clone())),
        ("DATA ", Command::Data),
        ("rSeT", Command::Rset),
        ("NOOP whatever this is", Command::Noop),
        ("QUIT", Command::Quit),
        ("VRFY alice", Command::Vrfy(question("alice", false))),
        ("expn \u{e9}t\u{e9}  smtputf8", Command::Expn(question("\u{e9}t\u{e9}", true))),
        ("LHLO c.test", Command::Lhlo("c.test")),
        ("RCPT TO:<j\u{f6}rg@x.test>", Command::Rcpt(forward("j\u{f6}rg@x.test"), no)),
        ("BDAT 0  last", Command::Bdat { octets: 0, is_last: true }),
        ("bdat 1000", Command::Bdat { octets: 1000, is_last: false }),
        ("ETRN @x.test", Command::Etrn("@x.test")),
        ("STARTTLS", Command::StartTls),
        ("AUTH plain", Command::Auth { mechanism: "PLAIN".to_owned(), initial: None }),
        ("AUTH SCRAM-SHA-256 =", Command::Auth { mechanism: "SCRAM-SHA-256".to_owned(), initial: Some("=") }),
        ("HELP MAIL", Command::Help),
    ] {
        assert_eq!(command(line.as_bytes()), Ok(expected), "{line:?}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_named() {
    use SyntaxError as E;
    let reverse_path = |error| E::ReversePath(error);
    let forward_path = |error| E::ForwardPath(error);
    let mail_usage = E::Arguments("MAIL FROM:<address> [parameters]");
    for (line, expected) in [
        (&b""[..], E::Unrecognized),
        (b" NOOP", E::Unrecognized),
        (b"NOOPX", E::Unrecognized),
        (b"GET / HTTP/1.1", E::Http),
        (b"TURN", E::NotImplemented),
        (b"EHLO \xc3\xa9", E::InvalidCharacter),
        (b"RSET \xc2\x85", E::InvalidCharacter),
        (b"EXPN SMTPUTF8 \xc3\xa9", E::NeedsUtf8),
        (b"BDAT", E::Arguments("BDAT octets [LAST]")),
        (b"BDAT -1", E::Arguments("BDAT octets [LAST]")),
        (b"BDAT 1 FIRST", E::Arguments("BDAT octets [LAST]")),
        (b"BDAT 1 LAST 2", E::Arguments("BDAT octets [LAST]")),
        (b"BDAT 99999999999999999999", E::Arguments("BDAT octets [LAST]")),
        (b"AUTH", E::Arguments("AUTH mechanism [initial-response]")),
        (b"AUTH PLAIN a b", E::Arguments("AUTH mechanism [initial-response]")),
        (b"STARTTLS now", E::Arguments("STARTTLS")),
        (b"XCLIENT", E::Arguments("name=value ...")),
        (b"XCLIENT ADDR", E::Parameter),
        (b"XCLIENT SHOE=9", E::UnknownParameter),
        (b"XFORWARD ADDR=1 addr=2", E::DuplicateParameter),
        (b"XFORWARD NAME=a+0Ab", E::Parameter),
        (b"NOOP \0", E::InvalidCharacter),
        (b"NOOP\rNOOP", E::InvalidCharacter),
        (b"MAIL FROM:<\xc3\xa9@x.test>", E::NeedsUtf8),
        (b"MAIL FROM:<\xff@x.test>", E::InvalidCharacter),
        (b"HELO", E::Arguments("HELO domain")),
        (b"EHLO two words", E::Arguments("EHLO domain")),
        (b"VRFY", E::Arguments("VRFY string [SMTPUTF8]")),
        (b"DATA now", E::Arguments("DATA")),
        (b"MAIL", mail_usage.clone()),
        (b"MAIL TO:<a@x.test>", mail_usage.clone()),
        (b"MAIL FROM:<a@x.test>SIZE=1", mail_usage),
        (b"MAIL FROM:a@x.test", reverse_path(PathError::Brackets)),
        (b"MAIL FROM:<a@x.test", reverse_path(PathError::Brackets)),
        (b"MAIL FROM:< a@x.test>", reverse_path(PathError::Address(AddressError::BadLocalPart))),
        (b"MAIL FROM:<@a.test>", reverse_path(PathError::SourceRoute)),
        (b"MAIL FROM:<@a.test,b.test:u@x.test>", reverse_path(PathError::SourceRoute)),
        (b"MAIL FROM:<@a.test:>", reverse_path(PathError::SourceRoute)),
        (b"MAIL FROM:<> SIZE", E::Parameter),
        (b"MAIL FROM:<> SIZE=", E::Parameter),
        (b"MAIL FROM:<> SIZE=-1", E::Parameter),
        (b"MAIL FROM:<> SIZE=123456789012345678901", E::Parameter),
        (b"MAIL FROM:<> -X=1", E::Parameter),
        (b"MAIL FROM:<> BODY=7BIT=8BITMIME", E::Parameter),
        (b"MAIL FROM:<> SIZE=1 SIZE=1", E::DuplicateParameter),
        (b"MAIL FROM:<> BODY=LARGE", E::UnknownParameter),
        (b"MAIL FROM:<> X-OTHER=1", E::UnknownParameter),
        (b"MAIL FROM:<> SMTPUTF8=1", E::Parameter),
        (b"MAIL FROM:<> HOLDFOR=0", E::Parameter),
        (b"MAIL FROM:<> HOLDUNTIL=tomorrow", E::Parameter),
        (b"MAIL FROM:<> HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z", E::DuplicateParameter),
        (b"MAIL FROM:<> BY=0;R", E::Parameter),
        (b"MAIL FROM:<> BY=1234567890;N", E::Parameter),
        (b"MAIL FROM:<> BY=5", E::Parameter),
        (b"MAIL FROM:<> MT-PRIORITY=10", E::Parameter),
        (b"MAIL FROM:<> MT-PRIORITY=-0", E::Parameter),
        (b"MAIL FROM:<> RET=ALL", E::Parameter),
        (b"MAIL FROM:<> ENVID=a+0D+0Ab", E::Parameter),
        (b"MAIL FROM:<> AUTH=nobody", E::Parameter),
        (b"RCPT TO:<>", forward_path(PathError::Address(AddressError::NoAt))),
        (b"RCPT TO:<a@>", forward_path(PathError::Address(AddressError::EmptyDomain))),
        (b"RCPT TO:<a@x.test> NOTIFY=NEVER,DELAY", E::Parameter),
        (b"RCPT TO:<a@x.test> NOTIFY=NEVER NOTIFY=NEVER", E::DuplicateParameter),
        (b"RCPT TO:<a@x.test> ORCPT=a@x.test", E::Parameter),
        (b"RCPT TO:<a@x.test> ORCPT=rfc822;a+0Ab@x.test", E::Parameter),
        (b"RCPT TO:<a@x.test> ORCPT=utf-8;a\\x{D800}@x.test", E::Parameter),
        (b"RCPT TO:<a@x.test> =", E::Parameter),
    ] {
        assert_eq!(command(line), Err(expected), "{:?}", String::from_utf8_lossy(line));
    }
}

#[test]
fn parameters_are_read_and_decoded() {
    let line = "MAIL FROM:<\u{fc}@x.test> SMTPUTF8 BODY=BINARYMIME RET=hdrs ENVID=a+2Bb AUTH=c@x.test BY=-30;nt \
                HOLDUNTIL=2030-01-01T00:00:00Z MT-PRIORITY=-9 REQUIRETLS";
    let expected = MailParameters {
        size: None,
        body: Some(BodyType::BinaryMime),
        smtputf8: Some(()),
        ret: Some(Ret::Headers),
        envid: Some("a+b".to_owned()),
        auth: Some(Some(Address::parse("c@x.test").unwrap())),
        by: Some(By { seconds: -30, is_return: false, is_traced: true }),
        hold: Some(Hold::Until(UtcTime::from_rfc3339("2030-01-01T00:00:00Z").unwrap())),
        priority: Some(-9),
        require_tls: Some(()),
    };
    assert_eq!(command(line.as_bytes()), Ok(Command::Mail(reverse("\u{fc}@x.test"), Box::new(expected))));
    let original = |kind: &str, address: &str| {
        Some(OriginalRecipient { kind: kind.to_owned(), address: address.to_owned() })
    };
    let both = Notify { success: true, failure: false, delay: true };
    for (parameters, expected) in [
        ("NOTIFY=delay,success", RcptParameters { notify: Some(both), original: None }),
        ("notify=never", RcptParameters { notify: Some(Notify::default()), original: None }),
        (
            "ORCPT=RFC822;a+2Bb@x.test",
            RcptParameters { notify: None, original: original("rfc822", "a+b@x.test") },
        ),
        (
            "ORCPT=utf-8;\\x{20AC}@x.test",
            RcptParameters { notify: None, original: original("utf-8", "\u{20ac}@x.test") },
        ),
    ] {
        let line = format!("RCPT TO:<u@x.test> {parameters}");
        assert_eq!(
            command(line.as_bytes()),
            Ok(Command::Rcpt(forward("u@x.test"), expected)),
            "{parameters}"
        );
    }
}

#[test]
fn what_a_proxy_says_is_read() {
    let attribute = |name: &str, value: Option<&str>| Attribute {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    let line = b"XCLIENT addr=IPV6:2001:db8::1 NAME=[UNAVAILABLE] HELO=a+20b";
    let expected = [
        attribute("ADDR", Some("IPV6:2001:db8::1")),
        attribute("NAME", None),
        attribute("HELO", Some("a b")),
    ];
    assert_eq!(command(line), Ok(Command::Xclient(expected.to_vec())));
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(head in "(MAIL FROM:|RCPT TO:|EHLO |MAIL FROM:<> |RCPT TO:<a@b> |BDAT |XCLIENT |AUTH |VRFY |)", tail in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = command(&[head.as_bytes(), &tail].concat());
    }
}
