//! SeaweedFS: master, volume, filer and S3 gateway in one process. Lists `/` before every other character.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{Bucket, S3Server};
use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports};

/// How long it may take until it works. After a kill it waits for its own parts.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running SeaweedFS.
#[derive(Debug)]
pub struct SeaweedFs {
    folder: PathBuf,
    ports: [u16; 8],
    bucket: Bucket,
    daemon: Daemon,
}

impl SeaweedFs {
    /// Starts one on an empty folder.
    pub fn start(folder: &Path) -> Fallible<Self> {
        let ports = lasting_ports()?;
        let bucket = Bucket::new(ports[0], folder);
        let identity = json!({ "identities": [{
            "name": "test",
            "credentials": [{ "accessKey": bucket.access_key, "secretKey": bucket.secret_key }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }] });
        fs::create_dir_all(folder.join("data"))?;
        fs::write(folder.join("s3.json"), identity.to_string())?;
        let mut daemon = serve(folder, ports)?;
        daemon.wait_until("made a bucket", START_LIMIT, || bucket.create().is_ok())?;
        daemon.wait_until("kept an object", START_LIMIT, || bucket.works())?;
        Ok(Self { folder: folder.to_owned(), ports, bucket, daemon })
    }
}

impl S3Server for SeaweedFs {
    fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    fn kill(&mut self) -> Fallible<()> {
        self.daemon.kill()
    }

    fn restart(&mut self) -> Fallible<()> {
        self.daemon = serve(&self.folder, self.ports)?;
        self.daemon.wait_until("kept an object", START_LIMIT, || self.bucket.works())
    }
}

fn serve(folder: &Path, ports: [u16; 8]) -> Fallible<Daemon> {
    let [s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc] = ports;
    let socket = |name: &str| folder.join(name).display().to_string();
    let arguments = [
        "server".to_owned(),
        format!("-dir={}", folder.join("data").display()),
        "-ip=127.0.0.1".to_owned(),
        "-ip.bind=127.0.0.1".to_owned(),
        format!("-master.port={master}"),
        format!("-master.port.grpc={master_grpc}"),
        "-master.volumeSizeLimitMB=1024".to_owned(),
        "-master.telemetry=false".to_owned(),
        // Alone it need not wait for others before it elects itself, which is most of what a restart takes.
        "-master.electionTimeout=1s".to_owned(),
        format!("-volume.port={volume}"),
        format!("-volume.port.grpc={volume_grpc}"),
        "-volume.max=20".to_owned(),
        "-filer".to_owned(),
        format!("-filer.port={filer}"),
        format!("-filer.port.grpc={filer_grpc}"),
        "-s3".to_owned(),
        format!("-s3.port={s3}"),
        format!("-s3.port.grpc={s3_grpc}"),
        // These would take ports of their own choice.
        "-s3.port.iceberg=0".to_owned(),
        "-s3.port.lance=0".to_owned(),
        format!("-filer.localSocket={}", socket("filer.sock")),
        format!("-s3.localSocket={}", socket("s3.sock")),
        format!("-s3.config={}", folder.join("s3.json").display()),
    ];
    Daemon::start("seaweedfs", &find_program("weed")?, arguments, folder)
}
