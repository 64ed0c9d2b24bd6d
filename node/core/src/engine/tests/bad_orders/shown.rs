//! What people see of contracts.

use super::*;
use crate::agent::BodyOf;

#[test]
fn people_see_what_waits_for_its_turn() {
    let mut mesh = Mesh::new(1);
    let seller = mesh.seller(0, 10, "later");
    for _ in 0..4 {
        let manager = mesh.trader(0, &Trader::default());
        mesh.announce(manager, &[seller]);
    }
    let (_, waits) = mesh.look_at(seller);
    let shown: serde_json::Value =
        serde_json::from_str(waits[2].as_str().expect("text")).expect("JSON");
    assert_eq!(shown["what"], "its turn");
    let expected = serde_json::json!({ "contract": Sell::NAME, "announcements": 2 });
    assert_eq!(shown["then"], expected);
}

#[test]
fn people_see_what_the_two_sides_say_to_each_other() {
    use serde_json::json;
    let (kinds, ten) = (Kinds::new().kind::<Trader>(), "000000000000000a");
    let show = |of, bytes: Vec<u8>| kinds.show("trader", of, Sell::NAME, &bytes);
    let body = || Cow::Owned(wire::encode("take it"));
    let announced = || Announcement { contract: 10, ..announcement(1, S, work()) };
    for (ask, expected) in [
        (
            Ask::Announce(announced()),
            json!({ "announce": "a boat", "contract": ten, "level": 0, "left_ms": 1000 }),
        ),
        (
            Ask::Grant { bid: 10, contract: 10, left: S, body: body() },
            json!({ "grant": "take it", "bid": ten, "contract": ten }),
        ),
        (Ask::Settle { contract: 10, bid: 10 }, json!({ "settle": ten, "contract": ten })),
    ] {
        assert_eq!(show(BodyOf::Request, wire::encode(&ask)), Some(expected));
    }
    let why = || Cow::Borrowed("late");
    for (tell, expected) in [
        (Tell::Announce(announced()), json!({ "announce": "a boat", "contract": ten })),
        (
            Tell::Bid { contract: 10, bid: forged(OTHER, 10, 3) },
            json!({ "bid": ten, "contract": ten, "cost": 3, "says": "forged" }),
        ),
        (
            Tell::Withdraw { contract: 10, bid: 10, why: why() },
            json!({ "withdraw": ten, "contract": ten, "why": "late" }),
        ),
        (Tell::Reject { bid: 10 }, json!({ "reject": ten })),
        (Tell::Cancel { bid: 10, why: why() }, json!({ "cancel": ten, "why": "late" })),
        (Tell::Acknowledge { bid: 10 }, json!({ "acknowledge": ten })),
    ] {
        assert_eq!(show(BodyOf::Notification, wire::encode(&tell)), Some(expected));
    }
    let bid = || forged(OTHER, 10, 3);
    for (reply, expected) in [
        (
            Reply::Bid(bid()),
            json!({ "bid": ten, "bidder": OTHER.to_string(), "cost": 3, "says": "forged" }),
        ),
        (Reply::Refused { further: true }, json!({ "refused": true, "further": true })),
        (Reply::Duplicate, json!("duplicate")),
        (done(), json!({ "report": "done" })),
        (Reply::Defect("no".into()), json!({ "defect": "no" })),
        (Reply::NoBid, json!("no such bid")),
        (Reply::Acknowledged, json!("acknowledged")),
        (Reply::Cancelled("no".into()), json!({ "cancelled": "no" })),
        (Reply::Pending { left: S }, json!({ "pending_ms": 1000 })),
        (Reply::Forgotten, json!("forgotten")),
    ] {
        assert_eq!(show(BodyOf::Reply, wire::encode(&reply)), Some(expected));
    }
}

#[test]
fn people_see_how_many_have_not_answered() {
    let mut mesh = Mesh::new(1);
    let thinkers = [(); 2].map(|()| mesh.seller(0, 3, "think"));
    let manager = mesh.trader(0, &Trader::default());
    mesh.announce(manager, &thinkers);
    mesh.order(thinkers[0], &Order::Bid);
    let (_, waits) = mesh.look_at(manager);
    let shown: serde_json::Value =
        serde_json::from_str(waits[0].as_str().expect("text")).expect("JSON");
    assert_eq!(shown["then"]["unanswered"], 1);
    assert_eq!(shown["then"]["bids"][0]["is"], "bid");
}
