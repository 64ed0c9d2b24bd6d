//! Contracts as scatter and gather: a request to all bidders, their bids to an
//! inbox, the award to the cheapest of them, and its report.
//!
//! The bidders are subscriptions of ten connections in as many processes; that
//! of the manager is one of them. All that comes for the manager comes to one
//! subscription, so that a contract costs no subscriptions of its own.

use std::{collections::HashMap, time::Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, Message, Subscriber};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, future::try_join_all, stream::select_all};

use super::{Server, absent, subscribed};
use crate::{
    cli::Contracts,
    meter::Meter,
    peers::p2p::announce,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

/// Processes, each with its share of the bidders.
const HOSTS: usize = 10;
/// Where work is announced.
const WORK: &str = "work";

/// What bids and reports say: the contract, who, at which cost, and padding.
#[derive(Debug, Clone, Copy)]
struct Told {
    contract: u64,
    bidder: u64,
    cost: u64,
}

impl Told {
    fn write(self, bytes: usize) -> Bytes {
        let mut body = BytesMut::with_capacity(bytes);
        body.put_u64_le(self.contract);
        body.put_u64_le(self.bidder);
        body.put_u64_le(self.cost);
        body.resize(bytes, 7);
        body.freeze()
    }

    fn read(body: &Bytes) -> Result<Self> {
        let mut body = body.as_ref();
        ensure!(body.len() >= 24, "a message is too short");
        let [contract, bidder, cost] = [(); 3].map(|()| body.get_u64_le());
        Ok(Self {
            contract,
            bidder,
            cost,
        })
    }
}

/// Bids and works in one process, after saying so.
pub fn serve(args: &Contracts) -> Result<()> {
    procs::leave_with_parent();
    let url = args.url.clone().context("no server")?;
    let args = args.clone();
    run::as_task(args.threads, async move {
        let client = async_nats::connect(url).await?;
        let bidders = bidders(&client, &args).await?;
        announce(&"ready")?;
        try_join_all(bidders).await?;
        Ok(())
    })
}

type Bidding = tokio::task::JoinHandle<()>;

/// Subscribes all bidders of one process.
async fn bidders(client: &Client, args: &Contracts) -> Result<Vec<Bidding>> {
    let mut bidders = Vec::new();
    for bidder in (args.share..args.bidders).step_by(HOSTS) {
        let work = client.subscribe(WORK).await?;
        let awards = client.subscribe(format!("award.{bidder}")).await?;
        let rejections = client.subscribe(format!("reject.{bidder}")).await?;
        let bidder = Bidder {
            client: client.clone(),
            number: bidder as u64,
            bytes: args.bytes,
        };
        bidders.push(tokio::spawn(async move {
            // The connection has ended, and so does the process.
            let _ = bidder.follow([work, awards, rejections]).await;
        }));
    }
    subscribed(client, "ready").await?;
    Ok(bidders)
}

struct Bidder {
    client: Client,
    number: u64,
    bytes: usize,
}

impl Bidder {
    async fn follow(self, subjects: [Subscriber; 3]) -> Result<()> {
        let mut bids = 0;
        let mut messages = select_all(subjects);
        while let Some(message) = messages.next().await {
            // Rejections want no answer.
            let Some(reply) = message.reply.clone() else {
                continue;
            };
            let contract = Told::read(&message.payload)?.contract;
            bids += u64::from(message.subject.as_str() == WORK);
            let told = Told {
                contract,
                bidder: self.number,
                cost: cost(self.number, bids),
            };
            self.client.publish(reply, told.write(self.bytes)).await?;
        }
        Ok(())
    }
}

/// A cost that differs from bidder to bidder and from bid to bid.
fn cost(bidder: u64, bid: u64) -> u64 {
    ((bidder << 40) ^ bid).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// A contract under way.
struct Open {
    since: Instant,
    bids: Vec<(u64, u64)>,
    winner: Option<u64>,
}

/// The side that announces.
struct Manager {
    client: Client,
    inbox: String,
    next: u64,
    open: HashMap<u64, Open>,
    bidders: usize,
    bytes: usize,
    reject: bool,
}

impl Manager {
    async fn announce(&mut self) -> Result<()> {
        self.next += 1;
        let contract = self.next;
        let open = Open {
            since: Instant::now(),
            bids: Vec::with_capacity(self.bidders),
            winner: None,
        };
        self.open.insert(contract, open);
        self.send(WORK.into(), contract, format!("{}.bid", self.inbox))
            .await
    }

    async fn send(&self, subject: String, contract: u64, reply: String) -> Result<()> {
        let told = Told {
            contract,
            bidder: 0,
            cost: 0,
        };
        let body = told.write(self.bytes);
        Ok(self.client.publish_with_reply(subject, reply, body).await?)
    }

    /// Takes what came. Gives since when a contract was under way that it ends.
    async fn take(&mut self, message: &Message) -> Result<Option<Instant>> {
        let told = Told::read(&message.payload)?;
        let open = self.open.get_mut(&told.contract);
        let open = open.context("of no contract under way")?;
        if message.subject.ends_with(".report") {
            ensure!(open.winner == Some(told.bidder), "not granted to it");
            let open = self.open.remove(&told.contract);
            return Ok(open.map(|open| open.since));
        }
        open.bids.push((told.cost, told.bidder));
        if open.bids.len() < self.bidders {
            return Ok(None);
        }
        let best = open.bids.iter().min().context("no bids")?.1;
        open.winner = Some(best);
        let losers: Vec<u64> = open.bids.iter().map(|(_, bidder)| *bidder).collect();
        let reply = format!("{}.report", self.inbox);
        self.send(format!("award.{best}"), told.contract, reply)
            .await?;
        if self.reject {
            for loser in losers.into_iter().filter(|bidder| *bidder != best) {
                let contract = Bytes::copy_from_slice(&told.contract.to_le_bytes());
                self.client
                    .publish(format!("reject.{loser}"), contract)
                    .await?;
            }
        }
        Ok(None)
    }
}

/// Measures contracts until the time is over.
pub fn measure(args: &Contracts) -> Result<Outcome> {
    let name = if args.reject {
        "nats-contracts-rejecting"
    } else {
        "nats-contracts"
    };
    let Some(server) = Server::start()? else {
        return Ok(absent(name));
    };
    let mut kids = Vec::new();
    for share in 1..HOSTS {
        kids.push(Kid::of_self(args.serving(share, &server.url))?);
    }
    for kid in &kids {
        kid.line(procs::START)?;
    }
    let mut pids: Vec<u32> = kids.iter().map(|kid| kid.pid).collect();
    pids.push(server.kid.pid);
    let (url, own) = (server.url.clone(), args.clone());
    let meter = run::as_task(args.threads, async move {
        let client = async_nats::connect(url).await?;
        let _bidders = bidders(&client, &own).await?;
        let meter = Meter::start(own.seconds, &pids)?;
        negotiate(client, &own, meter).await
    })?;
    let mut report = Report::rate(name, "/s", &meter);
    report.hosts = Some(HOSTS);
    report.bytes = Some(args.bytes);
    report.outstanding = Some(args.outstanding);
    Ok(report.into())
}

async fn negotiate(client: Client, args: &Contracts, mut meter: Meter) -> Result<Meter> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(format!("{inbox}.*")).await?;
    let mut manager = Manager {
        client,
        inbox,
        next: 0,
        open: HashMap::new(),
        bidders: args.bidders,
        bytes: args.bytes,
        reject: args.reject,
    };
    for _ in 0..args.outstanding {
        manager.announce().await?;
    }
    loop {
        let message = answers.next().await.context("the server hung up")?;
        let Some(since) = manager.take(&message).await? else {
            continue;
        };
        if !meter.timed(1, since, Instant::now()) {
            return Ok(meter);
        }
        manager.announce().await?;
    }
}
