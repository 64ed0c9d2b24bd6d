#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use axum::body::{Body, Bytes};
use futures::StreamExt;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{journal::Journals, *};

/// A hang must fail a test, not stop it for ever.
const LONG: Duration = Duration::from_secs(20);

struct Daemon {
    dir: TempDir,
    handle: Handle,
    calls: mpsc::Receiver<Call>,
    refused: prometheus_client::metrics::counter::Counter,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

async fn daemon() -> Daemon {
    daemon_with(|_| ()).await
}

async fn daemon_with(change: impl FnOnce(&mut server::Caps)) -> Daemon {
    let dir = TempDir::new().unwrap();
    let mut server = Server::bind(&dir.path().join("control.sock")).await.unwrap();
    change(&mut server.caps);
    let (handle, calls) = Handle::new();
    let (stop, refused) = (CancellationToken::new(), server.refused());
    let journals = Journals::new(dir.path().join("journal"), starling_core::society::stock());
    let served = tokio::spawn(server.serve(handle.clone(), journals, stop.clone()));
    Daemon { dir, handle, calls, refused, stop, served }
}

async fn soon<T>(wait: impl Future<Output = T>) -> T {
    timeout(LONG, wait).await.expect("in good time")
}

impl Daemon {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    async fn next(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    /// Sends a request and lets the main loop answer.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
        reply: Result<Reply, Problem>,
    ) -> (String, u16, Value) {
        let asked = tokio::spawn(send(self.socket(), request(method, path, body)));
        let call = self.next().await;
        call.answer.send(reply).unwrap();
        let (status, text) = text(soon(asked).await.unwrap()).await;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (format!("{:?}", call.command), status, value)
    }

    /// Sends a request that must not reach the main loop.
    async fn fail(&mut self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Problem) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let (status, text) = text(send(self.socket(), request).await).await;
        assert!(self.calls.try_recv().is_err());
        (status, serde_json::from_str(&text).unwrap())
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.to_owned().into()).unwrap()
}

async fn send(socket: PathBuf, request: Request<Body>) -> Response<Incoming> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    soon(sender.send_request(request)).await.unwrap()
}

async fn text(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = soon(axum::body::to_bytes(Body::new(response.into_body()), usize::MAX)).await;
    (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
}

async fn raw(socket: &Path, head: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn every_route_becomes_its_command() {
    let mut daemon = daemon().await;
    for (route, body, command) in [
        ("GET /v1/status", "", "Status"),
        ("GET /v1/members", "", "Members"),
        ("GET /v1/agents", "", "Agents { host: None }"),
        ("GET /v1/agents?host=a%20b", "", r#"Agents { host: Some("a b") }"#),
        ("GET /v1/inspect?what=x", "", r#"Inspect { what: "x" }"#),
        ("GET /v1/find?service=a/b", "", r#"Find { service: "a/b", shard: false }"#),
        ("GET /v1/find?service=a&shard=true", "", r#"Find { service: "a", shard: true }"#),
        (
            "POST /v1/agents",
            r#"{"kind":"echo"}"#,
            r#"Start(Start { kind: "echo", host: None, name: None, state: None })"#,
        ),
        ("POST /v1/agents/stop", r#"{"agent":"a@h"}"#, r#"Stop(Stop { agent: "a@h" })"#),
        (
            "POST /v1/request",
            r#"{"to":"a","request":"echo/say","body":1}"#,
            r#"Request(Ask { to: "a", request: "echo/say", body: Number(1), timeout_ms: None })"#,
        ),
        ("POST /v1/publish", r#"{"topic":"t"}"#, r#"Publish(Publish { topic: "t", body: Null })"#),
        ("GET /v1/kinds", "", "Kinds"),
        (
            "POST /v1/invites",
            "{}",
            "Invite(Invite { life_seconds: None, uses: None, may_admit: false })",
        ),
        ("GET /v1/invites", "", "Invites"),
        ("POST /v1/join", r#"{"token":"secret"}"#, "Join(Join(secret))"),
        ("GET /v1/doctor", "", "Doctor"),
        ("POST /v1/down", "", "Down"),
        ("GET /readyz", "", "Ready"),
    ] {
        let (method, path) = route.split_once(' ').unwrap();
        let answer = json!({"for": route});
        let (called, status, got) =
            daemon.ask(method, path, body, Ok(Reply::Json(answer.clone()))).await;
        assert_eq!((called.as_str(), status, got), (command, 200, answer));
    }
}

#[tokio::test]
async fn who_reads_the_journal_has_all_written_first() {
    let mut daemon = daemon().await;
    for path in ["lives", "entries?life=1", "replay", "state?life=1&entry=1", "diff?life=1&with=2"]
    {
        let path = format!("/v1/journal/{path}");
        let gone = Err(Problem::new(Code::Internal, "nothing is written any more"));
        let (command, status, why) = daemon.ask("GET", &path, "", gone).await;
        // Nor does it matter what comes of that: this one has no journal to read.
        assert_eq!((command.as_str(), status), ("Recorded", 404), "{path}: {why}");
    }
}

#[tokio::test]
async fn health_and_metrics() {
    let mut daemon = daemon().await;
    let live = send(daemon.socket(), request("GET", "/livez", "")).await;
    assert_eq!(text(live).await, (200, "ok\n".into()));
    let problem = Problem::new(Code::Conflict, "no mesh yet");
    let (_, status, got) = daemon.ask("GET", "/readyz", "", Err(problem)).await;
    assert_eq!((status, &got["message"]), (503, &json!("no mesh yet")));
    let (called, status, got) =
        daemon.ask("GET", "/metrics", "", Ok(Reply::Text("# EOF\n".into()))).await;
    assert_eq!((called.as_str(), status, got), ("Metrics", 200, json!("# EOF\n")));
}

#[tokio::test]
async fn a_problem_keeps_its_code_and_has_its_status() {
    let mut daemon = daemon().await;
    let problem = Problem::new(Code::NotFound, "no such agent").next("see `p2p agents`");
    let body = r#"{"agent":"x"}"#;
    let (_, status, got) = daemon.ask("POST", "/v1/agents/stop", body, Err(problem.clone())).await;
    assert_eq!((status, serde_json::from_value::<Problem>(got).unwrap()), (404, problem));
    let (_, status, got) = daemon.ask("GET", "/v1/status", "", Ok(Reply::Subscribed)).await;
    assert_eq!((status, &got["code"]), (500, &json!("internal")));
}

#[tokio::test]
async fn what_does_not_fit_is_a_problem_that_names_it() {
    let mut daemon = daemon().await;
    for (route, body, status, code, word) in [
        ("POST /v1/agents", "{\"kind\":", 400, Code::Usage, "not JSON"),
        ("POST /v1/agents", "", 400, Code::Usage, "not JSON"),
        ("POST /v1/agents", "{\"kind\":\"a\"} x", 400, Code::Usage, "trailing"),
        ("POST /v1/agents", r#"{"kind":7}"#, 422, Code::BadBody, "`kind`"),
        ("POST /v1/agents", r#"{"kind":"a","nam":"b"}"#, 422, Code::BadBody, "`nam`"),
        ("POST /v1/request", r#"{"to":"a"}"#, 422, Code::BadBody, "`request`"),
        ("GET /v1/inspect", "", 400, Code::Usage, "`what`"),
        ("GET /v1/agents?hots=a", "", 400, Code::Usage, "`hots`"),
        ("GET /v1/events?backlog=many", "", 400, Code::Usage, "backlog"),
        ("GET /v1/nothing", "", 404, Code::NotFound, "/v1/nothing"),
        ("DELETE /v1/status", "", 405, Code::Usage, "DELETE"),
    ] {
        let (method, path) = route.split_once(' ').unwrap();
        let (got, problem) = daemon.fail(method, path, body).await;
        assert_eq!((got, problem.code), (status, code), "{route} {body}: {problem}");
        assert!(problem.message.contains(word), "{word:?} is not in {problem}");
    }
}

#[tokio::test]
async fn json_that_would_not_be_kept_as_it_is_written_is_refused() {
    let mut daemon = daemon().await;
    let long = "18446744073709551616";
    let set =
        |value: &str| format!(r#"{{"name":"conf/echo","edits":[{{"path":"a","value":{value}}}]}}"#);
    for (value, word) in [
        (r#"{"b":1,"b":2}"#, "the key \"b\" stands there twice"),
        (long, long),
        ("[-9223372036854775809]", "-9223372036854775809"),
        ("1e400", "number out of range"),
    ] {
        let (status, problem) = daemon.fail("POST", "/v1/docs/set", set(value)).await;
        assert_eq!((status, problem.code), (400, Code::Usage), "{value}: {problem}");
        assert!(problem.message.contains(word), "{word:?} is not in {problem}");
    }
    for (json, word) in [(long, long), ("%7B%22b%22:1,%22b%22:2%7D", "stands there twice")] {
        let (status, problem) = daemon.fail("GET", &format!("/v1/docs?where=a={json}"), "").await;
        assert_eq!((status, problem.code), (400, Code::Usage), "{problem}");
        assert!(problem.message.contains(word), "{word:?} is not in {problem}");
    }
    let asked = r#"{"to":"a","request":"b/c","body":{"n":18446744073709551616}}"#;
    assert_eq!(daemon.fail("POST", "/v1/request", asked).await.0, 400);
    let reply = Ok(Reply::Text(String::new()));
    let fine = set(r#"[18446744073709551615,-9223372036854775808,1e20,"18446744073709551616"]"#);
    assert_eq!(daemon.ask("POST", "/v1/docs/set", &fine, reply).await.1, 200);
}

#[tokio::test]
async fn an_oversized_body_is_refused() {
    use starling_protocols::limits::CONTROL_BODY_BYTES_MAX;
    let mut daemon = daemon().await;
    let body = "{}".to_owned() + &" ".repeat(CONTROL_BODY_BYTES_MAX - 1);
    let (status, problem) = daemon.fail("POST", "/v1/invites", body).await;
    assert_eq!((status, problem.code), (413, Code::Usage));
    // Who has much more to say than the socket holds is heard out, and reads the answer.
    let length = 8 * CONTROL_BODY_BYTES_MAX;
    let head = "POST /v1/docs/set HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
    let call = format!("{head} {length}\r\n\r\n{}", " ".repeat(length));
    let answer = raw(&daemon.socket(), &call).await;
    let said = format!("the body has {length} bytes; a call has at most {CONTROL_BODY_BYTES_MAX}");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(&said), "{answer}");
    let body = "{}".to_owned() + &" ".repeat(CONTROL_BODY_BYTES_MAX - 2);
    let reply = Ok(Reply::Text(String::new()));
    assert_eq!(daemon.ask("POST", "/v1/invites", &body, reply).await.1, 200);
}

#[tokio::test]
async fn who_says_much_to_the_wrong_place_reads_so() {
    use starling_protocols::limits::CONTROL_BODY_BYTES_MAX;
    let daemon = daemon().await;
    let length = 8 * CONTROL_BODY_BYTES_MAX;
    for (route, status) in [("POST /v1/nothing", 404), ("PUT /v1/docs/set", 405)] {
        let head = format!("{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:");
        let call = format!("{head} {length}\r\n\r\n{}", " ".repeat(length));
        let answer = raw(&daemon.socket(), &call).await;
        let wanted = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&wanted) && answer.contains("/v1/"), "{answer}");
    }
}

#[tokio::test]
async fn half_a_head_is_closed_and_half_a_body_refused() {
    let short = Duration::from_millis(50);
    let daemon = daemon_with(|caps| (caps.head, caps.body) = (short, short)).await;
    assert_eq!(raw(&daemon.socket(), "GET /v1/sta").await, "");
    let head = "POST /v1/invites HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
    let answer = raw(&daemon.socket(), head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive"), "{answer}");
}

#[tokio::test]
async fn beyond_the_cap_a_connection_is_told_so_and_counted() {
    let mut daemon = daemon_with(|caps| caps.connections = 1).await;
    let socket = daemon.socket();
    let first = tokio::spawn(send(socket.clone(), request("GET", "/v1/status", "")));
    let call = daemon.next().await;
    let (status, problem) = daemon.fail("GET", "/v1/status", "").await;
    assert_eq!((status, problem.code, daemon.refused.get()), (429, Code::Busy, 1));
    call.answer.send(Ok(Reply::Text("first".into()))).unwrap();
    assert_eq!(text(soon(first).await.unwrap()).await, (200, "first".into()));
    // The place is free again once the first client has gone.
    loop {
        if send(socket.clone(), request("GET", "/livez", "")).await.status() == 200 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

async fn line(
    body: &mut (impl futures::Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Value {
    let line = soon(body.next()).await.unwrap().unwrap();
    assert!(line.ends_with(b"\n"));
    serde_json::from_slice(&line).unwrap()
}

#[tokio::test]
async fn a_stream_brings_each_line_at_once_and_ends_with_its_client() {
    let mut daemon = daemon().await;
    let asked =
        tokio::spawn(send(daemon.socket(), request("GET", "/v1/subscribe?topic=a%23b", "")));
    let Call { command: Command::Subscribe { topic, sink }, answer } = daemon.next().await else {
        panic!("another command")
    };
    assert_eq!(topic, "a#b");
    answer.send(Ok(Reply::Subscribed)).unwrap();
    // The head comes before the first line.
    let response = soon(asked).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut body = Body::new(response.into_body()).into_data_stream();
    for missed in 1..=3 {
        sink.send(api::Heard::Gap { topic: topic.clone(), missed }).await.unwrap();
        let expected = json!({"heard": "gap", "topic": "a#b", "missed": missed});
        assert_eq!(line(&mut body).await, expected);
    }
    drop(body);
    soon(sink.closed()).await;
}

#[tokio::test]
async fn events_end_with_the_sender_or_at_the_shutdown() {
    let mut daemon = daemon().await;
    for (query, expected) in [("", (100, false)), ("?backlog=9999&follow=true", (1024, true))] {
        let path = format!("/v1/events{query}");
        let asked = tokio::spawn(send(daemon.socket(), request("GET", &path, "")));
        let Call { command: Command::Events { backlog, follow, sink }, answer } =
            daemon.next().await
        else {
            panic!("another command")
        };
        assert_eq!((backlog, follow), expected);
        assert!(sink.capacity() >= backlog);
        answer.send(Ok(Reply::Subscribed)).unwrap();
        let response = soon(asked).await.unwrap();
        if follow {
            daemon.stop.cancel();
            soon(&mut daemon.served).await.unwrap();
        } else {
            drop(sink);
        }
        assert_eq!(text(response).await, (200, String::new()));
    }
    assert!(!daemon.socket().exists());
}

#[tokio::test]
async fn a_refused_subscription_is_a_problem() {
    let mut daemon = daemon().await;
    let problem = Problem::new(Code::Usage, "no such topic");
    let (_, status, got) = daemon.ask("GET", "/v1/subscribe?topic=", "", Err(problem)).await;
    assert_eq!((status, &got["message"]), (400, &json!("no such topic")));
}

#[tokio::test]
async fn a_main_loop_that_is_full_or_gone_is_reported() {
    let mut daemon = daemon().await;
    let waiting: Vec<_> = (0..CALLS_WAITING_MAX)
        .map(|_| {
            let (answer, reply) = oneshot::channel();
            daemon.handle.0.try_send(Call { command: Command::Status, answer }).unwrap();
            reply
        })
        .collect();
    let (status, body) = text(send(daemon.socket(), request("GET", "/v1/status", "")).await).await;
    assert!(status == 429 && body.contains("256 calls"), "{status} {body}");
    drop(daemon.next().await);
    drop(waiting);
    let asked = tokio::spawn({
        let handle = daemon.handle.clone();
        async move { handle.call(Command::Status).await }
    });
    daemon.calls.close();
    while daemon.calls.recv().await.is_some() {}
    assert_eq!(soon(asked).await.unwrap().unwrap_err().code, Code::Internal);
    let (status, problem) = daemon.fail("GET", "/v1/status", "").await;
    assert_eq!((status, problem.code), (500, Code::Internal));
}

#[test]
fn patience_is_longer_than_the_main_loops_own() {
    let ask = |timeout_ms| {
        let (to, request) = (String::new(), String::new());
        Command::Request(api::Ask { to, request, body: Value::Null, timeout_ms }).patience()
    };
    assert_eq!(ask(None), BUDGET_DEFAULT + GRACE);
    assert_eq!(ask(Some(60_000)), Duration::from_secs(65));
    assert_eq!(ask(Some(u64::MAX)), BUDGET_MAX + GRACE);
    assert_eq!(Command::Status.patience(), PATIENCE);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_a_live_one_is_left_alone() {
    let daemon = daemon().await;
    let mode = std::fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let why = Server::bind(&daemon.socket()).await.unwrap_err();
    assert!(matches!(why, ControlError::InUse { .. }), "{why}");
    let live = send(daemon.socket(), request("GET", "/livez", "")).await;
    assert_eq!(live.status(), 200);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_anything_else_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Server::bind(&path).await.unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    let why = Server::bind(&path).await.unwrap_err();
    assert!(matches!(why, ControlError::NoSocket { .. }), "{why}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
