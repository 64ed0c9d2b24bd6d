use super::{dialogs::tell, *};

fn words(mesh: &mut Mesh, host: usize) -> Vec<String> {
    mesh.log(host)
}

fn expected(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|word| format!("word {word}")).collect()
}

#[test]
fn all_listeners_hear_all_words_in_order() {
    let mut mesh = Mesh::new(3);
    tell(&mut mesh, 0, &Shout(0, 500));
    for host in 0..3 {
        assert_eq!(words(&mut mesh, host), expected(0..500), "host {host}");
    }
}

#[test]
fn a_broken_lane_loses_no_word() {
    let mut mesh = Mesh::new(2);
    tell(&mut mesh, 0, &Shout(0, 10));
    mesh.cut(0, 1);
    tell(&mut mesh, 0, &Shout(10, 20));
    mesh.connect(0, 1);
    mesh.settle();
    assert_eq!(words(&mut mesh, 1), expected(0..20));
}

#[test]
fn a_listener_that_cannot_keep_up_learns_of_the_gap() {
    let mut mesh = Mesh::new(2);
    let (topic, now) = ("bulk/data".parse().expect("a topic"), mesh.now());
    mesh.engines[1].subscribe(Ticket(50), &topic, now);
    mesh.settle();
    mesh.engines[0].publish_json(&topic, b"0".to_vec(), now);
    mesh.settle();
    mesh.held.insert((0, 1));
    // More than a lane's queue holds, and more than the origin keeps for repair.
    let body = format!("\"{}\"", "x".repeat(64 * 1024)).into_bytes();
    let published: u64 = 300;
    for _ in 0..published {
        mesh.engines[0].publish_json(&topic, body.clone(), now);
    }
    mesh.release();
    let dropped = mesh.engines[0].counters().get(Counter::QueueFull);
    let repaired = mesh.engines[0].counters().get(Counter::Repaired);
    let missed = mesh.engines[1].counters().get(Counter::Missed);
    assert!(dropped > repaired && repaired > 0, "{dropped} dropped, {repaired} repaired");
    assert_eq!(missed + repaired, dropped, "each word is heard or known to be lost");
    let heard = mesh.heard.iter().filter(|line| !line.starts_with("missed")).count() as u64;
    assert_eq!(heard, 1 + published - missed);
}

#[test]
fn people_outside_hear_in_json() {
    let mut mesh = Mesh::new(2);
    let now = mesh.now();
    mesh.engines[1].subscribe(Ticket(50), &"probe/word".parse().expect("a topic"), now);
    mesh.settle();
    tell(&mut mesh, 0, &Shout(7, 8));
    assert_eq!(mesh.heard, ["7"]);
    mesh.engines[1].unsubscribe(Ticket(50), now);
    tell(&mut mesh, 0, &Shout(8, 9));
    assert_eq!(mesh.heard, ["7"]);
}

#[test]
fn what_nobody_listens_to_is_not_sent() {
    let mut mesh = Mesh::new(2);
    let now = mesh.now();
    let topic = "nobody/listens".parse().expect("a topic");
    let reach = mesh.engines[0].publish_json(&topic, b"{}".to_vec(), now);
    assert_eq!((reach.local, reach.hosts), (0, 0));
    let topic = "probe/word".parse().expect("a topic");
    let reach = mesh.engines[0].publish_json(&topic, b"1".to_vec(), now);
    assert_eq!((reach.local, reach.hosts), (1, 1));
}

#[test]
fn hints_may_be_lost_and_the_gap_is_told() {
    let mut mesh = Mesh::new(2);
    mesh.gossip_loss = 3;
    tell(&mut mesh, 0, &Hush(1, 6));
    let told = ["whisper 1", "whisper 2", "missed 1", "whisper 4", "whisper 5"];
    assert_eq!(words(&mut mesh, 1), told);
    assert_eq!(mesh.engines[1].counters().get(Counter::HintsMissed), 1);
}

#[test]
fn in_a_large_mesh_gossip_carries_topics_and_the_origin_repairs_them() {
    let mut mesh = Mesh::with_phantoms(2, 70);
    // The listener's interests have not reached the publisher: gossip alone carries the words.
    mesh.cut(0, 1);
    mesh.advance(Duration::from_secs(61));
    mesh.gossip_loss = 4;
    tell(&mut mesh, 0, &Shout(0, 20));
    mesh.connect(0, 1);
    mesh.settle();
    mesh.advance(Duration::from_secs(1));
    let heard = words(&mut mesh, 1);
    assert_eq!(heard, expected(0..20), "what gossip lost is repaired");
    assert!(mesh.engines[0].counters().get(Counter::Repaired) > 0, "some must have been lost");
}

#[test]
fn who_was_away_for_long_learns_how_much_it_has_missed() {
    let mut mesh = Mesh::new(2);
    tell(&mut mesh, 0, &Shout(0, 2));
    mesh.cut(0, 1);
    mesh.advance(Duration::from_secs(61));
    // More than is kept for repair.
    tell(&mut mesh, 0, &Shout(2, 1002));
    mesh.connect(0, 1);
    mesh.settle();
    let heard = words(&mut mesh, 1);
    let kept = starling_protocols::limits::REPAIR_MESSAGES_MAX as u64;
    let mut told = expected(0..2);
    told.push(format!("missed {}", 1000 - kept));
    told.extend(expected(1002 - kept..1002));
    assert_eq!(heard, told);
}

#[test]
fn gossip_replayed_later_is_nothing_new() {
    use starling_protocols::{
        exchange::{Codec, Gossip, Rumour},
        wire,
    };
    let mut mesh = Mesh::new(2);
    let (origin, now) = (mesh.host(0), mesh.now());
    let rumour = Rumour {
        topic: "probe/whisper",
        sequence: 9,
        ordered: false,
        from: AgentId(1031),
        codec: Codec::Json,
        body: b"9",
    };
    let bytes = wire::encode(&Gossip::Publish { incarnation: Incarnation(1), rumour });
    let mut verdict = || {
        mesh.engines[1].handle(Input::Gossip { id: GossipId(1), origin, bytes: &bytes }, now);
        std::iter::from_fn(|| mesh.engines[1].poll()).find_map(|output| match output {
            Output::Judge { verdict, .. } => Some(verdict),
            _ => None,
        })
    };
    assert_eq!(verdict(), Some(super::super::Verdict::Accept));
    assert_eq!(verdict(), Some(super::super::Verdict::Ignore));
    assert_eq!(words(&mut mesh, 1), ["whisper 9"]);
}

#[test]
fn ten_thousand_rooms_need_no_more_gossip_topics_than_there_are_buckets() {
    let mut mesh = Mesh::new(2);
    let now = mesh.now();
    let room = |number: u64| format!("bulk/data#{number}").parse().expect("a topic");
    for number in 0..10_000 {
        mesh.engines[1].subscribe(Ticket(50), &room(number), now);
    }
    let mut joined = 0;
    while let Some(output) = mesh.engines[1].poll() {
        joined += u8::from(matches!(output, Output::JoinBucket { .. }));
        mesh.output(1, output);
    }
    assert!(joined <= starling_protocols::limits::GOSSIP_BUCKETS, "{joined} gossip topics");
    mesh.settle();
    for number in 0..10_000 {
        mesh.engines[0].publish_json(&room(number), number.to_string().into_bytes(), now);
    }
    mesh.settle();
    let heard: Vec<String> = (0..10_000).map(|number: u64| number.to_string()).collect();
    assert_eq!(mesh.heard, heard);
}
