//! How descriptors begin.

use automerge::AutoCommit;

use super::{super::TitleError, DocName, Head, Pen, Replication, Title, WriteError};
use crate::ident::{AgentId, HostId};

impl Replication {
    /// Begins the descriptor of an agent that is born on this host, or taken up by it.
    ///
    /// # Errors
    /// [`TitleError`]: the title is not good, or is another host's.
    pub fn entitle(
        &mut self,
        title: &Title,
        is_member: impl Fn(HostId) -> bool,
        pen: &Pen<'_>,
    ) -> Result<DocName, TitleError> {
        let name = self.replicas.entitle(title, is_member, pen)?;
        self.pushes(&name, Vec::new());
        self.change(name.clone(), None);
        Ok(name)
    }

    /// Begins the descriptor of an agent that is born on this host, with its first change; see
    /// [`Replicas::bear`](super::super::Replicas::bear).
    ///
    /// # Errors
    /// [`WriteError`]: nothing has changed.
    pub fn bear<E>(
        &mut self,
        agent: AgentId,
        pen: &Pen<'_>,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), E>,
    ) -> Result<Option<Head>, WriteError<E>> {
        let head = self.replicas.bear(agent, pen, change)?;
        let name = DocName::of_agent(agent);
        self.pushes(&name, Vec::new());
        self.change(name, None);
        Ok(head)
    }
}
