//! The peer of Starling's simulator: a mesh of hosts on turmoil, idle or busy.
//!
//! Every host is connected to every other, or to its 64 nearest on a ring where there are more
//! than 65. Idle, each connection carries a ping of 32 bytes and its echo every 15 seconds. Busy,
//! every host also asks one of those it is connected to about every 450 ms, with 64 bytes each way.
//!
//! Prints one line of JSON: virtual seconds for each second of the wall.
#![forbid(unsafe_code)]

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex,
    time::{interval, sleep, timeout},
};
use turmoil::{
    Builder,
    net::{TcpListener, TcpStream},
};

const PORT: u16 = 4001;
const LINKS_MAX: usize = 64;
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(30);
const PING_BYTES: usize = 32;
const ASK_BYTES: usize = 64;

type Failed = Box<dyn std::error::Error>;

/// A mesh of hosts on turmoil.
#[derive(Clone, Debug, Parser)]
struct Cli {
    /// Hosts.
    #[arg(long, default_value_t = 100)]
    hosts: usize,
    /// Virtual seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Milliseconds of one tick; one is turmoil's own default.
    #[arg(long, default_value_t = 1)]
    tick: u64,
    /// Ask, instead of pinging only.
    #[arg(long)]
    busy: bool,
    /// Decides the latencies.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Default)]
struct Counts {
    connections: Arc<AtomicU64>,
    echoes: Arc<AtomicU64>,
}

fn main() -> Result<(), Failed> {
    let cli = Cli::parse();
    let counts = Counts::default();
    let began = Instant::now();
    let mut sim = Builder::new()
        .simulation_duration(Duration::from_secs(cli.seconds + 60))
        .tick_duration(Duration::from_millis(cli.tick))
        .min_message_latency(Duration::from_micros(250))
        .max_message_latency(Duration::from_micros(950))
        .rng_seed(cli.seed)
        .build();
    for me in 0..cli.hosts {
        let (cli, counts) = (cli.clone(), counts.clone());
        sim.host(name(me), move || run(me, cli.clone(), counts.clone()));
    }
    let seconds = Duration::from_secs(cli.seconds);
    sim.client("end", async move {
        sleep(seconds).await;
        Ok(())
    });
    sim.run()?;
    let wall = began.elapsed().as_secs_f64();
    let line = json!({
        "name": if cli.tick == 1 { "turmoil".into() } else { format!("turmoil, {} ms", cli.tick) },
        "unit": "virtual s/s",
        "value": cli.seconds as f64 / wall,
        "hosts": cli.hosts,
        "virtual_seconds": cli.seconds,
        "wall_seconds": wall,
        "connections": counts.connections.load(Ordering::Relaxed),
        "count": counts.echoes.load(Ordering::Relaxed),
    });
    println!("{line}");
    Ok(())
}

fn name(host: usize) -> String {
    format!("host-{host}")
}

/// The hosts that a host is connected to.
fn neighbours(me: usize, hosts: usize) -> Vec<usize> {
    let others = hosts - 1;
    let half = LINKS_MAX / 2;
    let ahead = 1..=if others <= LINKS_MAX { others } else { half };
    let behind = if others <= LINKS_MAX { 1..=0 } else { 1..=half };
    let after = ahead.map(|step| (me + step) % hosts);
    after.chain(behind.map(|step| (me + hosts - step) % hosts)).collect()
}

async fn run(me: usize, cli: Cli, counts: Counts) -> Result<(), Failed> {
    let mut links = Vec::new();
    for peer in neighbours(me, cli.hosts) {
        // Idle, one of the two dials; busy, both do, and each asks over its own.
        if cli.busy || peer > me {
            let link = Arc::new(Mutex::new(None));
            links.push(link.clone());
            tokio::spawn(keep(peer, link, counts.clone()));
        }
    }
    if cli.busy && !links.is_empty() {
        tokio::spawn(ask(me, links, counts.clone()));
    }
    let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

/// Says back what it reads: frames of one byte for their length, and that.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut frame = [0; 256];
    loop {
        let length = usize::from(stream.read_u8().await?);
        stream.read_exact(&mut frame[1..=length]).await?;
        frame[0] = length as u8;
        stream.write_all(&frame[..=length]).await?;
    }
}

/// Connects, and pings for as long as the connection holds.
async fn keep(peer: usize, link: Arc<Mutex<Option<TcpStream>>>, counts: Counts) {
    let stream = loop {
        match TcpStream::connect((name(peer), PORT)).await {
            Ok(stream) => break stream,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    counts.connections.fetch_add(1, Ordering::Relaxed);
    *link.lock().await = Some(stream);
    let mut every = interval(PING_EVERY);
    loop {
        every.tick().await;
        let mut open = link.lock().await;
        let Some(stream) = open.as_mut() else { return };
        let echoed = timeout(PING_TIMEOUT, echo(stream, PING_BYTES)).await;
        if !matches!(echoed, Ok(Ok(()))) {
            *open = None;
            return;
        }
        counts.echoes.fetch_add(1, Ordering::Relaxed);
    }
}

async fn echo(stream: &mut TcpStream, bytes: usize) -> io::Result<()> {
    let mut frame = [7; 256];
    frame[0] = bytes as u8;
    stream.write_all(&frame[..=bytes]).await?;
    stream.read_exact(&mut frame[..=bytes]).await?;
    Ok(())
}

/// Asks one after the other of its peers, with pauses of 300 to 600 ms.
async fn ask(me: usize, links: Vec<Arc<Mutex<Option<TcpStream>>>>, counts: Counts) {
    let mut state = me as u64 + 1;
    loop {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = (state >> 33) as usize;
        sleep(Duration::from_millis(300 + (drawn % 300) as u64)).await;
        let (link, counts) = (links[drawn % links.len()].clone(), counts.clone());
        tokio::spawn(async move {
            if let Some(stream) = link.lock().await.as_mut()
                && echo(stream, ASK_BYTES).await.is_ok()
            {
                counts.echoes.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}
