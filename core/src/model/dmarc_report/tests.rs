//! The document against the example and the schema of RFC 9990, and the message around it.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::model::dmarc_policy::{Alignment, Policy};
use crate::model::verdict::{DkimResult, SpfResult};
use crate::model::{Address, Domain, UtcTime};

const PERIOD: Period = Period { begin: 302_832_000, end: 302_918_399 };
const REPORTER: Reporter<'_> =
    Reporter { organization: "Sample & Sons", email: "dmarc@reporter.test", contact: None };

/// The values of RFC 9990 Appendix B, written down anew.
const EXAMPLE: &str = r#"<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>Sample Reporter</org_name>
    <email>report_sender@example-reporter.com</email>
    <extra_contact_info>...</extra_contact_info>
    <report_id>3v98abbp8ya9n3va8yr8oa3ya</report_id>
    <date_range><begin>302832000</begin><end>302918399</end></date_range>
    <generator>Example DMARC Aggregate Reporter v1.2</generator>
  </report_metadata>
  <policy_published>
    <domain>example.com</domain>
    <p>quarantine</p><sp>none</sp><np>none</np>
    <testing>n</testing>
    <discovery_method>treewalk</discovery_method>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.123</source_ip>
      <count>123</count>
      <policy_evaluated><disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated>
    </row>
    <identifiers><envelope_from>example.com</envelope_from><header_from>example.com</header_from></identifiers>
    <auth_results>
      <dkim><domain>example.com</domain><result>pass</result><selector>abc123</selector></dkim>
      <spf><domain>example.com</domain><result>fail</result></spf>
    </auth_results>
  </record>
</feedback>"#;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn policy() -> PublishedPolicy {
    PublishedPolicy {
        domain: domain("example.com"),
        p: Policy::Quarantine,
        sp: Some(Policy::None),
        np: None,
        adkim: Alignment::Relaxed,
        aspf: Alignment::Strict,
        is_testing: false,
    }
}

fn row(source: &str) -> Row {
    Row {
        policy: policy(),
        source: source.parse().unwrap(),
        disposition: Disposition::Pass,
        is_dkim_aligned: true,
        is_spf_aligned: false,
        overridden: None,
        header_from: domain("example.com"),
        envelope_from: Some(domain("bounces.example.com")),
        dkim: vec![Signer {
            domain: domain("example.com"),
            selector: "<abc&123>".to_owned(),
            result: DkimResult::Pass,
        }],
        spf: Some((domain("bounces.example.com"), SpfResult::Fail)),
    }
}

fn rows() -> Rows {
    let sealed = Override::TrustedForwarder(domain("list.test"));
    let forwarded = Row {
        disposition: Disposition::None,
        is_dkim_aligned: false,
        overridden: Some(sealed),
        envelope_from: None,
        dkim: Vec::new(),
        spf: None,
        ..row("2001:db8::1")
    };
    [(row("::ffff:192.0.2.123"), 123), (forwarded, 2)].into()
}

#[test]
fn the_example_of_the_rfc_is_read() {
    let report = Feedback::from_xml(EXAMPLE).unwrap();
    assert_eq!(report.policy_published.domain, "example.com");
    assert_eq!(report.policy_published.np.as_deref(), Some("none"));
    assert_eq!((report.record.len(), report.messages()), (1, 123));
    let evaluated = &report.record[0].row.policy_evaluated;
    assert_eq!((evaluated.disposition.as_str(), evaluated.spf.as_str()), ("pass", "fail"));
    assert_eq!(report.record[0].auth_results.dkim[0].selector, "abc123");
}

#[test]
fn elements_stand_in_the_order_of_the_schema_and_nothing_in_them_is_taken_for_markup() {
    let report = Feedback::new(&REPORTER, "abc", PERIOD, &policy(), &rows());
    let xml = report.to_xml();
    let mut rest = xml.as_str();
    for part in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"><version>1.0</version><report_metadata>",
        "<org_name>Sample &amp; Sons</org_name>",
        "<report_id>abc</report_id><date_range><begin>302832000</begin><end>302918399</end></date_range>",
        "</report_metadata><policy_published><domain>example.com</domain>",
        "<p>quarantine</p><sp>none</sp><np>none</np><adkim>r</adkim><aspf>s</aspf><testing>n</testing>",
        "</policy_published><record><row><source_ip>192.0.2.123</source_ip><count>123</count><policy_evaluated>\
         <disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers>",
        "<envelope_from>bounces.example.com</envelope_from>",
        "</identifiers><auth_results><dkim><domain>example.com</domain><selector>&lt;abc&amp;123&gt;</selector>\
         <result>pass</result></dkim><spf><domain>bounces.example.com</domain><scope>mfrom</scope><result>fail</result></spf>\
         </auth_results></record><record>",
        "<reason><type>trusted_forwarder</type><comment>arc=pass sealed by list.test</comment></reason>",
        "</record></feedback>",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part} in its place in\n{xml}"));
        rest = &rest[at + part.len()..];
    }
    assert_eq!(Feedback::from_xml(&xml), Ok(report));
}

#[test]
fn no_document_makes_it_panic_and_none_that_is_no_report_is_read() {
    for (text, is_read) in [
        ("", false),
        ("<feedback/>", false),
        ("<feedback><report_metadata/>", false),
        ("<!DOCTYPE x [<!ENTITY a \"aaaa\">]><feedback>&a;</feedback>", false),
        ("<x>\u{0}</x>", false),
        (&*"<a>".repeat(10_000), false),
        (EXAMPLE, true),
        (&*EXAMPLE.replace(" xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"", ""), true),
    ] {
        assert_eq!(Feedback::from_xml(text).is_ok(), is_read, "{text:.60}");
    }
}

#[test]
fn a_report_is_a_gzip_file_in_a_message_of_the_form_that_the_rfc_wants() {
    let xml = Feedback::new(&REPORTER, "abc1", PERIOD, &policy(), &rows()).to_xml();
    let (from, to) = (Address::parse("dmarc@reporter.test").unwrap(), Address::parse("rua@x.test").unwrap());
    let about = domain("example.com");
    let mail =
        Mail { id: "abc1", now: UtcTime(0), domain: &about, period: PERIOD, from: &from, to: &to, xml: &xml };
    let octets = mail.compose();
    assert_eq!(octets, mail.compose());
    let text = String::from_utf8(octets).unwrap();
    assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 998));
    let unfolded = text.replace("\r\n ", " ").replace("\r\n\t", " ");
    let subject = "Subject: Report Domain: example.com Submitter: reporter.test Report-ID: <abc1>\r\n";
    let name = "reporter.test!example.com!302832000!302918399!abc1.xml.gz";
    for part in [
        subject,
        "From: <dmarc@reporter.test>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "application/gzip",
        name,
    ] {
        assert!(unfolded.contains(part), "no {part} in\n{text}");
    }
    assert!(is_report(text.as_bytes()));
    let encoded = text.rsplit("\r\n\r\n").find(|part| part.starts_with("H4sI")).unwrap();
    let encoded: String = encoded.lines().take_while(|line| !line.starts_with("--")).collect();
    let mut found = String::new();
    flate2::read::GzDecoder::new(&STANDARD.decode(encoded).unwrap()[..]).read_to_string(&mut found).unwrap();
    assert_eq!(found, xml);
}

#[test]
fn reports_are_known_by_their_subject() {
    for (subject, expected) in [
        ("Report Domain: a.test Submitter: b.test Report-ID: <1>", true),
        ("Report\r\n Domain: a.test\r\n\tSubmitter: b.test", true),
        ("Re: Report Domain: a.test Submitter: b.test", false),
        ("Report Domain: a.test", false),
        ("Report domain: a.test Submitter: b.test Report-ID: 1", true),
        ("[Preview] Report Domain: a.test Submitter: b.test", true),
        ("[Preview]", false),
        ("", false),
    ] {
        let header = format!("From: a@a.test\r\nSubject: {subject}\r\n\r\n");
        assert_eq!(is_report(header.as_bytes()), expected, "{subject}");
    }
}
