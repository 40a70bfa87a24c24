//! The container image: agents in containers on three hosts fail over, with all rights and with the least.

#[path = "container/podman.rs"]
mod podman;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::{Capture, Cluster, ClusterConfig, GENEROUS, Host, Lab, decode, ip, lab, until};
use serde_json::Value;

use self::podman::{CAPABILITIES, Container, Podman, Rights, VERSION, image_name};

/// With adverts each second a silent death would take n2 3.4 s to see.
const SECONDS: ClusterConfig<'_> = ClusterConfig { interval: "1s", ..ClusterConfig::DEFAULT };

/// The image is named and labelled, and starts the agent.
#[test]
fn the_image_says_what_it_is() -> Result<()> {
    let lab = lab!();
    let podman = Podman::new(&lab)?;
    let said: Value = serde_json::from_str(&podman.run(&["image", "inspect", &image_name()])?)?;
    let config = &said[0]["Config"];
    ensure!(config["Entrypoint"] == serde_json::json!(["/vipd"]), "{config}");
    ensure!(config["Cmd"] == serde_json::json!(["run"]), "{config}");
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default();
    ensure!(label("title") == "vipd" && label("version") == VERSION, "{config}");
    ensure!(label("licenses") == "MIT OR Apache-2.0", "{config}");
    ensure!(label("source").starts_with("https://"), "{config}");
    Ok(())
}

/// The program in the image is this workspace's, and trusts whom Mozilla trusts: without certificates `vipd check` would refuse a
/// configuration that needs some.
#[test]
fn the_image_has_program_and_certificates() -> Result<()> {
    let lab = lab!();
    let podman = Podman::new(&lab)?;
    let version = podman.program(&[], &["--version"])?;
    ensure!(version == format!("vipd {VERSION}\n"), "{version}");
    let check = "[[check]]\nname = \"tls\"\nhttp = \"https://www.example.org/\"\n";
    let text = SECONDS.text(2)?.replace("vrid = 51\n", "vrid = 51\nchecks = [\"tls\"]\n") + check;
    let file = lab.write("vipd.toml", &text)?;
    let volume = format!("--volume={}:/etc/vipd/vipd.toml:ro", file.display());
    let said = podman.program(&[&volume], &["check", "--node=n1"])?;
    ensure!(said.ends_with("correct; node `n1` takes part in 2 virtual routers\n"), "{said}");
    Ok(())
}

#[test]
fn privileged_containers_fail_over() -> Result<()> {
    let lab = lab!();
    containers_fail_over(&lab, Rights::Privileged)
}

#[test]
fn containers_with_the_least_rights_fail_over() -> Result<()> {
    let lab = lab!();
    containers_fail_over(&lab, Rights::Least)
}

/// One that is killed is handed over by its supervisor, and a new one takes over what it has left; one that is stopped hands over
/// itself, and leaves nothing.
fn containers_fail_over(lab: &Lab, rights: Rights) -> Result<()> {
    let podman = Podman::new(lab)?;
    let cluster = Cluster::new(lab, 3, &SECONDS)?;
    let nodes = cluster.nodes.iter().map(|node| podman.agent(node, &cluster.config, rights));
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    for node in &nodes {
        node.wait_for("every virtual router to stand", |status| status.all_in(&["Active", "Backup"]))?;
    }
    cluster.settle_on(0, 0)?;
    for node in &nodes {
        let status = node.wait_for("a supervisor", |status| status.0["supervisor"].is_u64())?;
        ensure!(status.0["interfaces"][0]["attach"] == "native", "{status:?}");
    }

    let first = &nodes[0];
    leaves(&cluster, || first.order("kill"))?;
    ensure!(first.order("wait")?.trim() == "137", "not killed:\n{}", first.log());
    ensure!(first.pins().exists(), "the fence is gone");
    first.order("rm")?;
    let again = podman.agent(&cluster.nodes[0], &cluster.config, rights)?;
    cluster.settle_on(0, 0)?;
    again.wait_for("the guard to be there again", |status| status.0["interfaces"][0]["attach"] == "native")?;

    leaves(&cluster, || again.order("stop"))?;
    ensure!(again.order("wait")?.trim() == "0", "{}", again.log());
    ensure!(!again.pins().exists(), "an agent that has ended in good order has left something pinned");
    Ok(())
}

/// Has the first node's agent end by `end`. It says goodbye, n2 takes over because of that, and n1 has no address any more.
fn leaves(cluster: &Cluster, end: impl Fn() -> Result<String>) -> Result<()> {
    let capture = Capture::start(cluster.nodes[1].namespace(), Host::INTERFACE)?;
    let start = Instant::now();
    end()?;
    cluster.settle_on(0, 1)?;
    let of_n1 = [ip("10.77.0.1"), cluster.nodes[0].link_local().into()];
    for own in of_n1 {
        capture.wait_for("n1 to say goodbye", GENEROUS, |frame| {
            let advert = decode::advertisement(&frame.bytes).filter(|_| frame.at > start);
            advert.is_some_and(|advert| advert.source == own && advert.priority == 0)
        })?;
    }
    Ok(())
}

/// Each capability is needed: without it there is no guard in the kernel, or no agent at all.
#[test]
fn no_right_is_too_many() -> Result<()> {
    let lab = lab!();
    let podman = Podman::new(&lab)?;
    let cluster = Cluster::new(&lab, 1, &SECONDS)?;
    for without in CAPABILITIES {
        let container = podman.agent(&cluster.nodes[0], &cluster.config, Rights::Without(without))?;
        let lacks = lacks(&container).with_context(|| format!("without {without}"))?;
        let expected = if without == "NET_RAW" { "no agent" } else { "no guard" };
        ensure!(lacks == expected, "without {without} there is {lacks}:\n{}", container.log());
        podman.run(&["rm", "--all", "--force", "--time=0"])?;
    }
    Ok(())
}

/// What a container is without.
fn lacks(container: &Container<'_>) -> Result<&'static str> {
    until("the agent to run, or to end", GENEROUS, || {
        if container.order("inspect")?.contains("\"Status\": \"exited\"") {
            return Ok(Some("no agent"));
        }
        let Ok(said) = container.vipd(&["status", "--json"]) else { return Ok(None) };
        let status: Value = serde_json::from_str(&said)?;
        Ok(Some(if status["interfaces"][0]["attach"] == "socket" { "no guard" } else { "nothing" }))
    })
}
