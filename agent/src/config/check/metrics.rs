//! `[metrics]`: where this node listens, and what goes only with what.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::{
    diagnostic::{Fault, Report},
    file::{self, File, Listen},
    metrics::{Credentials, Login, Metrics},
    table::Field,
};

/// Where metrics are served unless the file says it.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9650);

/// The checked form for the node called `node`; what is wrong is reported.
pub(super) fn check(file: &File, node: Option<&str>, report: &mut Report<'_>) -> Option<Metrics> {
    let metrics = &file.metrics;
    let certificate = ("certificate_file", &metrics.certificate_file);
    let (username, password) = (("username", &metrics.username), ("password", &metrics.password));
    check_pair(certificate, ("key_file", &metrics.key_file), report);
    check_pair(username, password, report);
    let listen = listen(file, node, report);
    check_exposure(metrics, &listen, report);
    let credentials = || {
        let (certificate_file, key_file) =
            (metrics.certificate_file.value()?.clone(), metrics.key_file.value()?.clone());
        Some(Credentials { certificate_file, key_file })
    };
    let login = || {
        let (username, password) = (metrics.username.value()?.clone(), metrics.password.value()?.clone());
        Some(Login { username, password })
    };
    Some(Metrics {
        listen,
        tls: if metrics.certificate_file.is_absent() { None } else { Some(credentials()?) },
        login: if metrics.username.is_absent() { None } else { Some(login()?) },
    })
}

/// Each of the two needs the other.
fn check_pair<T, U>(one: (&str, &Field<T>), other: (&str, &Field<U>), report: &mut Report<'_>) {
    let places = (one.1.given().map(|given| &given.place), other.1.given().map(|given| &given.place));
    let (place, name, missing) = match places {
        (Some(place), None) if other.1.is_absent() => (place, one.0, other.0),
        (None, Some(place)) if one.1.is_absent() => (place, other.0, one.0),
        (Some(_) | None, Some(_) | None) => return,
    };
    report.error(place, Fault::new(format!("{missing} is missing"), format!("add it, or remove {name}")));
}

fn listen(file: &File, node: Option<&str>, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let Some(given) = file.metrics.listen.given() else {
        return if file.metrics.listen.is_absent() { vec![DEFAULT] } else { Vec::new() };
    };
    let node = file.nodes.iter().find(|known| known.name.value().map(String::as_str) == node);
    let mut addresses = Vec::new();
    for place in &given.value {
        match *place {
            Listen::At(address) => addresses.push(address),
            Listen::Node(port) => {
                let Some(node) = node else { continue };
                let own = addresses_of(node);
                if own.is_empty() {
                    let what = format!("the file gives {} no address", node.heading.table_and_line());
                    report.error(&given.place, Fault::new(what, "add address or address6 to it, or name an address"));
                }
                addresses.extend(own.into_iter().map(|address| SocketAddr::new(address, port)));
            }
        }
    }
    let mut seen = Vec::new();
    for address in addresses {
        if seen.contains(&address) {
            report.error(&given.place, Fault::new(format!("{address} is there twice"), "remove it once"));
        } else {
            seen.push(address);
        }
    }
    seen
}

fn addresses_of(node: &file::Node) -> Vec<IpAddr> {
    let ipv4 = node.address.value().copied().map(IpAddr::from);
    ipv4.into_iter().chain(node.address6.value().copied().map(IpAddr::from)).collect()
}

/// Whoever is on the network shall neither read along nor read by himself.
fn check_exposure(metrics: &file::Metrics, listen: &[SocketAddr], report: &mut Report<'_>) {
    let Some(exposed) = listen.iter().find(|address| !address.ip().is_loopback()) else { return };
    let Some(given) = metrics.listen.given() else { return };
    let (what, remedy) = match (metrics.username.is_absent(), metrics.certificate_file.is_absent()) {
        (true, _) => ("whoever reaches it can read all metrics", "add username and password, or listen on loopback"),
        (false, true) => (
            "the password is sent for everybody on the network to read",
            "add certificate_file and key_file, or listen on loopback",
        ),
        (false, false) => return,
    };
    report.warning(&given.place, Fault::new(format!("{exposed}: {what}"), remedy));
}
