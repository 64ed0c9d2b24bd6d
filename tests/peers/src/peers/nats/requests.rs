//! Requests and their replies between two clients.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{Server, absent, subscribed};
use crate::{
    cli::Requests,
    meter::Meter,
    peers::p2p::announce,
    pipeline,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

const NAME: &str = "nats";
const SUBJECT: &str = "echo";

/// Replies to every request with its own body, after saying so.
pub fn serve(args: &Requests) -> Result<()> {
    procs::leave_with_parent();
    let url = args.url.clone().context("no server")?;
    run::as_task(args.threads, async {
        let client = async_nats::connect(url).await?;
        let mut requests = subscribed(&client, SUBJECT).await?;
        announce(&"ready")?;
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply {
                client.publish(reply, request.payload).await?;
            }
        }
        Ok(())
    })
}

/// Measures against a second client and a server.
pub fn measure(args: &Requests) -> Result<Outcome> {
    let Some(server) = Server::start()? else {
        return Ok(absent(NAME));
    };
    let mut serving = args.serving(NAME);
    serving.extend(["--url".into(), server.url.clone()]);
    let kid = Kid::of_self(serving)?;
    kid.line(procs::START)?;
    let pids = [kid.pid, server.kid.pid];
    let Requests {
        outstanding,
        bytes,
        seconds,
        ..
    } = *args;
    let url = server.url.clone();
    let meter = run::as_task(args.threads, async move {
        let client = async_nats::connect(url).await?;
        let body = Bytes::from(vec![7; bytes]);
        let ask = || {
            let (client, body) = (client.clone(), body.clone());
            async move {
                let reply = client.request(SUBJECT, body.clone()).await?;
                ensure!(reply.payload == body, "a reply came back changed");
                Ok(())
            }
        };
        let mut meter = Meter::start(seconds, &pids)?;
        pipeline::unordered(outstanding, &mut meter, ask).await?;
        Ok(meter)
    })?;
    Ok(Report::requests(NAME, args, &meter).into())
}
