use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::Address,
    limits::{BODY_BYTES_MAX, PROBLEM_BYTES_MAX, PROBLEM_KEY_BYTES_MAX},
    solver::{Ask, Group, Member, Output, Patience, Reply, Tell, Unsolved},
    wire,
};

use super::{rows::Row, tell::SolveFns};
use crate::agent::{
    Agent, Cx, Rejection,
    cx::encode,
    dealings::{For, News, ProblemNews, read},
};

/// What is waited for, for a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::agent) enum Awaited {
    /// The answer of a member to a claim, or of the one that is followed.
    Answer {
        /// Whose.
        from: Address,
        /// To which question.
        turn: u32,
    },
    /// The time at which it is due.
    Due,
}

/// Problems as they arrive, and what follows.
impl<A: Agent> Cx<'_, A> {
    /// Another member asks.
    pub(in crate::agent) fn problem_asked(
        &mut self,
        agent: &mut A,
        name: &str,
        fns: &SolveFns<A>,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let (from, now) = (self.sender(), self.now());
        let number = match read(codec, body)? {
            _ if from == self.address() => return Err(bad("nobody asks itself")),
            Ask::Claim { key, problem, group } => {
                let number = match self.dealings.problems.find(name, &key, now) {
                    Some(number) => number,
                    None => self.learn(agent, name, fns, &key, &problem)?,
                };
                let Some(row) = self.dealings.problems.rows.get_mut(&number) else {
                    return Err(Rejection::Busy);
                };
                let reply = row.member.asked(from, &group, now);
                self.answer_now(Ok(&reply));
                number
            }
            Ask::Follow { key, group } => {
                let found = self.dealings.problems.find(name, &key, now);
                let row = found.and_then(|found| self.dealings.problems.rows.get_mut(&found));
                let Some((number, row)) = found.zip(row) else {
                    let free = Reply::Free { group: Group::default(), why: None };
                    self.answer_now(Ok(&free));
                    return Ok(());
                };
                let reply = row.member.followed(from, &group, now);
                self.answer_follower(number, from, reply);
                number
            }
        };
        self.settle_problem(number);
        Ok(())
    }

    fn answer_follower(&mut self, number: u64, from: Address, reply: Option<Reply>) {
        if let Some(reply) = reply {
            return self.answer_now(Ok(&reply));
        }
        let dialog = self.defer_dialog();
        let row = self.dealings.problems.rows.get_mut(&number);
        let before = row.and_then(|row| row.followers.insert(from, dialog));
        if let Some(before) = before {
            self.answer_deferred(before, Ok(encode(&Reply::Wait(Group::default()))));
        }
    }

    /// Takes up a problem that another has noticed.
    fn learn(
        &mut self,
        agent: &mut A,
        name: &str,
        fns: &SolveFns<A>,
        key: &str,
        problem: &[u8],
    ) -> Result<u64, Rejection> {
        if key.len() > PROBLEM_KEY_BYTES_MAX || problem.len() > PROBLEM_BYTES_MAX {
            return Err(bad("the problem is too large"));
        }
        let members = fns.members(agent, self, problem).ok_or_else(|| bad("no such problem"))?;
        let (key, problem) = (key.to_owned(), problem.to_owned());
        let now = self.now();
        // The agent may have noticed it while it was asked for members.
        let found = self.dealings.problems.find(name, &key, now);
        let number = found.or_else(|| self.begin_problem(name, key, problem, fns.patience()));
        let number = number.ok_or(Rejection::Busy)?;
        if let Some(row) = self.dealings.problems.rows.get_mut(&number) {
            row.member.meet(members, now);
        }
        Ok(number)
    }

    fn begin_problem(
        &mut self,
        name: &str,
        key: String,
        problem: Vec<u8>,
        patience: Patience,
    ) -> Option<u64> {
        let (me, now, seed) = (self.address(), self.now(), self.entropy().bytes());
        let row = Row {
            name: name.to_owned(),
            key,
            problem,
            member: Member::new(me, seed, patience, now),
            timer: None,
            follow: None,
            followers: BTreeMap::new(),
        };
        let number = self.new_problem_number();
        self.dealings.problems.add(number, row, now).then_some(number)
    }

    /// One that no other problem has or is likely to have had: what an agent was to solve, and was
    /// forgotten, is not taken for another.
    fn new_problem_number(&mut self) -> u64 {
        loop {
            let number = self.entropy().u64();
            if !self.dealings.problems.rows.contains_key(&number) {
                return number;
            }
        }
    }

    /// The agent has noticed a problem by itself.
    pub(super) fn notice(
        &mut self,
        name: &str,
        key: String,
        problem: Vec<u8>,
        patience: Patience,
        members: Vec<Address>,
    ) {
        let now = self.now();
        let fits = problem.len() <= PROBLEM_BYTES_MAX;
        let found = self.dealings.problems.find(name, &key, now).or_else(|| {
            fits.then(|| self.begin_problem(name, key, problem.clone(), patience)).flatten()
        });
        let row = found.and_then(|number| self.dealings.problems.rows.get_mut(&number));
        let Some((number, row)) = found.zip(row) else {
            let what = ProblemNews::Settled(Err(Unsolved::NoRoom));
            let news = News::Problem { name: name.to_owned(), problem, what };
            return self.dealings.news.push_back(news);
        };
        row.member.notice(members, now);
        self.settle_problem(number);
    }

    /// Another member tells a solution, its own.
    pub(in crate::agent) fn problem_told(
        &mut self,
        name: &str,
        codec: Codec,
        body: &[u8],
    ) -> Result<(), Rejection> {
        let (from, now) = (self.sender(), self.now());
        let Tell::Solved { key, solution, by } = read(codec, body)?;
        let found = self.dealings.problems.find(name, &key, now).filter(|_| from == by);
        if let Some(number) = found
            && let Some(row) = self.dealings.problems.rows.get_mut(&number)
        {
            row.member.hear(solution.into_owned(), by, now);
            self.settle_problem(number);
        }
        Ok(())
    }

    /// What was waited for has come, for a problem.
    pub(in crate::agent) fn problem_resumed(
        &mut self,
        number: u64,
        what: Awaited,
        outcome: Option<Result<&[u8], Failure>>,
    ) {
        let now = self.now();
        let Some(row) = self.dealings.problems.rows.get_mut(&number) else { return };
        match what {
            Awaited::Answer { from, turn } => {
                row.member.answered(from, turn, reply(outcome), now);
            }
            Awaited::Due => {
                row.timer = None;
                row.member.expire(now);
            }
        }
        self.settle_problem(number);
    }

    pub(super) fn solved_number(&mut self, number: u64, solution: Vec<u8>) -> bool {
        let now = self.now();
        let row = self.dealings.problems.rows.get_mut(&number);
        let wanted = row.is_some_and(|row| row.member.solve(solution, now));
        self.settle_problem(number);
        wanted
    }

    pub(super) fn failed_number(&mut self, number: u64, why: &str) -> bool {
        let now = self.now();
        let row = self.dealings.problems.rows.get_mut(&number);
        let wanted = row.is_some_and(|row| row.member.fail(why, now));
        self.settle_problem(number);
        wanted
    }

    /// The agent is about to end in good order: nobody waits for it.
    pub(in crate::agent) fn end_problems(&mut self) {
        let now = self.now();
        for number in self.dealings.problems.rows.keys().copied().collect::<Vec<_>>() {
            if let Some(row) = self.dealings.problems.rows.get_mut(&number) {
                row.member.leave(now);
            }
            self.settle_problem(number);
        }
    }

    /// Ends and forgets those that the kind's present code does not solve.
    pub(in crate::agent) fn end_strange_problems(&mut self, solves: impl Fn(&str) -> bool) {
        let now = self.now();
        let rows = self.dealings.problems.rows.iter();
        let strange = rows.filter(|(_, row)| !solves(&row.name)).map(|(number, _)| *number);
        for number in strange.collect::<Vec<_>>() {
            let Some(row) = self.dealings.problems.rows.get_mut(&number) else { continue };
            row.member.leave(now);
            if let Some(wait) = row.follow.take() {
                self.forget_wait(wait);
            }
            self.settle_problem(number);
            self.dealings.problems.remove(number);
        }
    }

    /// Does what a member wants done, and looks when it wants to be called again.
    fn settle_problem(&mut self, number: u64) {
        while let Some(row) = self.dealings.problems.rows.get_mut(&number)
            && let Some(output) = row.member.poll()
        {
            self.do_for_problem(number, output);
        }
        let Some(row) = self.dealings.problems.rows.get(&number) else { return };
        let (timer, due) = (row.timer, row.member.next_deadline());
        let what = For::Problem { problem: number, what: Awaited::Due };
        let timer = self.set_timer(timer, due, what);
        if let Some(row) = self.dealings.problems.rows.get_mut(&number) {
            row.timer = timer;
        }
    }

    fn do_for_problem(&mut self, number: u64, output: Output) {
        let Some(row) = self.dealings.problems.rows.get_mut(&number) else { return };
        match output {
            Output::Claim { to, turn } => {
                let (key, group) = (Cow::Borrowed(&*row.key), row.member.group().clone());
                let problem = Cow::Borrowed(&*row.problem);
                let body = encode(&Ask::Claim { key, problem, group });
                self.ask_member(number, to, turn, body, false);
            }
            Output::Follow { to, turn } => {
                let (key, group) = (Cow::Borrowed(&*row.key), row.member.group().clone());
                let body = encode(&Ask::Follow { key, group });
                self.ask_member(number, to, turn, body, true);
            }
            Output::Answer { to, reply } => {
                if let Some(dialog) = row.followers.remove(&to) {
                    self.answer_deferred(dialog, Ok(encode(&reply)));
                }
            }
            Output::Tell { to } => {
                if let Some((solution, by)) = row.member.solution() {
                    let (key, solution) = (Cow::Borrowed(&*row.key), Cow::Borrowed(solution));
                    let body = encode(&Tell::Solved { key, solution, by });
                    let name = Cow::Owned(row.name.clone());
                    self.tell_encoded(to, name, body);
                }
            }
            Output::Solve => self.problem_news(number, ProblemNews::Solve(number)),
            Output::Settled(how) => {
                let solution = row.member.solution().map(|(solution, _)| solution.to_vec());
                let follow = row.follow.take();
                if let Some(wait) = follow {
                    self.forget_wait(wait);
                }
                let how = how.map(|by| (solution.unwrap_or_default(), by));
                self.problem_news(number, ProblemNews::Settled(how));
            }
            Output::Another { by, solution } => {
                self.problem_news(number, ProblemNews::Another(solution, by));
            }
        }
    }

    fn ask_member(&mut self, number: u64, to: Address, turn: u32, body: Vec<u8>, follows: bool) {
        let now = self.now();
        let room = self.dealings.waits.room() > 0;
        let Some(row) = self.dealings.problems.rows.get_mut(&number) else { return };
        if !room {
            return row.member.answered(to, turn, Err(Failure::Busy), now);
        }
        let patience = row.member.patience();
        let window = if follows { patience.follow } else { patience.claim };
        let name = row.name.clone();
        let what = For::Problem { problem: number, what: Awaited::Answer { from: to, turn } };
        let wait = self.ask_of(to, name, body, window, now + window, what);
        if follows && let Some(row) = self.dealings.problems.rows.get_mut(&number) {
            row.follow = Some(wait);
        }
    }

    fn problem_news(&mut self, number: u64, what: ProblemNews) {
        let Some(row) = self.dealings.problems.rows.get(&number) else { return };
        let (name, problem) = (row.name.clone(), row.problem.clone());
        self.dealings.news.push_back(News::Problem { name, problem, what });
    }
}

fn bad(why: &str) -> Rejection {
    Rejection::BadBody(why.to_owned())
}

fn reply(outcome: Option<Result<&[u8], Failure>>) -> Result<Reply, Failure> {
    let bytes = outcome.unwrap_or(Err(Failure::TimedOut))?;
    wire::decode(bytes, BODY_BYTES_MAX).map_err(|why| Failure::BadBody(why.to_string()))
}
