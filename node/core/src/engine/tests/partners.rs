use std::borrow::Cow;

use starling_protocols::partner::{Declined, Parted};

use super::*;
use crate::agent::{
    Buried, Consent, Died, Many, One, Partner, Partners, Proposing, Relation, Resources, Restarted,
    resources::{Totals, Want},
};

/// What a guest calls its house.
struct House;
impl Relation for House {
    const NAME: &'static str = "guest/house";
    type Inverse = Guests;
    type Terms = ();
}

/// What a house calls its guests.
struct Guests;
impl Relation for Guests {
    const NAME: &'static str = "house/guests";
    type Inverse = House;
    type Terms = u64;
}

/// What a guest does, and what an inn does: both log what they are told.
#[derive(Serialize, Deserialize)]
pub(super) enum Tell {
    Propose(Address, u64),
    Substitute(Address),
    BreakUp,
    AskDied(Address, Died<'static>),
    Bury(Address, Buried<'static>),
    Move(Address, Restarted),
}
impl Request for Tell {
    const NAME: &'static str = "partners/tell";
    type Reply = ();
}

macro_rules! party {
    ($name:ident, $kind:literal, $durability:ident, $relation:ident, $count:ident, $has:ident) => {
        #[derive(Default, Serialize, Deserialize)]
        struct $name {
            log: Vec<String>,
            /// What it has for partners.
            beds: Resources,
            /// Whether it agrees to what others propose, and in the end to what it does.
            fussy: bool,
        }

        impl Agent for $name {
            const KIND: &'static str = $kind;
            const DURABILITY: Durability = Durability::$durability;
            type Then = Then;
            fn interests(interests: &mut Interests<Self>) {
                interests.answers::<Tell>();
                interests.$has::<$relation>();
            }
            fn undelivered(&mut self, _: &mut Cx<'_, Self>, what: &crate::agent::Undelivered<'_>) {
                self.log.push(format!("undelivered {}", what.name));
            }
            fn taken_up(&mut self, _: &mut Cx<'_, Self>, past: &TakenUp) {
                self.log.push(format!("taken up, {}", past.instance));
                self.beds = with_beds(2);
            }
            fn sharing(&self) -> Option<&Resources> {
                Some(&self.beds)
            }
        }

        impl Continuation<$name> for Then {
            fn resume(self, party: &mut $name, cx: &mut Cx<'_, $name>) {
                let Self::Answered(answer) = self;
                party.log.push(format!("volunteers: {:?}", cx.take(answer)));
            }
        }

        impl Answers<Tell> for $name {
            fn answer(&mut self, cx: &mut Cx<'_, Self>, tell: Tell) -> Answer<Tell> {
                match tell {
                    Tell::Propose(to, nights) => self.propose(cx, to, nights),
                    Tell::Substitute(to) => {
                        let old = cx.partners::<$relation>()[0];
                        let to = Proposing::to(to).instead_of(&old);
                        let proposed = cx.propose::<$relation>(to, &Terms(1).into());
                        proposed.expect("it may");
                    }
                    Tell::BreakUp => {
                        for partner in cx.partners::<$relation>() {
                            cx.break_up(partner.bond());
                        }
                    }
                    Tell::AskDied(to, died) => {
                        cx.request(to, &died, Then::Answered);
                    }
                    Tell::Bury(to, buried) => cx.notify(to, &buried),
                    Tell::Move(to, restarted) => cx.notify(to, &restarted),
                }
                Answer::now(())
            }
        }

        impl $name {
            fn propose(&mut self, cx: &mut Cx<'_, Self>, to: Address, nights: u64) {
                match cx.propose::<$relation>(to, &Terms(nights).into()) {
                    Ok(bond) => {
                        let bed = self.beds.allocate(&Want::of("beds", 1), cx.now());
                        self.beds.bind(bed.expect("there is one"), bond).expect("it is there");
                    }
                    Err(why) => self.log.push(why.to_string()),
                }
            }
        }

        impl Partners<$relation> for $name {
            type Count = $count;
            fn initiate(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$relation>,
                terms: Option<<$relation as Relation>::Terms>,
            ) -> Consent {
                self.log.push(format!("initiate {terms:?}"));
                if self.fussy {
                    return Consent::no("not with you");
                }
                if terms.is_some() {
                    let bed = self.beds.allocate(&Want::of("beds", 1), cx.now());
                    let Ok(bed) = bed else { return Consent::no("no beds") };
                    self.beds.bind(bed, partner.bond()).expect("it is there");
                }
                Consent::yes()
            }
            fn declined(&mut self, _: &mut Cx<'_, Self>, _: &Partner<$relation>, why: &Declined) {
                self.log.push(format!("declined {why:?}"));
            }
            fn parted(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$relation>,
                how: Parted,
                brothers: &[Address],
            ) {
                let still = cx.partners::<$relation>().len();
                let me = cx.address();
                let among = brothers.contains(&me);
                self.log
                    .push(format!("{how:?}, {still} left, {} brothers, {among}", brothers.len()));
                let _ = partner;
            }
            fn died(
                &mut self,
                _: &mut Cx<'_, Self>,
                _: &Partner<$relation>,
                brothers: &[Address],
            ) -> Option<Duration> {
                self.log.push(format!("died, {} brothers", brothers.len()));
                Some(Duration::from_secs(30))
            }
            fn restarted(
                &mut self,
                cx: &mut Cx<'_, Self>,
                partner: &Partner<$relation>,
                before: Address,
            ) {
                let same = cx.partners::<$relation>()[0].address() == partner.address();
                self.log.push(format!("moved: {}, {same}", before != partner.address()));
            }
            fn resources(&mut self) -> Option<&mut Resources> {
                Some(&mut self.beds)
            }
        }
    };
}

/// What either side says.
struct Terms(u64);
impl From<Terms> for u64 {
    fn from(terms: Terms) -> Self {
        terms.0
    }
}
impl From<Terms> for () {
    fn from(_: Terms) {}
}

#[derive(Serialize, Deserialize)]
pub(super) enum Then {
    Answered(Await<Died<'static>>),
}

party!(Guest, "lodger", History, House, One, has_one);
party!(Inn, "inn", WriteAhead, Guests, Many, has_many);

pub(super) fn kinds(kinds: Kinds) -> Kinds {
    kinds.kind::<Guest>().kind::<Inn>()
}

fn with_beds(beds: u64) -> Resources {
    Resources::new(Totals::new().scalar("beds", beds)).expect("few names")
}

impl Mesh {
    pub(super) fn party(&mut self, host: usize, kind: &str, beds: u64, fussy: bool) -> Address {
        let state = serde_json::json!({ "log": [], "beds": with_beds(beds), "fussy": fussy });
        let init = Init::Json(state.to_string());
        let start = Start { kind: kind.into(), name: None, init };
        let agent = self.engines[host].start(start).expect("the kind is known");
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
        Address { host: self.host(host), agent }
    }

    pub(super) fn guest(&mut self, host: usize) -> Address {
        self.party(host, "lodger", 1, false)
    }

    pub(super) fn inn(&mut self, host: usize, beds: u64) -> Address {
        self.party(host, "inn", beds, false)
    }

    /// Begins another life of a host, in which a guest lives from the beginning, always under the
    /// same id.
    fn begin_with_guest(&mut self, host: usize, life: u64) -> Address {
        let state = serde_json::json!({ "log": [], "beds": with_beds(1), "fussy": false });
        let init = Init::Json(state.to_string());
        let guest = Start { kind: "lodger".into(), name: None, init };
        let mut config = self.config(host, life);
        config.residents.push((AgentId(1032), guest));
        // A host draws its seed anew in each life.
        config.seed = [u8::try_from(life).expect("few lives"); 32];
        let others = (0..self.engines.len()).filter(|other| *other != host);
        others.clone().for_each(|other| self.cut(host, other));
        self.engines[host] = Engine::new(config, self.now());
        others.for_each(|other| self.connect(host, other));
        self.settle();
        Address { host: self.host(host), agent: AgentId(1032) }
    }

    pub(super) fn says(&mut self, who: Address, tell: &Tell) {
        let host = (0..self.engines.len()).find(|host| self.host(*host) == who.host);
        let body = serde_json::to_string(tell).expect("JSON");
        let ticket = self.ask(host.expect("a host"), who, "partners/tell", &body);
        assert_eq!(self.answers[&ticket].as_deref(), Ok("null"));
        self.settle();
    }

    /// What it was told, the partners it has, and the beds that are taken.
    pub(super) fn seen(&mut self, who: Address) -> (Vec<String>, Vec<Address>, u64) {
        let host = (0..self.engines.len()).find(|host| self.host(*host) == who.host);
        let to = Address { host: who.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, who.agent);
        let ticket = self.ask(host.expect("a host"), to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let Guest { log, beds, .. } = serde_json::from_str(state).expect("JSON");
        let waits = detail["waits"].as_array().expect("a list").iter();
        let waits = waits.map(|wait| -> serde_json::Value {
            serde_json::from_str(wait.as_str().expect("a text")).expect("JSON")
        });
        let standing = waits.filter(|wait| wait["then"]["stage"] == "standing");
        let partners = standing.map(|wait| wait["then"]["partner"].as_str().expect("one").parse());
        let partners: Result<Vec<Address>, _> = partners.collect();
        let taken = beds.usage()["beds"].allocated;
        (log, partners.expect("addresses"), taken)
    }

    pub(super) fn pair(&mut self) -> (Address, Address) {
        let (guest, inn) = (self.guest(0), self.inn(1, 2));
        self.says(guest, &Tell::Propose(inn, 3));
        assert_eq!(self.seen(guest), (vec!["initiate None".into()], vec![inn], 1));
        assert_eq!(self.seen(inn), (vec!["initiate Some(3)".into()], vec![guest], 1));
        (guest, inn)
    }

    pub(super) fn last(&mut self, who: Address) -> (String, usize, u64) {
        let (log, partners, beds) = self.seen(who);
        (log.last().cloned().unwrap_or_default(), partners.len(), beds)
    }
}

#[test]
fn both_sides_hear_when_one_breaks_up_and_what_was_set_aside_is_free() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = mesh.pair();
    mesh.says(guest, &Tell::BreakUp);
    assert_eq!(mesh.last(guest), ("Breakup, 0 left, 0 brothers, false".into(), 0, 0));
    assert_eq!(mesh.last(inn), ("Goodbye, 0 left, 1 brothers, true".into(), 0, 0));
    mesh.advance(Duration::from_secs(1));
    assert!((0..2).all(|host| mesh.replay_all(host) > 0));
}

#[test]
fn who_has_one_has_no_second_and_who_is_full_or_fussy_declines() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = mesh.pair();
    let (fussy, full) = (mesh.party(1, "inn", 2, true), mesh.inn(0, 0));
    mesh.says(guest, &Tell::Propose(fussy, 3));
    let why = "it has as many such partners as it may; break up with one, or substitute it";
    assert_eq!(mesh.last(guest).0, why);
    let other = mesh.guest(0);
    mesh.says(other, &Tell::Propose(other, 3));
    assert_eq!(mesh.last(other).0, "an agent is no partner of its own");
    mesh.says(other, &Tell::Propose(fussy, 3));
    assert_eq!(mesh.last(other), (r#"declined Refused("not with you")"#.into(), 0, 0));
    mesh.says(other, &Tell::Propose(full, 3));
    assert_eq!(mesh.last(other), (r#"declined Refused("no beds")"#.into(), 0, 0));
    assert_eq!(mesh.last(full).2, 0);
    // An inn may propose as well, and its guest may have one.
    mesh.says(inn, &Tell::Propose(guest, 0));
    assert_eq!(mesh.last(inn).1, 1);
}

#[test]
fn who_does_not_agree_in_the_end_leaves_nothing_behind() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = (mesh.party(0, "lodger", 1, true), mesh.inn(1, 2));
    mesh.says(guest, &Tell::Propose(inn, 3));
    assert_eq!(mesh.last(guest), (r#"declined Reconsidered("not with you")"#.into(), 0, 0));
    assert_eq!(mesh.last(inn), ("Goodbye, 0 left, 0 brothers, false".into(), 0, 0));
}

#[test]
fn a_proposal_to_nobody_or_to_one_of_another_kind_is_declined() {
    let mut mesh = Mesh::recorded(2);
    let (guest, other) = (mesh.guest(0), mesh.guest(1));
    mesh.says(guest, &Tell::Propose(other, 1));
    let (log, partners, beds) = mesh.seen(guest);
    assert!(log[0].starts_with("declined Undelivered(Unknown("), "{log:?}");
    assert_eq!((partners.len(), beds), (0, 0));
    let nobody = Address { host: other.host, agent: AgentId(1 << 90) };
    mesh.says(guest, &Tell::Propose(nobody, 1));
    assert_eq!(mesh.last(guest).0, "declined Undelivered(NoAgent)");
}

#[test]
fn a_substitute_takes_the_place_of_the_one_before_in_one_step() {
    let mut mesh = Mesh::recorded(3);
    let (guest, inn) = mesh.pair();
    let other = mesh.inn(2, 1);
    mesh.says(guest, &Tell::Substitute(other));
    assert_eq!(mesh.seen(guest).1, [other]);
    assert_eq!(mesh.last(inn), ("Goodbye, 0 left, 2 brothers, true".into(), 0, 0));
    // One that declines is no substitute.
    let full = mesh.inn(1, 0);
    mesh.says(guest, &Tell::Substitute(full));
    assert_eq!(mesh.seen(guest).1, [other]);
}

#[test]
fn a_partner_that_outlives_a_crash_is_a_partner_still() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = mesh.pair();
    mesh.crash(1, 2);
    mesh.settle();
    mesh.advance(Duration::from_secs(60));
    assert_eq!(mesh.seen(inn), (vec!["initiate Some(3)".into()], vec![guest], 1));
    assert_eq!(mesh.seen(guest).1, [inn]);
    // They hear of each other as before.
    mesh.says(inn, &Tell::BreakUp);
    assert_eq!(mesh.last(guest), ("Goodbye, 0 left, 1 brothers, true".into(), 0, 0));
    assert!(mesh.replay_all(1) > 0);
}

#[test]
fn a_partner_that_does_not_outlive_its_host_is_lost() {
    let mut mesh = Mesh::recorded(2);
    let (_, inn) = mesh.pair();
    mesh.crash(0, 2);
    mesh.settle();
    mesh.advance(Duration::from_secs(60));
    assert_eq!(mesh.last(inn), ("Lost, 0 left, 0 brothers, false".into(), 0, 0));
}

#[test]
fn a_partner_that_has_just_come_back_hears_that_the_other_has_not() {
    let mut mesh = Mesh::recorded(2);
    let (_, inn) = mesh.pair();
    mesh.crash(1, 2);
    mesh.settle();
    mesh.advance(Duration::from_secs(1));
    mesh.crash(0, 2);
    mesh.settle();
    mesh.advance(Duration::from_secs(1));
    assert_eq!(mesh.last(inn), ("Lost, 0 left, 0 brothers, false".into(), 0, 0));
}

#[test]
fn who_begins_anew_and_proposes_again_finds_the_bed_that_it_had() {
    let mut mesh = Mesh::recorded(2);
    let inn = mesh.inn(1, 1);
    let guest = mesh.begin_with_guest(0, 2);
    mesh.says(guest, &Tell::Propose(inn, 3));
    assert_eq!(mesh.last(inn), ("initiate Some(3)".into(), 1, 1));
    // It has forgotten all. The inn, which has one bed, has not heard of that yet.
    mesh.disks[1].as_mut().expect("a disk").stalled = true;
    mesh.begin_with_guest(0, 3);
    mesh.says(guest, &Tell::Propose(inn, 4));
    mesh.disks[1].as_mut().expect("a disk").stalled = false;
    mesh.write(1);
    mesh.settle();
    let (log, partners, beds) = mesh.seen(inn);
    let lost = "Lost, 0 left, 0 brothers, false";
    assert_eq!(log, ["initiate Some(3)", lost, "initiate Some(4)"]);
    assert_eq!((partners, beds), (vec![guest], 1));
}

#[test]
fn an_answer_that_comes_too_late_ends_in_agreement() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = (mesh.guest(0), mesh.inn(1, 2));
    mesh.cut(0, 1);
    mesh.says(guest, &Tell::Propose(inn, 3));
    mesh.advance(Duration::from_secs(7));
    assert_eq!(mesh.last(guest), ("declined TimedOut".into(), 0, 0));
    mesh.connect(0, 1);
    mesh.advance(Duration::from_secs(60));
    let (log, partners, beds) = mesh.seen(inn);
    assert_eq!(log, ["initiate Some(3)", "Goodbye, 0 left, 0 brothers, false"]);
    assert_eq!((partners.len(), beds), (0, 0));
    assert_eq!(mesh.seen(guest).1, []);
}

#[test]
fn who_watches_over_agents_tells_of_deaths_burials_and_moves() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = mesh.pair();
    let monitor = mesh.inn(0, 0);
    let brothers = Cow::Owned(vec![guest]);
    mesh.says(monitor, &Tell::AskDied(guest, Died { who: inn.agent, brothers }));
    assert_eq!(mesh.last(monitor).0, "volunteers: Ok(Some(30s))");
    assert_eq!(mesh.last(guest).0, "died, 1 brothers");
    let stranger = Died { who: AgentId(5), brothers: Cow::Borrowed(&[]) };
    mesh.says(monitor, &Tell::AskDied(guest, stranger));
    assert_eq!(mesh.last(monitor).0, "volunteers: Ok(None)");
    let at = Address { host: mesh.host(0), ..inn };
    mesh.says(monitor, &Tell::Move(guest, Restarted { who: inn.agent, at }));
    let (log, partners, _) = mesh.seen(guest);
    assert!(log.contains(&"moved: true, true".to_owned()), "{log:?}");
    // There is nobody at that address, and that is found out.
    assert_eq!(
        (log.last().expect("a log").as_str(), partners.len()),
        ("Lost, 0 left, 0 brothers, false", 0)
    );
    mesh.says(guest, &Tell::Propose(inn, 1));
    let brothers = Cow::Owned(vec![guest]);
    mesh.says(monitor, &Tell::Bury(guest, Buried { who: inn.agent, brothers }));
    assert_eq!(mesh.last(guest), ("Buried, 0 left, 1 brothers, true".into(), 0, 0));
}

#[test]
fn who_is_stopped_says_goodbye() {
    let mut mesh = Mesh::recorded(2);
    let (guest, inn) = mesh.pair();
    let now = mesh.now();
    let to = Address { host: inn.host, agent: AgentId::HOST };
    let body = format!(r#"{{"agent":"{}"}}"#, inn.agent);
    mesh.engines[1].handle(Input::Tick, now);
    mesh.ask(1, to, "host/stop", &body);
    mesh.settle();
    assert_eq!(mesh.last(guest), ("Goodbye, 0 left, 1 brothers, true".into(), 0, 0));
}
