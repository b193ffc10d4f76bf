//! What is asked of the real S3 servers, one by one: each is started on an empty folder, and ended with the case.

use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;

use crate::Fallible;
use crate::s3_server::{CephRgw, S3Server, SeaweedFs};

/// Objects that are written before the server is killed.
const OBJECTS: usize = 20;

/// SeaweedFS keeps through a kill what it acknowledged.
pub fn seaweedfs_keeps_objects() -> Fallible<String> {
    keeps_objects(SeaweedFs::start)
}

/// Ceph keeps through a kill what it acknowledged.
pub fn ceph_rgw_keeps_objects() -> Fallible<String> {
    keeps_objects(CephRgw::start)
}

fn keeps_objects<S: S3Server>(start: fn(&Path) -> Fallible<S>) -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-s3-")?;
    let began = Instant::now();
    let mut server = start(folder.path())?;
    let started = began.elapsed();
    let key = |number: usize| format!("folder/object-{number}");
    for number in 0..OBJECTS {
        server.bucket().put(&key(number), key(number).as_bytes())?;
    }
    server.kill()?;
    if server.bucket().get(&key(0)).is_ok() {
        return Err("it answers though it was killed".into());
    }
    let began = Instant::now();
    server.restart()?;
    let restarted = began.elapsed();
    for number in 0..OBJECTS {
        let given = server.bucket().get(&key(number))?;
        if given != key(number).as_bytes() {
            return Err(format!("{} holds {:?}", key(number), String::from_utf8_lossy(&given)).into());
        }
    }
    Ok(format!("started in {started:.1?}, and in {restarted:.1?} after a kill; {OBJECTS} objects kept"))
}
