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
    if !report.problems.is_empty() {
        out.grid(grid(&report.problems))?;
        if report.more_problems > 0 {
            out.line(&format!("and {} more", report.more_problems))?;
        }
    }
    let found = report.problems.len() as u64 + report.more_problems;
    let verdict = match found {
        0 => "nothing is wrong".to_owned(),
        found => text::count(found, "problem"),
    };
    out.note(&format!("{verdict}: {}", extent(report)));
    Ok(())
}

/// How much was read.
fn extent(report: &Verified) -> String {
    let Verified { files, pages, records, entries, snapshots, .. } = report;
    let (files, pages) = (text::count(*files, "file"), text::count(*pages, "page"));
    let (entries, snapshots) =
        (text::count(*entries, "entry"), text::count(*snapshots, "snapshot"));
    let records = text::count(*records, "record");
    format!("{pages} in {files}, {records}, of them {entries} and {snapshots}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_as_one() {
        let report = Verified { files: 1, pages: 1, records: 3, entries: 1, ..Verified::default() };
        assert_eq!(extent(&report), "1 page in 1 file, 3 records, of them 1 entry and 0 snapshots");
    }
}
