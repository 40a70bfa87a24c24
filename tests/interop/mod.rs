//! vipd and another program as the two routers of the same virtual routers, in every way of speaking VRRP that both know.
//!
//! A test plays one scene with one of the two in the leading part, in all virtual routers at the same time. How each case
//! went is the table of docs/interop.md, which `cargo xtask interop --write` puts there.

pub(crate) mod pair;
mod record;
mod running;
pub(crate) mod scenes;
pub(crate) mod served;
pub(crate) mod table;
pub(crate) mod terms;
pub(crate) mod wire;

use anyhow::Result;
use harness::{
    GENEROUS,
    frame::{Advert, Checksum},
    inject, ip, lab, until,
};
use vrrp_wire::Family;

use self::{
    pair::Pair,
    scenes::Case,
    terms::{Peer, Side, Terms},
};

/// Makes a test of each case with a peer, and the list of them that the table is compared with.
macro_rules! cases {
    ($peer:ident: $($name:ident: $scene:ident, $first:ident;)*) => {
        const CASES: &[Case] =
            &[$(Case { scene: Scene::$scene, peer: Peer::$peer, first: Side::$first }),*];

        $(#[test]
        fn $name() -> Result<()> {
            interop::play(Case { scene: Scene::$scene, peer: Peer::$peer, first: Side::$first })
        })*
    };
}

pub(crate) fn play(case: Case) -> Result<()> {
    let lab = lab!();
    let went = case.play(&lab);
    record::note(case, &went)?;
    went
}

/// The checks of all the other tests would be worth nothing if they missed it.
pub(crate) fn what_one_of_them_does_not_accept_is_noticed(peer: Peer) -> Result<()> {
    let lab = lab!();
    let mut pair = Pair::new(&lab, Terms::preferring(Side::Vipd, peer))?;
    for side in [Side::Vipd, Side::Peer] {
        pair.start(side)?;
        let node = pair.node(side);
        node.running()?.check(pair.served())?;
        let sender = &pair.node(side.other()).host;
        let source = pair.terms.address(side.other(), Family::Ipv4);
        let mut advert = Advert::new(sender.mac(), source, 51, 1, &[ip("10.77.0.51")]);
        advert.checksum = Checksum::Is(0x1234);
        inject(sender, &advert.frame(), 1)?;
        let is_noticed = || node.running().is_ok_and(|running| running.check(pair.served()).is_err());
        until("the wrong checksum to be noticed", GENEROUS, || Ok(is_noticed().then_some(())))?;
    }
    Ok(())
}
