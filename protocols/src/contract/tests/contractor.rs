//! Who does work.

use super::*;

#[test]
fn every_order_has_its_meaning_where_it_has_one() {
    let orders = [
        Order::Reject,
        Order::Grant { left: S },
        Order::Cancel("no".into()),
        Order::Acknowledge,
        Order::Pending { left: S },
        Order::Unknown,
        Order::Gone,
    ];
    let gone = || "the manager is gone".to_owned();
    let end = |ended| Some(Some(Work::Ended(ended)));
    let cancelled = || end(Ended::Cancelled("no".into()));
    let aborted = || end(Ended::Aborted(gone()));
    let acknowledged = || end(Ended::Acknowledged);
    let rejected = || end(Ended::Rejected);
    let expired = || end(Ended::Expired);
    let forgotten = || end(Ended::Aborted("the manager knows the contract no more".into()));
    let (granted, ask) = (Some(Some(Work::Granted)), Some(Some(Work::Ask)));
    let expected = [
        ("announced", [None, None, None, None, None, None, expired()]),
        ("bid", [rejected(), granted, rejected(), None, None, None, expired()]),
        ("granted", [None, None, cancelled(), None, None, None, end(Ended::Cancelled(gone()))]),
        ("completed", [None, None, cancelled(), acknowledged(), None, None, ask]),
        ("asking", [None, None, cancelled(), acknowledged(), Some(None), forgotten(), aborted()]),
    ];
    for (phase, row) in expected {
        for (order, expected) in orders.iter().zip(row) {
            let mut contractor = contractor(phase);
            let before = contractor.clone();
            let meant = contractor.order(order.clone(), NOW);
            let unchanged = contractor == before;
            let got = meant.then(|| contractor.poll());
            assert_eq!(got, expected, "{order:?} while {phase}");
            assert_eq!(meant, !unchanged, "{order:?} while {phase}");
        }
    }
}

#[test]
fn what_a_contractor_may_do_depends_on_where_it_stands() {
    type Does = fn(&mut Contractor) -> bool;
    let does: [(&str, Does, &str, Option<Ended>); 5] = [
        ("announced", Contractor::bid, "bid", None),
        ("announced", Contractor::refuse, "ended", Some(Ended::Refused)),
        ("announced", Contractor::hand_over, "ended", Some(Ended::Delegated)),
        ("granted", |c| c.complete(NOW), "completed", None),
        ("granted", Contractor::defect, "ended", Some(Ended::Defected)),
    ];
    for (from, does, to, told) in does {
        for phase in PHASES {
            let mut contractor = contractor(phase);
            assert_eq!(does(&mut contractor), phase == from);
            assert_eq!(contractor.phase(), if phase == from { to } else { phase });
            let told = told.clone().filter(|_| phase == from).map(Work::Ended);
            assert_eq!(contractor.poll(), told);
        }
    }
}

#[test]
fn a_contractor_may_take_back_its_bid_or_what_it_has_done() {
    let stopped = || Ended::Aborted("stopped".into());
    let ends = [None, Some(Ended::Withdrawn), None, Some(stopped()), Some(stopped())];
    for (phase, end) in PHASES.into_iter().zip(ends) {
        let mut contractor = contractor(phase);
        // The end of its manager means something to it as soon as the work is granted.
        assert_eq!(contractor.is_bound(), !["announced", "bid"].contains(&phase), "{phase}");
        assert_eq!(contractor.withdraw("stopped"), end.is_some(), "{phase}");
        assert_eq!(contractor.poll(), end.map(Work::Ended), "{phase}");
    }
}

#[test]
fn what_was_done_is_undone_but_where_it_counts_or_nothing_was_done() {
    for (ended, undoes) in [
        (Ended::Refused, false),
        (Ended::Delegated, false),
        (Ended::Defected, false),
        (Ended::Acknowledged, false),
        (Ended::Rejected, true),
        (Ended::Withdrawn, true),
        (Ended::Expired, true),
        (Ended::Cancelled("no".into()), true),
        (Ended::Aborted("gone".into()), true),
    ] {
        assert_eq!(ended.undoes(), undoes, "{ended:?}");
    }
}

#[test]
fn every_window_of_a_contractor_ends() {
    let late = |what: &str| format!("the {what} did not come in time");
    for (phase, at, told) in [
        ("announced", 6, Work::Ended(Ended::Expired)),
        ("bid", 18, Work::Ended(Ended::Expired)),
        ("granted", 5, Work::Ended(Ended::Cancelled(late("report")))),
        ("completed", 15, Work::Ask),
        ("asking", 25, Work::Ended(Ended::Aborted("the manager does not answer".into()))),
    ] {
        let mut contractor = contractor(phase);
        assert_eq!(contractor.next_deadline(), Some(after(at)), "{phase}");
        contractor.expire(after(at - 1));
        assert_eq!(contractor.poll(), None, "{phase}");
        contractor.expire(after(at));
        let asks = told == Work::Ask;
        assert_eq!(contractor.poll(), Some(told), "{phase}");
        assert_eq!(contractor.next_deadline(), asks.then(|| after(at + 10)));
        contractor.expire(after(1000));
        assert_eq!(contractor.poll().is_some(), asks, "{phase}");
    }
}

#[test]
fn who_hears_that_it_is_not_over_waits_on_and_asks_again() {
    let mut contractor = contractor("asking");
    assert!(contractor.order(Order::Pending { left: S * 3 }, after(16)));
    assert_eq!((contractor.phase(), contractor.poll()), ("completed", None));
    assert_eq!(contractor.next_deadline(), Some(after(29)));
    contractor.expire(after(29));
    assert_eq!(contractor.poll(), Some(Work::Ask));
}

/// A bid that came through several steps must not expire before the first manager decides, whose
/// windows its bidder does not know.
#[test]
fn a_bid_stands_as_long_as_the_announcement_says() {
    let short = Windows { bids: S, decision: S, reports: S };
    let stands = |seconds| {
        let mut contractor = Contractor::announced(S, S * seconds, short, NOW);
        assert!(contractor.bid());
        contractor.next_deadline()
    };
    assert_eq!(stands(20), Some(after(20)));
    // But nobody can have it stand for ever, nor shorter than the window for bids.
    assert_eq!(stands(90_000), Some(NOW + crate::limits::BID_STANDS_MAX));
    assert_eq!(stands(0), Some(after(1)));
    let own = Windows { bids: S * 100, decision: S * 100, reports: S };
    let contractor = Contractor::announced(S * 9, S * 90_000, own, NOW);
    assert_eq!(contractor.stands(NOW), S * 210);
    assert_eq!(Windows::DEFAULT.stands(), S * 21);
}
