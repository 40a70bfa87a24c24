//! Who plays, and what the two have been told.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use harness::{HostOptions, frr_daemon};
use vrrp_wire::{Family, MacAddr};

use super::served::{FRR, KEEPALIVED, Served};

/// A program that vipd must get on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Keepalived,
    Frr,
}

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Frr => "FRR",
        }
    }

    pub(crate) const fn served(self) -> &'static [Served] {
        match self {
            Self::Keepalived => &KEEPALIVED,
            Self::Frr => &FRR,
        }
    }

    /// The number that it prints for its version.
    pub(crate) fn version(self) -> Result<String> {
        let mut command = match self {
            Self::Keepalived => Command::new("keepalived"),
            Self::Frr => Command::new(frr_daemon("vrrpd")?),
        };
        let output = command.arg("--version").output().with_context(|| format!("failed to start {command:?}"))?;
        // keepalived says it on standard error: `Keepalived v2.2.7 (01/16,2022)`, the other `vrrpd version 8.4.4`.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let words = said.split_whitespace().map(|word| word.trim_start_matches('v'));
        let number = words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        number.map(str::to_owned).with_context(|| format!("{} prints no version: {said}", self.name()))
    }
}

/// One of the two routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Vipd,
    Peer,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Vipd => Self::Peer,
            Self::Peer => Self::Vipd,
        }
    }

    /// Of its node, and of the node's port on the bridge.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vipd => "vipd",
            Self::Peer => "peer",
        }
    }
}

/// What the two have been told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) peer: Peer,
    /// Who has priority 200.
    pub(crate) preferred: Side,
    /// Priority of the other one.
    pub(crate) other_priority: u8,
    /// Of version 3; of version 2 it is always a second.
    pub(crate) interval: Duration,
    pub(crate) preempt: bool,
}

impl Terms {
    pub(crate) const fn preferring(preferred: Side, peer: Peer) -> Self {
        Self { peer, preferred, other_priority: 100, interval: Duration::from_millis(500), preempt: true }
    }

    /// The last part of its addresses. The preferred one has the greater only where it is to be preferred for that.
    fn number(&self, side: Side) -> u8 {
        if (side == self.preferred) == (self.other_priority == 200) { 2 } else { 1 }
    }

    pub(crate) fn priority(&self, side: Side) -> u8 {
        if side == self.preferred { 200 } else { self.other_priority }
    }

    pub(crate) const fn interval_of(&self, served: &Served) -> Duration {
        if served.version == 2 { Duration::from_secs(1) } else { self.interval }
    }

    fn mac(&self, side: Side) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, self.number(side)])
    }

    pub(crate) fn address(&self, side: Side, family: Family) -> IpAddr {
        let number = self.number(side);
        match family {
            Family::Ipv4 => Ipv4Addr::new(10, 77, 0, number).into(),
            Family::Ipv6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// Where FRR's IPv6 adverts come from. Compared with vipd's link-local address, which is made of its MAC address, it
    /// is the greater one where the peer's others are.
    pub(crate) fn frr_link_local(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, u16::from(self.number(Side::Peer)) - 1, 0, 0, 0xf)
    }

    /// The host of a side, its addresses in the form that the host wants.
    pub(crate) fn with_host<R>(&self, side: Side, make: impl FnOnce(&HostOptions<'_>) -> R) -> R {
        let [ipv4, ipv6] = [(Family::Ipv4, 24), (Family::Ipv6, 64)]
            .map(|(family, length)| format!("{}/{length}", self.address(side, family)));
        make(&HostOptions { mac: self.mac(side), addresses: &[&ipv4, &ipv6] })
    }

    /// vipd's configuration.
    pub(crate) fn config(&self) -> Result<String> {
        let mut text = format!(
            "cluster.name = \"interop\"\ncluster.interface = \"vsw0\"\n\
             cluster.advertisement_interval = \"{}ms\"\ncluster.preempt = {}\n",
            self.interval.as_millis(),
            self.preempt,
        );
        for side in [Side::Vipd, Side::Peer] {
            let [ipv4, ipv6] = [Family::Ipv4, Family::Ipv6].map(|family| self.address(side, family));
            writeln!(text, "[[node]]\nname = \"{}\"\naddress = \"{ipv4}\"\naddress6 = \"{ipv6}\"", side.name())?;
            // The adverts of FRR come from the Virtual Router MAC Address, and over IPv6 from an address for that alone.
            match (side, self.peer) {
                (Side::Peer, Peer::Frr) => writeln!(text, "link_local = \"{}\"", self.frr_link_local())?,
                _ => writeln!(text, "mac = \"{}\"", self.mac(side))?,
            }
        }
        self.peer.served().iter().try_for_each(|served| self.add_entry(&mut text, served))?;
        Ok(text)
    }

    fn add_entry(&self, text: &mut String, served: &Served) -> std::fmt::Result {
        // The link-local address of the Virtual Router MAC is added by itself.
        let addresses: Vec<_> = served.addresses.iter().filter(|address| !address.starts_with("fe80")).collect();
        writeln!(text, "[[virtual_router]]\nname = \"{}\"\nvrid = {}", served.name(), served.vrid)?;
        writeln!(text, "addresses = {addresses:?}\n{}", served.keys)?;
        let [vipd, peer] = [Side::Vipd, Side::Peer].map(|side| self.priority(side));
        writeln!(text, "priorities = {{ vipd = {vipd}, peer = {peer} }}")?;
        if served.version == 2 {
            writeln!(text, "version = 2\nadvertisement_interval = \"1s\"")?;
        }
        if let Some(password) = served.password {
            writeln!(text, "password = \"{password}\"")?;
        }
        if served.is_unicast {
            writeln!(text, "transport = \"unicast\"")?;
        }
        Ok(())
    }
}
