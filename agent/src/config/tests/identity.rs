//! How a node finds itself in the file.

use super::*;

fn node_of(identity: &Identity) -> Result<String, String> {
    match Config::parse(BASE, Path::new("vipd.toml"), identity) {
        Ok(config) => Ok(config.node),
        Err(error) => Err(error.to_string()),
    }
}

fn identity(node: Option<&str>, host_name: &str, addresses: &[&str]) -> Identity {
    Identity {
        node: node.map(str::to_owned),
        host_name: Some(host_name.to_owned()),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

#[test]
fn the_most_explicit_source_decides() {
    let cases = [
        ("--node", identity(Some("n1"), "n2", &["10.77.0.2"]), "n1"),
        ("host name", identity(None, "n2", &["10.77.0.1"]), "n2"),
        ("host name with a domain", identity(None, "n2.example.net", &["10.77.0.1"]), "n2"),
        ("IPv4 address", identity(None, "host", &["127.0.0.1", "10.77.0.2"]), "n2"),
        ("IPv6 address", identity(None, "host", &["::1", "fd77::1"]), "n1"),
    ];
    for (case, identity, expected) in cases {
        assert_eq!(node_of(&identity).as_deref(), Ok(expected), "{case}");
    }
    let no_host_name = Identity { addresses: vec!["10.77.0.1".parse().unwrap()], ..Identity::default() };
    assert_eq!(node_of(&no_host_name).as_deref(), Ok("n1"));
}

#[test]
fn a_pod_finds_itself_by_what_kubernetes_calls_its_node() {
    let worker = "\nkubernetes_name = \"worker-2\"\nname = \"n2\"";
    let node_of = |text: &str, wanted: &str| {
        let identity = identity(Some(wanted), "worker-1", &["10.77.0.1"]);
        Config::parse(text, Path::new("vipd.toml"), &identity).map(|config| config.node).ok()
    };
    let renamed = edited(&[("\nname = \"n2\"", worker)]);
    assert_eq!(node_of(&renamed, "worker-2").as_deref(), Some("n2"));
    // A name counts before what Kubernetes calls another node.
    let crossed = edited(&[("\nname = \"n2\"", "\nkubernetes_name = \"n1\"\nname = \"n2\"")]);
    assert_eq!(node_of(&crossed, "n1").as_deref(), Some("n1"));
    assert_eq!(node_of(BASE, "worker-2"), None);
}

#[test]
fn a_wrong_node_option_does_not_fall_back() {
    let error = node_of(&identity(Some("n9"), "n1", &["10.77.0.1"])).unwrap_err();
    assert_eq!(
        error,
        "error: vipd.toml:5: node: --node or $VIPD_NODE says \"n9\", which is no node of this file\n  \
         help: choose one of n1, n2, or add a [[node]]"
    );
}

#[test]
fn a_stranger_is_told_where_was_looked() {
    let error = node_of(&identity(None, "laptop", &["192.0.2.7", "fe80::1"])).unwrap_err();
    assert_eq!(
        error,
        "error: vipd.toml:5: node: this machine is no node of this file: --node and $VIPD_NODE are not given, the host \
         name \"laptop\" is no node's, and none of its addresses (192.0.2.7, fe80::1) is a node's\n  \
         help: give --node with one of n1, n2, or add a [[node]]"
    );
}

#[test]
fn a_machine_with_the_addresses_of_two_nodes_must_be_told_which_it_is() {
    let error = node_of(&identity(None, "laptop", &["10.77.0.1", "fd77::2"])).unwrap_err();
    assert_eq!(
        error,
        "error: vipd.toml:5: node: this machine has the addresses of more than one node: n1, n2\n  \
         help: give --node with one of n1, n2, or add a [[node]]"
    );
}
