//! Real S3 servers, started on loopback with their data below a folder.

mod ceph_rgw;
mod seaweedfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use self::ceph_rgw::CephRgw;
pub use self::seaweedfs::SeaweedFs;
use crate::Fallible;
use crate::daemon::run;

/// A server that a test has for itself. It ends when this is dropped; its data stay where the test put them.
pub trait S3Server {
    /// The bucket that it was started with, empty.
    fn bucket(&self) -> &Bucket;
    /// Ends it as a power cut would. What it acknowledged must be there after a restart.
    fn kill(&mut self) -> Fallible<()>;
    /// Starts it again, after a kill, on the same data and the same ports, and returns when it stores and gives objects.
    fn restart(&mut self) -> Fallible<()>;
}

/// A bucket, and what a client needs to use it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// `http://ADDRESS:PORT`.
    pub endpoint: String,
    /// Its name, for paths.
    pub name: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The region that requests are signed for.
    pub region: String,
    /// For files that requests are made of.
    scratch: PathBuf,
}

impl Bucket {
    fn new(port: u16, folder: &Path) -> Self {
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            name: "mail".to_owned(),
            access_key: "fulmar-test".to_owned(),
            secret_key: "fulmar-test-secret".to_owned(),
            region: "us-east-1".to_owned(),
            scratch: folder.to_owned(),
        }
    }

    /// Writes an object, by curl.
    pub fn put(&self, key: &str, content: &[u8]) -> Fallible<()> {
        let file = self.scratch.join("upload");
        fs::write(&file, content)?;
        self.request(&format!("/{key}"), &["--upload-file".as_ref(), file.as_os_str()]).map(drop)
    }

    /// Reads an object, by curl.
    pub fn get(&self, key: &str) -> Fallible<Vec<u8>> {
        self.request(&format!("/{key}"), &[])
    }

    /// Deletes an object, by curl.
    pub fn delete(&self, key: &str) -> Fallible<()> {
        self.request(&format!("/{key}"), &["--request".as_ref(), "DELETE".as_ref()]).map(drop)
    }

    fn create(&self) -> Fallible<()> {
        self.request("", &["--request".as_ref(), "PUT".as_ref()]).map(drop)
    }

    /// Whether it takes an object and gives it back. Servers that answer already may still not know where to put one.
    fn works(&self) -> bool {
        let tried = || -> Fallible<bool> {
            self.put("ready", b"yes")?;
            let given = self.get("ready")?;
            self.delete("ready")?;
            Ok(given == b"yes")
        };
        tried().unwrap_or(false)
    }

    fn request(&self, path: &str, options: &[&std::ffi::OsStr]) -> Fallible<Vec<u8>> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"])
            .args(["--aws-sigv4", &format!("aws:amz:{}:s3", self.region)])
            .args(["--user", &format!("{}:{}", self.access_key, self.secret_key)])
            .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(options)
            .arg(format!("{}/{}{path}", self.endpoint, self.name));
        run(&mut curl)
    }
}
