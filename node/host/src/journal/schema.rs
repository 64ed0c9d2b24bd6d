//! The tables of a journal's file, and how connections to it are set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, types::FromSql};

use super::JournalError;
pub(super) use crate::database::file::{beside, int, set_meta, uint};
use crate::database::{
    FileError,
    file::{self, Kind},
};

/// The version of the tables that this crate writes and reads.
const FORMAT: u32 = 1;

/// `STJR`.
const APPLICATION_ID: i64 = 0x5354_4a52;

pub(super) const KIND: Kind =
    Kind { what: "a journal", application_id: APPLICATION_ID, format: FORMAT };

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
    KIND.create(conn, TABLES)
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
        file::set_up(&conn)?;
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

/// Whether this version can read the file.
pub(super) fn check_format(conn: &Connection, path: &Path) -> Result<(), FileError> {
    KIND.check(conn, path)
}

/// The one value of a row, if there is a row.
pub(super) fn one<T: FromSql>(
    conn: &Connection,
    sql: &str,
    key: &[&dyn ToSql],
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()
}
