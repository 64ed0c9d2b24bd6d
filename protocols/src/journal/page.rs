use std::{borrow::Cow, fmt};

use super::{Batch, Record, Sequence};
use crate::{limits::JOURNAL_PAGE_BYTES_MAX, wire};

const MAGIC: [u8; 4] = *b"STJP";

/// The version of the pages that this crate writes; it reads all up to it.
const VERSION: u16 = 2;

/// Records of fewer bytes are not compressed: a sync costs more than they do.
const COMPRESSED_BYTES_MIN: usize = 2048;

const HASH_BYTES: usize = 32;
const HEAD_BYTES: usize = 4 + 2 + 8 + 4 + HASH_BYTES;

/// The hash of a page. It covers the hash of the page before it, so that nothing can be changed,
/// taken out or put in without breaking the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainHash(pub [u8; HASH_BYTES]);

impl ChainHash {
    /// What stands before the first page of a host.
    pub const START: Self = Self([0; HASH_BYTES]);
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A batch of records as it is stored.
///
/// | bytes | what |
/// |---|---|
/// | 4 | `STJP` |
/// | 2 | version |
/// | 8 | number of the first record |
/// | 4 | how many records |
/// | 32 | hash of the page before |
/// | 4 | how many bytes the records take, if they are compressed (LZ4, one block); else zero |
/// | … | the records, one after the other |
/// | 32 | BLAKE3 of all that stands before |
///
/// Numbers are little endian. In version 1 nothing is compressed, and the number of bytes is not
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of its first record.
    pub first: Sequence,
    /// How many records it has.
    pub count: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its hash, which the next page carries.
    pub hash: ChainHash,
}

/// Why a page cannot be read. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is no page.
    #[error("these are not the bytes of a page of a journal")]
    Foreign,
    /// A later version wrote it.
    #[error("a later version of Starling wrote it (format {0}); read it with that version")]
    Newer(u16),
    /// Its bytes are not those that were written.
    #[error("it is damaged: its bytes are not those that were written")]
    Damaged,
    /// It does not follow the page before it.
    #[error("it does not follow the page before it: something between them is missing or changed")]
    Unlinked,
    /// A record does not decode.
    #[error("record {0} does not decode: {1}")]
    Record(Sequence, wire::Error),
}

impl Page {
    /// Frames a batch that follows the page with the hash `previous`.
    #[must_use]
    pub fn seal(previous: ChainHash, batch: &Batch) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + batch.bytes.len() + HASH_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&batch.first.0.to_le_bytes());
        bytes.extend_from_slice(&batch.count.to_le_bytes());
        bytes.extend_from_slice(&previous.0);
        match compress(&batch.bytes) {
            Some((length, packed)) => {
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(&packed);
            }
            None => {
                bytes.extend_from_slice(&[0; 4]);
                bytes.extend_from_slice(&batch.bytes);
            }
        }
        let hash = ChainHash(*blake3::hash(&bytes).as_bytes());
        bytes.extend_from_slice(&hash.0);
        Self { first: batch.first, count: batch.count, bytes, hash }
    }

    /// Checks a page by its own checksum. Whether it follows another, see
    /// [`OpenPage::follows`].
    ///
    /// # Errors
    /// [`PageError`] says what is wrong with it.
    pub fn open(bytes: &[u8]) -> Result<OpenPage<'_>, PageError> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(PageError::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(PageError::Foreign)?;
        let version = u16::from_le_bytes(*version);
        if *magic != MAGIC || version == 0 {
            return Err(PageError::Foreign);
        }
        if version > VERSION {
            return Err(PageError::Newer(version));
        }
        let (covered, hash) = bytes.split_last_chunk().ok_or(PageError::Damaged)?;
        if *blake3::hash(covered).as_bytes() != *hash {
            return Err(PageError::Damaged);
        }
        let (first, rest) = rest.split_first_chunk().ok_or(PageError::Damaged)?;
        let (count, rest) = rest.split_first_chunk().ok_or(PageError::Damaged)?;
        let (previous, rest) = rest.split_first_chunk().ok_or(PageError::Damaged)?;
        let body = rest.strip_suffix(hash.as_slice()).ok_or(PageError::Damaged)?;
        let body = if version == 1 { Cow::Borrowed(body) } else { decompress(body)? };
        Ok(OpenPage {
            first: Sequence(u64::from_le_bytes(*first)),
            count: u32::from_le_bytes(*count),
            previous: ChainHash(*previous),
            hash: ChainHash(*hash),
            body,
        })
    }
}

fn compress(records: &[u8]) -> Option<(u32, Vec<u8>)> {
    let length = u32::try_from(records.len()).ok()?;
    let packed = (COMPRESSED_BYTES_MIN..=JOURNAL_PAGE_BYTES_MAX)
        .contains(&records.len())
        .then(|| lz4_flex::block::compress(records))
        .filter(|packed| packed.len() < records.len())?;
    Some((length, packed))
}

fn decompress(body: &[u8]) -> Result<Cow<'_, [u8]>, PageError> {
    let (length, packed) = body.split_first_chunk().ok_or(PageError::Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 {
        return Ok(Cow::Borrowed(packed));
    }
    if length > JOURNAL_PAGE_BYTES_MAX {
        return Err(PageError::Damaged);
    }
    let records = lz4_flex::block::decompress(packed, length);
    records.ok().filter(|records| records.len() == length).map(Cow::Owned).ok_or(PageError::Damaged)
}

/// A page whose checksum is right.
#[derive(Clone, Debug)]
pub struct OpenPage<'a> {
    /// The number of its first record.
    pub first: Sequence,
    /// How many records it has.
    pub count: u32,
    /// The hash of the page before it.
    pub previous: ChainHash,
    /// Its own.
    pub hash: ChainHash,
    body: Cow<'a, [u8]>,
}

impl OpenPage<'_> {
    /// Whether it is the one after the page that ended with `hash`, with `next` as its first
    /// record.
    ///
    /// # Errors
    /// [`PageError::Unlinked`] when it is not.
    pub fn follows(&self, hash: ChainHash, next: Sequence) -> Result<(), PageError> {
        if self.previous == hash && self.first == next { Ok(()) } else { Err(PageError::Unlinked) }
    }

    /// The number of the record after its last.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        Sequence(self.first.0 + self.count as u64)
    }

    /// Its records, in order, each with its number. After the first error nothing follows.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records { next: self.first, left: self.count, rest: &self.body }
    }
}

/// The records of a page or of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    pub(super) next: Sequence,
    pub(super) left: u32,
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Sequence, Record<'a>), PageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let number = self.next;
        match wire::decode_next(self.rest, JOURNAL_PAGE_BYTES_MAX) {
            Ok((record, read)) => {
                self.rest = &self.rest[read..];
                self.left -= 1;
                self.next = number.next();
                Some(Ok((number, record)))
            }
            Err(why) => {
                self.left = 0;
                Some(Err(PageError::Record(number, why)))
            }
        }
    }
}
