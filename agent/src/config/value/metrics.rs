//! Values of `[metrics]`.

use toml::de::DeValue;

use super::{printable, shown, text};
use crate::config::{diagnostic::Fault, file::Listen};

/// What stands for the addresses of the node.
const NODE: &str = "node:";

/// `"off"`, one place, or several.
pub(in crate::config) fn listen(value: &DeValue<'_>) -> Result<Vec<Listen>, Fault> {
    match value {
        DeValue::Array(places) => places.iter().map(|place| one(place.get_ref())).collect(),
        DeValue::String(word) if word == "off" => Ok(Vec::new()),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => one(value).map(|place| vec![place]),
    }
}

/// An address or `node`, and a port.
fn one(value: &DeValue<'_>) -> Result<Listen, Fault> {
    let text = text(value, "127.0.0.1:9650")?;
    let place = match text.strip_prefix(NODE) {
        Some(port) => port.parse().ok().filter(|&port| port != 0).map(Listen::Node),
        None => text.parse().ok().filter(|address: &std::net::SocketAddr| address.port() != 0).map(Listen::At),
    };
    place.ok_or_else(|| {
        let remedy = r#"write "127.0.0.1:9650" or "[::1]:9650", "node:9650" for the addresses of the node, or "off""#;
        Fault::new(format!("{} is no address and port", shown(value)), remedy)
    })
}

/// A name without the colon that ends it in a request. RFC 7617 §2.
pub(in crate::config) fn username(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = printable(text(value, "prometheus")?)?;
    if name.is_empty() || name.contains(':') {
        return Err(Fault::new(format!("{name:?} is no user name: empty, or with a colon"), "give another one"));
    }
    Ok(name.to_owned())
}
