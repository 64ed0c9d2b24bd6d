//! Cut, flipped, foreign and later files: never a panic, never a wrong copy, and a clear word.

use starling_protocols::entropy::Entropy;

use super::*;

/// A closed file with so many rows.
fn made(count: u64) -> (TempDir, Copies) {
    let dir = quick_dir();
    let batch = many(1, count);
    let (documents, ..) = open(&dir);
    documents.store(batch.clone());
    wait_stored(&documents, 1);
    documents.close().unwrap();
    (dir, copies_of(&batch))
}

fn place_of(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).unwrap()
}

/// Whether the next start finds nothing to complain of, and goes on with the same copies.
fn assert_goes_on(dir: &TempDir, found: &Copies) {
    let (documents, opened, again) = open(dir);
    assert_eq!((opened.damage, &again), (None, found));
    documents.store(put(1, &[("new", b"1")]));
    wait_stored(&documents, 1);
}

#[test]
fn a_damaged_row_is_named_and_stays_until_it_is_overwritten_or_forgotten() {
    let (dir, mut all) = made(50);
    let names = ["descriptor/000007", "descriptor/000023"];
    let mut bytes = fs::read(file_in(&dir)).unwrap();
    for name in names {
        let place = place_of(&bytes, &all[name][100..150]);
        bytes[place] ^= 1;
        all.remove(name);
    }
    fs::write(file_in(&dir), bytes).unwrap();
    for _ in 0..2 {
        let (_, opened, found) = open(&dir);
        assert_eq!(
            (opened.damaged.count, &opened.damaged.names[..]),
            (2, &names.map(Into::into)[..])
        );
        assert_eq!((opened.damage, opened.doubt), (None, None));
        assert_eq!(found, all);
    }
    let (documents, ..) = open(&dir);
    let forget = vec![names[1].to_owned()];
    documents.store(KeptBatch { forget, ..put(1, &[(names[0], b"new")]) });
    documents.close().unwrap();
    all.insert(names[0].into(), b"new".to_vec());
    assert_eq!(reopened(&dir), all);
}

#[test]
fn of_many_damaged_rows_a_hundred_are_named() {
    let (dir, all) = made(150);
    let change = "UPDATE documents SET checksum = zeroblob(16)";
    Connection::open(file_in(&dir)).unwrap().execute_batch(change).unwrap();
    let (_, opened, found) = open(&dir);
    assert_eq!((opened.damaged.count, opened.damaged.names.len(), found.len()), (150, 100, 0));
    assert!(opened.damaged.names.iter().eq(all.keys().take(100)));
}

#[test]
fn the_name_of_a_damaged_row_steers_no_terminal() {
    let (dir, mut all) = made(3);
    let conn = Connection::open(file_in(&dir)).unwrap();
    let rename = "UPDATE documents SET name = ? WHERE name = ?";
    let long = "x".repeat(100_000);
    for (name, damaged) in
        [("descriptor/000001", "a\u{1b}[2J\n\u{202e}"), ("descriptor/000002", &long)]
    {
        assert_eq!(conn.execute(rename, [damaged, name]).unwrap(), 1);
        all.remove(name);
    }
    drop(conn);
    let (_, opened, found) = open(&dir);
    let cut = format!("{}…", &long[..128]);
    assert_eq!(opened.damaged.names, [r"a\u{1b}[2J\n\u{202e}", &cut]);
    assert_eq!(found, all);
}

#[test]
fn what_is_no_file_of_documents_is_set_aside_and_not_deleted() {
    let foreign = quick_dir();
    let path = foreign.path().join("foreign.db");
    let sql = "PRAGMA journal_mode=WAL; CREATE TABLE documents (name TEXT, bytes BLOB)";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let foreign = fs::read(path).unwrap();
    for content in [&b""[..], b"hello", &[0; 8192], b"SQLite format 3\0", &[0xa5; 40_000], &foreign]
    {
        let (dir, _) = made(5);
        fs::write(file_in(&dir), content).unwrap();
        let (_, opened, found) = open(&dir);
        let damage = opened.damage.unwrap();
        assert_eq!(fs::read(&damage.set_aside).unwrap(), content);
        assert_eq!(damage.set_aside, dir.path().join("documents-damaged-1.db"));
        assert_eq!(set_aside(dir.path()).first(), Some(&damage.set_aside));
        assert_eq!((opened.copies, found.len()), (0, 0));
        assert_goes_on(&dir, &found);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_found_out_and_kept() {
    let (dir, all) = made(60);
    let whole = fs::read(file_in(&dir)).unwrap();
    for length in (0..150).step_by(3).chain((150..whole.len()).step_by(997)) {
        let cut = quick_dir();
        fs::write(file_in(&cut), &whole[..length]).unwrap();
        let (_, opened, found) = open(&cut);
        // Within the last page only rows are missing.
        if whole.len() - length < 4096 && opened.damage.is_none() {
            assert!(opened.damaged.count > 0, "cut at {length}");
        } else {
            let aside = opened.damage.unwrap_or_else(|| panic!("cut at {length}")).set_aside;
            assert_eq!(fs::metadata(aside).unwrap().len(), length as u64);
        }
        assert!(found.iter().all(|(name, bytes)| all[name] == *bytes), "cut at {length}");
        assert_goes_on(&cut, &found);
    }
}

#[test]
fn a_bit_that_flips_anywhere_gives_no_wrong_copy() {
    let (dir, all) = made(200);
    let whole = fs::read(file_in(&dir)).unwrap();
    let seed = crate::clock::wall().as_millis();
    println!("seed {seed}");
    let mut entropy = Entropy::from_seed(*blake3::hash(&seed.to_le_bytes()).as_bytes());
    let mut saved = 0;
    for number in 0..300 {
        let bits = if number % 4 == 0 { 4 * 4096 } else { whole.len() } * 8;
        let bit = usize::try_from(entropy.below(bits as u64)).unwrap();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let copy = quick_dir();
        fs::write(file_in(&copy), &bytes).unwrap();
        let (_, opened, found) = open(&copy);
        let case = format!("bit {bit}, seed {seed}");
        assert!(found.iter().all(|(name, bytes)| all[name] == *bytes), "{case}");
        let said = opened.damaged.count > 0 || opened.damage.is_some();
        assert!(said || found == all, "{case}: {} of {}", found.len(), all.len());
        saved += u64::from(opened.damage.is_some() && !found.is_empty());
        assert_goes_on(&copy, &found);
    }
    assert!(saved > 0, "seed {seed}: nothing was saved of any damaged file");
}

#[test]
fn a_file_that_can_be_read_and_not_written_is_replaced_and_nothing_is_lost() {
    let (dir, all) = made(20);
    let mut bytes = fs::read(file_in(&dir)).unwrap();
    let place = place_of(&bytes, b"kept_ms INTEGER");
    bytes[place + 5] = b'n';
    fs::write(file_in(&dir), &bytes).unwrap();
    let (_, opened, found) = open(&dir);
    assert!(opened.damage.is_some_and(|damage| damage.why.contains("kept_ms")));
    assert_eq!(found, all);
    assert_goes_on(&dir, &found);
}

#[test]
fn of_a_file_with_a_damaged_page_both_ends_are_saved() {
    let (dir, all) = made(400);
    let mut bytes = fs::read(file_in(&dir)).unwrap();
    let page = place_of(&bytes, &all["descriptor/000200"][..]) / 4096 * 4096;
    bytes[page..page + 4096].fill(0xff);
    fs::write(file_in(&dir), &bytes).unwrap();
    let (_, opened, found) = open(&dir);
    let damage = opened.damage.unwrap();
    assert_eq!(fs::read(&damage.set_aside).unwrap(), bytes);
    assert!(found.len() > 380 && found.len() < 400, "{}", found.len());
    assert!(found.contains_key("descriptor/000000") && found.contains_key("descriptor/000399"));
    assert!(found.iter().all(|(name, bytes)| all[name] == *bytes));
    assert_goes_on(&dir, &found);
}

#[test]
fn a_replacement_that_was_interrupted_is_finished() {
    let (dir, all) = made(20);
    // All was saved, and the damaged file is there or just gone.
    for damaged in [true, false] {
        let copy = quick_dir();
        fs::copy(file_in(&dir), copy.path().join("documents-saved.db")).unwrap();
        if damaged {
            fs::write(file_in(&copy), b"damaged").unwrap();
        }
        let (_, opened, found) = open(&copy);
        assert!(opened.damage.unwrap().why.contains("interrupted"));
        assert_eq!(found, all);
        assert_goes_on(&copy, &found);
    }
}

#[test]
fn a_later_format_is_named_and_left_as_it_is() {
    let (dir, _) = made(5);
    let change = "PRAGMA user_version=2; UPDATE meta SET value = '2' WHERE key = 'format'";
    Connection::open(file_in(&dir)).unwrap().execute_batch(change).unwrap();
    let before = fs::read(file_in(&dir)).unwrap();
    let why = Documents::open(&file_in(&dir), drop).map(drop).unwrap_err();
    assert!(matches!(why, DocumentsError::Newer { format: 2, .. }), "{why}");
    assert!(why.to_string().contains("later version of Starling (format 2)"), "{why}");
    assert_eq!(fs::read(file_in(&dir)).unwrap(), before);
    // A flipped bit is not taken for a later version.
    let change = "PRAGMA user_version=1";
    Connection::open(file_in(&dir)).unwrap().execute_batch(change).unwrap();
    let (_, opened, found) = open(&dir);
    assert_eq!((opened.damage.is_some(), found.len()), (true, 5));
}

#[test]
fn a_flipped_bit_within_the_log_is_told_and_the_log_is_kept() {
    let dir = quick_dir();
    let (documents, ..) = open(&dir);
    for number in 1..=4 {
        documents.store(put(number, &[("a", &number.to_le_bytes())]));
        wait_stored(&documents, number);
    }
    let copy = quick_dir();
    fs::copy(file_in(&dir), file_in(&copy)).unwrap();
    let mut log = fs::read(dir.path().join("documents.db-wal")).unwrap();
    log[32 + 24 + 100] ^= 1;
    fs::write(copy.path().join("documents.db-wal"), &log).unwrap();
    let (_, opened, found) = open(&copy);
    let doubt = opened.doubt.unwrap();
    assert_eq!((fs::read(&doubt.set_aside).unwrap(), found.len()), (log, 0));
    assert_eq!(set_aside(copy.path()), [doubt.set_aside]);
}

#[test]
fn a_log_without_its_file_is_set_aside() {
    let dir = quick_dir();
    let (documents, ..) = open(&dir);
    documents.store(put(1, &[("a", b"1")]));
    wait_stored(&documents, 1);
    let copy = quick_dir();
    let log = fs::read(dir.path().join("documents.db-wal")).unwrap();
    fs::write(copy.path().join("documents.db-wal"), &log).unwrap();
    let (_, opened, found) = open(&copy);
    let damage = opened.damage.unwrap();
    assert!(damage.why.contains("only its log"), "{}", damage.why);
    let aside = copy.path().join("documents-damaged-1.db-wal");
    assert_eq!((fs::read(aside).unwrap(), found.len()), (log, 0));
    assert_goes_on(&copy, &found);
}

#[test]
fn a_file_that_is_removed_while_it_is_written_takes_nothing_more() {
    let dir = quick_dir();
    let (documents, ..) = open(&dir);
    let moved = dir.path().join("moved");
    fs::rename(file_in(&dir), &moved).unwrap();
    documents.store(put(1, &[("a", b"1")]));
    let told = block_on(documents.progress());
    let Some(Progress::Full { why }) = told else { panic!("{told:?}") };
    assert!(why.contains("removed or replaced"), "{why}");
    fs::rename(&moved, file_in(&dir)).unwrap();
    let told = block_on(documents.progress());
    assert!(matches!(told, Some(Progress::Works)), "{told:?}");
    wait_stored(&documents, 1);
}
