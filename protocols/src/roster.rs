//! Who is in the mesh and where they are reached: one signed record per host, exchanged whole when
//! a lane opens and passed on from host to host when it changes. A record is a hint about addresses and proof of
//! membership; it says nothing of who is alive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ident::{
        Credential, CredentialError, HostId, Incarnation, MeshId, SecretKey, Signable, Signed,
        SignedError,
    },
    limits::{ADDRESS_BYTES_MAX, ADDRESSES_PER_HOST_MAX, HOSTS_MAX, NAME_BYTES_MAX},
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

    fn age(&self) -> (Incarnation, u64) {
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

/// All hosts that this host knows of.
#[derive(Clone, Debug)]
pub struct Roster {
    mesh: MeshId,
    hosts: BTreeMap<HostId, (HostRecord, Signed<HostRecord>)>,
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
    pub const fn new(mesh: MeshId) -> Self {
        Self { mesh, hosts: BTreeMap::new() }
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
        let known = self.hosts.get(&signed.signer());
        if known.is_some_and(|(_, known)| known == signed) {
            return Ok(Change::None);
        }
        let record = signed.open(self.mesh)?;
        if record.host != signed.signer() {
            return Err(RecordError::Foreign { signer: signed.signer(), host: record.host });
        }
        if known.is_some_and(|(known, _)| known.age() >= record.age()) {
            return Ok(Change::None);
        }
        if !record.within_limits() {
            return Err(RecordError::TooLarge);
        }
        record.credential.verify(self.mesh, record.host, now)?;
        if known.is_none() && self.hosts.len() >= HOSTS_MAX && !self.forget_one_that_left() {
            return Err(RecordError::Full);
        }
        let new = self.hosts.insert(record.host, (record, signed.clone())).is_none();
        Ok(if new { Change::New } else { Change::Updated })
    }

    fn forget_one_that_left(&mut self) -> bool {
        let gone = self.hosts.iter().find(|(_, (record, _))| record.left).map(|(host, _)| *host);
        gone.is_some_and(|host| self.hosts.remove(&host).is_some())
    }

    /// Signs this host's own record and takes it up, whatever stood there.
    pub fn publish(&mut self, key: &SecretKey, record: HostRecord) -> Signed<HostRecord> {
        let record = record.bounded();
        let signed = Signed::new(key, self.mesh, &record);
        self.hosts.insert(record.host, (record, signed.clone()));
        signed
    }

    /// What is known of a host.
    #[must_use]
    pub fn get(&self, host: HostId) -> Option<&HostRecord> {
        self.hosts.get(&host).map(|(record, _)| record)
    }

    /// All hosts, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &HostRecord> {
        self.hosts.values().map(|(record, _)| record)
    }

    /// All records as they were signed, to pass on.
    pub fn signed(&self) -> impl Iterator<Item = &Signed<HostRecord>> {
        self.hosts.values().map(|(_, signed)| signed)
    }

    /// How many hosts are known, this one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no host is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Genesis;

    const NOW: WallTime = WallTime::from_millis(1_000);

    fn founder() -> (SecretKey, Credential) {
        let key = SecretKey::from_bytes(&[1; 32]);
        let (name, founder, nonce) = ("m".to_owned(), key.host(), [0; 16]);
        let genesis = Genesis { version: 1, name, founder, created: NOW, nonce };
        let credential = Credential::of_founder(&key, genesis, NOW);
        (key, credential)
    }

    fn record(host: HostId, credential: &Credential, age: (u64, u64)) -> HostRecord {
        HostRecord {
            host,
            name: format!("host {age:?}"),
            incarnation: Incarnation(age.0),
            sequence: age.1,
            addresses: vec!["/ip4/127.0.0.1".to_owned()],
            software: "test".to_owned(),
            credential: credential.clone(),
            left: false,
        }
    }

    #[test]
    fn the_newest_record_stays_in_whatever_order_they_come() {
        let (key, credential) = founder();
        let mesh = credential.mesh();
        let ages = [(1, 1), (1, 2), (2, 0), (2, 1)];
        let signed = ages.map(|age| Signed::new(&key, mesh, &record(key.host(), &credential, age)));
        for turn in 0..4 {
            let mut roster = Roster::new(mesh);
            for place in 0..4 {
                roster.merge(&signed[(place + turn) % 4], NOW).expect("a good record");
            }
            let known = roster.get(key.host()).expect("it is known");
            assert_eq!((known.incarnation, known.sequence), (Incarnation(2), 1));
            assert_eq!(roster.merge(&signed[0], NOW), Ok(Change::None));
            assert_eq!((roster.len(), roster.signed().next()), (1, Some(&signed[3])));
        }
    }

    #[test]
    fn bad_records_change_nothing() {
        let (key, credential) = founder();
        let mesh = credential.mesh();
        let stranger = SecretKey::from_bytes(&[2; 32]);
        let mut roster = Roster::new(mesh);
        let mut refuse = |key: &SecretKey, mesh: MeshId, record: &HostRecord| {
            let refused = roster.merge(&Signed::new(key, mesh, record), NOW);
            assert!(roster.is_empty());
            refused.expect_err("a bad record")
        };
        let good = record(key.host(), &credential, (1, 1));
        let foreign = refuse(&stranger, mesh, &good);
        assert_eq!(foreign, RecordError::Foreign { signer: stranger.host(), host: key.host() });
        assert!(matches!(refuse(&key, MeshId([0; 32]), &good), RecordError::Signed(_)));
        let not_his = record(stranger.host(), &credential, (1, 1));
        assert!(matches!(refuse(&stranger, mesh, &not_his), RecordError::Credential(_)));
        let long = HostRecord { name: "x".repeat(NAME_BYTES_MAX + 1), ..good.clone() };
        assert_eq!(refuse(&key, mesh, &long), RecordError::TooLarge);
        let many = HostRecord { addresses: vec![String::new(); 17], ..good };
        assert_eq!(refuse(&key, mesh, &many), RecordError::TooLarge);
    }

    #[test]
    fn what_is_published_is_within_the_limits() {
        let (key, credential) = founder();
        let mut roster = Roster::new(credential.mesh());
        let name = "é".repeat(NAME_BYTES_MAX);
        let addresses = vec!["a".repeat(ADDRESS_BYTES_MAX), "b".repeat(ADDRESS_BYTES_MAX + 1)];
        let large = HostRecord { name, addresses, ..record(key.host(), &credential, (1, 1)) };
        let signed = roster.publish(&key, large);
        let mut other = Roster::new(credential.mesh());
        assert_eq!(other.merge(&signed, NOW), Ok(Change::New));
        assert_eq!(other.get(key.host()).map(|record| record.addresses.len()), Some(1));
    }
}
