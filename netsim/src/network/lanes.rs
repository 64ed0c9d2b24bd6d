use std::time::Duration;

use starling_core::engine::Input;

use super::{ConnNo, Lane, LaneNo, NetEvent, OPEN_TIMEOUT, Piece, Pipe, RETRY_FIRST, RETRY_LAST};
use crate::{
    faults::HostNo,
    host::Inbox,
    sim::{Event, Sim},
};

/// Lanes: the host with the lower id opens them, and opens them again when they are gone.
impl Sim {
    pub(super) fn lane_host(&self, lane: LaneNo, side: usize) -> HostNo {
        let conn = self.net.lanes.get(&lane).map(|lane| lane.conn);
        conn.and_then(|conn| self.net.conns.get(&conn)).map_or(HostNo(0), |conn| conn.hosts[side])
    }

    /// Opens a lane if it is for this host to do and there is none.
    pub(crate) fn open_lane(&mut self, host: HostNo, peer: HostNo) {
        if self.hosts[host.index()].id > self.hosts[peer.index()].id {
            return;
        }
        let Some(net) = self.net_of_mut(host) else { return };
        if net.lanes.contains_key(&peer) {
            return;
        }
        let Some(link) = net.links.get_mut(&peer).filter(|link| link.opening.is_none()) else {
            return;
        };
        let Some(conn) = link.conns.first().copied() else { return };
        link.opening = Some(conn);
        let lane = LaneNo(self.net.number());
        let Some(open) = self.net.conns.get_mut(&conn) else { return };
        open.lanes.push(lane);
        let side = open.side(host);
        let pipes = [Pipe::default(), Pipe::default()];
        let made = Lane { conn, pipes, open: [true; 2], told: [false; 2] };
        self.net.lanes.insert(lane, made);
        self.send_piece(lane, side, Piece::Open);
        self.plan(self.now + OPEN_TIMEOUT, Event::Net(NetEvent::OpenTimeout(lane)));
    }

    /// A piece of a lane has come to its reader.
    pub(crate) fn on_piece(&mut self, host: HostNo, lane: LaneNo, writer: usize, piece: Piece) {
        let side = 1 - writer;
        let Some(known) = self.net.lanes.get(&lane) else { return };
        let peer = self.lane_host(lane, writer);
        if !known.open[side] || !self.side_is_open(known.conn, side) {
            return;
        }
        let current = self.net_of(host).and_then(|net| net.lanes.get(&peer)) == Some(&lane);
        match piece {
            Piece::Open => self.accepted(host, peer, lane, side),
            Piece::Opened => self.opened(host, peer, lane, side),
            Piece::Bytes(bytes) => {
                self.was_read(lane, writer, bytes.len());
                if current {
                    let id = self.hosts[peer.index()].id;
                    self.trace.note(self.now, host, "bytes", &bytes);
                    self.drive(host, |engine, now| {
                        engine.handle(Input::LaneBytes { host: id, bytes: &bytes }, now);
                    });
                }
            }
            Piece::End if current => self.lane_down(host, peer, "closed by the other host"),
            Piece::End => {}
        }
    }

    fn accepted(&mut self, host: HostNo, peer: HostNo, lane: LaneNo, side: usize) {
        if self.hosts[peer.index()].id > self.hosts[host.index()].id || !self.is_known(host, lane) {
            return;
        }
        self.send_piece(lane, side, Piece::Opened);
        self.lane_up(host, peer, lane, side);
    }

    fn opened(&mut self, host: HostNo, peer: HostNo, lane: LaneNo, side: usize) {
        if let Some(link) = self.net_of_mut(host).and_then(|net| net.links.get_mut(&peer)) {
            link.opening = None;
        }
        if self.is_known(host, lane) {
            self.lane_up(host, peer, lane, side);
        }
    }

    /// Whether a lane's connection is one that its host counts.
    fn is_known(&self, host: HostNo, lane: LaneNo) -> bool {
        let Some(lane) = self.net.lanes.get(&lane) else { return false };
        let Some(conn) = self.net.conns.get(&lane.conn) else { return false };
        let peer = conn.hosts[1 - conn.side(host)];
        let link = self.net_of(host).and_then(|net| net.links.get(&peer));
        link.is_some_and(|link| link.conns.contains(&lane.conn))
    }

    fn lane_up(&mut self, host: HostNo, peer: HostNo, lane: LaneNo, side: usize) {
        self.drop_lane(host, peer, "replaced by a new one");
        if let Some(lane) = self.net.lanes.get_mut(&lane) {
            lane.told[side] = true;
        }
        let Some(net) = self.net_of_mut(host) else { return };
        net.lanes.insert(peer, lane);
        let id = self.hosts[peer.index()].id;
        self.trace.note(self.now, host, "lane-up", &peer.0.to_le_bytes());
        self.drive(host, |engine, now| engine.handle(Input::LaneUp { host: id }, now));
    }

    /// The engine wants a lane closed.
    pub(crate) fn close_lane(&mut self, host: HostNo, peer: HostNo) {
        let there = self.net_of(host).is_some_and(|net| net.lanes.contains_key(&peer));
        if there {
            self.let_go(host, peer);
            self.put(host, Inbox::LaneDown(peer, "closed by this host".into()));
            self.retry_lane(host, peer);
        }
    }

    pub(crate) fn tell_lane_down(&mut self, host: HostNo, peer: HostNo, why: &str) {
        let id = self.hosts[peer.index()].id;
        self.trace.note(self.now, host, "lane-down", &peer.0.to_le_bytes());
        let why = why.to_owned();
        self.drive(host, |engine, now| engine.handle(Input::LaneDown { host: id, why }, now));
    }

    /// The lane is gone; another one follows.
    fn lane_down(&mut self, host: HostNo, peer: HostNo, why: &str) {
        if self.drop_lane(host, peer, why) {
            self.retry_lane(host, peer);
        }
    }

    fn drop_lane(&mut self, host: HostNo, peer: HostNo, why: &str) -> bool {
        let there = self.let_go(host, peer);
        if there {
            self.tell_lane_down(host, peer, why);
        }
        there
    }

    /// Closes this side of the lane, with a last word to the other.
    fn let_go(&mut self, host: HostNo, peer: HostNo) -> bool {
        let Some(net) = self.net_of_mut(host) else { return false };
        let Some(lane) = net.lanes.remove(&peer) else { return false };
        net.blocked.remove(&peer);
        if let Some(known) = self.net.lanes.get_mut(&lane) {
            let side = self.net.conns.get(&known.conn).map_or(0, |conn| conn.side(host));
            if std::mem::take(&mut known.open[side]) {
                self.send_piece(lane, side, Piece::End);
            }
        }
        true
    }

    fn retry_lane(&mut self, host: HostNo, peer: HostNo) {
        let opens = self.hosts[host.index()].id < self.hosts[peer.index()].id;
        let life = self.hosts[host.index()].life;
        let Some(link) = self.net_of_mut(host).and_then(|net| net.links.get_mut(&peer)) else {
            return;
        };
        link.opening = None;
        let pause: Duration = RETRY_FIRST.saturating_mul(1 << link.failures.min(8)).min(RETRY_LAST);
        link.failures += 1;
        if opens {
            let retry = NetEvent::RetryLane { host, life, peer };
            self.plan(self.now + pause, Event::Net(retry));
        }
    }

    pub(super) fn open_timeout(&mut self, number: LaneNo) {
        let Some(lane) = self.net.lanes.get(&number) else { return };
        let Some(conn) = self.net.conns.get(&lane.conn) else { return };
        // The opener is the host with the lower id.
        let ids = conn.hosts.map(|host| self.hosts[host.index()].id);
        let side = usize::from(ids[1] < ids[0]);
        let (host, peer) = (conn.hosts[side], conn.hosts[1 - side]);
        if lane.told[side] || !lane.open[side] || !self.side_is_open(lane.conn, side) {
            return;
        }
        if let Some(lane) = self.net.lanes.get_mut(&number) {
            lane.open[side] = false;
        }
        self.retry_lane(host, peer);
    }

    /// The connection under a lane, or under the making of one, is gone.
    pub(super) fn lane_connection_closed(
        &mut self,
        host: HostNo,
        peer: HostNo,
        conn: ConnNo,
        why: &str,
    ) {
        let Some(net) = self.net_of_mut(host) else { return };
        if let Some(link) = net.links.get_mut(&peer)
            && link.opening == Some(conn)
        {
            link.opening = None;
        }
        let Some(lane) = net.lanes.get(&peer).copied() else { return };
        if self.net.lanes.get(&lane).is_none_or(|lane| lane.conn == conn) {
            self.drop_lane(host, peer, why);
        }
    }

    /// Gives a lane what there is to write, if it can take it; otherwise it says when it can.
    pub(crate) fn transmit(&mut self, host: HostNo, peer: HostNo) {
        let id = self.hosts[peer.index()].id;
        let now = self.clock_of(host);
        let Some(running) = &mut self.hosts[host.index()].running else { return };
        let lane = running.net.lanes.get(&peer).copied();
        let ready = lane.and_then(|lane| {
            let known = self.net.lanes.get(&lane)?;
            let side = self.net.conns.get(&known.conn)?.side(host);
            let takes = known.open[side] && known.told[side] && known.pipes[side].takes_bytes();
            takes.then_some((lane, side))
        });
        let Some((lane, side)) = ready else {
            running.net.blocked.insert(peer);
            return;
        };
        running.net.blocked.remove(&peer);
        let mut bytes = std::mem::take(&mut running.scratch);
        running.engine.transmit(id, &mut bytes, now);
        if !bytes.is_empty() {
            self.trace.note(self.now, host, "transmit", &bytes);
            self.hosts[host.index()].sent_bytes += bytes.len() as u64;
            self.send_bytes(lane, side, bytes);
        }
    }

    pub(crate) fn on_writable(&mut self, host: HostNo, peer: HostNo) {
        if self.net_of(host).is_some_and(|net| net.blocked.contains(&peer)) {
            self.transmit(host, peer);
        }
    }
}
