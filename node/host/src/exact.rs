//! JSON that is kept as it is written, or refused: no number is rounded, and no key of a map stands
//! there twice, of which one would be lost. The control API and `p2p` take no other.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Error, Map, Value};

/// What `serde_json` says of a number that is too large for it.
pub const OUT_OF_RANGE: &str = "number out of range";

/// A value of JSON, unless one of its maps has a key twice.
struct Exact(Value);

/// Parses JSON; a key that stands in a map twice is an error too. Ask [`too_long`] of its numbers.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map(|Exact(value)| value)
}

/// Whether a text is JSON, be it such as is refused.
#[must_use]
pub fn is_json(text: &str) -> bool {
    let parsed: Result<Value, Error> = serde_json::from_str(text);
    parsed.map_or_else(|why| why.to_string().starts_with(OUT_OF_RANGE), |_| true)
}

/// The first whole number of a JSON text that 64 bits do not hold: it would be rounded.
#[must_use]
pub fn too_long(text: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let mut tokens = text.split(|c: char| {
        let was_quoted = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        was_quoted || quoted || c.is_whitespace() || "[]{},:\"".contains(c)
    });
    tokens.find(|token| {
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_whole && token.parse::<i64>().is_err() && token.parse::<u64>().is_err()
    })
}

/// Which numbers are kept, in words.
#[must_use]
pub fn kept_numbers() -> String {
    let (least, most) = (i64::MIN, u64::MAX);
    format!("whole numbers are from {least} to {most}, others up to {:e}", f64::MAX)
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Exact(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands there twice")));
            }
            let Exact(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_what_json_is() {
        let text = r#" {"a": [1, -2, 1.5, null, true, "x\"\\", {}], "b": {"a": 1e3}} "#;
        assert_eq!(parse(text).ok(), serde_json::from_str(text).ok());
        assert_eq!(parse("[18446744073709551615]").ok(), Some(json!([u64::MAX])));
        assert!(parse("[1").is_err() && parse("").is_err() && parse("[1] 2").is_err());
    }

    #[test]
    fn a_key_stands_in_a_map_once() {
        assert_eq!(parse(r#"{"a": {"a": 1}, "b": [{"a": 2}]}"#).map(drop).ok(), Some(()));
        for twice in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            let why = parse(twice).expect_err(twice).to_string();
            assert!(why.starts_with(r#"the key "a" stands there twice"#), "{why}");
        }
    }

    #[test]
    fn whole_numbers_that_would_be_rounded_are_found() {
        for (text, found) in [
            ("18446744073709551616", Some("18446744073709551616")),
            ("[-9223372036854775809]", Some("-9223372036854775809")),
            (r#"{"a": [1, 99999999999999999999]}"#, Some("99999999999999999999")),
            (r#"{"a\\": 99999999999999999999}"#, Some("99999999999999999999")),
            ("[18446744073709551615, -9223372036854775808, -0, 0.5, 1e20]", None),
            (r#"["99999999999999999999", "a\" 99999999999999999999"]"#, None),
        ] {
            assert_eq!(too_long(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_json_is_told_from_text() {
        for (text, is) in [("1e400", true), ("[1, 1e400]", true), ("1e5", true), ("hall", false)] {
            assert_eq!(is_json(text), is, "{text}");
        }
    }
}
