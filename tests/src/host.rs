use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    process::{Child, Command},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Answer, Place, Ran, call, until};

const LOG_LINES: usize = 25;

/// A daemon of the test's own, running or not. Dropped, it is killed; if the test has failed, the
/// end of its log is shown.
#[derive(Debug)]
pub struct Host {
    /// What it is called.
    pub name: String,
    /// Where it keeps things.
    pub data_dir: PathBuf,
    /// Where it listens: on any port at first, on the same one when it is started again.
    pub listen: String,
    place: Place,
    child: Option<Child>,
}

impl Host {
    pub(crate) fn new(place: Place, name: &str, data_dir: PathBuf) -> Self {
        let listen = "/ip4/127.0.0.1/tcp/0".into();
        Self { name: name.into(), data_dir, listen, place, child: None }
    }

    /// Starts it and waits until it serves.
    pub fn up(&mut self) {
        self.launch();
        self.ready();
    }

    /// Starts it.
    ///
    /// # Panics
    /// When there can be no such process.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.expect("a log file");
        let mut command = self.up_command();
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().expect("p2p starts"));
    }

    /// Tries to start it, when that is expected to fail.
    ///
    /// # Panics
    /// When there can be no such process.
    #[must_use]
    pub fn up_in_vain(&self) -> Ran {
        self.up_command().output().expect("p2p starts").into()
    }

    fn up_command(&self) -> Command {
        if let Some(mut daemon) = self.place.daemon() {
            daemon
                .env("STARLING_DATA_DIR", &self.data_dir)
                .env("STARLING_NAME", &self.name)
                .env("STARLING_LISTEN", &self.listen)
                .env("STARLING_MDNS", "false");
            return daemon;
        }
        let words = ["up", "--foreground", "--quiet", "--mdns=false", "--name", &self.name];
        self.command(&[&words[..], &["--listen", &self.listen]].concat())
    }

    /// Waits until it serves.
    pub fn ready(&self) {
        until(&format!("{} serves", self.name), || {
            self.try_call("GET", "/readyz", "").ok().filter(|answer| answer.status == 200)
        });
    }

    /// `p2p` for this daemon.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.command(&[]);
        command.arg("--data-dir").arg(&self.data_dir).args(words);
        command
    }

    /// Runs `p2p` for this daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        self.command(words).output().expect("p2p starts").into()
    }

    /// Runs `p2p NAME … --format json`, which must succeed, and gives the data.
    #[must_use]
    pub fn data(&self, words: &[&str]) -> Value {
        let schema = format!("p2p.{}/1", words[0]);
        self.run(&[words, &["--format", "json"]].concat()).data(&schema)
    }

    /// Runs `p2p journal … --format json`, which must succeed, and gives the data.
    #[must_use]
    pub fn journal(&self, words: &[&str]) -> Value {
        let schema = format!("p2p.journal-{}/1", words[0]);
        self.run(&[&["journal"], words, &["--format", "json"]].concat()).data(&schema)
    }

    /// Asks an agent; the reply.
    #[must_use]
    pub fn ask(&self, agent: &str, request: &str, body: &Value) -> Value {
        let words = ["request", agent, request, &body.to_string()];
        serde_json::from_str(&self.run(&words).well()).expect("JSON")
    }

    /// Starts an agent here; gives its full address.
    #[must_use]
    pub fn start(&self, kind: &str, name: &str) -> String {
        let started = self.data(&["start", kind, "--name", name]);
        let part = |key: &str| started[key].as_str().unwrap_or_default().to_owned();
        format!("{}@{}", part("agent"), part("host"))
    }

    /// A token for one host.
    #[must_use]
    pub fn invite(&self) -> String {
        self.run(&["invite", "--quiet"]).well()
    }

    /// Joins, running.
    pub fn joins(&self, token: &str) {
        let _ = self.run(&["join", token]).well();
    }

    /// One call of the control API that gets an answer.
    ///
    /// # Panics
    /// When it gets none.
    #[must_use]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.try_call(method, path, &body.to_string());
        answer.unwrap_or_else(|why| panic!("{} does not answer: {why}", self.name))
    }

    /// One call of the control API.
    ///
    /// # Errors
    /// When it gets no answer.
    pub fn try_call(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        call(&self.socket(), method, path, body)
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> Value {
        self.call("GET", "/v1/status", &Value::Null).json()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        self.status()["host"].as_str().expect("an id").to_owned()
    }

    /// Where it listens now, so that it can be started again there.
    fn keep_port(&mut self) {
        if !self.listen.ends_with("/tcp/0") {
            return;
        }
        let address = self.address();
        self.listen = address.split("/p2p/").next().unwrap_or_default().to_owned();
    }

    /// Where others dial it.
    #[must_use]
    pub fn address(&self) -> String {
        let look = || self.status()["addresses"][0].as_str().map(str::to_owned);
        until(&format!("{} has an address", self.name), look)
    }

    /// A number of its metrics, as `strangers`.
    ///
    /// # Panics
    /// When there is no such metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.call("GET", "/metrics", &Value::Null).body;
        let names = [format!("starling_{name}_total "), format!("starling_{name} ")];
        let found = text.lines().find_map(|line| {
            names.iter().find_map(|name| line.strip_prefix(name.as_str())).map(str::to_owned)
        });
        found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}: {text}"))
    }

    /// What happened on it, the oldest first.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let answer = self.call("GET", "/v1/events?backlog=1000&follow=false", &Value::Null);
        answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits for an event of this name that is as wanted.
    pub fn event(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{} tells of {name}", self.name), || {
            self.events().into_iter().find(|event| event["event"] == name && wanted(event))
        })
    }

    /// How it sees another host, if it knows it.
    #[must_use]
    pub fn view(&self, other: &str) -> Option<Value> {
        let mut members = self.call("GET", "/v1/members", &Value::Null).json();
        let members: Vec<Value> = serde_json::from_value(members["items"].take()).ok()?;
        members.into_iter().find(|member| member["name"] == other)
    }

    /// Waits until it sees another host in this state.
    pub fn sees(&self, other: &str, state: &str) -> Value {
        let mut last = Value::Null;
        until(&format!("{} sees {other} as {state}", self.name), || {
            last = json!(self.view(other));
            (last["state"] == state).then(|| last.clone())
        })
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.keep_port();
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }

    /// Stops its process in its tracks; its connections stay open.
    pub fn freeze(&mut self) {
        self.keep_port();
        self.signal(Signal::STOP);
    }

    /// Lets its process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_child(child);
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Takes it down in good order; its process must end well.
    ///
    /// # Panics
    /// When it does not.
    pub fn down(&mut self) {
        self.keep_port();
        let _ = self.run(&["down"]).well();
        self.ended();
    }

    /// Its process ends by itself; it must end well.
    ///
    /// # Panics
    /// When it does not.
    pub fn ended(&mut self) {
        let ended = self.child.take().expect("it runs").wait().expect("it ends");
        assert!(ended.success(), "{} ended badly: {ended}", self.name);
    }

    /// Takes it down, does something to it, and starts it again at the same address.
    pub fn up_again_after(&mut self, what: impl FnOnce(&Self)) {
        self.down();
        what(self);
        self.up();
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let skip = log.lines().count().saturating_sub(LOG_LINES);
        log.lines().skip(skip).fold(String::new(), |all, line| format!("{all}  | {line}\n"))
    }

    // Beside the data directory, which some tests make or damage themselves.
    fn log_file(&self) -> PathBuf {
        self.place.dir().join(format!("{}.log", self.name))
    }
}

impl Drop for Host {
    #[allow(clippy::print_stderr, reason = "a failed test shows what its daemons have said")]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("the log of {}:\n{}", self.name, self.log());
        }
    }
}
