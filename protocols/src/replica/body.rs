// placeholder
use crate::time::WallTime;
use automerge::{ActorId, AutoCommit, ChangeHash, transaction::CommitOptions};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A head: the hash of an automerge change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head(pub [u8; 32]);
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}
/// Who makes a change.
#[derive(Clone, Debug)]
pub struct Author {
    /// a
    pub actor: [u8; 16],
    /// w
    pub wall: WallTime,
    /// m
    pub message: String,
}
/// E
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// b
    #[error("it is no document: {0}")]
    Damaged(String),
    /// g
    #[error("gap")]
    Gap,
}
/// E
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeError<E> {
    /// r
    Refused(E),
    /// b
    Body(BodyError),
}
/// B
#[derive(Clone)]
pub struct Body(AutoCommit);
impl Body {
    /// e
    pub fn empty() -> Self {
        Self(AutoCommit::new().with_actor(ActorId::from(&[0u8; 16][..])))
    }
    /// l
    pub fn load(saved: &[u8]) -> Result<Self, BodyError> {
        AutoCommit::load(saved).map(Self).map_err(|e| BodyError::Damaged(e.to_string()))
    }
    /// h
    pub fn heads(&mut self) -> Vec<Head> {
        let mut h: Vec<_> = self.0.get_heads().into_iter().map(|h| Head(h.0)).collect();
        h.sort();
        h
    }
    /// r
    pub fn read<T>(&mut self, read: impl FnOnce(&mut AutoCommit) -> T) -> Result<T, BodyError> {
        Ok(read(&mut self.0))
    }
    /// c
    pub fn change<E>(
        &mut self,
        author: &Author,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, ChangeError<E>> {
        self.0.set_actor(ActorId::from(&author.actor[..]));
        if let Err(e) = change(&mut self.0) {
            self.0.rollback();
            return Err(ChangeError::Refused(e));
        }
        let options = CommitOptions::default()
            .with_time(author.wall.as_millis() as i64)
            .with_message(author.message.clone());
        Ok(self.0.commit_with(options).map(|h| Head(h.0)))
    }
    /// t
    pub fn take(&mut self, bytes: &[u8]) -> Result<bool, BodyError> {
        let before = self.heads();
        let mut next = self.0.fork();
        next.load_incremental(bytes).map_err(|e| BodyError::Damaged(e.to_string()))?;
        if !next.get_missing_deps(&[]).is_empty() {
            return Err(BodyError::Gap);
        }
        self.0 = next;
        Ok(self.heads() != before)
    }
    /// s
    pub fn since(&mut self, heads: &[Head]) -> Option<Vec<u8>> {
        if !heads.iter().all(|h| self.knows(*h)) {
            return None;
        }
        if heads.is_empty() {
            return Some(self.save());
        }
        let heads: Vec<_> = heads.iter().map(|h| ChangeHash(h.0)).collect();
        Some(self.0.save_after(&heads))
    }
    /// k
    pub fn knows(&mut self, head: Head) -> bool {
        self.0.get_change_by_hash(&ChangeHash(head.0)).is_some()
    }
    /// s
    pub fn save(&mut self) -> Vec<u8> {
        self.0.save()
    }
    /// n
    pub fn len_changes(&mut self) -> usize {
        self.0.get_changes(&[]).len()
    }
}
