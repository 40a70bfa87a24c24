//! Programs that hang, crash, fork and print without end delay nobody: no election, no other program.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Status, lab, misbehaving, until};
use vrrp_wire::Family;

use crate::{change, lines, target};

/// Two nodes with two virtual routers of 10 ms, whose changes are told to everybody who misbehaves and to one who does not.
fn cluster(lab: &Lab, is_told: bool) -> Result<Cluster> {
    let base = ClusterConfig { interval: "50ms", preferred: &[0, 0], ..ClusterConfig::default() };
    let mut config = base.text(2)?;
    if is_told {
        let late = "$(( ($(date +%s%N) - $(date -d $VIPD_TIME +%s%N)) / 1000 ))";
        lab.script("good", &format!("echo \"$VIPD_NODE $VIPD_NAME $VIPD_SEQUENCE {late}\" >> /run/lab/good.out"))?;
        writeln!(config, "[[notify]]\nname = \"good\"\nexec = [\"/run/lab/good\"]")?;
        config += &misbehaving(lab)?;
    }
    Cluster::with_config(lab, 2, config)
}

fn lateness(cluster: &Cluster) -> Result<u64> {
    let p99 = |node| anyhow::Ok(cluster.agent(node)?.status()?.0["send_lateness"]["p99_us"].as_u64().unwrap_or(0));
    Ok(p99(0)?.max(p99(1)?))
}

/// Hands over and takes back ten times; says how long the slowest took, and how late adverts were sent.
fn play(cluster: &mut Cluster) -> Result<(Duration, u64)> {
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    cluster.settle_on(1, 0)?;
    let before = cluster.transitions()?;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let start = Instant::now();
        cluster.agent(0)?.run(&["drain"])?;
        slowest = slowest.max(start.elapsed());
        cluster.settle_on(0, 1)?;
        cluster.agent(0)?.run(&["undrain"])?;
        cluster.settle_on(0, 0)?;
        cluster.settle_on(1, 0)?;
    }
    let changes = cluster.transitions()? - before;
    ensure!(changes == 160, "{changes} changes instead of 160: each virtual router, on each node, there and back");
    Ok((slowest, lateness(cluster)?))
}

#[test]
fn programs_that_misbehave_delay_nobody() -> Result<()> {
    let lab = lab!();
    let (usual, usual_lateness) = play(&mut cluster(&lab, false)?)?;
    let mut cluster = cluster(&lab, true)?;
    let (slowest, lateness) = play(&mut cluster)?;
    eprintln!(
        "notify: handover {usual:?} without, {slowest:?} with programs that misbehave; p99 of lateness {usual_lateness} µs, {lateness} µs"
    );
    ensure!(slowest < usual + Duration::from_secs(1), "handover takes {slowest:?} instead of {usual:?}");

    // Who behaves has been told of everything, in order, long before the others are done.
    let agent = cluster.agent(0)?;
    agent.wait_for("the good one to be told", |status| {
        let good = target(status, "good");
        good["waiting"] == 0 && good["failed"] == 0 && good["delivered"].as_u64() > Some(80)
    })?;
    let told = lines("/run/lab/good.out");
    let told: Vec<Vec<&str>> = told.iter().map(|line| line.split(' ').collect()).collect();
    for router in ["web-a", "web-b"] {
        let of_router = told.iter().filter(|words| words[..2] == ["n1", router]);
        let numbers: Vec<u64> = of_router.filter_map(|words| words[2].parse().ok()).collect();
        ensure!(numbers.is_sorted() && numbers.len() >= 40, "{router}: {numbers:?}");
    }
    let mut late: Vec<u64> = told.iter().filter_map(|words| words[3].parse().ok()).collect();
    late.sort_unstable();
    eprintln!(
        "notify: told {} times, {} µs after the change (half of them), {:?} µs (all)",
        late.len(),
        late[late.len() / 2],
        late.last()
    );
    let status = agent.wait_for("the others to have failed", |status| {
        ["hangs", "crashes", "prints", "forks"].iter().all(|name| target(status, name)["failed"].as_u64() > Some(1))
    })?;
    let error = |name: &str| target(&status, name)["last_error"].as_str().unwrap_or_default().to_owned();
    ensure!(error("hangs") == "`/run/lab/hangs` was killed: it took longer than 2s", "{}", error("hangs"));
    ensure!(error("prints") == "`/run/lab/prints` was killed: it took longer than 2s", "{}", error("prints"));
    let transcript = agent.process.transcript();
    let mut printed = transcript.lines().filter(|line| line.contains("`/run/lab/prints` says: y"));
    let first =
        printed.next().and_then(|line| line.split_once(" event=")).context("nothing is said of what it prints")?.1;
    let of_one = transcript.lines().filter(|line| line.ends_with(&format!("/prints` says: y event={first}"))).count();
    ensure!(of_one == 20, "{of_one} lines are logged of what it printed once");
    ensure!(error("crashes") == "`/run/lab/crashes` failed: SIGSEGV", "{}", error("crashes"));

    // The end does not wait for them either.
    let start = Instant::now();
    cluster.take(0)?.process.terminate(GENEROUS)?;
    ensure!(start.elapsed() < Duration::from_secs(15), "the end took {:?}", start.elapsed());
    cluster.settle_on(0, 1)
}

/// A program that somebody else could change by now is not run, and one that a user is to run has no more than his rights.
#[test]
fn a_program_has_the_rights_that_it_should() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig::default().text(1)?;
    let hook = lab.script("hook", "id -un >> /run/lab/who; id -Gn >> /run/lab/who")?;
    let config = format!(
        "{config}\n[[notify]]\nname = \"hook\"\nexec = [\"/run/lab/hook\"]\nuser = \"nobody\"\ngroup = \"games\"\n"
    );
    let mut cluster = Cluster::with_config(&lab, 1, config)?;
    fs::write("/run/lab/who", "")?;
    fs::set_permissions("/run/lab/who", fs::Permissions::from_mode(0o666))?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    agent.wait_for("four events to be told", |status| target(status, "hook")["delivered"] == 4)?;
    ensure!(lines("/run/lab/who") == ["nobody", "games"].repeat(4), "{:?}", lines("/run/lab/who"));
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o757))?;
    change(agent);
    let status = agent.wait_for("four more to fail", |status| target(status, "hook")["failed"] == 4)?;
    let expected = "`/run/lab/hook` is not run: `/run/lab/hook` can be written by others than its owner (mode 0757), who can \
                    change what is run; chmod go-w /run/lab/hook";
    ensure!(target(&status, "hook")["last_error"] == expected, "{status:?}");
    ensure!(lines("/run/lab/who").len() == 8, "it was run");
    let refused = agent.run(&["check", "--node", "n1", "--config", agent.file()?]);
    ensure!(format!("{refused:?}").contains("exec: `/run/lab/hook` can be written by others"), "{refused:?}");
    Ok(())
}

/// A program that hangs for one virtual router is run for the other one all the same.
#[test]
fn one_virtual_router_does_not_wait_for_another() -> Result<()> {
    let lab = lab!();
    // Another run of the tests on this machine has sleepers of its own.
    let sleep = format!("sleep 1717.{}", process::id());
    lab.script(
        "picky",
        &format!(
            "[ $VIPD_NAME = web-b ] || {{ echo >> /run/lab/picky.started; exec {sleep}; }}\necho \"$VIPD_STATE\" >> /run/lab/picky.out"
        ),
    )?;
    let base = ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() }.text(1)?;
    let config = format!("{base}\n[[notify]]\nname = \"picky\"\nexec = [\"/run/lab/picky\"]\ntimeout = \"3600s\"\n");
    let mut cluster = Cluster::with_config(&lab, 1, config)?;
    cluster.start_all()?;
    cluster.settle_on(1, 0)?;
    let agent = cluster.agent(0)?;
    let is_active = |status: &Status| status.state("web-b", Family::Ipv6) == Some("Active");
    agent.wait_for("web-b to be Active", is_active)?;
    until("web-b to be told", GENEROUS, || Ok((lines("/run/lab/picky.out").len() == 4).then_some(())))?;
    let status = agent.status()?;
    let waiting = target(&status, "picky")["waiting"].as_u64().context("no count")?;
    ensure!(waiting == 4, "the first of web-a hangs, and three wait for it: {status:?}");

    // Another program in the same process goes on with what hangs, from its beginning.
    let hanging = || lines("/run/lab/picky.started").len();
    ensure!(hanging() == 1, "{} programs for web-a", hanging());
    agent.run(&["restart"])?;
    until("it to be told again", GENEROUS, || Ok((hanging() == 2).then_some(())))?;
    let status = agent.status()?;
    let picky = target(&status, "picky");
    ensure!(picky["waiting"] == 4 && picky["delivered"] == 4 && picky["failed"] == 0, "{picky}");
    let sleepers = cluster.nodes[0].run("sh", &["-c", &format!("pgrep -fx '{sleep}' | wc -l")])?;
    ensure!(sleepers.trim() == "1", "the first one still runs: {sleepers}");
    Ok(())
}
