//! The documents of one host, as a disk keeps them: all that waits is committed at once, and a
//! commit has happened or it has not.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use starling_protocols::{
    entropy::Entropy,
    ident::MeshId,
    replica::{KeptBatch, Replicas},
};

use super::{
    Ailments, Begun,
    journal::{BYTES_PER_SECOND, WRITE},
};

/// What came of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// All batches up to this one are durable; so the daemon believes.
    pub(crate) upto: Option<u64>,
    /// It failed: nobody knows what is on the medium.
    pub(crate) failed: bool,
}

/// The documents of one host.
#[derive(Clone, Debug)]
pub(crate) struct DocumentsDisk {
    pub(crate) ailments: Ailments,
    /// Commits begun since the machine was made.
    pub(crate) operations: u64,
    /// Something is planned that goes on with it.
    pub(crate) planned: bool,
    /// A commit should have ended while the disk was stalled.
    pub(crate) late: bool,
    sync_takes: Duration,
    /// What is on the medium.
    kept: BTreeMap<String, Vec<u8>>,
    /// What a disk that lies has not brought there.
    loose: Vec<KeptBatch>,
    queue: VecDeque<KeptBatch>,
    /// How many batches at the front are being committed.
    doing: usize,
    stuck: bool,
}

impl DocumentsDisk {
    /// An empty disk, whose syncs take so long.
    pub(crate) fn new(sync_takes: Duration) -> Self {
        Self {
            ailments: Ailments::default(),
            operations: 0,
            planned: false,
            late: false,
            sync_takes,
            kept: BTreeMap::new(),
            loose: Vec::new(),
            queue: VecDeque::new(),
            doing: 0,
            stuck: false,
        }
    }

    /// Takes a batch; it is committed with all that wait when its turn comes.
    pub(crate) fn store(&mut self, batch: KeptBatch) {
        self.queue.push_back(batch);
    }

    /// Whether nothing waits or is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether there is no room for what waits.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether a commit is under way.
    pub(crate) const fn is_busy(&self) -> bool {
        self.doing > 0
    }

    /// Begins to commit all that waits.
    pub(crate) fn begin(&mut self) -> Begun {
        if self.queue.is_empty() {
            return Begun::Idle;
        }
        self.stuck = self.ailments.full;
        if self.stuck {
            return Begun::Full;
        }
        self.doing = self.queue.len();
        self.operations += 1;
        let bytes: usize =
            self.queue.iter().flat_map(|batch| &batch.put).map(|kept| kept.bytes.len()).sum();
        let write = WRITE + Duration::from_nanos(bytes as u64 * 1_000_000_000 / BYTES_PER_SECOND);
        Begun::Busy(write + self.sync_takes + self.ailments.slow.unwrap_or_default())
    }

    /// Ends the commit under way. One that has failed is still under way: what is there of it is
    /// seen when the daemon has ended.
    pub(crate) fn finish(&mut self) -> Committed {
        if self.ailments.sync_fails && self.is_busy() {
            return Committed { upto: None, failed: true };
        }
        let done: Vec<KeptBatch> = self.queue.drain(..std::mem::take(&mut self.doing)).collect();
        let upto = done.last().map(|batch| batch.number);
        self.loose.extend(done);
        if !self.ailments.lies {
            self.sync();
        }
        Committed { upto, failed: false }
    }

    /// Ends the commit under way before anything of it has happened.
    pub(crate) const fn finish_nothing(&mut self) {
        self.doing = 0;
    }

    fn sync(&mut self) {
        for batch in self.loose.drain(..) {
            self.kept.extend(batch.put.into_iter().map(|kept| (kept.name, kept.bytes)));
            batch.forget.iter().for_each(|name| drop(self.kept.remove(name)));
        }
    }

    /// The daemon is gone. A commit under way has happened, or it has not. Gives how many batches
    /// that were being written are lost.
    pub(crate) fn kill(&mut self, own: &mut Entropy) -> u64 {
        let under_way = std::mem::take(&mut self.doing);
        let happened = under_way > 0 && own.below(2) == 0;
        if happened {
            self.loose.extend(self.queue.drain(..under_way));
        }
        self.queue.clear();
        (self.stuck, self.planned, self.late) = (false, false, false);
        if happened { 0 } else { under_way as u64 }
    }

    /// As [`kill`](Self::kill); the machine has no power, either.
    pub(crate) fn power_cut(&mut self, own: &mut Entropy) -> u64 {
        let lied = std::mem::take(&mut self.loose).len() as u64;
        lied + self.kill(own)
    }

    /// The medium is lost with all that was on it.
    pub(crate) fn lose(&mut self) {
        self.loose.clear();
        self.kept.clear();
    }

    /// Reads all back for another life.
    pub(crate) fn open(&mut self, mesh: MeshId) -> Replicas {
        self.sync();
        let mut replicas = Replicas::new(mesh);
        for bytes in self.kept.values() {
            replicas.restore(bytes).expect("a disk gives back what was written");
        }
        replicas
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::replica::Kept;

    use super::*;

    fn batch(number: u64, names: &[&str]) -> KeptBatch {
        let put = names.iter().map(|name| Kept { name: (*name).into(), bytes: vec![1] });
        KeptBatch { number, put: put.collect(), forget: Vec::new() }
    }

    fn disk() -> DocumentsDisk {
        DocumentsDisk::new(Duration::from_millis(2))
    }

    #[test]
    fn what_waits_is_committed_together_and_what_comes_meanwhile_later() {
        let mut disk = disk();
        assert_eq!(disk.begin(), Begun::Idle);
        disk.store(batch(1, &["a"]));
        disk.store(batch(2, &["b"]));
        let Begun::Busy(takes) = disk.begin() else { panic!("there is something to do") };
        assert!(takes > Duration::from_millis(2), "{takes:?}");
        disk.store(batch(3, &["c"]));
        assert_eq!(disk.finish(), Committed { upto: Some(2), failed: false });
        assert_eq!(disk.kept.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!disk.is_idle() && !disk.is_busy());
    }

    #[test]
    fn a_commit_under_way_is_there_whole_or_not_at_all_and_what_waits_is_lost() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut disk = disk();
            disk.store(batch(1, &["a", "b"]));
            disk.begin();
            disk.store(batch(2, &["c"]));
            let lost = disk.power_cut(&mut Entropy::from_seed([seed; 32]));
            disk.sync();
            seen.insert((lost, disk.kept.len()));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(0, 2), (1, 0)]);
    }

    #[test]
    fn a_full_disk_takes_nothing_and_a_failed_sync_says_nothing() {
        let mut disk = disk();
        disk.store(batch(1, &["a"]));
        disk.ailments.full = true;
        assert_eq!(disk.begin(), Begun::Full);
        assert!(disk.is_stuck());
        disk.ailments = Ailments { sync_fails: true, ..Ailments::default() };
        assert!(matches!(disk.begin(), Begun::Busy(_)));
        assert_eq!(disk.finish(), Committed { upto: None, failed: true });
        assert!(disk.is_busy(), "nobody knows what is there");
    }

    #[test]
    fn what_a_disk_lied_about_is_lost_with_the_power_only() {
        for (power, left) in [(false, 1), (true, 0)] {
            let mut disk = disk();
            disk.ailments.lies = true;
            disk.store(batch(1, &["a"]));
            disk.begin();
            assert_eq!(disk.finish().upto, Some(1));
            let mut own = Entropy::from_seed([1; 32]);
            let lost = if power { disk.power_cut(&mut own) } else { disk.kill(&mut own) };
            disk.sync();
            assert_eq!((lost, disk.kept.len()), (u64::from(power), left));
        }
    }
}
