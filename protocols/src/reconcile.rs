//! Brings what linked hosts know to the same state by sending only what one of them lacks. It
//! serves every [collection](Prints) of items that have versions: the hosts of a mesh, documents.
//!
//! Two hosts that meet compare sums of what they know ([`Digest`]). Who sees another sum than its
//! own asks ([`Reconciler`]): a small collection by the list of its prints, a large one first by
//! the sums of 256 buckets, then by the prints of those that differ.

mod common;
mod digest;
mod limits;
mod sums;

pub use digest::Digest;
pub use limits::Limits;
pub use sums::{BUCKETS, Sums};

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use self::common::{Common, sorted};
use crate::{ident::HostId, time::Time};

/// A collection that is the same on all hosts in the end. Each of its items has a *print*, 64 bits
/// that stand for its version and are not zero, and belongs to one of 256 *buckets*, whatever its
/// version.
pub trait Prints {
    /// What is sent to who lacks it.
    type Item: Clone;

    /// The sums of the prints of all items.
    fn sums(&self) -> &Sums;

    /// The items of one bucket, with their prints, always in the same order.
    fn bucket(&self, bucket: u8) -> impl Iterator<Item = (u64, &Self::Item)>;

    /// How long an item is on the wire, about, in bytes.
    fn bytes(&self, item: &Self::Item) -> usize;

    /// The item that `host` answers for itself, with its bucket and print. Two hosts that compare
    /// leave out those of both, and each sends its own when the other has not got it. There is
    /// none unless a collection says so.
    fn own(&self, _host: HostId) -> Option<(u8, u64, &Self::Item)> {
        None
    }
}

/// Brings one collection to the same state on linked hosts.
///
/// Each side of a link asks for itself: a peer tells its [`Digest::State`], and who sees another
/// sum than its own asks that peer for what it lacks. A host asks one peer after the other, so
/// that a newcomer with many links gets everything once and finds then that it lacks nothing; an
/// answer is bounded in bytes, and asked for again as long as it brings something. Whoever gained
/// by it tells its other peers its new state.
///
/// What changes while two hosts have a lane is passed on by whoever learns of it; what was missed
/// without a lane is found when the next one opens.
///
/// A peer that does not answer, or goes on with it for ever, keeps nobody from asking the others:
/// peers take turns, in the order of their ids.
#[derive(Debug)]
pub struct Reconciler {
    me: HostId,
    limits: Limits,
    /// Peers that know something else, with the sum they told: asked one after the other.
    waiting: BTreeMap<HostId, u64>,
    /// Who was asked last. Those behind it in the ring of ids come next.
    last: HostId,
    asking: Option<Asking>,
    /// When there is a peer to ask again, while all that wait have been asked too often.
    again: Option<Time>,
    windows: BTreeMap<HostId, Window>,
}

/// A question under way.
#[derive(Debug)]
struct Asking {
    peer: HostId,
    /// The sum it told.
    told: u64,
    /// Which sums differ has yet to be said; before that there are no items to come.
    by_sums: bool,
    /// The buckets before this one have been asked for in an earlier question.
    from: u8,
    /// Where to go on with another question, because this one was full.
    rest: Option<u8>,
    /// This host's own sum when it asked, and when it first did.
    others: u64,
    began: u64,
    gained: bool,
    /// It is given up when nothing has come until then…
    until: Time,
    /// …and has had its turn then, if others wait.
    turn: Time,
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
pub enum Act<Item> {
    /// Tell a peer this.
    Tell(HostId, Digest),
    /// Send a peer these items.
    Send(HostId, Vec<Item>),
    /// Much was learned from this peer: tell all others the [state].
    TellState {
        /// Whom not to tell.
        but: HostId,
    },
}

/// What is to be done with the items of a collection.
type Acts<P> = Vec<Act<<P as Prints>::Item>>;

/// A peer said what it had no reason to say, or too much. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing like that was asked of it or offered to it: late perhaps.
    #[error("it came out of turn")]
    OutOfTurn,
    /// No host that keeps the rules says that.
    #[error("it is malformed")]
    Malformed,
    /// It has asked too often lately.
    #[error("it asks too often")]
    TooOften,
}

/// What `me` tells `peer` of all that it knows.
pub fn state<P: Prints>(items: &P, me: HostId, peer: HostId) -> Digest {
    let of_you = items.own(peer).map_or(0, |(_, print, _)| print);
    Digest::State { of_you, others: Common::new(items, me, peer).total() }
}

impl Reconciler {
    /// One that has met nobody.
    #[must_use]
    pub const fn new(me: HostId, limits: Limits) -> Self {
        Self {
            me,
            limits,
            waiting: BTreeMap::new(),
            last: me,
            asking: None,
            again: None,
            windows: BTreeMap::new(),
        }
    }

    /// A peer said something.
    ///
    /// # Errors
    /// [`Refused`]: nothing is to be done.
    pub fn heard<P: Prints>(
        &mut self,
        peer: HostId,
        digest: &Digest,
        items: &P,
        now: Time,
    ) -> Result<Acts<P>, Refused> {
        match digest {
            Digest::State { of_you, others } => self.state(peer, *of_you, *others, items, now),
            Digest::List(prints) => {
                let has = sorted(prints.iter().copied(), &self.limits)?;
                self.answers(peer, now, |window| &mut window.answered)?;
                let common = self.common(items, peer);
                Ok(answer(peer, common.lacking(common.all(), &has, &self.limits)))
            }
            Digest::Sums(sums) => self.compare(peer, sums, items, now),
            Digest::Differ(buckets) => self.differ(peer, buckets, items, now),
            Digest::Prints(parts) => self.parts(peer, parts, items),
            Digest::Done { more } => self.done(peer, *more, items, now),
        }
    }

    /// Items came from a peer, and so many of them were news. Gives whether to pass the news on,
    /// and whether to tell all but this peer the new [state]: much news is not passed on,
    /// but the state is told when there is no more to come.
    pub fn learned<Item>(
        &mut self,
        peer: HostId,
        news: usize,
        now: Time,
    ) -> (bool, Vec<Act<Item>>) {
        let much = news > self.limits.news_passed_on_max;
        match self.asking.as_mut().filter(|asking| asking.peer == peer) {
            Some(asking) => {
                asking.gained |= much;
                asking.until = now + self.limits.answer_timeout;
                (!much, Vec::new())
            }
            None if much => (false, vec![Act::TellState { but: peer }]),
            None => (true, Vec::new()),
        }
    }

    /// There is no lane to a peer any more.
    pub fn lost<P: Prints>(&mut self, peer: HostId, items: &P, now: Time) -> Acts<P> {
        self.waiting.remove(&peer);
        if let Some(window) = self.windows.get_mut(&peer) {
            window.offered = false;
        }
        let mut acts = Vec::new();
        if self.asking.as_ref().is_some_and(|asking| asking.peer == peer) {
            self.end(items, now, &mut acts);
        } else if self.waiting.is_empty() {
            self.again = None;
        }
        acts
    }

    /// Whom it is asking.
    #[must_use]
    pub fn asking(&self) -> Option<HostId> {
        self.asking.as_ref().map(|asking| asking.peer)
    }

    /// When [`due`](Self::due) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        match &self.asking {
            Some(asking) if self.waiting.is_empty() => Some(asking.until),
            Some(asking) => Some(asking.until.min(asking.turn)),
            None => self.again,
        }
    }

    /// Gives up a question that is not answered or takes too long, and asks the next peer.
    pub fn due<P: Prints>(&mut self, items: &P, now: Time) -> Acts<P> {
        let mut acts = Vec::new();
        if self.next_deadline().is_some_and(|due| due <= now) {
            if let Some(asking) = self.asking.as_ref().filter(|asking| asking.until > now) {
                self.waiting.entry(asking.peer).or_insert(asking.told);
            }
            self.finish(items, now, &mut acts);
        }
        acts
    }

    fn state<P: Prints>(
        &mut self,
        peer: HostId,
        of_you: u64,
        others: u64,
        items: &P,
        now: Time,
    ) -> Result<Acts<P>, Refused> {
        let mut acts = Vec::new();
        if let Some((.., own)) = items.own(self.me).filter(|(_, print, _)| *print != of_you) {
            self.answers(peer, now, |window| &mut window.own)?;
            acts.push(Act::Send(peer, vec![own.clone()]));
        }
        self.waiting.insert(peer, others);
        if self.asking.is_none() {
            self.ask_next(items, now, &mut acts);
        }
        Ok(acts)
    }

    fn compare<P: Prints>(
        &mut self,
        peer: HostId,
        sums: &[u64],
        items: &P,
        now: Time,
    ) -> Result<Acts<P>, Refused> {
        if sums.len() != BUCKETS {
            return Err(Refused::Malformed);
        }
        self.answers(peer, now, |window| &mut window.answered)?;
        let own = self.common(items, peer).sums();
        let pairs = (0..=u8::MAX).zip(own.iter().zip(sums));
        // Where there is nothing to send, its prints would be told for nothing.
        let differ = pairs.filter(|(_, (own, other))| own != other && **own != 0);
        let differ: Vec<u8> = differ.map(|(bucket, _)| bucket).collect();
        let offered = !differ.is_empty();
        self.window(peer, now).offered = offered;
        let digest = if offered { Digest::Differ(differ) } else { Digest::Done { more: false } };
        Ok(vec![Act::Tell(peer, digest)])
    }

    fn differ<P: Prints>(
        &mut self,
        peer: HostId,
        buckets: &[u8],
        items: &P,
        now: Time,
    ) -> Result<Acts<P>, Refused> {
        if !buckets.is_sorted_by(|a, b| a < b) {
            return Err(Refused::Malformed);
        }
        let common = self.common(items, peer);
        let asking = self.asking.as_mut();
        let asking = asking.filter(|asking| asking.peer == peer && asking.by_sums);
        let asking = asking.ok_or(Refused::OutOfTurn)?;
        asking.by_sums = false;
        asking.until = now + self.limits.answer_timeout;
        let (mut parts, mut room) = (Vec::new(), self.limits.prints_max);
        for bucket in buckets.iter().copied().filter(|bucket| *bucket >= asking.from) {
            // No more than fit, even of one bucket: what is not told comes once more.
            let prints = common.bucket(bucket).map(|(print, _)| print);
            let prints: Vec<u64> = prints.take(self.limits.prints_max).collect();
            if prints.len() > room {
                asking.rest = Some(bucket);
                break;
            }
            room -= prints.len();
            parts.push((bucket, prints));
        }
        if parts.is_empty() {
            let mut acts = Vec::new();
            self.finish(items, now, &mut acts);
            return Ok(acts);
        }
        Ok(vec![Act::Tell(peer, Digest::Prints(parts))])
    }

    fn parts<P: Prints>(
        &mut self,
        peer: HostId,
        parts: &[(u8, Vec<u64>)],
        items: &P,
    ) -> Result<Acts<P>, Refused> {
        if !parts.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(Refused::Malformed);
        }
        let has = sorted(parts.iter().flat_map(|(_, prints)| prints).copied(), &self.limits)?;
        let offered = self.windows.get_mut(&peer).map(|window| &mut window.offered);
        if !offered.is_some_and(std::mem::take) {
            return Err(Refused::OutOfTurn);
        }
        let common = self.common(items, peer);
        let known = parts.iter().flat_map(|(bucket, _)| common.bucket(*bucket));
        Ok(answer(peer, common.lacking(known, &has, &self.limits)))
    }

    fn done<P: Prints>(
        &mut self,
        peer: HostId,
        more: bool,
        items: &P,
        now: Time,
    ) -> Result<Acts<P>, Refused> {
        let others = self.common(items, peer).total();
        let asking = self.asking.as_mut().filter(|asking| asking.peer == peer);
        let asking = asking.ok_or(Refused::OutOfTurn)?;
        let brought = others != asking.others;
        let from = if more { brought.then_some(asking.from) } else { asking.rest };
        let (told, turn) = (asking.told, asking.turn);
        let mut acts = Vec::new();
        if let Some(from) = from {
            if (now < turn || self.waiting.is_empty()) && self.may_ask(peer, now).is_ok() {
                self.ask(peer, told, from, items, now, &mut acts);
                return Ok(acts);
            }
            self.waiting.entry(peer).or_insert(told);
        }
        self.finish(items, now, &mut acts);
        Ok(acts)
    }

    fn finish<P: Prints>(&mut self, items: &P, now: Time, acts: &mut Acts<P>) {
        if let Some(asking) = &self.asking {
            let peer = asking.peer;
            let others = self.common(items, peer).total();
            // All that the peer got from this host, up to the bytes of an answer, may have been
            // older than its own: it was given up then, and is now worth another question.
            if others != asking.began && others != asking.told {
                acts.push(Act::Tell(peer, state(items, self.me, peer)));
            }
        }
        self.end(items, now, acts);
    }

    fn end<P: Prints>(&mut self, items: &P, now: Time, acts: &mut Acts<P>) {
        if let Some(asking) = self.asking.take().filter(|asking| asking.gained) {
            acts.push(Act::TellState { but: asking.peer });
        }
        self.ask_next(items, now, acts);
    }

    fn ask_next<P: Prints>(&mut self, items: &P, now: Time, acts: &mut Acts<P>) {
        self.again = None;
        let behind = self.waiting.range((Excluded(self.last), Unbounded));
        let ring = behind.chain(self.waiting.range(..=self.last));
        let ring: Vec<(HostId, u64)> = ring.map(|(peer, told)| (*peer, *told)).collect();
        for (peer, told) in ring {
            // What it knows has perhaps come from another meanwhile.
            if told == self.common(items, peer).total() {
                self.waiting.remove(&peer);
                continue;
            }
            match self.may_ask(peer, now) {
                Ok(()) => {
                    self.waiting.remove(&peer);
                    return self.ask(peer, told, 0, items, now, acts);
                }
                Err(again) => self.again = self.again.into_iter().chain([again]).min(),
            }
        }
    }

    fn ask<P: Prints>(
        &mut self,
        peer: HostId,
        told: u64,
        from: u8,
        items: &P,
        now: Time,
        acts: &mut Acts<P>,
    ) {
        let common = self.common(items, peer);
        let by_sums = items.sums().len() > self.limits.list_max;
        let digest = if by_sums {
            Digest::Sums(common.sums())
        } else {
            Digest::List(common.all().map(|(print, _)| print).collect())
        };
        acts.push(Act::Tell(peer, digest));
        let (others, until) = (common.total(), now + self.limits.answer_timeout);
        let before = self.asking.take().filter(|asking| asking.peer == peer);
        let (began, gained, turn) = before
            .map_or((others, false, now + self.limits.turn_max), |asking| {
                (asking.began, asking.gained, asking.turn)
            });
        self.last = peer;
        self.asking = Some(Asking {
            peer,
            told,
            by_sums,
            from,
            rest: None,
            others,
            began,
            gained,
            until,
            turn,
        });
    }

    const fn common<'a, P: Prints>(&self, items: &'a P, peer: HostId) -> Common<'a, P> {
        Common::new(items, self.me, peer)
    }

    /// Counts a question to a peer, or gives when it may be asked again.
    fn may_ask(&mut self, peer: HostId, now: Time) -> Result<(), Time> {
        let Limits { questions_max, window: length, .. } = self.limits;
        let window = self.window(peer, now);
        if window.asked >= questions_max {
            return Err(window.since + length);
        }
        window.asked += 1;
        Ok(())
    }

    /// Counts an answer to a peer.
    fn answers(
        &mut self,
        peer: HostId,
        now: Time,
        count: impl Fn(&mut Window) -> &mut u32,
    ) -> Result<(), Refused> {
        let max = self.limits.answers_max;
        let count = count(self.window(peer, now));
        if *count >= max {
            return Err(Refused::TooOften);
        }
        *count += 1;
        Ok(())
    }

    fn window(&mut self, peer: HostId, now: Time) -> &mut Window {
        let length = self.limits.window;
        let old = |window: &Window| now.since(window.since) >= length;
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

/// The items that a peer lacks, and that these were all.
fn answer<Item>(peer: HostId, (items, more): (Vec<Item>, bool)) -> Vec<Act<Item>> {
    let done = Act::Tell(peer, Digest::Done { more });
    if items.is_empty() { vec![done] } else { vec![Act::Send(peer, items), done] }
}

#[cfg(test)]
pub(crate) mod tests;
