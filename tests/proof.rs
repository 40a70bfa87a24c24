//! The proof of a takeover: frames that come for the virtual addresses, an answer of a gateway at least.

use anyhow::{Result, ensure};
use harness::{Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Lab, Status, decode, ip, lab, until};
use serde_json::Value;
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// A node alone, whose gateways `keys` name.
fn alone(lab: &Lab, keys: &str) -> Result<Cluster> {
    Cluster::new(lab, 1, &ClusterConfig { cluster: keys, ..ClusterConfig::default() })
}

fn confirmed(status: &Status, family: Family) -> Option<u64> {
    status.router(Cluster::ROUTERS[0], family)?["takeover_confirmed_ms"].as_u64()
}

/// What the alarms say of a takeover that nothing proves.
fn alarm(status: &Status) -> Option<String> {
    let alarms = status.0["alarms"].as_array()?;
    let alarm = alarms.iter().find(|alarm| alarm["kind"] == "takeover_unconfirmed")?;
    alarm["what"].as_str().map(str::to_owned)
}

/// Whether `frame` is an ARP request for `target` in the name of the first virtual address.
fn asks(frame: &[u8], target: [u8; 4]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x06])
        && frame.get(20..22) == Some(&[0, 1])
        && frame.get(28..32) == Some(&[10, 77, 0, 101])
        && frame.get(38..42) == Some(&target)
}

/// Nobody else sends anything to the addresses.
#[test]
fn the_answer_of_a_gateway_confirms_a_takeover() -> Result<()> {
    let lab = lab!();
    let mut cluster = alone(&lab, r#"gateways = ["10.77.0.50", "fd77::50"]"#)?;
    cluster.start_all()?;
    let status = cluster.agent(0)?.wait_for("the takeover to be confirmed", |status| {
        FAMILIES.iter().all(|&family| confirmed(status, family).is_some())
    })?;
    ensure!(alarm(&status).is_none(), "{:?}", alarm(&status));
    let text = cluster.agent(0)?.run(&["status"])?;
    ensure!(text.contains("takeover confirmed after"), "{text}");
    cluster.agent(0)?.process.wait_for_output("the takeover is confirmed", GENEROUS)
}

/// Where the file says nothing, the next hops of routes through the interface are asked, also where the addresses are on one above it.
#[test]
fn gateways_are_found_in_the_routing_tables() -> Result<()> {
    for keys in ["", "virtual_mac = true"] {
        let lab = lab!();
        let mut cluster = alone(&lab, keys)?;
        let node = cluster.nodes[0].clone();
        node.run("ip", &["route", "add", "192.0.2.0/24", "via", "10.77.0.50", "table", "100"])?;
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        cluster.start_all()?;
        capture.wait_for("the question", GENEROUS, |frame| asks(&frame.bytes, [10, 77, 0, 50]))?;
        cluster
            .agent(0)?
            .wait_for("the takeover to be confirmed", |status| confirmed(status, Family::Ipv4).is_some())?;
        // No IPv6 route leads through a router.
        let status = cluster.agent(0)?.status()?;
        ensure!(confirmed(&status, Family::Ipv6).is_none(), "{keys}: {:?}", status.0);
    }
    Ok(())
}

/// Until the gateway is there, announcements are made again and people are told.
#[test]
fn a_takeover_that_nothing_confirms_is_announced_again_with_an_alarm() -> Result<()> {
    let lab = lab!();
    let mut cluster = alone(&lab, r#"gateways = ["10.77.0.200"]"#)?;
    let client = cluster.client.clone();
    let capture = Capture::start(client.namespace(), Host::INTERFACE)?;
    cluster.start_all()?;
    let status = cluster.agent(0)?.wait_for("an alarm", |status| alarm(status).is_some())?;
    let what = alarm(&status).unwrap_or_default();
    ensure!(what.contains("although 10.77.0.200 was asked"), "{what}");
    ensure!(confirmed(&status, Family::Ipv4).is_none());
    // Beyond those of one takeover, which are made four times, each in two forms.
    let is_told =
        |frame: &Captured| decode::announcement(&frame.bytes).is_some_and(|told| told.address == ip("10.77.0.101"));
    until("more announcements", GENEROUS, || {
        Ok((capture.frames().iter().filter(|frame| is_told(frame)).count() > 8).then_some(()))
    })?;
    client.run("ip", &["addr", "add", "10.77.0.200/24", "dev", Host::INTERFACE])?;
    cluster.agent(0)?.wait_for("the takeover to be confirmed", |status| {
        confirmed(status, Family::Ipv4).is_some_and(|ms| ms > 2_000) && alarm(status).is_none()
    })?;
    Ok(())
}

/// Without a guard nobody sees what comes, and nothing is claimed.
#[test]
fn without_a_guard_nothing_is_said() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig {
        cluster: r#"gateways = ["10.77.0.200"]"#,
        guard: r#"attach = "off""#,
        ..ClusterConfig::default()
    };
    let mut cluster = Cluster::new(&lab, 1, &config)?;
    cluster.start_all()?;
    let status = cluster
        .agent(0)?
        .wait_for("three seconds", |status| status.0["virtual_routers"][0]["since_ms"].as_u64() > Some(3_000))?;
    ensure!(
        status.router(Cluster::ROUTERS[0], Family::Ipv4).is_some_and(|it| it["takeover_confirmed_ms"] == Value::Null)
    );
    ensure!(alarm(&status).is_none());
    Ok(())
}
