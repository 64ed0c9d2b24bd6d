macro_rules! counters {
    ($($name:ident = $text:literal, $help:literal;)*) => {
        /// What the engine counts. Nothing is dropped or refused without being counted here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $(#[doc = $help] $name,)*
        }

        impl Counter {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name, as metrics show it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it counts.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

counters! {
    Inputs = "agent_inputs", "Inputs that agents have handled.";
    AgentsStarted = "agents_started", "Agents started.";
    AgentsStopped = "agents_stopped", "Agents stopped in good order.";
    AgentsDied = "agents_died", "Agents that ended by a panic.";
    MailboxFull = "mailbox_full", "Messages refused or dropped because too many waited for the agent.";
    NoSuchAgent = "no_such_agent", "Messages to agents that do not live here.";
    NotUnderstood = "not_understood", "Messages that their agent does not understand.";
    BadBodies = "bad_bodies", "Messages whose body does not fit the type.";
    ExpiredCalls = "expired_calls", "Calls from other hosts whose budget had run out on the way.";
    AgentTopicsFull = "agent_topics_full", "Topics that agents could not listen to because they had too many.";
    AgentServicesFull = "agent_services_full", "Services that agents could not offer because they had too many.";
    TimedOut = "timed_out", "Requests that had no answer in time.";
    Gone = "gone", "Requests whose agent or host ended with the outcome unknown.";
    Unreachable = "unreachable", "Messages to hosts that are not known.";
    QueueFull = "queue_full", "Messages refused or dropped because too much was queued for the host.";
    TooLarge = "too_large", "Messages refused because they are larger than a message may be.";
    LaneOverflows = "lane_overflows", "Lanes closed because the other side does not read.";
    LaneViolations = "lane_violations", "Lanes closed because the other side broke the rules.";
    StrayReplies = "stray_replies", "Replies that nobody waits for, or whose asker has been given up.";
    BadRecords = "bad_records", "Host records refused.";
    RosterRefused = "roster_refused", "Digests of rosters refused: out of turn, malformed or too many.";
    BadGossip = "bad_gossip", "Gossip messages rejected.";
    OldGossip = "old_gossip", "Gossip messages ignored as old or of no known host.";
    BadInterests = "bad_interests", "Interests of other hosts refused.";
    HintsMissed = "hints_missed", "Topic messages that were never seen, on topics without repair.";
    GapsGivenUp = "gaps_given_up", "Gaps in ordered topics that could not be repaired in time.";
    Missed = "missed", "Topic messages that listeners were told are lost.";
    Repaired = "repaired", "Topic messages sent again to a host that had missed them.";
    JoinsAccepted = "joins_accepted", "Hosts admitted here.";
    JoinsRefused = "joins_refused", "Hosts refused at the gate by their token.";
    Dials = "dials", "Dials.";
    DialsFailed = "dials_failed", "Dials that failed.";
    Abandoned = "abandoned", "Peers given up after a long silence.";
    AgentsRecovered = "agents_recovered", "Agents that are back after the host went down.";
    AgentsTakenUp = "agents_taken_up", "Agents taken up that lived on other hosts, or had died here.";
    AgentsLost = "agents_lost", "Agents that should be back and could not be recovered.";
    Unrecorded = "unrecorded", "Inputs that were not recorded because the storage did not work.";
    NotStored = "not_stored", "Messages refused or dropped because the storage did not work.";
    LettersPosted = "letters_posted", "Durable letters posted here.";
    LettersSeen = "letters_seen", "Durable letters that came again and were passed over.";
    LettersRefused = "letters_refused", "Durable letters that nobody here could handle.";
    LettersOutOfOrder = "letters_out_of_order", "Durable letters dropped because one before them is missing.";
    LettersMissing = "letters_missing", "Durable letters that this host had taken and does not remember.";
    DocumentsChanged = "documents_changed", "Changes of documents, made here or elsewhere.";
    DocumentsRefused = "documents_refused", "Documents, and what is said about them, refused from other hosts.";
    DocumentsLate = "documents_late", "Comparisons of documents that came when nobody waited for them any more: after a lane had broken, or too late.";
    DocumentsNotWritten = "documents_not_written", "Descriptors that could not be written.";
    DocumentsUnsent = "documents_unsent", "Messages about documents for which a lane had no room; later comparisons make up for them.";
    ConfigurationsRefused = "configurations_refused", "Configurations of kinds that did not fit their type: agents go on with the one before.";
    OutboxFull = "outbox_full", "Durable letters not posted because too many wait for the host.";
    AgentsDisplaced = "agents_displaced", "Agents that ended here because they live on another host.";
}

/// One number for each [`Counter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    pub(super) const fn add(&mut self, counter: Counter, by: u64) {
        let count = &mut self.0[counter as usize];
        *count = count.saturating_add(by);
    }

    /// How often it was counted.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }
}
