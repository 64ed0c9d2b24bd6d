//! Contracts over ten daemons: announced to many, granted to the cheapest, reported.

use serde_json::{Value, json};

use super::daemons::Mesh;

/// Bytes of what is announced, bid, granted and reported, each.
const BYTES: usize = 64;

/// One announcer, and the bidders spread evenly over all hosts, its own included.
pub(crate) struct Market {
    mesh: Mesh,
    announcer: String,
    bidders: Vec<(String, Value)>,
}

impl Market {
    pub(crate) fn new(hosts: usize, bidders: usize) -> Self {
        let mesh = Mesh::new(hosts);
        let (announcer, _) = mesh.start(0, "announcer");
        let bidders = (0..bidders).map(|number| mesh.start(number % hosts, "worker")).collect();
        Self { mesh, announcer, bidders }
    }

    /// Announces to the first `bidders`, `count` times, so many at once. Each time all bid, one
    /// is granted the work and does it; whoever does more is found out.
    pub(crate) fn negotiate(&self, bidders: usize, outstanding: u64, count: u64) -> Value {
        self.round(bidders, outstanding, count / 8);
        let before = self.done();
        let cpu = self.mesh.cpu_seconds();
        let measured = self.round(bidders, outstanding, count);
        let cpu = self.mesh.cpu_seconds() - cpu;
        for part in ["done", "reports"] {
            assert_eq!(measured[part], json!(count), "one report for each: {measured}");
        }
        let over = (self.done() - before).checked_sub(count).expect("what is reported was done");
        let seconds = measured["seconds"].as_f64().expect("seconds");
        json!({ "name": "starling-contracts", "unit": "/s", "bidders": bidders,
                "outstanding": outstanding, "bytes": BYTES, "over_awards": over,
                "count": count, "cpu_seconds": cpu,
                "value": f64::from(u32::try_from(count).expect("few")) / seconds,
                "p50_us": measured["p50_us"], "p99_us": measured["p99_us"] })
    }

    fn round(&self, bidders: usize, outstanding: u64, count: u64) -> Value {
        let addresses: Vec<&Value> =
            self.bidders[..bidders].iter().map(|(_, address)| address).collect();
        let plan = json!({ "bidders": addresses, "outstanding": outstanding, "count": count,
                           "bytes": BYTES });
        self.mesh.request(0, &self.announcer, "load/negotiate", &plan)
    }

    /// How much work all bidders have done, once none of it is under way any more.
    fn done(&self) -> u64 {
        let mut sum = 0;
        self.mesh.until(|mesh| {
            let toils = self.bidders.iter().map(|(bidder, _)| {
                let worked = mesh.request(0, bidder, "load/toil", &json!({}));
                ["done", "acknowledged", "undone"].map(|part| worked[part].as_u64())
            });
            let add = |of: Option<u64>, more: Option<u64>| Some(of? + more?);
            let all =
                toils.fold([Some(0); 3], |[a, b, c], [d, e, f]| [add(a, d), add(b, e), add(c, f)]);
            let [done, acknowledged, undone] = all.map(|of| of.expect("a number"));
            sum = done;
            done == acknowledged + undone
        });
        sum
    }
}
