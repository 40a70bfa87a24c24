//! Standard error where systemd's journal reads it: the journal knows the time, and takes the level from the beginning of a line.

use std::{env, fmt, io, os::fd::AsFd as _};

use nix::sys::stat::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

/// Device and inode of the journal's stream, as systemd gives them.
const STREAM: &str = "JOURNAL_STREAM";

/// Whether standard error goes to the journal.
pub(crate) fn is_standard_error() -> bool {
    let Ok(file) = fstat(io::stderr().as_fd()) else { return false };
    env::var(STREAM).is_ok_and(|stream| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// Lines that begin with their level, as sd-daemon(3) writes it.
pub(crate) struct Levelled(pub(crate) Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Levelled
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{level}>")?;
        self.0.format_event(context, writer, event)
    }
}
