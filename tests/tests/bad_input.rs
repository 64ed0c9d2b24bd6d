//! Whatever is typed, sent or found on the disk: the answer says what is wrong and what to do, and
//! the daemon goes on.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::process::geteuid;
use serde_json::json;
use starling_tests::{Ran, call, exchange, place, until};

const BODY_BYTES_MAX: usize = starling_protocols::limits::BODY_BYTES_MAX;

#[test]
fn what_does_not_exist_is_not_found_and_what_does_is_named() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    let fails = |words: &[&str], said: &[&str]| alpha.run(words).failed(5, said);
    let kinds = fails(&["start", "coutner"], &["coutner", "counter"]);
    assert!(["echo", "guest"].iter().all(|kind| kinds.err.contains(kind)), "{kinds:?}");
    fails(&["request", "visits", "counter/fly", "{}"], &["counter/fly", "not carried out"]);
    fails(&["request", "visitors", "counter/read", "{}"], &["visitors", "p2p agents"]);
    fails(&["request", "visits@omega", "counter/read", "{}"], &["omega", "p2p members"]);
    fails(&["start", "echo", "--on", "omega"], &["omega", "p2p members"]);
    fails(&["stop", "visitors"], &["visitors"]);
    fails(&["inspect", "visitors"], &["visitors"]);
    alpha.run(&["stop", "host"]).failed(4, &["built-in"]);
}

#[test]
fn a_name_that_several_have_is_ambiguous() {
    let place = place!();
    let [alpha, beta] = place.mesh(["alpha", "beta"]);
    for host in [&alpha, &beta] {
        let _ = host.start("counter", "visits");
    }
    let read = |whom: &str| alpha.run(&["request", whom, "counter/read", "{}"]);
    let several = read("visits").failed(2, &["visits", "visits@HOST"]);
    assert!(["alpha", "beta"].iter().all(|host| several.err.contains(host)), "{several:?}");
    assert_eq!(read("visits@beta").well(), "0");
    alpha.run(&["start", "counter", "--name", "visits"]).failed(1, &["visits"]);
}

#[test]
fn a_body_that_does_not_fit_names_the_field() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    let add = |body: &str| alpha.run(&["request", "visits", "counter/add", body]);
    add(r#"{"by":"three"}"#).failed(1, &["by", "expected i64", "not carried out"]);
    add(r#"{"bye":3}"#).failed(1, &["bye"]);
    add("{}").failed(1, &["by"]);
    add(r#"{"by":}"#).failed(2, &["not valid JSON", "column 7", "^"]);
    alpha.run(&["start", "counter", "--state", r#"{"value":"x"}"#]).failed(1, &["value"]);
    assert_eq!(alpha.ask("visits", "counter/read", &json!({})), 0);
    assert!(alpha.metric("bad_bodies") >= 3);
    // The control API names what does not fit it, too.
    let answer = alpha.call("POST", "/v1/request", &json!({ "to": 3, "request": "a/b" }));
    assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("bad-body")));
    assert!(answer.body.contains("`to`"), "{answer:?}");
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let place = place!();
    let [alpha, beta] = place.mesh(["alpha", "beta"]);
    for host in [&alpha, &beta] {
        let echo = host.start("echo", "echo");
        let say = |bytes: usize| {
            let body = json!({ "text": "x".repeat(bytes) });
            let ask = json!({ "to": echo, "request": "echo/say", "body": body });
            alpha.call("POST", "/v1/request", &ask)
        };
        let large = say(BODY_BYTES_MAX / 2);
        let text = large.json()["reply"]["text"].as_str().map(str::len);
        assert_eq!((large.status, text), (200, Some(BODY_BYTES_MAX / 2)));
        let too_large = say(BODY_BYTES_MAX + 1);
        assert!((400..500).contains(&too_large.status), "{too_large:?}");
        assert!(too_large.body.contains("more than a message may have"), "{too_large:?}");
        // And beyond what the control socket reads at all.
        let endless = say(3 * BODY_BYTES_MAX);
        assert_eq!((endless.status, &endless.json()["code"]), (413, &json!("usage")));
    }
    assert_eq!(alpha.metric("too_large"), 2);
    alpha.sees("beta", "linked");
}

#[test]
fn a_flood_is_answered_or_counted_and_nothing_hangs() {
    let place = place!();
    let alpha = place.up("alpha");
    let _ = alpha.start("counter", "visits");
    let (hands, each) = (32, 60);
    let add = json!({ "to": "visits", "request": "counter/add", "body": { "by": 1 } }).to_string();
    let floods: Vec<_> = (0..hands)
        .map(|_| {
            let (socket, add) = (alpha.socket(), add.clone());
            thread::spawn(move || {
                let ask = |_| call(&socket, "POST", "/v1/request", &add).map_or(0, |a| a.status);
                (0..each).map(ask).filter(|status| *status == 200).count()
            })
        })
        .collect();
    let done: usize = floods.into_iter().map(|flood| flood.join().expect("no panic")).sum();
    assert_eq!(alpha.ask("visits", "counter/read", &json!({})), json!(done));
    let refused = usize::try_from(alpha.metric("control_refused")).expect("small");
    let busy = usize::try_from(alpha.metric("mailbox_full")).expect("small");
    assert_eq!(done + refused + busy, hands * each);
}

#[test]
fn a_host_that_does_not_read_makes_its_callers_busy_and_nothing_hangs() {
    let place = place!();
    let [alpha, mut beta] = place.mesh(["alpha", "beta"]);
    let echo = beta.start("echo", "echo");
    beta.freeze();
    let body = json!({ "text": "x".repeat(BODY_BYTES_MAX - 100) });
    let ask = json!({ "to": echo, "request": "echo/say", "body": body, "timeout_ms": 20_000 });
    let ask = ask.to_string();
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let (socket, ask) = (alpha.socket(), ask.clone());
            thread::spawn(move || call(&socket, "POST", "/v1/request", &ask).map(|a| a.status))
        })
        .collect();
    until("the queue is full", || (alpha.metric("queue_full") >= 1).then_some(()));
    // What stands still for one host does not stand still for others.
    assert_eq!(alpha.run(&["agents", "--host", "alpha"]).code, 0);
    beta.thaw();
    let answers = asked.into_iter().map(|asked| asked.join().expect("no panic").expect("answered"));
    let (done, refused): (Vec<_>, Vec<_>) = answers.partition(|status| *status == 200);
    assert!(refused.iter().all(|status| *status == 429), "{refused:?}");
    assert_eq!(alpha.metric("queue_full"), refused.len() as u64);
    assert!(done.len() >= 4, "{done:?}");
    alpha.sees("beta", "linked");
}

#[test]
fn too_many_connections_are_turned_away_with_a_word() {
    let place = place!();
    let alpha = place.up("alpha");
    let open = || UnixStream::connect(alpha.socket()).expect("it listens");
    let silent: Vec<_> =
        (0..starling_protocols::limits::CONTROL_CONNECTIONS_MAX).map(|_| open()).collect();
    let told = until("one is turned away", || {
        let answer = alpha.try_call("GET", "/v1/status", "").ok()?;
        (answer.status == 429).then_some(answer)
    });
    assert!(told.body.contains("too many programs"), "{told:?}");
    drop(silent);
    until("there is room again", || {
        let answer = alpha.try_call("GET", "/v1/status", "").ok()?;
        (answer.status == 200).then_some(())
    });
    assert!(alpha.metric("control_refused") >= 1);
}

#[test]
fn what_is_no_http_does_not_disturb_the_control_socket() {
    let place = place!();
    let alpha = place.up("alpha");
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n * 31 + n / 7) as u8).collect();
    let long_head = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let no_length = b"POST /v1/request HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec();
    for bytes in [noise, vec![0; 1000], long_head.into_bytes(), no_length] {
        // An answer that it is wrong, or none at all.
        let answer = exchange(&alpha.socket(), &bytes).unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/request", 405),
        ("POST", "/v1/request", 400),
        ("GET", "/v1/subscribe", 400),
        ("GET", "/v1/subscribe?topic=a%20b", 400),
        ("GET", "/v1/events?backlog=x", 400),
    ] {
        let answer = alpha.try_call(method, path, "{").expect("an answer");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.json()["message"].is_string(), "{answer:?}");
    }
    let deep = format!("{{\"topic\":\"a\",\"body\":{}", "[".repeat(100_000));
    let answer = alpha.try_call("POST", "/v1/publish", &deep).expect("an answer");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(alpha.status()["health"], "ok");
}

#[test]
fn a_second_daemon_on_one_data_directory_is_refused() {
    let place = place!();
    let alpha = place.up("alpha");
    // `up` finds the first one and is content; where its socket is lost, the lock speaks.
    let _ = alpha.run(&["up"]).well();
    fs::remove_file(alpha.socket()).expect("a socket");
    let pid = format!("process {}", alpha.pid());
    alpha.up_in_vain().failed(1, &["in use by another daemon", &pid, "--data-dir"]);
    alpha.run(&["init"]).failed(1, &["in use by another daemon"]);
}

#[test]
fn a_daemon_of_ones_own_takes_no_arguments_and_says_so() {
    let place = place!();
    let nowhere = place.dir().join("nowhere");
    let run = |word: &str| -> Ran {
        let mut daemon = Command::new(env!("CARGO_BIN_EXE_load-daemon"));
        daemon
            .arg(word)
            .arg(&nowhere)
            .env("STARLING_DATA_DIR", &nowhere)
            .output()
            .expect("it runs")
            .into()
    };
    run("--data-dir").failed(2, &["\"--data-dir\" is not understood", "STARLING_DATA_DIR"]);
    assert!(run("--help").well().contains("takes no arguments"));
    assert!(!nowhere.exists());
}

#[test]
fn a_damaged_key_is_an_error_and_never_replaced() {
    let place = place!();
    let mut alpha = place.up("alpha");
    alpha.down();
    let key = alpha.data_dir.join("host.key");
    let good = fs::read_to_string(&key).expect("a key");
    for damage in
        [&good[..good.len() - 9], "", "\u{0}\u{0}", &good.replace("format\":1", "format\":9")]
    {
        fs::write(&key, damage).expect("written");
        alpha.up_in_vain().failed(1, &["host.key"]);
        assert_eq!(fs::read_to_string(&key).expect("a key"), damage);
    }
    fs::write(&key, &good).expect("written");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    alpha.up_in_vain().failed(1, &["by others than its owner", "0644", "chmod 600"]);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("changed");
    alpha.up();
}

#[test]
fn damaged_peers_are_set_aside_and_the_start_goes_on() {
    let place = place!();
    let [mut alpha, beta] = place.mesh(["alpha", "beta"]);
    let peers = alpha.data_dir.join("peers");
    until("they are kept", || fs::read_to_string(&peers).ok()?.contains("2 hosts").then_some(()));
    alpha.kill();
    let good = fs::read_to_string(&peers).expect("peers");
    fs::write(&peers, &good[..good.len() - 20]).expect("written");
    alpha.up();
    assert!(alpha.data_dir.join("peers.damaged-1").exists());
    assert!(alpha.log().contains("set aside"), "{}", alpha.log());
    alpha.sees("beta", "linked");
    beta.sees("alpha", "linked");
}

#[test]
fn a_damaged_membership_is_an_error() {
    let place = place!();
    let mut alpha = place.up("alpha");
    alpha.down();
    fs::write(alpha.data_dir.join("membership"), "nonsense").expect("written");
    alpha.up_in_vain().failed(1, &["membership", "damaged", "backup"]);
}

#[test]
fn a_port_in_use_and_an_address_that_is_none_are_named() {
    let place = place!();
    let mut alpha = place.up("alpha");
    let mut beta = place.host("beta");
    beta.listen = alpha.address().split("/p2p/").next().expect("a part").to_owned();
    beta.up_in_vain().failed(1, &[&beta.listen, "in use"]);
    beta.listen = "127.0.0.1:4077".into();
    beta.up_in_vain().failed(2, &["127.0.0.1:4077", "/ip4/"]);
    alpha.down();
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn a_full_disk_at_the_start_is_told_and_leaves_nothing_half_done() {
    let place = place!();
    let mut alpha = place.host("alpha");
    fs::create_dir(&alpha.data_dir).expect("a directory");
    let Some(_disk) = SmallDisk::at(&alpha.data_dir) else {
        eprintln!("skipped: a file system that is full can be mounted by root only");
        return;
    };
    let filler = alpha.data_dir.join("filler");
    let _ = fs::write(&filler, vec![1; 8 * 1024 * 1024]);
    alpha.up_in_vain().failed(1, &["No space left", "free some space"]);
    fs::remove_file(&filler).expect("a filler");
    alpha.up();
    alpha.down();
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn a_data_directory_that_cannot_be_written_is_told() {
    let place = place!();
    let mut alpha = place.host("alpha");
    fs::create_dir(&alpha.data_dir).expect("a directory");
    if geteuid().is_root() {
        // Nothing is closed to root but a file system that is read-only.
        let Some(_disk) = SmallDisk::at(&alpha.data_dir) else {
            eprintln!("skipped: no file system can be mounted here");
            return;
        };
        let _ = mount(&["-o", "remount,ro"], &alpha.data_dir);
        alpha.up_in_vain().failed(1, &["Read-only", "writable"]);
        return;
    }
    fs::set_permissions(&alpha.data_dir, Permissions::from_mode(0o500)).expect("changed");
    alpha.up_in_vain().failed(1, &["denied", "chown"]);
    fs::set_permissions(&alpha.data_dir, Permissions::from_mode(0o700)).expect("changed");
    alpha.up();
}

#[test]
fn a_file_in_the_place_of_the_data_directory_is_told() {
    let place = place!();
    let alpha = place.host("alpha");
    fs::write(&alpha.data_dir, "").expect("written");
    alpha.up_in_vain().failed(1, &["something else is in its place"]);
}

#[test]
fn a_command_line_that_is_wrong_says_what_would_be_right() {
    let place = place!();
    let alpha = place.up("alpha");
    let wrong = |words: &[&str], said: &str| alpha.run(words).failed(2, &[said]);
    wrong(&["memebrs"], "members");
    wrong(&["invite", "--ttl", "soon"], "soon");
    wrong(&["invite", "--uses", "0"], "0");
    wrong(&["invite", "--ttl", "31days"], "30 days");
    wrong(&["publish", "a b", "{}"], "blanks");
    wrong(&["subscribe", "#room"], "chat/said");
    wrong(&["request", "echo", "echo/say", "@/no/such/file"], "/no/such/file");
}

/// A file system of a few blocks, mounted as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(dir: &Path) -> Option<Self> {
        let options = ["-t", "tmpfs", "-o", "size=4m,mode=700", "none"];
        let mounted = geteuid().is_root() && mount(&options, dir).is_some_and(|ran| ran.code == 0);
        mounted.then(|| Self(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn mount(words: &[&str], dir: &Path) -> Option<Ran> {
    Some(Command::new("mount").args(words).arg(dir).output().ok()?.into())
}
