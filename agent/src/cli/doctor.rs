//! `vipd doctor`: what is amiss on this host.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{DoctorArgs, commands::WRONG_INPUT};
use crate::{daemon::Origin, doctor, instance::Instance};

/// Looks, and says what was found; the exit status tells whether anything must be mended.
pub(super) fn doctor(args: &DoctorArgs, origin: &Origin, instance: &Instance) -> anyhow::Result<ExitCode> {
    let mut report = doctor::examine(&origin.path, &origin.identity, instance);
    if args.quiet {
        report.forget_remarks();
    }
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(match (report.is_misconfigured(), report.has_errors()) {
        (true, _) => ExitCode::from(WRONG_INPUT),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}
