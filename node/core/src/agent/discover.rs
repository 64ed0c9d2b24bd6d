//! Looking around: which agents offer a service, in the shard or in the mesh.
//!
//! An agent offers what its kind declares: each request that it answers and each contract that it
//! bids for, by name. Beside that it may offer names of its own, for as long as it likes.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Print(String);
//! impl Request for Print {
//!     const NAME: &'static str = "printing/print";
//!     type Reply = u32;
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Printer { has_colour: bool }
//! impl Agent for Printer {
//!     const KIND: &'static str = "printer";
//!     type Then = Never;
//!     // So all printers are found by `Print`…
//!     fn interests(interests: &mut Interests<Self>) { interests.answers::<Print>(); }
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         if self.has_colour {
//!             // …and some by this name, until they withdraw it.
//!             cx.offer("printing/colour").expect("a good name");
//!         }
//!     }
//! }
//! impl Answers<Print> for Printer {
//!     fn answer(&mut self, _: &mut Cx<'_, Self>, _: Print) -> Answer<Print> { Answer::now(1) }
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Clerk { printers: Vec<Address> }
//! #[derive(Serialize, Deserialize)]
//! enum Then { Looked(Await<Discover>) }
//! impl Agent for Clerk {
//!     const KIND: &'static str = "clerk";
//!     type Then = Then;
//!     fn interests(_: &mut Interests<Self>) {}
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         cx.discover::<Print>(Scope::Mesh, DISCOVERY_WINDOW, Then::Looked);
//!     }
//! }
//! impl Continuation<Clerk> for Then {
//!     fn resume(self, clerk: &mut Clerk, cx: &mut Cx<'_, Clerk>) {
//!         let Self::Looked(looked) = self;
//!         if let Ok(found) = cx.take(looked) {
//!             // Hosts that did not answer may have printers, too.
//!             cx.log(Level::Info, format!("{} hosts are silent", found.unanswered));
//!             clerk.printers = found.agents;
//!         }
//!     }
//! }
//!
//! let mut printer = Cage::new(Printer { has_colour: true });
//! assert_eq!(printer.start(), [Effect::offer("printing/colour")]);
//! let mut clerk = Cage::new(Clerk::default());
//! clerk.start();
//! let found = Found { agents: vec![Cage::<Clerk>::ASKER], cut: false, unanswered: 1 };
//! clerk.answer::<Discover>(clerk.waits()[0], &found);
//! assert_eq!(clerk.state().printers, [Cage::<Clerk>::ASKER]);
//! clerk.replay();
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::{Address, AgentId},
    interest::{Scope, ServiceError, ServiceName},
    limits::DISCOVERY_WINDOW_MAX,
};

use super::{Agent, Await, Contract, Cx, Effect, Request, WaitId};

/// How much later than the look around its asker gives up: the host agent is next door, and may be
/// busy.
const GRACE: Duration = Duration::from_secs(2);

/// Asks the host agent of one's own host which agents offer a service. [`Cx::discover`] and its
/// kin ask it; it refuses agents of other hosts, and when it looks around for too many already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discover {
    /// Which service.
    pub service: ServiceName,
    /// On which hosts.
    pub scope: Scope,
    /// For how long, in milliseconds; at most [`DISCOVERY_WINDOW_MAX`].
    pub within_ms: u32,
}

impl Request for Discover {
    const NAME: &'static str = "host/discover";
    type Reply = Found;
}

/// What came of a look around.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The agents that offer the service, in the order of their addresses; at most
    /// [`DISCOVERED_AGENTS_MAX`](starling_protocols::limits::DISCOVERED_AGENTS_MAX).
    pub agents: Vec<Address>,
    /// Whether there are more than these.
    pub cut: bool,
    /// Hosts that could not be reached, or did not answer in time.
    pub unanswered: u32,
}

/// Offering services, and looking for who offers them.
impl<A: Agent> Cx<'_, A> {
    /// Offers `service` from now on, until it is [withdrawn](Self::withdraw) or the agent ends,
    /// beside what its kind declares. Offered already, it stays so. One beyond
    /// [`SERVICES_PER_AGENT_MAX`] is not
    /// offered, and counted.
    ///
    /// # Errors
    /// [`ServiceError`] when the name is empty, too long or has blanks. Nothing is offered.
    ///
    /// [`SERVICES_PER_AGENT_MAX`]: starling_protocols::limits::SERVICES_PER_AGENT_MAX
    pub fn offer(&mut self, service: &str) -> Result<(), ServiceError> {
        let service = service.parse()?;
        self.push(Effect::Offer { service });
        Ok(())
    }

    /// Offers `service` no longer. Nothing happens when the agent did not, or when its kind
    /// declares it.
    pub fn withdraw(&mut self, service: &str) {
        if let Ok(service) = service.parse() {
            self.push(Effect::Withdraw { service });
        }
    }

    /// Looks for the agents that answer `R`, for at most `within`; as soon as all hosts have
    /// answered, [`Found`] comes back with the continuation that `then` makes.
    ///
    /// # Panics
    /// When `R::NAME` is no valid name, or the agent already waits for too many things.
    pub fn discover<R: Request>(
        &mut self,
        scope: Scope,
        within: Duration,
        then: impl FnOnce(Await<Discover>) -> A::Then,
    ) -> WaitId {
        let found = self.discover_named(R::NAME, scope, within, then);
        found.expect("the name of a request makes a service")
    }

    /// Looks for the agents that bid for `C`; else as [`discover`](Self::discover).
    ///
    /// # Panics
    /// When `C::NAME` is no valid name, or the agent already waits for too many things.
    pub fn discover_bidders<C: Contract>(
        &mut self,
        scope: Scope,
        within: Duration,
        then: impl FnOnce(Await<Discover>) -> A::Then,
    ) -> WaitId {
        let found = self.discover_named(C::NAME, scope, within, then);
        found.expect("the name of a contract makes a service")
    }

    /// Looks for the agents that offer a service of this name; else as
    /// [`discover`](Self::discover). When nobody offers it, nobody is found.
    ///
    /// # Errors
    /// [`ServiceError`] when the name is empty, too long or has blanks. Nothing is looked for.
    ///
    /// # Panics
    /// When the agent already waits for too many things.
    pub fn discover_named(
        &mut self,
        service: &str,
        scope: Scope,
        within: Duration,
        then: impl FnOnce(Await<Discover>) -> A::Then,
    ) -> Result<WaitId, ServiceError> {
        let service = service.parse()?;
        let within = within.min(DISCOVERY_WINDOW_MAX);
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let to = Address { host: self.host(), agent: AgentId::HOST };
        let discover = Discover { service, scope, within_ms };
        Ok(self.request_within(within + GRACE, to, &discover, then))
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::limits::NAME_BYTES_MAX;

    use super::*;
    use crate::agent::prelude::*;

    /// Offers, withdraws and looks for what it is told.
    #[derive(Default, Serialize, Deserialize)]
    struct Scout(Vec<String>);

    #[derive(Serialize, Deserialize)]
    struct Do(String, String);
    impl Notification for Do {
        const NAME: &'static str = "scout/do";
    }

    #[derive(Serialize, Deserialize)]
    enum Then {
        Looked(Await<Discover>),
    }

    impl Agent for Scout {
        const KIND: &'static str = "scout";
        type Then = Then;
        fn interests(interests: &mut Interests<Self>) {
            interests.collects::<Do>();
        }
    }

    impl Collects<Do> for Scout {
        fn collect(&mut self, cx: &mut Cx<'_, Self>, Do(what, service): Do) {
            let done = match what.as_str() {
                "offer" => cx.offer(&service).err(),
                "withdraw" => {
                    cx.withdraw(&service);
                    None
                }
                _ => {
                    let second = Duration::from_secs(1);
                    cx.discover_named(&service, Scope::Mesh, second, Then::Looked).err()
                }
            };
            self.0.extend(done.map(|why| why.to_string()));
        }
    }

    impl Continuation<Scout> for Then {
        fn resume(self, scout: &mut Scout, cx: &mut Cx<'_, Scout>) {
            let Self::Looked(slot) = self;
            scout.0.push(format!("{:?}", cx.take(slot)));
        }
    }

    fn told(cage: &mut Cage<Scout>, what: &str, service: &str) -> Vec<Effect> {
        cage.tell(Do(what.into(), service.into()))
    }

    #[test]
    fn to_offer_and_to_look_around_are_effects() {
        let mut cage = Cage::new(Scout::default());
        let offered = told(&mut cage, "offer", "printing/colour");
        assert_eq!(offered, [Effect::offer("printing/colour")]);
        let withdrawn = told(&mut cage, "withdraw", "printing/colour");
        assert_eq!(withdrawn, [Effect::withdraw("printing/colour")]);
        let looked = told(&mut cage, "look", "printing/colour");
        let to = Address { host: cage_host(), agent: AgentId::HOST };
        let service = "printing/colour".parse().expect("a name");
        let discover = Discover { service, scope: Scope::Mesh, within_ms: 1000 };
        let body = starling_protocols::wire::encode(&discover);
        let (name, wait) = (Discover::NAME.into(), cage.waits()[0]);
        let budget = Duration::from_secs(1) + GRACE;
        assert_eq!(looked, [Effect::Request { to, name, body, wait, budget }]);
        let found = Found { agents: vec![to], cut: true, unanswered: 2 };
        assert_eq!(cage.answer::<Discover>(wait, &found), []);
        assert_eq!(cage.state().0, [format!("Ok({found:?})")]);
        cage.replay();
    }

    #[test]
    fn a_bad_name_is_an_error_and_does_nothing() {
        let mut cage = Cage::new(Scout::default());
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for what in ["offer", "withdraw", "look"] {
            for bad in ["", "two words", &long] {
                assert_eq!(told(&mut cage, what, bad), [], "{what} {bad:?}");
            }
        }
        let [empty, blank, too_long] = ["a name, as", "no blanks", "this one has 201"];
        let expected = [empty, blank, too_long, empty, blank, too_long];
        assert_eq!(cage.state().0.len(), expected.len());
        for (why, part) in cage.state().0.iter().zip(expected) {
            assert!(why.contains(part), "{why}");
        }
        cage.replay();
    }

    fn cage_host() -> starling_protocols::ident::HostId {
        Cage::<Scout>::ME.host
    }
}
