//! Where an agent lives, by what its descriptor says, and what follows from that.

use std::convert::Infallible;

use automerge::AutoCommit;
use serde_json::Value;
use starling_protocols::{
    exchange::Failure,
    ident::{Address, AgentId},
    limits::REASON_BYTES_MAX,
    replica::{Content, DocName, Owner},
    wire,
};

use super::{GIVEN, INPUTS_PER_HOST, MOVING, MoveError, STORE_PATIENCE, UNDER_RESTART, Waiting};
use crate::{
    agent::{Notification, Restarted, Shown, partners::read_shown},
    engine::{Engine, agents::AgentNo},
    guard::guarded,
};

/// What others say of where an agent lives.
impl Engine {
    /// A descriptor is another one than before, or this host begins to live.
    pub(in crate::engine) fn mind_descriptor(&mut self, agent: AgentId) {
        let name = DocName::of_agent(agent);
        let owner = self.replicas().and_then(|all| all.owner(&name)).cloned();
        let Some(owner) = owner else { return };
        match (self.agents.find(agent), owner.host == self.me) {
            // This host has lost what it had written down of it, and is given it again.
            (Some(number), false) if self.is_later(number, &owner) => {
                if self.given(&name).is_some_and(|(to, _)| to == self.me) {
                    let _ = self.take_over(&name, &owner, false, None);
                    self.begin_descriptor(agent);
                    self.has_settled_in(agent);
                }
            }
            (Some(number), false) => self.lives_elsewhere(number, "", None),
            (Some(_), true) => {}
            (None, true) => {
                // Those that could not be brought back may come yet, with another program.
                let may_come = self.documents.as_ref().is_some_and(|all| all.lost.contains(&agent));
                if !may_come && !self.is_taking_up(agent) {
                    self.is_not_here(agent, &name);
                }
            }
            (None, false) => self.take_up_gift(agent, &name),
        }
    }

    /// A descriptor of this host's whose agent does not live here.
    fn is_not_here(&mut self, agent: AgentId, name: &DocName) {
        let Ok(said) = self.said(name) else { return };
        if !said[GIVEN].is_null() {
            return;
        }
        if said[UNDER_RESTART] == true {
            // The host went down after it had written down that the agent is its own; or its disk
            // has taken nothing for long, and perhaps does by now.
            let waiting = (Waiting::TakeUp { agent, asked: None }, 1, STORE_PATIENCE);
            let nothing = |_: &mut AutoCommit| Ok::<(), Infallible>(());
            if let Err(why) = self.write(name, String::new(), Some(waiting), nothing) {
                self.is_stranded(agent, &why.into());
            }
        } else {
            // It had ended in an earlier life.
            self.end_descriptor(agent);
        }
    }

    /// Takes up what was given to this host.
    fn take_up_gift(&mut self, agent: AgentId, name: &DocName) {
        if self.given(name).is_none_or(|(to, _)| to != self.me) {
            return;
        }
        match self.take_up_agent(agent, false, None) {
            Ok(()) | Err(MoveError::There(_)) => {}
            Err(why) => self.is_stranded(agent, &why),
        }
    }

    /// Whether a descriptor may say that its agent is given away: not surely, but without unpacking.
    pub(in crate::engine) fn may_be_given(&self, name: &DocName) -> bool {
        let whole = self.replicas().and_then(|all| all.whole(name));
        let Some(Content::Whole(bytes)) = whole.map(|whole| whole.content) else {
            return false;
        };
        bytes.windows(UNDER_RESTART.len()).any(|part| part == UNDER_RESTART.as_bytes())
    }

    /// An agent of this host has an owner elsewhere: it ends here. `partners` are those that its
    /// last descriptor told of, where that is known: they are told where to find it.
    pub(in crate::engine) fn lives_elsewhere(
        &mut self,
        agent: AgentNo,
        lost: &str,
        partners: Option<Value>,
    ) {
        let Some(row) = self.agents.get(agent) else { return };
        if row.leaving {
            return self.leaves(agent);
        }
        let id = row.id;
        let owner = self.replicas().and_then(|all| all.owner(&DocName::of_agent(id)));
        let host = owner.map(|owner| owner.host);
        let partners =
            partners.or_else(|| self.shown(agent).map(|Shown { partners, .. }| partners));
        let name = host.map(|host| self.name_of(host)).unwrap_or_default();
        // What it knew and had not told ends with it here: people find it in its journal, too.
        let state = guarded(|| self.last_state(agent)).unwrap_or_default();
        self.displace(agent, format!("it lives on {name} now{lost}{state}"));
        let Some(host) = host else { return };
        let body = wire::encode(&Restarted { who: id, at: Address { host, agent: id } });
        for (_, _, partner) in read_shown(&partners.unwrap_or_default()) {
            self.post_from(id, partner, Restarted::NAME, body.clone());
        }
    }

    fn last_state(&self, agent: AgentNo) -> String {
        let Some(row) = self.agents.get(agent) else { return String::new() };
        let state = self.kinds[usize::from(row.kind)].state(&row.ball).to_string();
        let end = state.floor_char_boundary(REASON_BYTES_MAX / 2);
        let more = if end < state.len() { "…" } else { "" };
        format!("; its last state here: {}{more}", &state[..end])
    }

    /// Whether an agent of this host was taken up by it after it had the owner that is known: so its
    /// descriptor here is an old one.
    fn is_later(&self, agent: AgentNo, owner: &Owner) -> bool {
        let born = self.agents.get(agent).map(|row| row.born / INPUTS_PER_HOST);
        born.is_some_and(|instance| instance > owner.instance)
    }

    /// Why nobody answers at the address of an agent that is not here: it may live elsewhere.
    pub(in crate::engine) fn absent(&self, agent: AgentId) -> Failure {
        let name = DocName::of_agent(agent);
        let all = self.replicas().filter(|all| all.base(&name).is_some_and(|base| !base.gone));
        match all.and_then(|all| all.owner(&name)).map(|owner| owner.host) {
            Some(host) if host != self.me => {
                Failure::Refused(format!("it lives on {} now", self.name_of(host)))
            }
            Some(_) if self.may_be_given(&name) => Failure::Refused(MOVING.to_owned()),
            _ => Failure::NoAgent,
        }
    }

    /// An agent is back from an earlier life, and may have left this host before. Gives whether it
    /// lives here.
    pub(in crate::engine) fn lives_here(&mut self, agent: AgentId) -> bool {
        let name = DocName::of_agent(agent);
        let owner = self.replicas().and_then(|all| all.owner(&name)).cloned();
        let Some(number) = self.agents.find(agent) else { return false };
        if let Some(owner) = owner.as_ref().filter(|owner| owner.host != self.me) {
            if !self.is_later(number, owner) {
                self.lives_elsewhere(number, "", None);
            }
            return false;
        }
        let away = owner.is_some() && self.may_be_given(&name) && self.given(&name).is_some();
        if away && let Some(row) = self.agents.get_mut(number) {
            row.leaving = true;
            self.leaves(number);
        }
        !away
    }
}
