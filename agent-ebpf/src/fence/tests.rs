//! Every state of role, heartbeat, fence and configuration against what the host may say and hear.

extern crate std;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{recipient::Recipient, testing::IFINDEX, units::Family};

const NOW: u64 = 100_000_000_000;
/// The heartbeat may be two seconds old.
const FRESH: u64 = 98_000_000_000;
const STALE: u64 = 97_999_999_999;

const OWN_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);
const STRANGER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x66]);

const VIP: [u8; 16] = [10, 77, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HOST: [u8; 16] = [10, 77, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const NOBODY: [u8; 16] = [0; 16];

const ROUTER: RouterKey = RouterKey { ifindex: IFINDEX, vlan: 0, family: 4, vrid: 51 };
const VIP_KEY: VipKey = VipKey { ifindex: IFINDEX, vlan: 0, family: 4, padding: 0, address: VIP };

/// Stands in for the BPF maps.
#[derive(Clone)]
struct Watch {
    vips: BTreeMap<VipKey, RouterKey>,
    routers: BTreeMap<RouterKey, Router>,
    roles: BTreeMap<RouterKey, Role>,
    fences: BTreeMap<RouterKey, Fence>,
    beat_ns: u64,
    stations: BTreeSet<Station>,
}

impl Post for Watch {
    fn vip(&self, key: &VipKey) -> Option<&RouterKey> {
        self.vips.get(key)
    }

    fn router(&self, key: &RouterKey) -> Option<&Router> {
        self.routers.get(key)
    }

    fn role(&self, key: &RouterKey) -> Option<&Role> {
        self.roles.get(key)
    }

    fn fence(&self, key: &RouterKey) -> Option<&Fence> {
        self.fences.get(key)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { beat_ns: self.beat_ns, wall_offset_ns: 0 }
    }

    fn knows(&self, station: &Station) -> bool {
        self.stations.contains(station)
    }
}

impl Watch {
    /// One virtual router with one address and one peer.
    fn new(fence: u8, active: u32, beat_ns: u64, closed_until_ns: Option<u64>) -> Self {
        let router = Router { own_mac: OWN_MAC.0, fence, ..Router::default() };
        let role = Role { stale_after_ns: 2_000_000_000, active, padding: 0 };
        let fences = closed_until_ns.map(|closed_until_ns| (ROUTER, Fence { closed_until_ns, beat_ns, closings: 0 }));
        Self {
            vips: BTreeMap::from([(VIP_KEY, ROUTER)]),
            routers: BTreeMap::from([(ROUTER, router)]),
            roles: BTreeMap::from([(ROUTER, role)]),
            fences: fences.into_iter().collect(),
            beat_ns,
            stations: BTreeSet::from([Station { ifindex: IFINDEX, vlan: 0, mac: PEER_MAC.0 }]),
        }
    }

    /// Active, alive.
    fn active() -> Self {
        Self::new(1, 1, FRESH, Some(0))
    }

    /// Active, hung, the fence closed.
    fn fenced() -> Self {
        Self::new(1, 1, STALE, Some(NOW + 1))
    }
}

fn says(claimed: [u8; 16], claimed_mac: MacAddr, source_mac: MacAddr, asked: [u8; 16]) -> Neighbor {
    Neighbor { source_mac, vlan: 0, family: Family::Ipv4, claimed, claimed_mac, asked }
}

/// A request of a host that knows nothing of VRRP.
fn request() -> Neighbor {
    says(HOST, STRANGER_MAC, STRANGER_MAC, VIP)
}

/// A stranger's claim.
fn claim() -> Neighbor {
    says(VIP, STRANGER_MAC, STRANGER_MAC, NOBODY)
}

/// What this host sends in the name of its virtual address.
fn own() -> Neighbor {
    says(VIP, OWN_MAC, OWN_MAC, NOBODY)
}

/// What comes of one state: (claims are stopped, requests are not answered and nothing is said, traffic is stopped, a
/// good advert moves the fence).
type Consequences = (bool, bool, bool, bool);

fn consequences(watch: &Watch) -> Consequences {
    let trespass = trespass(&claim(), IFINDEX, watch, NOW).unwrap();
    assert_eq!((trespass.vip, trespass.router), (VIP_KEY, ROUTER));
    let unanswered = unanswered(&request(), IFINDEX, watch, NOW);
    let held_back = held_back(&own(), IFINDEX, watch, NOW);
    assert_eq!(unanswered, held_back, "what is not answered is not said either");
    let cut_off = cut_off(&VIP_KEY, watch, NOW);
    for router in [unanswered, cut_off].into_iter().flatten() {
        assert_eq!(router, ROUTER);
    }
    let moved = close(&ROUTER, 200, 100, watch, NOW);
    assert!(moved.is_none_or(|until_ns| until_ns == 104_000_000_000), "{moved:?}");
    (trespass.is_contested, unanswered.is_some(), cut_off.is_some(), moved.is_some())
}

#[test]
fn role_heartbeat_and_fence_decide() {
    const ABSENT: Option<u64> = None;
    const OPEN: Option<u64> = Some(0);
    const CLOSED: Option<u64> = Some(NOW + 1);
    const EXPIRED: Option<u64> = Some(NOW);
    let nothing = (false, false, false, false);
    let serving = (true, false, false, false);
    let backup = (false, true, false, false);
    let hung = (false, false, false, true);
    let fenced = (false, true, true, true);
    let hung_backup = nothing;
    let fenced_backup = (false, true, true, false);
    // (Active, heartbeat, fence, consequences)
    let cases = [
        (1, FRESH, ABSENT, serving),
        (1, FRESH, OPEN, serving),
        (1, FRESH, CLOSED, serving),
        (1, FRESH, EXPIRED, serving),
        (1, STALE, ABSENT, hung),
        (1, STALE, OPEN, hung),
        (1, STALE, CLOSED, fenced),
        (1, STALE, EXPIRED, hung),
        (0, FRESH, ABSENT, backup),
        (0, FRESH, OPEN, backup),
        (0, FRESH, CLOSED, backup),
        (0, FRESH, EXPIRED, backup),
        (0, STALE, ABSENT, hung_backup),
        (0, STALE, OPEN, hung_backup),
        (0, STALE, CLOSED, fenced_backup),
        (0, STALE, EXPIRED, hung_backup),
    ];
    for (active, beat_ns, fence, expected) in cases {
        let case = std::format!("active {active}, beat {beat_ns}, fence {fence:?}");
        assert_eq!(consequences(&Watch::new(1, active, beat_ns, fence)), expected, "{case}");
        // Without the fence only a stranger's claims are stopped.
        let unfenced = (expected.0, false, false, false);
        assert_eq!(consequences(&Watch::new(0, active, beat_ns, fence)), unfenced, "{case}, off");
    }
}

#[test]
fn a_peer_and_this_host_are_no_strangers() {
    let cases = [
        ("a peer", PEER_MAC, PEER_MAC, false),
        ("this host", OWN_MAC, OWN_MAC, false),
        ("a peer for us", OWN_MAC, PEER_MAC, false),
        ("a stranger", STRANGER_MAC, STRANGER_MAC, true),
        ("a stranger for a peer", PEER_MAC, STRANGER_MAC, true),
        ("a peer for a stranger", STRANGER_MAC, PEER_MAC, true),
        ("a stranger for us", OWN_MAC, STRANGER_MAC, true),
        ("we for a stranger", STRANGER_MAC, OWN_MAC, true),
        ("everybody", MacAddr::BROADCAST, PEER_MAC, true),
    ];
    for (case, claimed_mac, source_mac, expected) in cases {
        let found = trespass(&says(VIP, claimed_mac, source_mac, NOBODY), IFINDEX, &Watch::active(), NOW);
        assert_eq!(found.is_some(), expected, "{case}");
    }
}

/// An interface or a VLAN says nothing about another.
#[test]
fn a_peer_is_known_where_it_was_heard() {
    let frame = says(VIP, PEER_MAC, PEER_MAC, NOBODY);
    for station in [
        Station { ifindex: IFINDEX + 1, vlan: 0, mac: PEER_MAC.0 },
        Station { ifindex: IFINDEX, vlan: 5, mac: PEER_MAC.0 },
        Station { ifindex: IFINDEX, vlan: 0, mac: [0x02, 0, 0, 0, 0, 0x03] },
    ] {
        let watch = Watch { stations: BTreeSet::from([station]), ..Watch::active() };
        assert!(trespass(&frame, IFINDEX, &watch, NOW).is_some(), "{station:?}");
    }
}

#[test]
fn a_peer_in_a_vlan_is_known_in_that_vlan() {
    for (vlan, is_known) in [(5, true), (0, false), (6, false)] {
        let watch = Watch {
            vips: BTreeMap::from([(VipKey { vlan: 5, ..VIP_KEY }, ROUTER)]),
            stations: BTreeSet::from([Station { ifindex: IFINDEX, vlan, mac: PEER_MAC.0 }]),
            ..Watch::active()
        };
        let frame = Neighbor { vlan: 5, ..says(VIP, PEER_MAC, PEER_MAC, NOBODY) };
        assert_eq!(trespass(&frame, IFINDEX, &watch, NOW).is_none(), is_known, "heard in VLAN {vlan}");
    }
}

#[test]
fn other_addresses_are_nobodys_business_here() {
    let mut other = VIP;
    other[3] = 101;
    for address in [HOST, other, NOBODY] {
        for watch in [Watch::active(), Watch::fenced(), Watch::new(1, 0, FRESH, None)] {
            let frame = says(address, STRANGER_MAC, STRANGER_MAC, address);
            assert_eq!(trespass(&frame, IFINDEX, &watch, NOW), None, "{address:?}");
            assert_eq!(held_back(&frame, IFINDEX, &watch, NOW), None, "{address:?}");
            let frame = Neighbor { claimed: [1; 16], ..frame };
            assert_eq!(unanswered(&frame, IFINDEX, &watch, NOW), None, "{address:?}");
            assert_eq!(cut_off(&VipKey { address, ..VIP_KEY }, &watch, NOW), None, "{address:?}");
        }
    }
}

/// Whatever this node is: what it announces is what counts.
#[test]
fn a_frame_reaches_a_virtual_address_at_the_ethernet_address_that_is_announced() {
    for watch in [Watch::active(), Watch::fenced(), Watch::new(1, 0, FRESH, None)] {
        let frame = Recipient { mac: OWN_MAC, vlan: 0, family: Family::Ipv4, address: VIP };
        assert_eq!(reached(&frame, IFINDEX, &watch), Some(ROUTER));
        for mac in [PEER_MAC, STRANGER_MAC, MacAddr::BROADCAST] {
            assert_eq!(reached(&Recipient { mac, ..frame }, IFINDEX, &watch), None, "{mac}");
        }
        assert_eq!(reached(&Recipient { address: HOST, ..frame }, IFINDEX, &watch), None);
        assert_eq!(reached(&Recipient { vlan: 5, ..frame }, IFINDEX, &watch), None);
        assert_eq!(reached(&frame, IFINDEX + 1, &watch), None);
    }
}

#[test]
fn an_address_is_ours_on_its_interface_in_its_vlan_and_family() {
    let elsewhere: [(&str, u32, u16, Family); 3] = [
        ("another interface", IFINDEX + 1, 0, Family::Ipv4),
        ("another VLAN", IFINDEX, 5, Family::Ipv4),
        ("another family", IFINDEX, 0, Family::Ipv6),
    ];
    let watch = Watch::fenced();
    for (case, ifindex, vlan, family) in elsewhere {
        assert_eq!(trespass(&Neighbor { vlan, family, ..claim() }, ifindex, &watch, NOW), None, "{case}");
        assert_eq!(unanswered(&Neighbor { vlan, family, ..request() }, ifindex, &watch, NOW), None, "{case}");
        assert_eq!(held_back(&Neighbor { vlan, family, ..own() }, ifindex, &watch, NOW), None, "{case}");
        let key = VipKey { ifindex, vlan, family: family.number(), ..VIP_KEY };
        assert_eq!(cut_off(&key, &watch, NOW), None, "{case}");
    }
}

/// A daemon that has been back, and hangs again, has not been replaced again.
#[test]
fn a_heartbeat_opens_the_fence_for_good() {
    let closed = Watch::fenced();
    assert_eq!(unanswered(&request(), IFINDEX, &closed, NOW), Some(ROUTER));
    let reopened = Watch { beat_ns: STALE - 1, ..Watch::fenced() };
    assert_eq!(unanswered(&request(), IFINDEX, &reopened, NOW), None);
    assert_eq!(held_back(&own(), IFINDEX, &reopened, NOW), None);
    assert_eq!(cut_off(&VIP_KEY, &reopened, NOW), None);
}

#[test]
fn whoever_asks_for_himself_is_heard() {
    for watch in [Watch::fenced(), Watch::new(1, 0, FRESH, None)] {
        let gratuitous = says(VIP, PEER_MAC, PEER_MAC, VIP);
        assert_eq!(unanswered(&gratuitous, IFINDEX, &watch, NOW), None);
        assert_eq!(held_back(&gratuitous, IFINDEX, &watch, NOW), Some(ROUTER), "as what this host sends");
        for asker in [HOST, NOBODY] {
            let question = Neighbor { claimed: asker, ..gratuitous };
            assert_eq!(unanswered(&question, IFINDEX, &watch, NOW), Some(ROUTER), "{asker:?}");
        }
    }
}

#[test]
fn what_is_not_configured_passes() {
    let without_router = Watch { routers: BTreeMap::new(), ..Watch::fenced() };
    let without_role = Watch { roles: BTreeMap::new(), ..Watch::fenced() };
    let without_vip = Watch { vips: BTreeMap::new(), ..Watch::fenced() };
    for watch in [without_router, without_role, without_vip.clone()] {
        assert_eq!(trespass(&claim(), IFINDEX, &watch, NOW), None);
        assert_eq!(unanswered(&request(), IFINDEX, &watch, NOW), None);
        assert_eq!(held_back(&own(), IFINDEX, &watch, NOW), None);
        assert_eq!(cut_off(&VIP_KEY, &watch, NOW), None);
    }
    let elsewhere = RouterKey { vrid: 9, ..ROUTER };
    assert_eq!(close(&elsewhere, 200, 100, &without_vip, NOW), None);
}

#[test]
fn the_fence_closes_for_four_intervals_of_the_peer() {
    // (priority, interval in centiseconds, closed until)
    let cases = [
        (200, 100, 104_000_000_000),
        (1, 100, 104_000_000_000),
        (255, 1, 100_040_000_000),
        (200, 4095, 263_800_000_000),
        (0, 100, 0),
        (0, 4095, 0),
    ];
    for (priority, interval_cs, until_ns) in cases {
        for fence in [None, Some(0), Some(NOW + 1)] {
            let moved = close(&ROUTER, priority, interval_cs, &Watch::new(1, 1, STALE, fence), NOW);
            assert_eq!(moved, Some(until_ns), "priority {priority}, interval {interval_cs}");
        }
    }
}

/// CLOCK_MONOTONIC is read by two sides; the kernel's may be a moment behind.
#[test]
fn a_heartbeat_from_the_future_is_fresh() {
    assert_eq!(consequences(&Watch::new(1, 1, NOW + 1_000, Some(NOW + 1))), (true, false, false, false));
}
