//! One long-lived libp2p stream between two processes.

use anyhow::Result;
use futures::StreamExt as _;
use libp2p::{StreamProtocol, Swarm};
use libp2p_stream::{Behaviour, IncomingStreams};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use super::p2p;
use crate::{
    cli::Requests,
    frame,
    meter::Meter,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

const NAME: &str = "libp2p-stream";
const PROTOCOL: StreamProtocol = StreamProtocol::new("/starling-peers/echo/1");

/// Echoes on every stream, after printing where.
pub fn serve(args: &Requests) -> Result<()> {
    procs::leave_with_parent();
    run::as_task(args.threads, async {
        let mut swarm = p2p::swarm(p2p::identity(), Behaviour::new())?;
        let address = p2p::listen(&mut swarm).await?;
        tokio::spawn(accept(swarm.behaviour().new_control().accept(PROTOCOL)?));
        p2p::announce(&address)?;
        drain(swarm).await;
        Ok(())
    })
}

async fn accept(mut streams: IncomingStreams) {
    while let Some((_, stream)) = streams.next().await {
        tokio::spawn(frame::echo(stream.compat()));
    }
}

async fn drain(mut swarm: Swarm<Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

/// Measures against a second process.
pub fn measure(args: &Requests) -> Result<Outcome> {
    let kid = Kid::of_self(args.serving(NAME))?;
    let address = kid.line(procs::START)?;
    let Requests {
        outstanding,
        bytes,
        seconds,
        ..
    } = *args;
    let meter = run::as_task(args.threads, async move {
        let mut swarm = p2p::swarm(p2p::identity(), Behaviour::new())?;
        let peer = p2p::connect(&mut swarm, &address).await?;
        let mut control = swarm.behaviour().new_control();
        tokio::spawn(drain(swarm));
        let stream = control.open_stream(peer, PROTOCOL).await?.compat();
        let mut meter = Meter::start(seconds, &[kid.pid])?;
        frame::drive(stream, outstanding, bytes, &mut meter).await?;
        Ok(meter)
    })?;
    Ok(Report::requests(NAME, args, &meter).into())
}
