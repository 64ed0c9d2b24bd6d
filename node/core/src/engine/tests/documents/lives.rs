//! What becomes of descriptors and documents from one life of a host to the next, and as time goes
//! by.

use starling_protocols::limits::{
    DESCRIBED_AFTER, DESCRIBED_PAUSE, DOCUMENT_WATCHES_PER_AGENT_MAX, DOCUMENTS_SCANNED_MAX,
    TOMBSTONE_KEPT,
};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Mesh {
    fn lives(&self, host: usize, agent: Address) -> bool {
        self.engines[host].agents.find(agent.agent).is_some()
    }
}

#[test]
fn an_agent_that_could_not_be_brought_back_keeps_its_descriptor_for_a_program_that_can() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada");
    mesh.describe_as(agent, r#"{"room":"attic"}"#);
    let mut kinds = kinds();
    kinds.all.retain(|name, _| *name != "sitter");
    mesh.kinds.insert(0, kinds);
    mesh.kill(0, 2);
    mesh.advance(Duration::from_secs(60));
    assert!(!mesh.lives(0, agent));
    for host in 0..2 {
        assert_eq!(mesh.fields(host, agent), r#"{"room":"attic"}"#, "host {host}");
    }
    mesh.kinds.remove(&0);
    mesh.kill(0, 3);
    assert!(mesh.lives(0, agent));
    mesh.describe_as(agent, r#"{"room":"garden"}"#);
    assert_eq!(mesh.fields(1, agent), r#"{"room":"garden"}"#);
}

#[test]
fn an_agent_whose_end_was_not_written_down_is_described_no_more() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada");
    // Its journal says that it has ended; its descriptor does not.
    mesh.shelves[0].as_mut().expect("a shelf").stalled = true;
    mesh.send_away(agent);
    mesh.kill_alone(0, 2);
    assert!(!mesh.lives(0, agent));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(5));
    let doc = DocName::of_agent(agent.agent);
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &doc), Err(DocumentError::Unknown), "host {host}");
    }
}

#[test]
fn an_agent_that_lives_is_right_against_what_its_host_said_in_a_life_that_was_lost() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada");
    mesh.describe_as(agent, r#"{"room":"attic"}"#);
    let doc = DocName::of_agent(agent.agent);
    let before = mesh.doc(0, &doc);
    // Others have heard that it had ended, of which the host itself knows nothing after a crash.
    let kept = mesh.engines[0].replicas().and_then(|all| all.kept(&doc)).expect("it is there");
    let mut lost = Replicas::new(mesh.mesh_id());
    let _ = lost.restore(&kept).expect("it is a revision");
    let own = key(0);
    let author = Author { actor: [77; 16], wall: WALL, message: String::new() };
    assert_eq!(lost.delete(&doc, &Pen { key: &own, author }), Ok(true));
    let deletion = lost.whole(&doc).expect("it is there");
    let bytes = Parcel::encode(&Message::Revisions(vec![deletion]));
    let peer = mesh.host(1);
    mesh.engines[0].documents_heard(peer, &bytes);
    mesh.tick(0);
    mesh.advance(Duration::from_secs(5));
    assert!(mesh.lives(0, agent));
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &doc), before, "host {host}");
    }
}

#[test]
fn what_is_deleted_is_forgotten_after_thirty_days_and_not_before() {
    let mut mesh = Mesh::with_documents(1);
    let doc = name("conf/echo");
    mesh.set_on(0, &doc, "limit", 5, 1);
    let now = mesh.now();
    assert_eq!(mesh.engines[0].delete_document(&doc, now), Ok(true));
    mesh.settle();
    let known =
        |mesh: &Mesh| mesh.shelves[0].as_ref().expect("a shelf").kept.contains_key("conf/echo");
    mesh.advance(Duration::from_secs(3600));
    mesh.tick(0);
    mesh.advance(TOMBSTONE_KEPT - DAY);
    mesh.tick(0);
    assert!(known(&mesh));
    mesh.advance(DAY);
    mesh.tick(0);
    assert!(!known(&mesh));
    assert!(mesh.engines[0].replicas().is_some_and(|all| all.base(&doc).is_none()));
}

#[test]
fn what_was_written_by_a_host_that_is_no_member_any_more_is_vouched_for_here() {
    let mut mesh = Mesh::with_documents(2);
    let doc = name("conf/echo");
    mesh.set_on(1, &doc, "limit", 5, 2);
    mesh.cut(0, 1);
    let signer = |mesh: &Mesh| {
        let whole = mesh.engines[0].replicas().and_then(|all| all.whole(&doc));
        whole.expect("it is there").stamps[0].signer()
    };
    mesh.tick(0);
    assert_eq!(signer(&mesh), mesh.host(1));
    // Its certificate is of no more use.
    mesh.advance(DAY * 400);
    mesh.tick(0);
    assert_eq!(signer(&mesh), mesh.host(0));
}

#[test]
fn who_was_away_for_half_as_long_as_deletions_are_remembered_doubts_what_it_has() {
    for (away, doubtful) in [(TOMBSTONE_KEPT / 2 - DAY, 0), (TOMBSTONE_KEPT / 2 + DAY, 1)] {
        let mut mesh = Mesh::with_documents(2);
        mesh.set_on(0, &name("conf/echo"), "limit", 5, 2);
        mesh.kill_alone(1, 2);
        // Its next life begins so much later.
        mesh.now = mesh.now + away;
        mesh.engines[1] = mesh.engine(1, 3);
        let found = mesh.engines[1].replicas().map(|all| all.doubtful().count());
        assert_eq!(found, Some(doubtful), "{away:?}");
    }
}

#[test]
fn at_most_so_many_agents_are_looked_at_in_a_second() {
    let mut mesh = Mesh::with_documents(1);
    let inns = (0..150).map(|_| mesh.inn(0, 2)).collect::<Vec<_>>();
    let told = |mesh: &mut Mesh| {
        let shown = |inn: &&Address| {
            let doc = DocName::of_agent(inn.agent);
            let now = mesh.now();
            let value = mesh.engines[0].read_document(&doc, now, to_json);
            value.expect("it is there").expect("it can be shown").get("resources").is_some()
        };
        inns.iter().filter(shown).count()
    };
    mesh.advance(DESCRIBED_AFTER + DESCRIBED_PAUSE * 50);
    let some = told(&mut mesh);
    assert!((1..=51).contains(&some), "{some}");
    mesh.advance(DESCRIBED_PAUSE * 200);
    assert_eq!(told(&mut mesh), 150);
}

#[test]
fn an_agent_watches_only_so_many_beginnings_of_names() {
    let mut mesh = Mesh::with_documents(1);
    let watcher = mesh.settle_in(0, "sitter", "bob");
    for number in 0..=DOCUMENT_WATCHES_PER_AGENT_MAX {
        mesh.make(watcher, "sitter/look", &format!("\"conf/{number}\""));
    }
    let log = mesh.sitter_log(watcher);
    let good = log.iter().filter(|line| *line == "Ok(Ok(()))").count();
    assert_eq!(good, DOCUMENT_WATCHES_PER_AGENT_MAX);
    let why = "an agent watches at most 64 prefixes";
    assert!(log.last().is_some_and(|line| line.contains(why)), "{log:?}");
}

#[test]
fn a_page_may_be_empty_and_not_the_last() {
    let mut mesh = Mesh::with_documents(1);
    for number in 0..=DOCUMENTS_SCANNED_MAX {
        let _ = mesh.set_on(0, &name(&format!("doc/{number:04}")), "limit", 5, 1);
    }
    let fields = vec![("limit".to_owned(), "6".to_owned())];
    let mut find = FindDocuments { fields, limit: 1, ..FindDocuments::default() };
    let now = mesh.now();
    let page = mesh.engines[0].find_documents(&find, now).expect("it is well formed");
    let next = Some(format!("doc/{:04}", DOCUMENTS_SCANNED_MAX - 1));
    assert_eq!((page.items.len(), &page.next), (0, &next));
    find.after = page.next;
    let page = mesh.engines[0].find_documents(&find, now);
    assert_eq!(page, Ok(DocumentPage::default()));
}
