//! One agent, one request, one daemon. Start it, then from another terminal:
//!
//! ```text
//! p2p start greeter
//! p2p request greeter hello/greet '{"name":"Ada"}'
//! ```

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use starling_node::{Kinds, agent::prelude::*};

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}
impl Request for Greet {
    const NAME: &'static str = "hello/greet";
    type Reply = String;
}

#[derive(Default, Serialize, Deserialize)]
struct Greeter {
    greeted: u32,
}
impl Agent for Greeter {
    const KIND: &'static str = "greeter";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Greet>();
    }
}
impl Answers<Greet> for Greeter {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Greet { name }: Greet) -> Answer<Greet> {
        self.greeted += 1;
        Answer::now(format!("Hello, {name}! You are number {}.", self.greeted))
    }
}

fn main() -> ExitCode {
    starling_node::main(Kinds::new().kind::<Greeter>())
}

#[test]
fn it_greets_and_counts() {
    let mut cage = Cage::new(Greeter::default());
    let effects = cage.ask(Greet { name: "Ada".into() });
    assert_eq!(effects, [Effect::reply(&"Hello, Ada! You are number 1.")]);
    cage.replay();
}
