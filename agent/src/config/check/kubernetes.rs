//! Checks that ask Kubernetes: what they ask, and what it calls the nodes.

use crate::{
    check::{Kubernetes, Question, Subject},
    config::{
        diagnostic::{Fault, Report},
        file::{File, Node},
        health,
        value::kubernetes::{NodeQuestion, is_node_name},
    },
};

/// Reports nodes that Kubernetes cannot know by their names.
pub(super) fn check_nodes(file: &File, report: &mut Report<'_>) {
    let asks = |check: &health::Check| !check.pods.is_absent() || !check.node.is_absent();
    if !file.checks.iter().any(asks) {
        return;
    }
    let unnamed = file.nodes.iter().filter(|node| node.kubernetes_name.is_absent());
    for name in unnamed.filter_map(|node| node.name.given()).filter(|name| !is_node_name(&name.value)) {
        let what = format!("{:?} cannot be the name of a node in Kubernetes, which checks ask for", name.value);
        let remedy = "add kubernetes_name = ... with the name that `kubectl get nodes` shows";
        report.error(&name.place, Fault::new(what, remedy));
    }
}

/// `question`, asked for `node`; nothing where that has no legal name.
pub(super) fn ask(question: Question, file: &File, node: Option<&str>) -> Option<Subject> {
    let named = |written: &&Node| written.name.value().is_some_and(|name| Some(name.as_str()) == node);
    let written = file.nodes.iter().find(named)?;
    let kubeconfig = &file.kubernetes.kubeconfig;
    Some(Subject::Kubernetes(Kubernetes {
        kubeconfig: if kubeconfig.is_absent() { None } else { Some(kubeconfig.value()?.clone()) },
        node: written.kubernetes_name.or(&written.name).value()?.clone(),
        question,
    }))
}

/// Whether so many pods are ready.
pub(super) fn pods(written: &health::Check, report: &mut Report<'_>) -> Option<Question> {
    let given = written.pods.given();
    if let (Some(pods), true) = (given, written.namespace.is_absent()) {
        let what = "it is not said in which namespace the pods are";
        report.error(&pods.place, Fault::new(what, "add namespace = ..., such as \"ingress-nginx\""));
    }
    if let Some(min) = written.min.given().filter(|min| min.value == 0) {
        let what = "any number of pods would do, so the check could never fail";
        report.error(&min.place, Fault::new(what, "give at least 1, or remove it for 1"));
    }
    let selector = given?.value.clone();
    Some(Question::Pods { namespace: written.namespace.value()?.clone(), selector, min: written.min.or_default(1)? })
}

/// What is asked of the node.
pub(super) fn node(written: &health::Check) -> Option<Question> {
    match written.node.value()? {
        NodeQuestion::Schedulable => Some(Question::Schedulable),
    }
}
