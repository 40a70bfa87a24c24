//! Hetzner routes addresses to the node that is Active: a server that behaves like its APIs is asked, and sometimes misbehaves.

#[path = "hetzner/api.rs"]
mod api;

#[path = "hetzner/cloud.rs"]
mod cloud;
#[path = "hetzner/errors.rs"]
mod errors;
#[path = "hetzner/robot.rs"]
mod robot;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Certificate, Cluster, ClusterConfig, GENEROUS, Lab, Status, lab, until};
use nix::sys::signal::Signal;

use self::api::{Api, Asked, Mood};

/// Where the client of the cluster listens.
const CLIENT: &str = "10.77.0.50";
/// Longer than Robot's slowest answer and the patience after it.
const PATIENT: Duration = Duration::from_secs(90);

/// The entry of each kind.
const FAILOVER: &str = "failover_ip = \"203.0.113.9\"\nusername = \"#ws+x\"\npassword = \"/run/lab/password\"\n\
    servers = { n1 = \"198.51.100.1\", n2 = \"198.51.100.2\" }\nendpoint = \"https://10.77.0.50:8443\"";
const FLOATING: &str = "floating_ip = \"203.0.113.10\"\ntoken = \"/run/lab/token\"\nendpoint = \"https://10.77.0.50:8443/v1\"\nrecheck = \"1s\"";
const ALIAS: &str = "alias_ip = \"10.0.0.9\"\nnetwork = \"lan\"\ntoken = \"/run/lab/token\"\n\
    endpoint = \"https://10.77.0.50:8443/v1\"\nrecheck = \"1s\"";

fn entry(name: &str, lines: &str) -> String {
    format!("[[hetzner]]\nname = \"{name}\"\nrouter = \"web-a\"\nca_file = \"/run/lab/ca.pem\"\n{lines}\n")
}

fn node_address(node: usize) -> IpAddr {
    [[10, 77, 0, 1], [10, 77, 0, 2]][node].into()
}

/// A cluster whose nodes have `entries`, and the server that they ask.
fn cluster(lab: &Lab, nodes: usize, entries: &[(&str, &str)]) -> Result<(Cluster, Api)> {
    let certificate = Certificate::new(CLIENT)?;
    lab.write("ca.pem", &certificate.pem)?;
    lab.secret("token", "t0ken\n")?;
    lab.secret("password", "s3cret\n")?;
    let entries: String = entries.iter().map(|(name, lines)| entry(name, lines)).collect();
    let config = format!("{}{entries}", ClusterConfig::default().text(2)?);
    let cluster = Cluster::with_config(lab, nodes, config)?;
    let api = Api::start(&cluster.client, &format!("{CLIENT}:8443"), &certificate)?;
    Ok((cluster, api))
}

/// Starts n2's agent only when n1 is Active: on a busy machine n2 could be first.
fn start_in_turn(cluster: &mut Cluster) -> Result<()> {
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to stand", |status| status.all_in(&["Backup"])).map(drop)
}

/// What the status says of an address.
fn routed<'s>(status: &'s Status, name: &str) -> &'s serde_json::Value {
    let entries = status.0["hetzner"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().find(|entry| entry["name"] == name).unwrap_or(&serde_json::Value::Null)
}

/// Waits until a node says that it has an address.
fn wait_here(agent: &Agent, name: &str) -> Result<Status> {
    agent.wait_within(PATIENT, &format!("{name} to be routed here"), |status| routed(status, name)["state"] == "here")
}

/// What a node has asked, beginning with request `from`.
fn asked_by(api: &Api, node: usize, from: usize) -> Vec<Asked> {
    api.asked(from).into_iter().filter(|asked| asked.from == node_address(node)).collect()
}

/// Waits until a node has sent a request that changes something.
fn wait_for_change(api: &Api, node: usize, from: usize) -> Result<Asked> {
    until("a request that changes something", GENEROUS, || {
        Ok(asked_by(api, node, from).into_iter().find(Asked::changes))
    })
}

/// The failover IP, the floating IP and the alias IP are with this node's servers, and the API knows it.
fn wait_for_all(cluster: &Cluster, api: &Api, node: usize) -> Result<()> {
    for name in ["failover", "floating", "alias"] {
        wait_here(cluster.agent(node)?, name)?;
    }
    let mut state = api.state();
    ensure!(state.robot.active() == Some(robot::SERVERS[node]), "the failover IP: {:?}", state.robot.active());
    ensure!(state.cloud.floating == Some(cloud::SERVERS[node]), "the floating IP: {:?}", state.cloud.floating);
    let aliases = |node: usize| state.cloud.aliases(cloud::SERVERS[node]);
    ensure!(aliases(node) == [cloud::OTHERS[node], cloud::ALIAS], "aliases here: {:?}", aliases(node));
    ensure!(aliases(1 - node) == [cloud::OTHERS[1 - node]], "aliases there: {:?}", aliases(1 - node));
    Ok(())
}

#[test]
fn addresses_go_where_the_active_node_is() -> Result<()> {
    let lab = lab!();
    let entries = [("failover", FAILOVER), ("floating", FLOATING), ("alias", ALIAS)];
    let (mut cluster, api) = cluster(&lab, 2, &entries)?;
    api.state().robot.takes = Duration::from_secs(2);
    api.state().cloud.takes = Duration::from_secs(2);
    start_in_turn(&mut cluster)?;
    wait_for_all(&cluster, &api, 0)?;
    let backup = cluster.agent(1)?.status()?;
    ensure!(entries.iter().all(|(name, _)| routed(&backup, name)["state"] == "idle"), "{backup:?}");
    ensure!(asked_by(&api, 1, 0).is_empty(), "a Backup asks: {:?}", asked_by(&api, 1, 0));

    // On request, by a stop, and by a death without a word.
    cluster.agent(0)?.run(&["drain"])?;
    cluster.settle_on(0, 1)?;
    wait_for_all(&cluster, &api, 1)?;
    cluster.agent(0)?.run(&["undrain"])?;
    cluster.settle_on(0, 0)?;
    wait_for_all(&cluster, &api, 0)?;
    let stopped_at = api.count();
    cluster.take(0)?.process.terminate(GENEROUS)?;
    wait_for_all(&cluster, &api, 1)?;
    ensure!(!asked_by(&api, 0, stopped_at).iter().any(Asked::changes), "asked at the end: {:?}", api.asked(stopped_at));
    let said = cluster.agent(1)?.run(&["status"])?;
    let expected = "hetzner failover (failover_ip 203.0.113.9 to 198.51.100.2, follows web-a): routed here for ";
    ensure!(said.contains(expected), "{said}");
    Ok(())
}

/// n1's request waits for somebody else's; then n1 is no longer Active. n2's request is the only one left.
#[test]
fn who_loses_its_role_sends_nothing_more() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 2, &[("failover", FAILOVER)])?;
    api.state().robot.is_locked = true;
    start_in_turn(&mut cluster)?;
    wait_for_change(&api, 0, 0)?;
    cluster.agent(0)?.wait_for("n1 to wait for the lock", |status| {
        routed(status, "failover")["trouble"] == "the API answers 409 FAILOVER_LOCKED (locked)"
    })?;
    cluster.agent(0)?.run(&["drain"])?;
    cluster.settle_on(0, 1)?;
    cluster.agent(0)?.wait_for("n1 to have given up", |status| routed(status, "failover")["state"] == "idle")?;
    let before = api.count();
    wait_for_change(&api, 1, 0)?;
    api.state().robot.is_locked = false;
    wait_here(cluster.agent(1)?, "failover")?;
    ensure!(asked_by(&api, 0, before).is_empty(), "n1 still asks: {:?}", asked_by(&api, 0, before));
    ensure!(api.state().robot.switches == 1, "{} switches", api.state().robot.switches);
    Ok(())
}

/// The same while an answer is outstanding: the connection is closed.
#[test]
fn what_is_under_way_is_given_up() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 2, &[("failover", FAILOVER)])?;
    api.behave(Mood::Hangs);
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    until("n1 to ask", GENEROUS, || Ok((api.count() > 0).then_some(())))?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to stand", |status| status.all_in(&["Backup"]))?;
    ensure!(api.state().given_up == 0, "given up too early");
    cluster.agent(0)?.run(&["drain"])?;
    until("n1's request to be given up", Duration::from_secs(8), || Ok((api.state().given_up == 1).then_some(())))?;
    let before = api.count();
    api.behave(Mood::Kind);
    // n2's first request may hang; its next one does not.
    wait_here(cluster.agent(1)?, "failover")?;
    ensure!(asked_by(&api, 0, before).is_empty(), "n1 still asks: {:?}", asked_by(&api, 0, before));
    Ok(())
}

/// Somebody takes the addresses away from the Active node, and it asks for them again.
#[test]
fn what_goes_elsewhere_is_fetched_back() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 1, &[("floating", FLOATING)])?;
    cluster.start_all()?;
    let status = wait_here(cluster.agent(0)?, "floating")?;
    ensure!(routed(&status, "floating")["switches"] == 1, "{status:?}");
    api.state().cloud.floating = Some(cloud::SERVERS[1]);
    until("it to be fetched back", GENEROUS, || {
        Ok((api.state().cloud.floating == Some(cloud::SERVERS[0])).then_some(()))
    })?;
    let status = wait_here(cluster.agent(0)?, "floating")?;
    ensure!(routed(&status, "floating")["switches"] == 2, "{status:?}");
    Ok(())
}

/// The program is replaced while Robot is busy with a request: the next one goes on until the address is here, and Robot has
/// switched once.
#[test]
fn a_restart_in_the_middle_goes_on() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 1, &[("failover", FAILOVER)])?;
    api.state().robot.takes = Duration::from_secs(15);
    cluster.start_all()?;
    wait_for_change(&api, 0, 0)?;
    let agent = cluster.agent(0)?;
    agent.run(&["restart"])?;
    wait_here(agent, "failover")?;
    let mut state = api.state();
    ensure!(state.robot.active() == Some(robot::SERVERS[0]), "{:?}", state.robot);
    ensure!(state.robot.switches == 1, "{} switches", state.robot.switches);
    // The first request was given up, and the others found the address locked.
    ensure!(state.given_up == 1, "the request was not under way when the program was replaced");
    let requests = state.asked.iter().filter(|asked| asked.changes()).count();
    ensure!(requests >= 2, "the next program did not ask");
    Ok(())
}

/// A reload takes over what is routed; what is not changed is not asked about again.
#[test]
fn a_reload_takes_over_what_is_routed() -> Result<()> {
    let lab = lab!();
    let slow = FLOATING.replace("\"1s\"", "\"3600s\"");
    let (mut cluster, api) = cluster(&lab, 1, &[("floating", &slow)])?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    wait_here(agent, "floating")?;
    let before = api.count();
    agent.rewrite(&format!("{}{}", cluster.config, entry("alias", ALIAS)))?;
    let said = agent.run(&["reload"])?;
    ensure!(said.contains("+ hetzner alias: new"), "{said}");
    wait_here(agent, "alias")?;
    ensure!(!api.asked(before).iter().any(|asked| asked.path.contains("floating")), "{:?}", api.asked(before));
    agent.rewrite(&cluster.config.replace("\"3600s\"", "\"1800s\""))?;
    let said = agent.run(&["reload"])?;
    ensure!(said.contains("~ hetzner floating: changes") && said.contains("- hetzner alias: goes"), "{said}");
    wait_here(agent, "floating")?;
    ensure!(agent.status()?.0["hetzner"].as_array().is_some_and(|entries| entries.len() == 1), "alias is still there");
    Ok(())
}

/// Hands over and takes back ten times; says how long the slowest took.
fn play(cluster: &mut Cluster) -> Result<Duration> {
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let start = Instant::now();
        cluster.agent(0)?.run(&["drain"])?;
        slowest = slowest.max(start.elapsed());
        cluster.settle_on(0, 1)?;
        cluster.agent(0)?.run(&["undrain"])?;
        cluster.settle_on(0, 0)?;
    }
    let changes = cluster.transitions()? - before;
    ensure!(changes == 80, "{changes} changes instead of 80: each family, on each node, there and back");
    Ok(slowest)
}

/// Elections do not wait for an API that hangs, nor for one that is not there.
#[test]
fn an_api_that_is_down_delays_no_election() -> Result<()> {
    let lab = lab!();
    let entries = [("failover", FAILOVER), ("floating", FLOATING), ("alias", ALIAS)];
    let (mut usual, _) = cluster(&lab, 2, &[])?;
    let usual = play(&mut usual)?;
    let (mut hanging, api) = cluster(&lab, 2, &entries)?;
    api.behave(Mood::Hangs);
    let hangs = play(&mut hanging)?;
    ensure!(api.count() >= 3, "nobody was asked");
    let (mut absent, api) = cluster(&lab, 2, &entries)?;
    drop(api);
    let is_absent = play(&mut absent)?;
    eprintln!("hetzner: handover {usual:?} without, {hangs:?} while the API hangs, {is_absent:?} while there is none");
    for (node, agent) in absent.agents.iter().enumerate() {
        let status = agent.as_ref().context("no agent")?.status()?;
        let avoided = status.0["virtual_routers"][0]["tally"]["false_takeovers_avoided"].as_u64();
        ensure!(avoided == Some(0), "n{}: {status:?}", node + 1);
    }
    // The end does not wait either.
    absent.take(0)?.process.signal(Signal::SIGTERM)?;
    absent.settle_on(0, 1)
}
