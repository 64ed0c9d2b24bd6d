//! A bare TCP connection between two processes: the floor of requests.

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    cli::Requests,
    frame,
    meter::Meter,
    procs::{self, Kid},
    report::{Outcome, Report},
    run,
};

const NAME: &str = "tcp-echo";

/// Echoes to whoever connects, after printing where.
pub fn serve(args: &Requests) -> Result<()> {
    procs::leave_with_parent();
    run::as_task(args.threads, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(frame::echo(stream));
        }
    })
}

/// Measures against a second process.
pub fn measure(args: &Requests) -> Result<Outcome> {
    let kid = Kid::of_self(args.serving(NAME))?;
    let address = kid.line(procs::START)?;
    let Requests {
        outstanding, bytes, ..
    } = *args;
    let mut meter = Meter::start(args.seconds, &[kid.pid])?;
    let meter = run::as_task(args.threads, async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        frame::drive(stream, outstanding, bytes, &mut meter).await?;
        Ok(meter)
    })?;
    Ok(Report::requests(NAME, args, &meter).into())
}
