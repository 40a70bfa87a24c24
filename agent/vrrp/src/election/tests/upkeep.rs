//! What happens to a router that takes part besides adverts and faults: rivals that fall silent, its own silence, a handover
//! on request, a suspension, and other parameters.

use super::*;

fn name(election: &Election) -> StateName {
    election.state().name()
}

fn reasons(actions: &[Action]) -> Vec<Reason> {
    actions.iter().filter_map(|action| if let Action::Report(it) = action { Some(it.reason) } else { None }).collect()
}

/// Whoever advertised the addresses as its own may have answered for them until it fell silent: 3.609375 s after its last.
#[test]
fn a_rival_that_falls_silent_is_followed_by_an_announcement() {
    let mut election = active();
    for at in [4_000_000, 4_500_000] {
        election.handle(advert("10.77.0.1", 50, us(at)), us(at));
    }
    let mut announced = vec![];
    for _ in 0..6 {
        let at = election.deadline().unwrap();
        if election.handle(Event::Timer, at).contains(&Action::Announce) {
            announced.push(at);
        }
    }
    assert_eq!(announced, [us(8_109_375)]);
}

/// Version 2 answers a losing advert with an announcement alone: RFC 3768 §6.4.3 discards it.
#[test]
fn version_2_announces_against_a_rival() {
    let mut election = started(Parameters { version: Version::V2, ..parameters(100) });
    election.handle(Event::Timer, us(3_609_375));
    let now = us(4_609_375);
    election.handle(Event::Timer, now);
    assert_eq!(election.handle(advert("10.77.0.1", 50, now), now), [Action::Announce]);
}

/// An Active that sent its last advert at 3 609 375 µs gives way to a router that took over because of its silence, and
/// not to one that came earlier than a Backup of its priority may: 3 s and 0.8046875 s later.
#[test]
fn an_active_that_was_silent_gives_way() {
    let cases = [(7_414_062, StateName::Active), (7_414_063, StateName::Backup), (90_000_000, StateName::Backup)];
    for (at, expected) in cases {
        let mut election = active();
        let actions = election.handle(advert("10.77.0.1", 50, us(at)), us(at));
        assert_eq!(name(&election), expected, "{at}");
        if expected == StateName::Backup {
            assert_eq!(effects(&actions), [Action::ReleaseAddresses], "it says nothing");
            assert_eq!(reasons(&actions), [Reason::WasSilent { source: "10.77.0.1".parse().unwrap() }]);
            assert_eq!(election.deadline(), Some(us(at + 3_609_375)), "it comes back by the rules");
        }
    }
    let mut owner = started(parameters(255));
    owner.handle(advert("10.77.0.1", 50, us(90_000_000)), us(90_000_000));
    assert_eq!(name(&owner), StateName::Active);
}

/// Where one missing advert makes others take over, one that is due and not sent yet has let nobody do so: the best of those that
/// lose, 99, waits for 1.61328125 s.
#[test]
fn an_active_whose_advert_is_due_does_not_give_way() {
    for (at, expected) in
        [(4_609_500, StateName::Active), (5_222_656, StateName::Active), (5_222_657, StateName::Backup)]
    {
        let mut election = started(Parameters { down_timer_adverts: 1, ..parameters(100) });
        election.handle(Event::Timer, us(3_609_375));
        election.handle(advert("10.77.0.1", 99, us(at)), us(at));
        assert_eq!(name(&election), expected, "{at}");
    }
}

/// A last word would be an advert of a router that nobody waits for any more: the better one has announced since.
#[test]
fn an_active_that_was_silent_has_no_last_word() {
    let last_word = [Action::Advertise(priority(100)), Action::ReleaseAddresses];
    for (at, expected) in [(6_828_125, &last_word[..]), (6_828_126, &last_word[1..])] {
        let mut election = active();
        assert_eq!(effects(&election.handle(advert("10.77.0.1", 200, us(at)), us(at))), expected, "{at}");
    }
}

/// Goodbye, then 250 ms for another router to take over, and no preemption of it.
#[test]
fn a_router_hands_over_on_request() {
    let mut election = active();
    let now = us(4_000_000);
    let actions = election.handle(Event::HandOver(Audience::All), now);
    assert_eq!((effects(&actions), reasons(&actions)), (LEAVING.to_vec(), vec![Reason::HandedOver]));
    assert_eq!(election.deadline(), Some(us(4_250_000)));
    election.handle(advert("10.77.0.1", 50, us(4_010_000)), us(4_010_000));
    election.handle(advert("10.77.0.1", 50, us(5_010_000)), us(5_010_000));
    assert_eq!(election.deadline(), Some(us(8_619_375)), "an advert of lower priority counts");
    let mut back = election.clone();
    back.handle(Event::Reclaim, us(5_100_000));
    back.handle(advert("10.77.0.1", 50, us(6_010_000)), us(6_010_000));
    assert_eq!(back.deadline(), Some(us(8_619_375)), "and no longer");
    election.handle(Event::Timer, us(8_619_375));
    assert_eq!(name(&election), StateName::Active);

    // Its next term is like any other: adverts of lower priority do not hold it up.
    election.handle(advert("10.77.0.3", 200, us(9_000_000)), us(9_000_000));
    election.handle(advert("10.77.0.1", 50, us(9_500_000)), us(9_500_000));
    assert_eq!(election.deadline(), Some(us(12_609_375)));

    for (version, back_at) in [(Version::V3, 4_250_000), (Version::V2, 5_250_000)] {
        let mut election = started(Parameters { version, ..parameters(100) });
        election.handle(Event::Timer, us(3_609_375));
        election.handle(Event::HandOver(Audience::All), now);
        assert_eq!(election.deadline(), Some(us(back_at)), "{version:?}");
        assert_eq!(reasons(&election.handle(Event::Timer, us(back_at))), [Reason::NotTaken]);
    }
}

/// The others take over 300 ms after the last advert at the earliest, which was sent within 100 ms: by then it serves again.
#[test]
fn a_router_that_only_one_other_is_told_of_comes_back_before_the_rest() {
    let hundred = Centiseconds::new(10).unwrap();
    for (audience, back_at) in [(Audience::All, 4_250_000), (Audience::One, 4_200_000)] {
        let mut election = started(Parameters { advertisement_interval: hundred, ..parameters(100) });
        election.handle(Event::Timer, us(4_000_000));
        election.handle(Event::HandOver(audience), us(4_000_000));
        assert_eq!(election.deadline(), Some(us(back_at)), "{audience:?}");
    }
}

#[test]
fn neither_a_backup_nor_the_owner_hands_over() {
    for mut election in [backup(), started(parameters(255))] {
        let before = *election.state();
        assert_eq!(election.handle(Event::HandOver(Audience::All), us(1_000)), []);
        assert_eq!(*election.state(), before);
    }
}

/// Its supervisor has left in its name: not a word more.
#[test]
fn a_relieved_router_is_backup() {
    let mut election = active();
    let actions = election.handle(Event::Relieved, us(4_000_000));
    assert_eq!(effects(&actions), [Action::ReleaseAddresses]);
    assert_eq!(election.deadline(), Some(us(7_609_375)));
    assert_eq!(election.handle(Event::Relieved, us(4_000_001)), []);
}

/// An Active that sent its last advert 390 625 µs before gives way when that and the suspension make more than 3 s. Else its
/// next advert is late, and not by an interval more.
#[test]
fn a_suspension_makes_every_router_listen_first() {
    let now = us(4_000_000);
    for (span_us, expected) in [(2_609_375, StateName::Active), (2_609_376, StateName::Backup)] {
        let mut election = active();
        election.handle(Event::Slept(Duration::from_micros(span_us)), now);
        assert_eq!(name(&election), expected, "{span_us}");
    }
    for (span_us, at) in [(1_000_000, [4_000_000, 4_609_375]), (200_000, [4_409_375, 5_409_375])] {
        let mut election = active();
        assert_eq!(election.handle(Event::Slept(Duration::from_micros(span_us)), now), []);
        for at in at {
            assert_eq!(election.deadline().map(|it| it.max(now)), Some(us(at)), "{span_us}");
            assert_eq!(election.handle(Event::Timer, us(at)), [Action::Advertise(priority(100))], "{span_us}");
        }
    }
    let mut owner = started(parameters(255));
    owner.handle(Event::Slept(Duration::from_mins(1)), now);
    assert_eq!(name(&owner), StateName::Active);
    let mut election = backup();
    election.handle(Event::Slept(Duration::from_secs(1)), us(3_000_000));
    assert_eq!(election.deadline(), Some(us(6_609_375)));
}

/// From 100 and 1 s to 200 and 2 s. As Active it says so at once; as Backup it waits as long as it would have.
#[test]
fn other_parameters_count_at_once() {
    let other = Parameters {
        priority: Priority::new(200).unwrap(),
        advertisement_interval: Centiseconds::new(200).unwrap(),
        ..parameters(100)
    };
    let mut election = active();
    assert_eq!(election.handle(Event::Parameters(other), us(4_000_000)), [Action::Advertise(priority(200))]);
    assert_eq!(election.deadline(), Some(us(6_000_000)));
    assert_eq!(election.handle(Event::Parameters(other), us(4_000_001)), [], "they are no news");

    let mut election = backup();
    election.handle(advert("10.77.0.1", 250, us(1_000_000)), us(1_000_000));
    assert_eq!(election.handle(Event::Parameters(other), us(1_500_000)), []);
    assert_eq!(election.deadline(), Some(us(4_218_750)));
}

/// Who is better now takes over within a few of the shortest intervals, the others wait as before; a second advert follows in case
/// the first is lost. Version 2 learns no interval.
#[test]
fn an_active_that_falls_back_hastens_who_is_better() {
    let mut election = active();
    let lower = parameters(60);
    let now = us(4_000_000);
    let said = [Action::Hasten(Priority::new(100).unwrap()), Action::Advertise(priority(60))];
    assert_eq!(election.handle(Event::Parameters(lower), now), said);
    for at in [4_010_000, 5_010_000] {
        assert_eq!(election.deadline(), Some(us(at)));
        assert_eq!(election.handle(Event::Timer, us(at)), [Action::Advertise(priority(60))]);
    }

    // (own priority, microseconds from the change to takeover)
    for (own, takeover_us) in [(80, 36_875), (61, 37_617), (59, 3_769_531)] {
        let mut backup = started(parameters(own));
        let heard = |priority, interval_ms, at| {
            let Event::Advert(advert) = advert("10.77.0.1", priority, us(at)) else { panic!("no advert") };
            Event::Advert(Advert { max_advertise_interval: Duration::from_millis(interval_ms), ..advert })
        };
        backup.handle(heard(100, 1_000, 500_000), us(500_000));
        backup.handle(heard(100, 10, 1_000_000), us(1_000_000));
        backup.handle(heard(60, 1_000, 1_000_000), us(1_000_000));
        let waits = backup.deadline().unwrap().since(us(1_000_000));
        assert_eq!(waits.as_micros(), takeover_us, "{own}");
    }

    let mut election = started(Parameters { version: Version::V2, ..parameters(100) });
    election.handle(Event::Timer, us(3_609_375));
    let lower = Parameters { version: Version::V2, ..lower };
    assert_eq!(election.handle(Event::Parameters(lower), now), [Action::Advertise(priority(60))]);
    assert_eq!(election.deadline(), Some(us(5_000_000)));
}

/// What nobody has looked at yet is no Fault, and neither ends what has begun.
#[test]
fn a_check_keeps_a_router_from_serving() {
    let mut election = Election::new(parameters(100));
    election.handle(Event::Fault(Cause::Unchecked), us(0));
    election.handle(Event::Startup, us(0));
    assert_eq!((name(&election), election.deadline()), (StateName::Initialize, None));
    election.handle(Event::Fault(Cause::Check), us(1));
    assert_eq!(name(&election), StateName::Fault);
    election.handle(Event::Recovered(Cause::Unchecked), us(2));
    assert_eq!(name(&election), StateName::Fault);
    let actions = election.handle(Event::Recovered(Cause::Check), us(3));
    assert_eq!((name(&election), reasons(&actions)), (StateName::Backup, vec![Reason::Recovered(Cause::Check)]));

    let mut election = active();
    let actions = election.handle(Event::Fault(Cause::Check), us(4_000_000));
    assert_eq!((effects(&actions), name(&election)), (LEAVING.to_vec(), StateName::Fault));
}

#[test]
fn a_router_goes_on_where_it_stopped() {
    let before = active();
    let State::Active(active) = *before.state() else { panic!("{:?}", before.state()) };
    let mut election = Election::resumed(parameters(100), Role::Active(active), false);
    election.handle(Event::PrimaryAddress(OWN.parse().unwrap()), us(4_500_000));
    assert_eq!(election.handle(Event::Startup, us(4_500_000)), []);
    assert_eq!(election.handle(Event::Timer, us(4_609_375)), [Action::Advertise(priority(100))]);

    let mut election = backup();
    election.handle(advert("10.77.0.1", 50, us(0)), us(0));
    let State::Backup(waiting) = *election.state() else { panic!("{:?}", election.state()) };
    let mut election = Election::resumed(parameters(100), Role::Backup(waiting), true);
    election.handle(advert("10.77.0.1", 50, us(1_000_000)), us(1_000_000));
    assert_eq!(election.deadline(), Some(us(4_609_375)), "it stands aside as before");
}
