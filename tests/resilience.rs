//! What must not disturb a cluster: stalls, adverts that are refused, floods, a log that nobody reads, changes of the
//! interface.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::IpAddr,
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use harness::{
    Capture, Cluster, ClusterConfig, GENEROUS, Host, Injector, Process, Status, decode,
    frame::{Advert, Checksum},
    ip, lab, until, vipd,
};
use nix::sys::signal::Signal;
use rtnetlink::{packet_core::NLM_F_CREATE, packet_route::RouteNetlinkMessage};
use vipd::perform::{
    address,
    holdings::Ground,
    netlink::{Order, carry_out},
};
use vrrp_wire::{Family, MacAddr};

/// An IPv4 advert of `priority` that comes from a node's own address and MAC address.
fn advert_of(cluster: &Cluster, node: usize, priority: u8) -> Advert {
    let source = IpAddr::from([10, 77, 0, u8::try_from(node + 1).unwrap_or(u8::MAX)]);
    let [vip, _] = Cluster::addresses(0);
    Advert::new(cluster.nodes[node].mac(), source, Cluster::VRIDS[0], priority, &[vip])
}

/// Adverts of a peer whose checksum is wrong are refused, and their stamps are no sign of life either: the Backup takes
/// over while they keep coming.
#[test]
fn refused_adverts_do_not_delay_a_takeover() -> Result<()> {
    let lab = lab!();
    for attach in ["auto", "off"] {
        let guard = format!("attach = \"{attach}\"");
        let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { guard: &guard, ..ClusterConfig::default() })?;
        cluster.start(1)?;
        let broken = Advert { checksum: Checksum::Is(0xbad0), ..advert_of(&cluster, 0, 200) }.frame();
        let sender = Injector::new(&cluster.nodes[0])?;
        until("the Backup to take over", GENEROUS, || {
            sender.send(&broken)?;
            // An agent that has not started yet has no status.
            let Ok(status) = cluster.agent(1)?.status() else { return Ok(None) };
            let refused = status.tally("web-a", Family::Ipv4, "adverts_refused").unwrap_or(0);
            let is_active = status.state("web-a", Family::Ipv4) == Some("Active");
            Ok((is_active && refused > 10).then_some(()))
        })
        .with_context(|| format!("attach = {attach}"))?;
    }
    Ok(())
}

/// An Active that was stopped while a better router took over yields once when it wakes, and does not take over in
/// between, though the oldest adverts in its ring buffer are long past.
#[test]
fn an_active_that_was_stopped_yields_once() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { interval: "50ms", preferred: &[0, 0, 0], ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to be Active", |status| status.all_in(&["Active"]))?;
    cluster.settle_on(0, 1)?;
    let before = cluster.agent(1)?.status()?.transitions().context("no transitions")?;
    cluster.agent(1)?.process.stop()?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    cluster.wait_for_overflow(&lab, 1)?;
    cluster.agent(1)?.process.cont()?;
    cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
    cluster.settle_on(0, 0)?;
    let after = cluster.agent(1)?.status()?.transitions().context("no transitions")?;
    ensure!(after == before + 6, "{} state changes instead of one for each virtual router", after - before);
    Ok(())
}

/// Nobody reads the agent's log any more: elections go on, and so do answers on the control socket.
#[test]
fn a_log_that_nobody_reads_holds_nothing_up() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    let file = lab.write("unread.toml", &cluster.config)?;
    let mut command = cluster.nodes[0].namespace().command(vipd()?);
    command.arg("run").arg("--config").arg(file).args(["--node", "n1", "--instance", "unread"]);
    command.env("VIPD_LOG", "trace").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut agent = command.spawn()?;
    // One line, then the reader is gone: every later one meets a closed pipe.
    agent.stderr.take().context("no pipe")?.read_exact(&mut [0; 16])?;
    let outcome = cluster.settle_on(0, 0).and_then(|()| {
        cluster.lan.cut("n1")?;
        until("n1 to notice that its link is down", GENEROUS, || {
            let mut ask = cluster.nodes[0].namespace().command(vipd()?);
            let output = ask.args(["status", "--json", "--instance", "unread"]).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).contains("\"Fault\"").then_some(()))
        })
    });
    agent.kill()?;
    agent.wait()?;
    outcome
}

/// In socket mode the agent reads every forged frame itself. A flood of them must not keep it from advertising.
#[test]
fn a_flood_does_not_silence_an_agent_without_xdp() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { interval: "10ms", guard: "attach = \"off\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 1, &config)?;
    cluster.start_all()?;
    let sent = |cluster: &Cluster| -> Result<u64> {
        cluster.agent(0)?.status()?.tally("web-a", Family::Ipv4, "adverts_sent").context("no count of adverts")
    };
    let [vip, _] = Cluster::addresses(0);
    let forged = Advert::new(cluster.attacker.mac(), [10, 77, 0, 66].into(), Cluster::VRIDS[0], 255, &[vip]).frame();
    let (start, before) = (Instant::now(), sent(&cluster)?);
    let flood = |host: &Host| -> Result<()> {
        let sender = Injector::new(host)?;
        while start.elapsed() < Duration::from_secs(3) {
            sender.flood(&forged, 10_000)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others = [&cluster.attacker, &cluster.client, &cluster.attacker].map(|host| scope.spawn(|| flood(host)));
        others.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a sender panicked"))?)
    })?;
    let (due, sent) = (start.elapsed().as_millis() / 10, sent(&cluster)? - before);
    let status = cluster.agent(0)?.status()?;
    let heard = status.counter("web-a", Family::Ipv4, "unknown_source");
    ensure!(heard > 10_000, "the flood did not arrive: {status:?}");
    // Half is far from perfect, and more than an agent sends that reads on before it looks at the clock.
    ensure!(u128::from(sent) > due / 2, "{sent} adverts were sent where {due} were due, amid {heard} forged ones");
    ensure!(status.all_in(&["Active"]), "{status:?}");
    Ok(())
}

/// The interface gets another MAC address: what clients have cached is wrong, and they are told.
#[test]
fn a_changed_mac_address_is_announced() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    // The announcements of the takeover are over after five seconds.
    cluster.agent(0)?.wait_for("an Active of old standing", |status| {
        status.router("web-a", Family::Ipv4).is_some_and(|router| router["since_ms"].as_u64() > Some(6_000))
    })?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.nodes[0].run("ip", &["link", "set", "dev", Host::INTERFACE, "address", "02:00:00:00:00:99"])?;
    let [ipv4, _] = Cluster::addresses(0);
    let mac = MacAddr([2, 0, 0, 0, 0, 0x99]);
    capture.wait_for("an announcement of the new MAC address", GENEROUS, |frame| {
        decode::announcement(&frame.bytes).is_some_and(|told| (told.address, told.mac) == (ipv4, mac))
    })?;
    Ok(())
}

/// Whatever removes a virtual address of an Active, it is put back: another program, or the kernel, which removes the
/// secondary addresses of a subnet together with the primary one.
#[test]
fn an_active_keeps_its_addresses() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() })?;
    // A subnet of their own, as the public addresses of a vSwitch have it.
    cluster.config =
        cluster.config.replace("10.77.0.101/24", "192.0.2.101/24").replace("10.77.0.102/24", "192.0.2.102/24");
    let (first, second, ipv6) = (ip("192.0.2.101"), ip("192.0.2.102"), Cluster::addresses(0)[1]);
    cluster.start(0)?;
    let node = cluster.nodes[0].clone();
    let holds = |addresses: &[IpAddr]| {
        until(&format!("n1 to hold {addresses:?}"), GENEROUS, || {
            let held = addresses.iter().map(|&address| node.has_address(address)).collect::<Result<Vec<_>>>()?;
            Ok((!held.contains(&false)).then_some(()))
        })
    };
    holds(&[first, second, ipv6])?;
    // The first one to be added is the primary address of the subnet.
    node.run("ip", &["addr", "del", "192.0.2.101/24", "dev", Host::INTERFACE])?;
    holds(&[first, second])?;
    node.run("ip", &["addr", "del", "192.0.2.102/24", "dev", Host::INTERFACE])?;
    node.run("ip", &["addr", "del", "fd77::101/64", "dev", Host::INTERFACE])?;
    holds(&[first, second, ipv6])?;
    let status = cluster.agent(0)?.status()?;
    ensure!(status.all_in(&["Active"]), "{status:?}");
    ensure!(status.transitions() == Some(8), "not two for each virtual router: {status:?}");
    Ok(())
}

/// The host's own connections do not leave from a virtual address, where they would break at the next failover.
#[test]
fn virtual_addresses_are_no_sources() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    let cases = [("10.77.0.50", "src 10.77.0.1 "), ("fd77::50", "src fd77::1 "), ("fe80::50", "src fe80::ff:fe00:1 ")];
    for (destination, source) in cases {
        let route = cluster.nodes[0].run("ip", &["route", "get", destination, "oif", Host::INTERFACE])?;
        ensure!(route.contains(source), "{route}");
    }
    Ok(())
}

/// One of two interfaces is deleted and made anew, then loses its name and gets it back: its virtual routers are in Fault
/// meanwhile and serve again afterwards, the program sits where it should, and the other interface does not notice.
#[test]
fn an_interface_that_comes_back_is_served_again() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() })?;
    let node = cluster.nodes[0].clone();
    let make = || -> Result<()> {
        node.run("ip", &["link", "add", "vsw1", "type", "veth", "peer", "name", "vsw1peer"])?;
        node.run("ip", &["link", "set", "vsw1peer", "up"])?;
        node.run("ip", &["address", "add", "10.77.0.1/32", "dev", "vsw1"])?;
        node.run("ip", &["link", "set", "vsw1", "up"])?;
        Ok(())
    };
    make()?;
    cluster.config = cluster.config.replace("vrid = 52", "vrid = 52\ninterface = \"vsw1\"");
    cluster.start(0)?;
    let vip = Cluster::addresses(1)[0].to_string();
    let served = |interface: &str| -> Result<bool> {
        Ok(node.run("ip", &["-brief", "address", "show", "dev", interface])?.contains(&vip))
    };
    cluster.agent(0)?.wait_for_state("web-b", Family::Ipv4, "Active")?;
    let settled = cluster.agent(0)?.status()?;

    node.run("ip", &["link", "del", "vsw1"])?;
    cluster.agent(0)?.wait_for_state("web-b", Family::Ipv4, "Fault")?;
    make()?;
    cluster.agent(0)?.wait_for_state("web-b", Family::Ipv4, "Active")?;
    until("the virtual address on the new interface", GENEROUS, || Ok(served("vsw1")?.then_some(())))?;

    for step in [["link", "set", "vsw1", "down"], ["link", "set", "vsw1", "name"]] {
        let mut arguments = step.to_vec();
        if step[3] == "name" {
            arguments.push("vsw9");
        }
        node.run("ip", &arguments)?;
    }
    cluster.agent(0)?.wait_for_state("web-b", Family::Ipv4, "Fault")?;
    until("nothing of vipd on an interface of another name", GENEROUS, || {
        let link = node.run("ip", &["-details", "link", "show", "dev", "vsw9"])?;
        Ok((!served("vsw9")? && !link.contains("xdp")).then_some(()))
    })?;
    node.run("ip", &["link", "set", "vsw9", "name", "vsw1"])?;
    node.run("ip", &["link", "set", "vsw1", "up"])?;
    cluster.agent(0)?.wait_for_state("web-b", Family::Ipv4, "Active")?;
    let link = node.run("ip", &["-details", "link", "show", "dev", "vsw1"])?;
    ensure!(link.contains("xdp"), "no program on the interface that came back: {link}");

    let now = cluster.agent(0)?.status()?;
    let of_the_other = |status: &Status| status.tally("web-a", Family::Ipv4, "transitions");
    ensure!(of_the_other(&now) == of_the_other(&settled), "the other interface noticed");
    Ok(())
}

/// An interface that was in another network namespace comes back with its name and its index, and without what was on it.
#[test]
fn an_interface_that_was_moved_away_is_served_again() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() })?;
    let node = cluster.nodes[0].clone();
    node.run("ip", &["link", "add", "vsw1", "index", "777", "type", "veth", "peer", "name", "vsw1peer"])?;
    node.run("ip", &["link", "set", "vsw1peer", "up"])?;
    let serve = |address: &str| -> Result<()> {
        node.run("ip", &["address", "add", address, "dev", "vsw1"])?;
        node.run("ip", &["link", "set", "vsw1", "up"]).map(drop)
    };
    serve("10.77.0.1/32")?;
    cluster.config = cluster.config.replace("vrid = 52", "vrid = 52\ninterface = \"vsw1\"");
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    agent.wait_for_state("web-b", Family::Ipv4, "Active")?;
    let settled = agent.status()?;

    // All at once, as far as the agent can see.
    let elsewhere = &cluster.client;
    agent.process.signal(Signal::SIGSTOP)?;
    node.run("ip", &["link", "set", "vsw1", "netns", &elsewhere.namespace().path()])?;
    elsewhere.run("ip", &["link", "set", "vsw1", "netns", &node.namespace().path()])?;
    serve("10.77.0.1/32")?;
    agent.process.signal(Signal::SIGCONT)?;
    agent.process.wait_for_output("the interface is there", GENEROUS)?;
    ensure!(node.run("ip", &["-json", "link", "show", "dev", "vsw1"])?.contains("\"ifindex\":777"));
    let capture = Capture::start(node.namespace(), "vsw1peer")?;
    capture.wait_for("an advert", GENEROUS, |frame| {
        decode::advertisement(&frame.bytes).is_some_and(|advert| advert.vrid == 52 && advert.priority > 0)
    })?;
    agent.wait_for_state("web-b", Family::Ipv4, "Active")?;
    let forged = Advert::new(MacAddr([2, 0, 0, 0, 0, 9]), ip("10.77.0.9"), 52, 255, &[Cluster::addresses(1)[0]]);
    let peer = Injector::on(node.namespace(), "vsw1peer")?;
    peer.send(&forged.frame())?;
    agent.wait_for("a stranger's advert to be counted", |status| {
        status.counter("web-b", Family::Ipv4, "unknown_source") > 0
    })?;
    until("the group to be joined again", GENEROUS, || {
        Ok(node.run("ip", &["maddress", "show", "dev", "vsw1"])?.contains("224.0.0.18").then_some(()))
    })?;
    let of_the_other = |status: &Status| status.tally("web-a", Family::Ipv4, "transitions");
    ensure!(of_the_other(&agent.status()?) == of_the_other(&settled), "the other interface noticed");
    Ok(())
}

/// Somebody changes addresses of the interface all the time, with the sequence numbers that the agent's questions have:
/// what the kernel tells everybody of it is no answer to them, and the interface is neither gone nor without an address.
#[test]
fn what_the_kernel_tells_everybody_is_no_answer() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let (agent, node) = (cluster.agent(0)?, &cluster.nodes[0]);
    let settled = agent.status()?.transitions();
    let ground = Ground { ifindex: node.ifindex()?, is_own: false };
    let remove = address::take_off(ground, "10.77.9.9/32".parse()?);
    let RouteNetlinkMessage::DelAddress(message) = remove.message.clone() else { bail!("{remove:?}") };
    let add = Order { message: RouteNetlinkMessage::NewAddress(message), flags: NLM_F_CREATE };
    let changes: Vec<_> = (0..100).flat_map(|_| [&add, &remove]).collect();
    let refused = node.namespace().enter(|| (0..200).map(|_| carry_out(&changes)).collect::<Result<Vec<_>, _>>())??;
    ensure!(refused.iter().all(Vec::is_empty), "{:?}", refused.concat().first());
    // When it says that its cable is pulled, it has heard of all the rest.
    cluster.lan.cut("n1")?;
    let after = agent.wait_for("n1 to be in Fault", |status| status.all_in(&["Fault"]))?.transitions();
    let once = settled.context("no transitions")? + 2;
    ensure!(after == Some(once), "{after:?} state changes instead of {once}");
    Ok(())
}

/// What the systemd unit of a careful operator grants is enough for native XDP.
#[test]
fn four_capabilities_are_enough() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let file = lab.write("least.toml", &cluster.config)?;
    let mut command = cluster.nodes[0].namespace().command("setpriv");
    let granted = "-all,+net_admin,+net_raw,+bpf,+perfmon";
    command.args(["--bounding-set", granted, "--inh-caps", granted]).arg(vipd()?);
    command.arg("run").arg("--config").arg(file).args(["--node", "n1", "--instance", "least"]);
    let agent = Process::spawn("the agent with few capabilities", command)?;
    agent.wait_for_output("mode=native", GENEROUS)?;
    cluster.settle_on(0, 0)
}

/// Clients that connect and say nothing, and one that talks nonsense, keep nobody from an answer for long.
#[test]
fn clients_of_the_control_socket_cannot_block_it() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    let socket = format!("/run/vipd@{}/vipd.sock", cluster.agent(0)?.instance());
    let silent = (0..20).map(|_| UnixStream::connect(&socket)).collect::<Result<Vec<_>, _>>()?;
    let mut talker = UnixStream::connect(&socket)?;
    talker.set_read_timeout(Some(GENEROUS))?;
    talker.write_all(b"nonsense\n")?;
    let mut answer = String::new();
    BufReader::new(talker).read_line(&mut answer)?;
    ensure!(answer.contains("not a request"), "{answer}");
    cluster.agent(0)?.wait_for("an answer", |status| status.all_in(&["Active"]))?;
    drop(silent);
    Ok(())
}
