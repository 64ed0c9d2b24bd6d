//! Titles that are good, and all that may be wrong with one.

use std::cmp::Ordering;

use super::*;
use crate::{
    ident::{AgentId, HostId, Incarnation, MeshId, SecretKey, Signed},
    limits::{TENURES_PER_TITLE_MAX, WITNESSES_PER_TENURE_MAX},
};

const MESH: MeshId = MeshId([9; 32]);

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

fn host(number: u8) -> HostId {
    key(number).host()
}

/// Those with keys from 1 to 99.
fn is_member(of: HostId) -> bool {
    (1..100).any(|number| host(number) == of)
}

fn open(title: &Title) -> Result<Owner, TitleError> {
    title.open(MESH, is_member)
}

fn opened(title: &Title) -> Owner {
    open(title).expect("it is good")
}

fn says_dead(witness: u8, dead: HostId) -> Signed<Obituary> {
    Signed::new(&key(witness), MESH, &Obituary { host: dead, incarnation: Incarnation(3) })
}

fn last(title: &Title) -> TenureId {
    *opened(title).tenures.last().expect("there is one")
}

/// An agent that was born on the first host.
fn agent() -> (AgentId, Title) {
    let agent = AgentId::born(host(1), 77);
    (agent, Title::of_birth(&key(1), MESH, agent))
}

fn inherits(title: &Title, heir: u8, witnesses: &[u8]) -> Result<Title, TitleError> {
    let owner = opened(title);
    let witnesses = witnesses.iter().map(|witness| says_dead(*witness, owner.host)).collect();
    let right = Right::Inheritance { before: last(title), witnesses };
    title.taken_up(&owner, &key(heir), MESH, right, is_member)
}

fn gives(title: &Title, giver: u8, to: u8, heir: u8) -> Result<Title, TitleError> {
    let release = Release { tenure: last(title), to: host(to) };
    let right = Right::Gift(Signed::new(&key(giver), MESH, &release));
    title.taken_up(&opened(title), &key(heir), MESH, right, is_member)
}

#[test]
fn an_agent_belongs_to_the_host_where_it_was_born() {
    let (agent, title) = agent();
    let owner = opened(&title);
    assert_eq!((owner.agent, owner.instance, owner.host), (agent, 0, host(1)));
    assert!(agent.is_born_on(host(1)) && !agent.is_born_on(host(2)));
    // Another salt, another host: another agent.
    assert_ne!(AgentId::born(host(1), 78), agent);
    assert_ne!(AgentId::born(host(2), 77), agent);
    assert!(!AgentId(agent.0 ^ 1).is_born_on(host(1)));
    let first = AgentId::born(host(1), 0);
    assert!(first.0 >= AgentId::RESERVED && first.is_born_on(host(1)));
    assert!(!AgentId::HOST.is_born_on(host(1)));
}

#[test]
fn it_goes_from_host_to_host_by_gift_and_by_death() {
    let (agent, title) = agent();
    let title = inherits(&title, 2, &[2, 3]).expect("the first is dead");
    let title = gives(&title, 2, 4, 4).expect("it was given");
    let owner = opened(&title);
    assert_eq!((owner.agent, owner.instance, owner.host), (agent, 2, host(4)));
    assert_eq!(owner.tenures.len(), 3);
}

#[test]
fn nobody_but_the_owner_gives_an_agent_away_and_to_nobody_else() {
    let (_, title) = agent();
    assert_eq!(gives(&title, 2, 2, 2), Err(TitleError::NotGiven(1)));
    assert_eq!(gives(&title, 1, 3, 2), Err(TitleError::NotGiven(1)));
    // A gift of an earlier tenure is good for no later one.
    let back = gives(&gives(&title, 1, 2, 2).expect("given"), 2, 1, 1).expect("given back");
    let release = Release { tenure: last(&title), to: host(2) };
    let right = Right::Gift(Signed::new(&key(1), MESH, &release));
    let again = back.taken_up(&opened(&back), &key(2), MESH, right, is_member);
    assert_eq!(again, Err(TitleError::NotGiven(3)));
}

/// A statement under the signature of another one.
fn under_the_seal_of<T: Signable + Clone>(said: &Signed<T>, other: &T) -> Signed<T> {
    let seal = said.seal(&said.unchecked().expect("it was encoded here")).expect("it says so");
    Signed::sealed(&seal, other)
}

#[test]
fn what_a_tenure_rests_on_was_signed_as_it_stands() {
    let (_, title) = agent();
    let owner = opened(&title);
    let release = Release { tenure: last(&title), to: host(3) };
    let given = Signed::new(&key(1), MESH, &release);
    let forged = under_the_seal_of(&given, &Release { to: host(2), ..release });
    let taken = title.taken_up(&owner, &key(2), MESH, Right::Gift(forged), is_member);
    assert_eq!(taken, Err(TitleError::NotGiven(1)));
    let obituary = Obituary { host: host(1), incarnation: Incarnation(3) };
    let witnesses = vec![under_the_seal_of(&says_dead(2, host(3)), &obituary)];
    let right = Right::Inheritance { before: last(&title), witnesses };
    let taken = title.taken_up(&owner, &key(2), MESH, right, is_member);
    assert_eq!(taken, Err(TitleError::NotDead(1)));
}

#[test]
fn a_host_is_dead_when_other_members_say_so() {
    let (_, title) = agent();
    for (witnesses, good) in [
        (&[2_u8][..], true),
        (&[3], true),
        (&[2, 3, 4, 5, 6, 7, 8, 9], true),
        (&[], false),
        // The host itself; twice the same; a stranger among them; too many.
        (&[1], false),
        (&[2, 1], false),
        (&[2, 2], false),
        (&[2, 100], false),
        (&[2, 3, 4, 5, 6, 7, 8, 9, 10], false),
    ] {
        let taken = inherits(&title, 2, witnesses);
        assert_eq!(taken.err(), (!good).then_some(TitleError::NotDead(1)), "{witnesses:?}");
    }
    assert_eq!(WITNESSES_PER_TENURE_MAX, 8);
    // Of another host.
    let (owner, witnesses) = (opened(&title), vec![says_dead(2, host(3))]);
    let right = Right::Inheritance { before: last(&title), witnesses };
    let taken = title.taken_up(&owner, &key(2), MESH, right, is_member);
    assert_eq!(taken, Err(TitleError::NotDead(1)));
}

/// What a forger signs: tenures as it likes them.
fn forged(tenures: &[(u8, Tenure)]) -> Title {
    Title::of(tenures.iter().map(|(by, tenure)| Signed::new(&key(*by), MESH, tenure)).collect())
}

#[test]
fn no_birth_is_stated_by_another_host() {
    let (agent, _) = agent();
    let birth = |host| Tenure { agent, instance: 0, host, right: Right::Birth };
    assert_eq!(open(&forged(&[(2, birth(host(2)))])), Err(TitleError::Birth));
    assert_eq!(open(&forged(&[(2, birth(host(1)))])), Err(TitleError::Forged(0)));
    let other = Tenure { agent: AgentId(agent.0 ^ 1), ..birth(host(1)) };
    assert_eq!(open(&forged(&[(1, other)])), Err(TitleError::Birth));
    let late = Tenure { instance: 1, ..birth(host(1)) };
    assert_eq!(open(&forged(&[(1, late)])), Err(TitleError::Birth));
    let other_mesh = Title::of_birth(&key(1), MeshId([8; 32]), agent);
    assert!(matches!(open(&other_mesh), Err(TitleError::Signature(0, _))));
}

#[test]
fn each_tenure_follows_the_one_before_it() {
    let (agent, title) = agent();
    let born = Tenure { agent, instance: 0, host: host(1), right: Right::Birth };
    let right = |before| Right::Inheritance { before, witnesses: vec![says_dead(2, host(1))] };
    let next = |right| Tenure { agent, instance: 1, host: host(2), right };
    let good = next(right(born.id()));
    assert_eq!(opened(&forged(&[(1, born.clone()), (2, good.clone())])).instance, 1);
    for (by, wrong, why) in [
        (2, next(right(good.id())), TitleError::Broken(1)),
        (2, next(Right::Birth), TitleError::Broken(1)),
        (2, Tenure { instance: 2, ..good.clone() }, TitleError::Broken(1)),
        (2, Tenure { agent: AgentId(5000), ..good.clone() }, TitleError::Broken(1)),
        (3, good.clone(), TitleError::Forged(1)),
    ] {
        assert_eq!(open(&forged(&[(1, born.clone()), (by, wrong)])), Err(why));
    }
    assert_eq!(open(&forged(&[])), Err(TitleError::Length(0)));
    assert_eq!(title, forged(&[(1, born)]));
}

#[test]
fn an_agent_lives_on_only_so_many_hosts() {
    let agent = agent().0;
    let birth = Right::Birth;
    let mut tenures = vec![(1, Tenure { agent, instance: 0, host: host(1), right: birth })];
    for instance in 1..TENURES_PER_TITLE_MAX as u64 {
        let (giver, before) = tenures.last().expect("one");
        let heir = 3 - giver;
        let release = Release { tenure: before.id(), to: host(heir) };
        let right = Right::Gift(Signed::new(&key(*giver), MESH, &release));
        tenures.push((heir, Tenure { agent, instance, host: host(heir), right }));
    }
    let title = forged(&tenures);
    assert_eq!(opened(&title).tenures.len(), TENURES_PER_TITLE_MAX);
    assert_eq!(gives(&title, 2, 1, 1), Err(TitleError::Length(TENURES_PER_TITLE_MAX + 1)));
}

#[test]
fn of_two_titles_all_choose_the_same() {
    let (_, title) = agent();
    let one = opened(&inherits(&title, 2, &[2]).expect("dead"));
    let other = opened(&inherits(&title, 3, &[3]).expect("dead"));
    let longer = inherits(&inherits(&title, 2, &[2]).expect("dead"), 4, &[4]).expect("dead");
    let longer = opened(&longer);
    assert_eq!(one.outranks(&other), other.outranks(&one).reverse());
    assert_ne!(one.outranks(&other), Ordering::Equal);
    assert_eq!(one.outranks(&one.clone()), Ordering::Equal);
    for shorter in [&one, &other, &opened(&title)] {
        assert_eq!(longer.outranks(shorter), Ordering::Greater);
    }
    assert_eq!((one.common(&other), one.common(&longer), one.common(&opened(&title))), (1, 2, 1));
}
