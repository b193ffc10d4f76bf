//! nmap's scripts for SMTP, as those run them who look for relays and for users.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Fallible;
use crate::case::RECIPIENT;
use crate::daemon::run;
use crate::doors::Doors;

const RELAY: [&str; 2] = ["--script", "+smtp-open-relay,+smtp-commands"];
const ENUMERATION: [&str; 2] = ["--script", "+smtp-enum-users"];

/// To a stranger no open relay shows and no user by VRFY or EXPN. The same scripts do find a relay where everybody may send, and the user
/// by RCPT, which has to tell.
pub fn nmap_finds_no_open_relay(program: &Path) -> Fallible<String> {
    let (doors, server) = Doors::open(program, &[RECIPIENT], &[])?;
    let found = scan(doors.smtp, &RELAY)?;
    expect(&found, &["Server doesn't seem to be an open relay, all tests failed", "PIPELINING", "STARTTLS"])?;
    let commands = found.lines().find(|line| line.contains("smtp-commands")).unwrap_or_default().to_owned();
    expect(&scan(doors.submission, &RELAY)?, &["Server isn't an open relay, authentication needed"])?;

    let users = doors.folder("nmap")?.join("users");
    fs::write(&users, "u\nnobody\n")?;
    for (method, expected) in
        [("VRFY", "Couldn't find any accounts"), ("EXPN", "Couldn't find any accounts"), ("RCPT", "RCPT, u")]
    {
        let arguments = format!(
            "userdb={},smtp-enum-users.domain=example.org,smtp-enum-users.methods={{{method}}}",
            users.display()
        );
        let options = [&ENUMERATION[..], &["--script-args", &arguments]].concat();
        let found = scan(doors.smtp, &options)?;
        expect(&found, &[expected])?;
        if found.contains("nobody") {
            return Err(format!("{method} finds somebody who is not there: {found}").into());
        }
    }
    server.stop()?;
    let (relay, _server) = Doors::open(program, &[RECIPIENT], &[("FULMAR_RELAY_NETWORKS", "127.0.0.0/8")])?;
    expect(&scan(relay.smtp, &RELAY)?, &["Server is an open relay ("])?;
    Ok(commands)
}

/// The plus signs make the scripts run at ports which are not those of SMTP.
fn scan(server: SocketAddr, options: &[&str]) -> Fallible<String> {
    let mut command = Command::new("timeout");
    command.args(["60", "nmap", "-n", "-Pn", "-sT", "-vv"]).args(options);
    command.args(["-p", &server.port().to_string(), &server.ip().to_string()]);
    Ok(String::from_utf8(run(&mut command)?)?)
}

fn expect(found: &str, parts: &[&str]) -> Fallible<()> {
    match parts.iter().find(|part| !found.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("nmap does not say {part:?}: {found}").into()),
    }
}
