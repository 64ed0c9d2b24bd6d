//! An auction over several hosts. Run this daemon on each of them, start a few agents with
//! `p2p start bidder --state '{"purse":120}'`, one with `p2p start seller --name seller`, and ask
//! `p2p request seller auction/sell '{"lot":"a lamp","least":50}'`: the highest bid wins and pays.

use std::{process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use starling_node::{Kinds, agent::prelude::*};

/// What is announced.
#[derive(Serialize, Deserialize)]
struct Lot {
    lot: String,
    least: i64,
}
impl Contract for Lot {
    const NAME: &'static str = "auction/lot";
    type Bid = ();
    type Grant = i64; // the price
    type Report = String; // a receipt
    const WINDOWS: Windows = Windows { bids: Duration::from_secs(1), ..Windows::DEFAULT };
}

#[derive(Serialize, Deserialize)]
struct Sell(Lot);
impl Request for Sell {
    const NAME: &'static str = "auction/sell";
    type Reply = String;
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Seller {
    sold: Vec<String>,
    open: Vec<(ContractId<Lot>, ReplyTo<Sell>)>,
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
        let (answer, reply_to) = Answer::later(cx);
        self.open.push((cx.announce(&lot, To::mesh()), reply_to));
        answer
    }
}
impl Manages<Lot> for Seller {
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Lot>) {
        // Bids cost what the seller misses: the least cost is the highest price.
        let best = cx.bids(contract).into_iter().min_by_key(|bid| bid.cost);
        let _ = cx.grant(contract, best.map(|bid| (bid.id, -bid.cost)));
    }
    fn ended(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Lot>, of: Settled<Lot>) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == contract) else { return };
        let (_, reply_to) = self.open.swap_remove(place);
        match of.reports.into_iter().next() {
            Some((_, receipt)) => {
                self.sold.push(receipt.clone());
                cx.reply(reply_to, &format!("{receipt}, after {} bids", of.bids));
            }
            None => cx.refuse(reply_to, &format!("not sold after {} bids: {}", of.bids, of.end)),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Bidder {
    purse: i64,
    bought: Vec<i64>,
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
        self.bought.push(price);
        Work::done(format!("paid {price}"))
    }
}

fn main() -> ExitCode {
    starling_node::main(Kinds::new().kind::<Seller>().kind::<Bidder>())
}
