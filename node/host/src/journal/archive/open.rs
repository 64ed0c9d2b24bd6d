use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    ops::Range,
    path::Path,
};

use super::super::JournalError;
use crate::api::{Code, Problem};

/// How every file of SQLite begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where in the beginning of a file of SQLite it says whose it is, and what a journal says there.
const APPLICATION: Range<usize> = 68..72;
const JOURNAL: &[u8; 4] = b"STJR";

/// Why nothing at `path` could be opened, for who has named it.
pub(super) fn explain(path: &Path, why: JournalError) -> Problem {
    let denied = match &why {
        JournalError::Missing(path) => fs::metadata(path).err(),
        JournalError::Database { path, .. } => File::open(path).err(),
        _ => None,
    };
    if denied.is_some_and(|why| why.kind() == ErrorKind::PermissionDenied) {
        let message = format!("cannot read {}: permission denied", path.display());
        return Problem::new(Code::Denied, message)
            .next("run p2p as the owner of the file, or read a copy of it");
    }
    let inner = path.join("journal");
    match &why {
        JournalError::Missing(_) if inner.is_dir() => {
            Problem::from(why).next(format!("its journal is in it: --file {}", inner.display()))
        }
        JournalError::Damaged { path, .. } | JournalError::Database { path, .. }
            if why.is_damage() && is_foreign(path) =>
        {
            let message = format!("{}: this is no journal of Starling", path.display());
            Problem::new(Code::Damaged, message).next(
                "name a file or a directory of a journal: they are in DATA_DIR/journal, or copies",
            )
        }
        _ if why.is_damage() => {
            Problem::from(why).next("nothing of it can be read: use another copy of the file")
        }
        _ => why.into(),
    }
}

/// Whether a file does not begin as a journal does.
fn is_foreign(path: &Path) -> bool {
    let mut head = [0; APPLICATION.end];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Ok(()) => !head.starts_with(MAGIC) || head[APPLICATION] != *JOURNAL,
        Err(why) => why.kind() == ErrorKind::UnexpectedEof,
    }
}
