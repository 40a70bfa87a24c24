//! What the API's objects come to for a check.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Resource;
use serde::de::DeserializeOwned;

use crate::check::{Kubernetes, Question, task::Outcome};

/// Of each object that was asked for, by name, whether it is as it should be.
pub(super) type Facts = BTreeMap<String, bool>;

/// An object of the API that a check goes by.
pub(super) trait Object: Resource<DynamicType = ()> + Clone + DeserializeOwned {
    /// Whether it is as it should be.
    fn is_well(&self) -> bool;
}

/// A pod that is ready and not about to go.
impl Object for Pod {
    fn is_well(&self) -> bool {
        let conditions = self.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        is_ready && self.metadata.deletion_timestamp.is_none()
    }
}

/// A node that takes pods.
impl Object for Node {
    fn is_well(&self) -> bool {
        self.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true)
    }
}

/// What `facts` answer.
pub(super) fn judge(asked: &Kubernetes, facts: &Facts) -> Outcome {
    let node = &asked.node;
    match &asked.question {
        Question::Pods { min, .. } => {
            let (ready, all) = (facts.values().filter(|is_ready| **is_ready).count(), facts.len());
            let said = match all {
                0 => format!("no such pod is on node {node}"),
                1 => format!("{ready} of 1 pod on node {node} is ready"),
                _ => format!("{ready} of {all} pods on node {node} are ready"),
            };
            if ready >= *min { Ok(said) } else { Err(format!("{said}, and there must be at least {min}")) }
        }
        Question::Schedulable => match facts.get(node) {
            Some(true) => Ok(format!("node {node} is schedulable")),
            Some(false) => Err(format!("node {node} is cordoned")),
            None => Err(format!("Kubernetes has no node {node}")),
        },
    }
    .into()
}
