#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;

struct Place {
    dir: TempDir,
    world: World,
}

fn place(root: bool) -> Place {
    let dir = TempDir::new().unwrap();
    let world = World {
        root,
        etc: dir.path().join("etc"),
        cwd: dir.path().into(),
        env: [("HOME".to_owned(), dir.path().join("home").into())].into(),
        host_name: "machine".into(),
        ip6: false,
    };
    fs::create_dir_all(dir.path().join("etc/conf.d")).unwrap();
    fs::create_dir_all(dir.path().join("home/.config/starling")).unwrap();
    Place { dir, world }
}

impl Place {
    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::write(&path, text).unwrap();
        path
    }

    fn set(&mut self, variable: &str, value: &str) {
        self.world.env.insert(variable.into(), value.into());
    }

    fn load(&self) -> Config {
        Config::load_in(&self.world, &Overrides::default()).unwrap()
    }

    fn faults(&self) -> Vec<String> {
        let why = Config::load_in(&self.world, &Overrides::default()).unwrap_err();
        why.faults().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn defaults_for_root_and_for_users() {
    let root = place(true).load();
    assert_eq!(root.data_dir, Path::new("/var/lib/starling"));
    assert_eq!(root.control_socket(), Path::new("/var/lib/starling/control.sock"));
    assert_eq!(root.log_file(), Path::new("/var/lib/starling/daemon.log"));
    assert_eq!((root.name.as_str(), root.mdns, root.log.as_str()), ("machine", false, "info"));
    assert_eq!(root.listen, ["/ip4/0.0.0.0/tcp/4077", "/ip4/0.0.0.0/udp/4077/quic-v1"]);
    let mut user = place(false);
    assert_eq!(user.load().data_dir, user.dir.path().join("home/.local/state/starling"));
    user.set("XDG_STATE_HOME", "relative");
    assert_eq!(user.load().data_dir, user.dir.path().join("home/.local/state/starling"));
    user.set("XDG_STATE_HOME", "/state");
    assert_eq!(user.load().data_dir, Path::new("/state/starling"));
}

#[test]
fn ip6_is_listened_on_where_the_kernel_has_it() {
    let mut place = place(true);
    place.world.ip6 = true;
    let listen = place.load().listen;
    assert_eq!(listen[2..], ["/ip6/::/tcp/4077", "/ip6/::/udp/4077/quic-v1"]);
    assert!(listen.iter().all(|address| (setting::find("listen").unwrap().check)(address).is_ok()));
}

#[test]
fn each_source_goes_over_the_one_before_it() {
    let mut place = place(true);
    let main = place.file("etc/node.toml", "name = 'main'\nlog = 'warn'\nmesh_name = 'main'");
    let first = place.file("etc/conf.d/10.toml", "name = 'ten'\nmdns = false\nlog_json = true");
    let second = place.file("etc/conf.d/20.toml", "name = 'twenty'\nmesh_name = 'twenty'");
    place.file("etc/conf.d/30.toml.bak", "name = 'backup'");
    let config = place.load();
    assert_eq!((config.name.as_str(), config.log.as_str()), ("twenty", "warn"));
    assert_eq!((config.mdns, config.log_json), (false, true));
    assert_eq!(config.files, [main, first, second]);

    place.set("STARLING_NAME", "environment");
    place.set("STARLING_MESH_NAME", "environment");
    place.set("STARLING_LISTEN", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/udp/1/quic-v1");
    place.set("STARLING_MDNS", "true");
    place.set("STARLING_LOG", "");
    let config = place.load();
    assert_eq!((config.name.as_str(), config.mesh_name.as_str()), ("environment", "environment"));
    assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1"]);
    assert!(config.mdns && config.log == "warn");

    let overrides = Overrides {
        name: Some("flag".into()),
        data_dir: Some("here".into()),
        listen: vec!["/ip4/127.0.0.1/tcp/2".into()],
        mdns: Some(false),
        ..Overrides::default()
    };
    let config = Config::load_in(&place.world, &overrides).unwrap();
    assert_eq!((config.name.as_str(), config.mesh_name.as_str()), ("flag", "environment"));
    assert_eq!(config.data_dir, place.dir.path().join("here"));
    assert_eq!((config.listen.len(), config.mdns), (1, false));
}

#[test]
fn users_have_a_file_of_their_own_and_a_named_file_stands_alone() {
    let user = place(false);
    user.file("etc/node.toml", "name = 'system'");
    let own = user.file("home/.config/starling/node.toml", "name = 'own'");
    assert_eq!((user.load().name.as_str(), user.load().files), ("own", vec![own]));
    user.file("named.toml", "mdns = false");
    let named = |file: &str| {
        let overrides = Overrides { config_file: Some(file.into()), ..Overrides::default() };
        Config::load_in(&user.world, &overrides)
    };
    let config = named("named.toml").unwrap();
    assert_eq!((config.name.as_str(), config.mdns), ("machine", false));
    assert!(named("missing.toml").unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn an_unknown_key_has_line_column_caret_and_suggestion() {
    let place = place(true);
    let path = place.file("etc/node.toml", "# ü\nname = 'a'\n  listn = []\n");
    let expected = format!(
        "{}:3:3: unknown key `listn`\n  |\n3 |   listn = []\n  |   ^^^^^\n  help: did you mean `listen`?",
        path.display()
    );
    assert_eq!(place.faults(), [expected]);
    place.file("etc/node.toml", "Data-Dir = '/x'\nzebra = 1");
    let faults = place.faults();
    assert!(faults[0].contains("did you mean `data_dir`?"), "{faults:?}");
    assert!(faults[1].contains("the keys are data_dir, name,"), "{faults:?}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mut place = place(true);
    place.file(
        "etc/node.toml",
        "mdns = 'yes'\nlisten = ['/ip4/1.2.3/tcp/1', 7, '/dns4/a/tcp/1', '/ip4/127.0.0.1/tcp/1']\n\
         data_dir = 'here'\nname = 'a b'\nlog = 'inof'\nmesh_name = 3",
    );
    place.file("etc/conf.d/1.toml", "name = \nmdns = true");
    place.set("STARLING_LOG_JSON", "maybe");
    let overrides = Overrides { listen: vec!["nonsense".into()], ..Overrides::default() };
    let why = Config::load_in(&place.world, &overrides).unwrap_err();
    let said = why.to_string();
    for words in [
        "node.toml:1:8: `mdns` is `true` or `false`; this is of type string",
        "node.toml:2:11: \"/ip4/1.2.3/tcp/1\" is not a multiaddress",
        "node.toml:2:31: `listen` takes texts; this is of type integer",
        "node.toml:2:34: \"/dns4/a/tcp/1\" is not an address to listen on",
        "node.toml:3:12: \"here\" is not an absolute path",
        "node.toml:4:8: a name may not contain ' '",
        "node.toml:5:7: \"inof\" is not a level: did you mean `info`?",
        "node.toml:6:13: `mesh_name` is a text in quotes; this is of type integer",
        "conf.d/1.toml:1:",
        "STARLING_LOG_JSON: \"maybe\" is neither",
        "--listen: \"nonsense\" is not a multiaddress",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!(why.faults().len(), 11, "{said}");
}

#[test]
fn a_size_that_is_a_number_is_told_how_to_be_written() {
    let place = place(true);
    place.file("etc/node.toml", "journal_file_size = 262144\njournal_keep_age = 30");
    let faults = place.faults();
    let size = "is a text in quotes; this is of type integer";
    assert!(faults[0].contains(size), "{faults:?}");
    assert!(
        faults[0].ends_with("  help: write it as `journal_file_size = \"256KiB\"`"),
        "{faults:?}"
    );
    assert!(faults[1].ends_with("  help: write it as `journal_keep_age = \"30d\"`"), "{faults:?}");
}

#[test]
fn a_control_socket_that_cannot_be_is_refused() {
    let mut place = place(true);
    let fits = format!("/{}", "d".repeat(SOCKET_PATH_BYTES_MAX - "//control.sock".len()));
    place.set("STARLING_DATA_DIR", &fits);
    assert_eq!(place.load().control_socket().as_os_str().len(), SOCKET_PATH_BYTES_MAX);
    place.set("STARLING_DATA_DIR", &format!("{fits}d"));
    let faults = place.faults();
    assert!(faults[0].contains("has 108 bytes") && faults[0].contains("shorter"), "{faults:?}");
}

#[test]
fn without_a_home_one_is_asked_for_a_directory() {
    let mut place = place(false);
    place.world.env.clear();
    assert!(place.faults()[0].contains("--data-dir"));
}

#[test]
fn this_process_has_a_configuration() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("empty.toml");
    fs::write(&file, "").unwrap();
    let overrides = Overrides {
        config_file: Some(file),
        data_dir: Some(dir.path().into()),
        ..Overrides::default()
    };
    assert!(!Config::load(&overrides).unwrap().name.is_empty());
}

#[test]
fn the_journal_is_kept_as_people_write_sizes_and_ages() {
    let mut place = place(true);
    place.file("etc/node.toml", "journal_file_size = '1MiB'\njournal_keep_age = '12h'");
    place.set("STARLING_JOURNAL_KEEP_SIZE", "2GiB");
    let kept = place.load().journal;
    assert_eq!((kept.file_bytes, kept.keep_bytes), (1 << 20, 2 << 30));
    assert_eq!(kept.keep_age, std::time::Duration::from_secs(12 * 3600));
    assert_eq!(kept.file_age, Keeping::default().file_age);
    for (key, wrong, why) in [
        ("STARLING_JOURNAL_KEEP_SIZE", "many", "no size like"),
        ("STARLING_JOURNAL_FILE_SIZE", "1KiB", "at least 64KiB"),
        ("STARLING_JOURNAL_KEEP_AGE", "old", "no age like"),
        ("STARLING_JOURNAL_FILE_AGE", "1ms", "at least a second"),
    ] {
        let mut place = self::place(true);
        place.set(key, wrong);
        let said = Config::load_in(&place.world, &Overrides::default()).unwrap_err().to_string();
        assert!(said.contains(key) && said.contains(why), "{said}");
    }
}
