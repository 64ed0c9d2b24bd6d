use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::{
    Base, Body, Content, DocName, Head, Lineage, Owner, Revision, Short, Stamp, Title,
};
use crate::{
    ident::{Seal, Signed},
    limits::{DOCUMENT_PASTS_MAX, DOCUMENT_PASTS_PENDING_MAX, DOCUMENTS_OPEN_MAX},
    time::WallTime,
    wire,
};

/// One copy.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) name: DocName,
    pub(super) print: u64,
    /// Whose it is, if it is a descriptor.
    pub(super) owner: Option<Owner>,
    pub(super) base: Base,
    pub(super) heads: Vec<Head>,
    /// What else belongs to its [`Revision`], encoded: a [`Frame`].
    frame: Box<[u8]>,
    /// The document itself.
    pub(super) body: Box<[u8]>,
    /// What is wrong with it, if something is.
    pub(super) damage: Option<Box<str>>,
    /// Other histories of it, the latest first.
    pub(super) pasts: Vec<Past>,
    /// Since when it is known here to be deleted, as far as that was looked at.
    pub(super) gone_since: Option<WallTime>,
    /// It may have been deleted while this host was away.
    pub(super) doubtful: bool,
}

/// What is kept packed of a copy: it is seldom looked at.
#[derive(Serialize, Deserialize)]
struct Frame {
    title: Option<Title>,
    lineage: Lineage,
    stamps: Vec<Vouched>,
}

/// A stamp of a copy.
#[derive(Serialize, Deserialize)]
enum Vouched {
    /// It says what is known of the copy anyway.
    Whole(Seal),
    /// It says something else: it vouches for some of the heads only.
    Other(Signed<Stamp>),
}

/// Another history of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) base: Base,
    pub(super) lineage: Lineage,
    #[serde(with = "serde_bytes")]
    pub(super) body: Vec<u8>,
    /// It has changes that are to be repeated in the present history, or is a deletion that is to
    /// be repeated.
    pub(super) pending: bool,
}

/// A copy as it is kept on the disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OnDisk {
    pub(super) revision: Revision,
    pub(super) pasts: Vec<Past>,
    pub(super) gone_since: Option<WallTime>,
}

/// Documents that are unpacked; those used last are at the end.
#[derive(Default)]
pub(super) struct Open(pub(super) VecDeque<(DocName, Body)>);

impl Held {
    pub(super) fn new(mut revision: Revision, owner: Option<Owner>) -> Self {
        let body = match std::mem::replace(&mut revision.content, Content::Gone) {
            Content::Whole(bytes) | Content::Since(bytes) => bytes.into(),
            Content::Gone => Box::default(),
        };
        if revision.base.root.is_none() && !revision.base.gone {
            revision.lineage = Lineage::new(revision.base);
        }
        Self {
            name: revision.name.clone(),
            print: revision.print(),
            owner,
            base: revision.base,
            heads: revision.heads.clone(),
            frame: frame(revision),
            body,
            damage: None,
            pasts: Vec::new(),
            gone_since: None,
            doubtful: false,
        }
    }

    /// The copy, without what it holds of the document.
    pub(super) fn revision(&self) -> Revision {
        let Frame { title, lineage, stamps } =
            wire::decode(&self.frame, self.frame.len()).expect("it was encoded here");
        let mut revision = Revision {
            name: self.name.clone(),
            tenure: self.owner.as_ref().and_then(|owner| owner.tenures.last().copied()),
            title,
            base: self.base,
            lineage,
            heads: self.heads.clone(),
            stamps: Vec::new(),
            content: Content::Gone,
        };
        let said = revision.stamp();
        let whole = stamps.into_iter().map(|stamp| match stamp {
            Vouched::Whole(seal) => Signed::sealed(&seal, &said),
            Vouched::Other(signed) => signed,
        });
        revision.stamps = whole.collect();
        revision
    }

    /// The agent's last tenure, if it is a descriptor.
    pub(super) fn tenure(&self) -> Option<Short> {
        Some(self.owner.as_ref()?.tenures.last()?.short())
    }

    /// Others vouch for it than before.
    pub(super) fn vouched(&mut self, revision: Revision) {
        self.frame = frame(revision);
    }

    /// Whether it is compared with other hosts, and offered to them. A deletion is told to those
    /// who have what it deletes.
    pub(super) const fn counts(&self) -> bool {
        self.damage.is_none() && !self.base.gone && !self.doubtful
    }

    /// Keeps another history, in place of the oldest. Gives whether it was news.
    pub(super) fn keep(&mut self, past: Past) -> bool {
        if self.pasts.contains(&past) {
            return false;
        }
        if past.pending && self.is_full() {
            return false;
        }
        self.pasts.insert(0, past);
        let mut left = DOCUMENT_PASTS_MAX;
        self.pasts.retain(|past| {
            let kept = past.pending || left > 0;
            left -= usize::from(!past.pending && left > 0);
            kept
        });
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.pasts.iter().filter(|past| past.pending).count() >= DOCUMENT_PASTS_PENDING_MAX
    }
}

fn frame(revision: Revision) -> Box<[u8]> {
    let said = revision.stamp();
    let stamps = revision.stamps.into_iter().map(|signed| {
        let seal = signed.seal(&said);
        seal.map_or_else(|| Vouched::Other(signed), Vouched::Whole)
    });
    let (stamps, lineage) = (stamps.collect(), revision.lineage);
    wire::encode(&Frame { title: revision.title, lineage, stamps }).into()
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Open {
    pub(super) fn take(&mut self, name: &DocName) -> Option<Body> {
        let place = self.0.iter().position(|(open, _)| open == name)?;
        self.0.remove(place).map(|(_, body)| body)
    }

    pub(super) fn put(&mut self, name: DocName, body: Body) -> &mut Body {
        self.forget(&name);
        if self.0.len() >= DOCUMENTS_OPEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back((name, body));
        &mut self.0.back_mut().expect("it was just put there").1
    }

    pub(super) fn forget(&mut self, name: &DocName) {
        self.0.retain(|(open, _)| open != name);
    }
}
