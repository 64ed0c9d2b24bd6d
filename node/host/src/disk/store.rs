//! Whole files, read with a cap and replaced in one step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::DiskError;

const TEMPORARY: &str = "tmp";

/// Makes the directory, for its owner alone; an existing one must not be writable by others.
pub(super) fn make_directory(dir: &Path) -> Result<(), DiskError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(DiskError::io("make the data directory", dir))?;
    let found = fs::metadata(dir).map_err(DiskError::io("look at", dir))?;
    let mode = found.permissions().mode() & 0o7777;
    // Others who may write could put a key of theirs in the place of ours. That they may look is
    // harmless: the files themselves are closed.
    if mode & 0o022 != 0 {
        let path = dir.to_owned();
        return Err(DiskError::WidePermissions { path, what: "written", mode, fix: "700" });
    }
    Ok(())
}

/// Removes what a crash in the middle of [`replace`] left behind. Only for the holder of the lock.
pub(super) fn sweep(path: &Path) -> Result<(), DiskError> {
    let temporary = path.with_added_extension(TEMPORARY);
    match fs::remove_file(&temporary) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::io("remove the temporary file", &temporary)(why))
        }
        _ => Ok(()),
    }
}

/// What a file holds, and its permissions. It may be a secret.
pub(super) type Content = (Zeroizing<Vec<u8>>, u32);

/// The content of a file, or `None` when there is no such file.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Content>, DiskError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(DiskError::io("open", path)(why)),
    };
    let about = file.metadata().map_err(DiskError::io("look at", path))?;
    // One byte more than the cap: a longer file then fails its checksum.
    let mut content = Zeroizing::new(Vec::with_capacity(about.len().min(max) as usize + 1));
    file.take(max + 1).read_to_end(&mut content).map_err(DiskError::io("read", path))?;
    Ok(Some((content, about.permissions().mode() & 0o7777)))
}

/// Puts `content` in the place of the file: whatever happens, afterwards there is the whole old
/// content or the whole new one.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let temporary = path.with_added_extension(TEMPORARY);
    write_new(path, &temporary, content).inspect_err(|_| {
        // The old content is what matters; the next start sweeps what cannot be removed now.
        let _ = fs::remove_file(&temporary);
    })?;
    sync_directory(path)
}

/// Renames the file to `NAME.damaged-N` with the first free number.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, DiskError> {
    let aside = (1..)
        .map(|number: u32| path.with_added_extension(format!("damaged-{number}")))
        .find(|aside| fs::symlink_metadata(aside).is_err())
        .expect("not every number is taken");
    fs::rename(path, &aside).map_err(DiskError::io("set aside", path))?;
    sync_directory(path)?;
    Ok(aside)
}

fn write_new(path: &Path, temporary: &Path, content: &[u8]) -> Result<(), DiskError> {
    match fs::remove_file(temporary) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            return Err(DiskError::write("remove a stale temporary file", path)(why));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(DiskError::write("make a temporary file beside it", path))?;
    file.write_all(content).map_err(DiskError::write("write the new content", path))?;
    file.sync_all().map_err(DiskError::write("bring the new content to the disk", path))?;
    fs::rename(temporary, path)
        .map_err(DiskError::write("put the new file in the place of the old one", path))
}

fn sync_directory(path: &Path) -> Result<(), DiskError> {
    let dir = path.parent().expect("a file of the data directory has a parent");
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| DiskError::NotDurable { path: path.to_owned(), source })
}
