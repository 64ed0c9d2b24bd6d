//! Actors of kameo on one thread.

use anyhow::Result;
use kameo::{
    Actor,
    actor::{ActorRef, Spawn as _},
    mailbox,
    message::{Context, Message},
};

use super::local::{self, Lives};
use crate::{
    cli::{Asks, Spawns, Tells},
    meter::Meter,
    pipeline,
    report::Outcome,
};

#[derive(Actor)]
struct Counter {
    total: u64,
}

struct Add(u64);

impl Message<Add> for Counter {
    type Reply = u64;

    async fn handle(&mut self, message: Add, _: &mut Context<Self, u64>) -> u64 {
        self.total = self.total.wrapping_add(message.0);
        self.total
    }
}

/// A counter whose mailbox never refuses; the pipelines bound it.
fn counter() -> ActorRef<Counter> {
    Counter::spawn_with_mailbox(Counter { total: 0 }, mailbox::unbounded())
}

fn add(counter: &ActorRef<Counter>) -> Result<impl Future<Output = Result<u64>> + use<>> {
    let answer = counter.ask(Add(1)).try_enqueue()?;
    Ok(async { Ok(answer.await?) })
}

/// Measures asks.
pub fn ask(args: &Asks) -> Result<Outcome> {
    let Asks {
        seconds,
        outstanding,
    } = *args;
    let meter = local::on_one_thread(async move {
        let counter = counter();
        let meter = Meter::start(seconds, &[])?;
        pipeline::ordered(outstanding, meter, || add(&counter)).await
    })?;
    Ok(local::asked("kameo-ask", outstanding, &meter).into())
}

/// Measures tells.
pub fn tell(args: &Tells) -> Result<Outcome> {
    let seconds = args.seconds;
    let meter = local::on_one_thread(async move {
        let counter = counter();
        let tell = || Ok(counter.tell(Add(1)).try_send()?);
        pipeline::told(Meter::start(seconds, &[])?, tell, || add(&counter)).await
    })?;
    Ok(local::told("kameo-tell", &meter).into())
}

/// Measures starting and stopping.
pub fn spawn(args: &Spawns) -> Result<Outcome> {
    let count = args.count;
    let report = local::on_one_thread(local::lives("kameo-spawn", count, live))?;
    Ok(report.into())
}

async fn live(count: usize, mut lives: Lives) -> Result<Lives> {
    let agents: Vec<_> = (0..count)
        .map(|_| Counter::spawn(Counter { total: 0 }))
        .collect();
    for agent in &agents {
        agent.wait_for_startup().await;
    }
    lives.all_idle();
    for agent in &agents {
        agent.stop_gracefully().await?;
    }
    for agent in &agents {
        agent.wait_for_shutdown().await;
    }
    Ok(lives)
}
