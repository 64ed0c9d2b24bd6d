//! `p2p completions`

use clap::Args;
use clap_complete::{Shell, generate};

use crate::{args, failure::Failure, session::Session};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(before_help = "  p2p completions bash > ~/.local/share/bash-completion/completions/p2p
  p2p completions zsh > ~/.zfunc/_p2p
  p2p completions fish > ~/.config/fish/completions/p2p.fish
")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        // Into memory first: the generator panics when its output is closed.
        let mut script = Vec::new();
        generate(self.shell, &mut args::grammar(), "p2p", &mut script);
        session.out.raw(&script)
    }
}
