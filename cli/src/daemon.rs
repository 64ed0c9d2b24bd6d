//! What the command line needs of the daemon, beyond its control API.
//!
//! This is the seam to `starling-node`: until its `run` exists, the functions here say so.

use std::{
    env,
    path::{Path, PathBuf},
};

use starling_node::api::Joined;

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
#[expect(dead_code, reason = "the configuration of starling-node reads them")]
pub(crate) struct Overrides {
    /// Where to keep things.
    pub(crate) data_dir: Option<PathBuf>,
    /// The host's label.
    pub(crate) name: Option<String>,
    /// Addresses to listen on.
    pub(crate) listen: Vec<String>,
    /// Whether to look for others on the local network.
    pub(crate) mdns: Option<bool>,
    /// A configuration file instead of the usual ones.
    pub(crate) config_file: Option<PathBuf>,
}

/// The resolved configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where things are kept.
    pub(crate) data_dir: PathBuf,
}

impl Config {
    pub(crate) fn load(overrides: &Overrides) -> Result<Self, String> {
        let usual = || {
            let home = env::var_os("HOME").map(PathBuf::from);
            home.map(|home| home.join(".local/share/starling"))
        };
        let data_dir = overrides.data_dir.clone().or_else(usual).ok_or("HOME is not set")?;
        Ok(Self { data_dir })
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.data_dir.join("daemon.log")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.data_dir.join("host.key")
    }
}

/// What `init` made.
#[derive(Clone, Debug)]
pub(crate) struct Initialised {
    /// The host's id.
    pub(crate) host: String,
    /// The mesh's id.
    pub(crate) mesh: String,
}

/// The daemon, in the foreground, with the stock agents, until it is told to go down.
pub(crate) async fn run(config: Config) -> Result<(), String> {
    absent(&config.data_dir)
}

/// Makes an identity and a mesh, while no daemon runs.
pub(crate) fn init(config: &Config, _mesh_name: Option<&str>) -> Result<Initialised, String> {
    absent(&config.data_dir)
}

/// Joins a mesh, while no daemon runs.
pub(crate) async fn join(config: &Config, _token: &str) -> Result<Joined, String> {
    absent(&config.data_dir)
}

fn absent<T>(data_dir: &Path) -> Result<T, String> {
    Err(format!("this build has no daemon for {}", data_dir.display()))
}
