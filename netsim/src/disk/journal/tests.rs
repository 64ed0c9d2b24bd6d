use starling_protocols::{
    journal::{Record, Recorder},
    time::{Time, WallTime},
};

use super::*;

struct Host {
    disk: JournalDisk,
    recorder: Recorder,
}

impl Host {
    fn new() -> Self {
        let disk = JournalDisk::new(Duration::from_millis(1));
        Self { disk, recorder: Recorder::new(Sequence::FIRST) }
    }

    /// Records one moment; a page of two sectors at least.
    fn record(&mut self, urgent: bool, begins_file: bool) {
        for _ in 0..100 {
            let next = self.recorder.next().0;
            self.recorder.at(Time::from_nanos(next), WallTime::from_millis(next));
        }
        let mut batch = self.recorder.take().expect("a record");
        (batch.urgent, batch.begins_file) = (urgent, begins_file);
        self.disk.append(batch);
    }

    /// Goes on until nothing is left to do. Gives the operations, and what was durable at last.
    fn run(&mut self) -> (Vec<Operation>, Option<Sequence>) {
        let (mut done, mut durable) = (Vec::new(), None);
        while let Begun::Busy(_) = self.disk.begin() {
            done.extend(self.disk.doing());
            durable = self.disk.finish().durable.or(durable);
        }
        (done, durable)
    }

    /// The number of the record after the last that another life finds.
    fn next_after(mut self) -> u64 {
        self.disk.open().next.0
    }
}

fn own(seed: u8) -> Entropy {
    Entropy::from_seed([seed; 32])
}

#[test]
fn what_is_queued_goes_together_and_only_what_is_urgent_is_synced() {
    use Operation::{Sync, Write};
    let mut host = Host::new();
    host.record(false, false);
    assert_eq!(host.run(), (vec![Write], None));
    host.record(true, false);
    host.record(false, false);
    assert_eq!(host.run(), (vec![Write, Write, Sync], Some(Sequence(300))));
    assert_eq!(host.next_after(), 301);
}

#[test]
fn another_file_takes_the_place_of_the_first_in_one_step() {
    use Operation::{Switch, Sync, SyncNew, Write, WriteNew};
    let all = [Write, Sync, WriteNew, SyncNew, Switch];
    for cut in 0..=all.len() {
        for power in [false, true] {
            let mut host = Host::new();
            host.record(true, false);
            host.run();
            host.record(false, false);
            host.record(true, true);
            for operation in all.iter().take(cut) {
                host.disk.begin();
                assert_eq!(host.disk.doing(), Some(*operation));
                host.disk.finish();
            }
            host.disk.begin();
            let whole = if power { host.disk.power_cut(&mut own(1)) } else { Lost::default() };
            let next = host.next_after();
            assert!(next >= 101, "what was durable is there: {next} after {cut}");
            assert!(cut < 2 || next >= 201, "so is what was synced: {next} after {cut}");
            assert_eq!(next == 301, cut == all.len(), "{whole:?}");
        }
    }
}

#[test]
fn a_torn_page_is_cut_off_and_nothing_behind_it_is_read() {
    let (mut torn, mut lost, mut kept) = (0, 0, 0);
    for seed in 0..50 {
        let mut host = Host::new();
        host.record(true, false);
        host.run();
        (0..3).for_each(|_| host.record(false, false));
        host.run();
        let what = host.disk.power_cut(&mut own(seed));
        (torn, lost) = (torn + what.torn, lost + what.pages);
        let next = host.next_after();
        assert_eq!(next, 401 - 100 * (what.torn + what.pages), "seed {seed}");
        kept += next - 101;
    }
    assert!(torn > 5 && lost > 20 && kept > 500, "{torn} torn, {lost} lost, {kept} kept");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let mut host = Host::new();
    host.record(false, false);
    host.run();
    host.record(true, false);
    host.disk.begin();
    host.disk.kill(&mut own(1));
    let found = host.disk.open();
    assert_eq!(found.next, Sequence(101));
    host.recorder = Recorder::new(found.next);
    host.record(true, false);
    host.run();
    assert_eq!(host.next_after(), 201);
}

#[test]
fn a_full_disk_writes_what_waits_when_there_is_room() {
    let mut host = Host::new();
    host.disk.ailments.full = true;
    host.record(true, false);
    host.record(true, false);
    assert_eq!((host.disk.begin(), host.disk.is_stuck()), (Begun::Full, true));
    host.disk.ailments.full = false;
    assert!(matches!(host.disk.begin(), Begun::Busy(_)));
    assert!(host.disk.finish().works);
    assert_eq!(host.run().1, Some(Sequence(200)));
}

#[test]
fn a_lying_disk_says_durable_and_keeps_nothing_when_the_power_fails() {
    let mut host = Host::new();
    host.disk.ailments.lies = true;
    host.record(true, false);
    assert_eq!(host.run().1, Some(Sequence(100)));
    let seed = (0..20).find(|seed| own(*seed).below(2) == 0).expect("one half of all");
    host.disk.power_cut(&mut own(seed));
    assert_eq!(host.next_after(), 1);
}

#[test]
fn a_failed_sync_makes_nothing_durable() {
    let mut host = Host::new();
    host.disk.ailments.sync_fails = true;
    host.record(true, false);
    host.disk.begin();
    assert_eq!(host.disk.finish(), Finished::default());
    host.disk.begin();
    assert_eq!(host.disk.finish(), Finished { failed: true, ..Finished::default() });
}

#[test]
fn the_pages_of_all_files_are_kept_for_the_replay() {
    let mut host = Host::new();
    host.record(true, false);
    host.record(true, true);
    host.run();
    let firsts = host.disk.all_pages().map(|page| Page::open(page).expect("whole").first.0);
    assert_eq!(firsts.collect::<Vec<_>>(), [1, 101]);
    for page in host.disk.all_pages() {
        let page = Page::open(page).expect("whole");
        assert!(page.records().flatten().all(|(_, record)| matches!(record, Record::At { .. })));
    }
}
