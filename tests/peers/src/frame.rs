//! Length-prefixed frames over one stream, written and read in batches.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    time::Instant,
};

use anyhow::{Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::meter::Meter;

/// The longest body a frame may have.
pub const LONGEST: usize = 64 * 1024;
/// What is read at once.
const BUFFER: usize = 64 * 1024;
/// Length of the prefix.
const PREFIX: usize = 4;

/// Sends every frame back until the stream ends.
pub async fn echo<S>(mut stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::with_capacity(BUFFER);
    let mut output = BytesMut::with_capacity(BUFFER);
    while stream.read_buf(&mut input).await? > 0 {
        while let Some(body) = take(&mut input)? {
            put(&mut output, &body);
        }
        flush(&mut stream, &mut output).await?;
        input.reserve(BUFFER);
    }
    Ok(())
}

/// Keeps `outstanding` frames under way until the meter ends.
pub async fn drive<S>(
    mut stream: S,
    outstanding: usize,
    bytes: usize,
    meter: &mut Meter,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut flight = Flight::new(bytes);
    let mut input = BytesMut::with_capacity(BUFFER);
    let mut output = BytesMut::with_capacity(BUFFER);
    let mut on = true;
    while on {
        flight.depart(outstanding, &mut output);
        flush(&mut stream, &mut output).await?;
        ensure!(stream.read_buf(&mut input).await? > 0, "the peer hung up");
        on = flight.arrive(&mut input, meter)?;
        input.reserve(BUFFER);
    }
    Ok(())
}

/// The frames under way, in the order in which they were sent.
struct Flight {
    body: Vec<u8>,
    next: u64,
    awaited: u64,
    batches: VecDeque<(Instant, u64)>,
}

impl Flight {
    fn new(bytes: usize) -> Self {
        Self {
            body: vec![7; bytes.clamp(8, LONGEST)],
            next: 0,
            awaited: 0,
            batches: VecDeque::new(),
        }
    }

    /// Writes as many frames as there is room for.
    fn depart(&mut self, outstanding: usize, output: &mut BytesMut) {
        let room = outstanding as u64 - (self.next - self.awaited);
        for _ in 0..room {
            self.body[..8].copy_from_slice(&self.next.to_le_bytes());
            put(output, &self.body);
            self.next += 1;
        }
        if room > 0 {
            self.batches.push_back((Instant::now(), room));
        }
    }

    /// Takes the frames that came back. True while the run goes on.
    fn arrive(&mut self, input: &mut BytesMut, meter: &mut Meter) -> Result<bool> {
        let mut came = 0;
        while let Some(body) = take(input)? {
            if body.len() != self.body.len() || body[..8] != self.awaited.to_le_bytes() {
                bail!("frame {} came back changed", self.awaited);
            }
            self.awaited += 1;
            came += 1;
        }
        Ok(self.settle(came, meter))
    }

    fn settle(&mut self, mut came: u64, meter: &mut Meter) -> bool {
        let now = Instant::now();
        let mut on = true;
        while let Some((sent, waiting)) = self.batches.front_mut().filter(|_| came > 0) {
            let settled = came.min(*waiting);
            on = meter.timed(settled, *sent, now);
            came -= settled;
            *waiting -= settled;
            if *waiting == 0 {
                self.batches.pop_front();
            }
        }
        on
    }
}

async fn flush<S: AsyncWrite + Unpin>(stream: &mut S, output: &mut BytesMut) -> io::Result<()> {
    if !output.is_empty() {
        stream.write_all(output).await?;
        stream.flush().await?;
        output.clear();
    }
    Ok(())
}

fn put(output: &mut BytesMut, body: &[u8]) {
    output.put_u32_le(body.len() as u32);
    output.put_slice(body);
}

/// The next whole frame, if it has come.
fn take(input: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    let Some(prefix) = input.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > LONGEST {
        return Err(ErrorKind::InvalidData.into());
    }
    if input.len() < PREFIX + length {
        return Ok(None);
    }
    input.advance(PREFIX);
    Ok(Some(input.split_to(length)))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn takes_only_whole_frames() {
        let mut wire = BytesMut::new();
        put(&mut wire, b"starling");
        let mut input = BytesMut::new();
        for byte in &wire[..wire.len() - 1] {
            input.put_u8(*byte);
            assert!(matches!(take(&mut input), Ok(None)));
        }
        input.put_u8(wire[wire.len() - 1]);
        let body = take(&mut input).ok().flatten();
        assert_eq!(body.as_deref(), Some(&b"starling"[..]));
        assert!(input.is_empty());
    }

    #[test]
    fn refuses_what_is_too_long() {
        let mut input = BytesMut::new();
        input.put_u32_le(u32::MAX);
        assert!(take(&mut input).is_err());
    }

    #[tokio::test]
    async fn echoes_until_the_meter_ends() -> Result<()> {
        let (client, server) = duplex(1024);
        tokio::spawn(echo(server));
        let mut meter = Meter::start(0.1, &[])?;
        drive(client, 5, 128, &mut meter).await?;
        assert!(meter.count() > 0 && meter.rate() > 0.0);
        assert!(meter.quantile_us(0.5) <= meter.quantile_us(0.99));
        Ok(())
    }

    #[tokio::test]
    async fn notices_a_changed_answer() -> Result<()> {
        let (client, mut server) = duplex(1024);
        let mut wire = BytesMut::new();
        put(&mut wire, &[9; 128]);
        server.write_all(&wire).await?;
        let mut meter = Meter::start(0.1, &[])?;
        assert!(drive(client, 1, 128, &mut meter).await.is_err());
        Ok(())
    }
}
