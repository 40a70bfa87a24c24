//! Before a router takes part, and how long it bears an Active Router of lower priority.

use super::*;

/// The first advert, and silence before it, when the delay is over.
#[test]
fn a_delayed_start_waits() {
    let delayed = Parameters { startup_delay: Duration::from_secs(20), ..parameters(100) };
    let mut election = started(delayed);
    assert_eq!(election.state(), &State::Initialize(Waiting::ForDelay { until: us(20_000_000) }));
    assert_eq!(election.deadline(), Some(us(20_000_000)));
    for event in [Event::Timer, Event::Startup, advert("10.77.0.1", 200, us(19_999_999))] {
        assert_eq!(election.handle(event, us(19_999_999)), [], "{event:?}");
    }
    election.handle(Event::Timer, us(20_000_000));
    assert_eq!((election.state().name(), election.deadline()), (StateName::Backup, Some(us(23_609_375))));

    let mut election = started(Parameters { priority: Priority::OWNER, ..delayed });
    assert_eq!(effects(&election.handle(Event::Timer, us(20_000_000)))[0], Action::Advertise(priority(255)));
}

#[test]
fn a_delayed_start_can_be_given_up() {
    let mut election = started(Parameters { startup_delay: Duration::from_secs(20), ..parameters(100) });
    assert_eq!(election.handle(Event::Shutdown, us(1_000_000)), []);
    assert_eq!(election.handle(Event::Timer, us(30_000_000)), []);
    assert_eq!((election.state(), election.deadline()), (&State::Initialize(Waiting::ForStartup), None));
}

/// Fault arises while the start is delayed: the delay is what the router still waits for, then it is in Fault.
#[test]
fn a_cause_during_the_delay_counts_when_it_is_over() {
    let mut election = started(Parameters { startup_delay: Duration::from_secs(20), ..parameters(100) });
    assert_eq!(election.handle(Event::Fault(Cause::Link), us(1)), []);
    assert_eq!(election.state().name(), StateName::Initialize);
    election.handle(Event::Timer, us(20_000_000));
    assert_eq!(election.state().name(), StateName::Fault);
}

/// A link-local address that is still tentative, or not there, is waited for; nobody need be told of a fault.
/// Rows: -A4
#[test]
fn without_an_ipv6_source_it_waits_in_initialize() {
    let mut election = Election::new(parameters(200));
    election.handle(Event::Fault(Cause::Ipv6Source), START);
    assert_eq!(election.handle(Event::Startup, START), []);
    assert_eq!(election.state(), &State::Initialize(Waiting::ForAddress));
    assert_eq!(election.handle(Event::Timer, us(60_000_000)), []);
    election.handle(Event::Recovered(Cause::Ipv6Source), us(60_000_000));
    assert_eq!((election.state().name(), election.deadline()), (StateName::Backup, Some(us(63_218_750))));
}

/// The address is lost with the link, and comes back later than the link does.
#[test]
fn a_fault_goes_before_waiting() {
    let mut election = active();
    let actions = election.handle(Event::Fault(Cause::Ipv6Source), us(4_000_000));
    assert_eq!(effects(&actions), LEAVING);
    assert_eq!(election.state(), &State::Initialize(Waiting::ForAddress));
    election.handle(Event::Fault(Cause::Link), us(4_000_000));
    assert_eq!(election.state().name(), StateName::Fault);
    election.handle(Event::Recovered(Cause::Link), us(5_000_000));
    assert_eq!(election.state(), &State::Initialize(Waiting::ForAddress));
    election.handle(Event::Recovered(Cause::Ipv6Source), us(6_000_000));
    assert_eq!((election.state().name(), election.deadline()), (StateName::Backup, Some(us(9_609_375))));
}

/// For the delay an Active Router of lower priority counts as one of equal priority; then the timer runs on.
#[test]
fn preemption_can_be_delayed() {
    let mut election = started(Parameters { preempt_after: Some(Duration::from_secs(30)), ..parameters(100) });
    for second in 1..=31 {
        let now = us(second * 1_000_000);
        election.handle(advert("10.77.0.1", 50, now), now);
        // Heard first at 1 s, so the one at 31 s is the first that is discarded.
        let takeover_us = 3_609_375 + second.min(30) * 1_000_000;
        assert_eq!(election.deadline(), Some(us(takeover_us)), "{second} s");
    }
    let actions = election.handle(Event::Timer, us(33_609_375));
    assert_eq!(effects(&actions), [Action::Advertise(priority(100)), Action::TakeAddresses]);
}

/// A better router in between starts the delay anew; a silent Active Router needs none.
#[test]
fn the_delay_of_preemption_counts_from_the_first_advert_of_lower_priority() {
    let mut election = started(Parameters { preempt_after: Some(Duration::from_secs(2)), ..parameters(100) });
    for (at_us, advertised, takeover_us) in [
        (0, 50, 3_609_375),
        (1_000_000, 200, 4_609_375),
        (2_000_000, 50, 5_609_375),
        (3_000_000, 50, 6_609_375),
        (4_000_000, 50, 6_609_375),
    ] {
        election.handle(advert("10.77.0.1", advertised, us(at_us)), us(at_us));
        assert_eq!(election.deadline(), Some(us(takeover_us)), "{at_us} µs");
    }
    let mut election = started(Parameters { preempt_after: Some(Duration::from_hours(1)), ..parameters(100) });
    election.handle(advert("10.77.0.1", 50, us(0)), us(0));
    assert_eq!(effects(&election.handle(Event::Timer, us(3_609_375)))[0], Action::Advertise(priority(100)));
}

/// Weights of checks change the priority every other second; another delay counts from the next advert.
#[test]
fn another_priority_does_not_begin_the_delay_of_preemption_anew() {
    let delayed = |seconds| Parameters { preempt_after: Some(Duration::from_secs(seconds)), ..parameters(100) };
    let discarded_at = |change: Parameters| {
        let mut election = started(delayed(10));
        (1..40).find(|&second| {
            let now = us(second * 1_000_000);
            let other =
                Parameters { priority: Priority::new(if second % 4 < 2 { 90 } else { 100 }).unwrap(), ..change };
            if second >= 3 && second % 2 == 1 {
                election.handle(Event::Parameters(other), now);
            }
            let before = election.deadline();
            election.handle(advert("10.77.0.1", 50, now), now);
            election.deadline() == before
        })
    };
    // Heard first at 1 s.
    assert_eq!(discarded_at(delayed(10)), Some(11));
    // Changed at 3 s.
    assert_eq!(discarded_at(delayed(5)), Some(8));
}

/// When a host begins to listen for many virtual routers at the same time, each waits a little longer than the one before;
/// what it hears afterwards counts as ever.
/// Rows: +C2
#[test]
fn the_takeovers_of_many_are_spread() {
    let mut election = started(Parameters { spread: Duration::from_micros(31_250), ..parameters(100) });
    assert_eq!(election.deadline(), Some(us(3_640_625)));
    election.handle(advert("10.77.0.1", 200, us(1_000_000)), us(1_000_000));
    assert_eq!(election.deadline(), Some(us(4_609_375)));
    election.handle(Event::Fault(Cause::Link), us(2_000_000));
    election.handle(Event::Recovered(Cause::Link), us(3_000_000));
    assert_eq!(election.deadline(), Some(us(6_640_625)));
}
