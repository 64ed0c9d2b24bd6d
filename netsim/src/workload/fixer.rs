use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

use super::Rest;
use crate::clock::WALL_AT_START;

/// Mistakes that are kept, so that a broken mesh does not fill the memory.
const WRONG_MAX: usize = 16;

/// Agents of one group, at most.
const GROUP_MAX: u64 = 7;

/// Has problems together with others: raises an alarm in a random group at random moments, and
/// notices what others raise, or not. What each knows of a group lacks some of its members, but
/// never the first.
///
/// One that is `KEPT` outlives the daemon.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Fixer<const KEPT: bool> {
    /// Who may be of a group.
    pub whom: Vec<Address>,
    /// How long it waits between two alarms, at most, in milliseconds.
    pub pace_ms: u32,
    /// A mistake it makes on purpose.
    pub flaw: Slip,
    /// It raises no alarm any more.
    pub resting: bool,
    /// The problems that it knows of.
    pub cases: BTreeMap<u64, Case>,
    /// What should never happen, in words.
    pub wrong: Vec<String>,
}

/// A fixer that begins anew with its host.
pub type Tinker = Fixer<false>;

/// A fixer that outlives its daemon.
pub type Smith = Fixer<true>;

/// A mistake that a fixer makes on purpose, for those who want to see it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slip {
    /// It makes none.
    #[default]
    None,
    /// It acts when it notices something, and is not asked to.
    ActsUnasked,
    /// It never finishes what it was to solve.
    Idles,
}

/// What a fixer knows of one problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Whom it concerns, if it has heard the alarm.
    pub group: Vec<Address>,
    /// When it has noticed it, in milliseconds since the run began.
    pub noticed_ms: Option<u64>,
    /// It was asked who else is concerned.
    pub asked: bool,
    /// What it has done.
    pub acts: Vec<Act>,
    /// What it was told: what was found and by whom, or why there is nothing.
    pub outcomes: Vec<Result<(u64, Address), String>>,
    /// It has noticed it after it had been told: it is told again.
    pub again: bool,
}

/// What a fixer has done for a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Differs from that of every other; what is found.
    pub number: u64,
    /// When it began, in milliseconds since the run began.
    pub from_ms: u64,
    /// When it ended, and whether something was found.
    pub ended: Option<(u64, bool)>,
}

/// What is wrong somewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Breakage {
    /// Differs from that of every other.
    pub number: u64,
}

impl Problem for Breakage {
    const NAME: &'static str = "sim/breakage";
    type Solution = u64;
    const PATIENCE: Patience = Patience { follow: Duration::from_secs(8), ..Patience::DEFAULT };
    fn key(&self) -> String {
        self.number.to_string()
    }
}

/// Something is wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub number: u64,
    /// Whom it concerns.
    pub group: Vec<Address>,
}

impl Notification for Alarm {
    const NAME: &'static str = "sim/alarm";
}

/// What a fixer waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Later {
    /// It is time for the next alarm.
    Raise,
    /// It notices what it has heard of.
    Notice(u64),
    /// It has done what it could.
    Finish(u64, Solving<Breakage>, bool),
}

impl<const KEPT: bool> Fixer<KEPT> {
    /// One that has problems together with these.
    #[must_use]
    pub fn new(whom: Vec<Address>, pace_ms: u32, flaw: Slip) -> Self {
        Self { whom, pace_ms, flaw, ..Self::default() }
    }

    /// Its kind.
    const NAME: &'static str = if KEPT { "sim-smith" } else { "sim-tinker" };

    fn pause(&self, cx: &mut Cx<'_, Self>) {
        if self.pace_ms > 0 {
            let pause = cx.entropy().jitter(Duration::from_millis(u64::from(self.pace_ms)));
            cx.after(pause, Later::Raise);
        }
    }

    fn complain(&mut self, cx: &Cx<'_, Self>, what: &str) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(format!("{what} (at {} ms)", millis(cx)));
        }
    }

    fn raise(&mut self, cx: &mut Cx<'_, Self>) {
        let entropy = cx.entropy();
        let (number, many) = (entropy.u64(), 2 + entropy.below(GROUP_MAX - 1));
        let mut group: Vec<Address> = Vec::new();
        for _ in 0..many {
            let place = entropy.below(self.whom.len().max(1) as u64);
            let one = usize::try_from(place).ok().and_then(|place| self.whom.get(place));
            group.extend(one.filter(|one| !group.contains(one)));
        }
        for to in &group {
            cx.notify(*to, &Alarm { number, group: group.clone() });
        }
    }

    fn notice(&mut self, cx: &mut Cx<'_, Self>, number: u64) {
        let now = millis(cx);
        let Some(case) = self.cases.get_mut(&number) else { return };
        case.noticed_ms = Some(now);
        case.again = !case.outcomes.is_empty();
        let (first, others) = case
            .group
            .split_first()
            .map_or((None, &[][..]), |(first, others)| (Some(*first), others));
        let known = others.iter().copied().filter(|_| cx.entropy().below(4) > 0);
        let known: Vec<Address> = first.into_iter().chain(known).collect();
        if self.flaw == Slip::ActsUnasked {
            let act = Act { number: cx.entropy().u64(), from_ms: now, ended: Some((now, true)) };
            case.acts.push(act);
        }
        cx.solve(&Breakage { number }, known);
    }

    fn finish(&mut self, cx: &mut Cx<'_, Self>, key: u64, task: Solving<Breakage>, can: bool) {
        let now = millis(cx);
        let act = self.cases.get_mut(&key).and_then(|case| case.acts.last_mut());
        let Some(act) = act else {
            return self.complain(cx, "it has done what it has not begun");
        };
        act.ended = Some((now, can));
        let number = act.number;
        let (first, again) = match can {
            true => (cx.solved(task, &number), cx.solved(task, &number)),
            false => (cx.unsolvable(task, "it did not work"), cx.unsolvable(task, "once more")),
        };
        if first && again {
            self.complain(cx, "it could end one problem twice");
        }
    }
}

impl<const KEPT: bool> Agent for Fixer<KEPT> {
    const KIND: &'static str = Self::NAME;
    const DURABILITY: Durability = if KEPT { Durability::WriteAhead } else { Durability::History };
    type Then = Later;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
        interests.collects::<Alarm>();
        interests.solves::<Breakage>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.pause(cx);
    }
}

impl<const KEPT: bool> Answers<Rest> for Fixer<KEPT> {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        Answer::now(self.cases.len() as u64)
    }
}

impl<const KEPT: bool> Collects<Alarm> for Fixer<KEPT> {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Alarm { number, group }: Alarm) {
        self.cases.entry(number).or_default().group = group;
        if cx.entropy().below(3) > 0 {
            let after = cx.entropy().below(6_000);
            cx.after(Duration::from_millis(after), Later::Notice(number));
        }
    }
}

impl<const KEPT: bool> Continuation<Fixer<KEPT>> for Later {
    fn resume(self, fixer: &mut Fixer<KEPT>, cx: &mut Cx<'_, Fixer<KEPT>>) {
        match self {
            Self::Raise if fixer.resting => {}
            Self::Raise => {
                fixer.raise(cx);
                fixer.pause(cx);
            }
            Self::Notice(number) => fixer.notice(cx, number),
            Self::Finish(number, task, can) => fixer.finish(cx, number, task, can),
        }
    }
}

impl<const KEPT: bool> Solves<Breakage> for Fixer<KEPT> {
    fn members(&mut self, cx: &mut Cx<'_, Self>, problem: &Breakage) -> Vec<Address> {
        let case = self.cases.entry(problem.number).or_default();
        case.asked = true;
        case.group.iter().copied().filter(|_| cx.entropy().below(2) == 0).collect()
    }

    fn solve(
        &mut self,
        cx: &mut Cx<'_, Self>,
        task: Solving<Breakage>,
        problem: &Breakage,
    ) -> Solved<Breakage> {
        let (now, number) = (millis(cx), cx.entropy().u64());
        let case = self.cases.entry(problem.number).or_default();
        let solved = case.outcomes.last().is_some_and(Result::is_ok);
        let acts = case.acts.len();
        // It may begin again after an end without solution.
        let twice = acts > case.outcomes.iter().filter(|outcome| outcome.is_err()).count();
        case.acts.push(Act { number, from_ms: now, ended: None });
        if self.flaw != Slip::ActsUnasked && (solved || twice) {
            self.complain(cx, &format!("it is to solve what it has solved: {solved}, {acts} acts"));
        }
        let (draw, after) = (cx.entropy().below(12), cx.entropy().below(4_000));
        let ended = match draw {
            _ if self.flaw == Slip::Idles => None,
            0 => Some(false),
            1..4 => Some(true),
            _ => {
                let finish = Later::Finish(problem.number, task, draw > 4);
                cx.after(Duration::from_millis(after), finish);
                None
            }
        };
        let act = self.cases.get_mut(&problem.number).and_then(|case| case.acts.last_mut());
        if let (Some(act), Some(can)) = (act, ended) {
            act.ended = Some((now, can));
        }
        match ended {
            Some(true) => Solved::now(number),
            Some(false) => Solved::failed("it cannot"),
            None => Solved::later(),
        }
    }

    fn settled(
        &mut self,
        cx: &mut Cx<'_, Self>,
        problem: &Breakage,
        outcome: Result<Solution<Breakage>, Unsolved>,
    ) {
        let case = self.cases.entry(problem.number).or_default();
        let outcome = outcome.map(|of| (of.solution, of.by)).map_err(|why| why.to_string());
        let known = match case.outcomes.last() {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(_)) => outcome.is_err(),
        };
        let twice = known && !case.again;
        case.again = false;
        case.outcomes.push(outcome);
        if twice {
            let words = format!("it was told twice: {:?}", case.outcomes);
            self.complain(cx, &words);
        }
    }
}

/// Milliseconds since the run began. No calendar is set wrong in these runs.
const fn millis<A: Agent>(cx: &Cx<'_, A>) -> u64 {
    cx.wall().as_millis().saturating_sub(WALL_AT_START.as_millis())
}
