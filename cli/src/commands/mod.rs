//! The commands, one in each file.

pub(crate) mod agents;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exit_codes;
pub(crate) mod find;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod journal;
pub(crate) mod kinds;
pub(crate) mod locate;
pub(crate) mod logs;
pub(crate) mod members;
pub(crate) mod moves;
pub(crate) mod post;
pub(crate) mod publish;
pub(crate) mod request;
pub(crate) mod sim;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod subscribe;
pub(crate) mod trace;
pub(crate) mod up;

use crate::{args::Command, failure::Failure, session::Session};

/// Does what was typed.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Up(up) => up.run(session).await,
        Command::Down(down) => down.run(session).await,
        Command::Init(init) => init.run(session).await,
        Command::Invite(invite) => invite.run(session).await,
        Command::Join(join) => join.run(session).await,
        Command::Members(members) => members.run(session).await,
        Command::Agents(agents) => agents.run(session).await,
        Command::Kinds(kinds) => kinds.run(session).await,
        Command::Find(find) => find.run(session).await,
        Command::Locate(locate) => locate.run(session).await,
        Command::Docs(docs) => docs.run(session).await,
        Command::Inspect(inspect) => inspect.run(session).await,
        Command::Start(start) => start.run(session).await,
        Command::Stop(stop) => stop.run(session).await,
        Command::Move(ask) => ask.run(session).await,
        Command::TakeUp(ask) => ask.run(session).await,
        Command::Request(request) => request.run(session).await,
        Command::Post(post) => post.run(session).await,
        Command::Publish(publish) => publish.run(session).await,
        Command::Subscribe(subscribe) => subscribe.run(session).await,
        Command::Status(status) => status.run(session).await,
        Command::Doctor(doctor) => doctor.run(session).await,
        Command::Events(events) => events.run(session).await,
        Command::Logs(logs) => logs.run(session).await,
        Command::Journal(journal) => journal.run(session).await,
        Command::Trace(trace) => trace.run(session).await,
        Command::Demo(demo) => demo.run(session).await,
        Command::Sim(sim) => sim.run(session).await,
        Command::Completions(completions) => completions.run(session),
        Command::ExitCodes(exit_codes) => exit_codes.run(session),
    }
}
