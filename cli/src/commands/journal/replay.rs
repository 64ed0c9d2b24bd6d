use clap::Args;
use starling_node::api::journal::{Difference, ReplayLine, ReplayResult, Replayed};

use super::{Whose, show::input_text};
use crate::{
    failure::{Exit, Failure},
    output::Output,
    progress::Progress,
    session::Session,
    source::{self, Source, called},
    table::{Grid, Tone, field, id, number},
    text,
};

/// Play lives again, and compare every entry with what was recorded
///
/// The first entry of a life that comes out differently is shown, and the exit code is 1. It is 6
/// when not everything could be replayed: a kind that is not there (other lives go on), entries
/// that are missing.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal replay                      all lives
  p2p journal replay visits
  p2p journal replay --file copy.db --format json | jq '.data[].result'
")]
pub(crate) struct Replay {
    #[command(flatten)]
    whose: Whose,
}

impl Replay {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (who, out) = (self.whose.all(), &session.out);
        let path = format!("/v1/journal/replay?{}", source::query(&who));
        let source = Source::new(session, self.whose.file.as_deref())?;
        let (mut lives, mut damage) = (Vec::new(), Vec::new());
        let mut progress = Progress::new(out, "replaying");
        let put = |line| {
            match line {
                ReplayLine::Progress { done, of } => progress.tell(done, of),
                ReplayLine::Life(life) => lives.push(*life),
                ReplayLine::Damaged { why } => damage.push(why),
            }
            Ok(())
        };
        source.lines(&path, |archive, put| archive.replay(&who, put), put).await?;
        progress.end();
        tell(out, &lives)?;
        damage.iter().for_each(|why| out.warn(why));
        conclude(out, &lives, !damage.is_empty())
    }
}

fn tell(out: &Output, lives: &[Replayed]) -> Result<(), Failure> {
    if out.is_json() {
        return out.envelope("journal-replay", lives);
    }
    if out.quiet {
        let other = lives.iter().filter(|life| life.result != ReplayResult::Same);
        return other.map(|life| life.row.life).try_for_each(|life| out.line(&life.to_string()));
    }
    out.grid(grid(lives))?;
    lives.iter().try_for_each(|life| detail(out, life))
}

fn grid(lives: &[Replayed]) -> Grid {
    let head = ["RESULT", "LIFE", "NAME", "AGENT", "KIND", "ENTRIES", "SNAPSHOTS", "MISSING"];
    let mut grid = Grid::new(&head);
    for life in lives {
        let (word, tone) = match &life.result {
            ReplayResult::Same => ("same", Tone::Good),
            ReplayResult::Differs(_) => ("DIFFERS", Tone::Bad),
            ReplayResult::Unplayable(_) => ("UNPLAYABLE", Tone::Bad),
            ReplayResult::UnknownKind => ("unknown kind", Tone::Warn),
            ReplayResult::NoSnapshot => ("no snapshot", Tone::Warn),
        };
        let missing = life.missing + life.unrecorded;
        grid.row([
            field(word).tone(tone),
            number(life.row.life),
            field(life.row.name.as_deref().unwrap_or_default()),
            id(&life.row.agent),
            field(&life.row.kind),
            number(life.entries),
            number(life.snapshots),
            if missing == 0 { field("") } else { number(missing).tone(Tone::Warn) },
        ]);
    }
    grid
}

fn detail(out: &Output, life: &Replayed) -> Result<(), Failure> {
    match &life.result {
        ReplayResult::Differs(differs) => difference(out, life, differs),
        ReplayResult::Unplayable(why) => {
            out.line(&format!("\n{}: {}", called(&life.row), text::plain(why)))
        }
        ReplayResult::Same | ReplayResult::UnknownKind | ReplayResult::NoSnapshot => Ok(()),
    }
}

fn difference(out: &Output, life: &Replayed, differs: &Difference) -> Result<(), Failure> {
    let (paint, row) = (out.paint, &life.row);
    let what = format!("entry {} replays differently in its {}", differs.number, differs.what);
    out.line(&format!("\n{}", paint.bold(&format!("{}: {what}", called(row)))))?;
    let software = text::plain(&differs.software);
    let versions = if differs.version == differs.recorded_version {
        format!("version {} of the kind's code, now as then", differs.version)
    } else {
        format!("version {} of the kind's code; now {}", differs.recorded_version, differs.version)
    };
    let when = text::when(differs.at_ms);
    out.line(&format!(
        "  recorded  {when} by {software}, {versions}; record {}",
        differs.sequence
    ))?;
    let input = differs.input.as_ref().map(|input| input_text(input, true));
    let input = input.unwrap_or_else(|| "a snapshot was made after this entry".to_owned());
    out.line(&format!("  input     {input}"))?;
    if !differs.before.is_null() {
        out.line("  state before")?;
        let before = text::plain_lines(&format!("{:#}", differs.before));
        before.lines().try_for_each(|line| out.line(&format!("    {line}")))?;
    }
    diff_lines(out, &differs.diff)
}

/// A unified diff.
pub(super) fn diff_lines(out: &Output, diff: &str) -> Result<(), Failure> {
    for line in text::plain_lines(diff).lines() {
        let painted = match line.as_bytes().first() {
            Some(b'+') => out.paint.green(line),
            Some(b'-') => out.paint.red(line),
            _ => line.to_owned(),
        };
        out.line(&format!("  {painted}"))?;
    }
    Ok(())
}

fn conclude(out: &Output, lives: &[Replayed], damaged: bool) -> Result<(), Failure> {
    let mut partial = false;
    let mut failed = damaged;
    for life in lives {
        let row = &life.row;
        match &life.result {
            ReplayResult::UnknownKind => {
                let why = format!("this program has no kind {:?}", row.kind);
                out.warn(&format!("{} was not replayed: {why}", called(row)));
                partial = true;
            }
            ReplayResult::NoSnapshot => {
                let why = "there is no snapshot to begin with";
                out.warn(&format!("{} was not replayed: {why}", called(row)));
                partial = true;
            }
            ReplayResult::Differs(_) | ReplayResult::Unplayable(_) => failed = true,
            ReplayResult::Same => {
                for lack in lacks(life) {
                    out.warn(&format!("{}: {lack}", called(row)));
                    partial = true;
                }
            }
        }
    }
    match (failed, partial) {
        (true, _) => Err(Failure::Silent(Exit::Failure)),
        (false, true) => Err(Failure::Silent(Exit::Partial)),
        (false, false) => {
            let entries: u64 = lives.iter().map(|life| life.entries).sum();
            let entries = text::count(entries, "entry");
            let lives = text::count(lives.len(), "life");
            out.note(&format!("{lives}, {entries}: all as they were recorded"));
            Ok(())
        }
    }
}

/// Which entries of a life were not there to be replayed, in sentences.
fn lacks(life: &Replayed) -> impl Iterator<Item = String> {
    let sentence = |n: u64, why: &str| {
        let are = if n == 1 { "is" } else { "are" };
        (n > 0).then(|| format!("{} {are} {why}", text::count(n, "entry")))
    };
    let unrecorded = "not there, because storage did not work then";
    [
        sentence(life.unrecorded, unrecorded),
        sentence(life.missing, "missing: the journal is damaged or cut"),
    ]
    .into_iter()
    .flatten()
}
