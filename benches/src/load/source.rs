//! Where contents come from: made up, or out of a folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use fulmar_core::model::UtcTime;

use super::LoadError;
use super::content::{Contents, FINAL_DOT};
use super::options::Options;

/// Octets that the files of a folder may have together: they are held in memory.
const OCTETS_LIMIT: usize = 256 << 20;

/// The contents of a run.
#[derive(Debug)]
pub(super) enum Source {
    /// Made up.
    Made(Contents),
    /// These in turns; at least one.
    Given(Vec<Vec<u8>>),
}

/// What is in a folder cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSendable {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It would have to be changed on its way (RFC 5321 §2.3.8, §4.5.2).
    #[error("{}: lines must end in CRLF, and none may begin with a dot", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing, or too much.
    #[error("{}: no files, or more than {OCTETS_LIMIT} octets", path.display())]
    Count {
        /// The folder.
        path: PathBuf,
    },
}

impl Source {
    /// For a run that began at `date`.
    pub(super) fn new(options: &Options, date: UtcTime, run: u128) -> Result<Self, LoadError> {
        Ok(match &options.contents {
            Some(folder) => Self::Given(read(folder)?),
            None => Self::Made(Contents::new(options, date, run)?),
        })
    }

    /// The size of content `number`, in octets.
    pub(super) fn octets(&self, number: u64) -> usize {
        match self {
            Self::Made(contents) => contents.octets(number),
            Self::Given(contents) => turn(contents, number).len(),
        }
    }

    /// A header block that [`Self::content`] fills in; empty where each content has its own.
    pub(super) fn head(&self) -> Vec<u8> {
        match self {
            Self::Made(contents) => contents.head(),
            Self::Given(_) => Vec::new(),
        }
    }

    /// Content `number` and the final dot, to be written in this order; its header block may be put into `head`.
    pub(super) fn content<'a>(&'a self, number: u64, head: &'a mut [u8]) -> [&'a [u8]; 3] {
        match self {
            Self::Made(contents) => contents.content(number, head),
            Self::Given(contents) => [turn(contents, number), FINAL_DOT, b""],
        }
    }
}

fn turn(contents: &[Vec<u8>], number: u64) -> &[u8] {
    &contents[(number % contents.len() as u64) as usize]
}

/// The files of a folder by their names.
fn read(folder: &Path) -> Result<Vec<Vec<u8>>, NotSendable> {
    let unreadable = |path: &Path, error| NotSendable::Unreadable { path: path.to_owned(), error };
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| unreadable(folder, error))?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let (mut contents, mut octets) = (Vec::new(), 0);
    for path in paths {
        let content = fs::read(&path).map_err(|error| unreadable(&path, error))?;
        if !is_sendable(&content) {
            return Err(NotSendable::Lines { path });
        }
        octets += content.len();
        contents.push(content);
        if octets > OCTETS_LIMIT {
            break;
        }
    }
    match contents.is_empty() || octets > OCTETS_LIMIT {
        true => Err(NotSendable::Count { path: folder.to_owned() }),
        false => Ok(contents),
    }
}

/// Whether the content has as many octets on the wire, and its end is its own.
fn is_sendable(content: &[u8]) -> bool {
    let is_proper = |line: &[u8]| {
        let text = line.strip_suffix(b"\r\n");
        text.is_some_and(|text| !text.starts_with(b".") && !text.contains(&b'\r'))
    };
    !content.is_empty() && content.split_inclusive(|octet| *octet == b'\n').all(is_proper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_turns_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("b", "2\r\n"), ("a", "1\r\n\r\nbody\r\n")] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let source = Source::Given(read(folder.path()).unwrap());
        let mut head = source.head();
        let mut sent = |number| source.content(number, &mut head).concat();
        assert_eq!(
            [0, 1, 2].map(&mut sent),
            [&b"1\r\n\r\nbody\r\n.\r\n"[..], b"2\r\n.\r\n", b"1\r\n\r\nbody\r\n.\r\n"]
        );
        assert_eq!([source.octets(0), source.octets(1)], [11, 3]);
    }

    #[test]
    fn what_would_be_another_message_on_its_way_is_not_sent() {
        for (content, expected) in [
            ("a\r\nb\r\n", true),
            ("", false),
            ("a", false),
            ("a\n", false),
            ("a\rb\r\n", false),
            ("a\r\n.b\r\n", false),
            ("a\r\n.\r\n", false),
        ] {
            assert_eq!(is_sendable(content.as_bytes()), expected, "{content:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(NotSendable::Count { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(NotSendable::Unreadable { .. })));
    }
}
