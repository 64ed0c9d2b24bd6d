//! `p2p help exit-codes`

use clap::Args;

use crate::{
    failure::{Exit, Failure},
    session::Session,
    table::{Grid, field, number},
};

const CODES: [(Exit, &str); 9] = [
    (Exit::Ok, "done; also when Ctrl-C ends a stream"),
    (Exit::Failure, "it failed, a body does not fit, or a replay differs"),
    (Exit::Usage, "the command line, or the syntax of JSON on it, is wrong"),
    (Exit::NoDaemon, "no daemon answers, or it went away"),
    (Exit::Denied, "not allowed"),
    (Exit::NotFound, "no such host, agent, kind, request or document"),
    (
        Exit::Partial,
        "not all hosts answered or have it, not all was replayed, or nothing came in time",
    ),
    (Exit::Degraded, "status or doctor found something wrong"),
    (Exit::Interrupted, "Ctrl-C came before the answer: what was asked for may go on"),
];

/// What scripts can rely on: exit codes, output, JSON
#[derive(Debug, Args)]
#[command(
    before_help = "  p2p members >/dev/null 2>&1; echo $?
  p2p status --format json | jq -r .data.health
",
    after_help = "Exit codes:
  0  done; also when Ctrl-C ends a stream
  1  it failed, a body does not fit, or a replay differs
  2  the command line, or the syntax of JSON on it, is wrong
  3  no daemon answers, or it went away
  4  not allowed
  5  no such host, agent, kind, request or document
  6  not all hosts answered or have it, not all was replayed, or nothing came in time
  7  status or doctor found something wrong
  130  Ctrl-C came before the answer: what was asked for may go on

Output:
  Data goes to standard output, messages to standard error.
  --format json prints one envelope, {\"schema\": \"p2p.members/1\", \"data\": …}; a list that is
  not complete has \"missing\" beside \"data\", and one that --limit has cut \"next\", for --after.
  subscribe, events, logs and journal export print a line of JSON for each message. Errors are JSON too, on standard error: p2p.error/1.
  Fields may be added to a schema; when one goes or changes its meaning, the number goes up."
)]
pub(crate) struct ExitCodes {}

impl ExitCodes {
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let mut grid = Grid::new(&["CODE", "MEANING"]);
        for (exit, meaning) in CODES {
            grid.row([number(exit as u8), field(meaning)]);
        }
        session.out.grid(grid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_the_same() {
        let mut grammar = crate::args::grammar();
        let topic = grammar.find_subcommand_mut("exit-codes").expect("the topic");
        let help = topic.render_long_help().to_string();
        for (exit, meaning) in CODES {
            assert!(help.contains(&format!("  {}  {meaning}\n", exit as u8)), "{meaning}");
        }
    }
}
