//! What an election does as a member of a group.

use super::*;

fn reasons(actions: &[Action]) -> Vec<Reason> {
    actions.iter().filter_map(|action| if let Action::Report(it) = action { Some(it.reason) } else { None }).collect()
}

fn gives_way(election: &Election) -> Option<Parting> {
    if let State::Backup(backup) = election.state() { backup.gives_way } else { None }
}

/// An Active that follows leaves like one that is stopped, so that nobody waits for it; after three silent intervals, at
/// 6 609 375 µs, there is nobody any more who would. It listens for Active_Down_Interval then.
#[test]
fn an_active_follows_with_a_goodbye_unless_it_was_silent() {
    let silently = [Action::ReleaseAddresses];
    for (parting, at, expected) in [
        (Parting::Goodbye, 6_609_375, &LEAVING[..]),
        (Parting::Goodbye, 6_609_376, &silently),
        (Parting::Silence, 4_000_000, &silently),
    ] {
        let mut election = active();
        let actions = election.handle(Event::Follow(parting), us(at));
        assert_eq!((effects(&actions), reasons(&actions)), (expected.to_vec(), vec![Reason::Follows]), "{at}");
        assert_eq!(election.deadline(), Some(us(at + 3_609_375)), "{at}");
        assert_eq!(election.handle(Event::Follow(parting), us(at)), [], "nothing is left to be done");
    }
}

/// Version 2 knows no hastening, and the winner of a contest would not know that it has won.
#[test]
fn version_2_follows_with_a_last_word() {
    let mut election = started(Parameters { version: Version::V2, ..parameters(100) });
    election.handle(Event::Timer, us(3_609_375));
    let actions = election.handle(Event::Follow(Parting::Goodbye), us(4_000_000));
    let expected = [Action::Advertise(priority(100)), Action::Advertise(None), Action::ReleaseAddresses];
    assert_eq!(effects(&actions), expected);
}

#[test]
fn only_an_active_that_is_no_owner_follows() {
    let mut owner = started(parameters(255));
    for election in [&mut owner, &mut backup()] {
        let before = *election.state();
        assert_eq!(election.handle(Event::Follow(Parting::Goodbye), us(1_000_000)), []);
        assert_eq!(*election.state(), before);
    }
}

/// A Backup that only listens keeps no other member from serving; one that gave way, or hears a router as good as this
/// one, does, whatever comes afterwards.
#[test]
fn a_backup_tells_why_no_other_member_may_serve() {
    for (advertised, expected) in [(99, None), (100, Some(Parting::Goodbye)), (200, Some(Parting::Goodbye)), (0, None)]
    {
        let mut election = backup();
        election.handle(advert("10.77.0.1", advertised, us(1_000)), us(1_000));
        assert_eq!(gives_way(&election), expected, "{advertised}");
    }
    let mut election = backup();
    election.handle(Event::Fault(Cause::Link), us(1_000));
    election.handle(Event::Recovered(Cause::Link), us(1_000));
    assert_eq!(gives_way(&election), Some(Parting::Goodbye), "nobody has looked in between");
    // (event, when, how the others part)
    for (event, at, expected) in [
        (advert("10.77.0.1", 200, us(4_000_000)), 4_000_000, Parting::Goodbye),
        (advert("10.77.0.1", 200, us(9_000_000)), 9_000_000, Parting::Silence),
        (advert("10.77.0.1", 50, us(9_000_000)), 9_000_000, Parting::Silence),
        (Event::HandOver(Audience::All), 4_000_000, Parting::Goodbye),
        (Event::Relieved, 4_000_000, Parting::Silence),
        (Event::Slept(Duration::from_secs(4)), 4_000_000, Parting::Silence),
    ] {
        let mut election = active();
        election.handle(event, us(at));
        assert_eq!(gives_way(&election), Some(expected), "{event:?}");
        for later in [200, 50, 0] {
            election.handle(advert("10.77.0.1", later, us(at)), us(at));
            assert_eq!(gives_way(&election), Some(expected), "{event:?}, then {later}");
        }
    }
}

/// Of two Actives of one priority, 10.77.0.2 and 10.77.0.3, the second stays; not where another member decides that.
#[test]
fn one_member_breaks_ties() {
    for (breaks_ties, expected) in [(true, StateName::Backup), (false, StateName::Active)] {
        let mut election = started(Parameters { breaks_ties, ..parameters(100) });
        election.handle(Event::Timer, us(3_609_375));
        let actions = election.handle(advert("10.77.0.3", 100, us(4_000_000)), us(4_000_000));
        assert_eq!(election.state().name(), expected, "{breaks_ties}");
        assert_eq!(effects(&actions)[0], Action::Advertise(priority(100)), "it says so in either case");
        election.handle(advert("10.77.0.1", 101, us(4_000_001)), us(4_000_001));
        assert_eq!(election.state().name(), StateName::Backup, "a better router is one for every member");
    }
}
