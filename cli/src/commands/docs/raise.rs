use clap::Args;
use starling_node::api::documents::{DocRaise, DocRaised};

use crate::{failure::Failure, session::Session};

/// Write a document in the newest version of its type, after an update of all hosts
///
/// The programs of hosts have versions of the types of documents. A document stays in the version
/// in which it was begun, which older and newer programs read and write, until it is raised here.
/// Programs that do not know the newer version cannot read it any more: so it is refused while some
/// host does not say that it does.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs raise conf/echo
")]
pub(crate) struct Raise {
    /// The document
    name: String,
    /// Whether all hosts read the newer version or not
    #[arg(long)]
    force: bool,
}

impl Raise {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { name, force } = self;
        let raise = DocRaise { name, force };
        let client = session.client()?.under_way("the change", &["docs", "get", &raise.name]);
        let done: DocRaised = client.post("/v1/docs/raise", &raise).await?;
        let out = &session.out;
        if out.is_json() {
            return out.envelope("docs-raise", &done);
        }
        let DocRaised { name, from, to, head } = done;
        match head {
            Some(_) => out.note(&format!("{name} is written in version {to}, was in {from}")),
            None => out.note(&format!("{name} is written in version {to} already")),
        }
        Ok(())
    }
}
