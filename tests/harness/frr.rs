//! FRR's vrrpd on a host: a peer that has its virtual addresses on macvlan interfaces.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::unistd::{User, chown};
use serde_json::Value;
use vrrp_wire::{Family, Vrid};

use crate::{GENEROUS, Host, Process, lab, until};

/// Where distributions keep FRR's daemons, which are on nobody's PATH.
const DAEMONS: [&str; 2] = ["/usr/lib/frr", "/usr/libexec/frr"];
/// Whom the daemons run as.
const USER: &str = "frr";
/// What they take for themselves when root starts them.
const CAPABILITIES: &str = "+net_admin,+net_raw,+net_bind_service,+sys_admin,+setgid";

/// One virtual router as FRR is to serve it, over multicast.
#[derive(Clone, Copy, Debug)]
pub struct FrrRouter<'a> {
    /// VRID; another one for each router.
    pub vrid: u8,
    /// Carrying IP version.
    pub family: Family,
    /// Version of VRRP, 2 or 3.
    pub version: u8,
    /// Priority.
    pub priority: u8,
    /// Advertisement_Interval, in whole hundredths of a second; of version 2 in whole seconds.
    pub interval: Duration,
    /// Virtual addresses with their prefix lengths.
    pub addresses: &'a [&'a str],
    /// Preempt_Mode.
    pub preempt: bool,
    /// Where IPv6 adverts come from.
    pub link_local: Ipv6Addr,
}

impl FrrRouter<'_> {
    fn interface(&self) -> String {
        format!("vrrp{}-{}", self.family.number(), self.vrid)
    }

    fn write(&self, config: &mut String) -> std::fmt::Result {
        let vrrp = format!("vrrp {}", self.vrid);
        writeln!(config, " {vrrp} version {}\n {vrrp} priority {}", self.version, self.priority)?;
        writeln!(config, " {vrrp} advertisement-interval {}", self.interval.as_millis())?;
        if !self.preempt {
            writeln!(config, " no {vrrp} preempt")?;
        }
        // The first address starts the election: it stands behind everything else.
        let ip = if self.family == Family::Ipv4 { "ip" } else { "ipv6" };
        for address in self.addresses.iter().filter_map(|address| address.split('/').next()) {
            writeln!(config, " {vrrp} {ip} {address}")?;
        }
        Ok(())
    }
}

/// A running vrrpd, and the zebra that it needs.
#[derive(Debug)]
pub struct Frr {
    /// vrrpd, to be looked at.
    pub process: Process,
    zebra: Process,
    host: Host,
    directory: PathBuf,
    interfaces: Vec<String>,
}

impl Host {
    /// Makes the interfaces anew, starts FRR, and waits until each virtual router takes part.
    pub fn frr(&self, routers: &[FrrRouter<'_>]) -> Result<Frr> {
        static STARTED: AtomicU32 = AtomicU32::new(1);
        let name = format!("frr-{}-{}", self.name(), STARTED.fetch_add(1, Ordering::Relaxed));
        let directory = directory(&name)?;
        // Else every interface answers for the addresses of the others, though they are down as in Backup.
        for (setting, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
            self.namespace().set(&format!("ipv4/conf/all/{setting}"), value)?;
        }
        let interfaces: Vec<_> = routers.iter().map(FrrRouter::interface).collect();
        self.remove(&interfaces);
        routers.iter().try_for_each(|router| self.add_macvlan(router))?;
        let mut config =
            format!("log stdout\ndebug vrrp packets\ndebug vrrp protocol\ninterface {}\n", Self::INTERFACE);
        routers.iter().try_for_each(|router| router.write(&mut config))?;

        let zebra = self.daemon("zebra", &directory, "log stdout\n")?;
        let socket = directory.join("zserv.api");
        until("zebra to listen", GENEROUS, || {
            if zebra.is_running() { Ok(socket.exists().then_some(())) } else { Err(zebra.ended_early()) }
        })?;
        let process = self.daemon("vrrpd", &directory, &config)?;
        let frr = Frr { process, zebra, host: self.clone(), directory, interfaces };
        until("FRR to take part", GENEROUS, || {
            if !frr.process.is_running() {
                return Err(frr.process.ended_early());
            }
            // Not even that it listens is certain yet.
            let Ok(states) = frr.states() else { return Ok(None) };
            let takes_part =
                |it: &FrrRouter<'_>| states.get(&(it.vrid, it.family)).is_some_and(|it| *it != "Initialize");
            Ok(routers.iter().all(takes_part).then_some(()))
        })?;
        Ok(frr)
    }

    /// What FRR wants to find: an interface with the Virtual Router MAC Address that has the virtual addresses. The last
    /// link-local address is the one that adverts come from.
    fn add_macvlan(&self, router: &FrrRouter<'_>) -> Result<()> {
        let name = router.interface();
        let mac = Vrid::new(router.vrid).context("VRID 0")?.mac(router.family).to_string();
        let link = ["link", "add", "link", Self::INTERFACE, "name", &name, "address", &mac, "type", "macvlan"];
        self.run("ip", &[&link[..], &["mode", "bridge"]].concat())?;
        self.run("ip", &["link", "set", &name, "addrgenmode", "none"])?;
        self.run("ip", &["link", "set", &name, "up"])?;
        let own = format!("{}/64", router.link_local);
        let own = (router.family == Family::Ipv6).then_some(own.as_str());
        for address in router.addresses.iter().copied().chain(own) {
            let flags: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            self.run("ip", &[&["addr", "add", address, "dev", &name], flags].concat())?;
        }
        Ok(())
    }

    fn remove(&self, interfaces: &[String]) {
        for interface in interfaces {
            // There may be none.
            let _ = self.run("ip", &["link", "del", interface]);
        }
    }

    fn daemon(&self, program: &str, directory: &Path, config: &str) -> Result<Process> {
        let file = directory.join(program).with_extension("conf");
        fs::write(&file, config).with_context(|| format!("failed to write `{}`", file.display()))?;
        let mut command = as_user(self.namespace().command("setpriv"));
        command.arg(frr_daemon(program)?).args(["--log", "stdout", "-P", "0", "--config_file"]).arg(&file);
        command.arg("--pid_file").arg(file.with_extension("pid"));
        command.arg("--vty_socket").arg(directory).arg("--socket").arg(directory.join("zserv.api"));
        Process::spawn(&format!("{program} on {}", self.name()), command)
    }
}

/// The executable of one of FRR's daemons.
pub fn frr_daemon(program: &str) -> Result<PathBuf> {
    let found = DAEMONS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    found.with_context(|| format!("no `{program}` in {DAEMONS:?}: is FRR installed?"))
}

/// Started by root the daemons would change to their user themselves, and by that lose the signal that ends them when this
/// process dies.
fn as_user(mut setpriv: Command) -> Command {
    setpriv.args(["--reuid", USER, "--regid", USER, "--init-groups", "--pdeathsig", "KILL"]);
    setpriv.args(["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES]);
    setpriv
}

/// A directory of the lab that the daemons can write to.
fn directory(name: &str) -> Result<PathBuf> {
    let user = User::from_name(USER)?.with_context(|| format!("there is no user `{USER}`: is FRR installed?"))?;
    let directory = lab::directory(name)?;
    chown(&directory, Some(user.uid), Some(user.gid))
        .with_context(|| format!("failed to give `{}` to {USER}", directory.display()))?;
    Ok(directory)
}

impl Frr {
    /// The state of each virtual router in the words of RFC 9568, by VRID and family.
    pub fn states(&self) -> Result<BTreeMap<(u8, Family), &'static str>> {
        let directory = self.directory.to_str().context("a directory that is not UTF-8")?;
        let arguments = ["--vty_socket", directory, "-d", "vrrpd", "-c", "show vrrp json"];
        let text = self.host.run("vtysh", &arguments)?;
        let routers: Value = serde_json::from_str(&text).with_context(|| format!("vtysh printed `{text}`"))?;
        let mut states = BTreeMap::new();
        for router in routers.as_array().into_iter().flatten() {
            let vrid = router["vrid"].as_u64().and_then(|vrid| vrid.try_into().ok()).context("no VRID")?;
            for (family, half) in [(Family::Ipv4, "v4"), (Family::Ipv6, "v6")] {
                let state = match router[half]["status"].as_str() {
                    Some("Master") => "Active",
                    Some("Backup") => "Backup",
                    Some("Initialize") => "Initialize",
                    other => bail!("`{other:?}` is no state: {text}"),
                };
                states.insert((vrid, family), state);
            }
        }
        Ok(states)
    }

    /// Its processes.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        [&self.process, &self.zebra].map(|process| process.pid().as_raw()).to_vec()
    }

    /// Ends it as a loss of power does, which leaves no interfaces.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.zebra.kill()?;
        self.host.remove(&self.interfaces);
        Ok(())
    }

    /// Stops it as an operator does: zebra is needed to the end.
    pub fn terminate(&mut self, limit: Duration) -> Result<()> {
        for process in [&mut self.process, &mut self.zebra] {
            let status = process.terminate(limit)?;
            if !status.success() {
                bail!("FRR ended with {status}");
            }
        }
        Ok(())
    }
}
