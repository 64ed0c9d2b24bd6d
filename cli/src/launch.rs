//! Starts a daemon that outlives this process, and waits until it serves.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    client::{Client, Presence},
    failure::{Exit, Failure},
    text,
};

/// How long a daemon may take until it serves.
pub(crate) const START_TIME: Duration = Duration::from_secs(20);

const POLL_EVERY: Duration = Duration::from_millis(25);
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 16 * 1024;

/// A daemon that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its process.
    pub(crate) child: Child,
    log: PathBuf,
    /// Where its own lines begin: the log may have older ones.
    log_from: u64,
}

/// Starts this program again as a daemon: own process group, so that Ctrl-C in this terminal is
/// not meant for it, and its output in the log.
pub(crate) fn launch(
    arguments: impl IntoIterator<Item = OsString>,
    data_dir: &Path,
    log: PathBuf,
    prepare: impl FnOnce(&mut Command),
) -> Result<Launched, Failure> {
    let failed = |what: &Path, e: io::Error| {
        Failure::failed(format!("cannot write {}: {e}", what.display()))
            .next("choose another place with --data-dir")
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| failed(data_dir, e))?;
    let file = open_log(&log).map_err(|e| failed(&log, e))?;
    let log_from = file.metadata().map_or(0, |meta| meta.len());
    let child = spawn(arguments, file, prepare)
        .map_err(|e| Failure::failed(format!("cannot start the daemon: {e}")))?;
    Ok(Launched { child, log, log_from })
}

fn open_log(log: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(log)
}

fn spawn(
    arguments: impl IntoIterator<Item = OsString>,
    log: File,
    prepare: impl FnOnce(&mut Command),
) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    prepare(&mut command);
    command.spawn()
}

impl Launched {
    /// Waits until the daemon serves; fails when it ends or takes too long.
    pub(crate) async fn ready(&mut self, client: &Client) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIME;
        loop {
            let presence = client.presence().await;
            if presence == Presence::Ready {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.ended(status));
            }
            if Instant::now() >= deadline {
                return Err(self.slow(presence));
            }
            sleep(POLL_EVERY).await;
        }
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let message = format!("the daemon ended while it started ({status})\n{}", self.tail());
        Failure::failed(message.trim_end().to_owned())
            .next(format!("the whole log is in {}", self.log.display()))
    }

    fn slow(&self, presence: Presence) -> Failure {
        let waited = START_TIME.as_secs();
        let (exit, how) = match presence {
            Presence::Absent => (Exit::NoDaemon, "does not answer"),
            Presence::Starting | Presence::Ready => (Exit::Degraded, "is not ready"),
        };
        let message = format!("the daemon runs, but {how} after {waited} s\n{}", self.tail());
        Failure::told(exit, message.trim_end().to_owned())
            .next(format!("see p2p doctor, and the log in {}", self.log.display()))
    }

    /// The last lines of the log since the start, indented.
    pub(crate) fn tail(&self) -> String {
        let lines = read_from(&self.log, self.log_from).unwrap_or_default();
        let skip = lines.lines().count().saturating_sub(TAIL_LINES);
        let indented = lines.lines().skip(skip).map(|line| format!("  | {}", text::plain(line)));
        indented.collect::<Vec<_>>().join("\n")
    }
}

fn read_from(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = fs::metadata(log)?.len();
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits until `done` says yes; `false` when the time is over.
pub(crate) async fn until(within: Duration, mut done: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !done().await {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL_EVERY).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_new_lines_of_the_log_are_shown() {
        let mut log = tempfile::NamedTempFile::new().expect("a file");
        log.write_all(b"old\nnew\n").expect("written");
        assert_eq!(read_from(log.path(), 4).expect("read"), "new\n");
    }
}
