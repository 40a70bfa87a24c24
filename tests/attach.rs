//! How the guard gets onto an interface, stays there when the agent is killed, and leaves nothing behind.

#[path = "attach/pinned.rs"]
mod pinned;
#[path = "attach/place.rs"]
mod place;

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Status, frame::Advert, ip, lab, until};
use vipd::datapath::{
    attach::Hook,
    guard::Guard,
    netlink::{self, Side},
    nic::Nic,
};
use vrrp_wire::Family;

use self::{
    pinned::{link, map_id},
    place::occupants,
};

/// What is pinned of a guard on the way in and on the way out, and how it shows.
const WAYS: [(&str, &str, &str); 4] = [
    ("native", "link_{}_ingress_native", "prog/xdp"),
    ("generic", "link_{}_ingress_generic", "prog/xdp"),
    ("tcx", "link_{}_ingress_tcx", "tcx/ingress vipd_ingress"),
    ("clsact", "filters_{}", "vipd_ingress direct-action"),
];

fn cluster(lab: &Lab, nodes: usize, guard: &str) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, nodes, &ClusterConfig { guard, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    Ok(cluster)
}

/// Waits for a state in which the agent has started again.
fn restart(cluster: &Cluster, agent: &mut Agent) -> Result<Status> {
    agent.start_again()?;
    let status = agent.wait_for("every virtual router to stand", |status| status.all_in(&["Active", "Backup"]))?;
    cluster.settle(0)?;
    Ok(status)
}

/// A guard of a test's own, which stands for another program.
fn foreign(host: &Host, attach: impl FnOnce(&mut Guard, &Nic) -> Result<()> + Send) -> Result<Guard> {
    let mut guard = Guard::load(None)?;
    host.namespace().enter(|| -> Result<()> {
        let nic = Nic::read(nix::net::if_::if_nametoindex(Host::INTERFACE)?)?;
        attach(&mut guard, &nic)
    })??;
    Ok(guard)
}

/// What is pinned in the directory of an agent.
fn pinned(pins: &str) -> Result<Vec<String>> {
    fs::read_dir(pins)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[test]
fn each_way_works_when_asked_for_and_a_clean_end_leaves_nothing() -> Result<()> {
    let lab = lab!();
    for (way, pin, shown) in WAYS {
        let mut cluster = cluster(&lab, 1, &format!("attach = \"{way}\""))?;
        let status = cluster.agent(0)?.status()?;
        ensure!(status.attachment() == (way, ""), "{status:?}");
        cluster.forge("dropped")?;
        let pins = cluster.agent(0)?.pin_dir();
        let pin = Path::new(&pins).join(pin.replace("{}", &cluster.nodes[0].ifindex()?.to_string()));
        ensure!(pin.exists(), "no {}", pin.display());
        let found = occupants(&cluster.nodes[0])?;
        ensure!(found.contains(shown), "{way}: {found}");
        ensure!(found.contains("tcx/egress vipd_egress"), "{way}: {found}");

        cluster.take(0)?.process.terminate(GENEROUS)?;
        ensure!(!Path::new(&pins).exists(), "{way}: {pins} is still there");
        let found = occupants(&cluster.nodes[0])?;
        ensure!(found.is_empty(), "{way}: {found}");
    }
    Ok(())
}

#[test]
fn off_is_a_packet_socket_and_nothing_else() -> Result<()> {
    let lab = lab!();
    let cluster = cluster(&lab, 1, "attach = \"off\"")?;
    ensure!(cluster.agent(0)?.status()?.attachment() == ("socket", ""));
    cluster.forge("would_drop")?;
    let found = occupants(&cluster.nodes[0])?;
    ensure!(found.is_empty(), "{found}");
    ensure!(!Path::new(&cluster.agent(0)?.pin_dir()).exists(), "pinned without a guard");
    Ok(())
}

/// Somebody else's XDP program stays, whether a link or netlink holds it; the guard takes the next way.
#[test]
fn another_xdp_program_is_named_and_stays() -> Result<()> {
    let lab = lab!();
    for held_by_link in [true, false] {
        let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
        let path = format!("/sys/fs/bpf/foreign_{held_by_link}");
        let mut guard = foreign(&cluster.nodes[1], |guard, nic| {
            if held_by_link {
                guard.programs().attach(nic, Side::Ingress, Hook::Native)?;
            }
            Ok(guard.program()?.pin(&path)?)
        })?;
        if !held_by_link {
            cluster.nodes[1].run("ip", &["link", "set", "dev", Host::INTERFACE, "xdpdrv", "pinned", &path])?;
        }
        let id = guard.program()?.info()?.id();
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        let status = cluster.agent(1)?.status()?;
        let expected = format!("native: another XDP program is attached there: `vipd_guard` (id {id})");
        ensure!(status.attachment() == ("tcx", &expected), "{status:?}");
        cluster.lan.cut("n1")?;
        cluster.settle_on(0, 1)?;
        cluster.take(1)?.process.terminate(GENEROUS)?;
        let found = occupants(&cluster.nodes[1])?;
        ensure!(found.contains(&format!("prog/xdp id {id} ")), "{found}");
        ensure!(found.lines().count() == 1, "{found}");
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Asked for one way, the guard takes no other.
#[test]
fn a_way_that_was_asked_for_is_not_replaced_by_another() -> Result<()> {
    let lab = lab!();
    let mut cluster =
        Cluster::new(&lab, 1, &ClusterConfig { guard: "attach = \"native\"", ..ClusterConfig::default() })?;
    let _foreign =
        foreign(&cluster.nodes[0], |guard, nic| guard.programs().attach(nic, Side::Ingress, Hook::Generic).map(drop))?;
    cluster.start_all()?;
    let status = cluster.agent(0)?.status()?;
    ensure!(status.attachment().0 == "socket", "{status:?}");
    ensure!(status.attachment().1.starts_with("native: another XDP program"), "{status:?}");
    Ok(())
}

/// A macvlan has no XDP in its driver.
#[test]
fn where_the_driver_has_no_xdp_the_guard_is_in_traffic_control() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    node.run("ip", &["link", "set", Host::INTERFACE, "name", "lower", "down"])?;
    node.run("ip", &["link", "set", "lower", "up"])?;
    let (mac, name) = (node.mac().to_string(), Host::INTERFACE);
    node.run("ip", &["link", "set", "lower", "address", "02:00:00:00:00:99"])?;
    node.run("ip", &["link", "add", name, "link", "lower", "address", &mac, "type", "macvlan", "mode", "private"])?;
    node.run("ip", &["addr", "add", "10.77.0.1/24", "dev", name])?;
    node.run("ip", &["link", "set", name, "up"])?;
    cluster.start(0)?;
    let status = cluster.agent(0)?.wait_for_state("web-a", Family::Ipv4, "Active")?;
    ensure!(status.attachment().0 == "tcx", "{status:?}");
    ensure!(status.attachment().1.starts_with("native: the driver has no native XDP"), "{status:?}");
    cluster.forge("dropped")
}

/// Links and maps survive SIGKILL; the next start goes on with them, and the program is replaced without a gap.
#[test]
fn a_killed_agents_guard_is_taken_over() -> Result<()> {
    let lab = lab!();
    for (way, pin, shown) in WAYS.into_iter().filter(|(way, ..)| *way != "clsact") {
        let mut cluster = cluster(&lab, 2, &format!("attach = \"{way}\""))?;
        cluster.forge("dropped")?;
        let mut agent = cluster.take(0)?;
        let pins = agent.pin_dir();
        let index = cluster.nodes[0].ifindex()?.to_string();
        let paths =
            [pin.replace("{}", &index), format!("link_{index}_egress_tcx")].map(|name| format!("{pins}/{name}"));
        let before = paths.each_ref().map(|path| link(&lab, path)).into_iter().collect::<Result<Vec<_>>>()?;
        let counters = map_id(&lab, &format!("{pins}/counters"))?;

        agent.process.kill()?;
        for family in [Family::Ipv4, Family::Ipv6] {
            cluster.agent(1)?.wait_for_state("web-a", family, "Active")?;
        }
        ensure!(occupants(&cluster.nodes[0])?.contains(shown), "{way}: gone with the agent");
        let status = restart(&cluster, &mut agent)?;
        ensure!(status.attachment() == (way, ""), "{status:?}");
        ensure!(status.counter("web-a", Family::Ipv4, "dropped") == 10, "{way}: {status:?}");
        ensure!(map_id(&lab, &format!("{pins}/counters"))? == counters, "{way}: other maps");
        for (path, before) in paths.iter().zip(&before) {
            let after = link(&lab, path)?;
            ensure!(after.id == before.id && after.program != before.program, "{path}: {before:?}, then {after:?}");
        }
        cluster.agents[0] = Some(agent);
        cluster.forge("dropped")?;
        cluster.take(0)?.process.terminate(GENEROUS)?;
        ensure!(occupants(&cluster.nodes[0])?.is_empty(), "{way}: {}", occupants(&cluster.nodes[0])?);
    }
    Ok(())
}

/// Filters outlive any process. The next start replaces them, and a clean end removes them with their queueing discipline.
#[test]
fn filters_of_a_killed_agent_are_replaced() -> Result<()> {
    let lab = lab!();
    let mut cluster = cluster(&lab, 1, "attach = \"clsact\"")?;
    let mut agent = cluster.take(0)?;
    agent.process.kill()?;
    restart(&cluster, &mut agent)?;
    let found = occupants(&cluster.nodes[0])?;
    ensure!(found.matches("vipd_ingress direct-action").count() == 1, "{found}");
    agent.process.terminate(GENEROUS)?;
    let found = occupants(&cluster.nodes[0])?;
    ensure!(found.is_empty(), "{found}");
    Ok(())
}

/// Another program's filter and queueing discipline stay where they are.
#[test]
fn filters_of_others_stay() -> Result<()> {
    let lab = lab!();
    let mut cluster =
        Cluster::new(&lab, 1, &ClusterConfig { guard: "attach = \"clsact\"", ..ClusterConfig::default() })?;
    let node = cluster.nodes[0].clone();
    node.run("tc", &["qdisc", "add", "dev", Host::INTERFACE, "clsact"])?;
    let add = ["filter", "add", "dev", Host::INTERFACE, "ingress", "protocol", "ip", "prio", "1", "u32"];
    node.run("tc", &[&add[..], &["match", "ip", "dst", "192.0.2.1/32", "flowid", "1:1"]].concat())?;
    let before = occupants(&node)?;
    cluster.start_all()?;
    ensure!(cluster.agent(0)?.status()?.attachment() == ("clsact", ""));
    cluster.forge("dropped")?;
    let mut agent = cluster.take(0)?;
    agent.process.kill()?;
    ensure!(occupants(&node)? != before, "the filter is gone with the agent");
    agent.run(&["detach"])?;
    ensure!(occupants(&node)? == before, "{}", occupants(&node)?);
    restart(&cluster, &mut agent)?;
    agent.process.terminate(GENEROUS)?;
    ensure!(occupants(&node)? == before, "{}", occupants(&node)?);
    Ok(())
}

/// `vipd detach` removes what a killed agent has left: pinned maps and links, and filters.
#[test]
fn detach_removes_what_a_killed_agent_has_left() -> Result<()> {
    let lab = lab!();
    for (way, ..) in WAYS {
        let mut cluster = cluster(&lab, 1, &format!("attach = \"{way}\""))?;
        let mut agent = cluster.take(0)?;
        let pins = agent.pin_dir();
        agent.process.kill()?;
        ensure!(Path::new(&pins).join("counters").exists(), "nothing was pinned");
        ensure!(!occupants(&cluster.nodes[0])?.is_empty(), "{way}: nothing was attached");
        let said = agent.run(&["detach"])?;
        ensure!(said.contains("removed"), "{said}");
        ensure!(!Path::new(&pins).exists(), "{way}: `{pins}` is still there");
        ensure!(occupants(&cluster.nodes[0])?.is_empty(), "{way}: {}", occupants(&cluster.nodes[0])?);
        ensure!(agent.run(&["detach"])?.contains("nothing"), "a second time there is nothing to remove");
    }
    Ok(())
}

/// Maps of another layout or another shape are not used again; the link is, so that the NIC is left in peace.
#[test]
fn maps_that_do_not_fit_are_made_anew() -> Result<()> {
    let lab = lab!();
    let mut cluster = cluster(&lab, 1, "")?;
    let pins = cluster.agent(0)?.pin_dir();
    let path = format!("{pins}/link_{}_ingress_native", cluster.nodes[0].ifindex()?);
    let map = |name: &str| format!("{pins}/{name}");
    for (spoilt, complaint) in [("settings", "layout 4294967295"), ("peers", "map `peers` has another shape")] {
        cluster.forge("dropped")?;
        let (link_before, counters_before) = (link(&lab, &path)?, map_id(&lab, &map("counters"))?);
        let mut agent = cluster.take(0)?;
        agent.process.kill()?;
        if spoilt == "settings" {
            let value = ["0xff"; 16];
            let update = ["map", "update", "pinned", &map(spoilt), "key", "0", "0", "0", "0", "value"];
            lab.bpftool(&[&update[..], &value].concat())?;
        } else {
            fs::remove_file(map(spoilt))?;
            let shape = ["type", "hash", "key", "24", "value", "40", "entries", "16384", "name", "peers"];
            lab.bpftool(&[&["map", "create", &map(spoilt)], &shape[..]].concat())?;
        }
        let status = restart(&cluster, &mut agent)?;
        agent.process.wait_for_output(complaint, GENEROUS)?;
        ensure!(status.attachment() == ("native", ""), "{status:?}");
        ensure!(status.counter("web-a", Family::Ipv4, "dropped") == 0, "{status:?}");
        ensure!(map_id(&lab, &map("counters"))? != counters_before, "the same maps");
        ensure!(link(&lab, &path)?.id == link_before.id, "the link was made anew");
        cluster.agents[0] = Some(agent);
    }
    cluster.forge("dropped")
}

/// A link whose interface is gone is no obstacle.
#[test]
fn a_link_of_a_deleted_interface_is_forgotten() -> Result<()> {
    let lab = lab!();
    let mut cluster = cluster(&lab, 1, "")?;
    let mut agent = cluster.take(0)?;
    let pins = agent.pin_dir();
    let node = cluster.nodes[0].clone();
    let before = node.ifindex()?;
    agent.process.kill()?;
    node.make_interface_anew(1500, &["10.77.0.1/24"])?;
    agent.start_again()?;
    let status = agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    ensure!(status.attachment() == ("native", ""), "{status:?}");
    let after = node.ifindex()?;
    ensure!(before != after, "the same interface");
    let (stale, names) = (format!("link_{before}_"), pinned(&pins)?);
    ensure!(!names.iter().any(|name| name.starts_with(&stale)), "{names:?}");
    ensure!(names.contains(&format!("link_{after}_ingress_native")), "{names:?}");
    Ok(())
}

/// An interface that is deleted and made anew under a running agent has its guard again.
#[test]
fn an_interface_that_is_made_anew_is_guarded_again() -> Result<()> {
    let lab = lab!();
    let cluster = cluster(&lab, 1, "")?;
    let (agent, node) = (cluster.agent(0)?, &cluster.nodes[0]);
    let before = node.ifindex()?;
    node.make_interface_anew(1500, &["10.77.0.1/24"])?;
    agent.process.wait_for_output("the interface is there", GENEROUS)?;
    let status = agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    ensure!(status.attachment() == ("native", ""), "{status:?}");
    let [vip, _] = Cluster::addresses(0);
    let forged = Advert::new(cluster.attacker.mac(), ip("10.77.0.66"), Cluster::VRIDS[0], 255, &[vip]).frame();
    let sender = Injector::on(node.namespace(), "far")?;
    (0..10).try_for_each(|_| sender.send(&forged))?;
    agent.wait_for("the drops", |status| status.counter("web-a", Family::Ipv4, "dropped") == 10)?;
    let (stale, names) = (format!("link_{before}_"), pinned(&agent.pin_dir())?);
    ensure!(!names.iter().any(|name| name.starts_with(&stale)), "{names:?}");
    Ok(())
}

/// An interface that has another name is not served, nor guarded; under its old name it is.
#[test]
fn a_renamed_interface_is_left_alone_until_it_is_named_back() -> Result<()> {
    let lab = lab!();
    let cluster = cluster(&lab, 1, "")?;
    let (agent, node) = (cluster.agent(0)?, &cluster.nodes[0]);
    let rename = |from: &str, to: &str| -> Result<()> {
        node.run("ip", &["link", "set", from, "down"])?;
        node.run("ip", &["link", "set", from, "name", to, "up"])?;
        Ok(())
    };
    rename(Host::INTERFACE, "other")?;
    agent.wait_for_state("web-a", Family::Ipv4, "Fault")?;
    until("the guard and the address to be off", GENEROUS, || {
        let link = node.run("ip", &["-details", "link", "show", "dev", "other"])?;
        let held = node.run("ip", &["addr", "show", "dev", "other"])?;
        Ok((!link.contains("prog/xdp") && !held.contains("10.77.0.101")).then_some(()))
    })?;
    rename("other", Host::INTERFACE)?;
    agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    ensure!(agent.status()?.attachment() == ("native", ""));
    cluster.forge("dropped")
}

/// What was configured before and is no more is gone from the maps of a killed agent once the next has started.
#[test]
fn what_is_no_longer_configured_is_forgotten() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let mut agent = cluster.take(0)?;
    let routers = format!("{}/routers", agent.pin_dir());
    let configured = |vrid: &str| -> Result<bool> {
        Ok(lab.bpftool(&["map", "dump", "pinned", &routers])?.contains(&format!("\"vrid\": {vrid}")))
    };
    ensure!(configured("51")? && configured("52")?);
    agent.process.kill()?;
    let file = lab.write(&format!("{}.toml", agent.instance()), &ClusterConfig::default().text(1)?)?;
    ensure!(fs::read_to_string(file)?.contains("vrid = 51"));
    restart(&cluster, &mut agent)?;
    ensure!(configured("51")? && !configured("52")?, "{}", lab.bpftool(&["map", "dump", "pinned", &routers])?);
    Ok(())
}

/// What aya has attached over netlink, because the kernel refused a link, is taken off again, and nothing else.
#[test]
fn an_xdp_program_without_a_link_is_taken_off() -> Result<()> {
    const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = &cluster.nodes[0];
    let (mut ours, mut other) = (Guard::load(None)?, Guard::load(None)?);
    ours.program()?.pin("/sys/fs/bpf/ours")?;
    node.run("ip", &["link", "set", "dev", Host::INTERFACE, "xdpdrv", "pinned", "/sys/fs/bpf/ours"])?;
    let index = node.ifindex()?;
    let remove = |guard: &mut Guard| -> Result<()> {
        let program = guard.program()?.fd()?.as_fd().as_raw_fd();
        node.namespace().enter(|| netlink::remove_xdp(index, program, XDP_FLAGS_DRV_MODE))?.context("refused")
    };
    ensure!(remove(&mut other).is_err(), "another's program was taken off");
    ensure!(occupants(node)?.contains("prog/xdp"), "another's program was taken off");
    remove(&mut ours)?;
    ensure!(occupants(node)?.is_empty(), "{}", occupants(node)?);
    Ok(())
}

/// An interface that is made anew is too small for IPv6: IPv4 is served there, and IPv6 as soon as it can be.
#[test]
fn what_an_interface_cannot_serve_yet_is_tried_again() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "sync_families = false", ..ClusterConfig::default() };
    let mut cluster = Cluster::with_config(&lab, 1, config.text(1)?)?;
    cluster.start_all()?;
    let (node, agent) = (&cluster.nodes[0], cluster.agent(0)?);
    node.make_interface_anew(1200, &["10.77.0.1/24"])?;
    agent.process.wait_for_output("what cannot be served is in Fault", GENEROUS)?;
    agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    agent.wait_for_state("web-a", Family::Ipv6, "Fault")?;
    for end in ["far", Host::INTERFACE] {
        node.run("ip", &["link", "set", end, "mtu", "1500"])?;
    }
    agent.wait_for_state("web-a", Family::Ipv6, "Active").map(drop)
}
