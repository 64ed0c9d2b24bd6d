use std::fs;

use starling_protocols::ident::SecretKey;
use zeroize::Zeroizing;

use super::{Disk, DiskError, Kind, store};

pub(super) const KEY: Kind = Kind {
    file: super::KEY_FILE,
    what: "secret key of a host",
    record_bytes_max: 32,
    records_max: 1,
    next: "restore it from a backup; without one, move the whole data directory away: this then \
           becomes a new host, which has to join again",
};

impl Disk {
    /// The host's secret key, if it has one.
    ///
    /// # Errors
    /// [`DiskError`] when it is damaged, or open to others than its owner.
    pub fn key(&self) -> Result<Option<SecretKey>, DiskError> {
        let path = self.path(&KEY);
        let Some((text, mode)) = store::read(&path, KEY.file_bytes_max())? else {
            return Ok(None);
        };
        if mode & 0o077 != 0 {
            return Err(DiskError::WidePermissions { path, what: "read", mode, fix: "600" });
        }
        let record = KEY.single(&path, &text)?;
        let secret = <&[u8; 32]>::try_from(record.as_slice()).map_err(|_| {
            KEY.damaged(&path, format!("the key has {} bytes instead of 32", record.len()))
        })?;
        Ok(Some(SecretKey::from_bytes(secret)))
    }

    /// Makes the host's secret key, from randomness of the operating system.
    ///
    /// # Errors
    /// [`DiskError::KeyExists`] when there is one, whatever its condition.
    pub fn create_key(&self) -> Result<SecretKey, DiskError> {
        let path = self.path(&KEY);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(DiskError::KeyExists { path });
        }
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(DiskError::Entropy)?;
        let key = SecretKey::from_bytes(&secret);
        let note = format!("keep it secret; of host {}", key.host());
        self.write(&KEY, &note, &[Zeroizing::new(secret.to_vec())])?;
        Ok(key)
    }
}
