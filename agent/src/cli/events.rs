//! `vipd events`: what happens, as it happens.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    instance::Instance,
    observe::{
        event::Event,
        stream::{self, Line},
    },
};

/// What a line is with `--json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum JsonLine<'a> {
    /// What happened.
    Event(&'a Event),
    /// That it is not known what happened.
    Missed {
        /// So many events are not there any more.
        missed: u64,
    },
}

/// Shows events until it is ended, after that of number `since`.
pub(super) fn events(since: Option<u64>, json: bool, instance: &Instance) -> anyhow::Error {
    let mut journal = None;
    stream::follow(&instance.socket(), since, |line| {
        let mut out = io::stdout().lock();
        let shown = match line {
            Line::Journal { id, .. } => {
                if journal.replace(*id).is_some() {
                    writeln!(io::stderr(), "the agent was started anew, and its events have other numbers")?;
                }
                return Ok(());
            }
            Line::Missed(count) if json => serde_json::to_string(&JsonLine::Missed { missed: *count })?,
            Line::Missed(count) => format!("... {count} events are not there any more"),
            Line::Event(event) if json => serde_json::to_string(&JsonLine::Event(event))?,
            Line::Event(event) => event.to_string(),
        };
        writeln!(out, "{shown}")?;
        Ok(out.flush()?)
    })
}
