//! What an agent says of the adverts that it hears, and how often: peers that are configured in another way, whose adverts
//! count, and adverts that are refused.

use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Cluster, ClusterConfig, GENEROUS, Siege, Status,
    frame::{Advert, Checksum},
    lab, until,
};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];

/// What the alarm of a kind says of a peer, if there is one for the virtual router.
fn alarm<'a>(status: &'a Status, kind: &str, family: Family, peer: &str) -> Option<&'a str> {
    let router = format!("{ROUTER}/{family}");
    let is_it = |alarm: &&serde_json::Value| {
        alarm["kind"] == kind && alarm["router"] == router.as_str() && alarm["peer"] == peer
    };
    status.0["alarms"].as_array()?.iter().find(is_it)?["what"].as_str()
}

/// Waits until a Backup has heard ten more adverts of each family.
fn hear_more(agent: &Agent) -> Result<Status> {
    let heard = |status: &Status, family| status.tally(ROUTER, family, "adverts_received").unwrap_or(0);
    let before = agent.status()?;
    agent.wait_for("ten more adverts", |status| {
        FAMILIES.iter().all(|&family| heard(status, family) >= heard(&before, family) + 10)
    })
}

/// The Active's interval is longer than Active_Down_Interval would be if it were not learned, and its list has an address
/// more. RFC 9568 §7.1.
/// Rows: +B13 -B13 +B14 -B14
#[test]
fn a_peer_with_another_interval_and_list_is_believed_and_reported() -> Result<()> {
    let lab = lab!();
    let ours = ClusterConfig { cluster: "rfc_pure = true", ..ClusterConfig::default() }.text(2)?;
    let theirs = ours
        .replace("\"100ms\"", "\"500ms\"")
        .replace("\"fd77::101/64\"", "\"10.77.0.111/24\", \"fd77::101/64\", \"fd77::111/64\"");
    let mut cluster = Cluster::with_config(&lab, 2, theirs)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.config = ours;
    cluster.start(1)?;
    // With its own interval it takes over before the first advert; what it does after that one is what matters.
    cluster.agent(1)?.wait_for("n2 to heed n1", |status| {
        let heard = |family| status.tally(ROUTER, family, "adverts_received").unwrap_or(0);
        status.all_in(&["Backup"]) && FAMILIES.iter().all(|&family| heard(family) > 0)
    })?;
    let before = cluster.transitions()?;
    let status = hear_more(cluster.agent(1)?)?;
    ensure!(cluster.transitions()? == before && status.all_in(&["Backup"]), "an advert did not count: {status:?}");
    for family in FAMILIES {
        let refused = status.tally(ROUTER, family, "adverts_refused");
        ensure!(refused == Some(0) && status.counter(ROUTER, family, "dropped") == 0, "{status:?}");
        let more = if family == Family::Ipv4 { "adds 10.77.0.111;" } else { "adds fd77::111;" };
        for (kind, what) in [("interval_differs", "every 500ms and we every 100ms"), ("address_list_differs", more)] {
            let said = alarm(&status, kind, family, "n1").with_context(|| format!("no {kind}: {status:?}"))?;
            ensure!(said.contains(what), "{said}");
            let line = format!("alarm={kind} router=\"{ROUTER}/{family}\"");
            let process = &cluster.agent(1)?.process;
            process.wait_for_output(&line, GENEROUS)?;
            let lines = process.transcript().matches(&line).count();
            ensure!(lines == 1, "{line} is logged {lines} times");
        }
    }

    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let status = cluster.agent(1)?.wait_for("n2 to be content with n1", |status| {
        status.0["alarms"].as_array().is_some_and(Vec::is_empty) && status.all_in(&["Backup"])
    })?;
    let differs = |status: &Status| FAMILIES.map(|family| status.tally(ROUTER, family, "address_list_differs"));
    ensure!(differs(&hear_more(cluster.agent(1)?)?) == differs(&status), "equal lists are reported");
    Ok(())
}

/// Two nodes that have been told that they own the same address. RFC 9568 erratum 8298.
/// Rows: +B8 -B8
#[test]
fn of_two_owners_the_greater_address_stays_and_the_other_one_reports_it() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "virtual_link_local = false", interval: "500ms", ..ClusterConfig::default() };
    let text = config.text(2)?;
    let text = text.replace("\"10.77.0.101/24\", \"fd77::101/64\"", "\"fd77::9/64\"");
    let owned_by = |node: usize| {
        let text = text.replace(&format!("address6 = \"fd77::{node}\""), "address6 = \"fd77::9\"");
        let priorities = format!("priorities = {{ n{node} = 255, n{} = 100 }}", 3 - node);
        text.replace("nodes = [\"n1\", \"n2\"]", &priorities)
    };
    let mut cluster = Cluster::with_config(&lab, 2, owned_by(1))?;
    for node in &cluster.nodes {
        node.run("ip", &["-6", "addr", "add", "fd77::9/64", "dev", harness::Host::INTERFACE, "nodad"])?;
    }
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv6, "Active")?;
    cluster.config = owned_by(2);
    cluster.start(1)?;
    cluster.agent(1)?.wait_for_state(ROUTER, Family::Ipv6, "Active")?;
    cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv6, "Backup")?;
    let before = cluster.transitions()?;
    let said = |status: &Status| alarm(status, "priority_conflict", Family::Ipv6, "n2").map(str::to_owned);
    let status = cluster.agent(0)?.wait_for("the conflict to be reported", |status| said(status).is_some())?;
    ensure!(said(&status).is_some_and(|said| said.contains("says that it owns the addresses")), "{status:?}");
    let heard = |status: &Status| status.tally(ROUTER, Family::Ipv6, "adverts_received");
    // Active_Down_Interval is 1.5 s.
    cluster.agent(0)?.wait_for("four more adverts of n2", |now| heard(now) >= heard(&status).map(|count| count + 4))?;
    ensure!(cluster.transitions()? == before, "one of them did not stay what it was");
    Ok(())
}

/// Adverts that only the agent can refuse, for their checksum, in the name of a peer whose own are good: each counts, and few
/// are logged. RFC 9568 §7.1.
/// Rows: +B15 -B15 -B6
#[test]
fn a_flood_of_refused_adverts_is_logged_in_moderation() -> Result<()> {
    const COUNT: usize = 5_000;
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let agent = siege.cluster.agent(1)?;
    for family in FAMILIES {
        let corrupt = Advert { checksum: Checksum::Is(0x0bad), ..siege.tempting(1, family) }.frame();
        let wire = siege.wire(1)?;
        // No more at once than the ring buffer holds.
        for sent in (0..COUNT).step_by(100) {
            wire.flood(&corrupt, 100)?;
            let refused = u64::try_from(sent + 100)?;
            until("the agent to refuse what was sent", GENEROUS, || {
                Ok((agent.status()?.tally(ROUTER, family, "adverts_refused") == Some(refused)).then_some(()))
            })?;
        }
    }
    let lines = || agent.process.transcript().matches("adverts of a peer are refused").count();
    // One for each family, and another one a minute later.
    until("two lines in the log", GENEROUS, || Ok((lines() >= 2).then_some(())))?;
    ensure!(lines() <= 4, "{} lines", lines());
    siege.was_in_vain()
}
