//! The journal of one host, as a disk keeps it: pages are written, then brought to the medium.

use std::{collections::VecDeque, time::Duration};

use starling_protocols::{
    entropy::Entropy,
    journal::{Batch, ChainHash, Page, Recovered, Recovery, Sequence},
};

/// What a write takes before its first byte, and how many bytes go in a second.
pub(super) const WRITE: Duration = Duration::from_micros(30);
pub(super) const BYTES_PER_SECOND: u64 = 200_000_000;

/// The disk writes this many bytes or none of them.
const SECTOR_BYTES: usize = 512;

/// What a disk is asked to do, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A page is added to the file. Without a sync, it may be lost with the power.
    Write,
    /// All that was written is brought to the medium.
    Sync,
    /// The first page of another file is written, beside the present one.
    WriteNew,
    /// The other file is brought to the medium.
    SyncNew,
    /// The other file takes the place of the present one.
    Switch,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ailments {
    /// Nothing can be written.
    pub(crate) full: bool,
    /// Every operation takes longer by this.
    pub(crate) slow: Option<Duration>,
    /// No operation ends.
    pub(crate) stalled: bool,
    /// The next sync fails.
    pub(crate) sync_fails: bool,
    /// A sync brings nothing to the medium and says that it did.
    pub(crate) lies: bool,
}

/// What came of asking for the next operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// There is nothing to do.
    Idle,
    /// There is no room. Nothing was begun.
    Full,
    /// It takes so long.
    Busy(Duration),
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Everything up to this record is durable; so the daemon believes.
    pub(crate) durable: Option<Sequence>,
    /// There is room again.
    pub(crate) works: bool,
    /// The sync failed: nobody knows what is on the medium.
    pub(crate) failed: bool,
}

/// What was lost when a daemon or its machine ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Whole pages that had been written.
    pub(crate) pages: u64,
    /// Pages of which a part is left.
    pub(crate) torn: u64,
}

/// The journal of one host.
#[derive(Clone, Debug)]
pub(crate) struct JournalDisk {
    pub(crate) ailments: Ailments,
    /// Operations begun since the machine was made.
    pub(crate) operations: u64,
    /// Something is planned that goes on with it.
    pub(crate) planned: bool,
    /// An operation should have ended while the disk was stalled.
    pub(crate) late: bool,
    sync_takes: Duration,
    /// The pages of files that were replaced, in order.
    closed: Vec<Vec<u8>>,
    /// The pages of the present file, as they would be read now.
    pages: Vec<Vec<u8>>,
    /// How many of them are on the medium.
    synced: usize,
    /// The end of the file: the hash of its last page, and the number of the record after it.
    tail: (ChainHash, Sequence),
    queue: VecDeque<Batch>,
    /// Batches at the front that are written before the next sync.
    group: usize,
    owes_sync: bool,
    stuck: bool,
    doing: Option<(Operation, Option<Page>)>,
    new_file: Option<(Page, bool)>,
}

impl JournalDisk {
    /// An empty disk, whose syncs take so long.
    pub(crate) const fn new(sync_takes: Duration) -> Self {
        Self {
            ailments: Ailments {
                full: false,
                slow: None,
                stalled: false,
                sync_fails: false,
                lies: false,
            },
            operations: 0,
            planned: false,
            late: false,
            sync_takes,
            closed: Vec::new(),
            pages: Vec::new(),
            synced: 0,
            tail: (ChainHash::START, Sequence::FIRST),
            queue: VecDeque::new(),
            group: 0,
            owes_sync: false,
            stuck: false,
            doing: None,
            new_file: None,
        }
    }

    /// Takes a batch; it is written in its turn.
    pub(crate) fn append(&mut self, batch: Batch) {
        self.queue.push_back(batch);
    }

    /// Whether nothing is queued or under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.doing.is_none() && self.new_file.is_none() && !self.owes_sync
    }

    /// Whether it has said that there is no room.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.stuck
    }

    pub(crate) fn doing(&self) -> Option<Operation> {
        self.doing.as_ref().map(|(operation, _)| *operation)
    }

    /// Begins what is to be done next.
    pub(crate) fn begin(&mut self) -> Begun {
        let Some(operation) = self.next_operation() else { return Begun::Idle };
        let writes = matches!(operation, Operation::Write | Operation::WriteNew);
        if writes && self.ailments.full {
            self.stuck = true;
            return Begun::Full;
        }
        let batch = self.queue.front().filter(|_| writes);
        let page = batch.map(|batch| Page::seal(self.tail.0, batch));
        let takes = match &page {
            Some(page) => {
                let nanos = page.bytes.len() as u64 * 1_000_000_000 / BYTES_PER_SECOND;
                WRITE + Duration::from_nanos(nanos)
            }
            None => self.sync_takes,
        };
        self.doing = Some((operation, page));
        self.operations += 1;
        Begun::Busy(takes + self.ailments.slow.unwrap_or_default())
    }

    fn next_operation(&mut self) -> Option<Operation> {
        if let Some((_, synced)) = self.new_file {
            return Some(if synced { Operation::Switch } else { Operation::SyncNew });
        }
        if self.group == 0 {
            if self.owes_sync {
                return Some(Operation::Sync);
            }
            if self.queue.front()?.begins_file {
                // Whoever is told that the new file is durable takes the old one for it, too.
                let all = self.synced == self.pages.len();
                return Some(if all { Operation::WriteNew } else { Operation::Sync });
            }
            let begins = self.queue.iter().position(|batch| batch.begins_file);
            self.group = begins.unwrap_or(self.queue.len());
        }
        Some(Operation::Write)
    }

    /// Ends what is under way.
    pub(crate) fn finish(&mut self) -> Finished {
        let Some((operation, page)) = self.doing.take() else { return Finished::default() };
        let mut finished = Finished::default();
        match (operation, page) {
            (Operation::Write, Some(page)) => {
                self.owes_sync |= self.queue.pop_front().is_some_and(|batch| batch.urgent);
                self.group -= 1;
                self.add(page);
                finished.works = std::mem::take(&mut self.stuck);
            }
            (Operation::WriteNew, Some(page)) => {
                self.queue.pop_front();
                self.new_file = Some((page, false));
                finished.works = std::mem::take(&mut self.stuck);
            }
            (Operation::Sync | Operation::SyncNew, _) if self.ailments.sync_fails => {
                finished.failed = true;
            }
            (Operation::Sync, _) => {
                self.sync_all();
                finished.durable = self.last();
            }
            (Operation::SyncNew, _) => {
                if let Some((_, synced)) = &mut self.new_file {
                    *synced = true;
                }
            }
            (Operation::Switch, _) => {
                self.switch();
                finished.durable = self.last();
            }
            (Operation::Write | Operation::WriteNew, None) => {}
        }
        finished
    }

    /// Ends what is under way before anything of it has happened.
    pub(crate) fn finish_nothing(&mut self) {
        self.doing = None;
    }

    fn add(&mut self, page: Page) {
        self.tail = (page.hash, Sequence(page.first.0 + u64::from(page.count)));
        self.pages.push(page.bytes);
    }

    fn sync_all(&mut self) {
        self.owes_sync = false;
        if !self.ailments.lies {
            self.synced = self.pages.len();
        }
    }

    fn switch(&mut self) {
        if let Some((page, _)) = self.new_file.take() {
            self.closed.append(&mut self.pages);
            self.synced = 0;
            self.add(page);
            self.sync_all();
        }
    }

    fn last(&self) -> Option<Sequence> {
        Some(Sequence(self.tail.1.0 - 1))
    }

    /// The daemon is gone. What it had written can still be read; of a write under way, a part.
    pub(crate) fn kill(&mut self, own: &mut Entropy) -> Lost {
        let mut lost = Lost::default();
        if let Some((Operation::Write, Some(page))) = self.doing.take() {
            lost.torn += u64::from(self.tear(&page.bytes, own));
        }
        self.forget();
        lost
    }

    /// The machine has no power. Of what was not on the medium, the first pages may be there by
    /// chance, and a part of the next.
    pub(crate) fn power_cut(&mut self, own: &mut Entropy) -> Lost {
        let mut loose = self.pages.split_off(self.synced.min(self.pages.len()));
        if let Some((Operation::Write, Some(page))) = self.doing.take() {
            loose.push(page.bytes);
        }
        let whole = if own.below(2) == 0 { 0 } else { own.below(loose.len() as u64 + 1) };
        let rest = loose.split_off(usize::try_from(whole).unwrap_or_default().min(loose.len()));
        self.pages.append(&mut loose);
        let mut lost = Lost { pages: rest.len() as u64, torn: 0 };
        if let Some(next) = rest.first()
            && own.below(2) == 0
            && self.tear(next, own)
        {
            lost = Lost { pages: lost.pages - 1, torn: 1 };
        }
        self.forget();
        lost
    }

    /// Leaves a part of a page, in whole sectors. Gives whether anything is left of it.
    fn tear(&mut self, bytes: &[u8], own: &mut Entropy) -> bool {
        let begins: usize = self.pages.iter().map(Vec::len).sum();
        let (first, end) = (begins / SECTOR_BYTES + 1, begins + bytes.len());
        let borders = end.saturating_sub(1) / SECTOR_BYTES + 1 - first;
        let place = usize::try_from(own.below(borders as u64 + 1)).unwrap_or_default();
        if place < borders {
            let kept = (first + place) * SECTOR_BYTES - begins;
            self.pages.push(bytes[..kept].to_vec());
        }
        place < borders
    }

    fn forget(&mut self) {
        self.queue.clear();
        (self.group, self.owes_sync, self.stuck) = (0, false, false);
        (self.doing, self.new_file) = (None, None);
        (self.planned, self.late) = (false, false);
    }

    /// Reads the present file back for another life, cuts a torn page off its end, and brings the
    /// rest to the medium: the new life builds on it.
    pub(crate) fn open(&mut self) -> Recovered {
        self.forget();
        let mut recovery = Recovery::new();
        let (mut tail, mut whole) = (None, 0);
        for bytes in &self.pages {
            let Ok(page) = Page::open(bytes) else { break };
            let (hash, next) = tail.unwrap_or((page.previous, page.first));
            if page.follows(hash, next).is_err() {
                break;
            }
            for (sequence, record) in page.records().filter_map(Result::ok) {
                recovery.record(sequence, record);
            }
            (tail, whole) = (Some((page.hash, page.next())), whole + 1);
        }
        self.pages.truncate(whole);
        self.synced = self.synced.min(whole);
        self.tail = tail.unwrap_or((ChainHash::START, Sequence::FIRST));
        self.sync_all();
        recovery.finish()
    }

    /// The bytes of the present file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.len() as u64).sum()
    }

    /// The bytes of all pages of all files, in order.
    pub(crate) fn all_pages(&self) -> impl Iterator<Item = &[u8]> {
        self.closed.iter().chain(&self.pages).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
