//! Checks that ask Kubernetes: addresses follow pods and cordons, and nothing follows from the API being away.

#[path = "kubernetes/server.rs"]
mod server;
#[path = "kubernetes/world.rs"]
mod world;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Certificate, Cluster, ClusterConfig, GENEROUS, Lab, Namespace, Status, lab, until};
use serde_json::Value;

use self::{
    server::{Api, Manner},
    world::{Collection, node, pod},
};

const ROUTER: &str = Cluster::ROUTERS[0];
/// Where the client of the cluster has the API.
const HOST: &str = "10.77.0.50";
const ADDRESS: &str = "10.77.0.50:6443";
const NAMESPACE: &str = "ingress-nginx";
const CHECKS: &str = "[[check]]\nname = \"ingress\"\npods = \"app=ingress\"\nnamespace = \"ingress-nginx\"\n\
                      [[check]]\nname = \"cordon\"\nnode = \"schedulable\"\n\
                      [[check]]\nname = \"file\"\nfile = \"/run/lab/value\"\ninterval = \"50ms\"\nweight = 1\n";
const KUBECONFIG: &str = "[kubernetes]\nkubeconfig = \"/run/lab/kubeconfig\"\n";
/// An outage is noticed when a watch should have ended and the next one is not answered.
const PATIENT: Duration = Duration::from_secs(90);

/// Two nodes that go by Kubernetes, each with a pod, and an API that does not run yet.
struct Scene {
    cluster: Cluster,
    api: Api,
    certificate: Certificate,
}

impl Scene {
    fn new(lab: &Lab, kubernetes: &str) -> Result<Self> {
        let text = ClusterConfig::default().text(2)?;
        let names = ["ingress", "cordon", "file"];
        let text = text.replace("vrid = 51\n", &format!("vrid = 51\nchecks = {names:?}\n"));
        let text = text.replace("name = \"n2\"\n", "name = \"n2\"\nkubernetes_name = \"worker-2.example\"\n");
        let cluster = Cluster::with_config(lab, 2, text + kubernetes + CHECKS)?;
        let certificate = Certificate::new(HOST)?;
        write_access(lab, &certificate, "t0ken")?;
        let api = Api::new(&cluster.client, ADDRESS, "t0ken");
        api.change(|world| {
            for name in ["n1", "worker-2.example"] {
                world.put(&Collection::nodes(), name, node());
                world.put(&Collection::pods(NAMESPACE), &format!("controller-{name}"), pod(name, true));
            }
            world.put(&Collection::pods("other"), "controller-x", pod("n1", false));
        });
        Ok(Self { cluster, api, certificate })
    }

    /// [`Scene::new`], in which everything runs and n1 is Active.
    fn running(lab: &Lab) -> Result<Self> {
        let mut scene = Self::new(lab, KUBECONFIG)?;
        scene.api.start(&scene.certificate)?;
        scene.cluster.start_all()?;
        scene.cluster.settle_on(0, 0)?;
        for (node, name) in [(0, "n1"), (1, "worker-2.example")] {
            scene.expect(node, "ingress", "passing", &format!("1 of 1 pod on node {name} is ready"))?;
            scene.expect(node, "cordon", "passing", &format!("node {name} is schedulable"))?;
        }
        Ok(scene)
    }

    /// Whether the pod on n1 is ready.
    fn set_ready(&self, ready: bool) {
        self.api.change(|world| world.put(&Collection::pods(NAMESPACE), "controller-n1", pod("n1", ready)));
    }

    fn cordon(&self, cordoned: bool) -> Result<()> {
        let set = |node: &mut Value| node["spec"]["unschedulable"] = cordoned.into();
        self.api.change(|world| world.edit(&Collection::nodes(), "n1", set))
    }

    /// Waits until a check is in `state`, sees what it should, and has seen `detail`.
    fn expect(&self, node: usize, name: &str, state: &str, detail: &str) -> Result<Status> {
        self.cluster.agent(node)?.wait_within(PATIENT, &format!("{name} to be {state} with `{detail}`"), |status| {
            check(status, name).is_some_and(|check| {
                check["state"] == state && check["detail"] == detail && check["blind"] == Value::Null
            })
        })
    }

    /// Waits until a check on n1 sees nothing any more, because of `reason`.
    fn expect_blind(&self, name: &str, reason: &str) -> Result<Status> {
        self.cluster.agent(0)?.wait_within(PATIENT, &format!("{name} to be blind because of `{reason}`"), |status| {
            let blind = check(status, name).and_then(|check| check["blind"].as_str());
            blind.is_some_and(|blind| blind.contains(reason))
        })
    }

    fn transitions(&self) -> Result<u64> {
        self.cluster.transitions()
    }
}

/// The kubeconfig and its files, for whoever has `token`.
fn write_access(lab: &Lab, certificate: &Certificate, token: &str) -> Result<()> {
    lab.write("api.pem", &certificate.pem)?;
    lab.secret("token", token)?;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{{name: lab, cluster: {{server: \"https://{ADDRESS}\", certificate-authority: api.pem}}}}]\n\
         users: [{{name: vipd, user: {{tokenFile: token}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: vipd}}}}]\n"
    );
    lab.secret("kubeconfig", &kubeconfig).map(drop)
}

fn check<'s>(status: &'s Status, name: &str) -> Option<&'s Value> {
    status.0["checks"].as_array()?.iter().find(|check| check["name"] == name)
}

fn seen_ms(status: &Status, name: &str) -> Option<u64> {
    check(status, name)?["seen_ms"].as_u64()
}

/// How often an agent has said something in its log.
fn said(agent: &Agent, text: &str) -> usize {
    agent.process.transcript().matches(text).count()
}

/// Unready, ready, cordoned, let in again, on its way out, gone, made anew: each is followed, by the watch that goes on.
#[test]
fn addresses_follow_pods_and_cordons() -> Result<()> {
    let lab = lab!();
    let scene = Scene::running(&lab)?;
    let Scene { cluster, api, .. } = &scene;
    let [lists, ..] = api.requests();
    let pods = Collection::pods(NAMESPACE);

    scene.set_ready(false);
    cluster.settle_on(0, 1)?;
    let why = cluster.agent(0)?.run(&["explain", ROUTER])?;
    let expected = "check `ingress` is failing: 0 of 1 pod on node n1 is ready, and there must be at least 1";
    ensure!(why.contains(expected), "{why}");
    scene.set_ready(true);
    cluster.settle_on(0, 0)?;

    scene.cordon(true)?;
    cluster.settle_on(0, 1)?;
    let why = cluster.agent(0)?.run(&["explain", ROUTER])?;
    ensure!(why.contains("check `cordon` is failing: node n1 is cordoned"), "{why}");
    scene.cordon(false)?;
    cluster.settle_on(0, 0)?;

    let is_leaving = |pod: &mut Value| pod["metadata"]["deletionTimestamp"] = "2026-11-28T18:00:00Z".into();
    api.change(|world| world.edit(&pods, "controller-n1", is_leaving))?;
    cluster.settle_on(0, 1)?;
    api.change(|world| world.delete(&pods, "controller-n1"));
    scene.expect(0, "ingress", "failing", "no such pod is on node n1, and there must be at least 1")?;
    api.change(|world| world.put(&pods, "controller-b", pod("n1", true)));
    cluster.settle_on(0, 0)?;

    // One whose labels are others is none of them.
    let relabel = |pod: &mut Value| pod["metadata"]["labels"]["app"] = "canary".into();
    api.change(|world| world.edit(&pods, "controller-b", relabel))?;
    cluster.settle_on(0, 1)?;
    ensure!(api.requests()[0] == lists, "what is watched is listed again: {:?}", api.requests());
    Ok(())
}

/// Nobody waits for an API that has never been there.
#[test]
fn an_api_that_was_never_there_changes_nothing() -> Result<()> {
    let lab = lab!();
    let mut scene = Scene::new(&lab, KUBECONFIG)?;
    scene.cluster.start_all()?;
    scene.cluster.settle_on(0, 0)?;
    scene.expect_blind("ingress", "the API cannot be reached: Connection refused")?;
    let said = scene.cluster.agent(0)?.run(&["status"])?;
    let expected =
        "as configured for the start, and nothing is known yet: the API cannot be reached: Connection refused";
    ensure!(said.contains(expected), "{said}");
    let before = scene.transitions()?;

    scene.api.start(&scene.certificate)?;
    scene.expect(0, "ingress", "passing", "1 of 1 pod on node n1 is ready")?;
    ensure!(scene.transitions()? == before, "a role has changed");
    scene.set_ready(false);
    scene.cluster.settle_on(0, 1)
}

/// However the API fails, nothing moves, other checks go on, and the log has it once. When it is back, what has changed meanwhile
/// is followed.
#[test]
fn an_api_that_fails_changes_nothing() -> Result<()> {
    let lab = lab!();
    let mut scene = Scene::running(&lab)?;
    let before = scene.transitions()?;
    let looks = |status: &Status| check(status, "file").and_then(|check| check["looks"].as_u64()).unwrap_or(0);
    for (turn, (manner, reason)) in [
        (Manner::Refusing(401), "the API answers 401 Unauthorized: said 401"),
        (Manner::Refusing(403), "the API answers 403 Forbidden: said 403"),
        (Manner::Refusing(429), "the API answers 429 Too Many Requests: said 429"),
        (Manner::Refusing(500), "the API answers 500 Internal Server Error: said 500"),
        (Manner::RefusingWatches(403), "the API answers 403 Forbidden: said 403"),
        (Manner::Garbage, "the API answers with what is no list: expected value"),
        (Manner::GarbageInWatches, "the API says what is no event: "),
        (Manner::HalfLines, "the watch broke off within a line"),
        (Manner::Silent, "the API does not answer within 10s"),
    ]
    .into_iter()
    .enumerate()
    {
        let [.., refused] = scene.api.requests();
        scene.api.answer(manner);
        for name in ["ingress", "cordon"] {
            let status = scene.expect_blind(name, reason).with_context(|| format!("{manner:?}"))?;
            ensure!(check(&status, name).is_some_and(|check| check["state"] == "passing"), "{manner:?}: {status:?}");
        }
        if matches!(manner, Manner::Refusing(_)) {
            until("several attempts", PATIENT, || Ok((scene.api.requests()[2] >= refused + 8).then_some(())))?;
        }
        let agent = scene.cluster.agent(0)?;
        let count = looks(&agent.status()?);
        agent.wait_for("other checks to look", |status| looks(status) > count + 3)?;
        scene.api.answer(Manner::Well);
        for name in ["ingress", "cordon"] {
            scene.expect(0, name, "passing", &detail(name)).with_context(|| format!("after {manner:?}"))?;
        }
        for text in ["the check goes by what was known last", "the check sees again"] {
            // One for each of the two checks.
            let count = said(scene.cluster.agent(0)?, text);
            ensure!(count == 2 * (turn + 1), "{manner:?}: {count} times {text:?}");
        }
        ensure!(scene.transitions()? == before, "a role has changed with {manner:?}");
    }

    // Another server, which nobody has vouched for.
    let other = Certificate::new(HOST)?;
    scene.api.start(&other)?;
    scene.expect_blind("ingress", "invalid peer certificate")?;

    // None at all, for so long that one can see it.
    scene.api.stop();
    scene.expect_blind("ingress", "the API cannot be reached: Connection refused")?;
    let agent = scene.cluster.agent(0)?;
    agent.wait_within(PATIENT, "some time to pass", |status| seen_ms(status, "ingress") > Some(5_000))?;
    let (shown, why) = (agent.run(&["status"])?, agent.run(&["explain", ROUTER])?);
    for text in [shown, why] {
        let (_, age) = text.split_once("1 of 1 pod on node n1 is ready, last known ").with_context(|| text.clone())?;
        let (age, reason) = age.split_once(" s ago: ").with_context(|| text.clone())?;
        ensure!(age.parse::<f64>().is_ok_and(|age| age >= 5.0), "{text}");
        ensure!(reason.starts_with("the API cannot be reached: Connection refused"), "{text}");
    }
    ensure!(scene.transitions()? == before, "a role has changed");

    scene.set_ready(false);
    scene.api.start(&scene.certificate)?;
    scene.cluster.settle_on(0, 1)
}

fn detail(check: &str) -> String {
    match check {
        "cordon" => "node n1 is schedulable".to_owned(),
        _ => "1 of 1 pod on node n1 is ready".to_owned(),
    }
}

/// An API that has forgotten what happened is asked for everything again, and nobody is told.
#[test]
fn what_the_api_has_forgotten_is_asked_for_again() -> Result<()> {
    let lab = lab!();
    let scene = Scene::running(&lab)?;
    let [lists, ..] = scene.api.requests();
    scene.api.change(|world| {
        world.put(&Collection::pods(NAMESPACE), "controller-n1", pod("n1", false));
        world.forget();
    });
    scene.cluster.settle_on(0, 1)?;
    until("all four to be listed again", GENEROUS, || Ok((scene.api.requests()[0] >= lists + 4).then_some(())))?;
    ensure!(said(scene.cluster.agent(0)?, "the check goes by what was known last") == 0, "it is taken for an outage");
    Ok(())
}

/// The next program goes on with what was known, and says how old it is.
#[test]
fn a_restart_while_the_api_is_away_keeps_what_is_known() -> Result<()> {
    let lab = lab!();
    let mut scene = Scene::running(&lab)?;
    scene.set_ready(false);
    scene.cluster.settle_on(0, 1)?;
    scene.expect(0, "ingress", "failing", "0 of 1 pod on node n1 is ready, and there must be at least 1")?;
    scene.api.stop();
    let status = scene.expect_blind("ingress", "Connection refused")?;
    let age = seen_ms(&status, "ingress");
    let before = scene.cluster.agent(1)?.status()?.transitions();
    for node in [0, 1] {
        scene.cluster.agent(node)?.run(&["restart"])?;
    }
    let status = scene.expect_blind("ingress", "the API cannot be reached: Connection refused")?;
    let is = check(&status, "ingress").context("no check")?;
    let expected = "0 of 1 pod on node n1 is ready, and there must be at least 1";
    ensure!(is["state"] == "failing" && is["detail"] == expected, "{is}");
    ensure!(seen_ms(&status, "ingress") >= age, "{age:?} became {is}");
    ensure!(status.all_in(&["Fault"]), "{status:?}");
    let status = scene.cluster.agent(1)?.status()?;
    ensure!(status.all_in(&["Active"]) && status.transitions() == before, "n2 did not go on: {status:?}");

    scene.set_ready(true);
    scene.api.start(&scene.certificate)?;
    scene.cluster.settle_on(0, 0)
}

/// In a pod it is the service account that says how to reach the API; its token is replaced now and then.
#[test]
fn a_service_account_whose_token_is_replaced() -> Result<()> {
    let lab = lab!();
    let mut scene = Scene::new(&lab, "")?;
    let refused = scene.cluster.nodes[0].namespace().run(
        harness::vipd()?.to_str().context("an odd path")?,
        &[
            "check",
            "--config",
            lab.write("vipd.toml", &scene.cluster.config)?.to_str().context("an odd path")?,
            "--node",
            "n1",
        ],
    );
    let complaint = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    let expected = "check \"ingress\": the agent runs in no pod that has a service account to ask Kubernetes with";
    ensure!(complaint.contains(expected), "{complaint}");

    let account = Path::new("/run/secrets/kubernetes.io/serviceaccount");
    fs::create_dir_all(account)?;
    fs::write(account.join("ca.crt"), &scene.certificate.pem)?;
    fs::write(account.join("namespace"), "vipd")?;
    fs::write(account.join("token"), "t0ken")?;
    let vipd = harness::vipd()?;
    let pod = "export KUBERNETES_SERVICE_HOST=10.77.0.50 KUBERNETES_SERVICE_PORT=6443";
    let program = lab.write("vipd-in-a-pod", &format!("#!/bin/sh\n{pod}\nexec {} \"$@\"\n", vipd.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    scene.api.start(&scene.certificate)?;
    scene.cluster.agents[0] = Some(scene.cluster.nodes[0].agent_of(&program, "pod", &scene.cluster.config, &[])?);
    scene.expect(0, "ingress", "passing", "1 of 1 pod on node n1 is ready")?;

    scene.api.demand("an0ther");
    scene.expect_blind("ingress", "the API answers 401 Unauthorized")?;
    fs::write(account.join("token"), "an0ther")?;
    scene.set_ready(false);
    scene.expect(0, "ingress", "failing", "0 of 1 pod on node n1 is ready, and there must be at least 1").map(drop)
}

/// kubectl takes the server for one of Kubernetes, so it is like one.
#[test]
fn kubectl_agrees() -> Result<()> {
    let lab = lab!();
    let scene = Scene::running(&lab)?;
    let host: &Namespace = scene.cluster.client.namespace();
    let kubectl = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        host.run(
            "kubectl",
            &[&["--kubeconfig=/run/lab/kubeconfig", "--cache-dir=/run/lab/kubectl"], &words[..]].concat(),
        )
    };
    let pods = kubectl("get pods -n ingress-nginx -l app=ingress --field-selector spec.nodeName=n1 -o name")?;
    ensure!(pods == "pod/controller-n1\n", "{pods}");
    kubectl("wait pod/controller-n1 -n ingress-nginx --for=condition=Ready --timeout=10s")?;
    kubectl("cordon n1")?;
    scene.cluster.settle_on(0, 1)?;
    kubectl("uncordon n1")?;
    scene.cluster.settle_on(0, 0)
}
