use std::{collections::BTreeSet, fmt, str::FromStr};

use starling_protocols::{
    interest::{ServiceName, TopicName},
    limits::SERVICES_PER_AGENT_MAX,
};

use super::Effect;

/// What stands before the name of a service in a snapshot. It has a blank, as no topic does.
const OFFER: &str = "offer ";

/// What an agent has asked for that lasts until it says otherwise, and is not in its ball: the
/// topics it listens to, and the services it offers beside what its kind declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing(BTreeSet<One>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum One {
    Topic(TopicName),
    Service(ServiceName),
}

impl Standing {
    /// Listens to some topics.
    pub(crate) fn of_topics<'a>(topics: impl IntoIterator<Item = &'a TopicName>) -> Self {
        Self(topics.into_iter().cloned().map(One::Topic).collect())
    }

    /// As a snapshot names it.
    pub(crate) fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        names.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    /// As a snapshot names it.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// What an agent asks for changes it.
    pub(crate) fn follow(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Listen { topic } => drop(self.0.insert(One::Topic(topic.clone()))),
                Effect::Ignore { topic } => drop(self.0.remove(&One::Topic(topic.clone()))),
                Effect::Offer { service } if self.services().count() < SERVICES_PER_AGENT_MAX => {
                    self.0.insert(One::Service(service.clone()));
                }
                Effect::Withdraw { service } => {
                    self.0.remove(&One::Service(service.clone()));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.0.iter().filter_map(|one| match one {
            One::Topic(topic) => Some(topic),
            One::Service(_) => None,
        })
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        // Services come after the topics, of which there may be many.
        self.0.iter().rev().map_while(|one| match one {
            One::Service(service) => Some(service),
            One::Topic(_) => None,
        })
    }
}

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => f.write_str(topic.as_str()),
            Self::Service(service) => write!(f, "{OFFER}{service}"),
        }
    }
}

impl FromStr for One {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let one = match text.strip_prefix(OFFER) {
            Some(service) => service.parse().map(Self::Service).map_err(|why| why.to_string()),
            None => text.parse().map(Self::Topic).map_err(|why| why.to_string()),
        };
        one.map_err(|why| format!("{text:?}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        name.parse().expect("a name")
    }

    #[test]
    fn what_a_snapshot_names_comes_out_again() {
        let names =
            ["chat/said#4", "shard:chat/said", "offer chat/said#4", "offer printing/colour"];
        let standing = Standing::parse(names).expect("topics and services");
        assert_eq!(standing.names().collect::<Vec<_>>(), names);
        assert_eq!(standing.topics().count(), 2);
        let services: Vec<_> = standing.services().map(ServiceName::as_str).collect();
        assert_eq!(services, ["printing/colour", "chat/said#4"]);
        for bad in ["two words", "offer ", "offer two words"] {
            assert!(Standing::parse([bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_agent_offers_no_more_than_it_may_until_it_withdraws_something() {
        let mut standing = Standing::of_topics([&"chat/said".parse().expect("a topic")]);
        let offer = |number: usize| Effect::Offer { service: service(&format!("s/{number}")) };
        standing.follow(&(0..=SERVICES_PER_AGENT_MAX).map(offer).collect::<Vec<_>>());
        assert_eq!(standing.services().count(), SERVICES_PER_AGENT_MAX);
        assert!(!standing.services().any(|of| *of == service("s/256")));
        standing.follow(&[Effect::Withdraw { service: service("s/7") }, offer(256), offer(256)]);
        assert!(standing.services().any(|of| *of == service("s/256")));
        assert_eq!(standing.services().count(), SERVICES_PER_AGENT_MAX);
        assert_eq!(standing.topics().count(), 1);
    }
}
