//! Configuration of a kind of agents: the document `conf/` and the kind's name, as a Rust type.
//!
//! It reaches each agent of the kind as an input: after [`Agent::started`] and after
//! [`Agent::recovered`], and again whenever somebody has changed it, on whatever host. Where there
//! is no such document the type's `Default` does.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::{agent::prelude::*, documents::Document};
//!
//! /// How all agents of the kind `greeter` behave.
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct GreeterConfig { greeting: String, limit: u32 }
//! impl Default for GreeterConfig {
//!     fn default() -> Self { Self { greeting: "Hello".into(), limit: 3 } }
//! }
//! impl Document for GreeterConfig { const TYPE: &'static str = "greeter/config"; }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Greeter { config: GreeterConfig }
//! impl Agent for Greeter {
//!     const KIND: &'static str = "greeter"; // so its document is conf/greeter
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) {
//!         interests.configured_by::<GreeterConfig>();
//!     }
//! }
//! impl ConfiguredBy<GreeterConfig> for Greeter {
//!     fn configured(&mut self, cx: &mut Cx<'_, Self>, config: GreeterConfig) {
//!         cx.log(Level::Info, format!("from now on I say {}", config.greeting));
//!         self.config = config;
//!     }
//! }
//!
//! let mut cage = Cage::new(Greeter::default());
//! let config = GreeterConfig { greeting: "Ahoy".into(), limit: 3 };
//! let text = "from now on I say Ahoy".into();
//! assert_eq!(cage.configure(&config), [Effect::Log { level: Level::Info, text }]);
//! assert_eq!(cage.state().config, config);
//! cage.replay();
//! ```
//!
//! People change it with `p2p docs set conf/greeter fields.greeting Ahoy`. A change that does not
//! fit the type is refused on hosts that have the kind; one that comes from a host without it, or
//! from two changes at once, does not reach the agents: they go on with the configuration before,
//! and the daemon says so in its log, in `p2p docs get` and in its metrics
//! (`configurations_refused`).

use std::borrow::Cow;

use automerge::AutoCommit;
use serde_json::Value;
use starling_protocols::{limits::BODY_BYTES_MAX, replica::DocName, wire};

use super::{Agent, Cx, Rejection};
use crate::documents::{Document, Schema, WriteError, read_value, write};

/// The name of the notification by which the engine brings an agent its configuration. Nobody else
/// can send it: no kind understands it.
pub(crate) const CONFIGURED: &str = "agent/configured";

/// An agent whose kind is configured by a document; see [`Interests::configured_by`].
///
/// [`Interests::configured_by`]: super::Interests::configured_by
pub trait ConfiguredBy<C: Document + Default>: Agent {
    /// This configuration is in force from now on. It may be the same as before.
    fn configured(&mut self, cx: &mut Cx<'_, Self>, config: C);
}

/// How a kind is configured.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// The document.
    pub(crate) name: DocName,
    pub(crate) schema: Schema,
    /// Makes an empty document say what holds without one.
    pub(crate) begin: fn(&mut AutoCommit) -> Result<bool, WriteError>,
}

type Take<A> = fn(&mut A, &mut Cx<'_, A>, Option<Value>) -> Result<(), Rejection>;

/// The same, with what agents do with it.
pub(super) struct ConfigFns<A: Agent> {
    pub(super) of: Configuration,
    take: Take<A>,
}

impl<A: Agent> ConfigFns<A> {
    pub(super) fn new<C: Document + Default>() -> Self
    where
        A: ConfiguredBy<C>,
    {
        let name = format!("conf/{}", A::KIND).parse();
        let name = name.unwrap_or_else(|why| {
            panic!(
                "kind {} is configured, and its name makes no name of a document: {why}",
                A::KIND
            )
        });
        let begin = |doc: &mut AutoCommit| write(doc, &C::default(), C::VERSION);
        let of = Configuration { name, schema: Schema::of::<C>(), begin };
        Self { of, take: take::<A, C> }
    }

    /// An agent is told.
    pub(super) fn tell(
        &self,
        agent: &mut A,
        cx: &mut Cx<'_, A>,
        body: &[u8],
    ) -> Result<(), Rejection> {
        (self.take)(agent, cx, said(body)?)
    }
}

fn take<A: ConfiguredBy<C>, C: Document + Default>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    whole: Option<Value>,
) -> Result<(), Rejection> {
    let config = match whole {
        Some(whole) => read_value(whole).map_err(|why| Rejection::BadBody(why.to_string()))?,
        None => C::default(),
    };
    agent.configured(cx, config);
    Ok(())
}

/// The body of the notification: what the document says, as JSON text; none when there is none.
pub(crate) fn body(whole: Option<&str>) -> Vec<u8> {
    wire::encode(&whole)
}

/// The document that stands in a body.
pub(super) fn said(body: &[u8]) -> Result<Option<Value>, Rejection> {
    let bad = |why: String| Rejection::BadBody(why);
    let text: Option<Cow<'_, str>> =
        wire::decode(body, BODY_BYTES_MAX).map_err(|why| bad(why.to_string()))?;
    text.map(|text| serde_json::from_str(&text).map_err(|why| bad(why.to_string()))).transpose()
}
