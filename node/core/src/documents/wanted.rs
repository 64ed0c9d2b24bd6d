//! What `serde` says of a value that does not fit its type, in the words that people know.

/// What was wanted of a value, in words; what `serde` says where these are not known.
pub(super) fn in_words(why: &str) -> String {
    if let Some(field) = why.strip_prefix("missing field ") {
        return format!("the field {} is missing", bare(field));
    }
    if let Some((field, known)) = parts(why, "unknown field ") {
        return format!("there is no field {}; there are {}", bare(field), bare(known));
    }
    if let Some((choice, known)) = parts(why, "unknown variant ") {
        return format!("{} is none of the choices {}", bare(choice), bare(known));
    }
    let is_known = ["invalid type: ", "invalid value: ", "invalid length "];
    let wanted = is_known.iter().find(|prefix| why.starts_with(*prefix));
    match wanted.and_then(|_| why.rsplit_once(", expected ")) {
        Some((_, wanted)) => format!("{} is expected", kind(wanted)),
        None => why.to_owned(),
    }
}

fn parts<'a>(why: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let (name, known) = why.strip_prefix(prefix)?.split_once(", expected ")?;
    Some((name, known.strip_prefix("one of ").unwrap_or(known)))
}

fn bare(names: &str) -> String {
    names.replace('`', "")
}

/// A type of Rust.
fn kind(wanted: &str) -> String {
    let bits = |bits: u32| (1_u128 << bits) - 1;
    let whole = match wanted {
        "u8" => Some((0, bits(8))),
        "u16" => Some((0, bits(16))),
        "u32" => Some((0, bits(32))),
        "u64" | "usize" => Some((0, bits(64))),
        "i8" => Some((1_u128 << 7, bits(7))),
        "i16" => Some((1 << 15, bits(15))),
        "i32" => Some((1 << 31, bits(31))),
        "i64" | "isize" => Some((1 << 63, bits(63))),
        _ => None,
    };
    if let Some((below, most)) = whole {
        let sign = if below > 0 { "-" } else { "" };
        return format!("a whole number from {sign}{below} to {most}");
    }
    let known = match wanted {
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "unit" => "nothing",
        wanted if wanted.starts_with("struct ") && !wanted.contains(" with ") => "a map",
        wanted => wanted,
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        _whole: u32,
        #[serde(default)]
        _signed: i64,
        #[serde(default)]
        _list: Vec<bool>,
        #[serde(default)]
        _map: BTreeMap<String, f64>,
        #[serde(default)]
        _choice: Option<Choice>,
        _name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        Hall,
        Attic,
    }

    fn why<T: serde::de::DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
        in_words(&serde_json::from_value::<T>(value).expect_err("it does not fit").to_string())
    }

    #[test]
    fn what_does_not_fit_is_told_in_words_that_people_know() {
        let number = "a whole number from 0 to 4294967295 is expected";
        let signed = "a whole number from -9223372036854775808 to 9223372036854775807 is expected";
        for (value, said) in [
            (json!({ "_whole": "many" }), number),
            (json!({ "_whole": -1 }), number),
            (json!({ "_whole": 1.5 }), number),
            (json!({ "_signed": u64::MAX }), signed),
            (json!({ "_list": 3 }), "a list is expected"),
            (json!({ "_list": [3] }), "true or false is expected"),
            (json!({ "_map": 3 }), "a map is expected"),
            (json!({ "_map": { "a": "b" } }), "a number is expected"),
            (json!({ "_name": 3 }), "a text is expected"),
            (json!({}), "the field _name is missing"),
            (json!(3), "a map is expected"),
            (json!({ "_choice": "roof" }), "roof is none of the choices hall or attic"),
        ] {
            let found = why::<Sample>(value.clone());
            assert_eq!(found, said, "{value}");
        }
        let unknown = why::<Sample>(json!({ "nam": "x" }));
        assert_eq!(
            unknown,
            "there is no field nam; there are _whole, _signed, _list, _map, _choice, _name"
        );
        assert_eq!(in_words("odd numbers only"), "odd numbers only");
        assert!(serde_json::from_value::<Choice>(json!("hall")).is_ok());
    }
}
