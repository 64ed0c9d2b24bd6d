use clap::Args;
use serde_json::Value;
use starling_node::api::documents::{DocPage, DocRow};

use super::{query, short, some, value};
use crate::{
    failure::Failure,
    session::Session,
    table::{Grid, field},
    text,
};

/// Documents asked for at once.
const PAGE: usize = 200;

/// List documents
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs list
  p2p docs list conf/                      those whose names begin so
  p2p docs list agent/ --where kind=room   descriptors of agents of one kind
  p2p docs list --limit 20                 and how to go on: --after the last of them
")]
pub(crate) struct List {
    /// How their names begin
    #[arg(value_name = "PREFIX")]
    prefix: Option<String>,
    /// What they say: a path, and JSON or text
    #[arg(long = "where", value_name = "PATH=VALUE", value_parser = condition)]
    conditions: Vec<(String, Value)>,
    /// How many, at most; all of them when absent
    #[arg(long, value_name = "N", value_parser = some)]
    limit: Option<usize>,
    /// Only those after this name
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
}

fn condition(text: &str) -> Result<(String, Value), String> {
    let pair = text.split_once('=').filter(|(path, _)| !path.is_empty());
    let (path, wanted) = pair.ok_or_else(|| "PATH=VALUE is expected, as kind=room".to_owned())?;
    if wanted.is_empty() {
        return Err(format!("the value is missing; an empty text is {path}='\"\"'"));
    }
    match value(wanted) {
        Ok(value) => Ok((path.to_owned(), value)),
        Err(Failure::Told { message, .. }) => Err(message),
        Err(_) => Err("the value cannot be read".to_owned()),
    }
}

impl List {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (out, client) = (&session.out, session.client()?);
        let conditions = self.conditions.iter().map(|(path, value)| format!("{path}={value}"));
        let conditions: Vec<String> = conditions.collect();
        let mut rows: Vec<DocRow> = Vec::new();
        let mut next = self.after.clone();
        loop {
            let limit = self.limit.map_or(PAGE, |limit| (limit - rows.len()).min(PAGE)).to_string();
            let (prefix, after) = (self.prefix.as_deref(), next.as_deref());
            let mut parts = vec![("prefix", prefix), ("after", after), ("limit", Some(&*limit))];
            parts.extend(conditions.iter().map(|condition| ("where", Some(condition.as_str()))));
            let page: DocPage = client.get(&format!("/v1/docs?{}", query(&parts))).await?;
            rows.extend(page.items);
            next = page.next;
            if next.is_none() || self.limit.is_some_and(|limit| rows.len() >= limit) {
                break;
            }
        }
        if out.is_json() {
            return out.page("docs-list", &rows, next.as_deref());
        }
        if out.quiet {
            rows.iter().try_for_each(|row| out.line(&text::plain(&row.name)))?;
        } else {
            out.grid(grid(&rows))?;
        }
        if rows.is_empty() {
            out.note(&self.none(&conditions));
        }
        if let Some(next) = next {
            out.note(&format!("there may be more: --after {next}"));
        }
        Ok(())
    }

    /// That nothing was found, of what was looked for.
    fn none(&self, conditions: &[String]) -> String {
        let of = self.prefix.as_ref().map(|prefix| format!(" whose name begins with {prefix:?}"));
        let after = self.after.as_ref().map(|name| format!(" after {name:?}"));
        let of = format!("{}{}", of.unwrap_or_default(), after.unwrap_or_default());
        match conditions {
            [] => format!("there is no document{of}"),
            said => format!("there is no document{of} that says {}", said.join(" and ")),
        }
    }
}

/// What a descriptor says of its host stands in another column.
fn shown(row: &DocRow) -> Value {
    let mut value = row.value.clone();
    if let (Some(_), Value::Object(fields)) = (&row.owner, &mut value) {
        fields.retain(|key, _| key != "host" && key != "instance");
    }
    value
}

fn grid(rows: &[DocRow]) -> Grid {
    let mut grid = Grid::new(&["NAME", "HOST", "VALUE"]);
    for row in rows {
        let host = row.owner.as_ref().map(|owner| owner.host_name.as_str());
        grid.row([field(&row.name), field(host.unwrap_or_default()), field(&short(&shown(row)))]);
    }
    grid
}
