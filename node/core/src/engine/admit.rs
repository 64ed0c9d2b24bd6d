use starling_protocols::{
    admission::{Entry, InviteError, InviteId, Refusal, Terms, Token},
    ident::{Credential, HostId, Signed},
    roster::HostRecord,
};

use super::{Counter, Engine, Event, Now, Output, Save, Ticket};

/// Host records that a new member is given at the gate.
const HOSTS_AT_GATE_MAX: usize = 24;

/// Admission: invites are issued and redeemed here; every change of the ledger is saved before
/// the answer that rests on it.
impl Engine {
    /// Issues an invite. Save what is put out before the token is shown to anybody.
    ///
    /// # Errors
    /// [`InviteError`]; nothing was issued.
    pub fn invite(&mut self, terms: &Terms, now: Now) -> Result<Token, InviteError> {
        self.begin(now);
        let id = InviteId(self.entropy.bytes());
        let addresses = self.record.addresses.clone();
        let (key, credential) = (&self.key, &self.credential);
        let token = self.ledger.issue(key, credential, addresses, terms, id, self.wall)?;
        self.emit(Output::Save(Save::Ledger(self.ledger.clone())));
        Ok(token)
    }

    /// The invites that can still be used.
    #[must_use]
    pub fn invites(&self, now: Now) -> Vec<(InviteId, Entry)> {
        self.ledger.open(now.wall).map(|(id, entry)| (id, entry.clone())).collect()
    }

    pub(super) fn redeem(&mut self, ticket: Ticket, joiner: HostId, token: &Token) {
        let (key, own) = (&self.key, &self.credential);
        // Whoever came in now would know this host as one that has left, and nobody else.
        let redeemed = if self.record.left {
            Err(Refusal::CannotAdmit("it is going down; try again when it is back".into()))
        } else {
            self.ledger.redeem(key, own, token, joiner, self.wall)
        };
        let outcome = redeemed.map(|admitted: Credential| (admitted, self.some_hosts()));
        match &outcome {
            Ok(_) => {
                self.counters.add(Counter::JoinsAccepted, 1);
                self.emit(Output::Save(Save::Ledger(self.ledger.clone())));
                self.tell(Event::Joined { host: joiner });
            }
            Err(why) => {
                self.counters.add(Counter::JoinsRefused, 1);
                self.tell(Event::JoinRefused { host: joiner, why: why.to_string() });
            }
        }
        self.emit(Output::Redeemed { ticket, outcome });
    }

    /// This host's record and some others, as many as fit through the gate: the rest comes over
    /// the first lane.
    fn some_hosts(&self) -> Vec<Signed<HostRecord>> {
        let own = self.roster.known(self.me).map(|own| own.signed());
        let others = self.roster.signed().filter(|record| record.signer() != self.me);
        own.into_iter().chain(others).take(HOSTS_AT_GATE_MAX).cloned().collect()
    }
}
