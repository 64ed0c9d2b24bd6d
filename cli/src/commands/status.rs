//! `p2p status`

use clap::Args;
use starling_node::api;

use crate::{
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    text,
};

/// Show how this host is
///
/// Exit code 7 if it is up but not well.
#[derive(Debug, Args)]
#[command(before_help = "  p2p status
  p2p status --format json | jq -r .data.health
")]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let status: api::Status = session.client()?.get("/v1/status").await?;
        let out = &session.out;
        if out.is_json() {
            out.envelope("status", &status)?;
        } else if out.quiet {
            out.line(&text::plain(&status.health))?;
        } else {
            show(out, &status)?;
        }
        if status.health == "ok" { Ok(()) } else { Err(Failure::Silent(Exit::Degraded)) }
    }
}

fn show(out: &Output, status: &api::Status) -> Result<(), Failure> {
    let fact = |label: &str, value: &str| {
        out.line(&format!("{}  {value}", out.paint.bold(&format!("{label:<11}"))))
    };
    let plain = text::plain;
    let health = plain(&status.health);
    let well = status.health == "ok";
    fact("health", &if well { out.paint.green(&health) } else { out.paint.red(&health) })?;
    fact("host", &format!("{} ({})", plain(&status.name), text::short(&status.host)))?;
    fact("mesh", &format!("{} ({})", plain(&status.mesh_name), text::short(&status.mesh)))?;
    let members = text::count(status.members, "host");
    fact("members", &format!("{members}, {} linked", status.linked))?;
    fact("agents", &status.agents.to_string())?;
    fact("up for", &text::duration(status.uptime_seconds))?;
    fact("version", &plain(&status.version))?;
    fact("incarnation", &status.incarnation.to_string())?;
    fact("pid", &status.pid.to_string())?;
    fact("data", &plain(&status.data_dir))?;
    for address in &status.addresses {
        fact("address", &plain(address))?;
    }
    fact("certificate", &certificate(status))
}

fn certificate(status: &api::Status) -> String {
    let days = text::count(status.certificate_days, "day");
    let may = if status.may_admit { "may invite others" } else { "may not invite others" };
    format!("good for {days}, {may}")
}
