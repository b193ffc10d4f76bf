use super::*;

fn document(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message><Key>k</Key></Error>")
}

/// The variant, without its text.
fn kind(failure: &Option<Failure>) -> &'static str {
    match failure {
        None => "success",
        Some(Failure::Store(StoreError::NotFound)) => "not found",
        Some(Failure::Store(StoreError::AlreadyExists)) => "already exists",
        Some(Failure::Store(StoreError::Unavailable(_))) => "unavailable",
        Some(Failure::Store(StoreError::Unknown(_))) => "unknown",
        Some(Failure::Store(StoreError::Refused(_))) => "refused",
        Some(Failure::Credentials(_)) => "credentials",
        Some(Failure::BeyondEnd) => "beyond end",
        Some(Failure::Wordless(_)) => "wordless",
    }
}

fn check(asked: Asked, status: u16, body: &str, expected: &str) {
    let found = Failure::of(asked, StatusCode::from_u16(status).unwrap(), body.as_bytes());
    assert_eq!(kind(&found), expected, "{asked:?} {status} {body}");
}

#[test]
fn an_answer_means_what_its_status_and_code_say_together() {
    use Asked::{Copy, Create, Head, Other};
    for (asked, status, code, expected) in [
        (Other, 404, "NoSuchKey", "not found"),
        (Copy, 404, "NoSuchKey", "not found"),
        (Head, 404, "", "not found"),
        (Other, 404, "NoSuchBucket", "refused"),
        (Create, 404, "NoSuchBucket", "refused"),
        (Other, 404, "", "refused"),
        (Create, 412, "PreconditionFailed", "already exists"),
        (Create, 304, "", "already exists"),
        (Create, 409, "", "already exists"),
        (Create, 409, "ConditionalRequestConflict", "unavailable"),
        (Other, 409, "OperationAborted", "unavailable"),
        (Other, 412, "PreconditionFailed", "refused"),
        (Other, 403, "AccessDenied", "refused"),
        (Other, 403, "SignatureDoesNotMatch", "refused"),
        (Other, 403, "InvalidAccessKeyId", "refused"),
        (Other, 400, "ExpiredToken", "credentials"),
        (Create, 403, "RequestTimeTooSkewed", "credentials"),
        (Head, 403, "", "wordless"),
        (Head, 400, "", "wordless"),
        (Other, 400, "InvalidArgument", "refused"),
        (Other, 400, "RequestTimeout", "unavailable"),
        (Other, 416, "InvalidRange", "beyond end"),
        (Other, 429, "", "unavailable"),
        (Create, 503, "SlowDown", "unavailable"),
        (Create, 503, "", "unavailable"),
        (Create, 503, "InternalError", "unknown"),
        (Create, 500, "InternalError", "unknown"),
        (Create, 500, "UnknownError", "unknown"),
        (Create, 502, "", "unknown"),
        (Create, 504, "", "unknown"),
        (Other, 501, "NotImplemented", "refused"),
        (Other, 507, "", "unavailable"),
        (Other, 301, "PermanentRedirect", "refused"),
        (Other, 307, "TemporaryRedirect", "unavailable"),
        (Other, 204, "", "success"),
        (Create, 200, "", "success"),
    ] {
        let body = if code.is_empty() { String::new() } else { document(code) };
        check(asked, status, &body, expected);
    }
}

#[test]
fn an_error_may_come_with_a_success() {
    for (code, expected) in [
        ("InternalError", "unknown"),
        ("SlowDown", "unavailable"),
        ("NoSuchKey", "not found"),
        ("AccessDenied", "refused"),
    ] {
        check(Asked::Copy, 200, &document(code), expected);
    }
    let copied = "<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>";
    check(Asked::Copy, 200, copied, "success");
}

#[test]
fn a_bulk_delete_succeeds_if_all_its_keys_are_gone() {
    let deleted = "<Deleted><Key>InternalError</Key></Deleted>";
    let error = |code: &str| format!("<Error><Key>k</Key><Code>{code}</Code><Message>why</Message></Error>");
    for (entries, expected) in [
        (deleted.to_owned(), "success"),
        (String::new(), "success"),
        (error("NoSuchKey"), "success"),
        (format!("{deleted}{}{deleted}{}", error("NoSuchKey"), error("AccessDenied")), "refused"),
        (error("SlowDown"), "unavailable"),
        (error("InternalError"), "unknown"),
    ] {
        check(Asked::BulkDelete, 200, &format!("<DeleteResult>{entries}</DeleteResult>"), expected);
    }
    check(Asked::BulkDelete, 200, "what?", "unknown");
}

#[test]
fn a_reason_holds_no_more_than_is_good_for_a_log() {
    let long = format!("<Error><Code>Co\u{7}de</Code><Message>{}</Message></Error>", "x".repeat(10_000));
    let Some(Failure::Store(StoreError::Refused(reason))) =
        Failure::of(Asked::Other, StatusCode::BAD_REQUEST, long.as_bytes())
    else {
        panic!("not refused");
    };
    assert!(reason.starts_with("Code: xxx"), "{reason}");
    assert!(reason.len() < 500, "{}", reason.len());
}

#[test]
fn html_of_somebody_between_is_no_answer_of_the_store() {
    check(Asked::Other, 404, "<html><body>not here</body></html>", "refused");
    check(Asked::Other, 503, "<html><body><h1>busy</h1>", "unavailable");
    check(Asked::Create, 403, "\u{0}\u{1}", "refused");
}
