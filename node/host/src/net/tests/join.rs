use starling_protocols::{
    admission::{Invite, InviteId, Ledger, Refusal, Terms, Token},
    limits::JOINS_PER_MINUTE_MAX,
};

use super::*;

/// A redeemer whose main loop answers from a ledger.
struct Redeemer {
    host: Host,
    mesh: Mesh,
    ledger: Ledger,
}

impl Redeemer {
    async fn start(listen: &str) -> Self {
        let mesh = Mesh::new(0);
        let host = Host::start(1, listen, mesh.member(1)).await;
        Self { host, mesh, ledger: Ledger::default() }
    }

    fn invite(&mut self, addresses: Vec<String>) -> (Token, Invite) {
        let terms = Terms { life: Duration::from_secs(60), uses: 1, may_admit: false };
        let (ledger, own) = (&mut self.ledger, self.mesh.founder());
        let token = ledger
            .issue(&key(1), &own, addresses, &terms, InviteId([5; 16]), wall())
            .expect("an invite");
        let invite = token.open(wall()).expect("a good token");
        (token, invite)
    }

    /// Answers whoever comes, for ever.
    async fn answer(&mut self) {
        let own = self.mesh.founder();
        loop {
            if let NetEvent::Join { joiner, token, answer } = self.host.event().await {
                let joined = self.ledger.redeem(&key(1), &own, &token, joiner, wall());
                answer.send(joined.map(|credential| (credential, vec![])));
            }
        }
    }

    /// Joins host `n` while answering.
    async fn join(&mut self, n: u8, token: &Token, invite: &Invite) -> Result<Joined, JoinError> {
        let joiner = key(n);
        tokio::select! {
            joined = redeem(&joiner, token, invite) => joined,
            () = self.answer() => unreachable!("it answers for ever"),
        }
    }
}

#[tokio::test]
async fn a_token_makes_a_member() {
    for listen in [TCP, QUIC] {
        let mut redeemer = Redeemer::start(listen).await;
        let (token, invite) = redeemer.invite(redeemer.host.addresses.clone());
        let joined = redeemer.join(2, &token, &invite).await.expect("it joins");
        let mut two = Host::start(2, listen, joined.credential).await;
        two.dial(&redeemer.host).await;
        assert_eq!(two.link_up().await.0, redeemer.host.id);
        redeemer.host.link_up().await;
        let incident = |event: &NetEvent| matches!(event, NetEvent::Stranger { .. });
        assert!(!redeemer.host.passed.iter().any(incident), "{:?}", redeemer.host.passed);
    }
}

#[tokio::test]
async fn a_used_up_token_is_refused() {
    for listen in [TCP, QUIC] {
        let mut redeemer = Redeemer::start(listen).await;
        let (token, invite) = redeemer.invite(redeemer.host.addresses.clone());
        redeemer.join(2, &token, &invite).await.expect("it joins");
        let refused = redeemer.join(3, &token, &invite).await;
        let used_up = matches!(refused, Err(JoinError::Refused(Refusal::UsedUpToken)));
        assert!(used_up, "{refused:?}");
    }
}

#[tokio::test]
async fn a_token_is_not_shown_to_another_host() {
    let mut redeemer = Redeemer::start(TCP).await;
    let mut other = Host::start(3, TCP, redeemer.mesh.member(3)).await;
    let address = other.addresses[0].split("/p2p/").next().expect("a prefix").to_owned();
    let (token, invite) = redeemer.invite(vec![address]);
    let error = redeemer.join(2, &token, &invite).await;
    assert!(matches!(error, Err(JoinError::NotTheRedeemer { .. })), "{error:?}");
    other.stranger().await;
    let shown = |event: &NetEvent| matches!(event, NetEvent::Join { .. });
    assert!(!other.passed.iter().any(shown), "{:?}", other.passed);
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let mut redeemer = Redeemer::start(TCP).await;
    let mut addresses = vec!["nonsense".into(), "/ip4/127.0.0.1/tcp/1".into()];
    addresses.extend(redeemer.host.addresses.clone());
    let (token, invite) = redeemer.invite(addresses);
    redeemer.join(2, &token, &invite).await.expect("it joins");
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_with_each_address() {
    let mut redeemer = Redeemer::start(TCP).await;
    let (token, invite) = redeemer.invite(vec!["/ip4/127.0.0.1/tcp/1".into()]);
    let error = redeemer.join(2, &token, &invite).await.expect_err("nobody is there").to_string();
    assert!(error.contains("/ip4/127.0.0.1/tcp/1 (") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn who_tries_bad_tokens_too_often_is_refused() {
    let mut redeemer = Redeemer::start(TCP).await;
    let (good, invite) = redeemer.invite(redeemer.host.addresses.clone());
    let forged = Token::new(&key(9), &invite);
    for _ in 0..JOINS_PER_MINUTE_MAX {
        let error = redeemer.join(2, &forged, &invite).await;
        assert!(matches!(error, Err(JoinError::Refused(Refusal::UnknownToken))), "{error:?}");
    }
    let error = redeemer.join(2, &forged, &invite).await;
    assert!(matches!(error, Err(JoinError::Refused(Refusal::TooManyAttempts))), "{error:?}");
    redeemer.join(2, &good, &invite).await.expect("a good token is not limited");
}

#[tokio::test]
async fn who_gets_no_answer_is_told_so() {
    let mut redeemer = Redeemer::start(TCP).await;
    let (token, invite) = redeemer.invite(redeemer.host.addresses.clone());
    let joiner = key(2);
    let (refused, ()) = tokio::join!(redeem(&joiner, &token, &invite), async {
        redeemer.host.wait(|event| matches!(event, NetEvent::Join { .. }).then_some(())).await;
        redeemer.host.passed.clear();
    });
    assert!(matches!(refused, Err(JoinError::Refused(Refusal::CannotAdmit(_)))), "{refused:?}");
}
