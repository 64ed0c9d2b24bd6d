use starling_protocols::contract::{End, Ended};

use super::*;

/// Sell something: bid what it costs.
#[derive(Serialize, Deserialize)]
pub(super) struct Sell(pub(super) String);
impl Contract for Sell {
    const NAME: &'static str = "trader/sell";
    type Bid = String;
    type Grant = String;
    type Report = String;
}

/// An agent with both roles, which does as it is told.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Trader {
    pub(super) log: Vec<String>,
    /// What it takes; nothing: it does not sell.
    pub(super) cost: Option<i64>,
    /// What it does with a grant: `done`, `later`, `defect`, `die`.
    pub(super) style: String,
    /// Whom it asks when something is announced to it.
    pub(super) neighbours: Vec<Address>,
    /// How many bids it grants.
    pub(super) count: usize,
    pub(super) jobs: Vec<Job<Sell>>,
    pub(super) asked: BTreeMap<ContractId<Sell>, Option<Job<Sell>>>,
}

/// What a trader is told.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    Announce { to: Vec<Address>, mesh: bool, reach: Option<u8> },
    Complete,
    GiveUp,
}
impl Request for Order {
    const NAME: &'static str = "trader/order";
    type Reply = ();
}

impl Agent for Trader {
    const KIND: &'static str = "trader";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Order>();
        interests.bids_in::<Sell>(Scope::Mesh);
        interests.manages::<Sell>();
    }
}

impl Answers<Order> for Trader {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, order: Order) -> Answer<Order> {
        match order {
            Order::Announce { to, mesh, reach } => {
                let to = if mesh { To::mesh() } else { To::agents(to) };
                let to = if let Some(reach) = reach { to.reach(reach) } else { to };
                let contract = cx.announce(&Sell("a boat".into()), to);
                self.asked.insert(contract, None);
            }
            Order::Complete => {
                for job in std::mem::take(&mut self.jobs) {
                    let wanted = cx.complete(job, &"late".into());
                    self.log.push(format!("completed, wanted: {wanted}"));
                }
            }
            Order::GiveUp => {
                self.asked.keys().for_each(|contract| cx.give_up(*contract, "enough"));
            }
        }
        Answer::now(())
    }
}

impl Bids<Sell> for Trader {
    const CONCURRENCY: usize = 2;

    fn announced(&mut self, cx: &mut Cx<'_, Self>, job: Job<Sell>, work: Sell) -> Offer<Sell> {
        self.log.push(format!("announced {}", work.0));
        if let Some(cost) = self.cost {
            return Offer::bid(cost, format!("for {cost}"));
        }
        if self.neighbours.is_empty() {
            return Offer::refuse();
        }
        let contract = cx.announce_for(job, &work, To::agents(self.neighbours.clone()));
        self.asked.insert(contract, Some(job));
        Offer::later()
    }

    fn granted(&mut self, _: &mut Cx<'_, Self>, job: Job<Sell>, grant: String) -> Work<Sell> {
        self.log.push(format!("granted {grant}"));
        match self.style.as_str() {
            "later" => {
                self.jobs.push(job);
                Work::later()
            }
            "defect" => Work::defect("it is broken"),
            "die" => panic!("as it was told"),
            _ => Work::done("here it is".into()),
        }
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Sell>, how: &Ended) {
        self.log.push(format!("job {how:?}"));
    }
}

impl Manages<Sell> for Trader {
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>) {
        let mut bids: Vec<_> = cx.bids(contract);
        bids.sort_by_key(|bid| bid.cost);
        let says: Vec<_> = bids.iter().map(|bid| bid.bid.as_str()).collect();
        self.log.push(format!("bids {}", says.join(", ")));
        match self.asked.get(&contract) {
            Some(Some(job)) => drop(cx.hand_over(*job, contract, bids[0].id)),
            _ => drop(cx.grant_cheapest(contract, self.count.max(1), &"take it".into())),
        }
    }

    fn ended(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>, of: Settled<Sell>) {
        if let Some(Some(job)) = self.asked.remove(&contract) {
            cx.refuse_job(job);
            return;
        }
        let reports: Vec<&str> = of.reports.iter().map(|(_, report)| report.as_str()).collect();
        self.log.push(match of.end {
            End::Completed => format!("completed {}", reports.join(", ")),
            End::Cancelled { why, .. } => format!("cancelled: {why}"),
            end => format!("{end:?} after {} bids", of.bids),
        });
    }
}
