use std::time::Duration;

use serde_json::{Value, json};
use starling_protocols::{
    ident::Address,
    limits::BODY_BYTES_MAX,
    partner::{Bond, Declined, Ends, Letter, Parted},
    wire,
};

use super::{Consent, Count, Partner, Partners, Relation, ends};
use crate::agent::{Agent, Cx, Resources};

type Initiate<A> = fn(&mut A, &mut Cx<'_, A>, Bond, Address, Option<&[u8]>) -> Consent;
type OnDeath<A> = fn(&mut A, &mut Cx<'_, A>, Bond, Address, &[Address]) -> Option<Duration>;

/// What a kind does with partners of one relation, its types forgotten.
pub(crate) struct PartnerFns<A: Agent> {
    pub(super) ends: Ends,
    pub(super) most: usize,
    pub(super) initiate: Initiate<A>,
    pub(super) declined: fn(&mut A, &mut Cx<'_, A>, Bond, Address, &Declined),
    pub(super) parted: fn(&mut A, &mut Cx<'_, A>, Bond, Address, Parted, &[Address]),
    pub(super) died: OnDeath<A>,
    pub(super) restarted: fn(&mut A, &mut Cx<'_, A>, Bond, Address, Address),
    pub(super) resources: fn(&mut A) -> Option<&mut Resources>,
}

impl<A: Agent> PartnerFns<A> {
    pub(crate) const fn new<R: Relation>() -> Self
    where
        A: Partners<R>,
    {
        Self {
            ends: ends::<R>(),
            most: <A as Partners<R>>::Count::MOST,
            initiate: initiate::<A, R>,
            declined: |agent, cx, bond, at, why| {
                Partners::<R>::declined(agent, cx, &Partner::new(bond, at), why);
            },
            parted: |agent, cx, bond, at, how, brothers| {
                Partners::<R>::parted(agent, cx, &Partner::new(bond, at), how, brothers);
            },
            died: |agent, cx, bond, at, brothers| {
                Partners::<R>::died(agent, cx, &Partner::new(bond, at), brothers)
            },
            restarted: |agent, cx, bond, at, before| {
                Partners::<R>::restarted(agent, cx, &Partner::new(bond, at), before);
            },
            resources: <A as Partners<R>>::resources,
        }
    }

    /// Whether it is for partners of this relation.
    pub(in crate::agent) fn is_of(&self, ends: &Ends) -> bool {
        self.ends == *ends
    }

    /// Whether letters to the other end go under this name.
    pub(in crate::agent) fn writes(&self, name: &str) -> bool {
        self.ends.theirs == name
    }
}

fn initiate<A: Partners<R>, R: Relation>(
    agent: &mut A,
    cx: &mut Cx<'_, A>,
    bond: Bond,
    at: Address,
    terms: Option<&[u8]>,
) -> Consent {
    let terms = terms.map(|terms| wire::decode::<R::Terms>(terms, BODY_BYTES_MAX)).transpose();
    match terms {
        Ok(terms) => agent.initiate(cx, &Partner::new(bond, at), terms),
        Err(why) => Consent::no(format!("the terms do not decode: {why}")),
    }
}

/// Shows what two agents tell each other of a partnership.
pub(crate) fn show<R: Relation>(body: &[u8]) -> Option<Value> {
    let letter: Letter<'_> = wire::decode_borrowed(body, BODY_BYTES_MAX).ok()?;
    let bond = letter.bond().to_string();
    Some(match letter {
        Letter::Propose { terms, .. } => json!({
            "propose": bond, "terms": show_terms::<R>(&terms),
        }),
        Letter::Accept { .. } => json!({ "accept": bond }),
        Letter::Decline { why, .. } => json!({ "decline": bond, "why": why }),
        Letter::End { how, brothers, .. } => {
            let brothers: Vec<String> = brothers.iter().map(ToString::to_string).collect();
            json!({ "end": bond, "how": how, "brothers": brothers })
        }
        Letter::Check { .. } => json!({ "check": bond }),
        Letter::Sound { .. } => json!({ "sound": bond }),
    })
}

fn show_terms<R: Relation>(terms: &[u8]) -> Option<Value> {
    let terms: R::Terms = wire::decode(terms, BODY_BYTES_MAX).ok()?;
    serde_json::to_value(&terms).ok()
}
