//! The books of a run, audited from outside: what clients were answered, against what mailboxes and another host hold.
//!
//! `ledger --books FOLDER --remote FOLDER --domains D,D --fulmar PATH`
//!
//! The books are files of JSON lines: `sent.jsonl` (what was given to clients, and from which address they connect),
//! `answers.jsonl` (what they were told) and `faults.jsonl` (what was done to which host, and when). The remote folder is
//! aiosmtpd's, and holds what went to the domains. Mailboxes are read by `fulmar mailbox`, which finds its store by the
//! environment. This program shares no code with the engine and sees nothing of its logs.
//!
//! Besides what the [`Ledger`] says, each further copy at the other host must have a reason: a host that handed one of the
//! two over was killed or stopped between them. One that was told to stop finishes what it does, and is no reason.
//! It prints its findings and exits with 1 where there is a breach.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::UNIX_EPOCH;

use fulmar_tests::Fallible;
use fulmar_tests::clients::{Answer, Job};
use fulmar_tests::daemon::run;
use fulmar_tests::ledger::Ledger;
use fulmar_tests::ledger::reasons::{Arrival, Fault, explain};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A line of `sent.jsonl`.
#[derive(Deserialize)]
struct Sent {
    #[serde(flatten)]
    job: Job,
    client: IpAddr,
}

/// The first line of one of aiosmtpd's files.
#[derive(Deserialize)]
struct Head {
    reverse_path: String,
    forward_paths: Vec<String>,
    helo: String,
}

struct Arguments {
    books: PathBuf,
    remote: PathBuf,
    domains: Vec<String>,
    fulmar: PathBuf,
}

fn main() -> ExitCode {
    match parse().and_then(|arguments| audit(&arguments)) {
        Ok(is_clean) => ExitCode::from(u8::from(!is_clean)),
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Fallible<Arguments> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut rest = std::env::args().skip(1);
    while let Some(option) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{option} needs a value"))?;
        values.insert(option, value);
    }
    let mut value = |option: &str| values.remove(option).ok_or_else(|| format!("{option} is missing"));
    Ok(Arguments {
        books: value("--books")?.into(),
        remote: value("--remote")?.into(),
        domains: value("--domains")?.split(',').map(ToOwned::to_owned).collect(),
        fulmar: value("--fulmar")?.into(),
    })
}

/// Prints the findings; whether there is no breach.
fn audit(arguments: &Arguments) -> Fallible<bool> {
    let domains: Vec<&str> = arguments.domains.iter().map(String::as_str).collect();
    let mut ledger = Ledger::relaying(&domains);
    let mut accounts = BTreeSet::new();
    for Sent { job, client } in read_lines(&arguments.books.join("sent.jsonl"))? {
        let is_local = |path: &&String| !domains.iter().any(|domain| path.ends_with(&format!("@{domain}")));
        accounts.extend(job.forward_paths.iter().filter(is_local).cloned());
        let (id, content) = (job.id.clone(), fs::read(&job.file)?);
        ledger.enter(job, content);
        ledger.comes_from(&id, client);
    }
    for answer in read_lines::<Answer>(&arguments.books.join("answers.jsonl"))? {
        ledger.answer(answer);
    }
    for account in &accounts {
        for (uid, content) in read_mailbox(arguments, account)? {
            ledger.find(account, uid, &content);
        }
    }
    let arrivals = read_remote(&arguments.remote, &mut ledger)?;
    let faults = read_lines::<Fault>(&arguments.books.join("faults.jsonl"))?;

    let verdict = ledger.verdict();
    let (mut reasons, mut unexplained) = (BTreeMap::<String, usize>::new(), Vec::new());
    for repeat in &verdict.repeats {
        for reason in explain(repeat, &arrivals, &faults) {
            match reason {
                Ok(reason) => *reasons.entry(reason).or_default() += 1,
                Err(complaint) => unexplained.push(complaint),
            }
        }
    }
    println!("{verdict}");
    let reasons: Vec<String> =
        reasons.iter().map(|(reason, repeats)| format!("{repeats} by a {reason}")).collect();
    println!("repeated at the other host: {} ({})", verdict.repeated, reasons.join(", "));
    for complaint in &unexplained {
        println!("  unexplained: {complaint}");
    }
    Ok(verdict.is_clean() && unexplained.is_empty())
}

fn read_lines<T: DeserializeOwned>(file: &Path) -> Fallible<Vec<T>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Every message in an account's INBOX, with its UID.
fn read_mailbox(arguments: &Arguments, account: &str) -> Fallible<Vec<(u64, Vec<u8>)>> {
    let fulmar = |rest: &[&OsStr]| {
        let mut command = Command::new(&arguments.fulmar);
        run(command.arg("mailbox").args(rest).current_dir(&arguments.books))
    };
    let listed = fulmar(&["list".as_ref(), account.as_ref(), "--json".as_ref()])?;
    let expected = listed.iter().filter(|octet| **octet == b'\n').count();
    if expected == 0 {
        return Ok(Vec::new());
    }
    let folder = arguments.books.join("mailboxes").join(account);
    fs::create_dir_all(&folder)?;
    let options = ["read", account, "--all", "--output"].map(OsStr::new);
    fulmar(&[&options[..], &[folder.as_os_str()]].concat())?;
    let mut messages = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        messages.push((name.parse().map_err(|_| format!("{} is no UID", path.display()))?, fs::read(&path)?));
    }
    if messages.len() != expected {
        return Err(format!("{account}: {expected} messages are listed and {} read", messages.len()).into());
    }
    messages.sort_by_key(|(uid, _)| *uid);
    Ok(messages)
}

/// Shows the ledger what the other host has taken; gives when each file came.
fn read_remote(folder: &Path, ledger: &mut Ledger) -> Fallible<BTreeMap<String, Arrival>> {
    let mut arrivals = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let kept = fs::read(entry.path())?;
        let end = kept.iter().position(|octet| *octet == b'\n').ok_or("a file without a first line")?;
        let head: Head = serde_json::from_slice(&kept[..end])?;
        for recipient in &head.forward_paths {
            ledger.find_relayed(recipient, &name, &head.reverse_path, &kept[end + 1..]);
        }
        let at = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH)?.as_secs_f64();
        arrivals.insert(name, Arrival { at, host: head.helo });
    }
    Ok(arrivals)
}
