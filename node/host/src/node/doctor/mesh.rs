use starling_core::engine::{HostState, HostView};
use starling_protocols::words;

use super::finding;
use crate::api::{Finding, Verdict};

/// Hosts that are called by their names; of more, their number is said.
const NAMED_MAX: usize = 8;

/// What is said of the hosts of the mesh, this one among them, and of the links to them.
pub(super) fn told(hosts: &[HostView]) -> Finding {
    let in_state = |state| hosts.iter().filter(move |view| view.state == state);
    let lost: Vec<String> = in_state(HostState::Unreachable)
        .map(|view| {
            let why = view.trouble.as_deref().unwrap_or("no reason is known");
            format!("{} ({why})", view.record.name)
        })
        .collect();
    if !lost.is_empty() {
        return unreachable(hosts.len(), &lost);
    }
    let left: Vec<&str> = in_state(HostState::Left).map(|view| view.record.name.as_str()).collect();
    if !left.is_empty() && left.len() + 1 == hosts.len() {
        return alone(&left);
    }
    let (known, linked) = (words::count(hosts.len(), "host"), in_state(HostState::Linked).count());
    finding("mesh", Verdict::Pass, format!("{known} known, {linked} linked"), "")
}

fn unreachable(all: usize, lost: &[String]) -> Finding {
    let seen = format!("{} of {all} hosts cannot be reached: {}", lost.len(), lost.join(", "));
    finding("mesh", Verdict::Warn, seen, "see that these hosts run and can be dialled from here")
}

/// Nobody is left to link to. That may be meant; but each host may also hold the other for gone.
fn alone(left: &[&str]) -> Finding {
    let (named, others) = left.split_at(left.len().min(NAMED_MAX));
    let more = match others.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let seen = format!(
        "this host is alone, all others have said goodbye: {}{more}; what is changed here is on no \
         other disk until one of them is back",
        named.join(", ")
    );
    let fix = "start them, unless that is as it should be. One that is back tells this host, which \
               dials them, too, when it starts and about every minute: p2p members";
    finding("mesh", Verdict::Warn, seen, fix)
}
