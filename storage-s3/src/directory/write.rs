//! Writing one file, durably.
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | a file of another name, `<name>#<n>`, is made in the same folder | that file, which is no object and is removed by a listing a day later |
//! | the content is written to it and flushed | the same |
//! | it is renamed; a create only where nothing has its own name | the object, whole, or still the other name |
//! | the folder is flushed | the object |
//!
//! Success is told after the last step. A rename is one change to one folder, so that a create needs no second link to be taken away
//! again; where a file system cannot rename on condition, it is linked (and a crash may leave both names).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::{Path, PathBuf};

use fulmar_core::platform::{Payload, When};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::folders::{flush_folder_of, make_directory};

/// Names tried for the file that is written. More are taken only where as many writers of one key died within a day.
const STAGED_NAMES: u32 = 10_000;

/// Writes a file whole. `AlreadyExists` only where `when` says that it must not.
pub(super) fn write(file: &Path, payload: &Payload, when: When) -> io::Result<()> {
    let (mut content, staged) = stage(file)?;
    let published = write_all(&mut content, payload)
        .and_then(|()| content.sync_all())
        .and_then(|()| publish(&staged, file, when));
    if published.is_err() {
        // If that fails a listing does it a day later.
        let _ = fs::remove_file(&staged);
    }
    published?;
    flush_folder_of(file)
}

/// Opens a new file beside the one that is to be written.
fn stage(file: &Path) -> io::Result<(File, PathBuf)> {
    for number in 1..STAGED_NAMES {
        let mut staged = OsString::from(file);
        staged.push(format!("#{number}"));
        match File::options().write(true).create_new(true).open(&staged) {
            Ok(content) => return Ok((content, staged.into())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // It may also have been removed, being empty, since it was made.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                file.parent().map_or(Ok(()), make_directory)?
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{STAGED_NAMES} files beside it are being written")))
}

/// Writes all pieces, as many at once as the system takes.
fn write_all(file: &mut File, payload: &Payload) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = payload.pieces().iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives what is written its own name. After success the other name is anybody's.
fn publish(staged: &Path, file: &Path, when: When) -> io::Result<()> {
    if when == When::Always {
        return fs::rename(staged, file);
    }
    match renameat_with(CWD, staged, CWD, file, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(staged, file)?;
            // As above.
            let _ = fs::remove_file(staged);
            Ok(())
        }
        renamed => Ok(renamed?),
    }
}
