//! The text of a configuration, as it is: what is reported can be found in the file, and what is accepted is legal.

use std::{net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;
use vipd::config::{
    Auth, Config, ConfigError, Diagnostic, Fence, Identity, OwnAddress, Peer, PeerSource, Severity, Transport,
    VirtualRouter,
};
use vrrp::{Centiseconds, Family, Priority, Version, message::version_2};

const FILE: &str = "vipd.toml";
/// Longest VRRP message that leaves in one piece at an MTU of 1500, over IPv4; IPv6 takes 20 bytes more.
const MESSAGE_MAX: usize = 1480;

/// Reads `data` as the node `n1` would, and as a machine that has the addresses of that node.
///
/// # Panics
///
/// Where a diagnostic or a configuration is not what it must be.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let named = Identity { node: Some("n1".to_owned()), ..Identity::default() };
    let outcome = parse(text, &named);
    check(text, &outcome);
    check_shifted(text, &named, &outcome);
    if let Ok(config) = &outcome {
        check_config(config);
    }
    let addresses = vec![IpAddr::from([10, 77, 0, 1])];
    let found = Identity { node: None, host_name: Some("n3.example".to_owned()), addresses };
    check(text, &parse(text, &found));
}

fn parse(text: &str, identity: &Identity) -> Result<Config, Vec<Diagnostic>> {
    Config::parse(text, Path::new(FILE), identity).map_err(|error| match error {
        ConfigError::Invalid(diagnostics) => diagnostics,
        ConfigError::Unreadable { .. } => unreachable!("no file is read"),
    })
}

/// A file is refused for errors and for nothing else, and each is shown as two lines that lead somewhere.
fn check(text: &str, outcome: &Result<Config, Vec<Diagnostic>>) {
    let diagnostics = diagnostics(outcome);
    let has_error = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(outcome.is_err(), has_error, "refused for {diagnostics:?}");
    assert!(diagnostics.is_sorted_by_key(|diagnostic| diagnostic.line), "not by line: {diagnostics:?}");
    // An editor shows an empty line after the last line end, where an error at the end of the file is.
    let lines = text.matches('\n').count() + 1;
    for diagnostic in diagnostics {
        assert_eq!(diagnostic.file, Path::new(FILE));
        assert!(diagnostic.line.is_none_or(|line| (1..=lines).contains(&line)), "{lines} lines: {diagnostic:?}");
        let shown = diagnostic.to_string();
        let (first, help) = shown.split_once("\n  help: ").unwrap_or_default();
        assert!(first.starts_with(&format!("{}: {FILE}:", diagnostic.severity)), "{shown:?}");
        assert!(!help.is_empty() && !(first.to_owned() + help).contains(char::is_control), "not two lines: {shown:?}");
    }
}

fn diagnostics(outcome: &Result<Config, Vec<Diagnostic>>) -> &[Diagnostic] {
    match outcome {
        Ok(config) => &config.warnings,
        Err(diagnostics) => diagnostics,
    }
}

/// An empty line at the beginning moves every line by one, and changes nothing else. A byte order mark has to be first.
fn check_shifted(text: &str, identity: &Identity, outcome: &Result<Config, Vec<Diagnostic>>) {
    if text.starts_with('\u{feff}') {
        return;
    }
    let shifted = parse(&format!("\n{text}"), identity);
    let places = |outcome, by| {
        let place = |diagnostic: &Diagnostic| (diagnostic.line.map(|line| line + by), diagnostic.key.clone());
        diagnostics(outcome).iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places(outcome, 1), places(&shifted, 0), "with an empty line in front");
    let meaning = |config: &Config| Config { warnings: vec![], fingerprint: String::new(), ..config.clone() };
    assert_eq!(shifted.as_ref().ok().map(meaning), outcome.as_ref().ok().map(meaning));
}

/// What the rest of the agent relies on.
fn check_config(config: &Config) {
    assert_eq!(config.node, "n1");
    if let Some(auth) = &config.auth {
        check_auth(auth);
    }
    let routers = &config.virtual_routers;
    let identity = |router: &VirtualRouter| (router.interface.clone(), router.family, router.vrid);
    for (at, router) in routers.iter().enumerate() {
        let same = routers.iter().take(at).find(|other| identity(other) == identity(router));
        assert_eq!(same, None, "two of one identity");
        check_router(router, config.auth.is_some());
    }
}

fn check_auth(auth: &Auth) {
    let ids: Vec<_> = auth.keys.iter().map(|key| key.id).collect();
    assert!((1..=4).contains(&ids.len()), "{ids:?}");
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "twice: {ids:?}");
    assert!(auth.active_key.is_none_or(|active| ids.contains(&active)), "{:?} is not listed", auth.active_key);
    assert!(!auth.mode.signs() || auth.active_key.is_some(), "nothing to sign with");
    assert!(auth.keys.iter().all(|key| key.file.is_absolute()), "{:?}", auth.keys);
    assert!((Duration::from_secs(1)..=Duration::from_mins(5)).contains(&auth.window), "{:?}", auth.window);
    assert!(auth.clock_grace <= Duration::from_hours(1), "{:?}", auth.clock_grace);
}

fn check_router(router: &VirtualRouter, is_signed: bool) {
    assert!((1..=15).contains(&router.interface.len()) && !router.interface.contains(['/', ':', ' ']), "{router:?}");
    check_manner(router);
    check_addresses(router, is_signed);
    check_holdings(router);
    check_nodes(router);
    let is_owner = router.priority == Priority::OWNER;
    if is_owner {
        assert!(router.accept && router.fence == Fence::Off && !router.virtual_mac, "an owner: {router:?}");
    }
}

fn check_manner(router: &VirtualRouter) {
    let interval = router.advertisement_interval;
    assert!((1..=100).contains(&router.down_timer_adverts), "{router:?}");
    assert!(router.learned_interval_max.is_none_or(|max| max == interval.duration() * 2), "{router:?}");
    assert!(router.preempt_after.is_none_or(|after| after <= Duration::from_hours(1)), "{router:?}");
    assert!(router.startup_delay <= Duration::from_hours(1), "{router:?}");
    assert!(router.min_ttl == 255 || router.min_ttl > 0 && router.transport == Transport::Unicast, "{router:?}");
    match router.version {
        Version::V2 => {
            assert_eq!(router.family, Family::Ipv4);
            assert!(interval.get().is_multiple_of(100), "{interval:?} cannot be said");
        }
        Version::V3 => {
            assert_eq!(router.authentication, version_2::Authentication::None);
            assert!(interval <= Centiseconds::MAX);
        }
    }
}

/// Everything that is held is of the virtual router's family, and can be told to the kernel.
fn check_holdings(router: &VirtualRouter) {
    let is_ipv4 = router.family == Family::Ipv4;
    let nets = router.rules.iter().flat_map(|rule| [rule.from, rule.to]).flatten();
    let nets = nets.chain(router.routes.iter().map(|route| route.to));
    let hosts = router.routes.iter().flat_map(|route| [route.via, route.source]).flatten();
    let hosts =
        hosts.chain(router.extra_addresses.iter().map(IpNet::addr)).chain(router.gateways.iter().flatten().copied());
    let mut addresses = nets.map(|net| (net.addr(), net.network())).chain(hosts.map(|host| (host, host)));
    assert!(addresses.all(|(one, same)| one == same && one.is_ipv4() == is_ipv4), "{router:?}");
    assert!(router.rules.iter().all(|rule| rule.from.or(rule.to).is_some() && rule.priority > 0), "{router:?}");
    let tables = router.rules.iter().map(|rule| rule.table).chain(router.routes.iter().map(|route| route.table));
    assert!(tables.into_iter().all(|table| table != 0 && table != 255), "{router:?}");
    let refresh = Duration::from_secs(1)..=Duration::from_hours(1);
    assert!(router.announcement_refresh.is_none_or(|every| refresh.contains(&every)), "{router:?}");
    assert!(router.announcement_rate.is_none_or(|rate| rate.get() <= 30_000), "{router:?}");
}

/// The addresses fit into an advert, and no host has them for another reason.
fn check_addresses(router: &VirtualRouter, is_signed: bool) {
    let addresses: Vec<_> = router.addresses.iter().map(IpNet::addr).collect();
    let is_ipv4 = router.family == Family::Ipv4;
    let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    assert!((1..=255).contains(&addresses.len()), "{router:?}");
    assert!(addresses.iter().all(|address| address.is_ipv4() == is_ipv4), "of another family: {router:?}");
    assert!(addresses.iter().enumerate().all(|(at, address)| !addresses[..at].contains(address)), "twice: {router:?}");
    assert!(addresses.iter().all(|address| !address.is_multicast() && !address.is_unspecified()), "{router:?}");
    assert!(!router.link_local_first || addresses.first().is_some_and(is_link_local), "{router:?}");
    let header = if is_ipv4 { 8 } else { 28 };
    let trailer = match router.version {
        Version::V2 => 8,
        Version::V3 if is_signed => 28,
        Version::V3 => 0,
    };
    let len = header + addresses.len() * router.family.address_len() + trailer;
    assert!(len <= MESSAGE_MAX, "{len} bytes: {router:?}");
}

/// Nodes can be told from each other.
fn check_nodes(router: &VirtualRouter) {
    let is_ours = |address: IpAddr| router.own_address == OwnAddress::Configured(address);
    for (at, peer) in router.peers.iter().enumerate() {
        let is_same = |other: &&Peer| other.node == peer.node || other.source == peer.source;
        assert_eq!(router.peers.iter().take(at).find(is_same), None, "like {peer:?}");
        assert_ne!(peer.node, "n1");
        match peer.source {
            PeerSource::Address(address) => {
                assert!(!is_ours(address), "a peer with our address: {router:?}");
                assert_eq!(address.is_ipv4(), router.family == Family::Ipv4);
            }
            PeerSource::Mac(mac) => assert_eq!(peer.mac, Some(mac)),
        }
    }
    match router.own_address {
        OwnAddress::Configured(address) => assert_eq!(address.is_ipv4(), router.family == Family::Ipv4),
        OwnAddress::LinkLocal => assert_eq!((router.family, router.transport), (Family::Ipv6, Transport::Multicast)),
    }
}
