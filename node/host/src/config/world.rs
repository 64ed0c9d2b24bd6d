use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    net::{Ipv6Addr, UdpSocket},
    path::PathBuf,
};

/// What the settings depend on beside files and flags; a value, so that tests can make one up.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) root: bool,
    pub(super) etc: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) env: BTreeMap<String, OsString>,
    pub(super) host_name: String,
    pub(super) ip6: bool,
}

impl World {
    pub(super) fn of_this_process() -> Self {
        let env =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            root: rustix::process::geteuid().is_root(),
            etc: "/etc/starling".into(),
            cwd: env::current_dir().unwrap_or_else(|_| "/".into()),
            env: env.collect(),
            host_name: if host_name.is_empty() { "host".into() } else { host_name },
            ip6: UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok(),
        }
    }

    pub(super) fn config_dir(&self) -> Option<PathBuf> {
        if self.root {
            return Some(self.etc.clone());
        }
        self.user_dir("XDG_CONFIG_HOME", ".config")
    }

    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        if self.root {
            return Some("/var/lib/starling".into());
        }
        self.user_dir("XDG_STATE_HOME", ".local/state")
    }

    /// As the XDG base directory specification has it: a relative path counts as not set.
    fn user_dir(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute =
            |name: &str| self.env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
        Some(base.join("starling"))
    }
}
