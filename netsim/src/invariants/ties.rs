use std::collections::BTreeMap;

use serde_json::Value;
use starling_protocols::ident::{Address, Bond};

use super::{Finding, Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{Neighbour, Tie, cottage_of, farm_of},
};

/// Each is told of each end once, of nothing that has not begun, and sees in every moment the
/// partners it was told of: of some relations one at most, and each with what is bound to it.
#[derive(Debug, Default)]
pub struct EachEndIsToldOnce;

/// A partnership that stands for one side stands for the other: by the same name, of the inverse
/// relation, with that one.
///
/// All hosts are back when this is looked at. Of one that never comes back its partners keep their
/// halves until somebody buries it.
#[derive(Debug, Default)]
pub struct PartnersAgree;

/// When all windows have ended, nothing is proposed, nobody waits for anything but for partners to
/// end, and each partner has what is bound to it, and nobody else has.
#[derive(Debug, Default)]
pub struct NothingIsLeftOfPartners;

/// What one neighbour knows in one life.
struct Books {
    me: Address,
    name: String,
    alive: bool,
    resting: bool,
    ties: BTreeMap<Bond, Tie>,
    places: Result<(), String>,
    wrong: Vec<String>,
    waits: Vec<Value>,
}

impl Books {
    /// Those of all lives, or of one that outlives its daemon the present ones.
    fn of_all(sim: &Sim, findings: &Findings) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for host in sim.hosts() {
            for (finding, of) in findings.states::<Neighbour<false>>(cottage_of(host))? {
                all.push(Self::of(sim, finding, "cottage", of));
            }
            for (finding, of) in findings.states::<Neighbour<true>>(farm_of(host))? {
                if finding.alive {
                    all.push(Self::of(sim, finding, "farm", of));
                }
            }
        }
        let alive = all.iter().filter(|books| books.alive).count();
        if alive != 2 * sim.hosts().count() {
            return Err(format!("{alive} neighbours are left"));
        }
        Ok(all)
    }

    fn of<const KEPT: bool>(sim: &Sim, finding: &Finding, sort: &str, of: Neighbour<KEPT>) -> Self {
        Self {
            me: Address { host: finding.id, agent: finding.agent },
            name: format!("the {sort} of {}", sim.name(finding.host)),
            alive: finding.alive,
            resting: of.resting,
            places: of.places_are_right(true),
            ties: of.ties,
            wrong: of.wrong,
            // Each is JSON in a text.
            waits: finding.waits.iter().filter_map(read).collect(),
        }
    }
}

fn read(wait: &Value) -> Option<Value> {
    serde_json::from_str(wait.as_str()?).ok()
}

impl Invariant for EachEndIsToldOnce {
    fn name(&self) -> &'static str {
        "each-end-is-told-once"
    }

    fn source(&self) -> &'static str {
        "protocols, partner: what is in italics is an end; each is told once"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        match all.iter().find_map(|books| Some((&books.name, books.wrong.first()?))) {
            None => Ok(()),
            Some((name, wrong)) => Err(format!("at {name}: {wrong}")),
        }
    }
}

impl Invariant for PartnersAgree {
    fn name(&self) -> &'static str {
        "partners-agree"
    }

    fn source(&self) -> &'static str {
        "protocols, partner: two agents that rely on each other, and both know it"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        let alive = all.iter().filter(|books| books.alive);
        let alive: BTreeMap<Address, &Books> = alive.map(|books| (books.me, books)).collect();
        for books in alive.values() {
            for (bond, tie) in books.ties.iter().filter(|(_, tie)| tie.stands) {
                let side = tie.side.inverse();
                let expected = Tie { side, partner: books.me, stands: true };
                let other = alive.get(&tie.partner);
                let found = other.and_then(|other| other.ties.get(bond));
                if found != Some(&expected) {
                    let other = other.map_or("nobody", |other| other.name.as_str());
                    return Err(format!(
                        "{bond} stands for {} ({tie:?}), and for {other} {found:?}",
                        books.name
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Invariant for NothingIsLeftOfPartners {
    fn name(&self) -> &'static str {
        "nothing-is-left-of-partners"
    }

    fn source(&self) -> &'static str {
        "protocols, partner: a proposal ends in time; node/core, partners: what is bound is released"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for books in Books::of_all(sim, findings)?.iter().filter(|books| books.alive) {
            let name = &books.name;
            if !books.resting {
                return Err(format!("{name} was told to rest and has forgotten it"));
            }
            books.places.clone().map_err(|why| format!("at {name}: {why}"))?;
            if let Some((bond, tie)) = books.ties.iter().find(|(_, tie)| !tie.stands) {
                return Err(format!("{name} has proposed {bond} and never heard: {tie:?}"));
            }
            let other = books.waits.iter().find(|wait| wait["what"] != "partner");
            if let Some(other) = other {
                return Err(format!("{name} still waits for {other}"));
            }
            let shown: Vec<&Value> = books.waits.iter().map(|wait| &wait["then"]).collect();
            for (bond, tie) in &books.ties {
                let is_it = |row: &&&Value| {
                    row["bond"] == bond.to_string()
                        && row["stage"] == "standing"
                        && row["relation"] == tie.side.name()
                        && row["partner"] == tie.partner.to_string()
                };
                if shown.iter().filter(is_it).count() != 1 {
                    return Err(format!("people are shown {shown:?} of {name}, not {tie:?}"));
                }
            }
            if shown.len() != books.ties.len() {
                return Err(format!("{name} has {:?}, and people are shown {shown:?}", books.ties));
            }
        }
        Ok(())
    }
}
