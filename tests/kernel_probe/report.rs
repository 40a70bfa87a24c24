//! The lines that are read on the other side of the serial port.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::{Context, Result};
use nix::sys::utsname::{UtsName, uname};

/// The version of Linux that a feature came with: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Since(pub(crate) u32, pub(crate) u32);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What a kernel can do, line by line.
pub(crate) struct Report {
    running: Since,
}

impl Report {
    /// Says which kernel this is.
    pub(crate) fn begin() -> Result<Self> {
        let system = uname().context("failed to ask for the kernel's version")?;
        say("kernel", &version(&system), "");
        let release = system.release().to_string_lossy();
        let mut numbers = release.split(['.', '-', '+']).map_while(|number| number.parse().ok());
        let major = numbers.next().with_context(|| format!("`{release}` is no version"))?;
        Ok(Self { running: Since(major, numbers.next().unwrap_or(0)) })
    }

    /// Tries `feature`, which kernels have since `since`.
    pub(crate) fn check(&mut self, feature: &str, since: Since, attempt: impl FnOnce() -> Result<String>) {
        match attempt() {
            Ok(detail) => say(feature, "ok", &detail),
            Err(error) if self.running < since => {
                log(feature, &error);
                say(feature, "no", &format!("needs Linux {since}"));
            }
            Err(error) => {
                log(feature, &error);
                say(feature, "failed", &format!("{error:#}"));
            }
        }
    }
}

/// Says that nothing is missing.
pub(crate) fn end() {
    say("end", "ok", "");
}

/// The version that Debian gives it, which says more than the release that modules are built for.
fn version(system: &UtsName) -> String {
    let long = system.version().to_string_lossy();
    let mut words = long.split(' ').skip_while(|word| *word != "Debian");
    let debian = words.nth(1).map(|version| version.split('-').next().unwrap_or(version).to_owned());
    debian.unwrap_or_else(|| system.release().to_string_lossy().into_owned())
}

fn say(feature: &str, outcome: &str, detail: &str) {
    let detail = detail.split(['\n', '\t', '\r']).collect::<Vec<_>>().join(" ");
    // Nobody is left to be told.
    let _ = writeln!(io::stdout(), "{feature}\t{outcome}\t{detail}");
}

fn log(feature: &str, error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "{feature}: {error:#}");
}
