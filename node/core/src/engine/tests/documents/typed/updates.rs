//! Named updates by agents.

use starling_protocols::limits::DOCUMENT_UPDATES_WAITING_MAX;

use super::*;

fn tell(mesh: &mut Mesh, clerk: Address, what: &str, doc: &str, by: u32, replicas: u32) {
    let body = serde_json::json!([what, doc, by, replicas]).to_string();
    mesh.make(clerk, "clerk/do", &body);
}

fn last(mesh: &mut Mesh, clerk: Address) -> String {
    mesh.sitter_log(clerk).pop().expect("it has noted something")
}

fn two() -> (Mesh, Address) {
    let mut mesh = mesh_of(vec![with_clerks(), with_clerks()]).joined();
    let clerk = mesh.settle_in(0, "clerk", "ada");
    (mesh, clerk)
}

#[test]
fn an_update_is_applied_and_answered_when_as_many_hosts_have_it() {
    let (mut mesh, clerk) = two();
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 4.into()), Ok(()));
    tell(&mut mesh, clerk, "raise", CONF, 7, 2);
    let log = ["started", "Hello 3", "Hello 4", "Hello 11", "true on 2"];
    assert_eq!(mesh.sitter_log(clerk), log);
    assert_eq!(changes(&mut mesh, 1, CONF), ["clerk/raise-limit", "by hand"]);
    let before = mesh.doc(1, &name(CONF));
    tell(&mut mesh, clerk, "raise", CONF, 90, 1);
    assert_eq!(last(&mut mesh, clerk), "clerk/raise-limit was refused: a hundred is enough");
    tell(&mut mesh, clerk, "sell", CONF, 1, 1);
    let other = "the document is of type \"clerk/config\", not \"clerk/sales\"";
    assert_eq!(last(&mut mesh, clerk), other);
    tell(&mut mesh, clerk, "unheard", CONF, 1, 1);
    let undeclared = "the kind does not declare the update \"clerk/unheard\"";
    assert_eq!(last(&mut mesh, clerk), undeclared);
    tell(&mut mesh, clerk, "sell", "Sales", 1, 1);
    assert!(last(&mut mesh, clerk).contains("small letters"));
    assert_eq!(mesh.doc(1, &name(CONF)), before);
}

#[test]
fn an_update_that_can_begin_makes_the_document_and_counters_add_up() {
    let (mut mesh, clerk) = two();
    let other = mesh.settle_in(1, "clerk", "bob");
    tell(&mut mesh, clerk, "sell", "sales", 2, 2);
    assert_eq!(last(&mut mesh, clerk), "true on 2");
    mesh.cut(0, 1);
    tell(&mut mesh, clerk, "sell", "sales", 10, 1);
    tell(&mut mesh, other, "sell", "sales", 100, 1);
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    let said = r#"{"fields":{"sold":112},"type":"clerk/sales","version":1}"#;
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &name("sales")), Ok(said.into()), "host {host}");
    }
    tell(&mut mesh, clerk, "sell", "sales", 0, 1);
    assert_eq!(last(&mut mesh, clerk), "false on 1");
}

#[test]
fn an_update_waits_for_a_document_until_time_is_up() {
    let (mut mesh, clerk) = two();
    mesh.cut(0, 1);
    let waiting = mesh.sitter_log(clerk);
    tell(&mut mesh, clerk, "raise", CONF, 1, 1);
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 4.into()), Ok(()));
    mesh.advance(Duration::from_secs(10));
    assert_eq!(mesh.sitter_log(clerk), waiting);
    mesh.connect(0, 1);
    mesh.settle();
    // Not when it would be tried again, but as soon as the document is there.
    mesh.advance(Duration::from_millis(10));
    let log = ["started", "Hello 3", "Hello 4", "Hello 5", "true on 1"];
    assert_eq!(mesh.sitter_log(clerk), log);
    tell(&mut mesh, clerk, "raise", "conf/other", 1, 1);
    mesh.advance(Duration::from_secs(19));
    assert_eq!(mesh.sitter_log(clerk), log);
    mesh.advance(Duration::from_secs(2));
    assert_eq!(last(&mut mesh, clerk), "there is no such document on this host");
    // It is not made later.
    assert_eq!(write(&mut mesh, 1, "conf/other", "x", 4.into()), Ok(()));
    mesh.advance(Duration::from_secs(60));
    assert_eq!(changes(&mut mesh, 0, "conf/other"), ["by hand"]);
}

#[test]
fn an_update_is_not_answered_before_it_is_durable() {
    let (mut mesh, clerk) = two();
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 4.into()), Ok(()));
    // The disk is full for a while, and nobody else has it.
    mesh.cut(0, 1);
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    tell(&mut mesh, clerk, "raise", CONF, 1, 1);
    mesh.advance(Duration::from_secs(10));
    assert_eq!(last(&mut mesh, clerk), "Hello 5");
    mesh.shelve(0);
    mesh.settle();
    assert_eq!(last(&mut mesh, clerk), "true on 1");
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    tell(&mut mesh, clerk, "raise", CONF, 1, 1);
    mesh.advance(Duration::from_secs(21));
    assert_eq!(last(&mut mesh, clerk), "it is applied, and not yet on the disk");
}

#[test]
fn an_update_waits_until_a_damaged_copy_is_replaced() {
    let (mut mesh, clerk) = two();
    assert_eq!(write(&mut mesh, 1, CONF, "fields.greeting", "Ahoy".into()), Ok(()));
    let shelf = mesh.shelves[0].as_mut().expect("a shelf");
    let bytes = shelf.kept.get_mut(CONF).expect("it is kept");
    let place = bytes.windows(4).position(|text| text == b"Ahoy").expect("it says so");
    bytes[place] = b'O';
    mesh.kill_alone(0, 2);
    tell(&mut mesh, clerk, "raise", CONF, 1, 2);
    mesh.advance(Duration::from_secs(5));
    assert_eq!(last(&mut mesh, clerk), "Hello 3", "nobody here knows what it said");
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(1));
    let log = mesh.sitter_log(clerk);
    assert_eq!(log[log.len() - 3..], ["Ahoy 3", "Ahoy 4", "true on 2"]);
}

#[test]
fn what_an_agent_says_of_itself_is_updated_by_itself_alone() {
    let (mut mesh, clerk) = two();
    tell(&mut mesh, clerk, "describe", "", 5, 1);
    tell(&mut mesh, clerk, "sell", "own", 2, 2);
    assert_eq!(last(&mut mesh, clerk), "true on 2");
    assert_eq!(mesh.fields(1, clerk), r#"{"sold":7}"#);
    let own = DocName::of_agent(clerk.agent);
    assert_eq!(changes(&mut mesh, 1, own.as_str())[0], "clerk/sell");
    let other = mesh.settle_in(0, "clerk", "bob");
    tell(&mut mesh, other, "sell", own.as_str(), 2, 1);
    assert_eq!(last(&mut mesh, other), DocumentError::NotOwner.to_string());
    assert_eq!(mesh.fields(1, clerk), r#"{"sold":7}"#);
}

#[test]
fn only_so_many_updates_wait_at_once() {
    let (mut mesh, clerk) = two();
    for _ in 0..DOCUMENT_UPDATES_WAITING_MAX {
        tell(&mut mesh, clerk, "raise", CONF, 1, 1);
    }
    assert_eq!(last(&mut mesh, clerk), "Hello 3");
    tell(&mut mesh, clerk, "raise", CONF, 1, 1);
    assert_eq!(last(&mut mesh, clerk), "too many updates wait on this host already");
}

#[test]
fn an_update_leaves_a_document_in_its_version() {
    let newer = kinds().kind::<NewClerk>();
    let mut mesh = mesh_of(vec![with_clerks(), newer]).joined();
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 4.into()), Ok(()));
    let clerk = mesh.settle_in(1, "clerk", "ada");
    mesh.make(clerk, "clerk/do", "7");
    let said = r#"{"fields":{"greeting":"Hello","limit":11},"type":"clerk/config","version":1}"#;
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &name(CONF)), Ok(said.into()), "host {host}");
    }
}
