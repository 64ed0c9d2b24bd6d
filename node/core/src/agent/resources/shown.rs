use serde_json::{Map, Value, json};
use starling_protocols::limits::{
    DESCRIBED_ALLOCATIONS_MAX, DESCRIBED_RESOURCES_MAX, DESCRIBED_VALUES_MAX,
};

use super::{Allocation, Resources, Share};

impl Resources {
    /// What others are to know: what there is, and who holds what of it. What is not confirmed comes
    /// and goes within seconds, and is left out.
    pub(crate) fn shown(&self) -> (Value, Value) {
        let usage = self.usage();
        let beyond = usage.len().saturating_sub(DESCRIBED_RESOURCES_MAX);
        let all = usage.into_iter().take(DESCRIBED_RESOURCES_MAX).map(|(name, of)| {
            let sort = serde_json::to_value(of.sort).unwrap_or_default();
            (name, json!({ "sort": sort, "total": of.total, "allocated": of.allocated }))
        });
        let resources = map(all, beyond);
        let confirmed = || self.allocations().filter(|(_, of)| of.until().is_none());
        let beyond = confirmed().count().saturating_sub(DESCRIBED_ALLOCATIONS_MAX);
        let all = confirmed().take(DESCRIBED_ALLOCATIONS_MAX);
        let allocations = map(all.map(|(id, of)| (id.0.to_string(), allocation(of))), beyond);
        (resources, allocations)
    }
}

fn allocation(of: &Allocation) -> Value {
    let holds = of.shares().iter().take(DESCRIBED_RESOURCES_MAX);
    let holds: Map<String, Value> =
        holds.map(|(name, share)| (name.to_owned(), held(share))).collect();
    match of.bound_to() {
        Some(bond) => json!({ "holds": holds, "bond": bond.to_string() }),
        None => json!({ "holds": holds }),
    }
}

fn held(share: &Share) -> Value {
    match share {
        Share::Values(values) if values.len() <= DESCRIBED_VALUES_MAX => json!(values),
        share => json!(share.size()),
    }
}

/// Some entries, and how many there are beyond them; nothing when there are none.
pub(in crate::agent) fn map(
    entries: impl Iterator<Item = (String, Value)>,
    beyond: usize,
) -> Value {
    let mut all: Map<String, Value> = entries.collect();
    if beyond > 0 {
        all.insert("more".to_owned(), json!(beyond));
    }
    if all.is_empty() { Value::Null } else { Value::Object(all) }
}
