//! What is attached to a node's interface, asked of the kernel.

use anyhow::Result;
use harness::Host;

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
