use std::borrow::Cow;

use serde::Deserialize;
use starling_protocols::{
    exchange::Codec,
    ident::{AgentId, HostId},
    partner::Letter,
    wire,
};

use super::*;
use crate::agent::{
    Answer, Answers, Cage, Effect, Input, Interests, Never, Request,
    cx::encode,
    resources::{Totals, Want},
};

struct Kin;
impl Relation for Kin {
    const NAME: &'static str = "wayward/kin";
    type Inverse = Self;
    type Terms = ();
}

/// One that sets something aside for a partner, breaks up, and agrees.
#[derive(Serialize, Deserialize)]
struct Wayward {
    places: Resources,
    told: Vec<String>,
}

impl Default for Wayward {
    fn default() -> Self {
        let places = Resources::new(Totals::new().scalar("places", 5)).expect("one name");
        Self { places, told: Vec::new() }
    }
}

impl Wayward {
    fn taken(&self) -> u64 {
        self.places.usage()["places"].allocated
    }
}

impl Agent for Wayward {
    const KIND: &'static str = "wayward";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Propose>();
        interests.has_many::<Kin>();
    }
}

#[derive(Serialize, Deserialize)]
struct Propose(Address);
impl Request for Propose {
    const NAME: &'static str = "wayward/propose";
    type Reply = String;
}

impl Answers<Propose> for Wayward {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Propose(to): Propose) -> Answer<Propose> {
        Answer::now(cx.propose::<Kin>(to, &()).expect("it may").to_string())
    }
}

impl Partners<Kin> for Wayward {
    type Count = Many;
    fn initiate(&mut self, cx: &mut Cx<'_, Self>, kin: &Partner<Kin>, _: Option<()>) -> Consent {
        let place = self.places.allocate(&Want::of("places", 1), cx.now()).expect("there is one");
        self.places.bind(place, kin.bond()).expect("it is there");
        assert!(cx.break_up(kin.bond()));
        Consent::yes()
    }
    fn declined(&mut self, _: &mut Cx<'_, Self>, _: &Partner<Kin>, why: &Declined) {
        self.told.push(format!("{why:?}, {} taken", self.taken()));
    }
    fn resources(&mut self) -> Option<&mut Resources> {
        Some(&mut self.places)
    }
}

const OTHER: Address = Address { host: HostId([3; 32]), agent: AgentId(1 << 80) };
const BOND: Bond = Bond(7);

fn told(from: Address, letter: &Letter<'_>) -> Input<'static> {
    let (codec, body) = (Codec::Native, encode(letter).into());
    Input::Notification { name: Kin::NAME.into(), from, topic: None, codec, body }
}

fn post(to: Address, letter: &Letter<'_>) -> Effect {
    Effect::Post { to, name: Kin::NAME.into(), body: encode(letter) }
}

#[test]
fn who_breaks_up_what_is_proposed_and_agrees_to_it_keeps_nothing_for_it() {
    let mut cage = Cage::new(Wayward::default());
    let effects = cage.input(told(OTHER, &Letter::Propose { bond: BOND, terms: Cow::default() }));
    let why = Cow::Borrowed("not now");
    assert_eq!(effects, [post(OTHER, &Letter::Decline { bond: BOND, why })]);
    assert_eq!((cage.state().taken(), cage.state().told.len()), (0, 0));
    cage.replay();
}

#[test]
fn who_breaks_up_what_it_has_proposed_and_agrees_to_it_keeps_nothing_for_it() {
    let mut cage = Cage::new(Wayward::default());
    let proposed = cage.ask(Propose(OTHER));
    let [Effect::Post { body, .. }, ..] = &proposed[..] else { panic!("{proposed:?}") };
    let letter: Letter<'_> = wire::decode_borrowed(body, body.len()).expect("a letter");
    let accept = Letter::Accept { bond: letter.bond() };
    cage.input(told(OTHER, &accept));
    // It has it until it was told.
    assert_eq!(cage.state().told, ["Withdrawn, 1 taken"]);
    assert_eq!(cage.state().taken(), 0);
    cage.replay();
}
