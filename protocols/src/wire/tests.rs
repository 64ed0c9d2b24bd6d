//! Every type that crosses a wire, there and back, and random bytes for each.

use std::fmt::Debug;

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::*;
use crate::{
    admission::{Invite, InviteId, Knock, Refusal, Token, Welcome},
    exchange::{Codec, Delivery, Failure, Frame, Gossip, Hello, Item, Rumour, SessionId},
    ident::{
        Address, AgentId, Certificate, Credential, Genesis, HostId, Incarnation, MeshId, SecretKey,
        Signed,
    },
    interest::TopicName,
    roster::HostRecord,
    time::WallTime,
};

const MESH: MeshId = MeshId([5; 32]);

fn host() -> impl Strategy<Value = HostId> {
    any::<[u8; 32]>().prop_map(HostId)
}

fn agent() -> impl Strategy<Value = AgentId> {
    any::<u128>().prop_map(AgentId)
}

fn codec() -> impl Strategy<Value = Codec> {
    select(vec![Codec::Native, Codec::Json])
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn failure() -> impl Strategy<Value = Failure> {
    (text(), any::<Index>()).prop_map(|(text, which)| {
        use Failure::*;
        let all = [
            Refused(text.clone()),
            Busy,
            NoAgent,
            Unknown(text.clone()),
            BadBody(text),
            Gone,
            TimedOut,
            Unreachable,
        ];
        which.get(&all).clone()
    })
}

fn session() -> impl Strategy<Value = SessionId> {
    (any::<u64>(), any::<u32>())
        .prop_map(|(life, epoch)| SessionId { incarnation: Incarnation(life), epoch })
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u16>(), session(), option::of((session(), any::<u64>())))
        .prop_map(|(version, session, heard)| Hello { version, session, heard })
}

fn genesis() -> impl Strategy<Value = Genesis> {
    (any::<u16>(), text(), host(), any::<u64>(), any::<[u8; 16]>()).prop_map(
        |(version, name, founder, created, nonce)| {
            let created = WallTime::from_millis(created);
            Genesis { version, name, founder, created, nonce }
        },
    )
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (any::<u16>(), host(), any::<u64>(), any::<bool>(), vec((any::<u16>(), bytes()), 0..3))
        .prop_map(|(version, subject, until, may_admit, extensions)| {
            let not_after = WallTime::from_millis(until);
            Certificate { version, subject, not_after, may_admit, extensions }
        })
}

fn credential() -> impl Strategy<Value = Credential> {
    (genesis(), vec(certificate(), 0..3)).prop_map(|(genesis, chain)| {
        let sign = |certificate| Signed::new(&SecretKey::from_bytes(&[1; 32]), MESH, certificate);
        Credential { genesis, chain: chain.iter().map(sign).collect() }
    })
}

fn record() -> impl Strategy<Value = Signed<HostRecord>> {
    (host(), text(), any::<(u64, u64, bool)>(), vec(text(), 0..3), credential()).prop_map(
        |(host, name, (life, sequence, left), addresses, credential)| {
            let (incarnation, software) = (Incarnation(life), name.clone());
            let record = HostRecord {
                host,
                name,
                incarnation,
                sequence,
                addresses,
                software,
                credential,
                left,
            };
            Signed::new(&SecretKey::from_bytes(&[1; 32]), MESH, &record)
        },
    )
}

fn token() -> impl Strategy<Value = Token> {
    (text(), vec(text(), 0..3), any::<([u8; 16], u64, u32)>()).prop_map(
        |(mesh_name, addresses, (id, expires, uses))| {
            let key = SecretKey::from_bytes(&[1; 32]);
            let (version, id, expires) = (1, InviteId(id), WallTime::from_millis(expires));
            let (mesh, redeemer) = (MESH, key.host());
            let invite =
                Invite { version, mesh, mesh_name, redeemer, addresses, id, expires, uses };
            Token::new(&key, &invite)
        },
    )
}

fn back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode(value);
    assert_eq!(decode::<T>(&bytes, bytes.len()).as_ref(), Ok(value));
    let (found, max) = (bytes.len(), bytes.len() - 1);
    assert_eq!(decode::<T>(&bytes, max), Err(Error::TooLong { found, max }));
    assert!(decode::<T>(&bytes[..max], found).is_err(), "what is cut off does not decode");
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(decode::<T>(&longer, longer.len()), Err(Error::Trailing(1)));
}

fn there_and_back(frame: &Frame<'_>) {
    let bytes = encode(frame);
    assert_eq!(decode_borrowed::<Frame<'_>>(&bytes, bytes.len()).as_ref(), Ok(frame));
    assert!(decode_borrowed::<Frame<'_>>(&bytes[..bytes.len() - 1], bytes.len()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn items_come_back(
        (from, to) in (agent(), agent()),
        (dialog, budget_ms) in any::<(u64, u32)>(),
        (name, codec, body) in (text(), codec(), bytes()),
        (why, ordered, hosts) in (failure(), any::<bool>(), vec(record(), 0..2)),
    ) {
        let (name, body, topic) = (name.as_str(), body.as_slice(), name.as_str());
        let rumour = Rumour { topic, sequence: dialog, ordered, from, codec, body };
        let items = [
            Item::Call { from, to, dialog, budget_ms, name, codec, body },
            Item::Reply { to, dialog, body },
            Item::Failed { to, dialog, why },
            Item::Notify { from, to, name, codec, body },
            Item::Publish(rumour),
            Item::Interests { listen: vec![name, ""], ignore: vec![topic] },
            Item::Tail { topic, next: dialog },
            Item::Repair { topic, from: dialog, until: !dialog },
            Item::Lost { topic, until: dialog },
            Item::Hosts(hosts),
        ];
        for item in items {
            there_and_back(&Frame::Item(item));
        }
        let gossip = Gossip::Publish { incarnation: Incarnation(dialog), rumour };
        let bytes = encode(&gossip);
        prop_assert_eq!(decode_borrowed(&bytes, bytes.len()), Ok(gossip));
    }

    #[test]
    fn frames_come_back(hello in hello(), items in any::<u64>(), age in any::<u32>()) {
        for frame in [Frame::Hello(hello), Frame::Ack(items), Frame::Aged(age)] {
            there_and_back(&frame);
        }
    }

    #[test]
    fn what_passes_the_gate_comes_back(
        (credential, token, hosts) in (credential(), token(), vec(record(), 0..2)),
        why in text(),
    ) {
        use Refusal::*;
        back(&Knock::Member(credential.clone()));
        back(&Knock::Join(token));
        back(&Welcome::Member(credential.clone()));
        back(&Welcome::Joined { credential, hosts });
        let refusals = [
            Credential(why.clone()), UnknownToken, ExpiredToken, UsedUpToken, CannotAdmit(why),
            TooManyAttempts,
        ];
        for why in refusals {
            back(&Welcome::Refused(why));
        }
    }

    #[test]
    fn what_is_signed_comes_back_and_stays_signed(record in record()) {
        back(&record);
        let again: Signed<HostRecord> = decode(&encode(&record), usize::MAX).expect("it decodes");
        prop_assert!(again.open(MESH).is_ok());
        prop_assert!(again.open(MeshId([6; 32])).is_err());
    }

    #[test]
    fn ids_come_back_as_bytes_and_as_text(host in host(), agent in agent()) {
        let address = Address { host, agent };
        back(&address);
        prop_assert_eq!(address.to_string().parse(), Ok(address));
        prop_assert_eq!(host.to_string().to_uppercase().parse(), Ok(host));
        for delivery in [Delivery::Hint, Delivery::Ordered, Delivery::Dialog, Delivery::Durable] {
            back(&delivery);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_do_not_panic(bytes in vec(prop_oneof![any::<u8>(), 0..12u8, 250..=255u8], 0..120)) {
        let _ = decode_borrowed::<Frame<'_>>(&bytes, 120);
        let _ = decode_borrowed::<Gossip<'_>>(&bytes, 120);
        let _ = decode::<Knock>(&bytes, 120);
        let _ = decode::<Welcome>(&bytes, 120);
        let _ = decode::<Token>(&bytes, 120);
        let _ = decode::<HostRecord>(&bytes, 120);
        let _ = decode::<Certificate>(&bytes, 120);
        let _ = decode::<TopicName>(&bytes, 120);
        let _ = decode::<(Address, String, Vec<u8>, Vec<u64>)>(&bytes, 120);
    }
}

#[test]
fn a_length_that_is_only_claimed_is_not_allocated() {
    // 2⁶⁰ strings, or bytes, in ten bytes.
    let claims = [&[253][..], &(1u64 << 60).to_le_bytes()].concat();
    assert!(matches!(decode::<Vec<String>>(&claims, 99), Err(Error::Malformed(_))));
    assert!(matches!(decode::<String>(&claims, 99), Err(Error::Malformed(_))));
    assert!(matches!(decode::<Vec<u64>>(&claims, 99), Err(Error::Malformed(_))));
}
