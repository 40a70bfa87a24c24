//! Every change is told to everybody who is to be told, in order and once; who is down or slow loses nothing and delays nobody.

#[path = "notify/contract.rs"]
mod contract;
#[path = "notify/mail_server.rs"]
mod mail_server;
#[path = "notify/misbehaving.rs"]
mod misbehaving;
#[path = "notify/pipe.rs"]
mod pipe;
#[path = "notify/receiver.rs"]
mod receiver;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Certificate, Cluster, ClusterConfig, GENEROUS, Lab, Process, Status, lab, until, vipd};

use self::{mail_server::MailServer, pipe::Reader, receiver::Receiver};

const ROUTER: &str = Cluster::ROUTERS[0];
/// Where the client of the cluster listens.
const CLIENT: &str = "10.77.0.50";
const HTTPS: &str = "10.77.0.50:8443";

fn lines(path: &str) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What the status says of somebody who is told.
fn target<'a>(status: &'a Status, name: &str) -> &'a serde_json::Value {
    let targets = status.0["notifications"].as_array().map_or(&[][..], Vec::as_slice);
    targets.iter().find(|target| target["name"] == name).unwrap_or(&serde_json::Value::Null)
}

/// Makes two changes of each virtual router: nobody takes over, so it becomes Backup and Active again.
fn change(agent: &Agent) {
    // Fails, since nobody takes over.
    let _ = agent.run(&["transfer", ROUTER]);
}

/// The receivers of a lab, and how they are configured.
struct Receivers {
    certificate: Certificate,
    config: String,
}

impl Receivers {
    fn new(lab: &Lab) -> Result<Self> {
        let certificate = Certificate::new(CLIENT)?;
        lab.write("ca.pem", &certificate.pem)?;
        lab.secret("token", "t0ken\n")?;
        lab.secret("password", "s3cret\n")?;
        lab.script("hook", "echo \"$VIPD_SEQUENCE $*\" >> /run/lab/hook.out")?;
        lab.script("end", "ip -o address show dev vsw0 | grep -c 10.77.0.101 >> /run/lab/end.out")?;
        let config = format!(
            r#"
[[notify]]
name = "hook"
exec = ["/run/lab/hook", "first"]

[[notify]]
name = "end"
exec = ["/run/lab/end"]
on = ["Stopped"]

[[notify]]
name = "pipe"
fifo = "/run/lab/pipe"
format = "json"

[[notify]]
name = "web"
webhook = "https://{HTTPS}/events"
token = "/run/lab/token"
ca_file = "/run/lab/ca.pem"
timeout = "2s"

[[notify]]
name = "mail"
mail = ["Operators <ops@example.org>"]
from = "vipd@example.org"
server = "{CLIENT}"
username = "vipd"
password = "/run/lab/password"
ca_file = "/run/lab/ca.pem"
digest = "1s"
"#
        );
        Ok(Self { certificate, config })
    }
}

/// Follows the events as people do.
fn follow(agent: &Agent, host: &harness::Host) -> Result<Process> {
    let mut command = host.namespace().command(vipd()?);
    command.args(["events", "--since", "0", "--json", "--instance", agent.instance()]);
    Process::spawn("vipd events", command)
}

/// The numbers of the events that were followed.
fn followed(process: &Process) -> Vec<u64> {
    let transcript = process.transcript();
    let events = transcript.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.filter_map(|event| event["sequence"].as_u64()).collect()
}

#[test]
fn all_hear_the_same_in_the_same_order_and_who_was_down_too() -> Result<()> {
    let lab = lab!();
    let receivers = Receivers::new(&lab)?;
    let config = format!("{}{}", ClusterConfig::default().text(1)?, receivers.config);
    let mut cluster = Cluster::with_config(&lab, 1, config)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let stream = follow(cluster.agent(0)?, &cluster.nodes[0])?;

    // Nobody listens but the hook.
    (0..3).for_each(|_| change(cluster.agents[0].as_ref().unwrap_or_else(|| unreachable!("it was started"))));
    let agent = cluster.agent(0)?;
    let status = agent.wait_for("all events to wait for who is down", |status| {
        let count = |name: &str, key: &str| target(status, name)[key].as_u64().unwrap_or(0);
        let told = count("hook", "delivered");
        told == 16 && ["pipe", "web", "mail"].iter().all(|name| count(name, "waiting") == told)
    })?;
    for name in ["pipe", "web", "mail"] {
        ensure!(target(&status, name)["last_error"].is_string(), "{name} fails in silence: {status:?}");
        ensure!(target(&status, name)["failed"] == 0, "{name} has given up: {status:?}");
    }

    // Some come up, one of them with nothing but errors, and the agent's program is replaced meanwhile.
    let receiver = Receiver::start(&cluster.client, HTTPS, &receivers.certificate, 503)?;
    let mail = MailServer::start(&lab, &cluster.client, CLIENT, &receivers.certificate)?;
    until("the receiver to be asked", GENEROUS, || Ok((receiver.refused() > 0).then_some(())))?;
    agent.run(&["restart"])?;
    change(agent);
    ensure!(receiver.accepted().is_empty(), "what was refused counts as accepted");
    receiver.answer(200);
    let pipe = Reader::start("/run/lab/pipe")?;
    agent.wait_for("all to be told", |status| {
        ["hook", "pipe", "web", "mail"].iter().all(|name| target(status, name)["delivered"] == 20)
    })?;

    let before_the_end = mail.mails();
    let mut agent = cluster.take(0)?;
    agent.process.terminate(GENEROUS)?;
    let expected: Vec<u64> = (1..=22).collect();
    let hook = || lines("/run/lab/hook.out");
    let hook_numbers = || hook().iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect::<Vec<u64>>();
    ensure!(hook_numbers() == expected, "the hook: {:?}", hook());
    ensure!(receiver.numbers() == expected, "the receiver: {:?}", receiver.numbers());
    until("the last of all to arrive", GENEROUS, || {
        let has_all = pipe.numbers() == expected && mail.numbers() == expected && followed(&stream) == expected;
        Ok(has_all.then_some(()))
    })
    .with_context(|| format!("pipe {:?}, mail {:?}, stream {:?}", pipe.numbers(), mail.numbers(), followed(&stream)))?;
    ensure!(before_the_end < 20, "{before_the_end} mails for 20 events");
    let last: Vec<_> = hook().split_off(20);
    ensure!(last == ["21 first INSTANCE web-a STOP 200", "22 first INSTANCE web-a STOP 200"], "{last:?}");
    let held = lines("/run/lab/end.out");
    ensure!(held == ["0", "0"], "the end is told while addresses are held: {held:?}");
    Ok(())
}

/// The way to somebody changes while events wait for him, and he gets them in the new way.
#[test]
fn a_reload_takes_over_who_is_told() -> Result<()> {
    let lab = lab!();
    let receivers = Receivers::new(&lab)?;
    let base = ClusterConfig::default().text(1)?;
    let notify = |port: u16| {
        let lines = receivers.config.replace(HTTPS, &format!("{CLIENT}:{port}"));
        let from = lines.find("name = \"web\"").unwrap_or(0);
        let to = lines.find("[[notify]]\nname = \"mail\"").unwrap_or(0);
        format!("{base}\n[[notify]]\n{}", &lines[from..to])
    };
    let mut cluster = Cluster::with_config(&lab, 1, notify(8444))?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let receiver = Receiver::start(&cluster.client, HTTPS, &receivers.certificate, 200)?;
    let agent = cluster.agent(0)?;
    change(agent);
    agent.wait_for("events to wait", |status| target(status, "web")["waiting"] == 8)?;
    agent.rewrite(&notify(8443))?;
    let said = agent.run(&["reload"])?;
    ensure!(said.contains("~ notify web: changes"), "{said}");
    until("what has waited to arrive", GENEROUS, || {
        Ok((receiver.numbers() == (1..=8).collect::<Vec<_>>()).then_some(()))
    })?;
    agent.rewrite(&base)?;
    let said = agent.run(&["reload"])?;
    ensure!(said.contains("- notify web: goes") && said.ends_with("2 virtual routers are not touched\n"), "{said}");
    // The reload does not wait for what is being told.
    agent.wait_for("nobody to be told", |status| status.0["notifications"] == serde_json::json!([]))?;
    Ok(())
}

/// A node whose receiver of alerts answers with `status`; the way to it is not the interface that fails.
fn with_alerts(lab: &Lab, status: u16) -> Result<(Cluster, Receiver)> {
    lab.secret("token", "t0ken\n")?;
    let local = Certificate::new("127.0.0.1")?;
    lab.write("local.pem", &local.pem)?;
    let config = ClusterConfig::default().text(1)?.replace(", \"fd77::101/64\"", "");
    let config = format!(
        "{config}\n[[notify]]\nname = \"alerts\"\nwebhook = \"https://127.0.0.1:8443\"\nformat = \"alertmanager\"\n\
         token = \"/run/lab/token\"\nca_file = \"/run/lab/local.pem\"\nrepeat = \"1s\"\n"
    );
    let mut cluster = Cluster::with_config(lab, 1, config)?;
    let receiver = Receiver::start(&cluster.nodes[0], "127.0.0.1:8443", &local, status)?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("it to be Active", |status| status.all_in(&["Active"]))?;
    Ok((cluster, receiver))
}

/// An alert fires as long as a virtual router is in Fault, is said again, and is resolved.
#[test]
fn an_alert_fires_while_a_virtual_router_cannot_serve() -> Result<()> {
    let lab = lab!();
    let (cluster, receiver) = with_alerts(&lab, 200)?;
    let agent = cluster.agent(0)?;
    ensure!(receiver.accepted().is_empty(), "alerts for nothing: {:?}", receiver.accepted());
    cluster.nodes[0].run("ip", &["link", "set", "vsw0", "down"])?;
    until("the alert to be said three times", GENEROUS, || Ok((receiver.accepted().len() >= 3).then_some(())))?;
    let alerts = receiver.accepted();
    for alert in alerts.iter().take(3) {
        let labels = &alert[0]["labels"];
        ensure!(
            labels["state"] == "Fault" && labels["router"] == ROUTER && labels["severity"] == "critical",
            "{alert}"
        );
        ensure!(alert[0]["startsAt"] == alerts[0][0]["startsAt"], "another alert: {alert}");
    }
    let end = |alert: &serde_json::Value| alert[0]["endsAt"].as_str().map(str::to_owned);
    ensure!(end(&alerts[0]) < end(&alerts[2]), "it is not prolonged: {alerts:?}");
    cluster.nodes[0].run("ip", &["link", "set", "vsw0", "up"])?;
    agent.wait_for("it to be Active again", |status| status.all_in(&["Active"]))?;
    let resolved = until("the alert to be resolved", GENEROUS, || {
        let last = receiver.accepted().pop();
        Ok(last.filter(|last| end(last) < end(&alerts[2])))
    })?;
    ensure!(resolved[0]["labels"] == alerts[0][0]["labels"], "another alert is resolved: {resolved}");
    Ok(())
}

/// What is refused is said again with the next repetition, and no sooner.
#[test]
fn a_receiver_that_refuses_alerts_is_not_asked_without_pause() -> Result<()> {
    let lab = lab!();
    let (cluster, receiver) = with_alerts(&lab, 400)?;
    ensure!(receiver.refused() == 0, "alerts for nothing");
    let begun = Instant::now();
    cluster.nodes[0].run("ip", &["link", "set", "vsw0", "down"])?;
    until("the alert to be refused five times", GENEROUS, || Ok((receiver.refused() >= 5).then_some(())))?;
    // At once come the event, and what holds without it.
    ensure!(begun.elapsed() >= Duration::from_secs(3), "five requests within {:?}", begun.elapsed());
    let status = cluster.agent(0)?.status()?;
    ensure!(target(&status, "alerts")["failed"] == 1, "{status:?}");
    Ok(())
}
