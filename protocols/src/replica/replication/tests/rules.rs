use std::collections::VecDeque;

use super::{super::*, mesh::*};
use crate::{
    reconcile,
    replica::{Content, ReadError},
};

const LONG: Time = Time::from_nanos(3_600_000_000_000);

fn wait(ticket: u64, replicas: usize, until: Time) -> Replicated {
    Replicated { ticket: Ticket(ticket), replicas, until }
}

fn replicated(outputs: Vec<Output>) -> Vec<(u64, usize)> {
    let told = outputs.into_iter().filter_map(|output| match output {
        Output::Replicated { ticket, replicas } => Some((ticket.0, replicas)),
        _ => None,
    });
    told.collect()
}

fn size(mesh: &Mesh, at: usize, name: &DocName) -> usize {
    mesh.hosts[at].at.replicas().whole(name).expect("it is there").size()
}

#[test]
fn a_change_reaches_all_hosts_when_it_is_durable_and_not_before() {
    let mut mesh = Mesh::linked(4);
    let doc = name("conf/echo");
    mesh.hosts[0].quick = false;
    mesh.set(0, &doc, "limit", 5);
    assert!(mesh.under_way.values().all(VecDeque::is_empty));
    assert!(mesh.store(0));
    mesh.settle();
    for at in 0..4 {
        assert_eq!(mesh.hosts[at].get(&doc, "limit"), Some(5), "host {at}");
    }
    let told = mesh.hosts[1].told();
    let from = Some(key(0).host());
    assert_eq!(told, [Output::Changed { name: doc.clone(), from }]);
    assert_eq!(mesh.hosts[0].told(), [Output::Changed { name: doc, from: None }]);
}

#[test]
fn later_changes_go_out_as_differences() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    for number in 0..100 {
        mesh.set(0, &doc, &format!("field-{number}"), number);
    }
    mesh.settle();
    let (whole, before) = (size(&mesh, 0, &doc), mesh.bytes);
    mesh.set(0, &doc, "field-50", 1);
    mesh.settle();
    let bytes = mesh.bytes - before;
    assert!(bytes < whole / 2, "{bytes} bytes for one change, the whole has {whole}");
    assert_eq!(mesh.hosts[1].get(&doc, "field-50"), Some(1));
}

#[test]
fn one_who_waits_is_told_when_enough_hosts_have_it_durably() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.hosts[1].quick = false;
    mesh.hosts[2].quick = false;
    mesh.set_on(0, &doc, 1, wait(1, 1, LONG));
    assert_eq!(replicated(mesh.hosts[0].told()), [(1, 1)]);
    mesh.set_on(0, &doc, 2, wait(2, 2, LONG));
    mesh.set_on(0, &doc, 3, wait(3, 3, LONG));
    while mesh.deliver(0, 1) || mesh.deliver(0, 2) {}
    assert_eq!(replicated(mesh.hosts[0].told()), []);
    while mesh.store(1) {}
    while mesh.deliver(1, 0) {}
    assert_eq!(replicated(mesh.hosts[0].told()), [(2, 2)]);
    mesh.settle();
    assert_eq!(replicated(mesh.hosts[0].told()), [(3, 3)]);
    assert_eq!(mesh.hosts[0].at.next_deadline(), None);
}

#[test]
fn one_who_waits_for_what_is_everywhere_already_is_told_so() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.set_on(0, &doc, 1, wait(1, 3, LONG));
    mesh.settle();
    assert_eq!(replicated(mesh.hosts[0].told()), [(1, 3)]);
    let value = mesh.hosts[0].at.replicas().heads(&doc).to_vec();
    mesh.hosts[0].change_nothing(&doc, wait(2, 3, LONG));
    mesh.drain(0);
    mesh.settle();
    assert_eq!(mesh.hosts[0].at.replicas().heads(&doc), value);
    assert_eq!(replicated(mesh.hosts[0].told()), [(2, 3)]);
}

#[test]
fn a_later_change_that_nobody_waits_for_stands_for_the_one_before() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.hosts[0].quick = false;
    mesh.set_on(0, &doc, 1, wait(1, 2, LONG));
    mesh.set(0, &doc, "y", 2);
    mesh.settle();
    assert_eq!(replicated(mesh.hosts[0].told()), [(1, 2)]);
}

#[test]
fn one_who_waits_in_vain_is_told_how_many_have_it() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.isolate(2);
    mesh.set_on(0, &doc, 1, wait(1, 3, Time::from_nanos(5)));
    mesh.settle();
    assert_eq!(replicated(mesh.hosts[0].told()), []);
    assert!(mesh.pass_time());
    assert_eq!(replicated(mesh.hosts[0].told()), [(1, 2)]);
    mesh.link(0, 2);
    mesh.run();
    assert_eq!(replicated(mesh.hosts[0].told()), []);
    assert_eq!(mesh.hosts[2].get(&doc, "x"), Some(1));
}

#[test]
fn a_newcomer_gets_everything_and_who_has_a_part_gets_the_difference() {
    let mut mesh = Mesh::new(3);
    let large = name("large");
    mesh.hosts[0].fill(&large, 2000);
    mesh.drain(0);
    for number in 0..300 {
        mesh.set(0, &name(&format!("doc/{number}")), "x", number);
    }
    let whole = size(&mesh, 0, &large);
    mesh.link(0, 1);
    mesh.run();
    mesh.link(1, 2);
    mesh.run();
    mesh.same_everywhere();
    assert_eq!(mesh.hosts[2].get(&name("doc/299"), "x"), Some(299));
    assert_eq!(mesh.hosts[2].at.replicas().len(), 301);
    // Who has a part of it gets the difference.
    mesh.unlink(1, 2);
    mesh.unlink(0, 1);
    mesh.set(0, &large, "one-more", 1);
    let before = mesh.bytes;
    mesh.link(0, 1);
    mesh.run();
    assert_eq!(mesh.hosts[1].get(&large, "one-more"), Some(1));
    let bytes = mesh.bytes - before;
    assert!(bytes < whole / 3, "{bytes} bytes for one change, the whole has {whole}");
}

#[test]
fn a_damaged_copy_is_replaced_from_another_host() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    let kept = mesh.hosts[1].disk.get_mut(doc.as_str()).expect("it is kept");
    // The first bytes of what automerge saves.
    let body = kept.windows(4).position(|bytes| bytes == [0x85, 0x6f, 0x4a, 0x83]);
    kept[body.expect("it is there") + 1] ^= 1;
    mesh.crash(1);
    mesh.link(0, 1);
    mesh.run();
    let damaged = mesh.hosts[1].at.read(&doc, |_| ());
    assert!(matches!(damaged, Err(ReadError::Damaged(_))), "{damaged:?}");
    mesh.drain(1);
    mesh.run();
    assert_eq!(mesh.hosts[1].get(&doc, "limit"), Some(5));
}

#[test]
fn a_peer_that_sends_rubbish_or_too_much_changes_nothing() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    let (peer, now) = (key(1).host(), mesh.now);
    let whole = mesh.hosts[0].at.replicas().whole(&doc).expect("it is there");
    let content = Content::Whole(b"rubbish".to_vec());
    let bad = Revision { content, heads: vec![Head([1; 32])], ..whole };
    let at = &mut mesh.hosts[0].at;
    let message = Message::Revisions(vec![bad.clone()]);
    assert_eq!(at.heard(peer, message, is_member, now), Ok(()));
    mesh.drain(0);
    let told = mesh.hosts[0].told();
    assert!(matches!(told.last(), Some(Output::Refused { .. })), "{told:?}");
    let at = &mut mesh.hosts[0].at;
    let receipt = Receipt { name: doc.clone(), heads: Vec::new() };
    let base = Base::default();
    let offer = Offer { name: doc.clone(), tenure: None, base, heads: Vec::new() };
    let want = Want { name: doc.clone(), heads: Vec::new(), base };
    for message in [
        Message::Revisions(vec![bad; 257]),
        Message::Offers(vec![offer; 257]),
        Message::Want(vec![want; 257]),
        Message::Have(vec![receipt.clone(); 257]),
    ] {
        let heard = at.heard(peer, message, is_member, now);
        assert_eq!(heard, Err(reconcile::Refused::Malformed));
    }
    // Nor does it matter who says so without a lane.
    let heard = at.heard(key(7).host(), Message::Have(vec![receipt]), is_member, now);
    assert_eq!(heard, Err(reconcile::Refused::OutOfTurn));
    assert!(at.poll().is_none());
    assert_eq!(mesh.hosts[0].get(&doc, "limit"), Some(5));
}

#[test]
fn what_could_not_be_sent_is_found_missing() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.under_way.clear();
    let now = mesh.now;
    mesh.hosts[0].at.compare_later(now);
    assert!(!mesh.hosts[1].has(&doc));
    mesh.run();
    assert_eq!(mesh.hosts[1].get(&doc, "limit"), Some(5));
}

#[test]
fn a_change_of_an_old_history_is_taken_and_told_to_all() {
    let mut mesh = Mesh::new(3);
    mesh.set_changes_max(3);
    mesh.link_all();
    mesh.settle();
    let doc = name("conf/echo");
    mesh.set(0, &doc, "a", 1);
    mesh.settle();
    mesh.isolate(2);
    mesh.set_on(2, &doc, 5, wait(1, 2, LONG));
    (2..6).for_each(|number| mesh.set(0, &doc, "a", number));
    mesh.run();
    mesh.hosts[2].told();
    assert_eq!(mesh.carried, 0);
    mesh.link_all();
    mesh.run();
    mesh.same_everywhere();
    for at in 0..3 {
        assert_eq!(mesh.hosts[at].get(&doc, "a"), Some(5), "host {at}");
        assert_eq!(mesh.hosts[at].get(&doc, "x"), Some(5), "host {at}");
    }
    assert!(mesh.carried > 0);
}

#[test]
fn a_deletion_reaches_who_missed_it_and_is_forgotten_by_all_in_the_end() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "a", 1);
    mesh.settle();
    mesh.isolate(2);
    assert!(mesh.delete(0, &doc));
    mesh.run();
    mesh.isolate(0);
    mesh.link(1, 2);
    mesh.run();
    assert!(!mesh.hosts[2].has(&doc));
    mesh.link_all();
    mesh.run();
    // Each in its own time, without any word between them.
    for at in 0..3 {
        mesh.collect(at, 100);
    }
    mesh.collect(0, 131);
    assert!(mesh.hosts[0].disk.is_empty() && !mesh.hosts[1].disk.is_empty());
    mesh.unlink(0, 1);
    mesh.link(0, 1);
    mesh.run();
    assert!(mesh.hosts[0].disk.is_empty() && mesh.hosts[0].at.replicas().is_empty());
    for at in 1..3 {
        mesh.collect(at, 131);
        assert!(mesh.hosts[at].disk.is_empty());
    }
}

#[test]
fn who_was_away_for_long_brings_nothing_back_unless_all_were() {
    let mut mesh = Mesh::linked(3);
    let (gone, stays) = (name("gone"), name("stays"));
    mesh.set(0, &gone, "a", 1);
    mesh.set(0, &stays, "a", 1);
    mesh.settle();
    mesh.isolate(2);
    mesh.delete(0, &gone);
    mesh.run();
    for (at, day) in [(0, 100), (1, 100), (0, 131), (1, 131)] {
        mesh.collect(at, day);
    }
    mesh.was_away(2);
    mesh.link_all();
    mesh.run();
    mesh.same_everywhere();
    assert!(!mesh.hosts[2].has(&gone) && !mesh.hosts[0].has(&gone));
    assert!(!mesh.hosts[2].disk.contains_key("gone"));
    let dropped = |output: &Output| matches!(output, Output::Dropped { name, .. } if *name == gone);
    assert!(mesh.hosts[2].told().iter().any(dropped));
    assert_eq!(mesh.hosts[2].get(&stays, "a"), Some(1));
    // All were switched off: what they have is what there is.
    (0..3).for_each(|at| mesh.isolate(at));
    (0..3).for_each(|at| mesh.was_away(at));
    mesh.link_all();
    mesh.run();
    mesh.same_everywhere();
    (0..3).for_each(|at| assert_eq!(mesh.hosts[at].get(&stays, "a"), Some(1)));
    assert_eq!(mesh.hosts[0].at.replicas().doubtful().count(), 0);
}

#[test]
fn what_nobody_vouches_for_yet_is_asked_for_again() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.isolate(1);
    mesh.set(0, &doc, "a", 1);
    let whole = mesh.hosts[0].at.replicas().whole(&doc).expect("it is there");
    mesh.link(0, 1);
    mesh.under_way.clear();
    let (peer, now) = (key(0).host(), mesh.now);
    let message = Message::Revisions(vec![whole]);
    assert_eq!(mesh.hosts[1].at.heard(peer, message, |_| false, now), Ok(()));
    mesh.drain(1);
    assert!(!mesh.hosts[1].has(&doc));
    assert!(matches!(mesh.hosts[1].told().last(), Some(Output::Refused { .. })));
    mesh.run();
    assert_eq!(mesh.hosts[1].get(&doc, "a"), Some(1));
}

#[test]
fn a_storm_of_wishes_is_answered_once_and_too_many_heads_not_at_all() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "a", 1);
    mesh.settle();
    let (peer, now) = (key(1).host(), mesh.now);
    let at = &mut mesh.hosts[0].at;
    let storm = Message::Want(vec![Want::whole(doc.clone()); 256]);
    assert_eq!(at.heard(peer, storm, is_member, now), Ok(()));
    let Some(Output::Send { message: Message::Revisions(sent), .. }) = at.poll() else {
        panic!("it is answered")
    };
    assert_eq!((sent.len(), at.poll()), (1, None));
    let (base, heads) = (Base::default(), vec![Head([1; 32]).short(); 65]);
    let (name, tenure) = (doc, None);
    for message in [
        Message::Want(vec![Want { name: name.clone(), heads: heads.clone(), base }]),
        Message::Have(vec![Receipt { name: name.clone(), heads: heads.clone() }]),
        Message::Offers(vec![Offer { name, tenure, base, heads }]),
    ] {
        let heard = at.heard(peer, message, is_member, now);
        assert_eq!(heard, Err(reconcile::Refused::Malformed));
    }
    assert_eq!(at.poll(), None);
}
