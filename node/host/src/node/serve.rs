use std::time::Duration;

use serde::Serialize;
use starling_core::engine::{HostState, HostView, Published};
use starling_protocols::{
    admission::{Invite, InviteError, Terms},
    interest::TopicName,
    time::WallTime,
};

use super::{
    End, Node,
    client::{Client, internal},
    doctor, metrics,
};
use crate::{
    api::{self, Code, Listing, Member, Problem},
    control::{self, Call, Command, Reply},
    disk::DiskError,
    net::Joined,
};

/// The life of a token when nobody says otherwise.
const INVITE_LIFE: Duration = Duration::from_secs(3600);

pub(super) type Answer = Result<Reply, Problem>;

impl Node {
    /// Serves one control call: at once where this host knows the answer, in a task of its own
    /// where others are asked.
    pub(super) fn on_call(&mut self, call: Call) {
        let Call { command, answer } = call;
        let client = Client(self.jobs.clone());
        let reply = match command {
            Command::Status => json(&self.status()),
            Command::Members => json(&Listing { items: self.members(), missing: Vec::new() }),
            Command::Kinds
            | Command::Agents { .. }
            | Command::Inspect { .. }
            | Command::Find { .. }
            | Command::Start(_)
            | Command::Stop(_)
            | Command::Move(_)
            | Command::TakeUp(_)
            | Command::Request(_)
            | Command::Post(_)
            | Command::Join(_) => {
                tokio::spawn(async move {
                    drop(answer.send(super::abroad::abroad(client, command).await));
                });
                return;
            }
            Command::Docs(command) => {
                tokio::spawn(async move {
                    drop(answer.send(super::documents::documents(client, command).await));
                });
                return;
            }
            Command::Publish(publish) => self.publish_for(&publish),
            Command::Subscribe { topic, sink } => self.subscribe_for(&topic, sink, client),
            Command::Events { backlog, follow, sink } => {
                self.events.follow(backlog, follow, sink);
                Ok(Reply::Subscribed)
            }
            Command::Invite(invite) => self.invite(&invite),
            Command::Invites => json(&Listing { items: self.invites(), missing: Vec::new() }),
            Command::Recorded => return self.when_recorded(answer),
            Command::Doctor => json(&Listing { items: doctor::look(self), missing: Vec::new() }),
            Command::Metrics => Ok(Reply::Text(metrics::text(self))),
            Command::Ready => json(&api::Done { done: "ready".into() }),
            Command::Down => {
                self.end = Some(End::Down);
                json(&api::Done { done: "going down".into() })
            }
        };
        // The caller may have gone.
        drop(answer.send(reply));
    }

    /// Has all that happened until now written, and answers then.
    fn when_recorded(&mut self, answer: control::Place) {
        let next = self.engine.give_out_records(self.clock.now());
        // Those who waited too long have gone; so there are no more than connections.
        self.readers.retain(|(_, answer)| !answer.is_closed());
        self.readers.push((next, answer));
        self.answer_readers();
    }

    /// Answers those who waited for what is written now. While nothing can be written, nobody
    /// waits.
    pub(super) fn answer_readers(&mut self) {
        let stuck = self.engine.storage_trouble().is_some();
        let written = self.written;
        for (_, answer) in self.readers.extract_if(.., |(next, _)| stuck || *next <= written) {
            drop(answer.send(json(&api::Done { done: "recorded".into() })));
        }
    }

    fn status(&self) -> api::Status {
        let record = self.own();
        let credential = self.engine.credential();
        let own = credential.own();
        let left = own.as_ref().map(|own| own.not_after.remaining(crate::clock::wall()));
        let hosts = self.engine.hosts();
        let trouble = self.storage_trouble().map(|why| format!("degraded: storage: {why}"));
        api::Status {
            health: trouble.unwrap_or_else(|| "ok".into()),
            host: record.host.to_string(),
            name: record.name,
            version: env!("CARGO_PKG_VERSION").into(),
            mesh: credential.mesh().to_string(),
            mesh_name: credential.genesis.name.clone(),
            incarnation: record.incarnation.0,
            uptime_seconds: self.clock.uptime().as_secs(),
            data_dir: self.config.data_dir.display().to_string(),
            pid: std::process::id(),
            addresses: record.addresses,
            members: hosts.len(),
            linked: hosts.iter().filter(|view| view.state == HostState::Linked).count(),
            agents: self.engine.agent_count(),
            may_admit: own.is_some_and(|own| own.may_admit),
            certificate_days: left.unwrap_or_default().as_secs() / 86_400,
        }
    }

    pub(super) fn own(&self) -> starling_protocols::roster::HostRecord {
        let view = self.engine.host_view(self.engine.host());
        view.expect("a host is on its own roster").record
    }

    fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.engine.hosts().into_iter().map(member).collect();
        members.sort_by(|a, b| (&a.name, &a.host).cmp(&(&b.name, &b.host)));
        members
    }

    fn publish_for(&mut self, publish: &api::Publish) -> Answer {
        let topic = topic(&publish.topic)?;
        let body = serde_json::to_vec(&publish.body).map_err(internal)?;
        let now = self.clock.now();
        let Published { local, hosts } = self.engine.publish_json(&topic, body, now);
        json(&api::Published { local, hosts })
    }

    fn subscribe_for(
        &mut self,
        text: &str,
        sink: tokio::sync::mpsc::Sender<api::Heard>,
        client: Client,
    ) -> Answer {
        let topic = topic(text)?;
        let (ticket, now) = (self.ticket(), self.clock.now());
        self.waiting.subscribe(ticket, sink.clone());
        self.engine.subscribe(ticket, &topic, now);
        tokio::spawn(async move {
            tokio::select! {
                () = sink.closed() => {}
                () = client.0.closed() => return,
            }
            let end = move |node: &mut Self| {
                node.waiting.forget(ticket);
                node.engine.unsubscribe(ticket, node.clock.now());
            };
            // When the daemon goes down, so do all subscriptions.
            drop(client.with(end).await);
        });
        Ok(Reply::Subscribed)
    }

    fn invite(&mut self, invite: &api::Invite) -> Answer {
        let terms = Terms {
            life: invite.life_seconds.map_or(INVITE_LIFE, Duration::from_secs),
            uses: invite.uses.unwrap_or(1),
            may_admit: invite.may_admit,
        };
        let token = self.engine.invite(&terms, self.clock.now()).map_err(|why| {
            let code = match why {
                InviteError::MayNotAdmit => Code::Denied,
                InviteError::Uses(_) | InviteError::Life => Code::Usage,
                InviteError::NoAddress | InviteError::TooMany => Code::Conflict,
            };
            Problem::new(code, why.to_string())
        })?;
        // The ledger is saved before anybody sees the token.
        self.drain();
        if let Some(problem) = self.storage_problem() {
            return Err(problem);
        }
        json(&api::Invited {
            token: token.to_string(),
            life_seconds: terms.life.as_secs(),
            uses: terms.uses,
            addresses: self.own().addresses,
        })
    }

    /// A token was exchanged for a membership: in this mesh again, which renews the certificate, or
    /// in another, in which the host then starts anew.
    pub(super) fn joined(&mut self, invite: &Invite, joined: Joined) -> Result<(), Problem> {
        let own = self.engine.credential().mesh();
        // Somebody may have joined this host meanwhile.
        super::start::may_join(self.engine.host(), own, others(&self.engine.hosts()), invite)?;
        let failed = |why: DiskError| Problem::new(Code::Internal, why.to_string());
        if own == invite.mesh {
            self.disk.save_membership(&joined.credential).map_err(failed)?;
            self.net.set_credential(joined.credential.clone());
            self.engine.renew(joined.credential, &joined.hosts, self.clock.now());
            return Ok(());
        }
        super::start::save_joined(&self.disk, &joined).map_err(failed)?;
        // What is still to be written of the old mesh's hosts is not.
        drop(self.peers.send(joined.hosts));
        self.end = Some(End::Rejoined);
        Ok(())
    }

    fn invites(&self) -> Vec<api::InviteRow> {
        let now = self.clock.now();
        let open = self.engine.invites(now).into_iter();
        open.map(|(id, entry)| api::InviteRow {
            invite: id.to_string(),
            expires_in_seconds: entry.expires.remaining(now.wall).as_secs(),
            uses: entry.uses,
            used: u32::try_from(entry.joined.len()).unwrap_or(u32::MAX),
            may_admit: entry.may_admit,
        })
        .collect()
    }
}

/// How many other hosts there are that have not left.
pub(super) fn others(hosts: &[HostView]) -> usize {
    let present = hosts.iter().filter(|view| view.state != HostState::Left);
    present.count().saturating_sub(1)
}

fn topic(text: &str) -> Result<TopicName, Problem> {
    text.parse().map_err(|why: starling_protocols::interest::TopicError| {
        Problem::new(Code::Usage, why.to_string())
    })
}

pub(super) fn member(view: HostView) -> Member {
    let HostView { record, state, trouble } = view;
    let state = match state {
        HostState::Myself => "self",
        HostState::Linked => "linked",
        HostState::Dialling => "dialling",
        HostState::Unreachable => "unreachable",
        HostState::Known => "known",
        HostState::Left => "left",
    };
    Member {
        host: record.host.to_string(),
        name: record.name,
        state: state.into(),
        incarnation: record.incarnation.0,
        version: record.software,
        addresses: record.addresses,
        why: trouble.filter(|_| state == "unreachable"),
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Answer {
    serde_json::to_value(value).map(Reply::Json).map_err(internal)
}

/// When a certificate ends.
pub(super) fn certificate_left(node: &Node, now: WallTime) -> Duration {
    let own = node.engine.credential().own();
    own.map(|own| own.not_after.remaining(now)).unwrap_or_default()
}
