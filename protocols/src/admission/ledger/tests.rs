use super::*;
use crate::{
    ident::Genesis,
    limits::{ADDRESS_BYTES_MAX, ADDRESSES_PER_HOST_MAX},
};

const NOW: WallTime = WallTime::from_millis(1_000_000);
const LIFE: Duration = Duration::from_secs(60);

struct Host {
    key: SecretKey,
    credential: Credential,
    ledger: Ledger,
}

fn founder(number: u8) -> Host {
    let key = SecretKey::from_bytes(&[number; 32]);
    let (name, founder, nonce) = ("m".to_owned(), key.host(), [3; 16]);
    let genesis = Genesis { version: 1, name, founder, created: NOW, nonce };
    let credential = Credential::of_founder(&key, genesis, NOW);
    Host { key, credential, ledger: Ledger::default() }
}

fn terms(uses: u32) -> Terms {
    Terms { life: LIFE, uses, may_admit: false }
}

impl Host {
    fn issue(&mut self, id: u8, terms: &Terms, at: WallTime) -> Result<Token, InviteError> {
        let (id, addresses) = (InviteId([id; 16]), vec!["/ip4/127.0.0.1".to_owned()]);
        self.ledger.issue(&self.key, &self.credential, addresses, terms, id, at)
    }

    fn redeem(&mut self, token: &Token, joiner: u8, at: WallTime) -> Result<Credential, Refusal> {
        self.ledger.redeem(&self.key, &self.credential, token, HostId([joiner; 32]), at)
    }
}

#[test]
fn each_use_admits_one_host_and_the_same_host_again() {
    let mut host = founder(1);
    let token = host.issue(1, &terms(2), NOW).expect("issued");
    let text = token.to_string();
    assert_eq!(text.parse(), Ok(token.clone()));
    assert_eq!(
        text.to_uppercase().replacen("STARLING1-", "starling1-", 1).parse(),
        Ok(token.clone())
    );
    for joiner in [1, 1, 2, 1, 2] {
        let admitted = host.redeem(&token, joiner, NOW).expect("it joins");
        assert!(admitted.verify(host.credential.mesh(), HostId([joiner; 32]), NOW).is_ok());
    }
    let before = host.ledger.clone();
    assert_eq!(host.redeem(&token, 3, NOW), Err(Refusal::UsedUpToken));
    assert_eq!(host.ledger, before);
    assert_eq!(host.ledger.open(NOW).count(), 0);
}

#[test]
fn an_invite_expires_and_is_forgotten_with_the_next() {
    let mut host = founder(1);
    let token = host.issue(1, &terms(1), NOW).expect("issued");
    let (end, after) = (NOW + LIFE, NOW + LIFE + Duration::from_millis(1));
    assert_eq!(host.ledger.open(end).count(), 1);
    assert!(host.redeem(&token, 1, end).is_ok());
    assert_eq!(host.redeem(&token, 1, after), Err(Refusal::ExpiredToken));
    let before = host.ledger.clone();
    assert_eq!(host.issue(2, &terms(0), after), Err(InviteError::Uses(0)));
    assert_eq!(host.ledger, before, "a refusal changes nothing");
    host.issue(2, &terms(1), after).expect("issued");
    assert_eq!(host.ledger.0.len(), 1);
}

#[test]
fn terms_out_of_bounds_are_refused() {
    let mut host = founder(1);
    let mut refused = |terms: Terms| host.issue(1, &terms, NOW).expect_err("bad terms");
    assert_eq!(refused(terms(INVITE_USES_MAX + 1)), InviteError::Uses(INVITE_USES_MAX + 1));
    assert_eq!(refused(Terms { life: Duration::ZERO, ..terms(1) }), InviteError::Life);
    let long = INVITE_LIFE_MAX + Duration::from_nanos(1);
    assert_eq!(refused(Terms { life: long, ..terms(1) }), InviteError::Life);
    let entry = Entry { expires: NOW, uses: 1, may_admit: false, joined: BTreeSet::new() };
    let ids = (0..INVITES_MAX as u128).map(|id| InviteId(id.to_le_bytes()));
    host.ledger = Ledger(ids.map(|id| (id, entry.clone())).collect());
    assert_eq!(host.issue(1, &terms(1), NOW), Err(InviteError::TooMany));
    assert!(host.issue(1, &terms(1), NOW + LIFE).is_ok(), "the old ones make room");
}

#[test]
fn only_the_issuer_redeems_and_only_who_may_admits() {
    let (mut host, mut other) = (founder(1), founder(2));
    let token = host.issue(1, &terms(1), NOW).expect("issued");
    assert_eq!(other.redeem(&token, 1, NOW), Err(Refusal::UnknownToken));
    assert_eq!(founder(1).redeem(&token, 1, NOW), Err(Refusal::UnknownToken), "withdrawn");
    other.credential =
        host.credential.admit(&host.key, other.key.host(), false, NOW).expect("room");
    assert_eq!(other.issue(1, &terms(1), NOW), Err(InviteError::MayNotAdmit));
}

#[test]
fn a_token_opens_however_many_addresses_there_are() {
    let mut host = founder(1);
    let long = (0..1000).map(|number| format!("{number:0>ADDRESS_BYTES_MAX$}"));
    let addresses: Vec<_> = ["x".repeat(ADDRESS_BYTES_MAX + 1)].into_iter().chain(long).collect();
    let token = host
        .ledger
        .issue(&host.key, &host.credential, addresses, &terms(1), InviteId([1; 16]), NOW)
        .expect("issued");
    let token: Token = token.to_string().parse().expect("a token");
    let invite = token.open(NOW).expect("it opens");
    assert_eq!(invite.addresses.len(), ADDRESSES_PER_HOST_MAX);
    let none = vec!["x".repeat(ADDRESS_BYTES_MAX + 1)];
    let id = InviteId([2; 16]);
    let refused = host.ledger.issue(&host.key, &host.credential, none, &terms(1), id, NOW);
    assert_eq!(refused, Err(InviteError::NoAddress));
}

#[test]
fn what_is_no_token_or_an_altered_one_is_told_apart() {
    let text = founder(1).issue(1, &terms(1), NOW).expect("issued").to_string();
    let parse = |text: &str| text.parse::<Token>();
    assert_eq!(parse("hello"), Err(TokenError::NotAToken));
    assert_eq!(parse("starling1-"), Err(TokenError::Damaged));
    assert_eq!(parse("starling1-1"), Err(TokenError::Damaged));
    assert_eq!(parse(&format!("starling1-{}", "a".repeat(1 << 20))), Err(TokenError::Damaged));
    assert_eq!(parse(&text.replace('s', "ſ").replacen('ſ', "s", 1)), Err(TokenError::Damaged));
    for end in 10..text.len() {
        assert_eq!(parse(&text[..end]), Err(TokenError::Damaged), "cut at {end}");
    }
    for place in (10..text.len()).step_by(7) {
        let mut letters = text.clone().into_bytes();
        letters[place] = if letters[place] == b'a' { b'b' } else { b'a' };
        let altered = parse(&String::from_utf8(letters).expect("letters"));
        assert!(altered.and_then(|token| token.open(NOW)).is_err(), "altered at {place}");
    }
}
