//! vipd and FRR's vrrpd as the two routers of the same virtual routers.

#[macro_use]
#[path = "interop/mod.rs"]
mod interop;

use anyhow::Result;

use self::interop::{
    scenes::{Case, Scene},
    table,
    terms::{Peer, Side},
    wire,
};

cases! {
    Frr:
    vipd_is_elected_for_its_priority: Election, Vipd;
    frr_is_elected_for_its_priority: Election, Peer;
    frr_stands_in_for_a_dead_vipd_until_it_returns: Death, Vipd;
    vipd_stands_in_for_a_dead_frr_until_it_returns: Death, Peer;
    frr_need_not_wait_for_a_vipd_that_leaves: Stop, Vipd;
    vipd_need_not_wait_for_an_frr_that_leaves: Stop, Peer;
    frr_does_not_preempt_vipd_unless_told: NoPreemption, Vipd;
    vipd_does_not_preempt_frr_unless_told: NoPreemption, Peer;
    of_two_actives_vipd_stays_for_its_greater_address: EqualPriority, Vipd;
    of_two_actives_frr_stays_for_its_greater_address: EqualPriority, Peer;
}

#[test]
fn the_adverts_of_vipd_are_these_bytes() -> Result<()> {
    wire::check(Peer::Frr, Side::Vipd, include_str!("interop/frames/frr-vipd.txt"))
}

#[test]
fn the_adverts_of_frr_are_these_bytes() -> Result<()> {
    wire::check(Peer::Frr, Side::Peer, include_str!("interop/frames/frr-peer.txt"))
}

#[test]
fn what_one_of_them_does_not_accept_is_noticed() -> Result<()> {
    interop::what_one_of_them_does_not_accept_is_noticed(Peer::Frr)
}

#[test]
fn the_table_in_the_docs_lists_these_cases() -> Result<()> {
    table::check(Peer::Frr, CASES)
}
