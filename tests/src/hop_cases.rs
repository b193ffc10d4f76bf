//! What is asked of the real next hops.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::Fallible;
use crate::client::Client;
use crate::smtp_servers::{Aiosmtpd, Postfix};

const CONTENT: &str = "Subject: hop\r\n\r\n.dot\r\n";

/// Postfix and aiosmtpd keep what they took, with its envelope and as it was.
pub fn hops_keep_messages() -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-aiosmtpd-")?;
    let aiosmtpd = Aiosmtpd::start(folder.path())?;
    deliver(aiosmtpd.address());
    let accepted = aiosmtpd.accepted()?;
    let is_kept = matches!(&accepted[..], [message] if message.reverse_path == "a@client.test"
        && message.forward_paths == ["u@hop.test"] && message.content == CONTENT.as_bytes());
    if !is_kept {
        return Err(format!("aiosmtpd keeps {accepted:?}").into());
    }

    let folder = TempDir::with_prefix("fulmar-postfix-")?;
    let mut postfix = Postfix::start(folder.path(), "hop.test")?;
    deliver(postfix.address());
    let files = postfix.wait_for_delivered(1)?;
    let stored = fs::read_to_string(&files[0])?;
    for part in ["Return-Path: <a@client.test>\n", "X-Original-To: u@hop.test\n", "\n\n.dot\n"] {
        if files.len() != 1 || !stored.contains(part) {
            return Err(format!("Postfix keeps {} messages, the first: {stored}", files.len()).into());
        }
    }
    Ok("one message each".to_owned())
}

fn deliver(hop: SocketAddr) {
    let mut client = Client::greeted(hop);
    client.command("MAIL FROM:<a@client.test>", "250 ");
    client.command("RCPT TO:<u@hop.test>", "250 ");
    client.command("DATA", "354 ");
    client.send(CONTENT.replace("\r\n.", "\r\n.."));
    client.send(".\r\n");
    client.expect("250 ");
    client.command("QUIT", "221 ");
}
