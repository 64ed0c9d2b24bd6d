use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Group, Output, Patience, Reply, Unsolved, rank};
use crate::{
    entropy::Entropy,
    exchange::Failure,
    ident::Address,
    limits::{
        CLAIMS_PER_PROBLEM_MAX, HOPS_PER_CLAIM_MAX, MEMBERS_PER_PROBLEM_MAX, REASON_BYTES_MAX,
        SOLUTION_BYTES_MAX,
    },
    time::Time,
};

/// One agent's part in one problem; see the [table](super#the-table).
#[derive(Debug, Serialize, Deserialize)]
pub struct Member {
    me: Address,
    /// Decides how long it rests.
    seed: [u8; 32],
    patience: Patience,
    group: Group,
    /// There are more members than it may know of.
    crowded: bool,
    phase: Phase,
    /// Names what it asks, so that answers to what it asked in an earlier phase are told apart.
    turn: u32,
    claims: u32,
    hops: u32,
    /// Members whose answer to its last questions failed.
    gone: BTreeSet<Address>,
    /// Who has claimed the problem last while this member followed somebody.
    latest: Option<Address>,
    /// Those that want to follow it, each with when it is to be told to wait on.
    followers: BTreeMap<Address, Time>,
    /// Who else has solved the problem, as far as its agent was told.
    others: BTreeSet<Address>,
    /// What the last that failed has said.
    why: Option<String>,
    /// When its time is over; when it has ended, until when that is remembered.
    until: Time,
    #[serde(skip)]
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    New,
    Claiming(Claim),
    Resting { until: Time },
    Following { whom: Address },
    Acting,
    Tried,
    Solved { solution: Vec<u8>, by: Address },
    Unsolved,
}

/// How far it has come with its claim. Each member is in one of these at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    asked: BTreeSet<Address>,
    settled: BTreeSet<Address>,
    /// Those to be asked once more, and when.
    doubtful: BTreeSet<Address>,
    again: Option<Time>,
    /// Those that were asked twice.
    twice: BTreeSet<Address>,
}

impl Member {
    /// An agent at `me`, which is about to [notice](Self::notice) the problem or was
    /// [asked](Self::asked) about it. `seed` decides how long it rests, and nothing else.
    #[must_use]
    pub fn new(me: Address, seed: [u8; 32], patience: Patience, now: Time) -> Self {
        let patience = patience.capped();
        Self {
            me,
            seed,
            patience,
            group: Group::default(),
            crowded: false,
            phase: Phase::New,
            turn: 0,
            claims: 0,
            hops: 0,
            gone: BTreeSet::new(),
            latest: None,
            followers: BTreeMap::new(),
            others: BTreeSet::new(),
            why: None,
            until: now + patience.total,
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`expire`](Self::expire) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.has_ended() || self.phase == Phase::New {
            return None;
        }
        let own = match &self.phase {
            Phase::Resting { until } => Some(*until),
            Phase::Claiming(claim) => claim.again,
            _ => None,
        };
        let waits = self.followers.values().copied();
        waits.chain(own).chain([self.until]).min()
    }

    /// Whether it has a solution, or has given up.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Solved { .. } | Phase::Unsolved)
    }

    /// When it has ended: whether that is to be forgotten by now.
    #[must_use]
    pub fn is_stale(&self, now: Time) -> bool {
        self.has_ended() && self.until <= now
    }

    /// When its time is over; when it has ended, until when that is remembered.
    #[must_use]
    pub const fn until(&self) -> Time {
        self.until
    }

    /// How long it waits for others.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// The word for where it stands.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self.phase {
            Phase::New => "new",
            Phase::Claiming(_) => "claiming",
            Phase::Resting { .. } => "resting",
            Phase::Following { .. } => "following",
            Phase::Acting => "acting",
            Phase::Tried => "tried",
            Phase::Solved { .. } => "solved",
            Phase::Unsolved => "unsolved",
        }
    }

    /// Whom it follows.
    #[must_use]
    pub const fn follows(&self) -> Option<Address> {
        match self.phase {
            Phase::Following { whom } => Some(whom),
            _ => None,
        }
    }

    /// What it knows of the group.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// The solution, and who has found it.
    #[must_use]
    pub fn solution(&self) -> Option<(&[u8], Address)> {
        match &self.phase {
            Phase::Solved { solution, by } => Some((solution, *by)),
            _ => None,
        }
    }

    /// The agent has noticed the problem, and knows of these members; it may itself be among them.
    /// What was solved before is told again; what could not be solved is begun anew.
    pub fn notice(&mut self, members: impl IntoIterator<Item = Address>, now: Time) {
        self.meet(members, now);
        match &self.phase {
            Phase::New => self.claim(now),
            Phase::Solved { by, .. } => {
                let by = *by;
                self.outputs.push_back(Output::Settled(Ok(by)));
            }
            Phase::Unsolved => {
                self.until = now + self.patience.total;
                self.claims = 0;
                self.group.tried.clear();
                self.claim(now);
            }
            _ => {}
        }
    }

    /// Learns of members without noticing the problem.
    pub fn meet(&mut self, members: impl IntoIterator<Item = Address>, now: Time) {
        for member in members {
            self.learn_of(member);
        }
        self.go_on(now);
    }

    /// Another claims the problem. Gives what it is told.
    pub fn asked(&mut self, from: Address, group: &Group, now: Time) -> Reply {
        self.gone.remove(&from);
        if !self.learn_of(from) {
            if self.phase == Phase::New {
                // It takes no part in it, and must not keep it for ever.
                self.end_unsolved(Unsolved::TooMany, now);
            }
            return Reply::Full;
        }
        self.merge(group);
        let goes_first = rank(from) < rank(self.me);
        match &self.phase {
            Phase::Claiming(_) if !goes_first => {
                self.go_on(now);
                return Reply::Mine(self.group.clone());
            }
            Phase::Acting => return Reply::Mine(self.group.clone()),
            Phase::Solved { solution, by } => {
                return Reply::Solved { solution: solution.clone(), by: *by };
            }
            Phase::New | Phase::Claiming(_) | Phase::Resting { .. } | Phase::Tried => {
                self.hops = 0;
                self.follow(from);
            }
            Phase::Following { .. } => self.latest = Some(from),
            Phase::Unsolved => {}
        }
        Reply::Yield(self.group.clone())
    }

    /// Another wants to follow this member. Gives what it is told, or nothing when that is put off.
    /// Whoever asks anew while its last question is open gets an answer to the new one only.
    pub fn followed(&mut self, from: Address, group: &Group, now: Time) -> Option<Reply> {
        self.gone.remove(&from);
        if !self.learn_of(from) {
            return Some(Reply::Full);
        }
        self.merge(group);
        self.go_on(now);
        let group = self.group.clone();
        Some(match &self.phase {
            Phase::Claiming(_) | Phase::Acting => {
                self.followers.insert(from, now + self.patience.follow / 2);
                return None;
            }
            Phase::Following { whom } => Reply::Elsewhere { whom: *whom, group },
            Phase::Solved { solution, by } => Reply::Solved { solution: solution.clone(), by: *by },
            Phase::New | Phase::Resting { .. } | Phase::Tried | Phase::Unsolved => {
                let why = self.has_tried().then(|| self.why.clone().unwrap_or_default());
                Reply::Free { group, why }
            }
        })
    }

    /// An answer has come to what was asked in a turn, or there is none to be had.
    pub fn answered(&mut self, from: Address, turn: u32, reply: Result<Reply, Failure>, now: Time) {
        let reply = reply.and_then(|reply| match &reply {
            Reply::Solved { solution, .. } if solution.len() > SOLUTION_BYTES_MAX => {
                Err(Failure::BadBody("the solution is too large".into()))
            }
            _ => Ok(reply),
        });
        if let Ok(reply) = &reply {
            self.gone.remove(&from);
            if let Some(group) = reply.group() {
                self.merge(group);
            }
        }
        match (&self.phase, reply) {
            (_, Ok(Reply::Solved { solution, by })) => self.hear(solution, by, now),
            (Phase::Claiming(_), reply) if turn == self.turn => {
                self.claim_answered(from, reply, now);
            }
            (Phase::Following { .. }, reply) if turn == self.turn => {
                self.follow_answered(from, reply, now);
            }
            _ => {}
        }
        self.go_on(now);
    }

    /// The agent has solved the problem. Gives whether it was to; if not, the solution is not
    /// taken.
    pub fn solve(&mut self, solution: Vec<u8>, now: Time) -> bool {
        if self.phase != Phase::Acting {
            return false;
        }
        if solution.len() > SOLUTION_BYTES_MAX {
            let why = format!("a solution of {} bytes is too large", solution.len());
            return self.fail(&why, now);
        }
        let lost = std::mem::take(&mut self.gone);
        self.outputs.extend(lost.into_iter().map(|to| Output::Tell { to }));
        self.end_solved(solution, self.me, now);
        true
    }

    /// The agent could not solve the problem. Gives whether it was to.
    pub fn fail(&mut self, why: &str, now: Time) -> bool {
        let acting = self.phase == Phase::Acting;
        if acting {
            self.why = Some(cut(why));
            self.group.tried.insert(self.me);
            self.free_followers();
            self.wait_for_others(now);
        }
        acting
    }

    /// The agent is about to end in good order: its followers do not wait for it.
    pub fn leave(&mut self, now: Time) {
        let acting = self.phase == Phase::Acting;
        if acting {
            self.why = Some("the solver was stopped".to_owned());
            self.group.tried.insert(self.me);
        }
        if !self.has_ended() {
            self.free_followers();
            self.phase = Phase::Unsolved;
            self.until = now + self.patience.memory;
        }
    }

    /// A solution has come unasked.
    pub fn hear(&mut self, solution: Vec<u8>, by: Address, now: Time) {
        if solution.len() > SOLUTION_BYTES_MAX {
            return;
        }
        let known = match &self.phase {
            Phase::Solved { by: known, .. } => Some(*known),
            Phase::Acting => Some(self.me),
            _ => None,
        };
        match known {
            None => self.end_solved(solution, by, now),
            Some(known) if known == by => {}
            Some(_) => {
                if self.others.len() < MEMBERS_PER_PROBLEM_MAX && self.others.insert(by) {
                    self.outputs.push_back(Output::Another { by, solution });
                }
            }
        }
    }

    /// Does what is due at `now`.
    pub fn expire(&mut self, now: Time) {
        if self.next_deadline().is_none() {
            return;
        }
        if self.until <= now {
            if self.phase == Phase::Acting {
                self.group.tried.insert(self.me);
                self.why = Some("it took too long".to_owned());
            }
            return self.end_unsolved(Unsolved::TimedOut, now);
        }
        let due: Vec<Address> =
            self.followers.iter().filter(|(_, at)| **at <= now).map(first).collect();
        for to in due {
            self.followers.remove(&to);
            let reply = Reply::Wait(self.group.clone());
            self.outputs.push_back(Output::Answer { to, reply });
        }
        match &mut self.phase {
            Phase::Resting { until } if *until <= now => self.claim(now),
            Phase::Claiming(claim) if claim.again.is_some_and(|again| again <= now) => {
                claim.again = None;
                let again = std::mem::take(&mut claim.doubtful);
                claim.twice.extend(&again);
                claim.asked.extend(&again);
                let turn = self.turn;
                self.outputs.extend(again.into_iter().map(|to| Output::Claim { to, turn }));
            }
            _ => {}
        }
    }

    /// Begins to claim the problem. What others answer to an earlier claim counts no more.
    fn claim(&mut self, now: Time) {
        if self.claims >= CLAIMS_PER_PROBLEM_MAX {
            return self.end_unsolved(Unsolved::TooOften, now);
        }
        (self.claims, self.hops, self.turn) = (self.claims + 1, 0, self.turn + 1);
        self.gone.clear();
        self.phase = Phase::Claiming(Claim::default());
        self.go_on(now);
    }

    /// Goes on with a claim: whoever was not asked is asked now, and when there is nobody left
    /// whose answer is missing, it acts.
    fn go_on(&mut self, now: Time) {
        let Phase::Claiming(claim) = &mut self.phase else { return };
        if self.crowded {
            return self.end_unsolved(Unsolved::TooMany, now);
        }
        let turn = self.turn;
        for to in &self.group.members {
            if !claim.knows(*to) {
                claim.asked.insert(*to);
                self.outputs.push_back(Output::Claim { to: *to, turn });
            }
        }
        if !claim.asked.is_empty() {
            return;
        }
        if claim.doubtful.is_empty() {
            self.phase = Phase::Acting;
            self.outputs.push_back(Output::Solve);
        } else if claim.again.is_none() {
            claim.again = Some(now + self.patience.claim / 8);
        }
    }

    fn claim_answered(&mut self, from: Address, reply: Result<Reply, Failure>, now: Time) {
        let Phase::Claiming(claim) = &mut self.phase else { return };
        if !claim.asked.remove(&from) {
            return;
        }
        match reply {
            Ok(Reply::Mine(_)) => self.follow(from),
            Ok(Reply::Full) => self.end_unsolved(Unsolved::TooMany, now),
            Err(why) if may_pass(&why) && !claim.twice.contains(&from) => {
                claim.doubtful.insert(from);
            }
            Err(_) => {
                claim.settled.insert(from);
                self.gone.insert(from);
            }
            Ok(_) => drop(claim.settled.insert(from)),
        }
    }

    fn follow_answered(&mut self, from: Address, reply: Result<Reply, Failure>, now: Time) {
        match reply {
            Ok(Reply::Wait(_)) => self.follow(from),
            Ok(Reply::Elsewhere { whom, .. })
                if whom != self.me && self.hops < HOPS_PER_CLAIM_MAX && self.learn_of(whom) =>
            {
                self.hops += 1;
                self.follow(whom);
            }
            Ok(Reply::Free { why, .. }) => {
                self.why = why.as_deref().map(cut).or(self.why.take());
                self.rest(now);
            }
            Err(_) => {
                self.gone.insert(from);
                self.rest(now);
            }
            Ok(_) => self.rest(now),
        }
    }

    /// Those that follow it are sent to the one that it follows from now on.
    fn follow(&mut self, whom: Address) {
        self.turn += 1;
        self.latest = self.latest.filter(|latest| *latest != whom);
        self.phase = Phase::Following { whom };
        self.outputs.push_back(Output::Follow { to: whom, turn: self.turn });
        let group = self.group.clone();
        self.answer_followers(&Reply::Elsewhere { whom, group });
    }

    /// Nobody is followed any more: claims soon, but not in the same moment as all others, or
    /// leaves it to them if it has tried.
    fn rest(&mut self, now: Time) {
        if self.has_tried() {
            return match self.latest.take() {
                Some(latest) => self.follow(latest),
                None => self.wait_for_others(now),
            };
        }
        (self.turn, self.latest) = (self.turn + 1, None);
        let mut entropy = Entropy::from_seed(self.seed).fork_at(0, u64::from(self.turn));
        let until = now + entropy.jitter(self.patience.claim / 10);
        self.phase = Phase::Resting { until };
    }

    /// It has tried: goes on if there may be another to claim it.
    fn wait_for_others(&mut self, now: Time) {
        let Group { members, tried } = &self.group;
        if members.iter().any(|member| !tried.contains(member) && !self.gone.contains(member)) {
            self.phase = Phase::Tried;
            return;
        }
        let why = self.why.clone().unwrap_or_default();
        self.end_unsolved(Unsolved::Failed(why), now);
    }

    fn end_solved(&mut self, solution: Vec<u8>, by: Address, now: Time) {
        self.answer_followers(&Reply::Solved { solution: solution.clone(), by });
        self.phase = Phase::Solved { solution, by };
        self.until = now + self.patience.memory;
        self.outputs.push_back(Output::Settled(Ok(by)));
    }

    fn end_unsolved(&mut self, why: Unsolved, now: Time) {
        self.free_followers();
        self.phase = Phase::Unsolved;
        self.until = now + self.patience.memory;
        self.outputs.push_back(Output::Settled(Err(why)));
    }

    fn free_followers(&mut self) {
        let why = self.has_tried().then(|| self.why.clone().unwrap_or_default());
        let group = self.group.clone();
        self.answer_followers(&Reply::Free { group, why });
    }

    fn answer_followers(&mut self, reply: &Reply) {
        let followers = std::mem::take(&mut self.followers).into_keys();
        let answers = followers.map(|to| Output::Answer { to, reply: reply.clone() });
        self.outputs.extend(answers);
    }

    fn has_tried(&self) -> bool {
        self.group.tried.contains(&self.me)
    }

    fn merge(&mut self, group: &Group) {
        for member in &group.members {
            self.learn_of(*member);
        }
        for member in &group.tried {
            if self.group.members.contains(member) {
                self.group.tried.insert(*member);
            }
        }
    }

    /// Gives whether it knows of that member now.
    fn learn_of(&mut self, member: Address) -> bool {
        if member == self.me || self.group.members.contains(&member) {
            return true;
        }
        let room = self.group.members.len() < MEMBERS_PER_PROBLEM_MAX;
        if room {
            self.group.members.insert(member);
        }
        self.crowded |= !room;
        room
    }
}

impl Claim {
    fn knows(&self, member: Address) -> bool {
        let sets = [&self.asked, &self.settled, &self.doubtful];
        sets.into_iter().any(|set| set.contains(&member))
    }
}

const fn first<A: Copy, B>((a, _): (&A, &B)) -> A {
    *a
}

/// Whether a member that did not answer for this may be asked again at once: it may have been
/// restarted or busy. Of one that was silent for a whole window nothing more is expected.
const fn may_pass(why: &Failure) -> bool {
    matches!(why, Failure::Gone | Failure::Busy | Failure::Storage(_))
}

/// Words of others, or of authors, are kept only so long.
fn cut(why: &str) -> String {
    why.chars().take(REASON_BYTES_MAX / 4).collect()
}
