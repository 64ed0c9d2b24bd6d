use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{super::*, mesh::*};

#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, doc: usize },
    Describe { at: usize },
    Delete { at: usize, doc: usize },
    Link { one: usize, other: usize },
    Unlink { one: usize, other: usize },
    Crash { at: usize },
    Deliver { from: usize, to: usize },
    Store { at: usize },
    Time,
}

const HOSTS: usize = 4;

const HOUR: Duration = Duration::from_secs(3600);

fn step() -> impl Strategy<Value = Step> {
    let host = || 0..HOSTS;
    prop_oneof![
        6 => (host(), 0..3_usize).prop_map(|(at, doc)| Step::Write { at, doc }),
        2 => host().prop_map(|at| Step::Describe { at }),
        1 => (host(), 0..3_usize).prop_map(|(at, doc)| Step::Delete { at, doc }),
        3 => (host(), host()).prop_map(|(one, other)| Step::Link { one, other }),
        2 => (host(), host()).prop_map(|(one, other)| Step::Unlink { one, other }),
        1 => host().prop_map(|at| Step::Crash { at }),
        12 => (host(), host()).prop_map(|(from, to)| Step::Deliver { from, to }),
        8 => host().prop_map(|at| Step::Store { at }),
        1 => Just(Step::Time),
    ]
}

/// What was written, and what of it was acknowledged.
#[derive(Default)]
struct Record {
    writes: BTreeMap<Ticket, (DocName, String)>,
    acknowledged: Vec<Ticket>,
    deleted: Vec<DocName>,
}

fn doc(number: usize) -> DocName {
    name(&format!("doc/{number}"))
}

impl Record {
    fn take(&mut self, mesh: &mut Mesh) {
        for host in &mut mesh.hosts {
            for output in host.told() {
                // None: it was not durable even here when time was up.
                if let Output::Replicated { ticket, replicas: 1.. } = output {
                    self.acknowledged.push(ticket);
                }
            }
        }
    }

    fn write(&mut self, mesh: &mut Mesh, at: usize, name: DocName) {
        let ticket = Ticket(self.writes.len() as u64);
        let field = format!("field-{}", ticket.0);
        let wait = Replicated { ticket, replicas: 1, until: mesh.now + HOUR };
        let written = mesh.hosts[at].try_set(&name, &field, 1, Some(wait));
        written.expect("it may").expect("it is new");
        mesh.drain(at);
        self.writes.insert(ticket, (name, field));
    }
}

fn take(mesh: &mut Mesh, record: &mut Record, agents: &[DocName], step: &Step) {
    match *step {
        Step::Write { at, doc: number } => record.write(mesh, at, doc(number)),
        Step::Describe { at } => record.write(mesh, at, agents[at].clone()),
        Step::Delete { at, doc: number } => {
            if mesh.delete(at, &doc(number)) {
                record.deleted.push(doc(number));
            }
        }
        Step::Link { one, other } if one != other => mesh.link(one, other),
        Step::Unlink { one, other } => mesh.unlink(one, other),
        Step::Crash { at } => mesh.crash(at),
        Step::Deliver { from, to } => {
            let _ = mesh.deliver(from, to);
        }
        Step::Store { at } => {
            let _ = mesh.store(at);
        }
        Step::Time => {
            let _ = mesh.pass_time();
        }
        Step::Link { .. } => {}
    }
    record.take(mesh);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is written where, and whatever happens to lanes, disks and daemons: when all hosts
    /// are linked again they hold the same, and of what was acknowledged nothing is missing that
    /// nobody has deleted.
    #[test]
    fn all_hosts_end_with_the_same_and_nothing_acknowledged_is_lost(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        run(&steps, None)?;
    }

    /// The same when histories are begun anew all the time, by several hosts at once.
    #[test]
    fn nothing_is_lost_when_histories_are_begun_anew(
        changes_max in 1..6_usize,
        steps in prop::collection::vec(step(), 0..160),
    ) {
        run(&steps, Some(changes_max))?;
    }
}

fn run(steps: &[Step], changes_max: Option<usize>) -> Result<(), TestCaseError> {
    let mut mesh = Mesh::new(HOSTS);
    changes_max.into_iter().for_each(|changes| mesh.set_changes_max(changes));
    let agents: Vec<DocName> = (0..HOSTS).map(|at| mesh.born(at, 7)).collect();
    mesh.hosts.iter_mut().for_each(|host| host.quick = false);
    let mut record = Record::default();
    for step in steps {
        take(&mut mesh, &mut record, &agents, step);
    }
    mesh.hosts.iter_mut().for_each(|host| host.quick = true);
    mesh.link_all();
    mesh.run();
    mesh.same_everywhere();
    if let Some(max) = changes_max {
        // Whoever writes next sees to it that no history is long.
        for number in 0..3 {
            record.write(&mut mesh, number, doc(number));
        }
        mesh.run();
        mesh.same_everywhere();
        for (at, number) in (0..HOSTS).flat_map(|at| (0..3).map(move |number| (at, number))) {
            let changes = |doc: &automerge::Automerge| doc.get_changes(&[]).len();
            match mesh.hosts[at].at.read(&doc(number), changes) {
                Ok(changes) => prop_assert!(changes <= max, "{} changes", changes),
                Err(why) => prop_assert!(record.deleted.contains(&doc(number)), "{}", why),
            }
        }
    }
    for at in 0..HOSTS {
        for ticket in &record.acknowledged {
            let (name, field) = &record.writes[ticket];
            if !record.deleted.contains(name) {
                prop_assert_eq!(mesh.hosts[at].get(name, field), Some(1), "{:?}", ticket);
            }
        }
    }
    // What is kept is what is held.
    for at in 0..HOSTS {
        mesh.crash(at);
    }
    mesh.same_everywhere();
    Ok(())
}
