mod mesh;
mod refused;

use std::time::Duration;

use starling_core::engine::Counter;
use starling_protocols::words;

use super::{Node, serve::certificate_left};
use crate::api::{Finding, Verdict};
use crate::clock;

/// Warn this long before the certificate expires.
const CERTIFICATE_WARN: Duration = Duration::from_secs(30 * 86_400);

/// Warn when a host has taken no letter for so long.
const LETTERS_WARN: Duration = Duration::from_secs(60);

/// Warn below this much free space.
const FREE_BYTES_WARN: u64 = 256 * 1024 * 1024;

/// Looks at everything that this host can see of itself and of the others. It works when the
/// mesh does not.
pub(super) fn look(node: &Node) -> Vec<Finding> {
    let mut findings = vec![storage(node), journal(node), documents(node), refused(node)];
    findings.extend([configurations(node), letters(node), space(node), addresses(node)]);
    findings.extend([certificate(node), identity(node), mesh::told(&node.engine.hosts())]);
    findings.extend(counted(node));
    findings
}

fn finding(check: &str, verdict: Verdict, seen: impl Into<String>, fix: &str) -> Finding {
    let fix = (verdict != Verdict::Pass).then(|| fix.to_owned());
    Finding { check: check.into(), verdict, seen: seen.into(), fix }
}

fn storage(node: &Node) -> Finding {
    match node.storage_trouble() {
        None => finding("storage", Verdict::Pass, "the last write succeeded", ""),
        Some(why) => finding("storage", Verdict::Fail, why, "make room or mend the disk"),
    }
}

fn journal(node: &Node) -> Finding {
    let lost = node.engine.counters().get(Counter::AgentsLost);
    let bytes = crate::journal::bytes_of(&node.config.journal_dir());
    let (waits, held) = (node.journal.waiting_bytes(), node.engine.held());
    let seen = format!("{} MiB; {waits} bytes and {held} effects wait", bytes / (1024 * 1024));
    if lost > 0 {
        let seen = format!("{} could not be brought back; {seen}", words::count(lost, "agent"));
        let fix = "see why: p2p logs --grep 'brought back'; then p2p journal verify";
        return finding("journal", Verdict::Warn, seen, fix);
    }
    let damaged = crate::journal::set_aside(&node.config.journal_dir());
    if let Some(first) = damaged.first() {
        let names = damaged.iter().filter_map(|path| path.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        let seen = format!("damaged and set aside: {}; {seen}", names.join(", "));
        let fix = format!(
            "agents may be missing: p2p journal list --file {}; when nothing of it is needed any \
             more, move it away",
            first.display()
        );
        return finding("journal", Verdict::Warn, seen, &fix);
    }
    if !node.journal.has_room() {
        let fix = "the disk is too slow, or takes nothing: p2p logs --level warn";
        return finding("journal", Verdict::Fail, seen, fix);
    }
    finding("journal", Verdict::Pass, seen, "")
}

/// The copies of documents, and the file that they are in.
fn documents(node: &Node) -> Finding {
    let check = "documents";
    let dir = node.config.documents_dir(node.engine.credential().mesh());
    let (copies, lost) = node.copies();
    let (copies, waits) = (count(copies, "copy", "copies"), node.documents.waiting_bytes());
    let Some(bytes) = crate::documents::bytes_of(&dir) else {
        let seen = format!("{} is gone; this daemon still has {copies}", dir.display());
        let fix = "what is changed now is lost here when the daemon ends: read what no other host \
                   has (p2p docs get), then p2p down and p2p up; the rest comes from the others";
        return finding(check, Verdict::Fail, seen, fix);
    };
    let seen = format!("{copies}, {}; {waits} bytes wait", size(bytes));
    let waiting = node.engine.replicas().and_then(|all| all.pending().next());
    let seen = match waiting {
        None => seen,
        Some(name) => format!(
            "what another part of the mesh has changed of {name} has no room in it, and waits here; \
             {seen}"
        ),
    };
    if !node.documents.has_room() {
        let fix = "the disk is too slow, or takes nothing: p2p logs --level warn";
        return finding(check, Verdict::Fail, seen, fix);
    }
    if let Some(first) = lost.first() {
        let damaged = count(lost.len(), "copy is", "copies are");
        let seen = format!("{damaged} damaged, {first} among them; {seen}");
        let fix = "each is replaced when a host that has it is linked: p2p members; if none has it, \
                   p2p docs delete it, and write it anew";
        return finding(check, Verdict::Warn, seen, fix);
    }
    let damaged = crate::documents::set_aside(&dir);
    if let Some(first) = damaged.first() {
        let names = damaged.iter().filter_map(|path| path.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        let seen = format!("damaged and set aside: {}; {seen}", names.join(", "));
        let fix = format!(
            "copies that were lost come back from hosts that have them; when nothing of it is \
             needed any more, move it away: {}",
            first.display()
        );
        return finding(check, Verdict::Warn, seen, &fix);
    }
    if let Some(name) = waiting {
        let fix =
            format!("make it smaller, on any host: p2p docs edit {name}; the rest comes then");
        return finding(check, Verdict::Warn, seen, &fix);
    }
    finding(check, Verdict::Pass, seen, "")
}

/// Documents of other hosts that this one does not take: the copies differ.
fn refused(node: &Node) -> Finding {
    let all = node.engine.documents_refused();
    let all: Vec<_> = all.map(|(name, host, why)| (name, node.engine.name_of(host), why)).collect();
    refused::told(&all)
}

/// Configurations that agents do not follow.
fn configurations(node: &Node) -> Finding {
    let check = "configurations";
    let mut all = node.engine.configs_refused();
    let Some((name, kind, why)) = all.next() else {
        return finding(check, Verdict::Pass, "all that are known here are in force", "");
    };
    let more = match all.count() {
        0 => String::new(),
        more => format!("; and {more} more like it"),
    };
    let seen = format!(
        "{name} does not configure agents of kind {kind}, which go on with what was there before: \
         {why}{more}"
    );
    let fix = format!(
        "see who has changed what: p2p docs history {name}; then mend it: p2p docs edit {name}"
    );
    finding(check, Verdict::Warn, seen, &fix)
}

/// Whether another daemon has the identity of this host, or two have that of another.
fn identity(node: &Node) -> Finding {
    let check = "identity";
    let fix = "a data directory was copied, and both copies are in use: end one of the daemons; a \
               second host has a data directory of its own, and joins with p2p join";
    if let Some(other) = node.engine.superseded(node.clock.now().time) {
        let seen = format!(
            "another daemon has the identity of this host: {} knows of one that began later or in \
             the same moment, and whoever meets a later one turns this one away",
            node.engine.name_of(other.known_to)
        );
        let until = if other.is_proven {
            "this is said until the daemon here is restarted"
        } else {
            "this is said for some minutes after the last sign of the other"
        };
        let fix = format!(
            "{fix}. If there is no other, the clock here was set back: set it, restart; {until}"
        );
        return finding(check, Verdict::Fail, seen, &fix);
    }
    let doubles = node.engine.doubles(node.clock.now().time).map(|(host, times)| {
        let times = words::count(times, "time");
        format!("{}, the earlier of which was turned away {times}", node.engine.name_of(host))
    });
    let doubles: Vec<String> = doubles.collect();
    if doubles.is_empty() {
        return finding(check, Verdict::Pass, "no host is known to run twice", "");
    }
    let seen = format!("there seem to be two daemons of {}", doubles.join("; and of "));
    finding(check, Verdict::Warn, seen, fix)
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < MIB {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

impl Node {
    /// How many copies of documents there are, and those that were damaged and not replaced yet.
    fn copies(&self) -> (usize, Vec<String>) {
        let Some(all) = self.engine.replicas() else { return (0, Vec::new()) };
        let found: Vec<_> = all.damaged().map(|(name, _)| name.to_string()).collect();
        let is_back = |name: &&String| name.parse().is_ok_and(|name| all.base(&name).is_some());
        let unread = self.unread_copies.iter().filter(|name| !is_back(name)).cloned();
        let good = all.names(None).count().saturating_sub(found.len());
        (good, found.into_iter().chain(unread).collect())
    }
}

/// Letters for hosts that do not take them.
fn letters(node: &Node) -> Finding {
    let now = node.clock.now().time;
    let (mut late, mut all) = (Vec::new(), 0);
    for (host, letters, since) in node.engine.letters_by_host() {
        all += letters;
        let waited = now.since(since);
        if waited > LETTERS_WARN {
            let name = node.engine.name_of(host);
            late.push(format!("{letters} for {name} since {} s", waited.as_secs()));
        }
    }
    if late.is_empty() {
        return finding("letters", Verdict::Pass, format!("{all} under way"), "");
    }
    finding("letters", Verdict::Warn, late.join(", "), "see whether these hosts run: p2p members")
}

fn space(node: &Node) -> Finding {
    let fix = "make room, or move the data directory (data_dir)";
    match fs4::available_space(&node.config.data_dir) {
        Ok(free) if free >= FREE_BYTES_WARN => {
            finding("disk space", Verdict::Pass, mebibytes(free), fix)
        }
        Ok(free) => finding("disk space", Verdict::Warn, mebibytes(free), fix),
        Err(why) => finding("disk space", Verdict::Warn, why.to_string(), fix),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB free", bytes / (1024 * 1024))
}

fn addresses(node: &Node) -> Finding {
    let addresses = node.own().addresses;
    let verdict = if addresses.is_empty() { Verdict::Fail } else { Verdict::Pass };
    let seen = match addresses.len() {
        0 => "none: nobody can dial this host".to_owned(),
        n => format!("{n}, the first is {}", addresses[0]),
    };
    finding("addresses", verdict, seen, "set `listen` in the configuration, or --listen")
}

fn certificate(node: &Node) -> Finding {
    let left = certificate_left(node, clock::wall());
    let verdict = match left {
        Duration::ZERO => Verdict::Fail,
        left if left < CERTIFICATE_WARN => Verdict::Warn,
        _ => Verdict::Pass,
    };
    let seen = format!("{} days left", left.as_secs() / 86_400);
    finding("certificate", verdict, seen, "join again with a new token from `p2p invite`")
}

/// What was dropped, refused or lost since the start.
fn counted(node: &Node) -> Vec<Finding> {
    let watched = [
        (Counter::AgentsDied, "an agent panicked: see p2p events"),
        (
            Counter::AgentsDisplaced,
            "others have taken agents of this host up that had not left it: what these had not told \
             is in p2p events",
        ),
        (Counter::MailboxFull, "an agent is slower than its senders: see p2p agents"),
        (Counter::QueueFull, "a host reads slower than this one writes: see p2p members"),
        (
            Counter::LaneViolations,
            "a host broke the rules: see p2p events; update both sides, unless it runs twice (`identity`)",
        ),
        (Counter::BadRecords, "a host spreads records that are not good: see its log"),
        (Counter::BadGossip, "a host spreads messages that are not good: see its log"),
    ];
    let counters = node.engine.counters();
    let found = watched.into_iter().filter(|(counter, _)| counters.get(*counter) > 0);
    found
        .map(|(counter, fix)| {
            let name = counter.name().replace('_', " ");
            let seen = format!("{} since the start", counters.get(counter));
            finding(&name, Verdict::Warn, seen, fix)
        })
        .collect()
}
