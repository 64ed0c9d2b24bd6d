//! One SQLite file: how it is made, opened by its writer, told from others, and set aside.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};

use super::FileError;

/// How long one waits for another program that has locked the file.
const BUSY: Duration = Duration::from_secs(2);

/// What a file is.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As in "it does not say that it is a journal of Starling".
    pub(crate) what: &'static str,
    /// Marks the file for `file(1)`.
    pub(crate) application_id: i64,
    /// The version of the tables that this crate writes and reads.
    pub(crate) format: u32,
}

impl Kind {
    /// Makes the tables in an empty file. One of them is `meta`, with a key and a value.
    pub(crate) fn create(&self, conn: &Connection, tables: &str) -> rusqlite::Result<()> {
        let Self { application_id, format, .. } = self;
        conn.execute_batch(&format!(
            "PRAGMA application_id={application_id}; PRAGMA user_version={format}; {tables}"
        ))?;
        set_meta(conn, "format", &format.to_string())?;
        set_meta(conn, "software", env!("CARGO_PKG_VERSION"))
    }

    /// Whether this version can read the file.
    pub(crate) fn check(&self, conn: &Connection, path: &Path) -> Result<(), FileError> {
        let unreadable = || FileError::database("read", path);
        let number = |pragma| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
        let version = number("PRAGMA user_version").map_err(unreadable())?;
        let application = number("PRAGMA application_id").map_err(unreadable())?;
        let said = meta(conn, "format").map_err(unreadable())?.and_then(|text| text.parse().ok());
        let own = self.format;
        match said {
            // It stands in two places: a flipped bit is not taken for a later version.
            Some(format) if i64::from(format) == version && format > own => {
                Err(FileError::Newer { path: path.to_owned(), format })
            }
            Some(format)
                if format == own
                    && version == i64::from(own)
                    && application == self.application_id =>
            {
                Ok(())
            }
            _ => Err(FileError::Damaged {
                path: path.to_owned(),
                why: format!("it does not say that it is {} of Starling", self.what),
            }),
        }
    }

    /// SQLite believes what its header says about the log beside the file.
    pub(crate) fn check_header(&self, path: &Path) -> Result<(), FileError> {
        let mut header = [0; 20];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
        let damaged = |why: String| FileError::Damaged { path: path.to_owned(), why };
        match read {
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => {
                return Err(damaged("it is cut off in its first bytes".into()));
            }
            read => read.map_err(FileError::io("read", path))?,
        }
        if !header.starts_with(b"SQLite format 3\0") || header[18..] != [2, 2] {
            return Err(damaged(format!("its first bytes are not those of {}", self.what)));
        }
        Ok(())
    }
}

pub(crate) fn set_meta(conn: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?.execute([key, value])?;
    Ok(())
}

pub(crate) fn meta(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let mut read = conn.prepare_cached("SELECT value FROM meta WHERE key = ?")?;
    read.query_row([key], |row| row.get(0)).optional()
}

/// An empty file for its owner alone: SQLite gives its other files the same permissions.
pub(crate) fn make(path: &Path) -> Result<(), FileError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(FileError::io("make", path))
}

/// For the one writer of a file that is there.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, FileError> {
    open_writer_with(path, "")
}

/// The same, with settings that an empty file must have before it becomes a database.
pub(crate) fn open_writer_with(path: &Path, first: &str) -> Result<Connection, FileError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        set_up(&conn)?;
        keep_log(&conn, true)?;
        conn.execute_batch(first)?;
        let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
        debug_assert_eq!(mode, "wal", "every file system that daemons run on has shared memory");
        // The writer chooses the moment: in the middle of a commit somebody would wait for it.
        conn.execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL")?;
        Ok(conn)
    };
    open().map_err(FileError::database("open", path))
}

/// Whether the log stays beside the file when the connection is closed. After an error it must: what
/// is in it may not be on the disk, and is brought into the file only by a start that reads it.
pub(crate) fn keep_log(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// What every connection needs.
pub(crate) fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    // A file from elsewhere runs no code of its own.
    conn.execute_batch(
        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; \
         PRAGMA cache_size=-16000",
    )
}

/// Brings what is in the write-ahead log into the file itself. A reader may keep a part of it from
/// being done; the rest is done another time.
pub(crate) fn checkpoint(conn: &Connection, path: &Path) -> Result<(), FileError> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .map_err(FileError::database("checkpoint", path))
}

/// Closes a file all of which is durable. Without a reader it is then alone, without a write-ahead
/// log beside it.
pub(crate) fn close(conn: Connection, path: &Path) -> Result<(), FileError> {
    let failed = || FileError::database("close", path);
    keep_log(&conn, false).map_err(failed())?;
    conn.close().map_err(|(_, why)| failed()(why))
}

/// How long the write-ahead log of a file is.
pub(crate) fn log_bytes(path: &Path) -> u64 {
    fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len())
}

/// The file that SQLite keeps beside this one.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The directory that a file is in.
pub(crate) fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// A file that is written: what is written to it after it was removed is lost with it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its file system, and its number there.
    identity: Option<(u64, u64)>,
}

impl Identity {
    pub(crate) fn of(path: &Path) -> Self {
        let identity = fs::metadata(path).map(|about| (about.dev(), about.ino()));
        Self { identity: identity.ok() }
    }

    /// Whether it is still there; `its` is what can be there when the daemon starts anew.
    pub(crate) fn check(&self, path: &Path, its: &str) -> Result<(), FileError> {
        let there = Self::of(path).identity;
        if there.is_some() && there == self.identity {
            return Ok(());
        }
        let why = format!(
            "it was removed or replaced while the daemon writes it: put it back; or start the \
             daemon anew, with the {its} that is there then"
        );
        Err(FileError::Blocked { path: path.to_owned(), why })
    }
}

/// Brings a file to the disk, whoever wrote it.
pub(crate) fn sync(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(FileError::io("bring to the disk", path))
}

/// Gives a file that is closed the name under which it is used. It is durable afterwards.
pub(crate) fn put_in_place(made: &Path, path: &Path) -> Result<(), FileError> {
    sync(made)?;
    fs::rename(made, path).map_err(FileError::io("put in its place", path))?;
    sync(dir_of(path))
}

/// Removes a file with what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    for file in ["-wal", "-shm", ""].map(|suffix| beside(path, suffix)) {
        match fs::remove_file(&file) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                return Err(FileError::io("remove", &file)(why));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps a copy of the log beside a file, before SQLite cuts off what it cannot read.
pub(crate) fn copy_log_aside(path: &Path, prefix: &str) -> Result<PathBuf, FileError> {
    let aside = beside(&free_name(dir_of(path), prefix), "-wal");
    let copied = fs::copy(beside(path, "-wal"), &aside).map(drop);
    copied.map_err(FileError::io("keep a copy of its log as", &aside))?;
    sync(&aside)?;
    Ok(aside)
}

/// Gives a damaged file another name in its directory, under which nothing uses it.
pub(crate) fn set_aside(path: &Path, prefix: &str) -> Result<PathBuf, FileError> {
    let aside = free_name(dir_of(path), prefix);
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                return Err(FileError::io("set aside", &from)(why));
            }
            _ => {}
        }
    }
    sync(dir_of(path))?;
    Ok(aside)
}

/// The name that the next damaged file gets.
fn free_name(dir: &Path, prefix: &str) -> PathBuf {
    let is_free = |aside: &PathBuf| {
        ["", "-wal"].iter().all(|suffix| fs::symlink_metadata(beside(aside, suffix)).is_err())
    };
    (1..)
        .map(|number: u32| dir.join(format!("{prefix}{number}.db")))
        .find(is_free)
        .expect("not every number is taken")
}

/// Damaged files that were set aside in this directory and are still there.
pub(crate) fn damaged(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let is_damaged = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(prefix) && !name.ends_with("-shm"))
    };
    let listed = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<_> = listed.map(|entry| entry.path()).filter(is_damaged).collect();
    found.sort();
    found
}

/// Numbers of records and the like, as SQLite has them. None of them comes near the limit.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back again; a negative one is damage, and read as what nothing has.
pub(crate) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
