//! One value of each kind, always the same.

use std::{collections::BTreeSet, time::Duration};

use starling_core::documents::{AutoCommit, set};
use starling_protocols::{
    admission::{Invite, InviteId, Knock, Ledger, Refusal, Terms, Token, Welcome},
    exchange::{Codec, Failure, Frame, Gossip, Hello, Item, Rumour, SessionId},
    ident::{
        Address, AgentId, Certificate, Credential, Genesis, HostId, Incarnation, SecretKey, Signed,
    },
    reconcile::Digest,
    replica::{
        Author, Base, DocName, Head, Message, Obituary, Offer, Parcel, Pen, Receipt, Release,
        Replicas, Right, Stamp, Tenure, TenureId, Title, Want,
    },
    roster::HostRecord,
    time::WallTime,
};

/// A value and what it is called.
type Named<T> = Vec<(&'static str, T)>;

const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);
const ASKER: AgentId = AgentId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const ASKED: AgentId = AgentId(1);
const SESSION: SessionId = SessionId { incarnation: Incarnation(1_700_000_000), epoch: 2 };

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn host(seed: u8) -> HostId {
    key(seed).host()
}

pub(crate) fn address() -> Address {
    Address { host: host(1), agent: ASKER }
}

pub(crate) fn genesis() -> Genesis {
    Genesis { version: 1, name: "office".into(), founder: host(1), created: NOW, nonce: [5; 16] }
}

/// Of the founder, of a member that it admitted, and of one that this member admitted.
pub(crate) fn credentials() -> Named<Credential> {
    let founder = Credential::of_founder(&key(1), genesis(), NOW);
    let admit = |by: &Credential, seed, subject, may| {
        by.admit(&key(seed), host(subject), may, NOW).expect("the chain is short")
    };
    let member = admit(&founder, 1, 2, true);
    let guest = admit(&member, 2, 3, false);
    vec![("founder", founder), ("member", member), ("guest", guest)]
}

fn credential() -> Credential {
    credentials().remove(1).1
}

pub(crate) fn certificates() -> Named<Certificate> {
    let plain = Certificate {
        version: 1,
        subject: host(2),
        not_after: NOW,
        may_admit: true,
        extensions: Vec::new(),
    };
    let extended = Certificate { extensions: vec![(7, vec![1, 2, 3])], ..plain.clone() };
    vec![("plain", plain), ("extended", extended)]
}

pub(crate) fn record() -> HostRecord {
    HostRecord {
        host: host(2),
        name: "beta".into(),
        incarnation: Incarnation(1_700_000_000),
        sequence: 3,
        addresses: vec!["/ip4/10.0.0.1/tcp/4077".into(), "/ip6/::1/udp/4077/quic-v1".into()],
        software: "starling 0.1.0".into(),
        credential: credential(),
        left: false,
    }
}

pub(crate) fn records() -> Named<HostRecord> {
    let left = HostRecord { left: true, addresses: Vec::new(), ..record() };
    vec![("here", record()), ("left", left)]
}

pub(crate) fn signed_record() -> Signed<HostRecord> {
    Signed::new(&key(2), genesis().mesh(), &record())
}

pub(crate) fn invite() -> Invite {
    Invite {
        version: 1,
        mesh: genesis().mesh(),
        mesh_name: "office".into(),
        redeemer: host(1),
        addresses: vec!["/ip4/10.0.0.1/tcp/4077".into()],
        id: InviteId([6; 16]),
        expires: NOW,
        uses: 3,
    }
}

pub(crate) fn tokens() -> Named<Token> {
    vec![("one", Token::new(&key(1), &invite()))]
}

/// Empty, and with one invite that was used once.
pub(crate) fn ledgers() -> Named<Ledger> {
    let mut ledger = Ledger::default();
    let (_, founder) = credentials().remove(0);
    let terms = Terms { life: Duration::from_secs(60), uses: 2, may_admit: true };
    let (addresses, id) = (invite().addresses, InviteId([6; 16]));
    let token = ledger.issue(&key(1), &founder, addresses, &terms, id, NOW).expect("issued");
    ledger.redeem(&key(1), &founder, &token, host(2), NOW).expect("redeemed");
    vec![("empty", Ledger::default()), ("used", ledger)]
}

pub(crate) fn knocks() -> Named<Knock> {
    let token = tokens().remove(0).1;
    vec![("member", Knock::Member(credential())), ("join", Knock::Join(token))]
}

pub(crate) fn welcomes() -> Named<Welcome> {
    let joined = Welcome::Joined { credential: credential(), hosts: vec![signed_record()] };
    let refused = Welcome::Refused(Refusal::UnknownToken);
    vec![("member", Welcome::Member(credential())), ("joined", joined), ("refused", refused)]
}

pub(crate) fn refusals() -> Named<Refusal> {
    vec![
        ("credential", Refusal::Credential("it has expired".into())),
        ("unknown-token", Refusal::UnknownToken),
        ("expired-token", Refusal::ExpiredToken),
        ("used-up-token", Refusal::UsedUpToken),
        ("cannot-admit", Refusal::CannotAdmit("busy".into())),
        ("too-many-attempts", Refusal::TooManyAttempts),
    ]
}

pub(crate) fn failures() -> Named<Failure> {
    vec![
        ("refused", Failure::Refused("no".into())),
        ("busy", Failure::Busy),
        ("no-agent", Failure::NoAgent),
        ("unknown", Failure::Unknown("chat/said".into())),
        ("bad-body", Failure::BadBody("the field `by`".into())),
        ("gone", Failure::Gone),
        ("timed-out", Failure::TimedOut),
        ("unreachable", Failure::Unreachable),
    ]
}

pub(crate) fn hellos() -> Named<Hello> {
    let first = Hello { version: 1, session: SESSION, heard: None };
    let again = Hello { heard: Some((SESSION, 300)), ..first.clone() };
    vec![("first", first), ("again", again)]
}

pub(crate) fn rumours() -> Named<Rumour<'static>> {
    let ordered = Rumour {
        topic: "chat/said#42",
        sequence: 70_000,
        ordered: true,
        from: ASKER,
        codec: Codec::Native,
        body: b"hi",
    };
    let json = Rumour { ordered: false, codec: Codec::Json, body: b"{}", ..ordered };
    vec![("ordered", ordered), ("json", json)]
}

pub(crate) fn gossip() -> Named<Gossip<'static>> {
    let incarnation = Incarnation(1_700_000_000);
    let wrap = |(name, rumour)| (name, Gossip::Publish { incarnation, rumour });
    let tail = Gossip::Tail { incarnation, topic: "chat/said#42", next: 70_001 };
    rumours().into_iter().map(wrap).chain([("tail", tail)]).collect()
}

/// Every frame, and every item in one.
pub(crate) fn frames() -> Vec<(String, Frame<'static>)> {
    let named = |(name, hello)| (format!("hello-{name}"), Frame::Hello(hello));
    let hellos = hellos().into_iter().map(named);
    let plain = [("ack".into(), Frame::Ack(300)), ("aged".into(), Frame::Aged(70_000))];
    let items = items().into_iter().map(|(name, item)| (format!("item-{name}"), Frame::Item(item)));
    let frames: Vec<_> = hellos.chain(plain).chain(items).collect();
    let names: BTreeSet<_> = frames.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), frames.len(), "two frames have one name");
    frames
}

fn items() -> Vec<(String, Item<'static>)> {
    let failed =
        |(name, why)| (format!("failed-{name}"), Item::Failed { to: ASKER, dialog: 9, why });
    let publish = |(name, rumour)| (format!("publish-{name}"), Item::Publish(rumour));
    let named = |(name, item): (&str, _)| (name.to_owned(), item);
    let dialogs = dialog_items().into_iter().chain(topic_items()).chain(roster_items()).map(named);
    let failed = failures().into_iter().map(failed);
    dialogs.chain(failed).chain(rumours().into_iter().map(publish)).collect()
}

fn dialog_items() -> Named<Item<'static>> {
    let call = |codec, body| Item::Call {
        from: ASKER,
        to: ASKED,
        dialog: 9,
        budget_ms: 10_000,
        name: "echo/say",
        codec,
        body,
    };
    let notify = Item::Notify {
        from: ASKER,
        to: ASKED,
        name: "chat/said",
        codec: Codec::Native,
        body: b"hi",
    };
    vec![
        ("call", call(Codec::Native, b"hi")),
        ("call-json", call(Codec::Json, b"{}")),
        ("reply", Item::Reply { to: ASKER, dialog: 9, body: b"ok" }),
        ("notify", notify),
        ("hosts", Item::Hosts(vec![signed_record()])),
    ]
}

/// The descriptor of an agent of the second host, and what may be said about it.
pub(crate) fn documents() -> Named<Message> {
    let (key, mesh) = (key(2), genesis().mesh());
    let agent = AgentId::born(key.host(), 0x0123_4567_89ab_cdef);
    let author = Author { actor: [9; 16], wall: NOW, message: "begun".into() };
    let (mut all, pen) = (Replicas::new(mesh), Pen { key: &key, author });
    let title = Title::of_birth(&key, mesh, agent);
    let name = all.entitle(&title, |_| true, &pen).expect("it was born there");
    let field = "kind".parse().expect("a path");
    let change = |doc: &mut AutoCommit| set(doc, &field, &"counter".into()).map(drop);
    let first = all.write(&name, &pen, change).expect("it may").expect("it is new");
    let whole = all.whole(&name).expect("it is there");
    let change = |doc: &mut AutoCommit| set(doc, &field, &"clock".into()).map(drop);
    let second = all.write(&name, &pen, change).expect("it may").expect("it is new");
    let since = all.since(&name, Base::default(), &[first]).expect("it is there");
    let offer = all.offer(&name).expect("it is there");
    all.delete(&name, &pen).expect("it may");
    let gone = all.whole(&name).expect("its deletion is there");
    let base = Base { number: 3, gone: false, root: Some(first) };
    vec![
        ("digest", Message::Digest(Digest::State { of_you: 0, others: 7 })),
        ("revisions", Message::Revisions(vec![whole, since, gone])),
        ("offers", Message::Offers(vec![offer, Offer { base, ..plain_offer() }])),
        (
            "want",
            Message::Want(vec![Want { name: name.clone(), heads: vec![second.short()], base }]),
        ),
        ("have", Message::Have(vec![Receipt { name, heads: vec![second.short()] }])),
        ("in-touch", Message::InTouch),
    ]
}

/// Messages about documents as they go over a lane.
pub(crate) fn parcels() -> Named<Parcel> {
    // Seven literal bytes: what packs them may choose otherwise, but reads this.
    let bytes = [&[0x70][..], b"packed!"].concat();
    vec![
        ("plain", Parcel::Plain(Message::InTouch)),
        ("packed", Parcel::Packed { length: 7, bytes }),
    ]
}

fn plain_offer() -> Offer {
    let name: DocName = "conf/echo".parse().expect("a name");
    Offer { name, tenure: None, base: Base::default(), heads: vec![Head([7; 32]).short()] }
}

pub(crate) fn stamp() -> Stamp {
    let (Offer { name, base, .. }, heads) = (plain_offer(), vec![Head([7; 32])]);
    Stamp { name, tenure: Some(TenureId([8; 32])), base, heads }
}

/// One by each right.
pub(crate) fn tenures() -> Named<Tenure> {
    let mesh = genesis().mesh();
    let agent = AgentId::born(host(2), 0x0123_4567_89ab_cdef);
    let born = Tenure { agent, instance: 0, host: host(2), right: Right::Birth };
    let release = Release { tenure: born.id(), to: host(3) };
    let gift = Right::Gift(Signed::new(&key(2), mesh, &release));
    let given = Tenure { agent, instance: 1, host: host(3), right: gift };
    let obituary = Obituary { host: host(3), incarnation: Incarnation(1_700_000_000) };
    let witnesses = vec![Signed::new(&key(1), mesh, &obituary)];
    let right = Right::Inheritance { before: given.id(), witnesses };
    let inherited = Tenure { agent, instance: 2, host: host(1), right };
    vec![("born", born), ("given", given), ("inherited", inherited)]
}

fn topic_items() -> Named<Item<'static>> {
    let topic = "chat/said#42";
    vec![
        ("interests", Item::Interests { listen: vec![topic, "a"], ignore: vec!["b"] }),
        ("tail", Item::Tail { topic, next: 71 }),
        ("repair", Item::Repair { topic, from: 5, until: 9 }),
        ("lost", Item::Lost { topic, until: 9 }),
    ]
}

fn roster_items() -> Named<Item<'static>> {
    let digests = vec![
        ("roster-state", Digest::State { of_you: 0, others: 0x0123_4567_89ab_cdef }),
        ("roster-list", Digest::List(vec![7, 0x0123_4567_89ab_cdef])),
        ("roster-sums", Digest::Sums((0..256).collect())),
        ("roster-differ", Digest::Differ(vec![0, 7, 255])),
        ("roster-prints", Digest::Prints(vec![(7, vec![0x0123_4567_89ab_cdef]), (255, vec![])])),
        ("roster-done", Digest::Done { more: true }),
    ];
    let documents = ("documents", Item::Documents(&[1, 2, 3]));
    let digests = digests.into_iter().map(|(name, digest)| (name, Item::Roster(digest)));
    digests.chain([documents]).collect()
}
