//! The other processes of a run: started here, measured here, never left over.
//!
//! Each kid holds the reading end of a pipe as its standard input and leaves
//! when that closes, so that it also ends when this process is killed. Programs
//! that know nothing of this are run under `guard`, which ends them likewise.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long a kid may take to say where it listens.
pub const START: Duration = Duration::from_secs(8);
/// How long a kid may take to leave before it is killed.
const LEAVE: Duration = Duration::from_millis(1500);
/// How often a process is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(10);
/// The unit of processor time in the process table.
const TICKS_PER_SECOND: f64 = 100.0;

static KIDS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn kids() -> MutexGuard<'static, Vec<Child>> {
    KIDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process started by this one.
#[derive(Debug)]
pub struct Kid {
    /// The process to measure.
    pub pid: u32,
    lines: Receiver<String>,
}

impl Kid {
    /// This program again, with other arguments.
    pub fn of_self<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a second process")?;
        let pid = child.id();
        let lines = child.stdout.take().map(follow);
        kids().push(child);
        let lines = lines.context("a second process without output")?;
        Ok(Self { pid, lines })
    }

    /// Another program, which ends when this one does.
    pub fn guarded(program: &Path, args: &[String]) -> Result<Self> {
        let head = ["guard".as_ref(), "--".as_ref(), program.as_os_str()];
        let tail = args.iter().map(OsStr::new);
        let mut kid = Self::of_self(head.into_iter().chain(tail))?;
        kid.pid = kid.line(START)?.parse().context("no process number")?;
        Ok(kid)
    }

    /// The next line the process prints.
    pub fn line(&self, within: Duration) -> Result<String> {
        let line = self.lines.recv_timeout(within);
        line.context("a second process said nothing in time")
    }
}

/// Reads lines on a thread, so that waiting for one can be bounded.
fn follow(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1024);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Ends every kid: by closing its input where it listens to that, else by force.
pub fn stop_all() {
    let mut kids = kids();
    for kid in kids.iter_mut() {
        if kid.stdin.take().is_none() {
            let _ = kid.kill();
        }
    }
    let until = Instant::now() + LEAVE;
    for kid in kids.iter_mut() {
        while Instant::now() < until && matches!(kid.try_wait(), Ok(None)) {
            thread::sleep(LOOK);
        }
        let _ = kid.kill();
        let _ = kid.wait();
    }
    kids.clear();
}

/// Ends this process when the one that started it closes the pipe or is gone.
pub fn leave_with_parent() {
    thread::spawn(|| {
        wait_for_parent();
        std::process::exit(0);
    });
}

fn wait_for_parent() {
    let mut waste = [0; 64];
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut waste), Ok(read) if read > 0) {}
}

/// Runs a program until it ends, or the process that started this one does.
pub fn guard(command: &[String]) -> Result<()> {
    let [program, args @ ..] = command else {
        bail!("nothing to guard");
    };
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    println!("{}", child.id());
    kids().push(child);
    let (gone, parent) = sync_channel(1);
    thread::spawn(move || {
        wait_for_parent();
        let _ = gone.send(());
    });
    while parent.recv_timeout(LOOK).is_err() && any_runs() {}
    Ok(())
}

fn any_runs() -> bool {
    kids()
        .iter_mut()
        .any(|kid| matches!(kid.try_wait(), Ok(None)))
}

/// What processes used.
#[derive(Debug, Default)]
pub struct Usage {
    /// Processor time.
    pub cpu_seconds: Option<f64>,
    /// Resident memory.
    pub rss_kib: Option<u64>,
}

/// The sum over some processes; nothing where there is no process table.
pub fn usage(pids: &[u32]) -> Usage {
    Usage {
        cpu_seconds: pids.iter().map(|pid| cpu_seconds(*pid)).sum(),
        rss_kib: pids.iter().map(|pid| rss_kib(*pid)).sum(),
    }
}

fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Resident memory of one process.
pub fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
