//! Scenarios on real processes, golden bytes and house rules; and the agents that benchmarks use.

pub mod load;
