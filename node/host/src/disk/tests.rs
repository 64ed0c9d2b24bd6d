#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use starling_protocols::ident::Incarnation;
use tempfile::TempDir;

use super::*;

const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

fn flip(path: &Path, place: usize) {
    let mut content = fs::read(path).unwrap();
    content[place] ^= 1;
    fs::write(path, content).unwrap();
}

fn flip_last(path: &Path) {
    flip(path, fs::read(path).unwrap().len() - 6);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn records(disk: &Disk, credential: &Credential, count: u64) -> Vec<Signed<HostRecord>> {
    let key = disk.key().unwrap().unwrap();
    let record = |sequence| HostRecord {
        host: key.host(),
        name: "n".into(),
        incarnation: Incarnation(1),
        sequence,
        addresses: Vec::new(),
        software: "1".into(),
        credential: credential.clone(),
        left: false,
    };
    (0..count).map(|n| Signed::new(&key, credential.mesh(), &record(n))).collect()
}

#[test]
fn the_directory_is_made_for_its_owner_alone() {
    let dir = dir();
    let data = dir.path().join("a/b");
    Disk::open(&data).unwrap();
    assert_eq!(mode(&data), 0o700);
    fs::set_permissions(&data, Permissions::from_mode(0o770)).unwrap();
    let why = Disk::open(&data).unwrap_err();
    assert!(matches!(why, DiskError::WidePermissions { mode: 0o770, .. }), "{why}");
    assert!(why.to_string().contains(&format!("`chmod 700 {}`", data.display())), "{why}");
}

#[test]
fn a_second_daemon_is_told_who_has_the_directory() {
    let dir = dir();
    let first = Disk::open(dir.path()).unwrap();
    let why = Disk::open(dir.path()).unwrap_err();
    let own = std::process::id();
    assert!(matches!(why, DiskError::InUse { pid, .. } if pid == Some(own)), "{why}");
    assert!(why.to_string().contains(&format!("process {own}")), "{why}");
    drop(first);
    Disk::open(dir.path()).unwrap();
}

#[test]
fn a_key_is_made_once_and_stays() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    assert!(disk.key().unwrap().is_none());
    let made = disk.create_key().unwrap();
    assert_eq!(disk.key().unwrap().unwrap().to_bytes(), made.to_bytes());
    assert_eq!(mode(&dir.path().join("host.key")), 0o600);
    assert!(matches!(disk.create_key(), Err(DiskError::KeyExists { .. })));
}

#[test]
fn a_key_open_to_others_is_refused_with_the_command_that_helps() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    disk.create_key().unwrap();
    let path = dir.path().join("host.key");
    for wide in [0o640, 0o604] {
        fs::set_permissions(&path, Permissions::from_mode(wide)).unwrap();
        let why = disk.key().unwrap_err().to_string();
        assert!(why.contains(&format!("`chmod 600 {}`", path.display())), "{why}");
    }
}

#[test]
fn a_damaged_key_is_reported_and_never_overwritten() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    disk.create_key().unwrap();
    let path = dir.path().join("host.key");
    let good = fs::read(&path).unwrap();
    let short = frame::seal(key::KEY.what, "", &[Zeroizing::new(vec![1; 31])]);
    for bad in [&good[..good.len() - 5], b"", b"my dog ate it", &short] {
        fs::write(&path, bad).unwrap();
        let why = disk.key().unwrap_err();
        assert!(matches!(why, DiskError::Damaged { .. }), "{why}");
        assert!(why.to_string().contains(&path.display().to_string()), "{why}");
        assert!(why.to_string().contains("backup"), "{why}");
        assert!(disk.create_key().is_err());
        assert!(disk.found("m", NOW).is_err());
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
    fs::write(&path, &good).unwrap();
    flip_last(&path);
    assert!(disk.key().unwrap_err().to_string().contains("checksum"));
}

#[test]
fn incarnations_grow_even_when_the_clock_goes_back() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    let at = |seconds: u64| disk.next_incarnation(WallTime::from_millis(seconds * 1000)).unwrap().0;
    let lives = [at(0), at(0), at(100), at(100), at(5)];
    assert!(lives.is_sorted_by(|earlier, later| earlier < later), "{lives:?}");
    assert_eq!(lives[2] / 1_000_000, 100, "the clock's second can be read in it");
    drop(disk);
    let disk = Disk::open(dir.path()).unwrap();
    assert!(disk.next_incarnation(WallTime::from_millis(0)).unwrap().0 > lives[4]);
}

#[test]
fn lives_that_an_earlier_version_counted_in_seconds_are_followed_by_greater_ones() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    let last = [Zeroizing::new(wire::encode(&Incarnation(1_700_000_000)))];
    disk.write(&incarnation::INCARNATION, "life 1700000000 of this host", &last).unwrap();
    let at = |seconds: u64| disk.next_incarnation(WallTime::from_millis(seconds * 1000)).unwrap().0;
    // Also by a clock that was set back as far as it goes.
    let lives = [at(0), at(1_700_000_001), at(1_700_000_002)];
    assert!(1_700_000_000 < lives[0] && lives[0] < lives[1] && lives[1] < lives[2], "{lives:?}");
    assert_eq!(lives.map(|life| life / 1_000_000)[1..], [1_700_000_001, 1_700_000_002]);
    assert!(lives[2] < 1 << 53, "exact in JSON");
}

#[test]
fn copies_of_a_host_that_begin_in_the_same_second_begin_two_lives() {
    let (dir, other) = (dir(), dir());
    let [disk, copy] = [&dir, &other].map(|dir| Disk::open(dir.path()).unwrap());
    let second = |seconds: u64| WallTime::from_millis(seconds * 1000);
    disk.next_incarnation(second(1_700_000_000)).unwrap();
    // Both clocks are right, or both as wrong as those of machines that begin without one.
    for seconds in [1_700_000_001, 1_600_000_000] {
        fs::copy(dir.path().join("incarnation"), other.path().join("incarnation")).unwrap();
        let lives = [&disk, &copy].map(|disk| disk.next_incarnation(second(seconds)).unwrap());
        assert_ne!(lives[0], lives[1], "at {seconds}");
    }
}

#[test]
fn the_clock_stands_in_for_a_damaged_incarnation_only_when_it_is_not_behind() {
    let dir = dir();
    let disk = Disk::open(dir.path()).unwrap();
    let path = dir.path().join("incarnation");
    let written = Duration::from_millis(crate::clock::wall().as_millis());
    let wall = |ahead: i64| {
        WallTime::from_millis((written.as_millis() as i64 + ahead * 1000).try_into().unwrap())
    };
    let last = disk.next_incarnation(wall(0)).unwrap();
    flip_last(&path);
    let why = disk.next_incarnation(wall(-3600)).unwrap_err();
    assert!(matches!(why, DiskError::ClockBehind { .. }), "{why}");
    assert!(disk.next_incarnation(wall(60)).unwrap() > last);
    assert!(disk.next_incarnation(wall(60)).unwrap().0 > last.0 + 61_000_000);
}

#[test]
fn a_clock_that_is_not_behind_a_damaged_file_gives_a_later_life() {
    for second in 1_700_000_000..1_700_000_016 {
        let dir = dir();
        let disk = Disk::open(dir.path()).unwrap();
        let path = dir.path().join("incarnation");
        let last = disk.next_incarnation(WallTime::from_millis(second * 1000)).unwrap();
        flip_last(&path);
        // Files are dated by a clock that is some moments behind.
        let dated = UNIX_EPOCH + Duration::from_millis(second * 1000 - 5);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(dated).unwrap();
        let next = disk.next_incarnation(WallTime::from_millis(second * 1000 - 1)).unwrap();
        assert!(next > last, "{next:?} after {last:?}");
    }
}

#[test]
fn a_mesh_is_founded_once() {
    let dir = dir();
    let (disk, credential) = init(dir.path(), "home", NOW).unwrap();
    let key = disk.key().unwrap().unwrap();
    credential.verify(credential.mesh(), key.host(), NOW + Duration::from_secs(1)).unwrap();
    assert_eq!(disk.membership().unwrap().as_ref(), Some(&credential));
    drop(disk);
    let why = init(dir.path(), "other", NOW).unwrap_err();
    assert!(matches!(&why, DiskError::InMesh { mesh_name, .. } if mesh_name == "home"), "{why}");
    let kept = Disk::open(dir.path()).unwrap().membership().unwrap();
    assert_eq!(kept, Some(credential));
}

#[test]
fn two_meshes_of_one_founder_differ() {
    let dir = dir();
    let (disk, first) = init(dir.path(), "home", NOW).unwrap();
    fs::remove_file(dir.path().join("membership")).unwrap();
    assert_ne!(disk.found("home", NOW).unwrap().mesh(), first.mesh());
    assert!(matches!(disk.found("", NOW), Err(DiskError::MeshName(0))));
}

#[test]
fn a_damaged_membership_or_ledger_is_an_error_and_stays() {
    let dir = dir();
    let (disk, _) = init(dir.path(), "home", NOW).unwrap();
    assert_eq!(disk.ledger().unwrap(), Ledger::default());
    disk.save_ledger(&Ledger::default()).unwrap();
    for file in ["membership", "ledger"] {
        let path = dir.path().join(file);
        flip(&path, 30);
        let bad = fs::read(&path).unwrap();
        let why = match file {
            "ledger" => disk.ledger().map(drop).unwrap_err(),
            _ => disk.membership().map(drop).unwrap_err(),
        };
        assert!(matches!(&why, DiskError::Damaged { path: found, .. } if *found == path), "{why}");
        assert!(why.to_string().contains("move it away"), "{why}");
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
    assert!(matches!(disk.found("new", NOW), Err(DiskError::Damaged { .. })));
}

#[test]
fn a_file_of_a_later_version_is_no_damage() {
    let dir = dir();
    let (disk, _) = init(dir.path(), "home", NOW).unwrap();
    disk.save_peers(&[]).unwrap();
    let path = dir.path().join("peers");
    let text = fs::read_to_string(&path).unwrap().replace(r#""format":1"#, r#""format":9"#);
    fs::write(&path, text).unwrap();
    assert!(matches!(disk.peers(), Err(DiskError::Newer { format: 9, .. })));
    assert!(path.exists());
}

#[test]
fn damaged_peers_are_set_aside_and_the_readable_ones_used() {
    let dir = dir();
    let (disk, credential) = init(dir.path(), "home", NOW).unwrap();
    assert_eq!(disk.peers().unwrap(), (Vec::new(), None));
    let peers = records(&disk, &credential, 3);
    let path = dir.path().join("peers");
    for number in 1..=2 {
        disk.save_peers(&peers).unwrap();
        assert_eq!(disk.peers().unwrap(), (peers.clone(), None));
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let (read, damage) = disk.peers().unwrap();
        assert_eq!(read, peers[..2]);
        let aside = dir.path().join(format!("peers.damaged-{number}"));
        assert_eq!(damage.unwrap().set_aside, aside);
        assert!(aside.exists() && !path.exists());
    }
}

#[test]
fn a_stale_temporary_file_is_swept_and_in_nobodys_way() {
    let dir = dir();
    let stale = dir.path().join("membership.tmp");
    fs::write(&stale, "half").unwrap();
    let foreign = dir.path().join("thesis.tmp");
    fs::write(&foreign, "precious").unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    assert!(!stale.exists() && foreign.exists());
    fs::write(&stale, "half").unwrap();
    disk.found("home", NOW).unwrap();
    assert!(!stale.exists() && disk.membership().unwrap().is_some());
}

struct Mount(TempDir);

impl Mount {
    /// `None` where one may not mount, which is said.
    fn tiny() -> Option<Self> {
        let mount = Self(dir());
        let made = mount.mount(&["-t", "tmpfs", "-o", "size=32k", "tmpfs"]);
        if !made {
            eprintln!("SKIPPED: a full disk can only be tried where tmpfs may be mounted");
        }
        made.then_some(mount)
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        let mut mount = Command::new("mount");
        mount.args(arguments).arg(self.0.path()).output().is_ok_and(|out| out.status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn on_a_full_disk_the_old_content_stays() {
    let Some(mount) = Mount::tiny() else { return };
    let data = mount.0.path().join("data");
    let (disk, credential) = init(&data, "home", NOW).unwrap();
    let peers = records(&disk, &credential, 2);
    disk.save_peers(&peers).unwrap();
    let many = records(&disk, &credential, 200);
    let why = disk.save_peers(&many).unwrap_err();
    assert!(matches!(&why, DiskError::Write { .. }), "{why}");
    let said = why.to_string();
    for word in [&*data.join("peers").to_string_lossy(), "No space left", "unchanged", "free some"]
    {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert_eq!(disk.peers().unwrap(), (peers, None));
    assert!(!data.join("peers.tmp").exists());
}

#[test]
fn on_a_read_only_disk_the_old_content_stays() {
    let Some(mount) = Mount::tiny() else { return };
    let data = mount.0.path().join("data");
    let (disk, credential) = init(&data, "home", NOW).unwrap();
    // The lock is open for writing, which keeps a filesystem from becoming read-only.
    drop(disk);
    if !mount.mount(&["-o", "remount,ro"]) {
        eprintln!("SKIPPED: the tmpfs cannot be made read-only here");
        return;
    }
    let path = data.join("membership");
    let why = store::replace(&path, b"new").unwrap_err().to_string();
    assert!(why.contains("Read-only") && why.contains("unchanged"), "{why}");
    assert!(why.contains("writable again"), "{why}");
    let text = fs::read(&path).unwrap();
    let record = MEMBERSHIP.single(&path, &text).unwrap();
    assert_eq!(wire::decode::<Credential>(&record, GATE_BYTES_MAX).unwrap(), credential);
}

#[test]
fn peers_beyond_the_cap_are_not_written() {
    let dir = dir();
    let (disk, credential) = init(dir.path(), "home", NOW).unwrap();
    let one = &records(&disk, &credential, 1)[0];
    disk.save_peers(std::iter::repeat_n(one, HOSTS_MAX + 1)).unwrap();
    assert_eq!(disk.peers().unwrap().0.len(), HOSTS_MAX);
}

#[test]
fn a_ledger_that_could_not_be_read_again_is_not_written() {
    let dir = dir();
    let (disk, _) = init(dir.path(), "home", NOW).unwrap();
    disk.save_ledger(&Ledger::default()).unwrap();
    let huge = vec![0_u8; LEDGER.record_bytes_max];
    let why = disk.save(&LEDGER, "", &huge).unwrap_err();
    assert!(matches!(why, DiskError::TooLarge { .. }), "{why}");
    assert_eq!(disk.ledger().unwrap(), Ledger::default());
}
