use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use starling_protocols::{
    exchange::{Codec, Failure},
    ident::{AgentId, HostId},
    partner::{Letter, Partnerships},
    time::Time,
    wire,
};

use super::*;
use crate::agent::{
    Answer, Answers, Cage, Collects, Effect, Input, Interests, Never, Notification, Request,
    WaitId,
    cx::encode,
    dealings::For,
    resources::{Totals, Want},
    waits::What,
};

struct Kin;
impl Relation for Kin {
    const NAME: &'static str = "wayward/kin";
    type Inverse = Self;
    type Terms = ();
}

/// One that sets something aside for a partner and agrees. Unless it is loyal, it breaks up before
/// that.
#[derive(Serialize, Deserialize)]
struct Wayward {
    loyal: bool,
    places: Resources,
    told: Vec<String>,
}

impl Default for Wayward {
    fn default() -> Self {
        let places = Resources::new(Totals::new().scalar("places", 5)).expect("one name");
        Self { loyal: false, places, told: Vec::new() }
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
        interests.collects::<Fill>();
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

/// It has so many partners from now on, and waits for as much as it may.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Fill(u64);
impl Notification for Fill {
    const NAME: &'static str = "wayward/fill";
}

impl Collects<Fill> for Wayward {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Fill(partners): Fill) {
        cx.dealings.partners = with_many(partners);
        while cx.dealings.waits.room() > 0 {
            cx.dealings.waits.begin(For::Proposals, What::Timer, Time::FAR_FUTURE);
        }
    }
}

/// A table with so many that stand.
fn with_many(partners: u64) -> Partnerships {
    let (ends, me) = (ends::<Kin>(), Cage::<Wayward>::ME);
    let mut table = Partnerships::default();
    for number in 0..partners {
        let bond = Bond(number.into());
        let letter = Letter::Propose { bond, terms: Cow::default() };
        table.take(letter, &ends, other(number), me, Many::MOST);
        table.accept(bond);
        while table.poll().is_some() {}
    }
    table
}

fn other(number: u64) -> Address {
    Address { agent: AgentId(OTHER.agent.0 + u128::from(number)), ..OTHER }
}

impl Partners<Kin> for Wayward {
    type Count = Many;
    fn initiate(&mut self, cx: &mut Cx<'_, Self>, kin: &Partner<Kin>, _: Option<()>) -> Consent {
        let place = self.places.allocate(&Want::of("places", 1), cx.now()).expect("there is one");
        self.places.bind(place, kin.bond()).expect("it is there");
        assert!(self.loyal || cx.break_up(kin.bond()));
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

#[test]
fn an_agent_that_has_no_room_to_watch_its_partners_asks_each_and_looks_again() {
    let mut cage = Cage::new(Wayward::default());
    cage.tell(Fill(2000));
    let effects = cage.input(Input::Recovered);
    let check = |number: u64| {
        let bond = Bond(number.into());
        post(other(number), &Letter::Check { bond })
    };
    assert_eq!(effects[..2000], (0..2000).map(check).collect::<Vec<_>>());
    // One of them has a bond that makes it the first.
    let [Effect::Wake { at, .. }] = effects[2000..] else { panic!("{:?}", &effects[2000..]) };
    assert_eq!(at.since(Time::ZERO), Duration::from_secs(5));
    cage.replay();
}

#[test]
fn of_very_many_partners_people_see_the_first_and_how_many_there_are_beside_them() {
    assert_eq!(views(&with_many(256)).len(), 256);
    let shown = views(&with_many(300));
    assert_eq!(shown.len(), 257);
    assert_eq!(shown[256], ("partner".into(), Time::ZERO, json!({ "more": 44 })));
    assert_eq!(shown[255].2["bond"], Bond(255).to_string());
}

#[test]
fn a_partner_that_was_there_for_long_is_asked_as_for_the_first_time() {
    let mut cage = Cage::new(Wayward { loyal: true, ..Wayward::default() });
    let effects = cage.input(told(OTHER, &Letter::Propose { bond: BOND, terms: Cow::default() }));
    let mut watch = watched(&effects);
    let check = post(OTHER, &Letter::Check { bond: BOND });
    let long = Duration::from_secs(90);
    for (lasted, asked) in [(Duration::ZERO, true), (Duration::ZERO, false), (long, true)] {
        cage.advance(lasted);
        let effects = cage.fail(watch, Failure::Gone);
        assert_eq!(effects.contains(&check), asked, "{effects:?}");
        watch = watched(&cage.advance(Duration::from_secs(11)));
    }
    cage.replay();
}

fn watched(effects: &[Effect]) -> WaitId {
    let watch = effects.iter().find_map(|effect| match effect {
        Effect::Request { to: OTHER, name, wait, .. } if name == "agent/watch" => Some(*wait),
        _ => None,
    });
    watch.expect("it watches its partner")
}
