//! Pods and nodes as the API has them: every change has a version, and what has changed is remembered for watches.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What kind of object, in which namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Collection {
    pub(crate) kind: &'static str,
    /// Empty for nodes.
    pub(crate) namespace: String,
}

impl Collection {
    pub(crate) fn nodes() -> Self {
        Self { kind: "Node", namespace: String::new() }
    }

    pub(crate) fn pods(namespace: &str) -> Self {
        Self { kind: "Pod", namespace: namespace.to_owned() }
    }
}

/// All objects, and their history.
#[derive(Debug, Default)]
pub(crate) struct World {
    version: u64,
    objects: BTreeMap<(Collection, String), Value>,
    changes: Vec<Change>,
    /// What happened up to this version is forgotten.
    pub(crate) forgotten: u64,
}

#[derive(Debug)]
struct Change {
    version: u64,
    collection: Collection,
    before: Option<Value>,
    after: Option<Value>,
}

/// Which objects of a collection are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// `KEY=VALUE`, separated by commas.
    pub(crate) labels: String,
    /// The same of fields.
    pub(crate) fields: String,
}

impl Selection {
    fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
        let field = |key: &str| key.split('.').fold(object, |at, key| &at[key]).as_str().map(str::to_owned);
        let all = |text: &str, read: &dyn Fn(&str) -> Option<String>| {
            let mut parts = text.split(',').filter(|part| !part.is_empty());
            parts.all(|part| part.split_once('=').is_some_and(|(key, value)| read(key).as_deref() == Some(value)))
        };
        all(&self.labels, &label) && all(&self.fields, &field)
    }
}

impl World {
    /// Makes an object, or another one of it.
    pub(crate) fn put(&mut self, collection: &Collection, name: &str, mut object: Value) {
        self.version += 1;
        object["kind"] = collection.kind.into();
        object["apiVersion"] = "v1".into();
        object["metadata"]["name"] = name.into();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if !collection.namespace.is_empty() {
            object["metadata"]["namespace"] = collection.namespace.clone().into();
        }
        let before = self.objects.insert((collection.clone(), name.to_owned()), object.clone());
        self.remember(collection, before, Some(object));
    }

    /// Removes an object.
    pub(crate) fn delete(&mut self, collection: &Collection, name: &str) {
        self.version += 1;
        let before = self.objects.remove(&(collection.clone(), name.to_owned()));
        self.remember(collection, before, None);
    }

    fn remember(&mut self, collection: &Collection, before: Option<Value>, after: Option<Value>) {
        self.changes.push(Change { version: self.version, collection: collection.clone(), before, after });
    }

    /// Forgets what has happened, as the API does when it becomes too much; something has happened since then.
    pub(crate) fn forget(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.changes.clear();
    }

    pub(crate) fn get(&self, collection: &Collection, name: &str) -> Option<&Value> {
        self.objects.get(&(collection.clone(), name.to_owned()))
    }

    /// Changes an object by `change`.
    pub(crate) fn edit(&mut self, collection: &Collection, name: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut object = self.get(collection, name).with_context(|| format!("no {} {name}", collection.kind))?.clone();
        change(&mut object);
        self.put(collection, name, object);
        Ok(())
    }

    /// The answer to a request for all.
    pub(crate) fn list(&self, collection: &Collection, selection: &Selection) -> Value {
        let in_it = self.objects.iter().filter(|((of, _), _)| of == collection).map(|(_, object)| object);
        let items: Vec<_> = in_it.filter(|object| selection.selects(object)).cloned().collect();
        let metadata = json!({ "resourceVersion": self.version.to_string() });
        json!({ "kind": format!("{}List", collection.kind), "apiVersion": "v1", "metadata": metadata, "items": items })
    }

    /// What a watch is told that has been told all up to `since`, and up to where that goes. An object that is no longer selected is
    /// deleted to it.
    pub(crate) fn events(&self, collection: &Collection, selection: &Selection, since: u64) -> (Vec<Value>, u64) {
        let later = self.changes.iter().filter(|change| change.version > since && change.collection == *collection);
        let told = later.filter_map(|Change { version, before, after, .. }| {
            let selected = |object: &Option<Value>| object.clone().filter(|object| selection.selects(object));
            let (kind, mut object) = match (selected(before), selected(after)) {
                (None, Some(after)) => ("ADDED", after),
                (Some(_), Some(after)) => ("MODIFIED", after),
                (Some(before), None) => ("DELETED", before),
                (None, None) => return None,
            };
            object["metadata"]["resourceVersion"] = version.to_string().into();
            Some(json!({ "type": kind, "object": object }))
        });
        (told.collect(), self.version)
    }

    /// What keeps a watch informed of the version.
    pub(crate) fn bookmark(&self, collection: &Collection) -> Value {
        let metadata = json!({ "resourceVersion": self.version.to_string(), "creationTimestamp": null });
        json!({ "type": "BOOKMARK", "object": { "kind": collection.kind, "apiVersion": "v1", "metadata": metadata } })
    }
}

/// A pod with the label `app=ingress` on a node.
pub(crate) fn pod(node: &str, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({
        "metadata": { "labels": { "app": "ingress" }, "uid": "0b1c", "creationTimestamp": "2026-11-28T17:30:00Z" },
        "spec": { "nodeName": node, "containers": [{ "name": "controller", "image": "registry.example/ingress:1" }] },
        "status": {
            "phase": "Running",
            "conditions": [
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-28T17:30:00Z" },
                { "type": "Ready", "status": ready, "lastTransitionTime": null },
            ],
        },
    })
}

/// A node that takes pods.
pub(crate) fn node() -> Value {
    json!({
        "metadata": { "uid": "0b1d", "creationTimestamp": "2026-11-28T17:30:00Z" },
        "spec": { "podCIDR": "10.244.0.0/24" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// What the API says in place of an answer. <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
