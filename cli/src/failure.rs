//! How a command ends when it does not end well.

use std::{io, process::ExitCode};

use starling_node::api::Problem;

/// The exit codes, a promise to scripts. `p2p help exit-codes` explains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No daemon answers.
    NoDaemon = 3,
    /// Not allowed.
    Denied = 4,
    /// No such host, agent, kind or request.
    NotFound = 5,
    /// A partial result, or none in time.
    Partial = 6,
    /// It works, but something is wrong.
    Degraded = 7,
    /// Ctrl-C came before the answer.
    Interrupted = 130,
}

impl Exit {
    /// From the code that the control API prescribes.
    pub(crate) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Ok,
            2 => Self::Usage,
            3 => Self::NoDaemon,
            4 => Self::Denied,
            5 => Self::NotFound,
            6 => Self::Partial,
            7 => Self::Degraded,
            _ => Self::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends early.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// Something to tell on standard error.
    Told {
        /// The exit code.
        exit: Exit,
        /// What happened.
        message: String,
        /// What to do next.
        next: Option<String>,
    },
    /// The output has said it all; only the exit code is left.
    Silent(Exit),
    /// Whoever read our output has seen enough: no error.
    PipeClosed,
}

impl Failure {
    pub(crate) fn told(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told { exit, message: message.into(), next: None }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::told(Exit::Failure, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::told(Exit::Usage, message)
    }

    pub(crate) fn late(message: impl Into<String>) -> Self {
        Self::told(Exit::Partial, message)
    }

    /// With advice.
    pub(crate) fn next(mut self, advice: impl Into<String>) -> Self {
        if let Self::Told { next, .. } = &mut self {
            *next = Some(advice.into());
        }
        self
    }

    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Told { exit, .. } | Self::Silent(exit) => *exit,
            Self::PipeClosed => Exit::Ok,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Told {
            exit: Exit::from_code(problem.code.exit_code()),
            message: problem.message,
            next: problem.next,
        }
    }
}

/// For writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_node::api::Code;

    use super::*;

    #[test]
    fn problems_keep_their_exit_code_and_advice() {
        let failure = Failure::from(Problem::new(Code::Denied, "no").next("ask"));
        assert_eq!(failure, Failure::told(Exit::Denied, "no").next("ask"));
        assert_eq!(failure.exit() as u8, Code::Denied.exit_code());
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), Exit::Ok);
    }
}
