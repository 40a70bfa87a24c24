//! Adverts that keepalived 2.4.3 has signed.

use anyhow::{Result, ensure};
use harness::{GENEROUS, ip, signed, until};
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

const MAC: MacAddr = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]);
/// When the adverts were captured, in nanoseconds since 1970: 2026-11-22, 07:25:11 UTC.
const CAPTURED_NS: u64 = 0x6b02_98d7 * 1_000_000_000;
/// A minute, in units of 2⁻³² s: a slow machine may take a while to send them.
const WINDOW: u64 = 60 << 32;

/// Family and source of the first two adverts of the capture; each is for VRID 51.
const SENDERS: [(Family, &str); 2] = [(Family::Ipv4, "198.51.100.10"), (Family::Ipv6, "fe80::77:ff:fe00:101")];

/// The adverts are admitted as they are, and dropped with one bit turned in the last byte of their code.
pub(crate) fn verified(guard: &mut Guard, network: &Network, hook: Hook) -> Result<String> {
    for ((family, source), frame) in SENDERS.into_iter().zip(signed::captured()?) {
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
        guard.set_key(1, Midstates::new(&signed::KEY))?;
        guard.programs().attach(&nic, Side::Ingress, hook)?;

        let mut spoilt = frame.clone();
        if let Some(last) = spoilt.last_mut() {
            *last ^= 1;
        }
        network.send(FAR, &spoilt)?;
        network.send(FAR, &frame)?;
        let record = until("a signed advert to be handed over", GENEROUS, || Ok(guard.next_advert()))?;
        let counters = guard.counters(&key);
        detach(guard, &nic, Side::Ingress)?;
        guard.remove_router(&key)?;
        ensure!(record.family == family.number(), "{record:?}");
        ensure!((counters.admitted, counters.auth_code, counters.dropped) == (1, 1, 1), "{family}: {counters:?}");
    }
    Ok(String::new())
}
