use serde_json::Value;
use starling_protocols::time::WallTime;
use tracing::Level;

use super::{
    super::{LogEntry, LogFilter, LogPlace},
    Archive,
};
use crate::api::{Code, Problem, journal::LogLine};

/// The most messages of the log that are given at once.
pub const LOG_LINES_MAX: usize = 100_000;

/// Which messages of the log are wanted; see [`LogFilter`].
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// `error`, `warn`, `info`, `debug` or `trace`: of this level and more important.
    pub level: Option<String>,
    /// The part of the program, and what is in it; `agent` for what agents say.
    pub target: Option<String>,
    /// An agent as a person calls it; dead ones too.
    pub agent: Option<String>,
    /// A kind of agents.
    pub kind: Option<String>,
    /// Not before.
    pub since: Option<WallTime>,
    /// Before.
    pub until: Option<WallTime>,
    /// What the message or its fields contain.
    pub text: Option<String>,
    /// At most so many, the latest. 1,000 when absent, never more than 100,000.
    pub limit: Option<usize>,
}

impl Archive {
    /// Messages of the log, the oldest first; of too many the latest.
    ///
    /// # Errors
    /// [`Problem`] when the query is wrong or they cannot be read.
    pub fn logs(&self, query: &LogQuery) -> Result<Vec<LogLine>, Problem> {
        Ok(self.logs_after(query, None)?.0)
    }

    /// Messages of the log that stand after a place, the oldest first; of too many the latest. The
    /// second is the place after which those stand that are written later.
    ///
    /// # Errors
    /// [`Problem`] when the query is wrong or they cannot be read.
    pub fn logs_after(
        &self,
        query: &LogQuery,
        after: Option<LogPlace>,
    ) -> Result<(Vec<LogLine>, Option<LogPlace>), Problem> {
        // What is written from now on stands after it, or is found below.
        let end = self.reader.log_end()?;
        // Where all messages of a file were too old, its rows are numbered from one again.
        let after = after.map(|place| match &end {
            Some(end) if *end >= place => place,
            _ => LogPlace { row: 0, ..place },
        });
        let end = end.max(after.clone());
        let level = query.level.as_deref().map(level).transpose()?;
        let agent = query.agent.as_deref().map(|text| self.agent_in_logs(text)).transpose()?;
        let filter = LogFilter {
            level,
            agent,
            target: query.target.clone(),
            kind: query.kind.clone(),
            host: None,
            since: query.since,
            until: query.until,
            text: query.text.clone(),
            after,
            limit: Some(query.limit.unwrap_or(1000).min(LOG_LINES_MAX)),
            newest_first: true,
        };
        let mut found = self.reader.logs(&filter)?;
        found.reverse();
        let end = end.max(found.last().map(|entry| entry.place.clone()));
        Ok((found.into_iter().map(line).collect(), end))
    }

    /// Messages name agents by their whole id.
    fn agent_in_logs(&self, text: &str) -> Result<String, Problem> {
        let names = self.reader.log_names()?.agents;
        if names.iter().any(|name| name == text) {
            return Ok(text.to_owned());
        }
        Ok(self.life(&super::Who::Agent(text.to_owned()))?.agent)
    }
}

fn level(text: &str) -> Result<Level, Problem> {
    text.parse().map_err(|_| {
        let message = format!("{text:?} is no level: error, warn, info, debug or trace");
        Problem::new(Code::Usage, message)
    })
}

fn line(entry: LogEntry) -> LogLine {
    let LogEntry { place: _, wall, level, target, agent, kind, host, message, fields } = entry;
    let fields = fields.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    let (at_ms, level) = (wall.as_millis(), level.to_owned());
    LogLine { at_ms, level, target, agent, kind, host, message, fields }
}
