use starling_protocols::ident::Address;

use super::{Line, Said};

impl Line {
    /// What was said or heard, in a sentence without its subject; `call` names agents.
    #[must_use]
    pub fn sentence(&self, call: impl Fn(Address) -> String) -> String {
        let other = self.deed.act.other.map_or_else(|| "all who listen".to_owned(), &call);
        let contract = &self.deed.contract;
        let own = |bidder: Address| bidder == self.deed.who;
        if self.deed.act.heard {
            return heard(&self.deed.act.said, contract, &other, &call);
        }
        match &self.deed.act.said {
            Said::Announce { .. } => format!("announces {contract} to {other}"),
            Said::Bid { bid, cost } if own(bid.bidder) => format!("bids {cost}, to {other}"),
            Said::Bid { bid, cost } => {
                format!("hands over to {other} the bid of {} for {cost}", call(bid.bidder))
            }
            Said::Refuse { further: false } => format!("refuses, to {other}"),
            Said::Refuse { further: true } => {
                format!("refuses, to {other}; farther ones were not asked")
            }
            Said::Duplicate => format!("tells {other} that it was asked in this search before"),
            Said::Grant { .. } => format!("grants it to {other}"),
            Said::Reject { .. } => format!("rejects the bid of {other}"),
            Said::Cancel { why, .. } => format!("takes it back from {other}: {why}"),
            Said::Report { .. } => format!("reports to {other}"),
            Said::Defect { why, .. } => format!("gives it back to {other}: {why}"),
            Said::Acknowledge { .. } => format!("acknowledges the report of {other}"),
            Said::Fail { why } => format!("has no answer of {other}: {why}"),
        }
    }
}

fn heard(said: &Said, contract: &str, other: &str, call: &impl Fn(Address) -> String) -> String {
    match said {
        Said::Announce { .. } => format!("hears {contract}, announced by {other}"),
        Said::Bid { bid, cost } => format!("has the bid of {} for {cost}", call(bid.bidder)),
        Said::Refuse { further: false } => format!("is refused by {other}"),
        Said::Refuse { further: true } => {
            format!("is refused by {other}; farther ones were not asked")
        }
        Said::Duplicate => format!("hears that {other} was asked in this search before"),
        Said::Grant { .. } => format!("is granted it by {other}"),
        Said::Reject { .. } => format!("is rejected by {other}"),
        Said::Cancel { why, .. } => format!("has it taken back by {other}: {why}"),
        Said::Report { .. } => format!("has the report of {other}"),
        Said::Defect { why, .. } => format!("has it given back by {other}: {why}"),
        Said::Acknowledge { .. } => format!("is acknowledged by {other}"),
        Said::Fail { why } => format!("has no answer of {other}: {why}"),
    }
}
