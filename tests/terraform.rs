//! The example for Hetzner Cloud: its language is right, and an agent takes the configuration that it writes. What the provider's
//! plugin would say cannot be known without it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use harness::{lab, run_python, toml, vipd};
use serde_json::Value;

fn read(name: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/terraform/hetzner-cloud");
    fs::read_to_string(folder.join(name)).with_context(|| format!("no `{name}`"))
}

/// What a text of Terraform says.
fn parse(text: &str) -> Result<Value> {
    let said = run_python("hcl2tojson", &["--quiet", "--no-explicit-blocks", "--strip-string-quotes"], text)?;
    serde_json::from_str(&said).with_context(|| format!("`hcl2tojson` said {said}"))
}

#[test]
fn every_file_is_in_the_language_of_terraform() -> Result<()> {
    for name in ["main.tf", "outputs.tf", "variables.tf", "versions.tf"] {
        parse(&read(name)?).with_context(|| name)?;
    }
    let broken =
        read("main.tf")?.replacen("resource \"hcloud_network\" \"private\" {", "resource \"hcloud_network\" {{", 1);
    ensure!(parse(&broken).is_err(), "nobody has noticed");
    Ok(())
}

/// Servers are the nodes of the configuration, by name and address; what is put in place of something is there to be replaced.
#[test]
fn servers_and_configuration_agree() -> Result<()> {
    let main = read("main.tf")?;
    let parsed = parse(&main)?;
    let servers = parsed["locals"][0]["nodes"].as_object().context("no nodes")?;
    let configuration = read("vipd.toml")?;
    let config = toml(&configuration)?;
    let nodes = config["node"].as_array().context("no nodes")?;
    let nodes: BTreeMap<_, _> = nodes.iter().map(|node| (node["name"].as_str(), &node["address"])).collect();
    let servers: BTreeMap<_, _> = servers.iter().map(|(name, address)| (Some(name.as_str()), address)).collect();
    ensure!(servers == nodes && nodes.len() == 3, "{servers:?} are not {nodes:?}");

    ensure!(config["cluster"]["interface"] == "enp7s0");
    ensure!(main.contains("\"203.0.113.9\", hcloud_floating_ip.web.ip_address"), "{main}");
    ensure!(main.contains("\"enp7s0\", var.private_interface"), "{main}");
    ensure!(configuration.matches("\"203.0.113.9").count() == 2, "{configuration}");
    Ok(())
}

#[test]
fn an_agent_takes_the_configuration() -> Result<()> {
    let lab = lab!();
    lab.secret("key", "a key of thirty-two characters, or more\n")?;
    lab.secret("token", "t0ken\n")?;
    let configuration = read("vipd.toml")?;
    let here =
        configuration.replace("/etc/vipd/keys/1", "/run/lab/key").replace("/etc/vipd/secrets/hcloud", "/run/lab/token");
    let main = read("main.tf")?;
    for path in ["/etc/vipd/vipd.toml", "/etc/vipd/keys/1", "/etc/vipd/secrets/hcloud"] {
        ensure!(main.contains(&format!("path = \"{path}\"")), "nobody writes `{path}`");
    }
    let file = lab.write("vipd.toml", &here)?;
    for node in ["n1", "n2", "n3"] {
        let check = Command::new(vipd()?).arg("check").arg("--config").arg(&file).args(["--node", node]).output()?;
        let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        ensure!(check.status.success() && !said.contains("warning"), "{said}");
    }
    Ok(())
}
