//! The one encoding of Starling: bincode 2 with variable-length integers, little endian.
//!
//! Every decode is bounded: the input by the caller's cap, what it claims by a limit inside
//! bincode, and bytes left over are an error. Remote bytes never panic here. The vectors in
//! `tests/golden` pin the bytes of every type that crosses a wire.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint, standard},
    enc::write::Writer,
    error::EncodeError,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::limits::{JOURNAL_PAGE_BYTES_MAX, LANE_FRAME_BYTES_MAX};

/// The version of the protocols in this crate. Carried in every handshake.
pub const VERSION: u16 = 1;

const LIMIT: usize = 2 * LANE_FRAME_BYTES_MAX;

const OWN_LIMIT: usize = 2 * JOURNAL_PAGE_BYTES_MAX;

const fn config() -> Configuration<LittleEndian, Varint, Limit<LIMIT>> {
    standard().with_limit::<LIMIT>()
}

/// For what a host reads back that it wrote itself.
const fn own_config() -> Configuration<LittleEndian, Varint, Limit<OWN_LIMIT>> {
    standard().with_limit::<OWN_LIMIT>()
}

/// Why bytes could not be read or a value could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than the cap for this type. Nothing was read.
    #[error("{found} bytes where at most {max} are allowed")]
    TooLong {
        /// How many there were.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The bytes are not an encoding of this type. Nothing was kept.
    #[error("the bytes do not decode: {0}")]
    Malformed(String),
    /// The value was read but bytes are left over, so the sender means another type.
    #[error("{0} bytes are left over after the value")]
    Trailing(usize),
    /// The value cannot be encoded (a `Serialize` of its own failed).
    #[error("the value does not encode: {0}")]
    Unencodable(String),
}

/// Encodes `value`.
///
/// # Panics
/// When a `Serialize` implementation fails; those of this crate do not. For values from
/// elsewhere use [`encode_into`].
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).expect("own types encode");
    bytes
}

/// Appends the encoding of `value` to `out`.
///
/// # Errors
/// [`Error::Unencodable`] when `value`'s `Serialize` fails; `out` then holds what had been
/// written before.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    bincode::serde::encode_into_writer(value, Out(out), config())
        .map_err(|why| Error::Unencodable(why.to_string()))
}

/// The end of a buffer. Its parts are written in line: most are of a few bytes.
struct Out<'a>(&'a mut Vec<u8>);

impl Writer for Out<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends a number, or the tag of a variant, as it is written within any value.
#[inline]
pub(crate) fn put_number(number: u64, out: &mut Vec<u8>) {
    // Nearly all are small, and those are their own encoding.
    if let Ok(small @ 0..=250) = u8::try_from(number) {
        return out.push(small);
    }
    bincode::encode_into_writer(number, Out(out), config()).expect("numbers encode");
}

/// Appends bytes with their length before them, as they are written within any value.
#[inline]
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Decodes a `T` of at most `max` bytes that takes up all of `bytes`.
///
/// # Errors
/// [`Error`] says which rule the bytes break.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, Error> {
    check_length(bytes, max)?;
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|why| malformed(&why))?;
    check_rest(bytes, read)?;
    Ok(value)
}

/// As [`decode`], for a type that borrows from the bytes.
///
/// # Errors
/// [`Error`] says which rule the bytes break.
pub fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8], max: usize) -> Result<T, Error> {
    check_length(bytes, max)?;
    let (value, read) =
        bincode::serde::borrow_decode_from_slice(bytes, config()).map_err(|why| malformed(&why))?;
    check_rest(bytes, read)?;
    Ok(value)
}

/// Decodes one `T` from the beginning of `bytes`, and says how many it took up. For what this host
/// has written itself: up to `max` bytes, which may be more than a message has.
///
/// # Errors
/// [`Error`] says which rule the bytes break.
pub fn decode_next<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    max: usize,
) -> Result<(T, usize), Error> {
    let bytes = &bytes[..bytes.len().min(max)];
    bincode::serde::borrow_decode_from_slice(bytes, own_config()).map_err(|why| malformed(&why))
}

/// Decodes a `T` that this host has written itself and that takes up all of `bytes`: at most `max`,
/// which may be more than a message has.
///
/// # Errors
/// [`Error`] says which rule the bytes break.
pub fn decode_own<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, Error> {
    check_length(bytes, max)?;
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, own_config()).map_err(|why| malformed(&why))?;
    check_rest(bytes, read)?;
    Ok(value)
}

fn check_length(bytes: &[u8], max: usize) -> Result<(), Error> {
    if bytes.len() > max {
        return Err(Error::TooLong { found: bytes.len(), max });
    }
    Ok(())
}

const fn check_rest(bytes: &[u8], read: usize) -> Result<(), Error> {
    match bytes.len() - read {
        0 => Ok(()),
        rest => Err(Error::Trailing(rest)),
    }
}

fn malformed(why: &bincode::error::DecodeError) -> Error {
    Error::Malformed(why.to_string())
}

#[cfg(test)]
mod tests;
