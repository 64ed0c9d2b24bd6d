use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use starling_core::agent::Request;
use starling_protocols::{
    exchange::Failure,
    ident::{Address, AgentId, HostId},
};
use tokio::sync::{mpsc, oneshot};

use super::Node;
use crate::api::{Code, Problem};

/// Something to be done within the main loop.
pub(super) type Job = Box<dyn FnOnce(&mut Node) + Send>;

/// How a task beside the main loop reaches it.
#[derive(Clone)]
pub(super) struct Client(pub(super) mpsc::Sender<Job>);

impl Client {
    /// Does something within the main loop.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Node) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, reply) = oneshot::channel();
        let job = Box::new(move |node: &mut Node| drop(answer.send(what(node))));
        self.0.send(job).await.map_err(|_| going_down())?;
        reply.await.map_err(|_| going_down())
    }

    /// Asks an agent in JSON.
    pub(super) async fn ask(
        &self,
        to: Address,
        name: String,
        body: Vec<u8>,
        budget: Duration,
    ) -> Result<Result<Vec<u8>, Failure>, Problem> {
        let (answer, reply) = oneshot::channel();
        self.with(move |node| {
            let (ticket, now) = (node.ticket(), node.clock.now());
            node.waiting.ask(ticket, answer);
            node.engine.ask(ticket, to, &name, body, budget, now);
        })
        .await?;
        reply.await.map_err(|_| going_down())
    }

    /// Posts a durable notification in JSON; answered when it is durable here.
    pub(super) async fn post(
        &self,
        to: Address,
        name: String,
        body: Vec<u8>,
    ) -> Result<Result<Vec<u8>, Failure>, Problem> {
        let (answer, reply) = oneshot::channel();
        self.with(move |node| {
            let (ticket, now) = (node.ticket(), node.clock.now());
            node.waiting.ask(ticket, answer);
            node.engine.post(ticket, to, &name, body, now);
        })
        .await?;
        reply.await.map_err(|_| going_down())
    }

    /// Asks the host agent of a host.
    pub(super) async fn ask_host<R: Request + Serialize>(
        &self,
        host: HostId,
        request: &R,
        budget: Duration,
    ) -> Result<Result<R::Reply, Failure>, Problem>
    where
        R::Reply: DeserializeOwned,
    {
        let to = Address { host, agent: AgentId::HOST };
        let body = serde_json::to_vec(request).map_err(internal)?;
        match self.ask(to, R::NAME.to_owned(), body, budget).await? {
            Ok(reply) => Ok(Ok(serde_json::from_slice(&reply).map_err(internal)?)),
            Err(why) => Ok(Err(why)),
        }
    }
}

pub(super) fn internal(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Internal, format!("a fault of the daemon: {why}"))
}

fn going_down() -> Problem {
    Problem::new(Code::Unreachable, "the daemon is going down").next("start it again: p2p up")
}
