//! The settings of a daemon, and where they come from. Each source goes over the one before it;
//! a list is replaced, not added to:
//!
//! 1. defaults;
//! 2. as root `/etc/starling/node.toml`, then `/etc/starling/conf.d/*.toml` in the order of their
//!    names; as a user `$XDG_CONFIG_HOME/starling/node.toml` (`~/.config` when it is not set);
//!    or, instead of these, the one file that was named;
//! 3. the environment: `STARLING_` and the key in capitals (`STARLING_DATA_DIR`, …), lists
//!    separated by commas; an empty variable counts as not set;
//! 4. [`Overrides`], from the command line.
//!
//! All mistakes are reported at once, those in files with line and column.

mod error;
mod file;
mod setting;
mod world;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::{ConfigError, Fault, Snippet};
use setting::{SETTINGS, Value};
use starling_protocols::{
    ident::MeshId,
    limits::{JOURNAL_FILE_AGE_MAX, JOURNAL_FILE_BYTES_MAX},
};
use world::World;

use crate::journal;

/// The longest path that fits into a unix socket's address (108 bytes with the zero at its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The settings of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept; absolute.
    pub data_dir: PathBuf,
    /// The host's name, for people; the machine's host name by default.
    pub name: String,
    /// Where to listen (multiaddresses). Empty: dial only.
    pub listen: Vec<String>,
    /// Addresses to tell others in addition to those found, as when a port is forwarded.
    pub advertise: Vec<String>,
    /// Whether to look for hosts of the mesh on the local network.
    pub mdns: bool,
    /// The name that a new mesh gets.
    pub mesh_name: String,
    /// What to log, as a filter: `info`, or `info,starling_node=debug`.
    pub log: String,
    /// Whether to log as lines of JSON.
    pub log_json: bool,
    /// How the journal is kept.
    pub journal: Keeping,
    /// The files that were read, the first one first.
    pub files: Vec<PathBuf>,
}

/// How the journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Bytes after which another file is begun (`journal_file_size`); 256 MiB.
    pub file_bytes: u64,
    /// The age at which another file is begun (`journal_file_age`); a day.
    pub file_age: Duration,
    /// Bytes of closed files that are kept (`journal_keep_size`); 1 GiB. Beyond it the oldest are
    /// deleted.
    pub keep_bytes: u64,
    /// How long closed files are kept (`journal_keep_age`); 30 days.
    pub keep_age: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        let kept = journal::Options::default();
        Self {
            file_bytes: JOURNAL_FILE_BYTES_MAX,
            file_age: JOURNAL_FILE_AGE_MAX,
            keep_bytes: kept.retain_bytes,
            keep_age: kept.retain_age,
        }
    }
}

/// What the command line says; it goes over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The one file to read, instead of those at the usual places.
    pub config_file: Option<PathBuf>,
    /// See [`Config::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// See [`Config::name`].
    pub name: Option<String>,
    /// See [`Config::listen`]; empty when not given.
    pub listen: Vec<String>,
    /// See [`Config::mdns`].
    pub mdns: Option<bool>,
    /// See [`Config::mesh_name`].
    pub mesh_name: Option<String>,
}

impl Config {
    /// Gathers the settings.
    ///
    /// # Errors
    /// [`ConfigError`] lists every mistake that was found.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_in(&World::of_this_process(), overrides)
    }

    /// Where `p2p` talks to the daemon.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }

    /// Where the host's secret key is.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join(crate::disk::KEY_FILE)
    }

    /// Where this host keeps the documents of a mesh.
    #[must_use]
    pub fn documents_dir(&self, mesh: MeshId) -> PathBuf {
        self.data_dir.join("documents").join(mesh.short())
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.data_dir.join("journal")
    }

    /// Where a daemon in the background logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.data_dir.join("daemon.log")
    }

    fn load_in(world: &World, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut config = Self::defaults(world);
        for path in config_files(world, overrides, &mut faults) {
            file::apply(&path, &mut config, &mut faults);
            config.files.push(path);
        }
        config.apply_environment(world, &mut faults);
        config.apply_overrides(overrides, &mut faults);
        config.settle(world, &mut faults);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::new(faults)) }
    }

    fn defaults(world: &World) -> Self {
        Self {
            data_dir: world.state_dir().unwrap_or_default(),
            name: world.host_name.clone(),
            listen: default_listen(world.ip6),
            advertise: Vec::new(),
            mdns: false,
            mesh_name: "starling".into(),
            log: "info".into(),
            log_json: false,
            journal: Keeping::default(),
            files: Vec::new(),
        }
    }

    fn apply_environment(&mut self, world: &World, faults: &mut Vec<Fault>) {
        for setting in &SETTINGS {
            let variable = format!("STARLING_{}", setting.key.to_uppercase());
            let Some(text) = world.env.get(&variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            let value = text.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
            match value.and_then(|text| setting.parse(text)) {
                Ok(value) => (setting.put)(self, value),
                Err(why) => faults.push(Fault::new(variable, why)),
            }
        }
    }

    fn apply_overrides(&mut self, overrides: &Overrides, faults: &mut Vec<Fault>) {
        let list = (!overrides.listen.is_empty()).then(|| Value::List(overrides.listen.clone()));
        let given = [
            ("name", overrides.name.clone().map(Value::Text)),
            ("listen", list),
            ("mdns", overrides.mdns.map(Value::Flag)),
            ("mesh_name", overrides.mesh_name.clone().map(Value::Text)),
        ];
        for (key, value) in given {
            let Some(value) = value else { continue };
            let setting = setting::find(key).expect("every override is a setting");
            match setting.check_all(&value) {
                Ok(()) => (setting.put)(self, value),
                Err(why) => faults.push(Fault::new(format!("--{}", key.replace('_', "-")), why)),
            }
        }
        if let Some(dir) = &overrides.data_dir {
            // Not through a text: a path need not be UTF-8.
            self.data_dir.clone_from(dir);
        }
    }

    /// Checks what only the whole shows.
    fn settle(&mut self, world: &World, faults: &mut Vec<Fault>) {
        if self.data_dir.as_os_str().is_empty() {
            let why = "it is not known where to keep data: neither HOME nor XDG_STATE_HOME is set";
            faults
                .push(Fault::new("data_dir", why).help("set STARLING_DATA_DIR, or use --data-dir"));
            return;
        }
        self.data_dir = world.cwd.join(&self.data_dir);
        let socket = self.control_socket();
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_BYTES_MAX {
            let why = format!(
                "the path of the control socket, {}, has {length} bytes; a unix socket's may have \
                 {SOCKET_PATH_BYTES_MAX}",
                socket.display()
            );
            faults.push(Fault::new("data_dir", why).help("choose a shorter data directory"));
        }
    }
}

/// TCP and QUIC on the port 4077, on all interfaces.
///
/// IPv6 has listeners of its own, because libp2p opens its IPv6 sockets for IPv6 only: the two
/// families never compete for a port, and peers do not appear as `::ffff:…` addresses. Where the
/// kernel has no IPv6 they are left out, because listening there would fail the start. An address
/// that a person has written down is not treated so gently.
fn default_listen(ip6: bool) -> Vec<String> {
    let hosts: &[&str] = if ip6 { &["/ip4/0.0.0.0", "/ip6/::"] } else { &["/ip4/0.0.0.0"] };
    hosts
        .iter()
        .flat_map(|host| [format!("{host}/tcp/4077"), format!("{host}/udp/4077/quic-v1")])
        .collect()
}

fn config_files(world: &World, overrides: &Overrides, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    if let Some(named) = &overrides.config_file {
        return vec![world.cwd.join(named)];
    }
    let Some(dir) = world.config_dir() else { return Vec::new() };
    let main = dir.join("node.toml");
    let mut files = Vec::new();
    // One that is there but closed to us is an error, when it is read.
    if main.try_exists().unwrap_or(true) {
        files.push(main);
    }
    if world.root {
        files.extend(drop_ins(&dir.join("conf.d"), faults));
    }
    files
}

fn drop_ins(dir: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(why) => {
            faults.push(Fault::new(dir.display(), format!("cannot be read: {why}")));
            return Vec::new();
        }
    };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}
