//! What every agent answers, whatever its kind: a ping, and a question that stays unanswered for as
//! long as the agent lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::Address,
    limits::{DEFERRED_PER_AGENT_MAX, WATCH_WINDOW},
};

use super::{
    Agent, Cx, Dialog, Expiring, Rejection, Request, WaitId,
    cx::encode,
    dealings::{For, Reason},
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
    Unwatch,
}

impl Everybodys {
    pub(super) fn find(name: &str) -> Option<Self> {
        match name {
            Ping::NAME => Some(Self::Ping),
            WATCH => Some(Self::Watch),
            UNWATCH => Some(Self::Unwatch),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ping => Ping::NAME,
            Self::Watch => WATCH,
            Self::Unwatch => UNWATCH,
        }
    }

    pub(super) const fn takes(self, is_request: bool) -> bool {
        matches!(self, Self::Ping | Self::Watch) == is_request
    }
}

/// Whom an agent watches, and who watches it.
///
/// To watch is to ask a question that is not answered: its end says that the other agent or its
/// host has ended. It is asked again when its budget is over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Watches {
    watched: BTreeMap<Address, Watch>,
    /// The questions that this agent leaves open, until they are asked again.
    watchers: Expiring<Address, Dialog, DEFERRED_PER_AGENT_MAX>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Watch {
    wait: WaitId,
    reasons: BTreeSet<Reason>,
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
        if let Some(watch) = self.dealings.watches.watched.get_mut(&of) {
            watch.reasons.insert(reason);
        } else if self.dealings.waits.room() > 0 {
            self.ask_to_watch(of, BTreeSet::from([reason]));
        }
    }

    /// Does not want to know any more.
    pub(super) fn unwatch(&mut self, of: Address, reason: Reason) {
        let watched = &mut self.dealings.watches.watched;
        let Some(watch) = watched.get_mut(&of) else { return };
        watch.reasons.remove(&reason);
        if watch.reasons.is_empty()
            && let Some(watch) = watched.remove(&of)
        {
            self.forget_wait(watch.wait);
            self.tell_of(of, UNWATCH.into(), &());
        }
    }

    fn ask_to_watch(&mut self, of: Address, reasons: BTreeSet<Reason>) {
        let until = self.now() + WATCH_WINDOW;
        let wait = self.ask_of(of, WATCH, encode(&()), WATCH_WINDOW, until, For::Watch { of });
        self.dealings.watches.watched.insert(of, Watch { wait, reasons });
    }

    /// A watch has come to an end, one way or another.
    pub(super) fn watch_ended(&mut self, of: Address, outcome: Option<Result<(), Failure>>) {
        let Some(Watch { reasons, .. }) = self.dealings.watches.watched.remove(&of) else { return };
        match outcome {
            None | Some(Err(Failure::TimedOut)) => self.ask_to_watch(of, reasons),
            Some(Err(Failure::Gone | Failure::NoAgent | Failure::Unreachable)) => {
                for reason in reasons {
                    self.is_gone(of, reason);
                }
            }
            // It cannot be watched. Whoever wanted that has a window as well.
            Some(_) => {}
        }
    }

    fn is_gone(&mut self, _: Address, reason: Reason) {
        match reason {
            Reason::Job(job) => self.manager_is_gone(job),
        }
    }

    /// Takes up a request that every agent understands.
    pub(super) fn asked_as_everybody(&mut self, of: Everybodys) -> Result<(), Rejection> {
        match of {
            Everybodys::Ping => self.answer_now(Ok(&())),
            Everybodys::Watch => self.is_watched()?,
            Everybodys::Unwatch => return Err(Rejection::Unknown),
        }
        Ok(())
    }

    /// Takes up a notification that every agent understands.
    pub(super) fn told_as_everybody(&mut self, of: Everybodys) -> Result<(), Rejection> {
        if of != Everybodys::Unwatch {
            return Err(Rejection::Unknown);
        }
        let (from, now) = (self.sender(), self.now());
        if let Some(dialog) = self.dealings.watches.watchers.remove(&from, now) {
            self.leave_unanswered(dialog);
        }
        Ok(())
    }

    fn is_watched(&mut self) -> Result<(), Rejection> {
        if self.dialog().codec() == Codec::Json {
            let why = "agents watch each other; nobody outside the mesh can";
            return Err(Rejection::BadBody(why.to_owned()));
        }
        let now = self.now();
        for (_, dialog) in self.dealings.watches.watchers.sweep(now) {
            self.leave_unanswered(dialog);
        }
        let dialog = self.defer_dialog();
        // Twice the time, so that it does not end before it is asked again.
        let kept =
            self.dealings.watches.watchers.insert_for(dialog.asker, dialog, WATCH_WINDOW * 2, now);
        match kept {
            Ok(Some(before)) => self.leave_unanswered(before),
            Ok(None) => {}
            Err(_) => {
                self.leave_unanswered(dialog);
                return Err(Rejection::Busy);
            }
        }
        Ok(())
    }
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

    fn asked(name: &'static str) -> Input<'static> {
        Input::Request { name: name.into(), dialog: DIALOG, body: encode(&()).into() }
    }

    fn told(name: &'static str) -> Input<'static> {
        let (from, codec) = (Cage::<Quiet>::ASKER, Codec::Native);
        let body = encode(&()).into();
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
        let (name, body) = (WATCH.into(), encode(&()).into());
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
