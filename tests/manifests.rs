//! What `deploy/kubernetes` gives to a cluster: valid for Kubernetes, of this workspace's image, with a configuration that agents take.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use harness::{Certificate, Lab, lab, run_python, toml, vipd, yaml};
use serde_json::{Value, json};

/// The oldest and the newest version that the schemas are tried with.
const VERSIONS: [&str; 2] = ["1.30", "1.34"];
/// What of the folder a user applies.
const OVERLAYS: [&str; 4] = ["overlays/privileged", "overlays/least-privilege", "outside", "example"];
/// Where the copy of the folder is.
const COPY: &str = "/run/lab/kubernetes";

/// A copy of the folder, in which the example has its key.
fn copy() -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
    run(Command::new("cp").arg("--recursive").arg(source).arg(COPY))?;
    let key = format!("{COPY}/example/keys/key-1");
    run(Command::new(vipd()?).args(["keygen", "--output", &key])).map(drop)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {said}");
    Ok(said)
}

/// What `kubectl apply -k` would send.
fn rendered(overlay: &str) -> Result<String> {
    run(Command::new("kubectl").arg("kustomize").arg(format!("{COPY}/{overlay}")))
        .context("this takes kubectl 1.21 or later, whose kustomize knows components")
}

fn validate(text: &str, version: &str) -> Result<String> {
    let file = "/run/lab/rendered.yaml";
    fs::write(file, text)?;
    run_python("kubernetes-validate", &["--strict", "-k", version, file], "")
}

/// The one object of a kind.
fn object<'o>(objects: &'o [Value], kind: &str) -> Result<&'o Value> {
    objects.iter().find(|object| object["kind"] == kind).with_context(|| format!("no {kind}"))
}

#[test]
fn kubernetes_takes_every_overlay() -> Result<()> {
    let _lab = lab!();
    copy()?;
    for overlay in OVERLAYS {
        let text = rendered(overlay)?;
        let objects = yaml(&text)?.len();
        for version in VERSIONS {
            let said = validate(&text, version).with_context(|| overlay)?;
            let passed = said.matches("passed for resource").count();
            ensure!(passed == objects && objects >= 5, "{overlay}: {passed} of {objects} objects: {said}");
        }
    }
    Ok(())
}

#[test]
fn a_typo_is_refused() -> Result<()> {
    let _lab = lab!();
    copy()?;
    let text = rendered("overlays/least-privilege")?.replace("hostNetwork", "hostNetwrok");
    for version in VERSIONS {
        let error = validate(&text, version).err().context("nobody has noticed")?.to_string();
        ensure!(error.contains("('hostNetwrok' was unexpected)"), "{error}");
    }
    Ok(())
}

#[test]
fn the_image_is_that_of_the_workspace() -> Result<()> {
    let _lab = lab!();
    copy()?;
    for overlay in ["overlays/privileged", "overlays/least-privilege", "example"] {
        let objects = yaml(&rendered(overlay)?)?;
        let image = &object(&objects, "DaemonSet")?["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(*image == concat!("localhost/vipd:", env!("CARGO_PKG_VERSION")), "{overlay}: {image}");
    }
    Ok(())
}

/// The rights of the overlays: `tests/container.rs` tries containers with the same.
#[test]
fn an_overlay_gives_all_rights_and_one_the_least() -> Result<()> {
    let _lab = lab!();
    copy()?;
    let context = |overlay: &str| -> Result<Value> {
        let objects = yaml(&rendered(overlay)?)?;
        Ok(object(&objects, "DaemonSet")?["spec"]["template"]["spec"]["containers"][0]["securityContext"].clone())
    };
    let all = context("overlays/privileged")?;
    ensure!(all == json!({ "privileged": true, "readOnlyRootFilesystem": true }), "{all}");
    let least = context("overlays/least-privilege")?;
    let capabilities = json!({ "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "BPF", "PERFMON"] });
    ensure!(least["capabilities"] == capabilities && least["privileged"].is_null(), "{least}");
    ensure!(least["allowPrivilegeEscalation"] == false && least["readOnlyRootFilesystem"] == true, "{least}");
    Ok(())
}

/// What rolls a change through the nodes: the DaemonSet names ConfigMap and Secret by what they hold.
#[test]
fn a_changed_configuration_and_a_changed_key_change_the_pods() -> Result<()> {
    let _lab = lab!();
    copy()?;
    let volumes = || -> Result<[String; 2]> {
        let objects = yaml(&rendered("example")?)?;
        let volumes = &object(&objects, "DaemonSet")?["spec"]["template"]["spec"]["volumes"];
        let names = [&volumes[0]["configMap"]["name"], &volumes[1]["secret"]["secretName"]];
        let made = [object(&objects, "ConfigMap")?, object(&objects, "Secret")?].map(|made| &made["metadata"]["name"]);
        ensure!(names == made, "{names:?} are not {made:?}");
        Ok(names.map(|name| name.as_str().unwrap_or_default().to_owned()))
    };
    let before = volumes()?;
    ensure!(before[0].starts_with("vipd-") && before[1].starts_with("vipd-keys-"), "{before:?}");
    let file = format!("{COPY}/example/vipd.toml");
    fs::write(&file, fs::read_to_string(&file)?.replace("\"1s\"", "\"2s\""))?;
    let after = volumes()?;
    ensure!(after[0] != before[0] && after[1] == before[1], "{after:?}");
    fs::write(format!("{COPY}/example/keys/key-1"), "another key, of which the length does not matter here\n")?;
    ensure!(volumes()?[1] != before[1]);
    Ok(())
}

/// An agent takes what is in the ConfigMap, on each node, which it finds by what Kubernetes calls it.
#[test]
fn an_agent_takes_the_configuration_of_the_example() -> Result<()> {
    let lab = lab!();
    copy()?;
    let account = pretend_to_be_a_pod()?;
    let objects = yaml(&rendered("example")?)?;
    let text = object(&objects, "ConfigMap")?["data"]["vipd.toml"].as_str().context("no vipd.toml")?.to_owned();
    let containers = &object(&objects, "DaemonSet")?["spec"]["template"]["spec"]["containers"];
    let mounts = containers[0]["volumeMounts"].as_array().context("nothing is mounted")?;
    ensure!(mounts.iter().any(|mount| mount["mountPath"] == "/etc/vipd/keys"), "{mounts:?}");
    let keys = format!("{COPY}/example/keys/");
    ensure!(text.contains("\"/etc/vipd/keys/"), "{text}");
    let file = lab.write("vipd.toml", &text.replace("/etc/vipd/keys/", &keys))?;
    let nodes = toml(&text)?["node"].as_array().context("no nodes")?.clone();
    ensure!(nodes.len() == 3);
    for node in nodes {
        let in_kubernetes = node["kubernetes_name"].as_str().context("no name in Kubernetes")?;
        let mut check = Command::new(vipd()?);
        check.envs([("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")]);
        let said = run(check.arg("check").arg("--config").arg(&file).env("VIPD_NODE", in_kubernetes))?;
        let name = node["name"].as_str().unwrap_or_default();
        let expected = format!("correct; node `{name}` takes part in 6 virtual routers\n");
        ensure!(said.ends_with(&expected) && !said.contains("warning"), "{said}");
    }
    drop(account);
    Ok(())
}

/// What the agent may read of the ingress is given where the ingress is.
#[test]
fn the_rights_are_given_in_the_namespace_of_the_ingress() -> Result<()> {
    let _lab = lab!();
    copy()?;
    let objects = yaml(&rendered("example")?)?;
    for kind in ["Role", "RoleBinding"] {
        let namespace = &object(&objects, kind)?["metadata"]["namespace"];
        ensure!(namespace == "ingress-nginx", "the {kind} is in {namespace}");
    }
    for kind in ["DaemonSet", "ConfigMap", "Secret", "ServiceAccount"] {
        let namespace = &object(&objects, kind)?["metadata"]["namespace"];
        ensure!(namespace == "vipd", "the {kind} is in {namespace}");
    }
    Ok(())
}

/// The files that a pod has of its service account.
fn pretend_to_be_a_pod() -> Result<Certificate> {
    let account = PathBuf::from("/run/secrets/kubernetes.io/serviceaccount");
    fs::create_dir_all(&account)?;
    let certificate = Certificate::new("10.96.0.1")?;
    for (name, text) in [("ca.crt", certificate.pem.as_str()), ("namespace", "vipd"), ("token", "t0ken")] {
        fs::write(account.join(name), text)?;
    }
    Ok(certificate)
}

/// The schema of PodMonitor is the Prometheus operator's; what must fit the pods is looked at here.
#[test]
fn the_pod_monitor_finds_the_pods() -> Result<()> {
    let lab: Lab = lab!();
    copy()?;
    fs::create_dir(format!("{COPY}/monitored"))?;
    let resources = "resources: [../overlays/privileged]\ncomponents: [../components/podmonitor]\n";
    lab.write("kubernetes/monitored/kustomization.yaml", resources)?;
    let objects = yaml(&rendered("monitored")?)?;
    let (monitor, pods) = (object(&objects, "PodMonitor")?, &object(&objects, "DaemonSet")?["spec"]["template"]);
    ensure!(monitor["apiVersion"] == "monitoring.coreos.com/v1", "{monitor}");
    ensure!(monitor["metadata"]["namespace"] == "vipd", "{monitor}");
    ensure!(monitor["spec"]["selector"]["matchLabels"] == pods["metadata"]["labels"], "{monitor}");
    let job = monitor["spec"]["jobLabel"].as_str().context("no label for the job")?;
    ensure!(pods["metadata"]["labels"][job] == "vipd", "the alert rules want the job `vipd`: {pods}");
    let port = &pods["spec"]["containers"][0]["ports"][0];
    ensure!(monitor["spec"]["podMetricsEndpoints"][0]["port"] == port["name"], "{monitor}");
    ensure!(port["containerPort"] == 9650, "{port}");
    Ok(())
}
