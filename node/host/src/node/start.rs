use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use starling_core::{
    engine::{Config as EngineConfig, Engine, Kinds, Known, Recording},
    society,
};
use starling_protocols::{
    admission::{Invite, Ledger, Token, TokenError},
    ident::{Credential, HostId, MeshId, SecretKey, Signed},
    replica::Replicas,
    roster::HostRecord,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use super::{End, Node, answers::Waiting, events::EventLog};
use crate::{
    api::{self, Code, Problem},
    clock::{self, Clock},
    config::Config,
    control::{ControlError, Handle, Journals, Server},
    disk::{Disk, DiskError},
    documents::{self, Documents, DocumentsError},
    journal::{self, Journal, JournalError},
    net::{self, JoinError, Joined, Net, NetConfig, NetError},
};

/// Things to do for tasks beside the main loop that may wait for it.
const JOBS_WAITING_MAX: usize = 256;

/// How long the ports of a life that has ended are waited for, and how often they are tried.
const PORTS_WAIT: Duration = Duration::from_secs(10);
const PORTS_LOOK: Duration = Duration::from_millis(50);

/// How long records of hosts are gathered before they are written.
const PEERS_SETTLE: Duration = Duration::from_millis(200);

/// Why a daemon does not run. What it had stored is untouched.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The documents cannot be used.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// The network cannot be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The control socket cannot be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The operating system gives no randomness or signals.
    #[error("the operating system fails this process: {0}")]
    System(std::io::Error),
    /// The stored membership is not good.
    #[error("the membership stored in {dir} is not good: {why}; join again with a new token")]
    Membership {
        /// The data directory.
        dir: String,
        /// What is wrong.
        why: starling_protocols::ident::CredentialError,
    },
    /// There is a membership, and no key to go with it.
    #[error(
        "{} is missing, though this host belongs to a mesh: restore it from a backup, or move the \
         whole data directory away and join anew", .0.display()
    )]
    KeyMissing(std::path::PathBuf),
    /// An address to listen on is none.
    #[error("{0:?} is no address to listen on; one looks like /ip4/0.0.0.0/tcp/4077")]
    Address(String),
    /// The token is not good, or joining failed, or must not be tried.
    #[error(transparent)]
    Join(#[from] Problem),
}

/// A mesh was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Its first host.
    pub host: HostId,
    /// The mesh.
    pub mesh: MeshId,
}

/// Runs a daemon with these kinds of agents until it is told to go down, by a signal or by
/// `p2p down`. On a machine with nothing it makes an identity and a mesh of one host.
///
/// ```no_run
/// # async fn daemon() -> Result<(), Box<dyn std::error::Error>> {
/// use starling_node::{Config, Kinds, Overrides, run};
/// let config = Config::load(&Overrides::default())?;
/// run(config, Kinds::new()).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`NodeError`] says what keeps it from running.
pub async fn run(config: Config, agents: Kinds) -> Result<(), NodeError> {
    // As a task of its own, because waking what a runtime blocks on takes a system call.
    let running = tokio::spawn(run_lives(config, agents));
    running.await.map_err(|why| NodeError::System(std::io::Error::other(why)))?
}

/// Runs one life after the other: each mesh that the host joins begins a new one.
async fn run_lives(config: Config, agents: Kinds) -> Result<(), NodeError> {
    let disk = Arc::new(Disk::open(&config.data_dir)?);
    let (handle, mut calls) = Handle::new();
    let stop = CancellationToken::new();
    let server = Server::bind(&config.control_socket()).await?;
    let refused = server.refused();
    let mut signals = Signals::new().map_err(NodeError::System)?;
    let journals = Journals::new(config.journal_dir(), society::with_residents(agents.clone()));
    let serving = tokio::spawn(server.serve(handle, journals, stop.clone()));
    let mut patience = Duration::ZERO;
    let result = loop {
        let (jobs, job_queue) = mpsc::channel(JOBS_WAITING_MAX);
        let node = Node::start(&config, &disk, &agents, &jobs, &refused, patience).await;
        let node = match node {
            Ok(node) => node,
            Err(why) => break Err(why),
        };
        drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
        // So that the queue closes when the node is gone.
        drop(jobs);
        match node.run(&mut calls, job_queue, &mut signals).await {
            Err(why) => break Err(why),
            Ok(End::Down) => break Ok(()),
            Ok(End::Rejoined) => tracing::info!("starting anew in the other mesh"),
        }
        patience = PORTS_WAIT;
    };
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    stop.cancel();
    drop(calls);
    drop(serving.await);
    result
}

/// Makes a mesh of one host in the data directory, without starting a daemon.
///
/// # Errors
/// [`NodeError`] when the directory belongs to a mesh already or cannot be used.
pub fn init(config: &Config) -> Result<Initialised, NodeError> {
    let disk = Disk::open(&config.data_dir)?;
    let credential = disk.found(&config.mesh_name, clock::wall())?;
    Ok(Initialised { host: credential.genesis.founder, mesh: credential.mesh() })
}

/// Joins a mesh by a token, without starting a daemon.
///
/// # Errors
/// [`NodeError`]; the host is in whatever mesh it was in.
pub async fn join(config: &Config, token: &str) -> Result<api::Joined, NodeError> {
    let token: Token = token.parse().map_err(bad_token)?;
    let invite = token.open(clock::wall()).map_err(bad_token)?;
    let disk = Disk::open(&config.data_dir)?;
    let key = disk.key()?.map_or_else(|| disk.create_key(), Ok)?;
    if let Some(member) = disk.membership()? {
        let (known, _) = disk.peers()?;
        let mesh = member.mesh();
        let present = |record: &&Signed<HostRecord>| {
            record.signer() != key.host() && record.open(mesh).is_ok_and(|record| !record.left)
        };
        let others = known.iter().filter(present).count();
        may_join(key.host(), member.mesh(), others, &invite)?;
    }
    let joined = net::redeem(&key, &token, &invite).await.map_err(join_problem)?;
    save_joined(&disk, &joined)?;
    let (mesh, members) = (invite.mesh.to_string(), joined.members(key.host()));
    Ok(api::Joined { mesh, mesh_name: invite.mesh_name, members })
}

/// A host leaves a mesh for another only when it is alone in it; and it may join its own mesh
/// again, to renew its certificate.
pub(super) fn may_join(
    own: HostId,
    mesh: MeshId,
    others: usize,
    invite: &Invite,
) -> Result<(), Problem> {
    if invite.redeemer == own {
        let message = "this host made the token itself: it is for other hosts";
        return Err(Problem::new(Code::Usage, message).next("type it on the host that should join"));
    }
    if mesh == invite.mesh || others == 0 {
        return Ok(());
    }
    let message = format!("this host belongs to a mesh with {others} other hosts already");
    Err(Problem::new(Code::Conflict, message)
        .next("give the new membership a data directory of its own: p2p --data-dir DIR join TOKEN"))
}

/// An expired token is denied, whether its redeemer says so or this host can see it already;
/// everything else is a mistake in what was typed.
pub(super) fn bad_token(why: TokenError) -> Problem {
    let code = match why {
        TokenError::Expired => Code::Denied,
        _ => Code::Usage,
    };
    Problem::new(code, why.to_string())
}

pub(super) fn join_problem(why: JoinError) -> Problem {
    let code = match &why {
        JoinError::Unreachable { .. } => Code::Unreachable,
        JoinError::Refused(_) | JoinError::NotTheRedeemer { .. } => Code::Denied,
        JoinError::BadAnswer(_) => Code::Refused,
        JoinError::SetUp(_) => Code::Internal,
    };
    Problem::new(code, why.to_string())
}

/// Stores a new membership. The membership comes last: without it, nothing has happened.
pub(super) fn save_joined(disk: &Disk, joined: &Joined) -> Result<(), DiskError> {
    disk.save_peers(&joined.hosts)?;
    disk.save_ledger(&Ledger::default())?;
    disk.save_membership(&joined.credential)
}

/// What ends a daemon from outside.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the daemon is to go down. A hang-up is ignored: the terminal it was started
    /// from may close.
    pub(super) async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {}
            }
        }
    }
}

impl Node {
    /// Begins a life. Its own last life may hold the ports for a while: it is waited for, up to
    /// `patience`.
    async fn start(
        config: &Config,
        disk: &Arc<Disk>,
        agents: &Kinds,
        jobs: &mpsc::Sender<super::Job>,
        refused: &Counter,
        patience: Duration,
    ) -> Result<Self, NodeError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let (disk, jobs) = (Arc::clone(disk), jobs.clone());
            match Self::new(config.clone(), disk, agents.clone(), jobs, refused.clone()) {
                Err(NodeError::Net(NetError::PortInUse { .. }))
                    if tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(PORTS_LOOK).await;
                }
                started => return started,
            }
        }
    }

    fn new(
        config: Config,
        disk: Arc<Disk>,
        agents: Kinds,
        jobs: mpsc::Sender<super::Job>,
        control_refused: Counter,
    ) -> Result<Self, NodeError> {
        let (key, credential) = identity(&disk, &config)?;
        let net = Net::new(&net_config(&config)?, &key, credential.clone())?;
        let (journal, recording) = open_journal(&config)?;
        let (documents, replicas, unread_copies) = open_documents(&config, credential.mesh())?;
        let clock = Clock::after(recording.found.moment);
        let written = recording.found.next;
        let engine =
            engine(&disk, &config, agents, (key, credential), (recording, replicas), clock)?;
        let peers = watch::Sender::new(Vec::new());
        let keeping = tokio::spawn(keep_peers(Arc::clone(&disk), peers.subscribe()));
        Ok(Self {
            config,
            clock,
            engine,
            net,
            disk,
            journal,
            documents,
            documents_full: None,
            unread_copies,
            document_batches: (0, 0),
            storing: Vec::new(),
            peers,
            jobs,
            blocked: Default::default(),
            gossip: Default::default(),
            joins: Default::default(),
            waiting: Waiting::default(),
            readers: Vec::new(),
            written,
            events: EventLog::new(),
            tickets: 0,
            strangers: 0,
            control_refused,
            storage_trouble: None,
            end: None,
            fatal: None,
            keeping,
            unsaid: 0,
            strangers_told: Default::default(),
            scratch: Vec::new(),
        })
    }
}

/// The host's key and membership; both are made on a machine with nothing.
fn identity(disk: &Disk, config: &Config) -> Result<(SecretKey, Credential), NodeError> {
    let now = clock::wall();
    let stored = match disk.membership()? {
        Some(stored) => stored,
        None => disk.found(&config.mesh_name, now)?,
    };
    let key = disk.key()?.ok_or_else(|| NodeError::KeyMissing(config.key_file()))?;
    if stored.genesis.founder == key.host() {
        return Ok((key.clone(), Credential::of_founder(&key, stored.genesis, now)));
    }
    let dir = || config.data_dir.display().to_string();
    stored
        .verify(stored.mesh(), key.host(), now)
        .map_err(|why| NodeError::Membership { dir: dir(), why })?;
    Ok((key, stored))
}

fn net_config(config: &Config) -> Result<NetConfig, NodeError> {
    let listen = config
        .listen
        .iter()
        .map(|address| address.parse().map_err(|_| NodeError::Address(address.clone())));
    Ok(NetConfig { listen: listen.collect::<Result<_, _>>()?, mdns: config.mdns })
}

/// Opens the journal; what is damaged is set aside and said.
fn open_journal(config: &Config) -> Result<(Journal, Recording), NodeError> {
    let dir = config.journal_dir();
    if !dir.exists() && config.data_dir.join("incarnation").exists() {
        tracing::warn!(
            path = %dir.display(),
            "this host has lived before, and its journal is gone: agents that were to live on are lost"
        );
    }
    let (journal, opened) = Journal::open(
        &dir,
        journal::Options {
            retain_bytes: config.journal.keep_bytes,
            retain_age: config.journal.keep_age,
            ..journal::Options::default()
        },
    )?;
    if let Some(logs) = crate::log::journal_handle() {
        journal.keep_logs(logs);
    }
    for doubt in &opened.doubts {
        tracing::warn!(
            path = %doubt.path.display(), why = doubt.why,
            "after a power cut or a full disk it may be nothing; a copy of the log was set aside"
        );
    }
    for damage in &opened.damage {
        tracing::error!(
            path = %damage.path.display(), why = damage.why,
            "the journal was damaged; agents that need what was there are not brought back"
        );
    }
    let recording = Recording {
        file_bytes_max: config.journal.file_bytes,
        file_age_max: config.journal.file_age,
        file_bytes: opened.file_bytes,
        file_age: opened.file_age,
        begin_file: !opened.damage.is_empty(),
        ..Recording::new(opened.recovered)
    };
    Ok((journal, recording))
}

/// Copies that cannot be read of which the names are kept.
const UNREAD_MAX: usize = 100;

/// Opens the documents of this mesh; what is damaged comes back from other hosts.
/// Gives also the names of copies that cannot be read.
fn open_documents(
    config: &Config,
    mesh: MeshId,
) -> Result<(Documents, Replicas, Vec<String>), NodeError> {
    let dir = config.documents_dir(mesh);
    std::fs::create_dir_all(&dir).map_err(NodeError::System)?;
    let mut replicas = Replicas::new(mesh);
    let mut unread = Vec::new();
    let (documents, opened) = Documents::open(&dir.join(documents::FILE), |kept| {
        let Err(why) = replicas.restore(&kept.bytes) else { return };
        if let Ok(name) = kept.name.parse() {
            replicas.lost(&name, &why.to_string());
        }
        if unread.len() < UNREAD_MAX {
            let name = documents::shown(&kept.name);
            tracing::error!(name, %why, "a copy of a document cannot be read");
            unread.push(name);
        }
    })?;
    for name in opened.damaged.names.iter().filter_map(|name| name.parse().ok()) {
        replicas.lost(&name, "its row is damaged");
    }
    if let Some(damage) = &opened.damage {
        tracing::error!(?damage, "the documents were damaged; what is missing comes from others");
    }
    if let Some(doubt) = &opened.doubt {
        tracing::warn!(?doubt, "after a power cut or a full disk it may be nothing");
    }
    unread.extend(opened.damaged.names);
    if !unread.is_empty() {
        let names = unread.join(", ");
        tracing::error!(%names, "copies of documents are damaged; they come from others");
    }
    Ok((documents, replicas, unread))
}

fn engine(
    disk: &Disk,
    config: &Config,
    agents: Kinds,
    (key, credential): (SecretKey, Credential),
    (recording, replicas): (Recording, Replicas),
    clock: Clock,
) -> Result<Engine, NodeError> {
    let now = clock.now();
    let (known, damage) = disk.peers()?;
    if let Some(damage) = damage {
        tracing::warn!(
            path = %damage.path.display(), set_aside = %damage.set_aside.display(), why = damage.why,
            "the file of known hosts was damaged and has been set aside; what could be read is used"
        );
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|why| NodeError::System(std::io::Error::other(why)))?;
    let config = EngineConfig {
        key,
        credential,
        name: config.name.clone(),
        incarnation: disk.next_incarnation(now.wall)?,
        software: format!("starling {}", env!("CARGO_PKG_VERSION")),
        seed,
        kinds: society::with_residents(agents),
        residents: society::residents(),
        known: Known::Records(known),
        ledger: disk.ledger()?,
        recording: Some(recording),
        replicas: Some(replicas),
    };
    Ok(Engine::new(config, now))
}

/// Writes host records whenever they have changed, without holding the main loop up.
async fn keep_peers(disk: Arc<Disk>, mut peers: watch::Receiver<Vec<Signed<HostRecord>>>) {
    while peers.changed().await.is_ok() {
        tokio::time::sleep(PEERS_SETTLE).await;
        let records = peers.borrow_and_update().clone();
        let disk = Arc::clone(&disk);
        let saved = tokio::task::spawn_blocking(move || disk.save_peers(&records)).await;
        if let Ok(Err(why)) = saved {
            tracing::warn!(%why, "the known hosts could not be saved; they are a hint only");
        }
    }
}
