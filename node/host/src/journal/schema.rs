//! The tables of a journal's file, and how connections to it are set up.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, config::DbConfig, types::FromSql};

use super::JournalError;

/// The version of the tables that this crate writes and reads.
pub(super) const FORMAT: u32 = 1;

/// Marks the file for `file(1)`: `STJR`.
const APPLICATION_ID: i64 = 0x5354_4a52;

/// How long one waits for another program that has locked the file.
const BUSY: Duration = Duration::from_secs(2);

/// SQLite keeps the comments, so that `.schema` explains a file to whom opens it.
const TABLES: &str = "
CREATE TABLE meta (
  -- What this file is: format, software, and by the first era: host, name, mesh.
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tail (
  -- Where the journal stands: one row, written with every page.
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next INTEGER NOT NULL,   -- number of the next record
  hash BLOB NOT NULL,      -- hash of the last page
  wall_ms INTEGER NOT NULL,
  sums BLOB NOT NULL,      -- over the digests of lives, eras, outbox, numberings, taken
  digest INTEGER NOT NULL  -- of this row
);
CREATE TABLE pages (
  -- The journal itself: records in the order in which they were made. Everything else is an index.
  first INTEGER PRIMARY KEY, -- number of the first record
  count INTEGER NOT NULL,    -- how many records
  wall_ms INTEGER NOT NULL,  -- when the first was made, in milliseconds since 1970
  lives TEXT NOT NULL,       -- lives that it says something of, a JSON array
  hash BLOB NOT NULL,        -- of the bytes, which have the hash of the page before in them
  digest INTEGER NOT NULL,   -- of all columns but the bytes
  bytes BLOB NOT NULL        -- `p2p journal show` decodes them
);
CREATE TABLE lives (
  -- Lives of agents. One without an end that is not in the next file ended with its host.
  life INTEGER PRIMARY KEY,  -- number of the record with which it began
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  name TEXT,
  durability TEXT NOT NULL,  -- history or write-ahead
  begun_ms INTEGER NOT NULL,
  ended TEXT,                -- stopped or died
  ended_ms INTEGER,
  snapshot_number INTEGER,   -- inputs handled before the last snapshot
  snapshot_page INTEGER,     -- the page it is in
  head BLOB NOT NULL,        -- the record
  gap BLOB,                  -- record of inputs that were not recorded since the last snapshot
  digest INTEGER NOT NULL    -- of life, ended, snapshot_page, head and gap
);
CREATE TABLE snapshots (
  -- Where each agent was recorded whole.
  life INTEGER NOT NULL,
  number INTEGER NOT NULL,   -- inputs handled before
  sequence INTEGER NOT NULL, -- number of the record
  page INTEGER NOT NULL,     -- the page it is in
  PRIMARY KEY (life, number)
) WITHOUT ROWID;
CREATE TABLE eras (
  -- Lives of the host.
  sequence INTEGER PRIMARY KEY, -- number of the record
  incarnation INTEGER NOT NULL,
  software TEXT NOT NULL,
  wall_ms INTEGER NOT NULL,
  record BLOB NOT NULL,
  digest INTEGER NOT NULL       -- of sequence and record
);
CREATE TABLE outbox (
  -- Durable letters that have not been taken yet.
  host TEXT NOT NULL,        -- where to
  number INTEGER NOT NULL,
  sequence INTEGER NOT NULL, -- number of the record
  record BLOB NOT NULL,
  digest INTEGER NOT NULL,   -- of sequence and record
  UNIQUE (host, number)
);
CREATE TABLE numberings (
  -- The number of the next letter to each host.
  host TEXT PRIMARY KEY,
  next INTEGER NOT NULL,
  record BLOB NOT NULL,
  digest INTEGER NOT NULL    -- of the record
);
CREATE TABLE taken (
  -- The last letter that was taken from each host.
  origin TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  record BLOB NOT NULL,
  digest INTEGER NOT NULL    -- of the record
);
CREATE TABLE logs (
  -- What the daemon had to say.
  id INTEGER PRIMARY KEY,
  wall_ms INTEGER NOT NULL,
  level INTEGER NOT NULL,    -- 1 error, 2 warn, 3 info, 4 debug, 5 trace
  target TEXT NOT NULL,      -- the part of the program
  agent TEXT,
  kind TEXT,
  host TEXT,
  message TEXT NOT NULL,
  fields TEXT                -- JSON
);
CREATE VIEW page_lives AS
  -- Which pages say something of a life.
  SELECT value AS life, first FROM pages, json_each(pages.lives);
";

/// Makes the tables in an empty file.
pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; {TABLES}"
    ))?;
    set_meta(conn, "format", &FORMAT.to_string())?;
    set_meta(conn, "software", env!("CARGO_PKG_VERSION"))
}

pub(super) fn set_meta(conn: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?.execute([key, value])?;
    Ok(())
}

pub(super) fn meta(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let mut read = conn.prepare_cached("SELECT value FROM meta WHERE key = ?")?;
    read.query_row([key], |row| row.get(0)).optional()
}

/// An empty file for its owner alone: SQLite gives its other files the same permissions.
pub(super) fn make_file(path: &Path) -> Result<(), JournalError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(JournalError::io("make", path))
}

/// For the one writer of a file that is there.
pub(super) fn open_writer(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        set_up(&conn)?;
        keep_log(&conn, true)?;
        let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
        debug_assert_eq!(mode, "wal", "every file system that daemons run on has shared memory");
        // The writer chooses the moment: in the middle of a commit somebody would wait for it.
        conn.execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL")?;
        Ok(conn)
    };
    open().map_err(JournalError::database("open", path))
}

/// Whether the log stays beside the file when the connection is closed. After an error it must: what
/// is in it may not be on the disk, and is brought into the file only by a start that reads it.
pub(super) fn keep_log(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// For one of any number of readers, beside a writer or not.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    // The log stands beside the file itself, not beside a link to it.
    let Ok(real) = path.canonicalize() else {
        return Err(JournalError::Missing(path.to_owned()));
    };
    let path = real.as_path();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        // Without a log beside it nobody writes it, and nothing need be made beside it to read it:
        // that does for a file in a directory that may not be written.
        let conn = if beside(path, "-wal").exists() {
            Connection::open_with_flags(path, flags)?
        } else {
            Connection::open_with_flags(unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        };
        set_up(&conn)?;
        Ok(conn)
    };
    open().map_err(JournalError::database("open", path))
}

fn unchanging(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// The file that SQLite keeps beside this one.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    // A file from elsewhere runs no code of its own.
    conn.execute_batch(
        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; \
         PRAGMA cache_size=-16000",
    )
}

/// Whether this version can read the file.
pub(super) fn check_format(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    let unreadable = || JournalError::database("read", path);
    let number = |pragma| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version").map_err(unreadable())?;
    let application = number("PRAGMA application_id").map_err(unreadable())?;
    let said = meta(conn, "format").map_err(unreadable())?.and_then(|text| text.parse().ok());
    match said {
        // It stands in two places: a flipped bit is not taken for a later version.
        Some(format) if i64::from(format) == version && format > FORMAT => {
            Err(JournalError::Newer { path: path.to_owned(), format })
        }
        Some(FORMAT) if version == i64::from(FORMAT) && application == APPLICATION_ID => Ok(()),
        _ => Err(JournalError::Damaged {
            path: path.to_owned(),
            why: "it does not say that it is a journal of Starling".into(),
        }),
    }
}

/// Numbers of records and the like, as SQLite has them. None of them comes near the limit.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back again; a negative one is damage, and read as what nothing has.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The one value of a row, if there is a row.
pub(super) fn one<T: FromSql>(
    conn: &Connection,
    sql: &str,
    key: &[&dyn ToSql],
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()
}
