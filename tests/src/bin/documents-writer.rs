//! Keeps copies as a daemon does and says what is stored, to be killed while it does so.
//!
//! `documents-writer FILE BATCHES` waits for most batches; every fourth is written with the next.
//! With no batches it opens the file and closes it.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    path::Path,
};

use starling_node::documents::{Documents, Progress};
use starling_tests::copies;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [file, batches] = &words[..] else {
        return Err("usage: documents-writer FILE BATCHES".into());
    };
    let (documents, _) = Documents::open(Path::new(file), drop)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for number in 1..=batches.parse()? {
        documents.store(copies::batch(number));
        if number % 4 != 2 {
            runtime.block_on(stored(&documents, number))?;
        }
    }
    documents.close()?;
    Ok(())
}

async fn stored(documents: &Documents, number: u64) -> Result<(), Box<dyn Error>> {
    loop {
        match documents.progress().await {
            Some(Progress::Stored(upto)) => {
                writeln!(stdout(), "stored {upto}")?;
                if upto >= number {
                    return Ok(());
                }
            }
            other => return Err(format!("{other:?} while waiting for {number}").into()),
        }
    }
}
