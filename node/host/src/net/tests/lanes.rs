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

/// Polled by the test itself, which so decides when it hears of things. Host 2 has the smaller id
/// and opens the lane.
async fn pair_by_hand() -> (Host, Net) {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member(1)).await;
    let config = NetConfig { listen: vec![TCP.parse().expect("an address")], mdns: false };
    let mut two = Net::new(&config, &key(2), mesh.member(2)).expect("a port");
    assert!(two.host < one.id);
    two.dial(one.id, &one.addresses);
    while !matches!(next(&mut two).await, NetEvent::LaneUp { .. }) {}
    one.lane_up().await;
    (one, two)
}

async fn next(net: &mut Net) -> NetEvent {
    tokio::time::timeout(PATIENCE, net.next()).await.expect("an event")
}

/// The main loop must not use a lane that it has not heard of: it would mean the one before.
#[tokio::test]
async fn a_new_lane_replaces_the_old_and_takes_nothing_before_it_was_told() {
    let (mut one, mut two) = pair_by_hand().await;
    let connection = two.links[&one.id].connections[0];
    let peer = peer_of(one.id).expect("a key");
    two.swarm().behaviour_mut().lanes.open(peer, connection);
    let down = next(&mut two).await;
    // Whichever comes first: the new stream, or the end of the old one.
    assert!(matches!(down, NetEvent::LaneDown { .. }), "{down:?}");
    assert!(!two.lane_ready(one.id));
    let up = next(&mut two).await;
    assert!(matches!(up, NetEvent::LaneUp { .. }), "{up:?}");
    two.lane_send(one.id, b"new".to_vec());
    next(&mut two).await;
    assert_eq!(one.receive(two.host, 3).await, b"new");
    assert_eq!(order(&one.passed), ["link up", "lane down", "lane up"]);
}

#[tokio::test]
async fn what_arrived_before_the_connection_closed_is_heard() {
    let (one, mut two) = pair_by_hand().await;
    let to = two.host;
    one.call(move |net| net.lane_send(to, vec![3; 200_000])).await;
    // It has gone down before anything is read here.
    let Host { calls, mut events, id, .. } = one;
    drop(calls);
    while events.recv().await.is_some() {}
    let mut heard = 0;
    loop {
        match next(&mut two).await {
            NetEvent::LaneBytes { host, bytes } if host == id => heard += bytes.len(),
            NetEvent::LinkDown { .. } => break,
            _ => {}
        }
    }
    // More than one read, and not all: of what is under way when a connection closes, the
    // libraries may lose the end.
    assert!(heard > lane::READ_BYTES_MAX, "{heard}");
}

#[tokio::test]
async fn what_was_given_before_a_shutdown_arrives() {
    for listen in [TCP, QUIC] {
        let (one, mut two) = pair(listen).await;
        let (from, to) = (one.id, two.id);
        one.call(move |net| net.lane_send(to, vec![4; 300_000])).await;
        drop(one);
        assert_eq!(two.receive(from, 300_000).await.len(), 300_000);
        two.link_down().await;
    }
}

/// Outside a runtime's workers, a socket without budget wakes at once: `next` must then yield and
/// not try for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_whose_turn_is_over_yields() {
    let config = NetConfig { listen: vec![TCP.parse().expect("an address")], mdns: false };
    let mut net = Net::new(&config, &key(1), Mesh::new(0).member(1)).expect("a port");
    let NetEvent::Listening { addresses } = next(&mut net).await else { panic!("not listening") };
    let socket = super::gate::socket_of(&addresses);
    // The budget is 128: about there, the last of it goes to `next` and none to the socket.
    for used in 120..132 {
        let stranger = std::net::TcpStream::connect(&socket).expect("a listener");
        // There is no event for what the system has told the runtime.
        tokio::time::sleep(Duration::from_millis(20)).await;
        for _ in 0..used {
            tokio::task::consume_budget().now_or_never();
        }
        drop(net.next().now_or_never());
        drop(stranger);
        // The next connection must wake the listener: it has to be asked till it has no more.
        drop(tokio::time::timeout(Duration::from_millis(20), net.next()).await);
    }
}
