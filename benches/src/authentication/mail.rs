//! Mail that is ready before anything is measured: some hundred messages, sent again and again.

use std::fs;
use std::path::PathBuf;

use fulmar_core::authn::dkim::BodyHash;
use fulmar_tests::Fallible;
use fulmar_tests::dice::Dice;

use crate::author::{body_hash, header, lines};

/// The user who submits mail, and to whom all of it goes.
pub(super) const USER: &str = "bob@example.org";
/// Messages that differ.
const MESSAGES: usize = 400;
/// Of their bodies.
const SEED: u64 = 7;

/// A folder of messages of one author.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) folder: PathBuf,
    pub(super) author: String,
}

impl Mail {
    /// Writes them, with what is made of header block and body in front.
    pub(super) fn write(
        folder: PathBuf,
        author: &str,
        size: usize,
        front: impl Fn(&str, &BodyHash) -> Fallible<String>,
    ) -> Fallible<Self> {
        let mut dice = Dice::new(SEED);
        fs::create_dir(&folder)?;
        for number in 0..MESSAGES {
            let (header, body) = (header(author, number), lines(&mut dice, size));
            let front = front(&header, &body_hash([&body[..]])?)?;
            let message = [front.as_bytes(), header.as_bytes(), &body].concat();
            fs::write(folder.join(format!("{number:04}.eml")), message)?;
        }
        Ok(Self { folder, author: author.to_owned() })
    }
}
