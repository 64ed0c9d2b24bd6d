use starling_core::agent::{Cage, resources::Want};

use super::*;

fn whom() -> Vec<Address> {
    (1..4u8).map(|host| Address { host: HostId([host; 32]), agent: AgentId(300) }).collect()
}

#[test]
fn one_that_proposes_to_nobody_who_answers_has_nothing_left_in_the_end() {
    let mut cage = Cage::new(Farm::new(whom(), 2_000, Mistake::None));
    cage.start();
    cage.advance(Duration::from_secs(60));
    cage.ask(Rest {});
    cage.advance(Duration::from_secs(10));
    let farm = cage.state();
    assert!(farm.ends["timed out"] > 5, "{:?}", farm.ends);
    assert!(farm.ties.is_empty() && farm.wrong.is_empty(), "{farm:?}");
    assert_eq!(farm.places.allocations().len(), 0);
    cage.replay();
}

#[test]
fn an_audit_sees_what_is_set_aside_for_nobody() {
    let mut cottage = Cottage::new(whom(), 0, Mistake::None);
    cottage.places.allocate(&Want::of("places", 1), Time::ZERO).expect("there is one");
    let mut cage = Cage::new(cottage);
    cage.ask(Rest {});
    let wrong = &cage.state().wrong;
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].contains("is set aside for nobody"), "{wrong:?}");
}
