use std::sync::Arc;

use starling_protocols::{
    exchange::{Codec, Failure},
    ident::{Address, AgentId},
    journal::{Durability, Ended, LetterId, Sequence},
    limits::{BODY_BYTES_MAX, STEPS_PER_TURN_MAX},
};

use super::{
    Counter, Due, Engine, Event,
    agents::{AgentNo, Row, Waiter},
    calls::Caller,
    documents::{LEAVE, MOVING},
    journal::Held,
    mail::{Mail, Notification, Parcel},
};
use crate::{
    agent::{AnyKind, Dialog, Effect, Handled, Rejection, Turn, WaitId},
    guard::guarded,
};

impl Engine {
    /// Lets agents handle what waits for them, up to a number of inputs: then the host's sockets
    /// have their turn.
    pub(super) fn run(&mut self) {
        for _ in 0..STEPS_PER_TURN_MAX {
            let Some(parcel) = self.queue.pop_front() else { break };
            self.step(&parcel);
            if self.journal.as_ref().is_some_and(super::journal::Journal::is_large) {
                break;
            }
        }
    }

    fn step(&mut self, parcel: &Parcel) {
        let Parcel { to: agent, mail } = parcel;
        let Some(row) = self.agents.get_mut(*agent) else {
            return self.undeliverable(mail, &Failure::NoAgent);
        };
        if row.leaving {
            let why = Failure::Refused(MOVING.to_owned());
            return self.undeliverable(mail, &why);
        }
        row.waiting = row.waiting.saturating_sub(1);
        let kind = &*self.kinds[usize::from(row.kind)];
        if let Mail::Resume { wait, .. } = mail {
            let Some(until) = kind.until(&row.ball, *wait) else { return };
            self.due.clear(until, Due::Wait(Waiter { agent: *agent, wait: *wait }));
        }
        let mut of_row = None;
        if let Mail::Missed { topic, .. } = mail {
            // It was told before.
            let Some(count) = row.missed.remove(topic) else { return };
            of_row = Some(Mail::Missed { topic: topic.clone(), count });
        }
        let mail = of_row.as_ref().unwrap_or(mail);
        let (id, number, letter) = (row.id, row.inputs, mail.letter());
        row.inputs += 1;
        let me = Address { host: self.me, agent: id };
        let mut effects = std::mem::take(&mut self.effects);
        let input = mail.input();
        let (seed, now, wall) = (&self.agent_seed, self.now, self.wall);
        let turn = Turn::new(me, seed, now, wall, number, &input, &mut effects);
        // A broken invariant ends the agent and nothing else: its state is dropped with it.
        let handled = guarded(|| kind.handle(&mut row.ball, &input, turn));
        self.counters.add(Counter::Inputs, 1);
        let (mut recorded, mut snapshot) = (None, false);
        if let Some(journal) = &mut self.journal {
            row.standing.follow(&effects);
            let moment = (now, wall);
            recorded = journal.entry(row, kind, moment, &input, letter, &handled, &effects);
            // That a letter was handled is recorded even where its agent is not.
            recorded = recorded.or_else(|| letter.map(|letter| journal.took(moment, letter)));
            snapshot = journal.wants_snapshot(row);
        }
        // A letter that its agent does not take up comes back.
        let refused = match &handled {
            Ok(Err(rejection)) if letter.is_some() => Some(Failure::BadBody(rejection.to_string())),
            _ => None,
        };
        let waits = kind.durability() == Durability::WriteAhead || letter.is_some();
        let held_until = recorded.filter(|_| waits);
        let keeps = self.documents.is_some() && !row.looked_for && handled.is_ok();
        let shows = keeps && has_to_show(kind, row);
        if snapshot && handled.is_ok() {
            self.note_snapshot(*agent);
        }
        match handled {
            Ok(handled) => {
                self.after(id, *agent, mail, handled, &mut effects, held_until);
                if shows {
                    self.look_later(*agent);
                }
            }
            Err(why) => {
                effects.drain(..).for_each(|effect| self.undo(*agent, effect));
                self.died(*agent, mail, why);
            }
        }
        if let Some(letter) = letter {
            self.letter_handled(letter, refused, held_until);
        }
        self.effects = effects;
    }

    fn letter_handled(
        &mut self,
        letter: LetterId,
        refused: Option<Failure>,
        held_until: Option<Sequence>,
    ) {
        self.letters.handled(letter);
        if refused.is_some() {
            self.counters.add(Counter::LettersRefused, 1);
        }
        self.hold_or_carry_on(held_until, Held::Took { letter, refused });
    }

    /// Does something when the record `until` is durable; at once, when there is none.
    fn hold_or_carry_on(&mut self, until: Option<Sequence>, held: Held) {
        match (until, &mut self.journal) {
            (Some(until), Some(journal)) => journal.hold(until, held),
            _ => self.carry_on(held),
        }
    }

    fn after(
        &mut self,
        id: AgentId,
        agent: AgentNo,
        mail: &Mail,
        handled: Handled,
        effects: &mut Vec<Effect>,
        held_until: Option<Sequence>,
    ) {
        if let Err(rejection) = handled {
            effects.extend(self.rejected(mail, rejection));
        }
        if let Mail::Move { to, asked } = mail {
            self.is_leaving(agent, *asked);
            // After all that it asked for, wherever that has to wait.
            let (engine, body) = (self.engine(), starling_protocols::wire::encode(&(*to, *asked)));
            effects.push(Effect::Notify { to: engine, name: LEAVE.into(), body });
        }
        if held_until.is_none() {
            for effect in effects.drain(..) {
                self.apply_one(id, agent, effect);
            }
        } else if !effects.is_empty() {
            // Letters are recorded together with the input that made them; that an agent ends is
            // not to be forgotten by a snapshot in between.
            let at_once =
                |effect: &mut Effect| matches!(effect, Effect::Post { .. } | Effect::StopSelf);
            for effect in effects.extract_if(.., at_once) {
                self.apply_one(id, agent, effect);
            }
            let effects = std::mem::take(effects);
            self.hold_or_carry_on(held_until, Held::Turn { id, agent, effects });
        }
        if let Mail::Stop(asked) = mail {
            if let Some((agent, kind)) = self.remove(agent, Ended::Stopped) {
                self.counters.add(Counter::AgentsStopped, 1);
                self.tell(Event::AgentStopped { agent, kind: kind.to_owned() });
            }
            self.has_stopped(*asked);
        }
        if let Mail::TakenUp(_) = mail {
            // Its descriptor says that it is between two hosts until its journal knows better.
            self.hold_or_carry_on(held_until, Held::SettledIn { id });
        }
    }

    /// Counts a rejection; who asked is told.
    fn rejected(&mut self, mail: &Mail, rejection: Rejection) -> Option<Effect> {
        let counter = match rejection {
            Rejection::Unknown => Counter::NotUnderstood,
            Rejection::BadBody(_) => Counter::BadBodies,
            Rejection::Busy => Counter::MailboxFull,
        };
        self.counters.add(counter, 1);
        let Mail::Request { dialog, name, .. } = mail else { return None };
        let why = match rejection {
            Rejection::Unknown => Failure::Unknown((*name).to_owned()),
            Rejection::BadBody(why) => Failure::BadBody(why),
            Rejection::Busy => Failure::Busy,
        };
        Some(Effect::Reply { to: *dialog, outcome: Err(why) })
    }

    fn died(&mut self, agent: AgentNo, mail: &Mail, why: String) {
        if let Mail::Request { dialog, .. } = mail {
            self.answer(*dialog, Err(Failure::Gone));
        }
        // One that dies of its very first input would die of it again.
        let row = self.agents.get(agent);
        let (lived, next) = row.map_or((false, 0), |row| (row.inputs - row.born > 1, row.inputs));
        let ended = self.remove(agent, Ended::Died);
        match mail {
            Mail::Stop(asked) => self.has_stopped(*asked),
            Mail::Move { asked, .. } => self.not_given(*asked),
            _ => {}
        }
        if let Some((agent, kind)) = ended {
            self.counters.add(Counter::AgentsDied, 1);
            self.tell(Event::AgentDied { agent, kind: kind.to_owned(), why });
            if lived {
                self.restart_resident(agent, kind, next);
            }
        }
    }

    /// Ends an agent that lives on another host, whatever waits for it.
    pub(super) fn displace(&mut self, agent: AgentNo, why: String) {
        if let Some((agent, kind)) = self.remove(agent, Ended::Died) {
            self.counters.add(Counter::AgentsDisplaced, 1);
            self.tell(Event::AgentDied { agent, kind: kind.to_owned(), why });
        }
    }

    /// Residents live as long as their host: one that died begins anew, with its kind's first
    /// state.
    fn restart_resident(&mut self, agent: AgentId, kind: &str, next: u64) {
        if agent.0 < AgentId::RESERVED && !self.record.left {
            let start = super::Start { kind: kind.to_owned(), ..super::Start::default() };
            // It started once, so its kind is known and its default is good.
            let _ = self.start_from(agent, start, next);
        }
    }

    /// What an agent did in the turn in which it died did not happen; but whoever it had just
    /// answered must learn that, and what it had given up stays given up.
    fn undo(&mut self, agent: AgentNo, effect: Effect) {
        match effect {
            Effect::Reply { to, .. } => self.answer(to, Err(Failure::Gone)),
            Effect::Forget { at, wait } => self.forget_wait(at, Waiter { agent, wait }),
            _ => {}
        }
    }

    fn undeliverable(&mut self, mail: &Mail, why: &Failure) {
        self.counters.add(Counter::NoSuchAgent, 1);
        match mail {
            Mail::Request { dialog, .. } => self.answer(*dialog, Err(why.clone())),
            Mail::Letter(letter, _) => self.refuse_letter(*letter, why.clone()),
            Mail::Unwelcome(letter, why) => self.refuse_letter(*letter, why.clone()),
            Mail::Stop(asked) => self.has_stopped(*asked),
            Mail::Move { asked, .. } => self.not_given(*asked),
            _ => {}
        }
    }

    /// Carries out one effect of an agent.
    pub(super) fn apply_one(&mut self, id: AgentId, agent: AgentNo, effect: Effect) {
        match effect {
            Effect::Notify { to, name, body } => {
                let from = Address { host: self.me, agent: id };
                self.notify(from, to, &name, Codec::Native, body);
            }
            Effect::Request { to, name, body, wait, .. } => {
                let waiter = Waiter { agent, wait };
                // By the agent's own reckoning: it may have waited for the disk.
                let Some(until) = self.until(waiter) else { return };
                self.fresh.push((until, waiter));
                let budget = until.since(self.now);
                let dialog = Dialog {
                    asker: Address { host: self.me, agent: id },
                    number: wait.0,
                    json: false,
                };
                self.call(Caller::Agent(waiter), to, &name, dialog, body, budget);
            }
            Effect::Reply { to, outcome } => self.answer(to, outcome),
            Effect::Publish { topic, delivery, body } => {
                self.publish(id, &topic, delivery, Codec::Native, body);
            }
            Effect::Listen { topic } => self.listen(&topic, super::topics::Listener::Agent(agent)),
            Effect::Ignore { topic } => self.ignore(&topic, super::topics::Listener::Agent(agent)),
            Effect::Offer { service } => self.offer(agent, service),
            Effect::Withdraw { service } => self.services.withdraw(agent, &service),
            Effect::Wake { at, wait } => self.fresh.push((at, Waiter { agent, wait })),
            Effect::Forget { at, wait } => self.forget_wait(at, Waiter { agent, wait }),
            Effect::StopSelf => self.stop_self(agent),
            Effect::Post { to, name, body } => self.post_from(id, to, &name, body),
            Effect::Log { level, text } => {
                let kind =
                    self.agents.get(agent).map(|row| self.kinds[usize::from(row.kind)].name());
                let kind = kind.unwrap_or_default();
                self.emit(super::Output::Log { agent: id, kind, level, text });
            }
        }
    }

    /// Takes a request for an agent of this host.
    pub(super) fn deliver_request(
        &mut self,
        to: AgentId,
        name: &str,
        dialog: Dialog,
        body: Vec<u8>,
    ) -> Result<(), Failure> {
        let Some(agent) = self.agents.find(to) else {
            self.counters.add(Counter::NoSuchAgent, 1);
            return Err(self.absent(to));
        };
        let Some(name) = self.understood(agent, name, true) else {
            return Err(Failure::Unknown(name.to_owned()));
        };
        self.check_agent(agent)?;
        if !self.take_place(agent) {
            return Err(Failure::Busy);
        }
        self.queue.push_back(Parcel { to: agent, mail: Mail::Request { name, dialog, body } });
        Ok(())
    }

    /// Takes a notification for an agent of this host; drops and counts it where it cannot.
    pub(super) fn deliver_notification(&mut self, agent: AgentNo, name: &str, told: Told<'_>) {
        let Some(name) = self.understood(agent, name, false) else { return };
        let Told { from, topic, codec, body } = told;
        if self.check_agent(agent).is_err() || !self.take_place(agent) {
            if let Some(topic) = topic {
                self.agent_missed(agent, topic, 1);
            }
            return;
        }
        let topic = topic.cloned();
        let told = Box::new(Notification { name, from, topic, codec, body });
        self.queue.push_back(Parcel { to: agent, mail: Mail::Notification(told) });
    }

    /// Brings an agent of this host what it waits for.
    pub(super) fn resume(&mut self, waiter: Waiter, outcome: Option<Result<Vec<u8>, Failure>>) {
        if let Some(row) = self.agents.get_mut(waiter.agent) {
            row.waiting += 1;
            let mail = Mail::Resume { wait: waiter.wait, outcome };
            self.queue.push_back(Parcel { to: waiter.agent, mail });
        }
    }

    /// Moves the waits begun in this turn that are still open into the table of deadlines.
    pub(super) fn settle_fresh(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for (at, waiter) in fresh.drain(..) {
            if self.is_open(waiter) {
                self.due.set(at, Due::Wait(waiter));
            }
        }
        self.fresh = fresh;
    }

    /// A wait's time has come: a timer or a task resumes, a request has timed out.
    pub(super) fn wait_is_due(&mut self, waiter: Waiter) {
        if self.calls.remove(Caller::Agent(waiter)) || self.is_request(waiter) {
            self.counters.add(Counter::TimedOut, 1);
            self.resume(waiter, Some(Err(Failure::TimedOut)));
        } else {
            self.resume(waiter, None);
        }
    }

    pub(super) fn forget_wait(&mut self, at: starling_protocols::time::Time, waiter: Waiter) {
        self.due.clear(at, Due::Wait(waiter));
        self.calls.remove(Caller::Agent(waiter));
    }

    fn until(&self, waiter: Waiter) -> Option<starling_protocols::time::Time> {
        let row = self.agents.get(waiter.agent)?;
        self.kinds[usize::from(row.kind)].until(&row.ball, waiter.wait)
    }

    fn is_open(&self, waiter: Waiter) -> bool {
        self.until(waiter).is_some()
    }

    fn is_request(&self, waiter: Waiter) -> bool {
        self.agents
            .get(waiter.agent)
            .is_some_and(|row| self.kinds[usize::from(row.kind)].is_request(&row.ball, waiter.wait))
    }

    /// Whether an agent may take up something new.
    fn check_agent(&mut self, agent: AgentNo) -> Result<(), Failure> {
        let Some(row) = self.agents.get(agent) else { return Err(Failure::NoAgent) };
        let storage = self.check_storage(row.kind);
        if storage.is_err() {
            self.counters.add(Counter::NotStored, 1);
        }
        storage
    }

    pub(super) fn understood(
        &mut self,
        agent: AgentNo,
        name: &str,
        request: bool,
    ) -> Option<&'static str> {
        let kind = self.agents.get(agent)?.kind;
        let found = self.kinds[usize::from(kind)].find(name, request);
        if found.is_none() {
            self.counters.add(Counter::NotUnderstood, 1);
        }
        found
    }

    /// Takes a place in an agent's mailbox, if there is one.
    pub(super) fn take_place(&mut self, agent: AgentNo) -> bool {
        let Some(row) = self.agents.get_mut(agent) else { return false };
        let free = row.waiting < self.kinds[usize::from(row.kind)].mailbox();
        if free {
            row.waiting += 1;
        } else {
            self.counters.add(Counter::MailboxFull, 1);
        }
        free
    }
}

/// A notification on its way to an agent.
pub(super) struct Told<'a> {
    pub(super) from: Address,
    pub(super) topic: Option<&'a starling_protocols::interest::TopicName>,
    pub(super) codec: Codec,
    pub(super) body: Arc<[u8]>,
}

/// Whether a body may be sent at all.
pub(super) const fn fits(body: &[u8]) -> bool {
    body.len() <= BODY_BYTES_MAX
}

pub(super) const fn wait_id(number: u64) -> WaitId {
    WaitId(number)
}

/// Whether an agent has anything that its descriptor is to show, or that it shows and has no more.
fn has_to_show(kind: &dyn AnyKind, row: &Row) -> bool {
    row.shown != 0 || guarded(|| kind.has_to_show(&row.ball)) == Ok(true)
}
