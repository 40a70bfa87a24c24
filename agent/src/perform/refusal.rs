//! Accept_Mode false: what is sent to a virtual address is refused, except Neighbor Discovery. RFC 9568 §6.1, §6.4.3.
//!
//! A table of nftables of our own does it. It stands for as long as the agent runs, since addresses that this node does not
//! hold are nobody's here in any case.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::IpAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use tracing::{debug, warn};

/// The table that refuses.
#[derive(Debug)]
pub struct Refusal {
    table: String,
}

impl Refusal {
    /// Refuses what is sent to `addresses` from now on, and to no others, whatever an earlier run has left. `table` is the
    /// name of the table.
    pub fn install(table: String, addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let refusal = Self { table };
        refusal.refuse(addresses)?;
        Ok(refusal)
    }

    /// Refuses what is sent to `addresses` from now on, and to no others.
    pub fn refuse(&self, addresses: &[IpAddr]) -> anyhow::Result<()> {
        if addresses.is_empty() {
            self.remove();
            return Ok(());
        }
        let hint = "accept = false needs nftables: install its program `nft`, or remove the key";
        load(&self.script(addresses)).context(hint)
    }

    /// Removes the table; that there is none is no error.
    pub fn remove(&self) {
        match load(&self.removal()) {
            Ok(()) => {}
            // Without nftables nobody has made a table.
            Err(error) if is_not_found(&error) => debug!("{error:#}"),
            Err(error) => warn!("failed to remove table `{}` of nftables: {error:#}", self.table),
        }
    }

    /// Removes the table, made first where there is none.
    fn removal(&self) -> String {
        format!("table inet {0}\ndelete table inet {0}\n", self.table)
    }

    fn script(&self, addresses: &[IpAddr]) -> String {
        let set = |is_wanted: fn(&&IpAddr) -> bool| {
            let listed: Vec<_> = addresses.iter().filter(is_wanted).map(ToString::to_string).collect();
            (!listed.is_empty()).then(|| listed.join(", "))
        };
        let mut rules = String::from("iif lo accept\n");
        if let Some(set) = set(|address| address.is_ipv4()) {
            let _ = writeln!(rules, "ip daddr {{ {set} }} counter drop");
        }
        if let Some(set) = set(|address| address.is_ipv6()) {
            let _ = writeln!(
                rules,
                "ip6 daddr {{ {set} }} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept"
            );
            let _ = writeln!(rules, "ip6 daddr {{ {set} }} counter drop");
        }
        let chain = format!("chain input {{\ntype filter hook input priority -10; policy accept;\n{rules}}}\n");
        format!("{}table inet {} {{\n{chain}}}\n", self.removal(), self.table)
    }
}

/// Has nftables carry out `script`, all of it or nothing.
fn load(script: &str) -> anyhow::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start `nft`")?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(script.as_bytes()).context("failed to tell `nft` what to do")?;
    }
    let output = nft.wait_with_output().context("failed to wait for `nft`")?;
    if !output.status.success() {
        bail!("`nft` failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}
