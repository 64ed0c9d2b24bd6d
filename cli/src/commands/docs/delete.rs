use clap::Args;
use starling_node::api::{Done, documents::DocDelete};

use crate::{failure::Failure, session::Session};

/// Delete a document, on all hosts
///
/// Hosts that are away delete it when they come back. What they have changed in it meanwhile is
/// lost.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs delete conf/echo
")]
pub(crate) struct Delete {
    /// The document
    name: String,
}

impl Delete {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let delete = DocDelete { name: self.name };
        let client = session.client()?.under_way("the deletion", &["docs", "get", &delete.name]);
        let done: Done = client.post("/v1/docs/delete", &delete).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("docs-delete", &done);
        }
        out.note(&done.done);
        Ok(())
    }
}
