//! The cluster of the page on getting started, but for the VLAN tag: a public subnet with a gateway of its own, three virtual routers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, GENEROUS, Host, HostOptions, Lab, Lan, NginxOptions, ip, lab, until};
use socket2::{Domain, Socket, Type};
use vrrp_wire::{Family, MacAddr};

use crate::read;

const INTERFACE: &str = "enp0s31f6.4000";
/// Names of the virtual routers, and their addresses.
const ROUTERS: [(&str, &str); 3] = [("web-a", "203.0.113.10"), ("web-b", "203.0.113.11"), ("web-c", "203.0.113.12")];
/// An address far behind the gateway, to which servers have no route but through that.
const FAR: &str = "198.51.100.1";

/// A host with nothing but an address on the vSwitch.
fn server(lan: &mut Lan, name: &str, number: u8, address: &str) -> Result<Host> {
    let mac = MacAddr([2, 0, 0, 0, 0, number]);
    let host = lan.host(name, &HostOptions { mac, addresses: &[] })?;
    host.run("ip", &["link", "set", Host::INTERFACE, "down"])?;
    host.run("ip", &["link", "set", Host::INTERFACE, "name", INTERFACE, "mtu", "1400"])?;
    host.run("ip", &["link", "set", INTERFACE, "up"])?;
    host.run("ip", &["addr", "add", address, "dev", INTERFACE])?;
    Ok(host)
}

/// The configuration of the page, with a shorter wait for the return of a node.
fn configuration(lab: &Lab) -> Result<String> {
    lab.private_etc()?;
    std::fs::create_dir_all("/etc/vipd/keys")?;
    std::fs::copy(lab.secret("key", "a key of thirty-two characters at least\n")?, "/etc/vipd/keys/1")?;
    let page = read("docs/getting-started.md")?;
    let block = page.split_once("<!-- complete -->\n```toml\n").context("no configuration")?.1;
    let block = block.split_once("```").context("it does not end")?.0;
    let patience = "preempt = { after = \"30s\" }";
    ensure!(block.contains(patience), "{block}");
    // Nobody keeps the clock of a test right.
    let shorter = block.replace(patience, "preempt = { after = \"1s\" }");
    Ok(shorter.replace("active_key = 1", "active_key = 1\nclock_grace = \"0s\""))
}

/// Waits until somebody far away gets an answer from `address`: nothing listens there, and the server says so.
fn is_answered(gateway: &Host, address: &str) -> Result<()> {
    until(&format!("an answer of {address} to {FAR}"), GENEROUS, || {
        let answer = gateway.namespace().enter(|| ask(ip(FAR), SocketAddr::new(ip(address), 81)))?;
        Ok(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused).then_some(()))
    })
}

fn ask(from: IpAddr, to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(1))
}

#[test]
fn three_servers_each_lead_and_stand_in_for_each_other() -> Result<()> {
    let lab = lab!();
    let config = configuration(&lab)?;
    let mut lan = lab.lan()?;
    let gateway = server(&mut lan, "gateway", 9, "203.0.113.9/29")?;
    gateway.run("ip", &["addr", "add", FAR, "dev", "lo"])?;
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(server(&mut lan, &format!("n{number}"), number, &format!("10.77.0.{number}/24"))?);
    }
    let options = NginxOptions { listen: &["127.0.0.1:10254"], ..NginxOptions::default() };
    let mut ingress = servers.iter().map(|host| host.nginx(&options)).collect::<Result<Vec<_>>>()?;
    let agents = servers.iter().map(|host| host.agent(&config, &[])).collect::<Result<Vec<Agent>>>()?;
    for (agent, (router, address)) in agents.iter().zip(ROUTERS) {
        let status = agent.wait_for_state(router, Family::Ipv4, "Active")?;
        ensure!(status.0["alarms"].as_array().is_some_and(|alarms| alarms.iter().all(is_of_the_clock)), "{status:?}");
        is_answered(&gateway, address)?;
    }

    ingress[0].process.kill()?;
    agents[1].wait_for_state("web-a", Family::Ipv4, "Active")?;
    agents[0].wait_for_state("web-a", Family::Ipv4, "Fault")?;
    until("web-a to be on n2 alone", GENEROUS, || Ok((lan.holders(ip("203.0.113.10"))? == ["n2"]).then_some(())))?;
    is_answered(&gateway, "203.0.113.10")
}

/// The machine of a test has nobody who keeps its clock right.
fn is_of_the_clock(alarm: &serde_json::Value) -> bool {
    alarm["kind"] == "clock_not_synchronised"
}
