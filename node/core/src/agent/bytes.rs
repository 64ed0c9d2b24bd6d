// Bodies are written in one piece and not byte by byte: everything that is recorded goes this way.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use starling_protocols::exchange::Failure;

/// The body that an input holds.
pub(super) mod body {
    use std::borrow::Cow;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::new(body).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'a, [u8]>, D::Error> {
        Ok(Cow::Owned(ByteBuf::deserialize(deserializer)?.into_vec()))
    }
}

/// The outcome that an effect holds.
pub(super) mod outcome {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        outcome: &Result<Vec<u8>, Failure>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        outcome.as_ref().map(|body| Bytes::new(body)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<Vec<u8>, Failure>, D::Error> {
        let outcome = Result::<ByteBuf, Failure>::deserialize(deserializer)?;
        Ok(outcome.map(ByteBuf::into_vec))
    }
}

/// The reply that an input holds.
pub(super) mod reply {
    use std::borrow::Cow;

    use super::*;

    type Reply<'a> = Option<Result<Cow<'a, [u8]>, Failure>>;

    pub(crate) fn serialize<S: Serializer>(
        reply: &Reply<'_>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let reply = reply.as_ref().map(|of| of.as_ref().map(|body| Bytes::new(body)));
        reply.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Reply<'a>, D::Error> {
        let reply = Option::<Result<ByteBuf, Failure>>::deserialize(deserializer)?;
        Ok(reply.map(|of| of.map(|body| Cow::Owned(body.into_vec()))))
    }
}
