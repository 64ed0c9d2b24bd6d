use std::time::Duration;

use starling_core::engine::Kinds;
use starling_protocols::{
    admission::{Terms, Token},
    entropy::Entropy,
    limits::INVITE_LIFE_MAX,
    time::Time,
};

use crate::{
    faults::{FaultKind, HostNo},
    invariants::{CapsHold, Invariant, NobodyDies, RostersConverge},
    scenario::Scenario,
    sim::Sim,
};

/// Whoever has not got in tries again after this.
const TRY_AGAIN: Duration = Duration::from_secs(12);

/// Hosts join by tokens, one after the other, while others leave, crash and come back.
#[derive(Debug, Default)]
pub struct Membership {
    token: Option<Token>,
    /// When each machine tries to join next.
    tries: Vec<(HostNo, Time)>,
}

impl Membership {
    fn invite(&mut self, sim: &mut Sim) -> Option<Token> {
        if self.token.is_none() {
            let terms = Terms { life: INVITE_LIFE_MAX, uses: 10_000, may_admit: false };
            self.token = sim.invite(HostNo(0), &terms).and_then(Result::ok);
        }
        self.token.clone()
    }
}

impl Scenario for Membership {
    fn name(&self) -> &'static str {
        "membership"
    }

    fn about(&self) -> &'static str {
        "machines join by a token while others crash, leave and come back: all find each other"
    }

    fn faults(&self) -> &'static [FaultKind] {
        const FAULTS: [FaultKind; 13] = super::without_gossip(super::EVERYTHING);
        &FAULTS
    }

    fn set_up(&mut self, sim: &mut Sim, hosts: u32, entropy: &Entropy) {
        let mut own = entropy.fork("joins");
        for number in 0..hosts {
            let host = sim.add_host(&format!("host-{number}"), Kinds::new(), Vec::new());
            let at = Time::ZERO + Duration::from_millis(1000 + own.below(120_000));
            self.tries.push((host, at));
        }
        sim.found(HostNo(0));
        sim.start(HostNo(0));
    }

    fn step(&mut self, sim: &mut Sim) {
        let Some(token) = self.invite(sim) else { return };
        let now = sim.now();
        for (host, at) in &mut self.tries {
            if *at <= now && !sim.is_member(*host) {
                *at = now + TRY_AGAIN;
                sim.join(*host, &token);
            }
        }
    }

    fn is_settled(&self, sim: &Sim) -> Result<(), String> {
        match sim.hosts().find(|host| !sim.is_running(*host)) {
            None => Ok(()),
            Some(host) => Err(format!("{} has not joined", sim.name(host))),
        }
    }

    fn invariants(&self) -> Vec<Box<dyn Invariant>> {
        vec![Box::new(NobodyDies), Box::new(CapsHold), Box::new(RostersConverge)]
    }
}
