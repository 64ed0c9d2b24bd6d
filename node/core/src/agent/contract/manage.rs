use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use starling_protocols::{
    contract::{Announcement, Ask, BidId, Event, GrantError, Manager, Output, Tell, Traversal},
    exchange::Delivery,
    ident::Address,
    interest::TopicName,
    limits::{BODY_BYTES_MAX, CONTRACTS_PER_AGENT_MAX},
    time::Time,
    wire,
};

use super::{
    BidOf, Contract, ContractId, Job, Manages, To,
    dealings::{Dealings, For, Managed, News},
};
use crate::agent::{Agent, Cx, Effect, WaitId, cx::encode, waits::What};

/// Where a search stands when it is carried on.
struct Search {
    traversal: Traversal,
    level: u8,
    reach: Option<u8>,
    /// Who has brought it here.
    from: Option<Address>,
}

/// What an agent does with contracts that it announces.
impl<A: Agent> Cx<'_, A> {
    /// Announces work. [`Manages::closed`] comes when all have answered or the window for bids has
    /// ended, and [`Manages::ended`] in any case.
    ///
    /// An agent that has [`CONTRACTS_PER_AGENT_MAX`] contracts under way, or waits for as much as an
    /// agent may, asks nobody: the contract expires at once.
    pub fn announce<C: Contract>(&mut self, work: &C, to: To) -> ContractId<C>
    where
        A: Manages<C>,
    {
        let traversal = Traversal(self.entropy().u128());
        let reach = to.reach;
        let search = Search { traversal, level: 0, reach, from: None };
        let until = self.now() + C::WINDOWS.capped().bids;
        let now = self.now();
        self.dealings.visited.begin(traversal, until, now);
        self.carry_on(None, search, C::WINDOWS, work, to)
    }

    /// Asks others for a job that was announced to this agent: the search goes on, with a tenth
    /// less time, one step farther from where it began, and not back to those it came from. When
    /// the job is not there any more, nobody is asked.
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
        let row = self.dealings.jobs.get(&job.number);
        let search = row.map(|row| {
            let level = row.level.saturating_add(1);
            let own = to.reach.map(|steps| level.saturating_add(steps));
            let reach = [row.reach, own].into_iter().flatten().min();
            let left = row.machine.left(now);
            (Search { traversal: row.traversal, level, reach, from: Some(row.manager) }, left)
        });
        let Some((search, left)) = search else {
            return self.announce(work, To::default());
        };
        self.carry_on(Some(job.number), search, C::WINDOWS.nested(left), work, to)
    }

    fn carry_on<C: Contract>(
        &mut self,
        job: Option<u64>,
        search: Search,
        windows: starling_protocols::contract::Windows,
        work: &C,
        to: To,
    ) -> ContractId<C> {
        let Search { traversal, level, reach, from } = search;
        let (me, now, windows) = (self.address(), self.now(), windows.capped());
        let known = |of: &Address| self.dealings.visited.came_from(traversal, *of);
        let wanted = |of: &Address| *of != me && Some(*of) != from && !known(of);
        let asked: BTreeSet<Address> = to.agents.into_iter().filter(wanted).collect();
        let far = reach.is_some_and(|reach| level > reach);
        let full = self.dealings.managed.len() >= CONTRACTS_PER_AGENT_MAX
            || asked.len() > self.dealings.waits.room();
        let further = far && (!asked.is_empty() || to.scope.is_some());
        let (asked, scope) = if far || full { (BTreeSet::new(), None) } else { (asked, to.scope) };
        let number = self.dealings.number();
        let announcement = Announcement {
            traversal,
            contract: number,
            level,
            reach,
            left: windows.bids,
            body: Cow::Owned(encode(work)),
        };
        let until = now + windows.bids;
        let open = scope.is_some();
        let mut row = Managed {
            name: C::NAME.to_owned(),
            machine: Manager::announce(asked.iter().copied(), open, further, windows, now),
            traversal,
            job,
            timer: None,
            asked: BTreeMap::new(),
            granted: BTreeMap::new(),
        };
        if !asked.is_empty() {
            let body = encode(&Ask::Announce(announcement.clone()));
            for to in asked {
                let what = For::Answer { contract: number, from: to };
                let wait = self.ask_of(to, C::NAME, body.clone(), windows.bids, until, what);
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
            let name = Cow::Owned(row.name.clone());
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
                Output::Event(Event::Closed) => {
                    self.dealings.news.push_back(News::Closed { contract: number });
                }
                Output::Event(Event::Ended(end)) => {
                    self.forget_waits_of(number);
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

    /// Nobody's answer is waited for any more.
    fn forget_waits_of(&mut self, number: u64) {
        let Some(row) = self.dealings.managed.get_mut(&number) else { return };
        let asked = std::mem::take(&mut row.asked).into_values();
        let granted = std::mem::take(&mut row.granted).into_values();
        for wait in asked.chain(granted).collect::<Vec<_>>() {
            self.forget_wait(wait);
        }
    }

    fn ask_of(
        &mut self,
        to: Address,
        name: impl Into<Cow<'static, str>>,
        body: Vec<u8>,
        budget: Duration,
        until: Time,
        what: For,
    ) -> WaitId {
        let wait = self.wait_for(What::Reply, until, what);
        self.push(Effect::Request { to, name: name.into(), body, wait, budget });
        wait
    }

    pub(super) fn tell_of<T: Serialize>(&mut self, to: Address, name: Cow<'static, str>, tell: &T) {
        self.push(Effect::Notify { to, name, body: encode(tell) });
    }

    fn wait_for(&mut self, what: What, until: Time, then: For) -> WaitId {
        self.dealings.waits.begin(then, what, until)
    }

    pub(super) fn forget_wait(&mut self, wait: WaitId) {
        if let Some((_, until)) = self.dealings.waits.end(wait) {
            self.push(Effect::Forget { at: until, wait });
        }
    }

    /// Changes a timer to what is due now.
    pub(super) fn set_timer(
        &mut self,
        timer: Option<(WaitId, Time)>,
        due: Option<Time>,
        what: For,
    ) -> Option<(WaitId, Time)> {
        if timer.map(|(_, at)| at) == due {
            return timer;
        }
        if let Some((wait, _)) = timer {
            self.forget_wait(wait);
        }
        let at = due?;
        let wait = self.wait_for(What::Timer, at, what);
        self.push(Effect::Wake { at, wait });
        Some((wait, at))
    }
}
