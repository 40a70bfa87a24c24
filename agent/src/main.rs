//! The `vipd` program.

mod journal;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::format};
use vipd::{
    cli::{Cli, execute},
    memory,
};

fn main() -> ExitCode {
    memory::share_heaps();
    let cli = Cli::parse();
    let _flushed_at_the_end = start_log();
    match execute(cli) {
        Ok(status) => status,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is logged unless `VIPD_LOG` says otherwise. kube tells of every failed request; checks tell of the first.
const LOGGED: &str = "info,kube_client=off";

/// Lines of the log that wait at most, for which there is room from the start: more than hundreds of virtual routers write at once.
const LOG_LINES_MAX: usize = 2_048;

/// Logs to standard error through a queue that drops lines when it is full: whoever reads the log, or no longer does,
/// must not hold up an election.
fn start_log() -> WorkerGuard {
    let queue = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LOG_LINES_MAX);
    let (writer, guard) = queue.thread_name("log").finish(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("VIPD_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED)))
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false);
    if journal::is_standard_error() {
        log.event_format(journal::Levelled(format().without_time())).init();
    } else {
        log.init();
    }
    guard
}
