//! `p2p init`

use clap::Args;
use serde_json::json;

use crate::{
    client::Presence,
    daemon::{self, Overrides},
    failure::{Exit, Failure},
    session::Session,
    text,
};

/// Make this host's identity and a new mesh, without starting the daemon
///
/// Not needed before `p2p up`, which does the same on first start.
#[derive(Debug, Args)]
#[command(before_help = "  p2p init
  p2p init --mesh-name office
")]
pub(crate) struct Init {
    /// What to call the mesh
    #[arg(long, value_name = "NAME")]
    mesh_name: Option<String>,
}

impl Init {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        if session.client()?.presence().await != Presence::Absent {
            let message = "the daemon is running, so this host has a mesh already";
            return Err(Failure::told(Exit::Failure, message)
                .next(format!("see it with: {} status", session.program())));
        }
        let mesh_name = self.mesh_name;
        let config = session.config_with(Overrides { mesh_name, ..Overrides::default() })?;
        let made = daemon::init(&config)?;
        let (host, mesh) = (made.host.to_string(), made.mesh.to_string());
        let out = &session.out;
        if out.is_json() {
            return out.envelope("init", json!({ "host": host, "mesh": mesh }));
        }
        if out.quiet {
            return out.line(&host);
        }
        out.line(&format!("host {} in the new mesh {}", text::short(&host), text::short(&mesh)))?;
        out.note(&format!("kept in {}\nnext:", config.data_dir.display()));
        out.hints(&[(format!("{} up", session.program()), "start the daemon")]);
        Ok(())
    }
}
