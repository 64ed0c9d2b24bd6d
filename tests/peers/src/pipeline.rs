//! Keeping requests under way against a peer that answers each by itself.

use std::{collections::VecDeque, future::Future, time::Instant};

use anyhow::Result;
use futures::{StreamExt as _, stream::FuturesUnordered};

use crate::meter::Meter;

/// One local request in so many is timed: the clock costs a good part of one.
const SAMPLE: u64 = 16;
/// Messages told between two barriers.
pub const BATCH: usize = 1024;

/// Keeps `outstanding` requests under way against one ordered mailbox.
///
/// Answers are awaited in the order of the requests, so that one wake-up
/// finds many of them: the cheapest way to ask each of these libraries.
pub async fn ordered<F, Fut>(outstanding: usize, mut meter: Meter, mut ask: F) -> Result<Meter>
where
    F: FnMut() -> Result<Fut>,
    Fut: Future<Output = Result<u64>>,
{
    let mut window = VecDeque::with_capacity(outstanding);
    let mut asked = 0u64;
    loop {
        while window.len() < outstanding {
            let sent = asked.is_multiple_of(SAMPLE).then(Instant::now);
            window.push_back((sent, ask()?));
            asked += 1;
        }
        let Some((sent, answer)) = window.pop_front() else {
            return Ok(meter);
        };
        std::hint::black_box(answer.await?);
        if sent.is_some_and(|sent| !meter.timed(SAMPLE, sent, Instant::now())) {
            return Ok(meter);
        }
    }
}

/// Keeps `outstanding` requests under way, answered in any order.
pub async fn unordered<F, Fut>(outstanding: usize, meter: &mut Meter, mut ask: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut clocked = || {
        let sent = Instant::now();
        let answer = ask();
        async move { answer.await.map(|()| sent) }
    };
    let mut under_way: FuturesUnordered<_> = (0..outstanding).map(|_| clocked()).collect();
    while let Some(sent) = under_way.next().await {
        if !meter.timed(1, sent?, Instant::now()) {
            break;
        }
        under_way.push(clocked());
    }
    Ok(())
}

/// Tells messages in batches, each followed by a request as a barrier.
pub async fn told<T, B, Fut>(mut meter: Meter, mut tell: T, mut barrier: B) -> Result<Meter>
where
    T: FnMut() -> Result<()>,
    B: FnMut() -> Result<Fut>,
    Fut: Future<Output = Result<u64>>,
{
    loop {
        for _ in 0..BATCH {
            tell()?;
        }
        std::hint::black_box(barrier()?.await?);
        if !meter.counted(BATCH as u64, Instant::now()) {
            return Ok(meter);
        }
    }
}
