//! Tokens that are no good, and uses that are counted: each end is clear, and stays so when the
//! redeemer crashes.

use std::fs;

use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use starling_protocols::{
    admission::{Invite, InviteId, Token},
    ident::SecretKey,
    time::WallTime,
    wire,
};
use starling_tests::{Host, place, until};

const PREFIX: &str = "starling1-";

#[test]
fn an_expired_token_is_denied() {
    let place = place!();
    let alpha = place.up("alpha");
    let token = alpha.run(&["invite", "--quiet", "--ttl", "1s"]).well();
    until("it expires", || invites(&alpha).as_array()?.is_empty().then_some(()));
    place.host("beta").run(&["join", &token]).failed(4, &["expired", "p2p invite"]);
    let beta = place.up("beta");
    beta.run(&["join", &token]).failed(4, &["expired", "p2p invite"]);
    assert_eq!(alpha.status()["members"], 1);
}

#[test]
fn a_used_up_token_is_denied_and_counted() {
    let place = place!();
    let [alpha, _beta] = place.mesh(["alpha", "beta"]);
    let token = alpha.run(&["invite", "--quiet", "--uses", "1"]).well();
    let _ = place.host("gamma").run(&["join", &token]).well();
    place.host("delta").run(&["join", &token]).failed(4, &["used up", "p2p invite"]);
    assert_eq!(alpha.metric("joins_refused"), 1);
    assert_eq!(alpha.metric("joins_accepted"), 2);
    let refused = alpha.event("join-refused", |_| true);
    assert!(refused["text"].as_str().is_some_and(|text| text.contains("used up")), "{refused}");
}

#[test]
fn a_token_altered_anywhere_is_refused_before_it_is_shown() {
    let place = place!();
    let alpha = place.up("alpha");
    let token = alpha.invite();
    let bytes = decoded(&token);
    let joiner = place.host("beta");
    for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        let ran = joiner.run(&["join", &encoded(&altered)]).failed(2, &["token"]);
        let told = ["altered", "damaged", "contradicts"].iter().any(|why| ran.err.contains(why));
        assert!(told, "byte {at}: {ran:?}");
    }
    // Not one of them was shown to anybody, and the right one is still good.
    assert_eq!((alpha.metric("joins_refused"), alpha.metric("strangers")), (0, 0));
    let _ = joiner.run(&["join", &token]).well();
}

#[test]
fn a_token_that_is_cut_off_or_none_at_all_is_a_usage_error() {
    let place = place!();
    let alpha = place.up("alpha");
    let token = alpha.invite();
    let joiner = place.host("beta");
    for length in [PREFIX.len(), PREFIX.len() + 1, token.len() / 2, token.len() - 1] {
        joiner.run(&["join", &token[..length]]).failed(2, &["cut off"]);
    }
    for text in ["starling", "starling2-abc", "{}", "ä"] {
        joiner.run(&["join", text]).failed(2, &["this is not a token", PREFIX]);
    }
    joiner.run(&["join", ""]).failed(2, &["empty"]);
    // Blanks around it and its case are forgiven: people copy it from mails.
    let shouted = format!(" {PREFIX}{}\n", token[PREFIX.len()..].to_uppercase());
    let _ = joiner.run(&["join", &shouted]).well();
}

#[test]
fn a_token_of_a_mesh_that_its_redeemer_has_left_is_not_known() {
    let place = place!();
    let (mut alpha, omega) = (place.up("alpha"), place.up("omega"));
    // Started anew, it has a port that stays the same in the other mesh.
    alpha.down();
    alpha.up();
    let token = alpha.invite();
    alpha.joins(&omega.invite());
    place.host("beta").run(&["join", &token]).failed(4, &["not known here"]);
    assert_eq!((alpha.metric("joins_refused"), alpha.metric("strangers")), (1, 1));
}

#[test]
fn a_token_is_not_shown_to_another_host_than_its_redeemer() {
    let place = place!();
    let alpha = place.up("alpha");
    let address = alpha.address().split("/p2p/").next().expect("a part").to_owned();
    let forged = forge([9; 32], &address);
    let denied = place.host("beta").run(&["join", &forged]).failed(4, &["another host", &address]);
    assert!(!denied.err.contains(&forged), "{denied:?}");
    assert_eq!(alpha.metric("joins_refused"), 0);
}

#[test]
fn a_token_of_a_redeemer_that_is_down_can_be_used_later() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let token = alpha.invite();
    alpha.down();
    let beta = place.host("beta");
    beta.run(&["join", &token]).failed(6, &["cannot be reached", "127.0.0.1"]);
    alpha.up();
    let _ = beta.run(&["join", &token]).well();
}

#[test]
fn uses_are_counted_across_a_crash_of_the_redeemer() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let token = alpha.run(&["invite", "--quiet", "--uses", "2"]).well();
    let _ = place.host("beta").run(&["join", &token]).well();
    alpha.kill();
    alpha.up();
    assert_eq!(used(&alpha), ["1/2"]);
    let _ = place.host("gamma").run(&["join", &token]).well();
    alpha.kill();
    alpha.up();
    assert_eq!(used(&alpha), [""; 0]);
    place.host("delta").run(&["join", &token]).failed(4, &["used up"]);
}

#[test]
fn who_lost_the_answer_may_join_again_with_the_same_token() {
    let place = place!();
    let alpha = place.up("alpha");
    let token = alpha.invite();
    let mut beta = place.host("beta");
    let _ = beta.run(&["join", &token]).well();
    // The answer did not reach its disk: it is the host it was, but no member.
    fs::remove_file(beta.data_dir.join("membership")).expect("a membership");
    let _ = beta.run(&["join", &token]).well();
    place.host("gamma").run(&["join", &token]).failed(4, &["used up"]);
    beta.up();
    alpha.sees("beta", "linked");
    // Nor is it counted as two when it was known before.
    beta.down();
    alpha.sees("beta", "left");
    assert_eq!(beta.data(&["join", &alpha.invite()])["members"], 2);
    beta.up();
    alpha.sees("beta", "linked");
    assert_eq!(alpha.status()["members"], 2);
}

#[test]
fn an_invite_for_many_lets_many_in_from_one_address() {
    let place = place!();
    let alpha = place.up("alpha");
    let token = alpha.run(&["invite", "--quiet", "--uses", "7"]).well();
    for number in 0..7 {
        let _ = place.host(&format!("host-{number}")).run(&["join", &token]).well();
    }
    place.host("late").run(&["join", &token]).failed(4, &["used up"]);
}

#[test]
fn a_hosts_own_token_is_not_for_itself() {
    let place = place!();
    let alpha = place.up("alpha");
    alpha.run(&["join", &alpha.invite()]).failed(2, &["made the token itself"]);
}

#[test]
fn a_host_with_company_does_not_change_its_mesh() {
    let place = place!();
    let [alpha, beta] = place.mesh(["alpha", "beta"]);
    let omega = place.up("omega");
    let mesh = beta.status()["mesh"].clone();
    beta.run(&["join", &omega.invite()]).failed(1, &["1 other host", "--data-dir"]);
    assert_eq!(beta.status()["mesh"], mesh);
    beta.run(&["invite"]).failed(4, &["may not admit", "--may-admit"]);
    // To join one's own mesh again is fine: it renews the certificate.
    assert_eq!(beta.data(&["join", &alpha.invite()])["members"], 2);
    alpha.sees("beta", "linked");
}

fn used(host: &Host) -> Vec<String> {
    let rows = invites(host);
    let rows = rows.as_array().expect("a list");
    rows.iter().map(|row: &Value| format!("{}/{}", row["used"], row["uses"])).collect()
}

fn decoded(token: &str) -> Vec<u8> {
    let body = token.strip_prefix(PREFIX).expect("a token").to_uppercase();
    BASE32_NOPAD.decode(body.as_bytes()).expect("base32")
}

fn encoded(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", BASE32_NOPAD.encode(bytes).to_lowercase())
}

/// A token that is well signed, by a host that is not at the address it names.
fn forge(secret: [u8; 32], address: &str) -> String {
    let key = SecretKey::from_bytes(&secret);
    let invite = Invite {
        version: wire::VERSION,
        mesh: starling_protocols::ident::MeshId([7; 32]),
        mesh_name: "trap".into(),
        redeemer: key.host(),
        addresses: vec![address.to_owned()],
        id: InviteId([1; 16]),
        expires: WallTime::from_millis(u64::MAX / 2),
        uses: 1,
    };
    Token::new(&key, &invite).to_string()
}

fn invites(host: &Host) -> Value {
    host.run(&["invite", "--list", "--format", "json"]).data("p2p.invites/1")
}
