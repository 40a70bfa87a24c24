//! What becomes of a frame. Everything that is not bad beyond doubt, or fenced, passes.

pub(crate) mod stage;

use vrrp_wire::{
    abi::{Counters, RouterKey},
    ethernet::link,
    fence::{cut_off, held_back, reached, trespass, unanswered},
    neighbor::neighbor,
    parse::HEADERS_MAX,
    recipient::recipient,
    units::Family,
};

use self::stage::Found;
use crate::{
    maps::{self, BpfTables},
    packet::Packet,
};

/// What becomes of a frame.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// It goes on.
    Pass,
    /// It ends here.
    Drop,
}

/// The [stages](stage) of judging a frame, each a function of its own in the kernel.
pub(crate) trait Stages: Packet {
    /// [`stage::find`].
    fn find(&self) -> u32;
    /// [`stage::judge`].
    fn judge(&self) -> u32;
    /// [`stage::verify`].
    fn verify(&self) -> u32;
    /// [`stage::conclude`].
    fn conclude(&self) -> u32;
}

/// Meets a frame that the interface receives.
#[inline(always)]
pub(crate) fn arriving<P: Stages>(packet: &P) -> Action {
    let found = packet.find();
    if found == Found::Advert as u32 {
        match packet.judge() {
            stage::NOTHING => return Action::Pass,
            stage::UNVERIFIED => _ = packet.verify(),
            _ => {}
        }
        return if packet.conclude() == Action::Drop as u32 { Action::Drop } else { Action::Pass };
    }
    if maps::watched_until_ns() != 0 {
        note_arrival(packet);
    }
    if found == Found::Neighbor as u32 {
        return meet(packet.ifindex());
    }
    if maps::fenced_until_ns() == 0 { Action::Pass } else { traffic(packet) }
}

/// Meets a frame that this host sends: it may not speak in the name of an address that it must not answer for.
#[inline(always)]
pub(crate) fn leaving<P: Packet>(packet: &P) -> Action {
    let Some(link) = stage::readable_link(packet) else { return Action::Pass };
    let Some(neighbor) = neighbor(packet, &link) else { return Action::Pass };
    match held_back(&neighbor, packet.ifindex(), &BpfTables, maps::now_ns()) {
        Some(router) => stop(&router, Counters::HELD_BACK),
        None => Action::Pass,
    }
}

/// Meets ARP and Neighbor Discovery.
#[inline(never)]
fn meet(ifindex: u32) -> Action {
    let Some(neighbor) = maps::neighbor() else { return Action::Pass };
    let now_ns = maps::now_ns();
    if let Some(trespass) = trespass(&neighbor, ifindex, &BpfTables, now_ns) {
        maps::note_claim(&trespass.vip, neighbor.claimed_mac, now_ns);
        if trespass.is_contested {
            return stop(&trespass.router, Counters::CLAIMS);
        }
        maps::count(&trespass.router, Counters::CLAIMS);
    }
    match unanswered(&neighbor, ifindex, &BpfTables, now_ns) {
        Some(router) => stop(&router, Counters::FENCED_NEIGHBOR),
        None => Action::Pass,
    }
}

/// Meets everything else, while a fence is closed.
#[inline(never)]
fn traffic<P: Packet>(packet: &P) -> Action {
    let now_ns = maps::now_ns();
    if maps::fenced_until_ns() <= now_ns {
        return Action::Pass;
    }
    packet.make_readable(HEADERS_MAX);
    let Some(link) = link(packet) else { return Action::Pass };
    let Some(recipient) = recipient(packet, &link) else { return Action::Pass };
    match cut_off(&recipient.vip_key(packet.ifindex()), &BpfTables, now_ns) {
        Some(router) => stop(&router, Counters::FENCED_TRAFFIC),
        None => Action::Pass,
    }
}

/// Notes a frame for a virtual address, while somebody wants to know.
#[inline(never)]
fn note_arrival<P: Packet>(packet: &P) {
    let now_ns = maps::now_ns();
    if maps::watched_until_ns() <= now_ns {
        return;
    }
    packet.make_readable(HEADERS_MAX);
    let Some(link) = link(packet) else { return };
    let Some(recipient) = recipient(packet, &link) else { return };
    if let Some(router) = reached(&recipient, packet.ifindex(), &BpfTables) {
        maps::note_arrival(&router, now_ns);
    }
}

/// Counts what is to be stopped, and stops it unless vipd only observes.
#[inline(always)]
fn stop(router: &RouterKey, place: usize) -> Action {
    maps::count(router, place);
    if maps::settings().enforce != 0 { Action::Drop } else { Action::Pass }
}
