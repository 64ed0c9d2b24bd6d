use futures::FutureExt as _;

use super::*;

#[tokio::test]
async fn bytes_go_both_ways() {
    for listen in [TCP, QUIC] {
        let (mut one, mut two) = pair(listen).await;
        one.send(two.id, b"ping").await;
        assert_eq!(two.receive(one.id, 4).await, b"ping");
        two.send(one.id, b"pong").await;
        assert_eq!(one.receive(two.id, 4).await, b"pong");
    }
}

#[tokio::test]
async fn much_more_than_a_window_arrives_in_order() {
    for listen in [TCP, QUIC] {
        let (mut one, mut two) = pair(listen).await;
        let (from, to) = (one.id, two.id);
        let sender = tokio::spawn(async move {
            for n in 0..64_u32 {
                while !one.call(move |net| net.lane_ready(to)).await {
                    one.wait(|event| matches!(event, NetEvent::LaneWritable { .. }).then_some(()))
                        .await;
                }
                let bytes = n.to_be_bytes().repeat(32 * 1024);
                one.call(move |net| net.lane_send(to, bytes)).await;
            }
            one
        });
        let all = two.receive(from, 64 * 128 * 1024).await;
        drop(sender.await.expect("it sends"));
        let wanted: Vec<u8> = (0..64_u32).flat_map(|n| n.to_be_bytes().repeat(32 * 1024)).collect();
        assert!(all == wanted, "{} bytes", all.len());
    }
}

#[tokio::test]
async fn who_does_not_read_stops_who_writes() {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member(1)).await;
    let config = NetConfig { listen: vec![TCP.parse().expect("an address")], mdns: false };
    let mut deaf = Net::new(&config, &key(2), mesh.member(2)).expect("a port");
    let addresses = one.addresses.clone();
    deaf.dial(one.id, &addresses);
    while !matches!(deaf.next().await, NetEvent::LaneUp { .. }) {}
    let to = one.lane_up().await;
    // From here on nobody polls `deaf`.
    let mut taken = 0;
    while one.call(move |net| net.lane_ready(to)).await {
        one.call(move |net| net.lane_send(to, vec![7; 256 * 1024])).await;
        taken += 1;
        tokio::task::yield_now().await;
        assert!(taken < 1000, "it takes and takes");
    }
    while !matches!(deaf.next().await, NetEvent::LaneBytes { .. }) {}
    let writable = |event: &NetEvent| matches!(event, NetEvent::LaneWritable { .. }).then_some(());
    tokio::select! {
        () = one.wait(writable) => {}
        () = async { loop { deaf.next().await; } } => {}
    }
}

#[tokio::test]
async fn a_lane_comes_back_while_the_link_is_up() {
    for closer in [1, 2] {
        let (mut one, mut two) = pair(TCP).await;
        let (a, b) = (one.id, two.id);
        match closer {
            1 => one.call(move |net| net.close_lane(b)).await,
            _ => two.call(move |net| net.close_lane(a)).await,
        }
        for host in [&mut one, &mut two] {
            host.wait(|event| matches!(event, NetEvent::LaneDown { .. }).then_some(())).await;
            host.lane_up().await;
        }
        one.send(b, b"again").await;
        assert_eq!(two.receive(a, 5).await, b"again");
        let down = |event: &NetEvent| matches!(event, NetEvent::LinkDown { .. });
        assert!(!one.passed.iter().any(down), "{:?}", one.passed);
    }
}

#[tokio::test]
async fn after_a_new_link_there_is_a_new_lane_and_the_order_holds() {
    let (mut one, mut two) = pair(TCP).await;
    let (a, b) = (one.id, two.id);
    one.send(b, b"first").await;
    assert_eq!(two.receive(a, 5).await, b"first");
    one.call(move |net| net.disconnect(b)).await;
    assert_eq!(one.link_down().await.0, b);
    assert_eq!(two.link_down().await.0, a);
    one.dial(&two).await;
    one.lane_up().await;
    two.lane_up().await;
    one.send(b, b"second").await;
    assert_eq!(two.receive(a, 6).await, b"second");
    assert_eq!(order(&two.passed), ["link up", "lane down", "link up"]);
}

/// What was passed over of links and lanes.
fn order(events: &VecDeque<NetEvent>) -> Vec<&'static str> {
    let name = |event: &NetEvent| match event {
        NetEvent::LinkUp { .. } => Some("link up"),
        NetEvent::LinkDown { .. } => Some("link down"),
        NetEvent::LaneUp { .. } => Some("lane up"),
        NetEvent::LaneDown { .. } => Some("lane down"),
        _ => None,
    };
    events.iter().filter_map(name).collect()
}

/// The main loop must not use a lane that it has not heard of: it would mean the one before.
#[tokio::test]
async fn a_lane_takes_nothing_before_it_was_told() {
    let mesh = Mesh::new(0);
    let one = Host::start(1, TCP, mesh.member(1)).await;
    let config = NetConfig { listen: vec![TCP.parse().expect("an address")], mdns: false };
    let mut two = Net::new(&config, &key(2), mesh.member(2)).expect("a port");
    two.dial(one.id, &one.addresses);
    loop {
        let before = two.lane_ready(one.id);
        let event = tokio::time::timeout(PATIENCE, two.next()).await.expect("an event");
        assert!(!before, "ready before {event:?}");
        if matches!(event, NetEvent::LaneUp { .. }) {
            break;
        }
    }
    assert!(two.lane_ready(one.id));
}

#[tokio::test]
async fn what_was_given_before_a_shutdown_arrives() {
    for listen in [TCP, QUIC] {
        let (one, mut two) = pair(listen).await;
        one.send(two.id, b"goodbye").await;
        let from = one.id;
        drop(one);
        assert_eq!(two.receive(from, 7).await, b"goodbye");
        two.link_down().await;
    }
}

/// Outside a runtime's workers, a socket without budget wakes at once: `next` must then yield and
/// not try for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_whose_turn_is_over_yields() {
    let config = NetConfig { listen: vec![TCP.parse().expect("an address")], mdns: false };
    let mut net = Net::new(&config, &key(1), Mesh::new(0).member(1)).expect("a port");
    for used in 0..200 {
        tokio::task::yield_now().await;
        for _ in 0..used {
            tokio::task::consume_budget().now_or_never();
        }
        net.swarm();
        drop(net.next().now_or_never());
    }
}
