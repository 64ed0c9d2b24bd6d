use super::*;

/// Something is broken, and one should mend it.
#[derive(Serialize, Deserialize)]
pub(super) struct Broken(pub(super) String);
impl Problem for Broken {
    const NAME: &'static str = "fixer/broken";
    type Solution = String;
    fn key(&self) -> String {
        self.0.clone()
    }
}

/// An agent that mends things as it is told; one that lasts outlives a crash of its host.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Fixer<const LASTS: bool> {
    pub(super) log: Vec<String>,
    /// How it mends: `later`, `fails`, `dies`, or else at once. `notices`: as soon as it is asked.
    pub(super) style: String,
    /// Whom it names when it is asked.
    pub(super) knows: Vec<Address>,
    pub(super) tasks: Vec<Solving<Broken>>,
}

/// What a fixer is told.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    Notice { what: String, members: Vec<Address> },
    Mend,
    GiveUp,
}
impl Request for Order {
    const NAME: &'static str = "fixer/order";
    type Reply = ();
}

impl<const LASTS: bool> Agent for Fixer<LASTS> {
    const KIND: &'static str = if LASTS { "lasting-fixer" } else { "fixer" };
    const DURABILITY: Durability = if LASTS { Durability::WriteAhead } else { Durability::History };
    type Then = Never;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Order>();
        interests.solves::<Broken>();
    }
}

impl<const LASTS: bool> Answers<Order> for Fixer<LASTS> {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, order: Order) -> Answer<Order> {
        match order {
            Order::Notice { what, members } => cx.solve(&Broken(what), members),
            Order::Mend => {
                for task in std::mem::take(&mut self.tasks) {
                    let wanted = cx.solved(task, &"slowly".to_owned());
                    self.log.push(format!("mended, wanted: {wanted}"));
                }
            }
            Order::GiveUp => {
                for task in std::mem::take(&mut self.tasks) {
                    assert!(cx.unsolvable(task, "it takes too long"));
                }
            }
        }
        Answer::now(())
    }
}

impl<const LASTS: bool> Solves<Broken> for Fixer<LASTS> {
    fn members(&mut self, cx: &mut Cx<'_, Self>, what: &Broken) -> Vec<Address> {
        if self.style == "notices" {
            cx.solve(what, []);
        }
        self.knows.clone()
    }

    fn solve(
        &mut self,
        _: &mut Cx<'_, Self>,
        task: Solving<Broken>,
        what: &Broken,
    ) -> Solved<Broken> {
        self.log.push(format!("mends {}", what.0));
        match self.style.as_str() {
            "later" | "notices" => {
                self.tasks.push(task);
                Solved::later()
            }
            "fails" => Solved::failed("no tools"),
            "dies" => panic!("as it was told"),
            _ => Solved::now("well".into()),
        }
    }

    fn settled(
        &mut self,
        cx: &mut Cx<'_, Self>,
        what: &Broken,
        outcome: Result<Solution<Broken>, Unsolved>,
    ) {
        self.log.push(match outcome {
            Ok(Solution { solution, by }) if by == cx.address() => format!("{} {solution}", what.0),
            Ok(Solution { solution, .. }) => format!("{} {solution} by another", what.0),
            Err(why) => format!("{} not: {why}", what.0),
        });
    }

    fn another(&mut self, _: &mut Cx<'_, Self>, what: &Broken, other: Solution<Broken>) {
        self.log.push(format!("{} {} once more", what.0, other.solution));
    }
}

impl Mesh {
    fn fixer(&mut self, host: usize, style: &str, knows: &[Address]) -> Address {
        self.start_fixer("fixer", host, style, knows)
    }

    fn start_fixer(&mut self, kind: &str, host: usize, style: &str, knows: &[Address]) -> Address {
        let (style, knows) = (style.to_owned(), knows.to_vec());
        let state = Fixer::<false> { style, knows, ..Fixer::default() };
        let init = Init::Json(serde_json::to_string(&state).expect("JSON"));
        let start = Start { kind: kind.into(), name: None, init };
        let agent = self.engines[host].start(start).expect("the kind is known");
        let now = self.now();
        self.engines[host].handle(Input::Tick, now);
        self.settle();
        Address { host: self.host(host), agent }
    }

    fn where_is(&self, agent: Address) -> usize {
        (0..self.engines.len()).find(|host| self.host(*host) == agent.host).expect("a host")
    }

    fn tell_fixer(&mut self, fixer: Address, order: &Order) {
        let body = serde_json::to_string(order).expect("JSON");
        let host = self.where_is(fixer);
        let ticket = self.ask(host, fixer, "fixer/order", &body);
        assert_eq!(self.answers[&ticket].as_deref(), Ok("null"));
    }

    fn notice(&mut self, fixer: Address, what: &str, members: &[Address]) {
        let (what, members) = (what.to_owned(), members.to_vec());
        self.tell_fixer(fixer, &Order::Notice { what, members });
    }

    fn inspect_fixer(&mut self, fixer: Address) -> (Vec<String>, serde_json::Value) {
        let to = Address { host: fixer.host, agent: AgentId::HOST };
        let body = format!(r#"{{"agent":"{}"}}"#, fixer.agent);
        let ticket = self.ask(self.where_is(fixer), to, "host/inspect", &body);
        let reply = self.answers[&ticket].as_ref().expect("the host agent answers");
        let detail: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let state = detail["state"].as_str().expect("a state");
        let state: Fixer<false> = serde_json::from_str(state).expect("JSON");
        (state.log, detail["waits"].clone())
    }

    fn fixed(&mut self, fixer: Address) -> Vec<String> {
        let (log, waits) = self.inspect_fixer(fixer);
        assert_eq!(waits, serde_json::json!([]), "nothing is left behind");
        log
    }

    fn busy(&mut self, fixer: Address) -> Vec<String> {
        self.inspect_fixer(fixer).0
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn of_many_that_notice_at_once_one_acts() {
    let mut mesh = Mesh::recorded(3);
    let all: Vec<Address> = (0..9).map(|number| mesh.fixer(number % 3, "later", &[])).collect();
    // What they ask each other crosses on the way.
    mesh.held = (0..3).flat_map(|a| (0..3).map(move |b| (a, b))).collect();
    all.iter().for_each(|fixer| mesh.notice(*fixer, "door", &all));
    mesh.release();
    let acts = |mesh: &mut Mesh, fixer: &&Address| mesh.busy(**fixer) == ["mends door"];
    let solvers: Vec<&Address> = all.iter().filter(|fixer| acts(&mut mesh, fixer)).collect();
    let &[solver] = &solvers[..] else { panic!("{solvers:?}") };
    mesh.advance(SECOND * 11);
    mesh.tell_fixer(*solver, &Order::Mend);
    for fixer in &all {
        let log = mesh.fixed(*fixer);
        if fixer == solver {
            assert_eq!(log, ["mends door", "mended, wanted: true", "door slowly"]);
        } else {
            assert_eq!(log, ["door slowly by another"]);
        }
    }
    mesh.advance(SECOND);
    (0..3).for_each(|host| assert!(mesh.replay_all(host) > 0));
}

#[test]
fn who_asks_twice_or_late_gets_the_solution_and_nobody_acts_again() {
    let mut mesh = Mesh::new(2);
    let (first, second, third) =
        (mesh.fixer(0, "", &[]), mesh.fixer(1, "", &[]), mesh.fixer(1, "", &[]));
    mesh.notice(first, "door", &[second]);
    assert_eq!(mesh.fixed(first), ["mends door", "door well"]);
    // Who had not noticed it gets it as well.
    assert_eq!(mesh.fixed(second), ["door well by another"]);
    mesh.notice(first, "door", &[second]);
    mesh.notice(second, "door", &[first, second]);
    mesh.notice(third, "door", &[second]);
    assert_eq!(mesh.fixed(first)[2..], ["door well"]);
    assert_eq!(mesh.fixed(second), ["door well by another"; 2]);
    assert_eq!(mesh.fixed(third), ["door well by another"]);
    // Another key is another problem; and what was long ago is forgotten.
    mesh.notice(second, "roof", &[first]);
    mesh.advance(SECOND * 601);
    mesh.notice(third, "door", &[second]);
    assert_eq!(mesh.fixed(second)[2..], ["mends roof", "roof well", "door well by another"]);
    assert_eq!(mesh.fixed(third)[1..], ["mends door", "door well"]);
}

#[test]
fn two_that_do_not_know_each_other_meet_by_a_third() {
    let mut mesh = Mesh::new(3);
    let (one, other) = (mesh.fixer(0, "later", &[]), mesh.fixer(1, "later", &[]));
    let far = mesh.fixer(2, "", &[]);
    let third = mesh.fixer(2, "", &[far]);
    mesh.notice(one, "door", &[third]);
    mesh.notice(other, "door", &[far]);
    assert_eq!((mesh.busy(one), mesh.busy(other)), (vec!["mends door".into()], vec![]));
    mesh.tell_fixer(one, &Order::Mend);
    for fixer in [other, third, far] {
        assert_eq!(mesh.fixed(fixer), ["door slowly by another"]);
    }
}

#[test]
fn one_that_dies_while_it_acts_is_followed_by_another() {
    let mut mesh = Mesh::new(3);
    let dies = mesh.fixer(0, "dies", &[]);
    let others = [mesh.fixer(1, "later", &[]), mesh.fixer(2, "later", &[])];
    mesh.notice(dies, "door", &others);
    mesh.advance(SECOND);
    let acts = |mesh: &mut Mesh| {
        let acts = others.map(|fixer| mesh.busy(fixer) == ["mends door"]);
        assert_eq!(acts.iter().filter(|acts| **acts).count(), 1);
        usize::from(acts[1])
    };
    let second = acts(&mut mesh);
    // Its host dies as well, and comes back without it.
    mesh.restart(1 + second, 2);
    mesh.settle();
    mesh.advance(SECOND);
    let last = others[1 - second];
    assert_eq!(mesh.busy(last), ["mends door"]);
    mesh.tell_fixer(last, &Order::Mend);
    assert_eq!(mesh.fixed(last)[2..], ["door slowly"]);
}

#[test]
fn one_that_fails_or_is_stopped_leaves_it_to_the_next() {
    let mut mesh = Mesh::new(2);
    let fails = mesh.fixer(0, "fails", &[]);
    let stops = mesh.fixer(1, "later", &[]);
    mesh.notice(fails, "door", &[stops]);
    mesh.advance(SECOND);
    assert_eq!(
        (mesh.busy(fails), mesh.busy(stops)),
        (vec!["mends door".into()], vec!["mends door".into()])
    );
    let last = mesh.fixer(0, "later", &[]);
    mesh.notice(last, "door", &[fails]);
    let agent = mesh.engines[1].agents.find(stops.agent).expect("it lives");
    mesh.engines[1].stop(agent, None);
    let now = mesh.now();
    mesh.engines[1].handle(Input::Tick, now);
    mesh.settle();
    mesh.advance(SECOND);
    assert_eq!(mesh.busy(last), ["mends door"]);
    mesh.tell_fixer(last, &Order::GiveUp);
    mesh.advance(SECOND);
    let why = "door not: all members that are there have tried; the last said: it takes too long";
    for fixer in [fails, last] {
        assert_eq!(mesh.fixed(fixer), ["mends door", why]);
    }
    // Who notices it again begins anew.
    mesh.notice(last, "door", &[fails]);
    assert_eq!(mesh.busy(last)[2..], ["mends door"]);
}

#[test]
fn each_part_of_a_divided_group_acts_and_nobody_acts_anew_when_they_meet() {
    let mut mesh = Mesh::new(2);
    let here = mesh.fixer(0, "later", &[]);
    let there = mesh.fixer(1, "later", &[]);
    mesh.cut(0, 1);
    mesh.notice(here, "door", &[there]);
    mesh.notice(there, "door", &[here]);
    assert_eq!((mesh.busy(here), mesh.busy(there)), (vec![], vec![]));
    mesh.advance(SECOND * 3);
    for fixer in [here, there] {
        assert_eq!(mesh.busy(fixer), ["mends door"]);
        mesh.tell_fixer(fixer, &Order::Mend);
    }
    let (late_here, late_there) = (mesh.fixer(0, "", &[]), mesh.fixer(1, "", &[]));
    mesh.connect(0, 1);
    mesh.settle();
    for fixer in [here, there] {
        let log = mesh.fixed(fixer);
        let expected =
            ["mends door", "mended, wanted: true", "door slowly", "door slowly once more"];
        assert_eq!(log, expected, "each hears of the other");
    }
    mesh.notice(late_here, "door", &[here, there]);
    mesh.notice(late_there, "door", &[here, there]);
    for fixer in [late_here, late_there] {
        let log = mesh.fixed(fixer);
        assert_eq!(log, ["door slowly by another", "door slowly once more"]);
    }
}

#[test]
fn one_whose_host_crashes_goes_on_when_it_is_back() {
    let mut mesh = Mesh::recorded(2);
    let lasts = mesh.start_fixer("lasting-fixer", 0, "later", &[]);
    let waits = mesh.fixer(1, "later", &[]);
    mesh.notice(lasts, "door", &[waits]);
    mesh.crash(0, 2);
    mesh.advance(SECOND);
    assert_eq!(mesh.busy(waits), Vec::<String>::new(), "it does not act as well");
    assert_eq!(mesh.busy(lasts), ["mends door"], "it is not told twice");
    mesh.tell_fixer(lasts, &Order::Mend);
    assert_eq!(mesh.fixed(lasts)[1..], ["mended, wanted: true", "door slowly"]);
    assert_eq!(mesh.fixed(waits), ["door slowly by another"]);
    // The solution is remembered beyond the next crash.
    mesh.crash(0, 3);
    mesh.notice(lasts, "door", &[]);
    assert_eq!(mesh.fixed(lasts)[3..], ["door slowly"]);
}

#[test]
fn what_takes_too_long_is_settled_without_a_solution() {
    let mut mesh = Mesh::new(2);
    let slow = mesh.fixer(0, "later", &[]);
    let waits = mesh.fixer(1, "later", &[]);
    mesh.notice(slow, "door", &[waits]);
    mesh.advance(SECOND * 61);
    let why = "door not: there was no solution in time; a member that acts may yet have one";
    assert_eq!(mesh.fixed(slow), ["mends door", why]);
    assert_eq!(mesh.fixed(waits), [why]);
    mesh.tell_fixer(slow, &Order::Mend);
    assert_eq!(mesh.fixed(slow)[2..], ["mended, wanted: false"]);
}

#[test]
fn people_see_problems_under_way() {
    let mut mesh = Mesh::new(2);
    let acts = mesh.fixer(0, "later", &[]);
    let waits = mesh.fixer(1, "", &[]);
    mesh.notice(acts, "door", &[waits]);
    for (fixer, phase, followers) in [(acts, "acting", 1), (waits, "following", 0)] {
        let (_, shown) = mesh.inspect_fixer(fixer);
        let shown: serde_json::Value =
            serde_json::from_str(shown[0].as_str().expect("text")).expect("JSON");
        assert_eq!(shown["what"], "problem");
        let follows = (phase == "following").then(|| acts.to_string());
        let expected = serde_json::json!({
            "problem": "fixer/broken", "key": "door", "phase": phase, "follows": follows,
            "members": 1, "tried": 0, "followers": followers,
        });
        assert_eq!(shown["then"], expected);
    }
}

#[test]
fn an_agent_that_takes_part_in_too_much_takes_part_in_no_more() {
    let mut mesh = Mesh::new(1);
    let full = mesh.fixer(0, "later", &[]);
    let free = mesh.fixer(0, "", &[]);
    let most = starling_protocols::limits::PROBLEMS_PER_AGENT_MAX;
    (0..most).for_each(|number| mesh.notice(full, &number.to_string(), &[]));
    assert_eq!(mesh.busy(full).len(), most);
    mesh.notice(full, "door", &[]);
    let why = "door not: nobody was asked: this agent has too many problems, or the description \
               is too large";
    assert_eq!(mesh.busy(full)[most..], [why]);
    // To others it is as if it were not there.
    mesh.notice(free, "door", &[full]);
    mesh.advance(SECOND);
    assert_eq!(mesh.fixed(free), ["mends door", "door well"]);
    // What is only remembered makes room.
    mesh.tell_fixer(full, &Order::Mend);
    mesh.notice(full, "roof", &[]);
    assert_eq!(mesh.busy(full).last().map(String::as_str), Some("mends roof"));
}
