//! The tables of the documents' file, and what protects a row.

use rusqlite::{Connection, Row, types::ValueRef};
use starling_protocols::replica::Kept;

use crate::database::file::Kind;

pub(super) const KIND: Kind =
    Kind { what: "a file of documents", application_id: APPLICATION_ID, format: 1 };

/// `STDO`.
const APPLICATION_ID: i64 = 0x5354_444f;

/// Before anything is written. Room that is given up goes back to the file system in small steps,
/// between two commits: a mesh that has shrunk needs no more disk than a small one, and nobody waits
/// for a `VACUUM`, which would write everything anew.
pub(super) const FIRST: &str = "PRAGMA auto_vacuum=INCREMENTAL";

/// With every opening. The log is cut to this after it was brought into the file, so that one
/// large batch does not leave a large log for ever.
pub(super) const LIMIT: &str = "PRAGMA journal_size_limit=16777216";

/// SQLite keeps the comments, so that `.schema` explains the file to whom opens it.
const TABLES: &str = "
CREATE TABLE meta (
  -- What this file is: format, and the software that made it.
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE documents (
  -- This host's copies of documents. One tree without an index: nothing can disagree with it.
  name TEXT PRIMARY KEY,     -- of the document
  bytes BLOB NOT NULL,       -- the copy; `p2p docs` shows it
  checksum BLOB NOT NULL,    -- BLAKE3 of length and text of the name, and the bytes; 16 bytes
  kept_ms INTEGER NOT NULL   -- when it was written, in milliseconds since 1970
) WITHOUT ROWID;
";

/// Writes a copy.
pub(super) const PUT: &str = "INSERT INTO documents (name, bytes, checksum, kept_ms) VALUES (?, ?, ?, ?) \
     ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes, \
     checksum = excluded.checksum, kept_ms = excluded.kept_ms";

/// Removes one.
pub(super) const FORGET: &str = "DELETE FROM documents WHERE name = ?";

/// Makes the tables in an empty file.
pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    KIND.create(conn, TABLES)
}

/// Over name and bytes of a copy. It finds damage, not forgery.
pub(super) fn checksum(name: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name).update(bytes);
    let mut sum = [0; 16];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// The copy in a row of name, bytes and checksum; the name alone when it is damaged.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<Kept, String>> {
    let name = row.get_ref(0)?;
    let text = match name {
        ValueRef::Text(text) | ValueRef::Blob(text) => text,
        _ => &[],
    };
    if let (ValueRef::Text(_), ValueRef::Blob(bytes), ValueRef::Blob(sum), Ok(name)) =
        (name, row.get_ref(1)?, row.get_ref(2)?, std::str::from_utf8(text))
        && sum == checksum(text, bytes)
    {
        return Ok(Ok(Kept { name: name.to_owned(), bytes: bytes.to_vec() }));
    }
    Ok(Err(String::from_utf8_lossy(text).into_owned()))
}
