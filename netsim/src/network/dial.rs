use starling_core::engine::LinkChange;
use starling_protocols::{
    ident::{Certificate, Credential, CredentialError, MeshId},
    time::WallTime,
};

use super::{CONNECT_AGAIN, Conn, ConnNo, Dial, DialNo, ENCRYPT_TIMEOUT, NetEvent, PER_PEER_MAX};
use crate::{
    faults::HostNo,
    host::{Down, Inbox, SimHost},
    sim::{Event, Sim},
};

/// Crossings before the listener sees the dialler's credential: connecting takes two, the
/// encryption three, of which the last brings the knock.
const CROSSINGS_TO_KNOCK: u32 = 5;

/// Connecting: over the network, through the encryption, past the gate.
impl Sim {
    pub(crate) fn dial(&mut self, from: HostNo, to: HostNo, addresses: &[String]) {
        let Some(running) = &self.hosts[from.index()].running else { return };
        if running.net.links.contains_key(&to) || running.net.dialling.contains_key(&to) {
            return;
        }
        let found = addresses.iter().filter_map(|address| SimHost::at_address(address));
        if !found.into_iter().any(|host| host == to) {
            let why = format!("none of its {} addresses can be used", addresses.len());
            return self.put(from, Inbox::LinkChange(to, LinkChange::DialFailed { why }));
        }
        let number = DialNo(self.net.number());
        let lives = [self.hosts[from.index()].life, self.hosts[to.index()].life];
        let until = WallTime::from_millis(0);
        let dial = Dial { from, to, lives, tries: 0, knocked: false, shown: None, until };
        self.net.dials.insert(number, dial);
        if let Some(running) = &mut self.hosts[from.index()].running {
            running.net.dialling.insert(to, number);
        }
        self.plan(self.now + ENCRYPT_TIMEOUT, Event::Net(NetEvent::DialTimeout(number)));
        let at = self.now + self.crossings(from, to, CROSSINGS_TO_KNOCK);
        self.plan(at, Event::Net(NetEvent::Knock(number)));
    }

    /// The dialler's knock reaches the machine it is for.
    pub(super) fn knock(&mut self, number: DialNo) {
        let Some(dial) = self.net.dials.get_mut(&number) else { return };
        let (from, to, tries) = (dial.from, dial.to, dial.tries);
        let cut = self.net.paths.is_cut(from, to) || self.net.paths.is_cut(to, from);
        let target = &self.hosts[to.index()];
        if cut || target.down == Down::Off {
            dial.tries += 1;
            if cut {
                self.fired.count(self.net.paths.kind_of_cut(from, to), 1);
            }
            let again = self.now + CONNECT_AGAIN * 2u32.pow(tries.min(6));
            return self.plan(again, Event::Net(NetEvent::Knock(number)));
        }
        dial.lives[1] = target.life;
        if target.running.is_some() {
            self.put(to, Inbox::Knock(number));
        } else {
            self.refuse_later(number, "connection refused");
        }
    }

    /// The listener looks at what the dialler shows.
    pub(crate) fn on_knock(&mut self, number: DialNo) {
        let Some(dial) = self.net.dials.get(&number) else { return };
        let (from, to) = (dial.from, dial.to);
        let Some(shown) = self.credential_of(from, dial.lives[0]) else { return };
        let Some(own) = self.credential_of(to, dial.lives[1]) else { return };
        let verified = self.verify(from, &shown, to, own.mesh());
        match verified {
            Ok(certificate) => {
                let timeout = self.now + starling_protocols::limits::GATE_TIMEOUT;
                let at = self.now + self.crossings(to, from, 1);
                if let Some(dial) = self.net.dials.get_mut(&number) {
                    dial.knocked = true;
                    dial.shown = Some(own);
                    dial.until = certificate.not_after;
                }
                self.plan(timeout, Event::Net(NetEvent::DialTimeout(number)));
                self.plan(at, Event::Net(NetEvent::Welcome(number)));
            }
            Err(why) => {
                let why = format!("this host was refused: the credential was refused: {why}");
                self.refuse_later(number, &why);
            }
        }
    }

    /// What `judge` makes of what `host` shows. What was found good once is not computed again
    /// while it lasts: a large mesh would do little else.
    fn verify(
        &mut self,
        host: HostNo,
        shown: &Credential,
        judge: HostNo,
        mesh: MeshId,
    ) -> Result<Certificate, CredentialError> {
        let wall = self.clock_of(judge).wall;
        if let Some((known, certificate)) = self.net.verified.get(&host)
            && known == shown
            && shown.mesh() == mesh
            && wall <= certificate.not_after
        {
            return Ok(certificate.clone());
        }
        let certificate = shown.verify(mesh, self.hosts[host.index()].id, wall)?;
        // A longer chain may end before its last certificate does.
        if shown.chain.len() == 1 {
            self.net.verified.insert(host, (shown.clone(), certificate.clone()));
        }
        Ok(certificate)
    }

    fn refuse_later(&mut self, number: DialNo, why: &str) {
        let Some(dial) = self.net.dials.get(&number) else { return };
        let at = self.now + self.crossings(dial.to, dial.from, 1);
        self.plan(at, Event::Net(NetEvent::Refused(number, why.to_owned())));
    }

    /// The listener's word reaches the dialler's machine.
    pub(super) fn answered(&mut self, number: DialNo, refused: Option<String>) {
        let Some(dial) = self.net.dials.get(&number) else { return };
        let (from, to) = (dial.from, dial.to);
        if self.net.paths.is_cut(to, from) {
            self.fired.count(self.net.paths.kind_of_cut(to, from), 1);
            let event =
                refused.map_or(NetEvent::Welcome(number), |why| NetEvent::Refused(number, why));
            return self.plan(self.now + CONNECT_AGAIN, Event::Net(event));
        }
        let said = refused.map_or(Inbox::Welcome(number), |why| Inbox::Refused(number, why));
        self.put(from, said);
    }

    /// The dialler looks at what the listener showed; if that is good, the link is up here.
    pub(crate) fn on_welcome(&mut self, number: DialNo) {
        let Some(dial) = self.net.dials.get(&number) else { return };
        let (from, to, lives) = (dial.from, dial.to, dial.lives);
        let (Some(shown), Some(own)) = (dial.shown.clone(), self.credential_of(from, lives[0]))
        else {
            return;
        };
        let dialler_until = dial.until;
        let certificate = match self.verify(to, &shown, from, own.mesh()) {
            Ok(certificate) => certificate,
            Err(why) => return self.dial_failed(number, &format!("it is not a member: {why}")),
        };
        if self.conns_of(from, to) >= PER_PEER_MAX {
            return self.dial_failed(number, "too many connections to it");
        }
        self.end_dial(number);
        let agree_by = self.now + starling_protocols::limits::GATE_TIMEOUT;
        let conn = ConnNo(self.net.number());
        let made = Conn {
            hosts: [from, to],
            lives,
            open: [true; 2],
            met: [true, false],
            counted: [false; 2],
            until: [certificate.not_after, dialler_until],
            pings: [None; 2],
            lanes: Vec::new(),
            agree_by,
        };
        self.net.conns.insert(conn, made);
        self.net.between.entry(super::pair(from, to)).or_default().push(conn);
        let at = self.now + self.crossings(from, to, 1);
        self.plan(at, Event::Net(NetEvent::Agree(conn)));
        self.watch_pings(conn);
        self.connected(conn, 0);
    }

    /// The dialler's agreement reaches the listener's machine.
    pub(super) fn agreement(&mut self, number: ConnNo) {
        let Some(conn) = self.net.conns.get(&number) else { return };
        let [from, to] = conn.hosts;
        if self.net.paths.is_cut(from, to) && self.now < conn.agree_by {
            self.fired.count(self.net.paths.kind_of_cut(from, to), 1);
            return self.plan(self.now + CONNECT_AGAIN, Event::Net(NetEvent::Agree(number)));
        }
        if self.hosts[to.index()].running.is_none() || self.hosts[to.index()].life != conn.lives[1]
        {
            return self.abort(number, "the other host has ended");
        }
        self.put(to, Inbox::Agree(number));
    }

    pub(crate) fn on_agree(&mut self, number: ConnNo) {
        let Some(conn) = self.net.conns.get(&number) else { return };
        let [from, to] = conn.hosts;
        if !conn.open[1] {
            return;
        }
        if self.now > conn.agree_by || self.conns_of(to, from) >= PER_PEER_MAX {
            return self.abort(number, "it did not pass the gate");
        }
        if let Some(conn) = self.net.conns.get_mut(&number) {
            conn.met[1] = true;
        }
        self.watch_pings(number);
        self.connected(number, 1);
        self.bring_early_pieces(number);
    }

    pub(super) fn dial_timeout(&mut self, number: DialNo) {
        let Some(dial) = self.net.dials.get_mut(&number) else { return };
        if std::mem::take(&mut dial.knocked) {
            return;
        }
        let from = dial.from;
        self.put(from, Inbox::Refused(number, "timed out".into()));
    }

    pub(crate) fn dial_failed(&mut self, number: DialNo, why: &str) {
        let Some((from, to)) = self.end_dial(number) else { return };
        let linked = self.net_of(from).is_some_and(|net| net.links.contains_key(&to));
        // Linked meanwhile from the other side: that was the outcome, and it was told.
        if !linked {
            let change = LinkChange::DialFailed { why: why.to_owned() };
            self.tell_link(from, to, change);
        }
    }

    fn end_dial(&mut self, number: DialNo) -> Option<(HostNo, HostNo)> {
        let dial = self.net.dials.remove(&number)?;
        let host = &mut self.hosts[dial.from.index()];
        if host.life != dial.lives[0] {
            return None;
        }
        let net = &mut host.running.as_mut()?.net;
        if net.dialling.get(&dial.to) == Some(&number) {
            net.dialling.remove(&dial.to);
        }
        Some((dial.from, dial.to))
    }

    /// How many connections a host counts to another.
    fn conns_of(&self, host: HostNo, peer: HostNo) -> usize {
        let link = self.net_of(host).and_then(|net| net.links.get(&peer));
        link.map_or(0, |link| link.conns.len())
    }

    fn crossings(&mut self, from: HostNo, to: HostNo, count: u32) -> std::time::Duration {
        let entropy = &mut self.hosts[from.index()].entropy;
        let paths = &self.net.paths;
        (0..count).map(|_| paths.delay((from, to), 0, entropy, &mut self.fired)).sum()
    }
}
