//! Agents that greet as they are configured, in an older and a newer version of their program.

use serde::{Deserialize, Serialize};
use starling_core::{
    agent::{UpdateDocument, prelude::*},
    documents::{Document, Migration, Refused, Update},
};
use starling_node::Kinds;

/// How greeters greet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manners {
    greeting: String,
    limit: u32,
}

impl Default for Manners {
    fn default() -> Self {
        Self { greeting: "Hello".into(), limit: 3 }
    }
}

impl Document for Manners {
    const TYPE: &'static str = "greeter/manners";
}

/// The same in the newer program: one greeting after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewManners {
    greetings: Vec<String>,
    limit: u32,
}

impl Default for NewManners {
    fn default() -> Self {
        Manners::default().into()
    }
}

impl Document for NewManners {
    const TYPE: &'static str = "greeter/manners";
    const VERSION: u32 = 2;
    const STEPS: &'static [Migration] = &[Migration::between::<Manners, NewManners>()];
}

impl From<Manners> for NewManners {
    fn from(old: Manners) -> Self {
        Self { greetings: vec![old.greeting], limit: old.limit }
    }
}

impl From<NewManners> for Manners {
    fn from(new: NewManners) -> Self {
        let greeting = new.greetings.first().cloned().unwrap_or_default();
        Self { greeting, limit: new.limit }
    }
}

/// How many were greeted in the whole mesh.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Greeted {
    count: u64,
}

impl Document for Greeted {
    const TYPE: &'static str = "greeter/greeted";
    const COUNTERS: &'static [&'static str] = &["count"];
}

/// Somebody was greeted.
#[derive(Serialize, Deserialize)]
struct Count;

impl Update<Greeted> for Count {
    const NAME: &'static str = "greeter/count";
    fn apply(&self, to: &mut Greeted) -> Result<(), Refused> {
        to.count += 1;
        Ok(())
    }
    fn begin(&self) -> Option<Greeted> {
        Some(Greeted::default())
    }
}

/// Greets, and counts how often; answers when that is durable.
#[derive(Default, Serialize, Deserialize)]
struct Greeter {
    manners: Manners,
}

/// The newer one.
#[derive(Default, Serialize, Deserialize)]
struct NewGreeter {
    manners: NewManners,
}

/// Asks a greeter to greet somebody.
#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Request for Greet {
    const NAME: &'static str = "greeter/greet";
    type Reply = String;
}

#[derive(Serialize, Deserialize)]
enum Then {
    Counted(Await<UpdateDocument>, ReplyTo<Greet>, String),
}

impl Agent for Greeter {
    const KIND: &'static str = "greeter";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Greet>();
        interests.configured_by::<Manners>();
        interests.updates::<Greeted, Count>();
    }
}

impl ConfiguredBy<Manners> for Greeter {
    fn configured(&mut self, _: &mut Cx<'_, Self>, manners: Manners) {
        self.manners = manners;
    }
}

impl Answers<Greet> for Greeter {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Greet { name }: Greet) -> Answer<Greet> {
        let (answer, to) = Answer::later(cx);
        let words = format!("{}, {name} ({})", self.manners.greeting, self.manners.limit);
        cx.update("greeted", &Count, |counted| Then::Counted(counted, to, words));
        answer
    }
}

impl Continuation<Greeter> for Then {
    fn resume(self, _: &mut Greeter, cx: &mut Cx<'_, Greeter>) {
        let Self::Counted(counted, to, words) = self;
        match cx.take(counted) {
            Ok(Ok(updated)) if updated.changed => cx.reply(to, &words),
            other => cx.refuse(to, &format!("{other:?}")),
        }
    }
}

impl Agent for NewGreeter {
    const KIND: &'static str = "greeter";
    const VERSION: u32 = 2;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Greet>();
        interests.configured_by::<NewManners>();
    }
}

impl ConfiguredBy<NewManners> for NewGreeter {
    fn configured(&mut self, _: &mut Cx<'_, Self>, manners: NewManners) {
        self.manners = manners;
    }
}

impl Answers<Greet> for NewGreeter {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Greet { name }: Greet) -> Answer<Greet> {
        let words = self.manners.greetings.join(" and ");
        Answer::now(format!("{words}, {name} ({})", self.manners.limit))
    }
}

/// What an application of greeters has.
#[must_use]
pub fn kinds(newer: bool) -> Kinds {
    if newer {
        Kinds::new().kind::<NewGreeter>().document("conf/greeter", &NewManners::default())
    } else {
        Kinds::new().kind::<Greeter>().document("conf/greeter", &Manners::default())
    }
}
