use std::{
    fmt::{self, Write},
    ops::Range,
    path::Path,
};

/// Every mistake in the configuration. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.faults))]
pub struct ConfigError {
    faults: Vec<Fault>,
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The source: a file, a variable of the environment, or a flag.
    pub source: String,
    /// What is wrong.
    pub message: String,
    /// Where in the file.
    pub snippet: Option<Snippet>,
    /// What to do.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The line, counted from one.
    pub line: usize,
    /// The column, counted from one, in characters.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// How many characters are meant.
    pub width: usize,
}

impl ConfigError {
    pub(super) const fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }

    /// The mistakes, in the order in which the sources were read.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl Fault {
    pub(super) fn new(source: impl fmt::Display, message: impl Into<String>) -> Self {
        let (source, message) = (source.to_string(), message.into());
        Self { source, message, snippet: None, help: None }
    }

    pub(super) fn in_file(
        path: &Path,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let snippet = Some(Snippet::new(text, span));
        Self { snippet, ..Self::new(path.display(), message) }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Snippet {
    fn new(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = floor(text, span.end).clamp(start, line_end);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end().to_owned(),
            width: text[start..end].chars().count().max(1),
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, message, snippet, help } = self;
        match snippet {
            None => write!(f, "{source}: {message}")?,
            Some(Snippet { line, column, text, width }) => {
                let gap = " ".repeat(line.to_string().len());
                // Tabs before the place stay tabs, so that the caret stands below it.
                let keep = |c| if c == '\t' { '\t' } else { ' ' };
                let before: String = text.chars().take(column - 1).map(keep).collect();
                writeln!(f, "{source}:{line}:{column}: {message}")?;
                writeln!(f, "{gap} |\n{line} | {text}")?;
                write!(f, "{gap} | {before}{}", "^".repeat(*width))?;
            }
        }
        match help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    let mut text = match faults.len() {
        1 => "the configuration has a mistake:".to_owned(),
        many => format!("the configuration has {many} mistakes:"),
    };
    for fault in faults {
        write!(text, "\n{fault}").expect("a text takes whatever is written");
    }
    text
}
