mod books;
mod sides;

pub use self::{
    books::Tie,
    sides::{Beside, Over, Side, Twin, Under},
};

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use starling_core::agent::{
    prelude::*,
    resources::{Resources, Totals},
};

use self::sides::Sided;
use super::Rest;

/// What each neighbour has for its partners, of all relations together.
const PLACES: u64 = 8;

/// Mistakes that are kept, so that a broken mesh does not fill the memory.
const WRONG_MAX: usize = 16;

/// Has partners of several relations, of some at most one: proposes, breaks up and substitutes at
/// random moments, and agrees if it has a place and feels like it.
///
/// One that is `KEPT` outlives the daemon. Partners are known by their agent ids, so that each has
/// one of its own.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Neighbour<const KEPT: bool> {
    /// To whom it proposes, itself among them.
    pub whom: Vec<Address>,
    /// How long it waits between two deeds, at most, in milliseconds.
    pub pace_ms: u32,
    /// A mistake it makes on purpose.
    pub flaw: Mistake,
    /// It begins nothing any more.
    pub resting: bool,
    /// The places of its partners.
    pub places: Resources,
    /// What it knows of its partnerships, and of what it has proposed.
    pub ties: BTreeMap<Bond, Tie>,
    /// Those that it was told have ended.
    pub ended: BTreeSet<Bond>,
    /// How many ended, each by how.
    pub ends: BTreeMap<String, u64>,
    /// What should never happen, in words.
    pub wrong: Vec<String>,
}

/// A neighbour that begins anew with its host.
pub type Cottage = Neighbour<false>;

/// A neighbour that outlives its daemon.
pub type Farm = Neighbour<true>;

/// A mistake that a neighbour makes on purpose, for those who want to see it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// It makes none.
    #[default]
    None,
    /// It does not bind what it sets aside for a partner, nor release it.
    KeepsPlaces,
    /// It says of one that lives that it has died. Both sides agree all the same: whoever is buried
    /// alive hears of it.
    BuriesTheLiving,
}

/// What a neighbour waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Next {
    /// It is time to do something.
    Act,
}

impl<const KEPT: bool> Neighbour<KEPT> {
    /// One that proposes to these.
    ///
    /// # Panics
    /// Never: what it has for partners has a good name.
    #[must_use]
    pub fn new(whom: Vec<Address>, pace_ms: u32, flaw: Mistake) -> Self {
        let totals = Totals::new().scalar("places", PLACES);
        let places = Resources::new(totals).expect("a good name");
        Self { whom, pace_ms, flaw, places, ..Self::default() }
    }

    /// Its kind.
    const NAME: &'static str = if KEPT { "sim-farm" } else { "sim-cottage" };

    fn pause(&self, cx: &mut Cx<'_, Self>) {
        if self.pace_ms > 0 && !self.resting {
            let pause = cx.entropy().jitter(Duration::from_millis(u64::from(self.pace_ms)));
            cx.after(pause, Next::Act);
        }
    }

    fn complain(&mut self, cx: &Cx<'_, Self>, what: &str) {
        if self.wrong.len() < WRONG_MAX {
            let at = cx.now().as_nanos() / 1_000_000;
            self.wrong.push(format!("{what} ({at} ms by its host's clock)"));
        }
    }

    fn act(&mut self, cx: &mut Cx<'_, Self>) {
        match Side::draw(cx.entropy()) {
            Side::Beside => self.act_in::<Beside>(cx),
            Side::Twin => self.act_in::<Twin>(cx),
            Side::Over => self.act_in::<Over>(cx),
            Side::Under => self.act_in::<Under>(cx),
        }
    }

    fn act_in<R: Sided>(&mut self, cx: &mut Cx<'_, Self>)
    where
        Self: Partners<R>,
    {
        let all = cx.partners::<R>();
        let one = pick(&all, cx);
        match cx.entropy().below(12) {
            0..7 => self.propose::<R>(cx, None),
            7 | 8 => self.propose::<R>(cx, one.as_ref()),
            9 | 10 => {
                let proposed = self.ties.iter().filter(|(_, tie)| !tie.stands);
                let proposed: Vec<Bond> = proposed.map(|(bond, _)| *bond).collect();
                let bond = one.map(|one| one.bond()).or_else(|| pick(&proposed, cx));
                self.leave(cx, bond);
            }
            _ if self.flaw == Mistake::BuriesTheLiving => {
                if let Some(to) = pick(&self.whom, cx) {
                    let who = cx.address().agent;
                    let brothers = std::borrow::Cow::Borrowed(&[][..]);
                    cx.notify(to, &starling_core::agent::Buried { who, brothers });
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, cx: &mut Cx<'_, Self>, bond: Option<Bond>) {
        if let Some(bond) = bond {
            let (first, again) = (cx.break_up(bond), cx.break_up(bond));
            if !first || again {
                self.complain(cx, "it broke up otherwise than once");
            }
        }
    }
}

impl<const KEPT: bool> Agent for Neighbour<KEPT> {
    const KIND: &'static str = Self::NAME;
    const DURABILITY: Durability = if KEPT { Durability::WriteAhead } else { Durability::History };
    type Then = Next;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Rest>();
        interests.has_many::<Beside>();
        interests.has_one::<Twin>();
        interests.has_one::<Over>();
        interests.has_many::<Under>();
    }
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.pause(cx);
    }
    fn undelivered(&mut self, cx: &mut Cx<'_, Self>, what: &Undelivered<'_>) {
        // Letters of its own relations are not told of so.
        if what.name.starts_with("sim/") {
            self.complain(cx, "it was told of a letter that it has not written");
        }
    }
}

impl<const KEPT: bool> Answers<Rest> for Neighbour<KEPT> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Rest {}: Rest) -> Answer<Rest> {
        self.resting = true;
        self.audit(cx);
        Answer::now(self.ends.values().sum())
    }
}

impl<const KEPT: bool> Continuation<Neighbour<KEPT>> for Next {
    fn resume(self, neighbour: &mut Neighbour<KEPT>, cx: &mut Cx<'_, Neighbour<KEPT>>) {
        let Self::Act = self;
        neighbour.audit(cx);
        if !neighbour.resting {
            neighbour.act(cx);
            neighbour.pause(cx);
        }
    }
}

fn pick<T: Clone, A: Agent>(from: &[T], cx: &mut Cx<'_, A>) -> Option<T> {
    let place = cx.entropy().below(from.len().max(1) as u64);
    usize::try_from(place).ok().and_then(|place| from.get(place).cloned())
}

#[cfg(test)]
mod tests;
