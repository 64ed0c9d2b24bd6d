use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use starling_core::agent::prelude::*;

use super::{Beside, Neighbour, Over, Side, Twin, Under, sides::Sided};

/// What a neighbour knows of a partnership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// Of which relation.
    pub side: Side,
    /// With whom.
    pub partner: Address,
    /// Whether it stands; it is only proposed otherwise.
    pub stands: bool,
}

impl<const KEPT: bool> Neighbour<KEPT> {
    /// Compares what it was told with what there is. To be called before anything is done in a
    /// handler: what a handler does is told after it.
    pub(super) fn audit(&mut self, cx: &Cx<'_, Self>) {
        let there = [
            standing::<Beside, KEPT>(cx),
            standing::<Twin, KEPT>(cx),
            standing::<Over, KEPT>(cx),
            standing::<Under, KEPT>(cx),
        ];
        let there: BTreeMap<Bond, Tie> = there.into_iter().flatten().collect();
        let known = self.ties.iter().filter(|(_, tie)| tie.stands);
        let known: BTreeMap<Bond, Tie> = known.map(|(bond, tie)| (*bond, *tie)).collect();
        if there != known {
            self.complain(cx, &format!("it was told of {known:?}, and has {there:?}"));
        }
        if let Err(why) = self.places_are_right(false) {
            self.complain(cx, &why);
        }
        for side in [Side::Twin, Side::Over] {
            let many = there.values().filter(|tie| tie.side == side).count();
            if many > 1 {
                self.complain(cx, &format!("it has {many} partners of {}", side.name()));
            }
        }
    }

    /// Whether each partner has a place, and nobody else has, but some to whom it has proposed.
    /// When nothing is under way, nobody else has.
    ///
    /// # Errors
    /// What is wrong.
    pub fn places_are_right(&self, quiet: bool) -> Result<(), String> {
        let mut taken: BTreeMap<Bond, usize> = BTreeMap::new();
        for (place, of) in self.places.allocations() {
            let Some(bond) = of.bound_to() else {
                return Err(format!("{place} is set aside for nobody"));
            };
            *taken.entry(bond).or_default() += 1;
            let tie = self.ties.get(&bond).filter(|tie| tie.stands || !quiet);
            if tie.is_none() {
                return Err(format!("{place} is set aside for {bond}, which has ended"));
            }
        }
        let mut standing = self.ties.iter().filter(|(_, tie)| tie.stands);
        let many = |bond| taken.get(bond).copied().unwrap_or_default();
        match standing.find(|(bond, _)| many(*bond) != 1) {
            None => Ok(()),
            Some((bond, tie)) => Err(format!("{bond} ({tie:?}) has {} places", many(bond))),
        }
    }
}

/// The partners of a relation, as the agent is told when it asks.
fn standing<R: Sided, const KEPT: bool>(cx: &Cx<'_, Neighbour<KEPT>>) -> Vec<(Bond, Tie)>
where
    Neighbour<KEPT>: Partners<R>,
{
    let tie =
        |of: Partner<R>| (of.bond(), Tie { side: R::SIDE, partner: of.address(), stands: true });
    cx.partners::<R>().into_iter().map(tie).collect()
}
