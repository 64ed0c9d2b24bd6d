use super::HostRecord;
use crate::{
    ident::{HostId, Signed},
    time::WallTime,
};

/// A record that has been checked, with its signed form. Made by a [`Roster`](super::Roster) only.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownHost {
    record: HostRecord,
    signed: Signed<HostRecord>,
    expires: WallTime,
    print: u64,
}

impl KnownHost {
    pub(super) fn new(record: HostRecord, signed: Signed<HostRecord>, expires: WallTime) -> Self {
        let print = print(&record);
        Self { record, signed, expires, print }
    }

    /// What the host says of itself.
    #[must_use]
    pub const fn record(&self) -> &HostRecord {
        &self.record
    }

    /// The same as it was signed.
    #[must_use]
    pub const fn signed(&self) -> &Signed<HostRecord> {
        &self.signed
    }

    /// When the host's own certificate ends.
    pub(super) const fn expires(&self) -> WallTime {
        self.expires
    }

    /// Stands for this host at this age in a digest; never zero.
    pub(super) const fn print(&self) -> u64 {
        self.print
    }

    pub(super) const fn host(&self) -> HostId {
        self.record.host
    }
}

/// Of the host and the record's age, not of the content: two records of one age count as one, as
/// they do in a roster.
fn print(record: &HostRecord) -> u64 {
    let mut hash = blake3::Hasher::new_derive_key("starling roster print 1");
    hash.update(&record.host.0);
    hash.update(&record.incarnation.0.to_le_bytes());
    hash.update(&record.sequence.to_le_bytes());
    let mut print = [0; 8];
    hash.finalize_xof().fill(&mut print);
    u64::from_le_bytes(print).max(1)
}
