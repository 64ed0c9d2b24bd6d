//! The gate: both ends of a fresh, encrypted connection prove that they are members of this mesh
//! before the connection reaches anything that serves a protocol.
//!
//! On the first substream, opened by the dialler:
//!
//! ```text
//! dialler    magic, Knock::Member(credential)
//! listener   magic, Welcome::Member(credential)
//! dialler    an empty frame: "you are welcome too"
//! ```
//!
//! Without the last step the listener would take the link for up while the dialler is refusing
//! it. A stranger with a token knocks with [`Knock::Join`]; the answer ends the connection.

mod drive;
mod frame;
mod limiter;

pub(crate) use limiter::site;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{
        ConnectedPoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
    },
};
use starling_protocols::{
    admission::{Knock, Refusal, Token, Welcome},
    ident::{Credential, CredentialError, HostId, MeshId},
    limits::{GATE_BYTES_MAX, HOSTS_MAX},
    wire,
};
use tokio::sync::{mpsc, oneshot};

use self::{
    drive::{Inbound, accept, drive},
    limiter::JoinLimiter,
};
use super::{
    event::{Admission, JoinAnswer},
    peer::{host_of, peer_in},
};
use crate::clock::wall;

pub(super) use self::drive::{open, talk};
use self::frame::Ears;

/// Strangers with tokens that may wait for the main loop. At the cap the next is refused.
const JOINS_WAITING_MAX: usize = 16;

/// How long a refusal may take to be read before the connection is dropped all the same.
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection did not get through the gate. It is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error("it did not pass the gate within {0:?}")]
    Silence(Duration),
    #[error("it does not speak this protocol: the first bytes are not the gate's")]
    Magic,
    #[error("a message of {0} bytes at the gate, where at most {GATE_BYTES_MAX} are allowed")]
    Oversized(usize),
    #[error("its message at the gate cannot be read: {0}")]
    Unreadable(wire::Error),
    #[error("it said the wrong thing at the gate")]
    OutOfTurn,
    #[error("it opened other streams before the gate")]
    TooEager,
    #[error("it is not a member of this mesh: {0}")]
    NotAMember(CredentialError),
    #[error("this host was refused: {0}")]
    Refused(Refusal),
    #[error("a stranger's token was refused: {0}")]
    JoinRefused(Refusal),
    /// The one end that is a success: a stranger became a member and will dial again.
    #[error("it has joined and will come again as a member")]
    Joined,
    #[error("another host answers at this address: {0}")]
    AnotherHost(PeerId),
    #[error("its key is not an Ed25519 key")]
    ForeignKey,
    #[error("it is this host itself")]
    Itself,
    #[error("the connection broke at the gate: {0}")]
    Broken(#[from] io::Error),
}

impl GateError {
    /// The gate's own word in an error that libp2p has wrapped, if the gate had one.
    pub(crate) fn within(mut error: &io::Error) -> Option<&Self> {
        loop {
            let inner = error.get_ref()?;
            if let Some(gate) = inner.downcast_ref::<Self>() {
                return Some(gate);
            }
            error = inner.downcast_ref::<io::Error>()?;
        }
    }
}

/// A stranger at the gate with a token.
#[derive(Debug)]
pub(crate) struct AtTheGate {
    pub(crate) joiner: HostId,
    pub(crate) token: Token,
    pub(crate) answer: JoinAnswer,
}

/// The gate of one host, shared by all its connections.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: HostId,
    mesh: MeshId,
    timeout: Duration,
    /// Behind a lock because certificates are renewed while the host runs.
    credential: RwLock<Credential>,
    /// What each peer last showed. The swarm carries nothing but the peer id, so the credential
    /// takes this way around.
    admitted: Mutex<BTreeMap<PeerId, Credential>>,
    joins: mpsc::Sender<AtTheGate>,
    limiter: JoinLimiter,
}

impl Gate {
    pub(crate) fn new(
        host: HostId,
        credential: Credential,
        timeout: Duration,
    ) -> (Self, mpsc::Receiver<AtTheGate>) {
        let (joins, waiting) = mpsc::channel(JOINS_WAITING_MAX);
        let inner = Inner {
            host,
            mesh: credential.mesh(),
            timeout,
            credential: RwLock::new(credential),
            admitted: Mutex::default(),
            joins,
            limiter: JoinLimiter::default(),
        };
        (Self(Arc::new(inner)), waiting)
    }

    /// From now on this credential is shown.
    pub(crate) fn set_credential(&self, credential: Credential) {
        *self.0.credential.write().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    /// What `peer` showed when it last came through.
    pub(crate) fn credential_of(&self, peer: PeerId) -> Option<Credential> {
        self.admitted().get(&peer).cloned()
    }

    /// Lets a connection through, or closes it.
    pub(crate) async fn pass(
        self,
        peer: PeerId,
        mut muxer: StreamMuxerBox,
        point: ConnectedPoint,
    ) -> Result<(PeerId, StreamMuxerBox), GateError> {
        let limit = self.0.timeout;
        let met = tokio::time::timeout(limit, self.0.meet(peer, &mut muxer, &point)).await;
        match met.unwrap_or(Err(GateError::Silence(limit))) {
            Ok(credential) => {
                self.remember(peer, credential);
                Ok((peer, muxer))
            }
            Err(why) => {
                drop(tokio::time::timeout(LINGER, muxer.close()).await);
                Err(why)
            }
        }
    }

    fn remember(&self, peer: PeerId, credential: Credential) {
        let mut admitted = self.admitted();
        // Only members get here, and a mesh has at most this many; one that was pushed out is
        // disconnected when its credential is missed, and dials again.
        if admitted.len() >= HOSTS_MAX && !admitted.contains_key(&peer) {
            admitted.pop_first();
        }
        admitted.insert(peer, credential);
    }

    fn admitted(&self) -> std::sync::MutexGuard<'_, BTreeMap<PeerId, Credential>> {
        self.0.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn own(&self) -> Credential {
        self.credential.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn meet(
        &self,
        peer: PeerId,
        muxer: &mut StreamMuxerBox,
        point: &ConnectedPoint,
    ) -> Result<Credential, GateError> {
        let host = host_of(peer).ok_or(GateError::ForeignKey)?;
        if host == self.host {
            return Err(GateError::Itself);
        }
        match point {
            ConnectedPoint::Dialer { address, .. } => self.knock(peer, host, muxer, address).await,
            ConnectedPoint::Listener { send_back_addr, .. } => {
                self.answer(host, muxer, send_back_addr).await
            }
        }
    }

    async fn knock(
        &self,
        peer: PeerId,
        host: HostId,
        muxer: &mut StreamMuxerBox,
        address: &Multiaddr,
    ) -> Result<Credential, GateError> {
        if peer_in(address).is_some_and(|expected| expected != peer) {
            return Err(GateError::AnotherHost(peer));
        }
        let mut stream = open(muxer).await?;
        let knock = Knock::Member(self.own());
        let welcome = drive(muxer, Inbound::Refused, ask(&mut stream, &knock)).await?;
        let credential = match welcome {
            Welcome::Member(credential) => credential,
            Welcome::Refused(refusal) => return Err(GateError::Refused(refusal)),
            Welcome::Joined { .. } => return Err(GateError::OutOfTurn),
        };
        credential.verify(self.mesh, host, wall()).map_err(GateError::NotAMember)?;
        drive(muxer, Inbound::Kept, frame::agree(&mut stream)).await?;
        Ok(credential)
    }

    async fn answer(
        &self,
        host: HostId,
        muxer: &mut StreamMuxerBox,
        from: &Multiaddr,
    ) -> Result<Credential, GateError> {
        let mut stream = accept(muxer).await?;
        let mut ears = Ears::default();
        match drive(muxer, Inbound::Refused, ears.hear(&mut stream)).await? {
            Knock::Member(credential) => {
                self.welcome(host, credential, muxer, &mut stream, &mut ears).await
            }
            Knock::Join(token) => {
                let answer = self.redeem(host, token, from).await;
                let end = answer.as_ref().err().cloned();
                dismiss(muxer, &mut stream, &in_answer(answer)).await;
                Err(end.map_or(GateError::Joined, GateError::JoinRefused))
            }
        }
    }

    async fn welcome(
        &self,
        host: HostId,
        credential: Credential,
        muxer: &mut StreamMuxerBox,
        stream: &mut SubstreamBox,
        ears: &mut Ears,
    ) -> Result<Credential, GateError> {
        if let Err(why) = credential.verify(self.mesh, host, wall()) {
            let refusal = Welcome::Refused(Refusal::credential(&why));
            dismiss(muxer, stream, &refusal).await;
            return Err(GateError::NotAMember(why));
        }
        let welcome = Welcome::Member(self.own());
        // The dialler may open streams as soon as it has agreed: they are kept for the swarm.
        drive(muxer, Inbound::Kept, async {
            frame::say(stream, &welcome).await?;
            ears.hear_agreement(stream).await
        })
        .await?;
        Ok(credential)
    }

    /// Asks the main loop. Whoever tries bad tokens too often, or asks while too many wait, is
    /// refused here. Tokens that this host has signed are not limited: many machines behind one
    /// address may join with one invite at once.
    async fn redeem(&self, joiner: HostId, token: Token, from: &Multiaddr) -> Admission {
        let issued_here = token.open(wall()).is_ok_and(|invite| invite.redeemer == self.host);
        if !issued_here && !self.limiter.allows(from) {
            return Err(Refusal::TooManyAttempts);
        }
        let busy = || Refusal::CannotAdmit("it is busy or stopping; try again".into());
        let (answer, answered) = oneshot::channel();
        let stranger = AtTheGate { joiner, token, answer: JoinAnswer(answer) };
        self.joins.try_send(stranger).map_err(|_| busy())?;
        answered.await.unwrap_or_else(|_| Err(busy()))
    }
}

/// Knocks, and hears the answer.
pub(super) async fn ask(stream: &mut SubstreamBox, knock: &Knock) -> Result<Welcome, GateError> {
    frame::say(stream, knock).await?;
    Ears::default().hear(stream).await
}

/// Sends the last word and waits until the other side has read it, which shows when it closes: a
/// connection closed at once could take the word with it.
async fn dismiss(muxer: &mut StreamMuxerBox, stream: &mut SubstreamBox, word: &Welcome) {
    let last = drive(muxer, Inbound::Refused, frame::say_last(stream, word));
    // The connection is over in any case, and why it was refused is known already.
    match tokio::time::timeout(LINGER, last).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(%why, "the last word at the gate may not have arrived"),
        Err(_) => tracing::debug!("the last word at the gate was not read in time"),
    }
}

fn in_answer(answer: Admission) -> Welcome {
    match answer {
        Ok((credential, mut hosts)) => {
            // Room for the credential and the variant; the rest is for hosts.
            let mut room = GATE_BYTES_MAX.saturating_sub(wire::encode(&credential).len() + 64);
            let fits = hosts.iter().take_while(|host| {
                let size = wire::encode(*host).len();
                let fits = size <= room;
                room = room.saturating_sub(size);
                fits
            });
            hosts.truncate(fits.count());
            Welcome::Joined { credential, hosts }
        }
        Err(refusal) => Welcome::Refused(refusal),
    }
}
