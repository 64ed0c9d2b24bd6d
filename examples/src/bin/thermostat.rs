//! Two agents: a thermostat listens to readings, and asks its heater to switch. What it waits for
//! is data, in `Then`; a heater that does not answer is asked again.
//!
//! ```text
//! p2p start heater
//! p2p start thermostat --state '{"heater":"<agent id>@<host id>","wanted":20.0}'
//! p2p publish thermostat/reading '{"celsius":17.5}'
//! p2p inspect thermostat
//! ```

use std::{process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use starling_node::{Kinds, agent::prelude::*};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    celsius: f32,
}
impl Notification for Reading {
    const NAME: &'static str = "thermostat/reading";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Switch {
    on: bool,
}
impl Request for Switch {
    const NAME: &'static str = "heater/switch";
    const BUDGET: Duration = Duration::from_secs(2);
    /// Whether it was the other way before.
    type Reply = bool;
}

#[derive(Default, Serialize, Deserialize)]
struct Heater {
    on: bool,
}
impl Agent for Heater {
    const KIND: &'static str = "heater";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Switch>();
    }
}
impl Answers<Switch> for Heater {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Switch { on }: Switch) -> Answer<Switch> {
        let changed = std::mem::replace(&mut self.on, on) != on;
        Answer::now(changed)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Thermostat {
    /// The heater's address; without one, it only watches.
    heater: Option<Address>,
    wanted: f32,
    heating: bool,
    switched: u32,
}

#[derive(Serialize, Deserialize)]
enum Then {
    Switched { answer: Await<Switch>, on: bool },
    TryAgain { on: bool },
}

impl Agent for Thermostat {
    const KIND: &'static str = "thermostat";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.listens::<Reading>(Scope::Mesh);
    }
}
impl Collects<Reading> for Thermostat {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Reading { celsius }: Reading) {
        let on = celsius < self.wanted;
        if on != self.heating {
            self.switch(cx, on);
        }
    }
}
impl Thermostat {
    fn switch(&self, cx: &mut Cx<'_, Self>, on: bool) {
        if let Some(heater) = self.heater {
            cx.request(heater, &Switch { on }, |answer| Then::Switched { answer, on });
        }
    }
}
impl Continuation<Thermostat> for Then {
    fn resume(self, thermostat: &mut Thermostat, cx: &mut Cx<'_, Thermostat>) {
        match self {
            Self::Switched { answer, on } => match cx.take(answer) {
                Ok(changed) => {
                    thermostat.heating = on;
                    thermostat.switched += u32::from(changed);
                }
                Err(_) => {
                    cx.after(Duration::from_secs(1), Self::TryAgain { on });
                }
            },
            Self::TryAgain { on } => thermostat.switch(cx, on),
        }
    }
}

fn main() -> ExitCode {
    starling_node::main(Kinds::new().kind::<Heater>().kind::<Thermostat>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEATER: Address = Cage::<Thermostat>::ASKER;

    fn cold_room() -> (Cage<Thermostat>, Vec<Effect>) {
        let wanted = Thermostat { heater: Some(HEATER), wanted: 20.0, ..Thermostat::default() };
        let mut cage = Cage::new(wanted);
        let effects = cage.tell(Reading { celsius: 17.5 });
        (cage, effects)
    }

    #[test]
    fn a_cold_room_is_heated() {
        let (mut cage, effects) = cold_room();
        assert_eq!(effects, [Effect::request(HEATER, &Switch { on: true }, WaitId(0))]);
        assert_eq!(cage.answer::<Switch>(WaitId(0), &true), []);
        assert!(cage.state().heating);
        cage.replay();
    }

    #[test]
    fn a_silent_heater_is_asked_again() {
        let (mut cage, _) = cold_room();
        let again = cage.advance(Duration::from_secs(3));
        assert!(matches!(again.as_slice(), [Effect::Wake { .. }, Effect::Request { .. }]));
        cage.replay();
    }
}
