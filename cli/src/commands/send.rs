//! `fulmar send`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::engine::Engine;
use serde_json::json;

use super::Context;
use crate::arguments::Send;
use crate::failure::Failure;

/// How long the engine may take to hand over what it holds.
const GRACE: Duration = Duration::from_secs(10);

pub(super) async fn send(context: &Context, arguments: Send) -> Result<(), Failure> {
    let limit = context.settings.engine.smtp.message_size;
    let text = read(&arguments.file, limit).map_err(Failure::Failed)?;
    let content = with_crlf(&text).map_err(|line| {
        Failure::Failed(format!("{}:{line}: a CR that no LF follows", arguments.file.display()))
    })?;
    let (config, platform) = (context.settings.engine.clone(), context.platform.clone());
    let engine = Engine::visit(config, platform, context.host(), context.journal.clone()).await?;
    let sent = engine.send(arguments.from, arguments.to, content).await;
    engine.shutdown(GRACE).await;
    let queue_id = sent?;
    context.output.fact(&queue_id.to_string(), &json!({"queue_id": queue_id}))?;
    Ok(())
}

/// The file, or standard input for `-`, where it has at most `limit` octets.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(told)?),
    };
    let mut content = Vec::new();
    input.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(told)?;
    if content.len() as u64 > limit {
        return Err(format!("{}: more than {limit} octets, which is [smtp] message_size", path.display()));
    }
    Ok(content)
}

/// The text with CRLF at the end of every line, the last one too (RFC 5322 §2.3). Fails with the number of the line that
/// holds a bare CR.
pub(super) fn with_crlf(text: &[u8]) -> Result<Bytes, usize> {
    let lines = text.iter().filter(|octet| **octet == b'\n').count();
    let mut content = Vec::with_capacity(text.len() + lines + 2);
    for (number, line) in text.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\r') {
            return Err(number + 1);
        }
        content.extend_from_slice(line);
        content.extend_from_slice(b"\r\n");
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_crlf_whatever_they_ended_with() {
        for (text, content) in [
            ("", Ok("")),
            ("A: b\n\nc\n", Ok("A: b\r\n\r\nc\r\n")),
            ("A: b\r\n\r\nc\r\n", Ok("A: b\r\n\r\nc\r\n")),
            ("A: b\r\n\nc", Ok("A: b\r\n\r\nc\r\n")),
            ("A: b\n\nc\rd\n", Err(3)),
            ("A: b\r\r\n", Err(1)),
        ] {
            let converted = with_crlf(text.as_bytes());
            assert_eq!(
                converted,
                content.map(|content: &str| Bytes::copy_from_slice(content.as_bytes())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_file_over_the_limit_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.eml");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).unwrap_err().contains("more than 4 octets"));
        assert!(read(&folder.path().join("none"), 4).unwrap_err().contains("No such file"));
    }
}
