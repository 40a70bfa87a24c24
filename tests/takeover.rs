//! What a node takes over with its virtual addresses: hundreds of them, announced at a pace that switches bear, with routes and
//! rules; what is left when it was killed; and what becomes of it when another program has its hands in it.

#[path = "takeover/change.rs"]
mod change;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, Process, decode, ip, lab,
    neighbor::{self, Station},
    until,
};
use vrrp_wire::Family;

/// The addresses of the first virtual router in the configuration of a cluster.
const ADDRESSES: &str = r#"addresses = ["10.77.0.101/24", "fd77::101/64"]"#;

/// The configuration of one node whose first virtual router has other keys beside its addresses.
fn with(keys: &str, config: &ClusterConfig<'_>) -> Result<String> {
    let text = config.text(1)?;
    ensure!(text.contains(ADDRESSES), "{text}");
    Ok(text.replacen(ADDRESSES, &format!("{ADDRESSES}\n{keys}"), 1))
}

/// A cluster of one node that is Active.
fn active(lab: &harness::Lab, keys: &str, config: &ClusterConfig<'_>) -> Result<Cluster> {
    let mut cluster = Cluster::with_config(lab, 1, with(keys, config)?)?;
    cluster.start_all()?;
    Ok(cluster)
}

/// Addresses of a virtual router that has five hundred: a hundred in its adverts, the others beside them.
fn five_hundred() -> Vec<Ipv4Addr> {
    (0..500)
        .map(|number| {
            Ipv4Addr::new(
                10,
                77,
                u8::try_from(1 + number / 250).unwrap_or(1),
                u8::try_from(1 + number % 250).unwrap_or(1),
            )
        })
        .collect()
}

/// The most frames within `window`, among those at `moments`, which are in order.
fn most_within(moments: &[Instant], window: Duration) -> usize {
    let within = |(at, &first): (usize, &Instant)| moments.partition_point(|&moment| moment < first + window) - at;
    moments.iter().enumerate().map(within).max().unwrap_or(0)
}

/// Waits until the first node has answered an echo request of the client to each of `vips`.
fn wait_for_answers(cluster: &Cluster, vips: &[Ipv4Addr]) -> Result<()> {
    let client = Station { mac: cluster.client.mac(), address: ip("10.77.200.50") };
    let injector = Injector::new(&cluster.client)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    until("all addresses to answer", GENEROUS, || {
        let answered: BTreeSet<_> =
            capture.frames().iter().filter_map(|frame| neighbor::echo_reply(&frame.bytes)).collect();
        let numbered = (1..).zip(vips).filter(|&(number, _)| !answered.contains(&(7, number)));
        let silent: Vec<_> = numbered.map(|(number, vip)| (number, *vip)).collect();
        for &(number, vip) in silent.iter().take(50) {
            let target = Station { mac: cluster.nodes[0].mac(), address: vip.into() };
            injector.send(&neighbor::echo(client, target, 7, number))?;
        }
        Ok(silent.is_empty().then_some(()))
    })
}

/// Every one of five hundred addresses is on the interface after one wait, answers, and is announced in both forms, four times:
/// at once, after 100 ms, 1 s and 5 s. At a rate of 5000, 32 frames may leave at once and 5 in a millisecond thereafter.
#[test]
fn five_hundred_addresses_are_announced_at_a_bearable_pace() -> Result<()> {
    let lab = lab!();
    let vips = five_hundred();
    let list = |vips: &[Ipv4Addr]| vips.iter().map(|vip| format!("\"{vip}/16\"")).collect::<Vec<_>>().join(", ");
    let config = ClusterConfig { interval: "1s", ..ClusterConfig::default() }.text(1)?;
    let (listed, extra) = (list(&vips[..100]), list(&vips[100..]));
    let keys = format!("announcement_rate = 5000\naddresses = [{listed}]\nextra_addresses = [{extra}]");
    let mut cluster = Cluster::with_config(&lab, 1, config.replacen(ADDRESSES, &keys, 1))?;
    let client = cluster.client.clone();
    client.run("ip", &["addr", "add", "10.77.200.50/16", "dev", Host::INTERFACE])?;
    let capture = Capture::start(client.namespace(), Host::INTERFACE)?;
    cluster.start(0)?;
    let mac = cluster.nodes[0].mac();
    cluster.agent(0)?.process.wait_for_output("to=Active", GENEROUS)?;
    let told = || -> Vec<Captured> {
        let is_ours = |frame: &Captured| decode::announcement(&frame.bytes).is_some_and(|told| told.mac == mac);
        capture.frames().into_iter().filter(|frame| is_ours(frame)).collect()
    };
    let announced = until("four announcements of all", GENEROUS, || {
        let told = told();
        Ok((told.len() >= 4 * 2 * vips.len()).then_some(told))
    })?;
    let mut of: BTreeMap<IpAddr, Vec<Instant>> = BTreeMap::new();
    for frame in &announced {
        let told = decode::announcement(&frame.bytes).context("no announcement")?;
        of.entry(told.address).or_default().push(frame.at);
    }
    for vip in &vips {
        let count = of.get(&IpAddr::V4(*vip)).map_or(0, Vec::len);
        ensure!(count == 8, "{vip} was announced {count} times");
    }
    let advert = capture.wait_for("the first advert", GENEROUS, |frame| {
        decode::advertisement(&frame.bytes).is_some_and(|advert| advert.source.is_ipv4())
    })?;
    let beginnings = of.values().filter_map(|moments| moments.first());
    let latest = beginnings.max().context("nothing was announced")?;
    eprintln!(
        "from the first advert to the first announcement of the last of 500 addresses: {:?}",
        *latest - advert.at
    );

    let moments: Vec<_> = announced.iter().map(|frame| frame.at).collect();
    // A capture that is held up reads what waits in one go; not four times.
    let window = Duration::from_millis(20);
    let bursts: Vec<_> = moments.chunks(2 * vips.len()).map(|moments| most_within(moments, window)).collect();
    eprintln!("announcements within {window:?}, of each time: {bursts:?}");
    ensure!(bursts.iter().any(|&most| most <= 32 + 5 * 20), "too many announcements within {window:?}: {bursts:?}");
    wait_for_answers(&cluster, &vips)?;

    let before = Instant::now();
    cluster.take(0)?.process.terminate(GENEROUS)?;
    eprintln!("stopped in {:?}", before.elapsed());
    ensure!(!cluster.nodes[0].run("ip", &["addr"])?.contains("10.77.1."), "addresses are left");
    Ok(())
}

/// While nothing happens, addresses are recalled to switches that forget early.
#[test]
fn announcements_are_refreshed() -> Result<()> {
    let lab = lab!();
    for (refresh, is_refreshed) in [("1s", true), ("off", false)] {
        let keys = format!("announcement_refresh = \"{refresh}\"");
        let cluster = active(&lab, &keys, &ClusterConfig::default())?;
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        // The last repetition is 5 s after the takeover.
        let since = Instant::now() + Duration::from_secs(6);
        let tells = |frame: &Captured| {
            let told = decode::announcement(&frame.bytes);
            frame.at > since && told.is_some_and(|told| told.address == ip("10.77.0.101"))
        };
        if is_refreshed {
            capture.wait_for("a refresh", GENEROUS, tells)?;
            capture.wait_for("a refresh", GENEROUS, |frame| {
                let told = decode::announcement(&frame.bytes);
                frame.at > since && told.is_some_and(|told| told.address == ip("fd77::101"))
            })?;
        } else {
            until("time to pass", GENEROUS, || Ok((Instant::now() > since + Duration::from_secs(3)).then_some(())))?;
            ensure!(!capture.frames().iter().any(tells), "refreshed though it is off");
        }
    }
    Ok(())
}

/// Routes, rules and an extra address for both families.
const HELD: &str = r#"extra_addresses = ["10.77.0.121/24", "fd77::121/64"]
routes = [
  { to = "default", via = "10.77.0.50", table = 100 },
  { to = "198.51.100.0/24", via = "10.77.0.50", source = "10.77.0.121" },
  { to = "default", via = "fd77::50", table = 100 },
  { to = "2001:db8:5::/48", via = "fd77::50", source = "fd77::121" },
]
rules = [
  { from = "10.77.0.101", table = 100 },
  { to = "10.77.0.101", table = 100, priority = 900 },
  { from = "fd77::101", table = 100 },
]"#;

/// What of [`HELD`] is on a host: `ip` and what it shows.
const SHOWN: [(&[&str], &str); 9] = [
    (&["-4", "addr"], "10.77.0.121/24"),
    (&["-6", "addr"], "fd77::121/64"),
    (&["-4", "route", "show", "table", "100"], "default via 10.77.0.50 dev vsw0 proto 112"),
    (&["-4", "route", "show"], "198.51.100.0/24 via 10.77.0.50 dev vsw0 proto 112 src 10.77.0.121"),
    (&["-6", "route", "show", "table", "100"], "default via fd77::50 dev vsw0 proto 112 metric 1024"),
    (&["-6", "route", "show"], "2001:db8:5::/48 via fd77::50 dev vsw0 proto 112 src fd77::121 metric 1024"),
    (&["-4", "-d", "rule"], "1000:\tfrom 10.77.0.101 lookup 100 proto 112"),
    (&["-4", "-d", "rule"], "900:\tfrom all to 10.77.0.101 lookup 100 proto 112"),
    (&["-6", "-d", "rule"], "1000:\tfrom fd77::101 lookup 100 proto 112"),
];

/// What of [`SHOWN`] a host has.
fn held(host: &Host) -> Vec<&'static str> {
    let mut held = Vec::new();
    for (arguments, shown) in SHOWN {
        // A table that no route has ever been in is an error to `ip`.
        let text = host.run("ip", arguments).unwrap_or_default();
        // `ip` may know a name for the protocol.
        if text.replace("proto vrrp", "proto 112").contains(shown) {
            held.push(shown);
        }
    }
    held
}

fn wait_for_all(host: &Host) -> Result<()> {
    let mut seen = Vec::new();
    let waited = until("everything to be held", GENEROUS, || {
        seen = held(host);
        Ok((seen.len() == SHOWN.len()).then_some(()))
    });
    waited.with_context(|| format!("held: {seen:?}; rules: {:?}", host.run("ip", &["-d", "rule"])))
}

/// What is like ours and somebody else's.
const FOREIGN: [&[&str]; 4] = [
    &["route", "add", "default", "via", "10.77.0.66", "table", "100", "proto", "static", "metric", "5"],
    &["route", "add", "198.51.100.0/24", "via", "10.77.0.66", "proto", "static"],
    &["rule", "add", "from", "10.77.0.101", "lookup", "100", "priority", "1001"],
    &["-6", "rule", "add", "from", "fd77::66", "lookup", "100", "priority", "1000"],
];

fn wait_for_foreign_alone(host: &Host) -> Result<()> {
    until("nothing to be held", GENEROUS, || Ok(held(host).is_empty().then_some(())))?;
    for (arguments, shown) in [
        (&["route", "show", "table", "100"][..], "default via 10.77.0.66 dev vsw0 proto static metric 5"),
        (&["route", "show"], "198.51.100.0/24 via 10.77.0.66 dev vsw0 proto static"),
        (&["rule"], "1001:\tfrom 10.77.0.101 lookup 100"),
        (&["-6", "rule"], "1000:\tfrom fd77::66 lookup 100"),
    ] {
        let text = host.run("ip", arguments)?;
        ensure!(text.contains(shown), "{shown} is gone: {text}");
    }
    Ok(())
}

/// Routes, rules and extra addresses are there with the virtual addresses, also on a Virtual Router MAC Address, and go with
/// them. Extra addresses are announced and not advertised.
#[test]
fn routes_and_rules_come_and_go_with_the_addresses() -> Result<()> {
    let lab = lab!();
    for virtual_mac in [false, true] {
        let cluster = if virtual_mac { "virtual_mac = true" } else { "" };
        let config = ClusterConfig { cluster, ..ClusterConfig::default() };
        // The client's link-local address, which all interfaces lead to.
        let held = if virtual_mac { HELD.replace("fd77::50", "fe80::ff:fe00:32") } else { HELD.to_owned() };
        let mut cluster = Cluster::with_config(&lab, 1, with(&held, &config)?)?;
        let node = cluster.nodes[0].clone();
        FOREIGN.iter().try_for_each(|arguments| node.run("ip", arguments).map(drop))?;
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        cluster.start_all()?;
        if virtual_mac {
            until("the rules and the routes", GENEROUS, || {
                let (rules, routes) = (node.run("ip", &["rule"])?, node.run("ip", &["route", "show", "table", "100"])?);
                let routes6 = node.run("ip", &["-6", "route", "show", "table", "100"])?;
                let is_there = rules.contains("900:")
                    && routes.contains("default via 10.77.0.50 dev vr4.51.")
                    && routes6.contains("default via fe80::ff:fe00:32 dev vr6.51.");
                Ok(is_there.then_some(()))
            })?;
        } else {
            wait_for_all(&node)?;
        }
        for extra in ["10.77.0.121", "fd77::121"] {
            capture.wait_for("an announcement", GENEROUS, |frame| {
                decode::announcement(&frame.bytes).is_some_and(|told| told.address == ip(extra))
            })?;
            let is_advertised = |frame: &Captured| {
                decode::advertisement(&frame.bytes).is_some_and(|advert| advert.addresses.contains(&ip(extra)))
            };
            ensure!(!capture.frames().iter().any(is_advertised), "{extra} is advertised");
        }
        cluster.lan.cut("n1")?;
        wait_for_foreign_alone(&node)?;
        cluster.lan.mend("n1")?;
        until("the rules again", GENEROUS, || Ok(node.run("ip", &["rule"])?.contains("900:").then_some(())))?;
        cluster.take(0)?.process.terminate(GENEROUS)?;
        wait_for_foreign_alone(&node)?;
    }
    Ok(())
}

/// The value of promote_secondaries of the interface.
fn promotes(host: &Host) -> Result<bool> {
    let text = host.run("cat", &["/proc/sys/net/ipv4/conf/vsw0/promote_secondaries"])?;
    Ok(text.trim() == "1")
}

/// What a killed agent has left goes at the next start and with `vipd detach`; what is somebody else's stays, and the kernel's
/// setting is as it was.
#[test]
fn nothing_but_what_is_foreign_outlives_a_kill() -> Result<()> {
    let lab = lab!();
    for by_detach in [false, true] {
        let config = ClusterConfig { supervisor: false, ..ClusterConfig::default() };
        let mut cluster = Cluster::with_config(&lab, 1, with(HELD, &config)?)?;
        let node = cluster.nodes[0].clone();
        node.namespace().set("ipv4/conf/vsw0/promote_secondaries", "0")?;
        FOREIGN.iter().try_for_each(|arguments| node.run("ip", arguments).map(drop))?;
        cluster.start_all()?;
        wait_for_all(&node)?;
        ensure!(promotes(&node)?, "removing one address would remove others");
        let mut agent = cluster.take(0)?;
        agent.process.kill()?;
        wait_for_all(&node)?;
        if by_detach {
            agent.run(&["detach"])?;
            ensure!(!node.has_address(ip("10.77.0.101"))?, "an address is left");
        } else {
            cluster.config = ClusterConfig { interval: "10s", ..ClusterConfig::default() }.text(1)?;
            cluster.start(0)?;
            cluster.agent(0)?.process.wait_for_output("running as", GENEROUS)?;
            ensure!(!node.has_address(ip("10.77.0.101"))?, "an address is left");
        }
        wait_for_foreign_alone(&node)?;
        ensure!(!promotes(&node)?, "the setting was not put back");
    }
    Ok(())
}

/// That an interface was fit a moment ago says nothing of another one of its name.
#[test]
fn an_interface_that_is_made_anew_is_made_fit_at_once() -> Result<()> {
    let lab = lab!();
    // Its other end is on the same host: IPv6 would find its own address there.
    let config = ClusterConfig { interval: "10ms", cluster: "sync_families = false", ..ClusterConfig::default() };
    let mut cluster = Cluster::with_config(&lab, 1, config.text(1)?)?;
    let node = cluster.nodes[0].clone();
    for interface in ["default", Host::INTERFACE] {
        node.namespace().set(&format!("ipv4/conf/{interface}/promote_secondaries"), "0")?;
    }
    cluster.start_all()?;
    for _ in 0..3 {
        until("the address to be held", GENEROUS, || Ok(node.has_address(ip("10.77.0.101"))?.then_some(())))?;
        ensure!(promotes(&node)?, "removing one address would remove others");
        node.make_interface_anew(1500, &["10.77.0.1/24"])?;
    }
    Ok(())
}

/// Another agent's rules are no leftovers: it runs in the same network namespace, on another interface.
#[test]
fn the_rules_of_another_agent_are_left_to_it() -> Result<()> {
    let lab = lab!();
    let mut cluster = active(&lab, HELD, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    wait_for_all(&node)?;
    node.run("ip", &["link", "add", "other0", "type", "veth", "peer", "name", "other1"])?;
    node.run("ip", &["addr", "add", "10.78.0.1/24", "dev", "other0"])?;
    for up in ["other0", "other1"] {
        node.run("ip", &["link", "set", up, "up"])?;
    }
    let config = "[cluster]\nname = \"other\"\ninterface = \"other0\"\nsupervisor = false\n[guard]\nattach = \"off\"\n\
                  [[node]]\nname = \"n1\"\naddress = \"10.78.0.1\"\n\
                  [[virtual_router]]\nname = \"b\"\nvrid = 9\naddresses = [\"10.78.0.101/24\"]\nnodes = [\"n1\"]\n\
                  rules = [{ from = \"10.78.0.101\", table = 101 }]\n";
    let mut other = node.agent(config, &[])?;
    until("the other's rule", GENEROUS, || Ok(node.run("ip", &["rule"])?.contains("lookup 101").then_some(())))?;
    other.process.kill()?;
    ensure!(node.run("ip", &["rule"])?.contains("lookup 101"), "the rule went with the agent");
    let other = node.agent_again(other.instance(), config, &[])?;
    other.process.wait_for_output("removing what an earlier run has left: rule from 10.78.0.101/32", GENEROUS)?;
    other.process.wait_for_output("running as", GENEROUS)?;
    let said = other.process.transcript();
    ensure!(!said.contains("10.77."), "it took the other agent's: {said}");
    ensure!(!cluster.take(0)?.process.transcript().contains("removed by somebody else"));
    Ok(())
}

/// Whoever removes an address, a route or a rule of a virtual router is named, and everything is put back while it stays Active.
#[test]
fn whoever_removes_something_is_named() -> Result<()> {
    let lab = lab!();
    let cluster = active(&lab, HELD, &ClusterConfig::default())?;
    let node = &cluster.nodes[0];
    wait_for_all(node)?;
    let transitions = cluster.transitions()?;
    // The kernel does not say who has removed an IPv6 address.
    for (family, order, missing, by) in [
        ("-4", "addr del 10.77.0.121/24 dev vsw0", "[\"10.77.0.121/24\"]", "`ip`, process "),
        ("-4", "route del default table 100", "[\"route to 0.0.0.0/0 via 10.77.0.50 in table 100\"]", "`ip`, process "),
        ("-6", "route del default table 100", "[\"route to ::/0 via fd77::50 in table 100\"]", "`ip`, process "),
        (
            "-4",
            "rule del from 10.77.0.101 priority 1000",
            "[\"rule from 10.77.0.101/32 lookup 100 priority 1000\"]",
            "`ip`, process ",
        ),
        (
            "-6",
            "addr del fd77::121/64 dev vsw0",
            "[\"fd77::121/64\", \"route to 2001:db8:5::/48 via fd77::50 in table 254\"]",
            "unknown",
        ),
    ] {
        // `ip` goes on waiting for orders, as a program does that manages addresses.
        let mut command = node.namespace().command("sh");
        command.args(["-c", &format!("(echo '{order}'; sleep 60) | ip {family} -batch -")]);
        let _ip = Process::spawn("ip", command)?;
        let said = format!("putting it back missing={missing} by=\"{by}");
        cluster.agent(0)?.process.wait_for_output(&said, GENEROUS)?;
        wait_for_all(node)?;
    }
    ensure!(cluster.transitions()? == transitions, "the state changed");
    Ok(())
}

/// So many notifications that the kernel drops some, the one of a removed virtual address among them: everything is read
/// again, and the address is put back.
#[test]
fn a_removal_is_noticed_though_its_notification_is_lost() -> Result<()> {
    let lab = lab!();
    // A supervisor would hand over for an agent that is stopped so long.
    let cluster = active(&lab, "", &ClusterConfig { interval: "1s", supervisor: false, ..ClusterConfig::default() })?;
    let node = &cluster.nodes[0];
    node.run("ip", &["link", "add", "other0", "type", "veth", "peer", "name", "other1"])?;
    let flood = |verb: &str| {
        (0..8_000).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "addr {verb} 10.{}.{}.1/32 dev other0", 100 + number / 250, number % 250);
            text
        })
    };
    let file = lab.write("flood", &format!("{}addr del 10.77.0.101/24 dev vsw0\n{}", flood("add"), flood("del")))?;
    let agent = cluster.agent(0)?;
    agent.process.stop()?;
    node.run("ip", &["-batch", file.to_str().context("not UTF-8")?])?;
    ensure!(!node.has_address(ip("10.77.0.101"))?, "nothing was removed");
    agent.process.cont()?;
    until("the address", GENEROUS, || Ok(node.has_address(ip("10.77.0.101"))?.then_some(())))?;
    agent.process.wait_for_output("by=\"unknown\"", GENEROUS)?;
    Ok(())
}

/// Another program puts an IPv6 address of ours back so that it is probed for, and a stranger says that he has it: vipd adds it
/// again and names him, where the guard has seen him.
#[test]
fn an_address_that_failed_its_probe_is_added_again() -> Result<()> {
    let lab = lab!();
    for (guard, is_seen) in [("attach = \"off\"", false), ("", true)] {
        // As above.
        let config = ClusterConfig { interval: "1s", guard, supervisor: false, ..ClusterConfig::default() };
        let cluster = active(&lab, "", &config)?;
        let node = &cluster.nodes[0];
        for setting in ["accept_dad", "dad_transmits"] {
            node.namespace().set(&format!("ipv6/conf/{}/{setting}", Host::INTERFACE), "1")?;
        }
        let liar = Station { mac: cluster.attacker.mac(), address: ip("fd77::66") };
        let IpAddr::V6(vip) = ip("fd77::101") else { return Ok(()) };
        let injector = Injector::new(&cluster.attacker)?;
        let agent = cluster.agent(0)?;
        if is_seen {
            until("the guard to see him", GENEROUS, || {
                injector.send(&neighbor::advertisement(liar, vip))?;
                Ok(agent.status()?.0.to_string().contains("address_claimed").then_some(()))
            })?;
        }
        let file = lab.write("again", "addr del fd77::101/64 dev vsw0\naddr add fd77::101/64 dev vsw0\n")?;
        agent.process.stop()?;
        node.run("ip", &["-batch", file.to_str().context("not UTF-8")?])?;
        until("the probe to fail", GENEROUS, || {
            injector.send(&neighbor::advertisement(liar, vip))?;
            let shown = node.run("ip", &["-6", "addr", "show", "to", "fd77::101"])?;
            Ok((shown.contains("dadfailed") || (is_seen && shown.contains("tentative"))).then_some(()))
        })?;
        agent.process.cont()?;
        until("the address to be fit", GENEROUS, || {
            let shown = node.run("ip", &["-6", "addr", "show", "to", "fd77::101"])?;
            let is_fit = shown.contains("nodad") && !shown.contains("tentative") && !shown.contains("dadfailed");
            Ok(is_fit.then_some(()))
        })?;
        let status = agent.wait_for("the alarm", |status| status.0.to_string().contains("duplicate_address"))?;
        let text = status.0.to_string();
        let named = format!("{} says that it is his: find this station", cluster.attacker.mac());
        ensure!(text.contains(&named) == is_seen, "{text}");
        ensure!(status.state("web-a", Family::Ipv6) == Some("Active"), "{text}");
    }
    Ok(())
}

/// A route that the kernel refuses: nothing is left, the reason is in the status.
#[test]
fn a_route_that_cannot_be_added_leaves_nothing_behind() -> Result<()> {
    let lab = lab!();
    let keys = "routes = [{ to = \"192.0.2.0/24\", via = \"203.0.113.1\" }]\nrules = [{ from = \"10.77.0.101\", table = 100 }]";
    let mut cluster = Cluster::with_config(&lab, 1, with(keys, &ClusterConfig::default())?)?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for_state("web-a", Family::Ipv4, "Fault")?;
    let reason = status.router("web-a", Family::Ipv4).and_then(|router| router["reason"].as_str()).unwrap_or_default();
    ensure!(reason.contains("failed to add route to 192.0.2.0/24 via 203.0.113.1 in table 254"), "{reason}");
    // It moves together with the other one.
    agent.wait_for_state("web-a", Family::Ipv6, "Fault")?;
    let node = &cluster.nodes[0];
    until("the address to be gone", GENEROUS, || Ok((!node.has_address(ip("10.77.0.101"))?).then_some(())))?;
    ensure!(!node.run("ip", &["rule"])?.contains("lookup 100"), "a rule is left");
    Ok(())
}
