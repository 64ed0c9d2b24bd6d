//! Agents for the tests of partners and of the collective solver. Each writes down what it is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

/// What a lodger calls its house.
#[derive(Debug)]
pub struct House;

impl Relation for House {
    const NAME: &'static str = "lodger/house";
    type Inverse = Lodgers;
    type Terms = ();
}

/// What a house calls its lodgers.
#[derive(Debug)]
pub struct Lodgers;

impl Relation for Lodgers {
    const NAME: &'static str = "house/lodgers";
    type Inverse = House;
    type Terms = u32;
}

/// Asks a lodger to move in somewhere, or to move out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Where; nowhere: out.
    #[serde(default)]
    pub to: Option<Address>,
}

impl Request for Move {
    const NAME: &'static str = "company/move";
    type Reply = ();
}

/// Has one house at a time, and is forgotten with its host.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lodger {
    story: Vec<String>,
}

impl Agent for Lodger {
    const KIND: &'static str = "company-lodger";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Move>();
        interests.has_one::<House>();
    }
}

impl Answers<Move> for Lodger {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Move { to }: Move) -> Answer<Move> {
        match (to, cx.partner::<House>()) {
            (Some(to), before) => {
                let to = Proposing::to(to);
                let to = before.map_or(to, |before| to.instead_of(&before));
                if let Err(why) = cx.propose::<House>(to, &3) {
                    return Answer::refuse(why.to_string());
                }
            }
            (None, Some(house)) => drop(cx.break_up(house.bond())),
            (None, None) => return Answer::refuse("it lives nowhere"),
        }
        Answer::now(())
    }
}

impl Partners<House> for Lodger {
    type Count = One;
    fn declined(&mut self, _: &mut Cx<'_, Self>, _: &Partner<House>, why: &Declined) {
        self.story.push(format!("declined: {why:?}"));
    }
    fn parted(&mut self, _: &mut Cx<'_, Self>, _: &Partner<House>, how: Parted, _: &[Address]) {
        self.story.push(format!("{how:?}"));
    }
}

/// Has a bed for each of its lodgers, and outlives its daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Inn {
    beds: Resources,
    story: Vec<String>,
}

impl Default for Inn {
    fn default() -> Self {
        let totals = Totals::new().scalar("beds", 1);
        Self { beds: Resources::new(totals).expect("few names"), story: Vec::new() }
    }
}

impl Agent for Inn {
    const KIND: &'static str = "company-inn";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.has_many::<Lodgers>();
    }
    fn recovered(&mut self, _: &mut Cx<'_, Self>) {
        self.story.push("recovered".to_owned());
    }
}

impl Partners<Lodgers> for Inn {
    type Count = Many;
    fn initiate(
        &mut self,
        cx: &mut Cx<'_, Self>,
        lodger: &Partner<Lodgers>,
        nights: Option<u32>,
    ) -> Consent {
        let Ok(bed) = self.beds.allocate(&Want::of("beds", 1), cx.now()) else {
            return Consent::no("there is no bed left");
        };
        self.story.push(format!("a guest for {} nights", nights.unwrap_or_default()));
        let bound = self.beds.bind(bed, lodger.bond());
        bound.map_or_else(|why| Consent::no(why.to_string()), |()| Consent::yes())
    }
    fn parted(&mut self, _: &mut Cx<'_, Self>, _: &Partner<Lodgers>, how: Parted, _: &[Address]) {
        self.story.push(format!("{how:?}"));
    }
    fn resources(&mut self) -> Option<&mut Resources> {
        Some(&mut self.beds)
    }
}

/// A thing that somebody should do for all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chore(pub String);

impl Problem for Chore {
    const NAME: &'static str = "company/chore";
    type Solution = String;
    fn key(&self) -> String {
        self.0.clone()
    }
}

/// Tells a helper of a chore, and who else there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Which.
    pub chore: String,
    /// Who else.
    pub others: Vec<Address>,
}

impl Request for Notice {
    const NAME: &'static str = "company/notice";
    type Reply = ();
}

/// Does chores, each in `work_ms`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Helper {
    work_ms: u64,
    story: Vec<String>,
}

/// A helper is at work.
#[derive(Serialize, Deserialize)]
pub enum Then {
    /// Until now.
    Done(Solving<Chore>),
}

impl Agent for Helper {
    const KIND: &'static str = "company-helper";
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Notice>();
        interests.solves::<Chore>();
    }
}

impl Continuation<Helper> for Then {
    fn resume(self, _: &mut Helper, cx: &mut Cx<'_, Helper>) {
        let Self::Done(task) = self;
        let by = cx.id().short();
        cx.solved(task, &by);
    }
}

impl Answers<Notice> for Helper {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, notice: Notice) -> Answer<Notice> {
        cx.solve(&Chore(notice.chore), notice.others);
        Answer::now(())
    }
}

impl Solves<Chore> for Helper {
    fn solve(
        &mut self,
        cx: &mut Cx<'_, Self>,
        task: Solving<Chore>,
        chore: &Chore,
    ) -> Solved<Chore> {
        self.story.push(format!("does {}", chore.0));
        cx.after(Duration::from_millis(self.work_ms), Then::Done(task));
        Solved::later()
    }

    fn settled(
        &mut self,
        _: &mut Cx<'_, Self>,
        chore: &Chore,
        outcome: Result<Solution<Chore>, Unsolved>,
    ) {
        let how = outcome.map_or_else(|why| format!("{why:?}"), |done| done.solution);
        self.story.push(format!("{} was done by {how}", chore.0));
    }
}

/// With the kinds of this module.
#[must_use]
pub fn kinds(kinds: starling_node::Kinds) -> starling_node::Kinds {
    kinds.kind::<Lodger>().kind::<Inn>().kind::<Helper>()
}
