//! `p2p sim`

use std::{
    io::{self, IsTerminal},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use starling_netsim::{
    Options,
    program::{Flags, Progress, Simulated, Teller},
    scenario,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, interval_at, timeout},
};

use crate::{
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    table::{Grid, field, number},
    text::count,
};

/// What takes less time needs no bar.
const BAR_AFTER: Duration = Duration::from_secs(1);
const BAR_EVERY: Duration = Duration::from_millis(100);

/// How long the runs under way may take to stop.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Run whole meshes under virtual time, with faults; one seed decides everything
///
/// The engines and agents are the real ones; the network, the clocks and the disks are models. The
/// seed draws what goes wrong. Promises are watched all the while; of a seed that breaks one, the
/// few faults that matter are looked for. The same seed gives the same digest.
#[derive(Debug, Args)]
#[command(before_help = "  p2p sim                       five hosts, ten virtual minutes
  p2p sim --seeds 200 --hosts 20
  p2p sim --list                what there is to simulate
  p2p sim --seed 7 --only 3,5 --trace
")]
pub(crate) struct Sim {
    #[command(flatten)]
    flags: Flags,
    /// Show the scenarios instead
    #[arg(long)]
    list: bool,
}

impl Sim {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let out = &session.out;
        if self.list {
            return list(out);
        }
        let options = self.flags.options();
        options.check().map_err(|why| Failure::usage(why.to_string()))?;
        let simulated = simulate(self.flags, *out, &options).await?;
        show(out, &simulated)?;
        conclude(out, &simulated)
    }
}

/// Runs it beside this thread, which shows how far it is and waits for Ctrl-C.
async fn simulate(flags: Flags, out: Output, options: &Options) -> Result<Simulated, Failure> {
    let progress = Arc::new(Progress::default());
    let shared = Arc::clone(&progress);
    let bar = Bar::new(&flags, out, options);
    let running = spawn_blocking(move || {
        let teller = flags.trace.then(|| teller(out, &shared));
        flags.simulate(&shared, teller.as_ref())
    });
    let mut running = pin!(running);
    let mut tick = interval_at(Instant::now() + BAR_AFTER, BAR_EVERY);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = tick.tick() => bar.show(&progress),
            _ = tokio::signal::ctrl_c() => {
                progress.stop();
                let stopped = timeout(STOP_TIME, &mut running).await;
                break stopped.map_err(|_| Failure::failed("interrupted; nothing has ended yet"))?;
            }
        }
    };
    bar.clear();
    let simulated = ended.map_err(|e| Failure::failed(format!("the simulator failed: {e}")))?;
    simulated.map_err(|why| Failure::usage(why.to_string()))
}

/// The story is data where people read it; programs get it on standard error.
fn teller(out: Output, progress: &Arc<Progress>) -> Teller {
    let progress = Arc::clone(progress);
    Arc::new(move |seed, sentence| {
        let line = format!("seed {seed}  {sentence}");
        if out.is_json() {
            out.note(&line);
        } else if out.line(&line).is_err() {
            // Whoever read it has seen enough.
            progress.stop();
        }
    })
}

fn show(out: &Output, simulated: &Simulated) -> Result<(), Failure> {
    if out.is_json() {
        return out.envelope("sim", simulated.json());
    }
    if out.quiet {
        return out.line(&simulated.report.digest);
    }
    out.line(simulated.to_string().trim_end())
}

fn conclude(out: &Output, simulated: &Simulated) -> Result<(), Failure> {
    if simulated.missing > 0 {
        let (ended, missing) = (simulated.report.seeds, simulated.missing);
        let all = count(ended + missing, "seed");
        return Err(Failure::failed(format!("interrupted; {ended} of {all} had ended")));
    }
    if simulated.is_good() {
        return Ok(());
    }
    out.warn("promises were broken, or faults had no effect");
    Err(Failure::Silent(Exit::Failure))
}

/// A scenario, for programs.
#[derive(Serialize)]
struct Row {
    scenario: &'static str,
    faults: Vec<&'static str>,
    about: &'static str,
}

fn list(out: &Output) -> Result<(), Failure> {
    let rows = scenario::ALL.into_iter().map(|make| {
        let made = make();
        let faults = made.faults().iter().map(|kind| kind.name()).collect();
        Row { scenario: made.name(), faults, about: made.about() }
    });
    let rows: Vec<Row> = rows.collect();
    if out.is_json() {
        return out.envelope("scenarios", &rows);
    }
    if out.quiet {
        return rows.iter().try_for_each(|row| out.line(row.scenario));
    }
    let mut grid = Grid::new(&["SCENARIO", "FAULTS", "ABOUT"]);
    for row in &rows {
        grid.row([field(row.scenario), number(row.faults.len()), field(row.about)]);
    }
    out.grid(grid)
}

/// How far it is, on a terminal.
struct Bar {
    bar: ProgressBar,
    /// Virtual seconds of one seed.
    each: u64,
}

impl Bar {
    fn new(flags: &Flags, out: Output, options: &Options) -> Self {
        let told = flags.trace || out.quiet || out.is_json();
        // Nothing is drawn before the first position: what is soon over shows no bar.
        let bar = if told || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        };
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} to go");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, each: options.minutes().as_secs() }
    }

    fn show(&self, progress: &Progress) {
        let Self { bar, each } = self;
        let seeds = progress.planned();
        bar.set_length(each.saturating_mul(seeds));
        if progress.is_shrinking() {
            bar.set_message("a seed failed; looking for the faults that matter");
        } else {
            bar.set_message(format!("{} of {}", progress.seeds(), count(seeds, "seed")));
        }
        bar.set_position(progress.virtual_ms() / 1000);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
