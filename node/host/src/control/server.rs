use std::{
    fs,
    io::{Error, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::metrics::counter::Counter;
use starling_protocols::limits::CONTROL_CONNECTIONS_MAX;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Handle, Journals, answer, routes, socket};
use crate::api::{Code, Problem};

/// What one request head may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long the accept loop rests when the system has no file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// How long open calls may take to end at a shutdown.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How long a client that is turned away may take to read why.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another daemon answers on it. It was not touched.
    #[error(
        "another daemon answers on {}: stop it with `p2p down`, or use another data directory",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in its place. It was not touched.
    #[error("{} is in the way, and no socket: move it away", path.display())]
    NoSocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The system refused.
    #[error(
        "cannot {doing} the control socket {}: {source}; see whether its directory is writable",
        path.display()
    )]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        source: Error,
    },
}

/// The caps of the server: constants in life, smaller in tests, which then need not wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    pub(super) connections: usize,
    pub(super) head: Duration,
    pub(super) body: Duration,
}

impl Default for Caps {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connections: CONTROL_CONNECTIONS_MAX, head: ten, body: ten }
    }
}

/// The control socket, open.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    pub(super) caps: Caps,
    refused: Counter,
}

impl Server {
    /// Opens the socket, for its owner alone. What a dead daemon left there is replaced.
    ///
    /// # Errors
    /// [`ControlError`]; what was there is untouched.
    pub async fn bind(path: &Path) -> Result<Self, ControlError> {
        let listener = socket::bind(path).await?;
        let (caps, refused) = (Caps::default(), Counter::default());
        Ok(Self { listener, path: path.to_owned(), caps, refused })
    }

    /// Counts the connections that were turned away because too many were open.
    #[must_use]
    pub fn refused(&self) -> Counter {
        self.refused.clone()
    }

    /// Serves until `stop`; then ends streams, lets open calls end for a few seconds, and removes
    /// the socket.
    pub async fn serve(self, handle: Handle, journals: Journals, stop: CancellationToken) {
        let router = routes::router(handle, journals, stop.clone(), self.caps.body);
        let slots = Arc::new(Semaphore::new(self.caps.connections));
        let turned_away = Arc::new(Semaphore::new(self.caps.connections));
        let mut tasks = JoinSet::new();
        while let Some(stream) = self.accept(&stop, &mut tasks).await {
            if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                let serve = connection(stream, router.clone(), self.caps, stop.clone());
                tasks.spawn(async move {
                    serve.await;
                    drop(slot);
                });
                continue;
            }
            self.refused.inc();
            // When even the waiting room is full, the connection is closed without a word.
            if let Ok(slot) = Arc::clone(&turned_away).try_acquire_owned() {
                tasks.spawn(async move {
                    let _ = timeout(TURN_AWAY, turn_away(stream)).await;
                    drop(slot);
                });
            }
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN, all).await.is_err() {
            tracing::warn!("control calls were still open at the shutdown and were cut off");
        }
    }

    /// The next client, or `None` at the end. Meanwhile tasks that have ended are cleared away.
    async fn accept(
        &self,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> Option<UnixStream> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(_) = tasks.join_next() => {}
                client = self.listener.accept() => match client {
                    Ok((stream, _)) => return Some(stream),
                    Err(why) => {
                        tracing::warn!(%why, "cannot accept a control connection");
                        tokio::select! {
                            () = stop.cancelled() => return None,
                            () = sleep(REST) => {}
                        }
                    }
                },
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                tracing::warn!(%why, path = %self.path.display(), "cannot remove the socket");
            }
            _ => {}
        }
    }
}

async fn connection(stream: UnixStream, router: Router, caps: Caps, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(caps.head).max_buf_size(HEAD_BYTES_MAX);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "a control connection ended early");
    }
}

/// Says why, and reads what the client has sent: closing before that would make the system throw
/// the answer away.
async fn turn_away(mut stream: UnixStream) {
    let problem = Problem::new(Code::Busy, "too many programs are connected to the daemon")
        .next("end some `p2p events` or `p2p subscribe`, then try again");
    let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\
                connection: close\r\n";
    let body = answer::json(&problem);
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}
