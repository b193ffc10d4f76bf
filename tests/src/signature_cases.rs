//! Signatures and seals, exchanged with dkimpy and OpenDKIM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fulmar_core::authn::{arc, dkim};
use fulmar_core::model::message::{HeaderScan, HeaderSplit, fields};
use fulmar_core::model::verdict::{ArcResult, DkimResult};
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::{Entropy, Record, RecordKind};
use serde::Deserialize;
use smol::block_on;
use tempfile::TempDir;

use crate::Fallible;
use crate::corpus::{made_message, real_messages, with_attachment};
use crate::daemon::run;
use crate::dice::Dice;
use crate::zone::Zone;

const SCRIPT: &str = include_str!("../clients/dkim.py");
/// Debian's packages are for its own interpreter.
const PYTHON: &str = "/usr/bin/python3";
const MESSAGES: usize = 1_000;
/// Messages of one OpenDKIM, which names them in its command line.
const BATCH: usize = 100;
const RESULTS: &str = "mx.example.org; spf=pass smtp.mailfrom=a@client.test";

/// What dkimpy says of a message.
#[derive(Debug, Deserialize)]
struct Finding {
    file: PathBuf,
    #[serde(default)]
    dkim: Vec<bool>,
    #[serde(default)]
    arc: String,
}

/// Both keys, in the forms that the programs want them in.
struct Keys {
    folder: TempDir,
    domain: Domain,
    signing: [(&'static str, dkim::SigningKey); 2],
    rsa_pem: PathBuf,
    ed25519_seed: PathBuf,
    records: PathBuf,
    zone: Zone,
}

/// dkimpy verifies both signatures and the chain of messages that we signed and sealed, and OpenDKIM the signatures that it knows; neither
/// verifies what was altered since. We verify what they sign, in the forms that they can, and what dkimpy seals.
pub fn signatures_are_exchanged(target: &Path, seed: u64) -> Fallible<String> {
    let mut dice = Dice::new(seed);
    let keys = Keys::generate(seed)?;
    let (messages, odd) = messages(&mut dice, target)?;
    let signed = messages.iter().map(|message| keys.sign(message)).collect::<Fallible<Vec<_>>>()?;

    let files = keys.write("ours", &signed)?;
    keys.expect_dkimpy(&files, [true; 2], "pass")?;
    keys.expect_opendkim("good", &messages, "", true)?;
    let altered: Vec<_> = signed.iter().map(|message| [&message[..], b"more\r\n"].concat()).collect();
    let files = keys.write("altered", &altered)?;
    keys.expect_dkimpy(&files, [false; 2], "fail")?;
    keys.expect_opendkim("bad", &messages, "more\r\n", false)?;

    let field = format!("Authentication-Results: {RESULTS}\r\n");
    let judged: Vec<_> = messages.iter().map(|message| [field.as_bytes(), message].concat()).collect();
    let files = keys.write("theirs", &judged)?;
    keys.dkimpy(&["sign".as_ref(), &keys.rsa_pem, &keys.ed25519_seed], &files)?;
    for file in &files {
        keys.expect(file, &[DkimResult::Pass; 2], ArcResult::Pass)?;
    }
    let files = keys.write("opendkim", &messages)?;
    for (number, file) in files.iter().enumerate() {
        keys.sign_by_opendkim(file, number)?;
        keys.expect(file, &[DkimResult::Pass], ArcResult::None)?;
    }
    Ok(format!(
        "{} messages each way with dkimpy and OpenDKIM; {odd} whose header block is broken, or names no author, were left out",
        messages.len()
    ))
}

/// Real messages and made ones, and how many were left out because implementations differ about where their header blocks end.
fn messages(dice: &mut Dice, target: &Path) -> Fallible<(Vec<Vec<u8>>, usize)> {
    let real = real_messages(target)?;
    let count = real.len();
    let mut messages: Vec<_> = real.into_iter().filter(|message| is_whole(message)).collect();
    let odd = count - messages.len();
    while messages.len() < MESSAGES {
        let size = dice.below(20_000);
        messages.push(match dice.below(4) {
            0 => with_attachment(dice, size),
            1 => made_message(dice, size, true),
            2 => [&made_message(dice, size, false)[..], &b" \t\r\n\r\n"[..4 + 2 * dice.below(2)]].concat(),
            _ => made_message(dice, size, false),
        });
    }
    messages.truncate(MESSAGES);
    Ok((messages, odd))
}

/// Whether everything before the first empty line is fields, none of them a signature, and one of them the author's with a domain: to
/// OpenDKIM, mail from nowhere is not signed whatever it bears.
fn is_whole(message: &[u8]) -> bool {
    let (header, _) = split(message);
    let is_named = |name: &[u8], expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
    let is_seal = |name: &[u8]| name.get(..4).is_some_and(|start| is_named(start, "arc-"));
    let authors: Vec<_> = fields(header).filter(|field| is_named(field.name, "from")).collect();
    let is_signed = fields(header).any(|field| is_named(field.name, "dkim-signature") || is_seal(field.name));
    let has_domain = matches!(&authors[..], [author] if author.body.contains(&b'@'));
    header.ends_with(b"\r\n\r\n") && has_domain && !is_signed
}

fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut scan = HeaderScan::default();
    let end = match scan.advance(message) {
        HeaderSplit::At(end) => end,
        HeaderSplit::Unfinished => scan.finish(message),
    };
    message.split_at(end)
}

/// Octets from a seed.
struct Seeded(Mutex<Dice>);

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.fill_with(|| dice.below(256) as u8);
    }
}

impl Keys {
    fn generate(seed: u64) -> Fallible<Self> {
        let folder = TempDir::with_prefix("fulmar-signatures-")?;
        let entropy = Seeded(Dice::new(seed).into());
        let (rsa, ed25519) = (dkim::generate_rsa(&entropy)?, dkim::generate_ed25519(&entropy));
        let [rsa_pem, ed25519_seed, records] =
            ["rsa.pem", "ed25519", "records"].map(|name| folder.path().join(name));
        let lines: Vec<_> = STANDARD.encode(&rsa).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
        let body = String::from_utf8(lines.join(&b'\n'))?;
        fs::write(&rsa_pem, format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))?;
        // The seed stands at the end (RFC 8410 §7).
        fs::write(&ed25519_seed, STANDARD.encode(&ed25519[ed25519.len() - 32..]))?;
        let signing =
            [("rsa", dkim::SigningKey::from_pkcs8(&rsa)?), ("ed", dkim::SigningKey::from_pkcs8(&ed25519)?)];
        let zone = Zone::default();
        let mut published = String::new();
        for (selector, key) in &signing {
            let (name, text) = (format!("{selector}._domainkey.example.org"), key.public_record());
            zone.set(&name, RecordKind::Txt, Ok(vec![Record::Txt(text.clone().into_bytes())]));
            published.push_str(&format!("{name} {text}\n"));
        }
        fs::write(&records, published)?;
        let domain = Domain::parse("example.org")?;
        Ok(Self { folder, domain, signing, rsa_pem, ed25519_seed, records, zone })
    }

    /// Signs with both keys, then seals.
    fn sign(&self, message: &[u8]) -> Fallible<Vec<u8>> {
        let signatories = self.signing.each_ref().map(|(selector, key)| dkim::Signatory {
            domain: &self.domain,
            selector,
            key,
        });
        let signed = sign(message, &signatories)?;
        let (header, body) = split(&signed);
        let none = arc::ArcReport { result: ArcResult::None, flaw: None, sets: Vec::new() };
        let seal =
            arc::seal(header, &hash(body)?, &none, RESULTS, &signatories[0], now()?)?.ok_or("no seal")?;
        Ok([seal.as_bytes(), &signed].concat())
    }

    /// Verifies a message ourselves.
    fn expect(&self, file: &Path, signatures: &[DkimResult], chain: ArcResult) -> Fallible<()> {
        let message = fs::read(file)?;
        let (header, body) = split(&message);
        let mut hasher =
            dkim::BodyHasher::new(dkim::body_methods(header).into_iter().chain(arc::body_method(header)));
        body.chunks(1_000).for_each(|piece| hasher.push(piece));
        let (hashes, now) = (hasher.finish(), now()?);
        let report = block_on(dkim::verify(header, &hashes, &self.zone, now));
        let sealed = block_on(arc::verify(header, &hashes, &self.zone, now));
        let found: Vec<_> = report.signatures.iter().map(|signature| signature.result).collect();
        if found != signatures || sealed.result != chain {
            return Err(format!("we find {report:?} {sealed:?}, see {}", keep(file)?).into());
        }
        Ok(())
    }

    fn write(&self, name: &str, messages: &[Vec<u8>]) -> Fallible<Vec<PathBuf>> {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder)?;
        let mut files = Vec::new();
        for (number, message) in messages.iter().enumerate() {
            let file = folder.join(format!("{number}.eml"));
            fs::write(&file, message)?;
            files.push(file);
        }
        Ok(files)
    }

    /// dkimpy finds this in all of these files.
    fn expect_dkimpy(&self, files: &[PathBuf], signatures: [bool; 2], chain: &str) -> Fallible<()> {
        let findings = self.dkimpy(&["verify".as_ref(), &self.records], files)?;
        let is_other = |finding: &&Finding| finding.dkim != signatures || finding.arc != chain;
        let others: Vec<_> = findings.iter().filter(is_other).collect();
        match others.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "dkimpy finds {first:?}, see {}; and {} more",
                keep(&first.file)?,
                others.len() - 1
            )
            .into()),
        }
    }

    fn dkimpy(&self, arguments: &[&Path], files: &[PathBuf]) -> Fallible<Vec<Finding>> {
        let output = run(Command::new(PYTHON).args(["-c", SCRIPT]).args(arguments).args(files))?;
        let lines = output.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        let findings: Vec<Finding> = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        let named = findings.iter().zip(files).filter(|(finding, file)| finding.file == **file).count();
        if named != files.len() {
            return Err(format!("dkimpy speaks of {named} files of {}", files.len()).into());
        }
        Ok(findings)
    }

    /// OpenDKIM finds the signature by either key good, or not, once this has been added to the body. Of several it tells of one alone.
    fn expect_opendkim(&self, name: &str, messages: &[Vec<u8>], added: &str, good: bool) -> Fallible<()> {
        let settings = self.folder.path().join("verify.conf");
        fs::write(&settings, format!("Mode v\nTestPublicKeys {}\n", self.records.display()))?;
        for (selector, key) in &self.signing {
            let signatory = dkim::Signatory { domain: &self.domain, selector, key };
            let sign = |message: &Vec<u8>| Ok([&sign(message, &[signatory])?, added.as_bytes()].concat());
            let signed = messages.iter().map(sign).collect::<Fallible<Vec<_>>>()?;
            let files = self.write(&format!("{name}-{selector}"), &signed)?;
            for batch in files.chunks(BATCH) {
                let names: Vec<_> = batch.iter().map(|file| file.to_string_lossy()).collect();
                let said = opendkim(&settings, &names.join(","))?;
                let said = String::from_utf8_lossy(&said);
                for name in names.iter() {
                    let about = format!("opendkim: {name}: verification");
                    let line = said.lines().find(|line| line.starts_with(&about)).unwrap_or_default();
                    if line.is_empty() || line.ends_with("succeeded") != good {
                        return Err(
                            format!("OpenDKIM says {line:?}, see {}", keep(Path::new(&**name))?).into()
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// Signs a file in one of the forms.
    fn sign_by_opendkim(&self, file: &Path, number: usize) -> Fallible<()> {
        // Blanks in front of a field's body do not reach it as a milter, so that simple header fields would not be those of the file.
        let form = ["relaxed/relaxed", "relaxed/simple"][number % 2];
        let settings = self.folder.path().join("sign.conf");
        let keys = self.folder.path().join("keys");
        fs::write(&keys, format!("key example.org:rsa:{}\n", self.rsa_pem.display()))?;
        let authors = self.folder.path().join("authors");
        fs::write(&authors, "* key\n")?;
        let lines = [
            format!("Mode s\nRequireSafeKeys no\nInternalHosts 0.0.0.0/0\nCanonicalization {form}\n"),
            format!("KeyTable file:{}\nSigningTable refile:{}\n", keys.display(), authors.display()),
        ];
        fs::write(&settings, lines.concat())?;
        let said = opendkim(&settings, &file.to_string_lossy())?;
        // The file's name, then the field.
        let field = said.splitn(2, |octet| *octet == b'\n').nth(1).unwrap_or_default();
        if !field.starts_with(b"DKIM-Signature: ") {
            return Err(
                format!("OpenDKIM does not sign: {}, see {}", said.escape_ascii(), keep(file)?).into()
            );
        }
        fs::write(file, [field.trim_ascii_end(), b"\r\n", &fs::read(file)?].concat())?;
        Ok(())
    }
}

fn opendkim(settings: &Path, files: &str) -> Fallible<Vec<u8>> {
    run(Command::new("opendkim").arg("-x").arg(settings).args(["-t", files]))
}

/// Puts signatures in front of a message.
fn sign(message: &[u8], signatories: &[dkim::Signatory<'_>]) -> Fallible<Vec<u8>> {
    let (header, body) = split(message);
    let signed = dkim::sign(header, &hash(body)?, signatories, now()?, None)?;
    Ok([signed.as_bytes(), message].concat())
}

fn hash(body: &[u8]) -> Fallible<dkim::BodyHash> {
    let mut hasher = dkim::BodyHasher::new([dkim::BodyMethod::SIGNING]);
    hasher.push(body);
    Ok(*hasher.finish().find(dkim::BodyMethod::SIGNING).ok_or("no hash")?)
}

/// Keeps a message that tells what is wrong beyond the end of the case.
fn keep(file: &Path) -> Fallible<String> {
    let kept = std::env::temp_dir().join("fulmar-signature.eml");
    fs::copy(file, &kept)?;
    Ok(kept.display().to_string())
}

fn now() -> Fallible<UtcTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UtcTime(u64::try_from(since.as_millis())?))
}
