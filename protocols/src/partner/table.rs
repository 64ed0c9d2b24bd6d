use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Bond, Declined, Leaving, Letter, Output, Parted, Wants};
use crate::{
    exchange::Failure,
    ident::{Address, AgentId},
    limits::{BROTHERS_MAX, PARTNERS_PER_AGENT_MAX, REASON_BYTES_MAX},
    time::Time,
};

/// How long after a partner has fallen silent it is looked for again, at first and at last.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(80);

/// What the two sides call a relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ends {
    /// What this side calls those at the other end.
    pub mine: Cow<'static, str>,
    /// What the other side calls this end: the name under which it is told.
    pub theirs: Cow<'static, str>,
}

/// One side of one partnership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The relation.
    pub ends: Ends,
    /// The other side.
    pub partner: Address,
    /// How far it has come.
    pub stage: Stage,
    /// When the partner is to be looked for again, and how often it was looked for in vain.
    check_at: Option<Time>,
    checks: u32,
}

/// How far a partnership has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// This side has proposed it.
    Proposed {
        /// When it is withdrawn.
        until: Time,
        /// The partnership that it is to replace.
        instead_of: Option<Bond>,
    },
    /// The other side has proposed it, and the agent is about to say whether it agrees. No agent is
    /// ever saved in this stage.
    Considered {
        /// The partnership that it is to replace.
        instead_of: Option<Bond>,
    },
    /// Both sides have agreed to it.
    Standing,
}

/// What is proposed.
#[derive(Debug)]
pub struct Proposal {
    /// A new name for it.
    pub bond: Bond,
    /// The relation.
    pub ends: Ends,
    /// To whom.
    pub to: Address,
    /// What else there is to say, encoded.
    pub terms: Vec<u8>,
    /// The partnership that it is to replace.
    pub instead_of: Option<Bond>,
    /// How many partners of the relation this side may have.
    pub most: usize,
    /// When it is withdrawn if there is no answer.
    pub until: Time,
}

/// Why nothing was proposed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was to be proposed to the agent itself.
    #[error("an agent is no partner of its own")]
    Myself,
    /// The two are partners of this relation, or one has proposed it to the other.
    #[error("they are partners already, or about to be ({0})")]
    Already(Bond),
    /// There are as many partners of this relation as there may be, or of all relations.
    #[error("it has as many such partners as it may; break up with one, or substitute it")]
    Full,
    /// The partnership that was to be replaced does not stand.
    #[error("there is no such partner to be substituted")]
    NoSuchPartner,
}

/// One agent's side of all its partnerships.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Partnerships {
    rows: BTreeMap<Bond, Row>,
    #[serde(skip)]
    outputs: VecDeque<Output>,
}

/// What is asked of it.
impl Partnerships {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many there are, in all stages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, bond: Bond) -> Option<&Row> {
        self.rows.get(&bond)
    }

    /// All of them, in the order of their bonds.
    pub fn iter(&self) -> impl Iterator<Item = (Bond, &Row)> {
        self.rows.iter().map(|(bond, row)| (*bond, row))
    }

    /// Those that stand in a relation, in the order of the partners' ids.
    #[must_use]
    pub fn standing(&self, relation: &str) -> Vec<(Bond, &Row)> {
        let stands = |row: &Row| row.stage == Stage::Standing && row.ends.mine == relation;
        let mut all: Vec<_> = self.iter().filter(|(_, row)| stands(row)).collect();
        all.sort_by_key(|(_, row)| (row.partner.agent, row.partner.host));
        all
    }

    /// Those that stand with one agent.
    pub fn with(&self, who: AgentId) -> impl Iterator<Item = (Bond, &Row)> {
        self.iter().filter(move |(_, row)| row.partner.agent == who && row.stage == Stage::Standing)
    }

    /// When [`expire`](Self::expire) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.rows.values().filter_map(Row::deadline).min()
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// What the agent wants.
impl Partnerships {
    /// Proposes a partnership.
    ///
    /// # Errors
    /// [`ProposeError`] says why not; nothing has changed.
    pub fn propose(&mut self, proposal: Proposal, me: Address) -> Result<(), ProposeError> {
        let Proposal { bond, ends, to, terms, instead_of, most, until } = proposal;
        if to.agent == me.agent {
            return Err(ProposeError::Myself);
        }
        let same = |row: &Row| row.stage == Stage::Standing && row.ends == ends;
        let stands = |bond| self.get(bond).is_some_and(same);
        if instead_of.is_some_and(|bond| !stands(bond)) {
            return Err(ProposeError::NoSuchPartner);
        }
        if let Some(bond) = self.find(&ends, to.agent) {
            return Err(ProposeError::Already(bond));
        }
        let most = most.saturating_add(usize::from(instead_of.is_some()));
        if self.is_full(&ends, most) {
            return Err(ProposeError::Full);
        }
        let letter = Letter::Propose { bond, terms: Cow::Owned(terms) };
        self.post(to, &ends, letter);
        let stage = Stage::Proposed { until, instead_of };
        self.rows.insert(bond, Row { ends, partner: to, stage, check_at: None, checks: 0 });
        Ok(())
    }

    /// Agrees to what another has proposed.
    pub fn accept(&mut self, bond: Bond) {
        let Some(row) = self.rows.get(&bond) else { return };
        if let Stage::Considered { .. } = row.stage {
            let (to, ends) = (row.partner, row.ends.clone());
            self.post(to, &ends, Letter::Accept { bond });
            self.begin_to_stand(bond);
        }
    }

    /// Does not agree to what another has proposed.
    pub fn decline(&mut self, bond: Bond, why: &str) {
        if let Some(row) = self.rows.remove(&bond) {
            self.send_decline(bond, &row.ends, row.partner, why);
        }
    }

    /// Agrees to what it has proposed itself and the other has accepted.
    pub fn confirm(&mut self, bond: Bond) {
        self.begin_to_stand(bond);
    }

    /// Does not agree in the end to what it has proposed itself.
    pub fn reconsider(&mut self, bond: Bond, why: &str) {
        let why: String = why.chars().take(REASON_BYTES_MAX / 4).collect();
        self.withdraw(bond, Declined::Reconsidered(why));
    }

    /// Ends a partnership, or withdraws what it has proposed. Gives whether there was such.
    pub fn break_up(&mut self, bond: Bond) -> bool {
        match self.rows.get(&bond).map(|row| &row.stage) {
            None => return false,
            Some(Stage::Considered { .. }) => self.decline(bond, "not now"),
            Some(Stage::Proposed { .. }) => self.withdraw(bond, Declined::Withdrawn),
            Some(Stage::Standing) => self.leave(bond, Leaving::Breakup, Parted::Breakup),
        }
        true
    }

    /// The agent ends its life, in good order.
    pub fn shut_down(&mut self) {
        let standing = |row: &&Row| row.stage == Stage::Standing;
        let mut brothers: BTreeMap<Ends, Vec<Address>> = BTreeMap::new();
        for row in self.rows.values().filter(standing) {
            brothers.entry(row.ends.clone()).or_default().push(row.partner);
        }
        brothers.values_mut().for_each(in_order);
        for (bond, row) in std::mem::take(&mut self.rows) {
            let (to, ends) = (row.partner, row.ends.clone());
            if let Stage::Considered { .. } = row.stage {
                self.send_decline(bond, &ends, to, "it ends its life");
            } else if row.stage == Stage::Standing {
                let brothers = brothers.get(&row.ends).cloned().unwrap_or_default();
                self.post(to, &ends, Letter::End { bond, how: Leaving::Shutdown, brothers });
                self.parted(bond, row, Parted::Shutdown, Vec::new());
            } else {
                self.send_end(to, &ends, bond, Leaving::Withdrawn);
                self.declined(bond, row, Declined::Withdrawn);
            }
        }
    }

    /// Something is due.
    pub fn expire(&mut self, now: Time) {
        let is_due = |row: &Row| row.deadline().is_some_and(|at| at <= now);
        let due: Vec<Bond> =
            self.rows.iter().filter(|(_, row)| is_due(row)).map(|(bond, _)| *bond).collect();
        for bond in due {
            match self.rows.get_mut(&bond) {
                Some(Row { stage: Stage::Proposed { .. }, .. }) => {
                    self.withdraw(bond, Declined::TimedOut);
                }
                Some(row) => {
                    row.check_at = None;
                    let of = row.partner;
                    self.outputs.push_back(Output::Watch { of, bond });
                }
                None => {}
            }
        }
    }
}

/// What it is told.
impl Partnerships {
    /// A letter has come. `most` is how many partners of the relation this side may have.
    pub fn take(
        &mut self,
        letter: Letter<'_>,
        ends: &Ends,
        from: Address,
        me: Address,
        most: usize,
    ) -> Option<Wants> {
        let bond = letter.bond();
        if let Letter::Propose { terms, .. } = letter {
            return self.proposed(bond, ends, from, me, most).then(|| {
                let terms = terms.into_owned();
                Wants::Answer { bond, terms }
            });
        }
        let known = |row: &&mut Row| row.ends == *ends && row.partner.agent == from.agent;
        let Some(row) = self.rows.get_mut(&bond).filter(known) else {
            if !matches!(letter, Letter::End { .. } | Letter::Decline { .. }) {
                self.send_end(from, ends, bond, Leaving::Unknown);
            }
            return None;
        };
        // Wherever it writes from, there it lives.
        row.partner = from;
        let stands = row.stage == Stage::Standing;
        match letter {
            // Who checks has agreed, and its word of that may be lost.
            Letter::Accept { .. } | Letter::Check { .. } if !stands => {
                return Some(Wants::Confirmation { bond });
            }
            Letter::Decline { why, .. } if !stands => {
                self.drop_proposed(bond, Declined::Refused(why.into_owned()));
            }
            Letter::End { how, brothers, .. } => self.ended(bond, how, brothers),
            Letter::Check { .. } => self.post(from, ends, Letter::Sound { bond }),
            Letter::Sound { .. } if stands => {
                (row.check_at, row.checks) = (None, 0);
                self.outputs.push_back(Output::Watch { of: from, bond });
            }
            _ => {}
        }
        None
    }

    /// The watch on a partner has ended. Where something has answered, it is asked what it knows;
    /// where nothing has, it is asked once, and looked for again and again.
    pub fn gone(&mut self, bond: Bond, answered: bool, now: Time) {
        let Some(row) = self.rows.get_mut(&bond).filter(|row| row.stage == Stage::Standing) else {
            return;
        };
        row.look_again(bond, now);
        if answered || row.checks == 1 {
            let (to, ends) = (row.partner, row.ends.clone());
            self.post(to, &ends, Letter::Check { bond });
        }
    }

    /// A watch on a partner has lasted so long. Where nobody is, that is noticed in less than the
    /// longest pause before it is looked for again; so the partner was there if it was longer, and
    /// when it falls silent now, that is the first time.
    pub fn watched(&mut self, bond: Bond, lasted: Duration) {
        if lasted > LOOK_AGAIN_MAX
            && let Some(row) = self.rows.get_mut(&bond)
        {
            row.checks = 0;
        }
    }

    /// A letter was not delivered.
    pub fn undelivered(&mut self, to: Address, name: &str, why: &Failure, now: Time) {
        let to_it = |row: &Row| row.partner == to && row.ends.theirs == name;
        let of: Vec<Bond> =
            self.rows.iter().filter(|(_, row)| to_it(row)).map(|(bond, _)| *bond).collect();
        for bond in of {
            let Some(row) = self.rows.get_mut(&bond) else { continue };
            if row.stage != Stage::Standing {
                self.drop_proposed(bond, Declined::Undelivered(why.clone()));
            } else if matches!(why, Failure::NoAgent | Failure::Unknown(_)) {
                self.part(bond, Parted::Lost, Vec::new());
            } else {
                // It could not be posted, or not be taken up: it may be another time. A host that has
                // just begun to live may not know the other yet.
                row.look_again(bond, now);
            }
        }
    }

    /// Somebody who knows says that an agent has died and will not come back.
    pub fn buried(&mut self, who: AgentId, brothers: &[Address]) {
        let bonds: Vec<Bond> = self.with(who).map(|(bond, _)| bond).collect();
        for bond in bonds {
            self.part(bond, Parted::Buried, brothers.to_vec());
        }
    }

    /// Somebody who knows says that an agent lives elsewhere now.
    pub fn restarted(&mut self, who: AgentId, at: Address) {
        if at.agent != who {
            return;
        }
        for (bond, row) in self.rows.iter_mut().filter(|(_, row)| row.partner.agent == who) {
            let (bond, before) = (*bond, std::mem::replace(&mut row.partner, at));
            if row.stage != Stage::Standing {
                continue;
            }
            if before != at {
                self.outputs.push_back(Output::Unwatch { of: before, bond });
            }
            self.outputs.push_back(Output::Watch { of: at, bond });
            self.outputs.push_back(Output::Restarted { bond, before });
        }
    }

    /// The agent lives on another host than before, which knows of this partnership by what others
    /// know of the agent. It stands; [`recovered`](Self::recovered) follows when all are remembered.
    /// Gives whether there was room.
    pub fn remember(&mut self, bond: Bond, ends: Ends, partner: Address) -> bool {
        let there = self.rows.contains_key(&bond) || self.find(&ends, partner.agent).is_some();
        let room = !there && self.rows.len() < PARTNERS_PER_AGENT_MAX;
        if room {
            let stage = Stage::Standing;
            self.rows.insert(bond, Row { ends, partner, stage, check_at: None, checks: 0 });
        }
        room
    }

    /// The agent is back in another life of its host. What its kind does not declare any more has
    /// ended; all others are watched, whether they were or not.
    pub fn recovered(&mut self, declares: impl Fn(&Ends) -> bool) {
        for bond in self.rows.keys().copied().collect::<Vec<_>>() {
            let Some(row) = self.rows.get(&bond) else { continue };
            if !declares(&row.ends) {
                self.break_up(bond);
            } else if row.stage == Stage::Standing {
                let of = row.partner;
                self.outputs.push_back(Output::Watch { of, bond });
            }
        }
    }
}

impl Partnerships {
    /// Whether the agent is to be asked about what another proposes.
    fn proposed(
        &mut self,
        bond: Bond,
        ends: &Ends,
        from: Address,
        me: Address,
        most: usize,
    ) -> bool {
        if from.agent == me.agent {
            self.send_decline(bond, ends, from, "an agent is no partner of its own");
            return false;
        }
        if self.rows.contains_key(&bond) {
            self.send_decline(bond, ends, from, "this name of a partnership is taken");
            return false;
        }
        let mut instead_of = None;
        if let Some(old) = self.find(ends, from.agent) {
            let row = self.rows.get(&old);
            let stands = row.is_some_and(|row| row.stage == Stage::Standing);
            if row.is_some_and(|row| row.partner != from) {
                self.send_decline(bond, ends, from, "its like lives elsewhere");
                return false;
            } else if stands {
                // It would not propose what it knows to stand: it has begun anew.
                self.part(old, Parted::Lost, Vec::new());
            } else if me.agent < from.agent {
                self.send_decline(bond, ends, from, "this side has proposed the same");
                return false;
            } else {
                // The other side will decline what this side has proposed.
                if let Some(Stage::Proposed { instead_of: of, .. }) = row.map(|row| &row.stage) {
                    instead_of = *of;
                }
                self.drop_proposed(old, Declined::Crossed);
            }
        }
        if self.is_full(ends, most.saturating_add(usize::from(instead_of.is_some()))) {
            self.send_decline(bond, ends, from, "it has as many such partners as it may");
            return false;
        }
        let stage = Stage::Considered { instead_of };
        let row = Row { ends: ends.clone(), partner: from, stage, check_at: None, checks: 0 };
        self.rows.insert(bond, row);
        true
    }

    fn begin_to_stand(&mut self, bond: Bond) {
        let Some(row) = self.rows.get_mut(&bond) else { return };
        let of = row.partner;
        let stage = std::mem::replace(&mut row.stage, Stage::Standing);
        self.outputs.push_back(Output::Watch { of, bond });
        if let Stage::Proposed { instead_of: Some(old), .. }
        | Stage::Considered { instead_of: Some(old) } = stage
        {
            self.break_up(old);
        }
    }

    fn ended(&mut self, bond: Bond, how: Leaving, brothers: Vec<Address>) {
        let stands = self.rows.get(&bond).is_some_and(|row| row.stage == Stage::Standing);
        match how {
            _ if !stands => self.drop_proposed(bond, Declined::Refused("it has ended".into())),
            Leaving::Unknown => self.part(bond, Parted::Lost, brothers),
            Leaving::Withdrawn | Leaving::Breakup | Leaving::Shutdown => {
                self.part(bond, Parted::Goodbye, brothers);
            }
        }
    }

    fn find(&self, ends: &Ends, with: AgentId) -> Option<Bond> {
        let same = |row: &Row| row.ends == *ends && row.partner.agent == with;
        self.rows.iter().find(|(_, row)| same(row)).map(|(bond, _)| *bond)
    }

    fn is_full(&self, ends: &Ends, most: usize) -> bool {
        let of_relation = self.rows.values().filter(|row| row.ends == *ends).count();
        of_relation >= most || self.rows.len() >= PARTNERS_PER_AGENT_MAX
    }

    /// Ends a partnership that stands, and tells the other side.
    fn leave(&mut self, bond: Bond, how: Leaving, parted: Parted) {
        let Some(row) = self.rows.get(&bond) else { return };
        let (to, ends) = (row.partner, row.ends.clone());
        let mut brothers: Vec<Address> =
            self.standing(&ends.mine).into_iter().map(|(_, row)| row.partner).collect();
        in_order(&mut brothers);
        self.post(to, &ends, Letter::End { bond, how, brothers });
        self.part(bond, parted, Vec::new());
    }

    fn part(&mut self, bond: Bond, how: Parted, brothers: Vec<Address>) {
        if let Some(row) = self.rows.remove(&bond) {
            self.parted(bond, row, how, brothers);
        }
    }

    fn parted(&mut self, bond: Bond, row: Row, how: Parted, brothers: Vec<Address>) {
        self.outputs.push_back(Output::Unwatch { of: row.partner, bond });
        self.outputs.push_back(Output::Parted { bond, row, how, brothers });
    }

    /// Takes back what this side has proposed.
    fn withdraw(&mut self, bond: Bond, why: Declined) {
        let Some(row) = self.rows.get(&bond) else { return };
        let (to, ends) = (row.partner, row.ends.clone());
        self.send_end(to, &ends, bond, Leaving::Withdrawn);
        self.drop_proposed(bond, why);
    }

    fn drop_proposed(&mut self, bond: Bond, why: Declined) {
        if let Some(row) = self.rows.remove(&bond) {
            self.declined(bond, row, why);
        }
    }

    fn declined(&mut self, bond: Bond, row: Row, why: Declined) {
        self.outputs.push_back(Output::Declined { bond, row, why });
    }

    fn send_decline(&mut self, bond: Bond, ends: &Ends, to: Address, why: &str) {
        let why: String = why.chars().take(REASON_BYTES_MAX / 4).collect();
        self.post(to, ends, Letter::Decline { bond, why: Cow::Owned(why) });
    }

    fn send_end(&mut self, to: Address, ends: &Ends, bond: Bond, how: Leaving) {
        self.post(to, ends, Letter::End { bond, how, brothers: Vec::new() });
    }

    fn post(&mut self, to: Address, ends: &Ends, letter: Letter<'static>) {
        let name = ends.theirs.clone();
        self.outputs.push_back(Output::Post { to, name, letter });
    }
}

impl Row {
    const fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Proposed { until, .. } => Some(until),
            Stage::Standing => self.check_at,
            Stage::Considered { .. } => None,
        }
    }

    /// After twice as long each time. That not all look at once, the bond itself sees to.
    fn look_again(&mut self, bond: Bond, now: Time) {
        let doubled = LOOK_AGAIN * (1 << self.checks.min(4));
        let jitter = doubled * u32::from(bond.0.to_le_bytes()[0]) / 1024;
        self.check_at = Some(now + doubled.min(LOOK_AGAIN_MAX) + jitter);
        self.checks = self.checks.saturating_add(1);
    }
}

/// Puts brothers into the order in which all of them know each other, and leaves out those that
/// are too many.
fn in_order(brothers: &mut Vec<Address>) {
    brothers.sort_by_key(|of| (of.agent, of.host));
    brothers.truncate(BROTHERS_MAX);
}
