use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::agent::prelude::*;

/// A guest at a party: says that it has arrived, greets whoever else has, and lets all hear it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Whom it has met, each with what was said.
    pub met: BTreeMap<String, String>,
}

/// A guest has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Its name.
    pub name: String,
}

/// A guest greets another; the reply is what the other says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greet {
    /// The name of who greets.
    pub name: String,
}

/// Something said aloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// Who says it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What.
    pub text: String,
}

impl Notification for Arrived {
    const NAME: &'static str = "demo/arrived";
}

impl Notification for Talk {
    const NAME: &'static str = "demo/said";
}

impl Request for Greet {
    const NAME: &'static str = "demo/greet";
    const BUDGET: Duration = Duration::from_secs(5);
    type Reply = String;
}

/// What a guest can be waiting for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// The answer to its greeting.
    Greeted {
        /// The answer.
        answer: Await<Greet>,
        /// Whom it greeted.
        whom: String,
    },
}

impl Agent for Guest {
    const KIND: &'static str = "guest";
    type Then = Then;

    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Greet>();
        interests.listens::<Arrived>(Scope::Mesh);
        // Declared so that every host with this kind can show the notification to people.
        interests.collects::<Talk>();
    }

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.publish(&Topic::all(), &Arrived { name: self.name.clone() });
    }
}

impl Collects<Arrived> for Guest {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Arrived { name: whom }: Arrived) {
        let newcomer = cx.sender();
        if newcomer == cx.address() {
            return;
        }
        let greeting = Greet { name: self.name.clone() };
        self.say(cx, &whom, format!("Welcome, {whom}! I am {}.", self.name));
        cx.request(newcomer, &greeting, |answer| Then::Greeted { answer, whom });
    }
}

impl Collects<Talk> for Guest {
    fn collect(&mut self, _: &mut Cx<'_, Self>, _: Talk) {}
}

impl Answers<Greet> for Guest {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Greet { name }: Greet) -> Answer<Greet> {
        let nth = self.met.len() + 1;
        self.met.insert(name.clone(), format!("greeted me as number {nth}"));
        Answer::now(format!("Thank you, {name}. You are number {nth} of those I have met."))
    }
}

impl Continuation<Guest> for Then {
    fn resume(self, guest: &mut Guest, cx: &mut Cx<'_, Guest>) {
        let Self::Greeted { answer, whom } = self;
        let text = match cx.take(answer) {
            Ok(text) => text,
            Err(why) => format!("({whom} did not answer: {why})"),
        };
        guest.met.insert(whom.clone(), text.clone());
        let line = Talk { from: whom, to: guest.name.clone(), text };
        cx.publish(&Topic::all(), &line);
    }
}

impl Guest {
    fn say(&self, cx: &mut Cx<'_, Self>, to: &str, text: String) {
        let line = Talk { from: self.name.clone(), to: to.to_owned(), text };
        cx.publish(&Topic::all(), &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Cage<Guest> {
        Cage::new(Guest { name: "Ada".into(), ..Guest::default() })
    }

    fn grace_arrives(cage: &mut Cage<Guest>) -> Vec<Effect> {
        let arrived = Arrived { name: "Grace".into() };
        cage.hear(Cage::<Guest>::ASKER, &Topic::all(), &arrived)
    }

    fn said(from: &str, to: &str, text: &str) -> Effect {
        let talk = Talk { from: from.into(), to: to.into(), text: text.into() };
        Effect::publish(&Topic::all(), &talk)
    }

    #[test]
    fn it_greets_a_newcomer_and_repeats_the_answer() {
        let mut cage = ada();
        let effects = grace_arrives(&mut cage);
        let greeting = Greet { name: "Ada".into() };
        let wait = WaitId(0);
        assert_eq!(
            effects,
            [
                said("Ada", "Grace", "Welcome, Grace! I am Ada."),
                Effect::request(Cage::<Guest>::ASKER, &greeting, wait),
            ]
        );
        assert_eq!(
            cage.answer::<Greet>(wait, &"Hello.".to_owned()),
            [said("Grace", "Ada", "Hello.")]
        );
        cage.replay();
    }

    #[test]
    fn a_newcomer_that_does_not_answer_is_spoken_of() {
        let mut cage = ada();
        grace_arrives(&mut cage);
        let effects = cage.advance(Duration::from_secs(5));
        let text = "(Grace did not answer: no answer in time; it may or may not have been \
                    carried out)";
        assert_eq!(effects, [said("Grace", "Ada", text)]);
        cage.replay();
    }

    #[test]
    fn it_does_not_greet_itself() {
        let mut cage = ada();
        let arrived = Arrived { name: "Ada".into() };
        assert_eq!(cage.hear(Cage::<Guest>::ME, &Topic::all(), &arrived), []);
    }
}
