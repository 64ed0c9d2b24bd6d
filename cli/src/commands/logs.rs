//! `p2p logs`

use std::path::PathBuf;

use clap::Args;
use starling_node::{
    api::journal::LogLine,
    journal::archive::{Archive, LogQuery},
};

use crate::{failure::Failure, moment, output::Output, session::Session, source::Source, text};

/// Show the daemon's log, and what its agents said
///
/// It is kept in the journal, beside what the agents did: the last 200,000 messages of seven days.
/// Times are in UTC. With --format json, a line of JSON for each message.
#[derive(Debug, Args)]
#[command(before_help = "  p2p logs                              the last 100 messages
  p2p logs -f                           go on as they come
  p2p logs --agent visits --since 1h
  p2p logs --level warn -n 1000
  p2p logs --target agent --grep 'no answer'
")]
pub(crate) struct Logs {
    /// Only what this agent said, or what is about it; dead ones too
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only agents of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Of this level and more important: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"],
          hide_possible_values = true)]
    level: Option<String>,
    /// Only this part of the program, as starling_node::net; agent for what agents say
    #[arg(long, value_name = "PART")]
    target: Option<String>,
    /// Not before: 1h (ago), or a time
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<u64>,
    /// Before: 5m (ago), or a time
    #[arg(long, value_name = "TIME", value_parser = moment::parse, conflicts_with = "follow")]
    until: Option<u64>,
    /// Only messages that contain this, themselves or in a field
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// How many messages, at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Go on as messages come, until Ctrl-C
    #[arg(short, long, conflicts_with = "file")]
    follow: bool,
    /// A file or directory of a journal, instead of the daemon's
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

impl Logs {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let out = &session.out;
        let source = Source::new(session, self.file.as_deref())?;
        let path = self.path();
        let read = |archive: &Archive, put: starling_node::journal::archive::Sink<'_, _>| {
            let _ = archive.logs(&self.query())?.into_iter().try_for_each(put);
            Ok(())
        };
        tokio::select! {
            ended = source.lines(&path, read, |line| show(out, &line)) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    fn query(&self) -> LogQuery {
        LogQuery {
            level: self.level.clone(),
            target: self.target.clone(),
            agent: self.agent.clone(),
            kind: self.kind.clone(),
            since: self.since.map(starling_node::WallTime::from_millis),
            until: self.until.map(starling_node::WallTime::from_millis),
            text: self.grep.clone(),
            limit: Some(self.count as usize),
        }
    }

    fn path(&self) -> String {
        let number = |n: Option<u64>| n.map(|n| n.to_string());
        let pairs = [
            ("agent", self.agent.clone()),
            ("kind", self.kind.clone()),
            ("level", self.level.clone()),
            ("target", self.target.clone()),
            ("text", self.grep.clone()),
            ("since_ms", number(self.since)),
            ("until_ms", number(self.until)),
        ];
        let given = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}&", text::query(&value?))));
        let given: String = given.collect();
        format!("/v1/logs?{given}limit={}&follow={}", self.count, self.follow)
    }
}

fn show(out: &Output, line: &LogLine) -> Result<(), Failure> {
    if out.is_json() {
        return out.json_line(line);
    }
    let paint = out.paint;
    let level = format!("{:<5}", line.level.to_uppercase());
    let level = match line.level.as_str() {
        "error" => paint.red(&level),
        "warn" => paint.yellow(&level),
        "info" => paint.green(&level),
        _ => paint.dim(&level),
    };
    let about = match (&line.kind, &line.agent) {
        (Some(kind), Some(agent)) => format!("{} {}", text::plain(kind), text::short(agent)),
        (None, Some(agent)) => text::short(agent),
        _ => text::plain(&line.target),
    };
    let fields = line.fields.as_object().map(|fields| {
        let field = |(key, value): (&String, &serde_json::Value)| {
            format!(" {}={}", text::plain(key), text::plain(&value.to_string()))
        };
        paint.dim(&fields.iter().map(field).collect::<String>())
    });
    let (when, about) = (paint.dim(&text::when(line.at_ms)), paint.cyan(&about));
    let message = text::plain(&line.message);
    out.line(&format!("{when} {level} {about}: {message}{}", fields.unwrap_or_default()))
}
