//! A lane: one long-lived stream to another host, of raw bytes; what they mean is for the pure
//! half.
//!
//! The main loop reads and writes the stream in its own task. A task per lane, with channels,
//! would cost two more wake-ups for every round trip.

mod protocol;

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Stream,
    swarm::{ConnectionId, StreamProtocol},
};

pub(super) use self::protocol::{Behaviour, Event, Outcome};
use super::ready::Bell;

/// The most bytes read at once.
pub(super) const READ_BYTES_MAX: usize = 64 * 1024;

/// One buffer on its way and one waiting: the writer never runs dry, and what has not been
/// handed over can still be batched.
const BUFFERS_MAX: usize = 2;

/// The lane's name on the wire.
pub(super) fn name(mesh: &str) -> Result<StreamProtocol, libp2p::swarm::InvalidProtocol> {
    StreamProtocol::try_from_owned(format!("/starling/{mesh}/lane/1"))
}

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    stream: Stream,
    /// Differs from that of every other lane of this process.
    pub(super) generation: u64,
    /// The connection it runs on.
    pub(super) connection: ConnectionId,
    /// The main loop has been told of it. Before, nothing may be written to it: the main loop
    /// would mean the lane before.
    pub(super) announced: bool,
    /// The main loop is going to be told that it takes another buffer.
    pub(super) writable_told: bool,
    bell: Bell,
    buffers: VecDeque<Vec<u8>>,
    /// How much of the first buffer is written.
    written: usize,
    end: End,
}

/// Whether this side has said its last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// It is said after the buffers.
    Closing,
    Closed,
}

impl Lane {
    pub(super) const fn new(
        stream: Stream,
        generation: u64,
        connection: ConnectionId,
        bell: Bell,
    ) -> Self {
        Self {
            stream,
            generation,
            connection,
            announced: false,
            writable_told: false,
            bell,
            buffers: VecDeque::new(),
            written: 0,
            end: End::Open,
        }
    }

    pub(super) fn takes_buffer(&self) -> bool {
        self.announced && self.end == End::Open && self.buffers.len() < BUFFERS_MAX
    }

    /// Says the last word after what is waiting. The other side then closes too, which shows that
    /// it has read everything.
    pub(super) fn close(&mut self) {
        self.end = End::Closing;
        self.again();
    }

    /// Takes a buffer and writes what can be written at once; gives whether one was finished.
    pub(super) fn send(&mut self, bytes: Vec<u8>) -> io::Result<bool> {
        self.buffers.push_back(bytes);
        self.write()
    }

    /// Writes what can be written; gives whether a buffer was finished.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let waker = self.bell.waker().clone();
        let mut cx = Context::from_waker(&waker);
        let mut finished = false;
        while !self.buffers.is_empty() {
            match self.poll_first(&mut cx) {
                Poll::Ready(done) => done?,
                Poll::Pending => break,
            }
            finished = true;
        }
        if self.end == End::Closing
            && self.buffers.is_empty()
            && let Poll::Ready(closed) = Pin::new(&mut self.stream).poll_close(&mut cx)
        {
            closed?;
            self.end = End::Closed;
        }
        Ok(finished)
    }

    /// Writes and flushes the first buffer.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(buffer) = self.buffers.front() else { return Poll::Ready(Ok(())) };
        while self.written < buffer.len() {
            let rest = &buffer[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.written += more,
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.buffers.pop_front();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads what is there into `scratch`: `None` when nothing is, zero at the end.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Option<io::Result<usize>> {
        let waker = self.bell.waker().clone();
        let mut cx = Context::from_waker(&waker);
        match Pin::new(&mut self.stream).poll_read(&mut cx, scratch) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        }
    }

    /// There may be more to read.
    pub(super) fn again(&self) {
        self.bell.again();
    }
}
