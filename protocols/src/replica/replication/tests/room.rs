//! What several parts of a mesh have made of a document that has no room for all of it.

use super::{super::*, mesh::*};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_OWN_PERCENT};

/// As much as one host may write.
const ROOM: usize = DOCUMENT_BYTES_MAX * DOCUMENT_OWN_PERCENT / 100 - 3000;

/// Three hosts that do not hear of each other, each of which has written as much as it may.
fn apart(doc: &DocName) -> Mesh {
    let mut mesh = Mesh::linked(3);
    (0..3).for_each(|at| mesh.isolate(at));
    for at in 0..3 {
        mesh.set_text(at, doc, &format!("of-{at}"), &"x".repeat(ROOM));
    }
    mesh
}

fn refused(mesh: &mut Mesh) -> usize {
    let told: Vec<Output> = mesh.hosts.iter_mut().flat_map(Host::told).collect();
    told.iter().filter(|output| matches!(output, Output::Refused { .. })).count()
}

fn says(mesh: &mut Mesh, doc: &DocName, sizes: [usize; 3]) {
    mesh.same_everywhere();
    for host in &mut mesh.hosts {
        let said = [0, 1, 2].map(|of| host.text(doc, &format!("of-{of}")).map(|text| text.len()));
        assert_eq!(said, sizes.map(Some));
        assert_eq!(host.at.refused().count(), 0);
    }
}

#[test]
fn what_is_too_large_together_becomes_one_wherever_it_is_made_smaller() {
    let doc = name("conf/echo");
    for smaller in [0, 2] {
        let mut mesh = apart(&doc);
        mesh.link_all();
        mesh.run();
        assert!(refused(&mut mesh) > 0);
        // It is not sent again with whatever else is changed.
        let before = mesh.bytes;
        mesh.unlink(0, 1);
        mesh.set(0, &name("conf/other"), "a", 1);
        mesh.run();
        mesh.differ_at_most_in(std::slice::from_ref(&doc));
        assert_eq!((refused(&mut mesh), (mesh.bytes - before) / ROOM), (0, 0));
        mesh.link_all();
        mesh.set_text(smaller, &doc, &format!("of-{smaller}"), "x");
        mesh.run();
        let mut sizes = [ROOM; 3];
        sizes[smaller] = 1;
        says(&mut mesh, &doc, sizes);
    }
}

#[test]
fn what_waits_is_there_as_soon_as_its_host_has_made_room() {
    let doc = name("conf/echo");
    let mut mesh = apart(&doc);
    mesh.link(0, 1);
    mesh.run();
    // It is begun anew: the third part is not of the same history any more.
    mesh.set_text(0, &doc, "of-0", &"y".repeat(ROOM - 1000));
    mesh.link_all();
    mesh.run();
    let waits = Output::Waiting { name: doc.clone() };
    assert!(mesh.hosts[2].told().contains(&waits));
    mesh.same_everywhere();
    assert_eq!(mesh.hosts[2].text(&doc, "of-2"), None);
    mesh.set_text(2, &doc, "of-0", "x");
    mesh.run();
    says(&mut mesh, &doc, [1, ROOM, ROOM]);
    assert!(!mesh.hosts[2].told().contains(&waits));
}
