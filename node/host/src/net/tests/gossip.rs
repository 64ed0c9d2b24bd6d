use starling_protocols::limits::{GOSSIP_BUCKETS, GOSSIP_BYTES_MAX};

use super::*;

/// One, two and three in a row: what one says reaches three only if two passes it on.
async fn row() -> [Host; 3] {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member(1)).await;
    let mut two = Host::start(2, TCP, mesh.member(2)).await;
    let mut three = Host::start(3, TCP, mesh.member(3)).await;
    for host in [&one, &two, &three] {
        host.call(|net| net.subscribe(7)).await;
    }
    two.dial(&one).await;
    two.dial(&three).await;
    one.link_up().await;
    three.link_up().await;
    two.link_up().await;
    two.link_up().await;
    let settled = settle(&one, &mut two, &mut three);
    tokio::time::timeout(PATIENCE, settled).await.expect("it settles");
    [one, two, three]
}

/// Gossip promises nothing to who has just come: speaks until all three hear each other.
async fn settle(one: &Host, two: &mut Host, three: &mut Host) {
    let pause = Duration::from_millis(50);
    loop {
        publish(one, b"is anybody there?").await;
        if let Ok((id, ..)) = tokio::time::timeout(pause, heard(two)).await {
            two.call(move |net| net.judge(id, Verdict::Accept)).await;
        }
        if tokio::time::timeout(pause, heard(three)).await.is_ok() {
            return;
        }
    }
}

/// The next message that is not about settling.
async fn news(host: &mut Host) -> (GossipId, HostId, u8, Vec<u8>) {
    loop {
        let next = heard(host).await;
        if next.3 != b"is anybody there?" {
            return next;
        }
    }
}

/// Publishes until somebody is known to listen.
async fn publish(host: &Host, bytes: &'static [u8]) {
    tokio::time::timeout(PATIENCE, async {
        while host.call(move |net| net.publish(7, bytes.to_vec())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("somebody listens");
}

async fn heard(host: &mut Host) -> (GossipId, HostId, u8, Vec<u8>) {
    host.wait(|event| match event {
        NetEvent::Gossip { id, origin, bucket, bytes } => {
            Some((id.clone(), *origin, *bucket, bytes.clone()))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_message_goes_on_when_it_is_accepted() {
    let [one, mut two, mut three] = row().await;
    publish(&one, b"news").await;
    let (id, origin, bucket, bytes) = news(&mut two).await;
    assert_eq!((origin, bucket, bytes.as_slice()), (one.id, 7, b"news".as_slice()));
    two.call(move |net| net.judge(id, Verdict::Accept)).await;
    let (_, origin, _, bytes) = news(&mut three).await;
    assert_eq!((origin, bytes.as_slice()), (one.id, b"news".as_slice()));
}

#[tokio::test]
async fn a_message_that_is_rejected_or_ignored_goes_nowhere() {
    let [one, mut two, mut three] = row().await;
    for (verdict, body) in [(Verdict::Reject, b"bad"), (Verdict::Ignore, b"old")] {
        publish(&one, body).await;
        let (id, ..) = news(&mut two).await;
        two.call(move |net| net.judge(id, verdict)).await;
    }
    publish(&one, b"good").await;
    let (id, ..) = news(&mut two).await;
    two.call(move |net| net.judge(id, Verdict::Accept)).await;
    assert_eq!(news(&mut three).await.3, b"good");
}

#[tokio::test]
async fn what_cannot_be_published_says_why() {
    let one = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    let too_large = vec![0; GOSSIP_BYTES_MAX + 1];
    let error = one.call(|net| net.publish(0, too_large)).await;
    assert_eq!(error, Err(PublishError::TooLarge(GOSSIP_BYTES_MAX + 1)));
    let error = one.call(|net| net.publish(0, vec![1])).await;
    assert_eq!(error, Err(PublishError::NoPeers));
    let error = one.call(|net| net.publish(GOSSIP_BUCKETS, vec![1])).await;
    assert_eq!(error, Err(PublishError::NoBucket(GOSSIP_BUCKETS)));
}

#[tokio::test]
async fn the_largest_message_passes() {
    let [one, mut two, _three] = row().await;
    let largest = vec![9; GOSSIP_BYTES_MAX];
    one.call(|net| net.publish(7, largest)).await.expect("it fits");
    assert_eq!(news(&mut two).await.3.len(), GOSSIP_BYTES_MAX);
}
