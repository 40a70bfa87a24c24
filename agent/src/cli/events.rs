//! `vipd events`: what happens, as it happens.

use std::io::{self, Write};

use crate::{
    instance::Instance,
    observe::stream::{self, Line},
};

/// Shows events until it is ended, after that of number `since`.
pub(super) fn events(since: Option<u64>, json: bool, instance: &Instance) -> anyhow::Error {
    let mut journal = None;
    stream::follow(&instance.socket(), since, |line| {
        let mut out = io::stdout().lock();
        match line {
            Line::Journal { id, .. } => {
                if journal.replace(*id).is_some() {
                    writeln!(io::stderr(), "the agent was started anew, and its events have other numbers")?;
                }
            }
            Line::Missed(count) if json => writeln!(out, "{{\"missed\":{count}}}")?,
            Line::Missed(count) => writeln!(out, "... {count} events are not there any more")?,
            Line::Event(event) if json => writeln!(out, "{}", serde_json::to_string(event)?)?,
            Line::Event(event) => writeln!(out, "{event}")?,
        }
        Ok(out.flush()?)
    })
}
