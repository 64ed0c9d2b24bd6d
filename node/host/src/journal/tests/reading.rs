//! What readers see, beside the writer and after it.

use starling_protocols::{ident::AgentId, journal::Ended, time::WallTime};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

use super::{
    place::{copy, quick_dir},
    *,
};
use crate::journal::archive::{Archive, LogQuery};

fn told(dir: &TempDir, steps: u64) -> (Journal, Story) {
    let (journal, opened) = open(dir);
    let mut story = Story::begin(&opened.recovered);
    for step in 0..steps {
        journal.append(if step == steps / 2 { story.rotate() } else { story.step(step) });
    }
    wait_durable(&journal, story.next());
    (journal, story)
}

fn read(reader: &Reader) -> Vec<(Sequence, Record<'static>)> {
    reader.records().map(|told| told.unwrap()).map(|told| (told.sequence, told.record)).collect()
}

#[test]
fn all_records_are_read_beside_the_writer_and_from_a_copy() {
    let dir = quick_dir();
    let (journal, mut story) = told(&dir, 20);
    let path = dir.path().join("journal");
    let reader = Reader::open(&path).unwrap();
    assert_eq!(read(&reader), story.told);
    // It sees what is written later.
    journal.append(story.step(20));
    wait_durable(&journal, story.next());
    assert_eq!(read(&reader), story.told);
    let report = reader.verify().unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.files, report.records), (2, story.told.len() as u64));
    let entries = story.told.iter().filter(|(_, it)| matches!(it, Record::Entry(_))).count();
    assert_eq!(report.entries, entries as u64);
    let copied = copy(&path);
    assert_eq!(read(&Reader::open(&copied.path().join("journal")).unwrap()), story.told);
    journal.close().unwrap();
    // One file alone, in a directory of its own, without a log beside it.
    let alone = quick_dir();
    let file = alone.path().join("strange name?#%.db");
    fs::copy(files::numbered(&path).unwrap().pop().unwrap(), &file).unwrap();
    let reader = Reader::open(&file).unwrap();
    let from = read(&reader)[0].0;
    let expected = story.told.iter().filter(|(sequence, _)| *sequence >= from).cloned();
    assert_eq!(read(&reader), expected.collect::<Vec<_>>());
    assert_eq!(reader.verify().unwrap().problems, []);
    assert_eq!(fs::read_dir(alone.path()).unwrap().count(), 1);
}

#[test]
fn one_life_is_read_from_the_snapshot_before_an_input() {
    let dir = quick_dir();
    let (_journal, story) = told(&dir, 60);
    let reader = Reader::open(&dir.path().join("journal")).unwrap();
    let life = story.lives[1];
    let records: Vec<Told> = reader.records_of(life, 8).unwrap().map(Result::unwrap).collect();
    assert!(matches!(&records[0].record, Record::Life(head) if head.life == life));
    assert!(matches!(&records[1].record, Record::Snapshot(it) if it.number == 6));
    let numbers = |records: &[Told]| -> Vec<u64> {
        let number = |told: &Told| match &told.record {
            Record::Entry(entry) => Some(entry.number),
            _ => None,
        };
        records.iter().filter_map(number).collect()
    };
    let last = reader.lives(Which::Life(life)).unwrap()[0].next;
    assert_eq!(numbers(&records), (6..last).collect::<Vec<_>>());
    let first = &records[2];
    assert_eq!(first.era.as_ref().unwrap().incarnation, Incarnation(7));
    let all: Vec<Told> = reader.records().map(Result::unwrap).collect();
    let same = all.iter().find(|told| told.sequence == first.sequence).unwrap();
    assert_eq!((same.moment, &same.record), (first.moment, &first.record));
    // From the beginning, and from behind the end.
    let all: Vec<Told> = reader.records_of(life, 0).unwrap().map(Result::unwrap).collect();
    assert_eq!(numbers(&all), (0..last).collect::<Vec<_>>());
    let end: Vec<Told> = reader.records_of(life, 1000).unwrap().map(Result::unwrap).collect();
    assert!(numbers(&end).len() < 6, "{:?}", numbers(&end));
    let why = reader.records_of(Life(999), 0).unwrap_err().to_string();
    assert!(why.contains("there is no life 999"), "{why}");
}

#[test]
fn lives_and_eras_are_listed() {
    let dir = quick_dir();
    let (journal, mut story) = told(&dir, 20);
    journal.append(story.end(2));
    wait_durable(&journal, story.next());
    let reader = Reader::open(&dir.path().join("journal")).unwrap();
    let lives = reader.lives(Which::All).unwrap();
    let seen: Vec<_> = lives.iter().map(|life| (life.head.life, life.first, life.next)).collect();
    // Every third step is of one life; the tenth began a new file instead.
    assert_eq!(seen, [(story.lives[0], 0, 7), (story.lives[1], 0, 6), (story.lives[2], 0, 6)]);
    assert_eq!(lives[0].ended, None);
    assert!(matches!(lives[2].ended, Some((Ended::Stopped, _))));
    assert!(lives[0].begun < lives[0].last);
    let one = reader.lives(Which::Agent(AgentId(2002))).unwrap();
    assert_eq!(one, lives[1..2]);
    let eras = reader.eras().unwrap();
    assert_eq!(eras.len(), 2);
    assert_eq!((eras[0].era.name.as_ref(), eras[0].era.incarnation), ("a", Incarnation(7)));
    let (first, last) = reader.span().unwrap().unwrap();
    assert!(first < last && last < WallTime::from_millis(1_700_000_100_000));
    assert!(matches!(Reader::open(Path::new("/nowhere")), Err(JournalError::Missing(_))));
}

#[test]
fn messages_of_the_log_are_kept_and_found() {
    let dir = quick_dir();
    let (layer, logs) = LogLayer::new(Level::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "starling_node::net", agent = %"abc", kind = "counter", "early");
        let (journal, _) = open(&dir);
        journal.keep_logs(&logs);
        tracing::warn!(target: "starling_node::net::gate", host = "b", tries = 3, "late");
        tracing::debug!("too small");
        tracing::error!(target: "starling_node::journal::writer", "its own");
        tracing::error!(target: "starling_nodes", "bad 'quoted\" thing");
        journal.close().unwrap();
    });
    let reader = Reader::open(&dir.path().join("journal")).unwrap();
    let find = |filter: LogFilter| -> Vec<String> {
        reader.logs(&filter).unwrap().into_iter().map(|entry| entry.message).collect()
    };
    let all = LogFilter::default;
    assert_eq!(find(all()), ["early", "late", "bad 'quoted\" thing"]);
    assert_eq!(
        find(LogFilter { newest_first: true, limit: Some(1), ..all() }),
        ["bad 'quoted\" thing"]
    );
    assert_eq!(find(LogFilter { limit: Some(1), ..all() }), ["early"]);
    let target = |target: &str| LogFilter { target: Some(target.into()), ..all() };
    assert_eq!(find(target("starling_node")), ["early", "late"]);
    assert_eq!(find(target("starling_node::net::gate")), ["late"]);
    assert_eq!(find(LogFilter { level: Some(Level::WARN), ..all() }).len(), 2);
    assert_eq!(find(LogFilter { agent: Some("abc".into()), ..all() }), ["early"]);
    assert_eq!(find(LogFilter { kind: Some("counter".into()), ..all() }), ["early"]);
    assert_eq!(find(LogFilter { host: Some("b".into()), ..all() }), ["late"]);
    assert_eq!(find(LogFilter { text: Some("tries\":3".into()), ..all() }), ["late"]);
    assert_eq!(find(LogFilter { text: Some("quoted\"".into()), ..all() }).len(), 1);
    let names = reader.log_names().unwrap();
    assert_eq!(names.hosts, ["b"]);
    assert_eq!((names.agents, names.kinds), (vec!["abc".into()], vec!["counter".into()]));
    assert_eq!(names.targets.len(), 3);
    let (first, last) = names.span.unwrap();
    assert_eq!(find(LogFilter { until: Some(first), ..all() }).len(), 0);
    assert_eq!(
        find(LogFilter { since: Some(last), ..all() }).last().unwrap(),
        "bad 'quoted\" thing"
    );
}

#[test]
fn a_flood_of_messages_is_counted_and_old_ones_go() {
    let dir = quick_dir();
    let queue = queue::Queue::default();
    let row = |message: String, wall_ms| queue::LogRow { message, wall_ms, ..Default::default() };
    for number in 0..9000 {
        queue.put_log(row(format!("{number}"), number));
    }
    let soon = tokio::time::Instant::now() + Duration::from_millis(1);
    let work = queue.take(soon);
    assert_eq!((work.beside.rows.len(), work.beside.dropped), (8192, 808));
    let files = Files::open(&dir.path().join("journal")).unwrap();
    let (mut store, _) = recover::open(&files).unwrap();
    store.commit(&[], &work.beside.rows, false).unwrap();
    let left = |store: &store::Store| -> (i64, i64) {
        let sql = "SELECT count(*), min(wall_ms) FROM logs";
        store.connection().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    // In small steps, down to so many rows.
    assert!(store.trim_logs(0, 5000, 2000).unwrap());
    assert_eq!(left(&store).0, 6191);
    while store.trim_logs(0, 5000, 2000).unwrap() {}
    assert_eq!(left(&store).0, 5000);
    // By age.
    while store.trim_logs(8000, 5000, 2000).unwrap() {}
    assert_eq!(left(&store), (192, 8000));
    let _ = recover::open(&files).unwrap();
}

#[test]
fn what_follows_a_message_is_known_by_its_place_and_not_by_its_time() {
    let dir = quick_dir();
    let path = dir.path().join("journal");
    let files = Files::open(&path).unwrap();
    let (mut store, _) = recover::open(&files).unwrap();
    let row = |text: &str| queue::LogRow {
        message: text.into(),
        target: "agent".into(),
        level: 3,
        wall_ms: 5,
        ..Default::default()
    };
    store.commit(&[], &["one", "two", "other"].map(row), false).unwrap();
    let archive = || Archive::open(&path, starling_core::society::stock()).unwrap();
    let last = LogQuery { limit: Some(1), ..LogQuery::default() };
    let texts = |lines: Vec<crate::api::journal::LogLine>| -> Vec<String> {
        lines.into_iter().map(|line| line.message).collect()
    };
    let (begun, end) = archive().logs_after(&last, None).unwrap();
    assert_eq!(texts(begun), ["other"]);
    let all = LogQuery::default();
    let (none, end) = archive().logs_after(&all, end).unwrap();
    assert_eq!(texts(none), [""; 0], "older ones of the same millisecond do not come later");
    store.commit(&[], &["other", "other"].map(row), false).unwrap();
    let (more, end) = archive().logs_after(&all, end).unwrap();
    assert_eq!(texts(more), ["other", "other"], "those that say the same are not one");
    // What was not wanted of the past does not come later either.
    let rare = LogQuery { text: Some("three".into()), ..LogQuery::default() };
    let (none, begun) = archive().logs_after(&rare, None).unwrap();
    assert_eq!((texts(none), &begun), (Vec::new(), &end));
    // All were too old: rows are numbered anew.
    while store.trim_logs(6, 5000, 2000).unwrap() {}
    store.commit(&[], &[row("three")], false).unwrap();
    let (new, _) = archive().logs_after(&all, end).unwrap();
    assert_eq!(texts(new), ["three"]);
}
