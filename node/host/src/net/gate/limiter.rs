//! How often one network address may try to join.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use libp2p::{Multiaddr, multiaddr::Protocol};
use starling_protocols::limits::JOINS_PER_MINUTE_MAX;

/// Addresses remembered. At the cap those that have not tried in the last minute are forgotten;
/// while all of them have, everybody is refused.
const ADDRESSES_MAX: usize = 4096;

pub(super) struct JoinLimiter(DefaultKeyedRateLimiter<IpAddr>);

impl Default for JoinLimiter {
    fn default() -> Self {
        let per_minute = NonZeroU32::new(JOINS_PER_MINUTE_MAX).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::keyed(Quota::per_minute(per_minute)))
    }
}

impl JoinLimiter {
    /// Whether whoever is at `address` may try now; counts the attempt.
    pub(super) fn allows(&self, address: &Multiaddr) -> bool {
        let Some(site) = site(address) else { return false };
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain_recent();
        }
        self.0.len() < ADDRESSES_MAX && self.0.check_key(&site).is_ok()
    }
}

impl fmt::Debug for JoinLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinLimiter({} addresses)", self.0.len())
    }
}

/// The network address in `address`, by which strangers are told apart.
pub(crate) fn site(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(ip_in).map(block)
}

fn ip_in(part: Protocol<'_>) -> Option<IpAddr> {
    match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// One site has a whole /64 of IPv6 addresses, so they count as one.
fn block(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Multiaddr {
        address.parse().expect("an address")
    }

    #[test]
    fn an_address_may_try_so_often_and_others_are_not_held_back() {
        let limiter = JoinLimiter::default();
        for _ in 0..JOINS_PER_MINUTE_MAX {
            assert!(limiter.allows(&at("/ip4/10.0.0.1/tcp/1")));
        }
        assert!(!limiter.allows(&at("/ip4/10.0.0.1/tcp/2")));
        assert!(limiter.allows(&at("/ip4/10.0.0.2/tcp/1")));
    }

    #[test]
    fn a_block_of_ipv6_counts_as_one() {
        let limiter = JoinLimiter::default();
        for last in 0..JOINS_PER_MINUTE_MAX {
            assert!(limiter.allows(&at(&format!("/ip6/2001:db8::{last:x}/tcp/1"))));
        }
        assert!(!limiter.allows(&at("/ip6/2001:db8::ffff/tcp/1")));
        assert!(limiter.allows(&at("/ip6/2001:db8:0:1::1/tcp/1")));
    }

    #[test]
    fn the_table_is_bounded() {
        let limiter = JoinLimiter::default();
        for n in 0..ADDRESSES_MAX + 100 {
            limiter.allows(&at(&format!("/ip4/10.1.{}.{}/tcp/1", n / 256, n % 256)));
        }
        assert!(limiter.0.len() <= ADDRESSES_MAX);
    }
}
