//! How each case went, for the table in docs/interop.md.

use std::{env, fmt, fs, path::Path};

use anyhow::{Context, Result};

use super::{scenes::Case, served::Served, terms::Side};

/// The variable that names the directory where `cargo xtask interop` wants the results.
const RESULTS: &str = "VIPD_INTEROP_RESULTS";

/// The context of an error that is about one dialect: the others may have gone well until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of(&'static str);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The context of an error that is about `served`.
pub(crate) const fn of(served: &Served) -> Of {
    Of(served.dialect)
}

/// Writes down how the case went in each dialect, where somebody wants to know.
pub(crate) fn note(case: Case, went: &Result<()>) -> Result<()> {
    let Some(directory) = env::var_os(RESULTS) else { return Ok(()) };
    let peer = format!("{} {}", case.peer.name(), case.peer.version()?);
    let first = match case.first {
        Side::Vipd => "vipd",
        Side::Peer => case.peer.name(),
    };
    let file = Path::new(&directory).join(case.file_name());
    let lines = case.peer.served().iter().map(|served| {
        let (outcome, detail) = outcome(went, served.dialect);
        [&peer, first, served.dialect, case.scene.title(), outcome, &detail].join("\t") + "\n"
    });
    fs::write(&file, lines.collect::<String>()).with_context(|| format!("failed to write `{}`", file.display()))
}

/// `ok`, or `failed` and why.
fn outcome(went: &Result<()>, dialect: &str) -> (&'static str, String) {
    let Err(error) = went else { return ("ok", String::new()) };
    let why = match error.downcast_ref::<Of>() {
        Some(Of(other)) if *other != dialect => format!("not seen to the end: it failed for {other}"),
        Some(_) | None => format!("{error:#}").lines().next().unwrap_or_default().replace('\t', " "),
    };
    ("failed", why)
}
