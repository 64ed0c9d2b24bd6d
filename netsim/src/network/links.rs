use std::time::Duration;

use starling_core::engine::{Input, LinkChange};

use super::{
    ConnNo, LaneNo, NetEvent, NetState, PING_INTERVAL, PING_TIMEOUT, Ping, RESEND_FIRST, doubled,
};
use crate::{
    faults::HostNo,
    host::{Down, Inbox},
    network::paths::chance,
    sim::{Event, Sim},
};

/// Connections from the gate to their end, told to the engine as links.
impl Sim {
    pub(crate) fn on_net_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Knock(dial) => self.knock(dial),
            NetEvent::Welcome(dial) => self.answered(dial, None),
            NetEvent::Refused(dial, why) => self.answered(dial, Some(why)),
            NetEvent::DialTimeout(dial) => self.dial_timeout(dial),
            NetEvent::Agree(conn) => self.agreement(conn),
            NetEvent::Arrive(lane, side) => self.arrive(lane, side),
            NetEvent::Notice { conn, side, why, again } => self.notice(conn, side, why, again),
            NetEvent::PingFails { conn, side, number } => {
                if self.side_is_open(conn, side) {
                    self.put(self.conn_host(conn, side), Inbox::PingFails(conn, number));
                }
            }
            NetEvent::OpenTimeout(lane) => self.open_timeout(lane),
            NetEvent::RetryLane { host, life, peer } => {
                if self.hosts[host.index()].life == life {
                    self.put(host, Inbox::RetryLane(peer));
                }
            }
            NetEvent::Writable { host, life, peer } => {
                if self.hosts[host.index()].life == life {
                    self.put(host, Inbox::Writable(peer));
                }
            }
        }
    }

    pub(super) fn net_of(&self, host: HostNo) -> Option<&NetState> {
        self.hosts[host.index()].running.as_ref().map(|running| &running.net)
    }

    pub(super) fn net_of_mut(&mut self, host: HostNo) -> Option<&mut NetState> {
        self.hosts[host.index()].running.as_mut().map(|running| &mut running.net)
    }

    fn conn_host(&self, conn: ConnNo, side: usize) -> HostNo {
        self.net.conns[&conn].hosts[side]
    }

    /// Whether this side of a connection is a socket of a daemon that still runs.
    pub(super) fn side_is_open(&self, conn: ConnNo, side: usize) -> bool {
        self.net.conns.get(&conn).is_some_and(|conn| {
            let host = &self.hosts[conn.hosts[side].index()];
            conn.open[side] && host.running.is_some() && host.life == conn.lives[side]
        })
    }

    /// A connection has passed the gate, as this side sees it.
    pub(super) fn connected(&mut self, number: ConnNo, side: usize) {
        let Some(conn) = self.net.conns.get_mut(&number) else { return };
        conn.counted[side] = true;
        let (host, peer, until) = (conn.hosts[side], conn.hosts[1 - side], conn.until[side]);
        let Some(net) = self.net_of_mut(host) else { return };
        let link = net.links.entry(peer).or_default();
        link.conns.push(number);
        if link.conns.len() == 1 {
            self.tell_link(host, peer, LinkChange::Up { until });
        }
        self.open_lane(host, peer);
    }

    pub(crate) fn tell_link(&mut self, host: HostNo, peer: HostNo, change: LinkChange) {
        let id = self.hosts[peer.index()].id;
        let what = match &change {
            LinkChange::Up { .. } => "link-up",
            LinkChange::Down { .. } => "link-down",
            LinkChange::DialFailed { .. } => "dial-failed",
        };
        self.trace.note(self.now, host, what, &peer.0.to_le_bytes());
        if self.trace.is_told() {
            let (host, peer) = (self.name(host), self.name(peer));
            let sentence = match &change {
                LinkChange::Up { .. } => format!("{host} is linked to {peer}"),
                LinkChange::Down { why } => format!("{host} loses its link to {peer}: {why}"),
                LinkChange::DialFailed { why } => format!("{host} cannot reach {peer}: {why}"),
            };
            self.trace.say(self.now, &sentence);
        }
        self.drive(host, |engine, now| engine.handle(Input::Link { host: id, change }, now));
    }

    /// This daemon's connection is gone.
    pub(crate) fn on_closed(&mut self, number: ConnNo, host: HostNo, why: &str) {
        let Some(conn) = self.net.conns.get_mut(&number) else { return };
        let side = conn.side(host);
        let peer = conn.hosts[1 - side];
        conn.open[side] = false;
        conn.counted[side] = false;
        conn.pings[side] = None;
        self.lane_connection_closed(host, peer, number, why);
        let Some(net) = self.net_of_mut(host) else { return };
        let Some(link) = net.links.get_mut(&peer) else { return self.forget_conn(number) };
        link.conns.retain(|known| *known != number);
        if link.conns.is_empty() {
            net.links.remove(&peer);
            self.tell_link(host, peer, LinkChange::Down { why: why.to_owned() });
        } else {
            self.open_lane(host, peer);
        }
        self.forget_conn(number);
    }

    /// Closes all connections of a host to another, in good order.
    pub(crate) fn disconnect(&mut self, host: HostNo, peer: HostNo) {
        let Some(link) = self.net_of(host).and_then(|net| net.links.get(&peer)) else { return };
        for conn in link.conns.clone() {
            self.close(conn, host, "closed by the other host");
            self.put(host, Inbox::Closed(conn, "closed by this host".into()));
        }
    }

    pub(crate) fn on_ping_fails(&mut self, number: ConnNo, host: HostNo, ping: u64) {
        let Some(conn) = self.net.conns.get(&number) else { return };
        let side = conn.side(host);
        let current = conn.pings[side].is_some_and(|current| current.number == ping);
        if current && conn.open[side] {
            self.close(number, host, "closed by the other host");
            self.put(host, Inbox::Closed(number, "it does not answer".into()));
        }
    }

    /// One side closes a connection; the other learns when the last bytes have arrived.
    pub(crate) fn close(&mut self, number: ConnNo, host: HostNo, why: &'static str) {
        let Some(conn) = self.net.conns.get_mut(&number) else { return };
        let side = conn.side(host);
        conn.open[side] = false;
        conn.pings[side] = None;
        let other = conn.open[1 - side];
        let (peer, lanes) = (conn.hosts[1 - side], conn.lanes.clone());
        let mut at = self.now;
        for lane in lanes {
            let Some(lane) = self.net.lanes.get_mut(&lane) else { continue };
            lane.open[side] = false;
            lane.pipes[1 - side].lose_all();
            at = at.max(lane.pipes[side].last_arrival());
        }
        if other {
            let entropy = &mut self.hosts[host.index()].entropy;
            at = at.max(self.now + self.net.paths.delay((host, peer), 0, entropy, &mut self.fired));
            let again = Duration::ZERO;
            let notice = NetEvent::Notice { conn: number, side: 1 - side, why, again };
            self.plan(at, Event::Net(notice));
            self.watch_pings(number);
        } else {
            self.forget_conn(number);
        }
    }

    /// The other side hears that a connection is closed, unless the way is cut.
    fn notice(&mut self, number: ConnNo, side: usize, why: &'static str, again: Duration) {
        if !self.side_is_open(number, side) {
            return self.forget_conn(number);
        }
        let (from, to) = (self.conn_host(number, 1 - side), self.conn_host(number, side));
        if self.net.paths.is_cut(from, to) {
            self.fired.count(self.net.paths.kind_of_cut(from, to), 1);
            let again = doubled(again);
            let notice = NetEvent::Notice { conn: number, side, why, again };
            return self.plan(self.now + again, Event::Net(notice));
        }
        let met = self.net.conns.get(&number).is_some_and(|conn| conn.met[side]);
        if met {
            self.put(to, Inbox::Closed(number, why.to_owned()));
        } else if let Some(conn) = self.net.conns.get_mut(&number) {
            conn.open[side] = false;
            self.forget_conn(number);
        }
    }

    /// The listener gives a connection up before it was told of it.
    pub(super) fn abort(&mut self, number: ConnNo, why: &'static str) {
        let host = self.conn_host(number, 1);
        self.close(number, host, why);
    }

    /// All connections between two hosts are reset: what is on the way is lost.
    pub(crate) fn reset(&mut self, a: HostNo, b: HostNo) -> u64 {
        let conns = self.net.conns_between(a, b);
        let mut reset = 0;
        for number in conns {
            let Some(conn) = self.net.conns.get(&number) else { continue };
            let (hosts, open, met) = (conn.hosts, conn.open, conn.met);
            self.lose_bytes(number);
            for side in (0..2).filter(|side| open[*side] && met[*side]) {
                reset += u64::from(side == 0);
                self.put(hosts[side], Inbox::Closed(number, "it broke: connection reset".into()));
            }
        }
        reset
    }

    fn lose_bytes(&mut self, number: ConnNo) {
        let Some(conn) = self.net.conns.get(&number) else { return };
        for lane in conn.lanes.clone() {
            if let Some(lane) = self.net.lanes.get_mut(&lane) {
                lane.pipes.iter_mut().for_each(super::Pipe::lose_all);
            }
        }
    }

    /// A daemon has ended. Its machine tells the others, or its power is gone and nobody does.
    pub(crate) fn host_ended(&mut self, host: HostNo, down: Down) {
        for number in self.conns_at(host) {
            let Some(conn) = self.net.conns.get(&number) else { continue };
            let side = conn.side(host);
            if !conn.open[side] {
                continue;
            }
            // What the process had written is with the kernel: that goes out, unless there was
            // something left to read.
            let entropy = &mut self.hosts[host.index()].entropy;
            if down == Down::Off || (down == Down::Killed && chance(entropy, 500)) {
                self.lose_bytes(number);
            }
            if down == Down::Off {
                if let Some(conn) = self.net.conns.get_mut(&number) {
                    conn.open[side] = false;
                    conn.pings[side] = None;
                }
                self.watch_pings(number);
                self.forget_conn(number);
            } else {
                self.close(number, host, "closed by the other host");
            }
        }
    }

    /// A machine has power again: it knows nothing of its old connections, and says so to the
    /// next ping.
    pub(crate) fn machine_is_back(&mut self, host: HostNo) {
        for number in self.conns_at(host) {
            let Some(conn) = self.net.conns.get(&number) else { continue };
            let side = conn.side(host);
            if !conn.open[side] && conn.open[1 - side] {
                let entropy = &mut self.hosts[host.index()].entropy;
                let at = self.now + entropy.jitter(PING_INTERVAL);
                let (why, again) = ("it broke: connection reset", Duration::ZERO);
                let notice = NetEvent::Notice { conn: number, side: 1 - side, why, again };
                self.plan(at, Event::Net(notice));
            }
        }
    }

    fn conns_at(&self, host: HostNo) -> Vec<ConnNo> {
        let at = |pair: &(HostNo, HostNo)| pair.0 == host || pair.1 == host;
        let here = self.net.between.iter().filter(|(pair, _)| at(pair));
        here.flat_map(|(_, conns)| conns.iter().copied()).collect()
    }

    /// Looks at the connections between two hosts again, after something between them changed.
    pub(crate) fn path_changed(&mut self, a: HostNo, b: HostNo) {
        for number in self.net.conns_between(a, b) {
            let Some(conn) = self.net.conns.get(&number) else { continue };
            let lanes: Vec<LaneNo> = conn.lanes.clone();
            lanes.into_iter().for_each(|lane| self.hear_of_reads(lane));
            self.watch_pings(number);
        }
    }

    /// Looks at all connections of a host again, after it was paused or resumed.
    pub(crate) fn host_changed(&mut self, host: HostNo) {
        for number in self.conns_at(host) {
            self.watch_pings(number);
        }
    }

    /// Plans when each side's pings fail, if they are not answered as things stand; and forgets
    /// it when they are again.
    pub(super) fn watch_pings(&mut self, number: ConnNo) {
        for side in 0..2 {
            let Some(conn) = self.net.conns.get(&number) else { return };
            if !conn.met[side] || !conn.open[side] {
                continue;
            }
            let (host, peer) = (conn.hosts[side], conn.hosts[1 - side]);
            let cut = self.net.paths.is_cut(host, peer) || self.net.paths.is_cut(peer, host);
            let silent = self.hosts[peer.index()].paused || !self.side_is_open(number, 1 - side);
            let ping = conn.pings[side];
            match ping {
                None if cut || silent => self.plan_ping_failure(number, side, cut),
                Some(ping) if !cut && !silent && self.ping_is_answered(ping) => {
                    if let Some(conn) = self.net.conns.get_mut(&number) {
                        conn.pings[side] = None;
                    }
                }
                _ => {}
            }
        }
    }

    fn plan_ping_failure(&mut self, conn: ConnNo, side: usize, cut: bool) {
        let host = self.conn_host(conn, side);
        let nanos = u64::try_from(PING_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        let wait = Duration::from_nanos(self.hosts[host.index()].entropy.below(nanos));
        let number = self.net.number();
        let sent = self.now + wait;
        if let Some(conn) = self.net.conns.get_mut(&conn) {
            conn.pings[side] = Some(Ping { number, sent, cut });
        }
        let event = NetEvent::PingFails { conn, side, number };
        self.plan(sent + PING_TIMEOUT, Event::Net(event));
    }

    /// Whether a ping gets its answer in time when nothing is in its way from now on: what was
    /// lost is sent again after longer and longer waits.
    fn ping_is_answered(&self, ping: Ping) -> bool {
        let (mut again, mut wait) = (ping.sent, RESEND_FIRST);
        while ping.cut && again < self.now {
            again = again + wait;
            wait *= 2;
        }
        again < ping.sent + PING_TIMEOUT
    }

    /// A connection that both sides have closed and know of as closed is nothing any more.
    pub(super) fn forget_conn(&mut self, number: ConnNo) {
        let Some(conn) = self.net.conns.get(&number) else { return };
        let ended = |side: usize| {
            let host = &self.hosts[conn.hosts[side].index()];
            let counts = conn.counted[side] || conn.open[side];
            !counts || host.running.is_none() || host.life != conn.lives[side]
        };
        if !(ended(0) && ended(1)) {
            return;
        }
        let Some(conn) = self.net.conns.remove(&number) else { return };
        for lane in conn.lanes {
            self.net.lanes.remove(&lane);
        }
        let pair = super::pair(conn.hosts[0], conn.hosts[1]);
        if let Some(conns) = self.net.between.get_mut(&pair) {
            conns.retain(|known| *known != number);
            if conns.is_empty() {
                self.net.between.remove(&pair);
            }
        }
    }
}
