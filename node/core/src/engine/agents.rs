use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::AgentId,
    interest::TopicName,
    journal::{Durability, Ended},
    limits::{AGENTS_PER_HOST_MAX, NAME_BYTES_MAX, SNAPSHOT_BYTES_MAX},
};

use super::{
    Counter, Engine, Event, StartError,
    journal::Recordings,
    mail::{Mail, Parcel},
};
use crate::{
    agent::{AnyBall, AnyKind, Dialog, Effect, Init, Rejection, Standing, WaitId},
    guard::guarded,
};

const STOP_TURNS_MAX: usize = 1024;

/// How an agent is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its kind.
    pub kind: String,
    /// A name, unique on its host.
    pub name: Option<String>,
    /// Its first state.
    pub init: Init,
}

/// An agent's place in the table, and which of those who had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AgentNo {
    place: u32,
    generation: u32,
}

/// An agent and one thing that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiter {
    pub(super) agent: AgentNo,
    pub(super) wait: WaitId,
}

pub(super) struct Row {
    pub(super) id: AgentId,
    pub(super) ball: AnyBall,
    pub(super) name: Option<Box<str>>,
    /// The number of its next input.
    pub(super) inputs: u64,
    /// The number of its first input.
    pub(super) born: u64,
    pub(super) waiting: u32,
    pub(super) kind: u16,
    /// Gaps that the agent is about to be told of.
    pub(super) missed: BTreeMap<TopicName, u64>,
    pub(super) recordings: Recordings,
    /// What it has asked to listen to and to offer, whether that has been carried out yet or not.
    pub(super) standing: Standing,
    /// It outlives its daemon, and has asked to be stopped: a snapshot would forget that.
    pub(super) stops: bool,
    /// It is given to another host, and handles nothing any more.
    pub(super) leaving: bool,
    /// Its descriptor is to be looked at, with what it shows of it: a print; zero for nothing.
    pub(super) looked_for: bool,
    pub(super) shown: u64,
}

/// The agents of a host: rows of a table, not tasks. A free place is taken again, under another
/// generation, so that a message to its former agent never reaches the new one.
#[derive(Default)]
pub(super) struct Agents {
    places: Vec<Place>,
    free: Vec<u32>,
    by_id: HashMap<AgentId, u32, BuildHasherDefault<IdHasher>>,
    by_name: BTreeMap<Box<str>, u32>,
}

struct Place {
    generation: u32,
    row: Option<Row>,
}

/// Agents' ids are random and drawn on this host, so that their own bits are hash enough.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded in")]
    fn write_u128(&mut self, id: u128) {
        self.0 = (id as u64) ^ ((id >> 64) as u64);
    }
}

impl AgentNo {
    /// The place of no agent.
    pub(super) const NOBODY: Self = Self { place: u32::MAX, generation: 0 };
}

impl Agents {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn find(&self, id: AgentId) -> Option<AgentNo> {
        self.number(*self.by_id.get(&id)?)
    }

    pub(super) fn named(&self, name: &str) -> Option<AgentNo> {
        self.number(*self.by_name.get(name)?)
    }

    pub(super) fn get(&self, number: AgentNo) -> Option<&Row> {
        let place = self.places.get(number.place as usize)?;
        place.row.as_ref().filter(|_| place.generation == number.generation)
    }

    pub(super) fn get_mut(&mut self, number: AgentNo) -> Option<&mut Row> {
        let place = self.places.get_mut(number.place as usize)?;
        place.row.as_mut().filter(|_| place.generation == number.generation)
    }

    /// All agents, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (AgentNo, &Row)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| {
            let number = AgentNo { place: index, generation: place.generation };
            Some((number, place.row.as_ref()?))
        })
    }

    pub(super) fn insert(&mut self, row: Row) -> AgentNo {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, row: None });
            u32::try_from(self.places.len() - 1).expect("a host has fewer than 2³² agents")
        });
        self.by_id.insert(row.id, place);
        if let Some(name) = row.name.clone() {
            self.by_name.insert(name, place);
        }
        let slot = &mut self.places[place as usize];
        slot.row = Some(row);
        AgentNo { place, generation: slot.generation }
    }

    fn remove(&mut self, number: AgentNo) -> Option<Row> {
        self.get(number)?;
        let place = &mut self.places[number.place as usize];
        place.generation = place.generation.wrapping_add(1);
        let row = place.row.take()?;
        self.free.push(number.place);
        if self.by_id.get(&row.id) == Some(&number.place) {
            self.by_id.remove(&row.id);
        }
        if let Some(name) =
            row.name.as_ref().filter(|name| self.by_name.get(&**name) == Some(&number.place))
        {
            self.by_name.remove(name);
        }
        Some(row)
    }

    fn number(&self, place: u32) -> Option<AgentNo> {
        let generation = self.places.get(place as usize)?.generation;
        Some(AgentNo { place, generation })
    }
}

impl Engine {
    /// Starts an agent under a new id.
    pub(super) fn start(&mut self, start: Start) -> Result<AgentId, StartError> {
        let id = loop {
            let id = AgentId::born(self.me, self.entropy.u64());
            if self.agents.find(id).is_none() {
                break id;
            }
        };
        self.start_as(id, start).map(|()| id)
    }

    pub(super) fn start_as(&mut self, id: AgentId, start: Start) -> Result<(), StartError> {
        self.start_from(id, start, 0)
    }

    /// Starts an agent whose inputs are numbered from `born` on: an id that is used again must not
    /// draw what was drawn under it before.
    pub(super) fn start_from(
        &mut self,
        id: AgentId,
        start: Start,
        born: u64,
    ) -> Result<(), StartError> {
        let row = self.make_row(id, start, born)?;
        let (kind, name) = (self.kinds[usize::from(row.kind)].name(), row.name.clone());
        self.settle_in(row, Mail::Started);
        self.counters.add(Counter::AgentsStarted, 1);
        let (kind, name) = (kind.to_owned(), name.map(String::from));
        self.tell(Event::AgentStarted { agent: id, kind, name });
        Ok(())
    }

    /// An agent as it begins, if it can begin here. It does not live yet.
    pub(super) fn make_row(
        &mut self,
        id: AgentId,
        start: Start,
        born: u64,
    ) -> Result<Row, StartError> {
        let Start { kind: kind_name, name, init } = start;
        self.check_name(name.as_deref())?;
        if self.agents.len() >= AGENTS_PER_HOST_MAX {
            return Err(StartError::TooMany);
        }
        let Some(number) = self.kind_numbers.get(kind_name.as_str()).copied() else {
            let known = self.kinds.iter().map(|kind| kind.name().to_owned()).collect();
            return Err(StartError::UnknownKind { kind: kind_name, known });
        };
        self.check_storage(number).map_err(|why| StartError::Storage(why.to_string()))?;
        let kind = &self.kinds[usize::from(number)];
        let made = guarded(|| kind.make(&init)).map_err(StartError::BadState)?;
        let ball = made.map_err(|why| match why {
            Rejection::BadBody(why) => StartError::BadState(why),
            why => StartError::BadState(why.to_string()),
        })?;
        if let Err(why) = self.check_saves(&**kind, &ball) {
            let _ = guarded(|| drop(ball));
            return Err(why);
        }
        Ok(Row {
            id,
            ball,
            name: name.map(String::into_boxed_str),
            inputs: born,
            born,
            waiting: 1,
            kind: number,
            missed: BTreeMap::new(),
            recordings: Recordings { upto: born, ..Recordings::default() },
            standing: Standing::of_topics(kind.topics()),
            stops: false,
            leaving: false,
            looked_for: false,
            shown: 0,
        })
    }

    /// An agent lives here from now on.
    pub(super) fn settle_in(&mut self, row: Row, first: Mail) -> AgentNo {
        let (id, number) = (row.id, row.kind);
        let topics = self.kinds[usize::from(number)].topics().to_vec();
        let agent = self.agents.insert(row);
        for topic in topics {
            self.listen(&topic, super::topics::Listener::Agent(agent));
        }
        self.services.lives(agent, number);
        self.note_life(agent);
        self.begin_descriptor(id);
        self.queue.push_back(Parcel { to: agent, mail: first });
        self.configure(agent);
        agent
    }

    /// An agent that is to outlive its daemon is started only if its state can be recorded.
    fn check_saves(&self, kind: &dyn AnyKind, ball: &AnyBall) -> Result<(), StartError> {
        if self.journal.is_none() || kind.durability() == Durability::History {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let why = match guarded(|| kind.save(ball, &mut bytes)) {
            Ok(Ok(())) if bytes.len() <= SNAPSHOT_BYTES_MAX => return Ok(()),
            Ok(Ok(())) => format!("{} bytes are more than {SNAPSHOT_BYTES_MAX}", bytes.len()),
            Ok(Err(why)) => why.to_string(),
            Err(why) => why,
        };
        Err(StartError::BadState(format!("it cannot be recorded: {why}")))
    }

    fn check_name(&self, name: Option<&str>) -> Result<(), StartError> {
        let Some(name) = name else { return Ok(()) };
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(StartError::BadName(name.to_owned()));
        }
        if self.agents.named(name).is_some() {
            return Err(StartError::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    /// Asks an agent to end; it does so after what already waits for it. Who `asked` is answered
    /// then.
    pub(super) fn stop(&mut self, agent: AgentNo, asked: Option<Dialog>) {
        if let Some(row) = self.agents.get_mut(agent) {
            row.waiting += 1;
            self.queue.push_back(Parcel { to: agent, mail: Mail::Stop(asked) });
        }
    }

    /// An agent has asked to be stopped.
    pub(super) fn stop_self(&mut self, agent: AgentNo) {
        if let Some(row) = self.agents.get_mut(agent) {
            let kind = &self.kinds[usize::from(row.kind)];
            row.stops = kind.durability() == Durability::WriteAhead;
        }
        self.stop(agent, None);
    }

    /// Asks all agents to end; those that outlive their daemon only if it is `for_good`.
    pub(super) fn stop_all(&mut self, for_good: bool) {
        let recorded = self.journal.is_some();
        let lives_on = |row: &Row| {
            let kind = &self.kinds[usize::from(row.kind)];
            recorded && !for_good && kind.durability() == Durability::WriteAhead
        };
        let all = self.agents.iter().filter(|(_, row)| !lives_on(row));
        let all: Vec<AgentNo> = all.map(|(agent, _)| agent).collect();
        all.into_iter().for_each(|agent| self.stop(agent, None));
        // Agents that keep talking to each other while they stop do not hold the host up.
        for _ in 0..STOP_TURNS_MAX {
            if self.queue.is_empty() {
                break;
            }
            self.run();
        }
    }

    /// Takes an agent out of the table, and tells all who wait for it.
    pub(super) fn remove(&mut self, agent: AgentNo, how: Ended) -> Option<(AgentId, &'static str)> {
        let row = self.agents.remove(agent)?;
        let number = row.kind;
        let kind = std::sync::Arc::clone(&self.kinds[usize::from(number)]);
        self.note_end(row.recordings.life, how, kind.durability() == Durability::WriteAhead);
        let name = kind.name();
        let (deadlines, deferred) = (kind.deadlines(&row.ball), kind.deferred(&row.ball));
        let Row { id, ball, leaving, .. } = row;
        // Its state may panic even while it is dropped.
        let _ = guarded(|| drop(ball));
        for (at, wait) in deadlines {
            self.forget_wait(at, Waiter { agent, wait });
        }
        self.forget_listener(super::topics::Listener::Agent(agent));
        self.forget_watches(agent);
        if how == Ended::Stopped && !leaving {
            self.end_descriptor(id);
        }
        self.services.ended(agent, number);
        for dialog in deferred {
            self.counters.add(Counter::Gone, 1);
            let outcome = Err(starling_protocols::exchange::Failure::Gone);
            self.apply_one(id, agent, Effect::Reply { to: dialog, outcome });
        }
        Some((id, name))
    }
}
