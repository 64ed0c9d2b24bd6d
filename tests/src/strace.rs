//! Programs that are killed, or refused something, at one of their system calls.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::power::{self, Call};

/// Calls that change something on the disk (but for the making of an empty file)…
pub const WRITES: &str = "pwrite64,ftruncate,rename,unlink,symlink,mkdir";

/// …and those that force it there.
pub const SYNCS: &str = "fsync,fdatasync";

/// A program with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// Where it is.
    pub program: &'a str,
    /// What it is told.
    pub arguments: &'a [&'a str],
}

/// Whether programs cannot be traced here; then it says so, for a test that is skipped.
#[expect(clippy::print_stderr, reason = "the output of a test")]
#[must_use]
pub fn is_missing() -> bool {
    let tried = Command::new("strace").args(["-qq", "true"]).output();
    let missing = !tried.is_ok_and(|ran| ran.status.success());
    if missing {
        eprintln!("skipped: strace is not there or may not trace (install strace)");
    }
    missing
}

/// A directory, in memory if there can be one: what a kill leaves behind does not depend on the
/// disk.
///
/// # Panics
/// When there can be none.
#[must_use]
pub fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

impl Traced<'_> {
    fn strace(&self, log: &Path, options: &[&str]) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(log).args(options);
        strace.arg(self.program).args(self.arguments);
        strace.stdin(Stdio::null()).stderr(Stdio::null());
        strace
    }

    /// How often the thread that makes the most of these calls makes them, in a run without faults.
    ///
    /// # Panics
    /// When the program fails.
    #[must_use]
    pub fn count(&self, calls: &str, log: &Path) -> usize {
        let calls = format!("trace={calls}");
        let ran = self.strace(log, &["-e", &calls]).output().expect("strace starts");
        assert!(ran.status.success(), "{ran:?}");
        let trace = fs::read_to_string(log).expect("a trace");
        let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
        for line in trace.lines().filter(|line| !line.contains("resumed>")) {
            *threads.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
        threads.into_values().max().unwrap_or_default()
    }

    /// Has a fault happen when the program makes one of these calls for the `when`th time. Gives
    /// what it said, and whether it came to its end all the same.
    ///
    /// # Panics
    /// When strace does not start.
    #[must_use]
    pub fn harm(&self, calls: &str, fault: &str, when: usize) -> (String, bool) {
        let (trace, inject) =
            (format!("trace={calls}"), format!("inject={calls}:{fault}:when={when}"));
        let mut strace = self.strace(Path::new("/dev/null"), &["-e", &trace, "-e", &inject]);
        let ran = strace.output().expect("strace starts");
        (String::from_utf8(ran.stdout).expect("its own words"), ran.status.success())
    }

    /// A whole run, call by call.
    ///
    /// # Panics
    /// When the program fails.
    #[must_use]
    pub fn calls(&self, log: &Path) -> Vec<Call> {
        let trace = format!("trace={}", power::CALLS);
        let options = ["-xx", "-s", "10000000", "-e", &trace];
        let ran = self.strace(log, &options).output().expect("strace starts");
        assert!(ran.status.success(), "{ran:?}");
        power::calls(&fs::read_to_string(log).expect("a trace"))
    }
}
