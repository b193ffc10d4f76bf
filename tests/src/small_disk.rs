//! A disk that is soon full.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Fallible;

/// A file system in memory of so many octets, mounted as long as this lives. Mounting takes root, or sudo.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts an empty one.
    pub fn mount(octets: usize) -> Fallible<Self> {
        let disk = Self { folder: TempDir::with_prefix("fulmar-disk-")? };
        let size = format!("size={octets}");
        let mut mount = as_root("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path()).output()?;
        if !mounted.status.success() {
            return Err(format!("{mount:?}: {}", String::from_utf8_lossy(&mounted.stderr)).into());
        }
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left; gives the file that does.
    pub fn fill(&self) -> Fallible<PathBuf> {
        let filler = self.path().join("filler");
        let mut file = File::create(&filler)?;
        // The last blocks are smaller than a large write.
        for block in [1 << 20, 1 << 10] {
            loop {
                match file.write(&vec![0; block]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(filler)
    }
}

/// A command with root's rights; of somebody else's without a password, or not at all.
fn as_root(program: &str) -> Command {
    const ROOT: u32 = 0;
    if fs::metadata("/proc/self").is_ok_and(|this| this.uid() == ROOT) {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being ended may still have files open on it. There is nobody to tell of a failure.
        let _ = as_root("umount").arg("--lazy").arg(self.path()).status();
        let _ = fs::remove_dir(self.path());
    }
}
