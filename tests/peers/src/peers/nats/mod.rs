//! NATS: a server and its clients, each a process of its own.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use tempfile::TempDir;

use crate::{
    procs::{self, Kid},
    report::Outcome,
    run,
};

pub mod contracts;
pub mod fan_out;
pub mod requests;

/// How often the server's file of ports is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// A server on a free port of the loopback, until the end of this process.
struct Server {
    kid: Kid,
    url: String,
    _folder: TempDir,
}

impl Server {
    /// Starts one, if the program is here.
    fn start() -> Result<Option<Self>> {
        let Some(program) = run::find_program("nats-server") else {
            return Ok(None);
        };
        let folder = TempDir::new()?;
        let ports = folder.path().to_string_lossy().into_owned();
        let args = [
            "--addr",
            "127.0.0.1",
            "--port",
            "-1",
            "--ports_file_dir",
            &ports,
        ];
        let kid = Kid::guarded(&program, &args.map(String::from))?;
        let url = wait_for_port(&folder, kid.pid)?;
        Ok(Some(Self {
            kid,
            url,
            _folder: folder,
        }))
    }
}

fn wait_for_port(folder: &TempDir, pid: u32) -> Result<String> {
    let file = folder.path().join(format!("nats-server_{pid}.ports"));
    let until = Instant::now() + procs::START;
    loop {
        let text = fs::read(&file).unwrap_or_default();
        if let Ok(ports) = serde_json::from_slice::<serde_json::Value>(&text) {
            let url = ports["nats"][0].as_str();
            return Ok(url.context("nats-server names no port")?.to_owned());
        }
        anyhow::ensure!(Instant::now() < until, "nats-server did not start in time");
        thread::sleep(LOOK);
    }
}

fn absent(name: &'static str) -> Outcome {
    Outcome::skipped(name, "no nats-server on the search path")
}

/// Subscribes, and waits until the server knows.
async fn subscribed(client: &Client, subject: &'static str) -> Result<Subscriber> {
    let subscriber = client.subscribe(subject).await?;
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, Bytes::new()).await?;
    echo.next().await.context("the server hung up")?;
    Ok(subscriber)
}
