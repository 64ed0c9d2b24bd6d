//! The demonstration: three daemons, three processes, one conversation.

mod scenes;
mod stage;

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{failure::Failure, output::Output};
use stage::Stage;

/// More than the sum of what any run should take, so that nobody waits for ever.
const STORY_TIME: Duration = Duration::from_secs(60);

/// Plays it, and leaves nothing behind, however it ends; except with `keep`.
pub(crate) async fn play(out: &Output, keep: bool) -> Result<(), Failure> {
    let mut stage = Stage::set()?;
    let told = tokio::select! {
        told = timeout(STORY_TIME, scenes::tell(out, &mut stage)) => {
            told.unwrap_or_else(|_| Err(Failure::late("the demo took too long")))
        }
        () = interruption() => {
            stage.clear().await;
            return Err(Failure::failed("interrupted; nothing is left behind"));
        }
    };
    match told {
        Ok(()) if keep => stage.leave(out),
        Ok(()) => scenes::curtain(out, stage).await,
        Err(failure) => {
            if failure != Failure::PipeClosed {
                out.note(&stage.logs());
            }
            stage.clear().await;
            Err(failure)
        }
    }
}

/// Ctrl-C, the end of the terminal, or a polite kill.
async fn interruption() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hangup] = kinds.map(|kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    });
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
        () = hangup => {}
    }
}
