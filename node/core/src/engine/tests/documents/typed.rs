//! Documents of types that agents know: how they are configured, what they update, what an
//! application begins with.

mod initial;
mod updates;

use super::*;
use crate::{
    agent::{ConfiguredBy, UpdateDocument},
    documents::{Document, Migration, Refused, Update},
};

/// How clerks behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ClerkConfig {
    greeting: String,
    limit: u32,
}

impl Default for ClerkConfig {
    fn default() -> Self {
        Self { greeting: "Hello".into(), limit: 3 }
    }
}

impl Document for ClerkConfig {
    const TYPE: &'static str = "clerk/config";
}

/// The same in a later program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NewConfig {
    greetings: Vec<String>,
    limit: u32,
}

impl Default for NewConfig {
    fn default() -> Self {
        ClerkConfig::default().into()
    }
}

impl From<ClerkConfig> for NewConfig {
    fn from(old: ClerkConfig) -> Self {
        Self { greetings: vec![old.greeting], limit: old.limit }
    }
}

impl From<NewConfig> for ClerkConfig {
    fn from(new: NewConfig) -> Self {
        Self { greeting: new.greetings.first().cloned().unwrap_or_default(), limit: new.limit }
    }
}

impl Document for NewConfig {
    const TYPE: &'static str = "clerk/config";
    const VERSION: u32 = 2;
    const STEPS: &'static [Migration] = &[Migration::between::<ClerkConfig, NewConfig>()];
}

/// Notes how it is configured and what came of its updates.
#[derive(Default, Serialize, Deserialize)]
struct Clerk {
    log: Vec<String>,
}

/// A clerk of the later program.
#[derive(Default, Serialize, Deserialize)]
struct NewClerk {
    log: Vec<String>,
}

/// Adds to the limit; nothing above a hundred.
#[derive(Serialize, Deserialize)]
struct RaiseLimit(u32);

fn raised(limit: &mut u32, by: u32) -> Result<(), Refused> {
    let new = *limit + by;
    if new > 100 {
        return Err(Refused::because("a hundred is enough"));
    }
    *limit = new;
    Ok(())
}

impl Update<ClerkConfig> for RaiseLimit {
    const NAME: &'static str = "clerk/raise-limit";
    fn apply(&self, to: &mut ClerkConfig) -> Result<(), Refused> {
        raised(&mut to.limit, self.0)
    }
}

impl Update<NewConfig> for RaiseLimit {
    const NAME: &'static str = "clerk/raise-limit";
    fn apply(&self, to: &mut NewConfig) -> Result<(), Refused> {
        raised(&mut to.limit, self.0)
    }
}

/// What was sold.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sales {
    sold: u32,
}

impl Document for Sales {
    const TYPE: &'static str = "clerk/sales";
    const COUNTERS: &'static [&'static str] = &["sold"];
}

#[derive(Serialize, Deserialize)]
struct Sell(u32);

impl Update<Sales> for Sell {
    const NAME: &'static str = "clerk/sell";
    fn apply(&self, to: &mut Sales) -> Result<(), Refused> {
        if self.0 == 0 {
            return Err(Refused::NothingToDo);
        }
        to.sold += self.0;
        Ok(())
    }
    fn begin(&self) -> Option<Sales> {
        Some(Sales::default())
    }
}

/// No kind declares it.
#[derive(Serialize, Deserialize)]
struct Unheard;

impl Update<Sales> for Unheard {
    const NAME: &'static str = "clerk/unheard";
    fn apply(&self, _: &mut Sales) -> Result<(), Refused> {
        Ok(())
    }
}

/// Tells a clerk to update a document on so many hosts.
#[derive(Serialize, Deserialize)]
struct Do(String, String, u32, u32);
impl Notification for Do {
    const NAME: &'static str = "clerk/do";
}

#[derive(Serialize, Deserialize)]
enum Then {
    Updated(Await<UpdateDocument>),
}

impl Agent for Clerk {
    const KIND: &'static str = "clerk";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = Then;
    fn interests(interests: &mut Interests<Self>) {
        interests.collects::<Do>();
        interests.configured_by::<ClerkConfig>();
        interests.updates::<ClerkConfig, RaiseLimit>();
        interests.updates::<Sales, Sell>();
    }
    fn started(&mut self, _: &mut Cx<'_, Self>) {
        self.log.push("started".into());
    }
    fn recovered(&mut self, _: &mut Cx<'_, Self>) {
        self.log.push("recovered".into());
    }
}

impl ConfiguredBy<ClerkConfig> for Clerk {
    fn configured(&mut self, _: &mut Cx<'_, Self>, config: ClerkConfig) {
        self.log.push(format!("{} {}", config.greeting, config.limit));
    }
}

impl Collects<Do> for Clerk {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Do(what, doc, by, replicas): Do) {
        let doc = if doc == "own" { cx.descriptor() } else { doc };
        let patience = Duration::from_secs(20);
        match what.as_str() {
            "describe" => cx.describe(&Sales { sold: by }),
            "raise" => drop(cx.update_on::<ClerkConfig, _>(
                replicas,
                patience,
                &doc,
                &RaiseLimit(by),
                Then::Updated,
            )),
            "sell" => drop(cx.update_on(replicas, patience, &doc, &Sell(by), Then::Updated)),
            _ => drop(cx.update(&doc, &Unheard, Then::Updated)),
        }
    }
}

impl Continuation<Clerk> for Then {
    fn resume(self, clerk: &mut Clerk, cx: &mut Cx<'_, Clerk>) {
        let Self::Updated(slot) = self;
        clerk.log.push(match cx.take(slot) {
            Ok(Ok(updated)) => format!("{} on {}", updated.changed, updated.replicas),
            Ok(Err(why)) => why.to_string(),
            Err(why) => format!("{why:?}"),
        });
    }
}

/// Tells a clerk of the later program to raise the limit.
#[derive(Serialize, Deserialize)]
struct Raise(u32);
impl Notification for Raise {
    const NAME: &'static str = "clerk/do";
}

#[derive(Serialize, Deserialize)]
enum NewThen {
    Updated(Await<UpdateDocument>),
}

impl Continuation<NewClerk> for NewThen {
    fn resume(self, clerk: &mut NewClerk, cx: &mut Cx<'_, NewClerk>) {
        let Self::Updated(slot) = self;
        clerk.log.push(format!("{:?}", cx.take(slot)));
    }
}

impl Collects<Raise> for NewClerk {
    fn collect(&mut self, cx: &mut Cx<'_, Self>, Raise(by): Raise) {
        cx.update::<NewConfig, _>(CONF, &RaiseLimit(by), NewThen::Updated);
    }
}

impl Agent for NewClerk {
    const KIND: &'static str = "clerk";
    type Then = NewThen;
    fn interests(interests: &mut Interests<Self>) {
        interests.collects::<Raise>();
        interests.configured_by::<NewConfig>();
        interests.updates::<NewConfig, RaiseLimit>();
    }
}

impl ConfiguredBy<NewConfig> for NewClerk {
    fn configured(&mut self, _: &mut Cx<'_, Self>, config: NewConfig) {
        self.log.push(format!("{} {}", config.greetings.join("+"), config.limit));
    }
}

fn with_clerks() -> Kinds {
    kinds().kind::<Clerk>()
}

/// Hosts with these kinds. If they are several, each knows of one more that is never there.
fn mesh_of(all: Vec<Kinds>) -> Mesh {
    let hosts = all.len();
    let phantoms = 0..u8::from(hosts > 1);
    let mut mesh = Mesh::apart(vec![phantoms; hosts], true);
    mesh.kinds = all.into_iter().enumerate().collect();
    mesh.shelves = (0..hosts).map(|_| Some(Shelf::default())).collect();
    mesh.disks = (0..hosts).map(|_| Some(Disk::default())).collect();
    mesh.engines = (0..hosts).map(|host| mesh.engine(host, 1)).collect();
    mesh
}

fn write(
    mesh: &mut Mesh,
    host: usize,
    doc: &str,
    at: &str,
    value: serde_json::Value,
) -> Result<(), DocumentError> {
    mesh.tickets += 1;
    let (ticket, patience) = (Ticket(mesh.tickets), Duration::from_secs(5));
    let writing = Writing { message: "by hand".into(), ticket, replicas: 1, patience };
    let now = mesh.now();
    let written = mesh.engines[host]
        .write_document(&name(doc), writing, now, |doc| set(doc, &path(at), &value).map(drop));
    mesh.settle();
    written.map(drop)
}

fn delete(mesh: &mut Mesh, host: usize, doc: &str) {
    let now = mesh.now();
    assert_eq!(mesh.engines[host].delete_document(&name(doc), now), Ok(true));
    mesh.settle();
}

/// What the changes of a document say, the last first.
fn changes(mesh: &mut Mesh, host: usize, doc: &str) -> Vec<String> {
    let now = mesh.now();
    let read = |doc: &automerge::Automerge| crate::documents::history(doc, None, 1000);
    let page = mesh.engines[host].read_document(&name(doc), now, read);
    let changes = page.expect("it is there").expect("it is read").changes;
    changes.into_iter().map(|change| change.message.unwrap_or_default()).collect()
}

const CONF: &str = "conf/clerk";

#[test]
fn an_agent_is_configured_when_it_begins_and_whenever_that_changes() {
    let mut mesh = mesh_of(vec![with_clerks(), with_clerks()]).joined();
    let clerk = mesh.settle_in(1, "clerk", "ada");
    let mut log = vec!["started", "Hello 3"];
    assert_eq!(mesh.sitter_log(clerk), log);
    // One field is set: the others stand as they hold without a document.
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 4.into()), Ok(()));
    let said = r#"{"fields":{"greeting":"Hello","limit":4},"type":"clerk/config","version":1}"#;
    for host in 0..2 {
        assert_eq!(mesh.doc(host, &name(CONF)), Ok(said.into()), "host {host}");
    }
    log.push("Hello 4");
    assert_eq!(mesh.sitter_log(clerk), log);
    // What is no change is not told, and neither are other documents.
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 4.into()), Ok(()));
    assert_eq!(write(&mut mesh, 0, "conf/clerks", "fields.limit", 9.into()), Ok(()));
    assert_eq!(mesh.sitter_log(clerk), log);
    let other = mesh.settle_in(0, "clerk", "bob");
    assert_eq!(mesh.sitter_log(other), ["started", "Hello 4"]);
    mesh.kill(1, 2);
    log.extend(["recovered", "Hello 4"]);
    assert_eq!(mesh.sitter_log(clerk), log);
    delete(&mut mesh, 1, CONF);
    log.push("Hello 3");
    assert_eq!(mesh.sitter_log(clerk), log);
    let told = mesh.events.iter().filter(|(host, event)| {
        *host == 0 && matches!(event, Event::Configured { kind, .. } if kind == "clerk")
    });
    assert_eq!(told.count(), 2);
}

#[test]
fn agents_of_a_host_without_documents_are_configured_as_by_none() {
    let mut mesh = Mesh::apart(vec![0..0; 1], false);
    mesh.kinds.insert(0, with_clerks());
    mesh.engines[0] = mesh.engine(0, 1);
    let clerk = mesh.settle_in(0, "clerk", "ada");
    assert_eq!(mesh.sitter_log(clerk), ["started", "Hello 3"]);
}

#[test]
fn what_does_not_fit_is_told_and_the_last_good_configuration_stays_in_force() {
    // The first host does not know clerks: it writes what it likes.
    let mut mesh = mesh_of(vec![kinds(), with_clerks()]).joined();
    let clerk = mesh.settle_in(1, "clerk", "ada");
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 4.into()), Ok(()));
    let refused = write(&mut mesh, 1, CONF, "fields.limit", "many".into());
    let why = "fields.limit: a whole number from 0 to 4294967295 is expected; \
               there stands a text: \"many\"";
    assert_eq!(refused, Err(DocumentError::Refused(why.into())));
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", "many".into()), Ok(()));
    let log = ["started", "Hello 3", "Hello 4"];
    assert_eq!(mesh.sitter_log(clerk), log);
    assert_eq!(mesh.counted(1, Counter::ConfigurationsRefused), 1);
    assert_eq!(mesh.engines[1].not_in_force(&name(CONF)), Some(why));
    let refused = |mesh: &Mesh, host: usize| -> Vec<(String, String, String)> {
        let all = mesh.engines[host].configs_refused();
        all.map(|(doc, kind, why)| (doc.to_string(), kind.into(), why.into())).collect()
    };
    assert_eq!(refused(&mesh, 1), [(CONF.into(), "clerk".into(), why.into())]);
    assert_eq!(refused(&mesh, 0), []);
    let event =
        Event::NotConfigured { kind: "clerk".into(), document: CONF.into(), why: why.into() };
    assert_eq!(mesh.events.iter().filter(|it| **it == (1, event.clone())).count(), 1);
    // Those that begin now have the same, also in the next life of the host.
    let other = mesh.settle_in(1, "clerk", "bob");
    assert_eq!(mesh.sitter_log(other), ["started", "Hello 4"]);
    mesh.kill(1, 2);
    assert_eq!(mesh.sitter_log(clerk), [&log[..], &["recovered", "Hello 4"]].concat());
    // While it is wrong it may be put right in several steps.
    assert_eq!(write(&mut mesh, 1, CONF, "fields.greeting", "Ahoy".into()), Ok(()));
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 5.into()), Ok(()));
    assert_eq!(mesh.sitter_log(other).last().map(String::as_str), Some("Ahoy 5"));
    assert_eq!(mesh.engines[1].not_in_force(&name(CONF)), None);
    assert_eq!(refused(&mesh, 1), []);
}

#[test]
fn nobody_but_the_engine_configures_an_agent() {
    let mut mesh = mesh_of(vec![kinds(), with_clerks()]).joined();
    let clerk = mesh.settle_in(1, "clerk", "ada");
    let body = crate::agent::configuration_body(None);
    for from in [mesh.probe(0), mesh.probe(1)] {
        let here = mesh.of(from);
        let name = crate::agent::CONFIGURED;
        mesh.engines[here].notify(
            from,
            clerk,
            name,
            starling_protocols::exchange::Codec::Native,
            body.clone(),
        );
        let now = mesh.now();
        mesh.engines[here].handle(Input::Tick, now);
        mesh.settle();
    }
    assert_eq!(mesh.sitter_log(clerk), ["started", "Hello 3"]);
}

#[test]
fn older_and_newer_programs_share_a_configuration_until_it_is_raised() {
    let newer = kinds().kind::<NewClerk>();
    let mut mesh = mesh_of(vec![with_clerks(), newer]).joined();
    let old = mesh.settle_in(0, "clerk", "ada");
    let new = mesh.settle_in(1, "clerk", "bob");
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", 4.into()), Ok(()));
    assert_eq!(mesh.sitter_log(new), ["Hello 3", "Hello 4"]);
    // The newer program leaves it in the older version.
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 5.into()), Ok(()));
    assert_eq!(mesh.sitter_log(old), ["started", "Hello 3", "Hello 4", "Hello 5"]);
    assert_eq!(
        mesh.engines[0].list_types(),
        [("clerk/config".into(), 1), ("clerk/sales".into(), 1)]
    );
    assert_eq!(mesh.engines[1].list_types(), [("clerk/config".into(), 2)]);
    let (now, patience) = (mesh.now(), Duration::from_secs(5));
    let writing = Writing { message: "up".into(), ticket: Ticket(901), replicas: 1, patience };
    let raised = mesh.engines[1].raise_document(&name(CONF), writing.clone(), now);
    assert!(raised.is_ok_and(|head| head.is_some()));
    mesh.settle();
    let said = r#"{"fields":{"greetings":["Hello"],"limit":5},"type":"clerk/config","version":2}"#;
    assert_eq!(mesh.doc(0, &name(CONF)), Ok(said.into()));
    let again = mesh.engines[1].raise_document(&name(CONF), writing, now);
    assert_eq!(again, Ok(None));
    // Who was not updated goes on with what it had, and changes nothing.
    let why = "the document is written in version 2 of its type, this program reads up to \
               version 1: update the program";
    assert_eq!(mesh.engines[0].not_in_force(&name(CONF)), Some(why));
    assert_eq!(mesh.sitter_log(old).last().map(String::as_str), Some("Hello 5"));
    let other = mesh.settle_in(0, "clerk", "carl");
    assert_eq!(mesh.sitter_log(other), ["started", "Hello 5"]);
    // The document says something else, if not to this program.
    assert_eq!(mesh.sitter_log(new), ["Hello 3", "Hello 4", "Hello 5", "Hello 5"]);
    mesh.kinds.insert(0, kinds().kind::<NewClerk>());
    mesh.kill(0, 2);
    assert_eq!(mesh.engines[0].not_in_force(&name(CONF)), None);
}

#[test]
fn a_document_is_checked_by_the_type_that_it_names() {
    let mut mesh = mesh_of(vec![with_clerks()]);
    let clerk = mesh.settle_in(0, "clerk", "ada");
    mesh.make(clerk, "clerk/do", r#"["sell","sales",1,1]"#);
    let refused = write(&mut mesh, 0, "sales", "fields.sold", "many".into());
    let why = |why: &DocumentError| why.to_string().contains("fields.sold: a whole number");
    assert!(refused.as_ref().is_err_and(why), "{refused:?}");
}

#[test]
fn only_agents_of_its_kind_are_told_of_a_configuration_and_its_defect_is_told_once() {
    let mut mesh = mesh_of(vec![kinds(), with_clerks()]).joined();
    let (clerk, sitter) = (mesh.settle_in(1, "clerk", "ada"), mesh.settle_in(1, "sitter", "bob"));
    assert_eq!(write(&mut mesh, 0, CONF, "fields.limit", "many".into()), Ok(()));
    assert_eq!(write(&mut mesh, 0, CONF, "remark", 1.into()), Ok(()));
    assert_eq!(mesh.counted(1, Counter::ConfigurationsRefused), 1);
    assert_eq!(write(&mut mesh, 0, CONF, "fields", serde_json::Value::Null), Ok(()));
    delete(&mut mesh, 0, CONF);
    assert_eq!(write(&mut mesh, 1, CONF, "fields.limit", 4.into()), Ok(()));
    assert_eq!(mesh.sitter_log(clerk), ["started", "Hello 3", "Hello 4"]);
    assert_eq!(mesh.sitter_log(sitter), [""; 0]);
}
