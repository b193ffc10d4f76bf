//! Encrypted sessions with real clients: `poplib`, `curl`, `openssl s_client`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Fallible;
use crate::case::RECIPIENT;
use crate::process::{PASSWORD, Settings, Site, free_address};

const POPLIB: &str = include_str!("../clients/pop3_tls.py");
/// The name in the server's certificate, besides its address.
const NAME: &str = "mx.test";
/// The name of a certificate that is only in the store.
const OTHER: &str = "other.test";

/// Mail is read under encryption; certificates are renewed on SIGHUP, kept where the new one is broken, and shared through the store;
/// a renegotiation comes to nothing.
pub fn certificates_are_shown_renewed_and_shared(program: &Path) -> Fallible<String> {
    let files = TempDir::new()?;
    let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    make(&[NAME, "127.0.0.1"], &certificate, &key)?;
    let text = |path: &Path| path.display().to_string();
    let environment = [("FULMAR_TLS_CERTIFICATE", text(&certificate)), ("FULMAR_TLS_KEY", text(&key))];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let settings = Settings { environment, ..Settings::default() };
    let site = Site::with(&std::env::temp_dir(), program, &[RECIPIENT.to_owned()], settings)?;
    let [smtp, pop3, pop3s] = [free_address()?, free_address()?, free_address()?];
    let mut server = site.serve_on(format!("smtp={smtp},pop3={pop3},pop3s={pop3s}"), smtp)?;
    let mut report = by_poplib(pop3, pop3s, &certificate)?;
    by_curl(&certificate, &format!("pop3s://{pop3s}/"), &[])?;
    by_curl(&certificate, &format!("pop3://{pop3}/"), &["--ssl-reqd"])?;
    report.push_str(&refuses_renegotiation(pop3s)?);

    let loaded = r#""event":"certificate_loaded""#;
    server.wait_for_log(loaded, 1)?;
    make(&[NAME, "127.0.0.1"], &certificate, &key)?;
    hang_up(server.pid())?;
    server.wait_for_log(loaded, 2)?;
    by_poplib(pop3, pop3s, &certificate)?;
    fs::write(&key, "nonsense")?;
    hang_up(server.pid())?;
    server.wait_for_log(r#""event":"certificate_refused""#, 1)?;
    by_poplib(pop3, pop3s, &certificate)?;
    server.stop()?;

    let (chain, key_of_other) = (files.path().join("other.pem"), files.path().join("other-key.pem"));
    make(&[OTHER], &chain, &key_of_other)?;
    site.run(["certificate", "add", &text(&chain), &text(&key_of_other)], b"")?;
    let listed = site.list(&["certificate", "list", "--json"])?;
    if listed.len() != 1 || listed[0]["name"] != OTHER || !listed[0]["fault"].is_null() {
        return Err(format!("listed: {listed:?}").into());
    }
    make(&[NAME, "127.0.0.1"], &certificate, &key)?;
    let server = site.serve_on(format!("smtp={smtp},pop3={pop3},pop3s={pop3s}"), smtp)?;
    for (name, trusted) in [(OTHER, &chain), (NAME, &certificate), ("third.test", &certificate)] {
        let verify = ["-CAfile", &text(trusted), "-verify_return_error"];
        let said = by_openssl(pop3s, name, &verify, b"QUIT\n", 60)?;
        if !said.contains("Verify return code: 0 (ok)") {
            return Err(format!("openssl for {name}: {said}").into());
        }
    }
    site.run(["certificate", "remove", OTHER], b"")?;
    server.stop()?;
    Ok(report)
}

/// Makes a certificate and its key, each in a file.
pub(crate) fn make(names: &[&str], certificate: &Path, key: &Path) -> Fallible<()> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(certificate, made.cert.pem())?;
    Ok(fs::write(key, made.signing_key.serialize_pem())?)
}

fn hang_up(pid: u32) -> Fallible<()> {
    let status = Command::new("kill").args(["-HUP", &pid.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err("kill -HUP failed".into()) }
}

fn by_poplib(pop3: SocketAddr, pop3s: SocketAddr, trusted: &Path) -> Fallible<String> {
    let mut command = Command::new("python3");
    command.args(["-c", POPLIB, &pop3.port().to_string(), &pop3s.port().to_string(), RECIPIENT, PASSWORD]);
    said(command.arg(trusted))
}

fn by_curl(trusted: &Path, url: &str, options: &[&str]) -> Fallible<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(trusted).args(options);
    said(command.args([url, "--user", &format!("{RECIPIENT}:{PASSWORD}")]))
}

/// What `openssl s_client` prints within so many seconds, whatever it ends with.
fn by_openssl(
    server: SocketAddr,
    name: &str,
    options: &[&str],
    input: &[u8],
    seconds: u32,
) -> Fallible<String> {
    let mut command = Command::new("timeout");
    command
        .args([
            &seconds.to_string(),
            "openssl",
            "s_client",
            "-connect",
            &server.to_string(),
            "-servername",
            name,
        ])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // It would end with its input, whatever the server is about to say.
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin.write_all(input)?;
    let output = child.wait_with_output()?;
    drop(stdin);
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Ok(format!("{out}{errors}"))
}

/// How long a second handshake is waited for, in seconds. The first takes milliseconds.
const SECOND_HANDSHAKE: u32 = 5;

/// `R` on a line of its own makes the client ask for another handshake. It shows the server's certificate in each that comes about, and waits
/// for one that does not.
fn refuses_renegotiation(pop3s: SocketAddr) -> Fallible<String> {
    let said = by_openssl(pop3s, NAME, &["-tls1_2"], b"R\n", SECOND_HANDSHAKE)?;
    match said.rsplit_once("RENEGOTIATING") {
        Some((first, then)) if first.contains("depth=0") && !then.contains("depth=0") => {
            Ok("openssl's renegotiation came to nothing".to_owned())
        }
        _ => Err(format!("openssl, asked to renegotiate: {said}").into()),
    }
}

fn said(command: &mut Command) -> Fallible<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
