//! What every agent answers, whatever its kind: a ping, and a question that stays unanswered for as
//! long as the agent lives.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::Address,
    limits::{BODY_BYTES_MAX, DEFERRED_PER_AGENT_MAX, WATCH_WINDOW},
    wire,
};

use super::{
    Agent, Buried, Cx, Dialog, Died, Expiring, Notification as _, Rejection, Request, Restarted,
    WaitId,
    cx::encode,
    dealings::{For, Reason},
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
    watchers: Expiring<(Address, Reason), Dialog, DEFERRED_PER_AGENT_MAX>,
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.watchers.next_deadline().is_none()
    }
}

impl<A: Agent> Cx<'_, A> {
    /// Wants to know when another agent, or its host, has ended. Nothing happens when it is watched
    /// for that reason already.
    pub(super) fn watch(&mut self, of: Address, reason: Reason) {
        if let Some((watched, _)) = self.dealings.watches.watched.get(&reason) {
            if *watched == of {
                return;
            }
            self.unwatch(reason);
        }
        if self.dealings.waits.room() > 0 {
            let (until, body) = (self.now() + WATCH_WINDOW, encode(&reason));
            let wait = self.ask_of(of, WATCH, body, WATCH_WINDOW, until, For::Watch { reason });
            self.dealings.watches.watched.insert(reason, (of, wait));
        }
    }

    /// Does not want to know any more.
    pub(super) fn unwatch(&mut self, reason: Reason) {
        if let Some((of, wait)) = self.dealings.watches.watched.remove(&reason) {
            self.forget_wait(wait);
            self.tell_of(of, UNWATCH.into(), &reason);
        }
    }

    /// A watch has come to an end, one way or another.
    pub(super) fn watch_ended(&mut self, reason: Reason, outcome: Option<Result<(), Failure>>) {
        let Some((of, _)) = self.dealings.watches.watched.remove(&reason) else { return };
        match (outcome, reason) {
            (None | Some(Err(Failure::TimedOut)), _) => self.watch(of, reason),
            (
                Some(Err(Failure::Gone | Failure::NoAgent | Failure::Unreachable)),
                Reason::Job(job),
            ) => {
                self.manager_is_gone(job);
            }
            // It cannot be watched. The job has a window as well.
            (Some(_), Reason::Job(_)) => {}
            (Some(_), Reason::Partner(bond)) => self.partner_is_gone(bond),
        }
    }

    /// Another agent wants to know when this one ends.
    pub(super) fn is_watched(&mut self, body: &[u8]) -> Result<(), Rejection> {
        let reason = read(self.dialog().codec(), body)?;
        let (now, from) = (self.now(), self.dialog().asker);
        if let Reason::Partner(bond) = reason
            && !partners::knows(&self.dealings.partners, bond, from.agent)
        {
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

    /// Another agent does not want to know any more.
    pub(super) fn is_unwatched(&mut self, codec: Codec, body: &[u8]) -> Result<(), Rejection> {
        let (from, now, reason) = (self.sender(), self.now(), read(codec, body)?);
        if let Some(dialog) = self.dealings.watches.watchers.remove(&(from, reason), now) {
            self.leave_unanswered(dialog);
        }
        Ok(())
    }
}

fn read(codec: Codec, body: &[u8]) -> Result<Reason, Rejection> {
    if codec == Codec::Json {
        let why = "agents watch each other; nobody outside the mesh can";
        return Err(Rejection::BadBody(why.to_owned()));
    }
    wire::decode(body, BODY_BYTES_MAX).map_err(|why| Rejection::BadBody(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Agent, Cage, Effect, Input, Interests, Never, cage::DIALOG};

    #[derive(Default, Serialize, Deserialize)]
    struct Quiet;
    impl Agent for Quiet {
        const KIND: &'static str = "quiet";
        type Then = Never;
        fn interests(_: &mut Interests<Self>) {}
    }

    const WHY: Reason = Reason::Job(7);

    fn asked(name: &'static str) -> Input<'static> {
        let body = if name == WATCH { encode(&WHY) } else { encode(&()) };
        Input::Request { name: name.into(), dialog: DIALOG, body: body.into() }
    }

    fn told(name: &'static str) -> Input<'static> {
        let (from, codec) = (Cage::<Quiet>::ASKER, Codec::Native);
        let body = encode(&WHY).into();
        Input::Notification { name: name.into(), from, topic: None, codec, body }
    }

    #[test]
    fn whoever_pings_is_answered() {
        let mut cage = Cage::new(Quiet);
        assert_eq!(cage.input(asked(Ping::NAME)), [Effect::reply(&())]);
        cage.replay();
    }

    #[test]
    fn a_watcher_is_left_without_an_answer_until_it_has_seen_enough() {
        let mut cage = Cage::new(Quiet);
        assert_eq!(cage.input(asked(WATCH)), []);
        assert_eq!(cage.deferred(), 1);
        // Asked again: there is one watcher, not two.
        cage.advance(WATCH_WINDOW);
        assert_eq!(cage.input(asked(WATCH)), []);
        assert_eq!(cage.deferred(), 1);
        assert_eq!(cage.input(told(UNWATCH)), []);
        assert_eq!(cage.deferred(), 0);
        cage.replay();
    }

    #[test]
    fn a_watcher_that_never_comes_again_is_forgotten() {
        let mut cage = Cage::new(Quiet);
        cage.input(asked(WATCH));
        cage.advance(WATCH_WINDOW * 2);
        let other = crate::agent::Dialog { asker: Cage::<Quiet>::ME, ..DIALOG };
        let (name, body) = (WATCH.into(), encode(&WHY).into());
        cage.input(Input::Request { name, dialog: other, body });
        assert_eq!(cage.deferred(), 1);
        cage.replay();
    }

    #[test]
    fn nobody_outside_the_mesh_watches() {
        let mut cage = Cage::new(Quiet);
        let dialog = crate::agent::Dialog { json: true, ..DIALOG };
        let (name, body) = (WATCH.into(), b"null".to_vec().into());
        let (handled, effects) = cage.try_input(Input::Request { name, dialog, body });
        assert!(matches!(handled, Err(Rejection::BadBody(_))), "{handled:?}");
        assert_eq!(effects, []);
        assert_eq!(cage.try_input(asked(UNWATCH)).0, Err(Rejection::Unknown));
        assert_eq!(cage.try_input(told(WATCH)).0, Err(Rejection::Unknown));
    }
}
