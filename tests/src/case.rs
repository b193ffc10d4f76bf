//! What most cases do: so many messages to one recipient, read back by another process and judged by the ledger.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Fallible;
use crate::clients::Job;
use crate::dice::Dice;
use crate::ledger::{ID_FIELD, Ledger};
use crate::process::Site;

/// The one account.
pub const RECIPIENT: &str = "u@example.org";

/// How long a client tries a message where nothing is meant to go wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A new store with one account.
pub fn site(program: &Path) -> Fallible<Site> {
    Site::new(program, &[RECIPIENT.to_owned()])
}

/// Makes so many messages and enters them in the books.
pub fn jobs(
    site: &Site,
    ledger: &mut Ledger,
    name: &str,
    count: usize,
    make: impl Fn(&mut Dice, usize) -> Vec<u8>,
) -> Fallible<Vec<Job>> {
    let mut dice = Dice::new(1);
    let folder = site.scratch()?;
    let mut jobs = Vec::new();
    for number in 0..count {
        let id = format!("{name}-{number}");
        let content = [format!("{ID_FIELD}{id}\r\n").into_bytes(), make(&mut dice, number)].concat();
        let file = folder.join(format!("{id}.eml"));
        fs::write(&file, &content)?;
        let reverse_path = "a@client.test".to_owned();
        let job = Job { id, reverse_path, forward_paths: vec![RECIPIENT.to_owned()], file };
        ledger.enter(job.clone(), content);
        jobs.push(job);
    }
    Ok(jobs)
}

/// Waits until everything is delivered, reads it, and gives the verdict, as an error where it is not clean.
pub fn read_back(site: &Site, mut ledger: Ledger) -> Fallible<String> {
    site.wait_until_delivered()?;
    for (uid, file) in site.read_all(RECIPIENT)? {
        ledger.find(RECIPIENT, uid, &fs::read(file)?);
    }
    let verdict = ledger.verdict();
    if verdict.is_clean() { Ok(verdict.to_string()) } else { Err(verdict.to_string().into()) }
}
