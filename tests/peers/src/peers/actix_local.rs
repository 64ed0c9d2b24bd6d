//! Actors of actix on one thread.

use std::{cell::Cell, future::Future, rc::Rc};

use actix::{Actor, ActorContext as _, Addr, Context, Handler, Message, System};
use anyhow::Result;
use tokio::task::yield_now;

use super::local::{self, Lives};
use crate::{
    cli::{Asks, Spawns, Tells},
    meter::Meter,
    pipeline,
    report::Outcome,
};

/// More than any pipeline keeps under way.
const MAILBOX: usize = 4096;

struct Counter {
    total: u64,
}

struct Add(u64);

impl Message for Add {
    type Result = u64;
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, message: Add, _: &mut Self::Context) -> u64 {
        self.total = self.total.wrapping_add(message.0);
        self.total
    }
}

fn counter() -> Addr<Counter> {
    Counter::create(|context| {
        context.set_mailbox_capacity(MAILBOX);
        Counter { total: 0 }
    })
}

fn add(counter: &Addr<Counter>) -> Result<impl Future<Output = Result<u64>> + use<>> {
    let answer = counter.send(Add(1));
    Ok(async { Ok(answer.await?) })
}

/// Runs a client as one task of a system.
fn in_system<F, T>(client: F) -> Result<T>
where
    F: Future<Output = Result<T>> + 'static,
    T: 'static,
{
    System::new().block_on(async { actix::spawn(client).await? })
}

/// Measures asks.
pub fn ask(args: &Asks) -> Result<Outcome> {
    let Asks {
        seconds,
        outstanding,
    } = *args;
    let meter = in_system(async move {
        let counter = counter();
        let meter = Meter::start(seconds, &[])?;
        pipeline::ordered(outstanding, meter, || add(&counter)).await
    })?;
    Ok(local::asked("actix-ask", outstanding, &meter).into())
}

/// Measures tells.
pub fn tell(args: &Tells) -> Result<Outcome> {
    let seconds = args.seconds;
    let meter = in_system(async move {
        let counter = counter();
        let tell = || {
            counter.do_send(Add(1));
            Ok(())
        };
        pipeline::told(Meter::start(seconds, &[])?, tell, || add(&counter)).await
    })?;
    Ok(local::told("actix-tell", &meter).into())
}

/// An agent that is counted while it lives.
struct Agent {
    total: u64,
    alive: Rc<Cell<usize>>,
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl Actor for Agent {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.total += 1;
        self.alive.set(self.alive.get() + 1);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl Handler<Stop> for Agent {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

/// Measures starting and stopping.
pub fn spawn(args: &Spawns) -> Result<Outcome> {
    let report = in_system(local::lives("actix-spawn", args.count, live))?;
    Ok(report.into())
}

async fn live(count: usize, mut lives: Lives) -> Result<Lives> {
    let alive = Rc::new(Cell::new(0));
    let start = |_| {
        Agent {
            total: 0,
            alive: Rc::clone(&alive),
        }
        .start()
    };
    let agents: Vec<_> = (0..count).map(start).collect();
    until(&alive, count).await;
    lives.all_idle();
    for agent in &agents {
        agent.do_send(Stop);
    }
    until(&alive, 0).await;
    Ok(lives)
}

async fn until(alive: &Cell<usize>, wanted: usize) {
    while alive.get() != wanted {
        yield_now().await;
    }
}
