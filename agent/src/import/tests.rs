//! Configurations of keepalived, and what becomes of them.

mod disagreement;
mod families;
mod hosts;
mod semantics;
mod syntax;
mod trackers;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Files, Import, Options, Source, import};
use crate::config::{Config, Identity};

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let inside = self.0.keys().filter(|path| path.parent() == Some(directory));
        inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }
}

fn source(name: &str, file: &str) -> Source {
    Source { name: name.to_owned(), file: PathBuf::from(file), config_id: name.to_owned(), addresses: Vec::new() }
}

/// One host `n1` with this configuration.
fn one(text: &str) -> Import {
    let mut host = source("n1", "k.conf");
    host.addresses = vec!["10.0.0.1".parse().unwrap()];
    import(&Memory::of(&[("k.conf", text)]), &[host], &Options::default()).unwrap()
}

/// Hosts `n1`, `n2` and so on, with the addresses 10.0.0.1, 10.0.0.2 and so on.
fn several(texts: &[&str]) -> Import {
    let names: Vec<_> = (1..=texts.len()).map(|number| (format!("n{number}"), format!("n{number}.conf"))).collect();
    let files: Vec<_> = names.iter().zip(texts).map(|((_, file), text)| (file.as_str(), *text)).collect();
    let sources: Vec<_> = names
        .iter()
        .zip(1_u8..)
        .map(|((name, file), number)| {
            let mut host = source(name, file);
            host.addresses = vec![[10, 0, 0, number].into()];
            host
        })
        .collect();
    import(&Memory::of(&files), &sources, &Options::default()).unwrap()
}

/// The configuration from the first `[[virtual_router]]` on.
fn routers(import: &Import) -> &str {
    let start = import.toml.find("[[virtual_router]]").unwrap_or(import.toml.len());
    &import.toml[start..]
}

/// The notes, without their remedies.
fn notes(import: &Import) -> Vec<String> {
    let first_line = |note: &super::Note| note.to_string().lines().next().unwrap_or_default().to_owned();
    import.notes.iter().map(first_line).collect()
}

/// Whether a note begins with `start`.
fn has(import: &Import, start: &str) -> bool {
    notes(import).iter().any(|note| note.starts_with(start))
}

/// The configuration as the node `n1` reads it.
fn check(import: &Import) -> Config {
    let identity = Identity { node: Some("n1".to_owned()), ..Identity::default() };
    match Config::parse(&import.toml, Path::new("vipd.toml"), &identity) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n{}", import.toml),
    }
}

/// An instance with one address, and `lines`.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n  10.0.0.101/24\n }}\n{lines}\n}}\n"
    )
}
