use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Bond, Leaving, Letter};
use crate::{
    exchange::Failure,
    ident::{Address, AgentId},
    limits::{BROTHERS_MAX, PARTNERS_PER_AGENT_MAX, REASON_BYTES_MAX},
    time::Time,
};

/// How often a check is tried again that could not even be posted.
const CHECK_AGAIN: Duration = Duration::from_secs(30);

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
    /// When it is to be asked again whether it stands.
    check_at: Option<Time>,
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

/// Why there is no partnership after all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Declined {
    /// The other side does not agree, for the reason in words.
    Refused(String),
    /// This side does not agree in the end, for the reason in words.
    Reconsidered(String),
    /// There was no answer in time. The other side may agree yet; it is told then that it is too
    /// late.
    TimedOut,
    /// It could not be delivered.
    Undelivered(Failure),
    /// The other side has proposed the same at the same time, and that goes on.
    Crossed,
    /// The agent has withdrawn it.
    Withdrawn,
}

/// How a partnership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parted {
    /// The partner has broken up, or has ended its life in good order.
    Goodbye,
    /// This agent has broken up.
    Breakup,
    /// This agent ends its life, in good order.
    Shutdown,
    /// The partner has died, and will not come back.
    Buried,
    /// The partner is not there any more, or knows nothing of it, and nobody has said why.
    Lost,
}

/// What the agent itself must decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Whether it agrees to what another proposes: [`accept`](Partnerships::accept) or
    /// [`decline`](Partnerships::decline) follows.
    Answer {
        /// Of what.
        bond: Bond,
        /// What else was said, encoded.
        terms: Vec<u8>,
    },
    /// Whether it still agrees to what it has proposed and the other has accepted:
    /// [`confirm`](Partnerships::confirm) or [`reconsider`](Partnerships::reconsider) follows.
    Confirmation {
        /// Of what.
        bond: Bond,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A letter is to be posted.
    Post {
        /// To whom.
        to: Address,
        /// Under which name.
        name: Cow<'static, str>,
        /// The letter.
        letter: Letter<'static>,
    },
    /// The agent is to be watched, for this bond.
    Watch {
        /// Whom.
        of: Address,
        /// What for.
        bond: Bond,
    },
    /// It is to be watched for that no more.
    Unwatch {
        /// Whom.
        of: Address,
        /// What for.
        bond: Bond,
    },
    /// What was proposed is not to be.
    Declined {
        /// What.
        bond: Bond,
        /// What was known of it.
        row: Row,
        /// Why.
        why: Declined,
    },
    /// A partnership has ended.
    Parted {
        /// Which.
        bond: Bond,
        /// What was known of it.
        row: Row,
        /// How.
        how: Parted,
        /// The partner's other partners of the same relation, if it has told them.
        brothers: Vec<Address>,
    },
    /// A partner lives elsewhere now.
    Restarted {
        /// Of which partnership.
        bond: Bond,
        /// Where it lived before.
        before: Address,
    },
}

/// One agent's side of all its partnerships.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Partnerships {
    rows: BTreeMap<Bond, Row>,
    /// What the agent is being asked about. It takes its room from then on, so that nothing is
    /// proposed meanwhile for which there is none.
    #[serde(skip)]
    deciding: Option<(Bond, Ends, AgentId)>,
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
        let stands = |bond| self.get(bond).is_some_and(|row| row.stage == Stage::Standing);
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
        self.rows.insert(bond, Row { ends, partner: to, stage, check_at: None });
        Ok(())
    }

    /// Agrees to what another has proposed.
    pub fn accept(&mut self, bond: Bond, ends: Ends, from: Address) {
        self.deciding = None;
        self.post(from, &ends, Letter::Accept { bond });
        let row = Row { ends, partner: from, stage: Stage::Standing, check_at: None };
        self.rows.insert(bond, row);
        self.outputs.push_back(Output::Watch { of: from, bond });
    }

    /// Does not agree to what another has proposed.
    pub fn decline(&mut self, bond: Bond, ends: &Ends, from: Address, why: &str) {
        self.deciding = None;
        let why: String = why.chars().take(REASON_BYTES_MAX / 4).collect();
        self.post(from, ends, Letter::Decline { bond, why: Cow::Owned(why) });
    }

    /// Agrees to what it has proposed itself and the other has accepted.
    pub fn confirm(&mut self, bond: Bond) {
        let Some(row) = self.rows.get_mut(&bond) else { return };
        let stage = std::mem::replace(&mut row.stage, Stage::Standing);
        let of = row.partner;
        self.outputs.push_back(Output::Watch { of, bond });
        if let Stage::Proposed { instead_of: Some(old), .. } = stage {
            self.break_up(old);
        }
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
            if row.stage == Stage::Standing {
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
                    self.check(bond);
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
        let known = self.rows.get(&bond);
        let known = known.filter(|row| row.ends == *ends && row.partner.agent == from.agent);
        let Some(row) = known else {
            if !matches!(letter, Letter::End { .. } | Letter::Decline { .. }) {
                self.send_end(from, ends, bond, Leaving::Unknown);
            }
            return None;
        };
        let stands = row.stage == Stage::Standing;
        match letter {
            Letter::Accept { .. } if !stands => return Some(Wants::Confirmation { bond }),
            Letter::Decline { why, .. } if !stands => {
                self.drop_proposed(bond, Declined::Refused(why.into_owned()));
            }
            Letter::End { how, brothers, .. } => self.ended(bond, how, brothers),
            Letter::Check { .. } => self.post(from, ends, Letter::Sound { bond }),
            Letter::Sound { .. } if stands => {
                self.outputs.push_back(Output::Watch { of: from, bond });
            }
            _ => {}
        }
        None
    }

    /// The watch on a partner has ended, or it says that it does not know of the bond.
    pub fn gone(&mut self, bond: Bond) {
        self.check(bond);
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
                row.check_at = Some(now + CHECK_AGAIN);
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
        let bonds: Vec<Bond> = self.with(who).map(|(bond, _)| bond).collect();
        for bond in bonds {
            let Some(row) = self.rows.get_mut(&bond) else { continue };
            let before = std::mem::replace(&mut row.partner, at);
            if before != at {
                self.outputs.push_back(Output::Unwatch { of: before, bond });
            }
            self.outputs.push_back(Output::Watch { of: at, bond });
            self.outputs.push_back(Output::Restarted { bond, before });
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
        if from.agent == me.agent || self.rows.contains_key(&bond) {
            self.decline(bond, ends, from, "an agent is no partner of its own");
            return false;
        }
        if let Some(old) = self.find(ends, from.agent) {
            let stage = self.rows.get(&old).map(|row| &row.stage);
            if stage == Some(&Stage::Standing) {
                // It would not propose what it knows to stand: it has begun anew.
                self.part(old, Parted::Lost, Vec::new());
            } else if me.agent < from.agent {
                self.decline(bond, ends, from, "this side has proposed the same");
                return false;
            } else {
                // The other side will decline what this side has proposed.
                self.drop_proposed(old, Declined::Crossed);
            }
        }
        if self.is_full(ends, most) {
            self.decline(bond, ends, from, "it has as many such partners as it may");
            return false;
        }
        self.deciding = Some((bond, ends.clone(), from.agent));
        true
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
        let rows = self.rows.iter().map(|(bond, row)| (bond, &row.ends, &row.partner.agent));
        let deciding = self.deciding.iter().map(|(bond, ends, agent)| (bond, ends, agent));
        let mut all = rows.chain(deciding);
        all.find(|(_, of, agent)| *of == ends && **agent == with).map(|(bond, ..)| *bond)
    }

    fn is_full(&self, ends: &Ends, most: usize) -> bool {
        let deciding = self.deciding.iter().map(|(_, ends, _)| ends);
        let all = self.rows.values().map(|row| &row.ends).chain(deciding);
        let (of_relation, of_all) =
            all.fold((0, 0), |(of, all), other| (of + usize::from(other == ends), all + 1));
        of_relation >= most || of_all >= PARTNERS_PER_AGENT_MAX
    }

    fn check(&mut self, bond: Bond) {
        let Some(row) = self.rows.get(&bond).filter(|row| row.stage == Stage::Standing) else {
            return;
        };
        let (to, ends) = (row.partner, row.ends.clone());
        self.post(to, &ends, Letter::Check { bond });
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
        }
    }
}

/// Puts brothers into the order in which all of them know each other, and leaves out those that
/// are too many.
fn in_order(brothers: &mut Vec<Address>) {
    brothers.sort_by_key(|of| (of.agent, of.host));
    brothers.truncate(BROTHERS_MAX);
}
