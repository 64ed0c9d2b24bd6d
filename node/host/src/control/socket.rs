//! The socket file: a live one is respected, a stale one replaced, and nobody but its owner can
//! connect at any moment.

use std::{
    fs::{self, Permissions},
    io::{Error, ErrorKind},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::ControlError;

/// A daemon that does not even accept within this time is there all the same.
const PROBE: Duration = Duration::from_secs(2);

pub(super) async fn bind(path: &Path) -> Result<UnixListener, ControlError> {
    let io = |doing| move |source| ControlError::Io { doing, path: path.to_owned(), source };
    respect(path).await?;
    // Bound under another name, closed to others, and only then moved to its place.
    let temporary = path.with_extension("tmp");
    remove(&temporary).map_err(io("remove the stale socket beside"))?;
    let listener = UnixListener::bind(&temporary).map_err(io("make"))?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o600))
        .map_err(io("close to others"))?;
    fs::rename(&temporary, path).map_err(io("put in its place"))?;
    Ok(listener)
}

/// Refuses to touch what is alive, or no socket.
async fn respect(path: &Path) -> Result<(), ControlError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(ControlError::Io { doing: "look at", path: path.to_owned(), source });
        }
    };
    if !found.file_type().is_socket() {
        return Err(ControlError::NoSocket { path: path.to_owned() });
    }
    match timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(why)) if why.kind() == ErrorKind::ConnectionRefused => Ok(()),
        _ => Err(ControlError::InUse { path: path.to_owned() }),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}
