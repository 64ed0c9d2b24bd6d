use std::{borrow::Cow, collections::BTreeMap};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starling_protocols::{
    exchange::{Codec, Failure},
    journal::Effects,
    limits::BODY_BYTES_MAX,
    time::Time,
    wire,
};

use crate::{
    agent::{BodyOf, Dialog, Effect, Input, Level, WaitId},
    engine::Kinds,
};

/// Requests whose reply is awaited and questions whose answer is owed, of which the name is kept.
/// Beyond it the oldest are forgotten, and their replies are shown as bytes.
const NAMES_MAX: usize = 10_000;

/// What reached an agent, as people read it. A body of a type that no kind knows is
/// `{"base64": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum InputView {
    /// It began to live.
    Started,
    /// It was asked.
    Request {
        /// The request's name.
        name: String,
        /// Who asked: `AGENT@HOST` by ids.
        from: String,
        /// The request.
        body: Value,
    },
    /// It was told.
    Notification {
        /// The notification's name.
        name: String,
        /// Who told: `AGENT@HOST` by ids.
        from: String,
        /// The topic, if it came on one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        /// The notification.
        body: Value,
    },
    /// Notifications on a topic were lost.
    Missed {
        /// The topic.
        topic: String,
        /// How many.
        count: u64,
    },
    /// What it asked was answered, or was not.
    Reply {
        /// The wait that ended.
        wait: u64,
        /// The request's name, if what was read begins early enough to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What came.
        outcome: AnswerView,
    },
    /// A time came, or the end of a task.
    Wake {
        /// The wait that ended.
        wait: u64,
    },
    /// Its life ended in good order.
    Stopping,
    /// It was back after its host had gone down.
    Recovered,
    /// It was given to another host.
    Moving {
        /// To which.
        to: String,
    },
    /// It was taken up from another host.
    TakenUp {
        /// From which.
        before: String,
        /// How many hosts it had before.
        instance: u64,
        /// What it had said of itself.
        fields: Value,
    },
    /// A durable notification of its own was not delivered.
    Undelivered {
        /// To whom it was: `AGENT@HOST` by ids.
        to: String,
        /// The notification's name.
        name: String,
        /// Why.
        why: String,
    },
    /// The record does not decode.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

/// What an agent asked for, as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum EffectView {
    /// To tell one agent.
    Notify {
        /// Whom: `AGENT@HOST` by ids.
        to: String,
        /// The notification's name.
        name: String,
        /// The notification.
        body: Value,
    },
    /// To ask one agent.
    Request {
        /// Whom: `AGENT@HOST` by ids.
        to: String,
        /// The request's name.
        name: String,
        /// The request.
        body: Value,
        /// What waits for the reply.
        wait: u64,
        /// For how long, in microseconds.
        budget_us: u64,
    },
    /// To answer.
    Reply {
        /// Whom: `AGENT@HOST` by ids.
        to: String,
        /// What.
        outcome: AnswerView,
    },
    /// To tell all who listen to a topic.
    Publish {
        /// Which.
        topic: String,
        /// The notification.
        body: Value,
    },
    /// To listen to a topic from then on.
    Listen {
        /// Which.
        topic: String,
    },
    /// To listen to it no longer.
    Ignore {
        /// Which.
        topic: String,
    },
    /// To offer a service from then on.
    Offer {
        /// Which.
        service: String,
    },
    /// To offer it no longer.
    Withdraw {
        /// Which.
        service: String,
    },
    /// To come back at a time.
    Wake {
        /// How long after the input, in microseconds.
        in_us: u64,
        /// What waits for it.
        wait: u64,
    },
    /// Not to come back.
    Forget {
        /// What waited.
        wait: u64,
    },
    /// To be stopped.
    Stop,
    /// To tell one agent, whatever restarts meanwhile.
    Post {
        /// Whom: `AGENT@HOST` by ids.
        to: String,
        /// The notification's name.
        name: String,
        /// The notification.
        body: Value,
    },
    /// To say something to people.
    Log {
        /// How important it is.
        level: Level,
        /// What.
        text: String,
    },
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerView {
    /// The reply.
    Reply(Value),
    /// Why there is none.
    Failure(String),
}

/// The effects of an entry, as far as they were recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectsView {
    /// All of them.
    Whole(Vec<EffectView>),
    /// They were too much to be kept.
    Digest {
        /// How many bytes they were.
        bytes: u64,
        /// Their digest, in hex.
        digest: String,
    },
    /// The record does not decode, and why.
    Unreadable(String),
}

/// Reads the entries of one life for people. Fed with them in order it knows what replies belong
/// to, and can show them.
#[derive(Clone)]
pub struct Reading {
    kinds: Kinds,
    kind: String,
    asked: BTreeMap<WaitId, Cow<'static, str>>,
    owed: BTreeMap<Dialog, String>,
}

impl Reading {
    /// Begins with an agent of this kind.
    #[must_use]
    pub fn new(kinds: Kinds, kind: &str) -> Self {
        let (asked, owed) = (BTreeMap::new(), BTreeMap::new());
        Self { kinds, kind: kind.to_owned(), asked, owed }
    }

    /// The next input, as it was recorded.
    pub fn recorded_input(&mut self, bytes: &[u8]) -> InputView {
        match wire::decode_own::<Input<'static>>(bytes, 2 * BODY_BYTES_MAX) {
            Ok(input) => self.input(&input),
            Err(why) => InputView::Unreadable { why: why.to_string() },
        }
    }

    /// What came of it, as it was recorded.
    pub fn recorded_effects(&mut self, effects: &Effects<'_>, at: Time) -> EffectsView {
        match effects {
            Effects::None => EffectsView::Whole(Vec::new()),
            Effects::Whole(bytes) => {
                match wire::decode_own::<Vec<Effect>>(bytes, 2 * BODY_BYTES_MAX) {
                    Ok(effects) => EffectsView::Whole(self.effects(&effects, at)),
                    Err(why) => EffectsView::Unreadable(why.to_string()),
                }
            }
            Effects::Digest { bytes, digest } => {
                EffectsView::Digest { bytes: *bytes, digest: format!("{digest:016x}") }
            }
        }
    }

    /// The next input.
    pub fn input(&mut self, input: &Input<'_>) -> InputView {
        match input {
            Input::Started => InputView::Started,
            Input::Stopping => InputView::Stopping,
            Input::Recovered => InputView::Recovered,
            Input::Moving { to } => InputView::Moving { to: to.to_string() },
            Input::TakenUp(past) => InputView::TakenUp {
                before: past.before.to_string(),
                instance: past.instance,
                fields: serde_json::from_str(&past.fields).unwrap_or_default(),
            },
            Input::Request { name, dialog, body } => {
                keep(&mut self.owed, *dialog, name.to_string());
                let body = self.message(BodyOf::Request, name, dialog.codec(), body);
                InputView::Request { name: name.to_string(), from: dialog.asker.to_string(), body }
            }
            Input::Notification { name, from, topic, codec, body } => InputView::Notification {
                name: name.to_string(),
                from: from.to_string(),
                topic: topic.as_ref().map(ToString::to_string),
                body: self.message(BodyOf::Notification, name, *codec, body),
            },
            Input::Missed { topic, count } => {
                InputView::Missed { topic: topic.to_string(), count: *count }
            }
            Input::Resume { wait, outcome } => self.resume(*wait, outcome.as_ref()),
            Input::Undelivered { to, name, why } => InputView::Undelivered {
                to: to.to_string(),
                name: name.to_string(),
                why: why.to_string(),
            },
        }
    }

    /// What the agent asked for at `at`.
    pub fn effects(&mut self, effects: &[Effect], at: Time) -> Vec<EffectView> {
        effects.iter().map(|effect| self.effect(effect, at)).collect()
    }

    fn resume(
        &mut self,
        wait: WaitId,
        outcome: Option<&Result<Cow<'_, [u8]>, Failure>>,
    ) -> InputView {
        let name = self.asked.remove(&wait);
        let Some(outcome) = outcome else { return InputView::Wake { wait: wait.0 } };
        let outcome = match outcome {
            Ok(bytes) => {
                let show = |name| self.kinds.show(&self.kind, BodyOf::Reply, name, bytes);
                let shown = name.as_deref().and_then(show);
                AnswerView::Reply(shown.unwrap_or_else(|| base64(bytes)))
            }
            Err(why) => AnswerView::Failure(why.to_string()),
        };
        InputView::Reply { wait: wait.0, name: name.map(Cow::into_owned), outcome }
    }

    fn effect(&mut self, effect: &Effect, now: Time) -> EffectView {
        match effect {
            Effect::Notify { to, name, body } => EffectView::Notify {
                to: to.to_string(),
                name: name.to_string(),
                body: self.message(BodyOf::Notification, name, Codec::Native, body),
            },
            Effect::Post { to, name, body } => EffectView::Post {
                to: to.to_string(),
                name: name.to_string(),
                body: self.message(BodyOf::Notification, name, Codec::Native, body),
            },
            Effect::Request { to, name, body, wait, budget } => {
                keep(&mut self.asked, *wait, name.clone());
                EffectView::Request {
                    to: to.to_string(),
                    name: name.to_string(),
                    body: self.message(BodyOf::Request, name, Codec::Native, body),
                    wait: wait.0,
                    budget_us: micros(*budget),
                }
            }
            Effect::Reply { to, outcome } => self.reply(*to, outcome),
            Effect::Publish { topic, body, .. } => EffectView::Publish {
                topic: topic.to_string(),
                body: self.message(BodyOf::Notification, topic.notification(), Codec::Native, body),
            },
            Effect::Listen { topic } => EffectView::Listen { topic: topic.to_string() },
            Effect::Ignore { topic } => EffectView::Ignore { topic: topic.to_string() },
            Effect::Offer { service } => EffectView::Offer { service: service.to_string() },
            Effect::Withdraw { service } => EffectView::Withdraw { service: service.to_string() },
            Effect::Wake { at, wait } => {
                EffectView::Wake { in_us: micros(at.since(now)), wait: wait.0 }
            }
            Effect::Forget { wait, .. } => {
                self.asked.remove(wait);
                EffectView::Forget { wait: wait.0 }
            }
            Effect::StopSelf => EffectView::Stop,
            Effect::Log { level, text } => EffectView::Log { level: *level, text: text.clone() },
        }
    }

    fn reply(&mut self, to: Dialog, outcome: &Result<Vec<u8>, Failure>) -> EffectView {
        let name = self.owed.remove(&to);
        let outcome = match outcome {
            Ok(bytes) => {
                let shown = match to.codec() {
                    Codec::Json => serde_json::from_slice(bytes).ok(),
                    Codec::Native => name
                        .and_then(|name| self.kinds.show(&self.kind, BodyOf::Reply, &name, bytes)),
                };
                AnswerView::Reply(shown.unwrap_or_else(|| base64(bytes)))
            }
            Err(why) => AnswerView::Failure(why.to_string()),
        };
        EffectView::Reply { to: to.asker.to_string(), outcome }
    }

    fn message(&self, of: BodyOf, name: &str, codec: Codec, body: &[u8]) -> Value {
        let shown = match codec {
            Codec::Json => serde_json::from_slice(body).ok(),
            Codec::Native => self.kinds.show(&self.kind, of, name, body),
        };
        shown.unwrap_or_else(|| base64(body))
    }
}

fn keep<K: Ord, V>(names: &mut BTreeMap<K, V>, key: K, name: V) {
    if names.len() >= NAMES_MAX {
        names.pop_first();
    }
    names.insert(key, name);
}

fn base64(bytes: &[u8]) -> Value {
    json!({ "base64": BASE64.encode(bytes) })
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use starling_protocols::ident::{Address, AgentId, HostId};

    use super::*;
    use crate::society::{self, Add, Greet};

    const ME: Address = Address { host: HostId([1; 32]), agent: AgentId(2000) };

    fn reading(kind: &str) -> Reading {
        Reading::new(society::stock(), kind)
    }

    #[test]
    fn what_a_kind_understands_is_shown() {
        let mut reading = reading("counter");
        let dialog = Dialog { asker: ME, number: 7, json: false };
        let body = wire::encode(&Add { by: 3 });
        let input = Input::Request { name: "counter/add".into(), dialog, body: body.into() };
        let from = ME.to_string();
        let seen = InputView::Request {
            name: "counter/add".into(),
            from: from.clone(),
            body: json!({"by": 3}),
        };
        assert_eq!(reading.input(&input), seen);
        let answer = Effect::Reply { to: dialog, outcome: Ok(wire::encode(&45i64)) };
        let told = [EffectView::Reply { to: from, outcome: AnswerView::Reply(json!(45)) }];
        assert_eq!(reading.effects(&[answer], Time::ZERO), told);
    }

    #[test]
    fn a_reply_is_shown_when_the_request_was_seen() {
        let greet = Effect::request(ME, &Greet { name: "Ada".into() }, WaitId(4));
        let outcome = Some(Ok(wire::encode(&"Hello.".to_owned()).into()));
        let input = Input::Resume { wait: WaitId(4), outcome };
        let mut reading = reading("guest");
        reading.effects(&[greet], Time::ZERO);
        let shown = InputView::Reply {
            wait: 4,
            name: Some("demo/greet".into()),
            outcome: AnswerView::Reply(json!("Hello.")),
        };
        assert_eq!(reading.input(&input), shown);
        let again = InputView::Reply {
            wait: 4,
            name: None,
            outcome: AnswerView::Reply(json!({ "base64": "BkhlbGxvLg==" })),
        };
        assert_eq!(reading.input(&input), again, "nobody knows what it belongs to any more");
    }

    #[test]
    fn what_nobody_knows_is_shown_as_bytes() {
        let told = Effect::Notify { to: ME, name: "some/thing".into(), body: vec![1, 2] };
        let shown = reading("counter").effects(&[told], Time::ZERO);
        let body = json!({ "base64": "AQI=" });
        let (to, name) = (ME.to_string(), "some/thing".to_owned());
        assert_eq!(shown, [EffectView::Notify { to, name, body }]);
        let damaged = reading("counter").recorded_input(&[99]);
        assert!(matches!(damaged, InputView::Unreadable { .. }), "{damaged:?}");
    }
}
