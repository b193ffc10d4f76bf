//! Messages to send: real ones from packages that ship them for their own tests, and made ones. None is kept here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;
use crate::dice::Dice;

/// The crate whose archive holds real, odd and broken messages.
const MAIL_PARSER: &str = "=0.11.1";
/// Octets on a line of base64.
const BASE64_LINE: usize = 76;

/// Real messages with CRLF line ends: those of the crate `mail-parser`, fetched below `target` by cargo, and those of
/// CPython's own test suite where it is installed.
pub fn real_messages(target: &Path) -> Fallible<Vec<Vec<u8>>> {
    let mut files = files_below(&mail_parser_messages(target)?, "eml")?;
    if let Some(folder) = python_messages() {
        files.extend(files_below(&folder, "txt")?);
    }
    files.sort();
    let read = |file: &PathBuf| Ok(with_crlf(&fs::read(file)?));
    files.iter().map(read).collect()
}

fn mail_parser_messages(target: &Path) -> Fallible<PathBuf> {
    let folder = target.join("corpus");
    let messages = folder.join("vendor/mail-parser/resources/eml");
    if messages.is_dir() {
        return Ok(messages);
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"corpus\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nmail-parser = {{ version = \"{MAIL_PARSER}\", default-features = false }}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let fetched = Command::new("cargo").args(["vendor", "--quiet"]).current_dir(&folder).output()?;
    if !messages.is_dir() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        return Err(format!("mail-parser {MAIL_PARSER} could not be fetched: {said}").into());
    }
    Ok(messages)
}

fn python_messages() -> Option<PathBuf> {
    let code = "import os, test.test_email as t; print(os.path.dirname(t.__file__))";
    let output = Command::new("python3").args(["-c", code]).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).join("data");
    (output.status.success() && folder.is_dir()).then_some(folder)
}

fn files_below(folder: &Path, extension: &str) -> Fallible<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

/// The content with every line ended by CRLF, the last one too, whatever ended it before.
pub fn with_crlf(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(content.len() + content.len() / 32);
    let mut octets = content.iter().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&&b'\n');
                lines.extend_from_slice(b"\r\n");
            }
            b'\n' => lines.extend_from_slice(b"\r\n"),
            _ => lines.push(*octet),
        }
    }
    if !lines.ends_with(b"\n") {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// A made message of at least this many octets: words, lines that begin with dots, and 8-bit text where asked for.
pub fn made_message(dice: &mut Dice, size: usize, eight_bit: bool) -> Vec<u8> {
    let words: &[&str] = if eight_bit {
        &["Möwe", "pétrel", "буревестник", "鷗", "wing", "."]
    } else {
        &["fulmar", "petrel", "wing", "cliff", "sea", "."]
    };
    let charset = if eight_bit { "utf-8" } else { "us-ascii" };
    let encoding = if eight_bit { "8bit" } else { "7bit" };
    let mut content = format!(
        "From: a@client.test\r\nTo: list@example.org\r\nSubject: made\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    while content.len() < size {
        for _ in 0..dice.below(12) {
            content.push_str(words[dice.below(words.len())]);
            content.push(' ');
        }
        content.push_str("\r\n");
    }
    content.into_bytes()
}

/// A made message with an attachment, so that its encoded body has at least this many octets.
pub fn with_attachment(dice: &mut Dice, size: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut content = b"From: a@client.test\r\nTo: u@example.org\r\nSubject: attachment\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n\
        --b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    let body = content.len();
    while content.len() - body < size {
        content.extend((0..BASE64_LINE).map(|_| ALPHABET[dice.below(ALPHABET.len())]));
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b"--b--\r\n");
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_becomes_crlf() {
        for (content, expected) in [
            ("a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd\r\n"),
            ("a\n\n", "a\r\n\r\n"),
            ("a\r\r\n", "a\r\n\r\n"),
            ("", "\r\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_crlf(content.as_bytes())), expected, "{content:?}");
        }
    }

    #[test]
    fn a_made_message_has_the_size_and_the_octets_that_were_asked_for() {
        let mut dice = Dice::new(1);
        assert!(made_message(&mut dice, 5_000, false).is_ascii());
        assert!(!made_message(&mut dice, 5_000, true).is_ascii());
        let attached = with_attachment(&mut dice, 100_000);
        assert!((100_000..101_000).contains(&attached.len()));
        assert_eq!(with_crlf(&attached), attached);
    }
}
