//! Ceph's object gateway over a cluster of one monitor and one OSD on a plain file. Lists in the order of octets, and
//! answers 500 under contention on one key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Bucket, S3Server};
use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports, run};

/// How long each of its parts may take until it works.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Octets of the file that the OSD keeps its data in. It is sparse.
const BLOCK_FILE_SIZE: u64 = 10 << 30;

/// A running Ceph.
#[derive(Debug)]
pub struct CephRgw {
    folder: PathBuf,
    bucket: Bucket,
    /// The gateway first, so that it is also dropped first.
    parts: Vec<Daemon>,
}

impl CephRgw {
    /// Starts one on an empty folder.
    pub fn start(folder: &Path) -> Fallible<Self> {
        let [port, monitor_port] = lasting_ports()?;
        let bucket = Bucket::new(port, folder);
        let mut ceph = Self { folder: folder.to_owned(), bucket, parts: Vec::new() };
        ceph.configure(port, monitor_port)?;
        ceph.make_keys_and_monitor(monitor_port)?;
        ceph.start_part("ceph-mon", &["-i", "a"])?;
        ceph.make_osd()?;
        ceph.start_part("ceph-osd", &["-i", "0"])?;
        ceph.make_user()?;
        ceph.start_part("radosgw", &["-n", "client.rgw"])?;
        let bucket = ceph.bucket.clone();
        ceph.parts[0].wait_until("made a bucket", START_LIMIT, || bucket.create().is_ok())?;
        ceph.parts[0].wait_until("kept an object", START_LIMIT, || bucket.works())?;
        Ok(ceph)
    }

    fn configure(&self, port: u16, monitor_port: u16) -> Fallible<()> {
        for folder in ["mon", "osd", "log", "run"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        let folder = self.folder.display();
        let configuration = format!(
            "[global]\n\
             fsid = {FSID}\n\
             mon host = v2:127.0.0.1:{monitor_port}\n\
             mon initial members = a\n\
             public addr = 127.0.0.1\n\
             cluster addr = 127.0.0.1\n\
             keyring = {folder}/keyring\n\
             run dir = {folder}/run\n\
             pid file = {folder}/run/$name.pid\n\
             admin socket = {folder}/run/$name.$pid.asok\n\
             log file = {folder}/log/$name.log\n\
             auth allow insecure global id reclaim = false\n\
             osd pool default size = 1\n\
             osd pool default min size = 1\n\
             osd pool default pg num = 8\n\
             osd pool default pgp num = 8\n\
             osd pool default pg autoscale mode = off\n\
             osd crush chooseleaf type = 0\n\
             mon allow pool size one = true\n\
             mon max pg per osd = 1000\n\
             [mon]\n\
             mon data = {folder}/mon\n\
             mon data avail crit = 1\n\
             [osd]\n\
             osd data = {folder}/osd\n\
             osd objectstore = bluestore\n\
             bluestore block size = {BLOCK_FILE_SIZE}\n\
             osd memory target = 1073741824\n\
             osd class load list = *\n\
             osd class default list = *\n\
             [client.rgw]\n\
             rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1\n\
             rgw thread pool size = 128\n\
             rgw dns name =\n"
        );
        Ok(fs::write(self.configuration(), configuration)?)
    }

    fn make_keys_and_monitor(&self, monitor_port: u16) -> Fallible<()> {
        let all = "allow *";
        let monitor = ["--create-keyring", "keyring", "--gen-key", "-n", "mon.", "--cap", "mon", all];
        self.run("ceph-authtool", &monitor)?;
        for name in ["client.admin", "client.rgw", "osd.0"] {
            let caps = ["--cap", "mon", all, "--cap", "osd", all, "--cap", "mgr", all];
            self.run("ceph-authtool", &[&["keyring", "--gen-key", "-n", name], &caps[..]].concat())?;
        }
        let address = format!("[v2:127.0.0.1:{monitor_port}]");
        let map = ["--create", "--clobber", "--addv", "a", &address, "--fsid", FSID, "monmap"];
        self.run("monmaptool", &map)?;
        self.run("ceph-mon", &["-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring"])
    }

    fn make_osd(&self) -> Fallible<()> {
        // These wait for the monitor.
        self.run("ceph", &["--connect-timeout", "60", "osd", "new", OSD_UUID])?;
        self.run("ceph", &["auth", "import", "-i", "keyring"])?;
        self.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", OSD_UUID])
    }

    /// Waits for the OSD, where users are kept.
    fn make_user(&self) -> Fallible<()> {
        let keys = ["--access-key", &self.bucket.access_key, "--secret-key", &self.bucket.secret_key];
        let user = ["-n", "client.rgw", "user", "create", "--uid", "test", "--display-name", "test"];
        self.run("radosgw-admin", &[&user[..], &keys].concat())
    }

    fn start_part(&mut self, name: &str, arguments: &[&str]) -> Fallible<()> {
        let configuration = self.configuration();
        let options = ["-f".as_ref(), "-c".as_ref(), configuration.as_os_str()];
        let arguments = options.into_iter().chain(arguments.iter().map(|argument| argument.as_ref()));
        self.parts.insert(0, Daemon::start(name, &find_program(name)?, arguments, &self.folder)?);
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Fallible<()> {
        let mut command = Command::new(find_program(program)?);
        command.current_dir(&self.folder).env("CEPH_CONF", self.configuration()).args(arguments);
        run(&mut command).map(drop)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("ceph.conf")
    }
}

/// Of the cluster and of its one OSD. They need only differ from those of other clusters that the same client uses.
const FSID: &str = "f4a3c2b1-0000-4000-8000-000000000001";
const OSD_UUID: &str = "f4a3c2b1-0000-4000-8000-000000000002";

impl S3Server for CephRgw {
    fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    fn kill(&mut self) -> Fallible<()> {
        for mut part in self.parts.drain(..) {
            part.kill()?;
        }
        Ok(())
    }

    fn restart(&mut self) -> Fallible<()> {
        self.start_part("ceph-mon", &["-i", "a"])?;
        self.start_part("ceph-osd", &["-i", "0"])?;
        self.start_part("radosgw", &["-n", "client.rgw"])?;
        let bucket = &self.bucket;
        self.parts[0].wait_until("kept an object", START_LIMIT, || bucket.works())
    }
}
