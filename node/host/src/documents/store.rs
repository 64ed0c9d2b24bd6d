//! The file of documents, open for writing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};
use starling_protocols::replica::KeptBatch;

use super::{DocumentsError, Stored, schema};
use crate::{
    clock,
    database::{
        FileError, Keeper, Work,
        file::{self, Identity},
    },
};

const PAGE_BYTES: u64 = 4096;

/// What a commit costs in the write-ahead log beside its rows, roughly.
const COMMIT_BYTES: u64 = 4 * PAGE_BYTES;

/// Free pages are given back when there are more than this…
const FREE_PAGES: u64 = 256;

/// …and more than one in so many of the file: a little room is soon needed again…
const FREE_SHARE: u64 = 4;

/// …in steps of so many, so that a commit does not wait long for it.
const FREE_STEP: u64 = 256;

/// The file of documents, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    conn: Connection,
    path: PathBuf,
    identity: Identity,
    /// The last batch.
    number: u64,
    log_bytes: u64,
    /// Whether something was forgotten since the last look for free pages.
    forgot: bool,
}

impl Store {
    /// Makes an empty file. Nothing but its name is durable afterwards.
    pub(super) fn create(path: &Path) -> Result<Self, FileError> {
        file::make(path)?;
        let conn = file::open_writer_with(path, schema::FIRST)?;
        let make = || {
            let all = conn.unchecked_transaction()?;
            schema::create(&all)?;
            all.commit()
        };
        make().map_err(FileError::database("make", path))?;
        Self::over(conn, path)
    }

    /// Opens a file that is there and is one of documents.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        schema::KIND.check_header(path)?;
        let conn = file::open_writer(path)?;
        schema::KIND.check(&conn, path)?;
        Self::over(conn, path)
    }

    fn over(conn: Connection, path: &Path) -> Result<Self, FileError> {
        conn.query_row(schema::LIMIT, [], |_| Ok(())).map_err(FileError::database("open", path))?;
        let (identity, log_bytes) = (Identity::of(path), file::log_bytes(path));
        let path = path.to_owned();
        Ok(Self { conn, path, identity, number: 0, log_bytes, forgot: true })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn file_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |about| about.len())
    }

    /// Brings everything that can be read to the disk, and leaves no log that could be read in part
    /// later and then undo some of it.
    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(FileError::database("checkpoint", &self.path))?;
        self.log_bytes = 0;
        Ok(())
    }

    pub(super) fn end(self) -> Result<(), FileError> {
        file::checkpoint(&self.conn, &self.path)?;
        file::close(self.conn, &self.path)
    }

    /// Writes all of this in one transaction, or nothing.
    fn commit(&mut self, batches: &[KeptBatch]) -> rusqlite::Result<()> {
        let mut bytes = COMMIT_BYTES;
        // Dropped without a commit it is rolled back.
        let all = self.conn.unchecked_transaction()?;
        let mut put = all.prepare_cached(schema::PUT)?;
        let mut forget = all.prepare_cached(schema::FORGET)?;
        let now = file::int(clock::wall().as_millis());
        for batch in batches {
            for kept in &batch.put {
                let sum = schema::checksum(kept.name.as_bytes(), &kept.bytes);
                put.execute(params![kept.name, kept.bytes, sum, now])?;
                bytes += (kept.bytes.len() as u64).next_multiple_of(PAGE_BYTES);
            }
            for name in &batch.forget {
                forget.execute([name])?;
                bytes += PAGE_BYTES;
            }
        }
        drop((put, forget));
        all.commit()?;
        self.log_bytes += bytes;
        Ok(())
    }

    fn number(&self, pragma: &str) -> rusqlite::Result<u64> {
        self.conn.query_row(pragma, [], |row| row.get(0)).map(file::uint)
    }

    /// Gives some free pages back. Says whether there are more.
    fn shrink(&self) -> rusqlite::Result<bool> {
        let free = self.number("PRAGMA freelist_count")?;
        let pages = self.number("PRAGMA page_count")?;
        if free <= FREE_PAGES.max(pages / FREE_SHARE) {
            return Ok(false);
        }
        // It gives a page back with each step of the statement.
        let mut give = self.conn.prepare(&format!("PRAGMA incremental_vacuum({FREE_STEP})"))?;
        let mut rows = give.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }
}

impl Keeper for Store {
    type Batch = KeptBatch;
    type Beside = ();
    type Error = DocumentsError;
    type Stage = Stored;

    fn write(&mut self, work: &Work<KeptBatch, ()>) -> Result<(), DocumentsError> {
        self.identity.check(&self.path, "file")?;
        let mut last = self.number;
        for batch in &work.batches {
            if batch.number <= last {
                return Err(DocumentsError::OutOfOrder { last, found: batch.number });
            }
            last = batch.number;
        }
        self.commit(&work.batches).map_err(FileError::database("write to", &self.path))?;
        self.number = last;
        self.forgot |= work.batches.iter().any(|batch| !batch.forget.is_empty());
        Ok(())
    }

    fn stage(&self) -> Stored {
        Stored(self.number)
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn log_bytes(&mut self) -> &mut u64 {
        &mut self.log_bytes
    }

    fn flush(&mut self) -> Result<(), DocumentsError> {
        // Every commit is forced to the disk.
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), DocumentsError> {
        file::checkpoint(&self.conn, &self.path)?;
        self.log_bytes = 0;
        Ok(())
    }

    fn is_untidy(&self) -> bool {
        self.forgot
    }

    fn tidy(&mut self) -> Result<bool, DocumentsError> {
        self.forgot = false;
        let more = self.shrink().map_err(FileError::database("shrink", &self.path))?;
        if more {
            self.log_bytes += FREE_STEP * PAGE_BYTES;
        }
        Ok(more)
    }

    fn close(self) -> Result<(), DocumentsError> {
        Ok(self.end()?)
    }

    fn panicked() -> DocumentsError {
        DocumentsError::Panicked
    }
}
