//! Automerge by itself: the same documents, without signatures, disks, hosts or names.

use std::time::Instant;

use automerge::{ActorId, AutoCommit, ROOT, transaction::Transactable};
use serde_json::{Value, json};
use starling_tests::load::described::Fields;

use crate::meter::cpu_seconds;

/// What stands in each descriptor.
fn begin(doc: &mut AutoCommit, number: u64) {
    let host = format!("{number:026}");
    let put = |doc: &mut AutoCommit, key, value: &str| doc.put(ROOT, key, value).expect("a field");
    put(doc, "kind", "sign");
    doc.put(ROOT, "version", 1_u64).expect("a field");
    put(doc, "name", "a-name");
    put(doc, "host", &host);
    doc.put(ROOT, "instance", 0_u64).expect("a field");
}

fn describe(doc: &mut AutoCommit) {
    let fields = doc.put_object(ROOT, "fields", automerge::ObjType::Map).expect("a map");
    let said = Fields::of(0);
    let (text, number) = (
        [
            ("room", said.room),
            ("zone", said.zone),
            ("model", said.model),
            ("contact", said.contact),
        ],
        [("count", 0), ("floor", 3), ("seats", 120), ("price", 4500)],
    );
    for (key, value) in text {
        doc.put(&fields, key, value).expect("a field");
    }
    for (key, value) in number {
        doc.put(&fields, key, value).expect("a field");
    }
    for (key, value) in [("is_open", said.is_open), ("is_paid", said.is_paid)] {
        doc.put(&fields, key, value).expect("a field");
    }
}

/// A document like a descriptor: five fields of the host, and below `fields` ten of the agent.
pub(crate) fn document(number: u64) -> AutoCommit {
    let mut actor = [7; 16];
    actor[..8].copy_from_slice(&number.to_be_bytes());
    let mut doc = AutoCommit::new().with_actor(ActorId::from(actor));
    begin(&mut doc, number);
    describe(&mut doc);
    doc.commit();
    doc
}

/// Changes one field.
pub(crate) fn change(doc: &mut AutoCommit, value: u64) {
    let fields = automerge::ReadDoc::get(doc, ROOT, "fields").expect("it is there");
    let (_, fields) = fields.expect("it is there");
    doc.put(&fields, "count", value).expect("a field");
    doc.commit();
}

/// One change, its bytes, and these on so many copies.
pub(crate) fn changes(count: u32, copies: u64) -> Value {
    let mut doc = document(0);
    let saved = doc.save();
    let load = |_| AutoCommit::load(&saved).expect("a document");
    let mut copies: Vec<AutoCommit> = (0..copies).map(load).collect();
    let mut micros = Vec::new();
    let cpu = cpu_seconds(std::process::id());
    for number in 0..u64::from(count) {
        let since = Instant::now();
        change(&mut doc, number + 1);
        let bytes = doc.save_incremental();
        for copy in &mut copies {
            copy.load_incremental(&bytes).expect("it is taken");
        }
        micros.push(since.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let cpu = (cpu_seconds(std::process::id()) - cpu) / f64::from(count);
    json!({ "name": "automerge-change", "unit": "us", "value": micros[micros.len() / 2],
            "p50_us": micros[micros.len() / 2], "p99_us": micros[micros.len() * 99 / 100],
            "cpu_us": cpu * 1e6 })
}

/// Documents made, and saved.
pub(crate) fn births(count: u32, described: bool) -> Value {
    let (begun, mut bytes) = (Instant::now(), 0);
    let cpu = cpu_seconds(std::process::id());
    for number in 0..u64::from(count) {
        let mut actor = [7; 16];
        actor[..8].copy_from_slice(&number.to_be_bytes());
        let mut doc = AutoCommit::new().with_actor(ActorId::from(actor));
        begin(&mut doc, number);
        doc.commit();
        if described {
            describe(&mut doc);
            doc.commit();
        }
        bytes += doc.save_nocompress().len();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(std::process::id()) - cpu) / f64::from(count);
    json!({ "name": "automerge-make", "unit": "documents/s", "value": f64::from(count) / seconds,
            "cpu_us": cpu * 1e6, "bytes_each": bytes / count as usize })
}
