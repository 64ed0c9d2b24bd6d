//! The settings: their keys, what they may be, and where they go.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use libp2p::{Multiaddr, multiaddr::Protocol};
use starling_protocols::limits::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX};
use tracing_subscriber::EnvFilter;

use super::Config;

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Flag,
    List,
}

/// One setting.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    /// What a text may be, for who has written something else; empty where that is obvious.
    pub(super) example: &'static str,
    /// Judges a text, or one item of a list.
    pub(super) check: fn(&str) -> Result<(), String>,
    /// The value has the setting's shape.
    pub(super) put: fn(&mut Config, Value),
}

pub(super) const SETTINGS: [Setting; 12] = [
    Setting {
        key: "data_dir",
        shape: Shape::Text,
        example: "",
        check: check_anything,
        put: |config, value| config.data_dir = PathBuf::from(value.text()),
    },
    Setting {
        key: "name",
        shape: Shape::Text,
        example: "",
        check: check_name,
        put: |config, value| config.name = value.text(),
    },
    Setting {
        key: "listen",
        shape: Shape::List,
        example: "",
        check: check_listen,
        put: |config, value| config.listen = value.list(),
    },
    Setting {
        key: "advertise",
        shape: Shape::List,
        example: "",
        check: |text| check_address(text).map(drop),
        put: |config, value| config.advertise = value.list(),
    },
    Setting {
        key: "mdns",
        shape: Shape::Flag,
        example: "",
        check: check_anything,
        put: |config, value| config.mdns = value.flag(),
    },
    Setting {
        key: "mesh_name",
        shape: Shape::Text,
        example: "",
        check: check_name,
        put: |config, value| config.mesh_name = value.text(),
    },
    Setting {
        key: "log",
        shape: Shape::Text,
        example: "",
        check: check_log,
        put: |config, value| config.log = value.text(),
    },
    Setting {
        key: "log_json",
        shape: Shape::Flag,
        example: "",
        check: check_anything,
        put: |config, value| config.log_json = value.flag(),
    },
    Setting {
        key: "journal_file_size",
        shape: Shape::Text,
        example: "256KiB",
        check: |text| size(text).map(drop),
        put: |config, value| config.journal.file_bytes = size(&value.text()).unwrap_or_default(),
    },
    Setting {
        key: "journal_file_age",
        shape: Shape::Text,
        example: "12h",
        check: |text| age(text).map(drop),
        put: |config, value| config.journal.file_age = age(&value.text()).unwrap_or_default(),
    },
    Setting {
        key: "journal_keep_size",
        shape: Shape::Text,
        example: "1GiB",
        check: |text| size(text).map(drop),
        put: |config, value| config.journal.keep_bytes = size(&value.text()).unwrap_or_default(),
    },
    Setting {
        key: "journal_keep_age",
        shape: Shape::Text,
        example: "30d",
        check: |text| age(text).map(drop),
        put: |config, value| config.journal.keep_age = age(&value.text()).unwrap_or_default(),
    },
];

/// Smaller files would be begun all the time.
const SIZE_MIN: u64 = 64 * 1024;

/// As short as a test may want it.
const AGE_MIN: Duration = Duration::from_secs(1);

fn size(text: &str) -> Result<u64, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|why| format!("{text:?} is no size like `256MiB` or `1GiB`: {why}"))?;
    if size.as_u64() < SIZE_MIN {
        return Err(format!("{text:?} is too small: at least 64KiB"));
    }
    Ok(size.as_u64())
}

fn age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text)
        .map_err(|why| format!("{text:?} is no age like `12h` or `30d`: {why}"))?;
    if age < AGE_MIN {
        return Err(format!("{text:?} is too short: at least a second"));
    }
    Ok(age)
}

pub(super) fn find(key: &str) -> Option<&'static Setting> {
    const { &SETTINGS }.iter().find(|setting| setting.key == key)
}

/// The word of `words` that `found` was probably meant to be.
pub(super) fn suggestion<'a>(
    found: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let found = found.to_lowercase();
    let near = |word: &&str| strsim::damerau_levenshtein(&found, word);
    words.into_iter().min_by_key(near).filter(|word| near(word) <= 1 + word.len() / 4)
}

impl Setting {
    /// The value that a text from the environment stands for.
    pub(super) fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self.shape {
            Shape::Text => Value::Text(text.to_owned()),
            Shape::Flag => Value::Flag(flag(text)?),
            Shape::List => Value::List(text.split(',').map(|item| item.trim().into()).collect()),
        };
        self.check_all(&value)?;
        Ok(value)
    }

    pub(super) fn check_all(&self, value: &Value) -> Result<(), String> {
        match value {
            Value::Text(text) => (self.check)(text),
            Value::Flag(_) => Ok(()),
            Value::List(items) => items.iter().try_for_each(|item| (self.check)(item)),
        }
    }
}

impl Value {
    fn text(self) -> String {
        let Self::Text(text) = self else { unreachable!("the shape was checked") };
        text
    }

    fn flag(self) -> bool {
        let Self::Flag(flag) = self else { unreachable!("the shape was checked") };
        flag
    }

    fn list(self) -> Vec<String> {
        let Self::List(list) = self else { unreachable!("the shape was checked") };
        list
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("{other:?} is neither `true` nor `false`")),
    }
}

fn check_anything(_: &str) -> Result<(), String> {
    Ok(())
}

/// In a file a path must be absolute: nobody knows where a service is started.
pub(super) fn check_absolute(text: &str) -> Result<(), String> {
    if Path::new(text).is_absolute() {
        return Ok(());
    }
    Err(format!("{text:?} is not an absolute path (one that begins with `/`)"))
}

fn check_name(text: &str) -> Result<(), String> {
    if !(1..=NAME_BYTES_MAX).contains(&text.len()) {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes, this one {}", text.len()));
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || "@/".contains(*c)) {
        Some(bad) => Err(format!("a name may not contain {bad:?}")),
        None => Ok(()),
    }
}

fn check_address(text: &str) -> Result<Multiaddr, String> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(format!("an address has at most {ADDRESS_BYTES_MAX} bytes"));
    }
    let address: Multiaddr = text.parse().map_err(|why| {
        format!("{text:?} is not a multiaddress like `/ip4/0.0.0.0/tcp/4077`: {why}")
    })?;
    if address.is_empty() {
        return Err("the address is empty".into());
    }
    Ok(address)
}

fn check_listen(text: &str) -> Result<(), String> {
    let address = check_address(text)?;
    let protocols: Vec<_> = address.iter().collect();
    match protocols[..] {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => Ok(()),
        _ => Err(format!(
            "{text:?} is not an address to listen on: `/ip4/…` or `/ip6/…` and then `/tcp/PORT` \
             or `/udp/PORT/quic-v1`"
        )),
    }
}

fn check_log(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    EnvFilter::try_new(text).map_err(|why| format!("{text:?} is not a log filter: {why}"))?;
    // A mistyped level would be taken for the name of a module, and nothing would be logged.
    for word in text.split(',').filter(|word| !word.contains(['=', '[', ':'])) {
        let level = suggestion(word, LEVELS).filter(|level| !word.eq_ignore_ascii_case(level));
        if let Some(level) = level {
            return Err(format!("{word:?} is not a level: did you mean `{level}`?"));
        }
    }
    Ok(())
}
