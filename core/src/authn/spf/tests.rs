//! Checks against a table in place of DNS. What the suite of the RFC's test cases covers is not repeated here.

use super::*;
use crate::authn::testing::{Liar, Table, run};
use crate::model::{Address, DnsName};
use crate::platform::Record as DnsRecord;

fn receiver() -> Domain {
    Domain::parse("mx.example.org").unwrap()
}

fn check(zone: &str, address: &str, mail_from: &str) -> (Verdict, usize) {
    let table = Table::parse(zone);
    let receiver = receiver();
    let client = Client {
        address: address.parse().unwrap(),
        helo: "helo.test",
        receiver: &receiver,
        now: UtcTime(1_795_333_000_000),
    };
    let reverse_path = match mail_from {
        "" => ReversePath::Null,
        text => ReversePath::Address(Address::parse_utf8(text).unwrap()),
    };
    let sender = Sender::of_mail_from(&reverse_path, client.helo);
    let verdict = run(check_host(&client, &sender, Limits::default(), &table));
    (verdict, table.asked())
}

#[test]
fn results_tell_what_matched_and_what_it_took() {
    use SpfResult as R;
    for (zone, mail_from, result, mechanism, lookups) in [
        ("a.test TXT v=spf1 ip4:192.0.2.0/24 -all", "u@a.test", R::Pass, Some("ip4:192.0.2.0/24"), 0),
        (
            "a.test TXT v=spf1 mx ~all\n a.test MX 1 m.test\n m.test A 192.0.2.9",
            "u@a.test",
            R::SoftFail,
            Some("~all"),
            1,
        ),
        (
            "a.test TXT v=spf1 redirect=b.test\n b.test TXT v=spf1 a:c.test\n c.test A 192.0.2.3",
            "u@a.test",
            R::Pass,
            Some("a:c.test"),
            2,
        ),
        ("a.test TXT v=spf1", "u@a.test", R::Neutral, None, 0),
        ("helo.test TXT v=spf1 -all", "", R::Fail, Some("-all"), 0),
        ("a.test TXT other", "u@a.test", R::None, None, 0),
        ("", "u@[192.0.2.3]", R::None, None, 0),
        ("a.test TXT v=spf1 -all", "u@test", R::None, None, 0),
    ] {
        let (verdict, _) = check(zone, "192.0.2.3", mail_from);
        let found = (verdict.result, verdict.mechanism.as_deref(), verdict.lookups);
        assert_eq!(found, (result, mechanism, lookups), "{zone}: {verdict:?}");
    }
}

#[test]
fn each_way_of_dns_to_give_nothing_has_its_own_result() {
    use SpfResult as R;
    for (zone, result) in [
        ("a.test TXT SERVFAIL", R::TempError),
        ("a.test TXT NODATA", R::None),
        ("", R::None),
        ("a.test TXT v=spf1 a -all\n a.test A SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 a -all\n a.test A NODATA", R::Fail),
        ("a.test TXT v=spf1 mx -all\n a.test MX 1 m.test\n m.test A SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 mx -all\n a.test MX SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 mx -all\n a.test MX 0 .", R::Fail),
        ("a.test TXT v=spf1 exists:b.test -all\n b.test A SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 include:b.test -all\n b.test TXT SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 include:b.test -all", R::PermError),
        ("a.test TXT v=spf1 include:%{l}..test -all", R::PermError),
        ("a.test TXT v=spf1 redirect=b.test", R::PermError),
        ("a.test TXT v=spf1 redirect=b.test\n b.test TXT SERVFAIL", R::TempError),
        ("a.test TXT v=spf1 ptr -all\n 3.2.0.192.in-addr.arpa PTR SERVFAIL", R::Fail),
        ("a.test TXT v=spf1 ptr -all\n 3.2.0.192.in-addr.arpa PTR a.test\n a.test A SERVFAIL", R::Fail),
        ("a.test TXT v=spf1 -all exp=b.test\n b.test TXT SERVFAIL", R::Fail),
    ] {
        let (verdict, _) = check(zone, "192.0.2.3", "u@a.test");
        assert_eq!(verdict.result, result, "{zone}: {verdict:?}");
        let has_problem = matches!(result, R::TempError | R::PermError | R::None);
        assert_eq!(verdict.problem.is_some(), has_problem, "{zone}: {verdict:?}");
    }
}

#[test]
fn records_of_another_type_are_none() {
    use SpfResult as R;
    let receiver = receiver();
    let client = Client {
        address: [192, 0, 2, 3].into(),
        helo: "helo.test",
        receiver: &receiver,
        now: UtcTime(1_795_333_000_000),
    };
    let sender = Sender { identity: Identity::MailFrom, local_part: "u", domain: "a.test" };
    for (term, result) in [
        ("exists:x.test", R::Fail),
        ("a", R::Fail),
        ("mx", R::Fail),
        ("ptr", R::Fail),
        ("exists:x.test a mx", R::PermError),
    ] {
        // The policy and an IPv6 address, whatever is asked for: an IPv4 address, exchanges, names.
        let policy = DnsRecord::Txt(format!("v=spf1 {term} -all").into_bytes());
        let address = DnsRecord::Address("2001:db8::1".parse().unwrap());
        let mut records = vec![policy, address];
        if term == "ptr" {
            records.push(DnsRecord::Ptr(DnsName::parse("a.test").unwrap()));
        }
        let verdict = run(check_host(&client, &sender, Limits::default(), &Liar(records)));
        assert_eq!(verdict.result, result, "{term}: {verdict:?}");
    }
}

#[test]
fn loops_and_crowds_end_at_the_limits() {
    let many_includes: String = (0..11).map(|n| format!("i{n}.test TXT v=spf1 ?all\n")).collect();
    let eleven = (0..11).map(|n| format!("include:i{n}.test ")).collect::<String>();
    let ten = (0..10).map(|n| format!("include:i{n}.test ")).collect::<String>();
    let exchanges = |count| -> String {
        (0..count).map(|n| format!("a.test MX {n} m{n}.test\n m{n}.test A 192.0.2.9\n")).collect()
    };
    let wide: String = format!("a.test TXT v=spf1 {}\n", "include:a.test ".repeat(1_000));
    for (zone, result, most_asked) in [
        ("a.test TXT v=spf1 include:a.test -all".to_owned(), SpfResult::PermError, 11),
        ("a.test TXT v=spf1 redirect=a.test".to_owned(), SpfResult::PermError, 11),
        (
            "a.test TXT v=spf1 include:b.test\n b.test TXT v=spf1 redirect=a.test".to_owned(),
            SpfResult::PermError,
            11,
        ),
        (wide, SpfResult::PermError, 11),
        (format!("{many_includes}a.test TXT v=spf1 {eleven} +all"), SpfResult::PermError, 11),
        (format!("{many_includes}a.test TXT v=spf1 {ten} +all"), SpfResult::Pass, 11),
        (format!("{}a.test TXT v=spf1 mx +all", exchanges(10)), SpfResult::Pass, 12),
        (format!("{}a.test TXT v=spf1 mx +all", exchanges(11)), SpfResult::PermError, 12),
        ("a.test TXT v=spf1 a:x.test a:y.test +all".to_owned(), SpfResult::Pass, 3),
        ("a.test TXT v=spf1 a:x.test a:y.test a:z.test +all".to_owned(), SpfResult::PermError, 4),
        (format!("a.test TXT v=spf1 {}", "a".repeat(64 << 10)), SpfResult::PermError, 1),
        (format!("a.test TXT v=spf1 exists:{}x.test +all", "%{l}".repeat(4_000)), SpfResult::Pass, 2),
    ] {
        let (verdict, asked) = check(&zone, "192.0.2.3", "u@a.test");
        assert_eq!(verdict.result, result, "{:.200}: {verdict:?}", zone);
        assert!(asked <= most_asked, "{asked} questions: {zone:.200}");
    }
}

#[test]
fn a_name_that_is_asked_for_is_taken_from_macros_as_it_is() {
    for (zone, mail_from, result) in [
        // The local-part's slash and equals sign go into the question.
        (
            "a.test TXT v=spf1 exists:%{l}._u.a.test -all\n x=y/z._u.a.test A 127.0.0.2",
            "x=y/z@a.test",
            SpfResult::Pass,
        ),
        // What is not ASCII can be in no name: nothing matches (RFC 8616 §4).
        ("a.test TXT v=spf1 exists:%{l}._u.a.test -all", "j\u{f6}rg@a.test", SpfResult::Fail),
        (
            "a.test TXT v=spf1 exists:%{p}.a.test -all\n unknown.a.test A 127.0.0.2",
            "u@a.test",
            SpfResult::Pass,
        ),
    ] {
        assert_eq!(check(zone, "192.0.2.3", mail_from).0.result, result, "{zone}");
    }
}

#[test]
fn an_explanation_is_shown_only_where_it_can_be() {
    let policy = "a.test TXT v=spf1 -all exp=why.a.test";
    let long = "%{s}".repeat(300);
    for (text, expected) in [
        (
            "%{i} is not %{d}; see http://a.test/?s=%{S}&t=%{t}",
            Some("192.0.2.3 is not a.test; see http://a.test/?s=u%40a.test&t=1795333000"),
        ),
        ("at %{r}", Some("at mx.example.org")),
        ("100%", None),
        ("\u{e9}", None),
        (&*long, None),
    ] {
        let (verdict, _) = check(&format!("{policy}\n why.a.test TXT {text}"), "192.0.2.3", "u@a.test");
        assert_eq!((verdict.result, verdict.explanation.as_deref()), (SpfResult::Fail, expected), "{text}");
    }
    let (verdict, _) =
        check("a.test TXT v=spf1 -all exp=w.test\n w.test TXT %{l}", "192.0.2.3", "j\u{f6}rg@a.test");
    assert_eq!(verdict.explanation, None);
}

#[test]
fn header_fields_say_it_all_and_cannot_be_broken_out_of() {
    let receiver = receiver();
    let client = Client {
        address: [192, 0, 2, 3].into(),
        helo: "evil)\r\nX: 1",
        receiver: &receiver,
        now: UtcTime(0),
    };
    let zone = "a.test TXT v=spf1 ip4:192.0.2.0/24 -all";
    let (verdict, _) = check(zone, "192.0.2.3", "\"a\\\" b\"@a.test");
    assert_eq!(verdict.to_method(), "spf=pass smtp.mailfrom=\"a\\\" b@a.test\"");
    assert_eq!(
        verdict.to_received_spf(&client),
        "Received-SPF: pass (mx.example.org: a.test permits 192.0.2.3 to send for it)\r\n\tclient-ip=192.0.2.3;\r\n\t\
         envelope-from=\"a\\\" b@a.test\";\r\n\thelo=\"evil)??X: 1\";\r\n\treceiver=mx.example.org;\r\n\tidentity=mailfrom;\r\n\t\
         mechanism=\"ip4:192.0.2.0/24\"\r\n"
    );
    let (verdict, _) = check("a.test TXT v=spf1 moo", "2001:db8::1", "u@a.test");
    let why = "a.test: \"moo\": no mechanism of that name, or none that takes this";
    assert_eq!(verdict.to_method(), format!("spf=permerror ({why}) smtp.mailfrom=u@a.test"));
    let field = verdict.to_received_spf(&Client { address: "2001:db8::1".parse().unwrap(), ..client });
    assert!(
        field.contains("client-ip=\"2001:db8::1\"") && field.contains("\r\n\tproblem=\"a.test: \\\"moo\\\""),
        "{field}"
    );
    let sender = Sender::of_helo(client.helo);
    let verdict = Verdict::overdue(&sender);
    assert_eq!(
        verdict.to_method(),
        "spf=temperror (looking up the domain's policy took too long) smtp.helo=\"evil)??X: 1\""
    );
}
