//! Actors of ractor on one thread.

use anyhow::{Result, anyhow};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency};

use super::local::{self, Lives};
use crate::{
    cli::{Asks, Spawns, Tells},
    meter::Meter,
    pipeline,
    report::Outcome,
};

struct Counter;

enum Message {
    Add(u64),
    Ask(u64, RpcReplyPort<u64>),
}

impl Actor for Counter {
    type Msg = Message;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(&self, _: ActorRef<Message>, state: u64) -> Result<u64, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        total: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Add(number) => *total = total.wrapping_add(number),
            Message::Ask(number, answer) => {
                *total = total.wrapping_add(number);
                let _ = answer.send(*total);
            }
        }
        Ok(())
    }
}

async fn counter() -> Result<ActorRef<Message>> {
    let (counter, _) = Counter::spawn(None, Counter, 0).await?;
    Ok(counter)
}

fn add(counter: &ActorRef<Message>) -> Result<impl Future<Output = Result<u64>> + use<>> {
    let (sender, answer) = concurrency::oneshot();
    let message = Message::Ask(1, sender.into());
    counter
        .send_message(message)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(async { Ok(answer.await?) })
}

fn tell_one(counter: &ActorRef<Message>) -> Result<()> {
    let told = counter.send_message(Message::Add(1));
    told.map_err(|error| anyhow!("{error}"))
}

/// Measures asks.
pub fn ask(args: &Asks) -> Result<Outcome> {
    let Asks {
        seconds,
        outstanding,
    } = *args;
    let meter = local::on_one_thread(async move {
        let counter = counter().await?;
        let meter = Meter::start(seconds, &[])?;
        pipeline::ordered(outstanding, meter, || add(&counter)).await
    })?;
    Ok(local::asked("ractor-ask", outstanding, &meter).into())
}

/// Measures tells.
pub fn tell(args: &Tells) -> Result<Outcome> {
    let seconds = args.seconds;
    let meter = local::on_one_thread(async move {
        let counter = counter().await?;
        let meter = Meter::start(seconds, &[])?;
        pipeline::told(meter, || tell_one(&counter), || add(&counter)).await
    })?;
    Ok(local::told("ractor-tell", &meter).into())
}

/// Measures starting and stopping.
pub fn spawn(args: &Spawns) -> Result<Outcome> {
    let count = args.count;
    let report = local::on_one_thread(local::lives("ractor-spawn", count, live))?;
    Ok(report.into())
}

async fn live(count: usize, mut lives: Lives) -> Result<Lives> {
    let mut agents = Vec::with_capacity(count);
    for _ in 0..count {
        agents.push(Counter::spawn(None, Counter, 0).await?);
    }
    lives.all_idle();
    for (agent, _) in &agents {
        agent.stop(None);
    }
    for (_, ended) in agents {
        ended.await?;
    }
    Ok(lives)
}
