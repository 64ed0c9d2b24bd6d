use std::{collections::VecDeque, time::Duration};

use starling_protocols::time::Time;

use super::{ConnNo, LaneNo, NetEvent, RESEND_FIRST, WINDOW_BYTES, doubled};
use crate::{
    faults::FaultKind,
    host::Inbox,
    sim::{Event, Sim},
};

/// The most bytes read at once.
const READ_BYTES_MAX: usize = 64 * 1024;

/// One direction of a lane.
#[derive(Default)]
pub(super) struct Pipe {
    pieces: VecDeque<(Time, Piece)>,
    last_arrival: Time,
    /// Until when the link is busy with what was written before.
    busy_until: Time,
    /// Written and not read by the other side.
    in_flight: usize,
    /// Read by the other side, whose word of it does not get through.
    unheard: usize,
    planned: bool,
    resend: Duration,
}

/// What arrives on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// "Let us open a lane."
    Open,
    /// "Agreed."
    Opened,
    Bytes(Vec<u8>),
    /// The last word.
    End,
}

impl Piece {
    const fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

impl Pipe {
    pub(super) const fn takes_bytes(&self) -> bool {
        self.in_flight < WINDOW_BYTES
    }

    pub(super) const fn last_arrival(&self) -> Time {
        self.last_arrival
    }

    pub(super) fn lose_all(&mut self) {
        self.pieces.clear();
    }
}

impl Sim {
    /// Writes bytes to a lane, cut anywhere.
    pub(super) fn send_bytes(&mut self, lane: LaneNo, side: usize, mut bytes: Vec<u8>) {
        let from = self.lane_host(lane, side);
        while !bytes.is_empty() {
            let entropy = &mut self.hosts[from.index()].entropy;
            let max = bytes.len().min(READ_BYTES_MAX);
            let whole = bytes.len() <= READ_BYTES_MAX && entropy.below(8) != 0;
            let length = if whole { max } else { 1 + below(entropy, max) };
            let rest = bytes.split_off(length);
            self.send_piece(lane, side, Piece::Bytes(bytes));
            bytes = rest;
        }
    }

    pub(super) fn send_piece(&mut self, lane: LaneNo, side: usize, piece: Piece) {
        let (from, to) = (self.lane_host(lane, side), self.lane_host(lane, 1 - side));
        let size = piece.bytes();
        let entropy = &mut self.hosts[from.index()].entropy;
        let delay = self.net.paths.delay((from, to), size, entropy, &mut self.fired);
        let rate = self.net.paths.rate(from, to);
        let Some(open) = self.net.lanes.get_mut(&lane) else { return };
        let pipe = &mut open.pipes[side];
        let mut leaves = self.now;
        if let Some(rate) = rate {
            let takes = Duration::from_nanos(size as u64 * 1_000_000_000 / rate.max(1));
            pipe.busy_until = pipe.busy_until.max(self.now) + takes;
            leaves = pipe.busy_until;
            self.fired.count(FaultKind::SlowLink, u64::from(!takes.is_zero()));
        }
        let arrives = (leaves + delay).max(pipe.last_arrival + Duration::from_nanos(1));
        pipe.last_arrival = arrives;
        pipe.in_flight += size;
        pipe.pieces.push_back((arrives, piece));
        if !std::mem::replace(&mut pipe.planned, true) {
            self.plan(arrives, Event::Net(NetEvent::Arrive(lane, side)));
        }
    }

    /// The first piece of a direction is there, unless the way is cut: then it is sent again, and
    /// what comes after it waits.
    pub(super) fn arrive(&mut self, number: LaneNo, side: usize) {
        let (from, to) = (self.lane_host(number, side), self.lane_host(number, 1 - side));
        let cut = self.net.paths.is_cut(from, to);
        let Some(lane) = self.net.lanes.get_mut(&number) else { return };
        let pipe = &mut lane.pipes[side];
        pipe.planned = false;
        // What the dialler writes after its agreement is read after it.
        let met = self.net.conns.get(&lane.conn).is_some_and(|conn| conn.met[1 - side]);
        if pipe.pieces.is_empty() || !met {
            return;
        }
        if cut {
            pipe.resend = doubled(pipe.resend);
            pipe.planned = true;
            let again = self.now + pipe.resend;
            self.fired.count(self.net.paths.kind_of_cut(from, to), 1);
            return self.plan(again, Event::Net(NetEvent::Arrive(number, side)));
        }
        pipe.resend = Duration::ZERO;
        let conn = lane.conn;
        let mut there = Vec::new();
        while pipe.pieces.front().is_some_and(|(at, _)| *at <= self.now) {
            there.extend(pipe.pieces.pop_front().map(|(_, piece)| piece));
        }
        if let Some((at, _)) = pipe.pieces.front() {
            let at = *at;
            pipe.planned = true;
            self.plan(at, Event::Net(NetEvent::Arrive(number, side)));
        }
        if self.side_is_open(conn, 1 - side) {
            for piece in there {
                self.put(to, Inbox::Piece(number, side, piece));
            }
        }
    }

    /// What came before the agreement is read now.
    pub(super) fn bring_early_pieces(&mut self, conn: ConnNo) {
        let Some(conn) = self.net.conns.get(&conn) else { return };
        for number in conn.lanes.clone() {
            let Some(lane) = self.net.lanes.get_mut(&number) else { continue };
            if !std::mem::replace(&mut lane.pipes[0].planned, true) {
                self.plan(self.now, Event::Net(NetEvent::Arrive(number, 0)));
            }
        }
    }

    /// The other side has read this many bytes; its word of it takes the way back.
    pub(super) fn was_read(&mut self, number: LaneNo, side: usize, bytes: usize) {
        let (from, to) = (self.lane_host(number, side), self.lane_host(number, 1 - side));
        let unheard = self.net.paths.is_cut(to, from);
        let Some(lane) = self.net.lanes.get_mut(&number) else { return };
        let pipe = &mut lane.pipes[side];
        if unheard {
            pipe.unheard += bytes;
            return;
        }
        pipe.in_flight -= (bytes + std::mem::take(&mut pipe.unheard)).min(pipe.in_flight);
        self.wake_writer(number, side);
    }

    /// What was read while the way back was cut is heard of now.
    pub(super) fn hear_of_reads(&mut self, number: LaneNo) {
        (0..2).for_each(|side| self.was_read(number, side, 0));
    }

    /// A writer that waits for room is told that there is some, after the way back.
    fn wake_writer(&mut self, number: LaneNo, side: usize) {
        let (host, peer) = (self.lane_host(number, side), self.lane_host(number, 1 - side));
        let life = self.hosts[host.index()].life;
        let running = self.hosts[host.index()].running.as_ref();
        if running.is_some_and(|running| running.net.blocked.contains(&peer)) {
            let at = self.now + RESEND_FIRST / 100;
            self.plan(at, Event::Net(NetEvent::Writable { host, life, peer }));
        }
    }
}

fn below(entropy: &mut starling_protocols::entropy::Entropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).unwrap_or_default()
}
