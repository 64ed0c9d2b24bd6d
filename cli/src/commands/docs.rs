//! `p2p docs`

mod conflicts;
mod delete;
mod diff;
mod edit;
mod get;
mod history;
mod list;
mod raise;
mod set;

use clap::{Args, Subcommand};
use serde_json::Value;
use starling_node::api::documents::DocWritten;

use crate::{
    failure::{Exit, Failure},
    json,
    session::Session,
    table::{Field, Tone, field, id},
    text,
};

/// Characters of a value that stand on one line of a table.
const SHOWN_CHARS: usize = 72;

/// Look at documents and change them: what all hosts know alike
///
/// A document is a map of keys and values that every host has a copy of, such as the configuration
/// of a kind of agents. Every host may change it at any time; what several have changed at once is
/// merged, and where they changed one value, all are kept until somebody resolves the conflict. Only
/// when a history has become long and begins anew, up to 48 such values are kept; of more, or if there
/// is no room, those that are shown.
///
/// Each agent has one too, its descriptor: `agent/` and its id. It says where the agent lives and
/// what it tells of itself, outlives the agent's host, and is changed by nobody but the agent.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    before_help = "  p2p docs set conf/echo limit 3           make a document, or change it
  p2p docs get conf/echo                   what it says
  p2p docs edit conf/echo                  in your editor
  p2p docs list                            which there are
  p2p docs history conf/echo               who changed what
",
    after_help = "A PATH is written as fields.rooms[2].name; a key with other characters is quoted, \
                  as in fields.\"a b\"."
)]
pub(crate) struct Docs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Get(get::Get),
    Set(set::Set),
    Remove(set::Remove),
    Edit(edit::Edit),
    History(history::History),
    Diff(diff::Diff),
    Conflicts(conflicts::Conflicts),
    Resolve(conflicts::Resolve),
    Raise(raise::Raise),
    Delete(delete::Delete),
}

impl Docs {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.command {
            Command::List(list) => list.run(session).await,
            Command::Get(get) => get.run(session).await,
            Command::Set(set) => set.run(session).await,
            Command::Remove(remove) => remove.run(session).await,
            Command::Edit(edit) => edit.run(session).await,
            Command::History(history) => history.run(session).await,
            Command::Diff(diff) => diff.run(session).await,
            Command::Conflicts(conflicts) => conflicts.run(session).await,
            Command::Resolve(resolve) => resolve.run(session).await,
            Command::Raise(raise) => raise.run(session).await,
            Command::Delete(delete) => delete.run(session).await,
        }
    }
}

/// A query string of what is given.
fn query(parts: &[(&str, Option<&str>)]) -> String {
    let given = parts.iter().filter_map(|(key, value)| {
        let value = text::query((*value)?);
        Some(format!("{key}={value}"))
    });
    given.collect::<Vec<_>>().join("&")
}

/// The JSON that an argument is, or the text that it otherwise is. JSON that would not stand there
/// as it was written is refused.
fn value(arg: &str) -> Result<Value, Failure> {
    if arg == "-" || arg.starts_with('@') {
        return json::argument(Some(arg));
    }
    Ok(json::parse_if_json("the value", arg)?.unwrap_or_else(|| Value::from(arg)))
}

/// How many are asked for: none makes no sense.
fn some(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a number from 1 on is expected".to_owned())
}

/// A value on one line of a table.
fn short(value: &Value) -> String {
    let whole = value.to_string();
    let mut shown: String = whole.chars().take(SHOWN_CHARS).collect();
    if shown.len() < whole.len() {
        shown.push('…');
    }
    shown
}

/// Tells that a document was changed, and where it is.
fn written(session: &Session, command: &str, written: &DocWritten) -> Result<(), Failure> {
    let out = &session.out;
    let DocWritten { head, replicas, wanted } = written;
    let is_known = replicas >= wanted;
    if out.is_json() {
        out.envelope(command, written)?;
    } else if let Some(head) = head {
        out.line(&text::plain(if out.quiet { head } else { &head[..head.len().min(8)] }))?;
    } else if is_known {
        out.note("it says so already: nothing was changed");
    }
    if is_known {
        return Ok(());
    }
    let what = match head {
        Some(_) => "the change was made",
        None => "nothing was changed, it says so already",
    };
    let message = match replicas {
        0 => format!("{what}, but it is not on any disk yet"),
        _ => format!("{what}, but only {replicas} of {wanted} hosts are known to have it by now"),
    };
    Err(Failure::told(Exit::Partial, message).next(match replicas {
        0 => "until it is, this host forgets it if it goes down: see p2p doctor",
        _ => {
            "the others get it by themselves when they are there: see p2p members; to wait for \
             them, say it again with a longer --timeout"
        }
    }))
}

/// The host that made a change; where it is not known any more, what stands for it.
fn made_by(host: Option<&str>, actor: &str) -> Field {
    host.map_or_else(|| id(actor).tone(Tone::Dim), field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_json_is_a_text() {
        for (arg, wanted) in
            [("3", json!(3)), ("room", json!("room")), ("\"3\"", json!("3")), ("", json!(""))]
        {
            assert_eq!(value(arg), Ok(wanted), "{arg}");
        }
        for arg in ["1e400", "[-1e999]", "18446744073709551616", r#"{"a": 1, "a": 2}"#] {
            assert_eq!(value(arg).map_err(|why| why.exit()), Err(Exit::Usage), "{arg}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(short(&json!("ä".repeat(100))).chars().count(), SHOWN_CHARS + 1);
        assert_eq!(short(&json!([1])), "[1]");
    }
}
