//! One file of a journal, open for writing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use starling_protocols::{
    journal::{Batch, ChainHash, Entry, Life, LifeHead, Page, Record, Sequence, Snapshot},
    wire,
};

use super::{
    JournalError,
    index::{Indexer, Place, Sums, column, digest},
    queue::LogRow,
    recover::read_page,
    schema::{self, int, uint},
};
use crate::database::file::{self, Identity};

/// What a commit costs in the write-ahead log beside its pages, roughly.
const COMMIT_BYTES: u64 = 6 * 4096;

/// Where a journal stands: what its next page must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) next: Sequence,
    pub(super) hash: ChainHash,
    pub(super) wall_ms: u64,
    pub(super) sums: Sums,
}

impl Tail {
    pub(super) fn digest(&self) -> u64 {
        digest(&(self.next, self.hash.0, self.wall_ms, self.sums))
    }
}

/// The columns of a page that its own bytes do not protect.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PageRow {
    pub(super) first: i64,
    pub(super) count: i64,
    pub(super) wall_ms: i64,
    /// A JSON array.
    pub(super) lives: String,
    pub(super) hash: Vec<u8>,
}

/// One file of a journal, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    conn: Connection,
    pub(super) path: PathBuf,
    identity: Identity,
    pub(super) tail: Tail,
    sync: Option<bool>,
    /// Written since the last checkpoint, roughly.
    pub(super) log_bytes: u64,
    /// Whether something is written that is not durable.
    pub(super) loose: bool,
    /// What is durable ends before this record.
    pub(super) durable: Sequence,
}

impl Store {
    /// Makes a file that goes on after `tail`. Nothing but its name is durable afterwards.
    pub(super) fn create(path: &Path, tail: Tail) -> Result<Self, JournalError> {
        file::make(path)?;
        let conn = file::open_writer(path)?;
        let sums = Sums::default();
        let store = Self {
            conn,
            path: path.to_owned(),
            identity: Identity::of(path),
            tail: Tail { sums, ..tail },
            sync: None,
            log_bytes: 0,
            loose: true,
            durable: tail.next,
        };
        let make = || {
            let all = store.conn.unchecked_transaction()?;
            schema::create(&all)?;
            write_tail(&all, &store.tail)?;
            all.commit()
        };
        make().map_err(JournalError::database("make", path))?;
        Ok(store)
    }

    /// Opens a file whose tail is known, with all of it durable.
    pub(super) fn open(path: &Path, tail: Tail) -> Result<Self, JournalError> {
        let conn = file::open_writer(path)?;
        Ok(Self { loose: false, ..Self::over(conn, path, tail) })
    }

    /// Goes on with a file.
    pub(super) fn over(conn: Connection, path: &Path, tail: Tail) -> Self {
        let log_bytes = file::log_bytes(path);
        let (identity, path) = (Identity::of(path), path.to_owned());
        let durable = tail.next;
        Self { conn, path, identity, tail, sync: None, log_bytes, loose: true, durable }
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.conn
    }

    /// What is written to a file that was removed is lost with it.
    pub(super) fn check_there(&self) -> Result<(), JournalError> {
        Ok(self.identity.check(&self.path, "journal")?)
    }

    /// Its bytes, and the time from its first record to its last.
    pub(super) fn size_and_age(&self) -> Result<(u64, Duration), JournalError> {
        let bytes =
            fs::metadata(&self.path).map_err(JournalError::io("look at", &self.path))?.len();
        let first: Option<i64> = self
            .conn
            .query_row("SELECT wall_ms FROM pages ORDER BY first LIMIT 1", [], |row| row.get(0))
            .optional()
            .map_err(JournalError::database("read", &self.path))?;
        let last = self.tail.wall_ms;
        let age = last.saturating_sub(first.map_or(last, uint));
        Ok((bytes, Duration::from_millis(age)))
    }

    /// Makes the index anew from the pages. All of them must be readable.
    pub(super) fn index_anew(&mut self) -> Result<(), JournalError> {
        let damaged = |why: String| JournalError::Damaged { path: self.path.clone(), why };
        let failed = || JournalError::database("index", &self.path);
        let mut tail = self.tail;
        tail.sums = Sums::default();
        let all = self.conn.unchecked_transaction().map_err(failed())?;
        all.execute_batch(
            "DELETE FROM lives; DELETE FROM snapshots; DELETE FROM eras; DELETE FROM outbox; \
             DELETE FROM numberings; DELETE FROM taken",
        )
        .map_err(failed())?;
        let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages ORDER BY first";
        let mut select = all.prepare(sql).map_err(failed())?;
        let mut rows = select.query([]).map_err(failed())?;
        let mut indexer = Indexer::new(&all, &mut tail.sums);
        let mut end = None;
        while let Some(row) = rows.next().map_err(failed())? {
            let (row, said) = PageRow::read(row).map_err(failed())?;
            if column(digest(&row)) != said
                || end.as_ref().is_some_and(|(end, _)| *end != row.first)
            {
                return Err(damaged("its list of pages is damaged".into()));
            }
            let bytes = read_page(&all, &row, &self.path)?.map_err(damaged)?;
            let page = Page::open(&bytes).map_err(|why| damaged(why.to_string()))?;
            let (first, wall_ms) = (page.first, uint(row.wall_ms));
            for (sequence, record) in page.records().flatten() {
                let place = Place { page: first, sequence, wall_ms };
                indexer.note(place, &record).map_err(failed())?;
            }
            end = Some((row.first.saturating_add(row.count), row.hash));
        }
        indexer.finish().map_err(failed())?;
        drop(rows);
        drop(select);
        if end.is_some_and(|(end, hash)| end != int(tail.next.0) || hash != tail.hash.0) {
            return Err(damaged("its last page is missing".into()));
        }
        write_tail(&all, &tail).map_err(failed())?;
        all.commit().map_err(failed())?;
        self.tail = tail;
        Ok(())
    }

    /// Writes all of this in one transaction, or nothing. With `sync` it is durable afterwards, and
    /// so is everything before.
    pub(super) fn commit(
        &mut self,
        batches: &[Batch],
        logs: &[LogRow],
        sync: bool,
    ) -> Result<(), JournalError> {
        let mut tail = self.tail;
        for batch in batches {
            if batch.first != tail.next {
                let (expected, found) = (tail.next, batch.first);
                return Err(JournalError::OutOfOrder { expected, found });
            }
            tail.next = batch.next();
        }
        self.write(batches, logs, sync).map_err(JournalError::database("write to", &self.path))
    }

    fn write(&mut self, batches: &[Batch], logs: &[LogRow], sync: bool) -> rusqlite::Result<()> {
        self.set_sync(sync)?;
        let mut tail = self.tail;
        let mut bytes = COMMIT_BYTES;
        // Dropped without a commit it is rolled back.
        let all = self.conn.unchecked_transaction()?;
        let mut indexer = Indexer::new(&all, &mut tail.sums);
        let (mut hash, mut wall_ms, mut next) = (tail.hash, tail.wall_ms, tail.next);
        for batch in batches {
            let page = Page::seal(hash, batch);
            wall_ms = moment(batch).unwrap_or(wall_ms);
            insert_page(&all, batch, &page, wall_ms)?;
            for (sequence, record) in batch.notable() {
                indexer.note(Place { page: page.first, sequence, wall_ms }, &record)?;
            }
            (hash, next) = (page.hash, batch.next());
            bytes += page.bytes.len() as u64;
        }
        indexer.finish()?;
        (tail.hash, tail.wall_ms, tail.next) = (hash, wall_ms, next);
        if !batches.is_empty() || sync {
            write_tail(&all, &tail)?;
        }
        insert_logs(&all, logs)?;
        all.commit()?;
        self.tail = tail;
        self.log_bytes += bytes;
        self.loose = !sync;
        if sync {
            self.durable = self.tail.next;
        }
        Ok(())
    }

    /// Makes everything durable that is written.
    pub(super) fn flush(&mut self) -> Result<(), JournalError> {
        if self.loose { self.commit(&[], &[], true) } else { Ok(()) }
    }

    /// Brings what is in the write-ahead log into the file itself. A reader may keep a part of it
    /// from being done; the rest is done another time.
    pub(super) fn checkpoint(&mut self) -> Result<(), JournalError> {
        file::checkpoint(&self.conn, &self.path)?;
        self.log_bytes = 0;
        Ok(())
    }

    /// Makes everything durable and closes the file. Without a reader it is then alone, without a
    /// write-ahead log beside it.
    pub(super) fn close(mut self) -> Result<(), JournalError> {
        self.flush()?;
        self.checkpoint()?;
        Ok(file::close(self.conn, &self.path)?)
    }

    /// Deletes messages of the log before this moment and beyond so many, at most `step` of them.
    /// Says whether there are more.
    pub(super) fn trim_logs(
        &mut self,
        before_ms: u64,
        rows_max: u64,
        step: u64,
    ) -> Result<bool, JournalError> {
        let trim = || {
            let span = "SELECT min(id), max(id) FROM logs";
            let ends = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let (first, last): (Option<i64>, Option<i64>) = self.conn.query_row(span, [], ends)?;
            let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
            // They are in the order of their making but for leaps of the clock, which do no harm.
            let old: Option<i64> = self
                .conn
                .prepare_cached(
                    "SELECT id FROM logs WHERE id <= ? AND wall_ms < ? ORDER BY id DESC",
                )?
                .query_row([first.saturating_add(int(step)), int(before_ms)], |row| row.get(0))
                .optional()?;
            let upto = old.unwrap_or(0).max(last.saturating_sub(int(rows_max)));
            if upto < first {
                return Ok(false);
            }
            let now = upto.min(first.saturating_add(int(step)));
            self.conn.prepare_cached("DELETE FROM logs WHERE id <= ?")?.execute([now])?;
            Ok(true)
        };
        let more = trim().map_err(JournalError::database("trim the log in", &self.path))?;
        self.loose |= more;
        Ok(more)
    }

    fn set_sync(&mut self, sync: bool) -> rusqlite::Result<()> {
        if self.sync != Some(sync) {
            let level = if sync { "FULL" } else { "NORMAL" };
            self.conn.execute_batch(&format!("PRAGMA synchronous={level}"))?;
            self.sync = Some(sync);
        }
        Ok(())
    }
}

/// When the records of a batch begin.
fn moment(batch: &Batch) -> Option<u64> {
    // It stands first, or behind the era.
    batch.records().take(4).find_map(|record| match record {
        Ok((_, Record::At { wall, .. })) => Some(wall.as_millis()),
        _ => None,
    })
}

/// The life that a record says something of.
pub(super) const fn life_of(record: &Record<'_>) -> Option<Life> {
    match record {
        Record::Life(LifeHead { life, .. })
        | Record::Snapshot(Snapshot { life, .. })
        | Record::Entry(Entry { life, .. })
        | Record::End { life, .. }
        | Record::Gap { life, .. } => Some(*life),
        _ => None,
    }
}

fn insert_page(
    conn: &Connection,
    batch: &Batch,
    page: &Page,
    wall_ms: u64,
) -> rusqlite::Result<()> {
    let noted = batch.notable().filter_map(|(_, record)| life_of(&record));
    let lives: BTreeSet<u64> =
        batch.lives.iter().copied().chain(noted).map(|life| life.0).collect();
    let row = PageRow {
        first: int(page.first.0),
        count: i64::from(page.count),
        wall_ms: int(wall_ms),
        lives: serde_json::to_string(&lives).unwrap_or_default(),
        hash: page.hash.0.to_vec(),
    };
    let mut insert = conn.prepare_cached(
        "INSERT INTO pages (first, count, wall_ms, lives, hash, digest, bytes) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let sum = column(digest(&row));
    insert.execute(params![
        row.first,
        row.count,
        row.wall_ms,
        row.lives,
        row.hash,
        sum,
        page.bytes
    ])?;
    Ok(())
}

fn insert_logs(conn: &Connection, logs: &[LogRow]) -> rusqlite::Result<()> {
    if logs.is_empty() {
        return Ok(());
    }
    let mut insert = conn.prepare_cached(
        "INSERT INTO logs (wall_ms, level, target, agent, kind, host, message, fields) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for row in logs {
        let wall = int(row.wall_ms);
        insert.execute(params![
            wall,
            row.level,
            row.target,
            row.agent,
            row.kind,
            row.host,
            row.message,
            row.fields
        ])?;
    }
    Ok(())
}

fn write_tail(conn: &Connection, tail: &Tail) -> rusqlite::Result<()> {
    let mut write = conn.prepare_cached(
        "INSERT OR REPLACE INTO tail (id, next, hash, wall_ms, sums, digest) \
         VALUES (1, ?, ?, ?, ?, ?)",
    )?;
    let (next, wall_ms) = (int(tail.next.0), int(tail.wall_ms));
    let (hash, sums) = (tail.hash.0.as_slice(), wire::encode(&tail.sums));
    write.execute(params![next, hash, wall_ms, sums, column(tail.digest())])?;
    Ok(())
}

/// Where the journal stands, as its file says it; damage is an error.
pub(super) fn read_tail(conn: &Connection, path: &Path) -> Result<Tail, JournalError> {
    let damaged = |why: &str| JournalError::Damaged { path: path.to_owned(), why: why.into() };
    let mut read = conn
        .prepare_cached("SELECT next, wall_ms, hash, sums, digest FROM tail WHERE id = 1")
        .map_err(JournalError::database("read", path))?;
    let (next, wall_ms, hash, sums, sum): (i64, i64, Vec<u8>, Vec<u8>, i64) = read
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .map_err(JournalError::database("read", path))?;
    let sums = wire::decode(&sums, 64).map_err(|_| damaged("its tail does not decode"))?;
    let hash = hash.try_into().map_err(|_| damaged("its tail has no hash"))?;
    let tail =
        Tail { next: Sequence(uint(next)), hash: ChainHash(hash), wall_ms: uint(wall_ms), sums };
    if column(tail.digest()) != sum {
        return Err(damaged("what it says about its end is not what was written"));
    }
    Ok(tail)
}
