//! Who is in the mesh and where they are reached: one signed record per host, passed on from host
//! to host when it changes, and reconciled when two hosts meet. A record is a hint about addresses
//! and proof of membership; it says nothing of who is alive.
//!
//! Two hosts that meet send each other only the records that one of them lacks: a roster is a
//! collection of [prints](Prints), in which each host answers for its own record.

mod known;

pub use known::KnownHost;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ident::{
        Credential, CredentialError, HostId, Incarnation, MeshId, SecretKey, Signable, Signed,
        SignedError,
    },
    limits::{ADDRESS_BYTES_MAX, ADDRESSES_PER_HOST_MAX, HOSTS_MAX, NAME_BYTES_MAX},
    reconcile::{Prints, Sums},
    time::WallTime,
};

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host.
    pub host: HostId,
    /// A label for people; two hosts may share it.
    pub name: String,
    /// The life of the host that wrote this.
    pub incarnation: Incarnation,
    /// Counts up within one incarnation.
    pub sequence: u64,
    /// Where it can be dialled (multiaddresses), the best first.
    pub addresses: Vec<String>,
    /// The version of the software.
    pub software: String,
    /// Its membership.
    pub credential: Credential,
    /// It said goodbye: it went down on purpose.
    pub left: bool,
}

impl Signable for HostRecord {
    const CONTEXT: &'static str = "starling host record 1";
    const BYTES_MAX: usize = 32 * 1024;
}

impl HostRecord {
    /// The record in the form that everybody accepts: names and addresses cut to the limits.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.name = cut(&self.name, NAME_BYTES_MAX);
        self.software = cut(&self.software, NAME_BYTES_MAX);
        self.addresses.retain(|address| address.len() <= ADDRESS_BYTES_MAX);
        self.addresses.truncate(ADDRESSES_PER_HOST_MAX);
        self
    }

    fn within_limits(&self) -> bool {
        self.name.len() <= NAME_BYTES_MAX
            && self.software.len() <= NAME_BYTES_MAX
            && self.addresses.len() <= ADDRESSES_PER_HOST_MAX
            && self.addresses.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX)
    }

    /// What says which of two records of a host is the later one.
    #[must_use]
    pub const fn age(&self) -> (Incarnation, u64) {
        (self.incarnation, self.sequence)
    }
}

fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// How long a record is kept after its host's certificate has expired. Nobody whose clock is off
/// by less takes it up again, so it does not come back.
const EXPIRED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// All hosts that this host knows of.
///
/// A clone shares everything until one of the two changes, and then still every record: the
/// engines of one process that know the same hosts keep them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    mesh: MeshId,
    table: Arc<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    /// In the order of their ids.
    hosts: Vec<Arc<KnownHost>>,
    /// How many of them have not left.
    present: usize,
    /// The sums of their prints.
    sums: Sums,
    /// No certificate ends before.
    expires: WallTime,
}

/// What a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A host that was not known.
    New,
    /// Newer than what was known.
    Updated,
    /// Known already, or older. Nothing changed.
    None,
}

/// Why a record is refused. The roster is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Altered or of another mesh.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Signed by somebody else than the host it is about.
    #[error("host {signer:?} signed a record about host {host:?}")]
    Foreign {
        /// Who signed.
        signer: HostId,
        /// Whom it is about.
        host: HostId,
    },
    /// Its host is no member.
    #[error("its host is no member: {0}")]
    Credential(#[from] CredentialError),
    /// Longer than allowed.
    #[error("it exceeds the limits of a host record")]
    TooLarge,
    /// The roster is full.
    #[error("the roster is full ({HOSTS_MAX} hosts)")]
    Full,
}

impl Roster {
    /// An empty roster of `mesh`.
    #[must_use]
    pub fn new(mesh: MeshId) -> Self {
        let table = Table {
            hosts: Vec::new(),
            present: 0,
            sums: Sums::new(),
            expires: WallTime::from_millis(u64::MAX),
        };
        Self { mesh, table: Arc::new(table) }
    }

    /// The mesh whose hosts these are.
    #[must_use]
    pub const fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// Takes up a record if it is good and newer than what is known.
    ///
    /// # Errors
    /// [`RecordError`] says which rule it breaks.
    pub fn merge(
        &mut self,
        signed: &Signed<HostRecord>,
        now: WallTime,
    ) -> Result<Change, RecordError> {
        let known = self.known(signed.signer());
        if known.is_some_and(|known| known.signed() == signed) {
            return Ok(Change::None);
        }
        let record = signed.open(self.mesh)?;
        if record.host != signed.signer() {
            return Err(RecordError::Foreign { signer: signed.signer(), host: record.host });
        }
        if known.is_some_and(|known| known.record().age() >= record.age()) {
            return Ok(Change::None);
        }
        if !record.within_limits() {
            return Err(RecordError::TooLarge);
        }
        let own = record.credential.verify(self.mesh, record.host, now)?;
        let full = known.is_none() && self.len() >= HOSTS_MAX;
        // One that has left pushes nobody out: two full rosters would exchange them for ever.
        if full && (record.left || !self.forget_one_that_left()) {
            return Err(RecordError::Full);
        }
        Ok(self.put(KnownHost::new(record, signed.clone(), own.not_after)))
    }

    fn forget_one_that_left(&mut self) -> bool {
        let place = self.table.hosts.iter().position(|known| known.record().left);
        place.map(|place| Arc::make_mut(&mut self.table).remove(place)).is_some()
    }

    /// Forgets hosts whose certificate expired more than a week ago, but never `me`. Gives whether
    /// there were any. Costs nothing as long as there are none.
    ///
    /// Those that have left are kept until then, because an older record, of when they were there,
    /// may still be about and must not be taken for news.
    pub fn forget_expired(&mut self, me: HostId, now: WallTime) -> bool {
        if self.table.expires + EXPIRED_KEPT >= now {
            return false;
        }
        let table = Arc::make_mut(&mut self.table);
        let before = table.hosts.len();
        for place in (0..before).rev() {
            let known = &table.hosts[place];
            if known.expires() + EXPIRED_KEPT < now && known.host() != me {
                table.remove(place);
            }
        }
        let others = table.hosts.iter().filter(|known| known.host() != me);
        let first = others.map(|known| known.expires()).min();
        table.expires = first.unwrap_or(WallTime::from_millis(u64::MAX));
        table.hosts.len() < before
    }

    /// Signs this host's own record and takes it up, whatever stood there.
    pub fn publish(&mut self, key: &SecretKey, record: HostRecord) -> Signed<HostRecord> {
        let record = record.bounded();
        let signed = Signed::new(key, self.mesh, &record);
        let expires = record.credential.own().map_or(WallTime::from_millis(0), |own| own.not_after);
        self.put(KnownHost::new(record, signed.clone(), expires));
        signed
    }

    fn put(&mut self, known: KnownHost) -> Change {
        Arc::make_mut(&mut self.table).put(Arc::new(known))
    }

    /// What is known of a host, as it can be shared and passed on.
    #[must_use]
    pub fn known(&self, host: HostId) -> Option<&Arc<KnownHost>> {
        self.table.place(host).ok().map(|place| &self.table.hosts[place])
    }

    /// What is known of a host.
    #[must_use]
    pub fn get(&self, host: HostId) -> Option<&HostRecord> {
        self.known(host).map(|known| known.record())
    }

    /// Whether a host is a member now: its certificate is known and has not expired. It may have
    /// left.
    #[must_use]
    pub fn is_member(&self, host: HostId, now: WallTime) -> bool {
        self.known(host).is_some_and(|known| known.expires() >= now)
    }

    /// All hosts, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &HostRecord> {
        self.table.hosts.iter().map(|known| known.record())
    }

    /// All records as they were signed, to pass on.
    pub fn signed(&self) -> impl Iterator<Item = &Signed<HostRecord>> {
        self.table.hosts.iter().map(|known| known.signed())
    }

    /// How many hosts are known, this one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.hosts.len()
    }

    /// Whether no host is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.hosts.is_empty()
    }

    /// How many of the known hosts have not left. Takes the same time however many there are.
    #[must_use]
    pub fn present(&self) -> usize {
        self.table.present
    }

    /// The hosts nearest to `me` on the ring of ids that have not left: half of `count` before it
    /// and half behind, or all when there are no more than `count`. In the order of their ids.
    #[must_use]
    pub fn nearest(&self, me: HostId, count: usize) -> Vec<HostId> {
        let others = self.present() - usize::from(self.get(me).is_some_and(|own| !own.left));
        let hosts = &self.table.hosts;
        let after = hosts.partition_point(|known| known.host() < me);
        let (before, after) = hosts.split_at(after);
        let there = |known: &&Arc<KnownHost>| !known.record().left && known.host() != me;
        let ring = after.iter().chain(before).filter(there).map(|known| known.host());
        let mut near: Vec<HostId> = if others <= count {
            ring.collect()
        } else {
            let half = count / 2;
            ring.clone().take(half).chain(ring.rev().take(half)).collect()
        };
        near.sort_unstable();
        near
    }

    /// Members that have left, the next `count` behind `from` on the ring of ids.
    #[must_use]
    pub fn left_behind(&self, from: HostId, count: usize, now: WallTime) -> Vec<HostId> {
        let hosts = &self.table.hosts;
        let (before, after) = hosts.split_at(hosts.partition_point(|known| known.host() <= from));
        let left = |known: &&Arc<KnownHost>| known.record().left && known.expires() >= now;
        let ring = after.iter().chain(before).filter(left);
        ring.map(|known| known.host()).take(count).collect()
    }
}

impl Prints for Roster {
    type Item = Arc<KnownHost>;

    fn sums(&self) -> &Sums {
        &self.table.sums
    }

    fn bucket(&self, part: u8) -> impl Iterator<Item = (u64, &Arc<KnownHost>)> {
        let hosts = &self.table.hosts;
        let from = hosts.partition_point(|known| bucket(known.host()) < part);
        let hosts = hosts[from..].iter().take_while(move |known| bucket(known.host()) == part);
        hosts.map(|known| (known.print(), known))
    }

    fn bytes(&self, known: &Arc<KnownHost>) -> usize {
        known.signed().size()
    }

    fn own(&self, host: HostId) -> Option<(u8, u64, &Arc<KnownHost>)> {
        self.known(host).map(|known| (bucket(host), known.print(), known))
    }
}

/// The hosts are divided by the first byte of their ids.
const fn bucket(host: HostId) -> u8 {
    host.0[0]
}

impl Table {
    fn place(&self, host: HostId) -> Result<usize, usize> {
        self.hosts.binary_search_by_key(&host, |known| known.host())
    }

    fn put(&mut self, new: Arc<KnownHost>) -> Change {
        self.expires = self.expires.min(new.expires());
        self.count(&new);
        match self.place(new.host()) {
            Ok(place) => {
                let old = std::mem::replace(&mut self.hosts[place], new);
                self.discount(&old);
                Change::Updated
            }
            Err(place) => {
                if self.hosts.len() == self.hosts.capacity() {
                    // There are as many rosters as hosts where a whole mesh runs in one process.
                    self.hosts.reserve_exact(4 + self.hosts.len() / 8);
                }
                self.hosts.insert(place, new);
                Change::New
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let old = self.hosts.remove(place);
        self.discount(&old);
    }

    fn count(&mut self, known: &KnownHost) {
        self.sums.add(bucket(known.host()), known.print());
        self.present += usize::from(!known.record().left);
    }

    fn discount(&mut self, known: &KnownHost) {
        self.sums.remove(bucket(known.host()), known.print());
        self.present -= usize::from(!known.record().left);
    }
}

#[cfg(test)]
mod tests;
