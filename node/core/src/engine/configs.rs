//! Types of documents that this host knows, and the configuration of its kinds.

use std::{collections::BTreeMap, sync::Arc};

use automerge::{AutoCommit, ReadDoc};
use serde_json::Value;
use starling_protocols::{
    exchange::Codec,
    ident::{Address, AgentId},
    limits::BODY_BYTES_MAX,
    replica::DocName,
};

use super::{
    Counter, Engine, Event,
    agents::AgentNo,
    documents::Initial,
    mail::{Mail, Notification},
};
use crate::{
    agent::{AnyKind, CONFIGURED, Configuration, configuration_body},
    documents::{Automerge, Schema, at, find_head, history, to_json, type_of, version_of},
};

/// Versions of a configuration that are looked at for the last one that fits its type.
const VERSIONS_SCANNED_MAX: usize = 100;

/// What this host knows of documents by their types.
#[derive(Default)]
pub(super) struct Configs {
    by_name: BTreeMap<DocName, Config>,
    by_kind: BTreeMap<u16, DocName>,
    types: Arc<Types>,
}

/// The types of documents that the kinds of this host know, by name.
pub(super) type Types = BTreeMap<&'static str, Schema>;

/// How one kind is configured.
struct Config {
    kind: u16,
    of: Configuration,
    /// What agents of the kind were told last, and are told when they begin.
    in_force: Option<Arc<[u8]>>,
    /// Why what the document says now is not in force.
    wrong: Option<String>,
}

/// What a document has to be when it is changed here.
pub(super) struct Expected {
    configuration: Option<Configuration>,
    types: Arc<Types>,
}

impl Configs {
    pub(super) fn new(kinds: &[Arc<dyn AnyKind>], initial: &BTreeMap<DocName, Initial>) -> Self {
        let (mut all, mut types) = (Self::default(), Types::new());
        types.extend(initial.values().map(|initial| (initial.schema.name, initial.schema)));
        for (kind, number) in kinds.iter().zip(0..) {
            types.extend(kind.updates().iter().map(|update| (update.schema.name, update.schema)));
            let Some(of) = kind.configuration().cloned() else { continue };
            types.insert(of.schema.name, of.schema);
            all.by_kind.insert(number, of.name.clone());
            let config = Config { kind: number, of, in_force: None, wrong: None };
            all.by_name.insert(config.of.name.clone(), config);
        }
        all.types = Arc::new(types);
        all
    }
}

impl Expected {
    /// What is wrong with a document, if its type is known here.
    fn violated(&self, doc: &impl ReadDoc) -> Option<String> {
        let by_name = self.configuration.as_ref().map(|of| of.schema);
        let by_type =
            || type_of(doc).ok().flatten().and_then(|name| self.types.get(&*name).copied());
        let why = by_name.or_else(by_type)?.check(doc).err()?;
        Some(why.to_string())
    }

    /// Lets something change a document, and refuses what makes it unreadable for those who could
    /// read it before.
    pub(super) fn change(
        &self,
        doc: &mut AutoCommit,
        change: impl FnOnce(&mut AutoCommit) -> Result<(), String>,
    ) -> Result<(), String> {
        if let Some(of) = &self.configuration
            && doc.get_heads().is_empty()
        {
            (of.begin)(doc).map_err(|why| why.to_string())?;
        }
        let was_wrong = self.violated(doc).is_some();
        change(doc)?;
        self.violated(doc).filter(|_| !was_wrong).map_or(Ok(()), Err)
    }
}

impl Engine {
    /// Why agents of this host go on with an earlier version of a configuration: what the document
    /// says now does not fit its type.
    #[must_use]
    pub fn not_in_force(&self, name: &DocName) -> Option<&str> {
        self.configs.by_name.get(name)?.wrong.as_deref()
    }

    /// The configurations that are not in force, each with the kind of agents that go on with an
    /// earlier version, and why.
    pub fn configs_refused(&self) -> impl Iterator<Item = (&DocName, &str, &str)> {
        self.configs.by_name.iter().filter_map(|(name, config)| {
            let kind = self.kinds[usize::from(config.kind)].name();
            Some((name, kind, config.wrong.as_deref()?))
        })
    }

    /// Why a document does not fit its type, as far as that is known here.
    #[must_use]
    pub fn misfit(&mut self, name: &DocName) -> Option<String> {
        let expected = self.expected(name);
        let documents = self.documents.as_mut()?;
        documents.read(name, |doc| expected.violated(doc))?.ok()?
    }

    /// What a document of this name has to be.
    pub(super) fn expected(&self, name: &DocName) -> Expected {
        let configuration = self.configs.by_name.get(name).map(|config| config.of.clone());
        Expected { configuration, types: Arc::clone(&self.configs.types) }
    }

    /// In which version of its type a document is written, and the type, if that is known here.
    #[must_use]
    pub fn type_of(&self, name: &DocName, whole: &Value) -> Option<(u32, Schema)> {
        let by_name = self.configs.by_name.get(name).map(|config| config.of.schema);
        let says = whole.get("type").and_then(Value::as_str);
        let by_type = || self.configs.types.get(says?).copied();
        Some((version_of(whole)?, by_name.or_else(by_type)?))
    }

    /// The types of documents that this host knows, by name, each with the newest version that it
    /// reads.
    pub(super) fn list_types(&self) -> Vec<(String, u32)> {
        let types = self.configs.types.values();
        types.map(|schema| (schema.name.to_owned(), schema.version)).collect()
    }

    /// Looks at all configurations, before the first agent lives, and takes up what the
    /// application begins with.
    pub(super) fn begin_configs(&mut self, initial: BTreeMap<DocName, Initial>) {
        if let Some(documents) = &mut self.documents {
            documents.begin_with(initial, self.now);
        }
        let names: Vec<DocName> = self.configs.by_name.keys().cloned().collect();
        for name in names {
            let _ = self.look_at_config(&name);
        }
    }

    /// A document has changed: agents that it configures are told.
    pub(super) fn reconfigure(&mut self, name: &DocName) {
        let Some(kind) = self.look_at_config(name) else { return };
        let agents = self.agents.iter().filter(|(_, row)| row.kind == kind);
        let agents: Vec<AgentNo> = agents.map(|(agent, _)| agent).collect();
        agents.into_iter().for_each(|agent| self.configure(agent));
        let document = name.to_string();
        let kind = self.kinds[usize::from(kind)].name().to_owned();
        self.tell(Event::Configured { kind, document });
    }

    /// Tells an agent how it is configured, if its kind is.
    pub(super) fn configure(&mut self, agent: AgentNo) {
        let Some(row) = self.agents.get(agent) else { return };
        let config = self.configs.by_kind.get(&row.kind);
        let config = config.and_then(|name| self.configs.by_name.get(name));
        let Some(body) = config.and_then(|config| config.in_force.clone()) else { return };
        let from = Address { host: self.me, agent: AgentId::ENGINE };
        let (topic, codec) = (None, Codec::Native);
        let told = Notification { name: CONFIGURED, from, topic, codec, body };
        // It is not refused for want of room: nobody would say it again.
        self.put_mail(agent, Mail::Notification(Box::new(told)));
    }

    /// Takes note of what a configuration says. Gives the kind, if something else is in force now.
    fn look_at_config(&mut self, name: &DocName) -> Option<u16> {
        let schema = self.configs.by_name.get(name)?.of.schema;
        let said = self.config_said(name, &schema);
        let before = self.configs.by_name.get(name)?.in_force.clone();
        let (body, wrong) = match said {
            Ok(body) => (body, None),
            Err(why) => {
                let last = before.clone().unwrap_or_else(|| self.last_good(name, &schema));
                (last, Some(why))
            }
        };
        let config = self.configs.by_name.get_mut(name)?;
        let kind = config.kind;
        let changed = before.as_ref() != Some(&body);
        config.in_force = Some(body);
        let news = wrong.clone().filter(|_| config.wrong != wrong);
        config.wrong = wrong;
        if let Some(why) = news {
            self.counters.add(Counter::ConfigurationsRefused, 1);
            let (kind, document) =
                (self.kinds[usize::from(kind)].name().to_owned(), name.to_string());
            self.tell(Event::NotConfigured { kind, document, why });
        }
        changed.then_some(kind)
    }

    /// What agents are to be told of a configuration, or why they cannot.
    fn config_said(&mut self, name: &DocName, schema: &Schema) -> Result<Arc<[u8]>, String> {
        let read = |doc: &Automerge| {
            let whole = to_json(doc).map_err(|why| why.to_string())?;
            fitting(whole, schema)
        };
        let Some(documents) = &mut self.documents else { return Ok(nothing()) };
        match documents.read(name, read) {
            None => Ok(nothing()),
            Some(Ok(body)) => body,
            Some(Err(why)) => Err(why),
        }
    }

    /// The last version of a configuration that fits its type; if there is none lately, what holds
    /// without a document.
    fn last_good(&mut self, name: &DocName, schema: &Schema) -> Arc<[u8]> {
        let read = |doc: &Automerge| {
            let page = history(doc, None, VERSIONS_SCANNED_MAX).ok()?;
            page.changes.iter().find_map(|change| {
                let head = find_head(doc, &change.head).ok()?;
                fitting(at(doc, &[head]).ok()?, schema).ok()
            })
        };
        let found = self.documents.as_mut().and_then(|documents| documents.read(name, read));
        found.and_then(Result::ok).flatten().unwrap_or_else(nothing)
    }
}

fn nothing() -> Arc<[u8]> {
    configuration_body(None).into()
}

/// What agents are told of a document, if that fits its type.
fn fitting(whole: Value, schema: &Schema) -> Result<Arc<[u8]>, String> {
    let text = whole.to_string();
    schema.check_value(whole).map_err(|why| why.to_string())?;
    let body = configuration_body(Some(&text));
    if body.len() > BODY_BYTES_MAX {
        return Err("it is too large for agents to be told".into());
    }
    Ok(body.into())
}
