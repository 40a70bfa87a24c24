//! `vipd import`: what is typed to hosts and options, and what came of it to the streams.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{self, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::{ImportArgs, keygen::write_new};
use crate::import::{self, Disk, Import, Options, Source};

/// Imports configurations of keepalived; prints nothing but notes where something is lost that is not allowed to be.
pub(super) fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let sources = sources(&args)?;
    let keys = args.keys.as_deref().map(path::absolute).transpose().context("failed to find the directory for keys")?;
    let import = import::import(&Disk, &sources, &Options { interface: args.interface, keys })?;
    let mut log = io::stderr().lock();
    log.write_all(import.report().as_bytes())?;
    if import.loses() && !args.allow_loss {
        writeln!(log, "nothing is imported, because of what is lost")?;
        writeln!(log, "  help: change keepalived's configuration as they say, or import without it: --allow-loss")?;
        return Ok(ExitCode::FAILURE);
    }
    drop(log);
    if args.keys.is_some() {
        write_keys(&import)?;
    }
    let mut out = io::stdout().lock();
    out.write_all(import.toml.as_bytes())?;
    if args.annotate && !import.notes.is_empty() {
        write!(out, "\n{}", import.comments())?;
    }
    out.flush().context("failed to print the configuration")?;
    Ok(ExitCode::SUCCESS)
}

/// The hosts that are typed as `[NAME=]FILE`. One without a name is called as this machine, or by its number.
fn sources(args: &ImportArgs) -> anyhow::Result<Vec<Source>> {
    let mut addresses: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for typed in &args.addresses {
        let (name, address) =
            typed.split_once('=').with_context(|| format!("--address {typed}: write NAME=ADDRESS"))?;
        let address = address.parse().with_context(|| format!("--address {typed}: `{address}` is not an address"))?;
        addresses.entry(name).or_default().push(address);
    }
    let mut sources: Vec<Source> = Vec::new();
    for (index, typed) in args.sources.iter().enumerate() {
        let named = typed.split_once('=').filter(|(name, _)| !name.is_empty() && !name.contains('/'));
        let (name, file) = match named {
            Some((name, file)) => (name.to_owned(), file),
            None => (default_name(index, args.sources.len()), typed.as_str()),
        };
        if sources.iter().any(|source| source.name == name) {
            bail!("two hosts are called `{name}`: write a NAME= of its own in front of each file");
        }
        let config_id = args.config_id.clone().unwrap_or_else(|| name.clone());
        let addresses = addresses.remove(name.as_str()).unwrap_or_default();
        sources.push(Source { name, file: PathBuf::from(file), config_id, addresses });
    }
    if let Some(name) = addresses.keys().next() {
        bail!("--address {name}=...: there is no host `{name}`: write it in front of a file, {name}=FILE");
    }
    Ok(sources)
}

fn default_name(index: usize, count: usize) -> String {
    let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let short = host_name.and_then(|name| name.split('.').next().map(str::to_owned)).filter(|name| !name.is_empty());
    short.filter(|_| count == 1).unwrap_or_else(|| format!("n{}", index + 1))
}

/// Writes each key into a file that only its owner can read, in directories like that; one that holds the same key already is left alone.
fn write_keys(import: &Import) -> anyhow::Result<()> {
    for key in &import.keys {
        let mut line = Zeroizing::new(String::with_capacity(key.contents.len() + 1));
        line.push_str(&key.contents);
        line.push('\n');
        let is_there = fs::read(&key.file).map(Zeroizing::new).is_ok_and(|there| *there == line.as_bytes());
        if !is_there {
            write_new(&key.file, &line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::import::KeyFile;

    #[test]
    fn keys_are_nobody_elses_to_list() {
        let dir = tempfile::tempdir().unwrap();
        let (made, file) = (dir.path().join("vipd"), dir.path().join("vipd/keys/1"));
        let key = KeyFile { file: file.clone(), contents: Zeroizing::new("hex:00".to_owned()) };
        let import = Import { toml: String::new(), notes: Vec::new(), keys: vec![key] };
        write_keys(&import).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "hex:00\n");
        for (path, mode) in [(made.clone(), 0o700), (made.join("keys"), 0o700), (file, 0o600)] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
        }
        // What is there already stays.
        write_keys(&import).unwrap();
    }
}
