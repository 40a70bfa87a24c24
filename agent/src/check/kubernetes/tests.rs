use std::time::Duration;

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::time::{sleep, timeout};
use vrrp::track::Reading;

use super::{
    fact::{Facts, Object, judge},
    *,
};
use crate::check::Question;

fn pods(min: usize) -> Kubernetes {
    let question = Question::Pods { namespace: "ingress-nginx".to_owned(), selector: "app=ingress".to_owned(), min };
    Kubernetes { kubeconfig: None, node: "n1".to_owned(), question }
}

fn outcome(passes: bool, detail: &str) -> Outcome {
    let reading = if passes { Reading::Passing } else { Reading::Failing };
    Outcome { reading, detail: detail.to_owned() }
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>
#[test]
fn a_pod_is_ready_by_its_condition_until_it_is_deleted() {
    let ready = |status: &str| json!({ "type": "Ready", "status": status });
    let scheduled = json!({ "type": "PodScheduled", "status": "True" });
    let cases = [
        (json!({ "status": { "conditions": [scheduled, ready("True")] } }), true),
        (json!({ "status": { "conditions": [scheduled, ready("False")] } }), false),
        (json!({ "status": { "conditions": [ready("Unknown")] } }), false),
        (json!({ "status": { "conditions": [scheduled] } }), false),
        (json!({ "status": { "phase": "Running" } }), false),
        (json!({}), false),
        (
            json!({ "metadata": { "deletionTimestamp": "2026-11-28T18:00:00Z" }, "status": { "conditions": [ready("True")] } }),
            false,
        ),
    ];
    for (mut object, expected) in cases {
        if object["metadata"].is_null() {
            object["metadata"] = json!({});
        }
        let pod: Pod = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(pod.is_well(), expected, "{object}");
    }
}

/// <https://kubernetes.io/docs/concepts/nodes/node/#manual-node-administration>
#[test]
fn a_cordoned_node_is_unschedulable() {
    let cases = [
        (json!({ "unschedulable": true }), false),
        (json!({ "unschedulable": false }), true),
        (json!({ "podCIDR": "10.244.0.0/24" }), true),
    ];
    for (spec, expected) in cases {
        let node: Node = serde_json::from_value(json!({ "metadata": {}, "spec": spec })).unwrap();
        assert_eq!(node.is_well(), expected, "{spec}");
    }
}

#[test]
fn facts_are_told_in_words() {
    let facts =
        |list: &[(&str, bool)]| -> Facts { list.iter().map(|(name, good)| ((*name).to_owned(), *good)).collect() };
    let cases = [
        (1, facts(&[("a", true)]), true, "1 of 1 pod on node n1 is ready"),
        (1, facts(&[("a", true), ("b", false)]), true, "1 of 2 pods on node n1 are ready"),
        (2, facts(&[("a", true), ("b", true)]), true, "2 of 2 pods on node n1 are ready"),
        (2, facts(&[("a", true)]), false, "1 of 1 pod on node n1 is ready, and there must be at least 2"),
        (1, facts(&[]), false, "no such pod is on node n1, and there must be at least 1"),
    ];
    for (min, facts, passes, detail) in cases {
        assert_eq!(judge(&pods(min), &facts), outcome(passes, detail));
    }
    let schedulable = Kubernetes { question: Question::Schedulable, ..pods(1) };
    assert_eq!(judge(&schedulable, &facts(&[("n1", true)])), outcome(true, "node n1 is schedulable"));
    assert_eq!(judge(&schedulable, &facts(&[("n1", false)])), outcome(false, "node n1 is cordoned"));
    assert_eq!(judge(&schedulable, &facts(&[("n2", true)])), outcome(false, "Kubernetes has no node n1"));
}

/// Only what changes the outcome, or begins or ends an outage, hastens a look; what was seen stays all the same.
#[tokio::test]
async fn only_news_hasten_a_look() {
    let (teller, mut known) = Teller::new();
    let mut is_told = || known.changed().now_or_never().is_some();
    assert!(!is_told());
    teller.heard();
    teller.sees();
    assert!(!is_told(), "nothing is known");
    teller.saw(outcome(true, "a"));
    assert!(is_told());
    teller.saw(outcome(true, "a"));
    teller.heard();
    assert!(!is_told(), "it is what was known");
    teller.is_blind("refused".to_owned());
    assert!(is_told());
    teller.is_blind("silent".to_owned());
    assert!(!is_told(), "the outage goes on");
    teller.saw(outcome(false, "b"));
    assert!(is_told());
    teller.sees();
    assert!(is_told());
    let look = known.borrow().clone();
    assert_eq!(look.blind, None);
    assert_eq!(look.seen.map(|(seen, _)| seen), Some(outcome(false, "b")));
}

/// What was heard again is as young as that.
#[tokio::test]
async fn age_counts_from_what_was_heard_last() {
    let (teller, known) = Teller::new();
    let at = || known.borrow().seen.as_ref().map(|(_, at)| *at);
    teller.saw(outcome(true, "a"));
    let first = at();
    sleep(Duration::from_millis(2)).await;
    teller.is_blind("refused".to_owned());
    assert_eq!(at(), first);
    teller.heard();
    assert!(at() > first);
}

/// A watch that is not there at all is no reason to wait.
#[tokio::test]
async fn a_look_waits_for_nothing() {
    let mut watcher = Watcher::new(Kubernetes { kubeconfig: Some("/nowhere/kubeconfig".into()), ..pods(1) });
    let told = async {
        loop {
            let Look { seen, blind } = watcher.look();
            assert_eq!(seen, None);
            if blind.is_some() {
                return blind;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let blind = timeout(Duration::from_secs(30), told).await.unwrap();
    let expected = "it is not known how to reach the API: failed to read kubeconfig from '\"/nowhere/kubeconfig\"': \
                    No such file or directory (os error 2)";
    assert_eq!(blind.as_deref(), Some(expected));
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let text = |cluster: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        )
    };
    let server = "server: \"https://10.77.0.50:6443\"";
    let cases = [
        (text(server, "token: a"), None),
        (
            text(server, "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}"),
            Some("it has a program run for every login"),
        ),
        (
            text(&format!("{server}, proxy-url: \"http://proxy:3128\""), "token: a"),
            Some("it wants the proxy http://proxy:3128/"),
        ),
        (text("", "token: a"), Some("cluster url is missing on selected cluster")),
        ("apiVersion: v1\nkind: Config\n".to_owned(), Some("current context")),
        ("{".to_owned(), Some("failed to parse kubeconfig YAML")),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, &text).unwrap();
        let problem = api_problem(Some(&path));
        match expected {
            None => assert_eq!(problem, None, "{text}"),
            Some(expected) => {
                assert!(problem.as_ref().is_some_and(|problem| problem.contains(expected)), "{problem:?}\n{text}");
            }
        }
    }
}
