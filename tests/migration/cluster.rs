//! Three hosts that serve three addresses: by keepalived, by vipd, or some by one and some by the other.

use std::{
    fs,
    net::{IpAddr, TcpListener},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, GENEROUS, Host, HostOptions, Keepalived, Lab, Lan, Probe, until, vipd};
use vrrp_wire::MacAddr;

pub(crate) const HOSTS: [&str; 3] = ["n1", "n2", "n3"];
/// Where the ingress of each host listens.
const INGRESS: &str = "127.0.0.1:8080";

/// The configuration of keepalived on a host.
pub(crate) const fn conf(host: usize) -> &'static str {
    match host {
        0 => include_str!("n1.conf"),
        1 => include_str!("n2.conf"),
        _ => include_str!("n3.conf"),
    }
}

/// The address of a virtual router.
pub(crate) fn address(router: usize) -> IpAddr {
    let addresses = [[10, 77, 0, 101], [10, 77, 0, 102], [10, 77, 0, 103]];
    addresses[router].into()
}

enum Program {
    Keepalived(Keepalived),
    Vipd(Agent),
}

pub(crate) struct Migration<'l> {
    lab: &'l Lab,
    /// What serves on each host.
    programs: [Option<Program>; 3],
    _ingress: Vec<TcpListener>,
    hosts: Vec<Host>,
    client: Host,
    pub(crate) lan: Lan,
    configs: Vec<String>,
    reports: std::path::PathBuf,
}

impl<'l> Migration<'l> {
    pub(crate) fn new(lab: &'l Lab) -> Result<Self> {
        let mut lan = lab.lan()?;
        let mut host = |name: &str, number: u8| {
            let address = format!("10.77.0.{number}/24");
            lan.host(name, &HostOptions { mac: MacAddr([2, 0, 0, 0, 0, number]), addresses: &[&address] })
        };
        let hosts = HOSTS.iter().zip(1..).map(|(name, number)| host(name, number)).collect::<Result<Vec<_>>>()?;
        let client = host("client", 50)?;
        let ingress = hosts.iter().map(|host| Ok(host.namespace().enter(|| TcpListener::bind(INGRESS))??));
        let ingress = ingress.collect::<Result<Vec<_>>>()?;
        let reports = lab.write("reports", "")?;
        let notify = lab.script("notify", &format!("echo \"$*\" >> {}", reports.display()))?;
        // 0100007F:1F90 is 127.0.0.1:8080, and 0A: listening.
        let check = lab.script("check-ingress", "grep -q '0100007F:1F90 00000000:0000 0A' /proc/net/tcp")?;
        let configs = (0..3).map(|host| {
            conf(host)
                .replace("/etc/keepalived/notify", &notify.to_string_lossy())
                .replace("/etc/keepalived/check-ingress", &check.to_string_lossy())
        });
        let configs = configs.collect();
        Ok(Self { lab, programs: [None, None, None], _ingress: ingress, hosts, client, lan, configs, reports })
    }

    pub(crate) fn start_keepalived(&mut self) -> Result<()> {
        (0..3).try_for_each(|host| self.start_keepalived_on(host))
    }

    fn start_keepalived_on(&mut self, host: usize) -> Result<()> {
        self.programs[host] = Some(Program::Keepalived(self.hosts[host].keepalived_of(&self.configs[host])?));
        Ok(())
    }

    /// Waits until `condition` holds of who has each address, `None` where it is not one host, and says who it is.
    pub(crate) fn holders(&self, condition: impl Fn(&[Option<usize>]) -> bool) -> Result<[Option<usize>; 3]> {
        let addresses = [0, 1, 2].map(address);
        let mut last = [None; 3];
        let waited = until("the addresses to be where they belong", GENEROUS * 2, || {
            for (holder, names) in last.iter_mut().zip(self.lan.holders_of(&addresses)?) {
                *holder = match names.as_slice() {
                    [one] => HOSTS.iter().position(|name| name == one),
                    _ => None,
                };
            }
            Ok(condition(&last).then_some(()))
        });
        waited.with_context(|| format!("they were on {last:?}"))?;
        Ok(last)
    }

    /// Waits until each address is where `expected` says, and that host answers for it.
    pub(crate) fn wait_for(&self, expected: &[Option<usize>; 3]) -> Result<()> {
        self.holders(|holders| holders == expected)?;
        for (router, holder) in expected.iter().enumerate() {
            let mac = self.hosts[holder.context("nobody is expected")?].mac();
            let probe = Probe::start(&self.client, address(router))?;
            until(&format!("{} to lead to its host", address(router)), GENEROUS, || {
                probe.wait_answered(GENEROUS)?;
                Ok((self.client.neighbour(address(router))? == Some(mac)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Who serves while the first host has no network: all addresses are on the two others.
    pub(crate) fn without_first(&self) -> Result<[Option<usize>; 3]> {
        self.lan.cut(HOSTS[0])?;
        let holders = self.holders(|holders| holders.iter().all(|holder| holder.is_some_and(|host| host != 0)));
        self.lan.mend(HOSTS[0])?;
        holders
    }

    /// The configuration of all hosts, accepted by `vipd check` on each.
    pub(crate) fn import(&self) -> Result<String> {
        let mut command = Command::new(vipd()?);
        command.arg("import");
        for (name, config) in HOSTS.iter().zip(&self.configs) {
            let file = self.lab.write(&format!("{name}.conf"), config)?;
            command.arg(format!("{name}={}", file.display()));
        }
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let toml = String::from_utf8(output.stdout)?;
        let file = self.lab.write("imported.toml", &toml)?;
        for node in HOSTS {
            let output = Command::new(vipd()?).args(["check", "--node", node, "--config"]).arg(&file).output()?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            ensure!(output.status.success() && !said.contains("warning"), "{said}\n{toml}");
        }
        Ok(toml)
    }

    /// The client asks for each address.
    pub(crate) fn probes(&self) -> Result<Vec<Probe>> {
        let probes = (0..3).map(|router| Probe::start(&self.client, address(router))).collect::<Result<Vec<_>>>()?;
        probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
        Ok(probes)
    }

    /// Stops keepalived on a host, and starts vipd in its place.
    pub(crate) fn migrate(&mut self, host: usize, toml: &str) -> Result<()> {
        self.stop(host)?;
        let agent = self.hosts[host].agent(toml, &[])?;
        agent.wait_for("vipd to take part", |status| status.all_in(&["Backup", "Active"]))?;
        self.programs[host] = Some(Program::Vipd(agent));
        Ok(())
    }

    /// Stops vipd on a host, and starts keepalived in its place.
    pub(crate) fn go_back(&mut self, host: usize) -> Result<()> {
        self.stop(host)?;
        self.start_keepalived_on(host)
    }

    fn stop(&mut self, host: usize) -> Result<()> {
        match self.programs[host].take().with_context(|| format!("nothing runs on {}", HOSTS[host]))? {
            Program::Keepalived(mut keepalived) => keepalived.process.terminate(GENEROUS).map(drop),
            Program::Vipd(mut agent) => agent.process.terminate(GENEROUS).map(drop),
        }
    }

    /// How many times programs were told `line`.
    pub(crate) fn reports(&self, line: &str) -> Result<usize> {
        Ok(fs::read_to_string(&self.reports)?.lines().filter(|told| *told == line).count())
    }
}
