use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Event, Sim, storage::Doom};
use crate::{
    disk::Ailments,
    faults::{Fault, FaultKind, HostNo},
    host::Down,
};

/// Names a fault that is imposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u64);

/// What is wrong now.
#[derive(Debug, Default)]
pub(super) struct Imposed {
    faults: BTreeMap<FaultId, Fault>,
    made: u64,
    /// Hosts that end at an operation of their disk.
    pub(super) dooms: BTreeMap<HostNo, Doom>,
}

/// Faults are imposed and lifted; what is wrong at a time follows from all that are imposed then.
impl Sim {
    /// Imposes a fault from now until it is [`lift`](Self::lift)ed.
    pub fn impose(&mut self, fault: Fault) -> FaultId {
        self.imposed.made += 1;
        let id = FaultId(self.imposed.made);
        if self.trace.is_told() {
            self.trace.say(self.now, &format!("fault: {fault}"));
        }
        match fault {
            Fault::Reset { a, b } if self.exists(a) && self.exists(b) => {
                let reset = self.reset(a, b);
                self.fired.count(FaultKind::Reset, reset);
            }
            Fault::Reset { .. } => {}
            Fault::ClockJump { host, millis } => self.jump(host, millis),
            lasting => {
                self.imposed.faults.insert(id, lasting);
                self.settle();
            }
        }
        id
    }

    /// Imposes a fault at a later time, for a while.
    pub fn impose_later(&mut self, after: Duration, fault: Fault, lasts: Duration) {
        let lasts = (!lasts.is_zero()).then_some(lasts);
        self.plan(self.now + after, Event::Impose(Box::new(fault), lasts));
    }

    /// Ends a fault. Nothing happens when it is over.
    pub fn lift(&mut self, id: FaultId) {
        if let Some(fault) = self.imposed.faults.remove(&id) {
            if self.trace.is_told() {
                self.trace.say(self.now, &format!("over: {fault}"));
            }
            self.settle();
        }
    }

    /// Ends all faults: whoever was down starts, what was cut is whole, clocks go as they should.
    pub fn lift_all(&mut self) {
        if !self.imposed.faults.is_empty() {
            self.imposed.faults.clear();
            if self.trace.is_told() {
                self.trace.say(self.now, "everything is healed");
            }
            self.settle();
        }
    }

    /// Ends all faults of which `over` says so.
    pub fn lift_where(&mut self, over: impl Fn(&Fault) -> bool) {
        self.imposed.faults.retain(|_, fault| !over(fault));
        self.settle();
    }

    /// What is wrong now.
    pub fn imposed(&self) -> impl Iterator<Item = &Fault> {
        self.imposed.faults.values()
    }

    const fn exists(&self, host: HostNo) -> bool {
        host.index() < self.hosts.len()
    }

    fn jump(&mut self, host: HostNo, millis: i64) {
        if self.exists(host) {
            let running = self.is_running(host);
            self.fired.count(FaultKind::ClockJump, u64::from(running));
            self.hosts[host.index()].clock.jump(millis);
        }
    }

    /// Makes everything as the imposed faults say.
    fn settle(&mut self) {
        self.settle_weather();
        self.settle_cuts();
        self.settle_hosts();
        self.settle_disks();
        self.settle_lives();
    }

    /// A fault has led to another, which takes its place.
    pub(super) fn turn_into(&mut self, id: FaultId, fault: Fault) {
        self.imposed.faults.insert(id, fault);
        self.settle();
    }

    /// The first fault that is this one.
    pub(super) fn find_imposed(&self, wanted: &Fault) -> Option<FaultId> {
        let mut all = self.imposed.faults.iter();
        all.find_map(|(id, fault)| (fault == wanted).then_some(*id))
    }

    fn settle_disks(&mut self) {
        let mut ailing: BTreeMap<HostNo, Ailments> = BTreeMap::new();
        let mut dooms = BTreeMap::new();
        for (id, fault) in &self.imposed.faults {
            match fault {
                Fault::DiskFull { host } => ailing.entry(*host).or_default().full = true,
                Fault::SlowDisk { host, micros } => {
                    let slow = Duration::from_micros(u64::from(*micros));
                    ailing.entry(*host).or_default().slow = Some(slow);
                }
                Fault::StalledDisk { host } => ailing.entry(*host).or_default().stalled = true,
                Fault::FailedSync { host } => ailing.entry(*host).or_default().sync_fails = true,
                Fault::LyingDisk { host } => ailing.entry(*host).or_default().lies = true,
                Fault::CrashAtDisk { host, after, moment, power } if self.exists(*host) => {
                    let begun = self.disk_operations(*host);
                    let operation = begun + u64::from(*after);
                    let (fault, moment, power) = (*id, *moment, *power);
                    let doom = Doom { fault, operation, moment, power };
                    let known = self.imposed.dooms.get(host).filter(|known| known.fault == *id);
                    dooms.entry(*host).or_insert_with(|| known.copied().unwrap_or(doom));
                }
                _ => {}
            }
        }
        self.imposed.dooms = dooms;
        for host in self.hosts() {
            let ailments = ailing.get(&host).copied().unwrap_or_default();
            let disk = &mut self.hosts[host.index()].disk;
            (disk.journal.ailments, disk.documents.ailments) = (ailments, ailments);
            if !ailments.stalled {
                self.disk_goes_on(host);
                self.documents_go_on(host);
            }
        }
    }

    fn settle_weather(&mut self) {
        let (mut loss, mut spikes, mut gossip_loss, mut duplicates) = (0, None, 0, 0);
        let mut slow = BTreeMap::new();
        for fault in self.imposed.faults.values() {
            match fault {
                Fault::Loss { permille } => loss = loss.max(*permille),
                Fault::Spikes { permille, millis } => {
                    spikes = Some((*permille, Duration::from_millis(u64::from(*millis))));
                }
                Fault::GossipLoss { permille } => gossip_loss = gossip_loss.max(*permille),
                Fault::GossipDuplicates { permille } => duplicates = duplicates.max(*permille),
                Fault::SlowLink { a, b, bytes_per_second } => {
                    slow.insert((*a.min(b), *a.max(b)), *bytes_per_second);
                }
                _ => {}
            }
        }
        self.net.paths.loss = loss;
        self.net.paths.spikes = spikes;
        self.net.paths.slow = slow;
        self.gossip.loss = gossip_loss;
        self.gossip.duplicates = duplicates;
    }

    fn settle_cuts(&mut self) {
        let mut cuts = BTreeSet::new();
        for fault in self.imposed.faults.values() {
            let Fault::Cut { from, to, both_ways } = fault else { continue };
            let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b)));
            for (a, b) in pairs.filter(|(a, b)| a != b) {
                cuts.insert((a, b));
                if *both_ways {
                    cuts.insert((b, a));
                }
            }
        }
        let changed: BTreeSet<_> = cuts
            .symmetric_difference(&self.net.paths.cuts)
            .map(|(a, b)| (*a.min(b), *a.max(b)))
            .collect();
        self.net.paths.cuts = cuts;
        for (a, b) in changed {
            self.path_changed(a, b);
        }
    }

    fn settle_hosts(&mut self) {
        let (mut paused, mut slow, mut drift) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        for fault in self.imposed.faults.values() {
            match fault {
                Fault::Pause { host } => {
                    paused.insert(*host);
                }
                Fault::SlowHost { host, micros } => {
                    slow.insert(*host, Duration::from_micros(u64::from(*micros)));
                }
                Fault::ClockDrift { host, ppm } => {
                    drift.insert(*host, *ppm);
                }
                _ => {}
            }
        }
        for host in self.hosts() {
            self.hosts[host.index()].slow = slow.get(&host).copied();
            self.set_paused(host, paused.contains(&host));
            self.set_drift(host, drift.get(&host).copied().unwrap_or_default());
        }
    }

    fn set_paused(&mut self, host: HostNo, paused: bool) {
        let before = std::mem::replace(&mut self.hosts[host.index()].paused, paused);
        if before != paused {
            self.host_changed(host);
            self.plan_turn(host);
        }
    }

    fn set_drift(&mut self, host: HostNo, ppm: i64) {
        let now = self.now;
        let at = &mut self.hosts[host.index()];
        if at.clock.drift_ppm() == ppm {
            return;
        }
        at.clock.set_drift(now, ppm);
        let fires = ppm != 0 && at.running.is_some();
        self.fired.count(FaultKind::ClockDrift, u64::from(fires));
        self.clock_changed(host);
    }

    /// Ends who should be down, and starts who should be up again.
    pub(super) fn settle_lives(&mut self) {
        for host in self.hosts() {
            let wanted = self.wanted_down(host);
            let at = &self.hosts[host.index()];
            match (wanted, at.running.is_some()) {
                (Down::No, false) if at.down != Down::No => {
                    self.start(host);
                    // A machine that has not joined yet is up again too.
                    self.hosts[host.index()].down = Down::No;
                }
                (Down::Left, true) => self.leave(host),
                (Down::Off | Down::Killed, true) => self.end(host, wanted),
                _ => {}
            }
        }
    }

    /// How far down the imposed faults want a host: a machine without power is down whatever its
    /// daemon does.
    fn wanted_down(&self, host: HostNo) -> Down {
        let of = |fault: &Fault| match fault {
            Fault::PowerCut { host: at } if *at == host => Down::Off,
            Fault::Crash { host: at } if *at == host => Down::Killed,
            Fault::Leave { host: at } if *at == host => Down::Left,
            _ => Down::No,
        };
        let all = self.imposed.faults.values().map(of);
        all.max_by_key(|down| match down {
            Down::No => 0,
            Down::Left => 1,
            Down::Killed => 2,
            Down::Off => 3,
        })
        .unwrap_or_default()
    }
}
