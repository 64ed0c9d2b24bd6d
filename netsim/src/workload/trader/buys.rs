use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;
use starling_protocols::{
    contract::{BidId, End, GrantError},
    entropy::Entropy,
};

use super::{Commission, Deal, Errand, Flaw, Then, Trader};

/// Orders under way at once, beyond which it makes no further ones.
const OPEN_MAX: usize = 12;

/// How often the same is ordered again when it did not come.
const AGAIN_MAX: u8 = 2;

/// How a trader decides on a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// It grants the cheapest bids when no more come, and orders so often again.
    Cheapest(u8),
    /// It grants the first bids as soon as there are enough.
    First,
    /// It rejects some bids at once and decides on the others late, perhaps too late.
    Choosy,
    /// It never decides.
    Never,
    /// It loses patience, at whatever stage that is.
    Impatient,
    /// It hands the best bid over to the manager of a job.
    HandOver(Job<Errand>),
    /// It bids for a job itself, and grants on when it is granted it.
    GrantOn(Job<Errand>),
}

impl Plan {
    const fn job(self) -> Option<Job<Errand>> {
        match self {
            Self::HandOver(job) | Self::GrantOn(job) => Some(job),
            _ => None,
        }
    }
}

/// Buying.
impl<const KEPT: bool> Trader<KEPT> {
    pub(super) fn order(&mut self, cx: &mut Cx<'_, Self>) {
        if self.deals.values().filter(|deal| deal.end.is_none()).count() >= OPEN_MAX {
            return;
        }
        let entropy = cx.entropy();
        let (key, order) = (entropy.u64(), entropy.u64());
        let errand = Errand { search: key, units: 1 + entropy.below(40), ports: entropy.below(4) };
        let plan = match entropy.below(12) {
            0..5 => Plan::Cheapest(AGAIN_MAX),
            5 | 6 => Plan::First,
            7 | 8 => Plan::Choosy,
            9 => Plan::Never,
            _ => Plan::Impatient,
        };
        let wanted = 1 + usize::try_from(entropy.below(3)).unwrap_or_default();
        self.announce(cx, order, wanted, errand, plan);
    }

    fn announce(
        &mut self,
        cx: &mut Cx<'_, Self>,
        order: u64,
        wanted: usize,
        errand: Errand,
        plan: Plan,
    ) -> ContractId<Errand> {
        let to = whom(&self.whom, cx.entropy());
        let key = cx.entropy().u64();
        let contract = match plan.job() {
            None => cx.announce(&errand, to),
            Some(job) => cx.announce_for(job, &errand, to),
        };
        let impatient = plan == Plan::Impatient || self.flaw == Flaw::OrdersTwice;
        if impatient && plan.job().is_none() {
            let patience = Duration::from_millis(cx.entropy().below(9_000));
            cx.after(patience, Then::LosePatience(contract));
        }
        let (granted, reported) = (Vec::new(), BTreeSet::new());
        let deal = Deal { key, order, wanted, errand, plan, granted, reported, end: None };
        if self.deals.insert(contract, deal).is_some() {
            self.complain(cx, "two of its contracts have one number");
        }
        contract
    }

    /// Asks others for a job that was announced to it.
    pub(super) fn ask_others(
        &mut self,
        cx: &mut Cx<'_, Self>,
        job: Job<Errand>,
        errand: Errand,
    ) -> ContractId<Errand> {
        let order = cx.entropy().u64();
        let plan = match cx.entropy().below(2) {
            0 => Plan::HandOver(job),
            _ => Plan::GrantOn(job),
        };
        self.announce(cx, order, 1, errand, plan)
    }

    /// It has waited for long enough.
    pub(super) fn lose_patience(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Errand>) {
        let Some(deal) = self.deals.get(&contract).filter(|deal| deal.end.is_none()) else {
            return;
        };
        if self.flaw == Flaw::OrdersTwice {
            let (order, wanted, plan) = (deal.order, deal.wanted, Plan::Cheapest(0));
            let errand = Errand { search: cx.entropy().u64(), ..deal.errand };
            self.announce(cx, order, wanted, errand, plan);
        } else {
            cx.give_up(contract, "it took too long");
        }
    }

    /// Grants the cheapest of the bids that stand, as many as it wants.
    pub(super) fn grant(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Errand>) {
        let Some(deal) = self.deals.get_mut(&contract).filter(|deal| deal.end.is_none()) else {
            return;
        };
        let mut bids = cx.bids(contract);
        bids.sort_by_key(|bid| bid.cost);
        bids.truncate(deal.wanted);
        let commission = Commission { search: deal.errand.search, deal: deal.key };
        let grants: Vec<_> = bids.iter().map(|bid| (bid.id, commission)).collect();
        // What is not allowed changes nothing.
        let twice: Vec<_> = grants.iter().chain(&grants).copied().collect();
        let refused = cx.grant(contract, twice).is_err();
        let granted = cx.grant(contract, grants.clone());
        let again = cx.grant(contract, grants);
        let late = again == Err(GrantError::TooLate) || granted.is_err();
        if granted.is_ok() {
            deal.granted = bids.into_iter().map(|bid| (bid.bid, bid.id)).collect();
        }
        if !refused || !late {
            self.complain(cx, "it could grant one bid twice");
        }
    }

    /// Looks at what was reported by the end of a contract.
    fn check_reports(&mut self, cx: &Cx<'_, Self>, deal: &mut Deal, settled: &Settled<Errand>) {
        for (BidId { bidder, .. }, receipt) in &settled.reports {
            let mut granted = deal.granted.iter();
            let of = granted.any(|(part, bid)| *part == receipt.part && bid.bidder == *bidder);
            if !of || receipt.deal != deal.key {
                self.complain(cx, "something was reported that it had not granted");
            }
            if !deal.reported.insert(receipt.part) {
                self.complain(cx, "something was reported twice");
            }
        }
        let (granted, reported) = (deal.granted.len(), deal.reported.len());
        let expected = match &settled.end {
            End::Completed => granted,
            End::Partial { gone } => granted - gone.len().min(granted),
            _ => 0,
        };
        if reported != expected {
            self.complain(cx, &format!("{reported} of {expected} reports came with the end"));
        }
    }

    /// What a contract was announced for did not come of it.
    fn has_failed(&mut self, cx: &mut Cx<'_, Self>, deal: &Deal) {
        match deal.plan {
            Plan::Cheapest(times @ 1..) if !self.resting => {
                let errand = Errand { search: cx.entropy().u64(), ..deal.errand };
                let plan = Plan::Cheapest(times - 1);
                self.announce(cx, deal.order, deal.wanted, errand, plan);
            }
            Plan::HandOver(job) | Plan::GrantOn(job) => self.others_have_not(cx, job),
            _ => {}
        }
    }
}

impl<const KEPT: bool> Manages<Errand> for Trader<KEPT> {
    fn bid(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Errand>, bid: &BidOf<Errand>) {
        let Some(deal) = self.deals.get(&contract).filter(|deal| deal.end.is_none()) else {
            return self.complain(cx, "a bid came for what had ended");
        };
        match deal.plan {
            Plan::First if cx.bids(contract).len() >= deal.wanted => self.grant(cx, contract),
            Plan::Choosy if cx.entropy().below(2) == 0 => drop(cx.reject(contract, bid.id)),
            _ => {}
        }
    }

    fn bid_gone(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Errand>, bid: BidId) {
        let Some(deal) = self.deals.get(&contract).filter(|deal| deal.end.is_none()) else {
            return self.complain(cx, "a bid was gone of what had ended");
        };
        // Some want all or nothing.
        if deal.plan == Plan::Choosy && deal.granted.iter().any(|(_, granted)| *granted == bid) {
            cx.give_up(contract, "all or nothing");
        }
        self.count("bid gone");
    }

    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Errand>) {
        let Some(deal) = self.deals.get(&contract).filter(|deal| deal.end.is_none()) else {
            return self.complain(cx, "what had ended was closed");
        };
        match deal.plan {
            Plan::First | Plan::Impatient => self.grant(cx, contract),
            Plan::Cheapest(_) if cx.entropy().below(2) == 0 => self.grant(cx, contract),
            Plan::Cheapest(_) | Plan::Choosy => {
                let late = Duration::from_millis(cx.entropy().below(3_500));
                cx.after(late, Then::Decide(contract));
            }
            Plan::Never => {}
            Plan::HandOver(job) => {
                let best = cx.bids(contract).into_iter().min_by_key(|bid| bid.cost);
                if let Some(best) = best {
                    cx.hand_over(job, contract, best.id);
                }
            }
            Plan::GrantOn(job) => self.bid_for_others(cx, job),
        }
        self.audit(cx);
    }

    fn ended(
        &mut self,
        cx: &mut Cx<'_, Self>,
        contract: ContractId<Errand>,
        settled: Settled<Errand>,
    ) {
        let Some(mut deal) = self.deals.remove(&contract) else {
            return self.complain(cx, "a contract ended that was not under way");
        };
        if deal.end.is_some() {
            self.complain(cx, "a contract ended twice");
        }
        self.check_reports(cx, &mut deal, &settled);
        let word = match &settled.end {
            End::Completed => "completed",
            End::Partial { .. } => "partial",
            End::Expired { .. } => "expired",
            End::Aborted => "aborted",
            End::Cancelled { .. } => "cancelled",
            End::GivenUp => "given up",
        };
        self.count(&format!("contract {word}"));
        deal.end = Some(word.into());
        match (&settled.end, deal.plan) {
            (End::Completed, Plan::GrantOn(job)) => self.finish(cx, job, true),
            (End::Completed | End::Partial { .. }, _) => {}
            _ => self.has_failed(cx, &deal),
        }
        if !deal.granted.is_empty() {
            self.deals.insert(contract, deal);
        }
        self.audit(cx);
    }
}

/// Whom it asks this time.
fn whom(all: &[Address], entropy: &mut Entropy) -> To {
    let to = match entropy.below(4) {
        0 => To::mesh(),
        _ => {
            let many = 1 + entropy.below(6);
            let one = |_| {
                let place = entropy.below(all.len() as u64);
                usize::try_from(place).ok().and_then(|place| all.get(place).copied())
            };
            To::agents((0..many).filter_map(one).collect::<Vec<_>>())
        }
    };
    match entropy.below(4) {
        0 => to.reach(u8::try_from(entropy.below(3)).unwrap_or_default()),
        _ => to,
    }
}
