//! Who may send to an IPv6 virtual router whose nodes are not all known by address or MAC address.

use super::*;

/// Takes what identifies n2 out of the base text.
const UNKNOWN: (&str, &str) = ("link_local = \"fe80::2\"\n", "");

fn with_auth(mode: &str) -> String {
    let keys = "active_key = 1\nkeys = [{ id = 1, file = \"/k\" }]";
    edited(&[("[[node]]", &format!("[auth]\nmode = \"{mode}\"\n{keys}\n\n[[node]]")), UNKNOWN])
}

fn senders(config: &Config) -> Vec<(Family, LinkLocalSenders, usize)> {
    let routers = config.virtual_routers.iter().take(2);
    routers.map(|router| (router.family, router.link_local_senders, router.peers.len())).collect()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn without_authentication_anyone_on_the_link_is_believed_with_a_warning() {
    let config = valid(&[UNKNOWN]);
    assert_eq!(
        senders(&config),
        [(Family::Ipv4, LinkLocalSenders::Listed, 1), (Family::Ipv6, LinkLocalSenders::Unlisted, 0)]
    );
    assert_eq!(
        warnings(&config),
        [
            "warning: vipd.toml:11: node \"n2\": link_local: missing, so virtual_router \"web-a\" (line 16) believes IPv6 \
             adverts from any link-local address: anyone on the link can forge them\n  \
             help: add it, or mac; or an [auth] with mode = \"enforce\""
        ]
    );
    // The node that is not known itself knows the others; the file is no better for it.
    let config = parse(&edited(&[UNKNOWN]), "n2").unwrap();
    assert_eq!(senders(&config)[1], (Family::Ipv6, LinkLocalSenders::Listed, 1));
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn enforced_signatures_tell_who_sends() {
    let config = parse(&with_auth("enforce"), "n1").unwrap();
    assert_eq!(
        senders(&config),
        [(Family::Ipv4, LinkLocalSenders::Listed, 1), (Family::Ipv6, LinkLocalSenders::Unlisted, 0)]
    );
    assert_eq!(config.warnings, []);
}

#[test]
fn signatures_that_may_be_missing_tell_nothing() {
    for mode in ["receive-only", "permissive"] {
        let config = parse(&with_auth(mode), "n1").unwrap();
        assert_eq!(senders(&config)[1], (Family::Ipv6, LinkLocalSenders::Unlisted, 0), "{mode}");
        assert_eq!(config.warnings.len(), 1, "{mode}");
    }
}

#[test]
fn a_wrong_mode_is_the_only_mistake() {
    for mode in ["strict", ""] {
        let expected = format!("6: auth: mode: {mode:?} is not one of the choices");
        assert_eq!(mistakes_in(&with_auth(mode)), [expected]);
    }
    assert_eq!(mistakes(&[("[cluster]", "auth = 1\n[cluster]"), UNKNOWN]), ["1: auth: 1 is not a table"]);
}

#[test]
fn the_peers_that_are_known_stay_so() {
    let third = "[[node]]\nname = \"n3\"\naddress = \"10.77.0.3\"\nlink_local = \"fe80::3\"\n\n[[virtual_router]]";
    let config =
        valid(&[UNKNOWN, ("[[virtual_router]]", third), (r#"nodes = ["n1", "n2"]"#, r#"nodes = ["n1", "n2", "n3"]"#)]);
    let ipv6 = &config.virtual_routers[1];
    assert_eq!(ipv6.link_local_senders, LinkLocalSenders::Unlisted);
    let known = Peer {
        node: "n3".to_owned(),
        priority: Priority::new(100).unwrap(),
        source: PeerSource::Address("fe80::3".parse().unwrap()),
        mac: None,
    };
    assert_eq!(ipv6.peers, [known]);
}

#[test]
fn unicast_and_known_peers_need_no_link_local_senders() {
    let config = valid(&[UNKNOWN, ("interface =", "transport = \"unicast\"\ninterface =")]);
    assert_eq!(senders(&config)[1], (Family::Ipv6, LinkLocalSenders::Listed, 1));
    assert_eq!(config.warnings, []);
    let config = valid(&[("link_local = \"fe80::2\"", "mac = \"02:00:00:00:00:02\"")]);
    assert_eq!(senders(&config)[1], (Family::Ipv6, LinkLocalSenders::Listed, 1));
    assert_eq!(config.warnings, []);
}
