//! Calls to the daemon: HTTP over its control socket, one connection for each call, a deadline
//! for every wait and a cap on every body.

use std::{future::pending, io, path::PathBuf, pin::pin, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use starling_node::api::Problem;
use tokio::{net::UnixStream, time::timeout};

use crate::{
    failure::{Exit, Failure},
    text,
};

/// How long a call may take that does not say otherwise: more than the daemon waits for others.
const CALL_TIME: Duration = Duration::from_secs(20);

/// How long a daemon may take to say whether it is there.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// A longer path, with what is asked for, is not read by the daemon.
const PATH_BYTES_MAX: usize = 32 * 1024;

const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const STREAM_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A way to one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    /// How the user calls `p2p` for this daemon.
    program: String,
    /// What is under way while an answer is waited for, and the command that shows what became of
    /// it.
    under_way: Option<(&'static str, String)>,
}

/// Whether a daemon is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nobody answers.
    Absent,
    /// It answers, and is not ready to serve.
    Starting,
    /// It serves.
    Ready,
}

impl Client {
    pub(crate) fn new(socket: PathBuf, program: String) -> Self {
        Self { socket, program, under_way: None }
    }

    /// For calls that go on when nobody waits for their answer any more: what is under way then, as
    /// `the move`, and the words of the command that shows what became of it.
    pub(crate) fn under_way(mut self, what: &'static str, look: &[&str]) -> Self {
        let words = look.iter().map(|word| text::shell(word));
        let look = std::iter::once(self.program.clone()).chain(words).collect::<Vec<_>>();
        self.under_way = Some((what, look.join(" ")));
        self
    }

    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, Vec::new(), CALL_TIME).await
    }

    /// For what the daemon may need long for, as long as it says that it is there.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<T, Failure> {
        let call = self.call(Method::GET, path, Vec::new(), within);
        self.while_there(CALL_TIME - PROBE_TIME, call).await
    }

    /// Gives a call up when the daemon is silent for this long and then does not say that it is
    /// there.
    async fn while_there<T>(
        &self,
        silence: Duration,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut call = pin!(call);
        loop {
            if let Ok(ended) = timeout(silence, &mut call).await {
                return ended;
            }
            if self.presence().await == Presence::Absent {
                return Err(self.late(silence + PROBE_TIME));
            }
        }
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.post_within(path, body, CALL_TIME).await
    }

    pub(crate) async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|e| Failure::failed(e.to_string()))?;
        self.call(Method::POST, path, body, within).await
    }

    /// The lines of JSON that a call answers with, as they come.
    pub(crate) async fn stream(&self, path: &str) -> Result<Lines, Failure> {
        let opening = self.open(Method::GET, path, Vec::new());
        let response = timeout(CALL_TIME, opening).await.map_err(|_| self.late(CALL_TIME))??;
        if !response.status().is_success() {
            let status = response.status();
            return Err(refusal(status, &self.body(response).await?));
        }
        Ok(Lines { body: response.into_body(), read: Vec::new() })
    }

    /// Whether a daemon is there; never takes long.
    pub(crate) async fn presence(&self) -> Presence {
        let asking = self.open(Method::GET, "/readyz", Vec::new());
        match timeout(PROBE_TIME, asking).await {
            Ok(Ok(response)) if response.status().is_success() => Presence::Ready,
            Ok(Ok(_)) => Presence::Starting,
            Ok(Err(_)) | Err(_) => Presence::Absent,
        }
    }

    /// Whether a process listens on the socket at all, however it is.
    pub(crate) async fn listens(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<T, Failure> {
        let exchange = async {
            let response = self.open(method, path, body).await?;
            let status = response.status();
            Ok::<_, Failure>((status, self.body(response).await?))
        };
        let ended = tokio::select! {
            biased;
            why = self.interrupted() => return Err(why),
            ended = timeout(within, exchange) => ended,
        };
        let (status, answer) = ended.map_err(|_| self.late(within))??;
        if !status.is_success() {
            return Err(refusal(status, &answer));
        }
        serde_json::from_slice(&answer).map_err(|e| {
            Failure::failed(format!("the daemon's answer is not understood: {e}"))
                .next("p2p and the daemon may differ in version: see p2p --version, p2p status")
        })
    }

    /// Ctrl-C, where there is something to say to it.
    async fn interrupted(&self) -> Failure {
        let Some((what, look)) = &self.under_way else { return pending().await };
        if tokio::signal::ctrl_c().await.is_err() {
            return pending().await;
        }
        Failure::told(Exit::Interrupted, format!("interrupted; {what} may go on all the same"))
            .next(format!("see what became of it: {look}"))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        if path.len() > PATH_BYTES_MAX {
            return Err(Failure::usage("what was typed is too long to be asked").next("shorten it"));
        }
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| Failure::usage(e.to_string()))?;
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.closed(&e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(&e))?;
        // It ends with the exchange; its errors come out of the exchange too.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| self.broken(&e))
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|e| Failure::failed(format!("the daemon's answer broke off: {e}")))
    }

    pub(crate) fn absent(&self) -> Failure {
        let message = format!("no daemon answers at {}", self.socket.display());
        Failure::told(Exit::NoDaemon, message).next(format!("start one with: {} up", self.program))
    }

    fn closed(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::told(Exit::Denied, format!("not allowed to use {socket}"))
                    .next("run p2p as the user whose daemon it is")
            }
            io::ErrorKind::InvalidInput => {
                Failure::usage(format!("{socket} is too long for the name of a socket"))
                    .next("choose a shorter --data-dir")
            }
            _ => self.absent(),
        }
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let message = format!("the daemon broke off: {error}");
        Failure::told(Exit::NoDaemon, message).next(self.where_to_look())
    }

    fn late(&self, within: Duration) -> Failure {
        let waited = humantime::format_duration(within);
        Failure::late(format!("the daemon did not answer within {waited}"))
            .next(self.where_to_look())
    }

    fn where_to_look(&self) -> String {
        let doctor = format!("see: {} doctor", self.program);
        match &self.under_way {
            Some((what, look)) => format!("{doctor}; then what became of {what}: {look}"),
            None => doctor,
        }
    }
}

fn refusal(status: StatusCode, answer: &[u8]) -> Failure {
    if let Ok(problem) = serde_json::from_slice::<Problem>(answer) {
        return problem.into();
    }
    let said: String = String::from_utf8_lossy(answer).trim().chars().take(200).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Failure::failed(format!("the daemon answered {status}{said}"))
        .next("p2p and the daemon may differ in version: see p2p --version, p2p status")
}

/// Lines of JSON, as they come.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    read: Vec<u8>,
}

impl Lines {
    /// The next one; `None` when the daemon has ended the stream. Nothing is lost when the wait
    /// is given up.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        loop {
            while let Some(line) = take_line(&mut self.read) {
                if !line.trim_ascii().is_empty() {
                    return decode(&line).map(Some);
                }
            }
            if self.read.len() > STREAM_LINE_BYTES_MAX {
                return Err(Failure::failed("the daemon sent a line that is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.read.extend(frame.data_ref().into_iter().flatten()),
                // A daemon that goes away and one that ends the stream are the same to a reader.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

fn take_line(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = read.iter().position(|byte| *byte == b'\n')?;
    let rest = read.split_off(end + 1);
    Some(std::mem::replace(read, rest))
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(line)
        .map_err(|e| Failure::failed(format!("a line of the stream is not understood: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut read = b"a\n\nbc".to_vec();
        assert_eq!(take_line(&mut read), Some(b"a\n".to_vec()));
        assert_eq!(take_line(&mut read), Some(b"\n".to_vec()));
        assert_eq!(take_line(&mut read), None);
        assert_eq!(read, b"bc");
    }

    #[tokio::test]
    async fn a_daemon_that_is_stopped_is_not_waited_for_as_one_that_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("control.sock");
        // As with a process that is suspended: the system takes the connection, nobody answers.
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let client = Client::new(socket, "p2p".into());
        let call = client.call::<()>(Method::GET, "/v1/journal/lives", Vec::new(), CALL_TIME * 9);
        let ended = client.while_there(Duration::from_millis(1), call).await;
        let late = client.late(Duration::from_millis(2001));
        assert_eq!(ended, Err(late));
        drop(listener);
    }

    #[tokio::test]
    async fn a_daemon_that_is_there_may_read_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let probes = async {
            // The call itself comes first, and is answered only after two probes.
            let (mut first, _) = listener.accept().await.expect("a call");
            for _ in 0..2 {
                let (mut probe, _) = listener.accept().await.expect("a probe");
                answer(&mut probe, "").await;
            }
            answer(&mut first, "17").await;
        };
        let client = Client::new(socket.clone(), "p2p".into());
        let call = client.call::<u32>(Method::GET, "/v1/journal/lives", Vec::new(), CALL_TIME);
        let (ended, ()) = tokio::join!(client.while_there(Duration::from_millis(20), call), probes);
        assert_eq!(ended, Ok(17));
    }

    async fn answer(stream: &mut UnixStream, body: &str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = stream.read(&mut [0; 4096]).await.expect("a request");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.expect("written");
    }

    #[test]
    fn a_refusal_without_a_problem_still_says_something() {
        let failure = refusal(StatusCode::NOT_FOUND, b"nope\n");
        let Failure::Told { message, .. } = failure else { panic!("it is told") };
        assert_eq!(message, "the daemon answered 404 Not Found: nope");
    }
}
