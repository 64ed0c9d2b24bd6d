//! Bare gossipsub: hosts of one process, fully meshed over the loopback.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use libp2p::{
    Swarm,
    gossipsub::{Behaviour, Config, ConfigBuilder, Event, IdentTopic, MessageAuthenticity},
    identity::Keypair,
    swarm::SwarmEvent,
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{sleep, timeout},
};

use super::p2p;
use crate::{
    cli::Gossips,
    meter::Meter,
    report::{Outcome, Report},
    run,
};

const NAME: &str = "gossipsub-publish";
const TOPIC: &str = "news";
/// The period at which meshes are mended.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// Time for the meshes to settle once everybody is known.
const SETTLE: Duration = Duration::from_millis(1000);
/// How long everybody may take to know everybody.
const MEET: Duration = Duration::from_secs(8);
/// How long a message may take to reach the last host.
const DELIVERY: Duration = Duration::from_secs(3);
/// Between two messages, for each host: duplicates of the one before go around
/// after its last delivery, and must not slow the next one down.
const PAUSE: Duration = Duration::from_millis(1);

/// What a host tells the measuring task.
enum Note {
    /// A peer of this host subscribed.
    Met,
    /// A message came.
    Came(u64, Instant),
}

fn config(degree: Option<usize>) -> Result<Config> {
    let mut builder = ConfigBuilder::default();
    builder
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT);
    if let Some(degree) = degree {
        builder
            .mesh_n(degree)
            .mesh_n_low(degree - degree / 4)
            .mesh_n_high(degree * 2)
            .mesh_outbound_min(degree / 4);
    }
    Ok(builder.build()?)
}

fn behaviour(key: &Keypair, config: Config) -> Result<Behaviour> {
    let signed = MessageAuthenticity::Signed(key.clone());
    let mut behaviour = Behaviour::new(signed, config).map_err(|error| anyhow!(error))?;
    behaviour.subscribe(&IdentTopic::new(TOPIC))?;
    Ok(behaviour)
}

/// One host: publishes what it is given, notes what comes.
async fn host(mut swarm: Swarm<Behaviour>, mut orders: Receiver<Vec<u8>>, notes: Sender<Note>) {
    let topic = IdentTopic::new(TOPIC);
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let Some(note) = note(event) && notes.send(note).await.is_err() {
                    return;
                }
            }
            Some(body) = orders.recv() => {
                let _ = swarm.behaviour_mut().publish(topic.clone(), body);
            }
        }
    }
}

fn note(event: SwarmEvent<Event>) -> Option<Note> {
    match event {
        SwarmEvent::Behaviour(Event::Subscribed { .. }) => Some(Note::Met),
        SwarmEvent::Behaviour(Event::Message { message, .. }) => {
            let number = u64::from_le_bytes(*message.data.first_chunk()?);
            Some(Note::Came(number, Instant::now()))
        }
        _ => None,
    }
}

/// All hosts, as seen by the measuring task.
struct Mesh {
    orders: Vec<Sender<Vec<u8>>>,
    notes: Receiver<Note>,
    sent: u64,
}

impl Mesh {
    /// Starts the hosts; each dials all that started before it.
    async fn start(hosts: usize, degree: Option<usize>) -> Result<Self> {
        let (sender, notes) = channel(hosts * hosts);
        let mut mesh = Self {
            orders: Vec::new(),
            notes,
            sent: 0,
        };
        let mut addresses = Vec::new();
        for _ in 0..hosts {
            let config = config(degree)?;
            let key = p2p::identity();
            let behaviour = behaviour(&key, config)?;
            let mut swarm = p2p::swarm(key, behaviour)?;
            let address = p2p::listen(&mut swarm).await?;
            for known in &addresses {
                swarm.dial(libp2p::Multiaddr::clone(known))?;
            }
            addresses.push(address);
            let (order, orders) = channel(16);
            mesh.orders.push(order);
            tokio::spawn(host(swarm, orders, sender.clone()));
        }
        let met = timeout(MEET, mesh.meet(hosts * (hosts - 1))).await;
        met.context("the hosts did not meet in time")??;
        sleep(SETTLE).await;
        Ok(mesh)
    }

    async fn meet(&mut self, pairs: usize) -> Result<()> {
        let mut met = 0;
        while met < pairs {
            if let Note::Met = self.notes.recv().await.context("no hosts")? {
                met += 1;
            }
        }
        Ok(())
    }

    /// Publishes at one host: how long until the last of the others had it,
    /// which is the whole deadline if any did not, and how many did not.
    async fn publish(&mut self, bytes: usize) -> Result<(Duration, u64)> {
        self.sent += 1;
        let mut body = vec![7; bytes];
        body[..8].copy_from_slice(&self.sent.to_le_bytes());
        let began = Instant::now();
        self.orders[0].send(body).await?;
        let others = self.orders.len() as u64 - 1;
        let (mut came, mut last) = (0, began);
        let delivery = async {
            while came < others {
                if let Some(Note::Came(number, at)) = self.notes.recv().await
                    && number == self.sent
                {
                    came += 1;
                    last = last.max(at);
                }
            }
        };
        match timeout(DELIVERY, delivery).await {
            Ok(()) => Ok((last.duration_since(began), 0)),
            Err(_) => Ok((DELIVERY, others - came)),
        }
    }
}

/// Measures single messages.
pub fn measure(args: &Gossips) -> Result<Outcome> {
    let Gossips {
        seconds,
        hosts,
        bytes,
        threads,
        mesh_degree,
    } = *args;
    let (meter, lost) = run::as_task(threads, async move {
        let mut mesh = Mesh::start(hosts, mesh_degree).await?;
        let mut meter = Meter::start(seconds, &[])?;
        let mut lost = 0;
        loop {
            let (took, missing) = mesh.publish(bytes).await?;
            lost += missing;
            if !meter.took(1, took, Instant::now()) {
                return Ok((meter, lost));
            }
            sleep(PAUSE * hosts as u32).await;
        }
    })?;
    let mut report = Report::latency(NAME, &meter);
    report.lost = Some(lost);
    report.hosts = Some(hosts);
    report.bytes = Some(bytes);
    Ok(report.into())
}
