use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{KnownHost, Roster};
use crate::ident::HostId;

/// The hosts of a roster are divided by the first byte of their ids.
pub(super) const BUCKETS: usize = 256;

/// What two hosts say to each other to find the records that one of them lacks.
///
/// A *print* is 64 bits that stand for one host's record of one age; a *sum* is that of prints,
/// modulo 2⁶⁴. The records of the two themselves are in none of the sums and lists: each host
/// answers for its own.
///
/// Sums are not proof against a member that makes up many hosts with prints chosen to cancel
/// out. It could hide a difference between two hosts, which the next change of any record shows
/// again; it cannot forge a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Digest {
    /// What the sender knows. Told when a lane opens, and when it has learned much.
    State {
        /// The print of the receiver's record, zero when it has none. The receiver sends its
        /// record when this is not its print.
        of_you: u64,
        /// The sum of all others. The receiver asks when it has another.
        others: u64,
    },
    /// Asks for all records whose prints are not among these: those of a small roster.
    List(Vec<u64>),
    /// Asks for the records of a large roster that the sender lacks: the sums by the first byte of
    /// the id, 256 of them. Answered by [`Differ`](Self::Differ), or by [`Done`](Self::Done) when
    /// all are the same.
    Sums(Vec<u64>),
    /// Which of the sums differ, in rising order.
    Differ(Vec<u8>),
    /// Asks for the records in these parts, in rising order, whose prints are not among these.
    Prints(Vec<(u8, Vec<u64>)>),
    /// The records that were asked for have been sent.
    Done {
        /// There are more: ask again.
        more: bool,
    },
}

pub(super) const fn bucket(host: HostId) -> usize {
    host.0[0] as usize
}

/// What is told to one peer.
impl Roster {
    /// What `me` tells `peer` of all that it knows.
    #[must_use]
    pub fn state(&self, me: HostId, peer: HostId) -> Digest {
        Digest::State { of_you: self.print(peer), others: self.others(me, peer) }
    }

    /// The print of a host's record, zero when there is none.
    pub(super) fn print(&self, host: HostId) -> u64 {
        self.known(host).map_or(0, |known| known.print())
    }

    /// The sum of all but two hosts.
    pub(super) fn others(&self, me: HostId, peer: HostId) -> u64 {
        self.table.total.wrapping_sub(self.print(me)).wrapping_sub(self.print(peer))
    }

    /// The sums of all but two hosts.
    pub(super) fn sums(&self, me: HostId, peer: HostId) -> Vec<u64> {
        let mut sums = self.table.sums.to_vec();
        for host in [me, peer] {
            let sum = &mut sums[bucket(host)];
            *sum = sum.wrapping_sub(self.print(host));
        }
        sums
    }

    /// The hosts of one bucket but two.
    pub(super) fn part(
        &self,
        bucket: u8,
        but: [HostId; 2],
    ) -> impl Iterator<Item = &Arc<KnownHost>> {
        let hosts = &self.table.hosts;
        let from = hosts.partition_point(|known| known.host().0[0] < bucket);
        let part = hosts[from..].iter().take_while(move |known| known.host().0[0] == bucket);
        part.filter(move |known| !but.contains(&known.host()))
    }

    /// All hosts but two.
    pub(super) fn all(&self, but: [HostId; 2]) -> impl Iterator<Item = &Arc<KnownHost>> {
        self.table.hosts.iter().filter(move |known| !but.contains(&known.host()))
    }
}
