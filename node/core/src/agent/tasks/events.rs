use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize};
use starling_protocols::limits::REASON_BYTES_MAX;

use super::{apart, is_open};
use crate::agent::{Agent, Cx, WaitId};

/// Things that happen in an agent and that other parts of it wait for, by name (FEAT:
/// `AgentNotifier`). Part of an agent's state; there are never more waiters than the agent may have
/// waits.
///
/// An event is not remembered: who waits after it has happened waits for the next one.
///
/// Whoever waits is resumed once: by an input of its own right after the handler that
/// [fires](Self::fire) or [fails](Self::fail) the event, or when its time is up. Its continuation
/// then [takes](Self::take) the news. What is waited for during a task is given up with it; once
/// the event has happened, the continuation comes in any case, as a part of no task.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use starling_core::agent::{prelude::*, tasks::{EventWait, News}};
///
/// #[derive(Serialize, Deserialize)]
/// struct Joined(u32);
/// impl Notification for Joined {
///     const NAME: &'static str = "example/joined";
/// }
/// #[derive(Serialize, Deserialize)]
/// struct WhichShard;
/// impl Request for WhichShard {
///     const NAME: &'static str = "example/which-shard";
///     type Reply = u32;
/// }
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Member {
///     events: Events<u32>,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// enum Then {
///     Joined(EventWait<u32>, ReplyTo<WhichShard>),
/// }
///
/// impl Continuation<Member> for Then {
///     fn resume(self, agent: &mut Member, cx: &mut Cx<'_, Member>) {
///         let Self::Joined(wait, to) = self;
///         match agent.events.take(wait) {
///             News::Fired(shard) => cx.reply(to, &shard),
///             News::Failed(why) => cx.refuse(to, &why),
///             News::TimedOut => cx.refuse(to, "in no shard yet"),
///         }
///     }
/// }
///
/// impl Agent for Member {
///     const KIND: &'static str = "member";
///     type Then = Then;
///     fn interests(interests: &mut Interests<Self>) {
///         interests.answers::<WhichShard>();
///         interests.collects::<Joined>();
///     }
/// }
/// impl Answers<WhichShard> for Member {
///     fn answer(&mut self, cx: &mut Cx<'_, Self>, _: WhichShard) -> Answer<WhichShard> {
///         let (answer, to) = Answer::later(cx);
///         let limit = Duration::from_secs(9);
///         self.events.wait(cx, "joined", limit, |wait| Then::Joined(wait, to));
///         answer
///     }
/// }
/// impl Collects<Joined> for Member {
///     fn collect(&mut self, cx: &mut Cx<'_, Self>, Joined(shard): Joined) {
///         self.events.fire(cx, "joined", &shard);
///     }
/// }
///
/// let mut cage = Cage::new(Member::default());
/// cage.ask(WhichShard);
/// cage.tell(Joined(7));
/// assert_eq!(cage.advance(Duration::ZERO), [Effect::reply(&7u32)]);
/// cage.ask(WhichShard);
/// assert_eq!(cage.advance(Duration::from_secs(9)), [Effect::refuse("in no shard yet")]);
/// cage.replay();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events<T> {
    /// The last waiter's number.
    pub(super) last: u64,
    /// By the event's name, in the order in which they began.
    waiters: BTreeMap<String, BTreeMap<u64, Waiter<T>>>,
    /// How many waiters there are.
    pub(super) count: usize,
    /// With so many waiters those that were given up are looked for.
    forget_at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiter<T> {
    wait: WaitId,
    /// What has happened, until it is taken.
    news: Option<News<T>>,
}

/// What came of waiting for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News<T> {
    /// It has happened.
    Fired(T),
    /// It is not going to happen, and why.
    Failed(String),
    /// It has not happened in time.
    TimedOut,
}

/// The promise of news of an event, held in a continuation. [`Events::take`] gives the news when
/// the continuation is resumed.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct EventWait<T> {
    name: String,
    number: u64,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for EventWait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventWait({} {})", self.name, self.number)
    }
}

/// Fewer waiters than this are not worth looking for those that were given up.
pub(super) const WAITERS_MIN: usize = 16;

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self { last: 0, waiters: BTreeMap::new(), count: 0, forget_at: WAITERS_MIN }
    }
}

impl<T: Clone> Events<T> {
    /// Waits for the event `name`, no longer than `limit`, and comes back with the continuation
    /// that `then` makes. [`Cx::cancel`] gives it up, as long as nothing has happened.
    ///
    /// # Panics
    /// When the agent waits for too many things.
    pub fn wait<A: Agent>(
        &mut self,
        cx: &mut Cx<'_, A>,
        name: &str,
        limit: Duration,
        then: impl FnOnce(EventWait<T>) -> A::Then,
    ) -> WaitId {
        if self.count >= self.forget_at {
            self.forget(cx);
        }
        self.last += 1;
        let (number, name) = (self.last, name.to_owned());
        let wait = cx.after(limit, then(EventWait { name: name.clone(), number, of: PhantomData }));
        self.waiters.entry(name).or_default().insert(number, Waiter { wait, news: None });
        self.count += 1;
        wait
    }

    /// The event `name` has happened: all who wait for it are resumed, in the order in which they
    /// began to wait. Gives how many they are.
    pub fn fire<A: Agent>(&mut self, cx: &mut Cx<'_, A>, name: &str, value: &T) -> usize {
        self.settle(cx, name, &News::Fired(value.clone()))
    }

    /// The event `name` is not going to happen: all who wait for it are resumed with the reason; a
    /// longer one than [`REASON_BYTES_MAX`] is cut. Gives how many they are.
    pub fn fail<A: Agent>(&mut self, cx: &mut Cx<'_, A>, name: &str, why: &str) -> usize {
        let why = why[..why.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        self.settle(cx, name, &News::Failed(why))
    }

    /// The news for the continuation that is being resumed.
    pub fn take(&mut self, wait: EventWait<T>) -> News<T> {
        let Some(waiters) = self.waiters.get_mut(&wait.name) else { return News::TimedOut };
        let waiter = waiters.remove(&wait.number);
        if waiters.is_empty() {
            self.waiters.remove(&wait.name);
        }
        self.count -= usize::from(waiter.is_some());
        waiter.and_then(|waiter| waiter.news).unwrap_or(News::TimedOut)
    }

    /// How many wait for the event `name`.
    #[must_use]
    pub fn waiting<A: Agent>(&self, cx: &Cx<'_, A>, name: &str) -> usize {
        let waiters = self.waiters.get(name).into_iter().flat_map(BTreeMap::values);
        waiters.filter(|waiter| waiter.news.is_none() && is_open(cx, waiter.wait)).count()
    }

    fn settle<A: Agent>(&mut self, cx: &mut Cx<'_, A>, name: &str, news: &News<T>) -> usize {
        let mut resumed = 0;
        let waiters = self.waiters.get_mut(name).into_iter().flat_map(BTreeMap::values_mut);
        for waiter in waiters.filter(|waiter| waiter.news.is_none()) {
            // A waiter whose task has ended has no continuation any more.
            let Some(then) = cx.cancel(waiter.wait) else { continue };
            waiter.wait = apart(cx, |cx| cx.after(Duration::ZERO, then));
            waiter.news = Some(news.clone());
            resumed += 1;
        }
        resumed
    }

    /// Forgets those that were given up, and news that nobody has taken.
    fn forget<A: Agent>(&mut self, cx: &Cx<'_, A>) {
        self.count = 0;
        self.waiters.retain(|_, waiters| {
            waiters.retain(|_, waiter| is_open(cx, waiter.wait));
            self.count += waiters.len();
            !waiters.is_empty()
        });
        self.forget_at = (2 * self.count).max(WAITERS_MIN);
    }
}
