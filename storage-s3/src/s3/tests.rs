use futures_lite::future::block_on;

use super::testing::{Jobs, Received, Reply, Server, Standing, assert_no_tokio, client, environment};
use super::*;

const KEYS: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];

fn store_of(url: &str, variables: &[(&str, &str)], clock: &Arc<Standing>) -> S3Store {
    let settings =
        S3Settings { endpoint: Some(url.into()), ..S3Settings::from_url("s3://mail/prod").unwrap() };
    S3Store::new(&settings, &environment(variables), client(clock), clock.clone(), Arc::new(Jobs)).unwrap()
}

fn serve(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Server, S3Store) {
    let server = Server::start(handler);
    let store = store_of(server.url(), KEYS, &Standing::new());
    (server, store)
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(status, "", body.into())
}

fn error(code: &str) -> String {
    format!("<Error><Code>{code}</Code></Error>")
}

fn payload() -> Payload {
    Bytes::from_static(b"text").into()
}

#[test]
fn an_operation_is_one_signed_request_below_the_prefix() {
    let (server, store) = serve(|request| match request.line.split(' ').next() {
        Some("HEAD") => Reply::Answer(200, "content-length: 4\r\n", String::new()),
        Some("POST") => answer(200, "<DeleteResult/>"),
        _ if request.line.contains("list-type") => {
            answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        }
        _ => Reply::Answer(200, "etag: \"e\"\r\n", "text".into()),
    });
    block_on(async {
        store.put("a/b", payload(), When::Always).await.unwrap();
        store.put("a/c", payload(), When::Absent).await.unwrap();
        assert_eq!(store.get("a/b", None).await.unwrap().bytes, "text");
        assert_eq!(store.head("a/b").await.unwrap().key, "a/b");
        store.copy("a/b", "a/d").await.unwrap();
        store.delete(&["a/b".into()]).await.unwrap();
        store.delete(&["a/b".into(), "a/SlowDown".into()]).await.unwrap();
        store.delete(&[]).await.unwrap();
        store.list("a/", Some("a/b")).await.unwrap();
    });
    let received = server.received();
    let lines: Vec<_> = received.iter().map(|request| &request.line[..]).collect();
    assert_eq!(
        lines,
        [
            "PUT /mail/prod/a/b",
            "PUT /mail/prod/a/c",
            "GET /mail/prod/a/b",
            "HEAD /mail/prod/a/b",
            "PUT /mail/prod/a/d",
            "DELETE /mail/prod/a/b",
            "POST /mail?delete",
            "GET /mail?list-type=2&max-keys=1000&prefix=prod%2Fa%2F&start-after=prod%2Fa%2Fb",
        ]
    );
    for request in &received {
        assert!(request.head.contains("authorization: AWS4-HMAC-SHA256 Credential=id/"), "{request:?}");
    }
    assert!(received[1].head.contains("if-none-match: *"), "{:?}", received[1]);
    assert!(received[4].head.contains("x-amz-copy-source: mail/prod/a/b"), "{:?}", received[4]);
}

#[test]
fn what_becomes_of_a_request_is_told_by_what_its_caller_can_do() {
    enum Is {
        Refused,
        Unavailable,
        Unknown,
        NotFound,
        AlreadyExists,
    }
    let cases: Vec<(fn() -> Reply, Is)> = vec![
        (|| answer(404, &error("NoSuchKey")), Is::NotFound),
        (|| answer(404, &error("NoSuchBucket")), Is::Refused),
        (|| answer(412, &error("PreconditionFailed")), Is::AlreadyExists),
        (|| answer(403, &error("AccessDenied")), Is::Refused),
        (|| answer(409, &error("ConditionalRequestConflict")), Is::Unavailable),
        (|| answer(503, &error("SlowDown")), Is::Unavailable),
        (|| answer(500, &error("UnknownError")), Is::Unknown),
        // It is there, but object_store wants to know its ETag.
        (|| answer(200, ""), Is::Unknown),
        (|| Reply::Cut, Is::Unknown),
        (|| Reply::Nothing, Is::Unknown),
    ];
    for (number, (reply, expected)) in cases.into_iter().enumerate() {
        let (_server, store) = serve(move |_| reply());
        let found = block_on(store.put("key", payload(), When::Absent)).unwrap_err();
        let is_expected = match expected {
            Is::Refused => matches!(found, StoreError::Refused(_)),
            Is::Unavailable => matches!(found, StoreError::Unavailable(_)),
            Is::Unknown => matches!(found, StoreError::Unknown(_)),
            Is::NotFound => found == StoreError::NotFound,
            Is::AlreadyExists => found == StoreError::AlreadyExists,
        };
        assert!(is_expected, "{number}: {found}");
    }
}

#[test]
fn an_answer_cut_in_the_middle_is_unknown_and_a_server_that_is_away_is_unavailable() {
    let (server, store) = serve(|_| Reply::Cut);
    let found = block_on(store.get("key", None));
    assert!(matches!(found, Err(StoreError::Unknown(_))), "{found:?}");
    let url = server.url().to_owned();
    drop(server);
    let store = store_of(&url, KEYS, &Standing::new());
    let found = block_on(store.put("key", payload(), When::Absent));
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}

#[test]
fn a_range_takes_one_request_unless_nothing_lies_within_it() {
    let (server, store) = serve(|request| {
        if request.line.starts_with("HEAD") {
            return Reply::Answer(200, "content-length: 10\r\n", String::new());
        }
        let asks = |range: &str| request.head.contains(&format!("range: bytes={range}\r\n"));
        if asks("2-4") {
            Reply::Answer(206, "content-range: bytes 2-4/10\r\n", "cde".into())
        } else if asks("8-98") {
            Reply::Answer(206, "content-range: bytes 8-9/10\r\n", "ij".into())
        } else {
            answer(416, &error("InvalidRange"))
        }
    });
    for (range, bytes, requests) in [(2..5, "cde", 1), (8..99, "ij", 1), (10..12, "", 2), (3..3, "", 1)] {
        let before = server.received().len();
        let object = block_on(store.get("key", Some(range.clone()))).unwrap();
        assert_eq!((&object.bytes[..], object.size), (bytes.as_bytes(), 10), "{range:?}");
        assert_eq!(server.received().len() - before, requests, "{range:?}");
    }
}

#[test]
fn a_refused_head_asks_why() {
    let (_server, store) = serve(|request| {
        let body = if request.line.starts_with("HEAD") { String::new() } else { error("AccessDenied") };
        answer(403, &body)
    });
    let found = block_on(store.head("key"));
    let Err(StoreError::Refused(reason)) = found else { panic!("{found:?}") };
    assert!(reason.contains("AccessDenied"), "{reason}");
}

#[test]
fn keys_that_are_none_of_ours_do_not_hinder_a_listing() {
    let entry = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>e</ETag><Size>7</Size></Contents>"
        )
    };
    let page = |keys: &[&str], is_truncated: bool| {
        let entries: String = keys.iter().map(|key| entry(key)).collect();
        format!("<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>{entries}</ListBucketResult>")
    };
    let first = page(&["prod/a//b", "prod/folder/", "prod/ä"], true);
    let second = page(&["prod/../c", "prod/a/x", "prod/b&amp;c", "elsewhere/d"], true);
    let (server, store) = serve(move |request| {
        answer(200, if request.line.contains("start-after") { &second } else { &first })
    });
    let found = block_on(store.list("", None)).unwrap();
    let keys: Vec<_> = found.objects.iter().map(|listed| &listed.key[..]).collect();
    assert_eq!(keys, ["a/x", "b&c"]);
    assert!(found.more);
    assert_eq!(found.objects[0].modified.to_rfc3339(), "2026-01-02T03:04:05.678Z");
    let after = server.received().pop().unwrap().line;
    assert!(after.ends_with("start-after=prod%2F%C3%A4"), "{after}");
}

#[test]
fn credentials_that_the_server_calls_expired_are_replaced() {
    let clock = Standing::new();
    let expires = clock.later(3_600);
    let number = std::sync::atomic::AtomicUsize::new(0);
    let issuer = Server::start(move |_| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer(
            200,
            &format!(
                r#"{{"AccessKeyId":"key-{number}","SecretAccessKey":"s","Token":"t","Expiration":"{expires}"}}"#
            ),
        )
    });
    let server = Server::start(|request| {
        let is_old = request.head.contains("Credential=key-0/");
        if is_old { answer(400, &error("ExpiredToken")) } else { answer(200, "text") }
    });
    let store = store_of(server.url(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", issuer.url())], &clock);
    block_on(store.listing.credentials.current()).unwrap();
    clock.advance(std::time::Duration::from_secs(60));
    let found = block_on(store.get("key", None));
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    assert_eq!(block_on(store.get("key", None)).unwrap().bytes, "text");
}

#[test]
fn the_store_works_without_a_tokio_runtime() {
    let (_server, store) = serve(|request| match &request.line[..] {
        "GET /mail/prod/slow" => answer(503, &error("SlowDown")),
        "GET /mail/prod/cut" => Reply::Cut,
        _ => Reply::Answer(200, "etag: \"e\"\r\n", "text".into()),
    });
    let store = Arc::new(store);
    let jobs: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            smol::spawn(async move {
                assert_no_tokio();
                store.put("key", payload(), When::Absent).await.unwrap();
                store.get("key", None).await.unwrap();
                // These are where object_store would wait by tokio's clock before it repeats.
                store.get("slow", None).await.unwrap_err();
                store.get("cut", None).await.unwrap_err();
                assert_no_tokio();
            })
        })
        .collect();
    block_on(futures::future::join_all(jobs));
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        let name = std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap_or_default();
        assert!(!name.starts_with("tokio"), "{name}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_and_the_bucket_is_named() {
    let clock = Standing::new();
    let new = |settings: &S3Settings| {
        S3Store::new(settings, &environment(KEYS), client(&clock), clock.clone(), Arc::new(Jobs))
    };
    let store = new(&S3Settings::from_url("s3://mail/prod").unwrap()).unwrap();
    assert_eq!(store.endpoint(), "https://mail.s3.us-east-1.amazonaws.com");
    for settings in [
        S3Settings::default(),
        S3Settings { bucket: "mail".into(), prefix: "/a".into(), ..S3Settings::default() },
        S3Settings { bucket: "mail".into(), region: Some("a b".into()), ..S3Settings::default() },
        S3Settings { bucket: "mail".into(), profile: Some("missing".into()), ..S3Settings::default() },
    ] {
        assert!(new(&settings).is_err(), "{settings:?}");
    }
}
