//! Checks against a table in place of DNS.

use super::*;
use crate::authn::testing::{Liar, Table, run};
use crate::platform::Record as DnsRecord;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// `spf` and `dkim` are results and domains: `pass x.test`.
struct Case<'a> {
    zone: &'a str,
    author: &'a str,
    spf: &'a str,
    dkim: &'a [&'a str],
}

fn check_case(case: &Case<'_>) -> (Verdict, usize) {
    let table = Table::parse(case.zone);
    let header = format!("From: Ann <ann@{}>\r\n\r\n", case.author);
    let spf = case.spf.split_once(' ').map(|(result, name)| {
        let all = [SpfResult::Pass, SpfResult::Fail, SpfResult::SoftFail, SpfResult::TempError];
        (all.into_iter().find(|one| one.as_str() == result).unwrap(), domain(name))
    });
    let dkim: Vec<_> = case
        .dkim
        .iter()
        .map(|text| {
            let (result, name) = text.split_once(' ').unwrap();
            let all = [DkimResult::Pass, DkimResult::Fail, DkimResult::TempError];
            (all.into_iter().find(|one| one.as_str() == result).unwrap(), domain(name))
        })
        .collect();
    let evidence = Evidence { spf: spf.as_ref().map(|(result, domain)| (*result, domain)), dkim: &dkim };
    (run(check(header.as_bytes(), &evidence, &table)), table.asked())
}

const ORG: &str = "_dmarc.example.org TXT v=DMARC1; p=reject; sp=quarantine\n";

#[test]
fn aligned_and_authenticated_passes_and_nothing_else_does() {
    let strict = "_dmarc.example.org TXT v=DMARC1; p=reject; adkim=s; aspf=s\n";
    let split =
        "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.own.example.org TXT v=DMARC1; p=none; psd=n\n";
    let suffix = "_dmarc.test TXT v=DMARC1; p=none; psd=y\n _dmarc.a.test TXT v=DMARC1; p=reject\n";
    for (zone, author, spf, dkim, spf_aligned, dkim_aligned) in [
        (ORG, "example.org", "pass example.org", &[][..], true, false),
        (ORG, "example.org", "pass mail.example.org", &[], true, false),
        (ORG, "news.example.org", "", &["pass mail.example.org"], false, true),
        (
            ORG,
            "news.example.org",
            "pass x.test",
            &["fail example.org", "pass y.test", "pass example.org"],
            false,
            true,
        ),
        (ORG, "example.org", "fail example.org", &["fail example.org"], false, false),
        (ORG, "example.org", "pass badexample.org", &["pass org", "pass x.test"], false, false),
        (strict, "example.org", "pass mail.example.org", &["pass mail.example.org"], false, false),
        (strict, "example.org", "pass example.org", &["pass example.org"], true, true),
        (split, "example.org", "pass own.example.org", &["pass a.own.example.org"], false, false),
        (split, "own.example.org", "pass a.own.example.org", &["pass example.org"], true, false),
        (suffix, "a.test", "pass mail.a.test", &["pass b.test", "pass test"], true, false),
    ] {
        let (verdict, _) = check_case(&Case { zone, author, spf, dkim });
        assert_eq!(
            (verdict.is_spf_aligned, verdict.is_dkim_aligned),
            (spf_aligned, dkim_aligned),
            "{author} {spf} {dkim:?}"
        );
        let expected = if spf_aligned || dkim_aligned { DmarcResult::Pass } else { DmarcResult::Fail };
        assert_eq!(verdict.result, expected, "{author} {spf} {dkim:?}");
        assert!(expected == DmarcResult::Fail || verdict.disposition == Policy::None);
    }
}

#[test]
fn the_policy_is_that_of_the_domain_its_organization_or_the_suffix_above() {
    use Policy::{None as N, Quarantine as Q, Reject as R};
    let np = "_dmarc.example.org TXT v=DMARC1; p=none; sp=quarantine; np=reject\n";
    let here = format!("{np} here.example.org A 192.0.2.1");
    let above = format!("{np} x.here.example.org MX 1 .");
    let two = "_dmarc.b.example.org TXT v=DMARC1; p=none\n _dmarc.example.org TXT v=DMARC1; p=reject\n";
    let suffix = "_dmarc.test TXT v=DMARC1; p=none; sp=reject; psd=y\n";
    let middle =
        "_dmarc.b.test TXT v=DMARC1; p=quarantine\n _dmarc.test TXT v=DMARC1; p=none; sp=reject; psd=y\n";
    let inapplicable = "_dmarc.example.org TXT v=DMARC1; p=moo\n _dmarc.org TXT v=DMARC1; p=reject; psd=y\n";
    for (zone, author, found) in [
        (ORG, "example.org", Some(("example.org", R, R))),
        (ORG, "a.b.example.org", Some(("example.org", Q, Q))),
        (np, "gone.example.org", Some(("example.org", R, R))),
        (np, "example.org", Some(("example.org", N, N))),
        (&*here, "here.example.org", Some(("example.org", Q, Q))),
        (&*above, "here.example.org", Some(("example.org", Q, Q))),
        ("_dmarc.example.org TXT v=DMARC1; p=reject; t=y", "example.org", Some(("example.org", R, Q))),
        ("_dmarc.example.org TXT v=DMARC1; p=quarantine; t=y", "a.example.org", Some(("example.org", Q, N))),
        ("_dmarc.example.org TXT v=DMARC1; p=reject; pct=0", "example.org", Some(("example.org", R, R))),
        (two, "a.b.example.org", Some(("example.org", R, R))),
        (two, "b.example.org", Some(("b.example.org", N, N))),
        (suffix, "b.test", Some(("test", R, R))),
        (middle, "a.b.test", Some(("b.test", Q, Q))),
        (middle, "a.c.test", Some(("test", R, R))),
        (inapplicable, "example.org", None),
        (
            "_dmarc.example.org TXT v=DMARC1; sp=moo; rua=mailto:d@x.test",
            "example.org",
            Some(("example.org", N, N)),
        ),
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.example.org TXT v=DMARC1; p=none",
            "example.org",
            None,
        ),
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.example.org TXT other",
            "example.org",
            Some(("example.org", R, R)),
        ),
        ("", "example.org", None),
        ("_dmarc.localhost TXT v=DMARC1; p=reject", "localhost", Some(("localhost", R, R))),
    ] {
        let (verdict, _) = check_case(&Case { zone, author, spf: "", dkim: &[] });
        let published = verdict.published.as_ref();
        let told =
            published.map(|published| (published.domain.as_str(), published.policy, verdict.disposition));
        assert_eq!(told, found, "{author}: {zone}");
        let result = if found.is_some() { DmarcResult::Fail } else { DmarcResult::None };
        assert_eq!(verdict.result, result, "{author}: {zone}");
    }
}

#[test]
fn no_more_than_eight_queries_are_made_for_a_domain() {
    for (author, most) in [
        ("example.org", 2),
        ("a.b.c.d.e.f.g", 7),
        ("a.b.c.d.e.f.g.h", 8),
        ("a.b.c.d.e.f.g.h.i.j.mail.example.com", 8),
    ] {
        let (verdict, asked) = check_case(&Case { zone: "", author, spf: "", dkim: &[] });
        assert_eq!((verdict.result, asked), (DmarcResult::None, most), "{author}");
    }
    // At 7 labels from the right it is found; what lies between is skipped.
    let zone = "_dmarc.h.i.j.mail.example.com TXT v=DMARC1; p=reject";
    let author = "a.b.c.d.e.f.g.h.i.j.mail.example.com";
    assert_eq!(check_case(&Case { zone, author, spf: "", dkim: &[] }).0.result, DmarcResult::Fail);
    let zone = "_dmarc.e.f.g.h.i.j.mail.example.com TXT v=DMARC1; p=reject";
    assert_eq!(check_case(&Case { zone, author, spf: "", dkim: &[] }).0.result, DmarcResult::None);
}

#[test]
fn ten_thousand_signatures_cost_no_more_queries_than_the_limit_allows() {
    let foreign: Vec<String> = (0..10_000).map(|n| format!("pass h{n}.test")).collect();
    let below: Vec<String> = (0..10_000).map(|n| format!("temperror a.b.c.h{n}.example.org")).collect();
    let psd = "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.org TXT v=DMARC1; psd=y\n";
    for (names, most) in [(&foreign, 2), (&below, 2 + 4 * IDENTIFIER_LIMIT)] {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (_, asked) = check_case(&Case { zone: psd, author: "example.org", spf: "", dkim: &names });
        assert!(asked <= most, "{asked}");
    }
}

#[test]
fn a_server_that_does_not_answer_makes_it_temporary_only_where_it_matters() {
    use DmarcResult as R;
    for (zone, author, spf, dkim, result) in [
        ("_dmarc.example.org TXT SERVFAIL", "example.org", "pass example.org", &[][..], R::TempError),
        ("_dmarc.org TXT SERVFAIL", "example.org", "", &[], R::TempError),
        // The domain's own record is enough where names are the same.
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.org TXT SERVFAIL",
            "example.org",
            "pass example.org",
            &[],
            R::Pass,
        ),
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.org TXT SERVFAIL",
            "example.org",
            "pass a.example.org",
            &["pass example.org"],
            R::Pass,
        ),
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject\n _dmarc.org TXT SERVFAIL",
            "example.org",
            "pass a.example.org",
            &[],
            R::TempError,
        ),
        (ORG, "example.org", "temperror example.org", &[], R::TempError),
        (ORG, "example.org", "temperror x.test", &["temperror y.test"], R::Fail),
        (ORG, "example.org", "fail example.org", &["temperror example.org"], R::TempError),
        (ORG, "example.org", "temperror example.org", &["pass example.org"], R::Pass),
        (
            "_dmarc.example.org TXT v=DMARC1; p=none; np=reject\n a.example.org A SERVFAIL",
            "a.example.org",
            "",
            &[],
            R::TempError,
        ),
    ] {
        let (verdict, _) = check_case(&Case { zone, author, spf, dkim });
        assert_eq!(verdict.result, result, "{zone} {spf} {dkim:?}");
        assert_eq!(verdict.problem.is_some(), result == R::TempError, "{zone} {spf} {dkim:?}");
        assert!(result == R::Fail || verdict.disposition == Policy::None);
    }
}

#[test]
fn records_that_are_of_another_type_or_too_many_are_no_policy_and_a_long_one_is_read() {
    let txt = |text: &str| DnsRecord::Txt(text.as_bytes().to_vec());
    let policy = "v=DMARC1; p=reject";
    // Of 64 KiB, as long as a message of DNS can hold; its tags count wherever they stand.
    let long = format!("v=DMARC1; {} p=reject", "x=y; ".repeat(13_000));
    for (records, result) in [
        (vec![DnsRecord::Address([192, 0, 2, 1].into())], DmarcResult::None),
        (vec![DnsRecord::Address([192, 0, 2, 1].into()), txt(policy)], DmarcResult::Fail),
        (vec![txt(policy); 2], DmarcResult::None),
        (vec![txt(policy); 1_000], DmarcResult::None),
        (vec![txt(&long)], DmarcResult::Fail),
        (vec![txt(&"v=DMARC1;".repeat(7_000))], DmarcResult::None),
    ] {
        let header = b"From: a@example.org\r\n\r\n";
        let evidence = Evidence { spf: None, dkim: &[] };
        assert_eq!(run(check(header, &evidence, &Liar(records))).result, result);
    }
}

#[test]
fn a_message_without_one_author_is_told_apart() {
    let evidence = Evidence { spf: None, dkim: &[] };
    for (header, expected) in [
        ("Subject: x\r\n\r\n", "dmarc=permerror (no From field)"),
        ("From: a@x.test\r\nFrom: b@x.test\r\n\r\n", "dmarc=permerror (several From fields)"),
        (
            "From: a@x.test, b@y.test\r\n\r\n",
            "dmarc=permerror (authors of several domains in the From field)",
        ),
        ("From: a@x.test\r\n\r\n", "dmarc=none header.from=x.test"),
    ] {
        let verdict = run(check(header.as_bytes(), &evidence, &Table::parse("")));
        assert_eq!(verdict.to_method(), expected);
    }
}

#[test]
fn the_method_tells_whose_policy_it_was_and_what_it_comes_to() {
    for (zone, spf, expected) in [
        (
            ORG,
            "",
            "dmarc=fail (p=quarantine of example.org) header.from=a.example.org policy.dmarc=quarantine",
        ),
        (ORG, "pass b.example.org", "dmarc=pass (p=quarantine of example.org) header.from=a.example.org"),
        (
            "_dmarc.example.org TXT v=DMARC1; p=reject; t=y",
            "",
            "dmarc=fail (p=reject t=y of example.org) header.from=a.example.org policy.dmarc=quarantine",
        ),
        (
            "_dmarc.a.example.org TXT SERVFAIL",
            "",
            "dmarc=temperror (_dmarc.a.example.org: no server answered) header.from=a.example.org",
        ),
    ] {
        let (verdict, _) = check_case(&Case { zone, author: "a.example.org", spf, dkim: &[] });
        assert_eq!(verdict.to_method(), expected, "{zone}");
    }
}
