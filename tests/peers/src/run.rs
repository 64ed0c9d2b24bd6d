//! Runtimes and names of the measured programs.

use std::{
    env,
    future::Future,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// One thread is the current one; more are worker threads.
pub fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(threads.max(1))
        .enable_all()
        .build()?)
}

/// Runs a future as a task of its own.
///
/// Waking the future given to `block_on` costs a system call on one thread;
/// waking a task does not.
pub fn as_task<F, T>(threads: usize, future: F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    runtime(threads)?.block_on(async { tokio::spawn(future).await? })
}

/// A program on the search path, or where servers are installed beside it.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = ["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(beside)
        .map(|folder| folder.join(name))
        .find(|file| Path::is_file(file))
}
