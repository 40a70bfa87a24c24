//! `vipd keygen`: a new key for `[auth]`.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{self, Path},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

/// Length of a new secret in bytes: as many as HMAC-SHA256 has strength for.
const SECRET_LEN: usize = 32;

/// Prints a new key, or puts it into the new file `output`.
pub(super) fn keygen(output: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut secret = Zeroizing::new([0; SECRET_LEN]);
    getrandom::fill(&mut *secret).map_err(|error| anyhow!("the kernel has no random bytes for a key: {error}"))?;
    let line = line(&secret);
    match output {
        Some(file) => write_new(file, &line)?,
        None => {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("failed to print the key")?;
        }
    }
    writeln!(io::stderr(), "{}", usage(output))?;
    Ok(ExitCode::SUCCESS)
}

/// The line of a key file.
fn line(secret: &[u8; SECRET_LEN]) -> Zeroizing<String> {
    // Room for all of it, so that it never moves and leaves a copy behind.
    let mut line = Zeroizing::new(String::with_capacity("hex:\n".len() + 2 * SECRET_LEN));
    line.push_str("hex:");
    for byte in secret {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    line
}

/// Puts `line` into a file that was not there before and that only its owner can read; directories on the way to it are made like that.
pub(super) fn write_new(file: &Path, line: &str) -> anyhow::Result<()> {
    let name = file.display();
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    let mut opened = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(anyhow!("`{name}` exists, and a key is never overwritten: name another file"));
        }
        opened => opened.with_context(|| format!("failed to create `{name}`"))?,
    };
    let written = opened.write_all(line.as_bytes()).and_then(|()| opened.sync_all());
    if written.is_err() {
        // Half a key is worse than none; the first error is the one to report.
        let _ = fs::remove_file(file);
    }
    written.with_context(|| format!("failed to write `{name}`"))
}

/// What to do with the key.
fn usage(output: Option<&Path>) -> String {
    let file = output.unwrap_or(Path::new("/etc/vipd/keys/1"));
    let file = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!(
        "Keep the key in a file that only root can read (mode 0600), the same on every node, and name it in the\n\
         configuration. On a cluster that runs, go from mode \"receive-only\" over \"permissive\" to \"enforce\":\n\
         \n\
         [auth]\n\
         mode = \"enforce\"\n\
         active_key = 1\n\
         keys = [{{ id = 1, file = \"{}\" }}]\n\
         \n\
         keepalived, from 2.4.2 on, takes the same text as a key of its auth_hmac.",
        file.display()
    )
}
