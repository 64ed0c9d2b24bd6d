//! The network: what the main loop says to other hosts and hears from them, translated to and
//! from libp2p. It takes no protocol decisions.
//!
//! ```text
//! strangers ──► transport ──► gate ──► swarm ──► gossip, identify, ping, mDNS
//!                 (TCP, QUIC)   │        └─────► lanes ──► main loop
//!                               └─ tokens ─► main loop
//! ```
//!
//! Everything that [`Net::next`] gives is polled in the caller's task; only the encrypted
//! connections have tasks of their own. Nothing is queued without a bound: a lane that is not
//! asked for its bytes stops reading, and then its sender stops.

mod behaviour;
mod crowd;
mod error;
mod event;
mod gate;
mod gossip;
mod join;
mod lane;
mod lanes;
mod links;
mod listen;
mod peer;
mod pulse;
mod ready;
mod transport;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    num::{NonZeroU8, NonZeroUsize},
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    gossipsub::{MessageAcceptance, PublishError as GossipError},
    swarm::{ConnectionId, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use starling_protocols::{
    ident::{Credential, HostId, SecretKey},
    limits::{ADDRESSES_PER_HOST_MAX, GATE_TIMEOUT, GOSSIP_BYTES_MAX},
};
use tokio::sync::mpsc;

pub use self::{
    error::{NetError, PublishError},
    event::{GossipId, JoinAnswer, NetEvent, Verdict},
    join::{JoinError, Joined, redeem},
};

use self::{
    behaviour::Behaviour,
    gate::{AtTheGate, Gate},
    lane::Lane,
    links::Link,
    peer::{keypair, peer_of},
    pulse::Alarm,
    ready::{Bell, Ready, Source},
};

/// What the network is set up with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetConfig {
    /// Where to listen: TCP (`/ip4/0.0.0.0/tcp/4040`) and QUIC
    /// (`/ip4/0.0.0.0/udp/4040/quic-v1`) addresses. Both kinds can be dialled in any case.
    pub listen: Vec<Multiaddr>,
    /// Whether to look for hosts on the local network, and be found there.
    pub mdns: bool,
}

/// Connections are kept until somebody closes them.
const IDLE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long [`Net::shutdown`] waits for lanes, and then again for connections.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);

/// Parts polled in a row without an event before the task yields.
const POLLS_MAX: usize = 64;

/// The network of one host.
pub struct Net {
    swarm: Swarm<Behaviour>,
    host: HostId,
    mesh: String,
    gate: Gate,
    joins: mpsc::Receiver<AtTheGate>,
    links: BTreeMap<HostId, Link>,
    lanes: BTreeMap<HostId, Lane>,
    /// Dials that have been asked for and whose outcome has not been told.
    dialling: BTreeMap<HostId, ConnectionId>,
    lanes_made: u64,
    /// Going down: no lane is opened or accepted any more.
    closing: bool,
    retries: Alarm<HostId>,
    /// What has happened and was not asked for yet. It grows only while one part is polled and by
    /// the main loop's own calls; no part is polled before it is empty.
    events: VecDeque<Told>,
    scratch: Vec<u8>,
    ready: Ready,
    swarm_bell: Bell,
    joins_bell: Bell,
}

/// An event on its way to the main loop, with the generation of the lane that it announces.
struct Told {
    event: NetEvent,
    generation: Option<u64>,
}

/// What only tests set otherwise.
#[derive(Clone, Copy, Debug)]
struct Tuning {
    gate_timeout: Duration,
    /// A task for each connection, or all in the caller's.
    connection_tasks: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { gate_timeout: GATE_TIMEOUT, connection_tasks: true }
    }
}

impl Net {
    /// Starts the network of the host with this key and listens. The addresses follow in
    /// [`NetEvent::Listening`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`NetError`]; nothing listens.
    pub fn new(
        config: &NetConfig,
        key: &SecretKey,
        credential: Credential,
    ) -> Result<Self, NetError> {
        Self::tuned(config, key, credential, Tuning::default())
    }

    fn tuned(
        config: &NetConfig,
        key: &SecretKey,
        credential: Credential,
        tuning: Tuning,
    ) -> Result<Self, NetError> {
        let mesh = credential.mesh();
        let keys = keypair(key);
        let (gate, joins) = Gate::new(key.host(), credential, tuning.gate_timeout);
        let transport = transport::gated(&keys, gate.clone())
            .map_err(|why| NetError::SetUp(why.to_string()))?;
        let behaviour = Behaviour::new(&keys, mesh, config.mdns)?;
        let peer = keys.public().to_peer_id();
        let mut swarm = Swarm::new(transport, behaviour, peer, swarm_config(tuning));
        listen::on_all(&mut swarm, &config.listen)?;
        let ready = Ready::default();
        Ok(Self {
            swarm,
            host: key.host(),
            mesh: mesh.to_string(),
            gate,
            joins,
            links: BTreeMap::new(),
            lanes: BTreeMap::new(),
            dialling: BTreeMap::new(),
            lanes_made: 0,
            closing: false,
            retries: Alarm::new(ready.bell(Source::Clock)),
            events: VecDeque::new(),
            scratch: vec![0; lane::READ_BYTES_MAX],
            swarm_bell: ready.bell(Source::Swarm),
            joins_bell: ready.bell(Source::Joins),
            ready,
        })
    }

    /// What happens next. Cancelling loses nothing.
    pub async fn next(&mut self) -> NetEvent {
        // A busy lane must not keep the connections' own tasks from their turn.
        tokio::task::coop::cooperative(poll_fn(|cx| self.poll_next(cx))).await
    }

    /// Dials a host at these addresses, the best first, one after the other. The outcome is told:
    /// [`NetEvent::LinkUp`] or [`NetEvent::DialFailed`]. While the host is linked or being
    /// dialled, nothing more is done: the outcome was or will be told.
    pub fn dial(&mut self, host: HostId, addresses: &[String]) {
        if self.links.contains_key(&host) || self.dialling.contains_key(&host) {
            return;
        }
        if let Err(why) = self.try_dial(host, addresses) {
            self.tell(NetEvent::DialFailed { host, why });
        }
    }

    fn try_dial(&mut self, host: HostId, addresses: &[String]) -> Result<(), String> {
        let peer = peer_of(host).filter(|_| host != self.host).ok_or("it cannot be dialled")?;
        let usable: Vec<Multiaddr> = addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .take(ADDRESSES_PER_HOST_MAX)
            .collect();
        if usable.is_empty() {
            return Err(format!("none of its {} addresses can be used", addresses.len()));
        }
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(usable)
            // A shared port would make two hosts that dial each other at once meet halfway, both
            // as diallers, and fail.
            .allocate_new_port()
            .build();
        let connection = dial.connection_id();
        self.swarm().dial(dial).map_err(|why| links::dial_error(&why))?;
        self.dialling.insert(host, connection);
        Ok(())
    }

    /// Closes all connections to a host; [`NetEvent::LinkDown`] follows if there were any.
    pub fn disconnect(&mut self, host: HostId) {
        if let Some(peer) = peer_of(host) {
            // The error says that there is no connection, which is what was asked for.
            self.swarm().disconnect_peer_id(peer).ok();
        }
    }

    /// Shows this credential at the gate from now on. Links stay as they are.
    pub fn set_credential(&mut self, credential: Credential) {
        self.gate.set_credential(credential);
    }

    /// Listens to a gossip bucket, `0..GOSSIP_BUCKETS`.
    pub fn subscribe(&mut self, bucket: u8) {
        let Some(topic) = gossip::topic(&self.mesh, bucket) else { return };
        if let Err(why) = self.swarm().behaviour_mut().gossip.subscribe(&topic) {
            tracing::error!(bucket, %why, "gossip refuses a subscription");
        }
    }

    /// Stops listening to a gossip bucket.
    pub fn unsubscribe(&mut self, bucket: u8) {
        let Some(topic) = gossip::topic(&self.mesh, bucket) else { return };
        self.swarm().behaviour_mut().gossip.unsubscribe(&topic);
    }

    /// Gives a message to gossip, which carries it as far as it can.
    ///
    /// # Errors
    /// [`PublishError`]; it went to nobody.
    pub fn publish(&mut self, bucket: u8, bytes: Vec<u8>) -> Result<(), PublishError> {
        let length = bytes.len();
        if length > GOSSIP_BYTES_MAX {
            return Err(PublishError::TooLarge(length));
        }
        let topic = gossip::topic(&self.mesh, bucket).ok_or(PublishError::NoBucket(bucket))?;
        match self.swarm().behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => Ok(()),
            Err(GossipError::NoPeersSubscribedToTopic) => Err(PublishError::NoPeers),
            Err(GossipError::AllQueuesFull(_)) => Err(PublishError::QueueFull),
            Err(GossipError::MessageTooLarge) => Err(PublishError::TooLarge(length)),
            Err(why) => Err(PublishError::Failed(why.to_string())),
        }
    }

    /// Says what becomes of a gossip message. It must be said within five seconds of its event;
    /// after that the message is forgotten and not passed on.
    pub fn judge(&mut self, id: GossipId, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Reject => MessageAcceptance::Reject,
            Verdict::Ignore => MessageAcceptance::Ignore,
        };
        let gossip = &mut self.swarm().behaviour_mut().gossip;
        gossip.report_message_validation_result(&id.message, &id.from, acceptance);
    }

    /// Where this host can be dialled: its listen addresses, wildcards replaced by those of the
    /// interfaces, each ending in its peer id; the best first.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        listen::dialable(self.swarm.listeners(), *self.swarm.local_peer_id())
    }

    /// Writes out what was given to lanes and closes all connections, within a few seconds.
    /// Events that come meanwhile are lost.
    pub async fn shutdown(mut self) {
        if tokio::time::timeout(SHUTDOWN_WAIT, self.close_lanes()).await.is_err() {
            tracing::debug!("not all that was given to lanes has been read in time");
        }
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            self.swarm().disconnect_peer_id(peer).ok();
        }
        drop(tokio::time::timeout(SHUTDOWN_WAIT, self.unlink()).await);
    }

    async fn unlink(&mut self) {
        while !self.links.is_empty() {
            self.next().await;
        }
    }

    /// The swarm, to change something: it is polled again afterwards.
    fn swarm(&mut self) -> &mut Swarm<Behaviour> {
        self.swarm_bell.waker().wake_by_ref();
        &mut self.swarm
    }

    fn tell(&mut self, event: NetEvent) {
        self.events.push_back(Told { event, generation: None });
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<NetEvent> {
        self.ready.register(cx.waker());
        for _ in 0..POLLS_MAX {
            if let Some(told) = self.events.pop_front() {
                return Poll::Ready(self.told(told));
            }
            let Some(source) = self.ready.pop() else { return Poll::Pending };
            self.poll_source(source);
        }
        // A socket whose turn is over rings again at once and gives nothing until this task has
        // yielded: to go on here would be to go on for ever.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_source(&mut self, source: Source) {
        match source {
            Source::Lane(host, generation) => self.poll_lane(host, generation),
            Source::Swarm => self.poll_swarm(),
            Source::Joins => self.poll_joins(),
            Source::Clock => {
                while let Some(host) = self.retries.pop() {
                    self.open_lane(host);
                }
            }
        }
    }

    fn poll_swarm(&mut self) {
        let waker = self.swarm_bell.waker().clone();
        let mut cx = Context::from_waker(&waker);
        if let Poll::Ready(Some(event)) = self.swarm.poll_next_unpin(&mut cx) {
            self.swarm_bell.again();
            self.on_swarm(event);
        }
    }

    fn poll_joins(&mut self) {
        let waker = self.joins_bell.waker().clone();
        let mut cx = Context::from_waker(&waker);
        if let Poll::Ready(Some(stranger)) = self.joins.poll_recv(&mut cx) {
            self.joins_bell.again();
            let AtTheGate { joiner, token, answer } = stranger;
            self.tell(NetEvent::Join { joiner, token, answer });
        }
    }
}

fn swarm_config(tuning: Tuning) -> libp2p::swarm::Config {
    let config = if tuning.connection_tasks {
        libp2p::swarm::Config::with_tokio_executor()
    } else {
        libp2p::swarm::Config::without_executor()
    };
    config
        .with_dial_concurrency_factor(NonZeroU8::MIN)
        .with_idle_connection_timeout(IDLE)
        .with_max_negotiating_inbound_streams(32)
        .with_notify_handler_buffer_size(NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN))
        .with_per_connection_event_buffer_size(16)
}
