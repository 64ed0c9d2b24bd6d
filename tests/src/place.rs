use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
};

use tempfile::TempDir;

use crate::{Host, Ran};

/// Where the daemons of one test live. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Place {
    program: PathBuf,
    daemon: Option<PathBuf>,
    settings: Vec<(&'static str, &'static str)>,
    dir: Rc<TempDir>,
}

impl Place {
    /// An empty place, and the `p2p` to use in it; see [`place!`](crate::place).
    ///
    /// # Panics
    /// When there can be no temporary directory.
    #[must_use]
    pub fn new(program: &str) -> Self {
        // Not the system's temporary directory: names of sockets must be short.
        let dir = tempfile::Builder::new().prefix("p2p-test-").tempdir_in("/tmp");
        let dir = Rc::new(dir.expect("a temporary directory"));
        Self { program: program.into(), daemon: None, settings: Vec::new(), dir }
    }

    /// Its hosts run this program, a daemon with kinds of its own, instead of `p2p up`.
    #[must_use]
    pub fn with_daemon(self, daemon: &str) -> Self {
        Self { daemon: Some(daemon.into()), ..self }
    }

    /// All programs in it have this in their environment.
    #[must_use]
    pub fn with_setting(mut self, name: &'static str, value: &'static str) -> Self {
        self.settings.push((name, value));
        self
    }

    /// The daemon of its hosts, if it is not `p2p`'s.
    pub(crate) fn daemon(&self) -> Option<Command> {
        Some(self.plain(self.daemon.as_ref()?, &[]))
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A host that has not been started; its data directory is not there yet.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        Host::new(self.clone(), name, self.dir().join(name))
    }

    /// A host that serves.
    #[must_use]
    pub fn up(&self, name: &str) -> Host {
        let mut host = self.host(name);
        host.up();
        host
    }

    /// Hosts that serve, in one mesh, each linked to all others. The first founded it.
    #[must_use]
    pub fn mesh<const N: usize>(&self, names: [&str; N]) -> [Host; N] {
        let hosts = names.map(|name| {
            let mut host = self.host(name);
            host.launch();
            host
        });
        hosts.iter().for_each(Host::ready);
        let founder = &hosts[0];
        for host in &hosts[1..] {
            host.joins(&founder.invite());
        }
        for host in &hosts {
            for other in &hosts {
                host.sees(&other.name, if host.name == other.name { "self" } else { "linked" });
            }
        }
        hosts
    }

    /// `p2p` with these words and nothing of the user's own settings.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        self.plain(&self.program, words)
    }

    fn plain(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        let settings = env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("STARLING_")) {
            command.env_remove(name);
        }
        command
            .args(words)
            .env("XDG_CONFIG_HOME", self.dir().join("config"))
            .env("XDG_STATE_HOME", self.dir().join("state"))
            .env("HOME", self.dir())
            .env("NO_COLOR", "1")
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs `p2p` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        self.command(words).output().expect("p2p starts").into()
    }
}
