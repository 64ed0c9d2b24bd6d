//! libp2p's request-response behaviour between two processes: a stream each.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    time::Instant,
};

use anyhow::{Result, bail, ensure};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    PeerId, StreamProtocol, Swarm,
    request_response::{
        Behaviour, Codec, Config, Event, Message, OutboundRequestId, ProtocolSupport,
    },
    swarm::SwarmEvent,
};

use super::p2p;
use crate::{
    cli::Requests,
    frame::LONGEST,
    meter::Meter,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

const NAME: &str = "libp2p-request-response";
const PROTOCOL: StreamProtocol = StreamProtocol::new("/starling-peers/request/1");
/// More than any run keeps under way.
const STREAMS: usize = 4096;

/// Raw bytes after their length.
#[derive(Debug, Clone, Default)]
struct Raw;

async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    io.read_exact(&mut prefix).await?;
    let length = u32::from_le_bytes(prefix) as usize;
    if length > LONGEST {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    Ok(body)
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, body: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    io.write_all(&frame).await
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}

fn swarm() -> Result<Swarm<Behaviour<Raw>>> {
    let config = Config::default().with_max_concurrent_streams(STREAMS);
    let behaviour = Behaviour::new([(PROTOCOL, ProtocolSupport::Full)], config);
    p2p::swarm(p2p::identity(), behaviour)
}

/// Answers every request with its own body, after printing where.
pub fn serve(args: &Requests) -> Result<()> {
    procs::leave_with_parent();
    run::as_task(args.threads, async {
        let mut swarm = swarm()?;
        p2p::announce(&p2p::listen(&mut swarm).await?)?;
        loop {
            if let SwarmEvent::Behaviour(Event::Message { message, .. }) =
                swarm.select_next_some().await
                && let Message::Request {
                    request, channel, ..
                } = message
            {
                let _ = swarm.behaviour_mut().send_response(channel, request);
            }
        }
    })
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
        let mut swarm = swarm()?;
        let peer = p2p::connect(&mut swarm, &address).await?;
        let mut meter = Meter::start(seconds, &[kid.pid])?;
        let mut client = Client {
            swarm,
            peer,
            body: vec![7; bytes],
            sent: HashMap::new(),
        };
        client.drive(outstanding, &mut meter).await?;
        Ok(meter)
    })?;
    Ok(Report::requests(NAME, args, &meter).into())
}

struct Client {
    swarm: Swarm<Behaviour<Raw>>,
    peer: PeerId,
    body: Vec<u8>,
    sent: HashMap<OutboundRequestId, Instant>,
}

impl Client {
    fn ask(&mut self) {
        let behaviour = self.swarm.behaviour_mut();
        let request = behaviour.send_request(&self.peer, self.body.clone());
        self.sent.insert(request, Instant::now());
    }

    async fn drive(&mut self, outstanding: usize, meter: &mut Meter) -> Result<()> {
        for _ in 0..outstanding {
            self.ask();
        }
        while self.answered(meter).await? {}
        Ok(())
    }

    /// Takes one event. True while the run goes on.
    async fn answered(&mut self, meter: &mut Meter) -> Result<bool> {
        match self.swarm.select_next_some().await {
            SwarmEvent::Behaviour(Event::Message {
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                ..
            }) => {
                ensure!(response == self.body, "an answer came back changed");
                let now = Instant::now();
                let sent = self.sent.remove(&request_id).unwrap_or(now);
                self.ask();
                Ok(meter.timed(1, sent, now))
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => bail!(error),
            SwarmEvent::ConnectionClosed { .. } => bail!("the peer hung up"),
            _ => Ok(true),
        }
    }
}
