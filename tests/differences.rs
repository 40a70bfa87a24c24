//! What is odd about a peer's adverts and does not keep them from counting: `vipd status` and the log say what differs,
//! and that it is over. The adverts come from n2, where no agent runs.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Injector, Lab, Siege, Status, frame::Advert, ip, lab, until};
use serde_json::Value;
use vrrp_wire::Family;

const ROUTER: &str = Siege::ROUTER;
/// The kinds of alarm that these tests are about.
const KINDS: [&str; 4] = ["address_list_differs", "interval_differs", "priority_conflict", "peer_refused"];

/// n1, of which the configuration is `config`, and nobody else.
fn alone(lab: &Lab, edits: &[(&str, &str)], config: &ClusterConfig<'_>) -> Result<Siege> {
    let mut cluster = Cluster::new(lab, 2, &ClusterConfig { interval: Siege::INTERVAL, ..*config })?;
    for (from, to) in edits {
        ensure!(cluster.config.contains(from), "{from}");
        cluster.config = cluster.config.replacen(from, to, 1);
    }
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    Siege::of(cluster)
}

fn send(siege: &Siege, advert: &Advert) -> Result<()> {
    Injector::new(siege.node(1))?.send(&advert.frame())
}

/// What the alarms of these kinds say of a virtual router, each with its kind.
fn alarms(status: &Status, family: Family) -> Vec<(String, String)> {
    let router = format!("{ROUTER}/{family}");
    let text = |alarm: &Value, key: &str| alarm[key].as_str().unwrap_or_default().to_owned();
    let all = status.0["alarms"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = all.iter().filter(|alarm| alarm["router"] == router.as_str() && alarm["peer"] == "n2");
    ours.map(|alarm| (text(alarm, "kind"), text(alarm, "what"))).filter(|(kind, _)| KINDS.contains(&&**kind)).collect()
}

/// Waits until the alarms of a virtual router are these, in the order of [`KINDS`], and the log has said each.
fn reports(siege: &Siege, family: Family, expected: &[(&str, &str)]) -> Result<()> {
    let agent = siege.cluster.agent(0)?;
    let expected: Vec<_> = expected.iter().map(|&(kind, what)| (kind.to_owned(), what.to_owned())).collect();
    agent.wait_for(&format!("{expected:?}"), |status| alarms(status, family) == expected)?;
    expected.iter().try_for_each(|(kind, what)| logs(siege, kind, what))
}

/// Waits until the log has said an alarm: it is written by another thread.
fn logs(siege: &Siege, kind: &str, what: &str) -> Result<()> {
    let line = format!("WARN vipd::watchman: {what} alarm={kind}");
    siege.cluster.agent(0)?.process.wait_for_output(&line, GENEROUS)
}

/// Fails if there is an alarm of a virtual router the next time that somebody looks.
fn reports_nothing(siege: &Siege, family: Family) -> Result<()> {
    let status = siege.cluster.agent(0)?.look_again()?;
    ensure!(alarms(&status, family).is_empty(), "{status:?}");
    Ok(())
}

/// An advert that has everything as it should be, then one that differs in two things, then the first again. The
/// addresses, the interval and the priority of a peer are compared, and all of its adverts are heard. RFC 9568 §7.1, §8.3.2.
/// Rows: +E2 -E2
#[test]
fn what_a_peer_has_differently_is_reported_while_it_lasts() -> Result<()> {
    let lab = lab!();
    let siege = alone(&lab, &[], &ClusterConfig::default())?;
    let lists: [(Family, Vec<IpAddr>, &str); 2] = [
        (
            Family::Ipv4,
            vec![ip("10.77.0.9")],
            "n2 advertises other addresses than ours: it lacks 10.77.0.101 and adds 10.77.0.9; give both nodes the same list",
        ),
        (
            Family::Ipv6,
            vec![ip("fe80::200:5eff:fe00:233"), ip("fd77::101"), ip("fd77::9")],
            "n2 advertises other addresses than ours: it lacks nothing and adds fd77::9; give both nodes the same list",
        ),
    ];
    for (family, addresses, difference) in lists {
        let right = siege.advert(1, family, 150);
        let heard = |count| {
            let what = format!("{count} adverts to be heard");
            siege
                .cluster
                .agent(0)?
                .wait_for(&what, |status| status.tally(ROUTER, family, "adverts_received") == Some(count))
        };
        send(&siege, &right)?;
        let status = heard(1)?;
        ensure!(status.tally(ROUTER, family, "address_list_differs") == Some(0), "{status:?}");
        reports_nothing(&siege, family)?;

        send(&siege, &Advert { addresses, interval_cs: 300, ..right.clone() })?;
        let interval = "n2 advertises every 3s and we every 500ms; as its Backup we heed 1s";
        reports(&siege, family, &[("address_list_differs", difference), ("interval_differs", interval)])?;
        let status = heard(2)?;
        ensure!(status.tally(ROUTER, family, "address_list_differs") == Some(1), "{status:?}");

        // The greater address is n2's, so that n1 yields for a moment.
        send(&siege, &Advert { priority: 200, ..right.clone() })?;
        let equal = "n2 has priority 200 as this node has: the greater address wins between them";
        reports(&siege, family, &[("priority_conflict", equal)])?;

        send(&siege, &right)?;
        reports(&siege, family, &[])?;
        heard(4)?;
    }
    Ok(())
}

/// Two nodes say that the addresses are their own. RFC 9568 §8.3.2, erratum 8298.
/// Rows: +E2
#[test]
fn a_second_owner_is_reported() -> Result<()> {
    let lab = lab!();
    let edits = [
        (r#"["10.77.0.101/24", "fd77::101/64"]"#, r#"["10.77.0.1/24"]"#),
        (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }"),
    ];
    let siege = alone(&lab, &edits, &ClusterConfig::default())?;
    let backup = Advert { addresses: vec![ip("10.77.0.1")], ..siege.advert(1, Family::Ipv4, 100) };
    send(&siege, &backup)?;
    siege
        .cluster
        .agent(0)?
        .wait_for("an advert", |status| status.tally(ROUTER, Family::Ipv4, "adverts_received") == Some(1))?;
    reports_nothing(&siege, Family::Ipv4)?;
    send(&siege, &Advert { priority: 255, ..backup })?;
    let what = "n2 says that it owns the addresses, as this node does: one of the two is wrong";
    reports(&siege, Family::Ipv4, &[("priority_conflict", what)])
}

/// Version 2, too, hears an advert with another list, and says what differs; the Backup waits for its sender. RFC 3768 §7.1
/// makes it a MAY to compare the lists.
/// Rows: +E6
#[test]
fn another_list_of_version_2_is_reported_and_heard() -> Result<()> {
    let lab = lab!();
    let edits = [
        (r#"["10.77.0.101/24", "fd77::101/64"]"#, r#"["10.77.0.101/24"]"#),
        ("advertisement_interval = \"500ms\"", "advertisement_interval = \"1s\"\nversion = 2"),
    ];
    let siege = alone(&lab, &edits, &ClusterConfig::default())?;
    let other = Advert { addresses: vec![ip("10.77.0.9")], ..siege.advert(1, Family::Ipv4, 250) };
    send(&siege, &other.version_2(None, 1))?;
    let agent = siege.cluster.agent(0)?;
    agent.wait_for("n1 to yield", |status| status.state(ROUTER, Family::Ipv4) == Some("Backup"))?;
    let what = "n2 advertises other addresses than ours: it lacks 10.77.0.101 and adds 10.77.0.9; give both nodes the same list";
    reports(&siege, Family::Ipv4, &[("address_list_differs", what)])
}

/// A peer speaks another version for as long as would make this node take over from it: both would be Active.
/// Rows: +E10
#[test]
fn a_peer_that_speaks_another_version_is_reported() -> Result<()> {
    let lab = lab!();
    let siege = alone(&lab, &[], &ClusterConfig::default())?;
    let advert = siege.advert(1, Family::Ipv4, 250);
    reports(&siege, Family::Ipv4, &[])?;
    let expected = "n2 is heard and its adverts are refused (version), so it and this node will both be Active: it speaks \
                    another version of VRRP than 3, which this node has; `vipd rejects` shows what it sends";
    until("an alarm, after Active_Down_Interval", GENEROUS, || {
        send(&siege, &advert.clone().version_2(None, 1))?;
        let alarms = alarms(&siege.cluster.agent(0)?.status()?, Family::Ipv4);
        Ok((alarms == [("peer_refused".to_owned(), expected.to_owned())]).then_some(()))
    })?;
    logs(&siege, "peer_refused", expected)?;
    let status = siege.cluster.agent(0)?.status()?;
    ensure!(status.state(ROUTER, Family::Ipv4) == Some("Active"), "{status:?}");
    let heard = status.tally(ROUTER, Family::Ipv4, "adverts_received").context("no count of adverts")?;
    ensure!(heard == 0, "{heard} adverts of version 2 were heard");
    Ok(())
}
