use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use starling_protocols::time::WallTime;
use tracing::Level;

use super::{JournalError, Reader, Source, wall};
use crate::journal::{layer::number_of, schema::int};

/// Which messages of the log are wanted. Empty, it lets all pass.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Messages of this level and more important ones.
    pub level: Option<Level>,
    /// The part of the program: this module and what is in it.
    pub target: Option<String>,
    /// The agent that a message is about, as the message has it.
    pub agent: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// The host that a message is about.
    pub host: Option<String>,
    /// Not before.
    pub since: Option<WallTime>,
    /// Before.
    pub until: Option<WallTime>,
    /// What the message or its fields contain.
    pub text: Option<String>,
    /// Written after this one.
    pub after: Option<LogPlace>,
    /// At most so many.
    pub limit: Option<usize>,
    /// The newest first; the limit then keeps the newest.
    pub newest_first: bool,
}

/// Where a message stands in the log; a later one has a greater place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LogPlace {
    /// The file of the journal.
    pub file: PathBuf,
    /// The number of the row in it.
    pub row: i64,
}

/// A message of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// Where it stands.
    pub place: LogPlace,
    /// When.
    pub wall: WallTime,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The part of the program.
    pub target: String,
    /// The agent it is about.
    pub agent: Option<String>,
    /// The agent's kind.
    pub kind: Option<String>,
    /// The host it is about.
    pub host: Option<String>,
    /// What it says.
    pub message: String,
    /// Whatever else it has, as a JSON object.
    pub fields: Option<String>,
}

/// What messages can be chosen by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogNames {
    /// Parts of the program.
    pub targets: Vec<String>,
    /// Agents.
    pub agents: Vec<String>,
    /// Kinds.
    pub kinds: Vec<String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// When the first message was made, and the last.
    pub span: Option<(WallTime, WallTime)>,
}

impl Reader {
    /// Messages of the log.
    ///
    /// # Errors
    /// [`JournalError`] when they cannot be read.
    pub fn logs(&self, filter: &LogFilter) -> Result<Vec<LogEntry>, JournalError> {
        let mut found = Vec::new();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut sources: Vec<&Source> = self.sources.iter().collect();
        if filter.newest_first {
            sources.reverse();
        }
        for source in sources {
            let left = limit - found.len();
            if left == 0 {
                break;
            }
            found.extend(source.logs(filter, left).map_err(source.unreadable())?);
        }
        Ok(found)
    }

    /// Where the last message stands; `None` when there is none.
    ///
    /// # Errors
    /// [`JournalError`] when that cannot be read.
    pub fn log_end(&self) -> Result<Option<LogPlace>, JournalError> {
        for source in self.sources.iter().rev() {
            if let Some(row) = source.last_log().map_err(source.unreadable())? {
                return Ok(Some(LogPlace { file: source.path.clone(), row }));
            }
        }
        Ok(None)
    }

    /// What messages can be chosen by.
    ///
    /// # Errors
    /// [`JournalError`] when they cannot be read.
    pub fn log_names(&self) -> Result<LogNames, JournalError> {
        let mut names = LogNames::default();
        for source in &self.sources {
            source.log_names(&mut names).map_err(source.unreadable())?;
        }
        for list in [&mut names.targets, &mut names.agents, &mut names.kinds, &mut names.hosts] {
            list.sort();
            list.dedup();
        }
        Ok(names)
    }
}

impl Source {
    fn logs(&self, filter: &LogFilter, limit: usize) -> rusqlite::Result<Vec<LogEntry>> {
        let order = if filter.newest_first { "DESC" } else { "ASC" };
        let after = match &filter.after {
            Some(place) if self.path < place.file => return Ok(Vec::new()),
            Some(place) if self.path == place.file => place.row,
            _ => i64::MIN,
        };
        let sql = format!(
            "SELECT wall_ms, level, target, agent, kind, host, message, fields, id FROM logs WHERE \
             (?1 IS NULL OR level <= ?1) AND \
             (?2 IS NULL OR target = ?2 OR substr(target, 1, length(?2) + 2) = ?2 || '::') AND \
             (?3 IS NULL OR agent = ?3) AND (?4 IS NULL OR kind = ?4) AND \
             (?5 IS NULL OR host = ?5) AND wall_ms >= ?6 AND wall_ms < ?7 AND \
             (?8 IS NULL OR instr(message, ?8) OR instr(coalesce(fields, ''), ?8)) \
             AND id > ?10 ORDER BY id {order} LIMIT ?9"
        );
        let since = filter.since.map_or(0, |at| int(at.as_millis()));
        let until = filter.until.map_or(i64::MAX, |at| int(at.as_millis()));
        let mut select = self.conn.prepare_cached(&sql)?;
        let rows = select.query_map(
            params![
                filter.level.map(number_of),
                filter.target,
                filter.agent,
                filter.kind,
                filter.host,
                since,
                until,
                filter.text,
                i64::try_from(limit).unwrap_or(i64::MAX),
                after,
            ],
            |row| LogEntry::read(row, &self.path),
        )?;
        rows.collect()
    }

    fn last_log(&self) -> rusqlite::Result<Option<i64>> {
        let last = "SELECT id FROM logs ORDER BY id DESC LIMIT 1";
        self.conn.query_row(last, [], |row| row.get(0)).optional()
    }

    fn log_names(&self, names: &mut LogNames) -> rusqlite::Result<()> {
        for (column, list) in [
            ("target", &mut names.targets),
            ("agent", &mut names.agents),
            ("kind", &mut names.kinds),
            ("host", &mut names.hosts),
        ] {
            let sql = format!("SELECT DISTINCT {column} FROM logs WHERE {column} IS NOT NULL");
            let mut select = self.conn.prepare(&sql)?;
            for name in select.query_map([], |row| row.get(0))? {
                list.push(name?);
            }
        }
        let ends = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let ends: (Option<i64>, Option<i64>) =
            self.conn.query_row("SELECT min(wall_ms), max(wall_ms) FROM logs", [], ends)?;
        if let (Some(first), Some(last)) = ends {
            let first = names.span.map_or_else(|| wall(first), |span| span.0);
            names.span = Some((first, wall(last)));
        }
        Ok(())
    }
}

impl LogEntry {
    fn read(row: &Row<'_>, file: &Path) -> rusqlite::Result<Self> {
        let level: i64 = row.get(1)?;
        Ok(Self {
            place: LogPlace { file: file.to_owned(), row: row.get(8)? },
            wall: wall(row.get(0)?),
            level: match level {
                1 => "error",
                2 => "warn",
                3 => "info",
                4 => "debug",
                _ => "trace",
            },
            target: row.get(2)?,
            agent: row.get(3)?,
            kind: row.get(4)?,
            host: row.get(5)?,
            message: row.get(6)?,
            fields: row.get(7)?,
        })
    }
}
