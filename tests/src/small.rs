use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A file system of its own, in memory, of 2 MiB.
#[derive(Debug)]
pub struct Small {
    dir: TempDir,
}

impl Small {
    /// None when it may not be mounted, which only root may.
    ///
    /// # Panics
    /// When there can be no temporary directory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|ran| ran.status.success());
        mounted.then_some(Self { dir })
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes up all the room there is.
    ///
    /// # Panics
    /// When there is no room for an empty file.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("there is an inode");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    /// Gives it back.
    ///
    /// # Panics
    /// When it was not taken up.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("it was there");
    }

    fn filler(&self) -> PathBuf {
        self.dir.path().join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.dir.path()).output());
    }
}
