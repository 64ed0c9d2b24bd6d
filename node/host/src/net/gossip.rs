//! Gossip with every setting made on purpose: the library's defaults are for meshes of thousands
//! of strangers, ours is a mesh of tens to hundreds of members.

use std::{collections::HashMap, time::Duration};

use libp2p::{
    gossipsub::{
        self, Config, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter,
        MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams,
        ValidationMode, WhitelistSubscriptionFilter,
    },
    identity::Keypair,
};
use starling_protocols::limits::{GOSSIP_BUCKETS, GOSSIP_BYTES_MAX};

pub(crate) type Gossip = gossipsub::Behaviour<
    IdentityTransform,
    MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// One for each bucket.
const TOPICS: usize = GOSSIP_BUCKETS as usize;

/// Source, sequence number, topic, signature and the framing around them take less than this.
const HEADER_BYTES_MAX: usize = 1024;

/// A heartbeat mends the mesh and offers what was missed; short, because that is how long a
/// message that was lost on its first way is late.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// Past this a message is taken for new again. The pure half has its own memory of sequence
/// numbers; this one only spares it the work.
const DUPLICATES: Duration = Duration::from_secs(120);

/// Messages that may wait for one peer. At the cap they are dropped for that peer; it learns of
/// the gap from the sequence numbers.
const QUEUE_MESSAGES_MAX: usize = 8192;

/// A message still queued after this long is dropped for that peer.
const PUBLISH_WAIT: Duration = Duration::from_secs(5);
const FORWARD_WAIT: Duration = Duration::from_secs(2);

/// The topic of `bucket`, if there is such a bucket.
pub(crate) fn topic(mesh: &str, bucket: u8) -> Option<IdentTopic> {
    (usize::from(bucket) < TOPICS).then(|| IdentTopic::new(format!("starling/{mesh}/{bucket}")))
}

/// The bucket that a topic is.
pub(crate) fn bucket(topic: &TopicHash) -> Option<u8> {
    topic.as_str().rsplit('/').next()?.parse().ok()
}

/// The behaviour, or why the library refuses the settings.
pub(crate) fn behaviour(keypair: &Keypair, mesh: &str) -> Result<Gossip, String> {
    let topics: Vec<TopicHash> =
        (0..GOSSIP_BUCKETS).filter_map(|n| topic(mesh, n)).map(|topic| topic.hash()).collect();
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(topics.iter().cloned().collect()),
        max_subscribed_topics: TOPICS,
        max_subscriptions_per_request: 2 * TOPICS,
    };
    let mut gossip = Gossip::new_with_subscription_filter(
        MessageAuthenticity::Signed(keypair.clone()),
        config(mesh).map_err(|why| why.to_string())?,
        filter,
    )?;
    gossip.with_peer_score(scores(&topics), thresholds())?;
    Ok(gossip)
}

fn config(mesh: &str) -> Result<Config, gossipsub::ConfigBuilderError> {
    ConfigBuilder::default()
        .protocol_id_prefix(format!("/starling/{mesh}/gossip"))
        // Signed by the origin, with its sequence number; both make the message's id.
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(GOSSIP_BYTES_MAX + HEADER_BYTES_MAX)
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT)
        // Up to a dozen hosts everybody is in everybody's mesh, and a message takes one step.
        .mesh_n_low(6)
        .mesh_n(8)
        .mesh_n_high(14)
        .mesh_outbound_min(2)
        .gossip_lazy(8)
        // Kept for five seconds, offered for three, whatever the heartbeat.
        .history_length(25)
        .history_gossip(15)
        .duplicate_cache_time(DUPLICATES)
        // A host that unsubscribed and came back must not wait a minute for its place.
        .prune_backoff(Duration::from_secs(5))
        .unsubscribe_backoff(Duration::from_secs(1))
        .opportunistic_graft_ticks(300)
        .check_explicit_peers_ticks(1500)
        .flood_publish(true)
        .connection_handler_queue_len(QUEUE_MESSAGES_MAX)
        .publish_queue_duration(PUBLISH_WAIT)
        .forward_queue_duration(FORWARD_WAIT)
        .build()
}

/// Scores punish what only a broken or hostile member does. Nothing is earned and nothing is lost
/// by being quiet or slow, or by sharing an address with others.
fn scores(topics: &[TopicHash]) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics
            .iter()
            .map(|topic| (topic.clone(), topic_scores()))
            .collect::<HashMap<_, _>>(),
        // Many hosts behind one address are the rule here.
        ip_colocation_factor_weight: 0.0,
        // Grafts against the rules and offers that are not kept. An overloaded honest host breaks
        // some of its offers, so the first hundred of late count for nothing.
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 100.0,
        behaviour_penalty_decay: 0.5,
        slow_peer_weight: 0.0,
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    }
}

/// Only messages that were judged bad count: three of late and the peer is no longer heard, and
/// a minute later it is again.
fn topic_scores() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.97,
        ..TopicScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -40.0,
        graylist_threshold: -80.0,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 0.0,
    }
}
