//! Health checks: virtual addresses follow an ingress that works.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Cluster, ClusterConfig, GENEROUS, Lab, Nginx, NginxOptions, Status, lab, misbehaving, until};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];

/// The address of the ingress of each node, on its own loopback interface.
const INGRESS: NginxOptions<'_> = NginxOptions { listen: &["127.0.0.1:8080"], certificate: None };
const HTTP: &str = "[[check]]\nname = \"ingress\"\nhttp = \"http://127.0.0.1:8080/healthz\"\nbody = \"ok\"\n\
                    interval = \"100ms\"\nfall = 3\nrise = 2\n";

/// A configuration whose first virtual router goes by the checks in `tables`.
fn config(nodes: usize, interval: &str, checks: &[&str], tables: &str) -> Result<String> {
    let text = ClusterConfig { interval, ..ClusterConfig::default() }.text(nodes)?;
    Ok(text.replace("vrid = 51\n", &format!("vrid = 51\nchecks = {checks:?}\n")) + tables)
}

/// What an agent says of a check.
fn check<'s>(status: &'s Status, name: &str) -> Option<&'s serde_json::Value> {
    status.0["checks"].as_array()?.iter().find(|check| check["name"] == name)
}

fn state<'s>(status: &'s Status, name: &str) -> Option<&'s str> {
    check(status, name)?["state"].as_str()
}

fn wait_for_check(agent: &Agent, name: &str, wanted: &str) -> Result<Status> {
    agent.wait_for(&format!("check {name} to be {wanted}"), |status| state(status, name) == Some(wanted))
}

fn priority(status: &Status) -> Option<[u64; 2]> {
    let router = status.router(ROUTER, Family::Ipv4)?;
    Some([router["priority"].as_u64()?, router["configured_priority"].as_u64()?])
}

fn transitions(cluster: &Cluster) -> Result<Vec<u64>> {
    let count = |node| cluster.agent(node)?.status()?.transitions().context("no count of transitions");
    (0..cluster.nodes.len()).map(count).collect()
}

/// The virtual addresses leave the node whose ingress has stopped and come back when it runs again, and nothing else moves, though
/// programs are told that hang, crash, and print without end.
/// `VIPD_TESTS_CYCLES=50` does that more often.
#[test]
fn addresses_follow_the_ingress() -> Result<()> {
    let cycles = env::var("VIPD_TESTS_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(5);
    let lab = lab!();
    // An Active that this machine holds up for three intervals is rightly replaced: that must not happen by chance.
    let config = config(3, "300ms", &["ingress"], HTTP)? + &misbehaving(&lab)?;
    let mut cluster = Cluster::with_config(&lab, 3, config)?;
    let mut ingress = cluster.nodes.iter().map(|node| node.nginx(&INGRESS)).collect::<Result<Vec<Nginx>>>()?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = transitions(&cluster)?;
    let (mut moves, mut returns) = (Vec::new(), Vec::new());
    for _ in 0..cycles {
        let begun = Instant::now();
        ingress[0].process.kill()?;
        cluster.settle_on(0, 1)?;
        moves.push(begun.elapsed());
        for family in FAMILIES {
            let status = cluster.agent(0)?.wait_for_state(ROUTER, family, "Fault")?;
            let reason = status.router(ROUTER, family).map(|router| router["reason"].to_string()).unwrap_or_default();
            ensure!(reason.contains("check `ingress` is failing: no connection to 127.0.0.1 port 8080"), "{reason}");
        }
        let begun = Instant::now();
        ingress[0] = cluster.nodes[0].nginx(&INGRESS)?;
        cluster.settle_on(0, 0)?;
        returns.push(begun.elapsed());
        for family in FAMILIES {
            cluster.agent(1)?.wait_for_state(ROUTER, family, "Backup")?;
        }
    }
    cluster.agent(0)?.wait_for("all programs to have been run", |status| {
        let targets = status.0["notifications"].as_array();
        targets.is_some_and(|targets| targets.iter().all(was_run))
    })?;
    eprintln!("{cycles} cycles: moved within {:?}, back within {:?}", moves.iter().max(), returns.iter().max());
    let after = transitions(&cluster)?;
    let passed: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    // Of both families: Fault, Backup, Active on n1; Active, Backup on n2; nothing on n3.
    ensure!(passed == [6 * cycles, 4 * cycles, 0], "stray transitions: {passed:?}");
    let slowest = moves.iter().max().context("no cycle")?;
    ensure!(*slowest < Duration::from_secs(5), "moved after {slowest:?} instead of about half a second");
    Ok(())
}

/// Whether a program was run for an event, well or not.
fn was_run(target: &serde_json::Value) -> bool {
    target["delivered"].as_u64() > Some(0) || target["failed"].as_u64() > Some(0)
}

/// Starts n1, and then n2, which looks at another file than `file`: the hosts of a lab have theirs in common.
fn start_two(cluster: &mut Cluster, file: &str) -> Result<()> {
    let other = cluster.config.replace(file, &format!("{file}2"));
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.agents[1] = Some(cluster.nodes[1].agent(&other, &[])?);
    for family in FAMILIES {
        cluster.agent(1)?.wait_for_state(ROUTER, family, "Backup")?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

/// A weight takes from the priority. A better node takes over within milliseconds, whatever the interval is; by the timer alone
/// it would be some 3 s here.
#[test]
fn a_weight_moves_the_priority() -> Result<()> {
    let lab = lab!();
    let load = lab.write("load", "0")?;
    let table = format!(
        "[[check]]\nname = \"load\"\nfile = \"{}\"\ninterval = \"50ms\"\nweight = -1\n\
         [[check]]\nname = \"spare\"\nfile = \"/run/lab/nothing\"\ninterval = \"50ms\"\nweight = 1\n",
        load.display()
    );
    let mut cluster = Cluster::with_config(&lab, 2, config(2, "1s", &["load"], &table)?)?;
    start_two(&mut cluster, "/run/lab/load")?;
    let before = transitions(&cluster)?;

    write(&load, "40")?;
    cluster.agent(0)?.wait_for("40 to be taken", |status| priority(status) == Some([160, 200]))?;
    ensure!(transitions(&cluster)? == before, "160 is still the better one");

    write(&load, "60")?;
    let begun = Instant::now();
    cluster.settle_on(0, 1)?;
    let moved = begun.elapsed();
    eprintln!("moved within {moved:?}");
    ensure!(moved < Duration::from_secs(2), "moved after {moved:?}");
    let status = cluster.agent(0)?.status()?;
    ensure!(priority(&status) == Some([140, 200]), "{status:?}");
    let why = cluster.agent(0)?.run(&["explain", ROUTER])?;
    ensure!(why.contains("check `load` is value (holds 60), which takes 60 from its priority of 200"), "{why}");
    let shown = cluster.agent(0)?.run(&["status"])?;
    ensure!(shown.contains("priority 200 configured; checks: load value (-60)"), "{shown}");

    write(&load, "")?;
    cluster.settle_on(0, 0)?;
    // Beyond what a weight may take, a value is a fault.
    write(&load, "254")?;
    cluster.settle_on(0, 1)?;
    cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv4, "Fault").map(drop)
}

fn command(name: &str, script: &str, keys: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n{keys}\n")
}

/// Nobody knows yet whether it can serve: it waits, unless the configuration says what to think meanwhile.
#[test]
fn a_router_waits_for_the_first_result() -> Result<()> {
    let lab = lab!();
    let go = Path::new("/run/lab/go");
    let slow = |start: &str| {
        command("slow", "until test -e /run/lab/go; do sleep 0.02; done", &format!("interval = \"20s\"\n{start}"))
    };
    let mut cluster = Cluster::with_config(&lab, 1, config(1, "100ms", &["slow"], &slow(""))?)?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for("it to wait", |status| {
        let reason = status.router(ROUTER, Family::Ipv4).map(|router| router["reason"].clone());
        reason == Some("no result yet of slow".into())
    })?;
    ensure!(status.all_in(&["Initialize"]) && state(&status, "slow") == Some("unknown"), "{status:?}");
    write(go, "")?;
    cluster.settle_on(0, 0)?;

    fs::remove_file(go)?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.config = config(1, "100ms", &["slow"], &slow("start = \"passing\""))?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    ensure!(check(&cluster.agent(0)?.status()?, "slow").is_some_and(|check| check["looks"] == 0), "it has looked");
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.config = config(1, "100ms", &["slow"], &slow("start = \"failing\""))?;
    cluster.start(0)?;
    for family in FAMILIES {
        cluster.agent(0)?.wait_for_state(ROUTER, family, "Fault")?;
    }
    Ok(())
}

fn reload(agent: &Agent, config: &str) -> Result<String> {
    agent.rewrite(config)?;
    agent.run(&["reload"])
}

/// Children of the agent besides its supervisor, dead ones included.
fn children(status: &Status) -> Result<Vec<String>> {
    let pid = status.0["pid"].as_u64().context("no process id")?;
    let supervisor = status.0["supervisor"].to_string();
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(list.split_whitespace().filter(|child| **child != supervisor).map(str::to_owned));
    }
    Ok(children)
}

/// Another configuration is taken over by difference, and another program goes on with what is known: no role changes.
#[test]
fn a_reload_and_a_restart_change_no_role() -> Result<()> {
    let lab = lab!();
    let value = lab.write("value", "0")?;
    let file = format!("[[check]]\nname = \"value\"\nfile = \"{}\"\ninterval = \"50ms\"\n", value.display());
    let mut cluster = Cluster::with_config(&lab, 2, config(2, "100ms", &["value"], &file)?)?;
    start_two(&mut cluster, "/run/lab/value")?;
    let before = transitions(&cluster)?;

    // A check that is new has no result for long, and the router serves all the same.
    let hanging = command("hanging", "sleep 600", "interval = \"30s\"");
    let both = config(2, "100ms", &["value", "hanging"], &format!("{file}{hanging}"))?;
    let said = reload(cluster.agent(0)?, &both)?;
    let expected = "+ check hanging: new\n~ web-a/IPv4: checks +hanging\n~ web-a/IPv6: checks +hanging\n";
    ensure!(said.starts_with(expected), "{said}");
    let status = wait_for_check(cluster.agent(0)?, "hanging", "unknown")?;
    ensure!(status.all_in(&["Active"]), "{status:?}");
    until("the command to run", GENEROUS, || Ok((!children(&cluster.agent(0)?.status()?)?.is_empty()).then_some(())))?;

    // The one that has not changed goes on, and so it does in another program, which has no children but its own.
    let looks = |status: &Status| check(status, "value").and_then(|check| check["looks"].as_u64());
    let old = children(&status)?;
    let known = looks(&status);
    ensure!(known > Some(1), "{status:?}");
    cluster.agent(0)?.run(&["restart"])?;
    let status = cluster.agent(0)?.wait_for("the new program to look", |status| looks(status) > known)?;
    ensure!(status.all_in(&["Active"]) && state(&status, "value") == Some("value"), "{status:?}");
    let gone = |pid: &String| !Path::new(&format!("/proc/{pid}")).exists();
    ensure!(old.iter().all(gone), "the command of the program before is still there, or was not waited for");
    ensure!(transitions(&cluster)? == before, "a role has changed");

    // One that cannot serve comes up as such: no moment as Backup.
    write(&value, "7")?;
    cluster.settle_on(0, 1)?;
    let count = cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv4, "Fault")?;
    cluster.agent(0)?.run(&["restart"])?;
    let status = cluster.agent(0)?.status()?;
    ensure!(status.all_in(&["Fault"]), "{status:?}");
    let [was, is] = [&count, &status].map(|status| check(status, "value").map(|check| check["value"].clone()));
    ensure!(was == is && is == Some(7.into()), "{was:?} {is:?}");

    // Without the check nothing keeps it from serving.
    let said = reload(cluster.agent(0)?, &config(2, "100ms", &[], "")?)?;
    ensure!(said.contains("- check value: goes\n- check hanging: goes\n"), "{said}");
    cluster.settle_on(0, 0)?;
    let status = cluster.agent(0)?.status()?;
    ensure!(status.0["checks"] == serde_json::json!([]) && children(&status)?.is_empty(), "{status:?}");
    Ok(())
}

/// What could never pass is refused when it is read.
#[test]
fn what_this_host_lacks_is_told() -> Result<()> {
    let lab: Lab = lab!();
    let host = lab.lan()?;
    let script = lab.write("check", "#!/bin/sh\n")?;
    let tables = "[[check]]\nname = \"a\"\ncommand = [\"/run/lab/check\"]\n\
                  [[check]]\nname = \"b\"\nfile = \"/run/lab/none/value\"\n\
                  [[check]]\nname = \"c\"\nhttp = \"https://127.0.0.1/\"\nca_file = \"/run/lab/check\"\n\
                  [[check]]\nname = \"d\"\ncommand = [\"/bin/true\"]\nuser = \"no-such-user\"\n";
    let file = lab.write("vipd.toml", &config(1, "1s", &["a", "b", "c", "d"], tables)?)?;
    let file = file.to_str().context("an odd path")?;
    let vipd = harness::vipd()?;
    let vipd = vipd.to_str().context("an odd path")?;
    let Err(error) = host.namespace().run(vipd, &["check", "--config", file, "--node", "n1"]) else {
        anyhow::bail!("it is taken for correct")
    };
    let said = format!("{error:#}");
    for expected in [
        "check \"a\": command: `/run/lab/check` cannot be executed by the user 0 who runs it (mode 0644)\n  help: chmod 755",
        "check \"b\": file: there is no directory `/run/lab/none`",
        "check \"c\": ca_file: `/run/lab/check` holds no certificate",
        "check \"d\": user: there is no user \"no-such-user\"",
    ] {
        ensure!(said.contains(expected), "not told: {expected}\n{said}");
    }
    ensure!(script.exists());
    Ok(())
}
