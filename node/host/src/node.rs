//! The daemon: one task with one loop over everything that can happen. It translates in and out;
//! what is to be done, the engine decides.

mod abroad;
mod answers;
mod client;
mod doctor;
mod documents;
mod events;
mod metrics;
mod moves;
mod raise;
mod serve;
mod start;

pub use start::{Initialised, NodeError, init, join, run};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use starling_core::engine::{
    Engine, GossipId, Input, LinkChange, Output, Save, Storage, Ticket, Verdict,
};
use starling_protocols::{
    admission::{Ledger, Refusal},
    ident::{Credential, HostId, Signed},
    journal::Sequence,
    limits::{BACKLOG_MESSAGES_MAX, LANE_WRITE_BYTES_MAX},
    roster::HostRecord,
};
use tokio::sync::{mpsc, watch};

use self::{answers::Waiting, client::Job, events::EventLog};
use crate::{
    api::{Code, Problem},
    clock::Clock,
    config::Config,
    control,
    disk::{Disk, DiskError},
    documents::{Documents, Progress as DocumentsProgress},
    journal::{Journal, Progress},
    net::{self, Net, NetEvent},
};

/// How long a host that leaves takes to write out what is queued.
const LEAVE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The daemon goes down.
    Down,
    /// The host has joined another mesh and starts anew in it.
    Rejoined,
}

/// One life of a host in one mesh.
struct Node {
    config: Config,
    clock: Clock,
    engine: Engine,
    net: Net,
    disk: Arc<Disk>,
    journal: Journal,
    documents: Documents,
    /// The last batch of documents that is to be stored, and the last that is.
    document_batches: (u64, u64),
    /// Those who wait until a batch is stored.
    storing: Vec<(u64, tokio::sync::oneshot::Sender<()>)>,
    /// Why documents cannot be written now, if they cannot.
    documents_full: Option<String>,
    /// The first copies of documents that could not be read when this daemon started.
    unread_copies: Vec<String>,
    /// Host records to be kept; the latest wins.
    peers: watch::Sender<Vec<Signed<HostRecord>>>,
    jobs: mpsc::Sender<Job>,
    /// Hosts whose lane could not take bytes when there were some.
    blocked: BTreeSet<HostId>,
    gossip: BTreeMap<GossipId, net::GossipId>,
    joins: BTreeMap<Ticket, net::JoinAnswer>,
    waiting: Waiting,
    /// Those who are to read the journal when the records before these are written.
    readers: Vec<(Sequence, control::Place)>,
    /// Every record before this one is written.
    written: Sequence,
    events: EventLog,
    tickets: u64,
    strangers: u64,
    control_refused: prometheus_client::metrics::counter::Counter,
    /// Why the ledger of invites could not be saved, if it could not.
    storage_trouble: Option<String>,
    end: Option<End>,
    /// Why it must not go on.
    fatal: Option<NodeError>,
    /// Writes host records in the background.
    keeping: tokio::task::JoinHandle<()>,
    unsaid: u64,
    strangers_told: events::Ration,
    scratch: Vec<u8>,
}

impl Node {
    /// Runs until the end.
    async fn run(
        mut self,
        calls: &mut mpsc::Receiver<control::Call>,
        mut jobs: mpsc::Receiver<Job>,
        signals: &mut start::Signals,
    ) -> Result<End, NodeError> {
        let alarm = tokio::time::sleep(std::time::Duration::ZERO);
        tokio::pin!(alarm);
        let mut alarm_at = None;
        loop {
            self.drain();
            if let Some(end) = self.end {
                let fatal = self.leave(end).await;
                return fatal.map_or(Ok(end), Err);
            }
            let next = self.engine.next_deadline().map(|(at, _)| self.clock.instant(at));
            if next != alarm_at
                && let Some(at) = next
            {
                alarm.as_mut().reset(at);
            }
            alarm_at = next;
            // What is to be recorded waits for the disk, and so does what would be recorded next.
            let has_room = self.journal.has_room() || self.engine.storage_trouble().is_some();
            let has_room = has_room && (self.documents.has_room() || self.documents_full.is_some());
            tokio::select! {
                event = self.net.next(), if has_room && self.engine.backlog() < BACKLOG_MESSAGES_MAX => {
                    self.on_net(event);
                }
                Some(progress) = self.journal.progress() => self.on_progress(progress),
                Some(progress) = self.documents.progress() => self.on_documents(progress),
                () = self.journal.wait_for_room(), if !has_room => {}
                Some(call) = calls.recv() => self.on_call(call),
                Some(job) = jobs.recv() => job(&mut self),
                () = &mut alarm, if has_room && next.is_some() => {
                    alarm_at = None;
                    self.engine.handle(Input::Tick, self.clock.now());
                }
                () = signals.stop() => self.end = Some(End::Down),
            }
        }
    }

    /// Carries out what the engine wants.
    fn drain(&mut self) {
        while let Some(output) = self.engine.poll() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Transmit { host } => self.transmit(host),
            Output::Dial { host, addresses } => self.net.dial(host, &addresses),
            Output::Disconnect { host, .. } => self.net.disconnect(host),
            Output::CloseLane { host, .. } => self.net.close_lane(host),
            Output::Gossip { bucket, bytes } => self.publish(bucket, bytes),
            Output::JoinBucket { bucket } => self.net.subscribe(bucket),
            Output::LeaveBucket { bucket } => self.net.unsubscribe(bucket),
            Output::Judge { id, verdict } => self.judge(id, verdict),
            Output::Save(save) => self.save(save),
            Output::Answered { ticket, outcome } => self.waiting.answered(ticket, outcome),
            Output::Heard { ticket, topic, from, body } => {
                let host = self.engine.name_of(from.host);
                if !self.waiting.heard(ticket, &topic, from, &host, body) {
                    self.engine.unsubscribe(ticket, self.clock.now());
                }
            }
            Output::Missed { ticket, topic, count } => self.waiting.missed(ticket, &topic, count),
            Output::Redeemed { ticket, outcome } => self.redeemed(ticket, outcome),
            Output::Record(batch) => self.journal.append(batch),
            Output::Store(batch) => {
                self.document_batches.0 = batch.number;
                self.documents.store(batch);
            }
            Output::Replicated { ticket, replicas } => self.waiting.replicated(ticket, replicas),
            Output::Log { agent, kind, level, text } => crate::log::say(agent, kind, level, &text),
            Output::Event(event) => self.events.put(&event, self.clock.now().wall),
        }
    }

    /// Gives a lane what there is to write, if it can take it; otherwise it says when it can.
    fn transmit(&mut self, host: HostId) {
        if !self.net.lane_ready(host) {
            self.blocked.insert(host);
            return;
        }
        self.blocked.remove(&host);
        let now = self.clock.now();
        self.engine.transmit(host, &mut self.scratch, now);
        if !self.scratch.is_empty() {
            let capacity = self.scratch.len().min(LANE_WRITE_BYTES_MAX);
            let bytes = std::mem::replace(&mut self.scratch, Vec::with_capacity(capacity));
            self.net.lane_send(host, bytes);
        }
    }

    fn on_net(&mut self, event: NetEvent) {
        let now = self.clock.now();
        let input = match event {
            NetEvent::Listening { mut addresses } => {
                addresses.splice(0..0, self.config.advertise.iter().cloned());
                Input::Listening { addresses }
            }
            NetEvent::LinkUp { host, credential, .. } => {
                let until = credential.own().map_or(now.wall, |own| own.not_after);
                Input::Link { host, change: LinkChange::Up { until } }
            }
            NetEvent::LinkDown { host, why } => {
                Input::Link { host, change: LinkChange::Down { why } }
            }
            NetEvent::DialFailed { host, why } => {
                Input::Link { host, change: LinkChange::DialFailed { why } }
            }
            NetEvent::LaneUp { host } => Input::LaneUp { host },
            NetEvent::LaneBytes { host, bytes } => {
                return self.engine.handle(Input::LaneBytes { host, bytes: &bytes }, now);
            }
            NetEvent::LaneWritable { host } => {
                if self.blocked.contains(&host) {
                    self.transmit(host);
                }
                return;
            }
            NetEvent::LaneDown { host, why } => Input::LaneDown { host, why },
            NetEvent::Gossip { id, origin, bytes, .. } => {
                let number = GossipId(self.ticket().0);
                self.gossip.insert(number, id);
                let input = Input::Gossip { id: number, origin, bytes: &bytes };
                return self.engine.handle(input, now);
            }
            NetEvent::Discovered { host, addresses } => Input::Discovered { host, addresses },
            NetEvent::Join { joiner, token, answer } => {
                let ticket = self.ticket();
                self.joins.insert(ticket, answer);
                Input::Redeem { ticket, joiner, token }
            }
            NetEvent::Stranger { address, why } => return self.stranger(&address, &why),
        };
        self.engine.handle(input, now);
    }

    fn stranger(&mut self, address: &str, why: &str) {
        self.strangers += 1;
        let now = self.clock.now();
        // All are counted; a flood of them does not push other events out of the log.
        if self.strangers_told.take(now.time) {
            self.events.stranger(address, why, now.wall);
        }
    }

    fn publish(&mut self, bucket: u8, bytes: Vec<u8>) {
        // Gossip is a hint; what it cannot carry now is found missing by its number.
        if let Err(why) = self.net.publish(bucket, bytes) {
            self.unsaid += 1;
            tracing::debug!(%why, "gossip did not take a message");
        }
    }

    fn judge(&mut self, id: GossipId, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Accept => net::Verdict::Accept,
            Verdict::Ignore => net::Verdict::Ignore,
            Verdict::Reject => net::Verdict::Reject,
        };
        if let Some(id) = self.gossip.remove(&id) {
            self.net.judge(id, verdict);
        }
    }

    fn save(&mut self, save: Save) {
        match save {
            // The file is the other mesh's now.
            Save::Hosts(_) if matches!(self.end, Some(End::Rejoined)) => {}
            // Nobody is told of a host; the records are written in the background.
            Save::Hosts(hosts) => drop(self.peers.send(hosts.signed().cloned().collect())),
            Save::Ledger(ledger) => self.save_ledger(&ledger),
        }
    }

    /// The journal has been written, or cannot be.
    fn on_progress(&mut self, progress: Progress) {
        let now = self.clock.now();
        match progress {
            Progress::Written(next) => self.written = self.written.max(next),
            Progress::Durable(Sequence(next)) => {
                self.written = self.written.max(Sequence(next));
                let upto = Sequence(next.saturating_sub(1));
                self.engine.handle(Input::Durable { upto }, now);
            }
            Progress::Full { why } => {
                tracing::error!(%why, "the journal cannot be written; what must not be lost waits");
                self.engine.handle(Input::Storage(Storage::Stuck(why)), now);
            }
            Progress::Works => {
                tracing::info!("the journal is written again");
                self.engine.handle(Input::Storage(Storage::Works), now);
            }
            // Nobody knows what is on the disk now: a new start looks.
            Progress::Failed(why) => {
                tracing::error!(%why, "the journal has failed");
                self.end = Some(End::Down);
                self.fatal = Some(why.into());
            }
        }
        self.answer_readers();
    }

    /// Documents have been written, or cannot be.
    fn on_documents(&mut self, progress: DocumentsProgress) {
        match progress {
            DocumentsProgress::Stored(upto) => {
                self.engine.handle(Input::Stored { upto }, self.clock.now());
                self.document_batches.1 = upto;
                self.answer_stored();
            }
            DocumentsProgress::Full { why } => {
                tracing::error!(%why, "documents cannot be written; changes wait");
                self.documents_full = Some(why);
            }
            DocumentsProgress::Works => {
                tracing::info!("documents are written again");
                self.documents_full = None;
            }
            // Nobody knows what is on the disk now: a new start looks.
            DocumentsProgress::Failed(why) => {
                tracing::error!(%why, "the documents have failed");
                self.end = Some(End::Down);
                self.fatal = Some(why.into());
            }
        }
    }

    /// Tells somebody when all documents that were given out until now are on the disk.
    fn when_stored(&mut self, answer: tokio::sync::oneshot::Sender<()>) {
        self.storing.push((self.document_batches.0, answer));
        self.answer_stored();
    }

    fn answer_stored(&mut self) {
        let (_, stored) = self.document_batches;
        for (_, answer) in self.storing.extract_if(.., |(batch, _)| *batch <= stored) {
            // Who waited may have gone.
            let _ = answer.send(());
        }
    }

    fn save_ledger(&mut self, ledger: &Ledger) {
        let Err(why) = self.disk.save_ledger(ledger) else {
            self.storage_trouble = None;
            return;
        };
        tracing::error!(%why, "the ledger of invites could not be saved");
        self.storage_trouble = Some(why.to_string());
        // After a failed fsync nobody knows what is on the disk: a new start looks.
        if matches!(why, DiskError::NotDurable { .. }) {
            self.end = Some(End::Down);
            self.fatal = Some(why.into());
        }
    }

    /// Answers a stranger; what could not be made durable is not granted.
    fn redeemed(
        &mut self,
        ticket: Ticket,
        outcome: Result<(Credential, Vec<Signed<HostRecord>>), Refusal>,
    ) {
        let Some(answer) = self.joins.remove(&ticket) else { return };
        let unsaved = self.storage_trouble.is_some() && outcome.is_ok();
        let refusal = || Refusal::CannotAdmit("it cannot store the admission".into());
        answer.send(if unsaved { Err(refusal()) } else { outcome });
    }

    /// Tells the mesh, writes out what is queued, and closes everything.
    /// Gives what went wrong, then or before.
    async fn leave(mut self, end: End) -> Option<NodeError> {
        let now = self.clock.now();
        match end {
            End::Down => self.engine.leave(now),
            End::Rejoined => self.engine.leave_for_good(now),
        }
        let written = tokio::time::timeout(LEAVE_WAIT, self.write_out()).await;
        if written.is_err() {
            tracing::debug!("not all that was queued could be written out in time");
        }
        self.waiting.end();
        self.net.shutdown().await;
        drop(self.peers);
        // It has written what it had, or has failed and said so.
        drop(self.keeping.await);
        let (journal, documents) = (self.journal, self.documents);
        let closed = tokio::task::spawn_blocking(|| -> Result<(), NodeError> {
            let closed = journal.close();
            documents.close()?;
            Ok(closed?)
        });
        let closed = closed.await.ok().and_then(Result::err).inspect(|why| {
            tracing::error!(%why, "what this host keeps could not be closed in good order");
        });
        self.fatal.or(closed)
    }

    async fn write_out(&mut self) {
        self.drain();
        // What waits for the disk goes out when it is there; after a failure, never.
        while self.engine.held() > 0 {
            tokio::select! {
                Some(progress) = self.journal.progress() => self.on_progress(progress),
                Some(progress) = self.documents.progress() => self.on_documents(progress),
                else => break,
            }
            self.drain();
        }
        while !self.blocked.is_empty() {
            let event = self.net.next().await;
            self.on_net(event);
            self.drain();
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Why storage does not work, if it does not.
    fn storage_trouble(&self) -> Option<&str> {
        let documents = || self.documents_full.as_deref();
        self.storage_trouble.as_deref().or_else(|| self.engine.storage_trouble()).or_else(documents)
    }

    fn storage_problem(&self) -> Option<Problem> {
        let why = self.storage_trouble()?;
        let problem = Problem::new(Code::Internal, format!("storage does not work: {why}"));
        Some(problem.next("make room or mend the disk, then try again"))
    }
}
