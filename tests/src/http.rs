use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use crate::PATIENCE;

/// What the control socket answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

/// One call of the control API; `body` is JSON text.
///
/// # Errors
/// When the socket is closed or the connection breaks.
pub fn call(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let text = exchange(socket, format!("{head}{body}").as_bytes())?;
    parse(&text).ok_or_else(|| io::Error::other(format!("no HTTP: {text:?}")))
}

/// Writes any bytes to the socket and reads what comes back until the end.
///
/// # Errors
/// When nothing comes back. That the other side stops reading is none.
pub fn exchange(socket: &Path, bytes: &[u8]) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server that has seen enough may answer and close before all is written.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(why) if answer.is_empty() => Err(why),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { join_chunks(body) } else { body.to_owned() };
    Some(Answer { status, body })
}

fn join_chunks(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((length, chunks)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        let Some((chunk, after)) = chunks.split_at_checked(length) else { break };
        whole.push_str(chunk);
        rest = after.trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    whole
}
