use starling_protocols::ident::{AgentId, HostId};

use super::*;

fn agent(number: u8) -> Address {
    Address { host: HostId([number; 32]), agent: AgentId(2000 + u128::from(number)) }
}

fn deed(who: Address, sequence: u64, at_ms: u64, act: Act) -> Deed {
    Deed {
        at_ms,
        host_name: "h".into(),
        who,
        name: None,
        kind: "k".into(),
        life: 1,
        sequence,
        entry: sequence,
        contract: "c".into(),
        act,
    }
}

fn announce(heard: bool, from: Address, to: Address) -> Act {
    let of = Some(Which { manager: from, number: 1 });
    let other = Some(if heard { from } else { to });
    Act { heard, other, of, said: Said::Announce { level: 0 } }
}

fn refuse(heard: bool, from: Address, to: Address) -> Act {
    let of = Some(Which { manager: to, number: 1 });
    let other = Some(if heard { from } else { to });
    Act { heard, other, of, said: Said::Refuse { further: false } }
}

#[test]
fn a_name_that_names_no_search_is_refused() {
    for bad in ["", "abc", "xyzw", "12 4", &"0".repeat(33)] {
        assert!(Scan::new(bad).is_err(), "{bad:?}");
    }
    for good in ["abcd", "ABCD", &"0".repeat(32)] {
        assert!(Scan::new(good).is_ok(), "{good:?}");
    }
}

#[test]
fn nothing_is_heard_before_it_was_said_whatever_the_calendars_say() {
    let (one, other) = (agent(1), agent(2));
    for ahead in [0, 5_000, 3_600_000] {
        let here = vec![
            deed(one, 1, 3_600_000, announce(false, one, other)),
            deed(one, 2, 3_600_020, refuse(true, other, one)),
        ];
        let there = vec![
            deed(other, 1, ahead + 10, announce(true, one, other)),
            deed(other, 2, ahead + 10, refuse(false, other, one)),
        ];
        let lines = tell(vec![there, here]);
        let told: Vec<_> = lines.iter().map(|line| (line.deed.who, line.echo)).collect();
        let expected = [(one, false), (other, true), (other, false), (one, true)];
        assert_eq!(told, expected, "{ahead} ms");
    }
}

#[test]
fn journals_that_contradict_each_other_and_copies_are_told_all_the_same() {
    let (one, other) = (agent(1), agent(2));
    // Each has heard the other before it said anything.
    let here = vec![
        deed(one, 1, 1, refuse(true, other, one)),
        deed(one, 2, 2, announce(false, one, other)),
    ];
    let there = vec![
        deed(other, 1, 3, announce(true, one, other)),
        deed(other, 2, 4, refuse(false, other, one)),
    ];
    let lines = tell(vec![here.clone(), there, here]);
    let times: Vec<_> = lines.iter().map(|line| line.deed.at_ms).collect();
    assert_eq!(times, [1, 2, 3, 4]);
}
