use super::Frame;
use crate::{limits::LANE_FRAME_BYTES_MAX, wire};

const HEADER: usize = 4;

/// Cuts the bytes of a lane into frames: a length (four bytes, little endian), then the frame.
#[derive(Debug, Default)]
pub struct Inbox {
    partial: Vec<u8>,
}

impl Inbox {
    /// Takes `chunk` and hands every complete frame to `each`. What is incomplete waits for the
    /// next chunk; no more than one frame is ever held back.
    ///
    /// # Errors
    /// What `each` returns, or [`wire::Error`] for a frame that is too long or does not decode.
    /// The lane must then be closed.
    pub fn feed<E: From<wire::Error>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.partial.is_empty() {
            let rest = split(chunk, &mut each)?;
            self.partial.extend_from_slice(rest);
        } else {
            self.partial.extend_from_slice(chunk);
            let rest = split(&self.partial, &mut each)?.len();
            self.partial.drain(..self.partial.len() - rest);
            if self.partial.is_empty() {
                self.partial = Vec::new(); // A quiet lane costs nothing.
            }
        }
        Ok(())
    }
}

fn split<'a, E: From<wire::Error>>(
    mut bytes: &'a [u8],
    each: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<&'a [u8], E> {
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        let length = u32::from_le_bytes(*header) as usize;
        if length > LANE_FRAME_BYTES_MAX {
            let error = wire::Error::TooLong { found: length, max: LANE_FRAME_BYTES_MAX };
            return Err(error.into());
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        each(wire::decode_borrowed(frame, LANE_FRAME_BYTES_MAX)?)?;
        bytes = rest;
    }
    Ok(bytes)
}

/// Appends `frame` with its length to `out`; gives the number of bytes.
pub(super) fn put(frame: &Frame<'_>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    wire::encode_into(frame, out).expect("own frames encode");
    let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start..start + HEADER].copy_from_slice(&length.to_le_bytes());
    out.len() - start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acks(inbox: &mut Inbox, chunk: &[u8]) -> Result<Vec<u64>, wire::Error> {
        let mut seen = Vec::new();
        inbox.feed(chunk, |frame| {
            if let Frame::Ack(items) = frame {
                seen.push(items);
            }
            Ok::<_, wire::Error>(())
        })?;
        Ok(seen)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_chunking_gives_the_same_frames(
            sent in prop::collection::vec(any::<u64>(), 0..40),
            cuts in prop::collection::vec(1..30usize, 1..20),
        ) {
            let mut bytes = Vec::new();
            for items in &sent {
                put(&Frame::Ack(*items), &mut bytes);
            }
            let (mut inbox, mut seen, mut rest) = (Inbox::default(), Vec::new(), &bytes[..]);
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                seen.extend(acks(&mut inbox, chunk).expect("good frames"));
                rest = after;
            }
            prop_assert_eq!(seen, sent);
            prop_assert_eq!(inbox.partial.capacity(), 0);
        }

        #[test]
        fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = acks(&mut Inbox::default(), &bytes);
            let mut framed = u32::try_from(bytes.len()).expect("short").to_le_bytes().to_vec();
            framed.extend(bytes);
            let _ = acks(&mut Inbox::default(), &framed);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_header() {
        let length = u32::try_from(LANE_FRAME_BYTES_MAX + 1).expect("it fits");
        let mut inbox = Inbox::default();
        let [first, rest @ ..] = length.to_le_bytes();
        assert_eq!(acks(&mut inbox, &[first]), Ok(vec![]));
        let error = wire::Error::TooLong { found: length as usize, max: LANE_FRAME_BYTES_MAX };
        assert_eq!(acks(&mut inbox, &rest), Err(error));
        assert!(inbox.partial.capacity() < 64, "nothing was allocated for it");
    }

    #[test]
    fn an_empty_frame_is_refused() {
        assert!(matches!(acks(&mut Inbox::default(), &[0; 4]), Err(wire::Error::Malformed(_))));
    }
}
