//! Names and selectors, as the API of Kubernetes takes them.

use toml::de::DeValue;

use super::{choice, name, text};
use crate::config::diagnostic::Fault;

/// Longest label, and longest name of an object, in bytes.
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 253;

/// What a check asks of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum NodeQuestion {
    /// That it takes pods.
    Schedulable,
}

pub(in crate::config) fn node_question(value: &DeValue<'_>) -> Result<NodeQuestion, Fault> {
    choice(value, &[("schedulable", NodeQuestion::Schedulable)])
}

/// The name of a namespace.
pub(in crate::config) fn namespace(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = name(value)?;
    if is_dns_label(&text) {
        return Ok(text);
    }
    let remedy = "write it as `kubectl get namespaces` shows it: up to 63 lower-case letters, digits and -";
    Err(Fault::new(format!("{text:?} cannot be the name of a namespace"), remedy))
}

/// The name of a node.
pub(in crate::config) fn node(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = name(value)?;
    if is_node_name(&text) {
        return Ok(text);
    }
    let remedy = "write it as `kubectl get nodes` shows it: lower-case letters, digits, - and .";
    Err(Fault::new(format!("{text:?} cannot be the name of a node in Kubernetes"), remedy))
}

/// Whether Kubernetes could call a node so.
pub(in crate::config) fn is_node_name(text: &str) -> bool {
    text.len() <= NAME_MAX && text.split('.').all(is_dns_label)
}

/// Labels that pods are chosen by.
pub(in crate::config) fn selector(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = text(value, "app.kubernetes.io/component=controller")?;
    match requirements(text).into_iter().find(|requirement| !is_requirement(requirement)) {
        None => Ok(text.to_owned()),
        Some(wrong) => {
            let remedy = "separate by commas: KEY=VALUE, KEY!=VALUE, KEY in (VALUE, VALUE), KEY notin (VALUE), KEY, !KEY; \
                          `kubectl get pods --show-labels` shows them";
            Err(Fault::new(format!("{wrong:?} selects no labels"), remedy))
        }
    }
}

/// The parts between commas that are in no parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let at_comma = |char: char| {
        is_inside = (is_inside || char == '(') && char != ')';
        char == ',' && !is_inside
    };
    text.split(at_comma).map(str::trim).collect()
}

fn is_requirement(text: &str) -> bool {
    if let Some(key) = text.strip_prefix('!') {
        return is_key(key.trim());
    }
    if let Some((key, value)) = text.split_once('=') {
        let key = key.strip_suffix('!').unwrap_or(key);
        return is_key(key.trim()) && is_value(value.strip_prefix('=').unwrap_or(value).trim());
    }
    let Some((key, set)) = text.split_once(char::is_whitespace) else { return is_key(text) };
    let set = set.trim_start();
    let values = set.strip_prefix("notin").or_else(|| set.strip_prefix("in")).map(str::trim);
    let values = values.and_then(|values| values.strip_prefix('(')?.strip_suffix(')'));
    is_key(key) && values.is_some_and(|values| values.split(',').all(|value| is_value(value.trim())))
}

fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_node_name(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

fn is_label_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    has_form(text, allowed, |byte| byte.is_ascii_alphanumeric())
}

fn is_dns_label(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    has_form(text, |byte| is_alphanumeric(byte) || byte == b'-', is_alphanumeric)
}

/// Whether `text` is a label all of whose bytes are `allowed`, the first and the last being one for an end.
fn has_form(text: &str, allowed: impl Fn(u8) -> bool, for_an_end: impl Fn(u8) -> bool) -> bool {
    let [first, last] = [text.bytes().next(), text.bytes().last()];
    let ends_well = [first, last].into_iter().all(|end| end.is_some_and(&for_an_end));
    ends_well && text.len() <= LABEL_MAX && text.bytes().all(allowed)
}
