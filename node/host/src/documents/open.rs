//! Opens the file of documents and reads every copy back.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Statement, params};
use starling_protocols::{limits::DOCUMENT_NAME_BYTES_MAX, replica::Kept, words::plain};

use super::{schema, store::Store};
use crate::{
    clock,
    database::{
        Failure, FileError,
        file::{self, beside},
        is_damage, wal,
    },
};

/// How the names of damaged files begin.
pub(super) const DAMAGED: &str = "documents-damaged-";

/// Damaged copies that are named; of further ones only their number.
const NAMES_MAX: usize = 100;

/// A file of documents was damaged; the daemon goes on with what could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentsDamage {
    /// Where the file, or a copy of its log, is now.
    pub set_aside: PathBuf,
    /// What was wrong.
    pub why: String,
}

/// Copies that are not as they were written. Their rows stay until they are overwritten or
/// forgotten; those of a file that was set aside are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedCopies {
    /// How many.
    pub count: u64,
    /// The first hundred names, as they can be read and shown: the name itself may be what is
    /// damaged.
    pub names: Vec<String>,
}

/// What was there when the documents were opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenedDocuments {
    /// How many copies were given.
    pub copies: u64,
    /// Copies that were not.
    pub damaged: DamagedCopies,
    /// The file as a whole was damaged. What could be read of it was given.
    pub damage: Option<DocumentsDamage>,
    /// What looks like damage and may be the torn end that a power cut leaves: some of what was
    /// written last may be missing.
    pub doubt: Option<DocumentsDamage>,
    /// The bytes of the file.
    pub file_bytes: u64,
}

impl DamagedCopies {
    fn note(&mut self, name: String) {
        self.count += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(shown(&name));
        }
    }
}

/// A name as people may read it, whatever has become of it.
pub(crate) fn shown(name: &str) -> String {
    let more = if name.len() > DOCUMENT_NAME_BYTES_MAX { "…" } else { "" };
    plain(&name[..name.floor_char_boundary(DOCUMENT_NAME_BYTES_MAX)]) + more
}

pub(super) fn open(
    path: &Path,
    each: &mut dyn FnMut(Kept),
) -> Result<(Store, OpenedDocuments), FileError> {
    // What a crash left behind that nobody relies on yet.
    file::remove(&next(path))?;
    let mut opened = OpenedDocuments::default();
    let store = if saved(path).exists() {
        replace(path, "it was damaged, and the last start was interrupted".into(), &mut opened)?
    } else {
        // Its tables may be whole and their description not: that shows when it is read.
        let found = find(path, &mut opened);
        let readable = found.and_then(|store| select_all(&store, path).map(drop).map(|()| store));
        match readable {
            Err(why) if why.is_damage() => begin_anew(path, why, &mut opened)?,
            found => found?,
        }
    };
    read_all(&store, path, &mut opened, each)?;
    opened.file_bytes = store.file_bytes();
    Ok((store, opened))
}

fn next(path: &Path) -> PathBuf {
    path.with_file_name("documents-next.db")
}

/// What could be read of a damaged file, all of it, until it takes the place of that file.
fn saved(path: &Path) -> PathBuf {
    path.with_file_name("documents-saved.db")
}

/// Opens the file that is there, or makes the first; with all of it durable, and its structure
/// sound.
fn find(path: &Path, opened: &mut OpenedDocuments) -> Result<Store, FileError> {
    if !path.exists() {
        if beside(path, "-wal").exists() {
            let why = "it is gone, and only its log is there".into();
            return Err(FileError::Damaged { path: path.to_owned(), why });
        }
        Store::create(&next(path))?.end()?;
        file::put_in_place(&next(path), path)?;
        return Store::open(path);
    }
    schema::KIND.check_header(path)?;
    if let Some(why) = wal::damage(path) {
        let set_aside = file::copy_log_aside(path, DAMAGED)?;
        opened.doubt = Some(DocumentsDamage { set_aside, why });
    }
    let mut store = Store::open(path)?;
    // What can be read need not be on the disk: the last life may have ended because of that, and
    // what an fsync failed to write is not written by the next. So all of it is written again.
    store.settle()?;
    check(store.connection(), path)?;
    Ok(store)
}

/// Whether the structure of the file is sound. What is in the rows has checksums.
fn check(conn: &Connection, path: &Path) -> Result<(), FileError> {
    let said: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(FileError::database("check", path))?;
    if said == "ok" {
        return Ok(());
    }
    Err(FileError::Damaged { path: path.to_owned(), why: said })
}

/// Brings what can be read into another file, which takes the place of the damaged one.
fn begin_anew(
    path: &Path,
    why: FileError,
    opened: &mut OpenedDocuments,
) -> Result<Store, FileError> {
    let made = Store::create(&next(path))?;
    if schema::KIND.check_header(path).is_ok() {
        salvage(path, made.connection(), &mut opened.damaged)?;
    }
    made.end()?;
    // From here on the next start goes on with it, should this be interrupted.
    file::put_in_place(&next(path), &saved(path))?;
    let why = match why {
        FileError::Damaged { why, .. } => why,
        FileError::Database { source, .. } => source.to_string(),
        why => format!("{why:?}"),
    };
    replace(path, why, opened)
}

/// Sets a damaged file aside and puts what was saved of it in its place.
fn replace(path: &Path, why: String, opened: &mut OpenedDocuments) -> Result<Store, FileError> {
    let set_aside = file::set_aside(path, DAMAGED)?;
    file::put_in_place(&saved(path), path)?;
    opened.damage = Some(DocumentsDamage { set_aside, why });
    Store::open(path)
}

/// Copies whatever is whole, from both ends up to where the damage is.
fn salvage(path: &Path, into: &Connection, damaged: &mut DamagedCopies) -> Result<(), FileError> {
    let Ok(from) = file::open_writer(path) else { return Ok(()) };
    let all = into.unchecked_transaction().map_err(FileError::database("make", path))?;
    let copied = copy_rows(&from, false, &all, "", damaged).and_then(|end| match end {
        End::Damage(last) => copy_rows(&from, true, &all, &last, damaged).map(drop),
        End::Whole => Ok(()),
    });
    match copied {
        Err(why) if !is_damage(&why) => return Err(FileError::database("save from", path)(why)),
        _ => {}
    }
    all.commit().map_err(FileError::database("make", path))
}

/// How far rows could be read.
enum End {
    /// To the last.
    Whole,
    /// Up to this name.
    Damage(String),
}

/// Copies rows in the order of their names or backwards, until the damage or `until` is met.
fn copy_rows(
    from: &Connection,
    backwards: bool,
    into: &Connection,
    until: &str,
    damaged: &mut DamagedCopies,
) -> rusqlite::Result<End> {
    let order = if backwards { "DESC" } else { "ASC" };
    // No more columns than are needed: the others may not be found any more.
    let sql = format!("SELECT name, bytes, checksum FROM documents ORDER BY name {order}");
    let mut select = from.prepare(&sql)?;
    let mut rows = select.query([])?;
    let mut insert = into.prepare_cached(
        "INSERT OR IGNORE INTO documents (name, bytes, checksum, kept_ms) VALUES (?, ?, ?, ?)",
    )?;
    let now = file::int(clock::wall().as_millis());
    let mut last: Option<String> = None;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(End::Whole),
            Err(why) if is_damage(&why) => return Ok(End::Damage(last.unwrap_or_default())),
            Err(why) => return Err(why),
        };
        let kept = match schema::read(row)? {
            Ok(kept) => kept,
            Err(name) => {
                damaged.note(name);
                continue;
            }
        };
        let goes_on = match &last {
            Some(last) if backwards => kept.name < *last,
            Some(last) => kept.name > *last,
            None => true,
        };
        // A damaged tree may lead in a circle.
        if !goes_on || (backwards && kept.name.as_str() <= until) {
            return Ok(End::Damage(last.unwrap_or_default()));
        }
        let sum = schema::checksum(kept.name.as_bytes(), &kept.bytes);
        insert.execute(params![kept.name, kept.bytes, sum, now])?;
        last = Some(kept.name);
    }
}

fn select_all<'s>(store: &'s Store, path: &Path) -> Result<Statement<'s>, FileError> {
    // A description of the table that is damaged may do for reading, and not for writing.
    for sql in [schema::PUT, schema::FORGET] {
        store.connection().prepare(sql).map_err(FileError::database("read", path))?;
    }
    let sql = "SELECT name, bytes, checksum FROM documents ORDER BY name";
    store.connection().prepare(sql).map_err(FileError::database("read", path))
}

fn read_all(
    store: &Store,
    path: &Path,
    opened: &mut OpenedDocuments,
    each: &mut dyn FnMut(Kept),
) -> Result<(), FileError> {
    let unreadable = || FileError::database("read", path);
    let mut select = select_all(store, path)?;
    let mut rows = select.query([]).map_err(unreadable())?;
    while let Some(row) = rows.next().map_err(unreadable())? {
        match schema::read(row).map_err(unreadable())? {
            Ok(kept) => {
                opened.copies += 1;
                each(kept);
            }
            Err(name) => opened.damaged.note(name),
        }
    }
    Ok(())
}
