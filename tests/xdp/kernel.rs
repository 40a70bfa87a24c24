//! The loaded programs, what they are configured with, and what their counters should say.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{TestRun, TestRunOptions};
use nix::time::{ClockId, clock_gettime};
use vipd::datapath::{guard::Guard, tables::UserTables};
use vrrp_wire::{
    Family, MacAddr,
    abi::{
        Counters, Fence, Heartbeat, Peer, PeerKey, Role, Router, RouterKey, Settings, Verdict, VipKey, address_bytes,
        program,
    },
    hmac::Midstates,
    judge::{Finding, examine},
    sequence::from_nanoseconds,
};

pub(crate) const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Xdp,
    Ingress,
    Egress,
}

/// The two that judge what arrives.
pub(crate) const INWARD: [Hook; 2] = [Hook::Xdp, Hook::Ingress];

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Drop,
}

/// The loopback interface of any namespace, where `BPF_PROG_TEST_RUN` lets frames arrive.
pub(crate) const IFINDEX: u32 = 1;

/// Virtual routers, each in both families: multicast, unicast, every advert signed, signed or not, any link-local sender.
pub(crate) const MULTICAST: u8 = 51;
pub(crate) const UNICAST: u8 = 52;
pub(crate) const SIGNED: u8 = 53;
pub(crate) const EITHER: u8 = 54;
pub(crate) const ANYBODY: u8 = 55;
pub(crate) const VRIDS: [u8; 5] = [MULTICAST, UNICAST, SIGNED, EITHER, ANYBODY];
/// Of version 2, with [`PASSWORD`] and an interval of 1 s.
pub(crate) const VERSION_2: u8 = 56;
/// Whose adverts over IPv6 begin with a link-local address.
pub(crate) const LINK_LOCAL: u8 = 57;
/// All of them.
pub(crate) const CONFIGURED: [u8; 7] = [MULTICAST, UNICAST, SIGNED, EITHER, ANYBODY, VERSION_2, LINK_LOCAL];

/// The password of version 2.
pub(crate) const PASSWORD: &[u8; 8] = b"s3cret\0\0";

pub(crate) const OWN_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
pub(crate) const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);
pub(crate) const STRANGER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x66]);

/// The key of identifier 1.
pub(crate) use harness::signed::KEY as KEY_1;
/// The key of identifier 7.
pub(crate) const KEY_7: &[u8] = b"vipd-test-key-ascii-0123456789abcdef";

/// What the wall clock says, in nanoseconds since 1970: when the capture was made. No advert in it is more than four
/// seconds away.
pub(crate) const CAPTURED_NS: u64 = 1_795_332_314_000_000_000;
/// The same as a sequence.
pub(crate) const CAPTURED: u64 = 0x6b02_98da_0000_0000;
/// The time in the vectors that the draft publishes, in nanoseconds since 1970.
pub(crate) const PUBLISHED_NS: u64 = 1_744_830_464_500_000_000;
/// An hour, in nanoseconds: longer than any test takes.
pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;
/// One second, as a difference of sequences.
pub(crate) const SECOND: u64 = 1 << 32;

/// The host `number`: 1 is ours, 2 the peer, 100 and above are virtual, anybody else is a stranger.
pub(crate) fn host(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 77, 0, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// The virtual address of a virtual router.
pub(crate) fn vip(family: Family, vrid: u8) -> IpAddr {
    host(family, vrid + 100)
}

pub(crate) const fn key(family: Family, vrid: u8) -> RouterKey {
    RouterKey { ifindex: IFINDEX, vlan: 0, family: family.number(), vrid }
}

pub(crate) fn peer_key(family: Family, vrid: u8) -> PeerKey {
    PeerKey { router: key(family, vrid), source: address_bytes(host(family, 2)) }
}

pub(crate) fn vip_key(family: Family, vrid: u8) -> VipKey {
    let address = address_bytes(vip(family, vrid));
    VipKey { ifindex: IFINDEX, vlan: 0, family: family.number(), padding: 0, address }
}

/// Now, in nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn now_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

/// The loaded programs, what they were told, and what they must have counted.
pub(crate) struct Kernel {
    pub(crate) guard: Guard,
    /// The same in user space.
    pub(crate) tables: UserTables,
    /// What the counters must say.
    ledger: BTreeMap<RouterKey, Counters>,
    enforce: bool,
    /// What the wall clock says at every frame; `None` where it goes on.
    frozen_ns: Option<u64>,
    /// The last sign of life while it does not.
    beat_ns: u64,
    /// Added to CLOCK_MONOTONIC, this is the wall clock's time.
    wall_offset_ns: u64,
}

impl Kernel {
    /// With nothing but keys, clock and the counters of VRRP that is not ours. `enforce` as in [`Settings`].
    pub(crate) fn bare(enforce: u32) -> Result<Self> {
        Self::tell(Guard::load(None)?, enforce)
    }

    fn tell(guard: Guard, enforce: u32) -> Result<Self> {
        let mut kernel = Self {
            guard,
            tables: UserTables::default(),
            ledger: BTreeMap::new(),
            enforce: false,
            frozen_ns: None,
            beat_ns: 0,
            wall_offset_ns: 0,
        };
        kernel.set_enforce(enforce)?;
        let keys = BTreeMap::from([(1, Midstates::new(&KEY_1)), (7, Midstates::new(KEY_7))]);
        for (&id, &midstates) in &keys {
            kernel.guard.set_key(id.into(), midstates)?;
        }
        kernel.tables.set_keys(keys);
        for family in FAMILIES {
            kernel.guard.add_counters(key(family, 0))?;
            kernel.ledger.insert(key(family, 0), Counters::default());
        }
        kernel.set_wall_clock(CAPTURED_NS)?;
        Ok(kernel)
    }

    /// With every virtual router, Active in all of them, one peer for each, its MAC address pinned.
    pub(crate) fn new(enforce: u32) -> Result<Self> {
        Self::with_guard(Guard::load(None)?, enforce)
    }

    /// The same with a guard that is loaded already.
    pub(crate) fn with_guard(guard: Guard, enforce: u32) -> Result<Self> {
        let mut kernel = Self::tell(guard, enforce)?;
        for (family, vrid) in FAMILIES.into_iter().flat_map(|family| CONFIGURED.map(|vrid| (family, vrid))) {
            kernel.configure_anew(family, vrid)?;
            kernel.guard.set_vip(vip_key(family, vrid), key(family, vrid))?;
        }
        Ok(kernel)
    }

    fn configure_anew(&mut self, family: Family, vrid: u8) -> Result<()> {
        let router = Router {
            own_address: address_bytes(host(family, 1)),
            own_mac: OWN_MAC.0,
            unicast: u8::from(vrid == UNICAST),
            auth: match vrid {
                SIGNED => Router::AUTH_REQUIRED,
                EITHER => Router::AUTH_OPTIONAL,
                _ => Router::AUTH_OFF,
            },
            window: 5 * SECOND,
            link_local: match vrid {
                EITHER => Router::VERIFIED,
                ANYBODY => Router::ANY,
                _ => Router::LISTED,
            },
            fence: 1,
            version_2: u8::from(vrid == VERSION_2),
            auth_type: Router::PASSWORD,
            password: *PASSWORD,
            interval_s: 1,
            link_local_first: u8::from(vrid == LINK_LOCAL && family == Family::Ipv6),
            long: u8::from(vrid == SIGNED),
            hops_max: 0,
        };
        self.configure(key(family, vrid), router, host(family, 2), Some(PEER_MAC))
    }

    /// Adds a virtual router with one peer; this node is Active in it, and may be silent for an hour.
    pub(crate) fn configure(
        &mut self,
        key: RouterKey,
        router: Router,
        peer: IpAddr,
        pin: Option<MacAddr>,
    ) -> Result<()> {
        self.ledger.entry(key).or_default();
        self.guard.set_router(key, router)?;
        self.guard.set_fence(key, Fence::default())?;
        self.set_role(key, 1, HOUR_NS)?;
        self.tables.set_router(key, router);
        self.add_peer(key, peer, pin)
    }

    /// Says whether this node is Active in a virtual router, and how long the daemon may be silent.
    pub(crate) fn set_role(&mut self, key: RouterKey, active: u32, stale_after_ns: u64) -> Result<()> {
        Ok(self.guard.set_role(key, Role { stale_after_ns, active, padding: 0 })?)
    }

    /// Forgets what was heard and done: stamps, marks, roles, fences.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        for (family, vrid) in FAMILIES.into_iter().flat_map(|family| CONFIGURED.map(|vrid| (family, vrid))) {
            self.guard.remove_peer(&peer_key(family, vrid))?;
            self.tables.remove_peer(&peer_key(family, vrid));
            self.configure_anew(family, vrid)?;
        }
        self.guard.clear_fenced_until()?;
        self.set_wall_clock(CAPTURED_NS)
    }

    /// `enforce` as in [`Settings`].
    pub(crate) fn set_enforce(&mut self, enforce: u32) -> Result<()> {
        self.enforce = enforce == 1;
        Ok(self.guard.set_settings(Settings { enforce, ..Settings::default() })?)
    }

    /// Adds a sender to the allow-list of a virtual router.
    pub(crate) fn add_peer(&mut self, router: RouterKey, address: IpAddr, pin: Option<MacAddr>) -> Result<()> {
        let key = PeerKey { router, source: address_bytes(address) };
        let peer = Peer { mac: pin.map_or([0; 6], |mac| mac.0), mac_pinned: pin.is_some().into(), ..Peer::default() };
        self.tables.set_peer(key, peer);
        Ok(self.guard.set_peer(key, peer)?)
    }

    /// Configures `fence = "off"` for a virtual router.
    pub(crate) fn open_for_good(&mut self, key: RouterKey) -> Result<()> {
        let own_address = address_bytes(host(Family::from_number(key.family).context("no family")?, 1));
        let router = Router { own_address, own_mac: OWN_MAC.0, ..Router::default() };
        self.tables.set_router(key, router);
        Ok(self.guard.set_router(key, router)?)
    }

    /// Lets the wall clock say `unix_ns` at every frame from now on, each with a sign of life of the daemon: however long a
    /// test takes, nothing grows old.
    pub(crate) fn set_wall_clock(&mut self, unix_ns: u64) -> Result<()> {
        self.frozen_ns = Some(unix_ns);
        self.beat()
    }

    fn beat(&mut self) -> Result<()> {
        let Some(unix_ns) = self.frozen_ns else { return Ok(()) };
        self.beat_ns = now_ns()?;
        self.wall_offset_ns = unix_ns - self.beat_ns;
        Ok(self.guard.set_heartbeat(Heartbeat { beat_ns: self.beat_ns, wall_offset_ns: self.wall_offset_ns })?)
    }

    /// Sets the daemon's last sign of life; time goes on.
    pub(crate) fn set_heartbeat(&mut self, heartbeat: Heartbeat) -> Result<()> {
        self.frozen_ns = None;
        self.beat_ns = 0;
        self.wall_offset_ns = heartbeat.wall_offset_ns;
        Ok(self.guard.set_heartbeat(heartbeat)?)
    }

    /// Sets the last verified sequence of the peer.
    pub(crate) fn set_mark(&mut self, key: PeerKey, mark: u64) -> Result<()> {
        self.tables.set_mark(key, mark);
        Ok(self.guard.set_mark(key, mark)?)
    }

    /// Whether `BPF_PROG_TEST_RUN` takes the frame: for traffic control it wants IP headers to be there, and all in one
    /// page.
    pub(crate) fn takes(hook: Hook, frame: &[u8]) -> bool {
        let needed = match frame.get(12..14) {
            _ if hook == Hook::Xdp => 14,
            Some([0x08, 0x00]) => 34,
            Some([0x86, 0xdd]) => 54,
            _ => 15,
        };
        frame.len() >= needed && (hook == Hook::Xdp || frame.len() <= 3500)
    }

    /// Lets the kernel judge `frame`; returns what it does with it.
    pub(crate) fn run(&mut self, hook: Hook, frame: &[u8]) -> Result<Action> {
        const XDP_DROP: u32 = 1;
        const XDP_PASS: u32 = 2;
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        const TC_ACT_SHOT: u32 = 2;
        self.beat()?;
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let programs = self.guard.programs();
        let result = match hook {
            Hook::Xdp => programs.xdp()?.test_run(options),
            Hook::Ingress => programs.classifier(program::INGRESS)?.test_run(options),
            Hook::Egress => programs.classifier(program::EGRESS)?.test_run(options),
        };
        match (hook, result.context("BPF_PROG_TEST_RUN failed")?.return_value) {
            (Hook::Xdp, XDP_PASS) | (Hook::Ingress | Hook::Egress, TC_ACT_UNSPEC) => Ok(Action::Pass),
            (Hook::Xdp, XDP_DROP) | (Hook::Ingress | Hook::Egress, TC_ACT_SHOT) => Ok(Action::Drop),
            (_, other) => bail!("{hook:?} returned {other} for {frame:02x?}"),
        }
    }

    /// What the wall clock says, in nanoseconds since 1970.
    pub(crate) fn unix_ns(&self) -> Result<u64> {
        Ok(now_ns()? + self.wall_offset_ns)
    }

    /// Notes in the ledger what the counters of `key` must have become.
    pub(crate) fn expect(&mut self, key: RouterKey, change: impl FnOnce(&mut Counters)) {
        change(self.ledger.entry(key).or_default());
    }

    /// Fails unless every counter there is says what the ledger does.
    pub(crate) fn settle(&self) -> Result<()> {
        let counted: BTreeMap<_, _> = self.guard.all_counters().into_iter().collect();
        for (key, expected) in &self.ledger {
            ensure!(counted.get(key) == Some(expected), "{key:?}: {:?} instead of {expected:?}", counted.get(key));
        }
        ensure!(counted.len() == self.ledger.len(), "counters of others: {:?}", counted.keys());
        Ok(())
    }

    /// What is known of the peer as a sender for `vrid`.
    pub(crate) fn peer(&self, family: Family, vrid: u8) -> Result<Peer> {
        self.guard.peer(&peer_key(family, vrid)).context("the peer is gone")
    }

    /// What user space finds in `frame` at a time, as far as a record can tell.
    fn examine(&mut self, frame: &[u8], now_ns: u64) -> Option<Finding> {
        const RECORD_MAX: usize = 1480;
        self.tables.set_wall_clock(from_nanoseconds(now_ns + self.wall_offset_ns));
        let mut finding = examine(frame, IFINDEX, &self.tables)?;
        if finding.verdict.is_handed_over() && finding.facts.message_len > RECORD_MAX {
            finding.verdict = Verdict::Truncated;
        }
        Some(finding)
    }

    /// Fails unless the kernel does, finds, counts and records what user space says; returns the verdict.
    ///
    /// What the kernel counts where there is nothing to find shows when the ledger is [settled](Self::settle).
    pub(crate) fn agrees(&mut self, hook: Hook, frame: &[u8]) -> Result<Option<Verdict>> {
        Ok(self.finds(hook, frame)?.map(|finding| finding.verdict))
    }

    /// The same, and returns the whole finding.
    pub(crate) fn finds(&mut self, hook: Hook, frame: &[u8]) -> Result<Option<Finding>> {
        let before_ns = now_ns()?;
        let action = self.run(hook, frame)?;
        let mut finding = self.examine(frame, before_ns.max(self.beat_ns));
        if self.fits(finding.as_ref(), action, frame).is_err() {
            // Time has passed between the two looks at the clock.
            finding = self.examine(frame, now_ns()?);
            let start = &frame[..frame.len().min(128)];
            self.fits(finding.as_ref(), action, frame).with_context(|| {
                format!("{hook:?}, {action:?}, user space says {finding:?} of {} bytes, {start:02x?}", frame.len())
            })?;
        }
        let Some(finding) = finding else { return Ok(None) };
        let counters = self.guard.counters(&finding.router);
        self.ledger.insert(finding.router, counters);
        let record = self.guard.next_advert();
        ensure!(record.is_some() == finding.verdict.is_handed_over(), "{finding:?}, recorded: {}", record.is_some());
        if let Some(record) = record {
            let facts = finding.facts;
            let message = frame.get(facts.message_offset..facts.message_offset + facts.message_len);
            ensure!(message == record.message.get(..record.message_len.into()), "another message is recorded");
            let recorded = (record.source, record.destination, record.ttl, record.vlan, record.source_mac);
            let found = (facts.source, facts.destination, facts.ttl, facts.vlan, facts.source_mac.0);
            ensure!(recorded == found, "{recorded:?} is recorded of {facts:?}");
        }
        Ok(Some(finding))
    }

    /// Whether what the kernel did and counted is what it must on `finding`.
    fn fits(&self, finding: Option<&Finding>, action: Action, frame: &[u8]) -> Result<()> {
        let is_bad = finding.is_some_and(|finding| finding.verdict.is_bad());
        let expected = if is_bad && self.enforce { Action::Drop } else { Action::Pass };
        ensure!(action == expected, "{action:?} instead of {expected:?}");
        let Some(finding) = finding else { return Ok(()) };
        let mut counters = self.ledger.get(&finding.router).copied().context("nothing is counted there")?;
        counters.add(finding.verdict);
        counters.dropped += u64::from(is_bad && self.enforce);
        counters.would_drop += u64::from(is_bad && !self.enforce);
        let counted = self.guard.counters(&finding.router);
        ensure!(counted == counters, "counted {counted:?} for {} bytes", frame.len());
        Ok(())
    }
}
