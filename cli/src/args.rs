//! The command line: what all commands share. Each command describes its own arguments.

use std::{env, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands;

/// Examples come first: most people look for one that fits.
const HELP: &str = "\
{about-with-newline}
\u{1b}[1m\u{1b}[4mExamples:\u{1b}[0m
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

const GLOBAL: &str = "Global options";

/// A mesh of agents without a broker
#[derive(Debug, Parser)]
#[command(
    name = "p2p",
    version,
    arg_required_else_help = true,
    subcommand_value_name = "COMMAND",
    before_help = "  p2p demo                 three hosts that talk, on this machine
  p2p up                   start the daemon of this machine
  p2p invite               let another machine in: prints a token
  p2p join TOKEN --up      on the other machine
  p2p members              who is in the mesh",
    after_help = "`p2p help COMMAND` says more about a command, `p2p help exit-codes` what scripts \
                  can rely on."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command accepts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Globals {
    /// Where the daemon keeps things; tells daemons apart [env: STARLING_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL, conflicts_with = "node")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Another daemon of this machine: the usual data directory, with -NAME appended
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL,
          value_parser = node_name)]
    pub(crate) node: Option<String>,
    /// A configuration file instead of the usual ones
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Tables for people, JSON for programs
    #[arg(long, global = true, value_enum, default_value_t, help_heading = GLOBAL,
          hide_possible_values = true, value_name = "table|json")]
    pub(crate) format: Format,
    /// No header above tables
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_header: bool,
    /// Ids only, and no messages
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value_t, help_heading = GLOBAL,
          hide_possible_values = true, value_name = "auto|always|never")]
    pub(crate) color: ColorChoice,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// An envelope `{"schema": "p2p.members/1", "data": …}`; streams are JSON lines.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(commands::up::Up),
    Down(commands::down::Down),
    Init(commands::init::Init),
    Invite(commands::invite::Invite),
    Join(commands::join::Join),
    Members(commands::members::Members),
    Agents(commands::agents::Agents),
    Kinds(commands::kinds::Kinds),
    Find(commands::find::Find),
    Locate(commands::locate::Locate),
    Inspect(commands::inspect::Inspect),
    Docs(commands::docs::Docs),
    Start(commands::start::Start),
    Stop(commands::stop::Stop),
    Move(commands::moves::Move),
    TakeUp(commands::moves::TakeUp),
    Request(commands::request::Request),
    Post(commands::post::Post),
    Publish(commands::publish::Publish),
    Subscribe(commands::subscribe::Subscribe),
    Status(commands::status::Status),
    Doctor(commands::doctor::Doctor),
    Events(commands::events::Events),
    Logs(commands::logs::Logs),
    Journal(commands::journal::Journal),
    Trace(commands::trace::Trace),
    Demo(commands::demo::Demo),
    Sim(commands::sim::Sim),
    Completions(commands::completions::Completions),
    ExitCodes(commands::exit_codes::ExitCodes),
}

/// The whole grammar.
pub(crate) fn grammar() -> clap::Command {
    dress(Cli::command())
}

fn dress(command: clap::Command) -> clap::Command {
    command.help_template(HELP).mut_subcommands(dress)
}

/// What was typed; on errors and for help, the exit code after having told.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let typed = grammar().color(help_colour()).try_get_matches();
    typed.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|told| {
        // Nobody is left to be told when this fails.
        let _ = told.print();
        ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2))
    })
}

/// Help and errors are printed before `--color` is understood, so it is looked for by hand.
fn help_colour() -> clap::ColorChoice {
    let words: Vec<_> = env::args().take_while(|word| word != "--").collect();
    let after = |at: usize| words.get(at + 1).map(String::as_str);
    let choice = words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "--color" => after(at),
        word => word.strip_prefix("--color="),
    });
    match choice {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

fn node_name(name: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 32 && name.chars().all(fine) {
        Ok(name.to_owned())
    } else {
        Err("up to 32 letters, digits, - and _ are expected".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn every_command_begins_its_help_with_examples() {
        for command in grammar().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            let name = command.get_name();
            let examples = help.find("Examples:").expect("examples");
            assert!(examples < help.find("Usage:").expect("usage"), "{name}");
            assert!(help.contains(&format!("p2p {name}")) || name == "exit-codes", "{name}");
        }
    }

    #[test]
    fn globals_may_stand_anywhere() {
        for words in [["p2p", "--node", "b", "members"], ["p2p", "members", "--node", "b"]] {
            let cli = Cli::try_parse_from(words).expect("parsed");
            assert_eq!(cli.globals.node.as_deref(), Some("b"));
        }
        assert!(Cli::try_parse_from(["p2p", "--node", "../x", "members"]).is_err());
    }
}
