//! The ledger run of the whole: one node on a real S3 server takes real messages from real clients, keeps half of them and
//! relays the others to real servers, while it is killed again and again, and the S3 server too. Afterwards mail programs
//! read every mailbox over POP3, and the ledger judges.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::Fallible;
use crate::clients::{Job, retrieve_by_poplib};
use crate::corpus::{made_message, real_messages, with_attachment};
use crate::daemon::run as run_program;
use crate::dice::Dice;
use crate::ledger::{ID_FIELD, Ledger, first_difference};
use crate::ledger_run::{Plan, send_and_kill};
use crate::process::{PASSWORD, Settings, Site, free_address};
use crate::s3_server::{Bucket, S3Server, SeaweedFs};
use crate::smtp_servers::{Aiosmtpd, Postfix};

const ACCOUNTS: usize = 10;
/// The domain of the Postfix.
const POSTFIX_DOMAIN: &str = "postfix.test";
/// The domain of the aiosmtpd.
const AIOSMTPD_DOMAIN: &str = "aiosmtpd.test";
/// How often the S3 server is killed.
const STORE_KILLS: usize = 5;
/// Messages over 1 MiB, whose bodies go out in pieces.
const LARGE_MESSAGES: usize = 10;
const LARGE_SIZE: usize = 3 << 20;

/// Runs it and gives the report; a breach of the ledger's rules is an error that holds the report.
pub fn run(program: &Path, target: &Path, plan: Plan) -> Fallible<String> {
    let mut report = format!("{plan:?}, S3 server killed {STORE_KILLS} times");
    let place = TempDir::with_prefix("fulmar-relay-")?;
    let mut store = SeaweedFs::start(&folder(&place, "s3")?)?;
    let mut postfix = Postfix::start(&folder(&place, "postfix")?, POSTFIX_DOMAIN)?;
    let aiosmtpd = Aiosmtpd::start(&folder(&place, "aiosmtpd")?)?;
    let accounts: Vec<String> = (0..ACCOUNTS).map(account).collect();
    let (address, pop3) = (free_address()?, free_address()?);
    let settings = settings(store.bucket(), pop3, postfix.address(), aiosmtpd.address());
    let site = Site::with(&std::env::temp_dir(), program, &accounts, settings)?;
    let (ledger, jobs) = compose(&site, &real_messages(target)?, plan)?;

    let sending = Instant::now();
    let (mut store_kills, mut outages) = (0, Vec::new());
    let (mut ledger, server, mut lives) = send_and_kill(&site, ledger, &jobs, plan, address, |accepted| {
        if store_kills < STORE_KILLS && accepted * (STORE_KILLS + 1) >= jobs.len() * (store_kills + 1) {
            store_kills += 1;
            let killed = Instant::now();
            store.kill()?;
            store.restart()?;
            outages.push(killed.elapsed());
        }
        Ok(())
    })?;
    write!(report, "\nsent in {:.1?}, the store away for {outages:.1?}", sending.elapsed())?;
    let draining = Instant::now();
    site.wait_until_delivered()?;
    write!(report, ", queue empty {:.1?} later", draining.elapsed())?;
    let read = read_mailboxes(&site, pop3, &accounts, &mut ledger)?;
    write!(report, "\nread over POP3: {read}")?;
    let relayed = collect(&mut postfix, &aiosmtpd, &mut ledger)?;
    write!(report, "\nrelayed: {relayed}")?;
    lives.learn(&server.stop()?);

    let verdict = ledger.verdict();
    write!(report, "\n{lives}\n{verdict}")?;
    let is_done = lives.kills == plan.kills && store_kills == STORE_KILLS;
    if verdict.is_clean() && is_done { Ok(report) } else { Err(report.into()) }
}

fn account(number: usize) -> String {
    format!("u{number}@example.org")
}

/// A folder that every user may enter.
fn folder(place: &TempDir, name: &str) -> Fallible<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let folder = place.path().join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// A node on the bucket, with routes to both servers, that tries again soon.
fn settings(bucket: &Bucket, pop3: SocketAddr, postfix: SocketAddr, aiosmtpd: SocketAddr) -> Settings {
    let file = format!(
        "[relay]\nnetworks = [\"127.0.0.0/8\"]\n\n\
         [queue]\nretry = [\"1s\", \"3s\"]\n\n\
         [[route]]\ndomain = \"{POSTFIX_DOMAIN}\"\nnext_hop = \"{postfix}\"\n\n\
         [[route]]\ndomain = \"{AIOSMTPD_DOMAIN}\"\nnext_hop = \"{aiosmtpd}\"\n"
    );
    Settings { environment: s3_environment(bucket), file, pop3: Some(pop3), http: None }
}

/// What a process needs to use the bucket.
pub fn s3_environment(bucket: &Bucket) -> Vec<(String, String)> {
    [
        ("FULMAR_STORE_URL", format!("s3://{}/fulmar", bucket.name)),
        ("FULMAR_STORE_ENDPOINT", bucket.endpoint.clone()),
        ("FULMAR_STORE_REGION", bucket.region.clone()),
        ("AWS_ACCESS_KEY_ID", bucket.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", bucket.secret_key.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Writes every message to a file and enters it in the books: every other one goes to accounts, the rest to the two servers.
fn compose(site: &Site, real: &[Vec<u8>], plan: Plan) -> Fallible<(Ledger, Vec<Job>)> {
    let mut dice = Dice::new(plan.seed);
    let folder = site.scratch()?;
    let mut ledger = Ledger::relaying(&[POSTFIX_DOMAIN, AIOSMTPD_DOMAIN]);
    let mut jobs = Vec::with_capacity(plan.messages);
    for number in 0..plan.messages {
        let size = 200 + dice.below(60_000);
        let message = match number {
            n if n < LARGE_MESSAGES => with_attachment(&mut dice, LARGE_SIZE),
            n if n < plan.messages / 3 => made_message(&mut dice, size, n % 2 == 0),
            n => real[n % real.len()].clone(),
        };
        let several = 1 + dice.below(3);
        // Postfix mends a header block that has no empty line at its end, and then it is not what was sent.
        let turn = if has_whole_header(&message) { number % 4 } else { 3 };
        let forward_paths = match turn {
            0 | 1 => (0..several).map(|n| account((number / 4 + n) % ACCOUNTS)).collect(),
            2 => (0..several).map(|n| format!("r{n}@{POSTFIX_DOMAIN}")).collect(),
            _ => (0..several).map(|n| format!("r{n}@{AIOSMTPD_DOMAIN}")).collect(),
        };
        let id = format!("{:x}-{number}", plan.seed);
        let content = [format!("{ID_FIELD}{id}\r\n").into_bytes(), message].concat();
        let file = folder.join(format!("{number}.eml"));
        fs::write(&file, &content)?;
        let job = Job { id, reverse_path: "a@client.test".to_owned(), forward_paths, file };
        ledger.enter(job.clone(), content);
        jobs.push(job);
    }
    dice.shuffle(&mut jobs);
    Ok((ledger, jobs))
}

/// Whether the header block consists of fields and ends with an empty line.
fn has_whole_header(message: &[u8]) -> bool {
    let is_field = |line: &[u8]| {
        let name = line.iter().position(|octet| *octet == b':').map_or(&[][..], |colon| &line[..colon]);
        line.starts_with(b" ")
            || line.starts_with(b"\t")
            || (!name.is_empty() && name.iter().all(u8::is_ascii_graphic))
    };
    message.split_inclusive(|octet| *octet == b'\n').find(|line| !is_field(line)) == Some(b"\r\n")
}

/// Every mailbox is read by `poplib`, for the books; some once more by curl and by fetchmail, which must find the same.
fn read_mailboxes(
    site: &Site,
    pop3: SocketAddr,
    accounts: &[String],
    ledger: &mut Ledger,
) -> Fallible<String> {
    let (mut by_poplib, mut by_curl, mut by_fetchmail) = (0, 0, 0);
    for (number, account) in accounts.iter().enumerate() {
        let folder = site.scratch()?.join(account);
        fs::create_dir_all(&folder)?;
        let mut contents = Vec::new();
        for message in retrieve_by_poplib(pop3, (account, PASSWORD), &folder, false)? {
            let content = fs::read(&message.file)?;
            ledger.find(account, message.uid, &content);
            contents.push(content);
        }
        by_poplib += contents.len();
        match number % 3 {
            0 => by_curl += read_by_curl(pop3, account, &contents)?,
            1 => by_fetchmail += read_by_fetchmail(pop3, account, &folder, &contents)?,
            _ => {}
        }
    }
    Ok(format!("{by_poplib} by poplib, {by_curl} of them by curl too, {by_fetchmail} by fetchmail"))
}

fn read_by_curl(pop3: SocketAddr, account: &str, contents: &[Vec<u8>]) -> Fallible<usize> {
    for (number, content) in (1..).zip(contents) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--user"]);
        curl.arg(format!("{account}:{PASSWORD}")).arg(format!("pop3://{pop3}/{number}"));
        if run_program(&mut curl)? != *content {
            return Err(format!("curl reads another message {number} of {account} than poplib").into());
        }
    }
    Ok(contents.len())
}

/// fetchmail hands each message to a program.
fn read_by_fetchmail(
    pop3: SocketAddr,
    account: &str,
    folder: &Path,
    contents: &[Vec<u8>],
) -> Fallible<usize> {
    let fetched = folder.join("fetched");
    fs::create_dir_all(&fetched)?;
    let deliver = folder.join("deliver");
    fs::write(&deliver, format!("#!/bin/sh\nexec cat >\"$(mktemp -p '{}')\"\n", fetched.display()))?;
    let rc = folder.join("fetchmailrc");
    let (host, port) = (pop3.ip(), pop3.port());
    fs::write(
        &rc,
        format!(
            "set no syslog\nset invisible\npoll {host} protocol pop3 service {port} no dns\n\
             user \"{account}\" password \"{PASSWORD}\" keep fetchall no rewrite sslproto \"\"\n\
             mda \"/bin/sh '{}'\"\n",
            deliver.display()
        ),
    )?;
    run_program(Command::new("chmod").arg("600").arg(&rc))?;
    let mut fetchmail = Command::new("fetchmail");
    fetchmail
        .args(["--nodetach", "--bad-header", "accept"])
        .arg("--fetchmailrc")
        .arg(&rc)
        .args(["--pidfile"])
        .arg(folder.join("pid"));
    run_program(fetchmail.env("FETCHMAILHOME", folder))?;
    let mut expected = contents.iter().map(|content| id_and_body(content)).collect::<Fallible<Vec<_>>>()?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&fetched)? {
        found.push(id_and_body(&fs::read(entry?.path())?)?);
    }
    expected.sort();
    found.sort();
    match expected.iter().zip(&found).find(|(expected, found)| expected != found) {
        _ if expected.len() != found.len() => {
            Err(format!("fetchmail reads {} of {} messages of {account}", found.len(), expected.len()).into())
        }
        Some((expected, found)) => Err(format!(
            "fetchmail reads another message of {account} than poplib: {}",
            first_difference(expected, found)
        )
        .into()),
        None => Ok(contents.len()),
    }
}

/// A message's ledger id and body, with LF alone at the end of lines and none at its own. fetchmail drops and mends header
/// fields that it finds odd, and ends a message that has no body with the empty line that it lacks.
fn id_and_body(message: &[u8]) -> Fallible<Vec<u8>> {
    let text: Vec<u8> = message.iter().copied().filter(|octet| *octet != b'\r').collect();
    let at = find(&text, ID_FIELD.as_bytes()).ok_or("a message without a ledger id")?;
    let id_end = find(&text[at..], b"\n").map_or(text.len(), |end| at + end);
    let body = find(&text, b"\n\n").map_or(&[][..], |end| &text[end..]);
    let end = body.iter().rposition(|octet| *octet != b'\n').map_or(0, |last| last + 1);
    Ok([&text[at..id_end], b"\n", &body[..end]].concat())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Shows the ledger what the two servers have got.
fn collect(postfix: &mut Postfix, aiosmtpd: &Aiosmtpd, ledger: &mut Ledger) -> Fallible<String> {
    let files = postfix.wait_until_idle()?;
    for file in &files {
        let delivered = Delivered::read(&fs::read(file)?)?;
        let place = file.display().to_string();
        ledger.find_relayed(&delivered.recipient, &place, &delivered.reverse_path, &delivered.content);
    }
    let accepted = aiosmtpd.accepted()?;
    let mut copies = 0;
    for (number, message) in accepted.iter().enumerate() {
        for recipient in &message.forward_paths {
            copies += 1;
            ledger.find_relayed(
                recipient,
                &format!("message {number}"),
                &message.reverse_path,
                &message.content,
            );
        }
    }
    Ok(format!("{} copies to Postfix, {copies} to aiosmtpd", files.len()))
}

/// A message in one of Postfix's files.
struct Delivered {
    recipient: String,
    reverse_path: String,
    /// From our own trace field on, with CRLF at the end of lines.
    content: Vec<u8>,
}

impl Delivered {
    /// Postfix puts `Return-Path`, `X-Original-To`, `Delivered-To` and its own `Received` in front, and keeps LF alone.
    fn read(stored: &[u8]) -> Fallible<Self> {
        let header = find(stored, ID_FIELD.as_bytes()).ok_or("a message without a ledger id")?;
        let text = String::from_utf8_lossy(&stored[..header]).into_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().trim_matches(['<', '>']).to_owned()).ok_or(format!("no {name}"))
        };
        let ours = text.rfind("\nReceived: ").ok_or("no trace field of ours")? + 1;
        let mut content = Vec::with_capacity(stored.len());
        for line in stored[ours..].split_inclusive(|octet| *octet == b'\n') {
            content.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            content.extend_from_slice(b"\r\n");
        }
        Ok(Self { recipient: field("Delivered-To:")?, reverse_path: field("Return-Path:")?, content })
    }
}
