//! The data directory: the host's key, its membership, and what it remembers between lives.
//!
//! | file | holds | when it is damaged |
//! |---|---|---|
//! | `lock` | the process that uses the directory | is written anew |
//! | `host.key` | the secret key | error; it is never overwritten |
//! | `incarnation` | the number of the last life | written anew when the clock can stand in for it |
//! | `membership` | the credential | error |
//! | `ledger` | the invites issued here | error |
//! | `peers` | host records: a hint whom to dial | set aside; what is readable is used |
//!
//! A file is replaced in one step (write beside it, fsync, rename, fsync the directory), so a
//! crash or a full disk leaves the old content. Each begins with a line that says what it is (see
//! `frame`).
//!
//! All calls block, for as long as the disk takes.

mod error;
mod frame;
mod incarnation;
mod key;
mod lock;
mod store;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub use error::DiskError;
use frame::{Flaw, Record};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocols::{
    admission::Ledger,
    ident::{Credential, Genesis, Signable, Signed},
    limits::{GATE_BYTES_MAX, HOSTS_MAX, LANE_FRAME_BYTES_MAX, NAME_BYTES_MAX},
    roster::HostRecord,
    time::WallTime,
    wire,
};
use zeroize::Zeroizing;

/// A signed record is a little longer than what it signs: signer, signature and lengths.
const SIGNED_BYTES_MAX: usize = <HostRecord as Signable>::BYTES_MAX + 256;

/// One kind of file.
struct Kind {
    file: &'static str,
    what: &'static str,
    /// The largest record.
    record_bytes_max: usize,
    /// The most records.
    records_max: usize,
    /// What to do when it is damaged.
    next: &'static str,
}

/// The file of the host's secret key.
pub(crate) const KEY_FILE: &str = "host.key";

const MEMBERSHIP: Kind = Kind {
    file: "membership",
    what: "membership",
    record_bytes_max: GATE_BYTES_MAX,
    records_max: 1,
    next: "restore it from a backup; without one, move it away and join again with a new token",
};

const LEDGER: Kind = Kind {
    file: "ledger",
    what: "ledger of invites",
    // What one decode may read.
    record_bytes_max: 2 * LANE_FRAME_BYTES_MAX,
    records_max: 1,
    next: "restore it from a backup; without one, move it away: the open invites are then void",
};

const PEERS: Kind = Kind {
    file: "peers",
    what: "host records",
    record_bytes_max: SIGNED_BYTES_MAX,
    records_max: HOSTS_MAX,
    next: "it was set aside",
};

/// A file that was damaged and not needed: it was renamed, and the start went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where it is now.
    pub set_aside: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

/// The data directory of this host, locked: no other daemon uses it while this value lives.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    /// Two writers of one file would share its temporary file.
    writing: Mutex<()>,
    lock: File,
}

impl Drop for Disk {
    /// The lock is given back also if a process that is being started still has all files of this
    /// one.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Makes a mesh in an empty directory: key, genesis and the founder's credential. A key that is
/// there already is used (it may stem from a start that was interrupted).
///
/// # Errors
/// [`DiskError::InMesh`] when the directory belongs to a mesh already.
pub fn init(dir: &Path, mesh_name: &str, now: WallTime) -> Result<(Disk, Credential), DiskError> {
    let disk = Disk::open(dir)?;
    let credential = disk.found(mesh_name, now)?;
    Ok((disk, credential))
}

impl Disk {
    /// Opens the directory and locks it; makes it when it is not there.
    ///
    /// # Errors
    /// [`DiskError::InUse`] when another daemon has it.
    pub fn open(dir: &Path) -> Result<Self, DiskError> {
        store::make_directory(dir)?;
        let lock = lock::take(dir)?;
        // Only what is ours: the directory may hold other things than these.
        for kind in [&key::KEY, &incarnation::INCARNATION, &MEMBERSHIP, &LEDGER, &PEERS] {
            store::sweep(&dir.join(kind.file))?;
        }
        Ok(Self { dir: dir.to_owned(), writing: Mutex::default(), lock })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a mesh with this host as its founder. A key that is there already is used.
    ///
    /// # Errors
    /// [`DiskError::InMesh`] when the directory belongs to a mesh already.
    pub fn found(&self, mesh_name: &str, now: WallTime) -> Result<Credential, DiskError> {
        if !(1..=NAME_BYTES_MAX).contains(&mesh_name.len()) {
            return Err(DiskError::MeshName(mesh_name.len()));
        }
        if let Some(member) = self.membership()? {
            return Err(self.in_mesh(&member));
        }
        let key = self.key()?.map_or_else(|| self.create_key(), Ok)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(DiskError::Entropy)?;
        let genesis = Genesis {
            version: wire::VERSION,
            name: mesh_name.to_owned(),
            founder: key.host(),
            created: now,
            nonce,
        };
        let credential = Credential::of_founder(&key, genesis, now);
        self.save_membership(&credential)?;
        Ok(credential)
    }

    /// The credential of this host, if it belongs to a mesh. Nobody has checked it.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read.
    pub fn membership(&self) -> Result<Option<Credential>, DiskError> {
        self.load(&MEMBERSHIP)
    }

    /// Makes this host a member by this credential, instead of whatever it was.
    ///
    /// # Errors
    /// [`DiskError`] when it is not on the disk.
    pub fn save_membership(&self, credential: &Credential) -> Result<(), DiskError> {
        let genesis = &credential.genesis;
        let note = format!("member of mesh {} ({})", genesis.name, credential.mesh());
        self.save(&MEMBERSHIP, &note, credential)
    }

    /// The invites that this host has issued; none when there is no file.
    ///
    /// # Errors
    /// [`DiskError`] when they cannot be read.
    pub fn ledger(&self) -> Result<Ledger, DiskError> {
        Ok(self.load(&LEDGER)?.unwrap_or_default())
    }

    /// Keeps the invites.
    ///
    /// # Errors
    /// [`DiskError`] when they are not on the disk; no use of an invite may then be granted.
    pub fn save_ledger(&self, ledger: &Ledger) -> Result<(), DiskError> {
        self.save(&LEDGER, "invites issued by this host and who used them", ledger)
    }

    /// The host records kept from the last life, unchecked. They are a hint: from a damaged file
    /// come those records that can still be read.
    ///
    /// # Errors
    /// [`DiskError`] when the disk does not work, or a later version wrote the file.
    pub fn peers(&self) -> Result<(Vec<Signed<HostRecord>>, Option<Damage>), DiskError> {
        let path = self.path(&PEERS);
        let Some((text, _)) = store::read(&path, PEERS.file_bytes_max())? else {
            return Ok((Vec::new(), None));
        };
        match frame::open(PEERS.what, &text) {
            Ok(records) => Ok((decode_peers(&records), None)),
            Err(Flaw::Newer(format)) => Err(DiskError::Newer { path, format }),
            Err(Flaw::Foreign(why) | Flaw::Damaged(why)) => {
                let set_aside = store::set_aside(&path)?;
                let peers = decode_peers(&frame::salvage(frame::body(&text)));
                Ok((peers, Some(Damage { path, set_aside, why })))
            }
        }
    }

    /// Keeps host records, at most [`HOSTS_MAX`] of them.
    ///
    /// # Errors
    /// [`DiskError`] when they are not on the disk.
    pub fn save_peers<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a Signed<HostRecord>>,
    ) -> Result<(), DiskError> {
        let records: Vec<_> = peers
            .into_iter()
            .map(|peer| Zeroizing::new(wire::encode(peer)))
            .filter(|record| record.len() <= PEERS.record_bytes_max)
            .take(PEERS.records_max)
            .collect();
        self.write(&PEERS, &format!("{} hosts of the mesh", records.len()), &records)
    }

    fn in_mesh(&self, member: &Credential) -> DiskError {
        DiskError::InMesh {
            dir: self.dir.clone(),
            mesh_name: member.genesis.name.clone(),
            mesh: member.mesh().short(),
        }
    }

    fn path(&self, kind: &Kind) -> PathBuf {
        self.dir.join(kind.file)
    }

    fn load<T: DeserializeOwned>(&self, kind: &Kind) -> Result<Option<T>, DiskError> {
        let path = self.path(kind);
        let Some((text, _)) = store::read(&path, kind.file_bytes_max())? else { return Ok(None) };
        let record = kind.single(&path, &text)?;
        wire::decode(&record, kind.record_bytes_max)
            .map(Some)
            .map_err(|why| kind.damaged(&path, why.to_string()))
    }

    fn save<T>(&self, kind: &Kind, note: &str, value: &T) -> Result<(), DiskError>
    where
        T: Serialize + DeserializeOwned,
    {
        let record = Zeroizing::new(wire::encode(value));
        // What cannot be read again must not take the place of what can.
        wire::decode::<T>(&record, kind.record_bytes_max).map_err(|why| DiskError::TooLarge {
            path: self.path(kind),
            why: format!("it could not be read again ({why})"),
        })?;
        self.write(kind, note, &[record])
    }

    fn write(&self, kind: &Kind, note: &str, records: &[Record]) -> Result<(), DiskError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        store::replace(&self.path(kind), &frame::seal(kind.what, note, records))
    }
}

impl Kind {
    /// More than any whole file of this kind has: base64 takes four bytes for three.
    const fn file_bytes_max(&self) -> u64 {
        (4096 + self.records_max * (self.record_bytes_max / 3 + 2) * 4) as u64
    }

    /// The record of a file that has one.
    fn single(&self, path: &Path, text: &[u8]) -> Result<Record, DiskError> {
        let records = frame::open(self.what, text).map_err(|flaw| match flaw {
            Flaw::Newer(format) => DiskError::Newer { path: path.to_owned(), format },
            Flaw::Foreign(why) | Flaw::Damaged(why) => self.damaged(path, why),
        })?;
        let [record] = <[Record; 1]>::try_from(records)
            .map_err(|found| self.damaged(path, format!("it has {} records", found.len())))?;
        Ok(record)
    }

    fn damaged(&self, path: &Path, why: impl Into<String>) -> DiskError {
        DiskError::Damaged { path: path.to_owned(), why: why.into(), next: self.next }
    }
}

fn decode_peers(records: &[Record]) -> Vec<Signed<HostRecord>> {
    let readable = records.iter().filter_map(|r| wire::decode(r, PEERS.record_bytes_max).ok());
    readable.take(PEERS.records_max).collect()
}
