use std::{collections::BTreeMap, sync::Arc};

use super::{Digest, KnownHost, Roster, digest::BUCKETS};
use crate::{
    ident::HostId,
    limits::{
        HOSTS_MAX, ROSTER_ANSWER_BYTES_MAX, ROSTER_ANSWER_TIMEOUT, ROSTER_LIST_MAX,
        ROSTER_NEWS_PASSED_ON_MAX, ROSTER_WINDOW, ROSTER_WINDOW_DIGESTS_MAX,
    },
    time::Time,
};

/// Brings the rosters of linked hosts to the same state by sending what one of them lacks.
///
/// Each side of a link asks for itself: a peer tells its [`Digest::State`], and who sees another
/// sum than its own asks that peer for what it lacks. A host asks one peer after the other, so
/// that a newcomer with many links gets the whole roster once and finds then that it lacks
/// nothing; an answer is bounded in bytes, and asked for again as long as it brings something.
/// Whoever gained by it tells its other peers its new state.
///
/// What changes while two hosts have a lane is passed on by whoever learns of it; what was missed
/// without a lane is found when the next one opens.
#[derive(Debug)]
pub struct Reconciler {
    me: HostId,
    /// Peers that know something else, with the sum they told: asked one after the other.
    waiting: BTreeMap<HostId, u64>,
    asking: Option<Asking>,
    windows: BTreeMap<HostId, Window>,
}

/// A question under way.
#[derive(Debug)]
struct Asking {
    peer: HostId,
    /// Which sums differ has yet to be said; before that there are no records to come.
    by_sums: bool,
    /// This host's own sum when it asked.
    others: u64,
    gained: bool,
    until: Time,
}

/// What went on with one peer lately, so that it cannot have us work without end.
#[derive(Debug)]
struct Window {
    since: Time,
    asked: u32,
    answered: u32,
    own: u32,
    /// It has been told which sums differ, and may ask for that.
    offered: bool,
}

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Tell a peer this.
    Tell(HostId, Digest),
    /// Send a peer these records.
    Send(HostId, Vec<Arc<KnownHost>>),
    /// Much was learned from this peer: tell all others the [state](Roster::state).
    TellState {
        /// Whom not to tell.
        but: HostId,
    },
}

/// A peer said what it had no reason to say, or too much. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing like that was asked of it or offered to it: late perhaps.
    #[error("it came out of turn")]
    OutOfTurn,
    /// It is no digest of a roster.
    #[error("it is malformed")]
    Malformed,
    /// It has asked too often lately.
    #[error("it asks too often")]
    TooOften,
}

impl Reconciler {
    /// One that has met nobody.
    #[must_use]
    pub const fn new(me: HostId) -> Self {
        Self { me, waiting: BTreeMap::new(), asking: None, windows: BTreeMap::new() }
    }

    /// A peer said something.
    ///
    /// # Errors
    /// [`Refused`]: nothing is to be done.
    pub fn heard(
        &mut self,
        peer: HostId,
        digest: &Digest,
        roster: &Roster,
        now: Time,
    ) -> Result<Vec<Act>, Refused> {
        match digest {
            Digest::State { of_you, others } => self.state(peer, *of_you, *others, roster, now),
            Digest::List(prints) => {
                let has = at_most_a_roster(prints.iter().copied())?;
                self.limit(peer, now, |window| &mut window.answered)?;
                Ok(answer(peer, roster.all([self.me, peer]), &has))
            }
            Digest::Sums(sums) => self.compare(peer, sums, roster, now),
            Digest::Differ(buckets) => self.differ(peer, buckets, roster, now),
            Digest::Prints(parts) => self.parts(peer, parts, roster),
            Digest::Done { more } => self.done(peer, *more, roster, now),
        }
    }

    /// Records came from a peer, and so many of them were news. Gives whether to pass the news
    /// on, and what else to do: much news is not passed on, but the new state is told when there
    /// is no more to come.
    pub fn learned(&mut self, peer: HostId, news: usize, now: Time) -> (bool, Vec<Act>) {
        let much = news > ROSTER_NEWS_PASSED_ON_MAX;
        match self.asking.as_mut().filter(|asking| asking.peer == peer) {
            Some(asking) => {
                asking.gained |= much;
                asking.until = now + ROSTER_ANSWER_TIMEOUT;
                (!much, Vec::new())
            }
            None if much => (false, vec![Act::TellState { but: peer }]),
            None => (true, Vec::new()),
        }
    }

    /// There is no lane to a peer any more.
    pub fn lost(&mut self, peer: HostId, roster: &Roster, now: Time) -> Vec<Act> {
        self.waiting.remove(&peer);
        if let Some(window) = self.windows.get_mut(&peer) {
            window.offered = false;
        }
        let mut acts = Vec::new();
        if self.asking.as_ref().is_some_and(|asking| asking.peer == peer) {
            self.finish(roster, now, &mut acts);
        }
        acts
    }

    /// When [`due`](Self::due) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.asking.as_ref().map(|asking| asking.until)
    }

    /// Gives up a question that is not answered, and asks the next peer.
    pub fn due(&mut self, roster: &Roster, now: Time) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.next_deadline().is_some_and(|until| until <= now) {
            self.finish(roster, now, &mut acts);
        }
        acts
    }

    fn state(
        &mut self,
        peer: HostId,
        of_you: u64,
        others: u64,
        roster: &Roster,
        now: Time,
    ) -> Result<Vec<Act>, Refused> {
        let mut acts = Vec::new();
        if let Some(own) = roster.known(self.me).filter(|own| own.print() != of_you) {
            self.limit(peer, now, |window| &mut window.own)?;
            acts.push(Act::Send(peer, vec![Arc::clone(own)]));
        }
        self.waiting.insert(peer, others);
        if self.asking.is_none() {
            self.ask_next(roster, now, &mut acts);
        }
        Ok(acts)
    }

    fn compare(
        &mut self,
        peer: HostId,
        sums: &[u64],
        roster: &Roster,
        now: Time,
    ) -> Result<Vec<Act>, Refused> {
        if sums.len() != BUCKETS {
            return Err(Refused::Malformed);
        }
        self.limit(peer, now, |window| &mut window.answered)?;
        let own = roster.sums(self.me, peer);
        let pairs = (0..=u8::MAX).zip(own.iter().zip(sums));
        let differ: Vec<u8> = pairs.filter(|(_, (a, b))| a != b).map(|(part, _)| part).collect();
        let offered = !differ.is_empty();
        self.window(peer, now).offered = offered;
        let digest = if offered { Digest::Differ(differ) } else { Digest::Done { more: false } };
        Ok(vec![Act::Tell(peer, digest)])
    }

    fn differ(
        &mut self,
        peer: HostId,
        buckets: &[u8],
        roster: &Roster,
        now: Time,
    ) -> Result<Vec<Act>, Refused> {
        if !buckets.is_sorted_by(|a, b| a < b) {
            return Err(Refused::Malformed);
        }
        let asking = self.asking.as_mut();
        let asking = asking.filter(|asking| asking.peer == peer && asking.by_sums);
        let asking = asking.ok_or(Refused::OutOfTurn)?;
        asking.by_sums = false;
        asking.until = now + ROSTER_ANSWER_TIMEOUT;
        let but = [self.me, peer];
        let prints = |part| (part, roster.part(part, but).map(|known| known.print()).collect());
        let parts = buckets.iter().copied().map(prints).collect();
        Ok(vec![Act::Tell(peer, Digest::Prints(parts))])
    }

    fn parts(
        &mut self,
        peer: HostId,
        parts: &[(u8, Vec<u64>)],
        roster: &Roster,
    ) -> Result<Vec<Act>, Refused> {
        if !parts.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(Refused::Malformed);
        }
        let has = at_most_a_roster(parts.iter().flat_map(|(_, prints)| prints).copied())?;
        let offered = self.windows.get_mut(&peer).map(|window| &mut window.offered);
        if !offered.is_some_and(std::mem::take) {
            return Err(Refused::OutOfTurn);
        }
        let but = [self.me, peer];
        let known = parts.iter().flat_map(|(part, _)| roster.part(*part, but));
        Ok(answer(peer, known, &has))
    }

    fn done(
        &mut self,
        peer: HostId,
        more: bool,
        roster: &Roster,
        now: Time,
    ) -> Result<Vec<Act>, Refused> {
        let asking = self.asking.as_ref().filter(|asking| asking.peer == peer);
        let asking = asking.ok_or(Refused::OutOfTurn)?;
        let (others, gained) = (roster.others(self.me, peer), asking.gained);
        let mut acts = Vec::new();
        if !(more && others != asking.others && self.ask(peer, gained, roster, now, &mut acts)) {
            self.finish(roster, now, &mut acts);
        }
        Ok(acts)
    }

    fn finish(&mut self, roster: &Roster, now: Time, acts: &mut Vec<Act>) {
        if let Some(asking) = self.asking.take().filter(|asking| asking.gained) {
            acts.push(Act::TellState { but: asking.peer });
        }
        self.ask_next(roster, now, acts);
    }

    fn ask_next(&mut self, roster: &Roster, now: Time, acts: &mut Vec<Act>) {
        while let Some((peer, others)) = self.waiting.pop_first() {
            // What it knows has perhaps come from another meanwhile.
            if others != roster.others(self.me, peer) && self.ask(peer, false, roster, now, acts) {
                break;
            }
        }
    }

    /// Asks a peer, unless it has been asked too often lately. Gives whether it is asked.
    fn ask(
        &mut self,
        peer: HostId,
        gained: bool,
        roster: &Roster,
        now: Time,
        acts: &mut Vec<Act>,
    ) -> bool {
        if self.limit(peer, now, |window| &mut window.asked).is_err() {
            return false;
        }
        let by_sums = roster.len() > ROSTER_LIST_MAX;
        let digest = if by_sums {
            Digest::Sums(roster.sums(self.me, peer))
        } else {
            Digest::List(roster.all([self.me, peer]).map(|known| known.print()).collect())
        };
        acts.push(Act::Tell(peer, digest));
        let others = roster.others(self.me, peer);
        let until = now + ROSTER_ANSWER_TIMEOUT;
        self.asking = Some(Asking { peer, by_sums, others, gained, until });
        true
    }

    fn limit(
        &mut self,
        peer: HostId,
        now: Time,
        count: impl Fn(&mut Window) -> &mut u32,
    ) -> Result<(), Refused> {
        let count = count(self.window(peer, now));
        if *count >= ROSTER_WINDOW_DIGESTS_MAX {
            return Err(Refused::TooOften);
        }
        *count += 1;
        Ok(())
    }

    fn window(&mut self, peer: HostId, now: Time) -> &mut Window {
        let old = |window: &Window| now.since(window.since) >= ROSTER_WINDOW;
        if self.windows.get(&peer).is_none_or(old) {
            let offered = self.windows.get(&peer).is_some_and(|window| window.offered);
            // Those of long ago limit nothing any more.
            self.windows.retain(|_, window| !old(window) || window.offered);
            let new = Window { since: now, asked: 0, answered: 0, own: 0, offered };
            self.windows.insert(peer, new);
        }
        self.windows.get_mut(&peer).expect("it is there now")
    }
}

/// The prints in order, if there are no more than hosts may be.
fn at_most_a_roster(prints: impl Iterator<Item = u64>) -> Result<Vec<u64>, Refused> {
    let mut prints: Vec<u64> = prints.take(HOSTS_MAX + 1).collect();
    prints.sort_unstable();
    if prints.len() > HOSTS_MAX { Err(Refused::Malformed) } else { Ok(prints) }
}

/// The records that are not among `has`, up to the bytes of one answer but at least one.
fn answer<'a>(
    peer: HostId,
    known: impl Iterator<Item = &'a Arc<KnownHost>>,
    has: &[u64],
) -> Vec<Act> {
    let mut lacking = known.filter(|known| has.binary_search(&known.print()).is_err()).peekable();
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(known) = lacking.next_if(|known| {
        records.is_empty() || bytes + known.signed().size() <= ROSTER_ANSWER_BYTES_MAX
    }) {
        bytes += known.signed().size();
        records.push(Arc::clone(known));
    }
    let done = Act::Tell(peer, Digest::Done { more: lacking.peek().is_some() });
    if records.is_empty() { vec![done] } else { vec![Act::Send(peer, records), done] }
}

#[cfg(test)]
mod tests;
