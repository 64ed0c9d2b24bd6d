use std::path::PathBuf;

use clap::Args;
use starling_node::{
    api::journal::{JournalDiff, LifeDiff},
    journal::archive::{Who, diff_journals},
};

use super::replay::diff_lines;
use crate::{
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    source::{Source, archive, called},
    text,
};

/// Compare two lives, or two journals, up to the first entry that differs
///
/// Two lives are named by their numbers in `p2p journal list`. Two journals are compared life by
/// life, where both have it. Times are not compared. Exit code 1 when something differs.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal diff 12 31
  p2p journal diff 12 31 --file copy.db
  p2p journal diff --file copy.db --with other.db
  p2p journal diff --with copy.db         this host's journal and a copy
")]
pub(crate) struct Diff {
    /// Two lives, by number
    #[arg(value_name = "LIFE", num_args = 0..=2, conflicts_with = "with")]
    lives: Vec<u64>,
    /// A file or directory of a journal, instead of this host's
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Another journal to compare it with
    #[arg(long, value_name = "PATH")]
    with: Option<PathBuf>,
}

impl Diff {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let out = &session.out;
        if let Some(with) = &self.with {
            let own = session.config()?.journal_dir();
            let left = archive(self.file.as_deref().unwrap_or(&own))?;
            return journals(out, &diff_journals(&left, &archive(with)?)?);
        }
        let [left, right] = self.lives[..] else {
            return Err(Failure::usage("name two lives by number, or another journal with --with")
                .next("see which lives there are: p2p journal list"));
        };
        let path = format!("/v1/journal/diff?life={left}&with={right}");
        let (left, right) = (Who::Life(left), Who::Life(right));
        let source = Source::new(session, self.file.as_deref())?;
        let diff = source.once(&path, |archive| archive.diff(&left, archive, &right)).await?;
        if out.is_json() {
            out.envelope("journal-diff", &diff)?;
        } else {
            life(out, &diff)?;
        }
        conclude(diff.first.is_some())
    }
}

fn conclude(differs: bool) -> Result<(), Failure> {
    if differs { Err(Failure::Silent(Exit::Failure)) } else { Ok(()) }
}

fn journals(out: &Output, diff: &JournalDiff) -> Result<(), Failure> {
    let differ = diff.lives.iter().filter(|life| life.first.is_some()).count();
    if out.is_json() {
        out.envelope("journal-diff", diff)?;
    } else {
        diff.lives
            .iter()
            .filter(|life| life.first.is_some())
            .try_for_each(|diff| life(out, diff))?;
        for (side, rows) in [("first", &diff.only_left), ("second", &diff.only_right)] {
            rows.iter()
                .try_for_each(|row| out.line(&format!("only in the {side}: {}", called(row))))?;
        }
        let same = diff.lives.len() - differ;
        let lives = text::count(diff.lives.len(), "life");
        out.note(&format!("the same: {same} of {lives} in both"));
    }
    conclude(differ > 0 || !diff.only_left.is_empty() || !diff.only_right.is_empty())
}

fn life(out: &Output, diff: &LifeDiff) -> Result<(), Failure> {
    let (left, right) = (called(&diff.left), called(&diff.right));
    out.line(&out.paint.bold(&format!("{left} and {right}")))?;
    let Some(first) = &diff.first else {
        return out.line(&format!("  the same: {}", text::count(diff.same, "entry")));
    };
    let what = match first.what.as_str() {
        "length" => "one goes on where the other ends".to_owned(),
        what => format!("they differ in the {}", text::plain(what)),
    };
    let same = text::count(diff.same, "entry");
    out.line(&format!("  the same: {same}; at {} {what}", first.number))?;
    diff_lines(out, &first.diff)
}
