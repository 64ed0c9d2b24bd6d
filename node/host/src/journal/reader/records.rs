use std::{collections::VecDeque, sync::Arc};

use starling_protocols::journal::{Era, Life, Moment, Page, Record, Sequence, Snapshot, Tracker};

use super::{EraView, JournalError, Source, Which};
use crate::journal::{
    recover::read_page,
    schema::{int, uint},
    store::{PageRow, life_of},
};

/// A record with what stood before it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The number of the record.
    pub sequence: Sequence,
    /// The era in which it was recorded. Not there only when its record is damaged.
    pub era: Option<Arc<Era<'static>>>,
    /// When.
    pub moment: Moment,
    /// The record.
    pub record: Record<'static>,
}

/// The records of a journal, in order, read page by page. See [`Reader`](super::Reader).
#[derive(Debug)]
pub struct Records<'r> {
    /// Those that are not read to their end yet.
    sources: &'r [Source],
    eras: Option<Vec<EraView>>,
    /// The next page of the first of them begins with this record or a later one.
    from: i64,
    only: Option<Only>,
    tracker: Tracker,
    ready: VecDeque<Told>,
}

/// The records of one life.
#[derive(Clone, Copy, Debug)]
struct Only {
    life: Life,
    /// The snapshot to begin with, until it was found.
    begin: Option<u64>,
}

impl<'r> Records<'r> {
    pub(super) fn all(sources: &'r [Source]) -> Self {
        Self {
            sources,
            eras: None,
            from: 0,
            only: None,
            tracker: Tracker::default(),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn of(sources: &'r [Source], life: Life, number: u64) -> Result<Self, JournalError> {
        let mut start = None;
        let mut head = None;
        for (at, source) in sources.iter().enumerate() {
            if let Some((found, ..)) = source.heads(Which::Life(life))?.pop() {
                head = Some(found);
            }
            let found = source.snapshot(life, number)?;
            // Of the same number the later: there is less to read after it.
            if let Some((number, page)) = found
                && start.is_none_or(|(_, last, _)| last <= number)
            {
                start = Some((at, number, page));
            }
        }
        if start.is_none() {
            for (at, source) in sources.iter().enumerate().rev() {
                start =
                    source.first_snapshot(life)?.map(|(number, page)| (at, number, page)).or(start);
            }
        }
        let Some(head) = head else {
            let path = sources.last().map(|source| source.path.clone()).unwrap_or_default();
            return Err(JournalError::NoLife { path, life });
        };
        let (at, begin, from) =
            start.map_or((0, None, 0), |(at, number, page)| (at, Some(number), page));
        let mut records = Self::all(&sources[at..]);
        records.from = from;
        records.only = Some(Only { life, begin });
        records.ready.push_back(Told {
            sequence: Sequence(life.0),
            era: None,
            moment: Moment::default(),
            record: Record::Life(head),
        });
        Ok(records)
    }

    /// Reads the next page. Says whether there was one.
    fn load(&mut self) -> Result<bool, JournalError> {
        let Some(source) = self.sources.first() else { return Ok(false) };
        if self.eras.is_none() {
            self.eras = Some(source.eras().inspect_err(|_| self.sources = &self.sources[1..])?);
        }
        let row = match source.page_from(self.from, self.only.map(|only| only.life)) {
            Ok(Some(row)) => row,
            other => {
                (self.sources, self.eras, self.from) = (&self.sources[1..], None, 0);
                return other.map(|_| true);
            }
        };
        self.from = row.first.saturating_add(1);
        let bytes = read_page(&source.conn, &row, &source.path)?
            .map_err(|why| source.damaged(format!("its page {} {why}", row.first)))?;
        let page = Page::open(&bytes).map_err(|why| source.damaged(why.to_string()))?;
        let eras = self.eras.iter().flatten().rev();
        let era = eras.into_iter().find(|era| era.sequence <= page.first);
        if let Some(era) = era {
            self.tracker.era = Some(Arc::clone(&era.era));
        }
        for (sequence, record) in page.records().flatten() {
            self.tracker.see(&record);
            if self.wants(&record) {
                self.ready.push_back(Told {
                    sequence,
                    era: self.tracker.era.clone(),
                    moment: self.tracker.moment,
                    record: record.into_owned(),
                });
            }
        }
        Ok(true)
    }

    fn wants(&mut self, record: &Record<'_>) -> bool {
        let Some(only) = &mut self.only else { return true };
        if life_of(record) != Some(only.life) {
            return false;
        }
        match (only.begin, record) {
            (None, _) => true,
            (Some(begin), Record::Snapshot(Snapshot { number, .. })) if *number == begin => {
                only.begin = None;
                true
            }
            (Some(_), _) => false,
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Told, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(Ok(told));
            }
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(why) => return Some(Err(why)),
            }
        }
    }
}

impl Source {
    /// The last snapshot of a life at or before this input: its number and its page.
    fn snapshot(&self, life: Life, number: u64) -> Result<Option<(u64, i64)>, JournalError> {
        let sql = "SELECT number, page FROM snapshots WHERE life = ? AND number <= ? \
                   ORDER BY number DESC LIMIT 1";
        self.find(sql, life, number)
    }

    fn first_snapshot(&self, life: Life) -> Result<Option<(u64, i64)>, JournalError> {
        let sql = "SELECT number, page FROM snapshots WHERE life = ? AND number >= ? \
                   ORDER BY number LIMIT 1";
        self.find(sql, life, 0)
    }

    fn find(&self, sql: &str, life: Life, number: u64) -> Result<Option<(u64, i64)>, JournalError> {
        let read = || {
            let mut select = self.conn.prepare_cached(sql)?;
            let mut rows = select.query([int(life.0), int(number)])?;
            rows.next()?.map(|row| Ok((uint(row.get(0)?), row.get(1)?))).transpose()
        };
        read().map_err(self.unreadable())
    }

    /// The first page from this record on, or the first that says something of a life.
    fn page_from(&self, from: i64, life: Option<Life>) -> Result<Option<PageRow>, JournalError> {
        let sql = "SELECT first, count, wall_ms, lives, hash, digest FROM pages WHERE first >= ?1 \
                   AND (?2 IS NULL OR ?2 IN (SELECT value FROM json_each(lives))) \
                   ORDER BY first LIMIT 1";
        let read = || {
            let mut select = self.conn.prepare_cached(sql)?;
            let life = life.map(|life| int(life.0));
            let mut rows = select.query(rusqlite::params![from, life])?;
            rows.next()?.map(|row| Ok(PageRow::read(row)?.0)).transpose()
        };
        read().map_err(self.unreadable())
    }
}
