use starling_core::engine::Counter;
use starling_protocols::limits::{AGENTS_PER_HOST_MAX, BACKLOG_MESSAGES_MAX, STEPS_PER_TURN_MAX};

use super::Invariant;
use crate::sim::Sim;

/// What a host holds stays below its caps, and no lane overflows under a load that is far below
/// them.
#[derive(Debug, Default)]
pub struct CapsHold;

impl Invariant for CapsHold {
    fn name(&self) -> &'static str {
        "caps-hold"
    }

    fn source(&self) -> &'static str {
        "no queue grows beyond its cap; protocols, limits"
    }

    fn during(&mut self, sim: &Sim) -> Result<(), String> {
        for host in sim.hosts() {
            let Some(engine) = sim.engine(host) else { continue };
            let name = || sim.name(host);
            let backlog = engine.backlog();
            if backlog > BACKLOG_MESSAGES_MAX + STEPS_PER_TURN_MAX {
                return Err(format!("{backlog} messages wait at {}", name()));
            }
            if engine.agent_count() > AGENTS_PER_HOST_MAX {
                return Err(format!("too many agents at {}", name()));
            }
            let overflows = engine.counters().get(Counter::LaneOverflows);
            if overflows > 0 {
                return Err(format!("{overflows} lanes of {} overflowed", name()));
            }
        }
        Ok(())
    }
}
