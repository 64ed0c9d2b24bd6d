//! More documents than go into one answer.

use super::{super::*, mesh::*};
use crate::replica::Offer;

fn state(others: u64) -> Message {
    Message::Digest(Digest::State { of_you: 0, others })
}

#[test]
fn a_newcomer_gets_thousands_of_documents_without_waiting() {
    let mut mesh = Mesh::new(2);
    let long = "x".repeat(120);
    for number in 0..3_200 {
        mesh.set(0, &name(&format!("{long}/{number}")), "limit", 5);
    }
    mesh.link(0, 1);
    mesh.settle();
    assert_eq!(mesh.hosts[1].at.replicas().len(), 3_200, "it takes several answers");
    mesh.same_everywhere();
    mesh.run();
}

#[test]
fn who_does_not_send_what_he_offered_keeps_nobody_from_asking_others() {
    let mut mesh = Mesh::new(1);
    let at = &mut mesh.hosts[0].at;
    let peers = [key(1).host(), key(2).host()];
    peers.iter().for_each(|peer| at.lane_up(*peer));
    let mut say = |from, message| {
        at.heard(from, message, is_member, mesh.now).expect("it keeps the rules");
        std::iter::from_fn(|| at.poll()).last()
    };
    let _ = (say(peers[0], state(7)), say(peers[1], state(8)));
    let offer = Offer {
        name: name("conf/never"),
        tenure: None,
        base: Base::default(),
        heads: vec![Head([1; 32]).short()],
    };
    let wanted = say(peers[0], Message::Offers(vec![offer]));
    assert!(matches!(&wanted, Some(Output::Send { message: Message::Want(_), .. })), "{wanted:?}");
    let done = || Message::Digest(Digest::Done { more: true });
    assert_eq!(say(peers[0], done()), None, "what is wished for has not come yet");
    let due = at.next_deadline().expect("it does not wait for ever");
    assert_eq!(due, mesh.now + crate::limits::DOCUMENTS_AWAITED_TIMEOUT);
    at.due(due);
    let asked: Vec<Output> = std::iter::from_fn(|| at.poll()).collect();
    let to_other = |output: &Output| {
        matches!(output, Output::Send { to, message: Message::Digest(Digest::List(_)) }
            if *to == [peers[1]])
    };
    assert!(asked.iter().any(to_other), "{asked:?}");
}
