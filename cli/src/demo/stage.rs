//! The stage: a temporary directory and the daemons in it.

use std::{
    env, ffi::OsString, fs::Permissions, os::unix::fs::PermissionsExt, path::Path, time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::{
    client::Client,
    commands::down::go_down,
    daemon::{Config, Overrides},
    failure::Failure,
    launch::{self, Launched},
    output::Output,
    text,
};

/// How long a daemon may take to end after it has said that it goes down, or was killed.
const END_TIME: Duration = Duration::from_secs(5);

/// The name of a socket has little room; temporary directories of some systems take most of it.
const DIR_BYTES_MAX: usize = 60;

/// One daemon.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) client: Client,
    launched: Launched,
}

/// All of them. Dropped, it kills them and removes the directory.
#[derive(Debug)]
pub(super) struct Stage {
    hosts: Vec<Host>,
    dir: Option<TempDir>,
}

impl Stage {
    pub(super) fn set() -> Result<Self, Failure> {
        let usual = env::temp_dir();
        let long = usual.as_os_str().len() > DIR_BYTES_MAX;
        let within = if long { Path::new("/tmp") } else { &usual };
        let dir = tempfile::Builder::new()
            .prefix("p2p-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(within)
            .map_err(|e| Failure::failed(format!("no temporary directory: {e}")))?;
        Ok(Self { hosts: Vec::new(), dir: Some(dir) })
    }

    fn dir(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Starts one more daemon, without waiting for it.
    pub(super) fn add(&mut self, name: &'static str) -> Result<(), Failure> {
        let dir = self.dir().to_owned();
        let data_dir = dir.join(name);
        let data = Some(data_dir.clone());
        let config = Config::load(&Overrides { data_dir: data, ..Overrides::default() })
            .map_err(|e| Failure::usage(e.to_string()))?;
        let launched =
            launch::launch(arguments(name, &data_dir), &data_dir, config.log_file(), |command| {
                alone(command, &dir);
            })?;
        let program = format!("p2p --data-dir {}", text::shell(&data_dir.to_string_lossy()));
        let client = Client::new(config.control_socket(), program);
        self.hosts.push(Host { name, client, launched });
        Ok(())
    }

    /// Waits until all serve.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        for host in &mut self.hosts {
            // The logs are shown with every failure, and are gone afterwards.
            let start = host.launched.ready(&host.client).await;
            let name = host.name;
            start.map_err(|e| Failure::told(e.exit(), format!("{name} did not start")))?;
        }
        Ok(())
    }

    pub(super) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// All go down in good order.
    pub(super) async fn down(&mut self) -> Result<(), Failure> {
        for host in &mut self.hosts {
            go_down(&host.client).await?;
            let ended = timeout(END_TIME, host.launched.child.wait()).await;
            let name = host.name;
            match ended {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => {
                    return Err(Failure::failed(format!("{name} went down badly: {status}")));
                }
                _ => return Err(Failure::late(format!("{name} went down, but does not end"))),
            }
        }
        Ok(())
    }

    /// Kills what is left, and waits, so that the directory can go.
    pub(super) async fn clear(mut self) {
        for host in &mut self.hosts {
            // Killing fails only for a process that has ended, which is what is wanted.
            let _ = timeout(END_TIME, host.launched.child.kill()).await;
        }
    }

    /// The last lines of each log.
    pub(super) fn logs(&self) -> String {
        let log = |host: &Host| {
            let tail = host.launched.tail();
            let tail = if tail.is_empty() { "  | (empty)".into() } else { tail };
            format!("the log of {}:\n{tail}", host.name)
        };
        self.hosts.iter().map(log).collect::<Vec<_>>().join("\n")
    }

    /// Leaves all running, and says how to go on.
    pub(super) fn leave(mut self, out: &Output) -> Result<(), Failure> {
        self.hosts.clear();
        let Some(dir) = self.dir.take().map(TempDir::keep) else { return Ok(()) };
        let dir = text::shell(&dir.to_string_lossy());
        let alpha = format!("p2p --data-dir {dir}/alpha");
        out.line(&format!(
            "\nThe three go on running. Talk to them with:\n  \
             {alpha} members\n  \
             {alpha} agents\n  \
             {alpha} request visits@beta counter/read '{{}}'\n  \
             {alpha} subscribe demo/said\n\
             and stop them with:\n  \
             for host in alpha beta gamma; do p2p --data-dir {dir}/$host down; done; rm -r {dir}"
        ))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            let _ = host.launched.child.start_kill();
        }
    }
}

fn arguments(name: &str, data_dir: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--data-dir".into(), data_dir.into()];
    let rest = ["up", "--foreground", "--quiet", "--mdns=false", "--name", name];
    words.extend(rest.map(Into::into));
    words.extend(["--listen", "/ip4/127.0.0.1/tcp/0"].map(Into::into));
    words
}

/// Nothing of the user's own configuration is to take part.
fn alone(command: &mut Command, dir: &Path) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("STARLING_") {
            command.env_remove(name);
        }
    }
    command.env("XDG_CONFIG_HOME", dir.join("config"));
}
