//! House rules that no compiler checks.

use std::fs;

use starling_tests::{Source, repository, sources, tracked};

const CODE: [&str; 6] = ["protocols/", "node/", "cli/", "netsim/", "examples/", "tests/"];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;
const LINE_CHARS_MAX: usize = 100;

/// Lines that may break a rule: the file, a part of the line, and the reason.
const ON_PURPOSE: [(&str, &str, &str); 1] = [(
    "node/host/src/net/tests/speed.rs",
    "a measurement",
    "it says how fast the network is, and would be wrong on a busy machine",
)];

/// Words that are left in code by accident. In two parts, so that this file does not have them.
const LEFTOVERS: [[&str; 2]; 6] = [
    ["todo", "!("],
    ["unimplemented", "!("],
    ["dbg", "!("],
    ["FIX", "ME"],
    ["XX", "X"],
    ["#[igno", "re"],
];

/// What is of one machine only, and has no place in a repository.
const MACHINES: [[&str; 2]; 4] =
    [["/wo", "rk/"], ["/ro", "ot/"], ["/home", "/user"], ["index.crates", ".io"]];

#[test]
fn every_module_that_others_can_see_says_what_it_is_for() {
    let silent = |source: &Source| is_visible(source) && !source.text.starts_with("//!");
    let found = code().into_iter().filter(silent).map(|source| source.path);
    none("these do not begin with //!", found);
}

#[test]
fn functions_are_short() {
    let found = code().into_iter().flat_map(|source| {
        let long =
            functions(&source).into_iter().filter(|(.., length)| *length > FUNCTION_LINES_MAX);
        let path = source.path.clone();
        long.map(move |(name, number, length)| format!("{path}:{number} {name}, {length} lines"))
            .collect::<Vec<_>>()
    });
    none("these functions are too long", found);
}

#[test]
fn files_and_lines_are_short() {
    let long_file = |source: &&Source| source.product_lines().count() > FILE_LINES_MAX;
    let sources = code();
    none("these files are too long", sources.iter().filter(long_file).map(|s| s.path.clone()));
    let wide = |line: &str| line.chars().count() > LINE_CHARS_MAX && !is_table_or_text(line);
    none("these lines are too long", sources.iter().flat_map(|source| lines(source, wide)));
}

#[test]
fn nothing_is_left_over() {
    let leftovers = LEFTOVERS.map(|parts| parts.concat());
    let left = |line: &str| leftovers.iter().any(|word| line.contains(word.as_str()));
    let sources = code();
    none("this is left over", sources.iter().flat_map(|source| lines(source, left)));
}

#[test]
fn every_queue_has_a_cap() {
    let boundless = |line: &str| line.contains("unbounded") && !line.trim_start().starts_with("//");
    let product: Vec<_> = code().into_iter().filter(|source| !source.is_test()).collect();
    none("these have none", product.iter().flat_map(|source| lines(source, boundless)));
}

#[test]
fn no_file_names_a_machine_of_ours() {
    let machines = MACHINES.map(|parts| parts.concat());
    for path in tracked() {
        // What is no text is no place for a path either, but cannot be read here.
        let Ok(text) = fs::read_to_string(repository().join(&path)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            let found = machines.iter().find(|name| line.contains(name.as_str()));
            assert_eq!(found, None, "{path}:{number}: {line}");
        }
    }
}

#[test]
fn every_path_that_the_architecture_names_is_there() {
    let Some(text) = document("ARCHITECTURE.md") else { return };
    let folders = ["protocols/", "node/", "cli/", "netsim/", "examples/", "tests/", "docs/"];
    for quoted in text.split('`').skip(1).step_by(2) {
        let path = quoted.trim_end_matches('/');
        let is_path = folders.iter().any(|folder| quoted.starts_with(folder));
        if is_path && !path.contains(['*', ' ', '{', '<', '…']) {
            assert!(repository().join(path).exists(), "ARCHITECTURE.md names {quoted}");
        }
    }
}

#[test]
fn the_changelog_begins_with_what_is_not_released_or_newest() {
    let Some(text) = document("CHANGELOG.md") else { return };
    assert!(text.lines().any(|line| line.starts_with("## ")), "CHANGELOG.md lists no version");
}

/// Fails with the whole list.
fn none(what: &str, found: impl Iterator<Item = String>) {
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The lines that are so, each with its place; without those that are so on purpose.
fn lines(source: &Source, is_so: impl Fn(&str) -> bool) -> Vec<String> {
    let on_purpose = |line: &str| {
        let mut excused = ON_PURPOSE.iter();
        excused.any(|(path, part, _)| source.path == *path && line.contains(part))
    };
    let found = (1..).zip(source.text.lines()).filter(|(_, line)| is_so(line) && !on_purpose(line));
    found.map(|(number, line)| format!("{}:{number}: {line}", source.path)).collect()
}

/// Rows of tables in comments, and long texts in quotes, which rustfmt does not break either.
fn is_table_or_text(line: &str) -> bool {
    line.starts_with("//! |") || line.split('"').any(|part| part.chars().count() > 50)
}

fn code() -> Vec<Source> {
    sources(&CODE)
}

#[allow(clippy::print_stderr, reason = "a skipped check says so")]
fn document(name: &str) -> Option<String> {
    let text = fs::read_to_string(repository().join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {name} yet");
    }
    text
}

/// Whether a file is the root of a crate or program, or a module declared `pub` by its parent. A
/// private module's file may begin with its code: its parent says what it is for.
fn is_visible(source: &Source) -> bool {
    let path = &source.path;
    let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    let is_root = ["lib", "main"].contains(&name) || path.contains("/bin/");
    let is_test_root = path.split('/').rev().nth(1) == Some("tests") && !path.contains("/src/");
    is_root || is_test_root || is_public_module(path, name)
}

fn is_public_module(path: &str, name: &str) -> bool {
    let Some(folder) = path.rsplit_once('/').map(|(folder, _)| folder) else { return false };
    let parents = [format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/mod.rs")];
    let declared = format!("pub mod {name};");
    let declares = |text: String| text.lines().any(|line| line.trim() == declared);
    parents
        .iter()
        .filter_map(|parent| fs::read_to_string(repository().join(parent)).ok())
        .any(declares)
}

/// The functions of a file: name, line and length. A function ends at the line that closes the
/// indentation it began with, which rustfmt guarantees.
fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let starts = (0..lines.len()).filter_map(|at| Some((at, function_name(lines[at])?)));
    let measured = starts.map(|(at, name)| {
        let indent: String = lines[at].chars().take_while(|c| *c == ' ').collect();
        let end = format!("{indent}}}");
        let rest = &lines[at..];
        // One without a body, or with all of it on its own line, is short.
        let is_short = rest[0].ends_with(['}', ';']);
        let length = rest.iter().position(|line| is_short || *line == end);
        (name, at + 1, length.unwrap_or(0) + 1)
    });
    measured.collect()
}

fn function_name(line: &str) -> Option<String> {
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    let mut rest = line.trim_start();
    while let Some((_, after)) = rest.split_once(' ').filter(|(word, _)| words.contains(word)) {
        rest = after;
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}
