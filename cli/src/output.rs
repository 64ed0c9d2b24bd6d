//! The one place that writes: data on standard output, messages on standard error.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;
use serde_json::json;
use starling_node::api::{Listing, Missing};

use crate::{
    args::{ColorChoice, Format, Globals},
    failure::{Exit, Failure},
    table::Grid,
    text,
};

/// How and what to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Tables or JSON.
    pub(crate) format: Format,
    /// Ids only.
    pub(crate) quiet: bool,
    /// For standard output.
    pub(crate) paint: Paint,
    header: bool,
    paint_messages: Paint,
}

impl Output {
    pub(crate) fn new(globals: &Globals) -> Self {
        let colour = |terminal| Paint(wants_colour(globals.color, terminal, |v| env::var_os(v)));
        Self {
            format: globals.format,
            quiet: globals.quiet,
            header: !globals.no_header,
            paint: colour(io::stdout().is_terminal()),
            paint_messages: colour(io::stderr().is_terminal()),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Text and a line end. What comes from elsewhere must have gone through [`text::plain`].
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.raw(format!("{text}\n").as_bytes())
    }

    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    pub(crate) fn grid(&self, grid: Grid) -> Result<(), Failure> {
        let text = grid.render(self.header, self.paint.0);
        if text.is_empty() { Ok(()) } else { self.line(&text) }
    }

    /// The data of `p2p NAME` in its envelope.
    pub(crate) fn envelope(&self, name: &str, data: impl Serialize) -> Result<(), Failure> {
        self.indented_json(&Envelope::new(name, data, &[]))
    }

    /// The same, of a list that goes on after `next` if there is one.
    pub(crate) fn page(
        &self,
        name: &str,
        data: impl Serialize,
        next: Option<&str>,
    ) -> Result<(), Failure> {
        self.indented_json(&Envelope { next, ..Envelope::new(name, data, &[]) })
    }

    pub(crate) fn indented_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(&escape_json(&text))
    }

    /// One line of a stream.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&escape_json(&text))
    }

    /// A list in the form asked for; a partial one is told and changes the exit code.
    pub(crate) fn listing<T: Serialize>(
        &self,
        name: &str,
        listing: &Listing<T>,
        id: impl Fn(&T) -> &str,
        grid: impl FnOnce(&[T]) -> Grid,
    ) -> Result<(), Failure> {
        if self.is_json() {
            self.indented_json(&Envelope::new(name, &listing.items, &listing.missing))?;
        } else if self.quiet {
            listing.items.iter().try_for_each(|item| self.line(&text::plain(id(item))))?;
        } else {
            self.grid(grid(&listing.items))?;
        }
        self.missing(&listing.missing)
    }

    fn missing(&self, missing: &[Missing]) -> Result<(), Failure> {
        for Missing { host, why } in missing {
            self.warn(&format!("nothing from {host}: {why}"));
        }
        if missing.is_empty() { Ok(()) } else { Err(Failure::Silent(Exit::Partial)) }
    }

    /// A message for people.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.message(&text::plain_lines(text));
        }
    }

    /// What could be typed next, and what for.
    pub(crate) fn hints(&self, hints: &[(String, &str)]) {
        let width = hints.iter().map(|(command, _)| command.chars().count()).max();
        for (command, purpose) in hints {
            let padded = format!("{command:<width$}", width = width.unwrap_or_default());
            self.note(&format!("  {padded}   {purpose}"));
        }
    }

    pub(crate) fn warn(&self, text: &str) {
        let label = self.paint_messages.yellow("warning:");
        self.message(&format!("{label} {}", text::plain(text)));
    }

    fn message(&self, text: &str) {
        // Nobody is left to be told when standard error cannot be written.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells a failure, and gives the exit code.
    pub(crate) fn conclude(&self, done: Result<(), Failure>) -> Exit {
        let Err(failure) = done else { return Exit::Ok };
        let exit = failure.exit();
        if let Failure::Told { message, next, .. } = failure {
            self.tell(exit, &message, next.as_deref());
        }
        exit
    }

    fn tell(&self, exit: Exit, message: &str, next: Option<&str>) {
        if self.is_json() {
            let data = json!({ "exit": exit as u8, "message": message, "next": next });
            let error = serde_json::to_string(&Envelope::new("error", data, &[]));
            return self.message(&escape_json(&error.unwrap_or_default()));
        }
        let paint = self.paint_messages;
        self.message(&format!("{} {}", paint.red("error:"), text::plain_lines(message)));
        if let Some(next) = next {
            self.message(&format!("  {} {}", paint.bold("next:"), text::plain_lines(next)));
        }
    }
}

/// What all JSON but streams comes in. The items of a list are its data; what is missing stands
/// beside them, when there is something, and where to go on, when there was to be no more.
#[derive(Serialize)]
struct Envelope<'a, T> {
    schema: String,
    data: T,
    #[serde(skip_serializing_if = "<[Missing]>::is_empty")]
    missing: &'a [Missing],
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

impl<'a, T> Envelope<'a, T> {
    fn new(name: &str, data: T, missing: &'a [Missing]) -> Self {
        Self { schema: format!("p2p.{name}/1"), data, missing, next: None }
    }
}

/// JSON in which no character can steer a terminal; its meaning is the same. Such characters
/// occur only within strings, except for the line ends of the indentation.
fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && text::is_harmful(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// An explicit choice wins; then `NO_COLOR` and dumb terminals; then colour is for terminals.
fn wants_colour(
    choice: ColorChoice,
    terminal: bool,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> bool {
    let set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            terminal && !set("NO_COLOR") && variable("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) const fn is_on(self) -> bool {
        self.0
    }

    fn style(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.style("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.style("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.style("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.style("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.style("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.style("36", text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn colour_follows_choice_environment_and_terminal() {
        let unset = |_: &str| None;
        let no_color = |name: &str| (name == "NO_COLOR").then(|| "1".into());
        let dumb = |name: &str| (name == "TERM").then(|| "dumb".into());
        assert!(wants_colour(ColorChoice::Auto, true, unset));
        assert!(!wants_colour(ColorChoice::Auto, false, unset));
        assert!(!wants_colour(ColorChoice::Auto, true, no_color));
        assert!(!wants_colour(ColorChoice::Auto, true, dumb));
        assert!(wants_colour(ColorChoice::Always, false, no_color));
        assert!(!wants_colour(ColorChoice::Never, true, unset));
    }

    #[test]
    fn json_keeps_its_meaning_and_loses_its_teeth() {
        let value = json!({ "a": "x\u{9b}31m\u{202e}\n\u{7f}" });
        let safe = escape_json(&format!("{value:#}"));
        assert!(!safe.contains(|c| c != '\n' && text::is_harmful(c)));
        assert_eq!(serde_json::from_str::<Value>(&safe).expect("JSON"), value);
    }

    #[test]
    fn missing_stands_beside_the_data() {
        let whole = json!(Envelope::new("x", [1], &[]));
        assert_eq!(whole, json!({ "schema": "p2p.x/1", "data": [1] }));
        let missing = [Missing { host: "b".into(), why: "gone".into() }];
        assert_eq!(json!(Envelope::new("x", [1], &missing))["missing"][0]["host"], "b");
    }
}
