use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process,
};

use super::DiskError;

/// Takes the lock of the directory. It lasts as long as the file is open, so that the kernel
/// gives it back however the process ends; the file itself stays, its removal would be a race.
pub(super) fn take(dir: &Path) -> Result<File, DiskError> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(DiskError::io("open", &path))?;
    file.try_lock().map_err(|why| match why {
        TryLockError::WouldBlock => {
            DiskError::InUse { dir: dir.to_owned(), pid: holder(&mut file) }
        }
        TryLockError::Error(why) => DiskError::io("lock", &path)(why),
    })?;
    // Only for the message above: with a full disk the lock holds all the same.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
    Ok(file)
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
