use std::collections::VecDeque;

use super::{super::*, mesh::*};
use crate::{
    ident::{Incarnation, Signed},
    limits::{
        DOCUMENT_UNVOUCHED_TRIES_MAX, DOCUMENTS_STATE_EVERY, DOCUMENTS_UNVOUCHED_MAX,
        DOCUMENTS_WANTED_BYTES_MAX,
    },
    reconcile,
    replica::{Author, Content, Obituary, ReadError, Right},
    time::WallTime,
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
fn only_who_has_it_durably_is_counted() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.hosts.iter_mut().for_each(|host| host.quick = false);
    mesh.set_on(0, &doc, 1, wait(1, 1, LONG));
    mesh.set_on(0, &doc, 2, wait(2, 1, LONG));
    let earlier = mesh.hosts[0].at.replicas().heads(&doc)[0].short();
    // Both in one batch.
    for ticket in [3, 4] {
        let value = i64::try_from(ticket).expect("small");
        let written = mesh.hosts[0].try_set(&doc, "x", value, Some(wait(ticket, 2, LONG)));
        written.expect("it may");
    }
    mesh.drain(0);
    mesh.hosts[0].change_nothing(&doc, wait(5, 1, LONG));
    mesh.drain(0);
    assert_eq!(replicated(mesh.hosts[0].told()), []);
    for done in [vec![(1, 1)], vec![(2, 1)], vec![(5, 1)]] {
        assert!(mesh.store(0));
        assert_eq!(replicated(mesh.hosts[0].told()), done, "batch after batch");
    }
    while mesh.deliver(0, 1) || mesh.deliver(1, 0) {}
    assert_eq!(replicated(mesh.hosts[0].told()), [], "it is on no other disk");
    let (peer, now) = (key(1).host(), mesh.now);
    for heads in [vec![], vec![Head([1; 32]).short()], vec![earlier]] {
        let have = Message::Have(vec![Receipt { name: doc.clone(), heads }]);
        assert_eq!(mesh.hosts[0].at.heard(peer, have, is_member, now), Ok(()));
        mesh.drain(0);
        assert_eq!(replicated(mesh.hosts[0].told()), [], "it has something else");
    }
    mesh.settle();
    assert_eq!(replicated(mesh.hosts[0].told()), [(3, 2), (4, 2)]);
}

#[test]
fn a_change_goes_on_to_those_without_a_lane_to_its_writer() {
    let mut mesh = Mesh::new(3);
    mesh.link(0, 1);
    mesh.link(1, 2);
    mesh.settle();
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.run();
    assert!(mesh.hosts[2].has(&doc));
    mesh.set(0, &doc, "limit", 6);
    mesh.run();
    assert_eq!(mesh.hosts[2].get(&doc, "limit"), Some(6));
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

/// A copy is damaged on the disk of a host, which begins anew.
fn damage(mesh: &mut Mesh, at: usize, doc: &DocName) {
    let kept = mesh.hosts[at].disk.get_mut(doc.as_str()).expect("it is kept");
    // The first bytes of what automerge saves.
    let body = kept.windows(4).position(|bytes| bytes == [0x85, 0x6f, 0x4a, 0x83]);
    kept[body.expect("it is there") + 1] ^= 1;
    mesh.crash(at);
}

#[test]
fn a_damaged_copy_is_replaced_from_another_host() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    damage(&mut mesh, 1, &doc);
    mesh.link(0, 1);
    mesh.run();
    let damaged = mesh.hosts[1].at.read(&doc, |_| ());
    assert!(matches!(damaged, Err(ReadError::Damaged(_))), "{damaged:?}");
    mesh.drain(1);
    mesh.run();
    assert_eq!(mesh.hosts[1].get(&doc, "limit"), Some(5));
}

#[test]
fn a_damaged_copy_of_what_was_deleted_meanwhile_is_deleted() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    damage(&mut mesh, 1, &doc);
    let damaged = mesh.hosts[1].at.read(&doc, |_| ());
    assert!(matches!(damaged, Err(ReadError::Damaged(_))), "{damaged:?}");
    mesh.delete(0, &doc);
    mesh.link(0, 1);
    mesh.run();
    assert_eq!(mesh.hosts[1].at.read(&doc, |_| ()), Err(ReadError::Unknown));
    assert_eq!(mesh.hosts[1].at.replicas().damaged().count(), 0);
}

#[test]
fn who_changes_what_is_deleted_is_told_so_at_once() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    mesh.delete(0, &doc);
    mesh.under_way.clear();
    mesh.set(1, &doc, "limit", 6);
    mesh.settle();
    assert!(!mesh.hosts[1].has(&doc) && !mesh.hosts[0].has(&doc));
}

#[test]
fn what_is_made_anew_as_its_deletion_is_forgotten_is_kept() {
    let mut mesh = Mesh::new(1);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.delete(0, &doc);
    mesh.collect(0, 100);
    let forgotten = WallTime::from_millis(131 * 24 * 3_600_000);
    mesh.hosts[0].at.collect(forgotten);
    assert_eq!(mesh.hosts[0].at.replicas().base(&doc), None);
    mesh.set(0, &doc, "limit", 6);
    assert!(mesh.hosts[0].disk.contains_key(doc.as_str()));
    mesh.crash(0);
    assert_eq!(mesh.hosts[0].get(&doc, "limit"), Some(6));
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
fn a_wish_for_more_than_goes_into_one_answer_is_answered_in_part() {
    let mut mesh = Mesh::linked(2);
    mesh.under_way.clear();
    let docs: Vec<DocName> = (0..30).map(|number| name(&format!("doc/{number}"))).collect();
    docs.iter().for_each(|doc| mesh.hosts[0].set_text(doc, "x", &"x".repeat(350_000)));
    mesh.drain(0);
    let (peer, now) = (key(1).host(), mesh.now);
    let at = &mut mesh.hosts[0].at;
    assert_eq!(at.next_deadline(), None);
    let wanted = docs.iter().cloned().map(Want::whole).collect();
    assert_eq!(at.heard(peer, Message::Want(wanted), is_member, now), Ok(()));
    let mut sent = 0;
    while let Some(output) = at.poll() {
        let Output::Send { message: Message::Revisions(part), .. } = output else { continue };
        sent += part.len();
    }
    assert_eq!(sent, DOCUMENTS_WANTED_BYTES_MAX / 350_000 + 1);
    assert_eq!(at.next_deadline(), Some(now + DOCUMENTS_STATE_EVERY), "the rest is found missing");
}

#[test]
fn of_what_nobody_ever_vouches_for_only_so_much_is_asked_and_so_often() {
    let mut mesh = Mesh::linked(2);
    let (peer, now) = (key(0).host(), mesh.now);
    let doc = |number: usize| name(&format!("doc/{number}"));
    let made = 0..DOCUMENTS_UNVOUCHED_MAX + 1;
    mesh.isolate(0);
    made.clone().for_each(|number| mesh.set(0, &doc(number), "a", 1));
    let at = mesh.hosts[0].at.replicas();
    let whole: Vec<_> = made.map(|number| at.whole(&doc(number)).expect("it is there")).collect();
    mesh.link(0, 1);
    mesh.under_way.clear();
    let (mut asked, most) = (0, DOCUMENTS_UNVOUCHED_MAX * DOCUMENT_UNVOUCHED_TRIES_MAX);
    for revision in whole {
        let message = Message::Revisions(vec![revision]);
        assert_eq!(mesh.hosts[1].at.heard(peer, message, |_| false, now), Ok(()));
    }
    while mesh.hosts[1].at.poll().is_some() {}
    while let Some(due) = mesh.hosts[1].at.next_deadline() {
        mesh.hosts[1].at.due(due);
        while let Some(output) = mesh.hosts[1].at.poll() {
            if let Output::Send { message: Message::Want(wanted), .. } = output {
                asked += wanted.len();
                assert!(asked <= most, "it asks without end");
            }
        }
    }
    assert_eq!(asked, most);
}

#[test]
fn an_heir_whose_witnesses_are_not_known_yet_is_asked_again() {
    let mut mesh = Mesh::linked(3);
    let doc = mesh.born(0, 7);
    mesh.run();
    mesh.isolate(2);
    let title = mesh.hosts[2].at.replicas().whole(&doc).and_then(|whole| whole.title);
    let title = title.expect("it has one");
    let owner = title.unchecked().expect("it is good");
    let obituary = Obituary { host: key(0).host(), incarnation: Incarnation(1) };
    let witnesses = vec![Signed::new(&key(2), MESH, &obituary)];
    let right = Right::Inheritance { before: owner.tenures[0], witnesses };
    let title = title.taken_up(&owner, &key(2), MESH, right, is_member).expect("it is good");
    let heir = key(2);
    let author = Author { actor: [77; 16], wall: WallTime::from_millis(7), message: String::new() };
    let pen = Pen { key: &heir, author };
    let _ = mesh.hosts[2].at.entitle(&title, is_member, &pen).expect("it is good");
    mesh.drain(2);
    let whole = mesh.hosts[2].at.replicas().whole(&doc).expect("it is there");
    mesh.isolate(1);
    mesh.link(1, 2);
    mesh.under_way.clear();
    let (now, message) = (mesh.now, Message::Revisions(vec![whole]));
    let not_yet = |of| is_member(of) && of != heir.host();
    assert_eq!(mesh.hosts[1].at.heard(heir.host(), message, not_yet, now), Ok(()));
    mesh.drain(1);
    let instance = |mesh: &Mesh| mesh.hosts[1].at.replicas().owner(&doc).map(|it| it.instance);
    assert_eq!(instance(&mesh), Some(0));
    mesh.run();
    assert_eq!(instance(&mesh), Some(1));
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
