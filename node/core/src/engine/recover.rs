use starling_protocols::{
    exchange::Failure,
    journal::{Ended, LifeHead, OldLife, Record, Recovered},
    replica::DocName,
};

use super::{
    Counter, Due, Engine, Event, Recording,
    agents::{Row, Waiter},
    journal::{Journal, Recordings},
    mail::Mail,
    topics::Listener,
};
use crate::agent::{Player, What};

impl Engine {
    /// Begins to record, and brings back the agents that live on.
    pub(super) fn begin_recording(&mut self, mut recording: Recording) {
        let mut journal = Journal::new(&recording, self.now);
        let found = std::mem::take(&mut recording.found);
        // What is damaged is not to be found another time.
        journal.keeps_file = !found.lost.is_empty() && !recording.begin_file;
        self.journal = Some(journal);
        self.note_era();
        if found.mesh.is_some_and(|mesh| mesh != self.credential.mesh()) {
            self.leave_behind(found);
        } else {
            self.bring_back(found);
        }
        // Unless an agent whose journal is whole waits in the old one for another program.
        let journal = self.journal.as_mut().filter(|journal| !journal.keeps_file);
        if let Some(journal) = journal.filter(|_| recording.begin_file) {
            journal.file_bytes = u64::MAX;
        }
        self.pump_all_letters();
    }

    fn bring_back(&mut self, found: Recovered) {
        self.letters.recover(found.outbox, found.taken, self.now);
        for (head, why) in found.lost {
            self.not_recovered(&head, why);
        }
        for life in found.lives {
            self.recover(life);
            self.give_out_if_large();
        }
    }

    /// What was recorded in another mesh stays there: agents do not change their mesh with their
    /// host, and letters to its hosts are not delivered any more.
    fn leave_behind(&mut self, found: Recovered) {
        let Recovered { lives, mut outbox, taken, .. } = found;
        for life in lives {
            self.note_end(life.head.life, Ended::Stopped, true);
        }
        for (to, of) in &mut outbox {
            let upto = of.next.saturating_sub(1);
            self.note(&Record::Delivered { to: *to, upto });
            of.letters.clear();
        }
        // The numberings go on, so that no number is given twice.
        self.letters.recover(outbox, taken, self.now);
    }

    fn not_recovered(&mut self, head: &LifeHead<'_>, why: String) {
        if let Some(journal) = &mut self.journal {
            journal.keeps_file = true;
        }
        let (agent, kind) = (head.agent, head.kind.to_string());
        if let Some(documents) = &mut self.documents {
            documents.lost.insert(agent);
        }
        // One that was taken up elsewhere is not missed at every start.
        let owner = self.replicas().and_then(|all| all.owner(&DocName::of_agent(agent)));
        if owner.is_some_and(|owner| owner.host != self.me) {
            return;
        }
        self.counters.add(Counter::AgentsLost, 1);
        self.tell(Event::AgentLost { agent, kind, why });
    }

    /// Brings an agent back by handling again what it had handled.
    fn recover(&mut self, old: OldLife) {
        let OldLife { head, snapshot, entries } = old;
        let Some(number) = self.kind_numbers.get(&*head.kind).copied() else {
            let why = format!("this host has no kind {:?} now", head.kind);
            return self.not_recovered(&head, why);
        };
        let kind = std::sync::Arc::clone(&self.kinds[usize::from(number)]);
        let count = entries.len() as u64;
        let played = Player::new(kind, head.clone(), &snapshot).and_then(|mut player| {
            entries.into_iter().try_for_each(|old| player.play(old).map(drop))?;
            Ok(player)
        });
        match played {
            Err(why) => self.not_recovered(&head, why.to_string()),
            Ok(player) if player.ended => self.note_end(head.life, Ended::Stopped, true),
            Ok(player) => self.revive(number, player, count),
        }
    }

    fn revive(&mut self, kind: u16, mut player: Player, entries: u64) {
        let head = player.head().clone();
        if self.agents.find(head.agent).is_some() {
            return self.not_recovered(&head, "an agent of this id lives already".to_owned());
        }
        let name = head.name.as_ref().map(|name| name.to_string().into_boxed_str());
        let name = name.filter(|name| self.agents.named(name).is_none());
        let recordings =
            Recordings { life: head.life, upto: player.number, ..Recordings::default() };
        let of = std::sync::Arc::clone(&self.kinds[usize::from(kind)]);
        let ball = player.take_ball();
        let open = of.open(&ball);
        let standing = std::mem::take(&mut player.standing);
        let row = Row {
            id: head.agent,
            ball,
            name,
            inputs: player.number,
            // Where they began on this host, if the agent lived on others before.
            born: player.number & !u64::from(u32::MAX),
            waiting: 0,
            kind,
            missed: std::collections::BTreeMap::new(),
            recordings,
            standing: standing.clone(),
            stops: false,
            leaving: false,
            looked_for: false,
            // Its descriptor may say something else.
            shown: u64::MAX,
        };
        let agent = self.agents.insert(row);
        for topic in standing.topics() {
            self.listen(topic, Listener::Agent(agent));
        }
        self.services.lives(agent, kind);
        for service in standing.services() {
            self.offer(agent, service.clone());
        }
        self.note_life(agent);
        self.put_mail(agent, Mail::Recovered);
        self.configure(agent);
        for (wait, what, until) in open {
            let waiter = Waiter { agent, wait };
            if what == What::Reply {
                self.resume(waiter, Some(Err(Failure::Gone)));
            } else {
                self.due.set(until, Due::Wait(waiter));
            }
        }
        if player.stops {
            self.stop_self(agent);
        }
        self.counters.add(Counter::AgentsRecovered, 1);
        let (agent, kind) = (head.agent, head.kind.to_string());
        self.tell(Event::AgentRecovered { agent, kind, entries });
    }
}
