//! Attachments as they come, and as they come from those who mean harm.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use proptest::prelude::*;

use super::*;

const XML: &str = "<feedback><report_metadata><org_name>o</org_name><date_range><begin>1</begin><end>2</end></date_range>\
                   </report_metadata><policy_published><domain>x.test</domain><p>none</p></policy_published></feedback>";

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// An archive of one file, as far as it is looked at.
fn zip(octets: &[u8], flags: u8) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    archive(8, flags, &encoder.finish().unwrap(), 0)
}

/// An archive of one file that is not packed and says that it has so many octets.
fn stored(octets: &[u8], len: u32) -> Vec<u8> {
    archive(0, 0, octets, len)
}

fn archive(method: u8, flags: u8, data: &[u8], len: u32) -> Vec<u8> {
    let sizes = [&[0; 8][..], &len.to_le_bytes(), &[0; 4], &[5, 0, 0, 0]].concat();
    let header = [ZIP, &[20, 0, flags, 0, method, 0], &sizes, b"r.xml"].concat();
    assert_eq!(header.len(), ZIP_HEADER + 5);
    [&header, data].concat()
}

fn message(kind: &str, octets: &[u8]) -> Vec<u8> {
    messages(&[(kind, octets)])
}

/// A message with these attachments.
fn messages(attachments: &[(&str, &[u8])]) -> Vec<u8> {
    let mut message = b"Subject: Report Domain: x.test Submitter: y.test\r\nMIME-Version: 1.0\r\n\
                        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        .to_vec();
    for (kind, octets) in attachments {
        let encoded = STANDARD.encode(octets);
        let part =
            format!("--b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n");
        message.extend_from_slice(part.as_bytes());
    }
    message.extend_from_slice(b"--b--\r\n");
    message
}

/// A document with this before its end, and behind its begin.
fn with(more: &str) -> String {
    XML.replace("</feedback>", &(more.to_owned() + "</feedback>"))
}

#[test]
fn a_report_is_found_however_it_is_packed() {
    let two_files = [zip(XML.as_bytes(), 0), zip(b"<other/>", 0)].concat();
    for (kind, octets) in [
        ("application/gzip; name=r.xml.gz", gzip(XML.as_bytes())),
        ("application/octet-stream; name=R.XML.GZ", gzip(XML.as_bytes())),
        ("application/zip; name=r.zip", zip(XML.as_bytes(), 0)),
        ("application/zip", stored(XML.as_bytes(), XML.len() as u32)),
        ("application/x-zip-compressed; name=r.zip", two_files),
        ("text/xml; name=r.xml", XML.as_bytes().to_vec()),
        ("text/xml", [b"\xef\xbb\xbf", XML.as_bytes()].concat()),
        ("text/xml", XML.replace(">o<", ">\u{fffd}<").into_bytes()),
    ] {
        let (attachment, report) = find_report(&message(kind, &octets)).unwrap();
        assert_eq!(report.policy_published.domain, "x.test", "{kind}");
        // What is stored is what came, and is read again.
        assert_eq!(attachment, octets, "{kind}");
        assert_eq!(read_report(&attachment), Ok(report), "{kind}");
    }
}

#[test]
fn a_report_is_found_behind_a_few_attachments_that_are_none() {
    let other = ("application/zip", &b"other"[..]);
    let report = ("text/xml", XML.as_bytes());
    let picture = ("image/png", &b"picture"[..]);
    assert!(find_report(&messages(&[picture, picture, picture, other, other, report])).is_ok());
    assert_eq!(
        find_report(&messages(&[other, other, other, report])).unwrap_err(),
        find_report(&messages(&[other])).unwrap_err()
    );
}

#[test]
fn what_unpacks_to_more_than_is_taken_is_not_read() {
    let bomb = with(&" ".repeat(DOCUMENT_LIMIT as usize));
    let most = with(&" ".repeat(DOCUMENT_LIMIT as usize - XML.len()));
    let tags = |count: usize| with(&"<x/>".repeat(count));
    let own = memchr::memchr_iter(b'<', XML.as_bytes()).count();
    let long = Err("a document that is too long".to_owned());
    let many = Err("a document of too many tags".to_owned());
    let read = Ok(());
    for (name, octets, expected) in [
        ("gzip", gzip(bomb.as_bytes()), &long),
        ("zip", zip(bomb.as_bytes(), 0), &long),
        ("stored", stored(bomb.as_bytes(), bomb.len() as u32), &long),
        ("plain", bomb.clone().into_bytes(), &long),
        ("gzip of much", gzip(most.as_bytes()), &read),
        ("gzip of nothing but blanks", gzip(&vec![b' '; 4 * DOCUMENT_LIMIT as usize]), &long),
        ("gzip of tags", gzip(tags(TAGS - own + 1).as_bytes()), &many),
        ("gzip of many tags", gzip(tags(TAGS - own).as_bytes()), &read),
    ] {
        assert_eq!(&read_report(&octets).map(drop), expected, "{name}");
    }
}

#[test]
fn a_file_that_is_broken_or_closed_is_not_read() {
    for (name, octets) in [
        ("encrypted", zip(XML.as_bytes(), 1)),
        ("nothing but the first octets", ZIP.to_vec()),
        ("nothing but the first octets of gzip", GZIP.to_vec()),
        ("gzip that is cut off", gzip(XML.as_bytes())[..20].to_vec()),
        ("gzip with a wrong checksum", {
            let mut octets = gzip(XML.as_bytes());
            let at = octets.len() - 8;
            octets[at] ^= 1;
            octets
        }),
        ("zip that is cut off", zip(XML.as_bytes(), 0)[..60].to_vec()),
        ("a file that is shorter than it says", stored(XML.as_bytes(), u32::MAX)),
        ("a file without octets", stored(XML.as_bytes(), 0)),
        ("another file before it", [zip(b"<other/>", 0), zip(XML.as_bytes(), 0)].concat()),
        ("an unknown method", archive(99, 0, XML.as_bytes(), XML.len() as u32)),
        ("gzip in gzip", gzip(&gzip(XML.as_bytes()))),
    ] {
        assert!(read_report(&octets).is_err(), "{name}");
    }
}

#[test]
fn no_entity_of_a_documents_own_is_expanded() {
    // Each of ten names stands for ten of the one before.
    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10))).collect();
    let declared = |entities: &str| format!("<!DOCTYPE feedback [<!ENTITY a0 \"12345678\">{entities}]>{XML}");
    for (entities, at, reference) in [
        (laughs.as_str(), ">o<", ">&a9;<"),
        ("", ">o<", ">&a0;<"),
        ("", "<begin>1<", "<begin>&a0;<"),
        ("<!ENTITY f SYSTEM \"file:///etc/passwd\">", ">o<", ">&f;<"),
        ("<!ENTITY f SYSTEM \"http://192.0.2.1/\">", ">o<", ">&f;<"),
    ] {
        let document = declared(entities).replace(at, reference);
        assert!(read_report(document.as_bytes()).is_err(), "{document}");
    }
    // The characters that XML itself names are no such thing.
    let report = read_report(XML.replace(">o<", ">&lt;&#65;&amp;<").as_bytes()).unwrap();
    assert_eq!(report.report_metadata.org_name, "<A&");
}

#[test]
fn a_document_that_is_no_report_is_not_read() {
    for document in [
        XML.replace("</policy_published>", ""),
        XML.replace("<begin>1", "<begin>many"),
        XML.replace("<begin>1", "<begin>-1"),
        XML.replace("<begin>1", "<begin>3"),
        XML.replace("<end>2", "<end>18446744073709551616"),
        XML.replace("</report_metadata>", "</report_metadata><report_metadata/>"),
        with("<record/>"),
        "<html/>".to_owned(),
        "<a>".repeat(TAGS),
        String::new(),
    ] {
        assert!(read_report(document.as_bytes()).is_err(), "{document:.300}");
    }
    assert_eq!(find_report(&message("text/plain", XML.as_bytes())).unwrap_err(), "no report in it");
}

#[test]
fn a_document_as_hostile_as_the_bounds_let_it_be_is_read_or_refused() {
    let attributes: String = (0..300_000).map(|n| format!(" a{n}=''")).collect();
    let signed = |inner: &str| {
        with(&format!(
            "<record><row><source_ip/><count>1</count><policy_evaluated/></row><identifiers/><auth_results>{inner}</auth_results></record>"
        ))
    };
    for (document, is_read) in [
        (with(&("<x>".repeat(200_000) + &"</x>".repeat(200_000))), true),
        (XML.replace("<feedback>", &format!("<feedback{attributes}>")), true),
        (with(&format!("<x{}/>", " ".repeat(8 << 20))), true),
        (with(&format!("<!--{}-->", "-".repeat(8 << 20))), true),
        (signed(&"<dkim/><spf/>".repeat(TAGS / 2 - 20)), true),
        (signed(&"<spf/><x/><dkim/>".repeat(TAGS / 3 - 20)), true),
        (with(&"<y/><record/>".repeat(10)), false),
    ] {
        assert_eq!(read_report(document.as_bytes()).is_ok(), is_read, "{document:.300}");
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(at in 0..400usize, octet: u8, cut in 0..600usize, kind in 0..3usize) {
        let mut octets = match kind { 0 => gzip(XML.as_bytes()), 1 => zip(XML.as_bytes(), 0), _ => XML.as_bytes().to_vec() };
        let len = octets.len();
        octets[at % len] = octet;
        octets.truncate(cut);
        let _ = read_report(&octets);
        let mut message = message("application/zip", &octets);
        let len = message.len();
        message[at % len] = octet;
        let _ = find_report(&message);
    }
}
