//! Times on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as people write it: `5m` (ago), or `2026-11-22T10:00:00Z`. In milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let now = starling_node::wall().as_millis();
    parse_at(text, now)
}

fn parse_at(text: &str, now: u64) -> Result<u64, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.saturating_sub(millis(ago)));
    }
    let at: SystemTime = humantime::parse_rfc3339_weak(text).map_err(|_| {
        format!("{text:?} is no time: say 5m (ago), or a time in UTC as 2026-11-22T10:00:00Z")
    })?;
    at.duration_since(UNIX_EPOCH).map(millis).map_err(|_| format!("{text} is before 1970"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_durations_ago_or_times() {
        assert_eq!(parse_at("5m", 1_000_000), Ok(700_000));
        assert_eq!(parse_at("9999d", 1_000_000), Ok(0));
        assert_eq!(parse_at("2023-11-14T22:13:20Z", 0), Ok(1_700_000_000_000));
        assert_eq!(parse_at("2023-11-14T22:13:20.5Z", 0), Ok(1_700_000_000_500));
        assert!(parse_at("yesterday", 0).is_err_and(|why| why.contains("5m (ago)")));
    }
}
