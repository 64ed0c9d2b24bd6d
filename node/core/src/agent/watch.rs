//! What every agent answers, whatever its kind: a ping, and a question that stays unanswered for as
//! long as the agent lives.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    contract::BidId,
    exchange::{Codec, Failure},
    ident::Address,
    limits::{WATCH_WINDOW, WATCHERS_PER_AGENT_MAX},
    time::Time,
};

use super::{
    Agent, Buried, Cx, Dialog, Died, Expiring, Notification as _, Rejection, Request, Restarted,
    WaitId,
    cx::encode,
    dealings::{For, Reason, read},
    partners,
};

/// Asks an agent whether it is there. Every agent answers this, whatever its kind and without a
/// word of its author's, as soon as it has handled what came before.
///
/// ```
/// use starling_core::agent::{Ping, prelude::*};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize)]
/// struct Friend { there: Option<bool> }
/// #[derive(Serialize, Deserialize)]
/// enum Then { Ponged(Await<Ping>) }
/// impl Agent for Friend {
///     const KIND: &'static str = "friend";
///     type Then = Then;
///     fn interests(_: &mut Interests<Self>) {}
///     fn started(&mut self, cx: &mut Cx<'_, Self>) {
///         cx.request(Cage::<Self>::ASKER, &Ping, Then::Ponged);
///     }
/// }
/// impl Continuation<Friend> for Then {
///     fn resume(self, friend: &mut Friend, cx: &mut Cx<'_, Friend>) {
///         let Self::Ponged(pong) = self;
///         friend.there = Some(cx.take(pong).is_ok());
///     }
/// }
/// let mut cage = Cage::new(Friend::default());
/// cage.start();
/// cage.advance(Ping::BUDGET);
/// assert_eq!(cage.state().there, Some(false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping;

impl Request for Ping {
    const NAME: &'static str = "agent/ping";
    /// One second, as in FEAT.
    const BUDGET: Duration = Duration::from_secs(1);
    type Reply = ();
}

const WATCH: &str = "agent/watch";
const UNWATCH: &str = "agent/unwatch";

/// Messages that every agent understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Everybodys {
    Ping,
    Watch,
    Died,
    Unwatch,
    Restarted,
    Buried,
}

impl Everybodys {
    pub(super) fn find(name: &str) -> Option<Self> {
        match name {
            Ping::NAME => Some(Self::Ping),
            WATCH => Some(Self::Watch),
            UNWATCH => Some(Self::Unwatch),
            Died::NAME => Some(Self::Died),
            Restarted::NAME => Some(Self::Restarted),
            Buried::NAME => Some(Self::Buried),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ping => Ping::NAME,
            Self::Watch => WATCH,
            Self::Unwatch => UNWATCH,
            Self::Died => Died::NAME,
            Self::Restarted => Restarted::NAME,
            Self::Buried => Buried::NAME,
        }
    }

    pub(super) const fn takes(self, is_request: bool) -> bool {
        matches!(self, Self::Ping | Self::Watch | Self::Died) == is_request
    }
}

/// Whom an agent watches, and who watches it.
///
/// To watch is to ask a question that is not answered: its end says that the other agent or its
/// host has ended. It is asked again when its budget is over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Watches {
    watched: BTreeMap<Reason, (Address, WaitId)>,
    /// The questions that this agent leaves open, until they are asked again.
    watchers: Expiring<(Address, Reason), Dialog, WATCHERS_PER_AGENT_MAX>,
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.watchers.next_deadline().is_none()
    }
}

impl<A: Agent> Cx<'_, A> {
    /// Wants to know when another agent, or its host, has ended. Nothing happens when it is watched
    /// for that reason already. Gives whether it is watched: an agent that waits for too much
    /// already watches nobody. A job has a window as well; a partner is to be looked for again.
    pub(super) fn watch(&mut self, of: Address, reason: Reason) -> bool {
        if let Some((watched, _)) = self.dealings.watches.watched.get(&reason) {
            if *watched == of {
                return true;
            }
            self.unwatch(reason);
        }
        if self.dealings.waits.room() == 0 {
            return false;
        }
        let (until, body) = (self.now() + WATCH_WINDOW, encode(&reason));
        let wait = self.ask_of(of, WATCH, body, WATCH_WINDOW, until, For::Watch { reason });
        self.dealings.watches.watched.insert(reason, (of, wait));
        true
    }

    /// Does not want to know any more.
    pub(super) fn unwatch(&mut self, reason: Reason) {
        if let Some((of, wait)) = self.dealings.watches.watched.remove(&reason) {
            self.forget_wait(wait);
            self.tell_of(of, UNWATCH.into(), &reason);
        }
    }

    /// A watch, which would have ended at `until`, has come to an end one way or another.
    pub(super) fn watch_ended(
        &mut self,
        reason: Reason,
        until: Time,
        outcome: Option<Result<(), Failure>>,
    ) {
        let Some((of, _)) = self.dealings.watches.watched.remove(&reason) else { return };
        if let Reason::Partner(bond) = reason {
            let lasted = WATCH_WINDOW.saturating_sub(until.since(self.now()));
            self.dealings.partners.watched(bond, lasted);
        }
        let over = matches!(outcome, None | Some(Err(Failure::TimedOut)));
        if over && self.watch(of, reason) {
            return;
        }
        match (outcome, reason) {
            (
                Some(Err(Failure::Gone | Failure::NoAgent | Failure::Unreachable)),
                Reason::Job(job),
            ) => {
                self.manager_is_gone(job);
            }
            // It cannot be watched. The job has a window as well.
            (_, Reason::Job(_)) => {}
            (Some(Ok(()) | Err(Failure::NoAgent | Failure::Unknown(_))), Reason::Partner(bond)) => {
                self.partner_is_gone(bond, true);
            }
            (_, Reason::Partner(bond)) => self.partner_is_gone(bond, false),
        }
    }

    /// Another agent wants to know when this one ends.
    pub(super) fn is_watched(&mut self, body: &[u8]) -> Result<(), Rejection> {
        let reason: Reason = read(self.dialog().codec(), body)?;
        let (now, from) = (self.now(), self.dialog().asker);
        if !self.has_to_do_with(from, reason) {
            self.answer_now(Ok(&()));
            return Ok(());
        }
        for (_, dialog) in self.dealings.watches.watchers.sweep(now) {
            self.leave_unanswered(dialog);
        }
        let dialog = self.defer_dialog();
        // Twice the time, so that it does not end before it is asked again.
        let until = now + WATCH_WINDOW * 2;
        match self.dealings.watches.watchers.insert((from, reason), dialog, until) {
            Ok(Some(before)) => self.leave_unanswered(before),
            Ok(None) => {}
            Err(_) => {
                self.leave_unanswered(dialog);
                return Err(Rejection::Busy);
            }
        }
        Ok(())
    }

    /// Whether what another gives as its reason is so: nobody else leaves questions open here.
    fn has_to_do_with(&self, from: Address, reason: Reason) -> bool {
        match reason {
            Reason::Partner(bond) => partners::knows(&self.dealings.partners, bond, from.agent),
            Reason::Job(number) => {
                let bid = BidId { bidder: from, number };
                self.dealings.managed.values().any(|row| row.has_granted(bid))
            }
        }
    }

    /// Whoever watches this agent for that is told to look.
    pub(super) fn dismiss_watcher(&mut self, from: Address, reason: Reason) {
        let now = self.now();
        if let Some(dialog) = self.dealings.watches.watchers.remove(&(from, reason), now) {
            self.answer_deferred(dialog, Ok(encode(&())));
        }
    }

    /// Another agent does not want to know any more.
    pub(super) fn is_unwatched(&mut self, codec: Codec, body: &[u8]) -> Result<(), Rejection> {
        let (from, now, reason) = (self.sender(), self.now(), read(codec, body)?);
        if let Some(dialog) = self.dealings.watches.watchers.remove(&(from, reason), now) {
            self.leave_unanswered(dialog);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use starling_protocols::{
        ident::{AgentId, HostId},
        partner::{Bond, Letter},
    };

    use super::*;
    use crate::agent::{
        Agent, Cage, Effect, Input, Interests, Many, Never, Partners, Relation, cage::DIALOG,
    };

    struct Kin;
    impl Relation for Kin {
        const NAME: &'static str = "quiet/kin";
        type Inverse = Self;
        type Terms = ();
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Quiet;
    impl Agent for Quiet {
        const KIND: &'static str = "quiet";
        type Then = Never;
        fn interests(interests: &mut Interests<Self>) {
            interests.has_many::<Kin>();
        }
    }
    impl Partners<Kin> for Quiet {
        type Count = Many;
    }

    const ASKER: Address = Cage::<Quiet>::ASKER;
    const OTHER: Address = Address { host: HostId([3; 32]), agent: AgentId(3) };
    const BOND: Bond = Bond(7);
    const WHY: Reason = Reason::Partner(BOND);

    fn asked(name: &'static str, asker: Address, body: Vec<u8>) -> Input<'static> {
        let dialog = Dialog { asker, ..DIALOG };
        Input::Request { name: name.into(), dialog, body: body.into() }
    }

    fn told(name: &'static str, from: Address, body: Vec<u8>) -> Input<'static> {
        let (codec, body) = (Codec::Native, body.into());
        Input::Notification { name: name.into(), from, topic: None, codec, body }
    }

    /// One that has two partners: whoever asks, and another.
    fn with_partners() -> Cage<Quiet> {
        let mut cage = Cage::new(Quiet);
        for (from, bond) in [(ASKER, BOND), (OTHER, Bond(8))] {
            let letter = Letter::Propose { bond, terms: Cow::Owned(encode(&())) };
            cage.input(told(Kin::NAME, from, encode(&letter)));
        }
        cage
    }

    #[test]
    fn whoever_pings_is_answered() {
        let mut cage = Cage::new(Quiet);
        assert_eq!(cage.input(asked(Ping::NAME, ASKER, encode(&()))), [Effect::reply(&())]);
        cage.replay();
    }

    #[test]
    fn a_watcher_is_left_without_an_answer_until_it_has_seen_enough() {
        let mut cage = with_partners();
        assert_eq!(cage.input(asked(WATCH, ASKER, encode(&WHY))), []);
        assert_eq!(cage.deferred(), 1);
        // Asked again: there is one watcher, not two.
        assert_eq!(cage.input(asked(WATCH, ASKER, encode(&WHY))), []);
        assert_eq!(cage.deferred(), 1);
        assert_eq!(cage.input(told(UNWATCH, ASKER, encode(&WHY))), []);
        assert_eq!(cage.deferred(), 0);
        cage.replay();
    }

    #[test]
    fn a_watcher_that_never_comes_again_is_forgotten() {
        let mut cage = with_partners();
        cage.input(asked(WATCH, ASKER, encode(&WHY)));
        cage.advance(WATCH_WINDOW * 2);
        cage.input(asked(WATCH, OTHER, encode(&Reason::Partner(Bond(8)))));
        assert_eq!(cage.deferred(), 1);
        cage.replay();
    }

    #[test]
    fn whoever_has_nothing_to_do_with_it_leaves_nothing_behind() {
        let mut cage = with_partners();
        for (asker, why) in [
            (ASKER, Reason::Job(7)),
            (ASKER, Reason::Partner(Bond(8))),
            (OTHER, WHY),
            (OTHER, Reason::Partner(Bond(9))),
        ] {
            let effects = cage.input(asked(WATCH, asker, encode(&why)));
            assert!(matches!(effects[..], [Effect::Reply { outcome: Ok(_), .. }]), "{effects:?}");
        }
        assert_eq!(cage.deferred(), 0);
        cage.replay();
    }

    #[test]
    fn when_it_ends_the_watcher_is_told_to_look() {
        let mut cage = with_partners();
        cage.input(asked(WATCH, ASKER, encode(&WHY)));
        let brothers = Cow::Owned(Vec::new());
        let buried = Buried { who: ASKER.agent, brothers };
        let effects = cage.input(told(Buried::NAME, OTHER, encode(&buried)));
        assert!(effects.contains(&Effect::reply(&())), "{effects:?}");
        assert_eq!(cage.deferred(), 0);
        cage.replay();
    }

    #[test]
    fn nobody_outside_the_mesh_watches() {
        let mut cage = Cage::new(Quiet);
        let dialog = Dialog { json: true, ..DIALOG };
        let (name, body) = (WATCH.into(), b"null".to_vec().into());
        let (handled, effects) = cage.try_input(Input::Request { name, dialog, body });
        assert!(matches!(handled, Err(Rejection::BadBody(_))), "{handled:?}");
        assert_eq!(effects, []);
        let unwatch = asked(UNWATCH, ASKER, encode(&WHY));
        assert_eq!(cage.try_input(unwatch).0, Err(Rejection::Unknown));
        assert_eq!(cage.try_input(told(WATCH, ASKER, encode(&WHY))).0, Err(Rejection::Unknown));
    }
}
