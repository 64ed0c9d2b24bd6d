//! What all commands share: where to write, and which daemon is meant.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    args::Globals,
    client::Client,
    daemon::{Config, Overrides},
    failure::Failure,
    output::Output,
    text,
};

/// One call of `p2p`.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where to write.
    pub(crate) out: Output,
    globals: Globals,
}

impl Session {
    pub(crate) fn new(out: Output, globals: Globals) -> Self {
        Self { out, globals }
    }

    /// The configuration of the daemon that is meant.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        self.config_with(Overrides::default())
    }

    /// The same, with more overrides from the command line.
    pub(crate) fn config_with(&self, overrides: Overrides) -> Result<Config, Failure> {
        let config_file = self.globals.config.clone();
        let overrides = Overrides { config_file, ..overrides };
        let data_dir = match (&self.globals.data_dir, &self.globals.node) {
            (Some(dir), _) => Some(absolute(dir)),
            (None, Some(node)) => Some(beside(&load(&overrides)?.data_dir, node)),
            (None, None) => env::var_os("STARLING_DATA_DIR")
                .filter(|dir| !dir.is_empty())
                .map(|dir| absolute(Path::new(&dir))),
        };
        load(&Overrides { data_dir, ..overrides })
    }

    /// A way to the daemon that is meant.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.config()?.control_socket(), self.program()))
    }

    /// How to call `p2p` for the same daemon, for hints.
    pub(crate) fn program(&self) -> String {
        let chosen = self.chosen();
        let words = chosen.iter().map(|word| text::shell(&word.to_string_lossy()));
        std::iter::once("p2p".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// The arguments that choose the same daemon.
    pub(crate) fn chosen(&self) -> Vec<OsString> {
        let Globals { data_dir, node, config, .. } = &self.globals;
        let pairs = [
            ("--data-dir", data_dir.as_ref().map(|dir| absolute(dir).into_os_string())),
            ("--node", node.as_ref().map(OsString::from)),
            ("--config", config.as_ref().map(|file| absolute(file).into_os_string())),
        ];
        let given = pairs.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?]));
        given.flatten().collect()
    }
}

fn load(overrides: &Overrides) -> Result<Config, Failure> {
    Config::load(overrides).map_err(|e| Failure::usage(e.to_string()))
}

/// The daemon and the command line may run in different directories.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn beside(data_dir: &Path, node: &str) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push("-");
    name.push(node);
    data_dir.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_live_side_by_side() {
        assert_eq!(beside(Path::new("/a/starling"), "b"), Path::new("/a/starling-b"));
    }
}
