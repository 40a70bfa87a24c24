//! Adverts that others have signed: every one of a capture of keepalived 2.4.3, and the vectors of the draft.

use anyhow::{Context, Result, ensure};
use harness::{
    frame::{Advert, Checksum},
    ip, lab, signed,
};
use vrrp_wire::{
    Family, MacAddr,
    abi::{Router, RouterKey, Verdict, address_bytes},
};

use crate::kernel::{CAPTURED_NS, FAMILIES, IFINDEX, INWARD, Kernel, PUBLISHED_NS, SECOND};

const MAC: MacAddr = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]);

/// Virtual routers that demand a trailer: VRID, where its adverts come to, who sends them.
fn kernel(routers: &[(u8, &str, u8, &str)], unix_ns: u64) -> Result<Kernel> {
    let mut kernel = Kernel::bare(1)?;
    for &(vrid, own_address, unicast, peer) in routers {
        let family = if ip(peer).is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let router = Router {
            own_address: address_bytes(ip(own_address)),
            // The clock goes on while the test runs, on a busy machine for long.
            window: 300 * SECOND,
            auth: Router::AUTH_REQUIRED,
            unicast,
            ..Router::default()
        };
        let key = RouterKey { ifindex: IFINDEX, vlan: 0, family: family.number(), vrid };
        kernel.configure(key, router, ip(peer), Some(MAC))?;
    }
    kernel.set_wall_clock(unix_ns)?;
    Ok(kernel)
}

/// keepalived gives unicast adverts over IPv6, VRID 54, a hop limit of 64, which is not signed.
#[test]
fn every_signed_advert_of_keepalived_is_admitted() -> Result<()> {
    let _lab = lab!();
    let routers = [
        (51, "198.51.100.11", 0, "198.51.100.10"),
        (51, "fe80::11", 0, "fe80::77:ff:fe00:101"),
        (52, "198.51.100.11", 0, "198.51.100.10"),
        (53, "198.51.100.11", 1, "198.51.100.10"),
        (54, "2001:db8::11", 1, "2001:db8::10"),
    ];
    let mut kernel = kernel(&routers, CAPTURED_NS)?;
    for hook in INWARD {
        let mut admitted = 0;
        for mut frame in signed::captured()? {
            let shown = format!("{frame:02x?}, {hook:?}");
            if frame[12..14] == [0x86, 0xdd] && frame[55] == 54 {
                ensure!(kernel.agrees(hook, &frame)? == Some(Verdict::Ttl), "{shown}");
                frame[21] = 255;
            }
            ensure!(kernel.agrees(hook, &frame)? == Some(Verdict::Admitted), "{shown}");
            admitted += 1;
            // One bit anywhere in what is signed.
            let message_at = if frame[12] == 0x08 { 34 } else { 54 };
            for at in message_at + 8..frame.len() {
                frame[at] ^= 0x10;
                let verdict = kernel.agrees(hook, &frame)?.context("not recognised")?;
                ensure!(verdict.is_of_authentication(), "{shown}, byte {at}: {verdict:?}");
                frame[at] ^= 0x10;
            }
        }
        ensure!(admitted == 35);
        kernel.settle()?;
    }
    Ok(())
}

/// What the draft publishes: VRID 51, Priority 200, 1 s, key 1.
fn published(family: Family) -> Advert {
    let (source, address, code) = match family {
        Family::Ipv4 => ("198.51.100.10", "192.0.2.100", 0x1b84_bc4e_8e43_892d_c6d9_8448_f8ee_2265_u128),
        Family::Ipv6 => ("fe80::10", "fe80::100", 0xc8c5_6146_ebfd_66ee_10ec_4d81_8646_1b78),
    };
    let head = [1, 1, 0, 0, 0x68, 0, 0, 0, 0x80, 0, 0, 0];
    let trailer = [&head[..], &code.to_be_bytes()].concat();
    Advert { trailer, ..Advert::new(MAC, ip(source), 51, 200, &[ip(address)]) }
}

/// What is changed after signing.
type Change = Box<dyn Fn(Advert) -> Advert>;

/// Those that keepalived's own tests have too.
#[test]
fn the_published_vectors_and_their_negatives_have_their_verdicts() -> Result<()> {
    let _lab = lab!();
    let trailer = |at: usize| {
        move |mut advert: Advert| {
            advert.trailer[at] ^= 1;
            advert
        }
    };
    let negatives: [(&str, Change, Verdict); 14] = [
        ("nothing", Box::new(|advert| advert), Verdict::Admitted),
        ("checksum", Box::new(|advert| Advert { checksum: Checksum::Is(1), ..advert }), Verdict::Admitted),
        ("priority", Box::new(|advert| Advert { priority: 201, ..advert }), Verdict::AuthCode),
        ("interval", Box::new(|advert| Advert { interval_cs: 101, ..advert }), Verdict::AuthCode),
        ("virtual address", Box::new(|advert| Advert { addresses: vec![advert.source], ..advert }), Verdict::AuthCode),
        ("virtual router", Box::new(|advert| Advert { vrid: 52, ..advert }), Verdict::AuthCode),
        ("source", Box::new(other_source), Verdict::AuthCode),
        ("type", Box::new(trailer(0)), Verdict::AuthMalformed),
        ("key", Box::new(trailer(1)), Verdict::AuthUnknownKey),
        ("reserved", Box::new(trailer(3)), Verdict::AuthMalformed),
        ("seconds", Box::new(trailer(7)), Verdict::AuthCode),
        ("fraction", Box::new(trailer(9)), Verdict::AuthCode),
        ("counter", Box::new(trailer(11)), Verdict::AuthCode),
        ("code", Box::new(trailer(12)), Verdict::AuthCode),
    ];
    let routers = [
        (51, "198.51.100.11", 0, "198.51.100.10"),
        (52, "198.51.100.11", 0, "198.51.100.10"),
        (51, "fe80::11", 0, "fe80::10"),
        (52, "fe80::11", 0, "fe80::10"),
    ];
    let mut kernel = kernel(&routers, PUBLISHED_NS)?;
    for family in FAMILIES {
        let other = other_source(published(family)).source;
        let key = RouterKey { ifindex: IFINDEX, vlan: 0, family: family.number(), vrid: 51 };
        kernel.add_peer(key, other, Some(MAC))?;
    }
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        for (case, change, verdict) in &negatives {
            let found = kernel.agrees(hook, &change(published(family)).frame())?;
            ensure!(found == Some(*verdict), "{case}, {family}, {hook:?}: {found:?}");
        }
    }
    kernel.settle()
}

/// Another peer's address.
fn other_source(advert: Advert) -> Advert {
    let source = if advert.source.is_ipv4() { ip("198.51.100.12") } else { ip("fe80::12") };
    Advert { source, ..advert }
}
