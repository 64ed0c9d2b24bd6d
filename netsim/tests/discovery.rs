//! Stories of looking around: hosts that are cut off, suspended, dead or gone do not hold anybody up
//! beyond the time given, are counted, and are found again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use starling_core::{agent::prelude::*, engine::Kinds};
use starling_netsim::story::{Story, secs};

/// A printer that prints in colour as long as it has ink; it outlives its host.
#[derive(Default, Serialize, Deserialize)]
struct Printer {}

/// Puts ink in, or takes it out.
#[derive(Serialize, Deserialize)]
struct Ink(bool);
impl Request for Ink {
    const NAME: &'static str = "printing/ink";
    type Reply = ();
}

const COLOUR: &str = "printing/colour";

impl Agent for Printer {
    const KIND: &'static str = "printer";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Ink>();
    }
}

impl Answers<Ink> for Printer {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Ink(ink): Ink) -> Answer<Ink> {
        if ink {
            cx.offer(COLOUR).expect("a good name");
        } else {
            cx.withdraw(COLOUR);
        }
        Answer::now(())
    }
}

/// What "a" finds, and how long it took.
fn look(story: &mut Story, service: &str) -> (Found, Duration) {
    let to = story.start("a", "printer");
    let to = Address { agent: AgentId::HOST, ..to };
    let body = json!({ "service": service, "scope": "Mesh", "within_ms": 3000 });
    let before = story.sim().now();
    let found = story.ask("a", to, "host/discover", body).outcome().expect("found");
    (serde_json::from_value(found).expect("what was found"), story.sim().now().since(before))
}

fn printers(story: &mut Story) -> Vec<Address> {
    let printers = ["b", "c", "d"].map(|host| story.start(host, "printer"));
    for (printer, host) in printers.iter().zip(["b", "c", "d"]) {
        story.ask(host, *printer, "printing/ink", json!(true)).replies(json!(null));
    }
    let mut printers = printers.to_vec();
    printers.sort_unstable();
    printers
}

fn without(all: &[Address], gone: Address) -> Vec<Address> {
    all.iter().copied().filter(|printer| *printer != gone).collect()
}

fn on(story: &mut Story, all: &[Address], host: &str) -> Address {
    let number = story.sim().named(host).expect("a host");
    let host = story.sim().id(number);
    *all.iter().find(|printer| printer.host == host).expect("its printer")
}

#[test]
fn what_is_offered_comes_back_with_its_agent_and_what_is_withdrawn_does_not() {
    let mut story = Story::new(41).kinds(Kinds::new().kind::<Printer>()).hosts(4);
    let all = printers(&mut story);
    let (found, took) = look(&mut story, COLOUR);
    assert_eq!(found, Found { agents: all.clone(), cut: false, unanswered: 0 });
    assert!(took < secs(1), "{took:?}");
    let [dry, dead] = ["c", "d"].map(|host| on(&mut story, &all, host));
    story.ask("c", dry, "printing/ink", json!(false)).replies(json!(null));
    for host in ["c", "d"] {
        story.crash(host);
        story.restart(host);
        story.wait_until_idle(secs(60));
    }
    let (found, _) = look(&mut story, COLOUR);
    assert_eq!(found, Found { agents: without(&all, dry), cut: false, unanswered: 0 });
    assert!(found.agents.contains(&dead));
}

#[test]
fn the_suspended_and_the_cut_off_are_waited_for_and_the_dead_are_not() {
    let mut story = Story::new(42).kinds(Kinds::new().kind::<Printer>()).hosts(4);
    let all = printers(&mut story);
    let silent = on(&mut story, &all, "b");
    for (what, imposed) in [("suspended", 0), ("cut off", 1)] {
        if imposed == 0 {
            story.pause("b");
        } else {
            story.cut("a", "b");
        }
        let (found, took) = look(&mut story, COLOUR);
        let expected = Found { agents: without(&all, silent), cut: false, unanswered: 1 };
        assert_eq!(found, expected, "{what}");
        assert_eq!(took.as_millis(), 3000, "{what}");
        if imposed == 0 {
            story.resume("b");
        } else {
            story.heal();
        }
        story.wait_until_idle(secs(60));
        assert_eq!(look(&mut story, COLOUR).0.agents, all, "{what} no more");
    }
    story.crash("b");
    story.run(secs(5));
    let (found, took) = look(&mut story, COLOUR);
    assert_eq!(found, Found { agents: without(&all, silent), cut: false, unanswered: 1 });
    assert!(took < secs(1), "nobody waits for the dead: {took:?}");
    story.restart("b");
    story.wait_until_idle(secs(60));
    story.leave("b");
    story.run(secs(5));
    let (found, took) = look(&mut story, COLOUR);
    assert_eq!(found, Found { agents: without(&all, silent), cut: false, unanswered: 0 });
    assert!(took < secs(1), "who has left is not missed: {took:?}");
}
