//! JSON given as an argument: in place, from a file (`@file`) or from standard input (`-`).

use std::{
    fs::File,
    io::{self, Read},
};

use serde_json::Value;
use starling_node::exact;

use crate::{failure::Failure, text};

/// More than any body that a daemon accepts.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How much of a long line is shown left and right of an error.
const EXCERPT_CHARS: usize = 36;

/// The value of an argument; absent is `null`.
pub(crate) fn argument(arg: Option<&str>) -> Result<Value, Failure> {
    let Some(arg) = arg else { return Ok(Value::Null) };
    let (source, text) = match arg {
        "-" => ("standard input".to_owned(), read(io::stdin().lock(), "standard input")?),
        _ => match arg.strip_prefix('@') {
            Some(path) => (path.to_owned(), read_file(path)?),
            None => ("the argument".to_owned(), arg.to_owned()),
        },
    };
    parse(&source, &text)
}

/// All of standard input, as text.
pub(crate) fn stdin() -> Result<String, Failure> {
    read(io::stdin().lock(), "standard input")
}

fn read_file(path: &str) -> Result<String, Failure> {
    let file = File::open(path).map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))?;
    read(file, path)
}

fn read(from: impl Read, source: &str) -> Result<String, Failure> {
    let mut text = String::new();
    from.take(INPUT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|e| Failure::usage(format!("cannot read {source}: {e}")))?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!("{source} has more than {INPUT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The value that a JSON text stands for. What would not be kept as it was written is refused.
pub(crate) fn parse(source: &str, text: &str) -> Result<Value, Failure> {
    let parsed = exact::parse(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let (line, column) = (error.line().max(1), error.column().max(1));
        let place = if text.lines().count() > 1 {
            format!("line {line}, column {column}")
        } else {
            format!("column {column}")
        };
        if reason == exact::OUT_OF_RANGE {
            return inexact(source, &format!("a number ({place})"));
        }
        let shown = text.lines().nth(line - 1).unwrap_or_default();
        let message = format!("{source} is not valid JSON: {reason} ({place})");
        Failure::usage(format!("{message}\n{}", pointed(shown, column)))
            .next(r#"quote JSON for the shell, as '{"text": "hello"}'; @FILE and - read it"#)
    })?;
    match exact::too_long(text) {
        Some(number) => {
            Err(inexact(source, &number.chars().take(EXCERPT_CHARS).collect::<String>()))
        }
        None => Ok(parsed),
    }
}

/// The value that a text stands for, or nothing if it is no JSON.
pub(crate) fn parse_if_json(source: &str, text: &str) -> Result<Option<Value>, Failure> {
    if exact::is_json(text) { parse(source, text).map(Some) } else { Ok(None) }
}

fn inexact(source: &str, number: &str) -> Failure {
    let kept = exact::kept_numbers();
    let message = format!("{source} has {number} that is not kept as it is written: {kept}");
    Failure::usage(message).next("shorten it; or quote it, which makes it a text: '\"1e400\"'")
}

/// The line, cut to what matters, and a caret below the byte `column` (from 1).
fn pointed(line: &str, column: usize) -> String {
    let before = line.get(..(column - 1).min(line.len())).unwrap_or(line);
    let at = before.chars().count();
    let from = at.saturating_sub(EXCERPT_CHARS);
    let shown: String = line.chars().skip(from).take(2 * EXCERPT_CHARS).collect();
    let left: String = line.chars().skip(from).take(at - from).collect();
    let indent = text::plain(&left).chars().count();
    format!("  {}\n  {}^", text::plain(&shown), " ".repeat(indent))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn values_come_from_arguments_and_files() {
        assert_eq!(argument(None), Ok(Value::Null));
        assert_eq!(argument(Some(r#"{"by": 2}"#)), Ok(json!({"by": 2})));
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"[1, 2]\n").expect("written");
        let arg = format!("@{}", file.path().display());
        assert_eq!(argument(Some(&arg)), Ok(json!([1, 2])));
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let failure = argument(Some(r#"{"text" "x"}"#)).expect_err("a colon is missing");
        assert_eq!(failure.exit(), Exit::Usage);
        let Failure::Told { message, .. } = failure else { panic!("it is told") };
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(lines[0], "the argument is not valid JSON: expected `:` (column 9)");
        assert_eq!(lines[1], r#"  {"text" "x"}"#);
        assert_eq!(lines[2], "          ^");
    }

    #[test]
    fn a_long_line_is_cut() {
        let line = format!("[{}x]", "1,".repeat(200));
        assert_eq!(pointed(&line, 402).lines().map(str::len).max(), Some(2 + EXCERPT_CHARS + 2));
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        assert_eq!(argument(Some("@/no/such")).map_err(|f| f.exit()), Err(Exit::Usage));
    }
}
