//! A line of `virtual_routes` and of `virtual_rules`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address;
use crate::import::{
    note::{At, Notes},
    tree::Statement,
};

/// The keys of an element of `routes` or `rules`, with their values as TOML has them.
type Keys = Vec<(&'static str, String)>;

/// The route of a line, for an instance on `interface` that holds `addresses`; `None` where vipd has none like it.
pub(super) fn route(line: &Statement, interface: &str, addresses: &[IpNet], notes: &mut Notes) -> Option<At<Keys>> {
    let (mut to, mut keys, mut unsupported) = (None, Keys::new(), Vec::new());
    let (mut is_there, mut via) = (false, None);
    let mut words = line.words.iter().map(|word| word.text.as_str());
    while let Some(word) = words.next() {
        match word {
            "to" => {}
            "src" | "via" | "gw" => {
                let key = if word == "src" { "source" } else { "via" };
                let host: Option<IpAddr> = words.next().and_then(|value| value.parse().ok());
                host.map_or_else(|| unsupported.push(word), |host| keys.push((key, format!("\"{host}\""))));
                via = host.filter(|_| key == "via").or(via);
            }
            "dev" => {
                is_there = true;
                if words.next().is_some_and(|device| device != interface) {
                    unsupported.push("dev with another interface");
                }
            }
            "table" => match table(words.next()) {
                Some(table) => keys.push(("table", table.to_string())),
                None => unsupported.push("table with a name"),
            },
            "metric" => match words.next().and_then(|metric| metric.parse().ok()).filter(|&metric: &u32| metric > 0) {
                Some(metric) => keys.push(("metric", metric.to_string())),
                None => unsupported.push("metric"),
            },
            "onlink" => keys.push(("on_link", "true".to_owned())),
            "scope" | "proto" | "protocol" | "no_track" | "track_group" => {
                if !word.starts_with("no_") {
                    words.next();
                }
                notes.ignored(&line.place, format!("{word} of the route is vipd's own"), "nothing");
            }
            "default" if to.is_none() => to = Some("default".to_owned()),
            other => match network(other).filter(|_| to.is_none()) {
                Some(net) => to = Some(net),
                None => unsupported.push(other),
            },
        }
    }
    if to.is_none() {
        unsupported.push("no destination");
    }
    if !unsupported.is_empty() {
        let what = format!("this route is left out; vipd has no such routes: {}", unsupported.join(", "));
        notes.lost(&line.place, what, "write a plain route, or set it by a [[notify]] program");
        return None;
    }
    let is_reached = |via: &IpAddr| addresses.iter().any(|net| net.contains(via));
    if let Some(via) = via.filter(|via| !is_there && !is_reached(via)) {
        let what =
            format!("this route leads over {interface}, and keepalived lets the kernel find the interface of {via}");
        notes.changed(&line.place, what, format!("nothing where {via} is on {interface}; else leave the route out"));
    }
    keys.insert(0, ("to", format!("\"{}\"", to?)));
    Some(At { value: keys, place: line.place.clone() })
}

/// The policy rule of a line; `None` where vipd has none like it.
pub(super) fn rule(line: &Statement, notes: &mut Notes) -> Option<At<Keys>> {
    let (mut keys, mut unsupported) = (Keys::new(), Vec::new());
    let mut words = line.words.iter().map(|word| word.text.as_str());
    while let Some(word) = words.next() {
        match word {
            "from" | "to" => {
                let key = if word == "from" { "from" } else { "to" };
                match words.next().and_then(network) {
                    Some(net) => keys.push((key, format!("\"{net}\""))),
                    None => unsupported.push("an end that is no address"),
                }
            }
            "table" | "lookup" => match table(words.next()) {
                Some(table) => keys.push(("table", table.to_string())),
                None => unsupported.push("table with a name"),
            },
            "priority" | "preference" | "pref" | "prio" | "order" => {
                match words.next().and_then(|priority| priority.parse().ok()).filter(|&priority: &u32| priority > 0) {
                    Some(priority) => keys.push(("priority", priority.to_string())),
                    None => unsupported.push(word),
                }
            }
            "no_track" => notes.ignored(&line.place, "no_track: the rule is put back when it goes", "nothing"),
            other => unsupported.push(other),
        }
    }
    let has = |key| keys.iter().any(|(own, _)| *own == key);
    if !has("table") || !(has("from") || has("to")) {
        unsupported.push("no table, or no address");
    }
    if !unsupported.is_empty() {
        let what = format!("this rule is left out; vipd has no such rules: {}", unsupported.join(", "));
        notes.lost(&line.place, what, "write from or to, and table; or set it by a [[notify]] program");
        return None;
    }
    Some(At { value: keys, place: line.place.clone() })
}

/// A destination as vipd writes it.
fn network(text: &str) -> Option<String> {
    let net: IpNet = address::parse(text)?;
    let is_host = net.prefix_len() == net.max_prefix_len();
    Some(if is_host { net.addr().to_string() } else { net.trunc().to_string() })
}

/// The number of a routing table; names other than the kernel's own are the host's.
fn table(text: Option<&str>) -> Option<u32> {
    match text? {
        "main" => Some(254),
        "default" => Some(253),
        number => number.parse().ok().filter(|table| !matches!(table, 0 | 255)),
    }
}
