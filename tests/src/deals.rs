//! Agents for the tests of contracts: a dealer that outlives its daemon, contenders, a broker with
//! both roles, and one that breaks the rules. Each writes down what it is told.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use starling_core::agent::prelude::*;
use starling_protocols::contract::{Bid, BidId, Tell};

const LONG: Duration = Duration::from_secs(600);

/// Work. None of its windows ends while a test runs, unless it is `BRIEF`: then two of them do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deal<const BRIEF: bool> {
    /// What it is about.
    pub lot: String,
}

impl<const BRIEF: bool> Contract for Deal<BRIEF> {
    const NAME: &'static str = if BRIEF { "deals/brief" } else { "deals/deal" };
    type Bid = String;
    type Grant = String;
    type Report = String;
    const WINDOWS: Windows = if BRIEF {
        Windows { bids: LONG, decision: Duration::from_secs(1), reports: Duration::from_secs(6) }
    } else {
        Windows { bids: LONG, decision: LONG, reports: LONG }
    };
}

/// Asks a dealer or a broker to announce a [`Deal`]; the reply is the contract's number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// To whom; to all of the mesh when there is nobody.
    #[serde(default)]
    pub to: Vec<Address>,
}

impl Request for Announce {
    const NAME: &'static str = "deals/announce";
    type Reply = u64;
}

impl Announce {
    fn to(self) -> To {
        if self.to.is_empty() { To::mesh() } else { To::agents(self.to) }
    }
}

/// Asks a dealer to grant the work to the cheapest bids; the reply is how many it has granted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Award {
    /// How many at most.
    pub count: usize,
}

impl Request for Award {
    const NAME: &'static str = "deals/award";
    type Reply = usize;
}

/// Asks a contender to report; the reply is whether the work was still wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {}

impl Request for Finish {
    const NAME: &'static str = "deals/finish";
    type Reply = bool;
}

/// Asks any of them what it has written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recount {}

impl Request for Recount {
    const NAME: &'static str = "deals/recount";
    type Reply = Vec<String>;
}

/// Announces one deal at a time, and grants it when it is told to.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, bound = "")]
pub struct Dealer<const BRIEF: bool> {
    contract: Option<ContractId<Deal<BRIEF>>>,
    story: Vec<String>,
}

impl<const BRIEF: bool> Agent for Dealer<BRIEF> {
    const KIND: &'static str = if BRIEF { "brief-dealer" } else { "dealer" };
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.manages::<Deal<BRIEF>>();
        interests.answers::<Announce>();
        interests.answers::<Award>();
        interests.answers::<Recount>();
    }
    fn recovered(&mut self, _: &mut Cx<'_, Self>) {
        self.story.push("recovered".to_owned());
    }
}

impl<const BRIEF: bool> Answers<Announce> for Dealer<BRIEF> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, announce: Announce) -> Answer<Announce> {
        let contract = cx.announce(&Deal { lot: "a lamp".to_owned() }, announce.to());
        self.contract = Some(contract);
        Answer::now(contract.number())
    }
}

impl<const BRIEF: bool> Answers<Award> for Dealer<BRIEF> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Award { count }: Award) -> Answer<Award> {
        let Some(contract) = self.contract else { return Answer::refuse("nothing is announced") };
        Answer::now(cx.grant_cheapest(contract, count, &"go on".to_owned()))
    }
}

impl<const BRIEF: bool> Answers<Recount> for Dealer<BRIEF> {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Recount) -> Answer<Recount> {
        Answer::now(self.story.clone())
    }
}

impl<const BRIEF: bool> Manages<Deal<BRIEF>> for Dealer<BRIEF> {
    fn bid(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Deal<BRIEF>>, bid: &BidOf<Deal<BRIEF>>) {
        self.story.push(format!("bid {} by {}", bid.cost, bid.bid));
    }

    fn closed(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Deal<BRIEF>>) {
        self.story.push("closed".to_owned());
    }

    fn ended(
        &mut self,
        _: &mut Cx<'_, Self>,
        _: ContractId<Deal<BRIEF>>,
        settled: Settled<Deal<BRIEF>>,
    ) {
        self.story.push(recount(&settled));
    }
}

fn recount<const BRIEF: bool>(settled: &Settled<Deal<BRIEF>>) -> String {
    let mut reports: Vec<&str> = settled.reports.iter().map(|(_, text)| text.as_str()).collect();
    reports.sort_unstable();
    match &settled.end {
        End::Completed => format!("completed by {} of {}", reports.join(" and "), settled.bids),
        End::Cancelled { why, .. } => format!("cancelled: {why}"),
        other => format!("{other:?}"),
    }
}

/// Bids for every deal, and does what it is granted when it is told to.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, bound = "")]
pub struct Contender<const BRIEF: bool> {
    name: String,
    /// Without it, it refuses.
    cost: Option<i64>,
    job: Option<Job<Deal<BRIEF>>>,
    story: Vec<String>,
}

impl<const BRIEF: bool> Agent for Contender<BRIEF> {
    const KIND: &'static str = if BRIEF { "brief-contender" } else { "contender" };
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.bids_in::<Deal<BRIEF>>(Scope::Mesh);
        interests.answers::<Finish>();
        interests.answers::<Recount>();
    }
}

impl<const BRIEF: bool> Bids<Deal<BRIEF>> for Contender<BRIEF> {
    fn announced(
        &mut self,
        cx: &mut Cx<'_, Self>,
        _: Job<Deal<BRIEF>>,
        deal: Deal<BRIEF>,
    ) -> Offer<Deal<BRIEF>> {
        self.story.push(format!("{} is announced by {}", deal.lot, cx.sender()));
        self.cost.map_or_else(Offer::refuse, |cost| Offer::bid(cost, self.name.clone()))
    }

    fn granted(
        &mut self,
        cx: &mut Cx<'_, Self>,
        job: Job<Deal<BRIEF>>,
        _: String,
    ) -> Work<Deal<BRIEF>> {
        self.story.push(format!("granted by {}", cx.sender()));
        self.job = Some(job);
        Work::later()
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Deal<BRIEF>>, how: &Ended) {
        let undoes = if how.undoes() { "undone" } else { "kept" };
        self.story.push(format!("{how:?}: {undoes}"));
    }
}

impl<const BRIEF: bool> Answers<Finish> for Contender<BRIEF> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, _: Finish) -> Answer<Finish> {
        let Some(job) = self.job.take() else { return Answer::refuse("nothing is granted") };
        Answer::now(cx.complete(job, &self.name))
    }
}

impl<const BRIEF: bool> Answers<Recount> for Contender<BRIEF> {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Recount) -> Answer<Recount> {
        Answer::now(self.story.clone())
    }
}

/// Bids with the bids of those behind it, which it hands over; and announces deals itself.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Broker {
    behind: Vec<Address>,
    asked: Vec<(ContractId<Deal<false>>, Job<Deal<false>>)>,
    story: Vec<String>,
}

impl Agent for Broker {
    const KIND: &'static str = "broker";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.bids_in::<Deal<false>>(Scope::Mesh);
        interests.manages::<Deal<false>>();
        interests.answers::<Announce>();
        interests.answers::<Recount>();
    }
}

impl Broker {
    fn job_of(&mut self, contract: ContractId<Deal<false>>) -> Option<Job<Deal<false>>> {
        let place = self.asked.iter().position(|(asked, _)| *asked == contract)?;
        Some(self.asked.swap_remove(place).1)
    }
}

impl Bids<Deal<false>> for Broker {
    fn announced(
        &mut self,
        cx: &mut Cx<'_, Self>,
        job: Job<Deal<false>>,
        deal: Deal<false>,
    ) -> Offer<Deal<false>> {
        self.story.push(format!("{} is announced by {}", deal.lot, cx.sender()));
        let behind = To::agents(self.behind.iter().copied());
        self.asked.push((cx.announce_for(job, &deal, behind), job));
        Offer::later()
    }

    fn granted(
        &mut self,
        cx: &mut Cx<'_, Self>,
        _: Job<Deal<false>>,
        _: String,
    ) -> Work<Deal<false>> {
        self.story.push(format!("granted by {}", cx.sender()));
        Work::defect("brokers do not work")
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Deal<false>>, how: &Ended) {
        self.story.push(format!("{how:?}"));
    }
}

impl Manages<Deal<false>> for Broker {
    fn bid(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Deal<false>>, bid: &BidOf<Deal<false>>) {
        self.story.push(format!("bid {} by {}", bid.cost, bid.bid));
    }

    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Deal<false>>) {
        let best = cx.bids(contract).into_iter().min_by_key(|bid| bid.cost);
        let job = self.job_of(contract);
        if let (Some(best), Some(job)) = (best, job) {
            cx.hand_over(job, contract, best.id);
        }
    }

    fn ended(
        &mut self,
        cx: &mut Cx<'_, Self>,
        contract: ContractId<Deal<false>>,
        settled: Settled<Deal<false>>,
    ) {
        self.story.push(recount(&settled));
        if let Some(job) = self.job_of(contract) {
            cx.refuse_job(job);
        }
    }
}

impl Answers<Announce> for Broker {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, announce: Announce) -> Answer<Announce> {
        Answer::now(cx.announce(&Deal { lot: "a mirror".to_owned() }, announce.to()).number())
    }
}

impl Answers<Recount> for Broker {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Recount) -> Answer<Recount> {
        Answer::now(self.story.clone())
    }
}

/// What a manager and a contractor tell each other, for who is neither of them.
pub enum Told {
    /// Work is announced to all who listen: the manager's number for the contract.
    Announced(u64),
    /// A bid, and the number of the contract.
    Bid(u64, Bid),
    /// A bid is not taken: its number.
    Rejected(u64),
    /// Something else, as it shows itself.
    Other(String),
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self::Bid(contract, bid) = self else {
            return Err(S::Error::custom("only bids are told by hand"));
        };
        Tell::Bid { contract: *contract, bid: bid.clone() }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Tell::deserialize(from)? {
            Tell::Announce(announcement) => Self::Announced(announcement.contract),
            Tell::Bid { contract, bid } => Self::Bid(contract, bid),
            Tell::Reject { bid } => Self::Rejected(bid),
            other => Self::Other(format!("{other:?}")),
        })
    }
}

impl Notification for Told {
    const NAME: &'static str = <Deal<false> as Contract>::NAME;
}

/// Asks a [`Pesterer`] to bid for a contract that it was not asked for, or that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pester {
    /// Who has announced it.
    pub manager: Address,
    /// The manager's number for it.
    pub contract: u64,
    /// The number of the bid.
    pub number: u64,
}

impl Request for Pester {
    const NAME: &'static str = "deals/pester";
    type Reply = ();
}

/// Bids twice for everything it hears of, the second time for less, and whenever it is told to.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pesterer {
    story: Vec<String>,
}

impl Agent for Pesterer {
    const KIND: &'static str = "pesterer";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.listens::<Told>(Scope::Mesh);
        interests.answers::<Pester>();
        interests.answers::<Recount>();
    }
}

fn bid_by_hand(cx: &mut Cx<'_, Pesterer>, pester: &Pester, cost: i64) {
    let id = BidId { bidder: cx.address(), number: pester.number };
    // A text of two letters, as bincode writes it.
    let bid = Bid { id, cost, body: b"\x02me".to_vec() };
    cx.notify(pester.manager, &Told::Bid(pester.contract, bid));
}

impl Collects<Told> for Pesterer {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, told: Told) {
        let line = match told {
            Told::Announced(contract) => {
                let manager = cx.sender();
                for (number, cost) in [(1, 50), (2, 1)] {
                    bid_by_hand(cx, &Pester { manager, contract, number }, cost);
                }
                return;
            }
            Told::Bid(_, bid) => format!("bid {} by {}", bid.id.number, bid.id.bidder),
            Told::Rejected(bid) => format!("bid {bid} is rejected"),
            Told::Other(what) => what,
        };
        self.story.push(line);
    }
}

impl Answers<Pester> for Pesterer {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, pester: Pester) -> Answer<Pester> {
        bid_by_hand(cx, &pester, 1);
        Answer::now(())
    }
}

impl Answers<Recount> for Pesterer {
    fn answer(&mut self, _: &mut Cx<'_, Self>, _: Recount) -> Answer<Recount> {
        Answer::now(self.story.clone())
    }
}

/// The kinds of this module, with others.
#[must_use]
pub fn kinds(others: starling_node::Kinds) -> starling_node::Kinds {
    others
        .kind::<Dealer<false>>()
        .kind::<Dealer<true>>()
        .kind::<Contender<false>>()
        .kind::<Contender<true>>()
        .kind::<Broker>()
        .kind::<Pesterer>()
}
