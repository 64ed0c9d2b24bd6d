//! The daemon, as the command line starts it: with the stock agents.

pub(crate) use starling_node::{Config, Initialised, Overrides};
use starling_node::{NodeError, api::Joined};

use crate::failure::Failure;

/// The daemon, in the foreground, with the stock agents, until it is told to go down.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    starling_node::log_to_stderr(&config);
    starling_node::run(config, starling_node::stock()).await.map_err(failure)
}

/// Makes an identity and a mesh, while no daemon runs.
pub(crate) fn init(config: &Config) -> Result<Initialised, Failure> {
    starling_node::init(config).map_err(failure)
}

/// Joins a mesh, while no daemon runs.
pub(crate) async fn join(config: &Config, token: &str) -> Result<Joined, Failure> {
    starling_node::join(config, token).await.map_err(failure)
}

fn failure(why: NodeError) -> Failure {
    match why {
        NodeError::Join(problem) => problem.into(),
        why => Failure::failed(why.to_string()),
    }
}
