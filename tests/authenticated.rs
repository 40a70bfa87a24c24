//! Signed adverts: elections with them, and every step an operator takes from none to a changed key.

mod keys;

use std::{
    process::Output,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Capture, Cluster, ClusterConfig, GENEROUS, Host, Siege, Status, decode, frame::sequence, lab, vipd,
};
use vrrp_wire::{Family, MacAddr};

use self::keys::{ENFORCE, KEYS, write_keys};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// `[auth]` in `mode`, with the keys of these identifiers, of which `active` signs.
fn auth(mode: &str, active: u8, keys: &[u8]) -> String {
    let keys = keys.iter().map(|id| format!("{{ id = {id}, file = \"/run/lab/key{id}\" }}"));
    let keys = keys.collect::<Vec<_>>().join(", ");
    format!("mode = \"{mode}\"\nactive_key = {active}\nkeys = [{keys}]\nclock_grace = \"0s\"")
}

/// The sequences of what a node has sent over one family, in order; `None` of an advert that is not signed. Adverts of both
/// that leave together do so in any order.
fn sequences(capture: &Capture, of: MacAddr, family: Family) -> Vec<Option<u64>> {
    let frames = capture.frames();
    let adverts = frames.iter().filter_map(|frame| decode::advertisement(&frame.bytes));
    let is_ipv6 = family == Family::Ipv6;
    let adverts = adverts.filter(|advert| (advert.source_mac, advert.source.is_ipv6()) == (of, is_ipv6));
    adverts.map(|advert| advert.signature.map(|signature| signature.sequence)).collect()
}

/// The number of a node's adverts that were dropped or refused, by whichever node.
fn lost(cluster: &Cluster) -> Result<u64> {
    let mut lost = 0;
    for agent in cluster.agents.iter().flatten() {
        let status = agent.status()?;
        for family in FAMILIES {
            lost += status.counter("web-a", family, "dropped");
            lost += status.tally("web-a", family, "adverts_refused").context("no count of refused adverts")?;
        }
    }
    Ok(lost)
}

fn authentication(status: &Status) -> (&str, Option<u64>, Vec<u64>) {
    let said = &status.0["authentication"];
    let keys = said["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let keys = keys.iter().filter_map(serde_json::Value::as_u64).collect();
    (said["mode"].as_str().unwrap_or_default(), said["active_key"].as_u64(), keys)
}

/// Kind and virtual router of every alarm.
fn alarms(status: &Status) -> Vec<(&str, &str)> {
    let alarms = status.0["alarms"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kinds = alarms.iter().map(|alarm| alarm["kind"].as_str().unwrap_or_default());
    kinds.zip(alarms.iter().map(|alarm| alarm["router"].as_str().unwrap_or_default())).collect()
}

/// Three nodes of which nothing but addresses and a key is configured: no MAC address, no link-local address.
fn elections_work(transport: &str) -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let transport_key = format!("transport = \"{transport}\"");
    let config = ClusterConfig { cluster: &transport_key, auth: ENFORCE, pinned: false, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 3, &config)?;
    let capture = Capture::start(cluster.lan.namespace(), "n1")?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    for agent in cluster.agents.iter().flatten() {
        ensure!(authentication(&agent.status()?) == ("enforce", Some(1), vec![1]), "{:?}", agent.status()?);
    }
    cluster.lan.cut("n1")?;
    cluster.settle_on(0, 1)?;
    cluster.lan.mend("n1")?;
    cluster.settle_on(0, 0)?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 1)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;

    ensure!(lost(&cluster)? == 0, "{} genuine adverts were refused", lost(&cluster)?);
    for (node, family) in [(1, Family::Ipv4), (2, Family::Ipv4), (1, Family::Ipv6), (2, Family::Ipv6)] {
        cluster.agent(node)?.wait_for("ten adverts that the guard has verified", |status| {
            status.counter("web-a", family, "admitted") > 10
        })?;
    }
    for family in FAMILIES {
        let adverts: Vec<_> = capture
            .frames()
            .iter()
            .filter_map(|frame| decode::advertisement(&frame.bytes))
            .filter(|advert| advert.source.is_ipv6() == (family == Family::Ipv6))
            .collect();
        ensure!(!adverts.is_empty() && adverts.iter().all(|advert| advert.signature.is_some()), "{adverts:?}");
        let multicast = transport == "multicast";
        ensure!(adverts.iter().all(|advert| advert.destination.is_multicast() == multicast), "{adverts:?}");
    }
    Ok(())
}

#[test]
fn signed_multicast_elects_and_fails_over() -> Result<()> {
    elections_work("multicast")
}

#[test]
fn signed_unicast_elects_and_fails_over() -> Result<()> {
    elections_work("unicast")
}

/// Gives one node another `[auth]` while it runs, and waits until it holds.
fn change(agent: &Agent, config: &str, expected: (&str, u64, &[u64])) -> Result<()> {
    agent.reload(config)?;
    let (mode, key, keys) = expected;
    let holds = |status: &Status| authentication(status) == (mode, Some(key), keys.to_vec());
    agent.wait_for(&format!("{expected:?}"), holds).map(drop)
}

/// Each mode on every node before the next one, and nothing happens.
fn go_through(modes: [&str; 3], pinned: bool) -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let text = |mode: &str| {
        let auth = auth(mode, 1, &[1]);
        ClusterConfig { interval: Siege::INTERVAL, auth: &auth, pinned, ..ClusterConfig::default() }.text(3)
    };
    let mut cluster = Cluster::with_config(&lab, 3, text(modes[0])?)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    for mode in modes {
        // The Active is neither the first nor the last.
        for node in [1, 0, 2] {
            change(cluster.agent(node)?, &text(mode)?, (mode, 1, &[1]))?;
        }
        let (start, signs) = (Instant::now(), mode != "receive-only");
        capture.wait_for("an advert in the new mode", GENEROUS, |frame| {
            frame.at > start
                && decode::advertisement(&frame.bytes).is_some_and(|advert| advert.signature.is_some() == signs)
        })?;
        hear_more(&cluster)?;
        ensure!(cluster.transitions()? == before, "{mode}: a state has changed");
        ensure!(lost(&cluster)? == 0, "{mode}: {} genuine adverts were refused", lost(&cluster)?);
    }
    Ok(())
}

/// The way of a running cluster into `enforce`.
#[test]
fn the_modes_are_gone_through_without_a_transition() -> Result<()> {
    go_through(["receive-only", "permissive", "enforce"], true)
}

/// The way back.
#[test]
fn the_modes_are_gone_back_through_without_a_transition() -> Result<()> {
    go_through(["enforce", "permissive", "receive-only"], false)
}

/// Where signatures were all that an IPv6 peer could be known by, one that comes after the way back is believed without.
#[test]
fn who_comes_after_the_way_back_is_heard() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let text = |mode: &str| {
        let auth = auth(mode, 1, &[1]);
        ClusterConfig { auth: &auth, pinned: false, preferred: &[2], ..ClusterConfig::default() }.text(3)
    };
    let mut cluster = Cluster::with_config(&lab, 3, text("enforce")?)?;
    cluster.start(0)?;
    cluster.start(1)?;
    cluster.settle_on(0, 0)?;
    for mode in ["permissive", "receive-only"] {
        for node in [0, 1] {
            change(cluster.agent(node)?, &text(mode)?, (mode, 1, &[1]))?;
        }
    }
    cluster.config = text("receive-only")?;
    cluster.start(2)?;
    cluster.settle_on(0, 2)
}

/// Waits until every Backup has heard the Active more often than it takes to notice that it is gone.
fn hear_more(cluster: &Cluster) -> Result<()> {
    for agent in cluster.agents.iter().flatten() {
        let now = agent.status()?;
        agent.wait_for("five more adverts of the Active", |status| {
            FAMILIES.iter().all(|&family| {
                let count = |status: &Status| status.tally("web-a", family, "adverts_received").unwrap_or(0);
                status.state("web-a", family) == Some("Active") || count(status) >= count(&now) + 5
            })
        })?;
    }
    Ok(())
}

/// Add the new key everywhere, sign with it everywhere, remove the old one: nothing happens, and the old key is worth
/// nothing afterwards.
#[test]
fn keys_are_changed_without_a_transition() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let text = |active: u8, keys: &[u8]| {
        let auth = auth("enforce", active, keys);
        ClusterConfig { interval: Siege::INTERVAL, auth: &auth, pinned: false, ..ClusterConfig::default() }.text(3)
    };
    let mut cluster = Cluster::with_config(&lab, 3, text(1, &[1])?)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let steps: [(u8, &[u8], &[u64]); 3] = [(1, &[1, 2], &[1, 2]), (2, &[1, 2], &[1, 2]), (2, &[2], &[2])];
    for (active, keys, shown) in steps {
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        for node in [1, 0, 2] {
            change(cluster.agent(node)?, &text(active, keys)?, ("enforce", active.into(), shown))?;
        }
        capture.wait_for("an advert signed with the active key", GENEROUS, |frame| {
            let advert = decode::advertisement(&frame.bytes);
            advert.is_some_and(|advert| advert.signature.is_some_and(|signature| signature.key == active))
        })?;
        hear_more(&cluster)?;
        ensure!(cluster.transitions()? == before, "{active} of {keys:?}: a state has changed");
        ensure!(lost(&cluster)? == 0, "{active} of {keys:?}: {} genuine adverts were refused", lost(&cluster)?);
    }
    let siege = Siege::of(cluster)?;
    for family in FAMILIES {
        let old = siege.tempting(1, family).signed(1, KEYS[0].as_bytes(), sequence(SystemTime::now()));
        siege.wire(1)?.send(&old.frame())?;
        siege.counted(1, family, "auth_unknown_key", 1)?;
    }
    siege.was_in_vain()
}

/// A file that cannot be used, or a configuration that is wrong, is no reason to lose the keys that there are.
#[test]
fn a_mistake_at_sighup_changes_nothing() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let config = ClusterConfig { interval: Siege::INTERVAL, auth: ENFORCE, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let agent = cluster.agent(1)?;
    let mistakes =
        [("\"/run/lab/key1\"", "\"/run/lab/none\""), ("active_key = 1", "active_key = 9"), ("[auth]", "[aut")];
    for (at, (right, wrong)) in mistakes.into_iter().enumerate() {
        ensure!(cluster.config.contains(right), "{}", cluster.config);
        agent.reload(&cluster.config.replace(right, wrong))?;
        harness::until("a complaint", GENEROUS, || {
            let said = agent.process.transcript().matches("nothing has changed").count();
            Ok((said > at).then_some(()))
        })?;
    }
    hear_more(&cluster)?;
    ensure!(authentication(&agent.status()?) == ("enforce", Some(1), vec![1]), "{:?}", agent.status()?);
    ensure!(cluster.transitions()? == before && lost(&cluster)? == 0, "a state has changed, or an advert was refused");
    Ok(())
}

/// A node with another secret under the same identifier: it hears nobody and becomes Active too, and everybody says so.
#[test]
fn a_wrong_key_is_an_alarm() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let wrong = lab.secret("wrong", KEYS[2])?;
    let config = ClusterConfig { interval: Siege::INTERVAL, auth: ENFORCE, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 3, &config)?;
    cluster.start(0)?;
    cluster.start(1)?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let right_config = cluster.config.clone();
    cluster.config = right_config.replace("/run/lab/key1", wrong.to_str().context("not UTF-8")?);
    cluster.start(2)?;
    let both = [("auth_split_risk", "web-a/IPv4"), ("auth_split_risk", "web-a/IPv6")];
    let alarmed = |status: &Status| both.iter().all(|alarm| alarms(status).contains(alarm));
    for node in [0, 1] {
        let status = cluster.agent(node)?.wait_for("the alarm", alarmed)?;
        let what = status.0["alarms"].to_string();
        ensure!(what.contains("n3 is heard and its adverts are refused (auth_code)"), "{what}");
    }
    // It hears the others fail, too.
    cluster.agent(2)?.wait_for("the alarm on n3", alarmed)?;
    ensure!(cluster.agent(0)?.status()?.counter("web-a", Family::Ipv4, "auth_code") > 0, "not counted as auth_code");

    cluster.agent(2)?.reload(&right_config)?;
    for node in [0, 1, 2] {
        cluster.agent(node)?.wait_for("the end of the alarm", |status| {
            alarms(status).iter().all(|(kind, _)| *kind != "auth_split_risk")
        })?;
    }
    for family in FAMILIES {
        cluster.agent(2)?.wait_for_state("web-a", family, "Backup")?;
    }
    cluster.settle_on(0, 0)?;
    cluster.agents[2] = None;
    ensure!(cluster.transitions()? == before, "n1 or n2 has changed its state");
    Ok(())
}

/// A peer whose clock is more than half of the window from ours is still believed, and an alarm before it is not.
#[test]
fn a_peers_clock_that_goes_wrong_is_an_alarm() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let siege = Siege::lay(&lab, 2, &ClusterConfig { auth: ENFORCE, ..ClusterConfig::default() })?;
    let is_alarmed = |status: &Status| alarms(status).contains(&("clock_skew", "web-a/IPv4"));
    let agent = siege.cluster.agent(0)?;
    let signed_ahead = |seconds| {
        let at = SystemTime::now() + Duration::from_secs(seconds);
        siege.advert(1, Family::Ipv4, 1).signed(1, KEYS[0].as_bytes(), sequence(at)).frame()
    };
    // The window is five seconds.
    let heard = |status: &Status| status.tally("web-a", Family::Ipv4, "adverts_received");
    let before = heard(&agent.status()?).context("no count of adverts")?;
    siege.wire(0)?.send(&signed_ahead(1))?;
    agent.wait_for("the first advert", |status| heard(status) == Some(before + 1))?;
    let status = agent.look_again()?;
    ensure!(!is_alarmed(&status), "one second is no matter: {status:?}");
    siege.wire(0)?.send(&signed_ahead(4))?;
    let status = agent.wait_for("the alarm", is_alarmed)?;
    ensure!(heard(&status) == Some(before + 2), "{status:?}");
    let what = status.0["alarms"].to_string();
    ensure!(what.contains("n2 signs ") && what.contains(" s ahead of our clock"), "{what}");
    siege.was_in_vain()
}

/// What a node has signed before it ended, cleanly or not, it does not sign again, even where its clock was put back.
#[test]
fn the_sequence_grows_over_restarts() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let config = ClusterConfig { auth: ENFORCE, ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 1, &config)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let n1 = cluster.nodes[0].mac();
    cluster.start_all()?;
    let mut agent = cluster.take(0)?;
    agent.process.kill()?;
    agent.start_again()?;
    agent.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    agent.process.terminate(GENEROUS)?;
    // As if the clock had been three seconds ahead, less than what peers bear.
    let ahead = sequence(SystemTime::now() + Duration::from_secs(3));
    let kept = format!("/var/lib/vipd@{}/sequence", agent.instance());
    ensure!(std::fs::read_to_string(&kept)?.trim().len() == 16, "nothing was kept");
    std::fs::write(&kept, format!("{ahead:016x}\n"))?;
    let before = FAMILIES.map(|family| sequences(&capture, n1, family).len());
    agent.start_again()?;
    agent.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    agent.process.terminate(GENEROUS)?;

    for (family, before) in FAMILIES.into_iter().zip(before) {
        let sequences = sequences(&capture, n1, family);
        ensure!(sequences.len() > before && before > 2, "{sequences:x?}");
        ensure!(sequences.iter().all(Option::is_some), "an advert was not signed");
        ensure!(sequences.is_sorted_by(|one, next| one < next), "not growing: {sequences:x?}");
        ensure!(sequences[before] > Some(ahead), "{:x?} is not after {ahead:x}", sequences[before]);
    }
    Ok(())
}

fn run(host: &Host, arguments: &[&str]) -> Result<Output> {
    host.namespace().command(vipd()?).args(arguments).output().context("failed to start vipd")
}

/// A key that others can read or change is none.
#[test]
fn a_key_that_others_can_read_ends_the_agent() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let cluster = Cluster::new(&lab, 1, &ClusterConfig { auth: ENFORCE, ..ClusterConfig::default() })?;
    let file = lab.write("open.toml", &cluster.config)?;
    let file = file.to_str().context("not UTF-8")?;
    for mode in ["0644", "0620", "0602"] {
        cluster.nodes[0].run("chmod", &[mode, "/run/lab/key1"])?;
        for command in ["check", "run"] {
            let output = run(&cluster.nodes[0], &[command, "--config", file, "--node", "n1"])?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(2), "`{command}` ended with {}: {said}", output.status);
            ensure!(said.contains("/run/lab/key1") && said.contains("chmod 600"), "{said}");
            ensure!(!said.contains(KEYS[0]), "the key is in the message");
        }
    }
    Ok(())
}

/// A node whose clock nobody keeps right waits before it takes part, for as long as it was told to, and says why.
#[test]
fn an_unsynchronised_clock_is_waited_for() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let auth = auth("enforce", 1, &[1]).replace("\"0s\"", "\"2s\"");
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { auth: &auth, ..ClusterConfig::default() })?;
    let start = Instant::now();
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for("a state", |status| !status.all_in(&["Initialize"]))?;
    let is_alarmed = |status: &Status| alarms(status).contains(&("clock_not_synchronised", ""));
    if status.0["authentication"]["clock_synchronised"] == true {
        agent.wait_for("the election", |status| status.all_in(&["Active"]))?;
        ensure!(!is_alarmed(&agent.status()?), "{:?}", agent.status()?);
        return Ok(());
    }
    for family in FAMILIES {
        let router = status.router("web-a", family).context("no virtual router")?;
        let reason = "the clock is not synchronised, and signed adverts go by it";
        ensure!((&router["state"], &router["reason"]) == (&"Fault".into(), &reason.into()), "{router:#}");
    }
    let status = agent.wait_for("the election", |status| status.all_in(&["Active"]))?;
    // The grace; a busy machine takes its time for the start besides.
    let waited = start.elapsed();
    ensure!(waited >= Duration::from_secs(2), "waited {waited:?}");
    ensure!(is_alarmed(&status), "{:?}", status.0["alarms"]);
    Ok(())
}

/// Secrets are in files alone: not in the log, not in the status, not in what the guard shows of itself.
#[test]
fn no_key_is_shown() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { auth: ENFORCE, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    let shown = [agent.process.transcript(), agent.run(&["status"])?, agent.run(&["status", "--json"])?].concat();
    let hex = KEYS[0].bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    ensure!(shown.contains("enforce") && !shown.contains(KEYS[0]) && !shown.contains(&hex), "{shown}");
    Ok(())
}
