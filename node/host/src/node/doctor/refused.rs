use starling_core::engine::Remedy;
use starling_protocols::{
    limits::{DOCUMENTS_MAX, TOMBSTONE_KEPT},
    replica::{DocName, Refused},
};

use super::{count, finding};
use crate::api::{Finding, Verdict};

/// A document, the name of the host that it came from, and why it is not taken.
type Copy<'a> = (&'a DocName, String, &'a Refused);

/// What is said of documents that are not taken: of those first that need help most.
pub(super) fn told(all: &[Copy<'_>]) -> Finding {
    let check = "refused documents";
    let Some(copy) = all.iter().min_by_key(|(.., why)| Remedy::of(why)) else {
        return finding(check, Verdict::Pass, "none", "");
    };
    let (name, host, why) = copy;
    let remedy = Remedy::of(why);
    let alike = all.iter().filter(|(.., why)| Remedy::of(why) == remedy).count();
    let copies = count(alike, "copy is", "copies are");
    let seen = format!("{copies} not taken from other hosts, {name} of {host} among them: {why}");
    if remedy == Remedy::Patience {
        let seen = format!("{seen}; that passes when more is known of the hosts of the mesh");
        return finding(check, Verdict::Pass, seen, "");
    }
    let seen = match all.len() - alike {
        0 => seen,
        more => format!("{seen}; and {more} more for other reasons"),
    };
    finding(check, Verdict::Warn, seen, &mend(remedy, copy))
}

fn mend(remedy: Remedy, (name, host, _): &Copy<'_>) -> String {
    let unknown = format!("what is changed on {host} is not known here.");
    let choose = match name.agent() {
        Some(agent) => {
            format!("take the agent up on another host: p2p take-up {agent} --its-host-is-gone")
        }
        None => format!(
            "see what each of the two says: p2p docs get {name}, here and there; then p2p docs \
             delete {name}, and write it anew with what it should say"
        ),
    };
    match remedy {
        Remedy::Room => {
            let days = TOMBSTONE_KEPT.as_secs() / 86_400;
            format!(
                "this host is full: it has room for {DOCUMENTS_MAX} documents. Delete what nobody \
                 needs any more: p2p docs list; p2p docs delete; there is room {days} days after \
                 that, and what is refused comes by itself then"
            )
        }
        Remedy::Smaller if name.agent().is_none() => format!(
            "{unknown} The two versions have no room together: make that document smaller, here or \
             on {host} (p2p docs edit {name}); they become one as soon as there is room"
        ),
        Remedy::Choice | Remedy::Smaller => format!(
            "{unknown} If its data directory was copied to another machine, end one of the two \
             daemons. If it stays so, {choose}"
        ),
        Remedy::Update | Remedy::Patience => format!(
            "{unknown} No host says this that keeps the rules: see which programs the hosts run \
             (p2p members --format json), and update them; see its log"
        ),
    }
}

#[cfg(test)]
mod tests {
    use starling_protocols::{
        ident::AgentId,
        replica::{BodyError, TitleError},
    };

    use super::*;

    /// What is said of one document of `beta` that is refused for each of these reasons.
    fn said(whys: &[Refused]) -> (Verdict, String, String) {
        let name: DocName = "conf/echo".parse().expect("a name");
        let all: Vec<_> = whys.iter().map(|why| (&name, "beta".to_owned(), why)).collect();
        let Finding { verdict, seen, fix, .. } = told(&all);
        (verdict, seen, fix.unwrap_or_default())
    }

    const FORKED: Refused = Refused::Body(BodyError::Forked);

    #[test]
    fn a_host_that_is_full_says_so_and_has_nothing_deleted_that_was_refused() {
        let (verdict, seen, fix) = said(&[FORKED, Refused::Full]);
        assert_eq!(verdict, Verdict::Warn);
        let wanted = "1 copy is not taken from other hosts, conf/echo of beta among them: this \
                      host has 200000 documents already; and 1 more for other reasons";
        assert_eq!(seen, wanted);
        assert!(fix.starts_with("this host is full"), "{fix}");
        assert!(!fix.contains("conf/echo") && !fix.contains("take-up"), "{fix}");
    }

    #[test]
    fn what_is_too_large_together_is_to_be_made_smaller_and_not_deleted() {
        let large = BodyError::TooLarge { what: "bytes", found: 800_000, most: 786_432 };
        let (verdict, seen, fix) = said(&[FORKED, Refused::Body(large)]);
        assert_eq!(verdict, Verdict::Warn);
        assert!(seen.starts_with("1 copy is not taken") && seen.contains("800000 bytes"), "{seen}");
        assert!(fix.contains("p2p docs edit conf/echo") && !fix.contains("delete"), "{fix}");
    }

    #[test]
    fn what_passes_by_itself_is_no_warning() {
        let passing = [Refused::Unvouched, Refused::Title(TitleError::NotDead(1))];
        let (verdict, seen, fix) = said(&passing);
        assert_eq!((verdict, fix.as_str()), (Verdict::Pass, ""));
        assert!(seen.starts_with("2 copies are not taken"), "{seen}");
        assert!(seen.ends_with("that passes when more is known of the hosts of the mesh"));
        assert_eq!(said(&[]), (Verdict::Pass, "none".into(), String::new()));
    }

    #[test]
    fn only_copies_that_cannot_become_one_are_to_be_deleted_or_taken_up() {
        let (_, seen, fix) = said(&[Refused::Unvouched, FORKED, Refused::Heads]);
        assert!(seen.starts_with("2 copies are not taken"), "{seen}");
        assert!(seen.ends_with("; and 1 more for other reasons"), "{seen}");
        assert!(fix.contains("p2p docs delete conf/echo"), "{fix}");
        let descriptor = DocName::of_agent(AgentId(1 << 70));
        let fix = told(&[(&descriptor, "beta".into(), &FORKED)]).fix.expect("advice");
        assert!(fix.contains("p2p take-up") && !fix.contains("p2p docs delete"), "{fix}");
        let (verdict, seen, fix) = said(&[Refused::Base]);
        assert_eq!(verdict, Verdict::Warn);
        assert!(seen.ends_with(&Refused::Base.to_string()), "there is no more: {seen}");
        assert!(fix.contains("update") && !fix.contains("docs delete"), "{fix}");
    }
}
