use std::{fs, path::Path, time::UNIX_EPOCH};

use starling_protocols::{ident::Incarnation, time::WallTime, wire};
use zeroize::Zeroizing;

use super::{Disk, DiskError, Kind};

pub(super) const INCARNATION: Kind = Kind {
    file: "incarnation",
    what: "number of a host's life",
    record_bytes_max: 16,
    records_max: 1,
    next: "it is written anew at the next start",
};

/// Lives that begin within one second by the clock. The greatest number of a life stays exact in
/// JSON, where numbers are fractions, for two hundred years.
const LIVES_PER_SECOND: u64 = 1_000_000;

impl Disk {
    /// Begins a new life of the host. Its number is on the disk before it is used: greater than
    /// the last one, and not less than the seconds of the clock followed by six digits. These are
    /// drawn by lot: copies of one data directory may begin within the same second, also by clocks
    /// that are set wrongly in the same way, and are told apart by their lives alone.
    ///
    /// The number on the disk keeps lives in order when the clock goes back; the clock keeps them
    /// in order when the file is lost. For a damaged file the clock stands in (and it is written
    /// anew, there is nothing in it worth keeping), if that is safe: a number is ahead of the
    /// clock's second only after the clock went back or with more than one start a second, so a
    /// clock that is not behind the time at which the file was written gives a greater number. A
    /// clock that is behind it does not, and a life that others take for an old one would be
    /// ignored by all: that is an error.
    ///
    /// # Errors
    /// [`DiskError::ClockBehind`] as said above; otherwise when the number is not on the disk, or
    /// the system gives nothing to draw lots from.
    pub fn next_incarnation(&self, wall: WallTime) -> Result<Incarnation, DiskError> {
        let seconds = wall.as_millis() / 1000;
        let least = match self.last_incarnation() {
            Ok(last) => last.saturating_add(1).max(first_life(seconds)),
            Err(DiskError::Damaged { path, why, .. }) => {
                let written = written_seconds(&path)?;
                if seconds < written {
                    return Err(DiskError::ClockBehind { path });
                }
                tracing::warn!(path = %path.display(), why, "damaged: the clock stands in for it");
                // The file is dated by a clock that may be some moments behind.
                first_life(seconds.saturating_add(2))
            }
            Err(other) => return Err(other),
        };
        let next = least.saturating_add(lot()?);
        let record = Zeroizing::new(wire::encode(&Incarnation(next)));
        self.write(&INCARNATION, &format!("life {next} of this host"), &[record])?;
        Ok(Incarnation(next))
    }

    /// Zero when there was none.
    fn last_incarnation(&self) -> Result<u64, DiskError> {
        let last: Option<Incarnation> = self.load(&INCARNATION)?;
        Ok(last.unwrap_or_default().0)
    }
}

const fn first_life(second: u64) -> u64 {
    second.saturating_mul(LIVES_PER_SECOND)
}

fn lot() -> Result<u64, DiskError> {
    let mut drawn = [0; 8];
    getrandom::fill(&mut drawn).map_err(DiskError::Entropy)?;
    Ok(u64::from_le_bytes(drawn) % LIVES_PER_SECOND)
}

fn written_seconds(path: &Path) -> Result<u64, DiskError> {
    let written = fs::metadata(path)
        .and_then(|about| about.modified())
        .map_err(DiskError::io("look at", path))?;
    Ok(written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
