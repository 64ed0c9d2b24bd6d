mod located;

use std::time::Duration;

use serde_json::Value;
use starling_core::{
    documents::{
        AutoCommit, Automerge, ChangeHash, Conflicts, HeadError, Path, Step, Unreadable, at,
        conflicts, diff, find_head, get, history, merge_values, remove, resolve, set,
    },
    engine::{DocumentError, DocumentView, FindDocuments, Writing},
};
use starling_protocols::{
    ident::{AgentId, HostId},
    limits::{BUDGET_DEFAULT, BUDGET_MAX, DOCUMENT_EDITS_MAX, DOCUMENTS_SCANNED_MAX},
    replica::{Author, DocName, DocNameError, Head},
    words::{count, cut},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    Node,
    abroad::misfits,
    client::Client,
    serve::{Answer, json, member},
};
use crate::{
    api::{
        self, Code, Listing, Problem,
        documents::{
            DocConflicts, DocConflictsPage, DocDiff, DocEdit, DocOwner, DocPage, DocResolve,
            DocRow, DocSeen, DocSet, DocWritten, Located,
        },
    },
    control::DocsCommand,
};

/// Documents that are unpacked for one page of those with conflicts.
const CONFLICTS_SCANNED_MAX: usize = 100;

/// How long a deletion may take to be on the disk.
const STORE_WAIT: Duration = Duration::from_secs(10);

/// The fewest letters of an id that stand for it.
const PREFIX_MIN: usize = 4;

/// Keys that are named where nothing stands.
const NEAR_MAX: usize = 8;

/// Longer keys are not named, and only so much of what was looked for is compared with them.
const NEAR_CHARS: usize = 64;

/// Characters that are shown of what was typed.
const TYPED_CHARS: usize = 80;

/// What to do for a descriptor to say something else.
const TO_CHANGE_AN_AGENT: &str =
    "ask the agent: p2p request; or end it, and its descriptor with it: p2p stop";

/// Agents that are listed when many have one name.
const LOCATED_MAX: usize = 1000;

/// Serves what is asked of documents. This host has all of them; a task beside the main loop asks
/// it in steps, so that it is never kept for long.
pub(super) async fn documents(client: Client, command: DocsCommand) -> Answer {
    match command {
        DocsCommand::List { prefix, fields, after, limit } => {
            let find = FindDocuments { prefix, fields, after, limit };
            json(&client.with(move |node| node.list_documents(&find)).await??)
        }
        DocsCommand::Get { name, path, at } => {
            let is_whole = path.is_empty() && at.is_none();
            let get = move |node: &mut Node| node.get_document(&name, &path, at);
            let mut seen = client.with(get).await??;
            if is_whole {
                misfits(&client, &mut seen).await?;
            }
            json(&seen)
        }
        DocsCommand::Set(set) => json(&write(&client, set).await?),
        DocsCommand::Delete(delete) => json(&self::delete(&client, delete.name).await?),
        DocsCommand::History { name, older_than, count } => {
            let look = move |node: &mut Node| {
                let page = node.look(&name, |doc| history(doc, older_than.as_deref(), count))?;
                let mut page = page.map_err(|why| no_head(&name, &why))?;
                for change in &mut page.changes {
                    change.host = node.made_by(&change.actor);
                }
                Ok::<_, Problem>(page)
            };
            json(&client.with(look).await??)
        }
        DocsCommand::Diff { name, from, to } => {
            json(&client.with(move |node| node.diff_document(&name, from, to)).await??)
        }
        DocsCommand::Conflicts { name: Some(name), .. } => {
            json(&client.with(move |node| node.conflicts_of(&name)).await??)
        }
        DocsCommand::Conflicts { name: None, after } => {
            json(&client.with(move |node| node.all_conflicts(after)).await??)
        }
        DocsCommand::Resolve(resolve) => json(&self::resolved(&client, resolve).await?),
        DocsCommand::Raise(asked) => json(&super::raise::raise(&client, asked).await?),
        DocsCommand::Locate { what } => json(&locate(&client, &what).await?),
    }
}

impl Node {
    fn list_documents(&mut self, find: &FindDocuments) -> Result<DocPage, Problem> {
        let page = self.engine.find_documents(find, self.clock.now()).map_err(|why| match why {
            DocumentError::Refused(why) => Problem::new(Code::Usage, why),
            why => refused(&why),
        })?;
        let items = page.items.into_iter().map(|view| self.doc_row(view)).collect();
        Ok(DocPage { items, next: page.next })
    }

    pub(super) fn doc_row(&self, view: DocumentView) -> DocRow {
        let DocumentView { name, value, heads, owner } = view;
        let value = serde_json::from_str(&value).unwrap_or_default();
        let owner = owner.map(|(host, instance)| self.doc_owner(host, instance));
        DocRow { name, value, heads, owner }
    }

    fn doc_owner(&self, host: HostId, instance: u64) -> DocOwner {
        let host_name = self.engine.name_of(host);
        DocOwner { host: host.to_string(), host_name, instance }
    }

    fn owner_of(&self, name: &DocName) -> Option<DocOwner> {
        let owner = self.engine.replicas()?.owner(name)?;
        Some(self.doc_owner(owner.host, owner.instance))
    }

    /// Lets something read a document.
    fn look<T>(&mut self, name: &str, read: impl FnOnce(&Automerge) -> T) -> Result<T, Problem> {
        let name = doc_name(name)?;
        let seen = self.engine.read_document(&name, self.clock.now(), read);
        seen.map_err(|why| refused(&why))
    }

    /// The descriptor of an agent, if it has one.
    pub(super) fn descriptor(&mut self, agent: AgentId) -> Option<DocRow> {
        let name = DocName::of_agent(agent);
        let seen = self.get_document(name.as_str(), "", None).ok()?;
        let DocSeen { name, value, heads, owner, .. } = seen;
        Some(DocRow { name, value, heads, owner })
    }

    fn get_document(
        &mut self,
        name: &str,
        path: &str,
        head: Option<String>,
    ) -> Result<DocSeen, Problem> {
        let place = doc_path(path)?;
        let (value, heads) = self.look(name, |doc| {
            let Some(head) = &head else {
                let value = get(doc, &place).map_err(unreadable)?;
                let value =
                    value.ok_or_else(|| nothing_at(name, &place, get(doc, &Path::default())));
                return value.map(|value| (value, doc.get_heads()));
            };
            let head = find_head(doc, head).map_err(|why| no_head(name, &why))?;
            let whole = at(doc, &[head]).map_err(unreadable)?;
            let value = place.of(&whole).cloned();
            Ok((value.ok_or_else(|| nothing_at(name, &place, Ok(Some(whole))))?, vec![head]))
        })??;
        let known = doc_name(name)?;
        let owner = self.owner_of(&known);
        let not_in_force = self.engine.not_in_force(&known).map(str::to_owned);
        let is_checked = head.is_none() && not_in_force.is_none();
        let misfit = if is_checked { self.engine.misfit(&known) } else { None };
        let mut heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
        heads.sort_unstable();
        let path = place.to_string();
        let name = name.into();
        Ok(DocSeen { name, path, value, heads, owner, not_in_force, misfit, misfits: Vec::new() })
    }

    fn diff_document(
        &mut self,
        name: &str,
        from: Option<String>,
        to: Option<String>,
    ) -> Result<DocDiff, Problem> {
        self.look(name, |doc| {
            let head = |text: &str| find_head(doc, text).map_err(|why| no_head(name, &why));
            // Without any versions, what the last change did.
            let last = history(doc, None, 1).ok().and_then(|mut page| page.changes.pop());
            let last = last.filter(|_| from.is_none() && to.is_none());
            let (from, to) = match (last, from, to) {
                (Some(last), ..) => {
                    let parents = last.parents.iter().map(|parent| head(parent));
                    (parents.collect::<Result<_, _>>()?, vec![head(&last.head)?])
                }
                (None, from, to) => {
                    let from = from.map(|from| head(&from)).transpose()?;
                    let to = to.map(|to| head(&to)).transpose()?;
                    (Vec::from_iter(from), to.map_or_else(|| doc.get_heads(), |to| vec![to]))
                }
            };
            let differences = diff(doc, &from, &to).map_err(unreadable)?;
            let hex = |heads: Vec<ChangeHash>| -> Vec<String> {
                heads.iter().map(ToString::to_string).collect()
            };
            Ok(DocDiff { from: hex(from), to: hex(to), differences })
        })?
    }

    /// The name of the host that has made a change.
    fn made_by(&self, actor: &str) -> Option<String> {
        let actor = data_encoding::HEXLOWER.decode(actor.as_bytes()).ok()?;
        let mut hosts = self.engine.roster().iter();
        hosts.find(|record| Author::is_of(&actor, record.host)).map(|record| record.name.clone())
    }

    /// Concurrent values, with the names of those who wrote them.
    fn conflicts_in(&mut self, name: &str) -> Result<Conflicts, Problem> {
        let mut found = self.look(name, conflicts)?.map_err(unreadable)?;
        for value in found.places.iter_mut().flat_map(|place| &mut place.values) {
            value.host = value.actor.as_deref().and_then(|actor| self.made_by(actor));
        }
        Ok(found)
    }

    fn conflicts_of(&mut self, name: &str) -> Result<DocConflictsPage, Problem> {
        let found = self.conflicts_in(name)?;
        let items = vec![DocConflicts { name: name.into(), conflicts: found }];
        let some = |found: &DocConflicts| !found.conflicts.places.is_empty();
        Ok(DocConflictsPage { items: items.into_iter().filter(some).collect(), next: None })
    }

    fn all_conflicts(&mut self, after: Option<String>) -> Result<DocConflictsPage, Problem> {
        let after = after.as_deref().map(doc_name).transpose()?;
        let Some(all) = self.engine.replicas() else {
            return Err(refused(&DocumentError::NotKept));
        };
        // An agent has one writer.
        let names = all.names(after.as_ref()).filter(|name| name.agent().is_none());
        let names: Vec<DocName> = names.take(CONFLICTS_SCANNED_MAX).cloned().collect();
        let last = names.get(CONFLICTS_SCANNED_MAX - 1).map(ToString::to_string);
        let mut page = DocConflictsPage { items: Vec::new(), next: last };
        for name in names {
            // One that is damaged is told of by `get`.
            let Ok(found) = self.conflicts_in(name.as_str()) else { continue };
            if !found.places.is_empty() {
                page.items.push(DocConflicts { name: name.to_string(), conflicts: found });
            }
        }
        Ok(page)
    }

    /// Changes a document; gives the change, and who says how many hosts have it.
    fn set_document(
        &mut self,
        set: &DocSet,
        writing: Writing,
        answer: oneshot::Sender<usize>,
    ) -> Result<Option<Head>, Problem> {
        let name = doc_name(&set.name)?;
        let edits = set.edits.iter().map(edit).collect::<Result<Vec<_>, Problem>>()?;
        let is_there = self.look(&set.name, |_| ()).is_ok();
        if !is_there && edits.iter().all(|(_, edit)| edit.remove || edit.shown.is_some()) {
            return Err(refused(&DocumentError::Unknown));
        }
        let (ticket, now) = (writing.ticket, self.clock.now());
        let mut missing = None;
        let written = self.engine.write_document(&name, writing, now, |doc| {
            edits.iter().try_for_each(|(path, edit)| {
                let is_done = apply(doc, path, edit)?;
                if is_done || !edit.remove || !edit.must_stand {
                    return Ok(());
                }
                missing = Some(nothing_at(name.as_str(), path, get(doc, &Path::default())));
                Err("nothing stands there".to_owned())
            })
        });
        if let Some(Problem { code, message, next }) = missing {
            let message = format!("{message}; nothing was changed");
            return Err(Problem { code, message, next });
        }
        let head = written.map_err(|why| self.not_written(&name, &why))?;
        if self.engine.document_heads(&set.name).is_empty() {
            let message = "a document in which nothing stands is not made";
            return Err(Problem::new(Code::Usage, message));
        }
        self.waiting.wait(ticket, answer);
        Ok(head)
    }

    fn not_written(&self, name: &DocName, why: &DocumentError) -> Problem {
        match self.owner_of(name) {
            // On its own host it would be refused, too.
            Some(owner) if *why == DocumentError::NotOwner => refused(&DocumentError::Described)
                .next(format!("it lives on {}: {TO_CHANGE_AN_AGENT}", owner.host_name)),
            _ => refused(why),
        }
    }

    /// The agents whose ids begin so.
    fn agents_beginning(&self, text: &str) -> Vec<AgentId> {
        let whole = text.parse::<AgentId>().ok().map(|agent| vec![agent]);
        let (Some(all), None) = (self.engine.replicas(), &whole) else {
            return whole.unwrap_or_default();
        };
        if text.len() < PREFIX_MIN {
            return Vec::new();
        }
        let agents = all.names(None).filter_map(DocName::agent);
        agents.filter(|agent| agent.to_string().starts_with(text)).take(LOCATED_MAX).collect()
    }

    fn located(&self, row: DocRow) -> Option<Located> {
        let host = row.owner.as_ref()?.host.parse().ok()?;
        let view = self.engine.host_view(host);
        let state = view.map_or_else(|| "unknown".into(), |view| member(view).state);
        located::by_descriptor(row, state)
    }
}

/// An edit that can be understood, with its place.
fn edit(edit: &DocEdit) -> Result<(Path, DocEdit), Problem> {
    let path = doc_path(&edit.path)?;
    if edit.remove == edit.value.is_some() {
        let path = cut(&edit.path, TYPED_CHARS);
        let message = format!("the edit of {path:?} needs a value, or remove");
        return Err(Problem::new(Code::Usage, message));
    }
    Ok((path, edit.clone()))
}

/// Gives whether there was something to do.
fn apply(doc: &mut AutoCommit, path: &Path, edit: &DocEdit) -> Result<bool, String> {
    let said = |why: &dyn std::fmt::Display| why.to_string();
    let value = match &edit.shown {
        Some(shown) => {
            let now = get(doc, path).map_err(|why| said(&why))?;
            let now = now.ok_or_else(|| format!("nothing stands at {path} any more"))?;
            merge_values(Some(shown), edit.value.as_ref(), Some(&now))
        }
        None => edit.value.clone(),
    };
    let done = match value {
        Some(value) => set(doc, path, &value),
        None => remove(doc, path),
    };
    done.map_err(|why| said(&why))
}

/// Nothing stands at a place of a document; and what stands nearest to it.
fn nothing_at(name: &str, path: &Path, whole: Result<Option<Value>, Unreadable>) -> Problem {
    let whole = whole.ok().flatten().unwrap_or_default();
    let steps = path.steps();
    let ways = (0..steps.len()).rev().map(|n| (n, Path::new(steps[..n].iter().cloned())));
    let mut near = ways.filter_map(|(n, way)| Some((n, way.of(&whole)?, way.to_string())));
    let (n, value, way) = near.next().unwrap_or((0, &whole, String::new()));
    let place = if n == 0 { name } else { &way };
    let (shown, place) = (path.to_string(), cut(place, TYPED_CHARS));
    let shown = cut(&shown, TYPED_CHARS);
    let has = what_is_near(value, steps.get(n));
    Problem::new(Code::NotFound, format!("nothing stands at {shown:?} in {name}: {place} {has}"))
        .next(format!("see all of it: p2p docs get {name}"))
}

/// What a value has instead of something that it has not: the keys that are most like it first.
fn what_is_near(value: &Value, wanted: Option<&Step>) -> String {
    let start = |key: &str| key.chars().take(NEAR_CHARS).collect::<String>();
    match (value, wanted) {
        (Value::Object(map), Some(Step::Key(key))) if !map.is_empty() => {
            let key = start(key);
            let short = map.keys().filter(|other| other.len() <= NEAR_CHARS);
            let mut keys: Vec<&String> = short.collect();
            keys.sort_by_cached_key(|other| strsim::damerau_levenshtein(other, &key));
            keys.truncate(NEAR_MAX);
            let more = if keys.len() < map.len() { ", …" } else { "" };
            let keys: Vec<_> =
                keys.into_iter().map(|key| Path::default().key(key).to_string()).collect();
            format!("has {}{more}", keys.join(", "))
        }
        (Value::Object(map), _) => format!("is a map with {}", count(map.len(), "key")),
        (Value::Array(items), _) => format!("is a list with {}", count(items.len(), "item")),
        _ => "has no parts".to_owned(),
    }
}

async fn write(client: &Client, set: DocSet) -> Result<DocWritten, Problem> {
    if set.edits.is_empty() {
        return Err(Problem::new(Code::Usage, "there are no edits"));
    }
    if set.edits.len() > DOCUMENT_EDITS_MAX {
        let message = format!("one change makes at most {DOCUMENT_EDITS_MAX} edits");
        return Err(Problem::new(Code::Usage, message).next("set the map that they stand in"));
    }
    let wanted = set.replicas.unwrap_or(1).max(1) as usize;
    let hosts =
        client.with(|node| node.engine.roster().iter().filter(|host| !host.left).count()).await?;
    if wanted > hosts {
        let message = format!("{wanted} hosts cannot have it: the mesh has {hosts}");
        return Err(Problem::new(Code::Usage, message).next("see them: p2p members"));
    }
    let patience = set.timeout_ms.map_or(BUDGET_DEFAULT, Duration::from_millis).min(BUDGET_MAX);
    let (answer, replicas) = oneshot::channel();
    let head = client
        .with(move |node| {
            let (message, ticket) = (set.message.clone(), node.ticket());
            let writing = Writing { message, ticket, replicas: wanted, patience };
            node.set_document(&set, writing, answer)
        })
        .await??;
    // The engine answers in time; the daemon may go down.
    let replicas = replicas.await.unwrap_or(0);
    let head = head.map(|head| data_encoding::HEXLOWER.encode(&head.0));
    Ok(DocWritten { head, replicas, wanted })
}

async fn delete(client: &Client, name: String) -> Result<api::Done, Problem> {
    let (answer, stored) = oneshot::channel();
    let done = api::Done { done: format!("{name} is deleted") };
    client
        .with(move |node| {
            let name = doc_name(&name)?;
            let deleted = node.engine.delete_document(&name, node.clock.now());
            if !deleted.map_err(|why| node.not_written(&name, &why))? {
                return Err(refused(&DocumentError::Unknown));
            }
            // What is to be stored is given out before anybody waits for it.
            node.drain();
            node.when_stored(answer);
            Ok(())
        })
        .await??;
    match timeout(STORE_WAIT, stored).await {
        Ok(Ok(())) => Ok(done),
        _ => Err(Problem::new(Code::TimedOut, "the deletion is not on the disk yet")
            .next("see how the disk is: p2p doctor")),
    }
}

async fn resolved(client: &Client, asked: DocResolve) -> Result<DocWritten, Problem> {
    let (answer, replicas) = oneshot::channel();
    let head = client
        .with(move |node| {
            let (name, path) = (doc_name(&asked.name)?, doc_path(&asked.path)?);
            let choice = node.look(&asked.name, |doc| {
                let stand = conflicts(doc).map_err(unreadable)?;
                let choice = chosen(&stand, &path, &asked.choice);
                let choice = choice.unwrap_or_else(|| asked.choice.clone());
                find_head(doc, &choice).map_err(|why| no_head(&asked.name, &why))
            })??;
            let (ticket, now) = (node.ticket(), node.clock.now());
            let message = format!("conflict at {path} resolved");
            let message = message[..message.floor_char_boundary(200)].to_owned();
            let writing = Writing { message, ticket, replicas: 1, patience: BUDGET_DEFAULT };
            let write = |doc: &mut AutoCommit| resolve(doc, &path, &choice);
            let head = node.engine.write_document(&name, writing, now, write);
            let head = head.map_err(|why| match why {
                // There is no such conflict, or not any more.
                DocumentError::Refused(why) => Problem::new(Code::Conflict, why)
                    .next(format!("see what there is: p2p docs conflicts {name}")),
                why => node.not_written(&name, &why),
            })?;
            node.waiting.wait(ticket, answer);
            Ok::<_, Problem>(head)
        })
        .await??;
    let replicas = replicas.await.unwrap_or(0);
    let head = head.map(|head| data_encoding::HEXLOWER.encode(&head.0));
    Ok(DocWritten { head, replicas, wanted: 1 })
}

/// The change of the one value at a place whose change begins so.
fn chosen(stand: &Conflicts, path: &Path, digits: &str) -> Option<String> {
    let place = stand.places.iter().find(|place| place.path == *path)?;
    let changes = place.values.iter().filter_map(|value| value.change.as_ref());
    let mut fitting = changes.filter(|change| change.starts_with(&digits.to_ascii_lowercase()));
    let first = fitting.next()?;
    fitting.next().is_none().then(|| first.clone())
}

/// All agents that the text may mean: by id, by its beginning, or by name.
pub(super) async fn locate(client: &Client, what: &str) -> Result<Listing<Located>, Problem> {
    let text = what.to_owned();
    let by_id = move |node: &mut Node| -> Vec<Located> {
        let agents = node.agents_beginning(&text).into_iter();
        let rows: Vec<DocRow> = agents.filter_map(|agent| node.descriptor(agent)).collect();
        rows.into_iter().filter_map(|row| node.located(row)).collect()
    };
    let mut items = client.with(by_id).await?;
    if what.parse::<AgentId>().is_err() {
        items.extend(named(client, what).await?);
    }
    items.sort_by(|a, b| (&a.host_name, &a.agent).cmp(&(&b.host_name, &b.agent)));
    items.dedup();
    items.truncate(LOCATED_MAX);
    Ok(Listing { items, missing: Vec::new() })
}

async fn named(client: &Client, what: &str) -> Result<Vec<Located>, Problem> {
    let limit = u32::try_from(DOCUMENTS_SCANNED_MAX).unwrap_or(u32::MAX);
    let fields = vec![("name".to_owned(), Value::from(what).to_string())];
    let mut find = FindDocuments { prefix: "agent/".into(), fields, after: None, limit };
    let mut items = Vec::new();
    loop {
        let (page, asked) = (client.clone(), find.clone());
        let page = page
            .with(move |node| {
                let page = node.list_documents(&asked)?;
                let rows = page.items.into_iter().filter_map(|row| node.located(row));
                Ok::<_, Problem>((rows.collect::<Vec<_>>(), page.next))
            })
            .await??;
        items.extend(page.0);
        find.after = page.1;
        if find.after.is_none() || items.len() >= LOCATED_MAX {
            return Ok(items);
        }
    }
}

pub(super) fn doc_name(text: &str) -> Result<DocName, Problem> {
    text.parse().map_err(|why: DocNameError| {
        let problem = Problem::new(Code::Usage, why.to_string());
        match why {
            DocNameError::NoAgent => problem.next(
                "see them: p2p docs list agent/; by an agent's name, or the first letters of its id: \
                 p2p locate",
            ),
            _ => problem,
        }
    })
}

fn doc_path(text: &str) -> Result<Path, Problem> {
    text.parse().map_err(|why: starling_core::documents::PathError| {
        let typed = cut(text, TYPED_CHARS);
        Problem::new(Code::Usage, format!("{typed:?} is no path: {why}"))
            .next("a path is written as fields.rooms[2].name")
    })
}

pub(super) fn unreadable(why: Unreadable) -> Problem {
    Problem::new(Code::Damaged, format!("the document cannot be read: {why}"))
}

fn no_head(name: &str, why: &HeadError) -> Problem {
    let code = match why {
        HeadError::Unknown(_) => Code::NotFound,
        HeadError::NotHex(_) | HeadError::Ambiguous { .. } => Code::Usage,
    };
    Problem::new(code, why.to_string()).next(format!("see its versions: p2p docs history {name}"))
}

pub(super) fn refused(why: &DocumentError) -> Problem {
    let (code, next) = match why {
        DocumentError::NotKept => (Code::Internal, None),
        DocumentError::Unknown => (Code::NotFound, Some("see what there is: p2p docs list")),
        DocumentError::Damaged(_) => (Code::Damaged, None),
        DocumentError::NotOwner => (Code::Denied, None),
        DocumentError::Described => (Code::Denied, Some(TO_CHANGE_AN_AGENT)),
        DocumentError::Refused(_) => (Code::BadBody, None),
        DocumentError::Doubtful => (Code::Busy, None),
    };
    let problem = Problem::new(code, why.to_string());
    match next {
        Some(next) => problem.next(next),
        None => problem,
    }
}
