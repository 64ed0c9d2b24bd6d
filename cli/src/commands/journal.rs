//! `p2p journal`

mod diff;
mod export;
mod list;
mod replay;
pub(crate) mod show;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use starling_node::journal::archive::Who;

use crate::{failure::Failure, session::Session};

/// Look at what agents did: list, show, replay, compare, verify, export
///
/// Everything that agents of this host handled is in its journal: each input, and what the agent
/// asked for then. Agents of write-ahead kinds come back from it after a crash; all can be
/// replayed. A daemon that is asked shows all that happened until then, unless its disk is full or
/// slow: then what is written.
///
/// With --file a journal is read without a daemon: a file or a directory, copied from anywhere. A
/// running daemon's may be copied as it is, with the -wal and -shm files beside it; what has just
/// happened is there a tenth of a second later.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    before_help = "  p2p journal list                        whose lives are recorded
  p2p journal show visits                 what an agent did last
  p2p journal replay                      does everything replay as it was recorded?
  p2p journal verify --file copy.db       is this copy whole?
"
)]
pub(crate) struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
    Diff(diff::Diff),
    Verify(verify::Verify),
    Export(export::Export),
}

impl Journal {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.command {
            Command::List(list) => list.run(session).await,
            Command::Show(show) => show.run(session).await,
            Command::Replay(replay) => replay.run(session).await,
            Command::Diff(diff) => diff.run(session).await,
            Command::Verify(verify) => verify.run(session).await,
            Command::Export(export) => export.run(session).await,
        }
    }
}

/// Whose lives, and in which journal.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// An agent of this host, living or dead: its name, id, the beginning of its id, or kind
    #[arg(value_name = "AGENT")]
    agent: Option<String>,
    /// One life, by its number in `p2p journal list`
    #[arg(long, value_name = "N", conflicts_with = "agent")]
    life: Option<u64>,
    /// A file or directory of a journal, instead of the daemon's
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
}

impl Whose {
    /// Everybody, when nobody is named.
    pub(crate) fn all(&self) -> Who {
        match (&self.agent, self.life) {
            (Some(agent), _) => Who::Agent(agent.clone()),
            (None, Some(life)) => Who::Life(life),
            (None, None) => Who::All,
        }
    }

    /// Somebody must be named.
    pub(crate) fn one(&self) -> Result<Who, Failure> {
        match self.all() {
            Who::All => Err(Failure::usage("name an agent, or a life with --life N")
                .next("see which there are: p2p journal list")),
            who => Ok(who),
        }
    }
}
