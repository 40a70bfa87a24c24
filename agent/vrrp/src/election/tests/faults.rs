//! Fault, and what comes after it.

use super::*;

/// Fault: an Active leaves with Priority 0, a Backup in silence; both stand again as Backup once all causes are gone.
#[test]
fn a_fault_ends_the_term() {
    let mut election = active();
    let actions = election.handle(Event::Fault(Cause::Link), us(4_000_000));
    assert_eq!(effects(&actions), LEAVING);
    assert_eq!(election.state(), &State::Fault { retry_at: None });
    assert_eq!(election.handle(Event::Fault(Cause::PrimaryAddress), us(4_000_001)), []);
    assert_eq!(election.handle(Event::Recovered(Cause::Link), us(5_000_000)), []);
    election.handle(Event::Recovered(Cause::PrimaryAddress), us(6_000_000));
    assert_eq!(election.state().name(), StateName::Backup);
    assert_eq!(election.deadline(), Some(us(9_609_375)));

    let mut election = backup();
    assert_eq!(effects(&election.handle(Event::Fault(Cause::Link), us(1_000_000))), []);
    assert_eq!(election.state().name(), StateName::Fault);
}

/// A router in Fault hears nothing and waits for nothing.
#[test]
fn fault_ignores_adverts_and_timers() {
    let mut election = backup();
    election.handle(Event::Fault(Cause::Link), us(1));
    for event in [Event::Timer, Event::Startup, advert("10.77.0.1", 200, us(2))] {
        assert_eq!(election.handle(event, us(100_000_000)), [], "{event:?}");
    }
    assert_eq!(election.deadline(), None);
}

/// Started while the link is down: Fault at once, not a Backup that takes over from nobody.
#[test]
fn a_cause_known_before_the_start_counts() {
    let mut election = Election::new(parameters(255));
    assert_eq!(election.handle(Event::Fault(Cause::Link), START), []);
    assert_eq!(effects(&election.handle(Event::Startup, START)), []);
    assert_eq!(election.state().name(), StateName::Fault);
}

/// A router that cannot hold the addresses stands again after 10 s, then 20 s, …, 320 s; a good term forgives all.
#[test]
fn failed_terms_are_retried_ever_more_rarely() {
    let mut election = active();
    let mut now = us(3_609_375);
    for seconds in [10, 20, 40, 80, 160, 320, 320] {
        election.handle(Event::Fault(Cause::VirtualAddresses), now);
        assert_eq!(election.deadline(), Some(now + Duration::from_secs(seconds)));
        now = now + Duration::from_secs(seconds);
        election.handle(Event::Timer, now);
        assert_eq!(election.state().name(), StateName::Backup);
        now = election.deadline().unwrap();
        election.handle(Event::Timer, now);
        assert_eq!(election.state().name(), StateName::Active);
    }
    election.handle(Event::AddressesHeld, now);
    election.handle(Event::Fault(Cause::VirtualAddresses), now);
    assert_eq!(election.deadline(), Some(now + Duration::from_secs(10)));
}

/// An owner does not wait after a fault either.
#[test]
fn an_owner_is_active_again_at_once_after_a_fault() {
    let mut election = started(Parameters { preempt_after: None, ..parameters(255) });
    let now = us(500_000);
    election.handle(Event::Fault(Cause::Link), now);
    election.handle(Event::Recovered(Cause::Link), now);
    assert_eq!(election.state().name(), StateName::Active);
}
