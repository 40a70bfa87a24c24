//! keepalived on a host: the peer that vipd must get on with.

use std::{
    fmt::Write,
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use vrrp_wire::Family;

use crate::{GENEROUS, Host, Process, lab, until};

/// One virtual router as keepalived is to serve it.
#[derive(Clone, Copy, Debug)]
pub struct KeepalivedRouter<'a> {
    /// VRID.
    pub vrid: u8,
    /// Version of VRRP, 2 or 3.
    pub version: u8,
    /// The simple password of version 2.
    pub password: Option<&'a str>,
    /// Carrying IP version. The first IPv6 address must be link-local.
    pub family: Family,
    /// Priority; 255 for the address owner.
    pub priority: u8,
    /// Advertisement_Interval, in whole hundredths of a second; of version 2 in whole seconds.
    pub interval: Duration,
    /// Virtual addresses with their prefix lengths.
    pub addresses: &'a [&'a str],
    /// Preempt_Mode.
    pub preempt: bool,
    /// For unicast, between whom; none for multicast.
    pub unicast: Option<Unicast>,
}

/// Two routers that send their adverts to each other.
#[derive(Clone, Copy, Debug)]
pub struct Unicast {
    /// Address of this router.
    pub source: IpAddr,
    /// Address of the other one.
    pub peer: IpAddr,
}

impl KeepalivedRouter<'_> {
    fn name(vrid: u8, family: Family) -> String {
        format!("{family}_{vrid}")
    }

    fn write(&self, config: &mut String) -> std::fmt::Result {
        writeln!(config, "vrrp_instance {} {{", Self::name(self.vrid, self.family))?;
        writeln!(config, "    state BACKUP\n    interface {}", Host::INTERFACE)?;
        writeln!(config, "    virtual_router_id {}\n    priority {}", self.vrid, self.priority)?;
        writeln!(config, "    version {}\n    advert_int {:.2}", self.version, self.interval.as_secs_f64())?;
        if !self.preempt {
            writeln!(config, "    nopreempt")?;
        }
        if let Some(password) = self.password {
            block(config, "authentication", &["auth_type PASS", &format!("auth_pass {password}")])?;
        }
        if let Some(Unicast { source, peer }) = self.unicast {
            writeln!(config, "    unicast_src_ip {source}")?;
            block(config, "unicast_peer", &[&peer.to_string()])?;
        }
        block(config, "virtual_ipaddress", self.addresses)?;
        writeln!(config, "}}")
    }
}

fn block(config: &mut String, name: &str, lines: &[&str]) -> std::fmt::Result {
    writeln!(config, "    {name} {{\n        {}\n    }}", lines.join("\n        "))
}

/// A running keepalived.
#[derive(Debug)]
pub struct Keepalived {
    /// The daemon, to be stopped and killed.
    pub process: Process,
}

impl Host {
    /// Starts keepalived and waits until each virtual router has entered its first state.
    pub fn keepalived(&self, routers: &[KeepalivedRouter<'_>]) -> Result<Keepalived> {
        let mut config = format!("global_defs {{\n    router_id {}\n}}\n", self.name());
        for router in routers {
            router.write(&mut config)?;
        }
        let keepalived = self.keepalived_of(&config)?;
        for router in routers {
            keepalived.wait_until(router.vrid, router.family, "in a state", |_| true)?;
        }
        Ok(keepalived)
    }

    /// Starts keepalived with a configuration of its own.
    pub fn keepalived_of(&self, config: &str) -> Result<Keepalived> {
        static STARTED: AtomicU32 = AtomicU32::new(1);
        let name = format!("keepalived-{}-{}", self.name(), STARTED.fetch_add(1, Ordering::Relaxed));
        let file = lab::write(&format!("{name}.conf"), config)?;
        let mut command = self.namespace().command("keepalived");
        command
            .args(["--dont-fork", "--log-console", "--no-syslog", "--log-detail", "--vrrp", "--use-file"])
            .arg(&file);
        command.arg("--pid").arg(file.with_extension("pid"));
        command.arg("--vrrp_pid").arg(file.with_extension("vrrp.pid"));
        Ok(Keepalived { process: Process::spawn(&name, command)? })
    }
}

impl Keepalived {
    /// The state of a virtual router in the words of RFC 9568, or `None` before it has one.
    #[must_use]
    pub fn state(&self, vrid: u8, family: Family) -> Option<&'static str> {
        let start = format!("({}) Entering ", KeepalivedRouter::name(vrid, family));
        let transcript = self.process.transcript();
        let entered = transcript.lines().rev().find_map(|line| line.split_once(&start))?.1;
        match entered.split_once(' ')?.0 {
            "MASTER" => Some("Active"),
            "BACKUP" => Some("Backup"),
            "FAULT" => Some("Fault"),
            _ => None,
        }
    }

    /// Waits until a virtual router is in `state`.
    pub fn wait_for_state(&self, vrid: u8, family: Family, state: &str) -> Result<()> {
        self.wait_until(vrid, family, state, |entered| entered == state)
    }

    fn wait_until(&self, vrid: u8, family: Family, what: &str, condition: impl Fn(&str) -> bool) -> Result<()> {
        until(&format!("VRID {vrid} ({family}) of keepalived to be {what}"), GENEROUS, || {
            if self.state(vrid, family).is_some_and(&condition) {
                return Ok(Some(()));
            }
            if self.process.is_running() { Ok(None) } else { Err(self.process.ended_early()) }
        })
    }
}
