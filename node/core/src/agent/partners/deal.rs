use std::time::Duration;

use serde_json::{Value, json};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::{Address, AgentId},
    limits::{BUDGET_MAX, DESCRIBED_PARTNERS_MAX},
    partner::{
        Bond, Ends, Letter, Output, Partnerships, Proposal, ProposeError, Row, Stage, Wants,
    },
    time::Time,
};

use super::{
    Buried, Count, Died, One, Partner, PartnerFns, Partners, Proposing, Relation, Restarted, ends,
};
use crate::agent::{
    Agent, Cx, Effect, Rejection,
    cx::encode,
    dealings::{For, News, PartnerNews, ROWS_SHOWN_MAX, Reason, more, read},
    resources::shown_map,
};

/// What an agent does with its partners.
impl<A: Agent> Cx<'_, A> {
    /// Proposes a partnership. [`Partners::initiate`] comes when the other side agrees, and
    /// [`Partners::declined`] when it does not, cannot, or has not done so in time.
    ///
    /// # Errors
    /// [`ProposeError`] says why nothing was proposed; nothing has changed.
    pub fn propose<R: Relation>(
        &mut self,
        to: impl Into<Proposing>,
        terms: &<R::Inverse as Relation>::Terms,
    ) -> Result<Bond, ProposeError>
    where
        A: Partners<R>,
    {
        let Proposing { to, instead_of, within } = to.into();
        let bond = Bond(self.entropy().u128());
        let (until, terms) = (self.now() + within.min(BUDGET_MAX), encode(terms));
        let most = <A as Partners<R>>::Count::MOST;
        let me = self.address();
        let proposal = Proposal { bond, ends: ends::<R>(), to, terms, instead_of, most, until };
        self.dealings.partners.propose(proposal, me)?;
        self.settle_partners();
        Ok(bond)
    }

    /// Ends a partnership, or withdraws what was proposed. [`Partners::parted`] or
    /// [`Partners::declined`] follows after this handler. Gives whether there was such.
    pub fn break_up(&mut self, bond: Bond) -> bool {
        let was_there = self.dealings.partners.get(bond).is_some();
        if was_there {
            self.dealings.partners.break_up(bond);
            self.settle_partners();
        }
        was_there
    }

    /// The partners of a relation, in the order of their ids.
    #[must_use]
    pub fn partners<R: Relation>(&self) -> Vec<Partner<R>>
    where
        A: Partners<R>,
    {
        let standing = self.dealings.partners.standing(R::NAME).into_iter();
        standing.map(|(bond, row)| Partner::new(bond, row.partner)).collect()
    }

    /// The one partner of a relation, if there is one.
    #[must_use]
    pub fn partner<R: Relation>(&self) -> Option<Partner<R>>
    where
        A: Partners<R, Count = One>,
    {
        self.partners::<R>().into_iter().next()
    }

    /// Does what the partnerships want done, and looks when they want to be called again.
    fn settle_partners(&mut self) {
        while let Some(output) = self.dealings.partners.poll() {
            match output {
                Output::Post { to, name, letter } => {
                    self.push(Effect::Post { to, name, body: encode(&letter) });
                }
                Output::Watch { of, bond } => {
                    if !self.watch(of, Reason::Partner(bond)) {
                        let now = self.now();
                        self.dealings.partners.gone(bond, false, now);
                    }
                }
                Output::Unwatch { bond, .. } => self.unwatch(Reason::Partner(bond)),
                Output::Declined { bond, row, why } => {
                    self.hear(PartnerNews::Declined { bond, row, why });
                }
                Output::Parted { bond, row, how, brothers } => {
                    // If the other side does not know yet, it asks now.
                    self.dismiss_watcher(row.partner, Reason::Partner(bond));
                    self.hear(PartnerNews::Parted { bond, row, how, brothers });
                }
                Output::Restarted { bond, before } => {
                    self.hear(PartnerNews::Restarted { bond, before });
                }
            }
        }
        let (timer, due) = (self.dealings.proposals, self.dealings.partners.next_deadline());
        if timer.is_some() || due.is_some() {
            self.dealings.proposals = self.set_timer(timer, due, For::Proposals);
        }
    }

    fn hear(&mut self, news: PartnerNews) {
        self.dealings.news.push_back(News::Partner(news));
    }

    pub(in crate::agent) fn proposals_are_due(&mut self) {
        let now = self.now();
        self.dealings.proposals = None;
        self.dealings.partners.expire(now);
        self.settle_partners();
    }

    /// A partner, or its host, has ended, or says that it knows nothing of this.
    pub(in crate::agent) fn partner_is_gone(&mut self, bond: Bond, answered: bool) {
        let now = self.now();
        self.dealings.partners.gone(bond, answered, now);
        self.settle_partners();
    }

    /// A letter of the kind's own relations was not delivered.
    pub(in crate::agent) fn letter_undelivered(&mut self, to: Address, name: &str, why: &Failure) {
        let now = self.now();
        self.dealings.partners.undelivered(to, name, why, now);
        self.settle_partners();
    }

    /// The agent is back in another life of its host.
    pub(in crate::agent) fn partners_recovered(&mut self, declares: impl Fn(&Ends) -> bool) {
        if !self.dealings.partners.is_empty() {
            self.dealings.partners.recovered(declares);
            self.settle_partners();
        }
    }

    /// The agent lives on another host than before. Those of its partners whom its descriptor has
    /// told of stand, and are told where it is.
    pub(in crate::agent) fn partners_taken_up(
        &mut self,
        all: &[(Bond, Ends, Address)],
        declares: impl Fn(&Ends) -> bool,
    ) {
        let at = self.address();
        for (bond, ends, partner) in all {
            if self.dealings.partners.remember(*bond, ends.clone(), *partner) {
                self.notify(*partner, &Restarted { who: at.agent, at });
            }
        }
        self.partners_recovered(declares);
    }

    /// The agent is about to end in good order.
    pub(in crate::agent) fn part_from_all(&mut self) {
        if !self.dealings.partners.is_empty() {
            self.dealings.partners.shut_down();
            self.settle_partners();
        }
    }

    /// A letter has come.
    pub(in crate::agent) fn partner_told(
        &mut self,
        fns: &PartnerFns<A>,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let letter: Letter<'_> = read(codec, body)?;
        let (from, me) = (self.sender(), self.address());
        let wants = self.dealings.partners.take(letter, &fns.ends, from, me, fns.most);
        self.settle_partners();
        if let Some(wants) = wants {
            // After what has become of others by that: the agent may have room now.
            let relation = fns.ends.mine.clone();
            self.hear(PartnerNews::Asked { relation, from, wants });
        }
        Ok(())
    }

    /// Asks the agent whether it agrees.
    fn ask_consent(&mut self, agent: &mut A, fns: &PartnerFns<A>, from: Address, wants: Wants) {
        match wants {
            Wants::Answer { bond, terms } => {
                let consent = (fns.initiate)(agent, self, bond, from, Some(&terms));
                match consent.0 {
                    Ok(()) => self.dealings.partners.accept(bond),
                    Err(why) => self.dealings.partners.decline(bond, &why),
                }
                // The agent may have broken it up and agreed all the same.
                if self.dealings.partners.get(bond).is_none() {
                    release(agent, fns, bond);
                }
            }
            Wants::Confirmation { bond } => {
                let consent = (fns.initiate)(agent, self, bond, from, None);
                match consent.0 {
                    Ok(()) => self.dealings.partners.confirm(bond),
                    Err(why) => self.dealings.partners.reconsider(bond, &why),
                }
            }
        }
        self.settle_partners();
    }

    /// Tells the agent what has become of a partner.
    pub(in crate::agent) fn tell_partner(
        &mut self,
        agent: &mut A,
        fns: &PartnerFns<A>,
        news: PartnerNews,
    ) {
        match news {
            PartnerNews::Asked { from, wants, .. } => self.ask_consent(agent, fns, from, wants),
            PartnerNews::Declined { bond, row, why } => {
                (fns.declined)(agent, self, bond, row.partner, &why);
                release(agent, fns, bond);
            }
            PartnerNews::Parted { bond, row, how, brothers } => {
                (fns.parted)(agent, self, bond, row.partner, how, &brothers);
                release(agent, fns, bond);
            }
            PartnerNews::Restarted { bond, before } => {
                if let Some(at) = self.dealings.partners.get(bond).map(|row| row.partner) {
                    (fns.restarted)(agent, self, bond, at, before);
                }
            }
        }
    }

    /// Somebody says that an agent has died. Each relation it was a partner of is asked whether the
    /// agent volunteers; the longest time it gives is the answer.
    pub(in crate::agent) fn told_of_death<'f>(
        &mut self,
        agent: &mut A,
        body: &[u8],
        find: impl Fn(&str) -> Option<&'f PartnerFns<A>>,
    ) -> Result<(), Rejection>
    where
        A: 'f,
    {
        let Died { who, brothers } = read(self.dialog().codec(), body)?;
        let rows: Vec<(Bond, Row)> =
            self.dealings.partners.with(who).map(|(bond, row)| (bond, row.clone())).collect();
        let mut volunteers: Option<Duration> = None;
        for (bond, row) in rows {
            if let Some(fns) = find(&row.ends.mine) {
                let needs = (fns.died)(agent, self, bond, row.partner, &brothers);
                volunteers = volunteers.max(needs);
            }
        }
        self.answer_now(Ok(&volunteers));
        Ok(())
    }

    pub(in crate::agent) fn told_of_restart(
        &mut self,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let Restarted { who, at } = read(codec, body)?;
        self.dealings.partners.restarted(who, at);
        self.settle_partners();
        Ok(())
    }

    pub(in crate::agent) fn told_of_burial(
        &mut self,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let Buried { who, brothers } = read(codec, body)?;
        self.dealings.partners.buried(who, &brothers);
        self.settle_partners();
        Ok(())
    }
}

/// What was set aside for a partnership is free again.
fn release<A: Agent>(agent: &mut A, fns: &PartnerFns<A>, bond: Bond) {
    if let Some(resources) = (fns.resources)(agent) {
        resources.released_by(bond);
    }
}

/// For people: each partnership, and until when it waits for something. Of very many, the first,
/// and how many there are beside them.
pub(in crate::agent) fn views(partners: &Partnerships) -> Vec<(String, Time, Value)> {
    let view = |(bond, row): (Bond, &Row)| {
        let (stage, until) = match row.stage {
            Stage::Proposed { until, .. } => ("proposed", until),
            Stage::Considered { .. } => ("considered", Time::ZERO),
            Stage::Standing => ("standing", Time::ZERO),
        };
        let then = json!({
            "relation": row.ends.mine, "bond": bond.to_string(), "stage": stage,
            "partner": row.partner.to_string(),
        });
        ("partner".to_owned(), until, then)
    };
    let rows = partners.iter().take(ROWS_SHOWN_MAX).map(view);
    rows.chain(more("partner", partners.len())).collect()
}

/// For the descriptor: the partnerships that stand.
pub(in crate::agent) fn shown(partners: &Partnerships) -> Value {
    let standing = || partners.iter().filter(|(_, row)| row.stage == Stage::Standing);
    let entry = |(bond, row): (Bond, &Row)| {
        let Ends { mine, theirs } = &row.ends;
        let (agent, host) = (row.partner.agent.to_string(), row.partner.host.to_string());
        let value = json!({ "relation": mine, "inverse": theirs, "agent": agent, "host": host });
        (bond.to_string(), value)
    };
    let beyond = standing().count().saturating_sub(DESCRIBED_PARTNERS_MAX);
    shown_map(standing().take(DESCRIBED_PARTNERS_MAX).map(entry), beyond)
}

/// What [`shown`] has said, when it is read again.
pub(crate) fn read_shown(partners: &Value) -> Vec<(Bond, Ends, Address)> {
    let read = |(bond, entry): (&String, &Value)| {
        let text = |key: &str| entry[key].as_str();
        let ends = Ends {
            mine: text("relation")?.to_owned().into(),
            theirs: text("inverse")?.to_owned().into(),
        };
        let (agent, host) = (text("agent")?.parse().ok()?, text("host")?.parse().ok()?);
        Some((bond.parse().ok()?, ends, Address { host, agent }))
    };
    let all = partners.as_object().into_iter().flatten();
    all.filter_map(read).take(DESCRIBED_PARTNERS_MAX).collect()
}

/// Whether an agent is a partner.
pub(in crate::agent) fn knows(partners: &Partnerships, bond: Bond, who: AgentId) -> bool {
    partners.get(bond).is_some_and(|row| row.partner.agent == who)
}
