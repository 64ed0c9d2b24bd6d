use starling_core::engine::{Input, Ticket};
use starling_protocols::{
    admission::{InviteError, Refusal, Terms, Token},
    ident::{Credential, Signed},
    roster::HostRecord,
};

use super::{Event, Sim};
use crate::{
    clock::wall,
    disk::Hosts,
    faults::HostNo,
    host::{Down, Inbox},
    network::chance,
};

/// Crossings until a token is shown: connecting takes two, the encryption three.
const CROSSINGS_TO_KNOCK: u32 = 5;

/// What a host is given at the gate.
type Admission = Result<(Credential, Vec<Signed<HostRecord>>), Refusal>;

/// A stranger at the gate.
#[derive(Debug)]
pub(crate) enum Joining {
    /// Its token is on the way to the redeemer.
    Token { joiner: HostNo, redeemer: HostNo, token: Token },
    /// The answer is on the way back.
    Answer { joiner: HostNo, redeemer: HostNo, admission: Admission },
}

/// Joining by a token.
impl Sim {
    /// Issues an invite at a host. `None` while its daemon does not run.
    pub fn invite(&mut self, host: HostNo, terms: &Terms) -> Option<Result<Token, InviteError>> {
        let mut issued = None;
        self.drive(host, |engine, now| issued = Some(engine.invite(terms, now)));
        issued
    }

    /// Lets a machine show a token to its redeemer. When all goes well it becomes a member and
    /// its daemon starts; otherwise nothing happens, and whoever joins tries again.
    pub fn join(&mut self, joiner: HostNo, token: &Token) {
        let wall = wall(self.now, self.hosts[joiner.index()].clock.skew_ms());
        let Ok(invite) = token.open(wall) else { return };
        let Some(redeemer) = self.with_id(invite.redeemer) else { return };
        let token = token.clone();
        let shown = Joining::Token { joiner, redeemer, token };
        self.cross(joiner, redeemer, CROSSINGS_TO_KNOCK, shown);
    }

    fn cross(&mut self, from: HostNo, to: HostNo, crossings: u32, joining: Joining) {
        let entropy = &mut self.hosts[from.index()].entropy;
        let delays = (0..crossings)
            .map(|_| self.net.paths.delay((from, to), 0, entropy, &mut self.fired))
            .collect::<Vec<_>>();
        let at = self.now + delays.into_iter().sum();
        self.plan(at, Event::Joining(Box::new(joining)));
    }

    pub(super) fn on_joining(&mut self, joining: Joining) {
        let (joiner, redeemer) = match &joining {
            Joining::Token { joiner, redeemer, .. } | Joining::Answer { joiner, redeemer, .. } => {
                (*joiner, *redeemer)
            }
        };
        if self.net.paths.is_cut(joiner, redeemer) || self.net.paths.is_cut(redeemer, joiner) {
            return self.fired.count(self.net.paths.kind_of_cut(joiner, redeemer), 1);
        }
        match joining {
            Joining::Token { token, .. } => self.put(redeemer, Inbox::Redeem { joiner, token }),
            Joining::Answer { admission, .. } => self.admitted(joiner, admission),
        }
    }

    pub(super) fn on_redeem(&mut self, host: HostNo, joiner: HostNo, token: Token) {
        let ticket = self.hosts[host.index()].ticket();
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        running.redeeming.insert(ticket, joiner);
        let joiner = self.hosts[joiner.index()].id;
        self.drive(host, |engine, now| {
            engine.handle(Input::Redeem { ticket, joiner, token }, now);
        });
    }

    pub(super) fn redeemed(&mut self, host: HostNo, ticket: Ticket, admission: Admission) {
        self.trace.note(self.now, host, "redeemed", &[u8::from(admission.is_ok())]);
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        let Some(joiner) = running.redeeming.remove(&ticket) else { return };
        self.cross(host, joiner, 1, Joining::Answer { joiner, redeemer: host, admission });
    }

    fn admitted(&mut self, joiner: HostNo, admission: Admission) {
        let wall = wall(self.now, self.hosts[joiner.index()].clock.skew_ms());
        let Some(mesh) = self.genesis.as_ref().map(starling_protocols::ident::Genesis::mesh) else {
            return;
        };
        let at = &mut self.hosts[joiner.index()];
        let Ok((credential, hosts)) = admission else { return };
        if credential.verify(mesh, at.id, wall).is_err() || at.disk.credential.is_some() {
            return;
        }
        at.disk.hosts = Hosts::Signed(hosts);
        at.disk.credential = Some(credential);
        self.say_of(joiner, "is a member now");
        if self.hosts[joiner.index()].down == Down::No {
            self.start(joiner);
        }
    }

    /// A chance of this run that no host decides.
    pub fn chance(&mut self, permille: u32) -> bool {
        chance(&mut self.root, permille)
    }
}
