//! `p2p doctor`

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use clap::Args;
use starling_node::api::{Finding, Listing, Verdict};

use crate::{
    client::{Client, Presence},
    daemon::Config,
    failure::{Exit, Failure},
    output::Output,
    session::Session,
    table::{Grid, Tone, field},
    text,
};

/// Look for what is wrong, and say what to do
///
/// Works without the daemon. Exit code 7 if something does not work.
#[derive(Debug, Args)]
#[command(before_help = "  p2p doctor
  p2p doctor --format json | jq '.data[] | select(.verdict == \"fail\")'
")]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let config = session.config()?;
        let client = session.client()?;
        let mut findings = vec![directory(&config.data_dir), key(&config)];
        findings.extend(daemon(&client, &session.program()).await);
        show(&session.out, findings)
    }
}

fn show(out: &Output, findings: Vec<Finding>) -> Result<(), Failure> {
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    let listing = Listing { items: findings, missing: Vec::new() };
    out.listing("doctor", &listing, |finding| &finding.check, grid)?;
    if !out.is_json() && !out.quiet {
        advise(out, &listing.items)?;
    }
    if failed { Err(Failure::Silent(Exit::Degraded)) } else { Ok(()) }
}

fn grid(findings: &[Finding]) -> Grid {
    let mut grid = Grid::new(&["VERDICT", "CHECK", "SEEN"]);
    for finding in findings {
        let (word, tone) = match finding.verdict {
            Verdict::Pass => ("pass", Tone::Good),
            Verdict::Warn => ("warn", Tone::Warn),
            Verdict::Fail => ("FAIL", Tone::Bad),
        };
        grid.row([field(word).tone(tone), field(&finding.check), field(&finding.seen)]);
    }
    grid
}

fn advise(out: &Output, findings: &[Finding]) -> Result<(), Failure> {
    let fixes = findings.iter().filter_map(|f| Some((f, f.fix.as_deref()?)));
    for (at, (finding, fix)) in fixes.enumerate() {
        if at == 0 {
            out.line(&format!("\n{}", out.paint.bold("What to do")))?;
        }
        out.line(&format!("  {}: {}", text::plain(&finding.check), text::plain(fix)))?;
    }
    Ok(())
}

fn finding(check: &str, verdict: Verdict, seen: String, fix: Option<String>) -> Finding {
    Finding { check: check.to_owned(), verdict, seen, fix }
}

fn directory(dir: &Path) -> Finding {
    let check = "data directory";
    let shown = dir.display();
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => {
            let fix = Some("choose another one with --data-dir".to_owned());
            finding(check, Verdict::Fail, format!("{shown} is not a directory"), fix)
        }
        Ok(meta) => private(check, dir, meta.permissions().mode(), "700", 0o022),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let fix = Some("p2p up makes it".to_owned());
            finding(check, Verdict::Warn, format!("{shown} does not exist yet"), fix)
        }
        Err(e) => finding(check, Verdict::Fail, format!("{shown}: {e}"), None),
    }
}

fn key(config: &Config) -> Finding {
    let check = "host key";
    let path = config.key_file();
    match fs::metadata(&path) {
        Ok(meta) => private(check, &path, meta.permissions().mode(), "600", 0o077),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let fix = Some("p2p up makes one".to_owned());
            finding(check, Verdict::Warn, "this host has no key yet".to_owned(), fix)
        }
        Err(e) => finding(check, Verdict::Fail, format!("{}: {e}", path.display()), None),
    }
}

/// Whether only its owner can use it; `harm` are the permissions of others that are not just
/// untidy.
fn private(check: &str, path: &Path, mode: u32, wanted: &str, harm: u32) -> Finding {
    let (shown, mode) = (path.display(), mode & 0o7777);
    if mode & 0o077 == 0 {
        return finding(check, Verdict::Pass, format!("{shown}, mode {mode:o}"), None);
    }
    let verdict = if mode & harm == 0 { Verdict::Warn } else { Verdict::Fail };
    let fix = format!("chmod {wanted} {}", text::shell(&path.to_string_lossy()));
    finding(check, verdict, format!("{shown} is open to other users, mode {mode:o}"), Some(fix))
}

/// What the daemon finds; when it cannot be asked, that is the finding.
async fn daemon(client: &Client, program: &str) -> Vec<Finding> {
    let socket = client.socket();
    let shown = socket.display();
    let check = "control socket";
    let fix = |what: &str| Some(format!("{program} {what}"));
    if client.presence().await == Presence::Absent {
        let seen = if client.listens().await {
            format!("{shown}: something listens, and does not answer")
        } else if socket.exists() {
            format!("{shown} is left from a daemon that is gone")
        } else {
            format!("no daemon answers at {shown}")
        };
        return vec![finding(check, Verdict::Fail, seen, fix("up"))];
    }
    let answers = finding(check, Verdict::Pass, format!("the daemon answers at {shown}"), None);
    let rest = match client.get::<Listing<Finding>>("/v1/doctor").await {
        Ok(found) => found.items,
        Err(Failure::Told { message, next, .. }) => {
            vec![finding("daemon", Verdict::Fail, message, next)]
        }
        Err(_) => Vec::new(),
    };
    std::iter::once(answers).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_read_is_not_private() {
        let path = Path::new("/x/host.key");
        assert_eq!(private("key", path, 0o100_600, "600", 0o077).verdict, Verdict::Pass);
        let open = private("key", path, 0o100_644, "600", 0o077);
        assert_eq!(open.verdict, Verdict::Fail);
        assert_eq!(private("dir", path, 0o40_755, "700", 0o022).verdict, Verdict::Warn);
        assert_eq!(open.fix.as_deref(), Some("chmod 600 /x/host.key"));
    }
}
