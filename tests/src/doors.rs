//! A node with all the doors of SMTP, for clients of other projects.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::json;
use tempfile::TempDir;

use crate::Fallible;
use crate::issuer::Signer;
use crate::process::{Server, Settings, Site, free_address};
use crate::tls_cases;

/// The name in the certificate, besides the address.
pub const NAME: &str = "mx.test";

const ISSUER: &str = "https://id.test";
const AUDIENCE: &str = "mail";

/// Where a node is reached that has a certificate, and a listener for everything that speaks SMTP.
#[derive(Debug)]
pub struct Doors {
    /// Its store.
    pub site: Site,
    /// The certificate, for clients to trust.
    pub trusted: PathBuf,
    /// A certificate with its key, by which its first account is known where users submit.
    pub client: PathBuf,
    /// Where it takes mail from strangers.
    pub smtp: SocketAddr,
    /// Where users submit.
    pub submission: SocketAddr,
    /// The same, encrypted from the first octet on.
    pub submissions: SocketAddr,
    /// Where hosts deliver.
    pub lmtp: SocketAddr,
    files: TempDir,
}

impl Doors {
    /// Starts one with these accounts and variables.
    pub fn open(program: &Path, accounts: &[&str], environment: &[(&str, &str)]) -> Fallible<(Self, Server)> {
        let files = TempDir::with_prefix("fulmar-doors-")?;
        let (trusted, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
        tls_cases::make(&[NAME, "127.0.0.1"], &trusted, &key)?;
        let client = files.path().join("client.pem");
        fs::write(&client, certificate_of(accounts.first().ok_or("no account")?)?)?;
        let keys = files.path().join("keys.json");
        fs::write(&keys, json!({"keys": [signer().jwk()]}).to_string())?;
        let [smtp, submission, submissions, lmtp] =
            [free_address()?, free_address()?, free_address()?, free_address()?];
        let mut settings = Settings::default();
        let listeners =
            [("smtp", smtp), ("submission", submission), ("submissions", submissions), ("lmtp", lmtp)];
        for (protocol, address) in listeners {
            settings.file.push_str(&format!(
                "[[listener]]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\nxclient_from = [\"127.0.0.1/32\"]\n"
            ));
            if protocol.starts_with("submission") {
                let client = client.display();
                settings
                    .file
                    .push_str(&format!("client_certificates = \"optional\"\nclient_ca = \"{client}\"\n"));
            }
        }
        settings.file.push_str(&format!(
            "[[auth.issuer]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\njwks_file = \"{}\"\naccount_claim = \"email\"\n",
            keys.display()
        ));
        let [certificate, key] = [&trusted, &key].map(|path| path.display().to_string());
        let own = [("FULMAR_TLS_CERTIFICATE", &*certificate), ("FULMAR_TLS_KEY", &*key)];
        let environment = own.iter().chain(environment);
        settings.environment = environment.map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let accounts: Vec<String> = accounts.iter().map(|account| (*account).to_owned()).collect();
        let site = Site::with(&std::env::temp_dir(), program, &accounts, settings)?;
        let server = site.serve_as_configured(smtp)?;
        Ok((Self { site, trusted, client, smtp, submission, submissions, lmtp, files }, server))
    }

    /// A token that lets an account in for an hour.
    pub fn token(&self, account: &str) -> Fallible<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 3_600, "email": account});
        Ok(signer().sign(&claims))
    }

    /// A folder for the files of a client; it goes with this.
    pub fn folder(&self, name: &str) -> Fallible<PathBuf> {
        let folder = self.files.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Everything in a mailbox, once the queue is empty.
    pub fn inbox(&self, account: &str) -> Fallible<Vec<String>> {
        self.site.wait_until_delivered()?;
        let files = self.site.read_all(account)?;
        files.into_iter().map(|(_, file)| Ok(fs::read_to_string(file)?)).collect()
    }
}

fn signer() -> Signer {
    Signer::new(1, "doors")
}

/// A certificate that names this address and vouches for itself, with its key.
fn certificate_of(account: &str) -> Fallible<String> {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::Rfc822Name(account.try_into()?));
    let key = KeyPair::generate()?;
    Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
}
