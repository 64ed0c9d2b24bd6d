use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use starling_core::engine::{Counter, HostState};

use super::Node;

/// All metrics of this host, in the OpenMetrics text format.
pub(super) fn text(node: &Node) -> String {
    let mut registry = Registry::with_prefix("starling");
    registry.register_collector(Box::new(Snapshot::of(node)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        Err(why) => format!("# the metrics could not be written: {why}\n"),
    }
}

/// The numbers at one moment.
#[derive(Debug)]
struct Snapshot {
    counts: Vec<(&'static str, &'static str, u64)>,
    levels: Vec<(&'static str, &'static str, i64)>,
}

impl Snapshot {
    fn of(node: &Node) -> Self {
        let counters = node.engine.counters();
        let mut counts: Vec<_> = Counter::ALL
            .iter()
            .map(|counter| (counter.name(), counter.help(), counters.get(*counter)))
            .collect();
        counts.push((
            "strangers",
            "Connections that did not get through the gate.",
            node.strangers,
        ));
        counts.push((
            "gossip_unsaid",
            "Gossip messages that the network did not take.",
            node.unsaid,
        ));
        let refused = node.control_refused.get();
        counts.push(("control_refused", "Control connections turned away.", refused));
        let hosts = node.engine.hosts();
        let linked = hosts.iter().filter(|view| view.state == HostState::Linked).count();
        let levels = [
            ("agents", "Agents that live here.", node.engine.agent_count()),
            ("hosts", "Hosts known, this one included.", hosts.len()),
            ("hosts_linked", "Hosts with a lane.", linked),
            (
                "letters_waiting",
                "Durable letters that their hosts have not taken yet.",
                node.engine.letters_waiting(),
            ),
            ("held", "What waits for the journal to be durable.", node.engine.held()),
            (
                "journal_queue_bytes",
                "Bytes that wait to be written to the journal.",
                node.journal.waiting_bytes(),
            ),
            ("journal_bytes", "Bytes of the files of the journal.", journal_bytes(node)),
            (
                "storage_trouble",
                "Whether storage fails.",
                usize::from(node.storage_trouble().is_some()),
            ),
        ];
        let level = |(name, help, value)| (name, help, i64::try_from(value).unwrap_or(i64::MAX));
        Self { counts, levels: levels.into_iter().map(level).collect() }
    }
}

fn journal_bytes(node: &Node) -> usize {
    let bytes = crate::journal::bytes_of(&node.config.journal_dir());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in &self.counts {
            let counter = ConstCounter::new(*value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for (name, help, value) in &self.levels {
            let gauge = ConstGauge::new(*value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
