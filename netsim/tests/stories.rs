//! Stories of a few hosts.

use serde_json::json;
use starling_netsim::story::{Story, secs};

#[test]
fn a_question_outlives_a_cut() {
    let mut story = Story::new(1).hosts(3);
    let counter = story.start("a", "counter");
    story.ask("b", counter, "counter/add", json!({"by": 2})).replies(json!(2));
    story.cut("a", "b");
    story.run(secs(5));
    let waiting = story.put("b", counter, "counter/add", json!({"by": 2}));
    story.run(secs(5));
    story.heal();
    story.wait_until_idle(secs(60));
    assert_eq!(story.outcome("b", waiting), Ok(json!(4)));
}
