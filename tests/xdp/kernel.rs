//! The loaded program and what it is configured with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions};
use vipd::datapath::{tables::UserTables, xdp::Guard};
use vrrp_wire::{
    Family, MacAddr,
    abi::{Counters, Peer, PeerKey, Router, RouterKey, Settings, Verdict},
    judge::examine,
};

pub(crate) const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// `XDP_DROP` of the kernel's interface.
pub(crate) const DROP: u32 = 1;
/// `XDP_PASS` of the kernel's interface.
pub(crate) const PASS: u32 = 2;

/// The loopback interface of any namespace, where `BPF_PROG_TEST_RUN` lets frames arrive.
const IFINDEX: u32 = 1;
pub(crate) const MULTICAST_VRID: u8 = 51;
pub(crate) const UNICAST_VRID: u8 = 52;
/// VRID 0 stands for adverts of no virtual router of ours.
const VRIDS: [u8; 3] = [0, MULTICAST_VRID, UNICAST_VRID];
pub(crate) const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);

/// The host `number`: 1 is ours, 2 the peer, anybody else a stranger.
pub(crate) fn host(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 77, 0, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

pub(crate) const fn key(family: Family, vrid: u8) -> RouterKey {
    RouterKey { ifindex: IFINDEX, vlan: 0, family: family.number(), vrid }
}

pub(crate) fn peer_key(family: Family, vrid: u8) -> PeerKey {
    PeerKey { router: key(family, vrid), source: sixteen(host(family, 2)) }
}

/// The loaded program, which serves a multicast and a unicast virtual router of each family, and what it was told.
pub(crate) struct Kernel {
    pub(crate) guard: Guard,
    tables: UserTables,
}

impl Kernel {
    /// `enforce` as in [`Settings`].
    pub(crate) fn new(enforce: u32) -> Result<Self> {
        Self::with_guard(Guard::load(None)?, enforce)
    }

    pub(crate) fn with_guard(mut guard: Guard, enforce: u32) -> Result<Self> {
        let mut tables = UserTables::default();
        guard.set_settings(Settings { enforce, log_drops: 0 })?;
        let last =
            Peer { mac: PEER_MAC.0, mac_pinned: 1, last_priority: 0, last_interval_cs: 0, adverts: 0, last_good_ns: 0 };
        for family in FAMILIES {
            guard.add_counters(key(family, 0))?;
            for (vrid, unicast) in [(MULTICAST_VRID, 0), (UNICAST_VRID, 1)] {
                let router = Router { own_address: sixteen(host(family, 1)), unicast, padding: 0 };
                guard.set_router(key(family, vrid), router)?;
                tables.set_router(key(family, vrid), router);
                guard.set_peer(peer_key(family, vrid), last)?;
                tables.set_peer(peer_key(family, vrid), last);
            }
        }
        Ok(Self { guard, tables })
    }

    /// Lets the kernel judge `frame`; returns what it does with it.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<u32> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        Ok(self.guard.program()?.test_run(options).context("BPF_PROG_TEST_RUN failed")?.return_value)
    }

    /// Every counter there is.
    pub(crate) fn counters(&self) -> Vec<(RouterKey, Counters)> {
        let keys = FAMILIES.into_iter().flat_map(|family| VRIDS.map(|vrid| key(family, vrid)));
        keys.map(|key| (key, self.guard.counters(&key))).collect()
    }

    /// What the kernel knows of the peer as a sender for `vrid`.
    pub(crate) fn peer(&self, family: Family, vrid: u8) -> Result<Peer> {
        self.guard.peer(&peer_key(family, vrid)).context("the peer is gone")
    }

    /// The counters as they are once `change` is made to those of `key`.
    pub(crate) fn counters_with(
        &self,
        key: RouterKey,
        change: impl FnOnce(&mut Counters),
    ) -> Vec<(RouterKey, Counters)> {
        let mut all = self.counters();
        if let Some((_, counters)) = all.iter_mut().find(|(known, _)| *known == key) {
            change(counters);
        }
        all
    }

    /// Fails unless the kernel finds, counts and records what the library does over the same bytes.
    pub(crate) fn agrees_with_user_space(&mut self, frame: &[u8]) -> Result<()> {
        let finding = examine(frame, IFINDEX, &self.tables);
        let expected = finding.map_or_else(
            || self.counters(),
            |finding| {
                self.counters_with(finding.router, |counters| {
                    counters.add(finding.verdict);
                    counters.would_drop += u64::from(finding.verdict.is_bad());
                })
            },
        );
        ensure!(self.run(frame)? == PASS, "not passed");
        ensure!(self.counters() == expected, "user space says {finding:?}, the kernel {:?}", self.counters());
        let record = self.guard.next_advert();
        let admitted = finding.filter(|finding| finding.verdict == Verdict::Admitted);
        ensure!(record.is_some() == admitted.is_some(), "user space says {finding:?}, recorded: {}", record.is_some());
        if let Some((record, finding)) = record.zip(admitted) {
            let facts = finding.facts;
            let message = frame.get(facts.message_offset..facts.message_offset + facts.message_len);
            ensure!(message == record.message.get(..record.message_len.into()), "another message is recorded");
            ensure!(
                (record.source, record.ttl, record.vlan) == (facts.source, facts.ttl, facts.vlan),
                "other facts are recorded"
            );
        }
        Ok(())
    }
}
