//! Clients that people and programs submit mail by, each in every mode that it has: what they send arrives, and a wrong password
//! is refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::Fallible;
use crate::doors::Doors;
use crate::process::PASSWORD;

mod modes;

use modes::{End, MODES, Mode};

/// Who submits.
const USER: &str = "u@example.org";
/// Who gets it.
const RECIPIENT: &str = "r@example.org";
/// Who gets what needs SMTPUTF8.
const RECIPIENT_UTF8: &str = "jörg@example.org";
/// Functions that the lines of the modes call.
const FUNCTIONS: &str = include_str!("../clients/submit.sh");
const SCRIPT: &str = include_str!("../clients/submit.py");
/// Dots where they are doubled on the wire.
const BODY: &str = "first\r\n.\r\n..two dots\r\nlast\r\n";

/// Every client delivers in each of its modes; with a wrong password it is told so, and delivers nothing.
pub fn clients_submit_and_deliver(program: &Path) -> Fallible<String> {
    // All clients come from one address, and every one of them fails once.
    let patient =
        ["FULMAR_AUTH_FAILURES_PER_ADDRESS", "FULMAR_AUTH_FAILURES_PER_ACCOUNT", "FULMAR_AUTH_FREE_FAILURES"];
    let (doors, _server) =
        Doors::open(program, &[USER, RECIPIENT, RECIPIENT_UTF8], &patient.map(|name| (name, "1000")))?;
    let failures: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = MODES.iter().map(|mode| scope.spawn(|| run(&doors, mode))).collect();
        let ends = MODES.iter().zip(runs).map(|(mode, run)| match run.join() {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}: {error}", mode.name)),
            Err(_) => Some(format!("{}: panicked", mode.name)),
        });
        ends.flatten().collect()
    });
    if !failures.is_empty() {
        return Err(failures.join("\n").into());
    }
    let inboxes = [doors.inbox(RECIPIENT)?, doors.inbox(RECIPIENT_UTF8)?].concat();
    let (mut delivered, mut wrong_passwords, mut refused) = (0, 0, 0);
    for mode in MODES {
        match mode.end {
            End::Delivered(trace) | End::DeliveredUtf8(trace) => check(mode, trace, &inboxes)?,
            End::LoggedIn(trace, _) => {
                wrong_passwords += 1;
                check(mode, trace, &inboxes)?;
            }
            End::Refused(_) => {
                refused += 1;
                continue;
            }
        }
        delivered += 1;
    }
    if inboxes.len() != delivered {
        return Err(format!("{delivered} were to be delivered and {} are", inboxes.len()).into());
    }
    Ok(format!(
        "{delivered} modes delivered, {wrong_passwords} wrong passwords and {refused} other modes refused"
    ))
}

/// Exactly one message came by this mode, octet for octet as far as the client leaves it alone, and its trace tells how.
fn check(mode: &Mode, trace: &[&str], inboxes: &[String]) -> Fallible<()> {
    let subject = format!("\r\nSubject: {}\r\n", mode.name);
    let found: Vec<&String> = inboxes.iter().filter(|message| message.contains(&subject)).collect();
    let [message] = &found[..] else { return Err(format!("{}: {} messages", mode.name, found.len()).into()) };
    if !message.ends_with(&format!("\r\n\r\n{BODY}")) {
        return Err(format!("{}: the body is not as sent: {message}", mode.name).into());
    }
    match trace.iter().find(|part| !message.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("{}: no {part:?} in {message}", mode.name).into()),
    }
}

/// Runs the client once as it is meant to be, and where it logs in once more with a wrong password.
fn run(doors: &Doors, mode: &Mode) -> Fallible<()> {
    let output = client(doors, mode, PASSWORD)?;
    let attempts = match mode.end {
        End::Refused(reply) => vec![(output, reply)],
        _ if !output.status.success() => return Err(said(&output).into()),
        End::LoggedIn(_, reply) => vec![(client(doors, mode, "wrong horse")?, reply)],
        End::Delivered(_) | End::DeliveredUtf8(_) => Vec::new(),
    };
    for (output, reply) in attempts {
        if output.status.success() || !said(&output).contains(reply) {
            return Err(format!("not refused with {reply:?}: {}", said(&output)).into());
        }
    }
    Ok(())
}

fn said(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{errors}")
}

fn client(doors: &Doors, mode: &Mode, password: &str) -> Fallible<Output> {
    let folder = doors.folder(mode.name)?;
    let recipient = if matches!(mode.end, End::DeliveredUtf8(_)) { RECIPIENT_UTF8 } else { RECIPIENT };
    let message = folder.join("message");
    let header = format!(
        "Subject: {}\r\nFrom: {USER}\r\nTo: {recipient}\r\nDate: Sun, 22 Nov 2026 15:00:00 +0000\r\nMessage-ID: <{}@client.test>\r\n",
        mode.name, mode.name
    );
    fs::write(&message, format!("{header}\r\n{BODY}"))?;
    fs::write(folder.join("submit.py"), SCRIPT)?;
    let mut shell = Command::new("setpriv");
    shell.args(["--pdeathsig", "KILL", "--", "sh", "-euc", &format!("{FUNCTIONS}\n{}", mode.line)]);
    // What is no password of the user's is no token either, but of the form of one.
    let token = if password == PASSWORD { doors.token(USER)? } else { password.replace(' ', ".") };
    let texts = [
        ("user", USER),
        ("from", USER),
        ("to", recipient),
        ("password", password),
        ("token", &token),
        ("subject", mode.name),
    ];
    let paths =
        [("ca", &doors.trusted), ("certificate", &doors.client), ("message", &message), ("folder", &folder)];
    let ports = [
        ("smtp", doors.smtp),
        ("submission", doors.submission),
        ("submissions", doors.submissions),
        ("lmtp", doors.lmtp),
    ];
    shell.envs(texts).envs(paths).envs(ports.map(|(name, address)| (name, address.port().to_string())));
    shell.env("HOME", &folder).current_dir(&folder).stdin(Stdio::null());
    Ok(shell.output()?)
}
