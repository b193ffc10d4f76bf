//! Finding keys in the order of their octets, without looking into folders that were passed already.
//!
//! object_store's own listing comes in the order of the disk, so that each page would have to visit every file below the
//! prefix. Here a page costs the folders that it touches.

use std::fs::{self, DirEntry};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fulmar_core::platform::StoreError;

use crate::adapter;

/// How old a file is that was being written when its writer died.
const ABANDONED: Duration = Duration::from_hours(24);

/// Whether to go on.
type Flow = Result<ControlFlow<()>, StoreError>;

/// Visits the keys below `folder` that come after `after`. `prefix` is the folder's own key: empty, or ending in `/`.
/// A folder that does not exist is empty.
pub(super) fn walk(folder: &Path, prefix: &str, after: &str, visit: &mut dyn FnMut(&str) -> Flow) -> Flow {
    for name in names(folder).map_err(|error| failure(folder, &error))? {
        let key = format!("{prefix}{name}");
        let flow = if name.ends_with('/') {
            let is_passed = after > key.as_str() && !after.starts_with(&key);
            if is_passed { continue } else { walk(&folder.join(&name), &key, after, visit)? }
        } else if key.as_str() > after {
            visit(&key)?
        } else {
            continue;
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The names in a folder, sorted as the keys below them sort: those of folders end in `/`.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(name(&entry?)?);
    }
    names.sort_unstable();
    Ok(names)
}

/// The name of an entry that is a folder or can be an object.
fn name(entry: &DirEntry) -> io::Result<Option<String>> {
    let Some(name) = entry.file_name().into_string().ok().filter(|name| adapter::is_visible(name)) else {
        return Ok(None);
    };
    let mut kind = entry.file_type()?;
    if kind.is_symlink() {
        kind = match fs::metadata(entry.path()) {
            Ok(target) => target.file_type(),
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    Ok(match () {
        () if kind.is_dir() => Some(name + "/"),
        () if kind.is_file() && !is_staged(&name) => Some(name),
        () => {
            if kind.is_file() && is_abandoned(entry) {
                // If that fails it is tried again by the next listing.
                let _ = fs::remove_file(entry.path());
            }
            None
        }
    })
}

/// Whether a file of this name is one that object_store was writing: no object can be called so.
fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, rest)| !rest.is_empty() && rest.bytes().all(|o| o.is_ascii_digit()))
}

/// Whether nobody is writing a file any more. By the system's clock, which also dates files.
fn is_abandoned(staged: &DirEntry) -> bool {
    let modified = staged.metadata().and_then(|metadata| metadata.modified());
    let age = modified.map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
    age.is_ok_and(|age| age >= ABANDONED)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failure(folder: &Path, error: &io::Error) -> StoreError {
    adapter::io_failure(error.kind(), format!("cannot list {}: {error}", folder.display()))
}
