//! Real clients: `swaks`, and Python's `smtplib` through `clients/send.py`, each attempt at a message giving one answer; and
//! `poplib` through `clients/retrieve.py`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Fallible;

const RETRIEVE: &str = include_str!("../clients/retrieve.py");
const SCRIPT: &str = include_str!("../clients/send.py");
/// Between two attempts at one message.
const PAUSE: Duration = Duration::from_millis(50);

/// One message to send, for whichever client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Tells the message from all others.
    pub id: String,
    /// The envelope's sender, without brackets.
    pub reverse_path: String,
    /// The envelope's recipients, without brackets.
    pub forward_paths: Vec<String>,
    /// Holds the content, with CRLF line ends.
    pub file: PathBuf,
}

/// What came of one attempt at a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// The job.
    pub id: String,
    /// Whether the final dot may have reached the server, so that it may have kept the message.
    pub whole: bool,
    /// Under which the server said that it has the message.
    pub queue_id: Option<String>,
    /// What it said, or what went wrong.
    pub reply: String,
}

/// A message as a POP3 client got it.
#[derive(Clone, Debug, Deserialize)]
pub struct Retrieved {
    /// Out of its unique-id.
    pub uid: u64,
    /// As LIST says.
    pub octets: u64,
    /// Holds what RETR gave.
    pub file: PathBuf,
}

/// Retrieves every message of an account by `poplib` into files in a folder, and deletes all of them if asked to.
pub fn retrieve_by_poplib(
    server: SocketAddr,
    (account, password): (&str, &str),
    folder: &Path,
    delete: bool,
) -> Fallible<Vec<Retrieved>> {
    let output = Command::new("python3")
        .args(["-c", RETRIEVE])
        .args([server.ip().to_string(), server.port().to_string()])
        .args([account, password])
        .arg(folder)
        .arg(if delete { "delete" } else { "keep" })
        .output()?;
    if !output.status.success() {
        return Err(format!("clients/retrieve.py: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let lines = output.stdout.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

/// Sends jobs by `smtplib` over this many connections at a time. Each is tried again until it is accepted, refused for
/// good, or `patience` is over.
pub fn send_by_smtplib(
    jobs: &[Job],
    server: SocketAddr,
    connections: usize,
    patience: Duration,
    mut on_answer: impl FnMut(Answer),
) -> Fallible<()> {
    let mut child = smtplib(server, connections, patience, None).spawn()?;
    let mut input = child.stdin.take().ok_or("no stdin")?;
    for job in jobs {
        serde_json::to_writer(&mut input, job)?;
        input.write_all(b"\n")?;
    }
    drop(input);
    for line in BufReader::new(child.stdout.take().ok_or("no stdout")?).lines() {
        on_answer(serde_json::from_str(&line?)?);
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("clients/send.py: {status}").into()) }
}

/// `clients/send.py`, yet to be started: it takes jobs and gives answers, each one a line of JSON. Its connections come from
/// `source`, or from where the system likes.
pub(crate) fn smtplib(
    server: SocketAddr,
    connections: usize,
    patience: Duration,
    source: Option<IpAddr>,
) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "python3", "-c", SCRIPT])
        .args([server.ip().to_string(), server.port().to_string()])
        .args([connections.to_string(), patience.as_secs().to_string()])
        .args(source.map(|source| source.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Sends jobs by `swaks`, one after the other, each tried again as by `smtplib`.
pub fn send_by_swaks(
    jobs: &[Job],
    server: SocketAddr,
    patience: Duration,
    mut on_answer: impl FnMut(Answer),
) -> Fallible<()> {
    for (number, job) in jobs.iter().enumerate() {
        let data = dot_stuffed(&job.file)?;
        let deadline = Instant::now() + patience;
        loop {
            let answer = attempt_by_swaks(job, &data, server, number % 2 == 0)?;
            let is_refused = answer.reply.contains("<** 5");
            let is_over = answer.queue_id.is_some() || is_refused || Instant::now() > deadline;
            on_answer(answer);
            if is_over {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Writes the content as it goes over the wire (RFC 5321 §4.5.2), beside the original, since `swaks` then leaves it
/// alone: otherwise it would replace what looks like its own tokens. The last CRLF is put there by `swaks`.
fn dot_stuffed(file: &Path) -> Fallible<PathBuf> {
    let mut wire = Vec::new();
    for line in fs::read(file)?.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.push(b'.');
    let path = file.with_extension("wire");
    fs::write(&path, wire)?;
    Ok(path)
}

fn attempt_by_swaks(job: &Job, data: &Path, server: SocketAddr, pipeline: bool) -> Fallible<Answer> {
    let reverse_path = if job.reverse_path.is_empty() { "<>" } else { &job.reverse_path };
    let mut command = Command::new("swaks");
    command
        .args(["--server", &server.to_string(), "--ehlo", "client.test", "--hide-send"])
        .args(["--from", reverse_path, "--to", &job.forward_paths.join(",")])
        .args(["--no-data-fixup", "--data", &format!("@{}", data.display())]);
    if pipeline {
        command.arg("--pipeline");
    }
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let queue_id = said.lines().find_map(|line| {
        let reply = line.strip_prefix("<-")?.trim();
        Some(reply.strip_prefix("250 2.0.0 ")?.strip_suffix(" queued")?.to_owned())
    });
    let trouble = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| line.starts_with('<')).unwrap_or_default();
    Ok(Answer {
        id: job.id.clone(),
        whole: said.contains("354 "),
        queue_id,
        reply: format!("{last} {trouble}"),
    })
}
