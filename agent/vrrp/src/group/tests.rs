//! The rules of a group, one by one. What comes of them together is in `lan`.

mod lan;

use std::time::Duration;

use super::*;
use crate::{
    Centiseconds, Parameters, Priority, Version,
    election::{Action, Advert, Audience, Parting},
};

const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn us(microseconds: u64) -> Instant {
    START + Duration::from_micros(microseconds)
}

/// 1 s, priority 100: a Backup takes over 3 609 375 µs after it has begun to listen.
fn parameters() -> Parameters {
    Parameters {
        version: Version::V3,
        priority: Priority::new(100).unwrap(),
        advertisement_interval: Centiseconds::new(100).unwrap(),
        preempt_after: Some(Duration::ZERO),
        startup_delay: Duration::ZERO,
        spread: Duration::ZERO,
        down_timer_adverts: 3,
        learned_interval_max: None,
        stagger: Duration::ZERO,
        breaks_ties: true,
    }
}

fn advert(priority: u8, at: Instant) -> Event {
    Event::Advert(Advert {
        source: [10, 77, 0, 1].into(),
        priority: Priority::new(priority),
        max_advertise_interval: Duration::from_secs(1),
        received_at: at,
    })
}

/// A member that has started at `START` and been told of `events` at `at`.
fn member(events: &[Event], at: Instant) -> Election {
    let mut election = Election::new(parameters());
    election.handle(Event::PrimaryAddress([10, 77, 0, 2].into()), START);
    election.handle(Event::Startup, START);
    for &event in events {
        election.handle(event, at);
    }
    election
}

fn backup() -> Election {
    member(&[], START)
}

fn active() -> Election {
    member(&[Event::Timer], us(3_609_375))
}

fn faulty() -> Election {
    member(&[Event::Fault(Cause::Link)], us(3_609_375))
}

fn waiting() -> Election {
    member(&[Event::Fault(Cause::Ipv6Source)], us(3_609_375))
}

/// Not started: its start is delayed, say.
fn idle() -> Election {
    Election::new(parameters())
}

/// Carries the orders out; what state each member is in then.
fn settle(members: &mut [Election], now: Instant) -> Vec<StateName> {
    for Order { member, event, .. } in orders(&*members) {
        members[member].handle(event, now);
    }
    assert_eq!(orders(&*members), [], "carried out once, nothing is left");
    members.iter().map(|member| member.state().name()).collect()
}

/// The group is what its worst member is.
#[test]
fn a_group_has_a_state() {
    use StateName::{Active, Backup, Fault, Initialize};
    let cases = [
        (vec![active(), active()], Active),
        (vec![active(), backup()], Backup),
        (vec![backup(), backup()], Backup),
        (vec![backup(), idle()], Initialize),
        (vec![waiting(), active()], Initialize),
        (vec![active(), waiting(), faulty()], Fault),
        (vec![], Initialize),
    ];
    for (members, expected) in cases {
        assert_eq!(state(&members), expected);
    }
}

/// Members that take over together advertise together from then on, however long one has waited for the other: the next
/// takeover waits for the later one.
/// Rows: +C16
#[test]
fn members_that_take_over_together_advertise_in_step() {
    let heard = member(&[advert(100, us(2_400_000))], us(2_400_000));
    let next_adverts = [backup(), heard].map(|mut member| {
        member.handle(Event::Timer, us(6_009_375));
        member.deadline()
    });
    assert_eq!(next_adverts, [Some(us(7_009_375)); 2]);
}

/// An answer to a router that leaves restarts Adver_Timer of one member: it advertises again with the others, which it would
/// have done a second after the answer. One with another interval goes by its own.
#[test]
fn a_member_that_has_answered_stays_in_step() {
    let rarely = Parameters { advertisement_interval: Centiseconds::new(150).unwrap(), ..parameters() };
    let mut slow = Election::new(rarely);
    slow.handle(Event::Startup, START);
    slow.handle(Event::Timer, us(5_414_063));
    let mut members = [active(), active(), slow];
    members[1].handle(advert(0, us(4_000_000)), us(4_000_000));
    assert_eq!(members[1].deadline(), Some(us(5_000_000)));
    settle(&mut members, us(4_000_000));
    let next_adverts: Vec<_> = members.iter().map(Election::deadline).collect();
    assert_eq!(next_adverts, [Some(us(4_609_375)), Some(us(4_609_375)), Some(us(6_914_063))]);
}

/// A rival that was Active for all members, and is heard for one: all announce at once, and again 3 609 375 µs after his advert.
#[test]
fn all_members_announce_because_of_a_rival_of_one() {
    let now = us(6_000_000);
    let mut members = [active(), active()];
    members[0].handle(advert(99, now), now);
    let orders = orders(&members);
    let events: Vec<_> = orders.iter().map(|order| (order.member, order.event)).collect();
    assert_eq!(events, [(1, Event::Rival(us(9_609_375)))]);
    assert_eq!(members[1].handle(orders[0].event, now), [Action::Announce]);
    settle(&mut members, now);
    let announcements: Vec<_> = members
        .iter_mut()
        .flat_map(|member| member.handle(Event::Timer, us(9_609_375)))
        .filter(|action| *action == Action::Announce)
        .collect();
    assert_eq!(announcements, [Action::Announce; 2]);
}

/// "A group becomes MASTER only if all members can": when the last of the timers has fired, and nobody is in the way.
#[test]
fn a_group_takes_over_when_all_members_can() {
    let heard = member(&[advert(100, us(2_000_000))], us(2_000_000));
    let left = member(&[advert(0, us(1_000_000))], us(1_000_000));
    let cases = [
        ("alone", vec![backup()], Some(3_609_375)),
        ("the last one counts", vec![backup(), heard.clone()], Some(5_609_375)),
        ("who has left for one is heard for the other", vec![left.clone(), heard], Some(5_609_375)),
        ("who has left for both", vec![left.clone(), left], Some(1_609_375)),
        ("beside Actives", vec![active(), backup()], Some(3_609_375)),
        ("nothing to take over", vec![active(), active()], None),
        ("one cannot serve", vec![backup(), faulty()], None),
        ("one has no address yet", vec![backup(), waiting()], None),
        ("one has not started", vec![backup(), idle()], None),
    ];
    for (case, members, expected) in cases {
        assert_eq!(takeover_at(&members), expected.map(us), "{case}");
    }
}

/// "A member's FAULT takes the whole group down", as does one that waits for its address; both end together.
#[test]
fn what_keeps_one_member_from_serving_keeps_all() {
    use StateName::{Backup, Fault, Initialize};
    for (cause, expected) in [
        (Cause::Link, Fault),
        (Cause::PrimaryAddress, Fault),
        (Cause::VirtualAddresses, Fault),
        (Cause::Clock, Fault),
        (Cause::Ipv6Source, Initialize),
    ] {
        for others in [[active(), active()], [backup(), backup()]] {
            let now = us(4_000_000);
            let [one, other] = others;
            let mut members = [one, other, member(&[Event::Fault(cause)], now)];
            assert_eq!(settle(&mut members, now), [expected; 3], "{cause:?}");
            let own: Vec<_> = members[0].causes().collect();
            assert!(own.len() == 1 && own[0].is_of_group(), "{own:?}");
            members[2].handle(Event::Recovered(cause), now);
            assert_eq!(settle(&mut members, now), [Backup; 3], "{cause:?} is over");
            let deadlines: Vec<_> = members.iter().map(Election::deadline).collect();
            assert_eq!(deadlines, [Some(us(7_609_375)); 3], "they stand at the same moment");
        }
    }
}

/// Whichever of the members recovers first: the group does with the last, and none in between.
#[test]
fn a_group_recovers_with_its_last_member() {
    use StateName::{Backup, Fault};
    for order in [[0, 1], [1, 0]] {
        let mut members = [faulty(), faulty(), backup()];
        assert_eq!(settle(&mut members, us(4_000_000)), [Fault; 3]);
        members[order[0]].handle(Event::Recovered(Cause::Link), us(4_000_000));
        assert_eq!(settle(&mut members, us(4_000_000)), [Fault; 3]);
        members[order[1]].handle(Event::Recovered(Cause::Link), us(4_000_000));
        assert_eq!(settle(&mut members, us(4_000_000)), [Backup; 3]);
    }
}

/// A fault that becomes a wait does not let the others serve in between, nor listen.
#[test]
fn one_hindrance_in_place_of_another_is_no_recovery() {
    let mut members = [active(), faulty()];
    let now = us(4_000_000);
    settle(&mut members, now);
    members[1].handle(Event::Fault(Cause::Ipv6Source), now);
    members[1].handle(Event::Recovered(Cause::Link), now);
    let events: Vec<_> = orders(&members).iter().map(|order| (order.member, order.event)).collect();
    assert_eq!(events, [(0, Event::Fault(Cause::MemberWaits)), (0, Event::Recovered(Cause::Member))]);
    assert_eq!(settle(&mut members, now), [StateName::Initialize; 2]);
}

/// Members are Active together or not at all: what ends the term of one ends that of all. One that was added, and has heard
/// nobody yet, joins the others when its own timer fires.
#[test]
fn a_member_that_gives_way_takes_the_others_along() {
    use StateName::{Active, Backup};
    let now = us(4_000_000);
    let gone = |event| {
        let mut member = active();
        member.handle(event, now);
        member
    };
    let newcomer = |priority| member(&[advert(priority, now)], now);
    let cases = [
        ("a better router", gone(advert(101, now)), [Backup; 2], Some(Parting::Goodbye)),
        ("a losing one", gone(advert(99, now)), [Active; 2], None),
        ("handed over", gone(Event::HandOver(Audience::All)), [Backup; 2], Some(Parting::Goodbye)),
        ("relieved", gone(Event::Relieved), [Backup; 2], Some(Parting::Silence)),
        ("newcomer", backup(), [Backup, Active], None),
        ("newcomer that hears a worse router", newcomer(99), [Backup, Active], None),
        ("newcomer that hears a router as good", newcomer(100), [Backup; 2], Some(Parting::Goodbye)),
    ];
    for (case, first, expected, parting) in cases {
        let mut members = [first, active()];
        let follows = |order: &Order| matches!(order.event, Event::Follow(_));
        let told = orders(&members).into_iter().find(follows).map(|order| (order.member, order.event, order.from));
        assert_eq!(told, parting.map(|parting| (1, Event::Follow(parting), Some(0))), "{case}");
        assert_eq!(settle(&mut members, now), expected, "{case}");
    }
}

/// A virtual router that is in no group any more is a group of its own, and free.
#[test]
fn who_has_left_a_group_is_free() {
    let now = us(4_000_000);
    let mut members = [active(), faulty()];
    settle(&mut members, now);
    assert_eq!(settle(&mut members[..1], now), [StateName::Backup]);
    assert_eq!(settle(&mut [active()], now), [StateName::Active], "it has nobody to follow");
}
