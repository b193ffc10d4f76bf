//! A node with all the doors of SMTP, for clients of other projects.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Fallible;
use crate::process::{Server, Settings, Site, free_address};
use crate::tls_cases;

/// The name in the certificate, besides the address.
pub const NAME: &str = "mx.test";

/// Where a node is reached that has a certificate, and a listener for everything that speaks SMTP.
#[derive(Debug)]
pub struct Doors {
    /// Its store.
    pub site: Site,
    /// The certificate, for clients to trust.
    pub trusted: PathBuf,
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
        let [smtp, submission, submissions, lmtp] =
            [free_address()?, free_address()?, free_address()?, free_address()?];
        let mut settings = Settings::default();
        let listeners =
            [("smtp", smtp), ("submission", submission), ("submissions", submissions), ("lmtp", lmtp)];
        for (protocol, address) in listeners {
            settings.file.push_str(&format!(
                "[[listener]]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\nxclient_from = [\"127.0.0.1/32\"]\n"
            ));
        }
        let [certificate, key] = [&trusted, &key].map(|path| path.display().to_string());
        let own = [("FULMAR_TLS_CERTIFICATE", &*certificate), ("FULMAR_TLS_KEY", &*key)];
        let environment = own.iter().chain(environment);
        settings.environment = environment.map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let accounts: Vec<String> = accounts.iter().map(|account| (*account).to_owned()).collect();
        let site = Site::with(&std::env::temp_dir(), program, &accounts, settings)?;
        let server = site.serve_as_configured(smtp)?;
        Ok((Self { site, trusted, smtp, submission, submissions, lmtp, files }, server))
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
