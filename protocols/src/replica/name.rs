use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{ident::AgentId, limits::DOCUMENT_NAME_BYTES_MAX};

/// Names a document: parts of small letters, digits, `-`, `_` and `.` with `/` between them, each
/// with a letter or a digit first, as `conf/echo`. The descriptor of an agent is `agent/` and its id.
///
/// For people it is written as text. Between hosts that of a descriptor is the id, which takes half
/// as many bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocName(Arc<str>);

/// A name between hosts. Each has one form only.
#[derive(Serialize, Deserialize)]
enum Written<T> {
    Descriptor(AgentId),
    Other(T),
}

/// A text that names no document. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocNameError {
    /// Nothing, or nothing between two slashes.
    #[error("the name of a document is parts with / between them, as conf/echo; one here is empty")]
    Empty,
    /// Too long.
    #[error("the name of a document has at most {DOCUMENT_NAME_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// Something else than small letters, digits and three signs.
    #[error("the name of a document has small letters, digits, '-', '_' and '.', not {0:?}")]
    BadCharacter(char),
    /// A part of it looks like an option of a command, or like a place in a file system.
    #[error("each part of the name of a document begins with a small letter or a digit, not {0:?}")]
    BadStart(char),
    /// It begins as that of a descriptor, and goes on otherwise.
    #[error("{AGENT:?} is followed by the whole id of an agent: 26 letters and digits")]
    NoAgent,
}

const AGENT: &str = "agent/";

impl DocName {
    /// The descriptor of this agent.
    #[must_use]
    pub fn of_agent(agent: AgentId) -> Self {
        Self(format!("{AGENT}{agent}").into())
    }

    /// The agent whose descriptor it names; `None` for all other documents.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        self.0.strip_prefix(AGENT)?.parse().ok()
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes before every name.
    pub(super) fn first() -> Self {
        Self("".into())
    }

    /// Which of the 256 buckets of sums it belongs to.
    pub(super) fn bucket(&self) -> u8 {
        blake3::hash(self.0.as_bytes()).as_bytes()[0]
    }
}

impl FromStr for DocName {
    type Err = DocNameError;
    fn from_str(text: &str) -> Result<Self, DocNameError> {
        if text.len() > DOCUMENT_NAME_BYTES_MAX {
            return Err(DocNameError::TooLong(text.len()));
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        if let Some(bad) = text.chars().find(|c| !good(*c)) {
            return Err(DocNameError::BadCharacter(bad));
        }
        if text.split('/').any(str::is_empty) {
            return Err(DocNameError::Empty);
        }
        let mut starts = text.split('/').filter_map(|part| part.chars().next());
        if let Some(bad) = starts.find(|c| "-_.".contains(*c)) {
            return Err(DocNameError::BadStart(bad));
        }
        let agent = text.strip_prefix(AGENT).map(str::parse::<AgentId>);
        match agent {
            // One agent has one name: nothing else stands for the same number.
            Some(Ok(agent)) if Self::of_agent(agent).as_str() == text => {}
            None => {}
            Some(_) => return Err(DocNameError::NoAgent),
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for DocName {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            return out.serialize_str(&self.0);
        }
        let written = self.agent().map_or(Written::Other(self.as_str()), Written::Descriptor);
        written.serialize(out)
    }
}

impl<'de> Deserialize<'de> for DocName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let parse = |text: String| text.parse::<Self>().map_err(D::Error::custom);
        if from.is_human_readable() {
            return parse(String::deserialize(from)?);
        }
        match Written::<String>::deserialize(from)? {
            Written::Descriptor(agent) => Ok(Self::of_agent(agent)),
            Written::Other(text) => {
                let name = parse(text)?;
                let other = name.agent().is_none().then_some(name);
                other.ok_or_else(|| D::Error::custom("a descriptor is named by its agent"))
            }
        }
    }
}

impl From<DocName> for String {
    fn from(name: DocName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for DocName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for DocName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn names_of_documents_and_of_descriptors() {
        for good in ["conf/echo", "zone", "a-b_c.d/0/x"] {
            let name: DocName = good.parse().unwrap();
            assert_eq!((name.as_str(), name.agent()), (good, None));
        }
        let agent = AgentId(5000);
        let name = DocName::of_agent(agent);
        assert_eq!(name.agent(), Some(agent));
        assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn a_descriptor_is_named_by_its_agent_between_hosts_and_by_text_for_people() {
        let (agent, other) = (DocName::of_agent(AgentId(5000)), "conf/echo".parse().unwrap());
        for name in [&agent, &other] {
            let bytes = wire::encode(name);
            assert_eq!(wire::decode::<DocName>(&bytes, bytes.len()).as_ref(), Ok(name));
        }
        assert_eq!(wire::encode(&agent), wire::encode(&(0_u8, AgentId(5000))));
        assert_eq!(wire::encode(&other), wire::encode(&(1_u8, "conf/echo")));
        let text = wire::encode(&(1_u8, agent.as_str()));
        assert!(wire::decode::<DocName>(&text, text.len()).is_err(), "it has another form");
        let rubbish = wire::encode(&(1_u8, "conf echo"));
        assert!(wire::decode::<DocName>(&rubbish, rubbish.len()).is_err());
    }

    #[test]
    fn what_is_no_name_is_told() {
        let parse = |text: &str| text.parse::<DocName>().unwrap_err();
        for empty in ["", "/a", "a/", "a//b"] {
            assert_eq!(parse(empty), DocNameError::Empty, "{empty:?}");
        }
        assert_eq!(parse("conf/Echo"), DocNameError::BadCharacter('E'));
        assert_eq!(parse("conf echo"), DocNameError::BadCharacter(' '));
        for (control, bad) in [("a\nb", '\n'), ("a\u{1b}[31m", '\u{1b}'), ("a\0", '\0')] {
            assert_eq!(parse(control), DocNameError::BadCharacter(bad));
            assert!(!parse(control).to_string().contains(bad), "{}", parse(control));
        }
        for (start, bad) in [("../x", '.'), ("conf/..", '.'), ("-x", '-'), ("a/_b", '_')] {
            assert_eq!(parse(start), DocNameError::BadStart(bad), "{start}");
        }
        assert_eq!(parse(&"a".repeat(129)), DocNameError::TooLong(129));
        assert_eq!(parse("agent/visits"), DocNameError::NoAgent);
        // The last of 26 letters stands for three bits: some of its 32 values are none.
        let mut other = DocName::of_agent(AgentId(5000)).to_string();
        other.pop();
        other.push('b');
        assert_eq!(parse(&other), DocNameError::NoAgent);
    }
}
