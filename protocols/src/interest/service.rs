use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES_MAX;

/// The name of something that agents do for others: of a request, of a contract, or one that they
/// gave it themselves, as `printing/colour`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

/// A text that names no service. Nothing was offered, withdrawn or looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// Nothing.
    #[error("a service has a name, as printing/colour")]
    Empty,
    /// Too long.
    #[error("the name of a service has at most {NAME_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// Control characters or blanks.
    #[error("the name of a service has no blanks and no control characters")]
    BadCharacter,
}

impl ServiceName {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ServiceError;
    fn from_str(text: &str) -> Result<Self, ServiceError> {
        if text.is_empty() {
            return Err(ServiceError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(ServiceError::TooLong(text.len()));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(ServiceError::BadCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = ServiceError;
    fn try_from(text: String) -> Result<Self, ServiceError> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(service: ServiceName) -> Self {
        service.0.as_ref().to_owned()
    }
}

impl std::borrow::Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn what_names_no_service_is_refused() {
        let parse = |text: &str| text.parse::<ServiceName>();
        assert_eq!(parse(""), Err(ServiceError::Empty));
        for bad in ["a b", "a\n", "a\u{a0}"] {
            assert_eq!(parse(bad), Err(ServiceError::BadCharacter), "{bad:?}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(parse(&long), Err(ServiceError::TooLong(long.len())));
        assert_eq!(parse(&long[1..]).map(String::from), Ok(long[1..].to_owned()));
    }

    #[test]
    fn a_bad_name_from_elsewhere_does_not_decode() {
        let read = |text: &str| wire::decode::<ServiceName>(&wire::encode(text), 1024);
        assert_eq!(read("a/b").map(String::from).ok().as_deref(), Some("a/b"));
        assert!(read("a b").is_err());
    }
}
