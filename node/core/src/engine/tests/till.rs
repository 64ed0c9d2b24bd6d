use starling_protocols::journal::Durability;

use super::*;

/// A write-ahead agent: it counts, asks, waits, and posts durable letters.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Till {
    pub(super) sum: u64,
    pub(super) log: Vec<String>,
    pub(super) draws: Vec<u64>,
}

/// Adds; the reply is the new sum.
#[derive(Serialize, Deserialize)]
pub(super) struct Pay(pub(super) u64);
impl Request for Pay {
    const NAME: &'static str = "till/pay";
    type Reply = u64;
}

/// Tells a till to send money to another.
#[derive(Serialize, Deserialize)]
pub(super) struct Send(pub(super) Address, pub(super) u64);
impl Request for Send {
    const NAME: &'static str = "till/send";
    type Reply = ();
}

/// Money on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct Money(pub(super) u64);
impl Notification for Money {
    const NAME: &'static str = "till/money";
    const DELIVERY: Delivery = Delivery::Durable;
}

/// Does what it says: `timer`, `ask`, `listen`, `draw`, `die`, `stop`.
#[derive(Serialize, Deserialize)]
pub(super) struct Do(pub(super) String);
impl Request for Do {
    const NAME: &'static str = "till/do";
    type Reply = ();
}

#[derive(Serialize, Deserialize)]
pub(super) enum TillThen {
    Rang,
    Answered(Await<Put>),
}

impl Agent for Till {
    const KIND: &'static str = "till";
    const DURABILITY: Durability = Durability::WriteAhead;
    type Then = TillThen;
    fn interests(interests: &mut Interests<Self>) {
        interests.answers::<Pay>();
        interests.answers::<Send>();
        interests.answers::<Do>();
        interests.collects::<Money>();
        interests.collects::<Word>();
    }
    fn recovered(&mut self, _: &mut Cx<'_, Self>) {
        self.log.push("recovered".into());
    }
    fn undelivered(&mut self, _: &mut Cx<'_, Self>, what: &Undelivered<'_>) {
        self.log.push(format!("undelivered {}: {:?}", what.name, what.why));
    }
    fn stopping(&mut self, _: &mut Cx<'_, Self>) {
        self.log.push("stopping".into());
    }
}

impl Answers<Pay> for Till {
    fn answer(&mut self, _: &mut Cx<'_, Self>, Pay(sum): Pay) -> Answer<Pay> {
        self.sum += sum;
        Answer::now(self.sum)
    }
}

impl Answers<Send> for Till {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Send(to, sum): Send) -> Answer<Send> {
        self.sum -= sum;
        cx.notify(to, &Money(sum));
        Answer::now(())
    }
}

impl Answers<Do> for Till {
    fn answer(&mut self, cx: &mut Cx<'_, Self>, Do(what): Do) -> Answer<Do> {
        match what.as_str() {
            "timer" => drop(cx.after(Duration::from_secs(5), TillThen::Rang)),
            "ask" => {
                let probe = Address { host: cx.host(), agent: AgentId(1031) };
                cx.request(probe, &Put("wait".into()), TillThen::Answered);
            }
            "listen" => cx.listen(&Topic::<Word>::room("x").expect("a topic")),
            "draw" => self.draws.push(cx.entropy().u64()),
            "stop" => cx.stop(),
            _ => panic!("as it was told"),
        }
        Answer::now(())
    }
}

impl Collects<Money> for Till {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Money(sum): Money) {
        self.sum += sum;
    }
}

impl Collects<Word> for Till {
    fn collect(&mut self, _: &mut Cx<'_, Self>, Word(word): Word) {
        self.log.push(format!("word {word}"));
    }
}

impl Continuation<Till> for TillThen {
    fn resume(self, till: &mut Till, cx: &mut Cx<'_, Till>) {
        match self {
            Self::Rang => till.log.push("rang".into()),
            Self::Answered(slot) => {
                let outcome = cx.take(slot);
                till.log.push(format!("{outcome:?}"));
            }
        }
    }
}
