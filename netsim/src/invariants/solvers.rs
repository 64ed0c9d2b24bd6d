use std::collections::{BTreeMap, BTreeSet};

use starling_core::agent::Problem;
use starling_protocols::ident::Address;

use super::{Finding, Findings, Invariant};
use crate::{
    faults::{Fault, FaultKind, Fired, HostNo},
    sim::Sim,
    workload::{Act, Breakage, Case, Fixer, SMITH, TINKER},
};

/// How long after a fault its effects may last, in milliseconds: a broken connection is found dead,
/// and a host that was lost is dialled again.
const EFFECTS_MS: u64 = 90_000;

/// What somebody was told is the solution, the one who is said to have found it has found; and
/// nobody is told twice, or to solve twice what it has tried.
#[derive(Debug, Default)]
pub struct SolutionsAreFound;

/// Of a group whose members live and reach each other all the time, at most one acts, unless those
/// who acted before have failed. Somebody acts if one lives that has noticed the problem, and whose
/// host was well for as long as a problem has. Where nothing went wrong with any host of a group,
/// nobody is told that there is no solution but where some have failed.
#[derive(Debug, Default)]
pub struct OneActs {
    troubles: Vec<Trouble>,
    last_ms: u64,
    fired: Fired,
}

/// When all windows have ended, everybody who took part in a problem and lives was told what came
/// of it.
#[derive(Debug, Default)]
pub struct AllAreSettled;

/// Something went wrong between two looks.
#[derive(Debug)]
struct Trouble {
    from_ms: u64,
    until_ms: u64,
    /// With which hosts; all when absent.
    hosts: Option<BTreeSet<HostNo>>,
}

/// The books of one fixer in one life.
struct Books {
    me: Address,
    name: String,
    alive: bool,
    resting: bool,
    cases: BTreeMap<u64, Case>,
    wrong: Vec<String>,
    waits: Vec<String>,
}

impl Books {
    /// Those of all lives, the present ones last.
    fn of_all(sim: &Sim, findings: &Findings) -> Result<Vec<Self>, String> {
        let tinkers = findings.states::<Fixer<false>>(TINKER)?.into_iter();
        let smiths = findings.states::<Fixer<true>>(SMITH)?.into_iter();
        let tinkers = tinkers.map(|(finding, of)| Self::of(sim, finding, of));
        let smiths = smiths.map(|(finding, of)| Self::of(sim, finding, of));
        let mut all: Vec<Self> = tinkers.chain(smiths).collect();
        all.sort_by_key(|books| books.alive);
        let alive = all.iter().filter(|books| books.alive).count();
        if alive != 2 * sim.hosts().count() {
            return Err(format!("{alive} fixers are left"));
        }
        Ok(all)
    }

    fn of<const KEPT: bool>(sim: &Sim, finding: &Finding, fixer: Fixer<KEPT>) -> Self {
        let sort = if KEPT { "smith" } else { "tinker" };
        Self {
            me: Address { host: finding.id, agent: finding.agent },
            name: format!("the {sort} of {}", sim.name(finding.host)),
            alive: finding.alive,
            resting: fixer.resting,
            cases: fixer.cases,
            wrong: fixer.wrong,
            waits: finding.waits.iter().map(ToString::to_string).collect(),
        }
    }
}

/// All that was done for each problem, by what was found: what one life knew and the next one knows
/// too comes once.
fn acts(all: &[Books]) -> BTreeMap<u64, BTreeMap<u64, (&Books, &Act)>> {
    let mut acts: BTreeMap<u64, BTreeMap<u64, (&Books, &Act)>> = BTreeMap::new();
    for books in all {
        for (key, case) in &books.cases {
            let of = acts.entry(*key).or_default();
            of.extend(case.acts.iter().map(|act| (act.number, (books, act))));
        }
    }
    acts
}

impl Invariant for SolutionsAreFound {
    fn name(&self) -> &'static str {
        "solutions-are-found"
    }

    fn source(&self) -> &'static str {
        "protocols, solver: each member acts at most once for a problem"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        let acts = acts(&all);
        for books in &all {
            let name = &books.name;
            if let Some(wrong) = books.wrong.first() {
                return Err(format!("at {name}: {wrong}"));
            }
            for (key, case) in &books.cases {
                for (number, by) in case.outcomes.iter().flatten() {
                    let found = acts[key].get(number);
                    let found = found.filter(|(of, act)| {
                        of.me == *by && act.ended.is_none_or(|(_, found)| found)
                    });
                    if found.is_none() {
                        return Err(format!("nobody has found what {name} was told of {key:x}"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Invariant for AllAreSettled {
    fn name(&self) -> &'static str {
        "all-are-settled"
    }

    fn source(&self) -> &'static str {
        "node/core, solve: settled comes in any case"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for books in Books::of_all(sim, findings)?.iter().filter(|books| books.alive) {
            let name = &books.name;
            if !books.resting {
                return Err(format!("{name} was told to rest and has forgotten it"));
            }
            if let Some(wait) = books.waits.first() {
                return Err(format!("{name} still waits for {wait}"));
            }
            for (key, case) in &books.cases {
                let takes_part = case.noticed_ms.is_some() || case.asked;
                if takes_part && (case.outcomes.is_empty() || case.again) {
                    return Err(format!("{name} was never told of {key:x}: {case:?}"));
                }
            }
        }
        Ok(())
    }
}

impl OneActs {
    /// Whether nothing was wrong with these hosts.
    fn were_quiet(&self, hosts: &BTreeSet<HostNo>, from_ms: u64, until_ms: u64) -> bool {
        self.were_well(hosts, from_ms.saturating_sub(EFFECTS_MS), until_ms)
    }

    /// The same, whatever was wrong before.
    fn were_well(&self, hosts: &BTreeSet<HostNo>, from_ms: u64, until_ms: u64) -> bool {
        let wrong = |trouble: &Trouble| {
            let of = trouble.hosts.as_ref();
            let one = of.is_none_or(|of| !of.is_disjoint(hosts));
            one && trouble.from_ms < until_ms && trouble.until_ms > from_ms
        };
        !self.troubles.iter().any(wrong)
    }

    /// Whether somebody acts, or need not.
    fn somebody_acts(&self, sim: &Sim, key: u64, cases: &[(&Books, &Case)]) -> Result<(), String> {
        let total = u64::try_from(Breakage::PATIENCE.total.as_millis()).unwrap_or(u64::MAX);
        for (books, case) in cases.iter().filter(|(books, _)| books.alive) {
            let Some(from_ms) = case.noticed_ms else { continue };
            let own: BTreeSet<HostNo> = sim.with_id(books.me.host).into_iter().collect();
            if self.were_well(&own, from_ms, from_ms + total) {
                let name = &books.name;
                return Err(format!("{name} has noticed {key:x}, and nobody acts: {case:?}"));
            }
        }
        Ok(())
    }

    fn check(
        &self,
        sim: &Sim,
        all: &[Books],
        key: u64,
        hosts: &BTreeSet<HostNo>,
        acts: &BTreeMap<u64, (&Books, &Act)>,
    ) -> Result<(), String> {
        let cases: Vec<(&Books, &Case)> =
            all.iter().filter_map(|books| Some((books, books.cases.get(&key)?))).collect();
        let noticed = cases.iter().filter_map(|(_, case)| case.noticed_ms).min();
        let Some(from_ms) = noticed else { return Ok(()) };
        if acts.is_empty() {
            self.somebody_acts(sim, key, &cases)?;
        }
        let mut in_order: Vec<&(&Books, &Act)> = acts.values().collect();
        in_order.sort_by_key(|(_, act)| (act.from_ms, act.number));
        for (place, (books, act)) in in_order.iter().enumerate() {
            let before = in_order[..place].iter().find(|(_, before)| {
                before.ended.is_none_or(|(at, found)| found || at > act.from_ms)
            });
            if let Some((other, before)) = before
                && self.were_quiet(hosts, from_ms, act.from_ms)
            {
                return Err(format!(
                    "{} acts on {key:x} ({act:?}), and so does {} ({before:?})",
                    books.name, other.name
                ));
            }
        }
        if !self.were_quiet(hosts, from_ms, u64::MAX) {
            return Ok(());
        }
        let ended = |how| acts.values().any(|(_, act)| act.ended.is_some_and(|(_, of)| of == how));
        // Who has given up because all that it knew of have failed is not told of a later one.
        let (found, failed) = (ended(true), ended(false));
        for (books, case) in cases.iter().filter(|(books, _)| books.alive) {
            let Some(last) = case.outcomes.last() else { continue };
            let right = if last.is_ok() { found } else { failed };
            if !right {
                let (many, name) = (acts.len(), &books.name);
                return Err(format!("{many} act on {key:x}, but {name} was told {last:?}"));
            }
        }
        Ok(())
    }
}

impl Invariant for OneActs {
    fn name(&self) -> &'static str {
        "one-acts"
    }

    fn source(&self) -> &'static str {
        "protocols, solver: what is promised"
    }

    fn during(&mut self, sim: &Sim) -> Result<(), String> {
        let now_ms = sim.now().as_nanos() / 1_000_000;
        let (from_ms, until_ms) = (self.last_ms, now_ms);
        let mut wrong: Vec<Option<BTreeSet<HostNo>>> = sim.imposed().map(hosts_of).collect();
        let down: BTreeSet<HostNo> = sim.hosts().filter(|host| !sim.is_running(*host)).collect();
        wrong.push(Some(down));
        // What was over before it could be seen.
        let imposed: BTreeSet<FaultKind> = sim.imposed().map(Fault::kind).collect();
        let mut fired = sim.fired().iter();
        let short =
            fired.any(|(kind, times)| times != self.fired.of(kind) && !imposed.contains(&kind));
        wrong.extend(short.then_some(None));
        let troubles = wrong.into_iter().map(|hosts| Trouble { from_ms, until_ms, hosts });
        self.troubles.extend(troubles);
        (self.last_ms, self.fired) = (now_ms, sim.fired().clone());
        Ok(())
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        let mut groups: BTreeMap<u64, BTreeSet<HostNo>> = BTreeMap::new();
        for (key, case) in all.iter().flat_map(|books| &books.cases) {
            let hosts = case.group.iter().filter_map(|of| sim.with_id(of.host));
            groups.entry(*key).or_default().extend(hosts);
        }
        for (key, acts) in acts(&all) {
            self.check(sim, &all, key, &groups[&key], &acts)?;
        }
        Ok(())
    }
}

/// With which hosts something is wrong; with all when absent.
fn hosts_of(fault: &Fault) -> Option<BTreeSet<HostNo>> {
    match fault {
        Fault::Loss { .. }
        | Fault::Spikes { .. }
        | Fault::GossipLoss { .. }
        | Fault::GossipDuplicates { .. } => None,
        Fault::Cut { from, to, .. } if from.len() == 1 || to.len() == 1 => {
            let one = if from.len() == 1 { from } else { to };
            Some(one.iter().copied().collect())
        }
        Fault::Cut { .. } => None,
        Fault::Reset { a, b } | Fault::SlowLink { a, b, .. } => Some([*a, *b].into()),
        Fault::Pause { host }
        | Fault::SlowHost { host, .. }
        | Fault::ClockJump { host, .. }
        | Fault::ClockDrift { host, .. }
        | Fault::Crash { host }
        | Fault::PowerCut { host }
        | Fault::Leave { host }
        | Fault::DiskFull { host }
        | Fault::SlowDisk { host, .. }
        | Fault::StalledDisk { host }
        | Fault::FailedSync { host }
        | Fault::CrashAtDisk { host, .. }
        | Fault::LyingDisk { host } => Some([*host].into()),
    }
}
