//! Documents of other hosts that are not taken here, and what helps.

use starling_protocols::{
    ident::HostId,
    replica::{BodyError, DocName, Refused},
};

use crate::engine::Engine;

/// What helps when a document of another host is not taken. What is more pressing comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Room: this host has as many documents as it may.
    Room,
    /// A smaller version: the two have no room together.
    Smaller,
    /// A choice: the two copies cannot become one, and somebody has to say what counts.
    Choice,
    /// Another program: no host says this that keeps the rules.
    Update,
    /// Patience: it is taken when more is known here of the hosts of the mesh.
    Patience,
}

impl Remedy {
    /// What helps against a refusal.
    #[must_use]
    pub const fn of(why: &Refused) -> Self {
        match why {
            _ if why.is_for_now() => Self::Patience,
            Refused::Full => Self::Room,
            Refused::Body(BodyError::TooLarge { .. }) => Self::Smaller,
            Refused::Body(_) | Refused::Heads | Refused::TooManyHeads(_) => Self::Choice,
            Refused::Untitled | Refused::Base | Refused::Title(_) | Refused::Unvouched => {
                Self::Update
            }
        }
    }
}

impl Engine {
    /// The documents that other hosts have sent and that were not taken, each with the host and the
    /// reason; see [`Replication::refused`](starling_protocols::replica::Replication::refused).
    pub fn documents_refused(&self) -> impl Iterator<Item = (&DocName, HostId, &Refused)> {
        self.documents.iter().flat_map(|documents| documents.at.refused())
    }

    /// A document is another one than before, or one of another host was not taken.
    pub(super) fn mind_refused(&mut self, name: &DocName) {
        if let Some(documents) = &mut self.documents {
            documents.at.mind_refused(name);
        }
    }

    /// Forgets what was refused of hosts that have left or were forgotten, and have no lane.
    pub(in crate::engine) fn forget_refused_of_the_gone(&mut self) {
        let (peers, roster) = (&self.peers, &self.roster);
        let is_there = |host| {
            let linked = peers.find(host).is_some_and(|peer| peers[peer].session.is_open());
            linked || roster.get(host).is_some_and(|record| !record.left)
        };
        if let Some(documents) = &mut self.documents {
            documents.at.keep_refused_of(is_there);
        }
    }
}
