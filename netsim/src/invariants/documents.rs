use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use starling_core::{
    documents::to_json,
    engine::{Counter, Engine},
};
use starling_protocols::{
    ident::AgentId,
    reconcile::Prints,
    replica::{Body, Content, DocName, Replicas},
    time::Time,
};

use super::{Findings, Invariant};
use crate::{
    chronicle::{Chronicle, Edited},
    faults::HostNo,
    host::Asked,
    sim::Sim,
    workload::{Landmark, Signpost},
};

/// How long after all hosts have lanes to each other, and nobody changes anything, they may differ.
const EQUAL_WITHIN: Duration = Duration::from_secs(30);

/// The documents of all hosts that run.
fn all(sim: &Sim) -> impl Iterator<Item = (HostNo, &Replicas)> {
    sim.hosts().filter_map(|host| Some((host, sim.engine(host).and_then(Engine::replicas)?)))
}

/// What a document says at one host; `None` when there is none.
fn value(replicas: &Replicas, name: &DocName) -> Option<Value> {
    let Content::Whole(bytes) = replicas.whole(name)?.content else { return None };
    Body::load(&bytes).ok()?.read(to_json).ok()?.ok()
}

/// No host refuses what another sends of documents, and none fails to write a descriptor.
#[derive(Debug, Default)]
pub struct NobodyRefusesDocuments;

impl Invariant for NobodyRefusesDocuments {
    fn name(&self) -> &'static str {
        "nobody-refuses-documents"
    }

    fn source(&self) -> &'static str {
        "honest hosts send each other good documents; protocols, replica::Refused"
    }

    fn during(&mut self, sim: &Sim) -> Result<(), String> {
        for host in sim.hosts() {
            let Some(engine) = sim.engine(host) else { continue };
            for counter in [Counter::DocumentsRefused, Counter::DocumentsNotWritten] {
                let times = engine.counters().get(counter);
                if times > 0 {
                    return Err(format!("{} counts {times} of {}", sim.name(host), counter.name()));
                }
            }
            let damaged = engine.replicas().and_then(|all| all.damaged().next());
            if let Some((name, why)) = damaged {
                return Err(format!("{name} is damaged at {}: {why}", sim.name(host)));
            }
        }
        Ok(())
    }
}

/// After healing all hosts come to have the same documents, and nothing is left over.
#[derive(Debug)]
pub struct DocumentsConverge {
    /// What was done.
    pub chronicle: Chronicle,
    quiet_at: Option<Time>,
    equal_at: Option<Time>,
}

impl DocumentsConverge {
    /// Watches the documents of these doings.
    #[must_use]
    pub const fn new(chronicle: Chronicle) -> Self {
        Self { chronicle, quiet_at: None, equal_at: None }
    }
}

impl Invariant for DocumentsConverge {
    fn name(&self) -> &'static str {
        "documents-converge"
    }

    fn source(&self) -> &'static str {
        "all hosts come to have the same documents; protocols, replica::Replication"
    }

    /// Looked at when all agents rest and all hosts have links to each other.
    fn eventually(&mut self, sim: &Sim) -> Result<(), String> {
        self.quiet_at.get_or_insert(sim.now());
        let mut hosts = all(sim);
        let Some((first, known)) = hosts.next() else { return Ok(()) };
        for (host, replicas) in hosts {
            if replicas.sums() != known.sums() {
                return Err(difference(sim, (first, known), (host, replicas)));
            }
        }
        self.equal_at.get_or_insert(sim.now());
        Ok(())
    }

    fn at_end(&mut self, sim: &Sim, _: &Findings) -> Result<(), String> {
        let (quiet, equal) = (self.quiet_at.zip(self.equal_at)).ok_or("it never came to that")?;
        let took = equal.since(quiet);
        if took > EQUAL_WITHIN {
            return Err(format!("it took {took:?} after everybody was there and quiet"));
        }
        self.eventually(sim)?;
        let written = self.chronicle.edits().len() + self.chronicle.posts().len();
        for (host, replicas) in all(sim) {
            if replicas.len() > written {
                let (many, name) = (replicas.len(), sim.name(host));
                return Err(format!("{name} has {many} documents of {written} ever made"));
            }
            if !sim.documents_are_written(host) {
                return Err(format!("documents wait for the disk of {}", sim.name(host)));
            }
        }
        Ok(())
    }
}

fn difference(sim: &Sim, one: (HostNo, &Replicas), other: (HostNo, &Replicas)) -> String {
    let prints = |replicas: &Replicas| {
        let buckets = (0..=u8::MAX).flat_map(|bucket| {
            replicas.bucket(bucket).map(|(print, name)| (name.clone(), print)).collect::<Vec<_>>()
        });
        buckets.collect::<BTreeMap<DocName, u64>>()
    };
    let (here, there) = (prints(one.1), prints(other.1));
    let mut names = here.keys().chain(there.keys());
    let name = names.find(|name| here.get(*name) != there.get(*name));
    let text = |replicas: &Replicas, name: &DocName| {
        format!("{:?} {:?}", replicas.base(name), replicas.heads(name))
    };
    match name {
        Some(name) => format!(
            "{name} is {} at {} and {} at {}",
            text(one.1, name),
            sim.name(one.0),
            text(other.1, name),
            sim.name(other.0)
        ),
        None => "the sums differ and the prints do not".into(),
    }
}

/// A change that was acknowledged is there on all hosts, unless its document was deleted.
#[derive(Debug)]
pub struct AcknowledgedIsEverywhere {
    /// What was done.
    pub chronicle: Chronicle,
}

impl Invariant for AcknowledgedIsEverywhere {
    fn name(&self) -> &'static str {
        "acknowledged-is-everywhere"
    }

    fn source(&self) -> &'static str {
        "a change is acknowledged when it is durable; protocols, replica::Replication"
    }

    fn at_end(&mut self, sim: &Sim, _: &Findings) -> Result<(), String> {
        let ended = ended(sim);
        for (host, replicas) in all(sim) {
            let mut values = BTreeMap::new();
            for edit in self.chronicle.edits() {
                let ended = ended.get(&edit.name).copied().unwrap_or_default();
                let name = edit.name.clone();
                let said = values.entry(name).or_insert_with_key(|name| value(replicas, name));
                check(sim, &edit, ended, said.as_ref())
                    .map_err(|why| format!("{why}, at {}", sim.name(host)))?;
            }
        }
        for (host, ticket) in self.chronicle.deletions() {
            if *sim.answer(host, ticket) == Asked::Waiting {
                return Err(format!("{} got no answer to a deletion", sim.name(host)));
            }
        }
        Ok(())
    }
}

/// The number of the history with which each document begins that has a name which was deleted, or
/// would begin: what was written in those before is deleted. A host tells of a deletion only to
/// those who have what it deletes, so not all know of the last one.
fn ended(sim: &Sim) -> BTreeMap<DocName, u64> {
    let mut ended: BTreeMap<DocName, u64> = BTreeMap::new();
    for (_, replicas) in all(sim) {
        for (name, base) in replicas.bases() {
            let from = match replicas.whole(name) {
                Some(it) if !base.gone => it.lineage.from,
                _ => base.number + 1,
            };
            let latest = ended.entry(name.clone()).or_default();
            *latest = from.max(*latest);
        }
    }
    ended
}

fn check(sim: &Sim, edit: &Edited, ended: u64, said: Option<&Value>) -> Result<(), String> {
    let Edited { at, ticket, name, key } = edit;
    let replicas = match sim.answer(*at, *ticket) {
        Asked::Waiting => return Err(format!("no answer came to change {key} of {name}")),
        Asked::Answered(Ok(answer)) => answer
            .as_u64()
            .ok_or_else(|| format!("change {key} of {name} was refused: {answer}"))?,
        Asked::Answered(Err(_)) | Asked::Lost => return Ok(()),
    };
    let Some(written) = sim.written(*at, *ticket).filter(|_| replicas > 0) else { return Ok(()) };
    let may_be_deleted = name.as_str().starts_with("conf/brief-");
    let there = said.is_some_and(|said| said.get(key) == Some(&Value::from(at.0)));
    if there || may_be_deleted && written.base.number < ended {
        return Ok(());
    }
    Err(format!(
        "change {key} of {name}, acknowledged as on {replicas} hosts, is not there: it was written \
         in {:?}, and only what was before {ended} was deleted",
        written.base
    ))
}

/// The descriptor of an agent that lives says what the agent said last; that of one that was
/// stopped is gone.
#[derive(Debug)]
pub struct DescriptorsAreTrue {
    /// What was done.
    pub chronicle: Chronicle,
}

impl Invariant for DescriptorsAreTrue {
    fn name(&self) -> &'static str {
        "descriptors-are-true"
    }

    fn source(&self) -> &'static str {
        "all hosts know of an agent what it said last; node/core, Cx::describe"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let living = living(sim, &self.chronicle, findings)?;
        for (host, replicas) in all(sim) {
            for (agent, (home, expected)) in &living {
                let said = value(replicas, &DocName::of_agent(*agent));
                let at = format!("at {}, of agent {agent} of {}", sim.name(host), sim.name(*home));
                let said = said.ok_or_else(|| format!("there is no descriptor {at}"))?;
                let owner = said["host"] == sim.id(*home).to_string();
                if !owner || said["fields"] != *expected {
                    return Err(format!("the descriptor {at} says {said}, not {expected}"));
                }
            }
            for post in self.chronicle.posts() {
                let Some(agent) = post.agent(sim).filter(|_| post.is_stopped(sim)) else {
                    continue;
                };
                if let Some(said) = value(replicas, &DocName::of_agent(agent)) {
                    let name = sim.name(host);
                    return Err(format!("{agent} was stopped, and at {name} is still {said}"));
                }
            }
        }
        Ok(())
    }
}

/// The agents that live and describe themselves, with their hosts and what they said last.
fn living(
    sim: &Sim,
    chronicle: &Chronicle,
    findings: &Findings,
) -> Result<BTreeMap<AgentId, (HostNo, Value)>, String> {
    let mut living = BTreeMap::new();
    for agent in chronicle.agents(sim) {
        // Both kinds look the same.
        for (finding, post) in findings.states::<Landmark>(agent)? {
            if finding.alive {
                let fields = Signpost { said: post.said, ..Signpost::default() }.fields();
                living.insert(agent, (finding.host, fields));
            }
        }
    }
    Ok(living)
}
