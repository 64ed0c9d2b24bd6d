//! Documents on several hosts, with every way in which one may be refused.

mod anew;
mod conflicts;
mod joined;
mod lists;
mod room;

use automerge::{ROOT, ReadDoc, transaction::Transactable};

use super::{
    super::{ChangeError, Release, Right, Stamp, TenureId},
    *,
};
use crate::{
    ident::{AgentId, Signed},
    limits::DOCUMENTS_OPEN_MAX,
    time::WallTime,
};

const MESH: MeshId = MeshId([9; 32]);

/// A host with its documents.
struct Place {
    key: SecretKey,
    all: Replicas,
    writes: u64,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

/// Those with keys from 1 to 99.
fn is_member(of: HostId) -> bool {
    (1..100).any(|number| key(number).host() == of)
}

fn name(text: &str) -> DocName {
    text.parse().expect("a name")
}

impl Place {
    fn new(number: u8) -> Self {
        Self { key: key(number), all: Replicas::new(MESH), writes: 0 }
    }

    fn pen(key: &SecretKey, writes: u64) -> Pen<'_> {
        let mut actor = [0; 16];
        actor.copy_from_slice(&key.host().0[..16]);
        let wall = WallTime::from_millis(1000 + writes);
        Pen { key, author: Author { actor, wall, message: String::new() } }
    }

    fn set(&mut self, name: &DocName, field: &str, value: i64) -> Head {
        self.try_set(name, field, value).expect("it may").expect("it is another value")
    }

    fn try_set(
        &mut self,
        name: &DocName,
        field: &str,
        value: i64,
    ) -> Result<Option<Head>, WriteError<String>> {
        self.writes += 1;
        let Self { key, all, writes } = self;
        all.write(name, &Self::pen(key, *writes), |doc| {
            let now = doc.get(ROOT, field).expect("it can be read");
            if now.is_some_and(|(now, _)| now.as_i64() == Some(value)) {
                return Ok(());
            }
            doc.put(ROOT, field, value).map_err(|why| why.to_string())
        })
    }

    fn get(&mut self, name: &DocName, field: &str) -> Option<i64> {
        self.all.read(name, |doc| doc.get(ROOT, field).unwrap()?.0.as_i64()).expect("it is there")
    }

    fn born(&mut self, salt: u64) -> (DocName, Title) {
        let agent = AgentId::born(self.key.host(), salt);
        let title = Title::of_birth(&self.key, MESH, agent);
        self.all.entitle(&title, is_member, &Self::pen(&self.key, 0)).expect("it is good");
        (DocName::of_agent(agent), title)
    }

    fn delete(&mut self, name: &DocName) -> bool {
        self.all.delete(name, &Self::pen(&self.key, 0)).expect("it may")
    }

    fn take(&mut self, revision: Revision) -> Result<Taken, Refused> {
        self.all.take(revision, is_member)
    }

    /// Takes what the other has.
    fn pull(&mut self, from: &Self, name: &DocName) -> Taken {
        let whole = from.all.whole(name).expect("it is there");
        self.take(whole).expect("it is good")
    }

    /// What the other lacks, as it has these heads.
    fn since(&mut self, name: &DocName, heads: &[Head]) -> Revision {
        let base = self.all.base(name).expect("it is there");
        self.all.since(name, base, heads).expect("it is there")
    }
}

const NEW: Taken = Taken::New { dropped: None };

#[test]
fn concurrent_changes_of_a_document_are_merged_wherever_they_meet() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.pull(&one, &doc), Taken::Same);
    one.set(&doc, "limit", 6);
    two.set(&doc, "size", 7);
    assert_ne!(one.all.print(&doc), two.all.print(&doc));
    let before = one.all.whole(&doc).unwrap();
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!(two.take(before), Ok(NEW));
    for place in [&mut one, &mut two] {
        assert_eq!((place.get(&doc, "limit"), place.get(&doc, "size")), (Some(6), Some(7)));
        assert_eq!(place.all.heads(&doc).len(), 2);
    }
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
    // Whoever writes next vouches for both.
    one.set(&doc, "limit", 8);
    assert_eq!(one.all.whole(&doc).unwrap().stamps.len(), 1);
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
}

#[test]
fn a_descriptor_is_born_with_its_first_change_and_others_take_it() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let bear = |place: &mut Place, agent| {
        let pen = Place::pen(&place.key, 1);
        place.all.bear(agent, &pen, |doc| doc.put(ROOT, "seats", 5))
    };
    let agent = AgentId::born(one.key.host(), 7);
    let doc = DocName::of_agent(agent);
    let elsewhere = bear(&mut two, agent);
    assert!(matches!(elsewhere, Err(WriteError::NotOwner)), "{elsewhere:?}");
    let head = bear(&mut one, agent).expect("it may");
    assert_eq!(one.all.heads(&doc), [head.expect("it is new")]);
    assert_eq!(
        one.all.owner(&doc).map(|owner| (owner.host, owner.instance)),
        Some((key(1).host(), 0))
    );
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.get(&doc, "seats"), Some(5));
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
    let again = bear(&mut one, agent);
    assert!(matches!(again, Err(WriteError::NotOwner)), "there is one: {again:?}");
    // It goes on like any other, and comes back from the disk as it was.
    one.set(&doc, "seats", 6);
    assert_eq!(two.pull(&one, &doc), NEW);
    let kept = two.all.kept(&doc).expect("it is there");
    let mut again = Replicas::new(MESH);
    assert_eq!(again.restore(&kept), Ok(doc.clone()));
    assert_eq!((again.whole(&doc), again.print(&doc)), (two.all.whole(&doc), one.all.print(&doc)));
}

#[test]
fn stamps_of_some_heads_and_of_all_come_back_as_they_were_signed() {
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    let doc = name("conf/echo");
    one.set(&doc, "a", 1);
    two.set(&doc, "b", 2);
    assert_eq!(one.pull(&two, &doc), NEW);
    let whole = one.all.whole(&doc).expect("it is there");
    assert_eq!((whole.heads.len(), whole.stamps.len()), (2, 2));
    let said: Vec<usize> = whole
        .stamps
        .iter()
        .map(|stamp| stamp.open(MESH).expect("it is good").heads.len())
        .collect();
    assert_eq!(said, [1, 1], "each vouches for its own head");
    assert_eq!(three.take(whole), Ok(NEW));
    three.set(&doc, "c", 3);
    let whole = three.all.whole(&doc).expect("it is there");
    assert_eq!(whole.stamps[0].open(MESH), Ok(whole.stamp()));
    assert_eq!(one.take(whole), Ok(NEW));
}

#[test]
fn two_hosts_may_begin_the_same_document() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    two.set(&doc, "size", 7);
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!((one.get(&doc, "limit"), one.get(&doc, "size")), (Some(5), Some(7)));
}

#[test]
fn a_difference_is_taken_by_those_who_have_what_came_before() {
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    let doc = name("conf/echo");
    for number in 0..40 {
        one.set(&doc, &format!("field-{number}"), number);
    }
    let first = one.set(&doc, "limit", 5);
    two.pull(&one, &doc);
    one.set(&doc, "limit", 6);
    one.set(&doc, "limit", 29);
    let difference = one.since(&doc, &[first]);
    assert!(matches!(difference.content, Content::Since(_)), "{difference:?}");
    assert_eq!(two.take(difference.clone()), Ok(NEW));
    assert_eq!(two.get(&doc, "limit"), Some(29));
    assert_eq!(one.all.print(&doc), two.all.print(&doc));
    assert_eq!(three.take(difference.clone()), Ok(Taken::Lacking(Vec::new())));
    assert_eq!(three.all.len(), 0);
    let own = three.set(&doc, "size", 1);
    assert_eq!(three.take(difference), Ok(Taken::Lacking(vec![own])));
    // Heads that this host has never seen: the whole goes out.
    assert!(matches!(one.since(&doc, &[own]).content, Content::Whole(_)));
}

#[test]
fn a_difference_that_lacks_one_of_its_heads_is_asked_for_again() {
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    let doc = name("conf/echo");
    for number in 0..40 {
        one.set(&doc, &format!("field-{number}"), number);
    }
    two.pull(&one, &doc);
    three.pull(&one, &doc);
    let known = three.all.heads(&doc).to_vec();
    let lost = one.set(&doc, "limit", 5);
    two.set(&doc, "size", 6);
    two.pull(&one, &doc);
    // Its one change does not follow the lost one, which host 2 takes to be there.
    let difference = two.since(&doc, &[lost]);
    assert!(matches!(difference.content, Content::Since(_)) && difference.heads.len() == 2);
    assert_eq!(three.take(difference), Ok(Taken::Lacking(known.clone())));
    assert_eq!((three.get(&doc, "limit"), three.get(&doc, "size")), (None, None));
    assert_eq!(three.take(two.since(&doc, &known)), Ok(NEW));
    assert_eq!((three.get(&doc, "limit"), three.get(&doc, "size")), (Some(5), Some(6)));
}

#[test]
fn a_change_that_changes_nothing_or_refuses_leaves_everything_as_it_was() {
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    let before = one.all.whole(&doc);
    assert_eq!(one.try_set(&doc, "limit", 5), Ok(None));
    let refused = one.all.write(&doc, &Place::pen(&key(1), 9), |doc| {
        doc.put(ROOT, "limit", 99).expect("it can be put");
        Err("too high")
    });
    assert_eq!(refused, Err(WriteError::Change(ChangeError::Given("too high"))));
    assert_eq!(one.get(&doc, "limit"), Some(5));
    assert_eq!(one.all.whole(&doc), before);
}

#[test]
fn a_descriptor_is_changed_by_its_owner_only() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.get(&doc, "load"), Some(5));
    assert_eq!(two.try_set(&doc, "load", 6), Err(WriteError::NotOwner));
    let stranger = DocName::of_agent(AgentId(12345));
    assert_eq!(two.try_set(&stranger, "load", 6), Err(WriteError::NotOwner));
    assert_eq!(two.all.delete(&doc, &Place::pen(&key(2), 0)), Err(WriteError::NotOwner));
    // Nor does it help to go round one's own checks.
    let mut forged = two.all.whole(&doc).unwrap();
    let mut body = Body::load(&content(&forged)).unwrap();
    let author = Place::pen(&key(2), 3).author;
    let head = body.change(&author, |doc| doc.put(ROOT, "load", 6)).unwrap().unwrap();
    forged.heads = vec![head];
    forged.content = Content::Whole(body.save());
    forged.sign(&key(2), MESH);
    assert_eq!(one.take(forged), Err(Refused::Unvouched));
    assert_eq!(one.get(&doc, "load"), Some(5));
}

fn content(revision: &Revision) -> Vec<u8> {
    match &revision.content {
        Content::Whole(bytes) | Content::Since(bytes) => bytes.clone(),
        Content::Gone => Vec::new(),
    }
}

#[test]
fn a_replayed_old_revision_changes_nothing() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    let old = one.all.whole(&doc).unwrap();
    one.set(&doc, "load", 6);
    two.pull(&one, &doc);
    assert_eq!(two.take(old), Ok(Taken::Same));
    assert_eq!(two.get(&doc, "load"), Some(6));
}

#[test]
fn what_is_not_vouched_for_by_a_member_is_refused() {
    let (mut one, mut expelled) = (Place::new(1), Place::new(200));
    let doc = name("conf/echo");
    expelled.set(&doc, "limit", 5);
    let revision = expelled.all.whole(&doc).unwrap();
    assert_eq!(one.take(revision.clone()), Err(Refused::Unvouched));
    // A stamp of another document, of another history or of other heads is no good either.
    let signed = |stamp: Stamp| vec![Signed::new(&key(1), MESH, &stamp)];
    let good = revision.stamp();
    for bad in [
        Stamp { name: name("conf/other"), ..good.clone() },
        Stamp { base: good.base.after(None), ..good.clone() },
        Stamp { heads: vec![Head([1; 32])], ..good.clone() },
        Stamp { tenure: Some(TenureId([1; 32])), ..good.clone() },
    ] {
        let stamps = signed(bad);
        assert_eq!(one.take(Revision { stamps, ..revision.clone() }), Err(Refused::Unvouched));
    }
    let other_mesh = vec![Signed::new(&key(1), MeshId([8; 32]), &good)];
    let forged = Revision { stamps: other_mesh, ..revision.clone() };
    assert_eq!(one.take(forged), Err(Refused::Unvouched));
    assert_eq!(one.all.len(), 0);
    assert_eq!(one.take(Revision { stamps: signed(good), ..revision }), Ok(NEW));
}

#[test]
fn a_revision_that_holds_something_else_than_it_says_is_refused() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    let mut whole = one.all.whole(&doc).unwrap();
    whole.heads = vec![Head([1; 32])];
    whole.sign(&key(1), MESH);
    assert_eq!(two.take(whole.clone()), Err(Refused::Heads));
    two.set(&doc, "size", 1);
    assert_eq!(two.take(whole.clone()), Err(Refused::Heads));
    assert_eq!((two.all.len(), two.get(&doc, "size")), (1, Some(1)));
    whole.heads = (0..65_u8).map(|number| Head([number; 32])).collect();
    assert_eq!(two.take(whole.clone()), Err(Refused::TooManyHeads(65)));
    whole.heads.truncate(1);
    whole.content = Content::Whole(b"no document".to_vec());
    whole.sign(&key(1), MESH);
    assert!(matches!(two.take(whole.clone()), Err(Refused::Body(_))));
    whole.content = Content::Gone;
    assert_eq!(Place::new(3).take(whole), Err(Refused::Heads));
}

#[test]
fn a_host_that_is_full_neither_takes_nor_makes_another_document() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    two.pull(&one, &doc);
    let held = one.all.held[&doc].clone();
    for number in 1..DOCUMENTS_MAX {
        one.all.held.insert(name(&format!("doc/{number}")), held.clone());
    }
    let other = name("conf/other");
    two.set(&other, "limit", 5);
    assert_eq!(one.take(two.all.whole(&other).unwrap()), Err(Refused::Full));
    assert_eq!(one.try_set(&other, "limit", 5), Err(WriteError::Full));
    assert_eq!(one.all.len(), DOCUMENTS_MAX);
    // What it has goes on.
    two.set(&doc, "limit", 6);
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!(one.get(&doc, "limit"), Some(6));
}

#[test]
fn a_deletion_outranks_what_is_written_at_the_same_time_and_says_what_is_dropped() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    two.pull(&one, &doc);
    assert!(one.delete(&doc));
    assert!(!one.delete(&doc));
    let head = two.set(&doc, "limit", 6);
    let mine = two.all.whole(&doc).unwrap();
    let body = content(&mine);
    let dropped = Dropped { owner: None, heads: vec![head], body };
    assert_eq!(two.pull(&one, &doc), Taken::New { dropped: Some(dropped.clone()) });
    assert!(!two.all.knew_of(&doc, &dropped));
    assert_eq!(one.take(mine), Ok(Taken::Older));
    for place in [&mut one, &mut two] {
        assert_eq!(place.all.read(&doc, |_| ()), Err(ReadError::Unknown));
        assert_eq!(place.all.names(None).count(), 0);
        assert_eq!(place.all.len(), 1, "others may have to learn of it");
    }
    assert_eq!((one.all.base(&doc), one.all.print(&doc)), (two.all.base(&doc), None));
    // It may be made anew, and is another document then.
    two.set(&doc, "size", 1);
    two.set(&doc, "size", 2);
    assert_eq!(one.pull(&two, &doc), NEW);
    assert_eq!((one.get(&doc, "limit"), one.get(&doc, "size")), (None, Some(2)));
}

#[test]
fn a_descriptor_needs_the_title_of_its_agent() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, title) = one.born(7);
    one.set(&doc, "load", 5);
    let (_, other) = Place::new(1).born(8);
    let whole = one.all.whole(&doc).unwrap();
    let untitled = Revision { tenure: None, title: None, ..whole.clone() };
    assert_eq!(two.take(untitled), Err(Refused::Untitled));
    let other = Revision { title: Some(other), ..whole.clone() };
    assert_eq!(two.take(other), Err(Refused::Untitled));
    let plain = Revision { name: name("conf/echo"), title: Some(title), ..whole.clone() };
    assert_eq!(two.take(plain), Err(Refused::Untitled));
    // Without it, it is asked for.
    let bare = Revision { title: None, ..whole };
    assert_eq!(two.take(bare.clone()), Ok(Taken::Lacking(Vec::new())));
    two.pull(&one, &doc);
    assert_eq!(two.take(bare), Ok(Taken::Same));
}

/// The title of an agent of host 1 when it has given the agent to another.
fn given(title: &Title, to: u8) -> Title {
    let owner = title.open(MESH, is_member).unwrap();
    let release = Release { tenure: owner.tenures[0], to: key(to).host() };
    let right = Right::Gift(Signed::new(&key(1), MESH, &release));
    title.taken_up(&owner, &key(to), MESH, right, is_member).unwrap()
}

#[test]
fn whoever_takes_an_agent_up_goes_on_with_its_descriptor_and_the_one_before_is_out() {
    let (mut one, mut two, mut three) = (Place::new(1), Place::new(2), Place::new(3));
    let (doc, title) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    three.pull(&one, &doc);
    let given = given(&title, 2);
    two.all.entitle(&given, is_member, &Place::pen(&key(2), 0)).unwrap();
    let taken_up = two.all.whole(&doc).unwrap();
    let difference = {
        let heads = two.all.heads(&doc).to_vec();
        two.set(&doc, "load", 6);
        two.since(&doc, &heads)
    };
    // What the former owner writes meanwhile does not count.
    let unmerged = one.set(&doc, "load", 9);
    let mine = one.all.whole(&doc).unwrap();
    assert_eq!(two.take(mine.clone()), Ok(Taken::Older));
    assert_eq!(three.take(difference.clone()), Ok(Taken::Lacking(Vec::new())), "by what right?");
    assert_eq!(three.take(taken_up), Ok(NEW));
    assert_eq!(three.take(difference), Ok(NEW));
    assert_eq!((three.get(&doc, "load"), three.all.owner(&doc).unwrap().instance), (Some(6), 1));
    let Taken::New { dropped: Some(dropped) } = one.pull(&two, &doc) else { panic!("it had more") };
    assert_eq!((dropped.owner.unwrap().host, dropped.heads), (one.key.host(), vec![unmerged]));
    assert_eq!(dropped.body, content(&mine));
    assert_eq!(one.try_set(&doc, "load", 10), Err(WriteError::NotOwner));
    assert_eq!(one.get(&doc, "load"), Some(6));
}

#[test]
fn a_damaged_copy_counts_as_missing_until_a_good_one_comes() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    one.set(&doc, "limit", 5);
    let mut kept = one.all.whole(&doc).unwrap();
    kept.content = Content::Whole(b"rubbish".to_vec());
    let on_disk = OnDisk { revision: kept, pasts: Vec::new(), gone_since: None };
    assert_eq!(two.all.restore(&wire::encode(&on_disk)), Ok(doc.clone()));
    assert!(matches!(two.all.read(&doc, |_| ()), Err(ReadError::Damaged(_))));
    assert_eq!(two.all.damaged().map(|(name, _)| name).collect::<Vec<_>>(), [&doc]);
    assert_eq!((two.all.print(&doc), two.all.sums()), (None, &Sums::new()));
    assert_eq!((two.all.whole(&doc), two.all.len()), (None, 1));
    // Others may have more than the writer knows of.
    assert!(matches!(two.try_set(&doc, "limit", 6), Err(WriteError::Damaged(_))));
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!((two.get(&doc, "limit"), two.all.damaged().count()), (Some(5), 0));
}

#[test]
fn damage_is_found_when_a_revision_comes_and_what_is_set_aside_is_not_written_over() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let doc = name("conf/echo");
    let first = one.set(&doc, "limit", 5);
    let mut kept = one.all.whole(&doc).unwrap();
    kept.content = Content::Whole(b"rubbish".to_vec());
    let on_disk = OnDisk { revision: kept, pasts: Vec::new(), gone_since: None };
    let _ = two.all.restore(&wire::encode(&on_disk)).expect("it is a revision");
    one.set(&doc, "limit", 6);
    let mut difference = one.all.whole(&doc).unwrap();
    let since = Body::load(&content(&difference)).unwrap().since(&[first]).unwrap();
    difference.content = Content::Since(since);
    assert_eq!(two.take(difference), Ok(Taken::Lacking(Vec::new())), "the whole is needed");
    assert!(matches!(two.pull(&one, &doc), Taken::New { .. }));
    assert_eq!(two.get(&doc, "limit"), Some(6));
    // Though it could be unpacked, it may lack what others have.
    two.all.set_aside(&doc, "its disk says so");
    assert_eq!(two.try_set(&doc, "x", 1), Err(WriteError::Damaged("its disk says so".into())));
}

#[test]
fn a_deleted_descriptor_is_made_again_by_its_owner() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    assert!(one.delete(&doc));
    assert_eq!(two.pull(&one, &doc), NEW);
    one.set(&doc, "load", 6);
    let base = one.all.base(&doc).expect("it is there");
    assert_eq!((base.number, base.gone), (2, false));
    assert_eq!(two.pull(&one, &doc), NEW);
    assert_eq!(two.get(&doc, "load"), Some(6));
}

#[test]
fn what_is_shorter_whole_goes_out_whole() {
    let mut one = Place::new(1);
    let doc = name("conf/echo");
    let first = one.set(&doc, "limit", 0);
    for value in 1..30 {
        one.set(&doc, "limit", value);
    }
    let whole = one.all.whole(&doc).expect("it is there");
    assert_eq!(one.since(&doc, &[first]), whole);
}

#[test]
fn the_owner_of_a_damaged_descriptor_begins_it_anew() {
    let (mut one, mut two) = (Place::new(1), Place::new(2));
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    two.pull(&one, &doc);
    one.all.set_aside(&doc, "its disk says so");
    one.set(&doc, "load", 6);
    let taken = two.pull(&one, &doc);
    assert!(matches!(taken, Taken::New { dropped: Some(_) }), "{taken:?}");
    assert_eq!((one.get(&doc, "load"), two.get(&doc, "load")), (Some(6), Some(6)));
}

#[test]
fn what_is_kept_is_there_again() {
    let mut one = Place::new(1);
    let (doc, _) = one.born(7);
    one.set(&doc, "load", 5);
    let plain = name("zone");
    one.set(&plain, "ttl", 300);
    let gone = name("old");
    one.set(&gone, "x", 1);
    one.delete(&gone);
    let kept: Vec<_> = [&doc, &plain, &gone].map(|name| one.all.kept(name).unwrap()).into();
    let mut again = Place::new(1);
    for bytes in &kept {
        again.all.restore(bytes).expect("it is a revision");
    }
    assert_eq!(again.all.sums(), one.all.sums());
    for bucket in 0..=u8::MAX {
        assert!(again.all.bucket(bucket).eq(one.all.bucket(bucket)), "bucket {bucket}");
    }
    let names = (0..=u8::MAX).flat_map(|bucket| again.all.bucket(bucket).map(|(_, name)| name));
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from([&doc, &plain]));
    assert_eq!(again.all.base(&gone), one.all.base(&gone));
    assert_eq!(again.all.names(None).collect::<Vec<_>>(), [&doc, &plain]);
    assert_eq!(again.all.names(Some(&doc)).collect::<Vec<_>>(), [&plain]);
    assert_eq!((again.get(&doc, "load"), again.get(&plain, "ttl")), (Some(5), Some(300)));
    again.set(&doc, "load", 6);
    assert_eq!(again.get(&doc, "load"), Some(6));
    assert!(again.all.restore(b"rubbish").is_err());
}

#[test]
fn only_the_documents_used_last_are_unpacked() {
    let mut one = Place::new(1);
    let names: Vec<_> = (0..100).map(|number| name(&format!("doc/{number}"))).collect();
    for doc in &names {
        one.set(doc, "x", 1);
    }
    assert_eq!(one.all.open.0.len(), DOCUMENTS_OPEN_MAX);
    for doc in &names {
        assert_eq!(one.get(doc, "x"), Some(1));
    }
    assert_eq!(one.all.open.0.len(), DOCUMENTS_OPEN_MAX);
}
