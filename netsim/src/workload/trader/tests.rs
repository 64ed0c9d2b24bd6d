use super::*;

fn whom() -> Vec<Address> {
    (1..4).map(|host| Address { host: HostId([host; 32]), agent: super::super::SHOP }).collect()
}

#[test]
fn one_that_orders_what_nobody_sells_has_nothing_left_in_the_end() {
    let mut cage = Cage::new(Shop::new(whom(), 2_000, Flaw::None));
    cage.start();
    let effects = cage.advance(Duration::from_secs(60));
    let asks = |effect: &&Effect| matches!(effect, Effect::Request { .. });
    assert!(effects.iter().filter(asks).count() > 20);
    cage.ask(Rest {});
    cage.advance(Duration::from_secs(60));
    let trader = cage.state();
    assert!(trader.ends["contract expired"] > 20, "{:?}", trader.ends);
    assert!(trader.deals.is_empty() && trader.wrong.is_empty(), "{trader:?}");
    cage.replay();
}

#[test]
fn an_audit_sees_what_is_held_for_no_job() {
    let mut trader = Stall::new(whom(), 0, Flaw::None);
    let want = starling_core::agent::resources::Want::of("units", 3);
    trader.store.allocate(&want, Time::ZERO).expect("there is enough");
    let mut cage = Cage::new(trader);
    cage.ask(Rest {});
    let wrong = &cage.state().wrong;
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].starts_with("1 allocations are there, 0 should be"), "{wrong:?}");
}
