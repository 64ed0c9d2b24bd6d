//! What SQLite passes over in silence: its log ends for it at the first frame whose checksum is
//! wrong. After a crash that is the torn end of what nobody was told of. But where later frames of
//! the same log follow, something was damaged that may have been durable; or power was cut, and what
//! was not synced went to the disk in another order; or they are the rest of a write that was given
//! up, because the disk was full. Which of them cannot be told.
//!
//! The format is SQLite's (`sqlite.org/fileformat2.html`, section 4).

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::Path,
};

use super::file::beside;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES_MAX: usize = 65_536;

/// Says what is wrong with the log beside a file, if something is that SQLite does not
/// tell. A log that cannot be read is left to SQLite.
pub(crate) fn damage(path: &Path) -> Option<String> {
    let log = beside(path, "-wal");
    let header = || -> std::io::Result<[u8; HEADER_BYTES]> {
        let mut header = [0; HEADER_BYTES];
        File::open(&log)?.read_exact(&mut header).map(|()| header)
    };
    let before = header().ok()?;
    let found = scan(&mut BufReader::new(File::open(&log).ok()?)).ok().flatten()?;
    // Beside a writer the log may have been begun anew meanwhile.
    (header().ok()? == before).then_some(found)
}

fn scan(log: &mut impl Read) -> std::io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(None);
    }
    let (magic, page) = (number(&header, 0), number(&header, 8) as usize);
    let big_endian = magic & 1 == 1;
    let sums = sum([0; 2], &header[..24], big_endian);
    if header == [0; HEADER_BYTES] {
        // It was never synced, so nothing after it was.
        return Ok(None);
    }
    let right = magic & !1 == MAGIC && sums == [number(&header, 24), number(&header, 28)];
    if !right || !(512..=PAGE_BYTES_MAX).contains(&page) {
        return Ok(Some("its log begins with damaged bytes, and all that is in it is lost".into()));
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let (mut sums, mut bad, mut place) = (sums, None, 0u64);
    while fill(log, &mut frame)? {
        place += 1;
        let ours = frame[8..16] == header[16..24];
        let Some(first) = bad else {
            sums = sum(sum(sums, &frame[..8], big_endian), &frame[24..], big_endian);
            if !ours || sums != [number(&frame, 16), number(&frame, 20)] {
                bad = Some(place);
            }
            continue;
        };
        if ours {
            return Ok(Some(format!(
                "frame {first} of its log is damaged, and others follow it: what was written from \
                 there on is lost, and may have been durable"
            )));
        }
    }
    Ok(None)
}

/// Whether there were so many bytes.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(bytes) {
        Err(why) if why.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(four)
}

fn sum([mut a, mut b]: [u32; 2], bytes: &[u8], big_endian: bool) -> [u32; 2] {
    let word = |four: &[u8]| {
        let four = four.try_into().expect("four bytes");
        if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
    }
    [a, b]
}
