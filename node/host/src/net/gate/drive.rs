//! A muxer makes progress only while it is polled, so whoever talks on one of its streams polls
//! it too.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::{Context, Poll},
};

use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};

use super::GateError;

/// What becomes of streams that the other side opens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    /// There must be none: before the gate there is nothing to talk about.
    Refused,
    /// They wait inside the muxer, which bounds them, for the swarm.
    Kept,
}

/// Does `work` on a stream of `muxer`.
pub(super) async fn drive<T>(
    muxer: &mut StreamMuxerBox,
    inbound: Inbound,
    work: impl Future<Output = Result<T, GateError>>,
) -> Result<T, GateError> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let Err(why) = progress(muxer, inbound, cx) else { return Poll::Pending };
        // The connection is at its end, but the last word may have arrived before it broke.
        match work.as_mut().poll(cx) {
            Poll::Ready(Ok(done)) => Poll::Ready(Ok(done)),
            _ => Poll::Ready(Err(why)),
        }
    })
    .await
}

fn progress(
    muxer: &mut StreamMuxerBox,
    inbound: Inbound,
    cx: &mut Context<'_>,
) -> Result<(), GateError> {
    if inbound == Inbound::Refused
        && let Poll::Ready(opened) = muxer.poll_inbound_unpin(cx)
    {
        opened?;
        return Err(GateError::TooEager);
    }
    while let Poll::Ready(event) = muxer.poll_unpin(cx) {
        event?;
    }
    Ok(())
}

/// Opens the first stream.
pub(crate) async fn open(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|cx| {
        if let Poll::Ready(opened) = muxer.poll_outbound_unpin(cx) {
            return Poll::Ready(opened);
        }
        while let Poll::Ready(event) = muxer.poll_unpin(cx) {
            event?;
        }
        Poll::Pending
    })
    .await
}

/// Takes the first stream that the other side opens.
pub(super) async fn accept(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    // Waiting for streams is what makes a muxer read.
    poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await
}

/// As [`drive`], for who only speaks and listens once and keeps no stream.
pub(crate) async fn talk<T>(
    muxer: &mut StreamMuxerBox,
    work: impl Future<Output = Result<T, GateError>>,
) -> Result<T, GateError> {
    drive(muxer, Inbound::Refused, work).await
}
