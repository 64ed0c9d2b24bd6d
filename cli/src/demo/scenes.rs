//! The story, scene by scene.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use starling_node::api::{self, Answered, Ask, Heard, Invite, Invited, Listing, Member, Started};
use tokio::time::{Instant, timeout, timeout_at};

use super::stage::{Host, Stage};
use crate::{
    client::{Client, Lines},
    commands::{join::join_running, members},
    failure::Failure,
    launch,
    output::Output,
    text,
};

const HOSTS: [&str; 3] = ["alpha", "beta", "gamma"];
const GUESTS: [&str; 3] = ["Ada", "Grace", "Edsger"];
const TOPIC: &str = "demo/said";

/// How long the hosts may take to know each other.
const MEET_TIME: Duration = Duration::from_secs(10);

/// How long the guests may take to say the next thing, and how long a silence ends a scene.
const TALK_TIME: Duration = Duration::from_secs(6);
const SILENCE: Duration = Duration::from_millis(300);

/// How long all three together may take to go down.
const CURTAIN_TIME: Duration = Duration::from_secs(15);

/// All scenes but the last.
pub(super) async fn tell(out: &Output, stage: &mut Stage) -> Result<(), Failure> {
    out.line(&out.paint.bold("Three hosts, one mesh, no broker between them."))?;
    start(out, stage).await?;
    let [alpha, beta, gamma] = stage.hosts() else {
        return Err(Failure::failed("three hosts were expected"));
    };
    admit(out, alpha, &[beta, gamma]).await?;
    meet(out, stage.hosts()).await?;
    converse(out, alpha).await?;
    ask(out, alpha, gamma).await
}

/// The last scene: they go down, and nothing is left behind.
pub(super) async fn curtain(out: &Output, mut stage: Stage) -> Result<(), Failure> {
    scene(out, 6, "Good night: all three go down in good order")?;
    command(out, "down", None)?;
    let late = |_| Err(Failure::late("not all three went down in time"));
    if let Err(failure) = timeout(CURTAIN_TIME, stage.down()).await.unwrap_or_else(late) {
        out.note(&stage.logs());
        stage.clear().await;
        return Err(failure);
    }
    drop(stage);
    say(out, &out.paint.green("three processes ended well, their data is removed"))?;
    out.line("\nNow your own: p2p up here, p2p invite, and p2p join --up on another machine.")
}

fn scene(out: &Output, number: usize, title: &str) -> Result<(), Failure> {
    out.line(&format!("\n{}", out.paint.bold(&format!("{number}. {title}"))))
}

/// What one would type to do the same, and on which host.
fn command(out: &Output, words: &str, on: Option<&str>) -> Result<(), Failure> {
    let host = on.map(|host| format!("{host} ")).unwrap_or_default();
    say(out, &out.paint.dim(&format!("{host}$ p2p {words}")))
}

fn say(out: &Output, text: &str) -> Result<(), Failure> {
    out.line(&format!("   {text}"))
}

async fn start(out: &Output, stage: &mut Stage) -> Result<(), Failure> {
    scene(out, 1, "Three daemons start, each alone in a mesh of its own")?;
    for name in HOSTS {
        stage.add(name)?;
    }
    stage.ready().await?;
    for host in stage.hosts() {
        command(out, &format!("up --name {}", host.name), None)?;
        let status: api::Status = host.client.get("/v1/status").await?;
        let (id, mesh) = (text::short(&status.host), text::short(&status.mesh));
        let name = out.paint.cyan(host.name);
        say(out, &format!("{name} is host {id} in mesh {mesh}, process {}", status.pid))?;
    }
    Ok(())
}

async fn admit(out: &Output, alpha: &Host, others: &[&Host]) -> Result<(), Failure> {
    scene(out, 2, "alpha invites, beta and gamma join")?;
    for host in others {
        let invite = Invite { life_seconds: Some(300), uses: Some(1), may_admit: false };
        let invited: Invited = alpha.client.post("/v1/invites", &invite).await?;
        command(out, "invite", Some(alpha.name))?;
        let token: String = invited.token.chars().take(18).collect();
        command(out, &format!("join {}…", text::plain(&token)), Some(host.name))?;
        let joined = join_running(&host.client, invited.token).await?;
        let name = out.paint.cyan(host.name);
        say(out, &format!("{name} is now in mesh {}", text::short(&joined.mesh)))?;
    }
    Ok(())
}

async fn meet(out: &Output, hosts: &[Host]) -> Result<(), Failure> {
    scene(out, 3, "Everybody knows everybody")?;
    let all = async || {
        for host in hosts {
            if !knows_all(&host.client).await {
                return false;
            }
        }
        true
    };
    let met = launch::until(MEET_TIME, all).await;
    command(out, "members", hosts.first().map(|host| host.name))?;
    for host in hosts.iter().take(1) {
        let members: Listing<Member> = host.client.get("/v1/members").await?;
        let table = members::grid(&members.items).render(true, out.paint.is_on());
        table.lines().try_for_each(|line| say(out, line))?;
    }
    let late = || Failure::late(format!("not all hosts were linked after {MEET_TIME:?}"));
    met.then_some(()).ok_or_else(late)
}

async fn knows_all(client: &Client) -> bool {
    let members: Result<Listing<Member>, _> = client.get("/v1/members").await;
    let near = |member: &&Member| matches!(member.state.as_str(), "self" | "linked");
    members.is_ok_and(|members| members.items.iter().filter(near).count() == HOSTS.len())
}

async fn converse(out: &Output, alpha: &Host) -> Result<(), Failure> {
    scene(out, 4, "A guest arrives on each host; those who are there greet")?;
    command(out, &format!("subscribe {TOPIC}"), Some(alpha.name))?;
    let path = format!("/v1/subscribe?topic={}", text::query(TOPIC));
    let mut talk = Talk { lines: alpha.client.stream(&path).await?, heard: Vec::new() };
    for (before, (guest, host)) in GUESTS.into_iter().zip(HOSTS).enumerate() {
        let name = guest.to_lowercase();
        let state = json!({ "name": guest });
        let words = format!("start guest --name {name} --on {host} --state '{state}'");
        command(out, &words, Some(alpha.name))?;
        begin(alpha, "guest", &name, host, Some(state)).await?;
        // Everyone who was there before has something to say to the newcomer.
        let enough = talk.heard.len() + before;
        talk.listen(out, enough).await?;
    }
    talk.judge()
}

async fn begin(
    from: &Host,
    kind: &str,
    name: &str,
    on: &str,
    state: Option<Value>,
) -> Result<Started, Failure> {
    let (host, name) = (Some(on.to_owned()), Some(name.to_owned()));
    let start = api::Start { kind: kind.to_owned(), host, name, state };
    from.client.post("/v1/agents", &start).await
}

/// What was said.
struct Talk {
    lines: Lines,
    heard: Vec<[String; 2]>,
}

impl Talk {
    /// Prints what is said until there is enough and then a silence, or too long a silence.
    async fn listen(&mut self, out: &Output, enough: usize) -> Result<(), Failure> {
        let limit = Instant::now() + TALK_TIME;
        loop {
            let calm = if self.heard.len() >= enough { Instant::now() + SILENCE } else { limit };
            match timeout_at(calm.min(limit), self.lines.next::<Heard>()).await {
                Err(_) => return Ok(()),
                Ok(heard) => match heard? {
                    Some(heard) => self.hear(out, &heard)?,
                    None => return Err(Failure::failed("alpha ended the subscription")),
                },
            }
        }
    }

    fn hear(&mut self, out: &Output, heard: &Heard) -> Result<(), Failure> {
        let Heard::Message { body, from_host, .. } = heard else {
            out.warn("something that was said got lost on the way");
            return Ok(());
        };
        let [from, to, said] =
            ["from", "to", "text"].map(|key| text::plain(body[key].as_str().unwrap_or("?")));
        let (speaker, host) =
            (out.paint.cyan(&from), out.paint.dim(&format!("({})", text::plain(from_host))));
        say(out, &format!("  {speaker} → {to}: {said}  {host}"))?;
        self.heard.push([from, to]);
        Ok(())
    }

    /// It was a conversation if everybody took part and more than one spoke.
    fn judge(&self) -> Result<(), Failure> {
        let present: BTreeSet<&str> = self.heard.iter().flatten().map(String::as_str).collect();
        let speakers: BTreeSet<&str> = self.heard.iter().map(|[from, _]| from.as_str()).collect();
        let absent: Vec<_> = GUESTS.into_iter().filter(|guest| !present.contains(guest)).collect();
        if absent.is_empty() && speakers.len() > 1 {
            return Ok(());
        }
        let lines = text::count(self.heard.len(), "line");
        let silent = if absent.is_empty() {
            String::new()
        } else {
            format!("; nothing of {}", absent.join(", "))
        };
        Err(Failure::late(format!("there was no conversation: {lines} heard{silent}")))
    }
}

async fn ask(out: &Output, alpha: &Host, gamma: &Host) -> Result<(), Failure> {
    scene(out, 5, "Requests across hosts")?;
    for (kind, name, on) in [("counter", "visits", "beta"), ("echo", "echo", "alpha")] {
        command(out, &format!("start {kind} --name {name} --on {on}"), Some(alpha.name))?;
        begin(alpha, kind, name, on, None).await?;
    }
    let add = json!({ "by": 3 });
    request(out, alpha, "visits@beta", "counter/add", add, |reply| *reply == 3).await?;
    let add = json!({ "by": 4 });
    request(out, gamma, "visits@beta", "counter/add", add, |reply| *reply == 7).await?;
    let text = "is anybody there?";
    let heard = |reply: &Value| reply["text"] == text;
    request(out, gamma, "echo@alpha", "echo/say", json!({ "text": text }), heard).await
}

async fn request(
    out: &Output,
    from: &Host,
    to: &str,
    request: &str,
    body: Value,
    right: impl FnOnce(&Value) -> bool,
) -> Result<(), Failure> {
    command(out, &format!("request {to} {request} '{body}'"), Some(from.name))?;
    let ask = Ask { to: to.into(), request: request.into(), body, timeout_ms: Some(5_000) };
    let asked = Instant::now();
    let answered: Answered = from.client.post("/v1/request", &ask).await?;
    let took = format!("in {:.1} ms", asked.elapsed().as_secs_f64() * 1e3);
    let reply = text::plain(&answered.reply.to_string());
    if !right(&answered.reply) {
        return Err(Failure::failed(format!("{to} gave a wrong answer: {reply}")));
    }
    say(out, &format!("{}  {}", out.paint.green(&reply), out.paint.dim(&took)))
}
