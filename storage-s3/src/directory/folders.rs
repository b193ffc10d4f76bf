//! Folders, made and flushed durably. All block their thread.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Nobody but the owner may read mail.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory and those above it that are missing, durably.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    if path.exists() && !path.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let missing = path.ancestors().take_while(|directory| !directory.exists()).count();
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&path)?;
    // Each new directory stands in the one above it.
    path.ancestors().skip(1).take(missing).try_for_each(flush)
}

/// Makes what was done to the names in a file's folder durable.
pub(super) fn flush_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), flush)
}

fn flush(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
