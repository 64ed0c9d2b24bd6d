use std::path::PathBuf;

use clap::Args;
use starling_node::api::journal::{Fault, Verified, VerifyLine};

use crate::{
    failure::{Exit, Failure},
    output::Output,
    progress::Progress,
    session::Session,
    source::Source,
    table::{Grid, field},
    text,
};

/// Read everything and check it: checksums, the chain of pages, numbers, the index
///
/// Exit code 1 when something is damaged; what is named then cannot be relied on, everything else
/// can.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal verify
  p2p journal verify --file copy.db
")]
pub(crate) struct Verify {
    /// A file or directory of a journal, instead of the daemon's
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

impl Verify {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let out = &session.out;
        let source = Source::new(session, self.file.as_deref())?;
        let mut progress = Progress::new(out, "verifying");
        let mut report = Verified::default();
        let put = |line| {
            match line {
                VerifyLine::Progress { done, of } => progress.tell(done, of),
                VerifyLine::Report(found) => report = found,
            }
            Ok(())
        };
        source.lines("/v1/journal/verify", |archive, put| archive.verify(put), put).await?;
        progress.end();
        tell(out, &report)?;
        if report.problems.is_empty() { Ok(()) } else { Err(Failure::Silent(Exit::Failure)) }
    }
}

fn tell(out: &Output, report: &Verified) -> Result<(), Failure> {
    if out.is_json() {
        return out.envelope("journal-verify", report);
    }
    let Verified { files, pages, records, entries, snapshots, .. } = report;
    if !report.problems.is_empty() {
        out.grid(grid(&report.problems))?;
        if report.more_problems > 0 {
            out.line(&format!("and {} more", report.more_problems))?;
        }
    }
    let found = report.problems.len() as u64 + report.more_problems;
    let verdict = match usize::try_from(found).unwrap_or(usize::MAX) {
        0 => "nothing is wrong".to_owned(),
        found => text::count(found, "problem"),
    };
    let read = format!("{pages} pages in {files} files, {records} records, {entries} of them");
    out.note(&format!("{verdict}: {read} entries and {snapshots} snapshots"));
    Ok(())
}

fn grid(problems: &[Fault]) -> Grid {
    let mut grid = Grid::new(&["FILE", "PAGE", "RECORD", "PROBLEM"]);
    let number = |n: Option<u64>| field(&n.map(|n| n.to_string()).unwrap_or_default());
    for fault in problems {
        let file = fault.path.rsplit('/').next().unwrap_or_default();
        grid.row([field(file), number(fault.page), number(fault.sequence), field(&fault.what)]);
    }
    grid
}
