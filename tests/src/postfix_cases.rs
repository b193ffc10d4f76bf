//! A Postfix as client: it relays to us, submits as a user, and delivers by LMTP.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::Fallible;
use crate::case::RECIPIENT;
use crate::client::Client;
use crate::doors::{Doors, NAME};
use crate::process::PASSWORD;
use crate::smtp_servers::{Additions, Postfix};

const BODY: &str = "first\r\n.\r\n..two dots\r\nlast\r\n";

/// One way in which Postfix sends.
struct Mode {
    /// A transport of Postfix, a detail of the recipient's address, and the envelope's identifier.
    name: &'static str,
    door: fn(&Doors) -> SocketAddr,
    /// The client program, and its settings besides those of all.
    client: &'static str,
    /// What the trace field says.
    with: &'static str,
}

const MODES: [Mode; 11] = [
    Mode {
        name: "clear",
        door: |doors| doors.smtp,
        client: "smtp -o smtp_tls_security_level=none",
        with: "ESMTP",
    },
    Mode {
        name: "unextended",
        door: |doors| doors.smtp,
        client: "smtp -o smtp_discard_ehlo_keywords=pipelining,chunking,8bitmime,size,starttls",
        with: "ESMTP",
    },
    Mode {
        name: "may",
        door: |doors| doors.smtp,
        client: "smtp -o smtp_tls_security_level=may",
        with: "ESMTPS",
    },
    Mode {
        name: "encrypt",
        door: |doors| doors.smtp,
        client: "smtp -o smtp_tls_security_level=encrypt",
        with: "ESMTPS",
    },
    Mode {
        name: "verify",
        door: |doors| doors.smtp,
        client: "smtp -o smtp_tls_security_level=secure",
        with: "ESMTPS",
    },
    Mode {
        name: "plain",
        door: |doors| doors.submission,
        client: "smtp -o smtp_tls_security_level=secure -o smtp_sasl_auth_enable=yes -o smtp_sasl_mechanism_filter=plain",
        with: "ESMTPSA",
    },
    Mode {
        name: "login",
        door: |doors| doors.submission,
        client: "smtp -o smtp_tls_security_level=secure -o smtp_sasl_auth_enable=yes -o smtp_sasl_mechanism_filter=login",
        with: "ESMTPSA",
    },
    Mode {
        name: "scram",
        door: |doors| doors.submission,
        client: "smtp -o smtp_tls_security_level=secure -o smtp_sasl_auth_enable=yes -o smtp_sasl_mechanism_filter=scram-sha-256",
        with: "ESMTPSA",
    },
    Mode {
        name: "implicit",
        door: |doors| doors.submissions,
        client: "smtp -o smtp_tls_security_level=secure -o smtp_tls_wrappermode=yes -o smtp_sasl_auth_enable=yes",
        with: "ESMTPSA",
    },
    Mode {
        name: "lmtp",
        door: |doors| doors.lmtp,
        client: "lmtp -o lmtp_tls_security_level=none",
        with: "LMTP",
    },
    Mode {
        name: "lmtps",
        door: |doors| doors.lmtp,
        client: "lmtp -o lmtp_tls_security_level=encrypt",
        with: "LMTPS",
    },
];

/// What Postfix takes for us arrives by each of its ways, with the notice that its sender asked for; what we refuse it gives back.
pub fn postfix_relays_submits_and_delivers(program: &Path) -> Fallible<String> {
    let (doors, _server) = Doors::open(program, &[RECIPIENT], &[])?;
    let folder = TempDir::with_prefix("fulmar-postfix-")?;
    let mut postfix = Postfix::start_with(folder.path(), "hop.test", &additions(&doors, folder.path())?)?;
    for mode in &MODES {
        send(&postfix, mode.name, &recipient(mode.name));
    }
    send(&postfix, "refused", "nobody@example.org");
    postfix.wait_until_idle()?;
    let messages = doors.inbox(RECIPIENT)?;
    for mode in &MODES {
        check(mode, &messages)?;
    }
    let returned = [
        "Reporting-MTA: dns; postfix.test\r\n",
        "\r\nFinal-Recipient: rfc822; nobody@example.org\r\n",
        "\r\nAction: failed\r\n",
        "\r\nStatus: 5.1.1\r\n",
    ];
    one_with(&messages, &returned)?;
    if messages.len() != 2 * MODES.len() + 1 {
        return Err(format!("{} messages in place of {}", messages.len(), 2 * MODES.len() + 1).into());
    }
    Ok(format!("{} modes delivered, each with its notice; one recipient refused", MODES.len()))
}

fn recipient(name: &str) -> String {
    RECIPIENT.replace('@', &format!("+{name}@"))
}

/// Exactly one message came by this mode, octet for octet, and exactly one notice about it, from us and not from Postfix.
fn check(mode: &Mode, messages: &[String]) -> Fallible<()> {
    let (with, subject) = (format!("with {} id ", mode.with), format!("\r\nSubject: {}\r\n", mode.name));
    // Its notice repeats the header.
    let sender = format!("Return-Path: <{RECIPIENT}>\r\n");
    let message = one_with(messages, &[&sender, &with, &subject, "from postfix.test "])?;
    if !message.ends_with(&format!("\r\n\r\n{BODY}")) {
        return Err(format!("{}: the body is not as sent: {message}", mode.name).into());
    }
    let envelope = format!("\r\nOriginal-Envelope-Id: {}\r\n", mode.name);
    let original = format!("\r\nOriginal-Recipient: rfc822; orig-{}@x.test\r\n", mode.name);
    let notice = ["Reporting-MTA: dns; mx.test\r\n", &envelope, &original, "\r\nAction: delivered\r\n"];
    one_with(messages, &notice).map(|_| ())
}

fn one_with<'a>(messages: &'a [String], parts: &[&str]) -> Fallible<&'a String> {
    let has_all = |message: &&String| parts.iter().all(|part| message.contains(part));
    let found: Vec<&String> = messages.iter().filter(has_all).collect();
    match found[..] {
        [message] => Ok(message),
        _ => {
            Err(format!("{} messages have {parts:?} among:\n{}", found.len(), messages.join("\n--\n")).into())
        }
    }
}

fn send(postfix: &Postfix, name: &str, recipient: &str) {
    let mut client = Client::greeted(postfix.address());
    client.command("EHLO client.test", "250");
    client.command(&format!("MAIL FROM:<{RECIPIENT}> RET=HDRS ENVID={name}"), "250 ");
    let options = format!("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig-{name}@x.test");
    client.command(&format!("RCPT TO:<{recipient}> {options}"), "250 ");
    client.command("DATA", "354 ");
    let header = format!("Subject: {name}\r\nFrom: {RECIPIENT}\r\n\r\n");
    client.send(header + &BODY.replace("\r\n.", "\r\n.."));
    client.send(".\r\n");
    client.expect("250 ");
    client.command("QUIT", "221 ");
}

/// A transport for each mode, and how Postfix logs in.
fn additions(doors: &Doors, folder: &Path) -> Fallible<Additions> {
    let (mut services, mut transports) = (String::new(), String::new());
    for Mode { name, door, client, .. } in &MODES {
        let next_hop = format!("[127.0.0.1]:{}", door(doors).port());
        services.push_str(&format!("{name} unix - - n - - {client}\n"));
        transports.push_str(&format!("{} {name}:{next_hop}\n", recipient(name)));
    }
    // Notices of Postfix's own, and whom we do not know.
    transports.push_str(&format!("example.org clear:[127.0.0.1]:{}\n", doors.smtp.port()));
    fs::write(folder.join("transports"), transports)?;
    let (trusted, folder) = (doors.trusted.display(), folder.display());
    let settings = format!(
        "relay_domains = example.org\n\
         transport_maps = texthash:{folder}/transports\n\
         smtp_sasl_password_maps = static:{{{RECIPIENT}:{PASSWORD}}}\n\
         smtp_sasl_security_options = noanonymous\n\
         smtp_tls_CAfile = {trusted}\n\
         smtp_tls_secure_cert_match = {NAME}\n"
    );
    Ok(Additions { settings, services })
}
