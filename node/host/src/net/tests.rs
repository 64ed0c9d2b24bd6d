//! Real sockets on the loopback. Every wait is for an event, and ends in a failure after
//! [`PATIENCE`].

mod gate;
mod gossip;
mod join;
mod lanes;
mod links;
mod speed;

use std::{collections::VecDeque, time::Duration};

use starling_protocols::{
    ident::{Credential, Genesis, HostId, SecretKey},
    time::WallTime,
};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::clock::wall;

const PATIENCE: Duration = Duration::from_secs(20);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// Short enough to wait for, long enough for a busy machine.
const GATE: Duration = Duration::from_secs(2);

fn key(secret: u8) -> SecretKey {
    SecretKey::from_bytes(&[secret; 32])
}

/// A mesh founded by host 1.
struct Mesh(Genesis);

impl Mesh {
    fn new(nonce: u8) -> Self {
        let created = WallTime::from_millis(0);
        let founder = key(1).host();
        Self(Genesis { version: 1, name: "test".into(), founder, created, nonce: [nonce; 16] })
    }

    fn founder(&self) -> Credential {
        Credential::of_founder(&key(1), self.0.clone(), wall())
    }

    /// The credential of host `n`, as it was issued at `issued`.
    fn member_since(&self, n: u8, issued: WallTime) -> Credential {
        if n == 1 {
            return Credential::of_founder(&key(1), self.0.clone(), issued);
        }
        self.founder().admit(&key(1), key(n).host(), true, issued).expect("a short chain")
    }

    fn member(&self, n: u8) -> Credential {
        self.member_since(n, wall())
    }
}

type Call = Box<dyn FnOnce(&mut Net) + Send>;

/// A network that runs in a task of its own.
struct Host {
    id: HostId,
    addresses: Vec<String>,
    calls: mpsc::Sender<Call>,
    events: mpsc::UnboundedReceiver<NetEvent>,
    /// What was passed over while something else was waited for.
    passed: VecDeque<NetEvent>,
}

fn tuning() -> Tuning {
    Tuning { gate_timeout: GATE, ..Tuning::default() }
}

impl Host {
    async fn start(n: u8, listen: &str, credential: Credential) -> Self {
        Self::tuned(n, listen, credential, tuning()).await
    }

    async fn tuned(n: u8, listen: &str, credential: Credential, tuning: Tuning) -> Self {
        let listen = vec![listen.parse().expect("an address")];
        let config = NetConfig { listen, mdns: false };
        let net = Net::tuned(&config, &key(n), credential, tuning).expect("a free port");
        let (calls, called) = mpsc::channel(1);
        // A test reads all that comes, at its own pace.
        #[expect(clippy::disallowed_methods, reason = "a test's own queue")]
        let (tell, events) = mpsc::unbounded_channel();
        tokio::spawn(run(net, called, tell));
        let id = key(n).host();
        let mut host = Self { id, addresses: vec![], calls, events, passed: VecDeque::new() };
        host.addresses = host
            .wait(|event| match event {
                NetEvent::Listening { addresses } => Some(addresses.clone()),
                _ => None,
            })
            .await;
        host
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Net) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |net| drop(answer.send(call(net))));
        self.calls.send(call).await.expect("it runs");
        answered.await.expect("it runs")
    }

    async fn dial(&self, other: &Self) {
        let (host, addresses) = (other.id, other.addresses.clone());
        self.call(move |net| net.dial(host, &addresses)).await;
    }

    async fn event(&mut self) -> NetEvent {
        let next = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        next.unwrap_or_else(|_| panic!("nothing more after {:?}", self.passed)).expect("it runs")
    }

    /// Waits for the first event that `wanted` takes; remembers the others.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(&NetEvent) -> Option<T>) -> T {
        loop {
            let event = self.event().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
            self.passed.push_back(event);
        }
    }

    async fn link_up(&mut self) -> (HostId, Credential) {
        self.wait(|event| match event {
            NetEvent::LinkUp { host, credential, .. } => Some((*host, credential.clone())),
            _ => None,
        })
        .await
    }

    async fn link_down(&mut self) -> (HostId, String) {
        self.wait(|event| match event {
            NetEvent::LinkDown { host, why } => Some((*host, why.clone())),
            _ => None,
        })
        .await
    }

    async fn dial_failed(&mut self) -> String {
        self.wait(|event| match event {
            NetEvent::DialFailed { why, .. } => Some(why.clone()),
            _ => None,
        })
        .await
    }

    async fn stranger(&mut self) -> String {
        self.wait(|event| match event {
            NetEvent::Stranger { why, .. } => Some(why.clone()),
            _ => None,
        })
        .await
    }

    async fn lane_up(&mut self) -> HostId {
        self.wait(|event| match event {
            NetEvent::LaneUp { host } => Some(*host),
            _ => None,
        })
        .await
    }

    async fn send(&self, to: HostId, bytes: &'static [u8]) {
        self.call(move |net| net.lane_send(to, bytes.to_vec())).await;
    }

    /// The next `length` bytes from the lane to `from`.
    async fn receive(&mut self, from: HostId, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let more = self
                .wait(|event| match event {
                    NetEvent::LaneBytes { host, bytes } if *host == from => Some(bytes.clone()),
                    _ => None,
                })
                .await;
            all.extend(more);
        }
        all
    }

    /// No link came up before now.
    fn assert_never_linked(&self) {
        let linked = |event: &NetEvent| matches!(event, NetEvent::LinkUp { .. });
        assert!(!self.passed.iter().any(linked), "{:?}", self.passed);
    }
}

async fn run(
    mut net: Net,
    mut called: mpsc::Receiver<Call>,
    tell: mpsc::UnboundedSender<NetEvent>,
) {
    loop {
        tokio::select! {
            event = net.next() => drop(tell.send(event)),
            call = called.recv() => match call {
                Some(call) => call(&mut net),
                None => return net.shutdown().await,
            },
        }
    }
}

/// Two members, linked, with a lane between them.
async fn pair(listen: &str) -> (Host, Host) {
    let mesh = Mesh::new(0);
    let mut one = Host::start(1, listen, mesh.member(1)).await;
    let mut two = Host::start(2, listen, mesh.member(2)).await;
    one.dial(&two).await;
    assert_eq!(one.lane_up().await, two.id);
    assert_eq!(two.lane_up().await, one.id);
    (one, two)
}
