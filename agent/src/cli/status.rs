//! `vipd status`: once, or again and again in place.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use anstream::AutoStream;
use clap::{Args, ColorChoice};
use ratatui::crossterm::terminal;

use super::contact::{Contact, time_of_day};
use crate::{
    clock,
    instance::Instance,
    observe::{
        control,
        text::{Extent, Page, Paper, Tone},
    },
};

/// To the first line and column.
const HOME: &str = "\x1b[H";
/// Nothing is left of what was on the rest of the line.
const CLEAR_LINE: &str = "\x1b[K";
/// Nor of what was below.
const CLEAR_BELOW: &str = "\x1b[J";

/// How the status is shown.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print JSON, as docs/schema/status.json describes it.
    #[arg(long, conflicts_with_all = ["watch", "all"])]
    json: bool,
    /// Show it anew every so many seconds, in place, until Ctrl-C; also while the agent is away.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    watch: Option<Duration>,
    /// Show all of many virtual routers, not only those that are odd, and all of their addresses.
    #[arg(long)]
    all: bool,
    /// When to use colours; by default on a terminal, unless `$NO_COLOR` is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

/// A span between two looks.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let allowed = Duration::from_millis(100)..=Duration::from_hours(1);
    span.filter(|span| allowed.contains(span)).ok_or_else(|| "give a number of seconds from 0.1 to 3600".to_owned())
}

/// Shows the status.
pub(super) fn status(args: &StatusArgs, instance: &Instance) -> anyhow::Result<ExitCode> {
    if let Some(every) = args.watch {
        return watch(args, every, instance);
    }
    let snapshot = control::ask_status(&instance.socket())?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &snapshot)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", snapshot.page(args.extent()).text(args.paper()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows it for ever: Ctrl-C ends the program, and there is nothing to put back.
fn watch(args: &StatusArgs, every: Duration, instance: &Instance) -> anyhow::Result<ExitCode> {
    let mut contact = Contact::default();
    loop {
        contact.note(control::ask_status(&instance.socket()), clock::wall());
        let text = page(&contact, args.extent(), clock::wall()).text(args.paper());
        let mut out = io::stdout().lock();
        match height() {
            Some(height) => write!(out, "{}", in_place(&text, height))?,
            None => writeln!(out, "{text}")?,
        }
        out.flush()?;
        drop(out);
        thread::sleep(every);
    }
}

impl StatusArgs {
    const fn extent(&self) -> Extent {
        if self.all { Extent::All } else { Extent::Summary }
    }

    fn paper(&self) -> Paper {
        let out = io::stdout();
        let width = if out.is_terminal() { terminal::size().ok() } else { None };
        Paper {
            width: width.map(|(columns, _)| usize::from(columns)).filter(|&columns| columns > 0),
            has_colours: match self.color {
                ColorChoice::Auto => AutoStream::choice(&out) != anstream::ColorChoice::Never,
                ColorChoice::Always => true,
                ColorChoice::Never => false,
            },
        }
    }
}

/// Lines of the terminal that standard output is.
fn height() -> Option<usize> {
    let size = if io::stdout().is_terminal() { terminal::size().ok() } else { None };
    size.map(|(_, lines)| usize::from(lines)).filter(|&lines| lines > 0)
}

/// What is known of an agent at `wall`, a time since 1970.
fn page(contact: &Contact, extent: Extent, wall: Duration) -> Page {
    let mut page = contact.snapshot.as_ref().map(|snapshot| snapshot.page(extent)).unwrap_or_default();
    match &contact.absence {
        Some(absence) => {
            page.begin_with(&[(Tone::Bad, absence.to_string()), (Tone::Detail, known(contact).to_owned())])
        }
        None => page.begin_with(&[(Tone::Detail, time_of_day(wall))]),
    }
    page
}

const fn known(contact: &Contact) -> &'static str {
    if contact.snapshot.is_some() { "what it said last:" } else { "it is asked again and again" }
}

/// `text` from the top of a terminal of `height` lines on, in the place of what was there; what does not fit is only counted.
fn in_place(text: &str, height: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    // The last line holds the cursor.
    let room = height.saturating_sub(1).max(1);
    let mut shown: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    if lines.len() > room {
        shown.truncate(room - 1);
        shown.push(format!("... {} more lines", lines.len() - (room - 1)));
    }
    let body: String = shown.iter().map(|line| format!("{line}{CLEAR_LINE}\n")).collect();
    format!("{HOME}{body}{CLEAR_BELOW}")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::observe::testing::snapshot;

    #[test]
    fn a_page_in_place_leaves_nothing_of_the_one_before_and_scrolls_nothing() {
        assert_eq!(in_place("a\nb\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(in_place("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\n... 2 more lines\x1b[K\n\x1b[J");
        assert_eq!(in_place("a\nb\n", 1), "\x1b[H... 2 more lines\x1b[K\n\x1b[J");
    }

    #[test]
    fn an_agent_that_is_away_is_shown_with_what_it_said_last() {
        let mut contact = Contact::default();
        let wall = Duration::from_secs(3_723);
        let text = |contact: &Contact| page(contact, Extent::Summary, wall).text(Paper::default());
        contact.note(Err(anyhow!("no socket")), wall);
        let away = "AWAY the agent has not answered since 01:02:03 UTC: no socket\n";
        assert_eq!(text(&contact), format!("{away}it is asked again and again\n"));
        contact.note(Ok(snapshot()), wall);
        assert!(text(&contact).starts_with("01:02:03 UTC\nn2 of cluster ingress: "), "{}", text(&contact));
        contact.note(Err(anyhow!("no socket")), wall);
        let said = text(&contact);
        assert!(said.starts_with(&format!("{away}what it said last:\nn2 of cluster ingress: ")), "{said}");
    }

    #[test]
    fn a_watch_is_neither_busy_nor_asleep() {
        assert_eq!(seconds("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(seconds("3600"), Ok(Duration::from_hours(1)));
        for text in ["0.09", "3601", "-1", "NaN", "1s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
