//! An auction between hosts, as in the example of that name.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_node::agent::prelude::*;

/// Something to be sold, for at least so much.
#[derive(Serialize, Deserialize)]
pub struct Lot {
    least: i64,
}

impl Contract for Lot {
    const NAME: &'static str = "auction/lot";
    type Bid = ();
    type Grant = i64;
    type Report = String;
    const WINDOWS: Windows = Windows { bids: Duration::from_secs(4), ..Windows::DEFAULT };
}

/// Asks a seller to sell something; answered at once.
#[derive(Serialize, Deserialize)]
pub struct Sell(Lot);

impl Request for Sell {
    const NAME: &'static str = "auction/sell";
    type Reply = ();
}

/// Announces to the mesh, and takes the highest bid.
#[derive(Default, Serialize, Deserialize)]
pub struct Seller {
    sold: Vec<String>,
}

impl Agent for Seller {
    const KIND: &'static str = "seller";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Sell>();
        interests.manages::<Lot>();
    }
}

impl Answers<Sell> for Seller {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Sell(lot): Sell) -> Answer<Sell> {
        cx.announce(&lot, To::mesh());
        Answer::now(())
    }
}

impl Manages<Lot> for Seller {
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Lot>) {
        let best = cx.bids(contract).into_iter().min_by_key(|bid| bid.cost);
        let _ = cx.grant(contract, best.map(|bid| (bid.id, -bid.cost)));
    }
    fn ended(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Lot>, of: Settled<Lot>) {
        self.sold.extend(of.reports.into_iter().map(|(_, receipt)| receipt));
    }
}

/// Bids all that it has.
#[derive(Default, Serialize, Deserialize)]
pub struct Bidder {
    purse: i64,
}

impl Agent for Bidder {
    const KIND: &'static str = "bidder";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.bids_in::<Lot>(Scope::Mesh);
    }
}

impl Bids<Lot> for Bidder {
    fn announced(&mut self, _: &mut Cx<'_, Self>, _: Job<Lot>, lot: Lot) -> Offer<Lot> {
        if self.purse < lot.least { Offer::refuse() } else { Offer::bid(-self.purse, ()) }
    }
    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Lot>, price: i64) -> Work<Lot> {
        self.purse -= price;
        Work::done(format!("paid {price}"))
    }
}
