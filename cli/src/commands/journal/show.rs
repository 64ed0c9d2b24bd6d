use clap::Args;
use serde_json::{Value, json};
use starling_node::{
    agent::prelude::AgentId,
    api::journal::{AnswerView, EffectView, EffectsView, EntryLine, EntryRow, InputView, LifeRow},
};

use super::Whose;
use crate::{
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    source::{self, Source, called},
    text,
};

/// How much of a long body is shown.
const BODY_CHARS_MAX: usize = 160;

/// Show the entries of a life: each input, what came of it, and what the agent asked for
///
/// Bodies are shown as JSON where the reader has their kind, and in base64 otherwise.
#[derive(Debug, Args)]
#[command(before_help = "  p2p journal show visits                 the last 20 entries
  p2p journal show visits -n 5
  p2p journal show visits --from 0 -n 100
  p2p journal show --life 12 --full --file copy.db
")]
pub(crate) struct Show {
    #[command(flatten)]
    whose: Whose,
    /// How many entries, at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// From the entry of this number on, instead of the last ones
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Long bodies in full
    #[arg(long)]
    full: bool,
}

impl Show {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let (who, out) = (self.whose.one()?, &session.out);
        let from = self.from.map(|from| format!("&from={from}")).unwrap_or_default();
        let count = self.count;
        let path = format!("/v1/journal/entries?{}&count={count}{from}", source::query(&who));
        let source = Source::new(session, self.whose.file.as_deref())?;
        let (mut life, mut lines, mut damaged) = (None, Vec::new(), false);
        source
            .lines(
                &path,
                |archive, put| archive.entries(&who, self.from, count, put),
                |line| {
                    damaged |= matches!(line, EntryLine::Damaged { .. });
                    match line {
                        EntryLine::Life(row) if out.is_json() => life = Some(row),
                        line if out.is_json() => lines.push(line),
                        line => show(out, &line, self.full)?,
                    }
                    Ok(())
                },
            )
            .await?;
        if out.is_json() {
            out.envelope("journal-show", json!({ "life": life, "lines": lines }))?;
        }
        if damaged { Err(Failure::Silent(Exit::Failure)) } else { Ok(()) }
    }
}

fn show(out: &Output, line: &EntryLine, full: bool) -> Result<(), Failure> {
    let paint = out.paint;
    match line {
        EntryLine::Life(row) => about(out, row),
        EntryLine::Entry(row) if out.quiet => out.line(&row.number.to_string()),
        EntryLine::Entry(row) => entry(out, row, full),
        EntryLine::Gap { from, until, at_ms } => {
            let text = format!("{from} to {} were not recorded: storage did not work", until - 1);
            out.line(&format!("{}  {}", paint.dim(&text::when(*at_ms)), paint.yellow(&text)))
        }
        EntryLine::End { how, at_ms } => {
            let text = format!("its life ended: {}", text::plain(how));
            out.line(&format!("{}  {text}", paint.dim(&text::when(*at_ms))))
        }
        EntryLine::Damaged { why } => {
            out.warn(why);
            Ok(())
        }
    }
}

fn about(out: &Output, row: &LifeRow) -> Result<(), Failure> {
    if out.quiet {
        return Ok(());
    }
    let version = format!("version {} of its code", row.version);
    let host = text::plain(&row.host_name);
    let line = format!("{} on {host}, {}, {version}", called(row), text::plain(&row.durability));
    out.line(&out.paint.bold(&line))
}

fn entry(out: &Output, row: &EntryRow, full: bool) -> Result<(), Failure> {
    let paint = out.paint;
    let number = paint.bold(&format!("{:>6}", row.number));
    let outcome = match (row.outcome.as_str(), &row.why) {
        ("done", _) => String::new(),
        (outcome, why) => {
            let why = why.as_deref().map(|why| format!(": {}", text::plain(why)));
            paint.red(&format!("  {}{}", text::plain(outcome), why.unwrap_or_default()))
        }
    };
    let letter = row.letter.as_ref().map(|letter| {
        let origin = text::short(&letter.origin);
        paint.dim(&format!("  letter {} of {origin}", letter.number))
    });
    let (when, input) = (paint.dim(&text::when(row.at_ms)), input_text(&row.input, full));
    out.line(&format!("{number}  {when}  {input}{}{outcome}", letter.unwrap_or_default()))?;
    for effect in effect_texts(&row.effects, full) {
        out.line(&format!("{:>35}{effect}", paint_arrow(out)))?;
    }
    Ok(())
}

fn paint_arrow(out: &Output) -> String {
    // Padded before it is painted: escapes have no width.
    out.paint.cyan(&format!("{:>33}", "-> "))
}

/// An input on one line.
pub(crate) fn input_text(input: &InputView, full: bool) -> String {
    let body = |body: &Value| body_text(body, full);
    match input {
        InputView::Started => "started".into(),
        InputView::Stopping => "stopping".into(),
        InputView::Recovered => "recovered".into(),
        InputView::Moving { to } => format!("moving to {}", text::short(to)),
        InputView::TakenUp { before, instance, .. } => {
            format!("taken up from {}, instance {instance}", text::short(before))
        }
        InputView::Request { name, from, body: of } => {
            format!("asked {} {} by {}", text::plain(name), body(of), address(from))
        }
        InputView::Notification { name, from, topic, body: of } => {
            let topic = topic.as_deref().map(|topic| format!(" on {}", text::plain(topic)));
            let topic = topic.unwrap_or_default();
            format!("told {} {} by {}{topic}", text::plain(name), body(of), address(from))
        }
        InputView::Missed { topic, count } => {
            format!("missed {} on {}", text::count(*count, "message"), text::plain(topic))
        }
        InputView::Reply { name, outcome, .. } => {
            let name = name.as_deref().map(|name| format!(" to {}", text::plain(name)));
            format!("answer{}: {}", name.unwrap_or_default(), answer(outcome, full))
        }
        InputView::Wake { wait } => format!("woken, wait {wait}"),
        InputView::Undelivered { to, name, why } => {
            let (name, why) = (text::plain(name), text::plain(why));
            format!("undelivered {name} to {}: {why}", address(to))
        }
        InputView::Unreadable { why } => format!("unreadable: {}", text::plain(why)),
    }
}

fn effect_texts(effects: &EffectsView, full: bool) -> Vec<String> {
    match effects {
        EffectsView::Whole(all) => all.iter().map(|effect| effect_text(effect, full)).collect(),
        EffectsView::Digest { bytes, digest } => {
            let bytes = text::count(*bytes, "byte");
            vec![format!("{bytes} of effects, digest {}", text::plain(digest))]
        }
        EffectsView::Unreadable(why) => vec![format!("unreadable: {}", text::plain(why))],
    }
}

fn effect_text(effect: &EffectView, full: bool) -> String {
    let body = |body: &Value| body_text(body, full);
    match effect {
        EffectView::Notify { to, name, body: of } => {
            format!("tell {} {} {}", address(to), text::plain(name), body(of))
        }
        EffectView::Post { to, name, body: of } => {
            format!("post {} {} {}", address(to), text::plain(name), body(of))
        }
        EffectView::Request { to, name, body: of, .. } => {
            format!("ask {} {} {}", address(to), text::plain(name), body(of))
        }
        EffectView::Reply { outcome, .. } => format!("reply {}", answer(outcome, full)),
        EffectView::Publish { topic, body: of } => {
            format!("publish {} {}", text::plain(topic), body(of))
        }
        EffectView::Listen { topic } => format!("listen to {}", text::plain(topic)),
        EffectView::Ignore { topic } => format!("ignore {}", text::plain(topic)),
        EffectView::Offer { service } => format!("offer {}", text::plain(service)),
        EffectView::Withdraw { service } => format!("withdraw {}", text::plain(service)),
        EffectView::Wake { in_us, wait } => {
            let after = std::time::Duration::from_micros(*in_us);
            format!("wake in {}, wait {wait}", humantime::format_duration(after))
        }
        EffectView::Forget { wait } => format!("forget wait {wait}"),
        EffectView::Stop => "stop".into(),
        EffectView::Log { level, text: said } => {
            format!("log {}: {}", format!("{level:?}").to_lowercase(), text::plain(said))
        }
    }
}

fn answer(outcome: &AnswerView, full: bool) -> String {
    match outcome {
        AnswerView::Reply(reply) => body_text(reply, full),
        AnswerView::Failure(why) => format!("failed: {}", text::plain(why)),
    }
}

fn body_text(body: &Value, full: bool) -> String {
    let text = text::plain(&body.to_string());
    if full || text.chars().count() <= BODY_CHARS_MAX {
        return text;
    }
    text.chars().take(BODY_CHARS_MAX).chain(['…']).collect()
}

/// The beginnings of both ids; agents with an id of their own on every host by name.
fn address(text: &str) -> String {
    let Some((agent, host)) = text.split_once('@') else { return text::plain(text) };
    let reserved =
        [(AgentId::OUTSIDE, "outside"), (AgentId::ENGINE, "engine"), (AgentId::HOST, "host")];
    let name = reserved.into_iter().find(|(id, _)| id.to_string() == agent);
    let agent = name.map_or_else(|| text::short(agent), |(_, name)| name.to_owned());
    format!("{agent}@{}", text::short(host))
}
