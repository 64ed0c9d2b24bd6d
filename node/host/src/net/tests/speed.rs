//! How fast a lane is, on the loopback. Not a test of anything: run it by hand, optimised, with
//! `cargo test --release -p starling-node lane_speed -- --ignored --nocapture`.

#![expect(clippy::disallowed_types, reason = "it measures")]

use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use super::*;

const MESSAGE: usize = 64;
const ROUNDS: usize = 20_000;
const BUFFER_MESSAGES: usize = 256;
const OUTSTANDING_MAX: usize = 16 * BUFFER_MESSAGES;
const FOR: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Setting {
    listen: &'static str,
    /// Worker threads for each host; none is a runtime on one thread.
    workers: usize,
    connection_tasks: bool,
    /// A task and two channels between the lane and who uses it, as a reader and a writer task
    /// for each lane would have it.
    hop: bool,
    /// Whether the user of the lane is a task among others, or what the runtime was made for.
    spawned: bool,
}

async fn maybe_spawned(spawned: bool, work: impl Future<Output = ()> + Send + 'static) {
    if spawned { tokio::spawn(work).await.expect("it ends") } else { work.await }
}

fn runtime(workers: usize) -> Runtime {
    let builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let mut builder = builder;
    builder.enable_all().worker_threads(workers.max(1)).build().expect("a runtime")
}

/// The use of one lane: bytes in, buffers out.
enum Line {
    Direct(Box<Net>, HostId),
    Hop(mpsc::Receiver<Vec<u8>>, mpsc::Sender<Vec<u8>>),
}

impl Line {
    fn new(net: Net, other: HostId, hop: bool) -> Self {
        if !hop {
            return Self::Direct(Box::new(net), other);
        }
        let (tell, told) = mpsc::channel(16);
        let (give, given) = mpsc::channel(1);
        tokio::spawn(hop_task(net, other, tell, given));
        Self::Hop(told, give)
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Direct(net, _) => loop {
                match net.next().await {
                    NetEvent::LaneBytes { bytes, .. } => return Some(bytes),
                    NetEvent::LinkDown { .. } => return None,
                    NetEvent::LaneWritable { .. } => return Some(vec![]),
                    _ => {}
                }
            },
            Self::Hop(told, _) => told.recv().await,
        }
    }

    /// Sends what is there if the lane takes it now.
    fn send(&mut self, bytes: &mut Vec<u8>) {
        match self {
            _ if bytes.is_empty() => {}
            Self::Direct(net, other) => {
                if net.lane_ready(*other) {
                    net.lane_send(*other, std::mem::take(bytes));
                }
            }
            Self::Hop(_, give) => {
                if let Ok(place) = give.try_reserve() {
                    place.send(std::mem::take(bytes));
                }
            }
        }
    }
}

async fn hop_task(
    mut net: Net,
    other: HostId,
    tell: mpsc::Sender<Vec<u8>>,
    mut given: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let ready = net.lane_ready(other);
        tokio::select! {
            event = net.next() => match event {
                NetEvent::LaneBytes { bytes, .. } => drop(tell.send(bytes).await),
                NetEvent::LinkDown { .. } => return,
                _ => drop(tell.try_send(vec![])),
            },
            bytes = given.recv(), if ready => match bytes {
                Some(bytes) => net.lane_send(other, bytes),
                None => return,
            },
        }
    }
}

async fn up(net: &mut Net) -> HostId {
    loop {
        if let NetEvent::LaneUp { host } = net.next().await {
            return host;
        }
    }
}

fn start(n: u8, setting: Setting) -> Net {
    let listen = vec![setting.listen.parse().expect("an address")];
    let tuning = Tuning { connection_tasks: setting.connection_tasks, ..Tuning::default() };
    let config = NetConfig { listen, mdns: false };
    Net::tuned(&config, &key(n), Mesh::new(0).member(n), tuning).expect("a port")
}

async fn echo(setting: Setting, tell: std::sync::mpsc::Sender<Vec<String>>) {
    let mut net = start(2, setting);
    loop {
        if let NetEvent::Listening { addresses } = net.next().await {
            tell.send(addresses).expect("somebody waits");
            break;
        }
    }
    let other = up(&mut net).await;
    let mut line = Line::new(net, other, setting.hop);
    let mut back = Vec::new();
    while let Some(bytes) = line.receive().await {
        back.extend(bytes);
        line.send(&mut back);
    }
}

async fn round_trips(line: &mut Line) -> Vec<Duration> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let mut message = vec![1; MESSAGE];
        let mut missing = MESSAGE;
        while missing > 0 {
            line.send(&mut message);
            missing -= line.receive().await.expect("the other end is up").len();
        }
        times.push(begin.elapsed());
    }
    times.sort();
    times
}

async fn messages_per_second(line: &mut Line) -> f64 {
    let begin = Instant::now();
    let (mut sent, mut echoed) = (0, 0);
    let mut buffer = Vec::new();
    while begin.elapsed() < FOR {
        while sent - echoed / MESSAGE < OUTSTANDING_MAX {
            if buffer.is_empty() {
                buffer = vec![2; BUFFER_MESSAGES * MESSAGE];
            }
            line.send(&mut buffer);
            if !buffer.is_empty() {
                break;
            }
            sent += BUFFER_MESSAGES;
        }
        echoed += line.receive().await.expect("the other end is up").len();
    }
    (echoed / MESSAGE) as f64 / begin.elapsed().as_secs_f64()
}

#[allow(clippy::print_stdout, reason = "the figures are what this is for")]
fn measure(setting: Setting) {
    let (tell, told) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        runtime(setting.workers).block_on(maybe_spawned(setting.spawned, echo(setting, tell)));
    });
    let addresses = told.recv().expect("it listens");
    runtime(setting.workers).block_on(maybe_spawned(setting.spawned, async move {
        let mut net = start(1, setting);
        let host = key(2).host();
        net.dial(host, &addresses);
        up(&mut net).await;
        let mut line = Line::new(net, host, setting.hop);
        let times = round_trips(&mut line).await;
        let rate = messages_per_second(&mut line).await;
        let [p50, p99] = [50, 99].map(|part| times[ROUNDS * part / 100].as_nanos() / 1000);
        println!("{setting:?}: round trip {p50} µs, p99 {p99} µs; {rate:.0} echoes/s");
    }));
    other.join().expect("it ends");
}

#[test]
#[ignore = "a measurement"]
fn lane_speed() {
    for listen in [TCP, QUIC] {
        for (workers, connection_tasks, hop, spawned) in [
            (0, true, false, false),
            (0, false, false, false),
            (0, true, true, false),
            (2, true, false, false),
            (2, false, false, false),
            (2, true, true, false),
            (2, true, false, true),
            (2, true, true, true),
        ] {
            measure(Setting { listen, workers, connection_tasks, hop, spawned });
        }
    }
}
