//! Gathers results, and shows medians.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// All results of all rounds.
#[derive(Default)]
pub(crate) struct Report {
    order: Vec<(String, String, String)>,
    results: BTreeMap<(String, String, String), Vec<Value>>,
}

impl Report {
    /// Adds one result: what was measured, how, and the line of whoever measured it.
    pub(crate) fn add(&mut self, what: &str, how: &str, result: Value) {
        let name = result["name"].as_str().unwrap_or("?").to_owned();
        eprintln!("{what:16} {how:24} {result}");
        let key = (what.to_owned(), how.to_owned(), name);
        if !self.results.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.results.entry(key).or_default().push(result);
    }

    /// Prints the table, in Markdown.
    pub(crate) fn print(&self) {
        println!("| what | how | who | median | least – most | p50 | p99 | vs. Starling |");
        println!("|---|---|---|---|---|---|---|---|");
        for key in &self.order {
            println!("{}", self.row(key));
        }
    }

    fn row(&self, key: &(String, String, String)) -> String {
        let (what, how, who) = key;
        let results = &self.results[key];
        if let Some(why) = results[0]["skipped"].as_str() {
            return format!("| {what} | {how} | {who} | skipped: {why} | | | | |");
        }
        let unit = results[0]["unit"].as_str().unwrap_or_default();
        let values = sorted(results, "value");
        let median = median(&values);
        let own = self.own(what, how).map_or(String::new(), |own| format!("{:.2}", own / median));
        let micros = |field| match sorted(results, field) {
            values if values.is_empty() => String::new(),
            values => format!("{} µs", number(self::median(&values))),
        };
        let range = format!("{} – {}", number(values[0]), number(values[values.len() - 1]));
        let (p50, p99) = (micros("p50_us"), micros("p99_us"));
        format!(
            "| {what} | {how} | {who} | {} {unit} | {range} | {p50} | {p99} | {own} |",
            number(median)
        )
    }

    /// Starling's own median in the same discipline.
    fn own(&self, what: &str, how: &str) -> Option<f64> {
        let own = self
            .order
            .iter()
            .find(|(a, b, who)| a == what && b == how && who.starts_with("starling"));
        Some(median(&sorted(&self.results[own?], "value")))
    }

    /// Writes everything for machines, to a file of this name.
    pub(crate) fn save(&self, name: &str) {
        let rows: Vec<Value> = self
            .order
            .iter()
            .map(|key| {
                json!({ "what": key.0, "how": key.1, "who": key.2, "runs": self.results[key] })
            })
            .collect();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
        let written = std::fs::create_dir_all(dir).and_then(|()| {
            std::fs::write(format!("{dir}/{name}.json"), serde_json::to_vec_pretty(&rows)?)
        });
        written.expect("the results are written");
    }
}

fn sorted(results: &[Value], field: &str) -> Vec<f64> {
    let mut values: Vec<f64> = results.iter().filter_map(|one| one[field].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 1e3 => format!("{:.1} k", value / 1e3),
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
