mod answer;
mod awaited;
mod born;
mod keep;
mod lanes;
mod refusals;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use automerge::{AutoCommit, Automerge};

use self::{
    awaited::Awaited,
    refusals::{Refusal, Refusals},
};
use super::{
    Base, DocName, Dropped, Head, Kept, KeptBatch, Message, Offer, Pen, Receipt, Refused, Replicas,
    Revision, Short, Taken, Title, Want, WriteError,
    waits::{Ticket, Waits},
};
use crate::{
    ident::HostId,
    limits::{DOCUMENTS_PER_MESSAGE_BYTES_MAX, DOCUMENTS_PER_MESSAGE_MAX, DOUBT_MAX},
    reconcile::{self, Act, Digest, Limits, Reconciler},
    time::Time,
};

/// Keeps the documents of this host the same as those of all hosts it has a lane to, and on the
/// disk.
///
/// | when | then |
/// |---|---|
/// | a document is changed here | it is stored; when that is durable, it is sent to all peers |
/// | a revision comes | it is merged and stored; when that is durable, its sender is told |
/// | a lane opens, and while one is open, now and then | sums of all prints are compared, and what one of the two lacks is sent |
/// | somebody waits for replicas | he is told when as many hosts have told that they have it, or time is up |
///
/// What is stored is collected until [`flush`](Self::flush); [`stored`](Self::stored) says that it
/// is durable.
#[derive(Debug)]
pub struct Replication {
    me: HostId,
    replicas: Replicas,
    reconciler: Reconciler,
    /// The hosts with a lane.
    peers: BTreeSet<HostId>,
    /// What has changed since the last batch, and what is to be done when it is durable.
    changed: BTreeSet<DocName>,
    then: Vec<Then>,
    /// What is being stored.
    storing: VecDeque<(u64, Vec<Then>)>,
    batches: u64,
    waits: Waits,
    /// When peers are told again what is here, if that has changed.
    state_at: Option<Time>,
    /// What is not kept any more, to go into the next batch.
    forgotten: BTreeSet<DocName>,
    /// Documents for which nobody has vouched who is known to be a member, and how often they were
    /// asked for again.
    unvouched: BTreeMap<DocName, usize>,
    refusals: Refusals,
    /// This host was away for long.
    away: Option<Away>,
    /// What is to come of the question under way.
    awaited: Awaited,
    outputs: VecDeque<Output>,
}

/// A host that was away, and doubts what it has.
#[derive(Debug, Default)]
struct Away {
    /// When it is decided.
    until: Option<Time>,
    /// Somebody is there who was not away.
    asked: bool,
}

/// What is done when something is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Then {
    /// Sent to all, as a difference to these heads.
    Push { name: DocName, base: Base, heads: Vec<Head> },
    /// Told to whom it came from.
    Receipt { to: HostId, name: DocName, heads: Vec<Head> },
    /// Counted for those who wait.
    Held { name: DocName, head: Head },
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To be sent to these hosts.
    Send {
        /// To whom.
        to: Vec<HostId>,
        /// What.
        message: Message,
    },
    /// To be made durable; see [`Replication::stored`].
    Store(KeptBatch),
    /// A document is another one than before, or is gone.
    Changed {
        /// Which.
        name: DocName,
        /// It was changed elsewhere.
        from: Option<HostId>,
    },
    /// What was here does not count any more, and holds what the new version lacks.
    Dropped {
        /// Which document.
        name: DocName,
        /// What was here.
        dropped: Dropped,
    },
    /// Another host has changed a document whose history had been begun anew:
    /// [`carry`](Replication::carry) is to be called before the next [`flush`](Replication::flush).
    /// Until then the change is kept, but does not show.
    Carry {
        /// Which document.
        name: DocName,
    },
    /// What others have changed has no room in a document. It is kept, but does not show, until there
    /// is room: that is tried whenever the document changes.
    Waiting {
        /// Which document.
        name: DocName,
    },
    /// As many hosts as were waited for have it, or time is up.
    Replicated {
        /// Who waited.
        ticket: Ticket,
        /// How many hosts have it durably, this one included.
        replicas: usize,
    },
    /// A host sent what cannot be taken.
    Refused {
        /// Who.
        from: HostId,
        /// Which document.
        name: DocName,
        /// Why.
        why: Refused,
    },
}

/// How many hosts a change is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicated {
    /// Who waits.
    pub ticket: Ticket,
    /// How many hosts are to have it durably, this one included.
    pub replicas: usize,
    /// How long at most.
    pub until: Time,
}

impl Replication {
    /// With the documents that this host has from its earlier lives.
    #[must_use]
    pub fn new(me: HostId, replicas: Replicas) -> Self {
        let pending = replicas.pending().map(|name| Output::Carry { name: name.clone() });
        Self {
            outputs: pending.collect(),
            me,
            replicas,
            reconciler: Reconciler::new(me, Limits::DOCUMENTS),
            peers: BTreeSet::new(),
            changed: BTreeSet::new(),
            then: Vec::new(),
            storing: VecDeque::new(),
            batches: 0,
            waits: Waits::default(),
            state_at: None,
            forgotten: BTreeSet::new(),
            unvouched: BTreeMap::new(),
            refusals: Refusals::default(),
            away: None,
            awaited: Awaited::default(),
        }
    }

    /// All documents.
    #[must_use]
    pub const fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// See [`Replicas::keep_deletions_of`].
    pub fn keep_deletions_of(&mut self, names: impl IntoIterator<Item = DocName>) {
        self.replicas.keep_deletions_of(names);
    }

    /// Whether there is a lane to anybody.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ReadError`](super::ReadError).
    pub fn read<T>(
        &mut self,
        name: &DocName,
        read: impl FnOnce(&Automerge) -> T,
    ) -> Result<T, super::ReadError> {
        let sound = self.replicas.print(name).is_some();
        let result = self.replicas.read(name, read);
        if sound && result.is_err() {
            // It has just turned out to be damaged.
            let peers = self.peers.iter().copied().collect();
            self.send(peers, Message::Want(vec![Want::whole(name.clone())]));
        }
        result
    }

    /// What is to be done, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Changes a document, or makes it when there is none. `wait` is answered by
    /// [`Output::Replicated`], also when nothing has changed.
    ///
    /// # Errors
    /// [`WriteError`]: nothing has changed, and nobody waits.
    pub fn write<E>(
        &mut self,
        name: &DocName,
        pen: &Pen<'_>,
        wait: Option<Replicated>,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, WriteError<E>> {
        let heads = self.replicas.heads(name).to_vec();
        let head = self.replicas.write(name, pen, change)?;
        let changed = head.is_some();
        if changed {
            self.pushes(name, heads.clone());
            self.change(name.clone(), None);
            self.is_to_be_carried(name);
        }
        if let Some(head) = head.or_else(|| self.replicas.heads(name).first().copied()) {
            if let Some(wait) = wait {
                self.waits.begin(name.clone(), head.short(), wait);
                if !changed {
                    // Others may have it, and nobody knows: they are asked by showing it to them.
                    let (name, base) = (name.clone(), self.replicas.base(name).unwrap_or_default());
                    self.after(Then::Push { name, base, heads });
                }
            }
            self.after(Then::Held { name: name.clone(), head });
        }
        Ok(head)
    }

    /// Deletes a document. Gives whether there was one.
    ///
    /// # Errors
    /// [`WriteError::NotOwner`]: nothing has changed.
    pub fn delete(
        &mut self,
        name: &DocName,
        pen: &Pen<'_>,
    ) -> Result<bool, WriteError<std::convert::Infallible>> {
        let there = self.replicas.delete(name, pen)?;
        if there {
            self.pushes(name, Vec::new());
            self.change(name.clone(), None);
        }
        Ok(there)
    }

    /// Notes that a document is to be sent to all as it is when it is durable.
    fn pushes(&mut self, name: &DocName, heads: Vec<Head>) {
        let base = self.replicas.base(name).unwrap_or_default();
        let pushed = |then: &Then| matches!(then, Then::Push { name: other, .. } if other == name);
        if !self.then.iter().any(pushed) {
            self.then.push(Then::Push { name: name.clone(), base, heads });
        }
    }

    fn change(&mut self, name: DocName, from: Option<HostId>) {
        self.changed.insert(name.clone());
        self.outputs.push_back(Output::Changed { name, from });
    }

    fn is_to_be_carried(&mut self, name: &DocName) {
        if self.replicas.is_pending(name) {
            self.outputs.push_back(Output::Carry { name: name.clone() });
        }
    }

    /// Does something when all that has changed until now is durable.
    fn after(&mut self, then: Then) {
        if !self.changed.is_empty() {
            self.then.push(then);
        } else if let Some((_, last)) = self.storing.back_mut() {
            last.push(then);
        } else {
            self.carry_out(then);
        }
    }

    /// Gives out what has changed, to be stored. Called at the end of every turn.
    pub fn flush(&mut self) {
        if self.changed.is_empty() && self.forgotten.is_empty() {
            return;
        }
        self.batches += 1;
        let number = self.batches;
        let changed = std::mem::take(&mut self.changed);
        let put = changed.into_iter().filter_map(|name| {
            let bytes = self.replicas.kept(&name)?;
            Some(Kept { name: name.into(), bytes })
        });
        let put = put.collect();
        let forgotten = std::mem::take(&mut self.forgotten).into_iter();
        let forget = forgotten.filter(|name| self.replicas.base(name).is_none());
        let forget = forget.map(String::from).collect();
        let batch = KeptBatch { number, put, forget };
        self.storing.push_back((number, std::mem::take(&mut self.then)));
        self.outputs.push_back(Output::Store(batch));
    }

    /// How many batches are not known to be durable yet.
    #[must_use]
    pub fn storing(&self) -> usize {
        self.storing.len()
    }

    /// All batches up to this one are durable.
    pub fn stored(&mut self, upto: u64) {
        while let Some((_, then)) = self.storing.pop_front_if(|(number, _)| *number <= upto) {
            for then in then {
                self.carry_out(then);
            }
        }
    }

    fn carry_out(&mut self, then: Then) {
        match then {
            Then::Push { name, base, heads } => {
                if let Some(revision) = self.replicas.since(&name, base, &heads) {
                    let to = self.peers.iter().copied().collect();
                    self.send(to, Message::Revisions(vec![revision]));
                }
            }
            Then::Receipt { to, name, heads } => {
                if self.peers.contains(&to) {
                    let heads = shorts(&heads);
                    let receipts = vec![Receipt { name, heads }];
                    self.send(vec![to], Message::Have(receipts));
                }
            }
            Then::Held { name, head } => {
                let done = self.waits.held(&name, &[head.short()], false, self.me);
                self.replicated(done);
            }
        }
    }

    fn replicated(&mut self, done: Vec<(Ticket, usize)>) {
        let told =
            done.into_iter().map(|(ticket, replicas)| Output::Replicated { ticket, replicas });
        self.outputs.extend(told);
    }

    fn send(&mut self, to: Vec<HostId>, message: Message) {
        // What is told to one host after the other goes out together.
        if let Some(Output::Send { to: last_to, message: last }) = self.outputs.back_mut()
            && *last_to == to
        {
            match (last, message) {
                (Message::Have(last), Message::Have(more))
                    if last.len() + more.len() <= DOCUMENTS_PER_MESSAGE_MAX =>
                {
                    last.extend(more);
                }
                (Message::Revisions(last), Message::Revisions(more)) if fit(last, &more) => {
                    last.extend(more);
                }
                (_, message) => self.outputs.push_back(Output::Send { to, message }),
            }
        } else if !to.is_empty() {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// A host with a lane says something. Gives whether it keeps the rules.
    pub fn heard(
        &mut self,
        from: HostId,
        message: Message,
        is_member: impl Fn(HostId) -> bool,
        now: Time,
    ) -> Result<(), reconcile::Refused> {
        if !self.peers.contains(&from) {
            return Err(reconcile::Refused::OutOfTurn);
        }
        if let Some(away) = &mut self.away {
            let _ = away.until.get_or_insert(now + DOUBT_MAX);
            away.asked |= message == Message::InTouch;
        }
        match message {
            Message::InTouch => Ok(()),
            Message::Digest(digest) => self.digest(from, &digest, now),
            Message::Revisions(revisions) => self.revisions(from, revisions, is_member, now),
            Message::Offers(offers) => self.offers(from, offers),
            Message::Want(wanted) => self.wanted(from, wanted, now),
            Message::Have(receipts) => self.receipts(from, receipts),
        }
    }

    fn digest(
        &mut self,
        from: HostId,
        digest: &Digest,
        now: Time,
    ) -> Result<(), reconcile::Refused> {
        if let Digest::Done { more } = digest
            && self.awaited.holds_back(from, *more, now)
        {
            return Ok(());
        }
        self.compare_refused(from, digest);
        let acts = self.reconciler.heard(from, digest, &self.replicas, now)?;
        self.act(acts);
        Ok(())
    }

    fn revisions(
        &mut self,
        from: HostId,
        revisions: Vec<Revision>,
        is_member: impl Fn(HostId) -> bool,
        now: Time,
    ) -> Result<(), reconcile::Refused> {
        let mut news = 0;
        for revision in at_most(revisions)? {
            news += usize::from(self.revision(from, revision, &is_member, now));
        }
        let (pass_on, acts) = self.reconciler.learned(from, news, now);
        if pass_on && news > 0 {
            // Those that have no lane to the writer learn of it when they compare.
            self.compare_later(now);
        }
        self.act(acts);
        self.go_on_asking(now);
        Ok(())
    }

    /// Gives whether it was news.
    fn revision(
        &mut self,
        from: HostId,
        revision: Revision,
        is_member: impl Fn(HostId) -> bool,
        now: Time,
    ) -> bool {
        let (name, base, heads) = (revision.name.clone(), revision.base, revision.heads.clone());
        let taken = self.replicas.take(revision, is_member);
        if !matches!(taken, Ok(Taken::Lacking(_))) {
            self.awaited.came(from, &name, now);
        }
        let news = matches!(taken, Ok(Taken::New { .. }));
        if taken.is_ok() {
            self.unvouched.remove(&name);
        }
        if matches!(taken, Ok(Taken::New { .. } | Taken::Same | Taken::Older)) {
            self.refusals.taken(&name, from);
        }
        match taken {
            Ok(Taken::New { dropped }) => {
                if let Some(dropped) = dropped {
                    self.outputs.push_back(Output::Dropped { name: name.clone(), dropped });
                }
                self.is_to_be_carried(&name);
                self.change(name.clone(), Some(from));
                if self.replicas.base(&name) != Some(base) {
                    self.outranked(from, &name, now);
                }
                self.after(Then::Receipt { to: from, name, heads });
            }
            Ok(Taken::Same) => {
                if self.replicas.base(&name) != Some(base) {
                    self.outranked(from, &name, now);
                }
                self.after(Then::Receipt { to: from, name, heads });
            }
            Ok(Taken::Older) => self.outranked(from, &name, now),
            Ok(Taken::Lacking(heads)) => {
                let heads = shorts(&heads);
                self.send(vec![from], Message::Want(vec![Want { name, heads, base }]));
            }
            Err(why) => {
                if why.is_for_now() {
                    self.ask_again(name.clone(), now);
                }
                let (heads, own) = (shorts(&heads), self.replicas.print(&name));
                let refusal = Refusal { base, heads, why: why.clone(), own };
                self.refusals.refused(name.clone(), from, refusal);
                self.outputs.push_back(Output::Refused { from, name, why });
            }
        }
        news
    }

    /// A peer has a version that counts less than the one here.
    fn outranked(&mut self, peer: HostId, name: &DocName, now: Time) {
        let gone = self.replicas.base(name).is_some_and(|own| own.gone);
        match self.replicas.whole(name).filter(|_| gone) {
            // A deletion is not compared: it is told to those who lack it.
            Some(deletion) => self.send(vec![peer], Message::Revisions(vec![deletion])),
            None => self.compare_later(now),
        }
    }

    fn act(&mut self, acts: Vec<Act<DocName>>) {
        for act in acts {
            match act {
                Act::Tell(host, digest) => self.send(vec![host], Message::Digest(digest)),
                Act::Send(host, names) => self.offer(host, &names),
                Act::TellState { but } => {
                    let others: Vec<HostId> = self.peers.iter().copied().collect();
                    others.into_iter().filter(|host| *host != but).for_each(|host| {
                        self.tell_state(host);
                    });
                }
            }
        }
    }

    /// Offers what a host lacks, perhaps.
    fn offer(&mut self, host: HostId, names: &[DocName]) {
        let offers: Vec<_> = names.iter().filter_map(|name| self.replicas.offer(name)).collect();
        for offers in offers.chunks(DOCUMENTS_PER_MESSAGE_MAX) {
            self.send(vec![host], Message::Offers(offers.to_vec()));
        }
    }

    /// When [`due`](Self::due) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let decided = self.away.as_ref().and_then(|away| away.until);
        let (waits, questions) = (self.waits.next_deadline(), self.reconciler.next_deadline());
        let all = [self.state_at, waits, questions, decided, self.awaited.until()];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn due(&mut self, now: Time) {
        self.go_on_asking(now);
        let acts = self.reconciler.due(&self.replicas, now);
        self.act(acts);
        let done = self.waits.due(now);
        self.replicated(done);
        self.decide(now);
        if self.state_at.is_some_and(|at| at <= now) {
            self.state_at = None;
            let hosts: Vec<HostId> = self.peers.iter().copied().collect();
            hosts.into_iter().for_each(|host| self.tell_state(host));
            self.ask_for_unvouched(now);
        }
    }
}

fn shorts(heads: &[Head]) -> Vec<Short> {
    heads.iter().map(Head::short).collect()
}

/// What a message lists, if that is not too much.
fn at_most<T>(all: Vec<T>) -> Result<Vec<T>, reconcile::Refused> {
    let few = all.len() <= DOCUMENTS_PER_MESSAGE_MAX;
    if few { Ok(all) } else { Err(reconcile::Refused::Malformed) }
}

fn fit(some: &[Revision], more: &[Revision]) -> bool {
    let bytes: usize = some.iter().chain(more).map(Revision::size).sum();
    bytes <= DOCUMENTS_PER_MESSAGE_BYTES_MAX && some.len() + more.len() <= DOCUMENTS_PER_MESSAGE_MAX
}

#[cfg(test)]
mod tests;
