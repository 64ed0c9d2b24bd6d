use starling_protocols::contract::{BidId, End, Ended};

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

/// Work of another sort.
#[derive(Serialize, Deserialize)]
pub(super) struct Mend;
impl Contract for Mend {
    const NAME: &'static str = "trader/mend";
    type Bid = ();
    type Grant = ();
    type Report = ();
}

/// An agent with both roles, which does as it is told.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Trader {
    pub(super) log: Vec<String>,
    /// What it takes; nothing: it does not sell.
    pub(super) cost: Option<i64>,
    /// What it does with a grant: `done`, `later`, `defect`, `die`, `ask` (its neighbours). What it
    /// does with an announcement: `think`, `mend` (asks its neighbours to), `tree` (bids when its
    /// neighbours have, and grants what it is granted). What it does with bids: `wait` for an
    /// order, `eager`: takes the first. `chatty`: it has very much to say when it is stopped.
    pub(super) style: String,
    /// Whom it asks when something is announced to it.
    pub(super) neighbours: Vec<Address>,
    /// It asks all in the mesh instead.
    pub(super) asks_mesh: bool,
    /// How far those may ask others that it asks for a job.
    pub(super) steps: Option<u8>,
    /// How many bids it grants.
    pub(super) count: usize,
    /// Those it was granted and has not done.
    pub(super) jobs: Vec<Job<Sell>>,
    /// Those it has not bid for.
    pub(super) thinking: Vec<Job<Sell>>,
    /// All that were announced to it.
    pub(super) seen: Vec<Job<Sell>>,
    pub(super) asked: BTreeMap<ContractId<Sell>, Option<Job<Sell>>>,
}

/// What a trader is told.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    Announce {
        to: Vec<Address>,
        mesh: bool,
        reach: Option<u8>,
    },
    AnnounceLarge {
        to: Vec<Address>,
        bytes: usize,
    },
    Bid,
    Withdraw,
    Grant,
    Complete,
    GiveUp,
    /// To ask its neighbours for what was announced to it last.
    Ask,
    /// To hand over the best bid that it has for a job.
    HandOver,
    /// To say how long the last job stands.
    Left,
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
        interests.bids::<Mend>();
        interests.manages::<Mend>();
    }
    fn stopping(&mut self, cx: &mut Cx<'_, Self>) {
        if self.style == "chatty" {
            (0..65_530).for_each(|_| cx.log(Level::Info, "farewell"));
        }
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
            Order::AnnounceLarge { to, bytes } => {
                let contract = cx.announce(&Sell("o".repeat(bytes)), To::agents(to));
                self.asked.insert(contract, None);
            }
            Order::Bid => {
                for job in std::mem::take(&mut self.thinking) {
                    let bids = cx.bid(job, self.cost.unwrap_or_default(), &"thought".into());
                    self.log.push(format!("bid: {bids}"));
                }
            }
            Order::Withdraw => {
                let stood = self.seen.iter().filter(|job| cx.withdraw_bid(**job)).count();
                self.log.push(format!("withdrew {stood}"));
            }
            Order::Grant => {
                let contracts: Vec<_> = self.asked.keys().copied().collect();
                contracts.into_iter().for_each(|contract| self.grant(cx, contract));
            }
            Order::Complete => {
                for job in std::mem::take(&mut self.jobs) {
                    let wanted = cx.complete(job, &"late".into());
                    self.log.push(format!("completed, wanted: {wanted}"));
                }
            }
            Order::Ask => {
                let job = *self.seen.last().expect("something was announced to it");
                self.ask_others(cx, job);
            }
            Order::HandOver => {
                for (contract, job) in &self.asked {
                    let best = cx.bids(*contract).into_iter().min_by_key(|bid| bid.cost);
                    let (job, best) = job.zip(best).expect("it has asked others, and they bid");
                    let handed = cx.hand_over(job, *contract, best.id);
                    self.log.push(format!("handed over: {handed}"));
                }
            }
            Order::Left => {
                let job = *self.seen.last().expect("something was announced to it");
                self.log.push(format!("{:?} left", cx.left(job)));
            }
            Order::GiveUp => {
                self.asked.keys().for_each(|contract| cx.give_up(*contract, "enough"));
            }
        }
        Answer::now(())
    }
}

impl Trader {
    fn grant(&self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>) {
        cx.grant_cheapest(contract, self.count.max(1), &"take it".into());
    }

    fn ask_others(&mut self, cx: &mut Cx<'_, Self>, job: Job<Sell>) {
        let neighbours = || To::agents(self.neighbours.clone());
        let to = if self.asks_mesh { To::mesh() } else { neighbours() };
        let to = if let Some(steps) = self.steps { to.reach(steps) } else { to };
        let contract = cx.announce_for(job, &Sell("a boat".into()), to);
        self.asked.insert(contract, Some(job));
    }

    /// The contract that it has announced for a job.
    fn nested(&self, job: Job<Sell>) -> ContractId<Sell> {
        let mut asked = self.asked.iter();
        *asked.find(|(_, of)| **of == Some(job)).expect("it has asked others").0
    }
}

impl Bids<Sell> for Trader {
    const CONCURRENCY: usize = 2;

    fn announced(&mut self, cx: &mut Cx<'_, Self>, job: Job<Sell>, work: Sell) -> Offer<Sell> {
        let text = if work.0.len() > 100 { "much" } else { &work.0 };
        self.log.push(format!("announced {text}"));
        self.seen.push(job);
        match self.style.as_str() {
            "think" => {
                self.thinking.push(job);
                return Offer::later();
            }
            "mend" => {
                cx.announce_for(job, &Mend, To::agents(self.neighbours.clone()));
            }
            _ => {}
        }
        if let Some(cost) = self.cost {
            return Offer::bid(cost, format!("for {cost}"));
        }
        if self.neighbours.is_empty() && !self.asks_mesh {
            return Offer::refuse();
        }
        self.ask_others(cx, job);
        Offer::later()
    }

    fn granted(&mut self, cx: &mut Cx<'_, Self>, job: Job<Sell>, grant: String) -> Work<Sell> {
        self.log.push(format!("granted {grant}"));
        match self.style.as_str() {
            "later" => self.jobs.push(job),
            "ask" => self.ask_others(cx, job),
            "tree" => {
                let nested = self.nested(job);
                let bids = cx.bids(nested).into_iter().map(|bid| (bid.id, "a part".into()));
                let bids: Vec<_> = bids.collect();
                self.log.push(format!("grants {}: {:?}", bids.len(), cx.grant(nested, bids)));
            }
            "defect" => return Work::defect("it is broken"),
            "die" => panic!("as it was told"),
            _ => return Work::done("here it is".into()),
        }
        Work::later()
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Sell>, how: &Ended) {
        self.log.push(format!("job {how:?}"));
    }
}

impl Manages<Sell> for Trader {
    fn bid(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>, bid: &BidOf<Sell>) {
        if self.style == "eager" {
            self.log.push(format!("takes {} for {}", bid.bid, bid.cost));
            self.grant(cx, contract);
        }
    }

    fn bid_gone(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Sell>, _: BidId) {
        self.log.push("a bid is gone".into());
    }

    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>) {
        let mut bids: Vec<_> = cx.bids(contract);
        bids.sort_by_key(|bid| bid.cost);
        let says: Vec<_> = bids.iter().map(|bid| bid.bid.as_str()).collect();
        self.log.push(format!("bids {}", says.join(", ")));
        match (self.asked.get(&contract), self.style.as_str()) {
            (_, "wait") => {}
            (Some(Some(job)), "tree") => {
                let cost = bids.iter().map(|bid| bid.cost).sum();
                cx.bid(*job, cost, &"in parts".into());
            }
            (Some(Some(_)), "ask") => self.grant(cx, contract),
            (Some(Some(job)), _) => drop(cx.hand_over(*job, contract, bids[0].id)),
            _ => self.grant(cx, contract),
        }
    }

    fn ended(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Sell>, of: Settled<Sell>) {
        let reports: Vec<&str> = of.reports.iter().map(|(_, report)| report.as_str()).collect();
        if let Some(Some(job)) = self.asked.remove(&contract) {
            let done = of.end == End::Completed;
            let _ = cx.refuse_job(job)
                || done && cx.complete(job, &reports.join(", "))
                || cx.defect(job, "a part was not done");
            return;
        }
        self.log.push(match of.end {
            End::Completed => format!("completed {}", reports.join(", ")),
            End::Partial { gone } => format!("{} without {}", reports.join(", "), gone.len()),
            End::Cancelled { why, .. } => format!("cancelled: {why}"),
            end => format!("{end:?} after {} bids", of.bids),
        });
    }
}

impl Bids<Mend> for Trader {
    fn announced(&mut self, _: &mut Cx<'_, Self>, _: Job<Mend>, _: Mend) -> Offer<Mend> {
        self.log.push("announced mending".into());
        Offer::bid(1, ())
    }

    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Mend>, (): ()) -> Work<Mend> {
        Work::done(())
    }
}

impl Manages<Mend> for Trader {
    fn closed(&mut self, cx: &mut Cx<'_, Self>, contract: ContractId<Mend>) {
        self.log.push(format!("{} would mend it", cx.bids(contract).len()));
        cx.grant_cheapest(contract, 1, &());
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: ContractId<Mend>, of: Settled<Mend>) {
        self.log.push(format!("mended by {}", of.reports.len()));
    }
}

/// Sells as a trader does, and says what none understands.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Mumbler {
    pub(super) bids_clearly: bool,
    pub(super) log: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Mumble(String);
impl Contract for Mumble {
    const NAME: &'static str = Sell::NAME;
    type Bid = Vec<u8>;
    type Grant = String;
    type Report = Vec<u8>;
}

impl Agent for Mumbler {
    const KIND: &'static str = "mumbler";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.bids::<Mumble>();
    }
}

impl Bids<Mumble> for Mumbler {
    fn announced(&mut self, _: &mut Cx<'_, Self>, _: Job<Mumble>, _: Mumble) -> Offer<Mumble> {
        Offer::bid(0, if self.bids_clearly { b"clear".to_vec() } else { vec![0xff] })
    }

    fn granted(&mut self, _: &mut Cx<'_, Self>, _: Job<Mumble>, _: String) -> Work<Mumble> {
        Work::done(vec![0xff])
    }

    fn ended(&mut self, _: &mut Cx<'_, Self>, _: Job<Mumble>, how: &Ended) {
        self.log.push(format!("{how:?}"));
    }
}
