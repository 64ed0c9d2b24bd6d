mod reconcile;

use super::*;
use crate::{ident::Genesis, reconcile::state};

const NOW: WallTime = WallTime::from_millis(1_000);

fn founder() -> (SecretKey, Credential) {
    let key = SecretKey::from_bytes(&[1; 32]);
    let (name, founder, nonce) = ("m".to_owned(), key.host(), [0; 16]);
    let genesis = Genesis { version: 1, name, founder, created: NOW, nonce };
    let credential = Credential::of_founder(&key, genesis, NOW);
    (key, credential)
}

fn record(host: HostId, credential: &Credential, age: (u64, u64)) -> HostRecord {
    HostRecord {
        host,
        name: format!("host {age:?}"),
        incarnation: Incarnation(age.0),
        sequence: age.1,
        addresses: vec!["/ip4/127.0.0.1".to_owned()],
        software: "test".to_owned(),
        credential: credential.clone(),
        left: false,
    }
}

#[test]
fn the_newest_record_stays_in_whatever_order_they_come() {
    let (key, credential) = founder();
    let mesh = credential.mesh();
    let ages = [(1, 1), (1, 2), (2, 0), (2, 1)];
    let signed = ages.map(|age| Signed::new(&key, mesh, &record(key.host(), &credential, age)));
    for turn in 0..4 {
        let mut roster = Roster::new(mesh);
        for place in 0..4 {
            roster.merge(&signed[(place + turn) % 4], NOW).expect("a good record");
        }
        let known = roster.get(key.host()).expect("it is known");
        assert_eq!((known.incarnation, known.sequence), (Incarnation(2), 1));
        assert_eq!(roster.merge(&signed[0], NOW), Ok(Change::None));
        assert_eq!((roster.len(), roster.signed().next()), (1, Some(&signed[3])));
    }
}

#[test]
fn bad_records_change_nothing() {
    let (key, credential) = founder();
    let mesh = credential.mesh();
    let stranger = SecretKey::from_bytes(&[2; 32]);
    let mut roster = Roster::new(mesh);
    let mut refuse = |key: &SecretKey, mesh: MeshId, record: &HostRecord| {
        let refused = roster.merge(&Signed::new(key, mesh, record), NOW);
        assert!(roster.is_empty());
        refused.expect_err("a bad record")
    };
    let good = record(key.host(), &credential, (1, 1));
    let foreign = refuse(&stranger, mesh, &good);
    assert_eq!(foreign, RecordError::Foreign { signer: stranger.host(), host: key.host() });
    assert!(matches!(refuse(&key, MeshId([0; 32]), &good), RecordError::Signed(_)));
    let not_his = record(stranger.host(), &credential, (1, 1));
    assert!(matches!(refuse(&stranger, mesh, &not_his), RecordError::Credential(_)));
    let long = HostRecord { name: "x".repeat(NAME_BYTES_MAX + 1), ..good.clone() };
    assert_eq!(refuse(&key, mesh, &long), RecordError::TooLarge);
    let many = HostRecord { addresses: vec![String::new(); 17], ..good };
    assert_eq!(refuse(&key, mesh, &many), RecordError::TooLarge);
}

#[test]
fn what_is_published_is_within_the_limits() {
    let (key, credential) = founder();
    let mut roster = Roster::new(credential.mesh());
    let name = "é".repeat(NAME_BYTES_MAX);
    let addresses = vec!["a".repeat(ADDRESS_BYTES_MAX), "b".repeat(ADDRESS_BYTES_MAX + 1)];
    let large = HostRecord { name, addresses, ..record(key.host(), &credential, (1, 1)) };
    let signed = roster.publish(&key, large);
    let mut other = Roster::new(credential.mesh());
    assert_eq!(other.merge(&signed, NOW), Ok(Change::New));
    assert_eq!(other.get(key.host()).map(|record| record.addresses.len()), Some(1));
}

/// A host of the ring; nobody looks at its signature here.
fn host(number: u64, left: bool) -> KnownHost {
    let (key, credential) = founder();
    let id = HostId(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let record = HostRecord { host: id, left, ..record(id, &credential, (1, number)) };
    let signed = Signed::new(&key, credential.mesh(), &record);
    KnownHost::new(record, signed, WallTime::from_millis(number))
}

fn empty() -> Roster {
    Roster::new(founder().1.mesh())
}

fn fill(roster: &mut Roster, hosts: impl Iterator<Item = KnownHost>) {
    hosts.for_each(|host| {
        roster.put(host);
    });
}

#[test]
fn counts_and_sums_are_those_of_the_hosts_however_they_came_and_went() {
    let mut roster = empty();
    fill(&mut roster, (0..60).map(|number| host(number, false)));
    let whole = roster.clone();
    fill(&mut roster, (0..60).map(|number| host(number, number % 3 == 0)));
    assert_eq!((roster.len(), roster.present(), whole.present()), (60, 40, 60));
    for left in (0..20).rev() {
        assert!(roster.forget_one_that_left());
        assert_eq!((roster.len(), roster.present()), (40 + left, 40));
    }
    assert!(!roster.forget_one_that_left());
    let mut fresh = empty();
    let there = (0..60).rev().filter(|number| number % 3 != 0);
    fill(&mut fresh, there.map(|number| host(number, false)));
    let (me, peer) = (host(1, false).host(), host(2, false).host());
    assert_eq!(roster.sums(), fresh.sums());
    assert_eq!(state(&roster, me, peer), state(&fresh, me, peer));
    assert_ne!(state(&roster, me, peer), state(&whole, me, peer));
}

#[test]
fn the_nearest_stand_on_both_sides_and_have_not_left() {
    let mut roster = empty();
    fill(&mut roster, (0..30).map(|number| host(number, number % 5 == 0)));
    let ring: Vec<_> = roster.iter().filter(|record| !record.left).map(|r| r.host).collect();
    for (place, me) in ring.iter().enumerate() {
        let step = |by: usize| ring[(place + by) % ring.len()];
        let mut expected = [step(1), step(2), step(22), step(23)];
        expected.sort_unstable();
        assert_eq!(roster.nearest(*me, 4), expected);
        let all: Vec<_> = ring.iter().copied().filter(|host| host != me).collect();
        assert_eq!((roster.nearest(*me, 23), roster.nearest(*me, 24)), (all.clone(), all));
    }
    let stranger = HostId([0; 32]);
    assert_eq!(roster.nearest(stranger, 2), [ring[0], ring[23]]);
    assert_eq!(roster.nearest(stranger, 24), ring);
}

#[test]
fn members_that_left_come_in_the_order_of_the_ring() {
    let mut roster = empty();
    fill(&mut roster, (0..30).map(|number| host(number, number % 3 == 0)));
    let left: Vec<_> = roster.iter().filter(|record| record.left).collect();
    let all: Vec<_> = left.iter().map(|record| record.host).collect();
    let now = WallTime::from_millis(0);
    for (place, from) in all.iter().enumerate() {
        let ring: Vec<_> = all.iter().cycle().skip(place + 1).take(10).copied().collect();
        assert_eq!(roster.left_behind(*from, 30, now), ring, "itself last");
        assert_eq!(roster.left_behind(*from, 4, now), ring[..4]);
    }
    assert_eq!(roster.left_behind(HostId([0; 32]), 30, now), all);
    // The certificate of each ends at its number.
    let members = left.iter().filter(|record| record.sequence >= 15);
    let members: Vec<_> = members.map(|record| record.host).collect();
    let now = WallTime::from_millis(15);
    assert_eq!(roster.left_behind(HostId([0; 32]), 30, now), members);
}

#[test]
fn those_long_expired_are_forgotten_but_never_oneself() {
    let mut roster = empty();
    fill(&mut roster, (1..=3).map(|number| host(number, false)));
    let me = host(1, false).host();
    let week = WallTime::from_millis(0) + EXPIRED_KEPT;
    let forget = |roster: &mut Roster, millis| {
        roster.forget_expired(me, week + Duration::from_millis(millis))
    };
    assert!(!forget(&mut roster, 2));
    assert!(forget(&mut roster, 3));
    assert_eq!((roster.len(), roster.known(me).is_some()), (2, true));
    assert!(!forget(&mut roster, 3));
    assert!(forget(&mut roster, 9));
    assert_eq!((roster.len(), roster.known(me).is_some()), (1, true));
    assert!(!forget(&mut roster, 10));
}

#[test]
fn one_that_left_makes_room_for_one_that_is_there() {
    let (key, credential) = founder();
    let mut roster = empty();
    let left = host(0, true);
    let (record_left, signed) = (left.record().clone(), left.signed().clone());
    for number in 1..HOSTS_MAX as u64 {
        let id = HostId(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let record = HostRecord { host: id, left: false, ..record_left.clone() };
        roster.put(KnownHost::new(record, signed.clone(), NOW));
    }
    roster.put(left);
    let sign = |number: u8, left| {
        let own = SecretKey::from_bytes(&[number; 32]);
        let credential = credential.admit(&key, own.host(), false, NOW).expect("short");
        let record = HostRecord { left, ..record(own.host(), &credential, (1, 1)) };
        Signed::new(&own, credential.mesh(), &record)
    };
    assert_eq!(roster.merge(&sign(2, true), NOW), Err(RecordError::Full));
    assert_eq!(roster.merge(&sign(2, false), NOW), Ok(Change::New));
    assert_eq!(roster.merge(&sign(3, false), NOW), Err(RecordError::Full));
    assert_eq!((roster.len(), roster.present()), (HOSTS_MAX, HOSTS_MAX));
}

#[test]
fn a_clone_shares_every_record() {
    let mut roster = empty();
    fill(&mut roster, (0..3).map(|number| host(number, false)));
    let clone = roster.clone();
    assert!(Arc::ptr_eq(&roster.table, &clone.table));
    roster.put(host(3, false));
    let id = host(0, false).host();
    let both = (roster.known(id).expect("known"), clone.known(id).expect("known"));
    assert!(Arc::ptr_eq(both.0, both.1));
    assert_eq!((roster.len(), clone.len()), (4, 3));
}
