use std::{env, fs, io, path::Path, process::Command};

use clap::Args;
use serde_json::Value;
use starling_node::api::documents::{DocEdit, DocSeen};

use super::{query, set::How, written};
use crate::{failure::Failure, session::Session, text};

/// Change a document in an editor, as JSON
///
/// The editor is $VISUAL, or $EDITOR, or vi. What others change meanwhile is kept, where you do not
/// change it too. An editor that fails, or a text that is as it was, changes nothing.
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
        let path = format!("/v1/docs/get?{}", query(&[("name", Some(&self.name))]));
        let seen: DocSeen = session.client()?.get(&path).await?;
        let shown = serde_json::to_string_pretty(&seen.value).map_err(io::Error::from)? + "\n";
        let stem = self.name.replace('/', "-");
        let file = tempfile::Builder::new().prefix(&format!("{stem}-")).suffix(".json").tempfile();
        let file = file?.into_temp_path();
        fs::write(&file, &shown)?;
        open_editor(&file)?;
        let edited = fs::read_to_string(&file)?;
        if edited == shown {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let value: Value = match serde_json::from_str(&edited) {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) => return Err(kept(file, "a document is a map, and this is none", &self.name)),
            Err(why) => return Err(kept(file, &format!("it is no JSON: {why}"), &self.name)),
        };
        let (value, shown) = (Some(value), Some(seen.value));
        if value == shown {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let edit = DocEdit { value, shown, ..DocEdit::default() };
        match self.how.make(session, self.name.clone(), vec![edit]).await {
            Ok(done) => written(session, "docs-edit", &done),
            // What was typed is not lost.
            Err(Failure::Told { exit, message, next }) => {
                let place = keep(file);
                let message = format!("{message}\nwhat you have written is in {place}");
                Err(Failure::Told { exit, message, next })
            }
            Err(why) => Err(why),
        }
    }
}

/// Runs the editor, which may have arguments, as a shell would.
fn open_editor(file: &Path) -> Result<(), Failure> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut script = editor.clone();
    script.push(" \"$1\"");
    let ended = Command::new("/bin/sh").arg("-c").arg(script).arg("sh").arg(file).status()?;
    if ended.success() {
        return Ok(());
    }
    let editor = text::plain(&editor.to_string_lossy());
    Err(Failure::failed(format!("the editor {editor} failed ({ended}); nothing was changed"))
        .next("choose another with VISUAL or EDITOR"))
}

/// Keeps what was written; tells where.
fn keep(file: tempfile::TempPath) -> String {
    match file.keep() {
        Ok(path) => path.display().to_string(),
        Err(why) => format!("a file that could not be kept: {why}"),
    }
}

fn kept(file: tempfile::TempPath, why: &str, name: &str) -> Failure {
    let place = keep(file);
    let message = format!("{why}; nothing was changed\nwhat you have written is in {place}");
    Failure::failed(message).next(format!("mend it, then: p2p docs set {name} '' @{place}"))
}
