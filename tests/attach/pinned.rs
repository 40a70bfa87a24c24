//! Which objects of the kernel are pinned, by number.

use anyhow::{Context, Result};
use harness::Lab;
use serde_json::Value;

/// A pinned link: its own identifier, and its program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) program: u64,
}

/// The link that is pinned at `path`.
pub(crate) fn link(lab: &Lab, path: &str) -> Result<Link> {
    let text = lab.bpftool(&["-j", "link", "show", "pinned", path])?;
    let link: Value = serde_json::from_str(&text).with_context(|| format!("bpftool printed `{text}`"))?;
    let number = |name: &str| link[name].as_u64().with_context(|| format!("no {name} in {text}"));
    Ok(Link { id: number("id")?, program: number("prog_id")? })
}

/// The identifier of the map that is pinned at `path`.
pub(crate) fn map_id(lab: &Lab, path: &str) -> Result<u64> {
    let text = lab.bpftool(&["-j", "map", "show", "pinned", path])?;
    let map: Value = serde_json::from_str(&text).with_context(|| format!("bpftool printed `{text}`"))?;
    map["id"].as_u64().with_context(|| format!("no id in {text}"))
}
