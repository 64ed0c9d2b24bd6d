//! Writes a journal as a daemon does and says what is durable, to be killed while it does so.
//!
//! `journal-writer DIR STEPS` tells a story in so many batches: most are waited for, some are not,
//! and in the middle a new file begins. With no steps it opens the journal and closes it.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    path::Path,
};

use starling_node::journal::{Journal, Options, Progress};
use starling_protocols::journal::Sequence;
use starling_tests::{Script, story::Story};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [dir, steps] = &words[..] else { return Err("usage: journal-writer DIR STEPS".into()) };
    let (journal, opened) = Journal::open(Path::new(dir), Options::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut script = Script::new(Story::begin(&opened.recovered), steps.parse()?);
    for batch in &mut script {
        let (urgent, next) = (batch.urgent, batch.next());
        journal.append(batch);
        if urgent {
            runtime.block_on(durable(&journal, next))?;
        }
    }
    journal.close()?;
    Ok(())
}

async fn durable(journal: &Journal, next: Sequence) -> Result<(), Box<dyn Error>> {
    loop {
        match journal.progress().await {
            Some(Progress::Durable(upto)) => {
                writeln!(stdout(), "durable {upto}")?;
                if upto >= next {
                    return Ok(());
                }
            }
            Some(Progress::Written(_)) => {}
            other => return Err(format!("{other:?} while waiting for {next}").into()),
        }
    }
}
