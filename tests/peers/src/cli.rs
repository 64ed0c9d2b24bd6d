//! The command line.

use anyhow::Result;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::{
    peers::{
        actix_local, gossip, kameo_local, kameo_remote, nats, p2p_request, p2p_stream,
        ractor_local, serf, tcp_echo, tokio_mpsc,
    },
    procs,
    report::Outcome,
};

/// Measures what other systems reach, one line of JSON each.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// The peer to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// Requests between two processes.
#[derive(Debug, Clone, Args)]
pub struct Requests {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Requests kept under way.
    #[arg(long, default_value_t = 64, value_parser = between::<1, 1024>)]
    pub outstanding: usize,
    /// Bytes of a request's body, and of its answer's.
    #[arg(long, default_value_t = 128, value_parser = between::<16, 4096>)]
    pub bytes: usize,
    /// Threads of each process; one is the process's own.
    #[arg(long, default_value_t = 1, value_parser = between::<1, 64>)]
    pub threads: usize,
    /// Be the process that answers.
    #[arg(long, hide = true)]
    pub serve: bool,
    /// Where the server of the peer is.
    #[arg(long, hide = true)]
    pub url: Option<String>,
}

impl Requests {
    /// The arguments of the process that answers.
    pub fn serving(&self, name: &str) -> Vec<String> {
        let threads = self.threads.to_string();
        [name, "--serve", "--threads", &threads]
            .map(String::from)
            .to_vec()
    }
}

/// Requests between two agents of one thread.
#[derive(Debug, Clone, Args)]
pub struct Asks {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Requests kept under way.
    #[arg(long, default_value_t = 64, value_parser = between::<1, 1024>)]
    pub outstanding: usize,
}

/// Messages between two agents of one thread.
#[derive(Debug, Clone, Args)]
pub struct Tells {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
}

/// Starting and stopping small agents.
#[derive(Debug, Clone, Args)]
pub struct Spawns {
    /// Agents.
    #[arg(long, default_value_t = 100_000, value_parser = between::<100, 1_000_000>)]
    pub count: usize,
}

/// Messages to many, one after the other.
#[derive(Debug, Clone, Args)]
pub struct Publishes {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Connections, or hosts, that each get every message.
    #[arg(long, visible_alias = "hosts", default_value_t = 10, value_parser = between::<2, 100>)]
    pub subscribers: usize,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 128, value_parser = between::<32, 4096>)]
    pub bytes: usize,
    /// Threads of each process; one is the process's own.
    #[arg(long, default_value_t = 1, value_parser = between::<1, 64>)]
    pub threads: usize,
    /// Be the process that subscribes.
    #[arg(long, hide = true)]
    pub serve: bool,
    /// Where the server of the peer is.
    #[arg(long, hide = true)]
    pub url: Option<String>,
}

/// Many messages to many, at once.
#[derive(Debug, Clone, Args)]
pub struct Bursts {
    /// Connections that each get every message.
    #[arg(long, visible_alias = "hosts", default_value_t = 30, value_parser = between::<2, 100>)]
    pub subscribers: usize,
    /// Messages of a burst.
    #[arg(long, default_value_t = 2000, value_parser = between::<1, 100_000>)]
    pub count: usize,
    /// Seconds in which bursts are started, after a first one to warm up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 128, value_parser = between::<32, 4096>)]
    pub bytes: usize,
    /// Threads of each process; one is the process's own.
    #[arg(long, default_value_t = 2, value_parser = between::<1, 64>)]
    pub threads: usize,
}

/// Work announced to many, granted to one of them, and reported.
#[derive(Debug, Clone, Args)]
pub struct Contracts {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Bidders, all of which bid each time.
    #[arg(long, default_value_t = 30, value_parser = between::<10, 1000>)]
    pub bidders: usize,
    /// Contracts kept under way.
    #[arg(long, default_value_t = 1, value_parser = between::<1, 1024>)]
    pub outstanding: usize,
    /// Bytes of what is announced, bid, awarded and reported, each.
    #[arg(long, default_value_t = 64, value_parser = between::<24, 4096>)]
    pub bytes: usize,
    /// Tell those who are not awarded the work that they are not.
    #[arg(long)]
    pub reject: bool,
    /// Threads of each process; one is the process's own.
    #[arg(long, default_value_t = 1, value_parser = between::<1, 64>)]
    pub threads: usize,
    /// Be a process that bids.
    #[arg(long, hide = true)]
    pub serve: bool,
    /// The first of the bidders of this process.
    #[arg(long, hide = true, default_value_t = 0)]
    pub share: usize,
    /// Where the server of the peer is.
    #[arg(long, hide = true)]
    pub url: Option<String>,
}

impl Contracts {
    /// The arguments of a process that bids.
    pub fn serving(&self, share: usize, url: &str) -> Vec<String> {
        let numbers = [share, self.bidders, self.bytes, self.threads].map(|of| of.to_string());
        let [share, bidders, bytes, threads] = numbers.each_ref().map(String::as_str);
        let what = ["nats-contracts", "--serve", "--url", url, "--share", share];
        let sizes = ["--bidders", bidders, "--bytes", bytes, "--threads", threads];
        what.into_iter().chain(sizes).map(String::from).collect()
    }
}

/// Messages through a gossip overlay, one after the other.
#[derive(Debug, Clone, Args)]
pub struct Gossips {
    /// Seconds measured, after a warm-up.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
    /// Hosts, of which all but one get every message.
    #[arg(long, default_value_t = 10, value_parser = between::<2, 100>)]
    pub hosts: usize,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 128, value_parser = between::<32, 4096>)]
    pub bytes: usize,
    /// Threads that all hosts share.
    #[arg(long, default_value_t = 2, value_parser = between::<1, 64>)]
    pub threads: usize,
    /// Peers in each host's mesh; without it, gossipsub's own default.
    #[arg(long, value_parser = between::<2, 64>)]
    pub mesh_degree: Option<usize>,
}

/// Events in a cluster of agents.
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// Seconds in which events are sent, after a first one to warm up.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Agents of the cluster.
    #[arg(long, default_value_t = 10, value_parser = between::<2, 30>)]
    pub hosts: usize,
}

/// One peer each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the names of all peers.
    List,
    /// Requests over one bare TCP connection: the floor.
    TcpEcho(Requests),
    /// Requests over one long-lived libp2p stream.
    Libp2pStream(Requests),
    /// Requests by libp2p's request-response behaviour.
    Libp2pRequestResponse(Requests),
    /// Requests to a remote actor of kameo.
    KameoRemote(Requests),
    /// Requests over NATS.
    Nats(Requests),
    /// Local requests to an actor of kameo.
    KameoAsk(Asks),
    /// Local messages to an actor of kameo.
    KameoTell(Tells),
    /// Actors of kameo, started and stopped.
    KameoSpawn(Spawns),
    /// Local requests to an actor of ractor.
    RactorAsk(Asks),
    /// Local messages to an actor of ractor.
    RactorTell(Tells),
    /// Actors of ractor, started and stopped.
    RactorSpawn(Spawns),
    /// Local requests to an actor of actix.
    ActixAsk(Asks),
    /// Local messages to an actor of actix.
    ActixTell(Tells),
    /// Actors of actix, started and stopped.
    ActixSpawn(Spawns),
    /// Local messages over a channel of tokio: the floor.
    TokioMpsc(Tells),
    /// Messages over NATS, until the last subscriber has each.
    NatsPublish(Publishes),
    /// A burst over NATS, until the last subscriber has all of it.
    NatsBurst(Bursts),
    /// Contracts over NATS, written as scatter and gather.
    NatsContracts(Contracts),
    /// Messages over gossipsub, until the last host has each.
    GossipsubPublish(Gossips),
    /// Events of Serf, until the last agent's handler has run.
    Serf(Events),
    /// Runs a program and ends it when standard input closes.
    #[command(hide = true)]
    Guard {
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

impl Command {
    /// Runs one peer; nothing comes of the processes that only serve.
    pub fn run(self) -> Result<Option<Outcome>> {
        match self {
            Self::List => Ok(list()),
            Self::Guard { command } => procs::guard(&command).map(|()| None),
            Self::TcpEcho(args) if args.serve => tcp_echo::serve(&args).map(|()| None),
            Self::Libp2pStream(args) if args.serve => p2p_stream::serve(&args).map(|()| None),
            Self::Libp2pRequestResponse(args) if args.serve => {
                p2p_request::serve(&args).map(|()| None)
            }
            Self::KameoRemote(args) if args.serve => kameo_remote::serve(&args).map(|()| None),
            Self::Nats(args) if args.serve => nats::requests::serve(&args).map(|()| None),
            Self::NatsPublish(args) if args.serve => nats::fan_out::serve(&args).map(|()| None),
            Self::NatsContracts(args) if args.serve => nats::contracts::serve(&args).map(|()| None),
            peer => peer.measure().map(Some),
        }
    }

    fn measure(self) -> Result<Outcome> {
        match self {
            Self::TcpEcho(args) => tcp_echo::measure(&args),
            Self::Libp2pStream(args) => p2p_stream::measure(&args),
            Self::Libp2pRequestResponse(args) => p2p_request::measure(&args),
            Self::KameoRemote(args) => kameo_remote::measure(&args),
            Self::Nats(args) => nats::requests::measure(&args),
            Self::KameoAsk(args) => kameo_local::ask(&args),
            Self::KameoTell(args) => kameo_local::tell(&args),
            Self::KameoSpawn(args) => kameo_local::spawn(&args),
            Self::RactorAsk(args) => ractor_local::ask(&args),
            Self::RactorTell(args) => ractor_local::tell(&args),
            Self::RactorSpawn(args) => ractor_local::spawn(&args),
            Self::ActixAsk(args) => actix_local::ask(&args),
            Self::ActixTell(args) => actix_local::tell(&args),
            Self::ActixSpawn(args) => actix_local::spawn(&args),
            Self::TokioMpsc(args) => tokio_mpsc::tell(&args),
            Self::NatsPublish(args) => nats::fan_out::publish(&args),
            Self::NatsBurst(args) => nats::fan_out::burst(&args),
            Self::NatsContracts(args) => nats::contracts::measure(&args),
            Self::GossipsubPublish(args) => gossip::measure(&args),
            Self::Serf(args) => serf::measure(&args),
            Self::List | Self::Guard { .. } => anyhow::bail!("not a peer"),
        }
    }
}

fn list() -> Option<Outcome> {
    let command = Cli::command();
    let peers = command.get_subcommands().filter(|peer| !peer.is_hide_set());
    for peer in peers.filter(|peer| peer.get_name() != "list") {
        println!("{}", peer.get_name());
    }
    None
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=15.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds are from 0.1 to 15".into()),
    }
}

fn between<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("a number from {LEAST} to {MOST}")),
    }
}
