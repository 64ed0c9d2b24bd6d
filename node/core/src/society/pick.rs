use starling_protocols::{
    ident::{Address, HostId},
    words::cut,
};

use crate::engine::{AgentSummary, HostView};

/// The fewest letters of an id that stand for it.
const PREFIX_MIN: usize = 4;

/// Characters that are shown of what was typed and is nothing.
const TYPED_CHARS: usize = 80;

/// What a person typed to name an agent: `AGENT` or `AGENT@HOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The agent: id, beginning of an id, name, or kind.
    pub agent: &'a str,
    /// The host: id, beginning of an id, or name.
    pub host: Option<&'a str>,
}

/// Why what a person typed names nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// Nothing has that name.
    #[error("there is no {what} {text:?}")]
    None {
        /// What was looked for.
        what: &'static str,
        /// What was typed.
        text: String,
    },
    /// Several have that name.
    #[error("{text:?} may be any of: {}", candidates.join(", "))]
    Several {
        /// What was typed.
        text: String,
        /// What it may be, each as it can be typed.
        candidates: Vec<String>,
    },
}

impl<'a> Place<'a> {
    /// Takes apart what a person typed.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match text.split_once('@') {
            Some((agent, host)) => Self { agent, host: Some(host) },
            None => Self { agent: text, host: None },
        }
    }

    /// The address, where both parts are whole ids: then nobody needs to be asked.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        Some(Address { host: self.host?.parse().ok()?, agent: self.agent.parse().ok()? })
    }
}

/// The host that a person means: by its name, its id, or the beginning of its id.
///
/// # Errors
/// [`PickError`] when there is none, or more than one.
pub fn pick_host(hosts: &[HostView], text: &str) -> Result<HostId, PickError> {
    let present = hosts.iter().map(|view| &view.record);
    let by = |wanted: &dyn Fn(&str, &str) -> bool| -> Vec<(HostId, String)> {
        present
            .clone()
            .filter(|record| wanted(&record.host.to_string(), &record.name))
            .map(|record| (record.host, format!("{} ({})", record.host.short(), record.name)))
            .collect()
    };
    let ways =
        [by(&|id, _| id == text), by(&|_, name| name == text), by(&|id, _| begins(id, text))];
    first_match("host", text, ways)
}

/// The agent that a person means, among `agents` of the hosts with these names: by id, name, the
/// beginning of the id, or the kind where there is one of it.
///
/// # Errors
/// [`PickError`] when there is none, or more than one.
pub fn pick_agent(
    agents: &[(HostId, String, AgentSummary)],
    text: &str,
) -> Result<Address, PickError> {
    let by = |wanted: &dyn Fn(&AgentSummary) -> bool| -> Vec<(Address, String)> {
        agents
            .iter()
            .filter(|(.., agent)| wanted(agent))
            .map(|(host, host_name, agent)| {
                let called = agent.name.clone().unwrap_or_else(|| agent.agent.short());
                (Address { host: *host, agent: agent.agent }, format!("{called}@{host_name}"))
            })
            .collect()
    };
    let ways = [
        by(&|agent| agent.agent.to_string() == text),
        by(&|agent| agent.name.as_deref() == Some(text)),
        by(&|agent| begins(&agent.agent.to_string(), text)),
        by(&|agent| agent.kind == text),
    ];
    first_match("agent", text, ways)
}

fn begins(id: &str, text: &str) -> bool {
    text.len() >= PREFIX_MIN && id.starts_with(text)
}

/// The first way of naming that finds anything decides.
fn first_match<T>(
    what: &'static str,
    text: &str,
    ways: impl IntoIterator<Item = Vec<(T, String)>>,
) -> Result<T, PickError> {
    let mut found = ways.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    match found.len() {
        0 => Err(PickError::None { what, text: cut(text, TYPED_CHARS).into_owned() }),
        1 => Ok(found.remove(0).0),
        _ => {
            let candidates = found.into_iter().take(8).map(|(_, name)| name).collect();
            Err(PickError::Several { text: text.to_owned(), candidates })
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::ident::AgentId;

    use super::*;

    fn agents() -> Vec<(HostId, String, AgentSummary)> {
        let rows = [(1, "alpha", 7, Some("hits"), "counter"), (2, "beta", 8, None, "counter")];
        let rows = rows.into_iter().map(|(host, host_name, id, name, kind)| {
            let agent = AgentSummary {
                agent: AgentId(id << 100),
                name: name.map(str::to_owned),
                kind: kind.to_owned(),
                inputs: 0,
                waiting: 0,
            };
            (HostId([host; 32]), host_name.to_owned(), agent)
        });
        rows.collect()
    }

    #[test]
    fn names_ids_and_their_beginnings_find_an_agent() {
        let agents = agents();
        let whole = agents[1].2.agent.to_string();
        for (text, place) in [("hits", 0), (whole.as_str(), 1)] {
            let found = pick_agent(&agents, text).expect(text);
            assert_eq!((found.host, found.agent), (agents[place].0, agents[place].2.agent));
        }
    }

    #[test]
    fn what_means_several_lists_them() {
        let error = pick_agent(&agents(), "counter").expect_err("two are counters");
        let short = agents()[1].2.agent.short();
        assert_eq!(
            error.to_string(),
            format!("\"counter\" may be any of: hits@alpha, {short}@beta")
        );
    }

    #[test]
    fn what_means_nothing_says_so() {
        let error = pick_agent(&agents(), "aaa").expect_err("three letters are too few");
        assert_eq!(error.to_string(), "there is no agent \"aaa\"");
        let error = pick_agent(&agents(), &"ü".repeat(100_000)).expect_err("a name");
        assert_eq!(error.to_string(), format!("there is no agent \"{}…\"", "ü".repeat(80)));
    }

    #[test]
    fn whole_ids_need_no_look_up() {
        let address = Address { host: HostId([3; 32]), agent: AgentId(9 << 100) };
        let text = address.to_string();
        assert_eq!(Place::parse(&text).address(), Some(address));
        assert_eq!(Place::parse("hits@alpha").address(), None);
    }
}
