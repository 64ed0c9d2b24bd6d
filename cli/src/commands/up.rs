//! `p2p up`

use std::{ffi::OsString, time::Duration};

use clap::Args;
use starling_node::api;
use tokio::time::{interval, timeout};

use crate::{
    client::{Client, Presence},
    daemon::{self, Config, Overrides},
    failure::Failure,
    launch::{self, START_TIME},
    session::Session,
    text,
};

/// Start the daemon of this machine
///
/// On first start it makes an identity for this host and a mesh with this one host in it. `p2p
/// invite` then lets others in, or `p2p join` takes this host into another mesh.
///
/// What is given here holds until the daemon ends. What is to hold at every start stands in a file,
/// as name = "alpha" and listen = ["/ip4/0.0.0.0/tcp/4001"]: ~/.config/starling/node.toml, for root
/// /etc/starling/node.toml, or --config FILE.
#[derive(Debug, Default, Args)]
#[command(before_help = "  p2p up                        in the background
  p2p up --name alpha --port 4001
  p2p --node b up               a second daemon on the same machine
  p2p up --foreground           for service managers and containers
")]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) how: How,
}

/// How the daemon is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct How {
    /// Stay in the foreground
    #[arg(long)]
    pub(crate) foreground: bool,
    /// What to call this host
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where to listen for other hosts, as /ip4/0.0.0.0/tcp/4001; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,
    /// Listen on this port, TCP and QUIC, on all interfaces
    #[arg(long, value_name = "N", conflicts_with = "listen")]
    pub(crate) port: Option<u16>,
    /// Look for hosts of the mesh on the local network
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub(crate) mdns: Option<bool>,
}

impl Up {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        self.how.start(session).await
    }
}

impl How {
    /// The names of its arguments.
    pub(crate) const IDS: [&str; 5] = ["foreground", "name", "listen", "port", "mdns"];

    /// Starts the daemon, if it does not run yet.
    pub(crate) async fn start(self, session: &Session) -> Result<(), Failure> {
        let config = session.config_with(self.overrides())?;
        let client = Client::new(config.control_socket(), session.program());
        if client.presence().await != Presence::Absent {
            if self.foreground {
                return Err(Failure::failed("the daemon is already running, in the background")
                    .next(format!("end it first: {} down", session.program())));
            }
            session.out.note("the daemon is already running");
            return summary(session, &client, &config).await;
        }
        if self.foreground {
            return foreground(session, &client, config).await;
        }
        self.background(session, &client, &config).await
    }

    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            name: self.name.clone(),
            listen: self.addresses(),
            mdns: self.mdns,
            ..Overrides::default()
        }
    }

    fn addresses(&self) -> Vec<String> {
        match self.port {
            None => self.listen.clone(),
            Some(port) => {
                vec![format!("/ip4/0.0.0.0/tcp/{port}"), format!("/ip4/0.0.0.0/udp/{port}/quic-v1")]
            }
        }
    }

    /// Starts the daemon, detached from this process.
    async fn background(
        self,
        session: &Session,
        client: &Client,
        config: &Config,
    ) -> Result<(), Failure> {
        let arguments = session.chosen().into_iter().chain(self.daemon_arguments());
        let mut launched = launch::launch(arguments, &config.data_dir, config.log_file(), |_| {})?;
        launched.ready(client).await?;
        summary(session, client, config).await
    }

    fn daemon_arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["up", "--foreground", "--quiet"].map(Into::into).into();
        if let Some(name) = &self.name {
            words.extend(["--name".into(), name.into()]);
        }
        for address in self.addresses() {
            words.extend(["--listen".into(), address.into()]);
        }
        words.extend(self.mdns.map(|on| format!("--mdns={on}").into()));
        words
    }
}

async fn foreground(session: &Session, client: &Client, config: Config) -> Result<(), Failure> {
    let announced = config.clone();
    let running = daemon::run(config);
    tokio::pin!(running);
    let announce = async {
        if !session.out.quiet && ready(client).await {
            summary(session, client, &announced).await?;
        }
        Ok::<_, Failure>(())
    };
    let ended = tokio::select! {
        ended = &mut running => ended,
        announced = announce => { announced?; running.await }
    };
    ended
}

async fn ready(client: &Client) -> bool {
    let mut tick = interval(Duration::from_millis(50));
    let polling = async {
        while client.presence().await != Presence::Ready {
            tick.tick().await;
        }
    };
    timeout(START_TIME, polling).await.is_ok()
}

/// Who is up, where it keeps things, and what can be done next.
async fn summary(session: &Session, client: &Client, config: &Config) -> Result<(), Failure> {
    let status: api::Status = client.get("/v1/status").await?;
    let out = &session.out;
    if out.is_json() {
        return out.envelope("up", &status);
    }
    if out.quiet {
        return out.line(&text::plain(&status.host));
    }
    let (name, mesh) = (text::plain(&status.name), text::plain(&status.mesh_name));
    let fact = |label: &str, value: &str| {
        out.line(&format!("  {}  {value}", out.paint.dim(&format!("{label:<8}"))))
    };
    out.line(&format!("{} is up", out.paint.bold(&name)))?;
    fact("host", &text::short(&status.host))?;
    let members = text::count(status.members, "host");
    fact("mesh", &format!("{mesh} ({}), {members}", text::short(&status.mesh)))?;
    for address in &status.addresses {
        fact("address", &text::plain(address))?;
    }
    fact("data", &config.data_dir.display().to_string())?;
    fact("log", &config.log_file().display().to_string())?;
    suggest(session, &status);
    Ok(())
}

fn suggest(session: &Session, status: &api::Status) {
    let program = session.program();
    let mut hints = Vec::new();
    if status.may_admit {
        hints.push((format!("{program} invite"), "let another machine in"));
    }
    if status.members <= 1 {
        hints.push((format!("{program} join TOKEN"), "go into another mesh instead"));
        hints.push(("p2p demo".to_owned(), "watch three hosts talk"));
    } else {
        hints.push((format!("{program} members"), "who is in the mesh"));
    }
    session.out.note("next:");
    session.out.hints(&hints);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_means_tcp_and_quic() {
        let up = How { port: Some(4001), ..How::default() };
        let expected = ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"];
        assert_eq!(up.addresses(), expected);
    }

    #[test]
    fn the_daemon_is_told_what_we_were_told() {
        let up = How { name: Some("a".into()), mdns: Some(false), ..How::default() };
        let words = ["up", "--foreground", "--quiet", "--name", "a", "--mdns=false"];
        assert_eq!(up.daemon_arguments(), words);
    }
}
