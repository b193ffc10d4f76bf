//! The operations themselves. All block their thread.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use fulmar_core::platform::{Listed, Object, Page, Payload, StoreError, When};
use futures_lite::future::block_on;
use object_store::local::LocalFileSystem;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use super::folders::{flush_folder_of, make_directory};
use super::walk;
use super::write::write;
use crate::{PAGE_OBJECTS, adapter};

/// A directory, opened. Reads, copies and deletions are object_store's; how a file is written see [`super::write`].
#[derive(Debug)]
pub(super) struct Disk {
    files: LocalFileSystem,
    root: PathBuf,
}

impl Disk {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make_directory(path)?;
        let root = path.canonicalize()?;
        // Folders that deletions leave empty go too, or listings would have to look into them for ever.
        let files = LocalFileSystem::new_with_prefix(&root)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { files, root })
    }

    pub(super) fn put(&self, key: &str, payload: &Payload, when: When) -> Result<(), StoreError> {
        let file = self.file(key)?;
        match write(&file, payload, when) {
            Ok(()) => Ok(()),
            // Whoever made it may have failed to flush the folder (our own earlier try, perhaps), and the caller is
            // about to build on what it finds there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                flush_folder_of(&file).map_err(unknown)?;
                Err(StoreError::AlreadyExists)
            }
            Err(error) => {
                let reason = format!("cannot write {}: {error}", file.display());
                Err(settle(adapter::io_failure(error.kind(), reason), holds(&file, payload)))
            }
        }
    }

    pub(super) fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        block_on(adapter::get(&self.files, key, range))
    }

    pub(super) fn head(&self, key: &str) -> Result<Listed, StoreError> {
        block_on(adapter::head(&self.files, key))
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), StoreError> {
        block_on(adapter::delete(&self.files, key))
    }

    pub(super) fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let target = self.file(to)?;
        touch(&self.file(from)?)?;
        // Equal ETags mean one file with two names: they are made of its inode.
        let original = self.head(from)?;
        let is_copied = || match self.head(to) {
            Ok(found) => Ok(found.etag == original.etag),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        };
        if is_copied()? {
            // A rename between two names of one file does nothing, and would leave the staged name behind.
            return flush_folder_of(&target).map_err(unknown);
        }
        block_on(adapter::copy(&self.files, from, to)).map_err(|error| match error {
            StoreError::NotFound => error,
            _ => settle(error, is_copied().map_err(io::Error::other)),
        })
    }

    /// One page of the objects below `prefix` whose keys come after `after`, in the order of the keys' octets.
    pub(super) fn list(&self, prefix: &str, after: &str) -> Result<Page, StoreError> {
        let folder = adapter::folder(prefix)?.map_or(self.root.clone(), |path| self.root.join(path.as_ref()));
        let mut page = Page::default();
        let _ = walk::walk(&folder, prefix, after, &mut |key| {
            if page.objects.len() == PAGE_OBJECTS {
                page.more = true;
                return Ok(ControlFlow::Break(()));
            }
            match self.head(key) {
                Ok(listed) => page.objects.push(listed),
                // Deleted a moment ago.
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    fn file(&self, key: &str) -> Result<PathBuf, StoreError> {
        self.files.path_to_filesystem(&adapter::path(key)?).map_err(adapter::failure)
    }
}

/// Dates a file by now. Done before a link is made, so that the copy is never dated by when the original was written: what is younger than a
/// day is kept by those who collect garbage. That the original looks younger than it is only keeps it longer.
fn touch(file: &Path) -> Result<(), StoreError> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: unchanged, last_modification: now };
    match utimensat(CWD, file, &times, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(error) if is_nowhere(&error.into()) => Err(StoreError::NotFound),
        Err(error) => {
            Err(adapter::io_failure(error.kind(), format!("cannot date {}: {error}", file.display())))
        }
    }
}

/// What the caller is told of a write that failed. The write has ended, so that one can look what became of it.
fn settle(error: StoreError, has_happened: io::Result<bool>) -> StoreError {
    match (has_happened, error) {
        (Ok(false), error) => error,
        // It took effect, but may not be durable.
        (Ok(true), StoreError::Unavailable(reason) | StoreError::Refused(reason)) => {
            StoreError::Unknown(reason)
        }
        (Ok(true), error) => error,
        (Err(doubt), error) => StoreError::Unknown(format!("{error}; then {doubt}")),
    }
}

/// Whether a file holds exactly this.
fn holds(file: &Path, payload: &Payload) -> io::Result<bool> {
    let held = match File::open(file) {
        Ok(held) => held,
        Err(error) if is_nowhere(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    if held.metadata()?.len() != payload.len() as u64 {
        return Ok(false);
    }
    let held = std::fs::read(file)?;
    let rest = payload.pieces().iter().try_fold(&held[..], |rest, piece| rest.strip_prefix(&piece[..]));
    Ok(rest.is_some_and(<[u8]>::is_empty))
}

/// Whether no file is, or can be, where one was looked for.
fn is_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename)
}

fn unknown(error: io::Error) -> StoreError {
    StoreError::Unknown(error.to_string())
}

#[cfg(test)]
mod tests;
