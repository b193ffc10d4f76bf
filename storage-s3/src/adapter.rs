//! Keys, payloads, results and errors: object_store's to ours and back.

use std::error::Error;
use std::io;
use std::ops::Range;

use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Object, Payload, StoreError, When};
use object_store::path::Path;
use object_store::{
    GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

/// Writes an object whole.
pub(crate) async fn put(
    store: &dyn ObjectStore,
    key: &str,
    payload: &Payload,
    when: When,
) -> Result<(), StoreError> {
    let mode = match when {
        When::Always => PutMode::Overwrite,
        When::Absent => PutMode::Create,
    };
    // The pieces are counted, not copied.
    let payload: PutPayload = payload.pieces().iter().cloned().collect();
    store.put_opts(&path(key)?, payload, mode.into()).await.map_err(failure)?;
    Ok(())
}

/// Reads an object, or the part of `range` that lies within it.
pub(crate) async fn get(
    store: &dyn ObjectStore,
    key: &str,
    range: Option<Range<u64>>,
) -> Result<Object, StoreError> {
    // The range is not passed on, because object_store takes an empty one, or one beyond the end, for an error.
    let mut found = store.get(&path(key)?).await.map_err(failure)?;
    let Listed { size, etag, modified, .. } = listed(found.meta.clone());
    let part = clip(range, size);
    let bytes = match found.payload {
        GetResultPayload::File(..) => {
            found.range = part;
            found.bytes().await.map_err(failure)?
        }
        GetResultPayload::Stream(_) => whole(found).await?.slice(part.start as usize..part.end as usize),
    };
    Ok(Object { bytes, size, etag, modified })
}

/// What a listing would show of one object.
pub(crate) async fn head(store: &dyn ObjectStore, key: &str) -> Result<Listed, StoreError> {
    store.head(&path(key)?).await.map(listed).map_err(failure)
}

/// Deletes an object, if there is one.
pub(crate) async fn delete(store: &dyn ObjectStore, key: &str) -> Result<(), StoreError> {
    match store.delete(&path(key)?).await.map_err(failure) {
        Err(StoreError::NotFound) => Ok(()),
        result => result,
    }
}

/// Copies an object, replacing what is at `to`.
pub(crate) async fn copy(store: &dyn ObjectStore, from: &str, to: &str) -> Result<(), StoreError> {
    store.copy(&path(from)?, &path(to)?).await.map_err(failure)
}

/// The path of a key, which object_store would otherwise mend in silence where it is malformed.
pub(crate) fn path(key: &str) -> Result<Path, StoreError> {
    let refused = || StoreError::Refused(format!("malformed key {key:?}"));
    let path = Path::parse(key).map_err(|_| refused())?;
    let is_exact = path.as_ref() == key && !key.is_empty() && is_visible(key);
    if is_exact { Ok(path) } else { Err(refused()) }
}

/// The path of the folder that a prefix names; nothing for the whole store.
pub(crate) fn folder(prefix: &str) -> Result<Option<Path>, StoreError> {
    match prefix.strip_suffix('/') {
        Some(folder) => path(folder).map(Some),
        None if prefix.is_empty() => Ok(None),
        None => Err(StoreError::Refused(format!("prefix {prefix:?} is not a folder"))),
    }
}

/// Whether text has the characters that keys are made of.
pub(crate) fn is_visible(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// An entry of a listing.
pub(crate) fn listed(meta: ObjectMeta) -> Listed {
    Listed {
        key: meta.location.into(),
        size: meta.size,
        etag: meta.e_tag.unwrap_or_default(),
        modified: UtcTime(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)),
    }
}

/// What an error means to the caller.
pub(crate) fn failure(error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound,
        object_store::Error::AlreadyExists { .. } => StoreError::AlreadyExists,
        object_store::Error::Generic { source, .. } => match io_cause(&*source) {
            Some(cause) => io_failure(cause.kind(), source.to_string()),
            None => StoreError::Refused(source.to_string()),
        },
        other => StoreError::Refused(other.to_string()),
    }
}

/// What an error of the operating system means to the caller, given that the operation did not happen.
pub(crate) fn io_failure(kind: io::ErrorKind, reason: String) -> StoreError {
    use io::ErrorKind as Kind;
    match kind {
        Kind::StorageFull | Kind::QuotaExceeded => {
            StoreError::Unavailable(format!("no space left: {reason}"))
        }
        Kind::PermissionDenied
        | Kind::ReadOnlyFilesystem
        | Kind::InvalidFilename
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::Unsupported => StoreError::Refused(reason),
        _ => StoreError::Unavailable(reason),
    }
}

async fn whole(found: GetResult) -> Result<bytes::Bytes, StoreError> {
    found.bytes().await.map_err(failure)
}

fn clip(range: Option<Range<u64>>, size: u64) -> Range<u64> {
    let range = range.unwrap_or(0..size);
    let start = range.start.min(size);
    start..range.end.clamp(start, size)
}

fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_or_not_at_all() {
        for key in ["format", "account/7f/a@b.example/c/1", "a/%40", "a/..b", "~", "x=+_-"] {
            assert_eq!(path(key).unwrap().as_ref(), key);
        }
        for key in ["", "/", "/a", "a/", "a//b", "a/./b", "../a", "a b", "ä", "a\n"] {
            assert!(matches!(path(key), Err(StoreError::Refused(_))), "{key:?}");
        }
    }

    #[test]
    fn a_range_is_clipped_to_the_object() {
        for (range, part) in [
            (None, 0..10),
            (Some(2..5), 2..5),
            (Some(8..99), 8..10),
            (Some(3..3), 3..3),
            (Some(10..12), 10..10),
            (Some(50..60), 10..10),
        ] {
            assert_eq!(clip(range.clone(), 10), part, "{range:?}");
        }
    }

    #[test]
    fn an_error_of_the_system_is_found_below_the_ones_that_wrap_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot copy")]
        struct Wrapped(#[source] io::Error);

        let met = |kind: io::ErrorKind| {
            failure(object_store::Error::Generic { store: "a", source: Box::new(Wrapped(kind.into())) })
        };
        let full = StoreError::Unavailable("no space left: cannot copy".into());
        assert_eq!(met(io::ErrorKind::StorageFull), full);
        assert_eq!(met(io::ErrorKind::QuotaExceeded), full);
        assert_eq!(met(io::ErrorKind::PermissionDenied), StoreError::Refused("cannot copy".into()));
        assert_eq!(met(io::ErrorKind::Other), StoreError::Unavailable("cannot copy".into()));
    }
}
