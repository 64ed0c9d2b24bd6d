use serde::{Deserialize, Serialize};

use crate::agent::prelude::*;

/// Counts, and tells whoever listens. What it has counted outlives its daemon, and goes with it when
/// it is given to another host. After the death of its host it counts on from where it was when it
/// came there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counter {
    /// The count.
    pub value: i64,
}

/// Adds to a [`Counter`]; the reply is the new count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// How much; may be negative.
    pub by: i64,
}

/// Reads a [`Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {}

/// A [`Counter`] has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which.
    pub counter: AgentId,
    /// The new count.
    pub value: i64,
}

impl Request for Add {
    const NAME: &'static str = "counter/add";
    type Reply = i64;
}

impl Request for Read {
    const NAME: &'static str = "counter/read";
    type Reply = i64;
}

impl Notification for Changed {
    const NAME: &'static str = "counter/changed";
}

impl Agent for Counter {
    const KIND: &'static str = "counter";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Add>();
        interests.answers::<Read>();
        // Declared so that every host with this kind can show the notification to people.
        interests.collects::<Changed>();
    }
    fn moving(&mut self, cx: &mut Cx<'_, Self>, _: HostId) {
        // Not at every count: that would be a document changed by the second.
        cx.describe(self);
    }
    fn taken_up(&mut self, cx: &mut Cx<'_, Self>, past: &TakenUp) {
        match past.fields() {
            Ok(said) => *self = said.unwrap_or_default(),
            Err(why) => cx.log(Level::Error, format!("it counts from zero again: {why}")),
        }
    }
}

impl Answers<Add> for Counter {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Add { by }: Add) -> Answer<Add> {
        let Some(value) = self.value.checked_add(by) else {
            return Answer::refuse("the count would overflow");
        };
        self.value = value;
        cx.publish(&Topic::all(), &Changed { counter: cx.id(), value });
        Answer::now(value)
    }
}

impl Answers<Read> for Counter {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Read {}: Read) -> Answer<Read> {
        Answer::now(self.value)
    }
}

impl Collects<Changed> for Counter {
    fn collect(&mut self, _: &mut Cx<'_, Self>, _: Changed) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_adds_and_tells() {
        let mut cage = Cage::new(Counter { value: 40 });
        let changed = Changed { counter: Cage::<Counter>::ME.agent, value: 42 };
        assert_eq!(
            cage.ask(Add { by: 2 }),
            [Effect::publish(&Topic::all(), &changed), Effect::reply(&42i64)]
        );
        assert_eq!(cage.ask(Read {}), [Effect::reply(&42i64)]);
        cage.replay();
    }

    #[test]
    fn it_refuses_to_overflow() {
        let mut cage = Cage::new(Counter { value: i64::MAX });
        assert_eq!(cage.ask(Add { by: 1 }), [Effect::refuse("the count would overflow")]);
        assert_eq!(cage.state().value, i64::MAX);
        cage.replay();
    }
}
