//! Messages from one client to many, in rounds.
//!
//! The subscribers are connections of a second process. The last message of a
//! round says so; when every connection has it, that process prints how long
//! the round took since its first message and how many messages came.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, Subscriber};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, future::try_join_all};
use tokio::runtime::Runtime;

use super::{Server, absent, subscribed};
use crate::{
    cli::{Bursts, Publishes},
    meter::Meter,
    peers::p2p::announce,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

const SUBJECT: &str = "news";
/// How long one round may take.
const ROUND: Duration = Duration::from_secs(10);
/// Between two rounds of one message each.
const PAUSE: Duration = Duration::from_millis(2);
/// More than a round has.
const CAPACITY: usize = 200_000;

/// Nanoseconds of the clock that all processes of a machine share.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// When the round began, whether this is its last message, and padding.
fn body(began: u64, last: bool, bytes: usize) -> Bytes {
    let mut body = BytesMut::with_capacity(bytes);
    body.put_u64_le(began);
    body.put_u8(last.into());
    body.resize(bytes, 7);
    body.freeze()
}

/// What the subscribers have of the present round.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    came: u64,
}

/// Subscribes with many connections, after saying so.
pub fn serve(args: &Publishes) -> Result<()> {
    procs::leave_with_parent();
    let url = args.url.clone().context("no server")?;
    let wanted = args.subscribers;
    run::as_task(args.threads, async move {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut readers = Vec::new();
        for _ in 0..wanted {
            let options = async_nats::ConnectOptions::new().subscription_capacity(CAPACITY);
            let client = options.connect(&url).await?;
            let news = subscribed(&client, SUBJECT).await?;
            readers.push(tokio::spawn(follow(
                client,
                news,
                Arc::clone(&tally),
                wanted,
            )));
        }
        announce(&"ready")?;
        try_join_all(readers).await?;
        Ok(())
    })
}

async fn follow(_client: Client, mut news: Subscriber, tally: Arc<Mutex<Tally>>, wanted: usize) {
    let mut came = 0;
    while let Some(message) = news.next().await {
        came += 1;
        if message.payload.get(8) == Some(&1) {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.done += 1;
            tally.came += std::mem::take(&mut came);
            if tally.done == wanted {
                print_round(&message.payload, &std::mem::take(&mut tally));
            }
        }
    }
}

fn print_round(last: &[u8], tally: &Tally) {
    let began = last
        .first_chunk()
        .map_or(0, |began| u64::from_le_bytes(*began));
    let took = clock().saturating_sub(began);
    let _ = announce(&format_args!("{took} {}", tally.came));
}

/// The publishing side.
struct Publisher {
    runtime: Runtime,
    client: Client,
    kid: Kid,
    server: Server,
    bytes: usize,
}

impl Publisher {
    /// Starts a server and the subscribers, if the server is here.
    fn start(subscribers: usize, bytes: usize, threads: usize) -> Result<Option<Self>> {
        let Some(server) = Server::start()? else {
            return Ok(None);
        };
        let (wanted, workers) = (subscribers.to_string(), threads.to_string());
        let args = ["nats-publish", "--serve", "--url", &server.url];
        let sizes = ["--subscribers", &wanted, "--threads", &workers];
        let kid = Kid::of_self(args.iter().chain(&sizes))?;
        kid.line(procs::START)?;
        let runtime = run::runtime(threads)?;
        let client = runtime.block_on(async_nats::connect(&server.url))?;
        Ok(Some(Self {
            runtime,
            client,
            kid,
            server,
            bytes,
        }))
    }

    /// Publishes one round; how long it took, and how many messages came.
    fn round(&self, messages: usize) -> Result<(Duration, u64)> {
        let began = clock();
        let (body, last) = (
            body(began, false, self.bytes),
            body(began, true, self.bytes),
        );
        let client = self.client.clone();
        self.runtime.block_on(async move {
            for _ in 1..messages {
                client.publish(SUBJECT, body.clone()).await?;
            }
            client.publish(SUBJECT, last).await?;
            client.flush().await?;
            anyhow::Ok(())
        })?;
        let line = self.kid.line(ROUND).context("a round did not end")?;
        let (took, came) = line.split_once(' ').context("an unreadable round")?;
        Ok((Duration::from_nanos(took.parse()?), came.parse()?))
    }
}

/// Rounds of some messages each, until the meter ends; how many were lost.
fn rounds(publisher: &Publisher, messages: usize, wanted: usize, meter: &mut Meter) -> Result<u64> {
    let (mut came_in_all, mut sent) = (0, 0);
    loop {
        let before = meter.count();
        let (took, came) = publisher.round(messages)?;
        let on = meter.took(1, took, Instant::now());
        if meter.count() > before {
            came_in_all += came;
            sent += (messages * wanted) as u64;
        }
        if !on {
            return Ok(sent.saturating_sub(came_in_all));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Measures single messages.
pub fn publish(args: &Publishes) -> Result<Outcome> {
    const NAME: &str = "nats-publish";
    let Publishes {
        subscribers,
        bytes,
        threads,
        ..
    } = *args;
    let Some(publisher) = Publisher::start(subscribers, bytes, threads)? else {
        return Ok(absent(NAME));
    };
    let pids = [publisher.kid.pid, publisher.server.kid.pid];
    let mut meter = Meter::start(args.seconds, &pids)?;
    let lost = rounds(&publisher, 1, subscribers, &mut meter)?;
    let mut report = Report::latency(NAME, &meter);
    report.lost = Some(lost);
    report.hosts = Some(subscribers);
    report.bytes = Some(bytes);
    Ok(report.into())
}

/// Measures bursts.
pub fn burst(args: &Bursts) -> Result<Outcome> {
    const NAME: &str = "nats-burst";
    let Bursts {
        subscribers,
        bytes,
        threads,
        count,
        ..
    } = *args;
    let Some(publisher) = Publisher::start(subscribers, bytes, threads)? else {
        return Ok(absent(NAME));
    };
    let pids = [publisher.kid.pid, publisher.server.kid.pid];
    let mut meter = Meter::start(args.seconds, &pids)?;
    let lost = rounds(&publisher, count, subscribers, &mut meter)?;
    ensure!(meter.count() > 0, "no burst ended in time");
    let mut report = Report::latency(NAME, &meter);
    report.unit = "ms";
    report.value = crate::report::round(report.value / 1000.0);
    report.lost = Some(lost);
    report.hosts = Some(subscribers);
    report.bytes = Some(bytes);
    report.outstanding = Some(count);
    Ok(report.into())
}
