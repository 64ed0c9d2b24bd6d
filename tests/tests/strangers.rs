//! Whoever is no member gets no protocol, no byte of the mesh, and is counted.

mod peer;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{StreamProtocol, swarm::SwarmEvent};
use serde_json::Value;
use starling_protocols::{
    admission::{GATE_MAGIC, Knock, Refusal, Welcome},
    ident::{Credential, Genesis, SecretKey},
    time::WallTime,
    wire,
};
use starling_tests::{Host, PATIENCE, place, until};
use tokio::time::timeout;

use peer::Visit;

#[test]
fn raw_bytes_get_nothing_of_the_mesh() {
    let place = place!();
    let [alpha, beta] = place.mesh(["alpha", "beta"]);
    let secrets = [alpha.id(), beta.id(), alpha.status()["mesh"].to_string(), "starling".into()];
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n * 7 + n / 3) as u8).collect();
    let openings: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", &garbage, &GATE_MAGIC[..], b""];
    for opening in openings {
        let said = said_to(&alpha, opening);
        assert!(said.len() < 200, "{} bytes for {} of ours", said.len(), opening.len());
        let text = String::from_utf8_lossy(&said);
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
    }
    until("they are counted", || (alpha.metric("strangers") >= 3).then_some(()));
    alpha.event("stranger", |event| event["details"]["address"] != Value::Null);
    alpha.sees("beta", "linked");
}

#[test]
fn a_silent_stranger_does_not_keep_others_out() {
    let place = place!();
    let alpha = place.up("alpha");
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(endpoint(&alpha))).collect();
    assert!(silent.iter().all(Result::is_ok), "{silent:?}");
    let beta = place.up("beta");
    beta.joins(&alpha.invite());
    alpha.sees("beta", "linked");
}

#[tokio::test]
async fn a_libp2p_peer_is_served_no_protocol() {
    let place = place!();
    let [alpha, _beta] = place.mesh(["alpha", "beta"]);
    let mesh = alpha.status()["mesh"].as_str().expect("an id").to_owned();
    let mut stranger = peer::swarm(&mesh).expect("a swarm");
    let mut control = stranger.behaviour().streams.new_control();
    stranger.dial(address(&alpha)).expect("it can be dialled");
    let host = peer::peer_id(&alpha.address());
    let protocols = [
        format!("/starling/{mesh}/lane/1"),
        "/ipfs/id/1.0.0".into(),
        "/ipfs/ping/1.0.0".into(),
        format!("/starling/{mesh}/gossip/1.1.0"),
    ];
    let asking = async {
        for protocol in protocols {
            let name = StreamProtocol::try_from_owned(protocol.clone()).expect("a name");
            assert!(control.open_stream(host, name).await.is_err(), "{protocol} is served");
        }
    };
    let watching = async {
        loop {
            let event = stranger.select_next_some().await;
            assert!(!peer::learns(&event), "{event:?}");
            if matches!(event, SwarmEvent::ConnectionClosed { .. }) {
                // From here on the streams that are asked for would dial anew.
                break;
            }
        }
        // Whoever waits for a stream learns that there will be none.
        while let Some(event) = stranger.next().await {
            assert!(!peer::learns(&event), "{event:?}");
        }
    };
    let done = async {
        tokio::select! { () = asking => {}, () = watching => {} }
    };
    timeout(PATIENCE, done).await.expect("in time");
    until("it is counted", || (alpha.metric("strangers") >= 1).then_some(()));
    let text = alpha.event("stranger", |_| true)["text"].to_string();
    assert!(text.contains("turned away"), "{text}");
}

#[tokio::test]
async fn the_gate_says_nothing_before_it_has_heard_a_member() {
    let place = place!();
    let alpha = place.up("alpha");
    let mut wrong_magic = GATE_MAGIC.to_vec();
    wrong_magic[15] = b'x';
    let too_long = [&GATE_MAGIC[..], &u32::MAX.to_be_bytes()].concat();
    let no_knock = frame(b"\x09\x09");
    let hello = b"\x13/multistream/1.0.0\n\x0f/ipfs/id/1.0.0\n".to_vec();
    for words in [hello, wrong_magic, too_long, no_knock] {
        let before = alpha.metric("strangers");
        let said = visit(&alpha, [3; 32]).await.say(&words).await;
        assert_eq!(said, [0; 0], "after {words:?}");
        until("it is counted", || (alpha.metric("strangers") == before + 1).then_some(()));
    }
}

#[tokio::test]
async fn a_certificate_of_another_mesh_or_host_opens_nothing() {
    let place = place!();
    let [alpha, beta] = place.mesh(["alpha", "beta"]);
    let foreign = foreign_credential([4; 32]);
    let stolen = membership(&beta.data_dir);
    let forged = Credential { genesis: stolen.genesis.clone(), ..foreign.clone() };
    let cases = [(foreign, "another mesh"), (stolen, "belongs to host"), (forged, "chain")];
    for (credential, why) in cases {
        let knock = frame(&wire::encode(&Knock::Member(credential)));
        let said = visit(&alpha, [4; 32]).await.say(&knock).await;
        let body = said.strip_prefix(&GATE_MAGIC[..]).expect("the gate speaks");
        let welcome: Welcome = wire::decode(&body[4..], body.len()).expect("one message");
        let Welcome::Refused(Refusal::Credential(text)) = welcome else { panic!("{welcome:?}") };
        assert!(text.contains(why), "{text:?} does not say {why:?}");
        alpha.event("stranger", |event| {
            event["details"]["why"].as_str().is_some_and(|told| told.contains(why))
        });
    }
    assert_eq!(alpha.metric("strangers"), 3);
}

#[test]
fn a_daemon_that_moved_to_another_mesh_is_a_stranger_to_its_old_one() {
    let place = place!();
    let [alpha, mut beta] = place.mesh(["alpha", "beta"]);
    let omega = place.up("omega");
    // It forgets whom it knew, and so may join another mesh; it comes back at the same address.
    beta.kill();
    fs::remove_file(beta.data_dir.join("peers")).expect("a file of peers");
    let _ = beta.run(&["join", &omega.invite()]).well();
    beta.up();
    omega.sees("beta", "linked");
    alpha.event("dial-failed", |event| event["details"]["name"] == "beta");
    // At first it could not be reached at all; then it turns away.
    until("alpha knows why", || {
        let beta = alpha.view("beta")?;
        (beta["state"] == "unreachable" && beta["why"].as_str()?.contains("another mesh"))
            .then_some(())
    });
    until("beta counts it", || (beta.metric("strangers") >= 1).then_some(()));
    assert_eq!(beta.view("alpha"), None);
    assert_eq!(omega.view("alpha"), None);
    assert_eq!(alpha.view("omega"), None);
}

#[test]
fn records_of_another_mesh_are_not_taken_up() {
    let place = place!();
    let [alpha, _beta] = place.mesh(["alpha", "beta"]);
    let mut omega = place.up("omega");
    let peers = alpha.data_dir.join("peers");
    until("the peers are kept", || {
        fs::read_to_string(&peers).ok()?.contains("2 hosts").then_some(())
    });
    omega.up_again_after(|omega| {
        fs::copy(&peers, omega.data_dir.join("peers")).expect("copied");
    });
    assert_eq!(omega.status()["members"], 1);
    assert_eq!(omega.metric("bad_records"), 2);
    assert_eq!(omega.metric("dials"), 0);
    assert_eq!(alpha.metric("strangers"), 0);
}

#[test]
fn a_certificate_of_another_host_does_not_start_a_daemon() {
    let place = place!();
    let [_alpha, beta] = place.mesh(["alpha", "beta"]);
    let mut mallory = place.up("mallory");
    mallory.down();
    fs::copy(beta.data_dir.join("membership"), mallory.data_dir.join("membership"))
        .expect("copied");
    mallory.up_in_vain().failed(1, &["not good", "belongs to host"]);
}

/// What a host says to a raw connection, until it closes or has been silent for a while.
fn said_to(host: &Host, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(endpoint(host)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    // It may close before it has read all.
    let _ = stream.write_all(opening);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

fn endpoint(host: &Host) -> String {
    let address = host.address();
    let port = address.split('/').nth(4).expect("a port");
    format!("127.0.0.1:{port}")
}

fn address(host: &Host) -> libp2p::Multiaddr {
    host.address().parse().expect("an address")
}

async fn visit(host: &Host, secret: [u8; 32]) -> Visit {
    Visit::to(address(host), secret).await.expect("an encrypted connection")
}

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("small");
    [&GATE_MAGIC[..], &length.to_be_bytes(), body].concat()
}

fn foreign_credential(secret: [u8; 32]) -> Credential {
    let key = SecretKey::from_bytes(&secret);
    let (created, name) = (WallTime::from_millis(u64::MAX / 4), "elsewhere".into());
    let genesis = Genesis { version: 1, name, founder: key.host(), created, nonce: [0; 16] };
    Credential::of_founder(&key, genesis, created)
}

/// The credential in a data directory that is in use.
fn membership(data_dir: &Path) -> Credential {
    let copy = tempfile::tempdir().expect("a directory");
    fs::copy(data_dir.join("membership"), copy.path().join("membership")).expect("copied");
    let disk = starling_node::disk::Disk::open(copy.path()).expect("a data directory");
    disk.membership().expect("readable").expect("a membership")
}
