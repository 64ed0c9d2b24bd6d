//! Reads the columns of a packed document one row at a time.
//!
//! A column is packed by runs, so that a few bytes may stand for any number of rows: nothing here
//! is ever unpacked into memory, and a run that is longer than a document may be is refused unread.

use super::BodyError;
use crate::limits::DOCUMENT_OPS_MAX;

pub(super) type Result<T> = std::result::Result<T, BodyError>;

pub(super) fn malformed<T>(what: &'static str) -> Result<T> {
    Err(BodyError::Malformed(what))
}

/// Refuses `count` when it is above `max`.
pub(super) fn bounded(count: u64, max: usize, what: &'static str) -> Result<usize> {
    match usize::try_from(count) {
        Ok(count) if count <= max => Ok(count),
        _ => Err(BodyError::TooLarge { what, found: count, most: max }),
    }
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return malformed("it ends too early");
        };
        self.0 = rest;
        Ok(taken)
    }

    /// As many bytes as the number before them says.
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8]> {
        let count = self.unsigned()?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.prefixed()?).or(malformed("a text is not UTF-8"))
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A number in the shortest LEB128 form.
    pub(super) fn unsigned(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (bits << shift) >> shift != bits {
                return malformed("a number is too large");
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return malformed("a number is longer than it need be");
                }
                break;
            }
        }
        Ok(value)
    }

    /// A signed number in the shortest LEB128 form.
    pub(super) fn signed(&mut self) -> Result<i64> {
        let (mut value, mut before) = (0_i128, None);
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            if shift > 63 {
                return malformed("a number is too large");
            }
            value |= i128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let sign = byte & 0x40 != 0;
                let idle = matches!((byte, before), (0, Some(0)) | (0x7f, Some(0x40)));
                if idle {
                    return malformed("a number is longer than it need be");
                }
                value -= i128::from(sign) << (shift + 7);
                break;
            }
            before = Some(byte & 0x40);
        }
        i64::try_from(value).or(malformed("a number is too large"))
    }
}

/// What a column of runs holds.
pub(super) trait Cell<'a>: Copy {
    fn read(from: &mut Reader<'a>) -> Result<Self>;
}

impl Cell<'_> for u64 {
    fn read(from: &mut Reader<'_>) -> Result<Self> {
        from.unsigned()
    }
}

impl Cell<'_> for i64 {
    fn read(from: &mut Reader<'_>) -> Result<Self> {
        from.signed()
    }
}

impl<'a> Cell<'a> for &'a str {
    fn read(from: &mut Reader<'a>) -> Result<Self> {
        from.text()
    }
}

#[derive(Clone, Copy)]
enum Run<T> {
    Nothing,
    Same(T),
    Each,
}

/// A column of runs. One of no bytes stands for any number of rows without a value.
pub(super) struct Runs<'a, T> {
    bytes: Reader<'a>,
    absent: bool,
    left: usize,
    run: Run<T>,
}

impl<'a, T: Cell<'a>> Runs<'a, T> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let absent = bytes.is_empty();
        Self { bytes: Reader::new(bytes), absent, left: 0, run: Run::Nothing }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.bytes.is_empty()
    }

    /// The value of the next row.
    pub(super) fn next(&mut self) -> Result<Option<T>> {
        if self.absent {
            return Ok(None);
        }
        if self.left == 0 {
            self.begin()?;
        }
        self.left -= 1;
        match self.run {
            Run::Nothing => Ok(None),
            Run::Same(value) => Ok(Some(value)),
            Run::Each => T::read(&mut self.bytes).map(Some),
        }
    }

    /// The value of the next row, which must have one.
    pub(super) fn expect(&mut self) -> Result<T> {
        self.next()?.map_or(malformed("a row lacks a value"), Ok)
    }

    fn begin(&mut self) -> Result<()> {
        let count = self.bytes.signed()?;
        let count = match count {
            0 => {
                self.run = Run::Nothing;
                self.bytes.unsigned()?
            }
            1.. => {
                self.run = Run::Same(T::read(&mut self.bytes)?);
                count.unsigned_abs()
            }
            _ => {
                self.run = Run::Each;
                count.unsigned_abs()
            }
        };
        self.left = bounded(count, DOCUMENT_OPS_MAX, "rows")?;
        if self.left == 0 { malformed("a run is empty") } else { Ok(()) }
    }

    pub(super) fn finish(&self) -> Result<()> {
        if self.is_done() { Ok(()) } else { malformed("a column is too long") }
    }
}

/// A column of numbers, each given by its difference from the one before.
pub(super) struct Deltas<'a> {
    runs: Runs<'a, i64>,
    last: i64,
}

impl<'a> Deltas<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { runs: Runs::new(bytes), last: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<i64>> {
        let Some(delta) = self.runs.next()? else { return Ok(None) };
        let Some(value) = self.last.checked_add(delta) else {
            return malformed("a number is too large");
        };
        self.last = value;
        Ok(Some(value))
    }

    /// The number of the next row, which must have one from 0 to `max`.
    pub(super) fn expect(&mut self, max: usize, what: &'static str) -> Result<usize> {
        self.next_counter(max, what)?.map_or(malformed("a row lacks a value"), Ok)
    }

    /// The number of the next row, which must be from 0 to `max` if there is one.
    pub(super) fn next_counter(&mut self, max: usize, what: &'static str) -> Result<Option<usize>> {
        let Some(value) = self.next()? else { return Ok(None) };
        match u64::try_from(value) {
            Ok(value) => bounded(value, max, what).map(Some),
            Err(_) => malformed("a count is negative"),
        }
    }

    pub(super) fn finish(&self) -> Result<()> {
        self.runs.finish()
    }
}

/// A column of yes and no. One of no bytes stands for any number of rows with no.
pub(super) struct Flags<'a> {
    bytes: Reader<'a>,
    absent: bool,
    left: usize,
    now: bool,
}

impl<'a> Flags<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Reader::new(bytes), absent: bytes.is_empty(), left: 0, now: true }
    }

    pub(super) fn next(&mut self) -> Result<bool> {
        if self.absent {
            return Ok(false);
        }
        let mut turns = 0;
        while self.left == 0 {
            self.left = bounded(self.bytes.unsigned()?, DOCUMENT_OPS_MAX, "rows")?;
            self.now = !self.now;
            turns += 1;
            if turns > 2 {
                return malformed("a run is empty");
            }
        }
        self.left -= 1;
        Ok(self.now)
    }

    pub(super) fn finish(&self) -> Result<()> {
        let done = self.left == 0 && self.bytes.is_empty();
        if done { Ok(()) } else { malformed("a column is too long") }
    }
}

/// The columns that a chunk has, by their number.
pub(super) struct Table<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Table<'a> {
    /// The numbers and lengths of columns, which must be among those `known`. The bit that says
    /// that a column is deflated makes its number an unknown one.
    pub(super) fn lengths(from: &mut Reader<'_>, known: &[u64]) -> Result<Vec<(u64, usize)>> {
        let count = bounded(from.unsigned()?, known.len(), "columns")?;
        let mut lengths: Vec<(u64, usize)> = Vec::with_capacity(count);
        for _ in 0..count {
            let number = from.unsigned()?;
            let length = usize::try_from(from.unsigned()?).unwrap_or(usize::MAX);
            if !known.contains(&number) {
                return malformed("it has a compressed or unknown column");
            }
            if lengths.last().is_some_and(|(last, _)| *last >= number) {
                return malformed("its columns are out of order");
            }
            lengths.push((number, length));
        }
        Ok(lengths)
    }

    pub(super) fn take(from: &mut Reader<'a>, lengths: &[(u64, usize)]) -> Result<Self> {
        let columns = lengths.iter().map(|(number, length)| Ok((*number, from.take(*length)?)));
        columns.collect::<Result<_>>().map(Self)
    }

    /// The bytes of a column; none when it is absent.
    pub(super) fn column(&self, number: u64) -> &'a [u8] {
        let found = self.0.iter().find(|(its, _)| *its == number);
        found.map(|(_, bytes)| *bytes).unwrap_or_default()
    }
}
