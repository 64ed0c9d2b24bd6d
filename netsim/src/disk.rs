mod documents;
mod journal;

use std::time::Duration;

use starling_core::engine::{Known, Save};
use starling_protocols::{
    admission::Ledger,
    ident::{Credential, Genesis, Incarnation, SecretKey, Signed},
    roster::{HostRecord, Roster},
    time::WallTime,
};

pub(crate) use self::{
    documents::DocumentsDisk,
    journal::{Ailments, Begun, JournalDisk, Operation},
};

/// What of a host survives the end of its process: all that is in its data directory. What is not
/// here is gone with the engine.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) key: SecretKey,
    pub(crate) name: String,
    /// `None` on a machine that has not joined yet.
    pub(crate) credential: Option<Credential>,
    pub(crate) ledger: Ledger,
    pub(crate) hosts: Hosts,
    /// The last life that was begun.
    pub(crate) incarnation: Incarnation,
    pub(crate) journal: JournalDisk,
    pub(crate) documents: DocumentsDisk,
}

/// The hosts known from earlier lives.
#[derive(Clone, Debug)]
pub(crate) enum Hosts {
    /// As they were signed.
    Signed(Vec<Signed<HostRecord>>),
    /// As a whole roster. Before the first life, all hosts share one that was checked once.
    Roster(Roster),
}

impl Disk {
    /// A disk whose syncs take so long.
    pub(crate) fn new(key: SecretKey, name: String, sync_takes: Duration) -> Self {
        Self {
            key,
            name,
            credential: None,
            ledger: Ledger::default(),
            hosts: Hosts::Signed(Vec::new()),
            incarnation: Incarnation(0),
            journal: JournalDisk::new(sync_takes),
            documents: DocumentsDisk::new(sync_takes),
        }
    }

    /// Writes, and has it on the medium when it returns.
    pub(crate) fn write(&mut self, save: Save) {
        match save {
            Save::Ledger(ledger) => self.ledger = ledger,
            Save::Hosts(roster) => self.hosts = Hosts::Roster(roster),
        }
    }

    /// Begins another life: greater than all before, and than the seconds of the calendar.
    pub(crate) fn next_incarnation(&mut self, wall: WallTime) -> Incarnation {
        self.incarnation = self.coming_incarnation(wall);
        self.incarnation
    }

    /// The life that begins when a daemon starts now.
    pub(crate) fn coming_incarnation(&self, wall: WallTime) -> Incarnation {
        Incarnation(self.incarnation.0.saturating_add(1).max(wall.as_millis() / 1000))
    }

    /// What an engine is told of the mesh. What a life has saved is read back record by record.
    pub(crate) fn known(&self, first_life: bool) -> Known {
        match &self.hosts {
            Hosts::Signed(records) => Known::Records(records.clone()),
            Hosts::Roster(roster) if first_life => Known::Checked(roster.clone()),
            Hosts::Roster(roster) => Known::Records(roster.signed().cloned().collect()),
        }
    }

    /// The membership to start with: the founder's is made afresh at every start.
    pub(crate) fn membership(&self, wall: WallTime) -> Option<Credential> {
        let stored = self.credential.clone()?;
        let genesis: &Genesis = &stored.genesis;
        if genesis.founder == self.key.host() {
            return Some(Credential::of_founder(&self.key, stored.genesis, wall));
        }
        Some(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_count_up_even_when_the_calendar_is_set_back() {
        let mut disk = Disk::new(SecretKey::from_bytes(&[1; 32]), "a".into(), Duration::ZERO);
        let first = disk.next_incarnation(WallTime::from_millis(5_000_000));
        let second = disk.next_incarnation(WallTime::from_millis(1000));
        assert_eq!((first, second), (Incarnation(5000), Incarnation(5001)));
    }
}
