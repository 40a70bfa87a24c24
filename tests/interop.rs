//! vipd and keepalived as the two routers of the same virtual routers.

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
    Keepalived:
    vipd_is_elected_for_its_priority: Election, Vipd;
    keepalived_is_elected_for_its_priority: Election, Peer;
    keepalived_stands_in_for_a_dead_vipd_until_it_returns: Death, Vipd;
    vipd_stands_in_for_a_dead_keepalived_until_it_returns: Death, Peer;
    keepalived_need_not_wait_for_a_vipd_that_leaves: Stop, Vipd;
    vipd_need_not_wait_for_a_keepalived_that_leaves: Stop, Peer;
    keepalived_does_not_preempt_vipd_unless_told: NoPreemption, Vipd;
    vipd_does_not_preempt_keepalived_unless_told: NoPreemption, Peer;
    of_two_actives_vipd_stays_for_its_greater_address: EqualPriority, Vipd;
    of_two_actives_keepalived_stays_for_its_greater_address: EqualPriority, Peer;
}

#[test]
fn the_adverts_of_vipd_are_these_bytes() -> Result<()> {
    wire::check(Peer::Keepalived, Side::Vipd, include_str!("interop/frames/keepalived-vipd.txt"))
}

#[test]
fn the_adverts_of_keepalived_are_these_bytes() -> Result<()> {
    wire::check(Peer::Keepalived, Side::Peer, include_str!("interop/frames/keepalived-peer.txt"))
}

#[test]
fn what_one_of_them_does_not_accept_is_noticed() -> Result<()> {
    interop::what_one_of_them_does_not_accept_is_noticed(Peer::Keepalived)
}

#[test]
fn the_table_in_the_docs_lists_these_cases() -> Result<()> {
    table::check(Peer::Keepalived, CASES)
}
