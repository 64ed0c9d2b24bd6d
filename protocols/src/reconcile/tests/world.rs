use std::collections::{BTreeMap, VecDeque};

use crate::{
    exchange::Item,
    ident::HostId,
    reconcile::{Act, Digest, Limits, Prints, Reconciler, state},
    time::Time,
    wire,
};

/// A collection that takes up what comes.
pub(crate) trait Learns: Prints {
    /// Gives whether it was news.
    fn learn(&mut self, item: &Self::Item) -> bool;

    /// How long a message with these items is.
    fn encoded(items: &[Self::Item]) -> usize;
}

#[derive(Debug)]
enum Word<I> {
    Digest(Digest),
    Items(Vec<I>),
}

/// Some hosts and the lanes between them.
pub(crate) struct World<C: Prints> {
    pub(crate) hosts: Vec<HostId>,
    pub(crate) known: Vec<C>,
    reconcilers: Vec<Reconciler>,
    lanes: BTreeMap<(usize, usize), VecDeque<Word<C::Item>>>,
    pub(crate) now: Time,
    /// Of digests, and of digests and items.
    pub(crate) digest_bytes: usize,
    pub(crate) bytes: usize,
    /// Items that went to each host.
    pub(crate) items: Vec<usize>,
    /// Items that were in a lane when it broke.
    pub(crate) lost: usize,
    pub(crate) largest_digest: usize,
    pub(crate) largest_answer: usize,
}

/// Spread over the ring like keys.
pub(crate) fn host(number: u32) -> HostId {
    HostId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

impl<C: Learns> World<C> {
    /// Hosts numbered from zero, and what each of them knows.
    pub(crate) fn new(known: Vec<C>, limits: Limits) -> Self {
        let hosts: Vec<HostId> = (0..).map(host).take(known.len()).collect();
        Self {
            reconcilers: hosts.iter().map(|me| Reconciler::new(*me, limits)).collect(),
            lanes: BTreeMap::new(),
            now: Time::ZERO,
            digest_bytes: 0,
            bytes: 0,
            items: vec![0; hosts.len()],
            lost: 0,
            largest_digest: 0,
            largest_answer: 0,
            known,
            hosts,
        }
    }

    pub(crate) fn open(&mut self, a: usize, b: usize) {
        for (here, there) in [(a, b), (b, a)] {
            self.lanes.insert((here, there), VecDeque::new());
            self.tell_state(here, there);
        }
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        for lane in [(a, b), (b, a)] {
            for word in self.lanes.remove(&lane).into_iter().flatten() {
                if let Word::Items(items) = word {
                    self.lost += items.len();
                }
            }
        }
        for (here, there) in [(a, b), (b, a)] {
            let (host, known) = (self.hosts[there], &self.known[here]);
            let acts = self.reconcilers[here].lost(host, known, self.now);
            self.act(here, acts);
        }
    }

    pub(crate) fn is_open(&self, a: usize, b: usize) -> bool {
        self.lanes.contains_key(&(a, b))
    }

    fn tell_state(&mut self, here: usize, there: usize) {
        let state = state(&self.known[here], self.hosts[here], self.hosts[there]);
        self.say(here, there, Word::Digest(state));
    }

    fn say(&mut self, here: usize, there: usize, word: Word<C::Item>) {
        let Some(lane) = self.lanes.get_mut(&(here, there)) else { return };
        self.bytes += match &word {
            Word::Digest(digest) => {
                let bytes = wire::encode(&Item::Roster(digest.clone())).len();
                self.digest_bytes += bytes;
                self.largest_digest = self.largest_digest.max(bytes);
                bytes
            }
            Word::Items(items) => {
                let bytes = C::encoded(items);
                self.items[there] += items.len();
                self.largest_answer = self.largest_answer.max(bytes);
                bytes
            }
        };
        lane.push_back(word);
    }

    fn act(&mut self, here: usize, acts: Vec<Act<C::Item>>) {
        for act in acts {
            match act {
                Act::Tell(to, digest) => self.say(here, self.number(to), Word::Digest(digest)),
                Act::Send(to, items) => self.say(here, self.number(to), Word::Items(items)),
                Act::TellState { but } => {
                    let but = self.number(but);
                    self.all_but(but).for_each(|there| self.tell_state(here, there));
                }
            }
        }
    }

    fn number(&self, host: HostId) -> usize {
        self.hosts.iter().position(|one| *one == host).expect("it is in this world")
    }

    fn all_but(&self, but: usize) -> impl Iterator<Item = usize> + use<C> {
        (0..self.hosts.len()).filter(move |there| *there != but)
    }

    /// One word arrives, chosen by `pick`; false when there is none.
    pub(crate) fn step(&mut self, pick: usize) -> bool {
        let full = self.lanes.iter().filter(|(_, words)| !words.is_empty());
        let full: Vec<_> = full.map(|(lane, _)| *lane).collect();
        let Some((from, here)) = full.get(pick % full.len().max(1)).copied() else { return false };
        let word = self.lanes.get_mut(&(from, here)).and_then(VecDeque::pop_front);
        let (peer, now) = (self.hosts[from], self.now);
        match word.expect("it is not empty") {
            Word::Digest(digest) => {
                let (reconciler, known) = (&mut self.reconcilers[here], &self.known[here]);
                let acts = reconciler.heard(peer, &digest, known, now).expect("all behave");
                self.act(here, acts);
            }
            Word::Items(items) => {
                let known = &mut self.known[here];
                let news: Vec<_> = items.into_iter().filter(|item| known.learn(item)).collect();
                let (pass_on, acts) = self.reconcilers[here].learned(peer, news.len(), now);
                if pass_on && !news.is_empty() {
                    self.all_but(from)
                        .for_each(|there| self.say(here, there, Word::Items(news.clone())));
                }
                self.act(here, acts);
            }
        }
        true
    }

    /// Gives how many words arrived until there was nothing more to say, however long that took.
    pub(crate) fn settle(&mut self, mut pick: impl FnMut(usize) -> usize) -> usize {
        let mut steps = 0;
        loop {
            while self.step(pick(steps)) {
                steps += 1;
            }
            let deadlines = self.reconcilers.iter().filter_map(Reconciler::next_deadline);
            let Some(next) = deadlines.min() else { return steps };
            self.now = self.now.max(next);
            for here in 0..self.hosts.len() {
                let acts = self.reconcilers[here].due(&self.known[here], self.now);
                self.act(here, acts);
            }
        }
    }
}
