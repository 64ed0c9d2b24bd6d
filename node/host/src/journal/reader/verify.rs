use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use rusqlite::Connection;
use serde::Serialize;
use starling_protocols::journal::{ChainHash, Life, OpenPage, Page, Record, Sequence};

use super::{JournalError, Reader, Source};
use crate::{
    database::wal,
    journal::{
        index::{Indexer, Place, Sums, column, digest},
        recover::{Index, read_page},
        schema::{self, uint},
        store::{self, PageRow, life_of},
    },
};

/// Problems that a report lists; of further ones only their number.
const PROBLEMS_MAX: usize = 1000;

/// Pages between two reports of how far it is.
const TELL_PAGES: u64 = 256;

/// What was found when a journal was read from its first page to its last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many files.
    pub files: u64,
    /// How many pages.
    pub pages: u64,
    /// How many records.
    pub records: u64,
    /// How many of them are inputs that an agent handled.
    pub entries: u64,
    /// How many of them are agents, recorded whole.
    pub snapshots: u64,
    /// What is wrong, the first thousand.
    pub problems: Vec<Problem>,
    /// How many more are not listed.
    pub more_problems: u64,
}

/// Something that is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// In which file.
    pub path: PathBuf,
    /// In which page, by its first record.
    pub page: Option<u64>,
    /// Which record.
    pub sequence: Option<u64>,
    /// What.
    pub what: String,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Reader {
    /// Reads everything and checks it: SQLite's own structure, each page's checksum, the chain of
    /// pages through all files, that the records decode and are numbered without a gap, that the
    /// inputs of each life are, and that the index is what the pages say.
    ///
    /// On a running daemon it holds up nothing, but the log beside the file grows meanwhile.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read at all. What can be told of a damaged file is in the
    /// report.
    pub fn verify(&self) -> Result<Report, JournalError> {
        self.verify_with(&mut |_, _| {})
    }

    /// The same, and says now and then how many pages it has read and how many there are.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_with(&self, tell: &mut dyn FnMut(u64, u64)) -> Result<Report, JournalError> {
        let mut of = 0;
        for source in &self.sources {
            let count = "SELECT count(*) FROM pages";
            // Where they cannot be counted, what is wrong is found below.
            let pages: i64 = source.conn.query_row(count, [], |row| row.get(0)).unwrap_or(0);
            of += uint(pages);
        }
        let mut walk = Walk::default();
        tell(0, of);
        for source in &self.sources {
            walk.file(source, &mut |done| tell(done, of))?;
        }
        Ok(walk.report)
    }
}

#[derive(Default)]
struct Walk {
    report: Report,
    /// What the next page must follow.
    link: Option<(ChainHash, Sequence)>,
    /// The next input of each life that is known whole so far.
    numbers: BTreeMap<Life, u64>,
    path: PathBuf,
    page: Option<u64>,
}

impl Walk {
    fn problem(&mut self, sequence: Option<Sequence>, what: impl Into<String>) {
        if self.report.problems.len() == PROBLEMS_MAX {
            self.report.more_problems += 1;
            return;
        }
        self.report.problems.push(Problem {
            path: self.path.clone(),
            page: self.page,
            sequence: sequence.map(|number| number.0),
            what: what.into(),
        });
    }

    fn file(&mut self, source: &Source, tell: &mut dyn FnMut(u64)) -> Result<(), JournalError> {
        self.report.files += 1;
        (self.path, self.page) = (source.path.clone(), None);
        // One view of the file, whatever is written meanwhile.
        let view = source.conn.unchecked_transaction().map_err(source.unreadable())?;
        if let Some(why) = wal::damage(&source.path) {
            self.problem(None, why);
        }
        self.structure(&view);
        let mut fresh = Fresh::new().map_err(source.unreadable())?;
        if tables(&view).ok() != tables(&fresh.conn).ok() {
            self.problem(None, "its tables are not those of a journal");
        }
        if let Err(why) = self.pages(source, &view, &mut fresh, tell) {
            if !why.is_damage() {
                return Err(why);
            }
            self.problem(None, why.to_string());
        }
        self.page = None;
        if let Err(why) = self.index(source, &view, fresh) {
            if !why.is_damage() {
                return Err(why);
            }
            self.problem(None, why.to_string());
        }
        Ok(())
    }

    fn structure(&mut self, view: &Connection) {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut check = view.prepare("PRAGMA integrity_check(20)")?;
            check.query_map([], |row| row.get(0))?.collect()
        };
        match read() {
            Ok(said) => said
                .into_iter()
                .filter(|line| line != "ok")
                .for_each(|line| self.problem(None, format!("SQLite says: {line}"))),
            Err(why) => self.problem(None, format!("SQLite says: {why}")),
        }
    }

    fn pages(
        &mut self,
        source: &Source,
        view: &Connection,
        fresh: &mut Fresh,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), JournalError> {
        let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages ORDER BY first";
        let mut select = view.prepare(sql).map_err(source.unreadable())?;
        let mut rows = select.query([]).map_err(source.unreadable())?;
        while let Some(row) = rows.next().map_err(source.unreadable())? {
            let (row, said) = PageRow::read(row).map_err(source.unreadable())?;
            self.page = Some(uint(row.first));
            self.report.pages += 1;
            if self.report.pages.is_multiple_of(TELL_PAGES) {
                tell(self.report.pages);
            }
            if column(digest(&row)) != said {
                self.problem(None, "what the index says of it is not what was written");
            }
            match read_page(view, &row, &source.path)? {
                Ok(bytes) => {
                    if let Ok(page) = Page::open(&bytes) {
                        self.page(&page, &row, fresh).map_err(source.unreadable())?;
                    }
                }
                Err(why) => {
                    self.problem(None, why);
                    self.numbers.clear();
                    self.link = None;
                    fresh.complete = false;
                }
            }
        }
        Ok(())
    }

    fn page(
        &mut self,
        page: &OpenPage<'_>,
        row: &PageRow,
        fresh: &mut Fresh,
    ) -> rusqlite::Result<()> {
        let begins = page.first == Sequence::FIRST;
        let (hash, next) = self.link.unwrap_or(if begins {
            (ChainHash::START, Sequence::FIRST)
        } else {
            (page.previous, page.first)
        });
        if let Err(why) = page.follows(hash, next) {
            self.problem(Some(page.first), why.to_string());
            self.numbers.clear();
        }
        self.link = Some((page.hash, page.next()));
        let mut lives = BTreeSet::new();
        for (sequence, record) in page.records().flatten() {
            self.report.records += 1;
            lives.extend(life_of(&record).map(|life| life.0));
            self.number(sequence, &record);
            let wall_ms = uint(row.wall_ms);
            fresh.note(Place { page: page.first, sequence, wall_ms }, &record)?;
        }
        if row.lives().into_iter().collect::<BTreeSet<_>>() != lives {
            self.problem(None, "the index names other lives than it has");
        }
        Ok(())
    }

    /// Checks that the inputs of a life follow each other.
    fn number(&mut self, sequence: Sequence, record: &Record<'_>) {
        let (life, number, next) = match record {
            Record::Entry(entry) => {
                self.report.entries += 1;
                (entry.life, entry.number, entry.number + 1)
            }
            Record::Snapshot(snapshot) => {
                self.report.snapshots += 1;
                (snapshot.life, snapshot.number, snapshot.number)
            }
            Record::Gap { life, from, until } => (*life, *from, *until),
            Record::End { life, .. } => {
                self.numbers.remove(life);
                return;
            }
            _ => return,
        };
        let expected = self.numbers.insert(life, next);
        if let Some(expected) = expected
            && expected != number
        {
            let what = format!("input {expected} of life {life} is next, and this is {number}");
            self.problem(Some(sequence), what);
        }
    }

    fn index(
        &mut self,
        source: &Source,
        view: &Connection,
        fresh: Fresh,
    ) -> Result<(), JournalError> {
        let tail = store::read_tail(view, &source.path)?;
        Index::read(view, &source.path)?.check(&tail)?;
        if let Some((hash, next)) = self.link
            && (hash, next) != (tail.hash, tail.next)
        {
            self.problem(None, format!("its last page should end before record {}", tail.next));
        }
        if !fresh.complete {
            return Ok(());
        }
        let snapshots = |conn: &Connection| -> rusqlite::Result<Vec<[i64; 4]>> {
            let mut all = conn.prepare("SELECT life, number, sequence, page FROM snapshots")?;
            let rows =
                all.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
            rows.collect()
        };
        let said = snapshots(view).map_err(source.unreadable())?;
        let (sums, made) = fresh.finish(snapshots).map_err(source.unreadable())?;
        if sums != tail.sums || made != said {
            self.problem(None, "its index is not what its pages say");
        }
        Ok(())
    }
}

/// How the tables of a file are declared.
fn tables(conn: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut all = conn.prepare("SELECT name, sql FROM sqlite_master ORDER BY name")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// An index made anew from the pages, to compare with.
struct Fresh {
    conn: Connection,
    sums: Sums,
    /// Whether all pages could be read.
    complete: bool,
}

impl Fresh {
    fn new() -> rusqlite::Result<Self> {
        let conn = Connection::open_in_memory()?;
        schema::create(&conn)?;
        conn.set_prepared_statement_cache_capacity(64);
        // All of it is one transaction, which nobody needs to end.
        conn.execute_batch("BEGIN")?;
        Ok(Self { conn, sums: Sums::default(), complete: true })
    }

    fn note(&mut self, at: Place, record: &Record<'_>) -> rusqlite::Result<()> {
        if matches!(record, Record::Entry(entry) if entry.letter.is_none()) {
            return Ok(());
        }
        let mut indexer = Indexer::new(&self.conn, &mut self.sums);
        indexer.note(at, record)?;
        indexer.finish()
    }

    fn finish<T>(
        self,
        compare: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(Sums, T)> {
        let rest = compare(&self.conn)?;
        Ok((self.sums, rest))
    }
}
