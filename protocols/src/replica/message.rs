use serde::{Deserialize, Serialize};

use super::{Base, DocName, Revision, Short};
use crate::{
    limits::{DOCUMENTS_PACKED_BYTES_MIN, LANE_FRAME_BYTES_MAX},
    reconcile::Digest,
    wire,
};

/// What two hosts say to each other about documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What the sender has, or a question about it.
    Digest(Digest),
    /// What has changed at the sender, or was asked for. Answered by [`Have`](Self::Have) when it
    /// is durable there.
    Revisions(Vec<Revision>),
    /// What the receiver lacks, perhaps. Answered by [`Want`](Self::Want).
    Offers(Vec<Offer>),
    /// Asks for documents.
    Want(Vec<Want>),
    /// The sender has these durably.
    Have(Vec<Receipt>),
    /// The sender has been in touch with others lately: a document that it does not come to have
    /// is deleted, or new. Said when a lane opens.
    InTouch,
}

/// A version of a document that the sender has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Of which document.
    pub name: DocName,
    /// The agent's last tenure, if it is a descriptor.
    pub tenure: Option<Short>,
    /// Which history.
    pub base: Base,
    /// The heads, in rising order.
    pub heads: Vec<Short>,
}

/// A wish for a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Which.
    pub name: DocName,
    /// What the one who wishes has already: these heads of this history. None: the whole is wanted.
    pub heads: Vec<Short>,
    /// Of which history.
    pub base: Base,
}

impl Want {
    /// A wish for all of it.
    #[must_use]
    pub fn whole(name: DocName) -> Self {
        Self { name, heads: Vec::new(), base: Base::default() }
    }
}

/// A document, as somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub name: DocName,
    /// All that these heads follow is there.
    pub heads: Vec<Short>,
}

/// A [`Message`] as it goes over a lane: packed when that makes it shorter. Revisions say many
/// things twice, and those of one message repeat each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parcel {
    /// As it is.
    Plain(Message),
    /// As LZ4 packs its encoding.
    Packed {
        /// How long the encoding is, in bytes.
        length: u32,
        /// The packed encoding.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

/// A parcel that holds no message: malformed, or longer than it may be. Nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no message about documents")]
pub struct NoMessage;

impl Parcel {
    /// The bytes of a message.
    #[must_use]
    pub fn encode(message: &Message) -> Vec<u8> {
        // That of `Parcel::Plain`, without a copy of the message.
        let plain = wire::encode(&(0_u8, message));
        let encoding = &plain[1..];
        if encoding.len() < DOCUMENTS_PACKED_BYTES_MIN {
            return plain;
        }
        let bytes = lz4_flex::block::compress(encoding);
        let length = u32::try_from(encoding.len()).unwrap_or(u32::MAX);
        let packed = wire::encode(&Self::Packed { length, bytes });
        if packed.len() < plain.len() { packed } else { plain }
    }

    /// The message in these bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Message, NoMessage> {
        let parcel = wire::decode(bytes, LANE_FRAME_BYTES_MAX).map_err(|_| NoMessage)?;
        match parcel {
            Self::Plain(message) => Ok(message),
            Self::Packed { length, bytes } => {
                let length = length as usize;
                if length > LANE_FRAME_BYTES_MAX {
                    return Err(NoMessage);
                }
                let encoding =
                    lz4_flex::block::decompress(&bytes, length).map_err(|_| NoMessage)?;
                let whole = encoding.len() == length;
                let message = whole.then(|| wire::decode(&encoding, length).ok()).flatten();
                message.ok_or(NoMessage)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(count: u64) -> Message {
        let offer = |number| Offer {
            name: format!("conf/one-of-many/{number}").parse().expect("a name"),
            tenure: None,
            base: Base::default(),
            heads: Vec::new(),
        };
        Message::Offers((0..count).map(offer).collect())
    }

    #[test]
    fn a_message_is_packed_when_that_makes_it_shorter() {
        let (short, long) = (offers(1), offers(200));
        assert_eq!(Parcel::encode(&short), wire::encode(&Parcel::Plain(short.clone())));
        let packed = Parcel::encode(&long);
        assert!(packed.len() < wire::encode(&long).len() / 2, "{}", packed.len());
        let random = Message::Digest(Digest::List((1..400).map(|n: u64| n.pow(7)).collect()));
        for message in [short, long, random] {
            assert_eq!(Parcel::decode(&Parcel::encode(&message)), Ok(message));
        }
    }

    #[test]
    fn what_says_another_length_or_a_great_one_is_no_message() {
        let encoding = wire::encode(&offers(200));
        let bytes = lz4_flex::block::compress(&encoding);
        let length = u32::try_from(encoding.len()).unwrap();
        let decode =
            |length, bytes| Parcel::decode(&wire::encode(&Parcel::Packed { length, bytes }));
        assert!(decode(length, bytes.clone()).is_ok());
        for wrong in [0, length - 1, length + 1, u32::MAX] {
            assert_eq!(decode(wrong, bytes.clone()), Err(NoMessage), "{wrong}");
        }
        // Zeros that unpack to more than a frame may have.
        let zeros = lz4_flex::block::compress(&vec![0; LANE_FRAME_BYTES_MAX + 1]);
        let length = u32::try_from(LANE_FRAME_BYTES_MAX + 1).unwrap();
        assert_eq!(decode(length, zeros), Err(NoMessage));
        assert_eq!(decode(length, bytes[..bytes.len() / 2].to_vec()), Err(NoMessage));
    }
}
