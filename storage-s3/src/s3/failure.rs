//! What an answer of S3 that is not a success means to the caller. All of it is decided here.

use std::error::Error;

use fulmar_core::platform::StoreError;
use http::{Method, StatusCode};
use serde::Deserialize;

/// What was asked, as far as the meaning of an answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Put of what must not be there.
    Create,
    /// Server-side copy: a success may still carry an error.
    Copy,
    /// Deletion of many: a success carries the errors of single keys.
    BulkDelete,
    /// Its answers have no body, and so no code.
    Head,
    /// Anything else.
    Other,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// What it says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credentials have expired: fresh ones are needed.
    #[error("credentials not taken: {0}")]
    Credentials(String),
    /// The range that was asked for lies beyond the end of the object.
    #[error("the range lies beyond the end of the object")]
    BeyondEnd,
    /// Refused without a word of why, as a head request is.
    #[error("refused with status {0}")]
    Wordless(StatusCode),
}

/// An error document of S3, and an entry in the answer to a bulk delete.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorDocument {
    code: String,
    message: String,
}

/// The answer to a bulk delete.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BulkDeleted {
    error: Vec<ErrorDocument>,
}

impl Asked {
    /// What a request asks.
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        let headers = request.headers();
        if request.method() == Method::HEAD {
            Self::Head
        } else if request.method() == Method::POST {
            Self::BulkDelete
        } else if headers.contains_key("x-amz-copy-source") {
            Self::Copy
        } else if headers.contains_key(http::header::IF_NONE_MATCH) {
            Self::Create
        } else {
            Self::Other
        }
    }
}

impl Failure {
    /// The meaning of an answer; nothing where it is a success. `body` may be cut.
    pub(super) fn of(asked: Asked, status: StatusCode, body: &[u8]) -> Option<Self> {
        if !status.is_success() {
            let document = document(body);
            return Some(Self::of_error(asked, status, &document));
        }
        match asked {
            Asked::Copy => {
                let document = document(body);
                (!document.code.is_empty()).then(|| Self::of_success(&document))
            }
            Asked::BulkDelete => match parse::<BulkDeleted>(body) {
                Some(deleted) => {
                    deleted.error.iter().find(|error| error.code != "NoSuchKey").map(Self::of_success)
                }
                None => {
                    Some(Self::Store(StoreError::Unknown("the answer to a bulk delete is no XML".into())))
                }
            },
            Asked::Create | Asked::Head | Asked::Other => None,
        }
    }

    /// An error that was told after the status 200 had been sent already.
    fn of_success(document: &ErrorDocument) -> Self {
        let status = match &document.code[..] {
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            "NoSuchKey" | "NoSuchBucket" => StatusCode::NOT_FOUND,
            _ => StatusCode::FORBIDDEN,
        };
        Self::of_error(Asked::Other, status, document)
    }

    fn of_error(asked: Asked, status: StatusCode, document: &ErrorDocument) -> Self {
        let reason = document.reason(status);
        let error = match (status.as_u16(), &document.code[..]) {
            (
                400 | 401 | 403,
                "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "RequestTimeTooSkewed"
                | "RequestExpired",
            ) => return Self::Credentials(reason),
            (400 | 401 | 403, _) if asked == Asked::Head => return Self::Wordless(status),
            // The server waited for the rest of the request, in vain.
            (408, _) | (400, "RequestTimeout") => StoreError::Unavailable(reason),
            (404, "NoSuchBucket") => StoreError::Refused(format!("there is no such bucket ({reason})")),
            (404, "NoSuchKey") => StoreError::NotFound,
            (404, _) if asked == Asked::Head => StoreError::NotFound,
            // Whatever answers so is not S3, and what it says of an object must not be believed.
            (404, _) => StoreError::Refused(reason),
            // Another create of the same key is under way; or something else is, that excludes this.
            (409, "ConditionalRequestConflict" | "OperationAborted") => StoreError::Unavailable(reason),
            (304 | 409 | 412, _) if asked == Asked::Create => StoreError::AlreadyExists,
            (416, _) => return Self::BeyondEnd,
            // The name of a new bucket is not known everywhere yet.
            (307, _) => StoreError::Unavailable(reason),
            (429 | 507, _) => StoreError::Unavailable(reason),
            (503, code) if code != "InternalError" => StoreError::Unavailable(reason),
            (501 | 505, _) => StoreError::Refused(reason),
            // Ceph answers 500 when creates race for one key, and one of those may have won.
            (500.., _) => StoreError::Unknown(reason),
            _ => StoreError::Refused(reason),
        };
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Credentials(_) => Self::Unavailable(failure.to_string()),
            Failure::BeyondEnd | Failure::Wordless(_) => Self::Refused(failure.to_string()),
        }
    }
}

/// The failure below an error of object_store. Where there is none, the request succeeded, and it is its answer that
/// object_store could not make sense of.
pub(super) fn failure(error: object_store::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        cause = error.source();
    }
    Failure::Store(StoreError::Unknown(error.to_string()))
}

impl ErrorDocument {
    fn reason(&self, status: StatusCode) -> String {
        match (&self.code[..], &self.message[..]) {
            ("", _) => format!("status {status}"),
            (code, "") => format!("{code}, status {status}"),
            (code, message) => format!("{code}: {message}, status {status}"),
        }
    }
}

fn document(body: &[u8]) -> ErrorDocument {
    let document: ErrorDocument = parse(body).unwrap_or_default();
    let printable = |text: &str, limit: usize| {
        text.chars().filter(|character| !character.is_control()).take(limit).collect::<String>()
    };
    ErrorDocument {
        code: printable(&document.code, CODE_LIMIT),
        message: printable(&document.message, MESSAGE_LIMIT),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Option<T> {
    quick_xml::de::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// Characters of an error's code that are told on.
const CODE_LIMIT: usize = 64;

/// Characters of an error's message that are told on.
const MESSAGE_LIMIT: usize = 300;

#[cfg(test)]
mod tests;
