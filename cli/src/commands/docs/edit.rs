use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use serde_json::Value;
use starling_node::api::documents::{DocEdit, DocSeen};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::{query, set::How, written};
use crate::{
    failure::{Exit, Failure},
    json,
    session::Session,
    text,
};

/// Change a document in an editor, as JSON
///
/// The editor is $VISUAL, or $EDITOR, or vi. What others change meanwhile is kept, where you do not
/// change it too. An editor that fails, or a text that is as it was, changes nothing. What you have
/// written is kept in a file until it stands in the document.
#[derive(Debug, Args)]
#[command(before_help = "  p2p docs edit conf/echo
  VISUAL='code --wait' p2p docs edit conf/echo -m 'more rooms'
")]
pub(crate) struct Edit {
    /// The document
    name: String,
    #[command(flatten)]
    how: How,
}

impl Edit {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { name, how } = self;
        let path = format!("/v1/docs/get?{}", query(&[("name", Some(&name))]));
        let seen: DocSeen = session.client()?.get(&path).await?;
        let shown = serde_json::to_string_pretty(&seen.value).map_err(io::Error::from)? + "\n";
        let draft = Draft::new(&name, &shown)?;
        // An interrupt is the editor's: what was typed outlives it.
        let editing = signal(SignalKind::interrupt())?;
        let ran = open_editor(&draft.file);
        drop(editing);
        let Ok(edited) = fs::read(&draft.file) else {
            ran?;
            let message = "the editor has left no file; nothing was changed";
            return Err(Failure::failed(message).next("it has to write the file that it is given"));
        };
        if edited == shown.as_bytes() {
            ran?;
            session.out.note("nothing was changed");
            return Ok(());
        }
        let value = match ran.and_then(|()| document(edited)) {
            Ok(value) => value,
            Err(why) => return Err(draft.kept(session, &name, why)),
        };
        if value == seen.value {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let edit = DocEdit { value: Some(value), shown: Some(seen.value), ..DocEdit::default() };
        match how.make(session, name.clone(), vec![edit]).await {
            Ok(done) => written(session, "docs-edit", &done),
            Err(why) => Err(draft.kept(session, &name, why)),
        }
    }
}

/// What was typed, as a document.
fn document(edited: Vec<u8>) -> Result<Value, Failure> {
    let text = String::from_utf8(edited)
        .map_err(|_| Failure::failed("what you have written is no text in UTF-8"))?;
    match json::parse("what you have written", &text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::failed("a document is a map, and this is none")),
        Err(Failure::Told { message, .. }) => Err(Failure::failed(message)),
        Err(why) => Err(why),
    }
}

/// The file that is edited. It is alone in its directory, which goes with whatever the editor has
/// left beside it.
struct Draft {
    dir: TempDir,
    file: PathBuf,
}

impl Draft {
    fn new(name: &str, shown: &str) -> Result<Self, Failure> {
        let make = || {
            // Others on this machine need not read it.
            let mine = fs::Permissions::from_mode(0o700);
            let dir = tempfile::Builder::new().prefix("p2p-edit-").permissions(mine).tempdir()?;
            let file = dir.path().join(name.replace('/', "-") + ".json");
            fs::write(&file, shown)?;
            Ok(Self { dir, file })
        };
        make().map_err(|why: io::Error| {
            let dir = env::temp_dir();
            let message = format!("cannot make a file in {}: {why}", dir.display());
            Failure::failed(format!("{message}; nothing was changed"))
                .next("choose another directory with TMPDIR")
        })
    }

    /// Keeps what was typed: it is not in the document. Tells where, and what to do with it.
    fn kept(self, session: &Session, name: &str, why: Failure) -> Failure {
        let Self { dir, file } = self;
        let _ = dir.keep();
        let Failure::Told { exit, message, next } = why else { return why };
        let place = text::shell(&file.to_string_lossy());
        let set = format!("{} docs set {name} '' @{place}", session.program());
        let (message, next) = match (exit, next) {
            (Exit::NotFound, _) => {
                let message = format!("{name} was deleted meanwhile; nothing was changed");
                (message, format!("to make it anew: {set}"))
            }
            (_, Some(next)) => (message, format!("{next}; then, to set the whole document: {set}")),
            (_, None) => (message, format!("mend it, then set the whole document: {set}")),
        };
        let message = format!("{message}\nwhat you have written is in {place}");
        Failure::Told { exit, message, next: Some(next) }
    }
}

/// Runs the editor, which may have arguments, as a shell would.
fn open_editor(file: &Path) -> Result<(), Failure> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut script = editor.clone();
    script.push(" \"$1\"");
    let ended = Command::new("/bin/sh").arg("-c").arg(script).arg("sh").arg(file).status();
    let why = match ended {
        Ok(ended) if ended.success() => return Ok(()),
        Ok(ended) => ended.to_string(),
        Err(why) => why.to_string(),
    };
    let editor = text::plain(&editor.to_string_lossy());
    Err(Failure::failed(format!("the editor {editor} failed ({why}); nothing was changed"))
        .next("choose another with VISUAL or EDITOR"))
}
