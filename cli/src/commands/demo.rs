//! `p2p demo`

use clap::Args;

use crate::{demo, failure::Failure, session::Session};

/// Watch three hosts on this machine find each other and talk
///
/// Takes a few seconds, touches nothing else on this machine, and leaves nothing behind. Exit
/// code 0 only if the conversation really took place.
#[derive(Debug, Args)]
#[command(before_help = "  p2p demo
  p2p demo --keep               leave the three running, to play with
")]
pub(crate) struct Demo {
    /// Leave the three daemons running
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        demo::play(&session.out, self.keep).await
    }
}
