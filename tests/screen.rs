//! What an operator sees: on a terminal, and as JSON.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Terminal, frame::Advert, lab, until, vipd,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use vrrp_wire::Family;

/// The agent's own command on a terminal of 120 columns.
fn on_a_terminal(host: &Host, agent: &Agent, arguments: &[&str]) -> Result<Terminal> {
    let program = vipd()?;
    let program = program.to_str().context("not UTF-8")?;
    Terminal::start(host.namespace(), program, &[arguments, &["--instance", agent.instance()]].concat(), (40, 120))
}

fn two_nodes(lab: &Lab) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    Ok(cluster)
}

/// Whether both families of the virtual router are in `state`, as the table of `vipd top` has it.
fn all_in(screen: &str, state: &str) -> bool {
    ["IPv4", "IPv6"].iter().all(|family| {
        screen.lines().any(|line| line.starts_with("web-a ") && line.contains(&format!("  {family}    {state} ")))
    })
}

#[test]
fn top_shows_a_failover_and_leaves_the_terminal_as_it_was() -> Result<()> {
    let lab = lab!();
    let mut cluster = two_nodes(&lab)?;
    let mut top = on_a_terminal(&cluster.nodes[1], cluster.agent(1)?, &["top", "--every", "0.1"])?;
    let screen = top.wait_for("n2 to be Backup", |screen| all_in(screen, "Backup"))?;
    ensure!(screen.starts_with("n2 of cluster test, vipd ") && screen.contains("   2 Backup   "), "{screen}");
    ensure!(screen.lines().last().is_some_and(|line| line.starts_with(" q quit")), "{screen}");
    top.wait_for("adverts of two families, ten a second each", |screen| {
        let heard = screen.split("/s out, ").nth(1).and_then(|rest| rest.split("/s in").next()?.parse::<f64>().ok());
        heard.is_some_and(|heard| (5.0..40.0).contains(&heard))
    })?;

    top.press("2")?;
    top.wait_for("n1 among the peers", |screen| {
        screen.lines().any(|line| line.starts_with("web-a/IPv4") && line.contains(" n1 ") && line.contains(" ms ago"))
    })?;
    top.press("1")?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    let screen = top.wait_for("n2 to be Active", |screen| all_in(screen, "Active"))?;
    ensure!(screen.contains("   2 Active   "), "{screen}");
    top.wait_for("the event", |screen| screen.contains("web-a/IPv4 Backup -> Active: "))?;

    top.resize(30, 90)?;
    top.wait_for("the keys on the thirtieth line", |screen| {
        screen.lines().count() == 30 && screen.lines().last().is_some_and(|line| line.starts_with(" q quit"))
    })?;

    let mut agent = cluster.take(1)?;
    agent.process.terminate(GENEROUS)?;
    top.wait_for("the absence", |screen| screen.contains("AWAY the agent has not answered since "))?;
    agent.start_again()?;
    top.wait_for("the agent to be back", |screen| !screen.contains("AWAY") && all_in(screen, "Active"))?;
    top.wait_for("events of the agent that was started anew", |screen| screen.contains("Initialize -> Backup: "))?;

    top.press("q")?;
    ensure!(top.wait_for_end()?.success(), "{}", top.screen());
    top.ensure_restored()?;

    let mut top = on_a_terminal(&cluster.nodes[1], &agent, &["top"])?;
    top.wait_for("the table", |screen| all_in(screen, "Active"))?;
    ensure!(top.ensure_restored().is_err(), "the terminal is not taken over");
    top.signal(Signal::SIGTERM)?;
    ensure!(top.wait_for_end()?.success(), "{}", top.screen());
    top.ensure_restored()
}

#[test]
fn the_status_is_redrawn_in_place_also_while_the_agent_is_away() -> Result<()> {
    let lab = lab!();
    let mut cluster = two_nodes(&lab)?;
    let mut watch = on_a_terminal(&cluster.nodes[1], cluster.agent(1)?, &["status", "--watch", "0.1"])?;
    let screen = watch.wait_for("n2 to be Backup", |screen| screen.contains("n2 of cluster test: 2 Backup; "))?;
    ensure!(screen.matches("n2 of cluster").count() == 1, "{screen}");
    let folded = screen.lines().filter(|line| line.starts_with("    ")).count();
    ensure!(folded > 2 && screen.lines().all(|line| line.chars().count() <= 120), "{screen}");
    cluster.take(0)?.process.terminate(GENEROUS)?;
    watch.wait_for("n2 to be Active", |screen| screen.contains("n2 of cluster test: 2 Active; "))?;

    let mut agent = cluster.take(1)?;
    agent.process.terminate(GENEROUS)?;
    let screen =
        watch.wait_for("the absence", |screen| screen.starts_with("AWAY the agent has not answered since "))?;
    ensure!(screen.contains("what it said last:\nn2 of cluster test: 2 Active; "), "{screen}");
    agent.start_again()?;
    watch.wait_for("the agent to be back", |screen| !screen.contains("AWAY") && screen.contains(": 2 Active; "))?;

    watch.press("\x03")?;
    let ended = watch.wait_for_end()?;
    ensure!(!ended.success(), "Ctrl-C is not heeded: {ended}");
    watch.ensure_restored()
}

/// Fails unless `value` is what `docs/schema` says that `vipd COMMAND --json` prints.
fn ensure_valid(command: &str, value: &Value) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schema/{command}.json"));
    let schema = fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema)?)?;
    let mistakes: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    ensure!(mistakes.is_empty(), "of `vipd {command} --json`: {}\n{value:#}", mistakes.join("\n"));
    Ok(())
}

/// What a Backup says that hears another node, refuses frames, goes by a check and tells somebody.
#[test]
fn what_programs_read_is_as_described() -> Result<()> {
    let lab = lab!();
    let number = lab.write("load", "3\n")?;
    let pipe = lab.write("pipe", "")?.with_file_name("events.fifo");
    let more = format!(
        "[[check]]\nname = \"load\"\nfile = \"{}\"\nweight = -10\n[[notify]]\nname = \"pipe\"\nfifo = \"{}\"\n",
        number.display(),
        pipe.display()
    );
    let config = ClusterConfig::default().text(2)?.replace("vrid = 51", "vrid = 51\nchecks = [\"load\"]") + &more;
    let mut cluster = Cluster::with_config(&lab, 2, config)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let attacker = &cluster.attacker;
    let forged =
        Advert::new(attacker.mac(), [10, 77, 0, 66].into(), Cluster::VRIDS[0], 255, &Cluster::addresses(0)[..1]);
    Injector::new(attacker)?.send(&forged.frame())?;
    let backup = cluster.agent(1)?;
    let status = backup.wait_for("the forged advert to be counted and the check to have looked", |status| {
        status.counter("web-a", Family::Ipv4, "unknown_source") == 1 && status.0["checks"][0]["looks"] != 0
    })?;
    ensure!(status.0["virtual_routers"][0]["peers"][0]["node"] == "n1", "{status:?}");
    ensure_valid("status", &status.0)?;
    for command in ["explain", "rejects", "speakers"] {
        let said = backup.run(&[command, "--json"])?;
        ensure_valid(command, &serde_json::from_str(&said)?)?;
    }

    let instance = ["--instance", backup.instance()];
    let mut command = cluster.nodes[1].namespace().command(vipd()?);
    command.args(["events", "--since", "0", "--json"]).args(instance);
    let follower = harness::Process::spawn("events", command)?;
    let lines = until("two events", GENEROUS, || {
        let said = follower.transcript();
        let lines: Vec<_> = said.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect();
        Ok((lines.len() >= 2).then_some(lines))
    })?;
    for line in lines {
        ensure_valid("events", &serde_json::from_str(&line)?)?;
    }
    ensure_valid("events", &serde_json::json!({"missed": 3}))?;
    let of_no_version = serde_json::json!({"gone": 3});
    ensure!(ensure_valid("events", &of_no_version).is_err(), "the schema allows anything");
    Ok(())
}
