//! As much of HTTP/1.1 as S3 clients need: requests with a length, and answers with one.

use std::collections::BTreeMap;

use chrono::DateTime;
use futures::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use smol::net::TcpStream;

/// Octets of a line, beyond which the connection is closed.
const LINE_LIMIT: u64 = 16 << 10;
/// Header fields of a request, beyond which the connection is closed.
const FIELD_LIMIT: usize = 100;
/// Octets of a body, beyond which the connection is closed.
const BODY_LIMIT: usize = 64 << 20;

/// A request as it came.
pub(super) struct Request {
    pub(super) method: String,
    /// Decoded.
    pub(super) path: String,
    /// Decoded, by name.
    pub(super) query: BTreeMap<String, String>,
    /// By name in lower case.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The next one; none where the client has closed, or sends what is no request.
    pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let first = line(stream).await?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        });
        let (path, query) = (decoded(path)?, query.collect::<Option<_>>()?);
        let mut fields = BTreeMap::new();
        loop {
            let field = line(stream).await?;
            if field.is_empty() {
                break;
            }
            let (name, value) = field.split_once(':')?;
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            if fields.len() > FIELD_LIMIT {
                return None;
            }
        }
        if fields.contains_key("transfer-encoding") {
            return None;
        }
        let length = fields.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
        if length > BODY_LIMIT {
            return None;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self { method, path, query, fields, body })
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await.ok()?;
    String::from_utf8(line).ok()?.strip_suffix("\r\n").map(ToOwned::to_owned)
}

/// Without percent-encoding (RFC 3986 §2.1).
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    octets.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        octets.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        octets.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(octets).ok()
}

/// An answer.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }

    pub(super) fn xml(body: String) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into_bytes();
        Self { body, ..Self::new(200).with("Content-Type", "application/xml".to_owned()) }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>as the test wants</Message></Error>");
        Self { status, ..Self::xml(body) }
    }

    /// Head and body. An answer to HEAD has the length of a body, and none (RFC 9110 §9.3.2).
    pub(super) fn encode(self, is_head: bool) -> (Vec<u8>, Vec<u8>) {
        let mut head = format!("HTTP/1.1 {} Because\r\n", self.status);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        (head.into_bytes(), if is_head { Vec::new() } else { self.body })
    }
}

/// A time in seconds since 1970, as header fields have it (RFC 9110 §5.6.7).
pub(super) fn http_date(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The same as listings have it.
pub(super) fn xml_date(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
