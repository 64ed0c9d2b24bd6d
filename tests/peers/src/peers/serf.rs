//! Events of Serf: a cluster of agents on the loopback, each with a handler.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{
    cli::Events,
    meter::Meter,
    procs::Kid,
    report::{Outcome, Report, round},
    run,
};

const NAME: &str = "serf";
/// How often agents and the handlers' file are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the cluster may take to form.
const FORM: Duration = Duration::from_secs(15);
/// How long an event may take to reach the last agent.
const DELIVERY: Duration = Duration::from_secs(4);

/// Agents that know each other.
struct Cluster {
    program: PathBuf,
    folder: TempDir,
    first_rpc: String,
    agents: Vec<Kid>,
    sent: usize,
}

impl Cluster {
    fn start(program: PathBuf, hosts: usize) -> Result<Self> {
        let folder = TempDir::new()?;
        let handler = write_handler(folder.path())?;
        let mut binds = free_addresses(hosts * 2)?;
        let rpcs = binds.split_off(hosts);
        let mut agents = Vec::new();
        for (bind, rpc) in binds.iter().zip(&rpcs) {
            let args = agent_args(agents.len(), bind, rpc, &handler, &binds[0]);
            agents.push(Kid::guarded(&program, &args)?);
        }
        let first_rpc = rpcs[0].clone();
        let cluster = Self {
            program,
            folder,
            first_rpc,
            agents,
            sent: 0,
        };
        cluster.wait_until_formed(&rpcs)?;
        Ok(cluster)
    }

    fn wait_until_formed(&self, rpcs: &[String]) -> Result<()> {
        let until = Instant::now() + FORM;
        for rpc in rpcs {
            while self.alive(rpc)? < rpcs.len() {
                ensure!(Instant::now() < until, "the cluster did not form in time");
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// How many agents one of them knows to be alive.
    fn alive(&self, rpc: &str) -> Result<usize> {
        let rpc = format!("-rpc-addr={rpc}");
        let members = Command::new(&self.program)
            .args(["members", "-status=alive", &rpc])
            .stderr(Stdio::null())
            .output()?;
        Ok(members
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count())
    }

    /// Sends one event: how long until the last handler ran for it, which is
    /// the whole deadline if any did not, and how many did not.
    fn event(&mut self) -> Result<(Duration, usize)> {
        self.sent += 1;
        let number = self.sent.to_string();
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let until = Instant::now() + DELIVERY;
        self.send(&number)?;
        loop {
            let seen = self.seen(&number)?;
            let missing = self.agents.len().saturating_sub(seen.len());
            match seen.iter().max() {
                Some(last) if missing == 0 => return Ok((last.saturating_sub(began), 0)),
                _ if Instant::now() > until => return Ok((DELIVERY, missing)),
                _ => thread::sleep(LOOK),
            }
        }
    }

    fn send(&self, number: &str) -> Result<()> {
        let rpc = format!("-rpc-addr={}", self.first_rpc);
        let sent = Command::new(&self.program)
            .args(["event", "-coalesce=false", &rpc, "bench", number])
            .stdout(Stdio::null())
            .status()?;
        ensure!(sent.success(), "serf event failed");
        Ok(())
    }

    /// When each handler ran for an event.
    fn seen(&self, number: &str) -> Result<Vec<Duration>> {
        let text = match fs::read_to_string(self.folder.path().join("seen")) {
            Ok(text) => text,
            Err(_) => return Ok(Vec::new()),
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter(|(event, _)| *event == number)
            .map(|(_, at)| {
                Ok(Duration::from_nanos(
                    at.parse().context("an unreadable time")?,
                ))
            })
            .collect()
    }
}

/// A handler that notes an event's number and the time, one line each.
fn write_handler(folder: &Path) -> Result<String> {
    let (script, seen) = (folder.join("handler.sh"), folder.join("seen"));
    let text = format!(
        "read -r n || true\necho \"$n $(date +%s%N)\" >> '{}'\n",
        seen.display()
    );
    fs::write(&script, text)?;
    Ok(format!("-event-handler=user:bench=sh {}", script.display()))
}

fn agent_args(number: usize, bind: &str, rpc: &str, handler: &str, first: &str) -> Vec<String> {
    let mut args = vec![
        "agent".into(),
        format!("-node=agent-{number}"),
        format!("-bind={bind}"),
        format!("-rpc-addr={rpc}"),
        "-log-level=err".into(),
        handler.into(),
    ];
    if number > 0 {
        args.extend([format!("-retry-join={first}"), "-retry-interval=1s".into()]);
    }
    args
}

/// Addresses of the loopback that nobody has now, for both protocols.
///
/// They are below the ports that outgoing connections take, or one of those
/// could have an agent's port before the agent does.
fn free_addresses(count: usize) -> Result<Vec<String>> {
    let start = 12_000 + (std::process::id() % 15_000) as u16;
    let free: Vec<_> = (start..32_000)
        .map(|port| format!("127.0.0.1:{port}"))
        .filter(|address| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok())
        .take(count)
        .collect();
    ensure!(free.len() == count, "no free ports");
    Ok(free)
}

/// Measures events.
pub fn measure(args: &Events) -> Result<Outcome> {
    let Some(program) = run::find_program("serf") else {
        return Ok(Outcome::skipped(NAME, "no serf on the search path"));
    };
    let mut cluster = Cluster::start(program, args.hosts)?;
    let (_, missing) = cluster.event()?;
    ensure!(missing == 0, "the first event did not reach everybody");
    let pids: Vec<_> = cluster.agents.iter().map(|agent| agent.pid).collect();
    let mut meter = Meter::start(args.seconds, &pids)?;
    let mut lost = 0;
    loop {
        let (took, missing) = cluster.event()?;
        lost += missing as u64;
        if !meter.took(1, took, Instant::now()) {
            break;
        }
    }
    let mut report = Report::latency(NAME, &meter);
    report.unit = "ms";
    report.value = round(report.value / 1000.0);
    report.lost = Some(lost);
    report.hosts = Some(args.hosts);
    Ok(report.into())
}
