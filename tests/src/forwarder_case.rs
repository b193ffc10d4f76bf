//! Mail between two nodes with a Postfix in between that forwards, every name answered by a real name server.
//!
//! Each host has an address of its own, by which SPF tells them apart: all listen on one port, and find each other by MX.

mod hosts;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Fallible;
use crate::process::{PASSWORD, Site};

use self::hosts::{Hosts, RECEIVER, SENDER};

/// At the forwarder, and leads to the receiver.
const LIST: &str = "list@forward.test";
/// At the sender's node, and leads to the receiver.
const AWAY: &str = "away@sender.test";
/// Writes from the forwarder's domain.
const ANN: &str = "ann@forward.test";
/// What the forwarder puts something in front of.
const CHANGED: &str = "changed on the way";
/// The address of somebody who has no name in the DNS.
const STRANGER: &str = "127.0.0.4";

/// A message that is to arrive, and what the receiver's node is to say of it.
struct Arrival {
    subject: &'static str,
    /// How the reverse-path begins and ends.
    reverse_path: (&'static str, &'static str),
    /// How each method's part of the Authentication-Results field begins, in their order.
    results: &'static [&'static str],
}

const ARRIVALS: [Arrival; 3] = [
    Arrival {
        subject: "direct",
        reverse_path: (SENDER, ""),
        results: &[
            "iprev=pass (mx.sender.test) policy.iprev=127.0.0.1",
            "spf=pass smtp.helo=mx.sender.test",
            "spf=pass smtp.mailfrom=user@sender.test",
            "dkim=pass header.d=sender.test header.s=node-ed25519 header.a=ed25519-sha256",
            "dkim=pass header.d=sender.test header.s=node-rsa header.a=rsa-sha256",
            "arc=none",
            "dmarc=pass (p=reject of sender.test)",
        ],
    },
    // The forwarder is not among those who may send for the author's domain; the signatures are whole.
    Arrival {
        subject: "forwarded",
        reverse_path: (SENDER, ""),
        results: &[
            "iprev=pass (mx.forward.test) policy.iprev=127.0.0.3",
            "spf=pass smtp.helo=mx.forward.test",
            "spf=fail smtp.mailfrom=user@sender.test",
            "dkim=pass header.d=sender.test header.s=node-ed25519 header.a=ed25519-sha256",
            "dkim=pass header.d=sender.test header.s=node-rsa header.a=rsa-sha256",
            "arc=none",
            "dmarc=pass (p=reject of sender.test)",
        ],
    },
    // Nothing speaks for the author any more but the seal, which is trusted.
    Arrival {
        subject: "sealed",
        reverse_path: ("SRS0=", "=forward.test=ann@sender.test"),
        results: &[
            "iprev=pass (mx.sender.test) policy.iprev=127.0.0.1",
            "spf=pass smtp.helo=mx.sender.test",
            "spf=pass smtp.mailfrom=",
            "dkim=none",
            "arc=pass (i=1 sealed by sender.test)",
            "dmarc=fail (p=reject of forward.test)",
        ],
    },
];

/// What a user sends arrives authenticated, directly and through a forwarder; what the forwarder changed and what a stranger forged is
/// refused, and the sender told; what we forward ourselves arrives by our return address and on our seal.
pub fn mail_stays_authentic_through_a_forwarder(program: &Path) -> Fallible<String> {
    let mut hosts = Hosts::start(program)?;
    let login = ["--tls-on-connect", "--auth", "PLAIN", "--auth-user", SENDER, "--auth-password", PASSWORD];
    for (recipient, subject) in [(RECEIVER, "direct"), (LIST, "forwarded"), (LIST, CHANGED)] {
        let said = send(hosts.submissions, &login, (SENDER, recipient), subject)?;
        expect(&said, " 250 2.0.0 ")?;
    }
    let said = send(hosts.forwarder.address(), &[], (ANN, AWAY), "sealed")?;
    expect(&said, " 250 2.0.0 ")?;
    let said = send(hosts.receiver_smtp, &["--local-interface", STRANGER], (SENDER, RECEIVER), "forged")?;
    expect(&said, "<** 550 5.7.26 ")?;
    hosts.sender.wait_for_messages(SENDER, 1)?;
    hosts.receiver.wait_for_messages(RECEIVER, ARRIVALS.len())?;
    hosts.forwarder.wait_until_idle()?;

    let arrived = messages(&hosts.receiver, RECEIVER)?;
    for arrival in &ARRIVALS {
        arrival.check(&arrived)?;
    }
    let told = messages(&hosts.sender, SENDER)?;
    let [told] = &told[..] else {
        return Err(format!("the sender was told {}", told.join("\n--\n")).into());
    };
    if arrived.len() != ARRIVALS.len() {
        return Err(format!("more arrived than was to:\n{}", arrived.join("\n--\n")).into());
    }
    for part in [
        "Return-Path: <>\r\n",
        "Reporting-MTA: dns; mx.forward.test\r\n",
        "\r\nFinal-Recipient: rfc822; user@receiver.test\r\n",
        "\r\nAction: failed\r\n",
        "\r\nStatus: 5.7.26\r\n",
        "said: 550 5.7.26",
        CHANGED,
    ] {
        expect(told, part)?;
    }
    Ok(format!("{} messages authenticated, 2 refused", ARRIVALS.len()))
}

impl Arrival {
    fn check(&self, messages: &[String]) -> Fallible<()> {
        let subject = format!("\r\nSubject: {}\r\n", self.subject);
        let message = messages.iter().find(|message| message.contains(&subject));
        let message =
            message.ok_or_else(|| format!("no {} among:\n{}", self.subject, messages.join("\n--\n")))?;
        let (start, end) = self.reverse_path;
        let reverse_path = message.strip_prefix("Return-Path: <").and_then(|rest| rest.split('>').next());
        let is_right = reverse_path.is_some_and(|path| path.starts_with(start) && path.ends_with(end));
        let found = results(message);
        let is_as_expected =
            found.iter().zip(self.results).all(|(found, expected)| found.starts_with(expected));
        match is_right && is_as_expected && found.len() == self.results.len() {
            true => Ok(()),
            false => {
                Err(format!("{found:#?} and not {:#?}, or another way back: {message}", self.results).into())
            }
        }
    }
}

/// What the receiver's node says of a message, each method's part.
fn results(message: &str) -> Vec<String> {
    let ours = "\r\nAuthentication-Results: mx.receiver.test;\r\n\t";
    let Some((_, behind)) = message.split_once(ours) else { return Vec::new() };
    let mut parts = Vec::new();
    for line in behind.split("\r\n\t") {
        // The last line of the field is followed by another field.
        let (line, is_last) = line.split_once("\r\n").map_or((line, false), |(line, _)| (line, true));
        parts.push(line.trim_end_matches(';').to_owned());
        if is_last {
            break;
        }
    }
    parts
}

fn messages(site: &Site, account: &str) -> Fallible<Vec<String>> {
    site.read_all(account)?.into_iter().map(|(_, file)| Ok(fs::read_to_string(file)?)).collect()
}

/// Sends a message by swaks, and gives what both said.
fn send(
    server: SocketAddr,
    options: &[&str],
    (reverse_path, recipient): (&str, &str),
    subject: &str,
) -> Fallible<String> {
    let mut command = Command::new("swaks");
    command.args(["--server", &server.to_string(), "--ehlo", "client.test"]).args(options);
    command.args(["--from", reverse_path, "--to", recipient]);
    let output = command.args(["--header", &format!("Subject: {subject}")]).output()?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn expect(said: &str, reply: &str) -> Fallible<()> {
    if said.contains(reply) { Ok(()) } else { Err(format!("no {reply:?} in {said}").into()) }
}
