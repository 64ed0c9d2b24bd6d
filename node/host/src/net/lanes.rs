//! The lanes of all linked hosts: who opens them, when they are opened again, and what passes
//! between them and the main loop.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use starling_protocols::ident::HostId;

use super::{
    Net, Told,
    event::NetEvent,
    lane::{self, Lane},
    peer::{host_of, peer_of},
    ready::Source,
};

/// The first pause before a lane that failed is opened again; it doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What is still read from a lane whose connection has closed. The other host may have said
/// goodbye.
const LAST_READS_MAX: usize = 64;

impl Net {
    /// Whether the lane to `host` is up and takes a buffer now.
    #[must_use]
    pub fn lane_ready(&self, host: HostId) -> bool {
        self.lanes.get(&host).is_some_and(Lane::takes_buffer)
    }

    /// Gives a buffer to the lane. Only for a lane that is ready; otherwise the buffer is dropped.
    /// [`NetEvent::LaneWritable`] follows when it is on its way.
    pub fn lane_send(&mut self, host: HostId, bytes: Vec<u8>) {
        let Some(lane) = self.lanes.get_mut(&host).filter(|lane| lane.takes_buffer()) else {
            debug_assert!(false, "a buffer for a lane that is not ready");
            return;
        };
        let sent = lane.send(bytes);
        self.wrote(host, sent);
    }

    /// Closes the lane to `host`; [`NetEvent::LaneDown`] follows if there was one, and while the
    /// link is up another lane comes.
    pub fn close_lane(&mut self, host: HostId) {
        self.lane_down(host, "closed by this host");
    }

    /// Closes all lanes, from this side first: they are gone when the other sides have read
    /// everything. The libraries promise less when a connection is closed under a stream.
    pub(super) async fn close_lanes(&mut self) {
        self.closing = true;
        for lane in self.lanes.values_mut() {
            lane.close();
        }
        while !self.lanes.is_empty() {
            self.next().await;
        }
    }

    /// Notes what the main loop is being told, so that it is not told twice and uses no lane that
    /// it has not heard of.
    pub(super) fn told(&mut self, told: Told) -> NetEvent {
        match (&told.event, told.generation) {
            (NetEvent::LaneWritable { host }, _) => {
                if let Some(lane) = self.lanes.get_mut(host) {
                    lane.writable_told = false;
                }
            }
            (NetEvent::LaneUp { host }, Some(generation)) => {
                if let Some(lane) = self.lanes.get_mut(host) {
                    lane.announced = lane.generation == generation;
                }
            }
            _ => {}
        }
        told.event
    }

    pub(super) fn poll_lane(&mut self, host: HostId, generation: u64) {
        let Some(lane) = self.lanes.get_mut(&host) else { return };
        if lane.generation != generation {
            return;
        }
        let wrote = lane.write();
        if self.wrote(host, wrote) && self.read_lane(host) {
            // Others first.
            if let Some(lane) = self.lanes.get(&host) {
                lane.again();
            }
        }
    }

    /// Tells what came of writing; gives whether the lane is still there.
    fn wrote(&mut self, host: HostId, wrote: std::io::Result<bool>) -> bool {
        match wrote {
            Ok(false) => true,
            Ok(true) => {
                self.tell_writable(host);
                true
            }
            Err(why) => {
                self.lane_down(host, &format!("it broke: {why}"));
                false
            }
        }
    }

    fn tell_writable(&mut self, host: HostId) {
        let Some(lane) = self.lanes.get_mut(&host) else { return };
        if !std::mem::replace(&mut lane.writable_told, true) {
            self.tell(NetEvent::LaneWritable { host });
        }
    }

    /// Reads once; gives whether there was something to read.
    fn read_lane(&mut self, host: HostId) -> bool {
        let Some(lane) = self.lanes.get_mut(&host) else { return false };
        match lane.read(&mut self.scratch) {
            None => false,
            Some(Ok(0)) => {
                self.lane_down(host, "closed by the other host");
                false
            }
            Some(Ok(length)) => {
                let bytes = self.scratch[..length].to_vec();
                self.tell(NetEvent::LaneBytes { host, bytes });
                true
            }
            Some(Err(why)) => {
                self.lane_down(host, &format!("it broke: {why}"));
                false
            }
        }
    }

    /// Opens a lane if it is for this host to do and there is none.
    pub(super) fn open_lane(&mut self, host: HostId) {
        if self.closing || self.host > host || self.lanes.contains_key(&host) {
            return;
        }
        let Some(link) = self.links.get_mut(&host).filter(|link| link.opening.is_none()) else {
            return;
        };
        let Some((connection, peer)) = link.connections.first().copied().zip(peer_of(host)) else {
            return;
        };
        link.opening = Some(connection);
        self.swarm().behaviour_mut().lanes.open(peer, connection);
    }

    pub(super) fn on_lane(&mut self, event: lane::Event) {
        let Some(host) = host_of(event.peer) else { return };
        match event.outcome {
            lane::Outcome::Opened(stream) => {
                self.opened(host);
                self.lane_up(host, event.connection, stream);
            }
            lane::Outcome::Accepted(stream) if host < self.host => {
                self.lane_up(host, event.connection, stream);
            }
            lane::Outcome::Accepted(_) => {
                tracing::debug!(%host, "a lane from the wrong side is refused");
            }
            lane::Outcome::Failed(why) => {
                tracing::debug!(%host, why, "a lane could not be opened");
                self.retry(host);
            }
        }
    }

    fn opened(&mut self, host: HostId) {
        if let Some(link) = self.links.get_mut(&host) {
            link.opening = None;
        }
    }

    fn lane_up(&mut self, host: HostId, connection: ConnectionId, stream: libp2p::Stream) {
        let linked = self.links.get(&host);
        if self.closing || !linked.is_some_and(|link| link.connections.contains(&connection)) {
            return;
        }
        self.drop_lane(host, "replaced by a new one");
        self.lanes_made += 1;
        let generation = self.lanes_made;
        let bell = self.ready.bell(Source::Lane(host, generation));
        self.lanes.insert(host, Lane::new(stream, generation, connection, bell));
        let event = NetEvent::LaneUp { host };
        self.events.push_back(Told { event, generation: Some(generation) });
    }

    /// The lane is gone; another one follows.
    fn lane_down(&mut self, host: HostId, why: &str) {
        if self.drop_lane(host, why) {
            self.retry(host);
        }
    }

    fn drop_lane(&mut self, host: HostId, why: &str) -> bool {
        let lane = self.lanes.remove(&host);
        if lane.is_some() {
            self.tell(NetEvent::LaneDown { host, why: why.to_owned() });
        }
        lane.is_some()
    }

    fn retry(&mut self, host: HostId) {
        let Some(link) = self.links.get_mut(&host) else { return };
        link.opening = None;
        let pause = RETRY_FIRST.saturating_mul(1 << link.failures.min(8)).min(RETRY_LAST);
        link.failures += 1;
        if self.host < host {
            self.retries.set(host, pause);
        }
    }

    /// The connection under a lane, or under the making of one, is gone.
    pub(super) fn lane_connection_closed(
        &mut self,
        host: HostId,
        connection: ConnectionId,
        why: &str,
    ) {
        if let Some(link) = self.links.get_mut(&host)
            && link.opening == Some(connection)
        {
            link.opening = None;
        }
        let on_it = |lane: &Lane| lane.connection == connection;
        if !self.lanes.get(&host).is_some_and(on_it) {
            return;
        }
        for _ in 0..LAST_READS_MAX {
            if !self.read_lane(host) {
                break;
            }
        }
        self.drop_lane(host, why);
    }
}
