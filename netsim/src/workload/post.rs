use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_core::agent::prelude::*;

use super::Rest;

/// Says of itself, again and again, what others are to know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Post<const OUTLIVES: bool> {
    /// How long it waits between two descriptions, at most, in milliseconds.
    pub pace_ms: u32,
    /// It says nothing new any more.
    pub resting: bool,
    /// How often it has said something.
    pub said: u64,
}

/// A [`Post`] that ends with its host.
pub type Signpost = Post<false>;

/// A [`Post`] that outlives its daemon.
pub type Landmark = Post<true>;

/// What a post waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time to say something else.
    Say,
}

impl<const OUTLIVES: bool> Agent for Post<OUTLIVES> {
    const KIND: &'static str = if OUTLIVES { "sim-landmark" } else { "sim-signpost" };
    const DURABILITY: Durability =
        if OUTLIVES { Durability::WriteAhead } else { Durability::History };
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.say(cx);
    }
    fn recovered(&mut self, cx: &mut Cx<'_, Self>) {
        // Its journal and its descriptor are two files: the host may have ended between them.
        cx.describe(&self.fields());
    }
    fn taken_up(&mut self, cx: &mut Cx<'_, Self>, past: &TakenUp) {
        let fields: Value = past.fields().ok().flatten().unwrap_or_default();
        self.said = fields["said"].as_u64().unwrap_or_default();
        self.pace_ms = 2_000;
        self.say(cx);
    }
}

impl<const OUTLIVES: bool> Post<OUTLIVES> {
    /// What its descriptor says below `fields`.
    #[must_use]
    pub fn fields(&self) -> Value {
        let said = self.said;
        json!({ "said": said, "text": format!("word {said}"), "parity": [said % 2, "of two"] })
    }

    fn say(&mut self, cx: &mut Cx<'_, Self>) {
        if self.resting {
            return;
        }
        self.said += 1;
        cx.describe(&self.fields());
        let pause = cx.entropy().jitter(Duration::from_millis(u64::from(self.pace_ms.max(1))));
        cx.after(pause, Then::Say);
    }
}

impl<const OUTLIVES: bool> Answers<Rest> for Post<OUTLIVES> {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.said)
    }
}

impl<const OUTLIVES: bool> Continuation<Post<OUTLIVES>> for Then {
    fn resume(self, post: &mut Post<OUTLIVES>, cx: &mut Cx<'_, Post<OUTLIVES>>) {
        let Self::Say = self;
        post.say(cx);
    }
}
