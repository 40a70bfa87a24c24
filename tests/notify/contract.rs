//! What was written for keepalived works: the same script and the same reader of the FIFO, called by one and by the other.

use std::fs;

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Process, lab, until};
use nix::sys::signal::Signal;

use crate::{lines, pipe::Reader};

/// What keepalived 2.2.7 hands to its script for a virtual router that starts, loses its link, gets it back, and stops: each
/// argument, and a line end.
const CALLS: [&str; 6] = [
    "<first><INSTANCE><web-a><BACKUP><150>",
    "<first><INSTANCE><web-a><MASTER><150>",
    "<first><INSTANCE><web-a><FAULT><150>",
    "<first><INSTANCE><web-a><BACKUP><150>",
    "<first><INSTANCE><web-a><MASTER><150>",
    "<first><INSTANCE><web-a><STOP><150>",
];
/// What it writes into its FIFO.
const LINES: [&str; 6] = [
    "INSTANCE \"web-a\" BACKUP 150",
    "INSTANCE \"web-a\" MASTER 150",
    "INSTANCE \"web-a\" FAULT 150",
    "INSTANCE \"web-a\" BACKUP 150",
    "INSTANCE \"web-a\" MASTER 150",
    "INSTANCE \"web-a\" STOP 150",
];

fn record(lab: &Lab) -> Result<()> {
    lab.script("record", "{ printf '<%s>' \"$@\"; echo; } >> /run/lab/calls").map(drop)
}

/// Waits until the script was called and the FIFO read so many times.
fn wait_for_calls(pipe: &Reader, count: usize) -> Result<()> {
    until(&format!("{count} calls"), GENEROUS, || {
        Ok((lines("/run/lab/calls").len() >= count && pipe.lines().len() >= count).then_some(()))
    })
}

fn check(pipe: &Reader) -> Result<()> {
    let calls = lines("/run/lab/calls");
    ensure!(calls == CALLS, "the script: {calls:#?}");
    ensure!(pipe.lines() == LINES, "the FIFO: {:#?}", pipe.lines());
    Ok(())
}

/// Loses the link, gets it back, and has the daemon stop.
fn play(cluster: &Cluster, pipe: &Reader, process: &mut Process) -> Result<()> {
    let link = |state| cluster.lan.namespace().run("ip", &["link", "set", "n1", state]);
    wait_for_calls(pipe, 2)?;
    link("down")?;
    wait_for_calls(pipe, 3)?;
    link("up")?;
    wait_for_calls(pipe, 5)?;
    process.signal(Signal::SIGTERM)?;
    wait_for_calls(pipe, 6)?;
    process.terminate(GENEROUS).map(drop)
}

#[test]
fn keepalived_keeps_the_contract() -> Result<()> {
    let lab = lab!();
    record(&lab)?;
    let cluster = Cluster::with_config(&lab, 1, String::new())?;
    nix::unistd::mkfifo("/run/lab/keepalived.fifo", nix::sys::stat::Mode::S_IRWXU)?;
    let config = lab.write(
        "keepalived.conf",
        "global_defs {\n    router_id n1\n    script_user root\n    vrrp_notify_fifo /run/lab/keepalived.fifo\n}\n\
         vrrp_instance web-a {\n    state BACKUP\n    interface vsw0\n    virtual_router_id 51\n    priority 150\n    \
         version 3\n    advert_int 0.1\n    virtual_ipaddress {\n        10.77.0.101/24\n    }\n    \
         notify \"/run/lab/record first\"\n}\n",
    )?;
    let pipe = Reader::start("/run/lab/keepalived.fifo")?;
    let mut command = cluster.nodes[0].namespace().command("keepalived");
    command.args(["-n", "-l", "-G", "-D", "-P", "-f"]).arg(&config);
    command.args(["-p", "/run/lab/keepalived.pid", "-r", "/run/lab/keepalived.vrrp.pid"]);
    let mut process = Process::spawn("keepalived", command)?;
    play(&cluster, &pipe, &mut process)?;
    check(&pipe)
}

#[test]
fn vipd_keeps_the_contract() -> Result<()> {
    let lab = lab!();
    record(&lab)?;
    let config = ClusterConfig::default().text(1)?.replace(", \"fd77::101/64\"", "");
    let config = config.replace("nodes = [\"n1\"]", "priorities = { n1 = 150 }");
    let config = format!(
        "{config}\n[[notify]]\nname = \"script\"\nexec = [\"/run/lab/record\", \"first\"]\n\
         [[notify]]\nname = \"fifo\"\nfifo = \"/run/lab/vipd.fifo\"\n"
    );
    let mut cluster = Cluster::with_config(&lab, 1, config)?;
    cluster.start(0)?;
    until("the FIFO to be made", GENEROUS, || Ok(fs::exists("/run/lab/vipd.fifo")?.then_some(())))?;
    let pipe = Reader::start("/run/lab/vipd.fifo")?;
    let mut agent = cluster.take(0)?;
    play(&cluster, &pipe, &mut agent.process)?;
    check(&pipe)
}

/// A virtual router that a reload removes is DELETED, for keepalived's scripts too.
#[test]
fn what_is_removed_is_deleted() -> Result<()> {
    let lab = lab!();
    record(&lab)?;
    let notify =
        "\n[[notify]]\nname = \"script\"\nexec = [\"/run/lab/record\"]\nrouters = [\"web-b\"]\non = [\"Deleted\"]\n";
    let two = ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() }.text(1)?;
    let mut cluster = Cluster::with_config(&lab, 1, format!("{two}{notify}"))?;
    cluster.start_all()?;
    cluster.settle_on(1, 0)?;
    let agent = cluster.agent(0)?;
    let one = ClusterConfig::default().text(1)?;
    agent.rewrite(&format!("{one}{}", notify.replace("routers = [\"web-b\"]\n", "")))?;
    agent.run(&["reload"])?;
    until("it to be told", GENEROUS, || Ok((lines("/run/lab/calls").len() == 2).then_some(())))?;
    ensure!(lines("/run/lab/calls") == ["<INSTANCE><web-b><DELETED><200>"; 2], "{:?}", lines("/run/lab/calls"));
    Ok(())
}
