//! `vipd speakers`: who speaks VRRP and CARP, and who claims virtual addresses.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    inspect::{PinnedMaps, Speakers, View},
    instance::Instance,
};

/// Shows whom the guard has heard.
pub(super) fn speakers(json: bool, instance: &Instance) -> anyhow::Result<ExitCode> {
    let maps = PinnedMaps::open(instance)?;
    let speakers = Speakers::new(&maps.sources()?, &maps.claims()?, &View::present());
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &speakers)?;
        writeln!(out)?;
    } else {
        write!(out, "{speakers}")?;
    }
    Ok(ExitCode::SUCCESS)
}
