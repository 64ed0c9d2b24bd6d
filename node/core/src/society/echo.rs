use serde::{Deserialize, Serialize};

use crate::agent::prelude::*;

/// Says back what it is told, and where it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Echo {
    /// How often it has been asked.
    pub echoed: u64,
}

/// Asks an [`Echo`] to say something back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// What.
    pub text: String,
}

/// What an [`Echo`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What it was told.
    pub text: String,
    /// The host it lives on.
    pub host: HostId,
}

impl Request for Say {
    const NAME: &'static str = "echo/say";
    type Reply = Said;
}

impl Agent for Echo {
    const KIND: &'static str = "echo";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Say>();
    }
}

impl Answers<Say> for Echo {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Say { text }: Say) -> Answer<Say> {
        self.echoed += 1;
        Answer::now(Said { text, host: cx.host() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_back_what_it_is_told() {
        let mut cage = Cage::new(Echo::default());
        let said = Said { text: "hello".into(), host: Cage::<Echo>::ME.host };
        assert_eq!(cage.ask(Say { text: "hello".into() }), [Effect::reply(&said)]);
        assert_eq!(cage.state().echoed, 1);
        cage.replay();
    }
}
