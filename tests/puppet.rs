//! The Puppet module, applied by Puppet to a directory of the lab, for an agent that runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Process, Status, lab, toml, until, vipd, yaml};
use serde_json::{Value, json};

/// Where the module puts its files here.
const DIRECTORY: &str = "/run/lab/etc";
/// What the module's program has been called for, a line each.
const CALLS: &str = "/run/lab/calls";
const KEY: &str = "a key that Puppet shows to nobody, ever";

/// Puppet's answer to what it has done: `--detailed-exitcodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Unchanged,
    Changed,
    Failed,
}

/// The folder that has the module as `vipd`.
fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/puppet")
}

/// Applies `manifest`; answers what has become of it and what Puppet said.
fn apply(lab: &Lab, manifest: &str) -> Result<(Outcome, String)> {
    let file = lab.write("site.pp", manifest)?;
    let mut command = Command::new("puppet");
    command.args([
        "apply",
        "--detailed-exitcodes",
        "--color=false",
        "--show_diff",
        "--hiera_config=/run/lab/hiera.yaml",
    ]);
    command.args([
        "--confdir=/run/lab/puppet/conf",
        "--vardir=/run/lab/puppet/var",
        "--rundir=/run/lab/puppet/run",
        "--ssldir=/run/lab/puppet/ssl",
    ]);
    // What Puppet finds out about the host takes longer than everything else, and the module does not ask for it.
    command.arg("--facts_terminus=memory");
    let output = command.arg("--modulepath").arg(modules()).arg(file).output();
    let output = output.context("failed to start puppet; is it installed? `cargo xtask setup` does that")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let outcome = match output.status.code() {
        Some(0) => Outcome::Unchanged,
        Some(2) => Outcome::Changed,
        Some(1 | 4 | 6) => Outcome::Failed,
        _ => bail!("puppet ended with {}: {said}", output.status),
    };
    Ok((outcome, said))
}

/// A node whose class has its parameters from Hiera.
struct Node<'l> {
    lab: &'l Lab,
    data: Value,
}

impl<'l> Node<'l> {
    fn new(lab: &'l Lab) -> Result<Self> {
        let hiera = "---\nversion: 5\ndefaults: { datadir: /run/lab, data_hash: json_data }\nhierarchy: [{ name: all, path: data.json }]\n";
        lab.write("hiera.yaml", hiera)?;
        let vipd = vipd()?;
        let (vipd, calls) = (vipd.display(), format!("echo \"$1\" >> {CALLS}"));
        lab.script("vipd", &format!("{calls}\nVIPD_NODE=n1 exec {vipd} \"$@\" --instance puppet"))?;
        lab.script("status", &format!("exec {vipd} status --instance puppet \"$@\""))?;
        let data = json!({
            "vipd::directory": DIRECTORY,
            "vipd::program": "/run/lab/vipd",
            "vipd::manage_package": false,
            "vipd::keys": { "1": KEY },
            "vipd::configuration": configuration(),
        });
        Ok(Self { lab, data })
    }

    /// Applies the class. There is no systemd here: the service has commands of its own.
    fn apply(&self) -> Result<(Outcome, String)> {
        self.lab.write("data.json", &self.data.to_string())?;
        let service = "provider => base, start => '/bin/touch /run/lab/started', stop => '/bin/false', status => '/run/lab/status'";
        let _ = fs::remove_file(CALLS);
        apply(self.lab, &format!("Service <| title == 'vipd' |> {{ {service} }}\ninclude vipd\n"))
    }

    /// Applies the class, with this outcome; answers what Puppet said.
    fn becomes(&self, expected: Outcome) -> Result<String> {
        let (outcome, said) = self.apply()?;
        ensure!(outcome == expected, "{outcome:?}, not {expected:?}: {said}");
        ensure!(!said.contains(KEY), "the key is shown: {said}");
        Ok(said)
    }

    /// How often the agent was told to reload in the last run.
    fn reloads() -> usize {
        fs::read_to_string(CALLS).unwrap_or_default().lines().filter(|call| *call == "reload").count()
    }
}

/// That of a cluster of the lab, as Hiera would have it.
fn configuration() -> Value {
    json!({
        "cluster": { "name": "test", "interface": "vsw0", "advertisement_interval": "100ms" },
        "auth": {
            "mode": "enforce",
            "active_key": 1,
            "keys": [{ "id": 1, "file": format!("{DIRECTORY}/keys/1") }],
            "clock_grace": "0s",
        },
        "node": [{ "name": "n1", "address": "10.77.0.1", "address6": "fd77::1", "mac": "02:00:00:00:00:01" }],
        "virtual_router": [
            { "name": "web-a", "vrid": 51, "addresses": ["10.77.0.101/24", "fd77::101/64"], "priorities": { "n1": 200 } },
        ],
    })
}

/// The whole life of a node: set up, left alone, changed, saved from a mistake, given another key.
#[test]
fn the_class_configures_an_agent_and_reloads_it() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::DEFAULT)?;
    let mut node = Node::new(&lab)?;

    node.becomes(Outcome::Changed)?;
    ensure!(Path::new("/run/lab/started").exists(), "the service was not started");
    for (path, mode) in [("", 0o755), ("/keys", 0o700), ("/secrets", 0o700), ("/keys/1", 0o600), ("/vipd.toml", 0o600)]
    {
        let metadata = fs::metadata(format!("{DIRECTORY}{path}"))?;
        ensure!(metadata.permissions().mode() & 0o7777 == mode, "`{path}`: {metadata:?}");
    }
    let file = format!("{DIRECTORY}/vipd.toml");
    ensure!(toml(&fs::read_to_string(&file)?)? == configuration());
    let mut command = cluster.nodes[0].namespace().command(vipd()?);
    let agent = Process::spawn("vipd@puppet", {
        command.args(["run", "--config", &file, "--node", "n1", "--instance", "puppet"]);
        command
    })?;
    let before = wait_for(&agent, |status| status.all_in(&["Active"]))?;

    node.becomes(Outcome::Unchanged)?;
    ensure!(Node::reloads() == 0, "reloaded for nothing");

    let second = json!({ "name": "web-b", "vrid": 52, "addresses": ["10.77.0.102/24"], "nodes": ["n1"] });
    node.data["vipd::configuration"]["virtual_router"].as_array_mut().context("no routers")?.push(second);
    node.becomes(Outcome::Changed)?;
    ensure!(Node::reloads() == 1, "reloaded {} times", Node::reloads());
    let after = wait_for(&agent, |status| status.0["virtual_routers"][2]["name"] == "web-b")?;
    ensure!(before.0["pid"] == after.0["pid"], "another process");
    let transitions = |status: &Status| status.0["virtual_routers"][0]["tally"]["transitions"].clone();
    ensure!(transitions(&before) == transitions(&after), "the router that stays the same has changed its state");

    let right = fs::read_to_string(&file)?;
    node.data["vipd::configuration"]["virtual_router"][0]["vrid"] = 300.into();
    let said = node.becomes(Outcome::Failed)?;
    ensure!(said.contains("vrid: 300"), "Puppet does not say what vipd says: {said}");
    ensure!(fs::read_to_string(&file)? == right, "the wrong file is in place");
    ensure!(Node::reloads() == 0, "reloaded because of a wrong file");

    node.data["vipd::configuration"]["virtual_router"][0]["vrid"] = 51.into();
    node.data["vipd::keys"]["1"] = "another key that Puppet shows to nobody".into();
    let said = node.becomes(Outcome::Changed)?;
    ensure!(!said.contains("another key"), "the key is shown: {said}");
    ensure!(Node::reloads() == 1, "reloaded {} times", Node::reloads());
    ensure!(agent.is_running(), "{}", agent.transcript());
    Ok(())
}

fn wait_for(agent: &Process, condition: impl Fn(&Status) -> bool) -> Result<Status> {
    let ask = || -> Option<Status> {
        let asked = Command::new("/run/lab/status").arg("--json").output().ok()?;
        Some(Status(serde_json::from_slice(&asked.stdout).ok()?))
    };
    until("the agent to be so", GENEROUS, || Ok(ask().filter(&condition))).with_context(|| agent.transcript())
}

/// Whatever TOML can say comes out as it went in; and the configuration that the module's README shows is one.
#[test]
fn toml_says_what_puppet_was_told() -> Result<()> {
    let lab = lab!();
    let all = json!({
        "cluster": { "text": "quote \" backslash \\ tab \t line\nend \u{7f} ü", "empty": "", "yes": true, "number": -60 },
        "node": [{ "name": "a", "list": [["x"], []], "table": { "n-1": 200, "n 2": { "deep": [1.5] } } }, { "name": "b" }],
        "check": [{ "status": [200, "300-399"] }],
    });
    let readme = fs::read_to_string(modules().join("vipd/README.md"))?;
    let shown =
        readme.split("```yaml\n").nth(1).and_then(|after| after.split("```").next()).context("no Hiera is shown")?;
    let shown = yaml(shown)?.remove(0);
    lab.write("data.json", &json!({ "all": all, "shown": shown["vipd::configuration"] }).to_string())?;
    lab.write(
        "hiera.yaml",
        "---\nversion: 5\nhierarchy: [{ name: all, path: /run/lab/data.json, data_hash: json_data }]\n",
    )?;
    let file = |name: &str| format!("file {{ '/run/lab/{name}.toml': content => vipd::to_toml(lookup('{name}')) }}\n");
    let (outcome, said) = apply(&lab, &(file("all") + &file("shown")))?;
    ensure!(outcome == Outcome::Changed, "{said}");
    let text = fs::read_to_string("/run/lab/all.toml")?;
    ensure!(toml(&text)? == all, "{text}");

    let key = lab.secret("key", &format!("{KEY}\n"))?;
    let here = fs::read_to_string("/run/lab/shown.toml")?.replace("/etc/vipd/keys/1", &key.to_string_lossy());
    let file = lab.write("here.toml", &here)?;
    let check = Command::new(vipd()?).arg("check").arg("--config").arg(file).args(["--node", "n1"]).output()?;
    ensure!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    Ok(())
}

/// A configuration that is no configuration is refused before anything is touched.
#[test]
fn the_class_refuses_what_is_no_configuration() -> Result<()> {
    let lab = lab!();
    let mut node = Node::new(&lab)?;
    node.data["vipd::configuration"] = json!({ "cluster": "ingress" });
    let said = node.becomes(Outcome::Failed)?;
    ensure!(said.contains("parameter 'configuration' entry 'cluster' expects"), "{said}");
    ensure!(!Path::new(DIRECTORY).exists());
    Ok(())
}

/// Puppet can read every manifest, and they are in the style of Puppet.
#[test]
fn manifests_are_in_order() -> Result<()> {
    for (program, arguments) in
        [("puppet", ["parser", "validate"].as_slice()), ("puppet-lint", &["--fail-on-warnings"])]
    {
        let output = Command::new(program).args(arguments).arg(modules()).output();
        let output = output.with_context(|| format!("failed to start {program}; `cargo xtask setup` installs it"))?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{program}: {said}");
    }
    Ok(())
}
