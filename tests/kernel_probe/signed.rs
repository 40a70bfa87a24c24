//! Adverts that keepalived 2.4.3 has signed.

use anyhow::{Result, ensure};
use harness::{GENEROUS, ip, until};
use vipd::datapath::{attach::Hook, guard::Guard, netlink::Side};
use vrrp_wire::{
    Family, MacAddr,
    abi::{Router, RouterKey, address_bytes},
    hmac::Midstates,
};

use crate::{
    network::{FAR, NEAR, Network, nic},
    trial::{Speaker, detach, now_ns, serve},
};

/// Key 1: the bytes 0 to 31.
const KEY: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];
const MAC: MacAddr = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]);
/// When the adverts were captured, in nanoseconds since 1970: 2026-11-22, 07:25:11 UTC.
const CAPTURED_NS: u64 = 0x6b02_98d7 * 1_000_000_000;
/// A minute, in units of 2⁻³² s: a slow machine may take a while to send them.
const WINDOW: u64 = 60 << 32;

/// Family, source and frame; each is for VRID 51.
const ADVERTS: [(Family, &str, &[u8]); 2] = [
    (
        Family::Ipv4,
        "198.51.100.10",
        &[
            0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x08, 0x00, //
            0x45, 0xc0, 0x00, 0x3c, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xb0, 0x40, //
            0xc6, 0x33, 0x64, 0x0a, 0xe0, 0x00, 0x00, 0x12, //
            0x31, 0x33, 0xc8, 0x01, 0x00, 0x64, 0x39, 0x35, 0xc0, 0x00, 0x02, 0x64, //
            0x01, 0x01, 0x00, 0x00, 0x6b, 0x02, 0x98, 0xd7, 0xc9, 0xed, 0x00, 0x00, //
            0x3f, 0x44, 0x19, 0xc9, 0x41, 0x69, 0x3f, 0x6e, 0x77, 0x6f, 0xed, 0x34, 0x76, 0xb0, 0x3c, 0xe1,
        ],
    ),
    (
        Family::Ipv6,
        "fe80::77:ff:fe00:101",
        &[
            0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x86, 0xdd, //
            0x6c, 0x02, 0x84, 0xe8, 0x00, 0x44, 0x70, 0xff, //
            0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x77, 0x00, 0xff, 0xfe, 0x00, 0x01, 0x01, //
            0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, //
            0x31, 0x33, 0xc8, 0x02, 0x00, 0x64, 0xa9, 0x07, //
            0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, //
            0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, //
            0x01, 0x01, 0x00, 0x00, 0x6b, 0x02, 0x98, 0xd7, 0xcb, 0x5b, 0x00, 0x00, //
            0x40, 0xf4, 0x18, 0xbd, 0x15, 0x0c, 0x3b, 0x65, 0xb4, 0xc5, 0x4a, 0x42, 0xc0, 0x03, 0xf6, 0xfc,
        ],
    ),
];

/// The adverts are admitted as they are, and dropped with one bit turned in the last byte of their code.
pub(crate) fn verified(guard: &mut Guard, network: &Network, hook: Hook) -> Result<String> {
    for (family, source, frame) in ADVERTS {
        let nic = nic(NEAR)?;
        let key = RouterKey { ifindex: nic.ifindex, vlan: 0, family: family.number(), vrid: 51 };
        let own = if family == Family::Ipv4 { "198.51.100.1" } else { "fe80::1" };
        let router = Router {
            own_address: address_bytes(ip(own)),
            auth: Router::AUTH_REQUIRED,
            window: WINDOW,
            ..Router::default()
        };
        let peer = Speaker { address: ip(source), mac: MAC };
        serve(guard, key, router, &peer, CAPTURED_NS - now_ns()?)?;
        guard.set_key(1, Midstates::new(&KEY))?;
        guard.programs().attach(&nic, Side::Ingress, hook)?;

        let mut spoilt = frame.to_vec();
        if let Some(last) = spoilt.last_mut() {
            *last ^= 1;
        }
        network.send(FAR, &spoilt)?;
        network.send(FAR, frame)?;
        let record = until("a signed advert to be handed over", GENEROUS, || Ok(guard.next_advert()))?;
        let counters = guard.counters(&key);
        detach(guard, &nic, Side::Ingress)?;
        guard.remove_router(&key)?;
        ensure!(record.family == family.number(), "{record:?}");
        ensure!((counters.admitted, counters.auth_code, counters.dropped) == (1, 1, 1), "{family}: {counters:?}");
    }
    Ok(String::new())
}
