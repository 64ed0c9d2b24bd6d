//! How every file of the data directory looks: one line of JSON that says what it is, then one
//! line of base64 for each record.
//!
//! A person who opens one learns what it is and, from the note, what is in it. The checksum
//! covers the kind, the note and the records, so that a flipped bit anywhere shows.

use std::{cmp::Ordering, str};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The newest format that this version reads, and the one it writes.
const FORMAT: u32 = 1;

/// One record: wiped when dropped, because one kind of file holds the secret key.
pub(super) type Record = Zeroizing<Vec<u8>>;

#[derive(Serialize, Deserialize)]
struct Header {
    starling: String,
    format: u32,
    note: String,
    records: usize,
    blake3: String,
}

/// What is wrong with the text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Its first line is no header, or it is a header of another kind of file.
    Foreign(String),
    /// A later version of the software wrote it.
    Newer(u32),
    /// It is of the right kind but not as it was written.
    Damaged(String),
}

/// The text of a file of kind `what`.
pub(super) fn seal(what: &str, note: &str, records: &[Record]) -> Zeroizing<Vec<u8>> {
    let header = Header {
        starling: what.into(),
        format: FORMAT,
        note: note.into(),
        records: records.len(),
        blake3: checksum(what, note, records),
    };
    let header = serde_json::to_string(&header).expect("texts and numbers become JSON");
    let lines = records.iter().map(|record| BASE64.encode_len(record.len()) + 1);
    // The capacity is exact: growing would leave a copy of the secret behind.
    let mut text = String::with_capacity(header.len() + 1 + lines.sum::<usize>());
    text.push_str(&header);
    text.push('\n');
    for record in records {
        BASE64.encode_append(record, &mut text);
        text.push('\n');
    }
    Zeroizing::new(text.into_bytes())
}

/// The records of a file of kind `what`.
pub(super) fn open(what: &str, text: &[u8]) -> Result<Vec<Record>, Flaw> {
    let (header, body) = header(what, text)?;
    let records = salvage(body);
    let lines = body.iter().filter(|byte| **byte == b'\n').count();
    if lines != header.records || !(body.is_empty() || body.ends_with(b"\n")) {
        return Err(Flaw::Damaged(format!(
            "it should have {} records but has {lines}: it was cut off or changed",
            header.records
        )));
    }
    if records.len() != lines || checksum(what, &header.note, &records) != header.blake3 {
        return Err(Flaw::Damaged("its checksum does not match its content".into()));
    }
    Ok(records)
}

/// The lines that still look like records, of a file whose checksum may not match. Only for
/// records that prove themselves.
pub(super) fn salvage(body: &[u8]) -> Vec<Record> {
    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(record).collect()
}

/// What follows the first line.
pub(super) fn body(text: &[u8]) -> &[u8] {
    text.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &text[end + 1..])
}

fn header<'a>(what: &str, text: &'a [u8]) -> Result<(Header, &'a [u8]), Flaw> {
    let body = body(text);
    let first = &text[..text.len() - body.len()];
    let found: Header = serde_json::from_slice(first)
        .map_err(|_| Flaw::Foreign("its first line is not the header of a Starling file".into()))?;
    if found.starling != what {
        return Err(Flaw::Foreign(format!("it says that it is a {:?}", found.starling)));
    }
    match found.format.cmp(&FORMAT) {
        Ordering::Equal => Ok((found, body)),
        Ordering::Greater => Err(Flaw::Newer(found.format)),
        Ordering::Less => Err(Flaw::Damaged(format!("there is no format {}", found.format))),
    }
}

fn record(line: &[u8]) -> Option<Record> {
    let mut bytes = Zeroizing::new(vec![0; BASE64.decode_len(line.len()).ok()?]);
    let length = BASE64.decode_mut(line, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

fn checksum(what: &str, note: &str, records: &[Record]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("starling file 1");
    for part in [what.as_bytes(), note.as_bytes()].into_iter().chain(records.iter().map(|r| &***r))
    {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn records() -> Vec<Record> {
        [&b"one"[..], b"", b"\x00\xff three"].map(|r| Zeroizing::new(r.to_vec())).into()
    }

    #[test]
    fn what_is_sealed_opens_and_is_readable_by_people() {
        let text = seal("peers", "3 hosts", &records()[..1]);
        assert_eq!(open("peers", &text).unwrap(), records()[..1]);
        let text = str::from_utf8(&text).unwrap();
        assert!(
            text.starts_with(r#"{"starling":"peers","format":1,"note":"3 hosts","records":1,"#)
        );
        assert!(text.ends_with("\nb25l\n"));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_shows() {
        let records = vec![records()[0].clone(), records()[2].clone()];
        let text = seal("peers", "2 hosts", &records);
        for end in 0..text.len() {
            let why = open("peers", &text[..end]).unwrap_err();
            let header_is_whole = end + 1 >= text.len() - body(&text).len();
            let told = matches!(&why, Flaw::Damaged(why) if why.contains("cut off"));
            assert_eq!(told, header_is_whole, "cut at {end}: {why:?}");
        }
        for bit in 0..text.len() * 8 {
            let mut flipped = text.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = open("peers", &flipped);
            assert!(opened.is_err() || opened.as_ref() == Ok(&records), "bit {bit}: {opened:?}");
        }
    }

    #[test]
    fn another_kind_and_a_later_format_are_told_apart_from_damage() {
        let text = seal("peers", "", &[]);
        assert!(matches!(open("host key", &text), Err(Flaw::Foreign(_))));
        let later = str::from_utf8(&text).unwrap().replace(r#""format":1"#, r#""format":2"#);
        assert_eq!(open("peers", later.as_bytes()), Err(Flaw::Newer(2)));
    }

    #[test]
    fn the_text_is_never_reallocated() {
        let text = seal("host key", "x", &records());
        assert_eq!(text.len(), text.capacity());
    }
}
