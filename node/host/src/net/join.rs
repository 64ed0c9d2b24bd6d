//! Joining: a stranger shows its token to the host that issued it, and comes back as a member.

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _},
        transport::{DialOpts, PortUse},
    },
};
use starling_protocols::{
    admission::{Invite, Knock, Refusal, Token, Welcome},
    ident::{Credential, CredentialError, HostId, SecretKey, Signed},
    limits::GATE_TIMEOUT,
    roster::HostRecord,
};

use super::{
    gate::{self, GateError},
    peer::{host_of, in_words, keypair, peer_in},
    transport::{self, Bare},
};
use crate::clock::wall;

/// What a token was exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The new member's credential, verified.
    pub credential: Credential,
    /// Hosts of the mesh to begin with, as they signed it; not verified here.
    pub hosts: Vec<Signed<HostRecord>>,
}

impl Joined {
    /// How many hosts are known with this one, which may have been among them before.
    #[must_use]
    pub fn members(&self, own: HostId) -> usize {
        1 + self.hosts.iter().filter(|record| record.signer() != own).count()
    }
}

/// Why a token was not exchanged. Nothing has changed here; unless it says otherwise, the token
/// can be used again.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody answered as it should.
    #[error(
        "the host that issued the token cannot be reached: {}; see that it runs and that these \
         addresses can be reached from here, then try again", listed(.tried)
    )]
    Unreachable {
        /// Each address with the reason why it failed.
        tried: Vec<(String, String)>,
    },
    /// The issuer said no.
    #[error("the host that issued the token refuses: {0}")]
    Refused(Refusal),
    /// Another host answers. The token was not shown to it.
    #[error(
        "at {address} answers another host ({found}) than the one that issued the token; ask for \
         a new token, or look into who has taken its address"
    )]
    NotTheRedeemer {
        /// Where.
        address: String,
        /// The peer id that answered.
        found: String,
    },
    /// The answer does not make this host a member. A use of the token may be gone.
    #[error("the answer is not good: {0}; ask for a new token")]
    BadAnswer(CredentialError),
    /// The libraries refuse their settings. This is a defect of Starling.
    #[error("the connection cannot be set up: {0}; please report this")]
    SetUp(String),
}

fn listed(tried: &[(String, String)]) -> String {
    if tried.is_empty() {
        return "the token names no address".into();
    }
    let tried = tried.iter().map(|(address, why)| format!("{address} ({why})"));
    tried.collect::<Vec<_>>().join(", ")
}

/// How one address ended.
enum Failed {
    /// The next address may do better.
    Here(String),
    Elsewhere(PeerId),
    /// The issuer itself has spoken.
    Refused(Refusal),
}

/// Exchanges `token`, which holds `invite`, for a credential of the host with this key.
///
/// The token leaves this host only on a channel on which the redeemer has proven its key.
///
/// # Errors
/// [`JoinError`] says what happened and what to do.
pub async fn redeem(key: &SecretKey, token: &Token, invite: &Invite) -> Result<Joined, JoinError> {
    let mut transport =
        transport::bare(&keypair(key)).map_err(|why| JoinError::SetUp(why.to_string()))?;
    let mut tried = Vec::new();
    let mut stranger = None;
    for address in &invite.addresses {
        match try_address(&mut transport, address, token, invite).await {
            Ok(joined) => return checked(key, invite, joined),
            Err(Failed::Refused(refusal)) => return Err(JoinError::Refused(refusal)),
            Err(Failed::Here(why)) => tried.push((address.clone(), why)),
            Err(Failed::Elsewhere(found)) => {
                tried.push((address.clone(), format!("another host answers: {found}")));
                stranger.get_or_insert((address.clone(), found.to_string()));
            }
        }
    }
    Err(match stranger {
        Some((address, found)) => JoinError::NotTheRedeemer { address, found },
        None => JoinError::Unreachable { tried },
    })
}

fn checked(key: &SecretKey, invite: &Invite, joined: Joined) -> Result<Joined, JoinError> {
    joined.credential.verify(invite.mesh, key.host(), wall()).map_err(JoinError::BadAnswer)?;
    Ok(joined)
}

async fn try_address(
    transport: &mut Bare,
    address: &str,
    token: &Token,
    invite: &Invite,
) -> Result<Joined, Failed> {
    let address: Multiaddr =
        address.parse().map_err(|why| Failed::Here(format!("not an address: {why}")))?;
    let (peer, mut muxer) = connect(transport, address).await?;
    if host_of(peer) != Some(invite.redeemer) {
        return Err(Failed::Elsewhere(peer));
    }
    let answer = tokio::time::timeout(GATE_TIMEOUT, knock(&mut muxer, token)).await;
    // Closing says goodbye; the other side waits for it, but not for long.
    drop(tokio::time::timeout(GATE_TIMEOUT / 10, muxer.close()).await);
    match answer {
        Ok(Ok(Welcome::Joined { credential, hosts })) => Ok(Joined { credential, hosts }),
        Ok(Ok(Welcome::Refused(refusal))) => Err(Failed::Refused(refusal)),
        Ok(Ok(Welcome::Member(_))) => Err(Failed::Here(in_words(&GateError::OutOfTurn))),
        Ok(Err(why)) => Err(Failed::Here(in_words(&why))),
        Err(_) => Err(Failed::Here(in_words(&GateError::Silence(GATE_TIMEOUT)))),
    }
}

async fn connect(
    transport: &mut Bare,
    address: Multiaddr,
) -> Result<(PeerId, StreamMuxerBox), Failed> {
    let here = |why: &dyn std::error::Error| Failed::Here(in_words(why));
    let expected = peer_in(&address);
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = transport.dial(address, opts).map_err(|why| here(&why))?;
    let connected = tokio::time::timeout(GATE_TIMEOUT, dial).await;
    let (peer, muxer) = connected.map_err(|late| here(&late))?.map_err(|why| here(&why))?;
    match expected {
        Some(expected) if expected != peer => Err(Failed::Elsewhere(peer)),
        _ => Ok((peer, muxer)),
    }
}

async fn knock(muxer: &mut StreamMuxerBox, token: &Token) -> Result<Welcome, GateError> {
    let mut stream = gate::open(muxer).await?;
    let knock = Knock::Join(token.clone());
    gate::talk(muxer, gate::ask(&mut stream, &knock)).await
}
