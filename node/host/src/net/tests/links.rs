use super::*;

#[tokio::test]
async fn two_members_link_and_each_learns_the_others_credential() {
    for listen in [TCP, QUIC] {
        let mesh = Mesh::new(0);
        let (first, second) = (mesh.member(1), mesh.member(2));
        let mut one = Host::start(1, listen, first.clone()).await;
        let mut two = Host::start(2, listen, second.clone()).await;
        one.dial(&two).await;
        assert_eq!(one.link_up().await, (two.id, second));
        assert_eq!(two.link_up().await, (one.id, first));
    }
}

#[tokio::test]
async fn hosts_that_dial_each_other_at_once_tell_of_one_link() {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member(1)).await;
    let mut two = Host::start(2, TCP, mesh.member(2)).await;
    tokio::join!(one.dial(&two), two.dial(&one));
    for host in [&mut one, &mut two] {
        host.link_up().await;
        host.lane_up().await;
    }
    // The lane works, and whatever the second connection did has been told by then.
    one.send(two.id, b"hello").await;
    assert_eq!(two.receive(one.id, 5).await, b"hello");
    one.assert_never_linked();
    two.assert_never_linked();
}

#[tokio::test]
async fn both_sides_learn_that_a_link_is_down_and_it_can_come_up_again() {
    let (mut one, mut two) = pair(TCP).await;
    let other = two.id;
    one.call(move |net| net.disconnect(other)).await;
    assert_eq!(one.link_down().await.0, two.id);
    assert_eq!(two.link_down().await.0, one.id);
    two.dial(&one).await;
    assert_eq!(one.link_up().await.0, two.id);
    assert_eq!(two.link_up().await.0, one.id);
}

#[tokio::test]
async fn a_process_that_goes_down_is_noticed() {
    for listen in [TCP, QUIC] {
        let (one, mut two) = pair(listen).await;
        let id = one.id;
        drop(one);
        assert_eq!(two.link_down().await.0, id);
    }
}

#[tokio::test]
async fn a_dial_that_fails_says_where_and_why() {
    let mut one = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let nowhere = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    one.call(move |net| net.dial(key(2).host(), &nowhere)).await;
    let why = one.dial_failed().await;
    assert!(why.contains(&format!("/tcp/{port}")) && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn a_dial_without_a_usable_address_fails() {
    let mut one = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    one.call(|net| net.dial(key(2).host(), &["nonsense".into()])).await;
    assert_eq!(one.dial_failed().await, "none of its 1 addresses can be used");
    one.call(|net| net.dial(key(1).host(), &[TCP.into()])).await;
    assert_eq!(one.dial_failed().await, "it cannot be dialled");
}

#[tokio::test]
async fn another_host_at_the_address_is_no_link() {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member(1)).await;
    let mut two = Host::start(2, TCP, mesh.member(2)).await;
    let port = two.addresses[0].split("/p2p/").next().expect("a prefix").to_owned();
    one.call(move |net| net.dial(key(3).host(), &[port])).await;
    let why = one.dial_failed().await;
    assert!(why.contains("another host answers at this address"), "{why}");
    two.stranger().await;
    two.assert_never_linked();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    for listen in [TCP, QUIC] {
        let mesh = Mesh::new(0);
        let one = Host::start(1, listen, mesh.member(1)).await;
        let taken = one.addresses[0].split("/p2p/").next().expect("a prefix").to_owned();
        let config = NetConfig { listen: vec![taken.parse().expect("an address")], mdns: false };
        let error = Net::new(&config, &key(2), mesh.member(2)).err().expect("the port is taken");
        let words = error.to_string();
        assert!(words.contains(&taken) && words.contains("in use"), "{words}");
    }
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused() {
    let listen = vec!["/memory/7".parse().expect("an address")];
    let config = NetConfig { listen, mdns: false };
    let error = Net::new(&config, &key(1), Mesh::new(0).member(1)).err().expect("not supported");
    assert!(error.to_string().contains("neither TCP nor QUIC"), "{error}");
}
