//! The bytes of every type that crosses a wire or goes to disk: pinned, and read without harm
//! however they are damaged.
//!
//! Each type has a file in `golden/`: a name, a blank and the bytes in hex on each line. With
//! `BLESS=1` the files are written anew; a changed line then means that hosts of the earlier
//! version are not understood any more.

mod samples;

use std::{collections::BTreeMap, env, fmt::Debug, fs, path::PathBuf, sync::LazyLock};

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use starling_protocols::{
    admission::{Invite, Knock, Ledger, Refusal, Token, Welcome},
    exchange::{Failure, Frame, Gossip, Hello, Inbox, Item},
    ident::{Address, Certificate, Credential, Genesis, Incarnation, Signed},
    interest::TopicName,
    limits::LANE_FRAME_BYTES_MAX,
    replica::{Message, Parcel, Stamp, Tenure},
    roster::HostRecord,
    wire,
};

/// The ids that the sample genesis and the first sample key have on every host.
const MESH: &str = "d4wumogcjydymcvxmb27oatlyxivd4ha4afxlrl4tk4dukoz63ea";
const HOST: &str = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa";
const TOKEN: &str = "starling1-ecfiry65oqe7dfp5klns";

/// What a golden file pins: each case with its bytes.
type Cases = BTreeMap<String, Vec<u8>>;

/// Reads bytes as one type: whether they were good, or a complaint when good bytes do not come
/// back as they were.
type Reader = fn(&[u8]) -> bool;

#[test]
fn the_bytes_of_every_type_are_as_they_were() {
    for (file, cases, _) in pinned() {
        let path = golden(file);
        if env::var_os("BLESS").is_some_and(|bless| bless == "1") {
            fs::create_dir_all(path.with_file_name("")).expect("a folder");
            fs::write(&path, to_text(cases)).expect("a golden file");
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(stored, to_text(cases), "{file}: BLESS=1 writes it anew, if that is meant");
    }
}

#[test]
fn no_golden_file_is_forgotten() {
    let wanted: Vec<_> = pinned().iter().map(|(file, ..)| format!("{file}.hex")).collect();
    for entry in fs::read_dir(golden("x").with_file_name("")).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(wanted.contains(&name), "{name} is not checked by anything");
    }
}

#[test]
fn golden_bytes_are_read_as_the_values_they_were_made_of() {
    samples::frames().iter().for_each(|(name, frame)| {
        let bytes = wire::encode(frame);
        let back: Frame<'_> = wire::decode_borrowed(&bytes, bytes.len()).expect("good");
        assert_eq!(&back, frame, "{name}");
    });
    for (name, gossip) in samples::gossip() {
        let bytes = wire::encode(&gossip);
        let back: Gossip<'_> = wire::decode_borrowed(&bytes, bytes.len()).expect("good");
        assert_eq!(back, gossip, "{name}");
    }
    come_back(&samples::hellos());
    come_back(&samples::knocks());
    come_back(&samples::welcomes());
    come_back(&samples::refusals());
    come_back(&samples::failures());
    come_back(&samples::credentials());
    come_back(&samples::records());
    come_back(&samples::ledgers());
    come_back(&samples::documents());
    come_back(&samples::tenures());
    for (name, token) in samples::tokens() {
        assert_eq!(token.to_string().parse(), Ok(token), "{name}");
    }
}

#[test]
fn no_cut_and_no_flipped_bit_does_harm() {
    for (file, cases, read) in pinned() {
        for (name, bytes) in cases {
            assert!(read(bytes), "{file} {name} is not read");
            for end in 0..bytes.len() {
                assert!(!read(&bytes[..end]), "{file} {name} is read when cut at {end}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // It may be another good value; it must not panic, and what is read is the same
                // when it is written and read again.
                read(&flipped);
            }
        }
    }
}

#[test]
fn no_flipped_bit_passes_a_signature() {
    let (mesh, record) = (samples::genesis().mesh(), samples::record());
    let bytes = wire::encode(&samples::signed_record());
    // A few bits in each part; checking a signature takes long without optimisation.
    for bit in (0..bytes.len() * 8).step_by(29) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(signed) = wire::decode::<Signed<HostRecord>>(&flipped, bytes.len()) else {
            continue;
        };
        assert!(signed.open(mesh).is_err(), "bit {bit}");
    }
    assert_eq!(samples::signed_record().open(mesh), Ok(record));
}

#[test]
fn a_length_that_promises_more_than_there_is_allocates_nothing() {
    // A list of 2^62 records in a message of ten bytes.
    let mut bytes = wire::encode(&Item::Hosts(Vec::new()));
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend([253, 0, 0, 0, 0, 0, 0, 0, 64]);
    assert!(wire::decode_borrowed::<Item<'_>>(&bytes, bytes.len()).is_err());
    // A frame that says it is longer than a frame may be.
    let length = u32::try_from(LANE_FRAME_BYTES_MAX + 1).expect("small").to_le_bytes();
    assert!(feed(&length).is_err());
}

#[test]
fn a_longer_message_than_its_cap_is_not_read() {
    for (file, cases, _) in pinned() {
        for (name, bytes) in cases {
            let cut = wire::decode::<Knock>(bytes, bytes.len() - 1);
            assert!(matches!(cut, Err(wire::Error::TooLong { .. })), "{file} {name}");
        }
    }
}

#[test]
fn names_and_hashes_that_all_hosts_must_agree_on() {
    assert_eq!(samples::genesis().mesh().to_string(), MESH);
    assert_eq!(samples::key(1).host().to_string(), HOST);
    let bucket = |topic: &str| topic.parse::<TopicName>().expect("a topic").bucket();
    assert_eq!(
        ["chat/said", "chat/said#42", "shard:chat/said", "demo/said"].map(bucket),
        [21, 6, 20, 28]
    );
    // A token begins with its redeemer, the first host.
    let token = samples::tokens().remove(0).1.to_string();
    assert_eq!(token.get(..30), Some(TOKEN), "{token}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for (_, _, read) in pinned() {
            read(&bytes);
        }
        let _ = feed(&bytes);
        let _ = Parcel::decode(&bytes);
    }

    #[test]
    fn frames_arrive_the_same_however_the_bytes_are_cut(
        cuts in prop::collection::vec(1_usize..50, 1..200),
    ) {
        let sent = frames();
        let stream: Vec<u8> = sent.iter().flat_map(|frame| framed(frame)).collect();
        let (mut inbox, mut heard, mut rest) = (Inbox::default(), Vec::new(), &stream[..]);
        for cut in cuts.into_iter().cycle() {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            let each = |frame: Frame<'_>| {
                heard.push(wire::encode(&frame));
                Ok::<_, wire::Error>(())
            };
            inbox.feed(chunk, each).expect("good frames");
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(heard, sent);
    }

    #[test]
    fn any_text_is_read_as_a_token_without_harm(text in "(starling1-)?[a-z2-7 ]{0,300}") {
        prop_assert!(text.parse::<Token>().is_err());
    }
}

/// Every golden file with its cases and how its bytes are read. Made once: signing takes time.
fn pinned() -> &'static [(&'static str, Cases, Reader)] {
    static PINNED: LazyLock<Vec<(&str, Cases, Reader)>> = LazyLock::new(|| {
        vec![
            ("hello", cases(&samples::hellos()), owned::<Hello>),
            ("frame", cases(&samples::frames()), frame),
            ("gossip", cases(&samples::gossip()), gossip),
            ("failure", cases(&samples::failures()), owned::<Failure>),
            ("knock", cases(&samples::knocks()), owned::<Knock>),
            ("welcome", cases(&samples::welcomes()), owned::<Welcome>),
            ("refusal", cases(&samples::refusals()), owned::<Refusal>),
            ("token", cases(&samples::tokens()), owned::<Token>),
            ("invite", cases(&[("one", samples::invite())]), owned::<Invite>),
            ("genesis", cases(&[("one", samples::genesis())]), owned::<Genesis>),
            ("certificate", cases(&samples::certificates()), owned::<Certificate>),
            ("credential", cases(&samples::credentials()), owned::<Credential>),
            ("host-record", cases(&samples::records()), owned::<HostRecord>),
            ("signed-host-record", signed_record(), owned::<Signed<HostRecord>>),
            ("ledger", cases(&samples::ledgers()), owned::<Ledger>),
            ("incarnation", cases(&[("one", Incarnation(1_700_000_000))]), owned::<Incarnation>),
            ("address", cases(&[("one", samples::address())]), owned::<Address>),
            ("documents", cases(&samples::documents()), owned::<Message>),
            ("document-parcel", cases(&samples::parcels()), owned::<Parcel>),
            ("tenure", cases(&samples::tenures()), owned::<Tenure>),
            ("stamp", cases(&[("one", samples::stamp())]), owned::<Stamp>),
        ]
    });
    &PINNED
}

fn signed_record() -> Cases {
    cases(&[("one", samples::signed_record())])
}

fn frame(bytes: &[u8]) -> bool {
    wire::decode_borrowed::<Frame<'_>>(bytes, bytes.len()).map(|frame| wire::encode(&frame)).is_ok()
}

fn gossip(bytes: &[u8]) -> bool {
    wire::decode_borrowed::<Gossip<'_>>(bytes, bytes.len())
        .map(|gossip| wire::encode(&gossip))
        .is_ok()
}

fn cases<N: ToString, T: Serialize>(values: &[(N, T)]) -> Cases {
    values.iter().map(|(name, value)| (name.to_string(), wire::encode(value))).collect()
}

fn owned<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(value) = wire::decode::<T>(bytes, bytes.len()) else { return false };
    let again = wire::encode(&value);
    let back = wire::decode::<T>(&again, again.len()).expect("what was read can be written");
    assert_eq!(wire::encode(&back), again);
    true
}

fn come_back<N: Debug, T: Serialize + DeserializeOwned + PartialEq + Debug>(values: &[(N, T)]) {
    for (name, value) in values {
        let bytes = wire::encode(value);
        assert_eq!(wire::decode::<T>(&bytes, bytes.len()).as_ref(), Ok(value), "{name:?}");
    }
}

fn feed(bytes: &[u8]) -> Result<(), wire::Error> {
    Inbox::default().feed(bytes, |_| Ok(()))
}

/// The bytes of all sample frames.
fn frames() -> Vec<Vec<u8>> {
    let frames = pinned().iter().find(|(file, ..)| *file == "frame").expect("frames");
    frames.1.values().cloned().collect()
}

/// A frame as it stands on a lane.
fn framed(frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("small");
    [&length.to_le_bytes(), frame].concat()
}

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{file}.hex"))
}

fn to_text(cases: &Cases) -> String {
    cases.iter().map(|(name, bytes)| format!("{name} {}\n", HEXLOWER.encode(bytes))).collect()
}
