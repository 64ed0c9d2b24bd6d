//! The gate's messages on a stream: first the magic, then frames of a length (four bytes, big
//! endian) and that many bytes.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocols::{admission::GATE_MAGIC, limits::GATE_BYTES_MAX, wire};

use super::GateError;

/// The first message of one side, with the magic before it.
pub(super) async fn say<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), GateError> {
    let body = wire::encode(message);
    if body.len() > GATE_BYTES_MAX {
        return Err(GateError::Oversized(body.len()));
    }
    let length = u32::try_from(body.len()).expect("checked above");
    // In one write, so that it leaves in one packet.
    let bytes = [GATE_MAGIC, &length.to_be_bytes()[..], &body].concat();
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

/// The only message of one side: says it, closes, and waits until the other side closes too.
pub(super) async fn say_last<T: Serialize>(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &T,
) -> Result<(), GateError> {
    say(stream, message).await?;
    stream.close().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(GateError::OutOfTurn),
    }
}

/// The empty frame by which the dialler accepts the listener.
pub(super) async fn agree(stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), GateError> {
    stream.write_all(&0_u32.to_be_bytes()).await?;
    Ok(stream.close().await?)
}

/// Hears what the other side says on one stream.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    past_magic: bool,
}

impl Ears {
    /// The next message.
    pub(crate) async fn hear<T: DeserializeOwned>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<T, GateError> {
        if !self.past_magic {
            hear_magic(stream).await?;
            self.past_magic = true;
        }
        let mut body = vec![0; hear_length(stream).await?];
        stream.read_exact(&mut body).await?;
        wire::decode(&body, GATE_BYTES_MAX).map_err(GateError::Unreadable)
    }

    /// The empty frame.
    pub(super) async fn hear_agreement(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), GateError> {
        match hear_length(stream).await? {
            0 => Ok(()),
            _ => Err(GateError::OutOfTurn),
        }
    }
}

async fn hear_magic(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), GateError> {
    let mut heard = [0; GATE_MAGIC.len()];
    let mut filled = 0;
    // Piece by piece: who speaks another protocol may say less and wait.
    while filled < heard.len() {
        let more = stream.read(&mut heard[filled..]).await?;
        if more == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        filled += more;
        if heard[..filled] != GATE_MAGIC[..filled] {
            return Err(GateError::Magic);
        }
    }
    Ok(())
}

/// The length of the next frame, checked before anything is allocated for it.
async fn hear_length(stream: &mut (impl AsyncRead + Unpin)) -> Result<usize, GateError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > GATE_BYTES_MAX {
        return Err(GateError::Oversized(length));
    }
    Ok(length)
}
