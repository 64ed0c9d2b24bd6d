//! What the network tells the main loop.

use std::fmt;

use libp2p::{PeerId, gossipsub::MessageId};
use starling_protocols::{
    admission::{Refusal, Token},
    ident::{Credential, HostId, Signed},
    roster::HostRecord,
};
use tokio::sync::oneshot;

/// Something that happened on the network.
///
/// For one host the order is: [`LinkUp`](Self::LinkUp), then any number of lanes
/// ([`LaneUp`](Self::LaneUp), [`LaneBytes`](Self::LaneBytes)…, [`LaneDown`](Self::LaneDown)), then
/// [`LinkDown`](Self::LinkDown). Bytes of one lane never appear within another.
#[derive(Debug)]
pub enum NetEvent {
    /// The addresses this host listens on have changed; these are all of them.
    Listening {
        /// Dialable addresses, the best first, each ending in this host's peer id.
        addresses: Vec<String>,
    },
    /// A host has passed the gate. Told once, however many connections there are to it.
    LinkUp {
        /// The host.
        host: HostId,
        /// What it showed at the gate, verified there.
        credential: Credential,
        /// The other end of the connection.
        address: String,
    },
    /// The last connection to a host is gone.
    LinkDown {
        /// The host.
        host: HostId,
        /// The reason, in words.
        why: String,
    },
    /// A dial has failed at every address, and there is no link to the host.
    DialFailed {
        /// The host.
        host: HostId,
        /// The addresses that were tried and why each failed, in words.
        why: String,
    },
    /// The lane to a host can be used.
    LaneUp {
        /// The host.
        host: HostId,
    },
    /// Bytes from a lane, in order. How they are cut up means nothing.
    LaneBytes {
        /// The host that sent them.
        host: HostId,
        /// At most 64 KiB, at least one byte.
        bytes: Vec<u8>,
    },
    /// A buffer given to the lane since the last such event is on its way, and the lane takes
    /// another.
    LaneWritable {
        /// The host.
        host: HostId,
    },
    /// The lane to a host is gone; what was not acknowledged may be lost. While the link is up,
    /// another lane follows.
    LaneDown {
        /// The host.
        host: HostId,
        /// The reason, in words.
        why: String,
    },
    /// A message from gossip. Each needs one [`judge`](super::Net::judge), or it is not passed on.
    Gossip {
        /// Names it for the verdict.
        id: GossipId,
        /// The host that signed it; the signature has been checked.
        origin: HostId,
        /// The topic it came on.
        bucket: u8,
        /// Its body.
        bytes: Vec<u8>,
    },
    /// A host was heard on the local network. It may belong to another mesh.
    Discovered {
        /// The host.
        host: HostId,
        /// Where it says it can be dialled.
        addresses: Vec<String>,
    },
    /// A stranger shows a token. Its connection waits for the answer.
    Join {
        /// Who wants to join; the encrypted channel has proven the key.
        joiner: HostId,
        /// The token.
        token: Token,
        /// Takes the answer.
        answer: JoinAnswer,
    },
    /// Somebody connected and did not get through the gate.
    Stranger {
        /// Where the connection came from.
        address: String,
        /// The reason, in words.
        why: String,
    },
}

/// Names one gossip message until it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipId {
    pub(super) message: MessageId,
    pub(super) from: PeerId,
}

/// What to do with a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good: pass it on.
    Accept,
    /// It breaks the rules: drop it, and count it against who passed it on.
    Reject,
    /// Of no use (old, or of no known origin): drop it, and hold it against nobody.
    Ignore,
}

/// What a redeemed token gives: the credential, and hosts to begin with.
pub(crate) type Admission = Result<(Credential, Vec<Signed<HostRecord>>), Refusal>;

/// Takes the answer to a stranger with a token. Dropped without one, the stranger is told that
/// this host cannot admit now.
pub struct JoinAnswer(pub(super) oneshot::Sender<Admission>);

impl JoinAnswer {
    /// Answers: the new member's credential with hosts to begin with, or the refusal. Hosts past
    /// what fits into one message are left out. Nothing happens when the stranger is gone.
    pub fn send(self, answer: Result<(Credential, Vec<Signed<HostRecord>>), Refusal>) {
        drop(self.0.send(answer));
    }
}

impl fmt::Debug for JoinAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinAnswer")
    }
}
