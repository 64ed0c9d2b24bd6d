//! NATS JetStream with its file store, told to sync every message before it acknowledges: spoken to
//! in its own text protocol, so that nothing but the server is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const NAME: &str = "nats-jetstream";
/// What a server before 2.10 does: it acknowledges what is not on the disk yet.
const UNSYNCED: &str = "nats-jetstream, synced every 2 min";
const SECONDS: u64 = 3;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes with so many unacknowledged at a time.
pub(crate) fn publish(dir: &Path, outstanding: u64, bytes: usize) -> Value {
    let mut skipped = "no nats-server on the search path".to_owned();
    for (name, sync) in [(NAME, ", sync_interval: always"), (UNSYNCED, "")] {
        let Some((server, port)) = start(dir, sync) else { break };
        let measured = run(port, outstanding, bytes);
        drop(server);
        match measured {
            Ok(rate) => return json!({ "name": name, "unit": "req/s", "value": rate }),
            Err(why) => skipped = why.to_string(),
        }
    }
    json!({ "name": NAME, "skipped": skipped })
}

fn start(dir: &Path, sync: &str) -> Option<(Server, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let config = dir.join("nats.conf");
    let store = dir.join("store");
    let text =
        format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?}{sync} }}\n");
    std::fs::write(&config, text).ok()?;
    let mut server = Command::new("nats-server");
    server.arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    Some((Server(server.spawn().ok()?), port))
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Err(_) if Instant::now() < until => std::thread::yield_now(),
            connected => return connected,
        }
    }
}

fn run(port: u16, outstanding: u64, bytes: usize) -> std::io::Result<f64> {
    let stream = connect(port)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    let (mut out, mut input) = (stream.try_clone()?, BufReader::new(stream));
    let hello = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB inbox.* 1\r\n";
    out.write_all(hello.as_bytes())?;
    let stream = r#"{"name":"S","subjects":["s.x"],"storage":"file"}"#;
    let make = format!("PUB $JS.API.STREAM.CREATE.S inbox.0 {}\r\n{stream}\r\n", stream.len());
    out.write_all(make.as_bytes())?;
    let made = reply(&mut input)?;
    if made.contains("\"error\"") {
        return Err(std::io::Error::other(made));
    }
    let mut message = format!("PUB s.x inbox.1 {bytes}\r\n").into_bytes();
    message.extend(vec![b'7'; bytes]);
    message.extend(b"\r\n");
    let begun = Instant::now();
    let burst = message.repeat(usize::try_from(outstanding).unwrap_or(1));
    out.write_all(&burst)?;
    let mut done = 0u64;
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        let _ = reply(&mut input)?;
        done += 1;
        // As many go out as came in, in one write.
        let mut more = 1;
        while !input.buffer().is_empty() && more < outstanding {
            let _ = reply(&mut input)?;
            more += 1;
            done += 1;
        }
        out.write_all(&message.repeat(usize::try_from(more).unwrap_or(1)))?;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// The body of the next message to the inbox.
fn reply(input: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("the server hung up"));
        }
        if line.starts_with("MSG ") {
            let length: usize =
                line.trim_end().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length + 2];
            input.read_exact(&mut body)?;
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
    }
}
