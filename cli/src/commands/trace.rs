//! `p2p trace`

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;
use starling_node::{
    agent::prelude::{Address, HostId},
    api::{Listing, Missing},
    story::{Found, Line, tell},
};

use crate::{
    failure::{Exit, Failure},
    session::Session,
    source::Source,
    table::{Grid, field, number},
    text,
};

/// Tell the story of one negotiation: who announced, bid, was granted, reported
///
/// `p2p inspect` shows the name of a search beside the contracts under way; nested contracts belong
/// to the search they serve, and stand below it. Each line has the agent and the number of the
/// entry, for `p2p journal show`. Lines are in the order of cause and effect, whatever the
/// calendars of the hosts say.
///
/// The journal of this host is read, or those named with --file. Hosts that took part and whose
/// journals were not read are named on standard error, and the exit code is 6.
#[derive(Debug, Args)]
#[command(before_help = "  p2p trace 3f2a9c
  p2p trace 3f2a9c --all        also what is heard and was said before
  p2p trace 3f2a9c --file alpha/journal --file beta/journal
")]
pub(crate) struct Trace {
    /// The name of the search, or its beginning: at least four digits
    #[arg(value_name = "SEARCH")]
    search: String,
    /// A file or directory of a journal, instead of the daemon's; several may be named
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Also what is heard and was said in a line before
    #[arg(long)]
    all: bool,
}

/// How many searches are named to those who give too short a name.
const SEARCHES_NAMED: usize = 8;

impl Trace {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let journals = self.read(session).await?;
        let searches: BTreeSet<String> = journals.iter().map(|of| of.search.clone()).collect();
        if searches.len() > 1 {
            return Err(Failure::usage(several(&self.search, &searches)));
        }
        let Some(search) = searches.into_iter().next() else {
            let message = format!("nothing of a search {:?} is recorded", self.search);
            return Err(Failure::told(Exit::NotFound, message).next(
                "its name is in p2p inspect AGENT while it is under way, and in \
                       p2p inspect AGENT --at ENTRY when it is not any more",
            ));
        };
        let out = &session.out;
        if journals.iter().any(|of| of.cut) {
            out.warn("there is more than is told here");
        }
        let unread: u64 = journals.iter().map(|of| of.unread).sum();
        if unread > 0 {
            out.warn(&format!(
                "what was asked for at once was too much to be recorded, {unread} times: of that, \
                 those tell who heard it"
            ));
        }
        let mut lines = tell(journals.into_iter().map(|of| of.deeds).collect());
        let (missing, names) = (missing(&lines), Names::of(&lines));
        if !self.all && !out.is_json() {
            lines.retain(|line| !line.echo);
        }
        if !out.is_json() && !out.quiet {
            out.line(&out.paint.bold(&format!("search {search}")))?;
        }
        let items = lines.into_iter().map(|line| names.told(line)).collect();
        let listing = Listing { items, missing };
        out.listing("trace", &listing, |row| &row.agent, |rows| grid(rows, &names))
    }

    async fn read(&self, session: &Session) -> Result<Vec<Found>, Failure> {
        let path = format!("/v1/journal/trace?search={}", text::query(&self.search));
        let files = self.file.iter().map(|path| Some(path.as_path()));
        let mut places: Vec<_> = files.collect();
        if places.is_empty() {
            places.push(None);
        }
        let mut all = Vec::new();
        for place in places {
            let source = Source::new(session, place)?;
            let read = source.once(&path, |archive| {
                let items = archive.trace(&self.search)?;
                Ok(Listing { items, missing: Vec::new() })
            });
            let found: Listing<Found> = read.await?;
            all.extend(found.items);
        }
        Ok(all)
    }
}

/// One line as it is shown.
#[derive(Serialize)]
struct Told {
    agent: String,
    text: String,
    #[serde(flatten)]
    line: Line,
}

/// How agents are called: by their names, or else by kind and id.
struct Names(BTreeMap<Address, (String, String)>);

impl Names {
    fn of(lines: &[Line]) -> Self {
        let named = lines.iter().map(|Line { deed, .. }| {
            let unnamed = || format!("{} {}", deed.kind, deed.who.agent.short());
            (deed.who, (deed.name.clone().unwrap_or_else(unnamed), deed.host_name.clone()))
        });
        Self(named.collect())
    }

    fn call(&self, agent: Address) -> String {
        match self.0.get(&agent) {
            Some((name, host)) => format!("{name}@{host}"),
            None => format!("{}@{}", agent.agent.short(), agent.host.short()),
        }
    }

    fn told(&self, line: Line) -> Told {
        let text = line.sentence(|agent| self.call(agent));
        Told { agent: line.deed.who.agent.to_string(), text, line }
    }
}

/// Hosts that are spoken of and say nothing themselves.
fn missing(lines: &[Line]) -> Vec<Missing> {
    let read: BTreeSet<HostId> = lines.iter().map(|line| line.deed.who.host).collect();
    let of_line = |line: &Line| [line.deed.act.other, line.deed.act.of.map(|of| of.manager)];
    let named: BTreeSet<HostId> =
        lines.iter().flat_map(of_line).flatten().map(|agent| agent.host).collect();
    let why = "agents of it took part, and its journal was not read; run this there, or name a \
               copy with --file";
    let missing = |host: &HostId| Missing { host: host.short(), why: why.to_owned() };
    named.difference(&read).map(missing).collect()
}

fn grid(rows: &[Told], names: &Names) -> Grid {
    let mut grid = Grid::new(&["TIME", "HOST", "AGENT", "LIFE", "ENTRY", "WHAT"]);
    for Told { line, text, .. } in rows {
        let deed = &line.deed;
        let agent = names.0.get(&deed.who).map(|(name, _)| name.as_str()).unwrap_or_default();
        grid.row([
            field(&text::when(deed.at_ms)),
            field(&deed.host_name),
            field(agent),
            number(deed.life),
            number(deed.entry),
            field(&format!("{}{text}", "  ".repeat(line.level.into()))),
        ]);
    }
    grid
}

/// The names of a few of the searches that begin alike.
fn several(prefix: &str, searches: &BTreeSet<String>) -> String {
    let some: Vec<&str> = searches.iter().take(SEARCHES_NAMED).map(String::as_str).collect();
    let more = match searches.len().saturating_sub(SEARCHES_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{prefix:?} begins several searches: {}{more}", some.join(", "))
}
