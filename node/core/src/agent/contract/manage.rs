use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use starling_protocols::{
    contract::{
        Announcement, Ask, BidId, End, Event, GrantError, Manager, Output, Reply, Tell, Traversal,
        Windows,
    },
    exchange::Delivery,
    ident::Address,
    interest::TopicName,
    limits::{BODY_BYTES_MAX, BUDGET_MAX, CONTRACTS_PER_AGENT_MAX},
    wire,
};

use super::{
    BidOf, Contract, ContractId, Job, Managed, Manages, To,
    past::{Outcome, Past},
};
use crate::agent::{
    Agent, Cx, Effect,
    cx::encode,
    dealings::{Dealings, For, News},
};

/// Where a search stands when it is carried on.
struct Search {
    traversal: Traversal,
    level: u8,
    reach: Option<u8>,
    /// Who has brought it here, where that was for work of the same sort.
    from: Option<Address>,
    /// For how long a bid has to stand.
    stands: Duration,
}

/// What an agent does with contracts that it announces.
impl<A: Agent> Cx<'_, A> {
    /// Announces work. [`Manages::closed`] comes when all have answered or the window for bids has
    /// ended, and [`Manages::ended`] in any case.
    ///
    /// An agent that has [`CONTRACTS_PER_AGENT_MAX`] contracts under way, or waits for as much as
    /// an agent may, asks nobody: the contract expires at once.
    pub fn announce<C: Contract>(&mut self, work: &C, to: To) -> ContractId<C>
    where
        A: Manages<C>,
    {
        let search = self.new_search(&to, C::WINDOWS);
        self.carry_on(None, search, C::WINDOWS, work, to)
    }

    fn new_search(&mut self, to: &To, windows: Windows) -> Search {
        let traversal = Traversal(self.entropy().u128());
        let stands = windows.capped().stands();
        Search { traversal, level: 0, reach: to.reach, from: None, stands }
    }

    /// Asks others for a job that was announced to this agent: the search goes on, with a tenth
    /// less time, one step farther from where it began, and not back to those it came from. When
    /// the job is not there any more, nobody is asked.
    ///
    /// Once this agent has bid for the job, that search is over for it, and what it announces for
    /// the job begins another one: its windows end before that of the job all the same.
    ///
    /// When the job ends otherwise than [acknowledged], the contract is [given up](Self::give_up),
    /// whatever stage it is at.
    ///
    /// [acknowledged]: starling_protocols::contract::Ended::Acknowledged
    pub fn announce_for<C: Contract, D: Contract>(
        &mut self,
        job: Job<D>,
        work: &C,
        to: To,
    ) -> ContractId<C>
    where
        A: Manages<C>,
    {
        let now = self.now();
        let Some(row) = self.dealings.jobs.get(&job.number) else {
            return self.announce(work, To::default());
        };
        let left = row.machine.left(now);
        if !row.machine.may_bid() {
            let windows = C::WINDOWS.nested(left, Duration::ZERO);
            let search = self.new_search(&to, windows);
            return self.carry_on(Some(job.number), search, windows, work, to);
        }
        let level = row.level.saturating_add(1);
        let own = to.reach.map(|steps| level.saturating_add(steps));
        let reach = [row.reach, own].into_iter().flatten().min();
        let from = (C::NAME == D::NAME).then_some(row.manager);
        let (traversal, stands) = (row.traversal, row.machine.stands(now));
        let search = Search { traversal, level, reach, from, stands };
        self.carry_on(Some(job.number), search, C::WINDOWS.nested(left, stands), work, to)
    }

    fn carry_on<C: Contract>(
        &mut self,
        job: Option<u64>,
        search: Search,
        windows: Windows,
        work: &C,
        to: To,
    ) -> ContractId<C> {
        let Search { traversal, level, reach, from, stands } = search;
        let (me, now, windows) = (self.address(), self.now(), windows.capped());
        let until = now + windows.bids;
        let dealings: &mut Dealings = self.dealings;
        dealings.visited.begin(C::NAME, traversal, until, now);
        let known = |of: &Address| dealings.visited.came_from(C::NAME, traversal, *of);
        let wanted = |of: &Address| *of != me && Some(*of) != from && !known(of);
        let asked: BTreeSet<Address> = to.agents.into_iter().filter(wanted).collect();
        if asked.len() > self.dealings.waits.room() {
            self.forget_late_answers();
        }
        let far = reach.is_some_and(|reach| level > reach);
        let full = self.dealings.managed.len() >= CONTRACTS_PER_AGENT_MAX
            || asked.len() > self.dealings.waits.room();
        let further = far && (!asked.is_empty() || to.scope.is_some());
        let (asked, scope) = if far || full { (BTreeSet::new(), None) } else { (asked, to.scope) };
        let number = self.new_number();
        if let Some(row) = job.and_then(|job| self.dealings.jobs.get_mut(&job)) {
            row.nested.insert(number);
        }
        let announcement = Announcement {
            traversal,
            contract: number,
            level,
            reach,
            left: windows.bids,
            stands,
            body: Cow::Owned(encode(work)),
        };
        let open = scope.is_some();
        let mut row = Managed {
            name: Cow::Borrowed(C::NAME),
            machine: Manager::announce(asked.iter().copied(), open, further, windows, now),
            traversal,
            job,
            timer: None,
            asked: BTreeMap::new(),
            granted: BTreeMap::new(),
        };
        if !asked.is_empty() {
            let body = encode(&Ask::Announce(announcement.clone()));
            // Longer than the window for bids, so that a bid that comes too late is rejected.
            let budget = (windows.bids + windows.decision).min(BUDGET_MAX);
            for to in asked {
                let what = For::Answer { contract: number, from: to };
                let wait = self.ask_of(to, C::NAME, body.clone(), budget, now + budget, what);
                row.asked.insert(to, wait);
            }
        }
        if let Some(scope) = scope {
            let topic = TopicName::new(scope, C::NAME, None);
            let topic = topic.expect("the name of a contract makes a topic");
            let body = encode(&Tell::Announce(announcement));
            self.push(Effect::Publish { topic, delivery: Delivery::Ordered, body });
        }
        self.dealings.managed.insert(number, Box::new(row));
        self.settle_contract(number);
        ContractId::new(number)
    }

    /// The bids that stand, in the order in which they came.
    #[must_use]
    pub fn bids<C: Contract>(&self, contract: ContractId<C>) -> Vec<BidOf<C>> {
        let row = self.dealings.managed.get(&contract.number);
        let bids = row.into_iter().flat_map(|row| row.machine.bids());
        let read = bids.filter_map(|bid| {
            let (id, cost) = (bid.id, bid.cost);
            let bid = wire::decode(&bid.body, BODY_BYTES_MAX).ok()?;
            Some(BidOf { id, cost, bid })
        });
        read.collect()
    }

    /// Grants the work to these bids; all others are rejected.
    ///
    /// # Errors
    /// [`GrantError`] says why not; nothing has changed.
    pub fn grant<C: Contract>(
        &mut self,
        contract: ContractId<C>,
        grants: impl IntoIterator<Item = (BidId, C::Grant)>,
    ) -> Result<(), GrantError> {
        let grants = grants.into_iter().map(|(bid, grant)| (bid, encode(&grant))).collect();
        self.grant_encoded(contract.number, grants)
    }

    /// Grants the same to the `count` cheapest bids; all others are rejected. Gives how many were
    /// granted, which may be fewer.
    pub fn grant_cheapest<C: Contract>(
        &mut self,
        contract: ContractId<C>,
        count: usize,
        grant: &C::Grant,
    ) -> usize {
        let row = self.dealings.managed.get(&contract.number);
        let best = row.map(|row| row.machine.cheapest(count)).unwrap_or_default();
        let granted = best.len();
        let body = encode(grant);
        let grants = best.into_iter().map(|bid| (bid, body.clone())).collect();
        self.grant_encoded(contract.number, grants).map_or(0, |()| granted)
    }

    fn grant_encoded(
        &mut self,
        number: u64,
        grants: Vec<(BidId, Vec<u8>)>,
    ) -> Result<(), GrantError> {
        let now = self.now();
        let dealings: &mut Dealings = self.dealings;
        if grants.len() > dealings.waits.room() {
            return Err(GrantError::TooMany);
        }
        let row = dealings.managed.get_mut(&number).ok_or(GrantError::TooLate)?;
        // Of the time for its own report it keeps a tenth for the way back.
        let job = row.job.and_then(|job| dealings.jobs.get(&job));
        let window = job.map_or(Duration::MAX, |job| job.machine.left(now) * 9 / 10);
        row.machine.grant(grants, window, now)?;
        self.settle_contract(number);
        Ok(())
    }

    /// Rejects one bid. Gives whether it stood.
    pub fn reject<C: Contract>(&mut self, contract: ContractId<C>, bid: BidId) -> bool {
        let row = self.dealings.managed.get_mut(&contract.number);
        let stood = row.is_some_and(|row| row.machine.reject(bid));
        self.settle_contract(contract.number);
        stood
    }

    /// Ends a contract: bids are rejected, and what was granted is taken back. Nothing happens when
    /// it has ended.
    pub fn give_up<C: Contract>(&mut self, contract: ContractId<C>, why: &str) {
        self.give_up_number(contract.number, why);
    }

    pub(super) fn give_up_number(&mut self, number: u64, why: &str) {
        if let Some(row) = self.dealings.managed.get_mut(&number) {
            row.machine.give_up(why);
            self.settle_contract(number);
        }
    }

    /// Does what a manager wants done, and looks when it wants to be called again.
    pub(super) fn settle_contract(&mut self, number: u64) {
        loop {
            let Some(row) = self.dealings.managed.get_mut(&number) else { return };
            let Some(output) = row.machine.poll() else { break };
            let name = row.name.clone();
            match output {
                Output::Grant { bid, body, left } => {
                    self.send_grant(number, name, bid, &body, left);
                }
                Output::Reject(bid) => {
                    self.tell_of(bid.bidder, name, &Tell::Reject { bid: bid.number });
                }
                Output::Cancel { bid, why } => {
                    let cancel = Tell::Cancel { bid: bid.number, why: why.into() };
                    self.tell_of(bid.bidder, name, &cancel);
                }
                Output::Acknowledge(bid) => {
                    self.tell_of(bid.bidder, name, &Tell::Acknowledge { bid: bid.number });
                }
                Output::Event(Event::Bid(bid)) => {
                    self.dealings.news.push_back(News::Bid { contract: number, bid });
                }
                Output::Event(Event::Gone(bid)) => {
                    self.dealings.news.push_back(News::Gone { contract: number, bid });
                }
                Output::Event(Event::Closed) => {
                    self.dealings.news.push_back(News::Closed { contract: number });
                }
                Output::Event(Event::Ended(end)) => {
                    self.forget_grants_of(number);
                    self.dealings.news.push_back(News::Over { contract: number, end });
                }
            }
        }
        let Some(row) = self.dealings.managed.get(&number) else { return };
        let (timer, due) = (row.timer, row.machine.next_deadline());
        let timer = self.set_timer(timer, due, For::Window { contract: number });
        if let Some(row) = self.dealings.managed.get_mut(&number) {
            row.timer = timer;
        }
    }

    fn send_grant(
        &mut self,
        number: u64,
        name: Cow<'static, str>,
        bid: BidId,
        body: &[u8],
        left: Duration,
    ) {
        let ask = Ask::Grant { bid: bid.number, contract: number, left, body: Cow::Borrowed(body) };
        let (until, what) = (self.now() + left, For::Report { contract: number, bid });
        let wait = self.ask_of(bid.bidder, name, encode(&ask), left, until, what);
        if let Some(row) = self.dealings.managed.get_mut(&number) {
            row.granted.insert(bid, wait);
        }
    }

    /// Nobody's report is waited for any more. What has been asked is: a bid that comes too late is
    /// to be rejected.
    fn forget_grants_of(&mut self, number: u64) {
        let Some(row) = self.dealings.managed.get_mut(&number) else { return };
        for wait in std::mem::take(&mut row.granted).into_values() {
            self.forget_wait(wait);
        }
    }

    /// Remembers a contract that has ended, where somebody may come back to it.
    pub(super) fn remember(&mut self, number: u64, row: &mut Managed, end: &End) {
        let asked = std::mem::take(&mut row.asked);
        if asked.is_empty() && !row.machine.was_granted() {
            return;
        }
        let outcome = match end {
            End::Completed | End::Partial { .. } => {
                Outcome::Acknowledged(row.machine.reports().map(|(bid, _)| bid.id).collect())
            }
            End::Cancelled { why, .. } => Outcome::Over(why.clone()),
            End::Aborted => Outcome::Over("another report did not come in time".to_owned()),
            End::Expired { .. } | End::GivenUp => Outcome::Over("it was given up".to_owned()),
        };
        // Until who has reported first of all has waited for the others, and been answered.
        let Windows { bids, decision, reports } = row.machine.windows();
        let now = self.now();
        let until = now + (bids + decision).max(reports + decision * 2);
        let name = row.name.clone();
        let past = Past { name, asked, outcome, until };
        for wait in self.dealings.past.insert(number, past, now) {
            self.forget_wait(wait);
        }
    }

    /// Makes room: bids that come too late are not rejected then, and stand to their end.
    fn forget_late_answers(&mut self) {
        for wait in self.dealings.past.take_asked() {
            self.forget_wait(wait);
        }
    }

    /// A number that nobody can guess and that no other contract or job of this agent has: who
    /// names it has been told it.
    pub(super) fn new_number(&mut self) -> u64 {
        loop {
            let number = self.entropy().u64();
            if !self.dealings.has_number(number) {
                return number;
            }
        }
    }

    /// What has become of a bid, for a contractor that asks.
    pub(super) fn outcome_of(&self, name: &str, contract: u64, bid: BidId) -> Reply<'_> {
        if let Some(row) = self.dealings.managed.get(&contract).filter(|row| row.name == name) {
            return if row.machine.is_granted(bid) {
                Reply::Pending { left: row.machine.left(self.now()) }
            } else {
                Reply::Cancelled("it was not granted".into())
            };
        }
        let past = self.dealings.past.get(contract).filter(|past| past.name == name);
        match past.map(|past| &past.outcome) {
            Some(Outcome::Acknowledged(bids)) if bids.contains(&bid) => Reply::Acknowledged,
            Some(Outcome::Acknowledged(_)) => Reply::Cancelled("it was not granted".into()),
            Some(Outcome::Over(why)) => Reply::Cancelled(why.into()),
            None => Reply::Forgotten,
        }
    }
}
