//! What an application begins with.

use starling_protocols::{
    entropy::Entropy,
    limits::{INITIAL_DOCUMENTS_ALONE, INITIAL_DOCUMENTS_SETTLE, TOMBSTONE_KEPT},
};

use super::*;

const BEGUN: &str = "begun by the application";

fn application() -> Kinds {
    let config = ClerkConfig { greeting: "Welcome".into(), limit: 7 };
    with_clerks().document(CONF, &config).document("sales", &Sales { sold: 40 })
}

fn said(limit: u32) -> Result<String, DocumentError> {
    let fields = format!(r#"{{"greeting":"Welcome","limit":{limit}}}"#);
    Ok(format!(r#"{{"fields":{fields},"type":"clerk/config","version":1}}"#))
}

fn conflicting(mesh: &mut Mesh, host: usize, doc: &str) -> usize {
    let now = mesh.now();
    let found = mesh.engines[host].read_document(&name(doc), now, crate::documents::conflicts);
    found.expect("it is there").expect("it is read").places.len()
}

#[test]
fn a_host_that_is_alone_begins_at_once_and_once_only() {
    let mut mesh = mesh_of(vec![application()]);
    mesh.settle();
    assert_eq!(mesh.doc(0, &name(CONF)), said(7));
    let clerk = mesh.settle_in(0, "clerk", "ada");
    assert_eq!(mesh.sitter_log(clerk), ["started", "Welcome 7"]);
    let begun =
        mesh.events.iter().filter(|(_, event)| matches!(event, Event::DocumentBegun { .. }));
    assert_eq!(begun.count(), 2);
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 9.into()), Ok(()));
    mesh.kill(0, 2);
    assert_eq!(mesh.doc(0, &name(CONF)), said(9), "what people have made of it stays");
    assert_eq!(changes(&mut mesh, 0, CONF), ["by hand", BEGUN]);
    // Nor does another beginning change it.
    let other = ClerkConfig { greeting: "Hi".into(), limit: 1 };
    mesh.kinds.insert(0, with_clerks().document(CONF, &other));
    mesh.kill(0, 3);
    assert_eq!(mesh.doc(0, &name(CONF)), said(9));
}

#[test]
fn hosts_that_begin_apart_make_the_same() {
    let mut mesh = mesh_of(vec![application(), application(), application()]).joined();
    for host in 0..3 {
        mesh.cut(host, (host + 1) % 3);
    }
    for host in 0..3 {
        assert_eq!(mesh.doc(host, &name(CONF)), Err(DocumentError::Unknown), "it waits");
    }
    mesh.advance(INITIAL_DOCUMENTS_ALONE);
    let heads: Vec<_> = (0..3).map(|host| mesh.engines[host].document_heads(CONF)).collect();
    assert_eq!(heads[0].len(), 1);
    assert!(heads.iter().all(|other| *other == heads[0]), "{heads:?}");
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 9.into()), Ok(()));
    for host in 0..3 {
        mesh.connect(host, (host + 1) % 3);
    }
    mesh.settle();
    mesh.advance(Duration::from_secs(10));
    for host in 0..3 {
        assert_eq!(mesh.doc(host, &name(CONF)), said(9), "host {host}");
        assert_eq!(changes(&mut mesh, host, CONF), ["by hand", BEGUN]);
        assert_eq!(conflicting(&mut mesh, host, CONF), 0);
    }
}

#[test]
fn hosts_that_begin_apart_with_something_else_have_both() {
    let other = ClerkConfig { greeting: "Hi".into(), limit: 1 };
    let other = with_clerks().document(CONF, &other);
    let mut mesh = mesh_of(vec![application(), other]).joined();
    mesh.cut(0, 1);
    mesh.advance(INITIAL_DOCUMENTS_ALONE);
    assert_ne!(mesh.engines[0].document_heads(CONF), mesh.engines[1].document_heads(CONF));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(10));
    let heads = mesh.engines[0].document_heads(CONF);
    assert_eq!(heads.len(), 2);
    for host in 0..2 {
        assert_eq!(mesh.engines[host].document_heads(CONF), heads, "host {host}");
        assert_ne!(conflicting(&mut mesh, host, CONF), 0, "host {host}");
    }
}

#[test]
fn who_meets_others_asks_before_it_begins() {
    let mut mesh = mesh_of(vec![with_clerks(), application()]).joined();
    assert_eq!(mesh.doc(1, &name(CONF)), Err(DocumentError::Unknown));
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 5.into()), Ok(()));
    mesh.advance(INITIAL_DOCUMENTS_SETTLE);
    assert_eq!(changes(&mut mesh, 1, CONF), ["by hand"]);
    assert_eq!(changes(&mut mesh, 1, "sales"), [BEGUN]);
    let said = r#"{"fields":{"sold":40},"type":"clerk/sales","version":1}"#;
    assert_eq!(mesh.doc(0, &name("sales")), Ok(said.into()));
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let mut mesh = mesh_of(vec![application(), application()]).joined();
    mesh.advance(INITIAL_DOCUMENTS_SETTLE);
    delete(&mut mesh, 1, CONF);
    mesh.kill(0, 2);
    mesh.advance(INITIAL_DOCUMENTS_ALONE);
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &name(CONF)), Err(DocumentError::Unknown), "host {host}");
    }
    // Not even by one that has lost all it had, and begins apart.
    for life in 3..5 {
        mesh.shelves[0] = Some(Shelf::default());
        mesh.kill_alone(0, life);
        mesh.advance(INITIAL_DOCUMENTS_ALONE);
        assert_eq!(mesh.doc(0, &name(CONF)), said(7));
        mesh.connect(0, 1);
        mesh.settle();
        mesh.advance(Duration::from_secs(10));
        for host in 0..2 {
            assert_eq!(mesh.doc(host, &name(CONF)), Err(DocumentError::Unknown), "host {host}");
        }
        // Deletions that an application would undo are not forgotten.
        for engine in &mut mesh.engines {
            let documents = engine.documents.as_mut().expect("it keeps documents");
            for wall in [WALL + TOMBSTONE_KEPT * 3, WALL + TOMBSTONE_KEPT * 5] {
                documents.at.collect(wall);
            }
            assert!(documents.at.replicas().base(&name(CONF)).is_some_and(|base| base.gone));
        }
    }
}

/// Any schedule of partitions, restarts and changes ends with one document.
#[test]
fn whatever_happens_there_is_one_beginning() {
    for seed in 0..40u8 {
        let mut entropy = Entropy::from_seed([seed; 32]);
        let mut mesh = mesh_of(vec![application(), application(), application()]).joined();
        let mut lives = [1; 3];
        for _ in 0..25 {
            let host = usize::try_from(entropy.below(3)).expect("small");
            let other = (host + 1) % 3;
            match entropy.below(6) {
                0 => mesh.cut(host, other),
                1 => mesh.connect(host, other),
                2 => {
                    lives[host] += 1;
                    mesh.kill_alone(host, lives[host]);
                }
                3 if mesh.doc(host, &name(CONF)).is_ok() => {
                    let limit = entropy.below(90).into();
                    assert_eq!(write(&mut mesh, host, CONF, "fields.limit", limit), Ok(()));
                }
                _ => mesh.advance(Duration::from_secs(entropy.below(40))),
            }
            mesh.settle();
        }
        for host in 0..3 {
            mesh.cut(host, (host + 1) % 3);
        }
        for host in 0..3 {
            mesh.connect(host, (host + 1) % 3);
        }
        mesh.settle();
        mesh.advance(INITIAL_DOCUMENTS_ALONE + Duration::from_secs(30));
        let heads = mesh.engines[0].document_heads(CONF);
        for host in 0..3 {
            assert_eq!(mesh.engines[host].document_heads(CONF), heads, "seed {seed}");
            let begun = changes(&mut mesh, host, CONF);
            let begun = begun.iter().filter(|message| *message == BEGUN).count();
            assert_eq!(begun, 1, "seed {seed}, host {host}");
            assert_eq!(conflicting(&mut mesh, host, "sales"), 0, "seed {seed}");
        }
    }
}
