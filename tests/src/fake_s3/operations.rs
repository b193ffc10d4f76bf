//! What the requests do.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smol::Timer;
use smol::future::or;

use super::http::{Request, Response, decoded, http_date, xml_date};
use super::{Fault, Shared, State};
use crate::faults::Verb;

/// Keys on a page of a listing, as with the servers that there are.
const PAGE: usize = 1_000;
/// How long a create that looks before it writes waits for others to look.
const LOOK: Duration = Duration::from_millis(100);

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    content: Vec<u8>,
    etag: String,
    /// Seconds since 1970.
    modified: i64,
}

/// A request that is understood.
pub(super) struct Call {
    pub(super) verb: Verb,
    /// As [`FakeS3::requests`](super::FakeS3::requests) tells it.
    pub(super) key: String,
    bucket: String,
    request: Request,
}

impl Call {
    pub(super) fn new(request: Request) -> Self {
        let host = request.fields.get("host").map_or("", String::as_str);
        let host = host.split(':').next().unwrap_or_default();
        let path = request.path.trim_start_matches('/');
        let (bucket, key) = match host.strip_suffix(".localhost") {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let is_copy = request.fields.contains_key("x-amz-copy-source");
        let (verb, key) = match request.method.as_str() {
            "GET" if key.is_empty() => (Verb::List, request.query.get("prefix").cloned().unwrap_or_default()),
            "GET" => (Verb::Get, key),
            "HEAD" => (Verb::Head, key),
            "POST" => (Verb::Delete, keys_in(&request.body).join("\n")),
            "DELETE" => (Verb::Delete, key),
            _ if is_copy => (Verb::Copy, key),
            _ => (Verb::Put, key),
        };
        Self { verb, key, bucket, request }
    }

    pub(super) async fn perform(self, shared: &Shared, fault: Option<Fault>) -> Response {
        let mut is_conditional = self.field("if-none-match") == Some("*");
        if fault == Some(Fault::IgnoreCondition) {
            is_conditional = false;
        }
        if fault == Some(Fault::LookThenWrite) && is_conditional {
            let is_there =
                shared.state().objects(&self.bucket).is_some_and(|all| all.contains_key(&self.key));
            if !is_there {
                is_conditional = false;
                shared.looked.notify(usize::MAX);
                let another_looks = shared.looked.listen();
                let has_waited = async {
                    Timer::after(LOOK).await;
                };
                or(another_looks, has_waited).await;
            }
        }
        let mut state = shared.state();
        if state.access_key.is_some() && state.access_key.as_deref() != self.access_key() {
            return Response::error(403, "InvalidAccessKeyId");
        }
        if self.access_key().is_some_and(|access_key| state.expired.contains(access_key)) {
            return Response::error(403, "ExpiredToken");
        }
        if self.verb == Verb::Put && self.key.is_empty() {
            state.buckets.entry(self.bucket).or_default();
            return Response::new(200);
        }
        if state.objects(&self.bucket).is_none() {
            return Response::error(404, "NoSuchBucket");
        }
        match self.verb {
            Verb::Put => self.put(&mut state, is_conditional),
            Verb::Get => self.get(&mut state),
            Verb::Head => self.head(&mut state),
            Verb::Delete => self.delete(&mut state),
            Verb::Copy => self.copy(&mut state),
            Verb::List => self.list(&mut state),
        }
    }

    fn put(self, state: &mut State, is_conditional: bool) -> Response {
        if is_conditional && state.get(&self.bucket, &self.key).is_some() {
            return Response::error(412, "PreconditionFailed");
        }
        let stored = state.put(&self.bucket, self.key, self.request.body);
        Response::new(200).with("ETag", stored.etag)
    }

    fn get(&self, state: &mut State) -> Response {
        let Some(stored) = state.get(&self.bucket, &self.key) else {
            return Response::error(404, "NoSuchKey");
        };
        let size = stored.content.len();
        let Some(asked) = self.field("range") else {
            return Response { body: stored.content.clone(), ..about(stored, 200) };
        };
        let Some(range) = range(asked, size) else {
            return Response::error(416, "InvalidRange");
        };
        let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        Response { body: stored.content[range].to_vec(), ..about(stored, 206) }.with("Content-Range", told)
    }

    fn head(&self, state: &mut State) -> Response {
        if self.key.is_empty() {
            return Response::new(200);
        }
        match state.get(&self.bucket, &self.key) {
            Some(stored) => Response { body: stored.content.clone(), ..about(stored, 200) },
            None => Response::error(404, "NoSuchKey"),
        }
    }

    fn delete(&self, state: &mut State) -> Response {
        let Some(objects) = state.buckets.get_mut(&self.bucket) else {
            return Response::error(404, "NoSuchBucket");
        };
        if self.request.method == "DELETE" {
            objects.remove(&self.key);
            return Response::new(204);
        }
        let mut deleted = String::new();
        for key in keys_in(&self.request.body) {
            objects.remove(&key);
            deleted.push_str(&format!("<Deleted><Key>{}</Key></Deleted>", escaped(&key)));
        }
        Response::xml(format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn copy(self, state: &mut State) -> Response {
        let source = self.field("x-amz-copy-source").and_then(decoded).unwrap_or_default();
        let (bucket, key) = source.trim_start_matches('/').split_once('/').unwrap_or_default();
        let Some(content) = state.get(bucket, key).map(|stored| stored.content.clone()) else {
            return Response::error(404, "NoSuchKey");
        };
        let stored = state.put(&self.bucket, self.key, content);
        let (etag, modified) = (escaped(&stored.etag), xml_date(stored.modified));
        Response::xml(format!(
            "<CopyObjectResult><LastModified>{modified}</LastModified><ETag>{etag}</ETag></CopyObjectResult>"
        ))
    }

    fn list(&self, state: &mut State) -> Response {
        let asked = |name: &str| self.request.query.get(name).map(String::as_str);
        let prefix = &self.key;
        let after = asked("continuation-token").or(asked("start-after")).unwrap_or_default();
        let limit = asked("max-keys").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let begin =
            if after >= prefix.as_str() { Bound::Excluded(after) } else { Bound::Included(prefix.as_str()) };
        let Some(objects) = state.objects(&self.bucket) else {
            return Response::error(404, "NoSuchBucket");
        };
        let mut below = objects
            .range::<str, _>((begin, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix.as_str()))
            .peekable();
        let (mut contents, mut last) = (String::new(), None);
        for (key, stored) in below.by_ref().take(limit) {
            contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                escaped(key),
                xml_date(stored.modified),
                escaped(&stored.etag),
                stored.content.len()
            ));
            last = Some(key);
        }
        let is_truncated = below.peek().is_some();
        let token = last.filter(|_| is_truncated).map_or(String::new(), |key| {
            format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(key))
        });
        Response::xml(format!(
            "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{limit}</MaxKeys>\
             <IsTruncated>{is_truncated}</IsTruncated>{token}{contents}</ListBucketResult>",
            escaped(&self.bucket),
            escaped(prefix)
        ))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.request.fields.get(name).map(String::as_str)
    }

    /// Out of `AWS4-HMAC-SHA256 Credential=KEY/DATE/...`.
    fn access_key(&self) -> Option<&str> {
        let (_, credential) = self.field("authorization")?.split_once("Credential=")?;
        credential.split('/').next()
    }
}

impl State {
    fn objects(&self, bucket: &str) -> Option<&BTreeMap<String, Stored>> {
        self.buckets.get(bucket)
    }

    fn get(&self, bucket: &str, key: &str) -> Option<&Stored> {
        self.objects(bucket)?.get(key)
    }

    fn put(&mut self, bucket: &str, key: String, content: Vec<u8>) -> Stored {
        self.writes += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored =
            Stored { content, etag: format!("\"{:032x}\"", self.writes), modified: now.as_secs() as i64 };
        self.buckets.entry(bucket.to_owned()).or_default().insert(key, stored.clone());
        stored
    }
}

/// What is said of an object beside its content.
fn about(stored: &Stored, status: u16) -> Response {
    let modified = http_date(stored.modified);
    Response::new(status).with("ETag", stored.etag.clone()).with("Last-Modified", modified)
}

/// The part of so many octets that a `Range` asks for (RFC 9110 §14.1.2); none where it lies outside.
fn range(asked: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", count) => size.saturating_sub(count.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => first.parse().ok()?..size.min(last.parse::<usize>().ok()?.saturating_add(1)),
    };
    (!range.is_empty()).then_some(range)
}

/// The keys in a request to delete many.
fn keys_in(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8_lossy(body);
    let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| unescaped(key)).collect()
}

const ENTITIES: [(&str, &str); 5] =
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];

fn escaped(text: &str) -> String {
    // The ampersand first, since the others bring it in.
    ENTITIES.iter().rev().fold(text.to_owned(), |text, (entity, plain)| text.replace(plain, entity))
}

fn unescaped(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}
