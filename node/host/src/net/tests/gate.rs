use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{
    core::{
        Endpoint, Transport as _,
        muxing::{StreamMuxerBox, SubstreamBox},
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
};
use starling_protocols::{admission::GATE_MAGIC, limits::GATE_BYTES_MAX};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::*;

/// Dials from one to two; neither may ever be linked.
async fn assert_refused(one: Credential, two: Credential, what: &str) {
    for listen in [TCP, QUIC] {
        let mut dialler = Host::start(1, listen, one.clone()).await;
        let mut listener = Host::start(2, listen, two.clone()).await;
        dialler.dial(&listener).await;
        let why = dialler.dial_failed().await;
        assert!(why.contains(what), "{why}");
        listener.stranger().await;
        dialler.assert_never_linked();
        listener.assert_never_linked();
    }
}

#[tokio::test]
async fn a_member_of_another_mesh_is_refused() {
    assert_refused(Mesh::new(0).member(1), Mesh::new(9).member(2), "another mesh").await;
}

#[tokio::test]
async fn an_expired_dialler_is_refused() {
    let mesh = Mesh::new(0);
    let long_ago = WallTime::from_millis(0);
    assert_refused(mesh.member_since(1, long_ago), mesh.member(2), "expired").await;
}

/// The listener has accepted the dialler by then, and still must not be linked.
#[tokio::test]
async fn an_expired_listener_is_refused() {
    let mesh = Mesh::new(0);
    let long_ago = WallTime::from_millis(0);
    assert_refused(mesh.member(1), mesh.member_since(2, long_ago), "expired").await;
}

#[tokio::test]
async fn the_credential_of_somebody_else_is_refused() {
    let mesh = Mesh::new(0);
    assert_refused(mesh.member(3), mesh.member(2), "showed it").await;
}

#[tokio::test]
async fn a_renewed_credential_opens_the_gate() {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, TCP, mesh.member_since(1, WallTime::from_millis(0))).await;
    let mut two = Host::start(2, TCP, mesh.member(2)).await;
    one.dial(&two).await;
    one.dial_failed().await;
    let renewed = mesh.member(1);
    one.call(|net| net.set_credential(renewed)).await;
    one.dial(&two).await;
    one.link_up().await;
    two.link_up().await;
}

pub(super) fn socket_of(addresses: &[String]) -> String {
    let parts: Vec<&str> = addresses[0].split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

#[tokio::test]
async fn garbage_on_the_socket_is_reported() {
    let mut host = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    let mut stranger = TcpStream::connect(socket_of(&host.addresses)).await.expect("a listener");
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("it is sent");
    host.stranger().await;
    host.assert_never_linked();
}

#[tokio::test]
async fn silence_on_the_socket_is_reported() {
    let mut host = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    let _stranger = TcpStream::connect(socket_of(&host.addresses)).await.expect("a listener");
    let why = host.stranger().await;
    assert!(why.to_lowercase().contains("timeout"), "{why}");
}

/// An encrypted connection of a libp2p program that knows nothing of the gate.
async fn connection(host: &Host) -> StreamMuxerBox {
    let mut transport = transport::bare(&Keypair::generate_ed25519()).expect("a transport");
    let address = host.addresses[0].parse().expect("an address");
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    transport.dial(address, opts).expect("a dial").await.expect("a connection").1
}

/// Says `bytes` on the first stream, then gives all that comes back until the end.
async fn say(muxer: &mut StreamMuxerBox, bytes: &[u8]) -> Vec<u8> {
    let mut stream = super::super::gate::open(muxer).await.expect("a stream");
    let talk = super::super::gate::talk(muxer, say_on(&mut stream, bytes));
    match tokio::time::timeout(PATIENCE, talk).await {
        Ok(heard) => heard.unwrap_or_default(),
        Err(_) => panic!("the connection was not closed"),
    }
}

async fn say_on(
    stream: &mut SubstreamBox,
    bytes: &[u8],
) -> Result<Vec<u8>, super::super::gate::GateError> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    Ok(heard)
}

async fn assert_shown_the_door(bytes: &[u8], wanted: &str) {
    for listen in [TCP, QUIC] {
        let mut host = Host::start(1, listen, Mesh::new(0).member(1)).await;
        let mut muxer = connection(&host).await;
        assert_eq!(say(&mut muxer, bytes).await, b"");
        let why = host.stranger().await;
        assert!(why.contains(wanted), "{why}");
        host.assert_never_linked();
    }
}

#[tokio::test]
async fn a_libp2p_program_without_the_gate_gets_nothing() {
    assert_shown_the_door(b"\x13/multistream/1.0.0\n", "first bytes").await;
}

#[tokio::test]
async fn a_stranger_that_encrypts_and_says_nothing_is_shown_the_door() {
    assert_shown_the_door(b"", "within").await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_by_its_length_alone() {
    let length = u32::try_from(GATE_BYTES_MAX + 1).expect("it fits");
    let frame = [&GATE_MAGIC[..], &length.to_be_bytes()].concat();
    assert_shown_the_door(&frame, "at most").await;
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_is_refused() {
    let frame = [&GATE_MAGIC[..], &3_u32.to_be_bytes(), &[0xff; 3]].concat();
    assert_shown_the_door(&frame, "cannot be read").await;
}

#[tokio::test]
async fn a_stranger_that_opens_more_streams_is_shown_the_door() {
    let mut host = Host::start(1, TCP, Mesh::new(0).member(1)).await;
    let mut muxer = connection(&host).await;
    let mut first = super::super::gate::open(&mut muxer).await.expect("a stream");
    let mut second = super::super::gate::open(&mut muxer).await.expect("a stream");
    let both = async {
        first.write_all(&GATE_MAGIC[..]).await?;
        say_on(&mut second, &GATE_MAGIC[..]).await
    };
    drop(super::super::gate::talk(&mut muxer, both).await);
    let why = host.stranger().await;
    assert!(why.contains("other streams"), "{why}");
}
