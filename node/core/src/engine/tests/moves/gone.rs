//! When a host counts as gone, so that others take its agents up.

use starling_protocols::{limits::GONE_AFTER, link};

use super::*;

impl Mesh {
    /// For so long one host tries to reach another, and cannot.
    pub(super) fn dial_in_vain(&mut self, from: usize, to: usize, seconds: u64) {
        let host = self.host(to);
        for _ in 0..seconds {
            self.advance(Duration::from_secs(1));
            if self.engines[from].links.state(host) == link::State::Dialling {
                let change = LinkChange::DialFailed { why: "nobody listens".into() };
                let now = self.now();
                self.engines[from].handle(Input::Link { host, change }, now);
                self.settle();
            }
        }
    }

    /// The same, and what another host is told then when it takes an agent up.
    fn take_up_after(&mut self, seconds: u64, from: usize, agent: AgentId) -> Result<(), String> {
        self.dial_in_vain(from, 0, seconds);
        self.take_up(from, agent, false)
    }

    /// A host begins anew, and knows of the others what it knew.
    fn forget_but_the_roster(&mut self, host: usize, life: u64) {
        self.cut_off(host);
        let known = Known::Checked(self.engines[host].roster().clone());
        let config = Config { known, ..self.config(host, life) };
        self.engines[host] = Engine::new(config, self.now());
        self.settle();
    }
}

fn lately(what: &str, seconds: u64) -> Result<(), String> {
    let count = |number| match number {
        1 => "1 second".to_owned(),
        number => format!("{number} seconds"),
    };
    let why = format!(
        "its host host-0 has been {what} for no more than {}, as far as is known here, and may be \
         back in a moment: try again in {}, or, if it is gone for good, say so: --its-host-is-gone",
        count(seconds),
        count(60 - seconds),
    );
    Err(Failure::Refused(why).to_string())
}

fn unknown() -> Result<(), String> {
    let why = "its host host-0 is not known to be gone: move it from there, or, if you know \
               better, say so: --its-host-is-gone";
    Err(Failure::Refused(why.into()).to_string())
}

#[test]
fn a_host_that_was_lost_a_moment_ago_may_be_starting_again() {
    assert_eq!(GONE_AFTER, Duration::from_secs(60));
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut_off(0);
    assert_eq!(mesh.take_up_after(0, 1, agent), lately("out of reach", 0));
    // To be told takes eleven seconds.
    assert_eq!(mesh.take_up_after(48, 1, agent), lately("out of reach", 59));
    assert_eq!(mesh.homes(agent), [0]);
    assert_eq!(mesh.take_up_after(0, 1, agent), Ok(()));
    assert_eq!(mesh.homes(agent), [0, 1]);
}

#[test]
fn who_knows_better_does_not_wait() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    assert_eq!(mesh.take_up(1, agent, true), Ok(()));
}

#[test]
fn a_host_that_was_back_for_a_moment_has_another_minute() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    mesh.dial_in_vain(1, 0, 59);
    // It passes the gate, and is lost before it has said anything.
    let (host, now) = (mesh.host(0), mesh.now());
    for change in
        [LinkChange::Up { until: MEMBER_UNTIL }, LinkChange::Down { why: "it crashed".into() }]
    {
        mesh.engines[1].handle(Input::Link { host, change }, now);
    }
    mesh.settle();
    assert_eq!(mesh.take_up_after(5, 1, agent), lately("out of reach", 5));
}

#[test]
fn a_host_of_which_others_have_news_is_there_perhaps() {
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    mesh.dial_in_vain(1, 0, 59);
    let now = mesh.now();
    let addresses = vec!["/memory/7".to_owned()];
    mesh.engines[0].handle(Input::Listening { addresses }, now);
    mesh.settle();
    assert_eq!(mesh.take_up_after(0, 1, agent), unknown());
    // From the next dial that fails.
    mesh.dial_in_vain(1, 0, 1);
    assert_eq!(mesh.take_up_after(0, 1, agent), lately("out of reach", 0));
}

#[test]
fn a_host_that_was_lost_and_says_goodbye_has_another_minute() {
    let mut mesh = Mesh::with_documents(3);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    mesh.dial_in_vain(1, 0, 30);
    // Others hear it, and pass it on.
    let now = mesh.now();
    mesh.engines[0].leave(now);
    mesh.settle();
    assert_eq!(mesh.take_up_after(0, 1, agent), lately("down", 0));
}

#[test]
fn a_host_that_nobody_has_looked_for_lately_is_not_taken_for_gone() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    mesh.cut(0, 1);
    mesh.advance(Duration::from_secs(200));
    assert_eq!(mesh.take_up_after(0, 1, agent), unknown());
    // It may have been there meanwhile.
    assert_eq!(mesh.take_up_after(1, 1, agent), lately("out of reach", 0));
    mesh.dial_in_vain(1, 0, 49);
    assert_eq!(mesh.take_up_after(0, 1, agent), Ok(()));
}

#[test]
fn a_host_that_nobody_dials_is_looked_for_by_whoever_takes_an_agent_up() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let host = mesh.host(0);
    // As in a mesh that is too large for a link between every two.
    mesh.engines[1].links.release(host);
    mesh.cut(0, 1);
    assert_eq!(mesh.engines[1].links.state(host), link::State::Down);
    mesh.advance(Duration::from_secs(200));
    assert_eq!(mesh.engines[1].links.state(host), link::State::Down);
    assert_eq!(mesh.take_up(1, agent, false), unknown());
    assert_eq!(mesh.engines[1].links.state(host), link::State::Dialling);
    // It is dialled until that is known.
    mesh.dial_in_vain(1, 0, 70);
    assert_eq!(mesh.take_up_after(0, 1, agent), Ok(()));
}

#[test]
fn a_host_that_nobody_dials_is_looked_for_also_when_it_was_lost_a_moment_ago() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let host = mesh.host(0);
    mesh.engines[1].links.release(host);
    mesh.cut(0, 1);
    assert_eq!(mesh.take_up(1, agent, false), lately("out of reach", 0));
    assert_eq!(mesh.engines[1].links.state(host), link::State::Dialling);
}

#[test]
fn a_host_that_is_linked_is_there_also_when_nothing_is_known_of_it() {
    let mut mesh = Mesh::new(1);
    let (stranger, now) = (key(9).host(), mesh.now());
    assert!(mesh.engines[0].absent_for(stranger).is_some());
    let change = LinkChange::Up { until: MEMBER_UNTIL };
    mesh.engines[0].handle(Input::Link { host: stranger, change }, now);
    assert_eq!(mesh.engines[0].absent_for(stranger), None);
}

#[test]
fn a_host_that_went_down_on_purpose_may_be_starting_again() {
    let mut mesh = Mesh::with_documents(2);
    let agent = mesh.settle_in(0, "sitter", "ada").agent;
    let now = mesh.now();
    mesh.engines[0].leave(now);
    mesh.settle();
    mesh.cut(0, 1);
    assert_eq!(mesh.take_up_after(0, 1, agent), lately("down", 0));
    assert_eq!(mesh.take_up_after(30, 1, agent), lately("down", 41));
    // Who asks begins anew, and does not know any more since when.
    mesh.forget_but_the_roster(1, 2);
    assert_eq!(mesh.take_up_after(7, 1, agent), lately("down", 7));
    mesh.advance(Duration::from_secs(49));
    assert_eq!(mesh.take_up_after(0, 1, agent), Ok(()));
}
