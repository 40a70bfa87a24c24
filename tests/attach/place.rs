//! What is attached to a node's interface, asked of the kernel.

use anyhow::{Context, Result};
use harness::{Host, Lab};
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

/// Everything that sees frames of a node's interface: XDP, tcx and filters, in the words of `ip` and `tc`.
pub(crate) fn occupants(host: &Host) -> Result<String> {
    let mut all = String::new();
    for line in host.run("ip", &["-details", "link", "show", "dev", Host::INTERFACE])?.lines() {
        if line.contains("prog/xdp") {
            all += line.trim();
            all.push('\n');
        }
    }
    for side in ["ingress", "egress"] {
        all += &host.run("tc", &["filter", "show", "dev", Host::INTERFACE, side])?;
        let programs = host.namespace().enter(|| -> Result<Vec<String>> {
            let side = match side {
                "ingress" => aya::programs::TcAttachType::Ingress,
                _ => aya::programs::TcAttachType::Egress,
            };
            let (_, programs) = aya::programs::SchedClassifier::query_tcx(Host::INTERFACE, side)?;
            Ok(programs.iter().map(|program| program.name_as_str().unwrap_or_default().to_owned()).collect())
        })??;
        for program in programs {
            all.extend(["tcx/", side, " ", &program, "\n"]);
        }
    }
    let qdiscs = host.run("tc", &["qdisc", "show", "dev", Host::INTERFACE])?;
    all.extend(qdiscs.lines().filter(|line| line.contains("clsact")));
    Ok(all)
}
