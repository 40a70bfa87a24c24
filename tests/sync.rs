//! Virtual routers that move together, as the LAN sees them: the two families of an entry, and those of a `[[group]]`.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{Capture, Cluster, ClusterConfig, GENEROUS, Host, Lab, Status, decode, lab, until};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];
/// Many times Active_Down_Interval, in which whoever wants to take over does.
const LONG: Duration = Duration::from_millis(1_500);

/// Drops the adverts of one family on their way from node to node, as a switch does that snoops one family's groups and not
/// the other's.
fn cut_adverts(cluster: &Cluster, family: &str) -> Result<()> {
    let nft = |rule: &str| cluster.lan.namespace().run("nft", &[rule]).map(drop);
    nft("add table bridge cut")?;
    nft("add chain bridge cut way { type filter hook forward priority 0; }")?;
    let protocol = if family == "ip" { "protocol" } else { "nexthdr" };
    nft(&format!("add rule bridge cut way {family} {protocol} 112 drop"))
}

fn mend_adverts(cluster: &Cluster) -> Result<()> {
    cluster.lan.namespace().run("nft", &["delete table bridge cut"]).map(drop)
}

/// Waits until all virtual routers of a node are in `state`.
fn wait_for_all(cluster: &Cluster, node: usize, state: &str) -> Result<Status> {
    cluster.agent(node)?.wait_for(&format!("everything to be {state}"), |status| status.all_in(&[state]))
}

/// Nobody changes its state for [`LONG`].
fn stays(cluster: &Cluster) -> Result<()> {
    let before = cluster.transitions()?;
    let since = |status: &Status| status.0["virtual_routers"][0]["since_ms"].as_u64();
    let agent = cluster.agent(0)?;
    let start = since(&agent.status()?).context("it has not begun")?;
    let most = u64::try_from(LONG.as_millis())?;
    agent.wait_for("a while to pass", |status| since(status) > Some(start + most))?;
    let after = cluster.transitions()?;
    ensure!(after == before, "{} changes of state in a calm", after - before);
    Ok(())
}

fn pair(lab: &Lab, cluster: &str) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, 2, &ClusterConfig { cluster, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    Ok(cluster)
}

/// The IPv4 address that n1 advertises from goes: nothing is wrong with IPv6, and it moves along, at once, and comes back with
/// IPv4. Both nodes change the state of each family once for each move.
#[test]
fn a_fault_of_one_family_moves_both() -> Result<()> {
    let lab = lab!();
    let cluster = pair(&lab, "")?;
    let node = &cluster.nodes[0];
    for _ in 0..3 {
        let before = cluster.transitions()?;
        node.run("ip", &["addr", "del", "10.77.0.1/24", "dev", Host::INTERFACE])?;
        let status = wait_for_all(&cluster, 0, "Fault")?;
        cluster.settle_on(0, 1)?;
        let reason = |family| status.router(ROUTER, family).and_then(|router| router["reason"].as_str());
        let (own, followed) = (reason(Family::Ipv4), reason(Family::Ipv6));
        ensure!(own == Some("10.77.0.1, where adverts come from, is not on `vsw0`"), "{own:?}");
        let expected = "web-a/IPv4, with which it moves together, is in Fault: 10.77.0.1, where adverts come from, is not on \
                        `vsw0`";
        ensure!(followed == Some(expected), "{followed:?}");
        ensure!(status.0["groups"][0]["state"] == "Fault", "{status:?}");
        node.run("ip", &["addr", "add", "10.77.0.1/24", "dev", Host::INTERFACE])?;
        cluster.settle_on(0, 0)?;
        wait_for_all(&cluster, 1, "Backup")?;
        let changes = cluster.transitions()? - before;
        ensure!(changes == 2 * (3 + 2), "{changes} changes of state, not n1's three and n2's two for each family");
    }
    stays(&cluster)
}

/// The adverts of one family do not come through: where the families move alone, both nodes are Active for it. Together they stay
/// where they are, and move when the node is lost that serves them.
#[test]
fn a_family_that_is_not_heard_stays_with_the_one_that_is() -> Result<()> {
    let lab = lab!();
    for family in ["ip", "ip6"] {
        let mut cluster = pair(&lab, "")?;
        cut_adverts(&cluster, family)?;
        let (deaf, other) = if family == "ip" { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
        let hold = format!("web-a/{other} hears");
        until("n2 to say why it waits", GENEROUS, || {
            let why = cluster.agent(1)?.run(&["explain", ROUTER])?;
            let part = why.split(&format!("web-a/{deaf} is in Backup")).nth(1).unwrap_or_default();
            Ok((part.contains("takes over as soon as that is so for its whole group") && part.contains(&hold))
                .then_some(()))
        })?;
        stays(&cluster)?;
        cluster.settle_on(0, 0)?;
        mend_adverts(&cluster)?;
        cut_adverts(&cluster, family)?;
        cluster.take(0)?.process.terminate(GENEROUS)?;
        cluster.settle_on(0, 1)?;
        wait_for_all(&cluster, 1, "Active")?;
        mend_adverts(&cluster)?;
        cluster.start(0)?;
        cluster.settle_on(0, 0)?;
    }
    Ok(())
}

/// A better node that comes back takes both families, though it can be heard by one only.
#[test]
fn a_better_node_that_one_family_hears_gets_both() -> Result<()> {
    let lab = lab!();
    let mut cluster = pair(&lab, "")?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 1)?;
    cut_adverts(&cluster, "ip6")?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let status = wait_for_all(&cluster, 1, "Backup")?;
    let reason = status.router(ROUTER, Family::Ipv6).and_then(|router| router["reason"].as_str());
    let expected = "web-a/IPv4, with which it moves together, is in Backup: 10.77.0.1 advertises priority 200";
    ensure!(reason == Some(expected), "{reason:?}");
    stays(&cluster)
}

/// `sync_families = false`: each family for itself, as RFC 9568 has it.
#[test]
fn families_that_move_alone_are_served_by_two_nodes() -> Result<()> {
    let lab = lab!();
    let cluster = pair(&lab, "sync_families = false")?;
    let node = &cluster.nodes[0];
    node.run("ip", &["addr", "del", "10.77.0.1/24", "dev", Host::INTERFACE])?;
    let [ipv4, ipv6] = Cluster::addresses(0);
    until("one family to move", GENEROUS, || {
        Ok((cluster.lan.holders_of(&[ipv4, ipv6])? == [["n2"], ["n1"]]).then_some(()))
    })?;
    stays(&cluster)?;
    cluster.settle(0).err().context("both families are on one node").map(drop)
}

/// A cluster of two nodes with web-a and web-b of four addresses, in the group `web`.
fn grouped(lab: &Lab, more: &str) -> Result<Cluster> {
    let mut cluster =
        Cluster::new(lab, 2, &ClusterConfig { preferred: &[0, 0], cluster: more, ..ClusterConfig::default() })?;
    cluster.config += "[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\", \"web-b\"]\n";
    Ok(cluster)
}

fn settle_group(cluster: &Cluster, node: usize) -> Result<()> {
    [0, 1].into_iter().try_for_each(|router| cluster.settle_on(router, node))
}

/// Twenty virtual routers, forty of both families, take over at one moment: no Backup hears of one of them after another one's
/// addresses have moved.
#[test]
fn a_group_advertises_before_it_takes_any_address() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { preferred: &[], ..ClusterConfig::default() };
    let mut text = config.text(1)? + "[[group]]\nname = \"all\"\n";
    let names: Vec<_> = (1..=20).map(|number| format!("\"r{number}\"")).collect();
    writeln!(text, "virtual_routers = [{}]", names.join(", "))?;
    for (number, name) in (1..).zip(&names) {
        let addresses = format!("\"10.77.0.{}/24\", \"fd77::{}/64\"", 100 + number, 100 + number);
        writeln!(
            text,
            "[[virtual_router]]\nname = {name}\nvrid = {number}\naddresses = [{addresses}]\nnodes = [\"n1\"]"
        )?;
    }
    let mut cluster = Cluster::with_config(&lab, 1, text)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.start_all()?;
    wait_for_all(&cluster, 0, "Active")?;
    let first = capture.wait_for("an announcement", GENEROUS, |frame| decode::announcement(&frame.bytes).is_some())?;
    let before = capture.frames().into_iter().take_while(|frame| frame.bytes != first.bytes);
    let adverts = before.filter_map(|frame| decode::advertisement(&frame.bytes));
    let advertised: BTreeSet<_> = adverts.map(|advert| (advert.vrid, advert.source.is_ipv4())).collect();
    ensure!(advertised.len() == 40, "{} advertise before addresses move: {advertised:?}", advertised.len());
    Ok(())
}

/// What is handed over, drained or restarted of a group is all of it, and a program that goes on in the same process knows it.
#[test]
fn a_group_is_handed_over_as_a_whole() -> Result<()> {
    let lab = lab!();
    let mut cluster = grouped(&lab, "")?;
    cluster.start_all()?;
    settle_group(&cluster, 0)?;
    let status = wait_for_all(&cluster, 0, "Active")?;
    let group = &status.0["groups"][0];
    ensure!(group["name"] == "web" && group["state"] == "Active", "{group}");
    let members = ["web-a/IPv4", "web-a/IPv6", "web-b/IPv4", "web-b/IPv6"];
    ensure!(group["members"] == serde_json::json!(members), "{group}");
    let shown = cluster.agent(0)?.run(&["status"])?;
    ensure!(shown.contains("group web: Active for") && shown.contains(&members.join(", ")), "{shown}");

    let before = cluster.transitions()?;
    let said = cluster.agent(0)?.run(&["transfer", "web-b"])?;
    ensure!(members.iter().all(|member| said.contains(&format!("{member}: "))), "{said}");
    settle_group(&cluster, 1)?;
    stays(&cluster)?;
    let changes = cluster.transitions()? - before;
    ensure!(changes == 8, "{changes} changes of state, not one on each node for each member");

    for node in [0, 1] {
        let before = cluster.transitions()?;
        cluster.agent(node)?.run(&["restart"])?;
        stays(&cluster)?;
        ensure!(cluster.transitions()? == before, "a restart of n{} is no change of state", node + 1);
        settle_group(&cluster, 1)?;
    }
    let said = cluster.agent(1)?.run(&["transfer", "web"])?;
    ensure!(members.iter().all(|member| said.contains(&format!("{member}: "))), "{said}");
    settle_group(&cluster, 0)
}

/// Groups come, change and go with a reload. What is joined while two nodes have a half each comes together on the better one, and
/// what is apart again stays where it is.
#[test]
fn a_group_comes_and_goes_with_a_reload() -> Result<()> {
    let lab = lab!();
    let mut cluster = grouped(&lab, "preempt = false")?;
    let together = cluster.config.clone();
    let apart = together.split_once("[[group]]").context("no group")?.0.to_owned();
    cluster.config = apart.clone();
    // Nobody preempts: the first to start is the Active Router.
    cluster.start(0)?;
    settle_group(&cluster, 0)?;
    cluster.start(1)?;
    wait_for_all(&cluster, 1, "Backup")?;
    cluster.agent(0)?.run(&["transfer", "web-b"])?;
    cluster.settle_on(1, 1)?;
    cluster.settle_on(0, 0)?;
    for node in [1, 0] {
        cluster.agent(node)?.rewrite(&together)?;
        let said = cluster.agent(node)?.run(&["reload"])?;
        ensure!(said.contains("~ web-b/IPv6: group web-b -> web"), "{said}");
    }
    settle_group(&cluster, 0)?;
    wait_for_all(&cluster, 1, "Backup")?;
    stays(&cluster)?;

    // A member that cannot serve keeps nobody from it who has left the group.
    let far = [Host::INTERFACE, "down"];
    cluster.nodes[0].run("ip", &[&["link", "set"], &far[..]].concat())?;
    settle_group(&cluster, 1)?;
    cluster.nodes[0].run("ip", &["link", "set", Host::INTERFACE, "up"])?;
    wait_for_all(&cluster, 0, "Backup")?;
    stays(&cluster)?;
    for node in [0, 1] {
        cluster.agent(node)?.rewrite(&apart)?;
        cluster.agent(node)?.run(&["reload"])?;
    }
    stays(&cluster)?;
    settle_group(&cluster, 1)?;
    cluster.agent(1)?.run(&["transfer", "web-a"])?;
    cluster.settle_on(0, 0)?;
    cluster.settle_on(1, 1)
}

/// A member that is added takes part at once, though its check has no result yet and agents wait after their start: the others go
/// on, and take over together with it.
#[test]
fn a_member_that_is_added_keeps_nobody_from_serving() -> Result<()> {
    let lab = lab!();
    let mut cluster = grouped(&lab, "")?;
    cluster.start_all()?;
    settle_group(&cluster, 0)?;
    let before = cluster.transitions()?;
    let (members, added) = ("\"web-a\", \"web-b\"", "\"web-a\", \"web-b\", \"web-c\"");
    let config = cluster.config.replace(members, added).replace("[guard]", "startup_delay = \"3600s\"\n[guard]")
        + "[[virtual_router]]\nname = \"web-c\"\nvrid = 53\naddresses = [\"10.77.0.103/24\"]\nnodes = [\"n1\", \"n2\"]\n\
           checks = [\"slow\"]\n\
           [[check]]\nname = \"slow\"\ncommand = [\"/bin/sleep\", \"600\"]\ninterval = \"700s\"\ntimeout = \"650s\"\n";
    for node in [1, 0] {
        cluster.agent(node)?.rewrite(&config)?;
        cluster.agent(node)?.run(&["reload"])?;
    }
    cluster.settle_on(2, 0).or_else(|_| cluster.agent(0)?.wait_for_state("web-c", Family::Ipv4, "Active").map(drop))?;
    let status = cluster.agent(0)?.status()?;
    ensure!(status.all_in(&["Active"]), "{status:?}");
    // The newcomer's own: Backup and Active on n1, Backup on n2.
    let changes = cluster.transitions()? - before;
    ensure!(changes == 3, "{changes} changes of state");
    cluster.take(0)?.process.terminate(GENEROUS)?;
    wait_for_all(&cluster, 1, "Active").map(drop)
}

/// An agent that hangs is relieved of all members, and one that is killed leaves them all: milliseconds, for each of them.
#[test]
fn a_group_survives_its_agent() -> Result<()> {
    let lab = lab!();
    let mut cluster = grouped(&lab, "")?;
    cluster.start_all()?;
    settle_group(&cluster, 0)?;
    cluster.agent(0)?.process.stop()?;
    settle_group(&cluster, 1)?;
    cluster.agent(0)?.process.cont()?;
    settle_group(&cluster, 0)?;
    cluster.take(0)?.process.kill()?;
    settle_group(&cluster, 1)?;
    cluster.start(0)?;
    settle_group(&cluster, 0)?;
    stays(&cluster)
}

/// The link-local address is tentative for a while: IPv4 waits for it, in Initialize and not in Fault.
#[test]
fn a_family_waits_for_the_address_of_the_other() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    let link_local = format!("{}/64", node.link_local());
    node.run("ip", &["addr", "del", &link_local, "dev", Host::INTERFACE])?;
    cluster.start(0)?;
    let status = wait_for_all(&cluster, 0, "Initialize")?;
    let reason = status.router(ROUTER, Family::Ipv4).and_then(|router| router["reason"].as_str());
    let expected = "web-a/IPv6, with which it moves together, is in Initialize: `vsw0` has no IPv6 link-local address that can \
                    be used yet";
    ensure!(reason == Some(expected), "{reason:?}");
    node.run("ip", &["addr", "add", &link_local, "dev", Host::INTERFACE, "nodad"])?;
    cluster.settle_on(0, 0)?;
    for family in FAMILIES {
        cluster.agent(0)?.wait_for_state(ROUTER, family, "Active")?;
    }
    node.run("ip", &["addr", "del", &link_local, "dev", Host::INTERFACE])?;
    wait_for_all(&cluster, 0, "Initialize").map(drop)
}
