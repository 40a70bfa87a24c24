//! `vipd doctor` names what is amiss, on hosts where one thing each was spoilt on purpose, and nothing where all is well.

#[path = "doctor/ask.rs"]
mod ask;

use std::{
    fs,
    net::{IpAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::programs::{TcAttachType, XdpMode};
use harness::{
    Cluster, ClusterConfig, Host, KeepalivedRouter, Lab, Process,
    bare::{Bare, TC_ACT_OK, XDP_PASS},
    lab,
};
use vrrp_wire::Family;

use self::ask::{Call, Diagnosis, ask, command};

/// A cluster of one node, on which no agent runs yet, and its configuration.
fn node(lab: &Lab) -> Result<(Cluster, PathBuf)> {
    let cluster = Cluster::new(lab, 1, &ClusterConfig::default())?;
    let file = lab.write("doctor.toml", &cluster.config)?;
    Ok((cluster, file))
}

/// What the doctor says of `host`, where no agent runs.
fn examine(host: &Host, file: &Path, before: &str) -> Result<Diagnosis> {
    ask(host, file, "n1", Call { before, ..Call::default() })
}

/// What the doctor says of a node whose agent runs.
fn examine_running(cluster: &Cluster, node: usize) -> Result<Diagnosis> {
    let agent = cluster.agent(node)?;
    let call = Call { instance: Some(agent.instance()), ..Call::default() };
    ask(&cluster.nodes[node], Path::new(agent.file()?), cluster.nodes[node].name(), call)
}

#[test]
fn a_healthy_cluster_has_nothing_amiss() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 3, &ClusterConfig { preferred: &[0, 1, 2], ..ClusterConfig::default() })?;
    cluster.start_all()?;
    for router in 0..3 {
        cluster.settle_on(router, router)?;
    }
    for node in 0..3 {
        let diagnosis = examine_running(&cluster, node)?;
        ensure!(diagnosis.ids(&["error", "warning"]).is_empty(), "{:#}", diagnosis.said);
        ensure!(diagnosis.status == Some(0), "ended with {:?}", diagnosis.status);
        let fine = diagnosis.said["in_order"].as_array().context("nothing is in order")?;
        for area in ["kernel", "rights", "configuration", "interface vsw0", "firewall", "agent", "virtual routers"] {
            ensure!(fine.iter().any(|remark| remark["area"] == area), "{area} is not in order: {:#}", diagnosis.said);
        }
    }
    let agent = cluster.agent(0)?;
    let call = Call { instance: Some(agent.instance()), ..Call::default() };
    let output = command(&cluster.nodes[0], Path::new(agent.file()?), "n1", call)?.arg("--quiet").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !said.contains("ok:"), "{said}");
    Ok(())
}

/// Each command spoils the host in one way; then comes the id that names it, and a value that it tells.
const SPOILT: [(&str, &str, &str); 15] = [
    ("ip link set vsw0 down", "interface_down", "ip link set vsw0 up"),
    ("ip addr del 10.77.0.1/24 dev vsw0", "node_address_missing", "10.77.0.1"),
    ("ip link set vsw0 multicast off", "multicast_disabled", "vsw0"),
    ("ip addr add 10.77.0.101/24 dev vsw0", "virtual_address_foreign", "10.77.0.101/24"),
    ("ip -6 addr add fd77::101/64 dev vsw0 nodad", "virtual_address_foreign", "put there by hand"),
    (
        "ip link add kube-ipvs0 type veth peer name far; ip addr add 10.77.0.101/32 dev kube-ipvs0",
        "virtual_address_on_kube_ipvs",
        "strictARP: true",
    ),
    (
        "ip link add eth1 type veth peer name far; ip link set eth1 up; ip link set far up; ip addr add 10.77.0.9/24 dev eth1",
        "arp_flux",
        "`eth1` has 10.77.0.9/24",
    ),
    (
        "nft 'add table inet filter; add chain inet filter input { type filter hook input priority 0; }; add rule inet filter input meta l4proto 112 drop'",
        "firewall_drops_input",
        "chain inet filter input",
    ),
    (
        "nft 'add table ip out; add chain ip out output { type filter hook output priority 0; policy drop; }; add rule ip out output ip protocol tcp accept'",
        "firewall_drops_output",
        "nft insert rule ip out output oifname vsw0 ip protocol 112 accept",
    ),
    (
        "nft 'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; add rule inet filter input meta mark 7 accept'",
        "firewall_unclear",
        "nft list chain inet filter input",
    ),
    ("ip link add br0 type bridge; ip link set vsw0 master br0", "interface_enslaved", "interface = \"br0\""),
    (
        "ip link add br0 type bridge mcast_snooping 1; ip link set vsw0 master br0",
        "bridge_snooping",
        "multicast_querier 0",
    ),
    ("ip -6 addr flush dev vsw0 scope link", "link_local_missing", "addr_gen_mode"),
    ("ip link set vsw0 mtu 68", "mtu_small", "the MTU of `vsw0` is 68"),
    ("ip link del vsw0", "interface_missing", "there are lo"),
];

#[test]
fn what_spoils_a_host_is_named() -> Result<()> {
    let lab = lab!();
    for (spoil, id, value) in SPOILT {
        let (cluster, file) = node(&lab)?;
        let host = &cluster.nodes[0];
        examine(host, &file, "")?.expect_none(id)?;
        host.run("sh", &["-e", "-c", spoil])?;
        let diagnosis = examine(host, &file, "")?;
        diagnosis.expect(id, value).with_context(|| spoil)?;
        let is_error = !diagnosis.ids(&["error"]).is_empty();
        ensure!(diagnosis.status == Some(i32::from(is_error)), "{spoil}: ended with {:?}", diagnosis.status);
    }
    Ok(())
}

/// Settings of the kernel, below `/proc/sys/net`.
#[test]
fn settings_that_are_in_the_way_are_named() -> Result<()> {
    let lab = lab!();
    for (setting, value, id) in [
        ("ipv4/conf/vsw0/rp_filter", "1", "rp_filter_strict"),
        ("ipv4/conf/all/arp_ignore", "8", "arp_ignore_all"),
        ("ipv6/conf/vsw0/disable_ipv6", "1", "ipv6_disabled"),
    ] {
        let (cluster, file) = node(&lab)?;
        let host = &cluster.nodes[0];
        host.namespace().set("ipv4/conf/all/rp_filter", "0")?;
        host.namespace().set("ipv4/conf/vsw0/rp_filter", "0")?;
        examine(host, &file, "")?.expect_none(id)?;
        host.namespace().set(setting, value)?;
        examine(host, &file, "")?.expect(id, value)?;
    }
    let (cluster, file) = node(&lab)?;
    cluster.nodes[0].namespace().set("ipv4/conf/vsw0/promote_secondaries", "0")?;
    let read_only = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
    examine(&cluster.nodes[0], &file, "")?.expect_none("settings_read_only")?;
    examine(&cluster.nodes[0], &file, read_only)?.expect("settings_read_only", "promote_secondaries")?;
    cluster.nodes[0].namespace().set("ipv4/conf/all/promote_secondaries", "1")?;
    examine(&cluster.nodes[0], &file, read_only)?.expect_none("settings_read_only")
}

/// Every file below `/etc` that matters is written anew, in a mount namespace.
#[test]
fn addresses_in_the_files_of_the_network_are_named() -> Result<()> {
    let lab = lab!();
    let (cluster, file) = node(&lab)?;
    for (folder, name, text, line) in [
        ("network", "interfaces", "iface vsw0 inet static\\n  address 10.77.0.101/24", "interfaces:2"),
        (
            "netplan",
            "01.yaml",
            "network:\\n  ethernets:\\n    vsw0:\\n      addresses:\\n        - fd77::101/64",
            "01.yaml:5",
        ),
        ("systemd/network", "1.network", "[Match]\\nName=vsw0\\n[Network]\\nAddress=10.77.0.101/24", "1.network:4"),
        ("systemd/network/1.network.d", "vip.conf", "[Network]\\nAddress=10.77.0.101/24", "vip.conf:2"),
    ] {
        let before =
            format!("mount -t tmpfs none /etc; mkdir -p /etc/{folder}; printf '{text}\\n' >/etc/{folder}/{name}");
        let diagnosis = examine(&cluster.nodes[0], &file, &before)?;
        diagnosis.expect("virtual_address_configured", &format!("/etc/{folder}/{line}"))?;
        ensure!(diagnosis.status == Some(1), "ended with {:?}", diagnosis.status);
    }
    examine(&cluster.nodes[0], &file, "mount -t tmpfs none /etc")?.expect_none("virtual_address_configured")
}

/// A process that does nothing under the name of a daemon.
fn pretend(host: &Host, name: &str) -> Result<Process> {
    let program = Path::new("/run/lab").join(name);
    fs::copy("/bin/sleep", &program)?;
    let mut command = host.namespace().command(&program);
    command.arg("1000");
    Process::spawn(name, command)
}

#[test]
fn daemons_that_remove_addresses_are_named() -> Result<()> {
    let lab = lab!();
    let (cluster, file) = node(&lab)?;
    let host = &cluster.nodes[0];
    let network = |keep: &str| {
        format!(
            "mount -t tmpfs none /etc; mkdir -p /etc/systemd/network\n\
             printf '[Match]\\nName=vsw*\\n[Network]\\n{keep}\\n' >/etc/systemd/network/5.network"
        )
    };
    let manager = "mount -t tmpfs none /etc; mkdir -p /etc/NetworkManager/conf.d\n\
                   printf '[keyfile]\\nunmanaged-devices=interface-name:vsw0\\n' >/etc/NetworkManager/conf.d/a.conf";
    let nothing = "mount -t tmpfs none /etc";
    examine(host, &file, &network(""))?.expect_none("networkd_drops_addresses")?;
    let _networkd = pretend(host, "systemd-networkd")?;
    examine(host, &file, &network(""))?.expect("networkd_drops_addresses", "/etc/systemd/network/5.network")?;
    examine(host, &file, &network("KeepConfiguration=static"))?.expect_none("networkd_drops_addresses")?;
    examine(host, &file, nothing)?.expect_none("networkd_drops_routes")?;
    let routes =
        cluster.config.replace("vrid = 51", "vrid = 51\nroutes = [{ to = \"192.0.2.0/24\", via = \"10.77.0.254\" }]");
    let with_routes = lab.write("routes.toml", &routes)?;
    examine(host, &with_routes, nothing)?.expect("networkd_drops_routes", "ManageForeignRoutes=no")?;
    examine(host, &file, nothing)?.expect_none("network_manager_manages")?;
    let _manager = pretend(host, "NetworkManager")?;
    examine(host, &file, nothing)?.expect("network_manager_manages", "interface-name:vsw0")?;
    examine(host, &file, manager)?.expect_none("network_manager_manages")
}

#[test]
fn rights_and_file_systems_that_are_missing_are_named() -> Result<()> {
    let lab = lab!();
    let (cluster, file) = node(&lab)?;
    let host = &cluster.nodes[0];
    let without = |capabilities: &'static str| {
        let call = Call {
            through: &["setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities],
            ..Call::default()
        };
        ask(host, &file, "n1", call)
    };
    let diagnosis = without("-net_raw")?;
    diagnosis.expect("capability_missing", "CAP_NET_RAW")?;
    ensure!(diagnosis.status == Some(1), "ended with {:?}", diagnosis.status);
    without("-sys_admin,-bpf,-perfmon")?.expect("guard_capability_missing", "CAP_BPF")?;
    let diagnosis = without("-all")?;
    diagnosis.expect("capability_missing", "CAP_NET_ADMIN")?;
    let missed = diagnosis.said["not_looked_at"].as_array().context("all was looked at")?;
    for area in ["kernel", "firewall"] {
        ensure!(missed.iter().any(|remark| remark["area"] == area), "{area} was looked at: {:#}", diagnosis.said);
    }
    examine(host, &file, "")?.expect_none("bpffs_missing")?;
    examine(host, &file, "mount -t tmpfs none /sys/fs/bpf")?.expect("bpffs_missing", "mount -t bpf bpf /sys/fs/bpf")
}

#[test]
fn wrong_configurations_end_with_status_2_and_the_host_is_looked_at_all_the_same() -> Result<()> {
    let lab = lab!();
    let auth = "mode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/run/lab/key\" }]";
    let cluster = Cluster::new(&lab, 1, &ClusterConfig { auth, ..ClusterConfig::default() })?;
    let host = &cluster.nodes[0];
    let key = lab.secret("key", "an open secret of at least thirty-two bytes\n")?;
    let file = lab.write("doctor.toml", &cluster.config)?;
    host.run("ip", &["addr", "del", "10.77.0.1/24", "dev", Host::INTERFACE])?;
    let diagnosis = examine(host, &file, "")?;
    diagnosis.expect_none("configuration_error")?;
    diagnosis.expect_none("configuration_writable")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
    let diagnosis = examine(host, &file, "")?;
    diagnosis.expect("configuration_error", "can be read by everybody (mode 0644)")?;
    diagnosis.expect("configuration_writable", "mode 0666")?;
    diagnosis.expect("node_address_missing", "10.77.0.1")?;
    ensure!(diagnosis.status == Some(2), "ended with {:?}", diagnosis.status);
    let diagnosis = examine(host, Path::new("/run/lab/no-such-file"), "")?;
    diagnosis.expect("configuration_error", "/run/lab/no-such-file")?;
    ensure!(diagnosis.status == Some(2), "ended with {:?}", diagnosis.status);
    Ok(())
}

/// What the kernel knows of its clock is put into the mouth of the C library: a test must not disturb the host's.
#[test]
fn a_clock_that_nothing_keeps_right_is_named_where_adverts_are_signed() -> Result<()> {
    let lab = lab!();
    let auth = "mode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/run/lab/key\" }]";
    let cluster = Cluster::new(&lab, 1, &ClusterConfig { auth, ..ClusterConfig::default() })?;
    lab.secret("key", "a good secret of at least thirty-two bytes\n")?;
    let file = lab.write("doctor.toml", &cluster.config)?;
    let host = &cluster.nodes[0];
    // TIME_OK is 0 and TIME_ERROR 5; `window` is 5 s by default.
    for (state, microseconds, expected) in
        [(0, 1_000, None), (0, 3_000_000, Some("clock_inaccurate")), (5, 0, Some("clock_unsynchronised"))]
    {
        let code = format!(
            "#include <sys/timex.h>\nint adjtimex(struct timex *t) {{ t->maxerror = {microseconds}; return {state}; }}\n"
        );
        let source = lab.write("clock.c", &code)?;
        let library = source.with_extension("so");
        let [source, library] = [&source, &library].map(|path| path.display().to_string());
        host.run("cc", &["-shared", "-fPIC", "-o", &library, &source])?;
        let preload = format!("LD_PRELOAD={library}");
        let diagnosis = ask(host, &file, "n1", Call { through: &["env", &preload], ..Call::default() })?;
        for id in ["clock_inaccurate", "clock_unsynchronised"] {
            if expected == Some(id) {
                diagnosis.expect(id, "no program that keeps it is seen")?;
            } else {
                diagnosis.expect_none(id)?;
            }
        }
    }
    Ok(())
}

#[test]
fn keepalived_for_the_same_virtual_router_is_named() -> Result<()> {
    let lab = lab!();
    for (vrid, id) in [(51, "keepalived_same_router"), (99, "other_address_manager")] {
        let (cluster, file) = node(&lab)?;
        let router = KeepalivedRouter {
            vrid,
            version: 3,
            password: None,
            family: Family::Ipv4,
            priority: 100,
            interval: Duration::from_secs(1),
            addresses: &["10.77.0.200/24"],
            preempt: true,
            unicast: None,
        };
        let _keepalived = cluster.nodes[0].keepalived(&[router])?;
        examine(&cluster.nodes[0], &file, "")?.expect(id, "keepalived")?;
    }
    Ok(())
}

/// Before the start, and from the agent that has found it.
#[test]
fn another_xdp_program_is_named() -> Result<()> {
    let lab = lab!();
    let (mut cluster, file) = node(&lab)?;
    let host = cluster.nodes[0].clone();
    examine(&host, &file, "")?.expect_none("xdp_occupied")?;
    let mut bare = Bare::load()?;
    let ifindex = host.ifindex()?;
    let program = bare.xdp(XDP_PASS)?;
    let id = program.info()?.id();
    host.namespace().enter(|| program.attach_to_if_index(ifindex, XdpMode::Driver).map(drop))??;
    examine(&host, &file, "")?.expect("xdp_occupied", &format!("`bare` (id {id})"))?;
    cluster.start_all()?;
    let diagnosis = examine_running(&cluster, 0)?;
    diagnosis.expect("guard_degraded", &format!("`bare` (id {id})"))?;
    ensure!(diagnosis.status == Some(0), "ended with {:?}", diagnosis.status);
    Ok(())
}

/// Others in traffic control, and a file with a password that everybody can read.
#[test]
fn what_others_see_and_do_is_told() -> Result<()> {
    let lab = lab!();
    let (cluster, _) = node(&lab)?;
    let host = &cluster.nodes[0];
    let addresses = "addresses = [\"10.77.0.101/24\", \"fd77::101/64\"]";
    let config =
        cluster.config.replace(addresses, "version = 2\npassword = \"s3cret\"\naddresses = [\"10.77.0.101/24\"]");
    let file = lab.write("password.toml", &config.replace("100ms", "1s"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let diagnosis = examine(host, &file, "")?;
    diagnosis.expect_none("password_readable")?;
    diagnosis.expect_none("traffic_control_shared")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let mut bare = Bare::load()?;
    let program = bare.classifier(TC_ACT_OK)?;
    host.namespace().enter(|| program.attach(Host::INTERFACE, TcAttachType::Ingress).map(drop))??;
    let diagnosis = examine(host, &file, "")?;
    diagnosis.expect("password_readable", "mode 0644")?;
    diagnosis.expect("traffic_control_shared", "bare")
}

#[test]
fn an_agent_that_hangs_and_what_a_killed_one_leaves_are_named() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { supervisor: false, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let host = cluster.nodes[0].clone();
    let file = PathBuf::from(cluster.agent(0)?.file()?);
    ask(&host, &file, "n1", Call { instance: Some("other"), ..Call::default() })?
        .expect("interface_claimed", "`vsw0`")?;
    let mut agent = cluster.take(0)?;
    let instance = agent.instance().to_owned();
    let call = Call { instance: Some(&instance), ..Call::default() };
    agent.process.stop()?;
    let diagnosis = ask(&host, &file, "n1", call)?;
    diagnosis.expect("agent_hangs", "vipd.sock")?;
    ensure!(diagnosis.status == Some(1), "ended with {:?}", diagnosis.status);
    agent.process.kill()?;
    let diagnosis = ask(&host, &file, "n1", call)?;
    diagnosis.expect("pins_left", &format!("`vipd detach --instance {instance}`"))?;
    diagnosis.expect("virtual_address_left", "10.77.0.101")?;
    diagnosis.expect("agent_not_running", &instance)
}

/// What only a running agent knows, or only matters while it is Active.
#[test]
fn what_a_running_agent_knows_is_told() -> Result<()> {
    let lab = lab!();
    let mut cluster =
        Cluster::new(&lab, 2, &ClusterConfig { cluster: "virtual_mac = true", ..ClusterConfig::default() })?;
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    let host = cluster.nodes[1].clone();
    cluster.agent(1)?.wait_for("more than two seconds to pass", |status| {
        status.router("web-a", Family::Ipv4).is_some_and(|router| router["since_ms"].as_u64() > Some(2_000))
    })?;
    let diagnosis = examine_running(&cluster, 1)?;
    diagnosis.expect("preferred_peer_silent", "n1 has 200")?;
    diagnosis.expect("peer_unheard", "no advert of n1")?;
    for id in ["virtual_mac_settings", "service_bound", "group_not_joined"] {
        diagnosis.expect_none(id)?;
    }
    host.namespace().set("ipv4/conf/vsw0/arp_ignore", "0")?;
    let [vip, _] = Cluster::addresses(0);
    let _service = host.namespace().enter(|| TcpListener::bind((vip, 8080)))??;
    let diagnosis = examine_running(&cluster, 1)?;
    diagnosis.expect("virtual_mac_settings", "sysctl -w net/ipv4/conf/vsw0/arp_ignore=1")?;
    diagnosis.expect("service_bound", "tcp port 8080 of 10.77.0.101")?;
    cluster.lan.cut("n2")?;
    cluster.agent(1)?.wait_for_state("web-a", Family::Ipv4, "Fault")?;
    let diagnosis = examine_running(&cluster, 1)?;
    diagnosis.expect("router_fault", "web-a/IPv4")?;
    diagnosis.expect("interface_down", "no carrier")?;
    cluster.lan.mend("n2")?;
    cluster.config = cluster.config.replace("100ms", "200ms");
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let diagnosis = examine_running(&cluster, 1)?;
    diagnosis.expect_none("preferred_peer_silent")?;
    diagnosis.expect_none("peer_unheard")?;
    cluster.agent(1)?.look_again()?;
    examine_running(&cluster, 1)?.expect("agent_alarm", "interval_differs: web-a/IPv4: n1")?;
    ensure!(host.has_address(IpAddr::from([10, 77, 0, 2]))?, "the node has lost its address");
    Ok(())
}
