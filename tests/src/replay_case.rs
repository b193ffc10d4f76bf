//! `fulmar verify`: what name servers said is recorded, and the verdict is found again without them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fulmar_core::authn::dkim::{self, BodyHasher, BodyMethod, Signatory, SigningKey};
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::{Record, RecordKind};
use fulmar_runtime_smol::SmolEntropy;

use crate::Fallible;
use crate::name_server::NameServer;
use crate::process::{Settings, Site, free_address};
use crate::zone::Zone;

const HEADER: &str =
    "From: Ann <ann@far.test>\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 00:12:27 +0000\r\n\r\n";
const BODY: &str = "It works.\r\n";
/// How the message came.
const ARRIVAL: [&str; 7] =
    ["verify", "--client", "192.0.2.10", "--helo", "mail.far.test", "--from", "ann@far.test"];
/// How long its signature holds.
const VALIDITY: Duration = Duration::from_hours(1);

/// A verification is recorded, and comes out the same without name servers, at its own time and at no other.
pub fn a_verification_is_run_again(program: &Path) -> Fallible<String> {
    let zone = Arc::<Zone>::default();
    zone.host("mail.far.test", &["192.0.2.10".parse()?]);
    let key = SigningKey::from_pkcs8(&dkim::generate_ed25519(&SmolEntropy))?;
    for (name, text) in [
        ("far.test", "v=spf1 a:mail.far.test -all".to_owned()),
        ("_dmarc.far.test", "v=DMARC1; p=none".to_owned()),
        ("sel._domainkey.far.test", key.public_record()),
    ] {
        zone.set(name, RecordKind::Txt, Ok(vec![Record::Txt(text.into_bytes())]));
    }
    let server = NameServer::start(zone);
    // A name server that nobody reaches, for when this one has gone.
    let nobody = free_address()?;
    let file = format!("[dns]\nservers = [\"{}\", \"{nobody}\"]\n", server.address());
    let site = Site::with(&std::env::temp_dir(), program, &[], Settings { file, ..Settings::default() })?;
    let folder = site.scratch()?;
    let (message, recording) = (folder.join("message.eml"), folder.join("answers.jsonl"));
    fs::write(&message, signed(&key)? + HEADER + BODY)?;
    let (message, recording) = (message.display().to_string(), recording.display().to_string());
    let verify = |options: &[&str]| -> Fallible<String> {
        let arguments = ARRIVAL.iter().chain(options).copied().chain([message.as_str()]);
        Ok(String::from_utf8(site.run(arguments, b"")?)?)
    };

    let first = verify(&["--record", &recording])?;
    for part in [
        "spf=pass smtp.mailfrom=ann@far.test",
        "dkim=pass header.d=far.test",
        "dmarc=pass (p=none of far.test)",
    ] {
        if !first.contains(part) {
            return Err(format!("no {part} in {first}").into());
        }
    }
    let asked = server.asked().len();
    if verify(&["--replay", &recording])? != first || server.asked().len() != asked {
        return Err("another verdict, or name servers were asked".into());
    }
    drop(server);
    if verify(&["--replay", &recording])? != first {
        return Err("another verdict without name servers".into());
    }
    let without = verify(&[])?;
    if !without.contains("spf=temperror") {
        return Err(format!("name servers that are gone still answer: {without}").into());
    }
    // At the time of the recording, and not of the replay, signatures have expired or not.
    let lines = fs::read_to_string(&recording)?;
    let (_, answers) = lines.split_once('\n').ok_or("no lines")?;
    fs::write(&recording, format!("{{\"recorded_at\":\"2100-01-01T00:00:00Z\"}}\n{answers}"))?;
    let later = verify(&["--replay", &recording])?;
    if later.contains("dkim=pass") {
        return Err(format!("a signature that has expired holds: {later}").into());
    }
    Ok(format!("{asked} queries recorded, and the verdict found again without them"))
}

/// A signature of the message, made now.
fn signed(key: &SigningKey) -> Fallible<String> {
    let mut hasher = BodyHasher::new([BodyMethod::SIGNING]);
    hasher.push(BODY.as_bytes());
    let hashes = hasher.finish();
    let body = hashes.find(BodyMethod::SIGNING).ok_or("no hash")?;
    let domain = Domain::parse("far.test")?;
    let signatory = Signatory { domain: &domain, selector: "sel", key };
    let now = UtcTime(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
    Ok(dkim::sign(HEADER.as_bytes(), body, &[signatory], now, Some(VALIDITY))?)
}
