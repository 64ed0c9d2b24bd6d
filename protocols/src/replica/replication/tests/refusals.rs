//! What is known of documents that other hosts have and that are not taken.

use super::{super::*, mesh::*};
use crate::{
    limits::{DOCUMENTS_REFUSED_MAX, DOCUMENTS_REFUSED_PER_HOST_MAX},
    replica::{BodyError, Content},
};

impl Mesh {
    /// The documents that a host has refused, with the hosts that they came from.
    fn refused(&mut self, at: usize) -> Vec<(String, usize)> {
        for told in self.hosts[at].told() {
            if let Output::Changed { name, .. } | Output::Refused { name, .. } = told {
                self.hosts[at].at.mind_refused(&name);
            }
        }
        let of = |host: HostId| (0..50).find(|number| key(*number).host() == host).expect("a host");
        let all = self.hosts[at].at.refused();
        all.map(|(name, from, _)| (name.to_string(), of(from))).collect()
    }

    /// A host sends another something, whatever it has itself.
    fn sends(&mut self, from: usize, to: usize, revision: Revision) {
        let (peer, now) = (key(from).host(), self.now);
        let message = Message::Revisions(vec![revision]);
        assert_eq!(self.hosts[to].at.heard(peer, message, is_member, now), Ok(()));
        self.drain(to);
    }

    fn whole(&self, at: usize, doc: &DocName) -> Revision {
        self.hosts[at].at.replicas().whole(doc).expect("it is there")
    }

    /// Hosts one of which is two: both have changed a document, and one of them is linked.
    fn with_a_copy(hosts: usize, doc: &DocName) -> Self {
        let mut mesh = Self::linked(hosts);
        mesh.set(1, doc, "a", 1);
        mesh.settle();
        let disk = mesh.hosts[1].disk.clone();
        mesh.set(1, doc, "a", 2);
        mesh.settle();
        mesh.copy_comes(1, disk);
        mesh.set(1, doc, "a", 3);
        mesh.link_all();
        mesh.run();
        mesh
    }
}

fn spoilt(whole: Revision) -> Revision {
    Revision { content: Content::Whole(b"rubbish".to_vec()), heads: vec![Head([1; 32])], ..whole }
}

#[test]
fn what_a_copy_of_a_host_writes_is_told_of_as_long_as_it_is_refused() {
    let doc = name("conf/echo");
    let mut mesh = Mesh::with_a_copy(3, &doc);
    let of_copy = [("conf/echo".to_owned(), 1)];
    assert_eq!((mesh.refused(0), mesh.refused(2)), (of_copy.to_vec(), of_copy.to_vec()));
    let whys: Vec<_> = mesh.hosts[0].at.refused().map(|(.., why)| why.clone()).collect();
    assert_eq!(whys, [Refused::Body(BodyError::Forked)]);
    // It comes again with the next lane.
    mesh.unlink(0, 1);
    mesh.link(0, 1);
    assert_eq!(mesh.refused(0), []);
    mesh.run();
    assert_eq!(mesh.refused(0), of_copy);
    // Another document of the same host is nothing to it.
    mesh.set(1, &name("conf/other"), "a", 1);
    mesh.run();
    assert_eq!(mesh.refused(0), of_copy);
    // The host is the one again that it was.
    let disk = mesh.hosts[0].disk.clone();
    mesh.copy_comes(1, disk);
    mesh.link_all();
    mesh.run();
    (0..3).for_each(|at| assert_eq!(mesh.refused(at), [], "host {at}"));
    mesh.same_everywhere();
}

#[test]
fn a_document_that_is_deleted_is_not_refused_any_more() {
    let doc = name("conf/echo");
    let mut mesh = Mesh::with_a_copy(2, &doc);
    assert_eq!(mesh.refused(0), [("conf/echo".into(), 1)]);
    assert!(mesh.delete(0, &doc));
    assert_eq!(mesh.refused(0), []);
    mesh.run();
    assert!(!mesh.hosts[1].has(&doc));
    mesh.set(1, &doc, "a", 4);
    mesh.run();
    mesh.same_everywhere();
    assert_eq!((mesh.refused(0), mesh.refused(1)), (vec![], vec![]));
    assert_eq!(mesh.hosts[0].get(&doc, "a"), Some(4));
}

#[test]
fn a_document_counts_as_refused_until_its_host_sends_one_that_is_taken() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    let whole = mesh.whole(0, &doc);
    mesh.sends(1, 0, spoilt(whole.clone()));
    assert_eq!(mesh.refused(0), [("conf/echo".into(), 1)]);
    // What others have says nothing of this one.
    mesh.sends(2, 0, whole.clone());
    assert_eq!(mesh.refused(0), [("conf/echo".into(), 1)]);
    mesh.sends(1, 0, whole.clone());
    assert_eq!(mesh.refused(0), []);
    // Or says that it has the same as this one.
    mesh.sends(1, 0, spoilt(whole));
    let (peer, now) = (key(1).host(), mesh.now);
    for (others, left) in [(1, 1), (reconcile_sum(&mesh), 0)] {
        let state = Message::Digest(Digest::State { of_you: 0, others });
        assert_eq!(mesh.hosts[0].at.heard(peer, state, is_member, now), Ok(()));
        assert_eq!(mesh.refused(0).len(), left);
    }
}

fn reconcile_sum(mesh: &Mesh) -> u64 {
    let state = reconcile::state(mesh.hosts[1].at.replicas(), key(1).host(), key(0).host());
    let Digest::State { others, .. } = state else { panic!("{state:?}") };
    others
}

#[test]
fn what_nobody_vouched_for_is_not_refused_any_more_when_anybody_does() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.isolate(1);
    mesh.set(0, &doc, "a", 1);
    let whole = mesh.whole(0, &doc);
    mesh.link(1, 2);
    let (peer, now) = (key(2).host(), mesh.now);
    let message = Message::Revisions(vec![whole.clone()]);
    assert_eq!(mesh.hosts[1].at.heard(peer, message, |_| false, now), Ok(()));
    assert_eq!(mesh.refused(1), [("conf/echo".into(), 2)]);
    mesh.link(0, 1);
    mesh.sends(0, 1, whole);
    assert_eq!(mesh.refused(1), []);
}

#[test]
fn only_so_many_refused_documents_of_a_host_are_remembered() {
    let mut mesh = Mesh::linked(3);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    mesh.settle();
    let whole = mesh.whole(0, &doc);
    let bad = |text: String| Revision { name: name(&text), ..spoilt(whole.clone()) };
    for number in 0..=DOCUMENTS_REFUSED_PER_HOST_MAX {
        mesh.sends(1, 0, bad(format!("doc/{number}")));
    }
    assert_eq!(mesh.refused(0).len(), DOCUMENTS_REFUSED_PER_HOST_MAX);
    // One host leaves the others their places.
    mesh.sends(2, 0, bad("doc/1".into()));
    assert!(mesh.refused(0).contains(&("doc/1".into(), 2)));
    // What does not count any more has none.
    mesh.set(0, &name("doc/1"), "a", 1);
    assert!(mesh.delete(0, &name("doc/1")));
    assert_eq!(mesh.refused(0).len(), DOCUMENTS_REFUSED_PER_HOST_MAX - 1);
    mesh.sends(1, 0, bad("doc/last".into()));
    assert!(mesh.refused(0).contains(&("doc/last".into(), 1)));
    let gone = key(1).host();
    mesh.hosts[0].at.keep_refused_of(|host| host != gone);
    assert_eq!(mesh.refused(0), []);
}

#[test]
fn only_so_many_refused_documents_of_all_hosts_are_remembered() {
    let mut mesh = Mesh::linked(2);
    let doc = name("conf/echo");
    mesh.set(0, &doc, "limit", 5);
    let base = mesh.whole(0, &doc).base;
    let mut refuse = |number: usize, why: Refused| {
        let host = key(number / DOCUMENTS_REFUSED_PER_HOST_MAX).host();
        let at = &mut mesh.hosts[0].at;
        let refusal = Refusal { base, heads: Vec::new(), why, own: None };
        at.refusals.refused(name(&format!("doc/{number}")), host, refusal);
        at.refused().map(|(name, _, why)| (name.to_string(), why.clone())).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for number in 0..=DOCUMENTS_REFUSED_MAX {
        all = refuse(number, Refused::Heads);
    }
    assert_eq!(all.len(), DOCUMENTS_REFUSED_MAX);
    assert!(!all.contains(&(format!("doc/{DOCUMENTS_REFUSED_MAX}"), Refused::Heads)));
    // What has a place is told of with its last reason.
    let all = refuse(0, Refused::Full);
    assert_eq!(all.len(), DOCUMENTS_REFUSED_MAX);
    assert!(all.contains(&("doc/0".into(), Refused::Full)));
}
