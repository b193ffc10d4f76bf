//! How a report of others lies in a message: packed or not, and perhaps made to do harm.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder};

use super::Feedback;
use super::parts::{Part, parts};

/// Octets of a document, once it is unpacked. Beyond: it is not read. A report of as many rows as we put into one has about half of them.
const DOCUMENT_LIMIT: u64 = 16 << 20;
/// Tags of a document. A short tag takes many times its octets once it is read: beyond, it is not. A report of as many rows as we put into one
/// has fewer, but where most messages are signed many times.
const TAGS: usize = 500_000;
/// Attachments of a message that are tried. A message carries one report.
const TRIED: usize = 3;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZIP: &[u8] = b"PK\x03\x04";
/// Octets of a zip file's first header before its name.
const ZIP_HEADER: usize = 30;

/// The first report in a message, behind the attachment that it was read from; or, where nothing in it is one, why not.
///
/// # Errors
/// What is wrong with the last attachment that looks like a report, in words, which may be the stranger's; `no report in it` where none does.
pub fn find_report(message: &[u8]) -> Result<(Vec<u8>, Feedback), String> {
    let mut problem = "no report in it".to_owned();
    for part in parts(message).iter().filter(|part| may_hold_report(part)).take(TRIED) {
        let read = part.content().and_then(|content| Ok((read_report(&content)?, content.into_owned())));
        match read {
            Ok((report, attachment)) => return Ok((attachment, report)),
            Err(why) => problem = why,
        }
    }
    Err(problem)
}

/// The report that is in an attachment: packed by gzip (RFC 1952 §2.3), the first file of a zip archive, or as it is.
///
/// # Errors
/// What is wrong with it, in words, which may be the stranger's.
pub fn read_report(attachment: &[u8]) -> Result<Feedback, String> {
    let document = if attachment.starts_with(GZIP) {
        Cow::Owned(limited(GzDecoder::new(attachment))?)
    } else if attachment.starts_with(ZIP) {
        first_file(attachment)?
    } else {
        Cow::Borrowed(attachment)
    };
    if document.len() as u64 > DOCUMENT_LIMIT {
        return Err("a document that is too long".to_owned());
    }
    if memchr::memchr_iter(b'<', &document).count() > TAGS {
        return Err("a document of too many tags".to_owned());
    }
    // What is no UTF-8 is in free text only.
    let text = String::from_utf8_lossy(document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&document));
    let report = Feedback::from_xml(&text)?;
    let range = &report.report_metadata.date_range;
    if range.begin > range.end {
        return Err("a report of a time that ends before it begins".to_owned());
    }
    Ok(report)
}

fn may_hold_report(part: &Part<'_>) -> bool {
    let is_named_so = [".xml", ".gz", ".zip"].iter().any(|suffix| part.name.ends_with(suffix));
    let is_typed_so = ["gzip", "x-gzip", "zip", "x-zip", "x-zip-compressed", "xml"];
    is_named_so || is_typed_so.contains(&part.subtype.as_str())
}

/// Reads no more than is taken, whatever would come.
fn limited(packed: impl Read) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    packed.take(DOCUMENT_LIMIT + 1).read_to_end(&mut document).map_err(|error| error.to_string())?;
    Ok(document)
}

fn first_file(archive: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let number = |at: usize, len: usize| {
        let octets = archive.get(at..at + len)?;
        Some(octets.iter().rev().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet)))
    };
    let (flags, method, stored) = (number(6, 2), number(8, 2), number(18, 4));
    let names = number(26, 2).zip(number(28, 2)).map(|(name, extra)| name + extra);
    let data =
        names.and_then(|names| archive.get(ZIP_HEADER + names..)).ok_or("a zip file that is cut off")?;
    match (method, flags) {
        // Encrypted.
        (_, Some(flags)) if flags & 1 == 1 => Err("a zip file that is encrypted".to_owned()),
        (Some(8), _) => limited(DeflateDecoder::new(data)).map(Cow::Owned),
        (Some(0), _) => {
            let file = stored.and_then(|len| data.get(..len));
            file.map(Cow::Borrowed).ok_or_else(|| "a zip file that is cut off".to_owned())
        }
        _ => Err("a zip file of an unknown method".to_owned()),
    }
}

#[cfg(test)]
mod tests;
