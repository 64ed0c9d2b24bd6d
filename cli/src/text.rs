//! Words for people: what may go to a terminal, ids, durations, addresses for queries.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

pub(crate) use starling_node::words::{count, is_harmful, plain, plain_lines};

/// How many characters of an id people see.
const SHORT_ID_CHARS: usize = 8;

/// The beginning of an id: enough to tell ids apart, and accepted by every command.
pub(crate) fn short(id: &str) -> String {
    plain(&id.chars().take(SHORT_ID_CHARS).collect::<String>())
}

/// The two largest units of a duration, as `3h 12m`.
pub(crate) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

/// A time in UTC, from milliseconds since 1970. Beyond the year 9999, which only a broken clock shows, the milliseconds themselves.
pub(crate) fn when(at_ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if at_ms >= YEAR_10000_MS {
        return format!("{at_ms}ms");
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at_ms)).to_string()
}

/// Percent-encoding for the value of a query.
pub(crate) fn query(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// An argument as one would type it in a shell.
pub(crate) fn shell(arg: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !arg.is_empty() && arg.chars().all(tame) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened() {
        assert_eq!(short("k3v9x2abcdef"), "k3v9x2ab");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(61), "1m 1s");
        assert_eq!(duration(90_061), "1d 1h");
        assert_eq!(duration(86_405), "1d 5s");
    }

    #[test]
    fn times_are_utc_and_never_panic() {
        assert_eq!(when(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(when(u64::MAX), "18446744073709551615ms");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(query("chat/said#4 2&x=ü"), "chat/said%234%202%26x%3D%C3%BC");
    }

    #[test]
    fn arguments_are_quoted_when_needed() {
        assert_eq!(shell("/tmp/a-b"), "/tmp/a-b");
        assert_eq!(shell(r#"{"a": 1}"#), r#"'{"a": 1}'"#);
        assert_eq!(shell("it's"), r"'it'\''s'");
    }
}
