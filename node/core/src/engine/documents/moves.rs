//! An agent leaves its host for another: given away by the one, or taken up after its death.

mod homes;
mod words;

use std::collections::BTreeSet;

pub use words::{CanGive, GiveAgent, MoveError, TakeUpAgent, TookUp};

use serde_json::{Value, json};
use starling_protocols::{
    ident::{Address, AgentId, HostId, Signed},
    journal::Ended,
    limits::{BODY_BYTES_MAX, GONE_AFTER},
    link,
    replica::{DocName, Obituary, Owner, Pen, Release, Right, TitleError},
    time::Time,
    wire,
};

use super::{
    DocumentError, Waiting,
    content::{put, show_in},
    key,
};
use crate::{
    agent::{Dialog, Init, Request, TakenUp, partners::read_shown},
    documents::{get, to_json},
    engine::{
        Counter, Engine, Event, HostState, Start,
        agents::{AgentNo, Row},
        mail::{Mail, Parcel},
    },
};

/// How long is waited for another host to have what an agent leaves behind, before it leaves.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The field in which a descriptor says that its agent is between two hosts.
const UNDER_RESTART: &str = "under_restart";

/// The field in which it says to whom its agent was given, and who says so.
const GIVEN: &str = "given";

/// The field in which it says where its agent lived before.
const BEFORE: &str = "before";

/// How long a disk may take to write down whose an agent is now. Whoever asked has gone before.
const STORE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);

/// How long after an agent that is this host's could not begin that is tried again.
const TRY_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Agents that are this host's, or were given to it, and could not begin here: its disk takes nothing,
/// for one. There are no more of them than documents.
#[derive(Debug, Default)]
pub(super) struct Stranded {
    agents: BTreeSet<AgentId>,
    pub(super) at: Option<Time>,
}

/// Where the numbers of an agent's inputs begin on each of its hosts: beyond those of the ones
/// before, so that nothing is drawn twice when it comes back to one of them.
const INPUTS_PER_HOST: u64 = 1 << 32;

/// Why an agent that goes from one host to another answers nothing: nothing was carried out.
pub const MOVING: &str = "the agent is on its way to another host: ask again in a moment";

/// The engine tells itself that all that an agent asked for with its last input is done.
pub(in crate::engine) const LEAVE: &str = "engine/leave";

/// A host gives an agent of its own away.
impl Engine {
    pub(in crate::engine) fn can_give(&self, ask: CanGive) -> Result<String, MoveError> {
        let CanGive { agent, to } = ask;
        let row = self.agents.find(agent).and_then(|number| self.agents.get(number));
        let row = row.filter(|_| agent.0 >= AgentId::RESERVED);
        let row = row.ok_or(MoveError::NotHere(agent))?;
        let kind = &self.kinds[usize::from(row.kind)];
        if row.leaving {
            return Err(MoveError::Leaving(agent));
        }
        if to == self.me {
            return Err(MoveError::There(agent));
        }
        if !self.roster.is_member(to, self.wall) {
            return Err(MoveError::UnknownHost(to));
        }
        if !self.seems_alive(to) {
            return Err(MoveError::OutOfReach(self.name_of(to)));
        }
        if !kind.is_described() {
            return Err(MoveError::NotDescribed(kind.name().to_owned()));
        }
        if !self.owns(&DocName::of_agent(agent)) {
            return Err(DocumentError::NotKept.into());
        }
        Ok(kind.name().to_owned())
    }

    /// Gives an agent away, after what already waits for it. Who asked is answered when it is done.
    pub(in crate::engine) fn give(&mut self, asked: Dialog, body: &[u8]) {
        let Ok(GiveAgent { agent, to }) = wire::decode_own(body, BODY_BYTES_MAX) else {
            let why = starling_protocols::exchange::Failure::BadBody("no agent".into());
            return self.answer(asked, Err(why));
        };
        let number = self.agents.find(agent);
        match (self.can_give(CanGive { agent, to }), number) {
            (Ok(_), Some(number)) => {
                if let Some(row) = self.agents.get_mut(number) {
                    row.waiting += 1;
                }
                let mail = Mail::Move { to, asked };
                self.queue.push_back(Parcel { to: number, mail });
            }
            (outcome, _) => {
                let why = outcome.err().unwrap_or(MoveError::NotHere(agent));
                self.gave(asked, Err(why));
            }
        }
    }

    /// Takes up an agent as it was asked to.
    pub(in crate::engine) fn take_up_asked(&mut self, asked: Dialog, body: &[u8]) {
        let Ok(TakeUpAgent { agent, its_host_is_gone }) = wire::decode_own(body, BODY_BYTES_MAX)
        else {
            let why = starling_protocols::exchange::Failure::BadBody("no agent".into());
            return self.answer(asked, Err(why));
        };
        if let Err(why) = self.take_up_agent(agent, its_host_is_gone, Some(asked)) {
            let reply: <TakeUpAgent as Request>::Reply = Err(why);
            self.answer(asked, Ok(wire::encode(&reply)));
        }
    }

    /// The agent that was to be given away has ended meanwhile.
    pub(in crate::engine) fn not_given(&mut self, asked: Dialog) {
        let gone = DocumentError::Refused("the agent has ended meanwhile".into());
        self.gave(asked, Err(gone.into()));
    }

    /// Where the engine itself is told something.
    pub(in crate::engine) const fn engine(&self) -> Address {
        Address { host: self.me, agent: AgentId::ENGINE }
    }

    fn gave(&mut self, asked: Dialog, outcome: <GiveAgent as Request>::Reply) {
        self.answer_when_durable(asked, Ok(wire::encode(&outcome)));
    }

    /// An agent has handled its last input here, and handles no other. What it asked for with that
    /// is carried out before it leaves: its last words among it, which may wait for the disk.
    pub(in crate::engine) fn is_leaving(&mut self, agent: AgentNo, asked: Dialog) {
        match self.agents.get_mut(agent) {
            Some(row) => row.leaving = true,
            None => self.not_given(asked),
        }
    }

    /// All that an agent asked for is done: it is written down whole, and to whom it is given.
    pub(in crate::engine) fn hand_over(&mut self, agent: AgentId, body: &[u8]) {
        let Ok((to, asked)) = wire::decode_own::<(HostId, Dialog)>(body, BODY_BYTES_MAX) else {
            return self.counters.add(Counter::NotUnderstood, 1);
        };
        let Some(number) = self.agents.find(agent) else {
            return self.gave(asked, Err(MoveError::NotHere(agent)));
        };
        // An agent that tells the engine so by itself means nothing by it.
        if self.agents.get(number).is_none_or(|row| !row.leaving) {
            return self.counters.add(Counter::NotUnderstood, 1);
        }
        let name = DocName::of_agent(agent);
        let tenure = self.replicas().and_then(|all| all.owner(&name)?.tenures.last().copied());
        let Some(tenure) = tenure else {
            return self.stays(number, asked, MoveError::Unknown(agent));
        };
        let release = Signed::new(&self.key, self.credential.mesh(), &Release { tenure, to });
        let release = data_encoding::BASE64.encode(&wire::encode(&release));
        let given = json!({ "to": to.to_string(), "release": release });
        let shown = self.shown(number).unwrap_or_default();
        let waiting = (Waiting::Move { agent: number, id: agent, asked }, 2, PATIENCE);
        let written = self.write(&name, String::new(), Some(waiting), |doc| {
            show_in(doc, &shown)?;
            put(doc, UNDER_RESTART, &Value::Bool(true))?;
            put(doc, GIVEN, &given)
        });
        if let Err(why) = written {
            self.stays(number, asked, why.into());
        }
    }

    /// Nothing comes of a move.
    fn stays(&mut self, agent: AgentNo, asked: Dialog, why: MoveError) {
        if let Some(row) = self.agents.get_mut(agent) {
            row.leaving = false;
        }
        self.gave(asked, Err(why));
    }

    /// What an agent leaves behind is on so many disks, or time is up.
    pub(super) fn written_down(
        &mut self,
        (agent, id): (AgentNo, AgentId),
        asked: Dialog,
        replicas: usize,
    ) {
        if replicas > 0 || self.agents.get(agent).is_none() {
            self.leaves(agent);
            return self.gave(asked, Ok(()));
        }
        // This disk takes nothing, so nobody has heard of it.
        let written = self.write(&DocName::of_agent(id), String::new(), None, |doc| {
            put(doc, UNDER_RESTART, &Value::Null)?;
            put(doc, GIVEN, &Value::Null)
        });
        self.undescribed(id, written);
        let why = DocumentError::Refused("the disk of this host takes nothing".into());
        self.stays(agent, asked, why.into());
    }

    /// The agent is somebody else's from now on.
    fn leaves(&mut self, agent: AgentNo) {
        if let Some((agent, kind)) = self.remove(agent, Ended::Stopped) {
            self.tell(Event::AgentMoved { agent, kind: kind.to_owned() });
        }
    }

    /// To whom the agent of a descriptor was given, with the proof.
    pub(super) fn given(&mut self, name: &DocName) -> Option<(HostId, Signed<Release>)> {
        let documents = self.documents.as_mut()?;
        let given = documents.at.read(name, |doc| get(doc, &key(GIVEN))).ok()?.ok()??;
        let release = data_encoding::BASE64.decode(given["release"].as_str()?.as_bytes()).ok()?;
        Some((
            given["to"].as_str()?.parse().ok()?,
            wire::decode_own(&release, BODY_BYTES_MAX).ok()?,
        ))
    }
}

/// A host takes an agent up that lived on another.
impl Engine {
    /// Takes an agent up: it begins when it is written down whose it is now. Who asked is answered
    /// then; nobody has to have asked.
    pub(in crate::engine) fn take_up_agent(
        &mut self,
        agent: AgentId,
        its_host_is_gone: bool,
        asked: Option<Dialog>,
    ) -> Result<(), MoveError> {
        let name = DocName::of_agent(agent);
        let all = self.replicas().ok_or(DocumentError::NotKept)?;
        let there = all.base(&name).is_some_and(|base| !base.gone);
        let owner = all.owner(&name).filter(|_| there).cloned();
        let owner = owner.ok_or(MoveError::Unknown(agent))?;
        if self.agents.find(agent).is_some() || self.is_taking_up(agent) {
            return Err(MoveError::There(agent));
        }
        let said = self.said(&name)?;
        // Whether it can be started is known before anything is changed.
        drop(self.make_anew(agent, &said, owner.instance + 1)?);
        let waiting = (Waiting::TakeUp { agent, asked }, 1, STORE_PATIENCE);
        self.take_over(&name, &owner, its_host_is_gone, Some(waiting))
    }

    /// Writes down that an agent is this host's, if it has a right to it.
    fn take_over(
        &mut self,
        name: &DocName,
        owner: &Owner,
        its_host_is_gone: bool,
        waiting: Option<(Waiting, usize, std::time::Duration)>,
    ) -> Result<(), MoveError> {
        let right = self.right_to(name, owner, its_host_is_gone)?;
        let before = json!({
            "host": owner.host.to_string(), "given": matches!(right, Right::Gift(_)),
        });
        let whole = self.replicas().and_then(|all| all.whole(name));
        let title = whole.and_then(|whole| whole.title).ok_or(MoveError::Unknown(owner.agent))?;
        let (mesh, me, wall) = (self.credential.mesh(), self.me, self.wall);
        let roster = &self.roster;
        let is_member = |host| host == me || roster.is_member(host, wall);
        let title = title.taken_up(owner, &self.key, mesh, right, is_member)?;
        let pen = Pen { key: &self.key, author: self.author(String::new()) };
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        let name = documents.at.entitle(&title, is_member, &pen)?;
        self.write(&name, String::new(), waiting, |doc| {
            put(doc, UNDER_RESTART, &Value::Bool(true))?;
            put(doc, BEFORE, &before)?;
            put(doc, GIVEN, &Value::Null)
        })?;
        Ok(())
    }

    fn is_taking_up(&self, agent: AgentId) -> bool {
        let this = |waiting: &Waiting| matches!(waiting, Waiting::TakeUp { agent: other, .. } if *other == agent);
        self.documents.as_ref().is_some_and(|all| all.waiting.values().any(this))
    }

    fn said(&mut self, name: &DocName) -> Result<Value, DocumentError> {
        let documents = self.documents.as_mut().ok_or(DocumentError::NotKept)?;
        Ok(documents.at.read(name, to_json)?.unwrap_or_default())
    }

    /// The agent as it begins here, if it can.
    fn make_anew(&mut self, agent: AgentId, said: &Value, instance: u64) -> Result<Row, MoveError> {
        let name = said["name"].as_str().map(str::to_owned);
        let name = name.filter(|name| self.agents.named(name).is_none());
        let kind = said["kind"].as_str().unwrap_or_default().to_owned();
        let start = Start { kind, name, init: Init::Default };
        let born = instance.saturating_mul(INPUTS_PER_HOST);
        self.make_row(agent, start, born).map_err(MoveError::NotStarted)
    }

    /// By what right this host takes an agent up.
    fn right_to(
        &mut self,
        name: &DocName,
        owner: &Owner,
        its_host_is_gone: bool,
    ) -> Result<Right, MoveError> {
        let mesh = self.credential.mesh();
        let tenure = *owner.tenures.last().ok_or(TitleError::Length(0))?;
        if let Some((_, release)) = self.given(name).filter(|(to, _)| *to == self.me) {
            return Ok(Right::Gift(release));
        }
        if owner.host == self.me {
            let release = Release { tenure, to: self.me };
            return Ok(Right::Gift(Signed::new(&self.key, mesh, &release)));
        }
        if !its_host_is_gone {
            self.may_be_gone(owner.host)?;
        }
        let incarnation = self.roster.get(owner.host).map(|record| record.incarnation);
        let obituary = Obituary { host: owner.host, incarnation: incarnation.unwrap_or_default() };
        let witnesses = vec![Signed::new(&self.key, mesh, &obituary)];
        Ok(Right::Inheritance { before: tenure, witnesses })
    }

    /// Refuses to take a host for gone that has been there lately: it may be about to come back. It
    /// is looked for, so that who asks again is told more.
    fn may_be_gone(&mut self, host: HostId) -> Result<(), MoveError> {
        let name = self.name_of(host);
        let left = self.roster.get(host).is_some_and(|record| record.left);
        match self.absent_for(host) {
            None => {
                self.look_for(host);
                Err(MoveError::Alive(name))
            }
            Some(absent) if absent < GONE_AFTER => {
                self.look_for(host);
                Err(MoveError::Lately { host: name, seconds: absent.as_secs(), left })
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether a host may live: whoever has not been found out of reach does.
    fn seems_alive(&self, host: HostId) -> bool {
        let Some(record) = self.roster.get(host) else { return false };
        let failed =
            || self.peers.find(host).is_some_and(|peer| self.peers[peer].trouble.is_some());
        match self.state_of(record) {
            HostState::Left | HostState::Unreachable => false,
            HostState::Myself | HostState::Linked => true,
            HostState::Dialling | HostState::Known => {
                self.links.state(host) == link::State::Up || !failed()
            }
        }
    }

    /// It is written down, on so many disks, whose an agent is now.
    pub(super) fn titled(&mut self, agent: AgentId, asked: Option<Dialog>, replicas: usize) {
        let begun = if replicas > 0 {
            self.begin_anew(agent)
        } else {
            Err(DocumentError::Refused("the disk of this host takes nothing".into()).into())
        };
        match &begun {
            Ok(_) | Err(MoveError::There(_) | MoveError::Lost(_)) => {}
            Err(why) => self.is_stranded(agent, why),
        }
        if let Some(asked) = asked {
            let reply: <TakeUpAgent as Request>::Reply = begun;
            self.answer_when_durable(asked, Ok(wire::encode(&reply)));
        }
    }

    /// An agent lives nowhere now; it is tried again.
    fn is_stranded(&mut self, agent: AgentId, why: &MoveError) {
        let at = self.now + TRY_AGAIN;
        let Some(documents) = &mut self.documents else { return };
        documents.stranded.at.get_or_insert(at);
        if documents.stranded.agents.insert(agent) {
            self.tell(Event::NotTakenUp { agent, why: why.to_string() });
        }
    }

    /// Tries again, now and then, what could not be done.
    pub(super) fn mind_the_stranded(&mut self) {
        let now = self.now;
        let Some(documents) = &mut self.documents else { return };
        if documents.stranded.at.is_none_or(|at| at > now) {
            return;
        }
        documents.stranded.at = None;
        let all = documents.stranded.agents.clone();
        for agent in all {
            self.mind_descriptor(agent);
        }
        // Those for which nothing was tried any more are at home, here or elsewhere.
        if let Some(documents) = &mut self.documents
            && documents.stranded.at.is_none()
        {
            documents.stranded.agents.clear();
        }
    }

    /// Starts an agent whose descriptor is this host's.
    fn begin_anew(&mut self, agent: AgentId) -> Result<TookUp, MoveError> {
        let name = DocName::of_agent(agent);
        let owner = self.replicas().and_then(|all| all.owner(&name));
        let instance = owner.filter(|owner| owner.host == self.me).map(|owner| owner.instance);
        let instance = instance.ok_or(MoveError::Lost(agent))?;
        if self.agents.find(agent).is_some() {
            return Err(MoveError::There(agent));
        }
        let said = self.said(&name)?;
        let row = self.make_anew(agent, &said, instance)?;
        let kind = self.kinds[usize::from(row.kind)].name().to_owned();
        let past = self.past(&said, instance);
        let before = past.before;
        let number = self.settle_in(row, Mail::TakenUp(Box::new(past)));
        // What it shares out may be something else now.
        self.look_later(number);
        self.counters.add(Counter::AgentsTakenUp, 1);
        self.tell(Event::AgentTakenUp { agent, kind, before, instance });
        Ok(TookUp { before, instance })
    }

    /// What an agent is told that lived elsewhere.
    fn past(&self, said: &Value, instance: u64) -> TakenUp {
        let before = said[BEFORE]["host"].as_str().and_then(|host| host.parse().ok());
        let given = said[BEFORE]["given"] == true;
        let (fields, partners) =
            (said["fields"].to_string(), self.where_they_are(&said["partners"]));
        TakenUp { instance, before: before.unwrap_or(self.me), given, fields, partners }
    }

    /// An agent that is back from an earlier life may not have learned in it that it was taken up,
    /// or its descriptor may not say yet that it has.
    pub(super) fn resume_take_up(&mut self, agent: AgentId) {
        let name = DocName::of_agent(agent);
        let Some(number) = self.agents.find(agent).filter(|_| self.may_be_given(&name)) else {
            return;
        };
        let Ok(said) = self.said(&name) else { return };
        if said[UNDER_RESTART] != true {
            return;
        }
        let instance = self.replicas().and_then(|all| all.owner(&name)).map(|owner| owner.instance);
        let inputs = self.agents.get(number).map(|row| row.inputs - row.born);
        if inputs == Some(0) {
            let past = self.past(&said, instance.unwrap_or_default());
            self.put_mail(number, Mail::TakenUp(Box::new(past)));
        } else {
            self.has_settled_in(agent);
        }
    }

    /// Partners as a descriptor tells of them, each with the host that its own descriptor names.
    fn where_they_are(&self, partners: &Value) -> Vec<PartnerThere> {
        let mut all = read_shown(partners);
        for (_, _, partner) in &mut all {
            let owner =
                self.replicas().and_then(|all| all.owner(&DocName::of_agent(partner.agent)));
            partner.host = owner.map_or(partner.host, |owner| owner.host);
        }
        all
    }

    /// An agent has handled its first input on this host: it is not between hosts any more.
    pub(in crate::engine) fn has_settled_in(&mut self, agent: AgentId) {
        // It may have ended before its journal was durable.
        if self.agents.find(agent).is_none() {
            return;
        }
        let name = DocName::of_agent(agent);
        let written =
            self.write(&name, String::new(), None, |doc| put(doc, UNDER_RESTART, &Value::Null));
        self.undescribed(agent, written);
    }
}

type PartnerThere = (starling_protocols::ident::Bond, starling_protocols::partner::Ends, Address);
