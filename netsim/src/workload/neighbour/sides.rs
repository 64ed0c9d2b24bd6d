use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling_core::agent::{Resources, prelude::*};
use starling_protocols::entropy::Entropy;

use super::{Mistake, Neighbour, Tie, pick};

/// What a neighbour calls those at the other end of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// One of many beside it, who call it so too.
    Beside,
    /// The only one, who calls it so too.
    Twin,
    /// The only one over it.
    Over,
    /// One of many under it.
    Under,
}

impl Side {
    /// What those call a neighbour that calls them so.
    #[must_use]
    pub const fn inverse(self) -> Self {
        match self {
            Self::Beside => Self::Beside,
            Self::Twin => Self::Twin,
            Self::Over => Self::Under,
            Self::Under => Self::Over,
        }
    }

    /// The name of the relation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beside => "sim/beside",
            Self::Twin => "sim/twin",
            Self::Over => "sim/over",
            Self::Under => "sim/under",
        }
    }

    /// Whether there may be one such partner only.
    #[must_use]
    pub const fn is_one(self) -> bool {
        matches!(self, Self::Twin | Self::Over)
    }

    pub(super) fn draw(entropy: &mut Entropy) -> Self {
        match entropy.below(4) {
            0 => Self::Beside,
            1 => Self::Twin,
            2 => Self::Over,
            _ => Self::Under,
        }
    }
}

/// A relation between neighbours: who proposes says who it is.
pub(super) trait Sided:
    Relation<Terms = Address, Inverse: Relation<Terms = Address>>
{
    const SIDE: Side;
}

macro_rules! side {
    ($side:ident, $inverse:ident, $count:ident) => {
        /// The relation of this name.
        #[derive(Debug)]
        pub enum $side {}
        impl Relation for $side {
            const NAME: &'static str = Side::$side.name();
            type Inverse = $inverse;
            type Terms = Address;
        }
        impl Sided for $side {
            const SIDE: Side = Side::$side;
        }
        impl<const KEPT: bool> Partners<$side> for Neighbour<KEPT> {
            type Count = $count;
            fn initiate(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$side>,
                terms: Option<Address>,
            ) -> Consent {
                self.consider(cx, partner, terms)
            }
            fn declined(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$side>,
                why: &Declined,
            ) {
                self.end(cx, partner, false, declined_words(why));
            }
            fn parted(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$side>,
                how: Parted,
                brothers: &[Address],
            ) {
                self.end(cx, partner, true, parted_words(how));
                self.mend::<$side>(cx, brothers);
            }
            fn resources(&mut self) -> Option<&mut Resources> {
                Some(&mut self.places)
            }
        }
    };
}

side!(Beside, Beside, Many);
side!(Twin, Twin, One);
side!(Over, Under, One);
side!(Under, Over, Many);

const fn declined_words(why: &Declined) -> &'static str {
    match why {
        Declined::Refused(_) => "refused",
        Declined::Reconsidered(_) => "reconsidered",
        Declined::TimedOut => "timed out",
        Declined::Undelivered(_) => "undelivered",
        Declined::Crossed => "crossed",
        Declined::Withdrawn => "withdrawn",
    }
}

const fn parted_words(how: Parted) -> &'static str {
    match how {
        Parted::Goodbye => "goodbye",
        Parted::Breakup => "breakup",
        Parted::Shutdown => "shutdown",
        Parted::Buried => "buried",
        Parted::Lost => "lost",
    }
}

/// Proposing, and agreeing.
impl<const KEPT: bool> Neighbour<KEPT> {
    pub(super) fn propose<R: Sided>(
        &mut self,
        cx: &mut Cx<'_, Self>,
        instead_of: Option<&Partner<R>>,
    ) where
        Self: Partners<R>,
    {
        if let Some(to) = pick(&self.whom, cx) {
            self.propose_to(cx, to, instead_of);
        }
    }

    fn propose_to<R: Sided>(
        &mut self,
        cx: &mut Cx<'_, Self>,
        to: Address,
        instead_of: Option<&Partner<R>>,
    ) where
        Self: Partners<R>,
    {
        let mut proposing = Proposing::to(to);
        if let Some(old) = instead_of {
            proposing = proposing.instead_of(old);
        }
        if cx.entropy().below(4) == 0 {
            // Shorter than some answers take.
            proposing = proposing.within(Duration::from_millis(cx.entropy().below(500)));
        }
        let me = cx.address();
        match cx.propose::<R>(proposing, &me) {
            Ok(bond) => {
                let tie = Tie { side: R::SIDE, partner: to, stands: false };
                if self.ties.insert(bond, tie).is_some() {
                    self.complain(cx, "two partnerships have one name");
                }
                if cx.entropy().below(2) == 0 {
                    self.set_aside(cx, bond);
                }
            }
            Err(ProposeError::Myself) if to.agent == me.agent => {}
            Err(ProposeError::Already(_)) if to.agent != me.agent => {}
            Err(ProposeError::Full) if R::SIDE.is_one() => {}
            Err(why) => self.complain(cx, &format!("it could not propose: {why}")),
        }
    }

    /// Whether it agrees.
    fn consider<R: Sided>(
        &mut self,
        cx: &mut Cx<'_, Self>,
        partner: &Partner<R>,
        terms: Option<Address>,
    ) -> Consent
    where
        Self: Partners<R>,
    {
        let bond = partner.bond();
        let proposed = self.ties.get(&bond).map(|tie| (tie.side, tie.partner, tie.stands));
        let expected = terms.is_none().then(|| (R::SIDE, partner.address(), false));
        if proposed != expected {
            let words = format!("it is asked whether it agrees to {bond}: {proposed:?}");
            self.complain(cx, &words);
        }
        if terms.is_some_and(|who| who != partner.address()) || self.ended.contains(&bond) {
            self.complain(cx, "another has proposed than the one who says so");
        }
        if !self.resting && cx.entropy().below(8) == 0 {
            self.propose::<R>(cx, None);
        }
        let has_place = self.has_place(bond) || self.set_aside(cx, bond);
        if !has_place || cx.entropy().below(8) == 0 {
            // What was set aside is released, though it is not told of an end.
            return Consent::no("not now");
        }
        let tie = Tie { side: R::SIDE, partner: partner.address(), stands: true };
        self.ties.insert(bond, tie);
        Consent::yes()
    }

    fn has_place(&self, bond: Bond) -> bool {
        self.places.allocations().any(|(_, of)| of.bound_to() == Some(bond))
    }

    fn set_aside(&mut self, cx: &mut Cx<'_, Self>, bond: Bond) -> bool {
        let Ok(place) = self.places.allocate(&Want::of("places", 1), cx.now()) else {
            return false;
        };
        if self.flaw != Mistake::KeepsPlaces && self.places.bind(place, bond).is_err() {
            self.complain(cx, "it could not bind what it has just set aside");
        }
        true
    }

    /// A partnership has ended, or was not to be.
    fn end<R: Sided>(&mut self, cx: &Cx<'_, Self>, partner: &Partner<R>, stood: bool, how: &str) {
        let bond = partner.bond();
        *self.ends.entry(how.to_owned()).or_default() += 1;
        let tie = self.ties.remove(&bond);
        if tie != Some(Tie { side: R::SIDE, partner: partner.address(), stands: stood }) {
            self.complain(cx, &format!("{bond} ended ({how}), of which it knew {tie:?}"));
        }
        if !self.ended.insert(bond) {
            self.complain(cx, &format!("{bond} ended twice"));
        }
    }

    /// Those who are left at times find each other.
    fn mend<R: Sided>(&mut self, cx: &mut Cx<'_, Self>, brothers: &[Address])
    where
        Self: Partners<R>,
    {
        if !self.resting
            && cx.entropy().below(3) == 0
            && let Some(to) = pick(brothers, cx)
        {
            self.propose_to::<R>(cx, to, None);
        }
    }
}
