//! Reads the newest file back when a journal is opened.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, Row, ToSql};
use starling_protocols::{
    journal::{
        ChainHash, Durability, Life, LifeHead, OpenPage, Page, PageError, Record, Recovered,
        Recovery, Sequence,
    },
    limits::JOURNAL_PAGE_BYTES_MAX,
    wire,
};

use super::{
    JournalError,
    files::{self, Files},
    index::{LifeRow, Sums, column, digest},
    schema::{self, KIND, uint},
    store::{self, PageRow, Store, Tail},
};
use crate::database::{file, is_damage, wal};

/// More records than any file has, each of which takes up several bytes. How many a damaged file had
/// cannot be told, it may be cut off; no number is given a second time.
const FILE_RECORDS_MAX: u64 = 1 << 32;

/// Something of the journal was damaged; the daemon goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDamage {
    /// The file.
    pub path: PathBuf,
    /// Where it is now, when nothing of it could be used.
    pub set_aside: Option<PathBuf>,
    /// What was wrong.
    pub why: String,
}

/// What was there when a journal was opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// What lives on.
    pub recovered: Recovered,
    /// What was damaged. When there is any, the first batch should begin a new file.
    pub damage: Vec<JournalDamage>,
    /// What looks like damage and may be the torn end that a power cut leaves.
    pub doubts: Vec<JournalDamage>,
    /// The bytes of the file that is written to.
    pub file_bytes: u64,
    /// From its first record to its last.
    pub file_age: Duration,
}

impl Opened {
    fn new_file(recovered: Recovered, damage: Vec<JournalDamage>) -> Self {
        let (doubts, file_age) = (Vec::new(), Duration::ZERO);
        Self { recovered, damage, doubts, file_bytes: 0, file_age }
    }
}

/// Opens the newest file, or makes the first.
pub(super) fn open(files: &Files) -> Result<(Store, Opened), JournalError> {
    let newest = files.numbered()?.pop();
    let mut gone = files.gone()?;
    if gone.last() > newest.as_ref()
        && let Some(path) = gone.pop()
    {
        let why = "it is gone, and only its log is there".to_owned();
        let why = JournalError::Damaged { path: path.clone(), why };
        return begin_anew(files, &path, &why);
    }
    let Some(newest) = newest else {
        let tail = Tail::begin(Sequence::FIRST, ChainHash::START);
        let opened = Opened::new_file(Recovered::nothing(), Vec::new());
        return Ok((files.begin(tail, None)?, opened));
    };
    match load(&newest) {
        Err(why) if why.is_damage() => begin_anew(files, &newest, &why),
        loaded => loaded,
    }
}

impl Tail {
    /// Where a journal stands that has no records before `next`.
    pub(super) fn begin(next: Sequence, hash: ChainHash) -> Self {
        Self { next, hash, wall_ms: 0, sums: Sums::default() }
    }
}

/// Sets a file aside of which nothing can be used, and begins another.
fn begin_anew(
    files: &Files,
    path: &Path,
    why: &JournalError,
) -> Result<(Store, Opened), JournalError> {
    let heads = heads(path);
    let next = files::first_of(path).unwrap_or(0).saturating_add(FILE_RECORDS_MAX);
    // The new file comes first: if this is interrupted, no older file is taken for the newest.
    let store = files.begin(Tail::begin(Sequence(next), ChainHash::START), None)?;
    let aside = Files::set_aside(path)?;
    let lost = heads.into_iter().map(|head| {
        (head, format!("its journal is damaged and was set aside as {}", aside.display()))
    });
    let recovered =
        Recovered { next: Sequence(next), lost: lost.collect(), ..Recovered::default() };
    let (path, why) = (path.to_owned(), why.to_string());
    let damage = vec![JournalDamage { path, set_aside: Some(aside), why }];
    Ok((store, Opened::new_file(recovered, damage)))
}

/// Who lived when a damaged file was written, as far as it can be read.
fn heads(path: &Path) -> Vec<LifeHead<'static>> {
    let read = || -> Result<Vec<LifeHead<'static>>, JournalError> {
        let conn = schema::open_reader(path)?;
        let rows = life_rows(&conn).map_err(JournalError::database("read", path))?;
        let open = rows.iter().filter(|(row, _)| row.ended.is_none());
        Ok(open.filter_map(|(row, _)| row.head()).filter(is_write_ahead).collect())
    };
    read().unwrap_or_default()
}

fn is_write_ahead(head: &LifeHead<'_>) -> bool {
    head.durability == Durability::WriteAhead
}

fn load(path: &Path) -> Result<(Store, Opened), JournalError> {
    KIND.check_header(path)?;
    let (mut damage, mut doubts) = (Vec::new(), Vec::new());
    if let Some(why) = wal::damage(path) {
        let aside = Files::copy_log_aside(path)?;
        doubts.push(JournalDamage { path: path.to_owned(), set_aside: Some(aside), why });
    }
    let conn = file::open_writer(path)?;
    schema::check_format(&conn, path)?;
    let tail = store::read_tail(&conn, path)?;
    let mut store = Store::over(conn, path, tail);
    if let Err(why) = Index::read(store.connection(), path).and_then(|index| index.check(&tail)) {
        if !why.is_damage() {
            return Err(why);
        }
        store.index_anew()?;
        let why = format!("{why}; it was made anew from the records");
        damage.push(JournalDamage { path: path.to_owned(), set_aside: None, why });
    }
    let index = Index::read(store.connection(), path)?;
    index.check(&store.tail)?;
    let recovered = index.recover(store.connection(), path, &store.tail, &mut damage)?;
    // What can be read need not be on the disk: the last life may have ended because of that, and
    // what an fsync failed to write is not written by the next. So all of it is written again.
    store.flush()?;
    store.checkpoint()?;
    let (file_bytes, file_age) = store.size_and_age()?;
    Ok((store, Opened { recovered, damage, doubts, file_bytes, file_age }))
}

/// All of the index that a restart needs.
#[derive(Debug, Default)]
pub(super) struct Index {
    path: PathBuf,
    lives: Vec<(LifeRow, i64)>,
    eras: Vec<(i64, Vec<u8>, i64)>,
    outbox: Vec<(i64, Vec<u8>, i64)>,
    numberings: Vec<(Vec<u8>, i64)>,
    taken: Vec<(Vec<u8>, i64)>,
}

fn rows<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare(sql)?.query_map([], read)?.collect()
}

fn life_rows(conn: &Connection) -> rusqlite::Result<Vec<(LifeRow, i64)>> {
    let sql = "SELECT life, ended, snapshot_page, head, gap, digest FROM lives ORDER BY life";
    rows(conn, sql, LifeRow::read)
}

impl LifeRow {
    pub(super) fn head(&self) -> Option<LifeHead<'static>> {
        match record(&self.head)? {
            Record::Life(head) => Some(head),
            _ => None,
        }
    }
}

/// A record of the index.
pub(super) fn record(bytes: &[u8]) -> Option<Record<'static>> {
    let (record, read) = wire::decode_next::<Record<'_>>(bytes, JOURNAL_PAGE_BYTES_MAX).ok()?;
    (read == bytes.len()).then(|| record.into_owned())
}

impl Index {
    pub(super) fn read(conn: &Connection, path: &Path) -> Result<Self, JournalError> {
        let three = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let two = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let read = || -> rusqlite::Result<Self> {
            Ok(Self {
                path: path.to_owned(),
                lives: life_rows(conn)?,
                eras: rows(conn, "SELECT sequence, record, digest FROM eras ORDER BY 1", three)?,
                outbox: rows(
                    conn,
                    "SELECT sequence, record, digest FROM outbox ORDER BY host, number",
                    three,
                )?,
                numberings: rows(conn, "SELECT record, digest FROM numberings", two)?,
                taken: rows(conn, "SELECT record, digest FROM taken", two)?,
            })
        };
        read().map_err(JournalError::database("read", path))
    }

    /// Whether it is as it was written, all of it.
    pub(super) fn check(&self, tail: &Tail) -> Result<(), JournalError> {
        let mut sums = Sums::default();
        let mut sound = true;
        let mut add = |sum: &mut u64, found: u64, said: i64| {
            sound &= column(found) == said;
            *sum = sum.wrapping_add(found);
        };
        for (row, said) in &self.lives {
            add(&mut sums.lives, row.digest(), *said);
        }
        for (sequence, record, said) in &self.eras {
            add(&mut sums.eras, digest(&(sequence, record)), *said);
        }
        for (sequence, record, said) in &self.outbox {
            add(&mut sums.outbox, digest(&(sequence, record)), *said);
        }
        for (record, said) in &self.numberings {
            add(&mut sums.numberings, digest(record), *said);
        }
        for (record, said) in &self.taken {
            add(&mut sums.taken, digest(record), *said);
        }
        if sound && sums == tail.sums {
            return Ok(());
        }
        let why = "its index is not as it was written".into();
        Err(JournalError::Damaged { path: self.path.clone(), why })
    }

    fn recover(
        &self,
        conn: &Connection,
        path: &Path,
        tail: &Tail,
        damage: &mut Vec<JournalDamage>,
    ) -> Result<Recovered, JournalError> {
        let mut recovery = Recovery::new();
        let open: BTreeMap<u64, &LifeRow> = self
            .lives
            .iter()
            .filter(|(row, _)| {
                row.ended.is_none() && row.head().as_ref().is_some_and(is_write_ahead)
            })
            .map(|(row, _)| (uint(row.life), row))
            .collect();
        let mut feed = |sequence: u64, bytes: &[u8]| {
            if let Some(record) = record(bytes) {
                recovery.record(Sequence(sequence), record);
            }
        };
        open.iter().for_each(|(life, row)| feed(*life, &row.head));
        for (sequence, bytes, _) in &self.outbox {
            feed(uint(*sequence), bytes);
        }
        self.numberings.iter().chain(&self.taken).for_each(|(bytes, _)| feed(0, bytes));
        let mut pages = Pages { index: self, open: &open, era: None, next: None };
        pages.feed(conn, path, tail, &mut recovery, damage)?;
        for row in open.values() {
            if let Some(gap) = row.gap.as_deref().and_then(record) {
                recovery.record(Sequence(0), gap);
            }
        }
        let mut recovered = recovery.finish();
        recovered.next = tail.next;
        Ok(recovered)
    }
}

/// The pages that a restart needs.
struct Pages<'a> {
    index: &'a Index,
    open: &'a BTreeMap<u64, &'a LifeRow>,
    /// The era that was fed last.
    era: Option<i64>,
    /// What the next row must begin with.
    next: Option<i64>,
}

impl Pages<'_> {
    fn feed(
        &mut self,
        conn: &Connection,
        path: &Path,
        tail: &Tail,
        recovery: &mut Recovery,
        damage: &mut Vec<JournalDamage>,
    ) -> Result<(), JournalError> {
        let unreadable = || JournalError::database("read", path);
        let damaged = |why: String| JournalError::Damaged { path: path.to_owned(), why };
        let from = self.open.values().filter_map(|row| row.snapshot_page).min();
        let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages WHERE first >= \
                   min(?, (SELECT coalesce(max(first), 0) FROM pages)) ORDER BY first";
        let mut select = conn.prepare(sql).map_err(unreadable())?;
        let mut rows = select.query([from.unwrap_or(i64::MAX)]).map_err(unreadable())?;
        let mut last = None;
        self.next = from;
        while let Some(row) = rows.next().map_err(unreadable())? {
            let (row, said) = PageRow::read(row).map_err(unreadable())?;
            if column(digest(&row)) != said || self.next.is_some_and(|next| next != row.first) {
                return Err(damaged(format!("its list of pages is damaged near {}", row.first)));
            }
            self.next = Some(row.first.saturating_add(row.count));
            let is_last = self.next == Some(schema::int(tail.next.0));
            if is_last || self.is_needed(&row) {
                self.page(conn, &row, path, recovery, damage)?;
            }
            last = Some(row.hash);
        }
        match (last, self.next) {
            (Some(hash), Some(next)) if next != schema::int(tail.next.0) || hash != tail.hash.0 => {
                Err(damaged(format!("its last page should end before record {}", tail.next)))
            }
            (None, _) if from.is_some() => Err(damaged("its pages are missing".into())),
            _ => Ok(()),
        }
    }

    /// Whether a page has something of an agent that lives on.
    fn is_needed(&self, row: &PageRow) -> bool {
        row.lives().iter().any(|life| self.concerns(*life, row.first))
    }

    fn concerns(&self, life: u64, first: i64) -> bool {
        let life = self.open.get(&life);
        life.is_some_and(|life| life.snapshot_page.is_none_or(|page| page <= first))
    }

    fn page(
        &mut self,
        conn: &Connection,
        row: &PageRow,
        path: &Path,
        recovery: &mut Recovery,
        damage: &mut Vec<JournalDamage>,
    ) -> Result<(), JournalError> {
        let eras = &self.index.eras;
        let era = eras.iter().rev().find(|(sequence, ..)| *sequence <= row.first);
        if let Some((sequence, bytes, _)) = era
            && self.era.is_none_or(|fed| fed < *sequence)
            && let Some(record) = record(bytes)
        {
            self.era = Some(*sequence);
            recovery.record(Sequence(uint(*sequence)), record);
        }
        match read_page(conn, row, path)? {
            Ok(bytes) => {
                let open = Page::open(&bytes);
                let records = open.iter().flat_map(OpenPage::records);
                for (sequence, record) in records.flatten() {
                    recovery.record(sequence, record);
                }
            }
            Err(why) => {
                let why = format!("page {} of {} {why}", row.first, path.display());
                self.hurt(row).for_each(|life| recovery.damaged(life, &why));
                damage.push(JournalDamage { path: path.to_owned(), set_aside: None, why });
            }
        }
        Ok(())
    }

    /// The lives of which a page that cannot be read has something.
    fn hurt(&self, row: &PageRow) -> impl Iterator<Item = Life> {
        let first = row.first;
        row.lives().into_iter().filter(move |life| self.concerns(*life, first)).map(Life)
    }
}

impl PageRow {
    /// From the columns first, count, wall_ms, lives, hash and digest.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let hash: Vec<u8> = row.get(4)?;
        let read = Self {
            first: row.get(0)?,
            count: row.get(1)?,
            wall_ms: row.get(2)?,
            lives: row.get(3)?,
            hash,
        };
        Ok((read, row.get(5)?))
    }

    pub(super) fn lives(&self) -> Vec<u64> {
        serde_json::from_str(&self.lives).unwrap_or_default()
    }
}

/// The bytes of a page, or what is wrong with them. A page of a later version is an error: what it
/// holds is not lost.
pub(super) fn read_page(
    conn: &Connection,
    row: &PageRow,
    path: &Path,
) -> Result<Result<Vec<u8>, String>, JournalError> {
    let key: &[&dyn ToSql] = &[&row.first];
    let bytes: Vec<u8> = match schema::one(conn, "SELECT bytes FROM pages WHERE first = ?", key) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Err("is missing".into())),
        Err(why) if is_damage(&why) => return Ok(Err(format!("cannot be read: {why}"))),
        Err(why) => return Err(JournalError::database("read", path)(why)),
    };
    let found = match Page::open(&bytes) {
        Err(PageError::Newer(format)) if ends_with_its_hash(&bytes) => {
            return Err(JournalError::Newer { path: path.to_owned(), format: format.into() });
        }
        Err(PageError::Newer(_)) => Err(PageError::Damaged.to_string()),
        Err(why) => Err(why.to_string()),
        Ok(page) => {
            let is_it = schema::int(page.first.0) == row.first
                && i64::from(page.count) == row.count
                && page.hash.0 == row.hash[..];
            let bad = page.records().find_map(Result::err);
            match (is_it, bad) {
                (true, None) => Ok(()),
                (false, _) => Err("is another than its index says".into()),
                (_, Some(why)) => Err(why.to_string()),
            }
        }
    };
    Ok(found.map(|()| bytes))
}

fn ends_with_its_hash(bytes: &[u8]) -> bool {
    let split: Option<(&[u8], &[u8; 32])> = bytes.split_last_chunk();
    split.is_some_and(|(covered, hash)| blake3::hash(covered).as_bytes() == hash)
}
