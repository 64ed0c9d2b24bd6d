use serde::{Deserialize, Serialize};

use super::{Base, DocName, Head, Lineage, Stamp, TenureId, Title};
use crate::{
    ident::{HostId, MeshId, SecretKey, Signed},
    wire,
};

/// One version of a document, as it goes from host to host and as it is kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Of which document.
    pub name: DocName,
    /// The agent's last tenure, if it is a descriptor.
    pub tenure: Option<TenureId>,
    /// All its tenures. May be missing where the receiver has them.
    pub title: Option<Title>,
    /// Which history.
    pub base: Base,
    /// What it covers of the histories before. May be missing where the receiver has it.
    pub lineage: Lineage,
    /// The heads, in rising order. None when it is deleted.
    pub heads: Vec<Head>,
    /// Stamps of all heads.
    pub stamps: Vec<Signed<Stamp>>,
    /// The document itself.
    pub content: Content,
}

/// What a revision holds of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// All of it: what automerge saves.
    Whole(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The changes that the receiver lacks.
    Since(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Nothing: it is deleted.
    Gone,
}

impl Revision {
    /// 64 bits that stand for this version: two hosts with the same print have the same.
    #[must_use]
    pub fn print(&self) -> u64 {
        let mut hasher = blake3::Hasher::new_derive_key("starling revision 1");
        let what = (&self.name, &self.tenure, &self.base, &self.heads);
        hasher.update(&wire::encode(&what));
        let mut print = [0; 8];
        hasher.finalize_xof().fill(&mut print);
        u64::from_be_bytes(print)
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let stamps: usize = self.stamps.iter().map(Signed::size).sum();
        let content = match &self.content {
            Content::Whole(bytes) | Content::Since(bytes) => bytes.len(),
            Content::Gone => 0,
        };
        let clocks =
            self.lineage.covered.iter().map(|covered| {
                32 + covered.heads.len() * size_of::<Head>() + covered.clock.len() * 24
            });
        let lineage: usize = clocks.sum();
        let title = self.title.as_ref().map_or(0, Title::size);
        128 + self.name.as_str().len()
            + self.heads.len() * size_of::<Head>()
            + stamps
            + lineage
            + title
            + content
    }

    /// What a host that vouches for this version signs.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let Self { name, tenure, base, heads, .. } = self.clone();
        Stamp { name, tenure, base, heads }
    }

    /// Keeps those stamps that it takes for each head to be vouched for by somebody who may: of the
    /// `known`, which have been checked before, and then of those that came with it. Gives whether
    /// that is so; if not, nothing has changed.
    pub(super) fn cover(
        &mut self,
        known: &[Signed<Stamp>],
        mesh: MeshId,
        may: impl Fn(HostId) -> bool,
    ) -> bool {
        let checked = known.iter().map(|signed| (signed, true));
        let offered = self.stamps.iter().map(|signed| (signed, false));
        let mut bare = self.to_be_covered();
        let mut kept = Vec::new();
        for (signed, checked) in checked.chain(offered) {
            let Ok(stamp) = signed.unchecked() else { continue };
            let helps = self.is_meant_by(&stamp) && bare.iter().any(|head| covers(&stamp, *head));
            if helps && (checked || may(signed.signer()) && signed.open(mesh).is_ok()) {
                bare.retain(|head| !covers(&stamp, *head));
                kept.push(signed.clone());
            }
        }
        if bare.is_empty() {
            self.stamps = kept;
        }
        bare.is_empty()
    }

    /// The heads, or the one deletion.
    fn to_be_covered(&self) -> Vec<Option<Head>> {
        if self.heads.is_empty() {
            return vec![None];
        }
        self.heads.iter().copied().map(Some).collect()
    }

    fn is_meant_by(&self, stamp: &Stamp) -> bool {
        (&stamp.name, stamp.tenure, stamp.base) == (&self.name, self.tenure, self.base)
    }

    /// Has it vouched for by the host of this key alone.
    pub(super) fn sign(&mut self, key: &SecretKey, mesh: MeshId) {
        self.stamps = vec![Signed::new(key, mesh, &self.stamp())];
    }
}

fn covers(stamp: &Stamp, head: Option<Head>) -> bool {
    head.map_or(stamp.heads.is_empty(), |head| stamp.heads.contains(&head))
}
