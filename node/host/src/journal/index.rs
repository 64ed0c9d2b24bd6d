//! The index of a journal's file: tables that say what the pages hold, so that nobody has to read
//! them all. Each row has a digest, and the sums of the digests stand in `tail`: what was changed
//! or lost behind SQLite's back is found when the file is opened.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use starling_protocols::{
    ident::HostId,
    journal::{self, Era, Letter, LetterId, Life, LifeHead, Record, Sequence},
    wire,
};

use super::schema::{int, set_meta};

/// Sums of the digests of all rows, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) lives: u64,
    pub(super) eras: u64,
    pub(super) outbox: u64,
    pub(super) numberings: u64,
    pub(super) taken: u64,
}

/// A row of `lives`, without what is there for people only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LifeRow {
    pub(super) life: i64,
    pub(super) ended: Option<String>,
    pub(super) snapshot_page: Option<i64>,
    pub(super) head: Vec<u8>,
    pub(super) gap: Option<Vec<u8>>,
}

impl LifeRow {
    /// From the columns life, ended, snapshot_page, head, gap and digest.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let read = Self {
            life: row.get(0)?,
            ended: row.get(1)?,
            snapshot_page: row.get(2)?,
            head: row.get(3)?,
            gap: row.get(4)?,
        };
        Ok((read, row.get(5)?))
    }

    pub(super) fn digest(&self) -> u64 {
        digest(self)
    }
}

/// As a column holds it: the same 64 bits.
pub(super) const fn column(digest: u64) -> i64 {
    digest.cast_signed()
}

/// Of what a row says.
pub(super) fn digest<T: Serialize>(row: &T) -> u64 {
    journal::digest(&wire::encode(row))
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) page: Sequence,
    pub(super) sequence: Sequence,
    pub(super) wall_ms: u64,
}

/// Brings the index up to date with a group of pages, in one transaction with them.
#[derive(Debug)]
pub(super) struct Indexer<'a> {
    conn: &'a Connection,
    sums: &'a mut Sums,
    /// Only the last of a group is written.
    numberings: BTreeMap<HostId, (u64, Record<'static>)>,
    taken: BTreeMap<HostId, LetterId>,
}

impl<'a> Indexer<'a> {
    pub(super) const fn new(conn: &'a Connection, sums: &'a mut Sums) -> Self {
        Self { conn, sums, numberings: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Notes one of the records that [`Batch::notable`](journal::Batch::notable) gives.
    pub(super) fn note(&mut self, at: Place, record: &Record<'_>) -> rusqlite::Result<()> {
        match record {
            Record::Era(era) => self.era(at, era, record),
            Record::Life(head) => self.life(at, head, record),
            Record::Snapshot(snapshot) => self.snapshot(at, snapshot.life, snapshot.number),
            Record::End { life, how } => {
                let how = serde_json::to_value(how).ok();
                let how = how.as_ref().and_then(|how| how.as_str()).unwrap_or("ended").to_owned();
                self.ended(*life, at.wall_ms)?;
                self.change(*life, |row| row.ended = Some(how))
            }
            Record::Gap { life, .. } => {
                let gap = wire::encode(record);
                self.change(*life, |row| row.gap = Some(gap))
            }
            Record::Post(letter) => self.post(at, letter, record),
            Record::Delivered { to, upto } => self.delivered(*to, *upto),
            Record::Took(letter) => {
                self.took(*letter);
                Ok(())
            }
            Record::Entry(entry) => {
                entry.letter.into_iter().for_each(|letter| self.took(letter));
                Ok(())
            }
            Record::Numbering { to, next, .. } => {
                self.numbering(*to, *next, record.clone().into_owned());
                Ok(())
            }
            Record::At { .. } => Ok(()),
        }
    }

    /// Writes what only the last of counts.
    pub(super) fn finish(mut self) -> rusqlite::Result<()> {
        for (host, (next, record)) in std::mem::take(&mut self.numberings) {
            self.write_numbering(host, next, &record)?;
        }
        for (origin, letter) in std::mem::take(&mut self.taken) {
            self.write_taken(origin, letter)?;
        }
        Ok(())
    }

    fn era(&mut self, at: Place, era: &Era<'_>, record: &Record<'_>) -> rusqlite::Result<()> {
        set_meta(self.conn, "host", &era.host.to_string())?;
        set_meta(self.conn, "name", &era.name)?;
        set_meta(self.conn, "mesh", &era.mesh.to_string())?;
        let (sequence, bytes) = (int(at.sequence.0), wire::encode(record));
        let sum = digest(&(sequence, &bytes));
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO eras (sequence, incarnation, software, wall_ms, record, digest) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        let (incarnation, wall) = (int(era.incarnation.0), int(at.wall_ms));
        insert.execute(params![sequence, incarnation, era.software, wall, bytes, column(sum)])?;
        self.sums.eras = self.sums.eras.wrapping_add(sum);
        Ok(())
    }

    fn life(&mut self, at: Place, head: &LifeHead<'_>, it: &Record<'_>) -> rusqlite::Result<()> {
        let life = int(head.life.0);
        let old = self.row(head.life)?;
        let mut row = old.clone().unwrap_or_default();
        (row.life, row.head) = (life, wire::encode(it));
        let sum = row.digest();
        let durability = serde_json::to_value(head.durability).ok();
        let durability = durability.as_ref().and_then(|it| it.as_str()).unwrap_or_default();
        let mut upsert = self.conn.prepare_cached(
            "INSERT INTO lives (life, agent, kind, version, name, durability, begun_ms, head, \
             digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (life) DO UPDATE SET \
             version = excluded.version, name = excluded.name, head = excluded.head, \
             durability = excluded.durability, digest = excluded.digest",
        )?;
        upsert.execute(params![
            life,
            head.agent.to_string(),
            head.kind,
            head.version,
            head.name,
            durability,
            int(at.wall_ms),
            row.head,
            column(sum),
        ])?;
        let old = old.map_or(0, |old| old.digest());
        self.sums.lives = self.sums.lives.wrapping_sub(old).wrapping_add(sum);
        Ok(())
    }

    fn snapshot(&mut self, at: Place, life: Life, number: u64) -> rusqlite::Result<()> {
        let mut insert = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO snapshots (life, number, sequence, page) VALUES (?, ?, ?, ?)",
        )?;
        let (page, number) = (int(at.page.0), int(number));
        insert.execute(params![int(life.0), number, int(at.sequence.0), page])?;
        self.conn
            .prepare_cached("UPDATE lives SET snapshot_number = ? WHERE life = ?")?
            .execute([number, int(life.0)])?;
        self.change(life, |row| (row.snapshot_page, row.gap) = (Some(page), None))
    }

    fn ended(&self, life: Life, wall_ms: u64) -> rusqlite::Result<()> {
        let mut update =
            self.conn.prepare_cached("UPDATE lives SET ended_ms = ? WHERE life = ?")?;
        update.execute([int(wall_ms), int(life.0)])?;
        Ok(())
    }

    fn row(&self, life: Life) -> rusqlite::Result<Option<LifeRow>> {
        let mut select = self.conn.prepare_cached(
            "SELECT life, ended, snapshot_page, head, gap, digest FROM lives WHERE life = ?",
        )?;
        select.query_row([int(life.0)], |row| Ok(LifeRow::read(row)?.0)).optional()
    }

    /// Changes the row of a life, if there is one.
    fn change(&mut self, life: Life, change: impl FnOnce(&mut LifeRow)) -> rusqlite::Result<()> {
        let Some(mut row) = self.row(life)? else { return Ok(()) };
        let old = row.digest();
        change(&mut row);
        let new = row.digest();
        let mut update = self.conn.prepare_cached(
            "UPDATE lives SET ended = ?, snapshot_page = ?, gap = ?, digest = ? WHERE life = ?",
        )?;
        update.execute(params![row.ended, row.snapshot_page, row.gap, column(new), row.life])?;
        self.sums.lives = self.sums.lives.wrapping_sub(old).wrapping_add(new);
        Ok(())
    }

    fn post(&mut self, at: Place, letter: &Letter<'_>, it: &Record<'_>) -> rusqlite::Result<()> {
        let (host, number) = (letter.host.to_string(), int(letter.number));
        let (sequence, bytes) = (int(at.sequence.0), wire::encode(it));
        let sum = digest(&(sequence, &bytes));
        let mut insert = self.conn.prepare_cached(
            "INSERT OR IGNORE INTO outbox (host, number, sequence, record, digest) \
             VALUES (?, ?, ?, ?, ?)",
        )?;
        if insert.execute(params![host, number, sequence, bytes, column(sum)])? == 1 {
            self.sums.outbox = self.sums.outbox.wrapping_add(sum);
        }
        let (to, epoch, next) = (letter.host, letter.epoch, letter.number + 1);
        self.numbering(to, next, Record::Numbering { to, epoch, next });
        Ok(())
    }

    fn delivered(&mut self, to: HostId, upto: u64) -> rusqlite::Result<()> {
        let mut delete = self
            .conn
            .prepare_cached("DELETE FROM outbox WHERE host = ? AND number <= ? RETURNING digest")?;
        let gone = delete.query_map(params![to.to_string(), int(upto)], |row| row.get(0))?;
        for digest in gone {
            let digest: i64 = digest?;
            self.sums.outbox = self.sums.outbox.wrapping_sub(digest.cast_unsigned());
        }
        Ok(())
    }

    fn numbering(&mut self, to: HostId, next: u64, record: Record<'static>) {
        let last = self.numberings.entry(to).or_insert_with(|| (next, record.clone()));
        if next >= last.0 {
            *last = (next, record);
        }
    }

    fn took(&mut self, letter: LetterId) {
        let last = self.taken.entry(letter.origin).or_insert(letter);
        if (last.epoch, last.number) < (letter.epoch, letter.number) {
            *last = letter;
        }
    }

    fn write_numbering(
        &mut self,
        to: HostId,
        next: u64,
        record: &Record<'_>,
    ) -> rusqlite::Result<()> {
        let to = to.to_string();
        let old: Option<(i64, i64)> = self
            .conn
            .prepare_cached("SELECT next, digest FROM numberings WHERE host = ?")?
            .query_row([&to], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if old.is_some_and(|(last, _)| last > int(next)) {
            return Ok(());
        }
        let bytes = wire::encode(record);
        let new = digest(&bytes);
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO numberings VALUES (?, ?, ?, ?)")?
            .execute(params![to, int(next), bytes, column(new)])?;
        let old = old.map_or(0, |(_, digest)| digest.cast_unsigned());
        self.sums.numberings = self.sums.numberings.wrapping_sub(old).wrapping_add(new);
        Ok(())
    }

    fn write_taken(&mut self, origin: HostId, letter: LetterId) -> rusqlite::Result<()> {
        let origin = origin.to_string();
        let standing = (int(letter.epoch.0), int(letter.number));
        let old: Option<(i64, i64, i64)> = self
            .conn
            .prepare_cached("SELECT epoch, number, digest FROM taken WHERE origin = ?")?
            .query_row([&origin], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if old.is_some_and(|(epoch, number, _)| (epoch, number) >= standing) {
            return Ok(());
        }
        let bytes = wire::encode(&Record::Took(letter));
        let new = digest(&bytes);
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?, ?)")?
            .execute(params![origin, standing.0, standing.1, bytes, column(new)])?;
        let old = old.map_or(0, |(.., digest)| digest.cast_unsigned());
        self.sums.taken = self.sums.taken.wrapping_sub(old).wrapping_add(new);
        Ok(())
    }
}
