//! What hosts have stored.

use std::time::Duration;

use starling_protocols::{
    journal::{Batch, ChainHash, Page, Record, Recovery, Sequence},
    time::Time,
};

use crate::engine::Recording;

/// What a host has stored of its journal, and what waits to be.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) pages: Vec<Page>,
    pub(super) waiting: Vec<Batch>,
    /// Nothing is written until the test says so.
    pub(super) stalled: bool,
    /// How many files were begun, and at which page the last.
    pub(super) files: u32,
    file: usize,
}

impl Disk {
    pub(super) fn write(&mut self) -> Option<Sequence> {
        for batch in self.waiting.drain(..) {
            if batch.begins_file || self.pages.is_empty() {
                (self.files, self.file) = (self.files + 1, self.pages.len());
            }
            let before = self.pages.last().map_or(ChainHash::START, |page| page.hash);
            self.pages.push(Page::seal(before, &batch));
        }
        let last = self.pages.last()?;
        Some(Sequence(last.first.0 + u64::from(last.count) - 1))
    }

    pub(super) fn records(&self) -> Vec<(Sequence, Record<'static>)> {
        let mut all = Vec::new();
        for page in &self.pages {
            let page = Page::open(&page.bytes).expect("whole pages");
            let records = page.records().map(|record| record.expect("records"));
            all.extend(records.map(|(number, record)| (number, record.into_owned())));
        }
        all
    }

    pub(super) fn recording(&self) -> Recording {
        let mut recovery = Recovery::new();
        for (sequence, record) in self.records() {
            recovery.record(sequence, record);
        }
        let file_age = self.file_age();
        let found = recovery.finish();
        Recording { digest_entries: 1, snapshot_entries: 10, file_age, ..Recording::new(found) }
    }

    fn file_age(&self) -> Duration {
        let file = self.pages.get(self.file..).unwrap_or_default();
        let moment = |page: &Page| {
            let open = Page::open(&page.bytes).expect("whole pages");
            let moments = open.records().filter_map(|record| match record {
                Ok((_, Record::At { time, .. })) => Some(time),
                _ => None,
            });
            moments.min()
        };
        let moments: Vec<Time> = file.iter().filter_map(moment).collect();
        let ends = moments.first().zip(moments.last());
        ends.map_or(Duration::ZERO, |(first, last)| last.since(*first))
    }
}
