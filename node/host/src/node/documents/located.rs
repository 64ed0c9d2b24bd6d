use starling_protocols::replica::DocName;

use crate::api::documents::{DocRow, Located};

/// Where an agent lives by its descriptor, when its host is reached like this. Nothing for what is
/// no descriptor.
pub(super) fn by_descriptor(row: DocRow, state: String) -> Option<Located> {
    let DocRow { name, value, owner, .. } = row;
    let (agent, owner) = (name.parse::<DocName>().ok()?.agent()?, owner?);
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    Some(Located {
        agent: agent.to_string(),
        name: text("name"),
        kind: text("kind").unwrap_or_default(),
        host: owner.host,
        host_name: owner.host_name,
        state,
        instance: owner.instance,
        moving: value["under_restart"] == true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use starling_protocols::ident::AgentId;

    use super::*;
    use crate::api::documents::DocOwner;

    fn row(name: String, value: Value) -> DocRow {
        let owner = DocOwner { host: "h".into(), host_name: "beta".into(), instance: 2 };
        DocRow { name, value, heads: Vec::new(), owner: Some(owner) }
    }

    #[test]
    fn an_agent_between_two_hosts_is_moving() {
        let agent = AgentId(1 << 70);
        let name = DocName::of_agent(agent).to_string();
        for (more, moving) in [
            (json!({}), false),
            (json!({ "under_restart": true }), true),
            (json!({ "under_restart": false }), false),
        ] {
            let mut value = json!({ "name": "visits", "kind": "counter" });
            value.as_object_mut().expect("a map").extend(more.as_object().expect("one").clone());
            let found = by_descriptor(row(name.clone(), value), "linked".into());
            let wanted = Located {
                agent: agent.to_string(),
                name: Some("visits".into()),
                kind: "counter".into(),
                host: "h".into(),
                host_name: "beta".into(),
                state: "linked".into(),
                instance: 2,
                moving,
            };
            assert_eq!(found, Some(wanted));
        }
        let other = row("conf/echo".into(), json!({ "under_restart": true }));
        assert_eq!(by_descriptor(other, "linked".into()), None);
    }
}
