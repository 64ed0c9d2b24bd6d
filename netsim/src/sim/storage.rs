use std::time::Duration;

use starling_core::engine::{Recording, Storage};
use starling_protocols::{
    journal::{Batch, digest},
    limits::{JOURNAL_FILE_BYTES_MAX, SNAPSHOT_ENTRIES},
};

use super::{Event, FaultId, Sim};
use crate::{
    disk::{Begun, JournalDisk, Operation},
    faults::{DiskMoment, Fault, FaultKind, HostNo},
    host::Inbox,
};

/// When nothing can be written, it is tried again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// How the hosts of a simulation keep their journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journals {
    /// Entries of one agent between two snapshots.
    pub snapshot_entries: u32,
    /// Entries of one agent between two digests of its state.
    pub digest_entries: u32,
    /// Bytes after which another file is begun.
    pub file_bytes_max: u64,
}

impl Default for Journals {
    /// As daemons keep them, but with a digest of the state after every entry.
    fn default() -> Self {
        Self {
            snapshot_entries: SNAPSHOT_ENTRIES,
            digest_entries: 1,
            file_bytes_max: JOURNAL_FILE_BYTES_MAX,
        }
    }
}

impl Journals {
    pub(super) fn recording(self, disk: &mut JournalDisk) -> Recording {
        let Self { snapshot_entries, digest_entries, file_bytes_max } = self;
        let found = disk.open();
        let file_bytes = disk.file_bytes();
        Recording {
            snapshot_entries,
            digest_entries,
            file_bytes,
            file_bytes_max,
            ..Recording::new(found)
        }
    }
}

/// A host that ends at an operation of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doom {
    pub(super) fault: FaultId,
    /// Before it, the number of the operation, by the machine's count.
    pub(super) operation: u64,
    pub(super) moment: DiskMoment,
    pub(super) power: bool,
}

/// Journals are written to disks, which take their time and fail.
impl Sim {
    /// How hosts that start from now on keep their journals; `None`: not at all.
    pub const fn set_journals(&mut self, journals: Option<Journals>) {
        self.journals = journals;
    }

    /// Whether hosts that start from now on keep journals.
    #[must_use]
    pub const fn keeps_journals(&self) -> bool {
        self.journals.is_some()
    }

    /// How many operations the disk of a host has begun so far.
    #[must_use]
    pub fn disk_operations(&self, host: HostNo) -> u64 {
        let disk = &self.hosts[host.index()].disk;
        disk.journal.operations + disk.documents.operations
    }

    pub(super) fn record(&mut self, host: HostNo, batch: Batch) {
        self.trace.note(self.now, host, "record", &digest(&batch.bytes).to_le_bytes());
        self.hosts[host.index()].disk.journal.append(batch);
        self.plan_disk(host, Duration::ZERO);
    }

    fn plan_disk(&mut self, host: HostNo, after: Duration) {
        let at = &mut self.hosts[host.index()];
        if !std::mem::replace(&mut at.disk.journal.planned, true) {
            let life = at.life;
            self.plan(self.now + after, Event::Disk(host, life));
        }
    }

    /// A disk ends what it does, and begins what comes next.
    pub(super) fn disk_turn(&mut self, host: HostNo, life: u64) {
        let at = &mut self.hosts[host.index()];
        if at.life != life || at.running.is_none() {
            return;
        }
        let journal = &mut at.disk.journal;
        journal.planned = false;
        if let Some(operation) = journal.doing() {
            if journal.ailments.stalled {
                journal.late = true;
                return self.fired.count(FaultKind::StalledDisk, 1);
            }
            if !self.operation_ends(host, operation) {
                return;
            }
        }
        self.next_operation(host);
    }

    /// Gives whether the host goes on.
    fn operation_ends(&mut self, host: HostNo, operation: Operation) -> bool {
        let doom = self.doom_of(host);
        if let Some(doom) = doom.filter(|doom| doom.moment == DiskMoment::During) {
            self.meet_doom(host, doom);
            return false;
        }
        let journal = &mut self.hosts[host.index()].disk.journal;
        let finished = journal.finish();
        let lied = journal.ailments.lies
            && finished.durable.is_some()
            && matches!(operation, Operation::Sync | Operation::Switch);
        self.fired.count(FaultKind::LyingDisk, u64::from(lied));
        if let Some(doom) = doom {
            self.meet_doom(host, doom);
            return false;
        }
        if finished.failed {
            self.sync_failed(host);
            return false;
        }
        if finished.works {
            self.put(host, Inbox::Storage(Storage::Works));
        }
        if let Some(upto) = finished.durable {
            self.put(host, Inbox::Durable(upto));
        }
        true
    }

    fn next_operation(&mut self, host: HostNo) {
        let doomed = self.doom_for_next(host);
        let journal = &mut self.hosts[host.index()].disk.journal;
        let (was_stuck, slow) = (journal.is_stuck(), journal.ailments.slow.is_some());
        match journal.begin() {
            Begun::Idle => {}
            Begun::Full => {
                self.fired.count(FaultKind::DiskFull, 1);
                if !was_stuck {
                    let why = "no space left on the disk".to_owned();
                    self.put(host, Inbox::Storage(Storage::Stuck(why)));
                }
                self.plan_disk(host, RETRY);
            }
            Begun::Busy(takes) => {
                if let Some(doom) = doomed {
                    journal.finish_nothing();
                    return self.meet_doom(host, doom);
                }
                self.fired.count(FaultKind::SlowDisk, u64::from(slow));
                self.plan_disk(host, takes);
            }
        }
    }

    /// The doom that meets the host at the operation under way.
    pub(super) fn doom_of(&self, host: HostNo) -> Option<Doom> {
        let begun = self.disk_operations(host);
        let doom = self.imposed.dooms.get(&host).copied()?;
        (doom.moment != DiskMoment::Before && doom.operation < begun).then_some(doom)
    }

    /// The doom that meets the host before its next operation.
    pub(super) fn doom_for_next(&self, host: HostNo) -> Option<Doom> {
        let begun = self.disk_operations(host);
        let doom = self.imposed.dooms.get(&host).copied()?;
        (doom.moment == DiskMoment::Before && doom.operation <= begun).then_some(doom)
    }

    pub(super) fn meet_doom(&mut self, host: HostNo, doom: Doom) {
        self.fired.count(FaultKind::CrashAtDisk, 1);
        let down = if doom.power { Fault::PowerCut { host } } else { Fault::Crash { host } };
        self.turn_into(doom.fault, down);
    }

    pub(super) fn sync_failed(&mut self, host: HostNo) {
        self.fired.count(FaultKind::FailedSync, 1);
        if let Some(fault) = self.find_imposed(&Fault::FailedSync { host }) {
            self.turn_into(fault, Fault::Crash { host });
        }
    }

    /// A disk that was stalled goes on.
    pub(super) fn disk_goes_on(&mut self, host: HostNo) {
        if std::mem::take(&mut self.hosts[host.index()].disk.journal.late) {
            self.plan_disk(host, Duration::ZERO);
        }
    }
}
