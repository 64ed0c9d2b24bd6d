//! Requests to a remote actor of kameo, between two processes.

#[cfg(feature = "kameo-remote")]
pub use on::{measure, serve};

#[cfg(not(feature = "kameo-remote"))]
pub use off::{measure, serve};

const NAME: &str = "kameo-remote";

#[cfg(not(feature = "kameo-remote"))]
mod off {
    use anyhow::{Result, bail};

    use super::NAME;
    use crate::{cli::Requests, report::Outcome};

    pub fn serve(_: &Requests) -> Result<()> {
        bail!("built without the feature kameo-remote")
    }

    pub fn measure(_: &Requests) -> Result<Outcome> {
        Ok(Outcome::skipped(
            NAME,
            "built without the feature kameo-remote",
        ))
    }
}

#[cfg(feature = "kameo-remote")]
mod on {
    use std::{sync::Arc, time::Duration};

    use anyhow::{Context as _, Result, anyhow, ensure};
    use futures::StreamExt as _;
    use kameo::{
        Actor, RemoteActor, Reply,
        actor::{RemoteActorRef, Spawn as _},
        message::{Context, Message},
        remote::{Behaviour, messaging},
        remote_message,
    };
    use libp2p_056::{
        Multiaddr, Swarm, SwarmBuilder, multiaddr::Protocol, noise, swarm::SwarmEvent, tcp, yamux,
    };
    use serde::{Deserialize, Serialize};
    use serde_bytes::ByteBuf;
    use tokio::time::sleep;

    use super::NAME;
    use crate::{
        cli::Requests,
        meter::Meter,
        peers::p2p::announce,
        pipeline,
        procs::{self, Kid},
        report::{Outcome, Report},
        run,
    };

    /// What the remote actor is registered as.
    const ACTOR: &str = "starling-peers-echo";
    /// How often registering and looking up are tried, and how long between.
    const TRIES: usize = 80;
    const PAUSE: Duration = Duration::from_millis(100);
    /// Longer than any run.
    const IDLE: Duration = Duration::from_secs(60);
    /// More than any run keeps under way.
    const STREAMS: usize = 4096;

    #[derive(Actor, RemoteActor)]
    struct Echo;

    #[derive(Clone, PartialEq, Reply, Serialize, Deserialize)]
    struct Body(ByteBuf);

    #[remote_message]
    impl Message<Body> for Echo {
        type Reply = Body;

        async fn handle(&mut self, body: Body, _: &mut Context<Self, Body>) -> Body {
            body
        }
    }

    fn swarm() -> Result<Swarm<Behaviour>> {
        let messaging = messaging::Config::default().with_max_concurrent_streams(STREAMS);
        let tcp = tcp::Config::default().nodelay(true);
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
            .with_behaviour(|key| Behaviour::new(key.public().to_peer_id(), messaging))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        swarm.behaviour().try_init_global()?;
        Ok(swarm)
    }

    async fn listen(swarm: &mut Swarm<Behaviour>) -> Result<Multiaddr> {
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return Ok(address.with(Protocol::P2p(*swarm.local_peer_id())));
            }
        }
    }

    async fn drain(mut swarm: Swarm<Behaviour>) {
        loop {
            swarm.select_next_some().await;
        }
    }

    /// Registers an echoing actor, after printing where it is.
    pub fn serve(args: &Requests) -> Result<()> {
        procs::leave_with_parent();
        run::as_task(args.threads, async {
            let mut swarm = swarm()?;
            let address = listen(&mut swarm).await?;
            let swarm = tokio::spawn(drain(swarm));
            let echo = Echo::spawn(Echo);
            announce(&address)?;
            for _ in 0..TRIES {
                if echo.register(ACTOR).await.is_ok() {
                    break;
                }
                sleep(PAUSE).await;
            }
            Ok(swarm.await?)
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
            connect(&address).await?;
            let echo = Arc::new(look_up().await?);
            let body = Arc::new(Body(ByteBuf::from(vec![7; bytes])));
            let mut meter = Meter::start(seconds, &[kid.pid])?;
            let ask = || ask(Arc::clone(&echo), Arc::clone(&body));
            pipeline::unordered(outstanding, &mut meter, ask).await?;
            Ok(meter)
        })?;
        Ok(Report::requests(NAME, args, &meter).into())
    }

    async fn ask(echo: Arc<RemoteActorRef<Echo>>, body: Arc<Body>) -> Result<()> {
        let answer = echo.ask(&*body).await.map_err(|error| anyhow!("{error}"))?;
        ensure!(answer == *body, "an answer came back changed");
        Ok(())
    }

    async fn connect(address: &str) -> Result<()> {
        let mut swarm = swarm()?;
        listen(&mut swarm).await?;
        let address: Multiaddr = address.parse()?;
        let peer = address.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        swarm.add_peer_address(peer.context("no peer in address")?, address.clone());
        swarm.dial(address)?;
        tokio::spawn(drain(swarm));
        Ok(())
    }

    async fn look_up() -> Result<RemoteActorRef<Echo>> {
        for _ in 0..TRIES {
            if let Ok(Some(echo)) = RemoteActorRef::lookup(ACTOR).await {
                return Ok(echo);
            }
            sleep(PAUSE).await;
        }
        Err(anyhow!("the remote actor was not found"))
    }
}
