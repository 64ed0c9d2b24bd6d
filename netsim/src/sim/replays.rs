use std::collections::BTreeMap;

use starling_core::{
    engine::Kinds,
    replay::{PlayError, Replay},
};
use starling_protocols::journal::{Durability, Ended, Life, Page, Record, Sequence};

use super::Sim;
use crate::faults::HostNo;

/// What was played again from the journals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Lives of agents.
    pub lives: u64,
    /// Entries that came out as they were recorded.
    pub entries: u64,
    /// Snapshots that were compared.
    pub snapshots: u64,
}

impl Sim {
    /// Plays all lives of all agents again, from the journals of all hosts, and compares every
    /// entry.
    ///
    /// # Errors
    /// The first difference, in words: which host, agent and entry, what was expected and what
    /// came.
    pub fn replay(&self) -> Result<Replayed, String> {
        let mut sum = Replayed::default();
        for host in self.hosts() {
            let one = self.replay_host(host);
            let one = one.map_err(|why| format!("on {}: {why}", self.name(host)))?;
            sum.lives += one.lives;
            sum.entries += one.entries;
            sum.snapshots += one.snapshots;
        }
        Ok(sum)
    }

    fn replay_host(&self, host: HostNo) -> Result<Replayed, String> {
        let at = &self.hosts[host.index()];
        let mut player = HostPlayer::new(at.kinds.clone());
        for bytes in at.disk.journal.all_pages() {
            // A torn page is the last of a host that is down: nobody has read it yet.
            let Ok(page) = Page::open(bytes) else { break };
            for record in page.records() {
                let (sequence, record) = record.map_err(|why| why.to_string())?;
                player.feed(sequence, record)?;
            }
        }
        player.lives.keys().copied().collect::<Vec<_>>().into_iter().for_each(|life| {
            player.end(life);
        });
        Ok(player.sum)
    }
}

/// Plays all lives of one host at once.
struct HostPlayer {
    kinds: Kinds,
    lives: BTreeMap<Life, Playing>,
    /// The latest era and the latest moment, and how many there have been of both.
    era: Option<(Sequence, Record<'static>)>,
    at: Option<(Sequence, Record<'static>)>,
    seen: u64,
    sum: Replayed,
}

struct Playing {
    replay: Replay,
    durability: Durability,
    /// How many eras and moments there had been when it was last played.
    seen: u64,
}

impl HostPlayer {
    fn new(kinds: Kinds) -> Self {
        let (lives, sum) = (BTreeMap::new(), Replayed::default());
        Self { kinds, lives, era: None, at: None, seen: 0, sum }
    }

    fn feed(&mut self, sequence: Sequence, record: Record<'_>) -> Result<(), String> {
        match &record {
            Record::Era(era) => {
                let again = matches!(&self.era, Some((_, Record::Era(before)))
                    if before.incarnation == era.incarnation);
                if !again {
                    self.end_history();
                }
                (self.era, self.at) = (Some((sequence, record.into_owned())), None);
                self.seen += 1;
            }
            Record::At { .. } => {
                self.at = Some((sequence, record.into_owned()));
                self.seen += 1;
            }
            Record::Life(head) => {
                let (life, durability) = (head.life, head.durability);
                let replay = || Replay::new(self.kinds.clone(), life);
                let fresh = || Playing { replay: replay(), durability, seen: 0 };
                self.lives.entry(life).or_insert_with(fresh);
                self.play(life, sequence, record)?;
            }
            Record::Snapshot(snapshot) => self.play(snapshot.life, sequence, record)?,
            Record::Entry(entry) => self.play(entry.life, sequence, record)?,
            Record::Gap { life, .. } => self.play(*life, sequence, record)?,
            Record::End { life, how } => {
                let (life, _): (Life, Ended) = (*life, *how);
                self.end(life);
            }
            _ => {}
        }
        Ok(())
    }

    fn play(&mut self, life: Life, sequence: Sequence, record: Record<'_>) -> Result<(), String> {
        let Some(playing) = self.lives.get_mut(&life) else { return Ok(()) };
        let mut fed = Ok(None);
        if std::mem::replace(&mut playing.seen, self.seen) != self.seen {
            for (sequence, record) in [&self.era, &self.at].into_iter().flatten() {
                fed = fed.and(playing.replay.feed(*sequence, record.clone()));
            }
        }
        let fed = fed.and_then(|_| playing.replay.feed(sequence, record));
        fed.map(drop).map_err(|why| {
            let (head, address) = (playing.replay.head(), playing.replay.address());
            let kind = head.map(|head| head.kind.to_string()).unwrap_or_default();
            let agent = address.map(|address| address.agent.to_string()).unwrap_or_default();
            format!("agent {agent} ({kind}), record {sequence}: {}", in_words(&why))
        })
    }

    /// Agents that do not outlive their host ended with it.
    fn end_history(&mut self) {
        let history = self.lives.iter().filter(|(_, of)| of.durability == Durability::History);
        let history: Vec<Life> = history.map(|(life, _)| *life).collect();
        history.into_iter().for_each(|life| self.end(life));
    }

    fn end(&mut self, life: Life) {
        if let Some(ended) = self.lives.remove(&life) {
            let counts = ended.replay.counts();
            self.sum.lives += 1;
            self.sum.entries += counts.played;
            self.sum.snapshots += counts.compared;
        }
    }
}

fn in_words(why: &PlayError) -> String {
    match why {
        PlayError::Differs(differs) => {
            let (input, expected, got) = (&differs.input, &differs.expected, &differs.got);
            format!("{why}; the input: {input:?}; expected: {expected:?}; got: {got:?}")
        }
        _ => why.to_string(),
    }
}
