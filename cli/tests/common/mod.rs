//! A control server with canned answers, and the real `p2p` that talks to it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    convert::Infallible,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;

/// Status and body for a method, path and query.
pub(crate) type Route = (&'static str, u16, String);

/// What was called: method, path and query, and the body.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// A daemon that says always the same.
pub(crate) struct Fake {
    dir: TempDir,
    calls: Calls,
}

impl Fake {
    /// Listens in a data directory of its own.
    pub(crate) fn serve(routes: Vec<Route>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let calls = Calls::default();
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("control.sock"))
            .expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let noted = calls.clone();
        thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(accept(socket, Arc::new(routes), noted));
        });
        Self { dir, calls }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// `p2p` for this daemon.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = p2p(words);
        command.arg("--data-dir").arg(self.dir.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("p2p runs")
    }

    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().expect("no panic").clone()
    }
}

async fn accept(socket: std::os::unix::net::UnixListener, routes: Arc<Vec<Route>>, calls: Calls) {
    let listener = UnixListener::from_std(socket).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let (routes, calls) = (routes.clone(), calls.clone());
        let answer = service_fn(move |request| answer(request, routes.clone(), calls.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(
    request: Request<Incoming>,
    routes: Arc<Vec<Route>>,
    calls: Calls,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri().path_and_query().map_or("", |uri| uri.as_str());
    let call = format!("{} {uri}", request.method());
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    calls.lock().expect("no panic").push((call.clone(), body));
    let found = routes.iter().find(|(route, ..)| *route == call);
    let ready = call == "GET /readyz";
    let (status, text) = found.map_or_else(
        || (if ready { 200 } else { 404 }, String::new()),
        |(_, status, text)| (*status, text.clone()),
    );
    Ok(Response::builder().status(status).body(Full::new(text.into())).expect("a response"))
}

/// `p2p` with an environment that does not change what it says.
pub(crate) fn p2p(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command
        .args(words)
        .env_remove("NO_COLOR")
        .env_remove("STARLING_DATA_DIR")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Three members, one of them unreachable.
pub(crate) fn members() -> Route {
    let member = |name: &str, host: &str, state: &str, why: Option<&str>| {
        let mut member = json!({
            "host": host, "name": name, "state": state, "incarnation": 1, "version": "0.1.0",
            "addresses": ["/ip4/10.0.0.1/tcp/4001", "/ip4/10.0.0.1/udp/4001/quic-v1"],
        });
        if let Some(why) = why {
            member["why"] = json!(why);
        }
        member
    };
    let items = [
        member("alpha", "k3v9x2abcdefghij", "self", None),
        member("beta", "m4w7y2cdefghijkl", "linked", None),
        member("ga\u{1b}[31mmma", "p5x2z3efghijklmn", "unreachable", Some("timed out")),
    ];
    ("GET /v1/members", 200, json!({ "items": items, "missing": [] }).to_string())
}

pub(crate) fn status(health: &str) -> Route {
    let status = json!({
        "health": health, "host": "k3v9x2abcdefghij", "name": "alpha", "version": "0.1.0",
        "mesh": "q2w3e4r5t6z7u8i9", "mesh_name": "office", "incarnation": 3,
        "uptime_seconds": 4000, "data_dir": "/var/lib/starling", "pid": 4242,
        "addresses": ["/ip4/10.0.0.1/tcp/4001"], "members": 3, "linked": 1, "agents": 2,
        "may_admit": true, "certificate_days": 364,
    });
    ("GET /v1/status", 200, status.to_string())
}

pub(crate) fn problem(route: &'static str, status: u16, code: &str, message: &str) -> Route {
    (route, status, json!({ "code": code, "message": message, "next": "think" }).to_string())
}
