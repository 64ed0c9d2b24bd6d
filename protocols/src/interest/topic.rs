use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::limits::{GOSSIP_BUCKETS, NAME_BYTES_MAX};

/// How far a topic reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// All hosts of the mesh (FEAT's lobby).
    #[default]
    Mesh,
    /// The hosts of the publisher's shard. As long as a mesh is one shard, the whole mesh.
    Shard,
}

/// The full name of a topic, as it goes over the wire and as people type it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// A text that is no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing before the `#`, or nothing at all.
    #[error("a topic begins with the name of a notification, as chat/said or chat/said#42")]
    Empty,
    /// Too long.
    #[error("a topic has at most {NAME_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// The name of a notification that would be read as a scope or a room.
    #[error("the name of a notification has no '#' and does not begin with {SHARD:?}")]
    BadName,
    /// A topic of another notification than the one wanted.
    #[error("the topic is not one of the notification {0:?}")]
    OtherName(&'static str),
    /// Control characters or blanks.
    #[error("a topic has no blanks and no control characters")]
    BadCharacter,
}

const SHARD: &str = "shard:";

impl TopicName {
    /// The topic of the notification `name`; `room` tells several apart.
    ///
    /// # Errors
    /// [`TopicError`] when the parts do not make a topic.
    pub fn new(scope: Scope, name: &str, room: Option<&str>) -> Result<Self, TopicError> {
        if name.contains('#') || name.starts_with(SHARD) {
            return Err(TopicError::BadName);
        }
        let prefix = match scope {
            Scope::Mesh => "",
            Scope::Shard => SHARD,
        };
        match room {
            None => format!("{prefix}{name}").parse(),
            Some(room) => format!("{prefix}{name}#{room}").parse(),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How far it reaches.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.0.starts_with(SHARD) { Scope::Shard } else { Scope::Mesh }
    }

    /// The name of the notification that it carries.
    #[must_use]
    pub fn notification(&self) -> &str {
        notification(&self.0)
    }

    /// The gossip topic that carries it: the same on every host.
    #[must_use]
    pub fn bucket(&self) -> u8 {
        blake3::hash(self.0.as_bytes()).as_bytes()[0] % GOSSIP_BUCKETS
    }
}

fn notification(topic: &str) -> &str {
    let name = topic.strip_prefix(SHARD).unwrap_or(topic);
    name.split_once('#').map_or(name, |(name, _)| name)
}

impl FromStr for TopicName {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(TopicError::TooLong(text.len()));
        }
        if notification(text).is_empty() {
            return Err(TopicError::Empty);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(TopicError::BadCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for TopicName {
    type Error = TopicError;
    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<TopicName> for String {
    fn from(topic: TopicName) -> Self {
        topic.0.as_ref().to_owned()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_topic_and_come_out_again() {
        let topic = TopicName::new(Scope::Shard, "chat/said", Some("4#2")).expect("a topic");
        assert_eq!(topic.as_str(), "shard:chat/said#4#2");
        assert_eq!((topic.scope(), topic.notification()), (Scope::Shard, "chat/said"));
        assert_eq!(topic.as_str().parse(), Ok(topic));
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        let parse = |text: &str| text.parse::<TopicName>();
        for empty in ["", "#room", "shard:", "shard:#room"] {
            assert_eq!(parse(empty), Err(TopicError::Empty), "{empty:?}");
        }
        for bad in ["a b", "a#\n", "a\u{a0}"] {
            assert_eq!(parse(bad), Err(TopicError::BadCharacter), "{bad:?}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(parse(&long), Err(TopicError::TooLong(long.len())));
        assert!(parse(&long[1..]).is_ok());
        for name in ["a#b", "shard:a"] {
            assert_eq!(TopicName::new(Scope::Mesh, name, None), Err(TopicError::BadName));
        }
    }

    #[test]
    fn buckets_never_change() {
        let bucket = |text: &str| text.parse::<TopicName>().expect("a topic").bucket();
        assert_eq!(["chat/said", "chat/said#42", "shard:chat/said"].map(bucket), [21, 6, 20]);
    }
}
