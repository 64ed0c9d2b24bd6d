use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

use super::Rest;

/// Mistakes that are kept, so that a broken mesh does not fill the memory.
const WRONG_MAX: usize = 16;

/// Money of which nothing may be lost: tills pay each other by durable letters, and take money
/// from outside. Everything outlives the daemon.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Till {
    /// To whom it pays, itself among them.
    pub whom: Vec<Address>,
    /// How long it waits between two payments, at most, in milliseconds; it pays nothing when zero.
    pub pace_ms: u32,
    /// It pays nothing any more.
    pub resting: bool,
    /// What it has.
    pub balance: i64,
    /// How many payments it has sent to the till of each host.
    pub sent: BTreeMap<HostId, u64>,
    /// The number of the last payment from the till of each host.
    pub received: BTreeMap<HostId, u64>,
    /// What was paid in from outside, by its key.
    pub deposits: BTreeMap<u64, i64>,
    /// Timers that it has set and that have not rung.
    pub timers: u32,
    /// Questions that it has asked and that have no answer.
    pub questions: u32,
    /// Deposits that it answers later.
    pub owed: Vec<(u64, ReplyTo<Deposit>)>,
    /// How often it came back with another life of its host.
    pub recoveries: u64,
    /// What should never come, in words.
    pub wrong: Vec<String>,
}

/// Money on its way from one till to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Which payment from the one to the other, from one.
    pub number: u64,
    /// How much.
    pub sum: i64,
}

impl Notification for Money {
    const NAME: &'static str = "sim/money";
    const DELIVERY: Delivery = Delivery::Durable;
}

/// Pays money in, from outside; the reply is the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Differs from that of every other deposit.
    pub key: u64,
    /// How much.
    pub sum: i64,
    /// The till answers after so many milliseconds.
    pub later_ms: Option<u32>,
}

impl Request for Deposit {
    const NAME: &'static str = "sim/deposit";
    type Reply = u64;
}

/// Asks for the balance of a till.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {}

impl Request for Balance {
    const NAME: &'static str = "sim/balance";
    const BUDGET: Duration = Duration::from_secs(10);
    type Reply = i64;
}

/// What a till waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Then {
    /// It is time for the next payment.
    Pay,
    /// It is time to answer a deposit.
    Answer(u64),
    /// The balance of another till.
    Balance(Await<Balance>),
}

impl Agent for Till {
    const KIND: &'static str = "sim-till";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
        interests.answers::<Deposit>();
        interests.answers::<Balance>();
        interests.collects::<Money>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.pause(cx);
    }
    fn recovered(&mut self, _: &mut Cx<'_, Self>) {
        self.recoveries += 1;
    }
    fn undelivered(&mut self, _: &mut Cx<'_, Self>, what: &Undelivered<'_>) {
        self.complain(format!("a payment to {} came back: {}", what.to.host.short(), what.why));
    }
}

impl Till {
    fn pause(&mut self, cx: &mut Cx<'_, Self>) {
        if self.pace_ms > 0 {
            let pause = cx.entropy().jitter(Duration::from_millis(u64::from(self.pace_ms)));
            cx.after(pause, Then::Pay);
            self.timers += 1;
        }
    }

    fn pay(&mut self, cx: &mut Cx<'_, Self>) {
        let entropy = cx.entropy();
        let Ok(place) = usize::try_from(entropy.below(self.whom.len() as u64)) else { return };
        let sum = i64::try_from(1 + entropy.below(100)).unwrap_or_default();
        let asks = entropy.below(4) == 0;
        let Some(to) = self.whom.get(place).copied() else { return };
        let number = self.sent.entry(to.host).or_default();
        *number += 1;
        self.balance -= sum;
        cx.notify(to, &Money { number: *number, sum });
        if asks {
            self.questions += 1;
            cx.request(to, &Balance {}, Then::Balance);
        }
    }

    fn complain(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }
}

impl Answers<Rest> for Till {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.sent.values().sum())
    }
}

impl Answers<Balance> for Till {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Balance {}: Balance) -> Answer<Balance> {
        Answer::now(self.balance)
    }
}

impl Answers<Deposit> for Till {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, deposit: Deposit) -> Answer<Deposit> {
        let Deposit { key, sum, later_ms } = deposit;
        if self.deposits.insert(key, sum).is_some() {
            self.complain(format!("deposit {key} came twice"));
        }
        self.balance += sum;
        let Some(millis) = later_ms else { return Answer::now(key) };
        let (answer, reply_to) = Answer::later(cx);
        self.owed.push((key, reply_to));
        self.timers += 1;
        cx.after(Duration::from_millis(u64::from(millis)), Then::Answer(key));
        answer
    }
}

impl Collects<Money> for Till {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Money { number, sum }: Money) {
        let from = cx.sender().host;
        let last = self.received.insert(from, number).unwrap_or_default();
        if number != last + 1 {
            self.complain(format!("payment {number} of {} came after {last}", from.short()));
        }
        self.balance += sum;
    }
}

impl Continuation<Till> for Then {
    fn resume(self, till: &mut Till, cx: &mut Cx<'_, Till>) {
        match self {
            Self::Pay => {
                till.timers -= 1;
                if !till.resting {
                    till.pay(cx);
                    till.pause(cx);
                }
            }
            Self::Answer(key) => {
                till.timers -= 1;
                if let Some(place) = till.owed.iter().position(|(owed, _)| *owed == key) {
                    let (_, reply_to) = till.owed.remove(place);
                    cx.reply(reply_to, &key);
                }
            }
            Self::Balance(slot) => {
                till.questions -= 1;
                let _ = cx.take(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pays_takes_and_notes_what_is_out_of_order() {
        let whom = vec![Address { host: HostId([7; 32]), agent: super::super::TILL }];
        let mut cage = Cage::new(Till { whom, pace_ms: 10, balance: 50, ..Till::default() });
        cage.start();
        cage.ask(Deposit { key: 1, sum: 5, later_ms: None });
        assert_eq!((cage.state().balance, cage.state().deposits[&1]), (55, 5));
        cage.ask(Deposit { key: 1, sum: 5, later_ms: Some(3) });
        assert_eq!(cage.state().wrong.len(), 1, "a key that comes again");
        cage.advance(Duration::from_secs(1));
        let till = cage.state();
        let sent: u64 = till.sent.values().sum();
        assert!(sent > 10 && till.balance < 55, "{till:?}");
        assert_eq!(till.timers, 1, "the next payment's");
        cage.replay();
    }
}
