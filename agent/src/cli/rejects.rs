//! `vipd rejects`: the last bad frames.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use vrrp_wire::abi::Reject;

use super::RejectsArgs;
use crate::{
    inspect::{PinnedMaps, RejectRow, Rejects, View, capture},
    instance::Instance,
};

/// Shows what the guard has kept, or writes it into a capture file.
pub(super) fn rejects(args: &RejectsArgs, instance: &Instance) -> anyhow::Result<ExitCode> {
    let kept = PinnedMaps::open(instance)?.rejects()?;
    let view = View::present();
    let first = args.limit.map_or(0, |limit| kept.len().saturating_sub(limit));
    let kept = &kept[first..];
    match &args.pcap {
        Some(file) => save(file, kept, &view)?,
        None => show(args, &Rejects { rejects: kept.iter().map(|reject| RejectRow::new(reject, &view)).collect() })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &RejectsArgs, rejects: &Rejects) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, rejects)?;
        writeln!(out)?;
    } else {
        write!(out, "{rejects}")?;
    }
    Ok(())
}

fn save(file: &Path, kept: &[Reject], view: &View) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        return capture::write(&mut io::stdout().lock(), kept, view).context("failed to write the capture");
    }
    let name = file.display();
    let opened = File::create(file).with_context(|| format!("failed to create `{name}`"))?;
    capture::write(&mut BufWriter::new(opened), kept, view).with_context(|| format!("failed to write `{name}`"))?;
    writeln!(io::stdout(), "wrote {} frames to {name}", kept.len())?;
    Ok(())
}
