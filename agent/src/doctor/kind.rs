//! Every finding that there is: its stable id, how bad it is, and why it matters.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Virtual addresses are not served, or by more than one node, now or at the next takeover.
    Error,
    /// It works, and not as well as it should, or not in every case.
    Warning,
    /// Worth knowing; it may be as it is meant.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Makes the list of findings once: the type, and what is known of each.
macro_rules! kinds {
    ($($kind:ident, $name:literal, $severity:ident, $why:literal;)*) => {
        /// What kind of finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $why] $kind,)*
        }

        impl Kind {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its id, which stays the same from version to version.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$kind => Severity::$severity,)* }
            }

            /// Why it matters.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$kind => $why,)* }
            }
        }
    };
}

kinds! {
    KernelOld, "kernel_old", Warning, "the guard needs Linux 5.10; without it forged adverts reach the agent, and nothing fences a host whose agent hangs";
    XdpUnsupported, "xdp_unsupported", Warning, "the kernel takes no XDP program: the guard can only sit in traffic control, behind more of the stack";
    RingBufferUnsupported, "ring_buffer_unsupported", Warning, "the guard hands adverts over in a ring buffer; without one adverts are judged on packet sockets and nothing is dropped in the kernel";
    BtfUnsupported, "btf_unsupported", Note, "the guard's maps have no names of fields for bpftool";
    TcxUnsupported, "tcx_unsupported", Note, "the guard uses filters of clsact instead of tcx links; those of a killed agent stay until the next start or `vipd detach`";
    BpffsMissing, "bpffs_missing", Warning, "vipd mounts it where it may; else nothing is pinned, so no fence and no link outlives the agent, and `vipd rejects` and `vipd speakers` have nothing to read";
    BpfJitOff, "bpf_jit_off", Warning, "the guard is interpreted, which makes every frame several times as expensive";
    BpfUnprivileged, "bpf_unprivileged", Note, "every user of this host may load BPF programs; vipd does not need that";

    CapabilityMissing, "capability_missing", Error, "without CAP_NET_RAW no advert is sent or heard, without CAP_NET_ADMIN no virtual address is held; what [process] asks for is refused without its own";
    GuardCapabilityMissing, "guard_capability_missing", Warning, "the kernel lets no guard be loaded: adverts are judged on packet sockets, and nothing fences a host whose agent hangs";
    MemlockLow, "memlock_low", Warning, "before Linux 5.11 the guard's maps count against RLIMIT_MEMLOCK, and are refused";

    ConfigurationError, "configuration_error", Error, "the agent does not start with it, and a reload changes nothing";
    ConfigurationWarning, "configuration_warning", Warning, "it works, though perhaps not as meant";
    ConfigurationWritable, "configuration_writable", Warning, "who can change the file decides which programs the agent runs, and which addresses it takes";
    PasswordReadable, "password_readable", Warning, "the file holds the password of version 2, and everybody on this host can read it";

    InterfaceMissing, "interface_missing", Error, "its virtual routers are in Fault until it is there; those of other interfaces are served";
    InterfaceDown, "interface_down", Error, "its virtual routers are in Fault while it is down or has no carrier";
    InterfaceEnslaved, "interface_enslaved", Error, "what comes to a port belongs to the interface above it: the host is not reached at addresses of the port";
    NodeAddressMissing, "node_address_missing", Error, "adverts come from this address; without it the virtual router waits in Initialize, and peers know this node by no other";
    AddressUnusable, "address_unusable", Error, "duplicate address detection has found another host with this address, and nothing may be sent from it";
    Ipv6Disabled, "ipv6_disabled", Error, "there is no IPv6 on the interface, neither for adverts nor for virtual addresses";
    LinkLocalMissing, "link_local_missing", Error, "adverts over IPv6 come from a link-local address (RFC 9568 §5.1.2.1); without one the virtual router waits in Initialize";
    MtuSmall, "mtu_small", Error, "an advert would be fragmented, and every peer drops it: the agent does not start";
    VswitchMtu, "vswitch_mtu", Warning, "a Hetzner vSwitch (VLAN 4000 to 4091) carries 1400 bytes: larger packets vanish without a word, and connections hang once they carry data";

    RpFilterStrict, "rp_filter_strict", Note, "what comes to a virtual address from a sender that this host would answer through another interface is dropped";
    ArpIgnoreAll, "arp_ignore_all", Error, "the kernel answers no ARP request on the interface, so nobody finds the virtual addresses";
    VirtualMacSettings, "virtual_mac_settings", Error, "with a Virtual Router MAC Address the interface below must not answer for the addresses itself, or hosts learn a MAC address that does not move";
    SettingsReadOnly, "settings_read_only", Warning, "vipd must change settings of the interface while it is Active and cannot, as in a container that is not privileged";
    ArpFlux, "arp_flux", Warning, "if both interfaces are on one LAN, the other one answers ARP requests for the virtual address as well, with a MAC address that the guard does not watch";
    ServiceBound, "service_bound", Note, "the service can be started only while this node is Active, so a takeover finds none on a Backup: let it listen on all addresses, or on addresses that are not there";

    XdpOccupied, "xdp_occupied", Warning, "an interface has one XDP program, and vipd replaces nobody's: the guard sits in traffic control, or nowhere";
    LroOn, "lro_on", Warning, "drivers refuse XDP while they make one large frame of several";
    VlanTagsHidden, "vlan_tags_hidden", Warning, "`[guard] vlan = \"parent\"` is not possible there; the guard sits on the VLAN sub-interface instead";
    AttachNote, "attach_note", Note, "worth knowing before the guard is attached";
    TrafficControlShared, "traffic_control_shared", Note, "a program that ends the chain in front of the guard hides frames from it";
    GuardDegraded, "guard_degraded", Warning, "adverts are judged in a worse way than was asked for, or not in the kernel at all";

    MulticastDisabled, "multicast_disabled", Error, "adverts go to a multicast group, which the interface does not carry";
    GroupNotJoined, "group_not_joined", Warning, "switches that snoop on multicast do not forward adverts to hosts that have not joined the group";
    BridgeSnooping, "bridge_snooping", Note, "a bridge that snoops and asks nobody forgets who listens; IPv6 adverts and Neighbor Solicitations may then not reach every port";
    BridgeAgeing, "bridge_ageing", Note, "the bridge forgets where the Virtual Router MAC Address is before it is announced again, and floods until then";

    FirewallDropsOutput, "firewall_drops_output", Error, "no peer hears this node: when it is Active, so is another";
    FirewallDropsInput, "firewall_drops_input", Warning, "vipd hears adverts before the firewall does, but keepalived and FRR behind the same rules do not: they become Active beside this node";
    FirewallUnclear, "firewall_unclear", Note, "whether adverts pass depends on rules that cannot be judged from outside";
    FirewallLegacy, "firewall_legacy", Note, "the rules of iptables-legacy are not in nftables, and were not looked at";

    VirtualAddressForeign, "virtual_address_foreign", Error, "this host has a virtual address that vipd has not put there: it serves itself and not the Active Router, and answers for the address where no guard keeps it from that";
    VirtualAddressOnKubeIpvs, "virtual_address_on_kube_ipvs", Error, "kube-proxy has put the address on every node, and without strictARP each of them answers ARP requests for it";
    VirtualAddressLeft, "virtual_address_left", Warning, "an agent that was killed has left it, and this host goes on answering for it";
    VirtualAddressConfigured, "virtual_address_configured", Error, "the host takes the address at every boot, whoever is Active: two hosts have it then";
    KeepalivedSameRouter, "keepalived_same_router", Error, "keepalived and vipd on one host serve the same virtual router: each takes what the other has";
    OtherAddressManager, "other_address_manager", Note, "it moves addresses too: see to it that no address is managed by both";

    NetworkdDropsAddresses, "networkd_drops_addresses", Warning, "systemd-networkd removes addresses that it has not configured whenever it configures the interface; vipd puts them back, and clients wait meanwhile";
    NetworkdDropsRoutes, "networkd_drops_routes", Warning, "systemd-networkd removes routes and rules that it has not configured when it starts; vipd puts them back";
    NetworkManagerManages, "network_manager_manages", Warning, "NetworkManager removes addresses that it has not configured when a connection is activated again; vipd puts them back, and clients wait meanwhile";

    ClockUnsynchronised, "clock_unsynchronised", Warning, "signed adverts go by the clock: one that drifts by more than half of `window` is not believed, and two nodes become Active";
    ClockInaccurate, "clock_inaccurate", Warning, "the clock may be off by more than half of `window`, and signed adverts are then not believed";

    AgentNotRunning, "agent_not_running", Note, "what only a running agent knows was not looked at";
    AgentHangs, "agent_hangs", Error, "elections stand still; the supervisor or the fence has handed over what it had";
    AgentIsInit, "agent_is_init", Warning, "the kernel kills every process of a container with the first, the supervisor too: nobody hands over for an agent that is killed";
    AgentOtherVersion, "agent_other_version", Note, "the agent is older or newer than this program: `vipd restart` has it go on as this one";
    InterfaceClaimed, "interface_claimed", Error, "an interface has one agent: this one does not start while the other serves it";
    PinsLeft, "pins_left", Warning, "a killed agent's fence may hold back ARP while a peer is Active, which confuses whoever serves there next";
    RouterFault, "router_fault", Error, "this node does not serve the virtual router, and cannot take it over";
    AgentAlarm, "agent_alarm", Warning, "the agent sees it and goes on";
    PreferredPeerSilent, "preferred_peer_silent", Warning, "it should be Active and is not heard: it is down, drained or in Fault, or its adverts do not come here and both are Active";
    PeerUnheard, "peer_unheard", Note, "a Backup is silent, so this may be in order; before the first takeover it is the only sign of a wrong VLAN, cable or address";
    AdvertsUnsent, "adverts_unsent", Note, "peers that miss three adverts in a row take over";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
