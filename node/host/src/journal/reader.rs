//! Reads journals: of a running daemon beside its writer, of one that is down, and files that were
//! copied from elsewhere, with or without the log that SQLite keeps beside them.

mod logs;
mod records;
mod verify;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use logs::{LogEntry, LogFilter, LogNames, LogPlace};
pub use records::{Records, Told};
use rusqlite::Connection;
use starling_protocols::{
    ident::AgentId,
    journal::{Ended, Era, Life, LifeHead, Page, Record, Sequence},
    time::WallTime,
};
pub use verify::{Problem, Report};

use super::{
    JournalError, files,
    recover::{read_page, record},
    schema::{self, int, uint},
    store::PageRow,
};

/// Reads a journal; it changes nothing. It sees what is written at the time of each call.
#[derive(Debug)]
pub struct Reader {
    /// Oldest first.
    sources: Vec<Source>,
}

/// One file.
#[derive(Debug)]
struct Source {
    conn: Connection,
    path: PathBuf,
}

/// A life of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraView {
    /// The number of the record.
    pub sequence: Sequence,
    /// When it began, or went on in a new file.
    pub wall: WallTime,
    /// The record.
    pub era: Arc<Era<'static>>,
}

/// A life of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeView {
    /// Who it is.
    pub head: LifeHead<'static>,
    /// When it began, as far as the files that are there tell.
    pub begun: WallTime,
    /// How and when it ended, if that was recorded. One without an end lives, or ended with its
    /// host.
    pub ended: Option<(Ended, WallTime)>,
    /// The number of the first input that was recorded in these files.
    pub first: u64,
    /// The number after the last input that was recorded.
    pub next: u64,
    /// When the last page was begun that says something of it.
    pub last: WallTime,
}

/// Chooses lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those of one agent.
    Agent(AgentId),
    /// One.
    Life(Life),
}

impl Reader {
    /// Opens one file, or all files of a journal's directory.
    ///
    /// # Errors
    /// [`JournalError::Missing`] when there is none; [`JournalError::Newer`] when a later version
    /// wrote it; [`JournalError::Damaged`] or [`JournalError::Database`] when nothing of it can be
    /// read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if !path.is_dir() {
            return Ok(Self { sources: vec![Source::open(path)?] });
        }
        let mut sources = Vec::new();
        for file in files::numbered(path)? {
            match Source::open(&file) {
                // It was deleted since, because of its age.
                Err(JournalError::Missing(_)) => {}
                opened => sources.push(opened?),
            }
        }
        if sources.is_empty() {
            return Err(JournalError::Missing(path.to_owned()));
        }
        Ok(Self { sources })
    }

    /// The files, oldest first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| &*source.path)
    }

    /// The lives of the host, oldest first. One that goes on in a new file is there again.
    ///
    /// # Errors
    /// [`JournalError`] when they cannot be read.
    pub fn eras(&self) -> Result<Vec<EraView>, JournalError> {
        let mut eras = Vec::new();
        for source in &self.sources {
            eras.extend(source.eras()?);
        }
        Ok(eras)
    }

    /// The lives of agents, oldest first.
    ///
    /// # Errors
    /// [`JournalError`] when they cannot be read. A page that is damaged is passed over: see
    /// [`verify`](Self::verify).
    pub fn lives(&self, which: Which) -> Result<Vec<LifeView>, JournalError> {
        let mut found = BTreeMap::new();
        for source in &self.sources {
            source.lives(which, &mut found)?;
        }
        Ok(found.into_values().collect())
    }

    /// All records, in order. A page that cannot be read is an error in its place; what follows
    /// goes on after it.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::all(&self.sources)
    }

    /// The records of one life that are needed to have the agent as it was before its input
    /// `number`, and all after that: first its [`Record::Life`], then the last [`Record::Snapshot`]
    /// at or before that input, then whatever says something of it. When no snapshot is old enough
    /// the first there is comes first.
    ///
    /// # Errors
    /// [`JournalError::Missing`] when there is no such life; otherwise when it cannot be read.
    pub fn records_of(&self, life: Life, number: u64) -> Result<Records<'_>, JournalError> {
        Records::of(&self.sources, life, number)
    }

    /// The number of the last input of a life before which there is a snapshot in a page that was
    /// begun until `wall`; zero when there is none. What a page holds may be later than that.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn number_at(&self, life: Life, wall: WallTime) -> Result<u64, JournalError> {
        let sql = "SELECT max(snapshots.number) FROM snapshots \
                   JOIN pages ON pages.first = snapshots.page \
                   WHERE snapshots.life = ? AND pages.wall_ms <= ?";
        let mut found = 0;
        for source in &self.sources {
            let last: Option<i64> = source
                .conn
                .query_row(sql, [int(life.0), int(wall.as_millis())], |row| row.get(0))
                .map_err(source.unreadable())?;
            found = found.max(last.map_or(0, uint));
        }
        Ok(found)
    }

    /// When the first and the last page were begun, if there is any.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn span(&self) -> Result<Option<(WallTime, WallTime)>, JournalError> {
        let mut span: Option<(WallTime, WallTime)> = None;
        for source in &self.sources {
            let sql = "SELECT (SELECT wall_ms FROM pages ORDER BY first LIMIT 1), \
                       (SELECT wall_ms FROM pages ORDER BY first DESC LIMIT 1)";
            let ends = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let ends: (Option<i64>, Option<i64>) =
                source.conn.query_row(sql, [], ends).map_err(source.unreadable())?;
            if let (Some(first), Some(last)) = ends {
                span = Some((span.map_or_else(|| wall(first), |span| span.0), wall(last)));
            }
        }
        Ok(span)
    }
}

fn wall(ms: i64) -> WallTime {
    WallTime::from_millis(uint(ms))
}

impl Source {
    fn open(path: &Path) -> Result<Self, JournalError> {
        let conn = schema::open_reader(path)?;
        schema::check_format(&conn, path)?;
        Ok(Self { conn, path: path.to_owned() })
    }

    fn unreadable(&self) -> impl FnOnce(rusqlite::Error) -> JournalError {
        JournalError::database("read", &self.path)
    }

    fn damaged(&self, why: String) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), why }
    }

    fn eras(&self) -> Result<Vec<EraView>, JournalError> {
        let sql = "SELECT sequence, wall_ms, record FROM eras ORDER BY sequence";
        let read = || -> rusqlite::Result<Vec<(i64, i64, Vec<u8>)>> {
            let mut select = self.conn.prepare_cached(sql)?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        };
        let rows = read().map_err(self.unreadable())?;
        rows.into_iter()
            .map(|(sequence, at, bytes)| match record(&bytes) {
                Some(Record::Era(era)) => Ok(EraView {
                    sequence: Sequence(uint(sequence)),
                    wall: wall(at),
                    era: Arc::new(era),
                }),
                _ => Err(self.damaged(format!("its era {sequence} does not decode"))),
            })
            .collect()
    }

    fn lives(
        &self,
        which: Which,
        found: &mut BTreeMap<Life, LifeView>,
    ) -> Result<(), JournalError> {
        for (head, begun, ended) in self.heads(which)? {
            let view = found.entry(head.life).or_insert_with(|| LifeView {
                head: head.clone(),
                begun,
                ended: None,
                first: u64::MAX,
                next: 0,
                last: begun,
            });
            (view.head, view.ended) = (head, ended);
        }
        for life in found.values_mut() {
            self.extent(life)?;
        }
        Ok(())
    }

    fn heads(&self, which: Which) -> Result<Vec<Head>, JournalError> {
        type Columns = (Vec<u8>, i64, Option<String>, Option<i64>);
        let (agent, life) = match which {
            Which::All => (None, None),
            Which::Agent(agent) => (Some(agent.to_string()), None),
            Which::Life(life) => (None, Some(int(life.0))),
        };
        let sql = "SELECT head, begun_ms, ended, ended_ms FROM lives \
                   WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR life = ?2) ORDER BY life";
        let read = || -> rusqlite::Result<Vec<Columns>> {
            let mut select = self.conn.prepare_cached(sql)?;
            let rows = select.query_map(rusqlite::params![agent, life], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect()
        };
        let rows = read().map_err(self.unreadable())?;
        rows.into_iter()
            .map(|(head, begun, ended, ended_ms)| {
                let Some(Record::Life(head)) = record(&head) else {
                    return Err(self.damaged("a life in its index does not decode".into()));
                };
                let ended = ended.and_then(|how| serde_json::from_value(how.into()).ok());
                Ok((head, wall(begun), ended.zip(ended_ms.map(wall))))
            })
            .collect()
    }

    /// Adds the inputs of a life in this file.
    fn extent(&self, view: &mut LifeView) -> Result<(), JournalError> {
        let life = int(view.head.life.0);
        let snapshots = "SELECT min(number), max(number) FROM snapshots WHERE life = ?";
        let ends = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let ends: (Option<i64>, Option<i64>) =
            self.conn.query_row(snapshots, [life], ends).map_err(self.unreadable())?;
        view.first = view.first.min(ends.0.map_or(u64::MAX, uint));
        view.next = view.next.max(ends.1.map_or(0, uint));
        // Backwards: the last page with an input of it has the last input.
        let mut before = i64::MAX;
        while let Some(row) = self.page_of(life, before)? {
            view.last = view.last.max(wall(row.wall_ms));
            before = row.first;
            let Ok(bytes) = read_page(&self.conn, &row, &self.path)? else { break };
            let Ok(page) = Page::open(&bytes) else { break };
            let numbers = page.records().flatten().filter_map(|(_, record)| match record {
                Record::Entry(entry) if entry.life == view.head.life => Some(entry.number),
                _ => None,
            });
            if let Some(last) = numbers.max() {
                view.next = view.next.max(last + 1);
                break;
            }
        }
        Ok(())
    }

    /// The last page before this one that says something of a life.
    fn page_of(&self, life: i64, before: i64) -> Result<Option<PageRow>, JournalError> {
        let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages WHERE first < ?1 \
                   AND ?2 IN (SELECT value FROM json_each(lives)) ORDER BY first DESC LIMIT 1";
        let read = || {
            let mut select = self.conn.prepare_cached(sql)?;
            let mut rows = select.query([before, life])?;
            rows.next()?.map(|row| Ok(PageRow::read(row)?.0)).transpose()
        };
        read().map_err(self.unreadable())
    }
}

/// A row of `lives`: who, begun, and how and when ended.
type Head = (LifeHead<'static>, WallTime, Option<(Ended, WallTime)>);
