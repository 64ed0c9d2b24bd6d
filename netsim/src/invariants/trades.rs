use std::collections::BTreeMap;

use starling_protocols::ident::{Address, AgentId};

use super::{Finding, Findings, Invariant};
use crate::{
    sim::Sim,
    workload::{Deal, Part, SHOP, STALL, Trader},
};

/// What somebody was granted was granted by somebody, to this one, once; and of one order, however
/// often it is made, no more comes than was wanted.
#[derive(Debug, Default)]
pub struct NobodyIsGrantedTwice;

/// What a contractor was told is acknowledged, its manager knows as completed. What a manager knows
/// as completed, its contractors have done; and their side is acknowledged too, unless they could
/// not be told in time.
#[derive(Debug, Default)]
pub struct TradersAgree;

/// When all windows have ended, every contract and every job has ended, nobody waits for anything,
/// and nothing is allocated but what was sold.
#[derive(Debug, Default)]
pub struct NothingIsLeftOfContracts;

/// The books of one trader in one life.
struct Books {
    /// Whose.
    trader: Address,
    name: String,
    alive: bool,
    resting: bool,
    deals: Vec<Deal>,
    parts: Vec<Part>,
    wrong: Vec<String>,
    waits: Vec<String>,
}

impl Books {
    /// The books of all traders that are worth something: those of all lives, or of one that
    /// outlives its daemon the present ones.
    fn of_all(sim: &Sim, findings: &Findings) -> Result<Vec<Self>, String> {
        let stalls = findings.states::<Trader<false>>(STALL)?.into_iter();
        let mut all: Vec<Self> =
            stalls.map(|(finding, trader)| Self::of(sim, finding, STALL, trader)).collect();
        let shops = findings.states::<Trader<true>>(SHOP)?.into_iter();
        let shops = shops.filter(|(finding, _)| finding.alive);
        all.extend(shops.map(|(finding, trader)| Self::of(sim, finding, SHOP, trader)));
        let alive = all.iter().filter(|books| books.alive).count();
        if alive != 2 * sim.hosts().count() {
            return Err(format!("{alive} traders are left"));
        }
        Ok(all)
    }

    fn of<const KEPT: bool>(
        sim: &Sim,
        finding: &Finding,
        agent: AgentId,
        trader: Trader<KEPT>,
    ) -> Self {
        let sort = if KEPT { "shop" } else { "stall" };
        Self {
            trader: Address { host: finding.id, agent },
            name: format!("the {sort} of {}", sim.name(finding.host)),
            alive: finding.alive,
            resting: trader.resting,
            deals: trader.deals.into_values().collect(),
            parts: trader.parts.into_values().collect(),
            wrong: trader.wrong,
            waits: finding.waits.iter().map(ToString::to_string).collect(),
        }
    }
}

/// All deals and all parts, by their keys.
struct Ledger<'a> {
    deals: BTreeMap<u64, (&'a Books, &'a Deal)>,
    parts: BTreeMap<u64, (&'a Books, &'a Part)>,
}

impl<'a> Ledger<'a> {
    fn of(all: &'a [Books]) -> Result<Self, String> {
        let (mut deals, mut parts) = (BTreeMap::new(), BTreeMap::new());
        for books in all {
            let name = &books.name;
            if let Some(wrong) = books.wrong.first() {
                return Err(format!("at {name}: {wrong}"));
            }
            for deal in &books.deals {
                if deals.insert(deal.key, (books, deal)).is_some() {
                    return Err(format!("{name} announced what was announced already"));
                }
            }
            for part in &books.parts {
                if parts.insert(part.key, (books, part)).is_some() {
                    return Err(format!("{name} has a part that another has"));
                }
            }
        }
        Ok(Self { deals, parts })
    }
}

impl Invariant for NobodyIsGrantedTwice {
    fn name(&self) -> &'static str {
        "nobody-is-granted-twice"
    }

    fn source(&self) -> &'static str {
        "protocols, contract: a grant goes to a bid that stands, once"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        let Ledger { deals, parts } = Ledger::of(&all)?;
        for (key, (books, part)) in &parts {
            let name = &books.name;
            let Some(granted) = part.granted else { continue };
            let Some((manager, deal)) = deals.get(&granted) else {
                return Err(format!("nobody has granted what {name} was granted"));
            };
            let mut by_it = deal.granted.iter().filter(|(part, _)| part == key);
            if !by_it.any(|(_, bid)| bid.bidder == books.trader) {
                return Err(format!("{} has not granted what {name} was granted", manager.name));
            }
        }
        let mut orders: BTreeMap<u64, (usize, usize, usize)> = BTreeMap::new();
        for (key, (_, deal)) in &deals {
            let has = |(part, _): &&(u64, _)| {
                let part = parts.get(part).filter(|(_, part)| part.granted == Some(*key));
                part.is_some_and(|(_, part)| part.end.as_deref() == Some("acknowledged"))
            };
            let order = orders.entry(deal.order).or_default();
            order.0 = deal.wanted;
            order.1 += deal.granted.iter().filter(has).count();
            order.2 += usize::from(counts(deal));
        }
        for (order, (wanted, have, completed)) in orders {
            if have > wanted || completed > 1 {
                return Err(format!(
                    "of order {order:x}, {wanted} were wanted and {have} have done it; it was \
                     completed {completed} times"
                ));
            }
        }
        Ok(())
    }
}

impl Invariant for TradersAgree {
    fn name(&self) -> &'static str {
        "traders-agree"
    }

    fn source(&self) -> &'static str {
        "protocols, contract: an acknowledgement says that all have reported"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        let all = Books::of_all(sim, findings)?;
        let Ledger { deals, parts } = Ledger::of(&all)?;
        for (key, (books, part)) in &parts {
            if part.end.as_deref() != Some("acknowledged") {
                continue;
            }
            let deal = part.granted.and_then(|deal| deals.get(&deal));
            let completed =
                deal.is_some_and(|(_, deal)| counts(deal) && deal.reported.contains(key));
            if !completed {
                let (name, end) = (&books.name, deal.map(|(_, deal)| &deal.end));
                return Err(format!("for {name} it is acknowledged, for its manager {end:?}"));
            }
        }
        let calm = sim.fired().iter().next().is_none();
        for (books, deal) in deals.values().filter(|(_, deal)| counts(deal)) {
            for part in &deal.reported {
                let told = told(parts.get(part), calm);
                told.map_err(|why| format!("for {} it is completed, but {why}", books.name))?;
            }
        }
        Ok(())
    }
}

/// Whether what was reported counts.
fn counts(deal: &Deal) -> bool {
    matches!(deal.end.as_deref(), Some("completed" | "partial"))
}

/// Whether the end of a part is one that it may have where its report counts: acknowledged or, when
/// something went wrong, that it cannot know.
fn told(part: Option<&(&Books, &Part)>, calm: bool) -> Result<(), String> {
    let Some((books, part)) = part else { return Err("nobody has done it".into()) };
    let name = &books.name;
    if !part.done {
        return Err(format!("{name} has not done it"));
    }
    match part.end.as_deref() {
        Some("acknowledged") => Ok(()),
        None if !books.alive => Ok(()),
        Some(end) if end.starts_with("aborted: ") && !calm => Ok(()),
        end => Err(format!("for {name} it is {end:?}")),
    }
}

impl Invariant for NothingIsLeftOfContracts {
    fn name(&self) -> &'static str {
        "nothing-is-left-of-contracts"
    }

    fn source(&self) -> &'static str {
        "protocols, contract: every window ends, and whoever undoes what it has done holds nothing"
    }

    fn at_end(&mut self, sim: &Sim, findings: &Findings) -> Result<(), String> {
        for books in Books::of_all(sim, findings)?.iter().filter(|books| books.alive) {
            let name = &books.name;
            if !books.resting {
                return Err(format!("{name} was told to rest and has forgotten it"));
            }
            if let Some(deal) = books.deals.iter().find(|deal| deal.end.is_none()) {
                return Err(format!("a contract of {name} never ended: {deal:?}"));
            }
            if let Some(part) = books.parts.iter().find(|part| part.end.is_none()) {
                return Err(format!("a job of {name} never ended: {part:?}"));
            }
            if let Some(wait) = books.waits.first() {
                return Err(format!("{name} still waits for {wait}"));
            }
            let sold = |part: &Part| part.end.as_deref() == Some("acknowledged");
            let mut held = books.parts.iter().filter_map(|part| Some((part, part.hold.as_ref()?)));
            if let Some((part, hold)) =
                held.find(|(part, hold)| !sold(part) || hold.until.is_some())
            {
                return Err(format!("{name} still holds {hold:?} for {part:?}"));
            }
        }
        Ok(())
    }
}
