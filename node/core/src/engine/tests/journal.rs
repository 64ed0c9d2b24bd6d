use starling_protocols::journal::{Life, Record};

use super::{
    till::{Money, Pay},
    *,
};
use crate::{
    engine::service::{StartAgent, StartError},
    replay::Replay,
};

impl Mesh {
    pub(super) fn till(&mut self, host: usize) -> Address {
        let start = Start { kind: "till".into(), name: Some("till".into()), init: Init::Default };
        let agent = self.engines[host].start(start).expect("the kind is known");
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
        Address { host: self.host(host), agent }
    }

    pub(super) fn pay(&mut self, here: usize, till: Address, sum: u64) -> Ticket {
        self.ask(here, till, "till/pay", &sum.to_string())
    }

    fn tell(&mut self, here: usize, till: Address, what: &str) -> Ticket {
        self.ask(here, till, "till/do", &format!("{what:?}"))
    }

    fn send(&mut self, here: usize, from: Address, to: Address, sum: u64) -> Ticket {
        let to = serde_json::to_string(&to).expect("JSON");
        self.ask(here, from, "till/send", &format!("[{to},{sum}]"))
    }

    fn answer(&self, ticket: Ticket) -> Option<&str> {
        self.answers.get(&ticket).map(|answer| answer.as_ref().expect("an answer").as_str())
    }

    pub(super) fn till_state(&mut self, till: Address) -> serde_json::Value {
        let host = (0..self.engines.len()).find(|host| self.host(*host) == till.host);
        let to = Address { host: till.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, till.agent);
        let ticket = self.ask(host.expect("a host"), to, "host/inspect", &body);
        let detail: serde_json::Value =
            serde_json::from_str(self.answer(ticket).expect("an answer")).expect("JSON");
        let state = detail["state"].as_str().expect("the agent lives");
        serde_json::from_str(state).expect("JSON")
    }

    /// Plays all lives of a host again.
    pub(super) fn replay_all(&self, host: usize) -> u64 {
        let records = self.disks[host].as_ref().expect("a disk").records();
        let lives: BTreeSet<Life> = records
            .iter()
            .filter_map(|(_, record)| match record {
                Record::Life(head) => Some(head.life),
                _ => None,
            })
            .collect();
        let mut played = 0;
        for life in lives {
            let mut replay = Replay::new(kinds(), life);
            for (sequence, record) in &records {
                replay.feed(*sequence, record.clone()).expect("it replays");
            }
            played += replay.counts().played;
        }
        played
    }
}

#[test]
fn no_effect_leaves_before_its_input_is_durable() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    let ticket = mesh.pay(0, till, 5);
    assert_eq!(mesh.answers.get(&ticket), None);
    mesh.write(0);
    mesh.settle();
    assert_eq!(mesh.answer(ticket), Some("5"));
}

#[test]
fn a_write_ahead_agent_is_back_in_its_exact_state() {
    let mut mesh = Mesh::recorded(2);
    let till = mesh.till(0);
    for sum in 0..25 {
        mesh.pay(1, till, sum);
    }
    for what in ["draw", "timer", "ask", "listen"] {
        mesh.tell(1, till, what);
    }
    let before = mesh.till_state(till);
    mesh.crash(0, 2);
    let after = mesh.till_state(till);
    assert_eq!((&after["sum"], &after["draws"]), (&before["sum"], &before["draws"]));
    assert_eq!(after["log"], serde_json::json!(["recovered", "Err(Gone)"]));
    // Its timer goes on where it was, and so does what it listens to.
    mesh.advance(Duration::from_secs(5));
    let topic = "probe/word#x".parse().expect("a topic");
    let now = mesh.now();
    mesh.engines[1].publish_json(&topic, b"7".to_vec(), now);
    mesh.settle();
    let log = mesh.till_state(till)["log"].clone();
    assert_eq!(log, serde_json::json!(["recovered", "Err(Gone)", "rang", "word 7"]));
    assert!(mesh.replay_all(0) > 30);
}

#[test]
fn what_was_not_durable_never_happened() {
    let mut mesh = Mesh::recorded(2);
    let till = mesh.till(0);
    mesh.pay(1, till, 5);
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    let unanswered = mesh.pay(1, till, 100);
    mesh.crash(0, 2);
    assert_eq!(mesh.till_state(till)["sum"], 5);
    assert_eq!(mesh.answers[&unanswered], Err(Failure::Gone));
}

#[test]
fn history_ends_with_its_host() {
    let mut mesh = Mesh::recorded(2);
    mesh.put(1, mesh.probe(0), "x");
    mesh.advance(Duration::from_secs(1));
    mesh.crash(0, 2);
    assert_eq!(mesh.log(0), Vec::<String>::new());
    assert!(mesh.replay_all(0) > 2);
}

#[test]
fn an_agent_that_was_stopped_stays_stopped() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    mesh.tell(0, till, "stop");
    mesh.crash(0, 2);
    let ticket = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
}

#[test]
fn an_agent_that_ends_itself_is_not_revived_by_a_snapshot_of_that_moment() {
    // Snapshots are made every ten inputs; wherever it ends itself, it has ended.
    for inputs in 5..20 {
        let mut mesh = Mesh::recorded(1);
        let till = mesh.till(0);
        for _ in 0..inputs {
            mesh.pay(0, till, 1);
        }
        mesh.disks[0].as_mut().expect("a disk").stalled = true;
        mesh.tell(0, till, "stop");
        // The disk has what it was given, and the host is killed before it can go on.
        mesh.write(0);
        mesh.crash(0, 2);
        let ticket = mesh.pay(0, till, 1);
        assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent), "after {inputs} inputs");
    }
}

#[test]
fn who_hears_that_an_agent_was_stopped_does_not_find_it_after_a_crash() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    let to = Address { host: mesh.host(0), agent: AgentId::HOST };
    let body = format!(r#"{{"agent":"{}"}}"#, till.agent);
    let stop = mesh.ask(0, to, "host/stop", &body);
    assert_eq!(mesh.answers.get(&stop), None);
    mesh.write(0);
    mesh.settle();
    assert_eq!(mesh.answer(stop), Some("true"));
    mesh.crash(0, 2);
    let ticket = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
    let again = mesh.ask(0, to, "host/stop", &body);
    assert_eq!(mesh.answer(again), Some("false"));
}

#[test]
fn going_down_in_good_order_ends_nothing_that_lives_on() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    mesh.pay(0, till, 9);
    let now = mesh.now();
    mesh.engines[0].leave(now);
    mesh.settle();
    mesh.restart(0, 2);
    mesh.settle();
    assert_eq!(mesh.till_state(till)["sum"], 9);
    assert_eq!(mesh.till_state(till)["log"], serde_json::json!(["recovered"]));
}

#[test]
fn leaving_for_good_ends_all() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    let now = mesh.now();
    mesh.engines[0].leave_for_good(now);
    mesh.settle();
    mesh.restart(0, 2);
    mesh.settle();
    let ticket = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent));
}

#[test]
fn a_letter_arrives_once_whatever_restarts() {
    let mut mesh = Mesh::recorded(2);
    let (from, to) = (mesh.till(0), mesh.till(1));
    mesh.pay(0, from, 100);
    mesh.cut(0, 1);
    let ticket = mesh.send(0, from, to, 10);
    assert_eq!(mesh.answer(ticket), Some("null"), "posting does not wait for the receiver");
    mesh.crash(0, 2);
    mesh.crash(1, 2);
    assert_eq!(mesh.till_state(to)["sum"], 10);
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
    mesh.crash(0, 3);
    mesh.crash(1, 3);
    assert_eq!(
        (&mesh.till_state(from)["sum"], &mesh.till_state(to)["sum"]),
        (&90.into(), &10.into())
    );
    assert!(mesh.replay_all(0) > 2 && mesh.replay_all(1) > 1);
}

#[test]
fn a_letter_handled_but_not_durable_comes_again() {
    let mut mesh = Mesh::recorded(2);
    let (from, to) = (mesh.till(0), mesh.till(1));
    mesh.pay(0, from, 100);
    mesh.disks[1].as_mut().expect("a disk").stalled = true;
    mesh.send(0, from, to, 10);
    assert_eq!(mesh.engines[0].letters_waiting(), 1, "not taken before it is durable there");
    mesh.crash(1, 2);
    assert_eq!(mesh.till_state(to)["sum"], 10);
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
}

#[test]
fn a_letter_that_was_not_sent_to_the_last_life_does_not_overtake_those_that_were() {
    let mut mesh = Mesh::recorded(2);
    let (from, to) = (mesh.till(0), mesh.till(1));
    mesh.pay(0, from, 100);
    mesh.disks[1].as_mut().expect("a disk").stalled = true;
    mesh.send(0, from, to, 10);
    mesh.held.insert((0, 1));
    mesh.send(0, from, to, 20);
    mesh.held.clear();
    mesh.crash(1, 2);
    assert_eq!(mesh.till_state(to)["sum"], 30);
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
}

#[test]
fn a_letter_within_a_host_takes_the_same_way() {
    let mut mesh = Mesh::recorded(1);
    let (from, to) = (mesh.till(0), {
        let start = Start { kind: "till".into(), ..Start::default() };
        let agent = mesh.engines[0].start(start).expect("the kind is known");
        Address { host: mesh.host(0), agent }
    });
    mesh.pay(0, from, 100);
    mesh.send(0, from, to, 10);
    assert_eq!(mesh.till_state(to)["sum"], 10);
    mesh.crash(0, 2);
    assert_eq!(
        (&mesh.till_state(from)["sum"], &mesh.till_state(to)["sum"]),
        (&90.into(), &10.into())
    );
}

#[test]
fn a_letter_to_nobody_comes_back() {
    let mut mesh = Mesh::recorded(2);
    let from = mesh.till(0);
    mesh.pay(0, from, 100);
    let nobody = Address { host: mesh.host(1), agent: AgentId(5000) };
    mesh.send(0, from, nobody, 10);
    let log = mesh.till_state(from)["log"].clone();
    assert_eq!(log, serde_json::json!(["undelivered till/money: NoAgent"]));
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
    // The next is handled all the same.
    let to = mesh.till(1);
    mesh.send(0, from, to, 10);
    assert_eq!(mesh.till_state(to)["sum"], 10);
}

#[test]
fn a_stuck_disk_refuses_what_must_not_be_lost_and_recovers_by_itself() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    let now = mesh.now();
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    mesh.engines[0].handle(Input::Storage(Storage::Stuck("no space".into())), now);
    let refused = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&refused], Err(Failure::Storage("no space".into())));
    let start = Start { kind: "till".into(), ..Start::default() };
    let started = mesh.engines[0].start(start);
    assert!(matches!(started, Err(StartError::Storage(_))), "{started:?}");
    // What may be lost goes on, off the record.
    let put = mesh.put(0, mesh.probe(0), "x");
    assert_eq!(mesh.answer(put), Some("\"got x\""));
    mesh.engines[0].handle(Input::Storage(Storage::Works), now);
    mesh.write(0);
    mesh.settle();
    let taken = mesh.pay(0, till, 1);
    assert_eq!(mesh.answer(taken), Some("1"));
    mesh.put(0, mesh.probe(0), "y");
    mesh.advance(Duration::from_secs(1));
    let disk = mesh.disks[0].as_ref().expect("a disk");
    assert!(disk.records().iter().any(|(_, record)| matches!(record, Record::Gap { .. })));
    mesh.replay_all(0);
}

/// An agent that need not be kept and takes letters.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Purse(u64);

impl Agent for Purse {
    const KIND: &'static str = "purse";
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
        interests.collects::<Money>();
    }
}

impl Answers<Pay> for Purse {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Pay(sum): Pay) -> Answer<Pay> {
        self.0 += sum;
        Answer::now(self.0)
    }
}

impl Collects<Money> for Purse {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Money(sum): Money) {
        self.0 *= sum;
    }
}

#[test]
fn a_letter_that_is_recorded_while_other_inputs_are_not_replays() {
    let mut mesh = Mesh::recorded(2);
    let from = mesh.till(1);
    let purse = mesh.engines[0].start(Start { kind: "purse".into(), ..Start::default() });
    let purse = Address { host: mesh.host(0), agent: purse.expect("the kind is known") };
    mesh.pay(1, from, 100);
    mesh.pay(0, purse, 3);
    let now = mesh.now();
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    mesh.engines[0].handle(Input::Storage(Storage::Stuck("no space".into())), now);
    mesh.pay(0, purse, 4);
    mesh.send(1, from, purse, 2);
    mesh.engines[0].handle(Input::Storage(Storage::Works), now);
    mesh.write(0);
    mesh.settle();
    let sum = mesh.pay(0, purse, 1);
    assert_eq!(mesh.answer(sum), Some("15"));
    mesh.advance(Duration::from_secs(1));
    assert!(mesh.replay_all(0) > 3);
}

#[test]
fn who_hears_that_an_agent_was_started_finds_it_after_a_crash() {
    let mut mesh = Mesh::recorded(1);
    mesh.disks[0].as_mut().expect("a disk").stalled = true;
    let to = Address { host: mesh.host(0), agent: AgentId::HOST };
    let body = r#"{"kind":"till","name":"a","state":null}"#;
    let ticket = mesh.ask(0, to, "host/start", body);
    assert_eq!(mesh.answers.get(&ticket), None, "{}", StartAgent::NAME);
    mesh.write(0);
    mesh.settle();
    assert!(mesh.answer(ticket).is_some());
}

#[test]
fn another_file_begins_with_all_it_needs() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    mesh.pay(0, till, 5);
    let nobody = Address { host: HostId([9; 32]), agent: AgentId(5000) };
    mesh.send(0, till, nobody, 1);
    mesh.advance(Duration::from_secs(25 * 3600));
    mesh.pay(0, till, 1);
    mesh.advance(Duration::from_secs(1));
    let disk = mesh.disks[0].as_mut().expect("a disk");
    let second = disk.pages.iter().rposition(|page| {
        let open = Page::open(&page.bytes).expect("a whole page");
        open.records().any(|record| matches!(record, Ok((_, Record::Era(_)))))
    });
    let second = second.expect("an era");
    assert!(second > 0, "another file was begun");
    disk.pages.drain(..second);
    mesh.crash(0, 2);
    assert_eq!(mesh.till_state(till)["sum"], 5);
    mesh.replay_all(0);
}

#[test]
fn a_file_gets_old_through_the_lives_of_its_host() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    for life in 2..5 {
        mesh.advance(Duration::from_secs(10 * 3600));
        mesh.pay(0, till, 1);
        mesh.crash(0, life);
    }
    mesh.pay(0, till, 1);
    mesh.advance(Duration::from_secs(1));
    let disk = mesh.disks[0].as_ref().expect("a disk");
    assert_eq!(disk.files, 2, "another file was begun");
}

#[test]
fn another_file_knows_of_letters_that_were_handled_and_are_not_durable_yet() {
    let mut mesh = Mesh::recorded(2);
    let (from, to) = (mesh.till(0), mesh.till(1));
    mesh.pay(0, from, 100);
    mesh.advance(Duration::from_secs(24 * 3600 - 1));
    mesh.disks[1].as_mut().expect("a disk").stalled = true;
    mesh.send(0, from, to, 10);
    mesh.advance(Duration::from_secs(2));
    mesh.cut(0, 1);
    mesh.pay(1, to, 0);
    mesh.write(1);
    let disk = mesh.disks[1].as_mut().expect("a disk");
    let second = disk.pages.iter().rposition(|page| {
        let open = Page::open(&page.bytes).expect("a whole page");
        open.records().any(|record| matches!(record, Ok((_, Record::Era(_)))))
    });
    let second = second.filter(|second| *second > 0).expect("another file was begun");
    disk.pages.drain(..second);
    // The sender has not heard that it was taken, and sends it again.
    mesh.crash(1, 2);
    assert_eq!(mesh.till_state(to)["sum"], 10);
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
}

#[test]
fn a_handler_that_panics_leaves_the_input_that_killed_it() {
    let mut mesh = Mesh::recorded(1);
    let till = mesh.till(0);
    let ticket = mesh.tell(0, till, "die");
    assert_eq!(mesh.answers[&ticket], Err(Failure::Gone));
    let disk = mesh.disks[0].as_ref().expect("a disk");
    let died = disk.records().into_iter().find_map(|(_, record)| match record {
        Record::Entry(entry) => match entry.handled {
            starling_protocols::journal::Handled::Died(why) => Some(why.to_string()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(died.as_deref(), Some("as it was told"));
    mesh.replay_all(0);
    mesh.crash(0, 2);
    let ticket = mesh.pay(0, till, 1);
    assert_eq!(mesh.answers[&ticket], Err(Failure::NoAgent), "it stays dead");
}

#[test]
fn a_host_with_an_older_disk_takes_the_letters_that_follow() {
    let mut mesh = Mesh::recorded(2);
    let (from, to) = (mesh.till(0), mesh.till(1));
    mesh.pay(0, from, 100);
    let old = mesh.disks[1].as_ref().expect("a disk").pages.clone();
    mesh.send(0, from, to, 10);
    mesh.send(0, from, to, 20);
    mesh.disks[1].as_mut().expect("a disk").pages = old;
    mesh.crash(1, 2);
    mesh.send(0, from, to, 1);
    assert_eq!(mesh.till_state(to)["sum"], 1, "what was taken before is not sent again");
    assert_eq!(mesh.engines[0].letters_waiting(), 0);
}

#[test]
fn who_is_to_read_the_journal_finds_all_that_was_recorded() {
    let mut mesh = Mesh::recorded(1);
    let probe = mesh.probe(0);
    let _ = mesh.put(0, probe, "a");
    let stored = |mesh: &Mesh| mesh.disks[0].as_ref().expect("a disk").records();
    let before = stored(&mesh).len();
    let now = mesh.now();
    let next = mesh.engines[0].give_out_records(now);
    assert_eq!(stored(&mesh).len(), before, "what is history waits for more");
    mesh.settle();
    let after = stored(&mesh);
    assert!(after.len() > before);
    assert_eq!(after.last().map(|(last, _)| last.0 + 1), Some(next.0));
}
