//! Hosts that refuse what one says whose data was copied.

use starling_protocols::replica::{BodyError, Refused, TitleError};

use super::*;
use crate::engine::Remedy;

impl Mesh {
    /// Instead of a host comes its copy, which has these documents and was begun in the same moment;
    /// the others have been without it for a while.
    fn copy_comes(&mut self, host: usize, kept: BTreeMap<String, Vec<u8>>) {
        self.cut_all(host);
        self.advance(Duration::from_secs(70));
        self.shelves[host].as_mut().expect("a shelf").kept = kept;
        self.engines[host] = self.engine(host, 1);
        self.settle();
    }

    fn cut_all(&mut self, host: usize) {
        let others = (0..self.engines.len()).filter(|other| *other != host);
        others.for_each(|other| self.cut(host, other));
    }

    fn link_all(&mut self, host: usize) {
        let others = (0..self.engines.len()).filter(|other| *other != host);
        others.for_each(|other| self.connect(host, other));
        self.settle();
        self.advance(Duration::from_secs(10));
    }

    fn kept(&self, host: usize) -> BTreeMap<String, Vec<u8>> {
        self.shelves[host].as_ref().expect("a shelf").kept.clone()
    }

    fn refused(&self, host: usize) -> Vec<(String, HostId)> {
        let all = self.engines[host].documents_refused();
        all.map(|(name, from, _)| (name.to_string(), from)).collect()
    }

    /// A copy of the second host goes on from what that had before, and both write.
    fn copy_is_refused(&mut self, doc: &DocName) {
        let _ = self.set_on(1, doc, "a", 1, 1);
        let kept = self.kept(1);
        let _ = self.set_on(1, doc, "a", 2, 1);
        self.copy_comes(1, kept);
        let _ = self.set_on(1, doc, "a", 3, 1);
        self.link_all(1);
    }
}

#[test]
fn what_a_copy_says_is_known_to_be_refused_until_the_document_is_deleted() {
    let mut mesh = Mesh::with_documents(3);
    let (doc, copied) = (name("conf"), mesh.host(1));
    mesh.copy_is_refused(&doc);
    for host in [0, 2] {
        assert_eq!(mesh.refused(host), [("conf".to_owned(), copied)], "host {host}");
        assert_eq!(mesh.doc(host, &doc), Ok(r#"{"a":2}"#.into()), "host {host}");
    }
    assert_eq!(mesh.refused(1).len(), 2);
    assert_eq!(mesh.doc(1, &doc), Ok(r#"{"a":3}"#.into()));
    // What they are told to do.
    let now = mesh.now();
    assert_eq!(mesh.engines[0].delete_document(&doc, now), Ok(true));
    mesh.settle();
    mesh.advance(Duration::from_secs(10));
    let _ = mesh.set_on(0, &doc, "a", 4, 1);
    mesh.advance(Duration::from_secs(10));
    for host in 0..3 {
        assert_eq!(mesh.refused(host), [], "host {host}");
        assert_eq!(mesh.doc(host, &doc), Ok(r#"{"a":4}"#.into()), "host {host}");
    }
}

#[test]
fn what_was_refused_of_a_host_that_leaves_is_forgotten() {
    let mut mesh = Mesh::with_documents(3);
    let doc = name("conf");
    mesh.copy_is_refused(&doc);
    // One that is out of reach may be back, and has something else than the others.
    mesh.cut(0, 1);
    mesh.settle();
    assert_eq!((mesh.refused(0).len(), mesh.refused(2).len()), (1, 1));
    let now = mesh.now();
    mesh.engines[1].leave(now);
    mesh.settle();
    assert_eq!(mesh.refused(2).len(), 1, "it is there until its lane is gone");
    mesh.cut(1, 2);
    mesh.settle();
    assert_eq!((mesh.refused(0), mesh.refused(2)), (vec![], vec![]));
}

#[test]
fn what_was_refused_of_a_host_that_is_forgotten_is_forgotten() {
    let records = |engine: &mut Engine| engine.learn(&[]);
    let lane = |engine: &mut Engine| {
        let peer = engine.peers.find(key(2).host()).expect("a peer");
        engine.compare_rosters(peer);
    };
    for looks in [records as fn(&mut Engine), lane] {
        let mut mesh = Mesh::with_documents(3);
        mesh.copy_is_refused(&name("conf"));
        mesh.cut(0, 1);
        mesh.settle();
        assert_eq!(mesh.refused(0).len(), 1);
        // Its certificate expired long ago.
        let now = mesh.now();
        let late = Now { wall: now.wall + Duration::from_secs(3 * 365 * 86_400), ..now };
        mesh.engines[0].handle(Input::Tick, late);
        assert_eq!(mesh.refused(0).len(), 1);
        looks(&mut mesh.engines[0]);
        assert_eq!(mesh.refused(0), []);
    }
}

#[test]
fn an_agent_whose_descriptor_is_refused_is_taken_up_elsewhere() {
    let mut mesh = Mesh::with_documents(3);
    let old = mesh.settle_in(1, "sitter", "ada");
    mesh.describe_as(old, r#"{"room":"attic"}"#);
    let kept = mesh.kept(1);
    mesh.describe_as(old, r#"{"room":"garden"}"#);
    mesh.copy_comes(1, kept);
    mesh.describe_as(old, r#"{"room":"cellar"}"#);
    mesh.link_all(1);
    let doc = DocName::of_agent(old.agent);
    assert_eq!(mesh.refused(0), [(doc.to_string(), old.host)]);
    assert_eq!(mesh.fields(0, old), r#"{"room":"garden"}"#);
    let to = Address { host: mesh.host(0), agent: AgentId::HOST };
    let body = format!(r#"{{"agent":"{}","its_host_is_gone":true}}"#, old.agent);
    let ticket = mesh.ask(0, to, "host/take-up", &body);
    mesh.advance(Duration::from_secs(10));
    assert!(mesh.answers[&ticket].is_ok(), "{:?}", mesh.answers[&ticket]);
    assert!(mesh.engines[1].agents.find(old.agent).is_none());
    assert_eq!(mesh.counted(1, Counter::AgentsDisplaced), 1);
    for host in 0..3 {
        assert_eq!(mesh.refused(host), [], "host {host}");
        assert_eq!(mesh.fields(host, old), r#"{"room":"garden"}"#, "host {host}");
    }
}

#[test]
fn what_passes_by_itself_is_known_from_what_somebody_has_to_mend() {
    let kinds = [
        (Refused::Full, Remedy::Room),
        (Refused::Heads, Remedy::Choice),
        (Refused::TooManyHeads(65), Remedy::Choice),
        (Refused::Body(BodyError::Forked), Remedy::Choice),
        (Refused::Untitled, Remedy::Update),
        (Refused::Base, Remedy::Update),
        (Refused::Title(TitleError::NotGiven(1)), Remedy::Update),
        (Refused::Title(TitleError::NotDead(1)), Remedy::Patience),
        (Refused::Unvouched, Remedy::Patience),
    ];
    kinds.iter().for_each(|(why, remedy)| assert_eq!(Remedy::of(why), *remedy, "{why}"));
    assert!(kinds.iter().is_sorted_by_key(|(_, remedy)| *remedy), "the most pressing first");
}
