//! A channel of tokio between two tasks of one thread: the floor of tells.

use anyhow::Result;
use tokio::sync::{mpsc, oneshot};

use super::local;
use crate::{cli::Tells, meter::Meter, pipeline, report::Outcome};

enum Message {
    Add(u64),
    Read(oneshot::Sender<u64>),
}

async fn count(mut mailbox: mpsc::UnboundedReceiver<Message>) {
    let mut total = 0u64;
    while let Some(message) = mailbox.recv().await {
        match message {
            Message::Add(number) => total = total.wrapping_add(number),
            Message::Read(answer) => drop(answer.send(total)),
        }
    }
}

/// Measures tells.
pub fn tell(args: &Tells) -> Result<Outcome> {
    let seconds = args.seconds;
    let meter = local::on_one_thread(async move {
        let (sender, mailbox) = mpsc::unbounded_channel();
        tokio::spawn(count(mailbox));
        let tell = || Ok(sender.send(Message::Add(1))?);
        let barrier = || {
            let (answer, total) = oneshot::channel();
            sender.send(Message::Read(answer))?;
            Ok(async { Ok(total.await?) })
        };
        pipeline::told(Meter::start(seconds, &[])?, tell, barrier).await
    })?;
    Ok(local::told("tokio-mpsc", &meter).into())
}
