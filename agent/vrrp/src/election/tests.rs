//! Every state and event of RFC 9568 §6.4. Expected times are literals in microseconds.

mod faults;
mod histories;
mod members;
mod owners;
mod start;
mod upkeep;
mod version_2;

use super::*;
use crate::Centiseconds;

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const OWN: &str = "10.77.0.2";
/// What an Active of priority 100 does when it leaves: those who hear it wait a few milliseconds only.
const LEAVING: [Action; 3] =
    [Action::Hasten(Priority::new(100).unwrap()), Action::Advertise(None), Action::ReleaseAddresses];

fn parameters(priority: u8) -> Parameters {
    Parameters {
        version: Version::V3,
        priority: Priority::new(priority).unwrap(),
        advertisement_interval: Centiseconds::new(100).unwrap(),
        preempt_after: Some(Duration::ZERO),
        startup_delay: Duration::ZERO,
        spread: Duration::ZERO,
        down_timer_adverts: 3,
        learned_interval_max: Some(Duration::from_secs(2)),
        stagger: Duration::ZERO,
        breaks_ties: true,
    }
}

fn us(microseconds: u64) -> Instant {
    START + Duration::from_micros(microseconds)
}

fn priority(number: u8) -> Option<Priority> {
    Priority::new(number)
}

/// An advert of 1 s interval that arrives and is handled at `at`.
fn advert(source: &str, priority: u8, at: Instant) -> Event {
    Event::Advert(Advert {
        source: source.parse().unwrap(),
        priority: Priority::new(priority),
        max_advertise_interval: Duration::from_secs(1),
        received_at: at,
    })
}

fn started(parameters: Parameters) -> Election {
    let mut election = Election::new(parameters);
    election.handle(Event::PrimaryAddress(OWN.parse().unwrap()), START);
    election.handle(Event::Startup, START);
    election
}

/// A Backup of priority 100, started at `START`: it takes over 3 609 375 µs later.
fn backup() -> Election {
    let election = started(parameters(100));
    assert_eq!(election.state().name(), StateName::Backup);
    election
}

/// An Active of priority 100; its next regular advert is due at 4 609 375 µs.
fn active() -> Election {
    let mut election = backup();
    election.handle(Event::Timer, us(3_609_375));
    assert_eq!(election.state().name(), StateName::Active);
    election
}

/// The actions without the reports, which have their own test.
fn effects(actions: &[Action]) -> Vec<Action> {
    actions.iter().copied().filter(|action| !matches!(action, Action::Report(_))).collect()
}

/// §6.4.1: a router that does not own the addresses starts as Backup and sends nothing, not even when it is asked early
/// whether its timer has fired.
/// Rows: +C2 -C2
#[test]
fn starts_as_backup_in_silence() {
    let mut election = Election::new(parameters(100));
    assert_eq!(effects(&election.handle(Event::Startup, START)), []);
    assert_eq!(election.state().name(), StateName::Backup);
    assert_eq!(election.deadline(), Some(us(3_609_375)));
    for at_us in [0, 1_000_000, 3_609_374] {
        assert_eq!(election.handle(Event::Timer, us(at_us)), [], "{at_us} µs");
    }
}

/// §6.4.1: the owner becomes Active at once, and nobody else does: advert, addresses, Adver_Timer.
/// Rows: +C1 -C1
#[test]
fn the_owner_alone_starts_as_active() {
    let mut election = Election::new(parameters(255));
    let actions = election.handle(Event::Startup, START);
    assert_eq!(effects(&actions), [Action::Advertise(priority(255)), Action::TakeAddresses]);
    assert_eq!(election.deadline(), Some(us(1_000_000)));
    for other in [1, 100, 254] {
        let mut election = Election::new(parameters(other));
        assert_eq!(effects(&election.handle(Event::Startup, START)), [], "{other}");
        assert_eq!(election.state().name(), StateName::Backup, "{other}");
    }
}

/// §6.4.2: what one advert does to a Backup of priority 100, one second after start.
/// Rows: +C9 +C10 +C11
#[test]
fn backup_waits_as_the_advert_tells_it() {
    // (case, Preempt_Mode, advertised priority, microseconds from START to the takeover)
    let cases = [
        ("higher priority", true, 101, 4_609_375),
        ("equal priority", true, 100, 4_609_375),
        ("lower, no preemption", false, 99, 4_609_375),
        ("lower, preemption: the timer runs on", true, 99, 3_609_375),
        ("priority 0: Skew_Time", true, 0, 1_609_375),
        ("priority 0, no preemption", false, 0, 1_609_375),
    ];
    for (case, preempt_mode, advertised, takeover_us) in cases {
        let preempt_after = preempt_mode.then_some(Duration::ZERO);
        let mut election = started(Parameters { preempt_after, ..parameters(100) });
        let now = us(1_000_000);
        assert_eq!(election.handle(advert("10.77.0.1", advertised, now), now), [], "{case}");
        assert_eq!(election.deadline(), Some(us(takeover_us)), "{case}");
    }
}

/// §6.4.2: adverts of lower priority, however many and whatever interval they tell, neither delay the takeover nor teach
/// the interval by which Skew_Time goes.
/// Rows: -C10 -C11
#[test]
fn what_a_preempting_backup_discards_has_no_effect() {
    for interval_ms in [10, 40_950] {
        let mut election = backup();
        for at_ms in 0..3_609 {
            let now = START + Duration::from_millis(at_ms);
            let advert = Advert {
                source: "10.77.0.1".parse().unwrap(),
                priority: priority(99),
                max_advertise_interval: Duration::from_millis(interval_ms),
                received_at: now,
            };
            assert_eq!(election.handle(Event::Advert(advert), now), []);
            assert_eq!(election.deadline(), Some(us(3_609_375)), "{interval_ms} ms, at {at_ms} ms");
        }
        election.handle(advert("10.77.0.1", 0, us(1_000_000)), us(1_000_000));
        assert_eq!(election.deadline(), Some(us(1_609_375)), "{interval_ms} ms: Skew_Time");
    }
}

/// §6.4.2: an Active of equal priority is waited for, also where this router, 10.77.0.2, has the greater address.
/// Rows: +C21 -C21
#[test]
fn a_backup_does_not_compare_addresses() {
    for source in ["10.77.0.3", "10.77.0.1", "9.255.255.255"] {
        let mut election = backup();
        election.handle(advert(source, 100, us(3_000_000)), us(3_000_000));
        assert_eq!(election.handle(Event::Timer, us(3_609_375)), [], "{source}: as if nothing had been heard");
        assert_eq!(election.deadline(), Some(us(6_609_375)), "{source}");
    }
}

/// §6.4: one timer runs in each state. That of the state before fires in vain, also when somebody still asks for it.
/// Rows: +C22 -C22
#[test]
fn the_timer_of_an_earlier_state_has_no_effect() {
    // Adver_Timer of an Active that yields.
    let mut election = active();
    assert_eq!(election.deadline(), Some(us(4_609_375)));
    election.handle(advert("10.77.0.1", 200, us(4_000_000)), us(4_000_000));
    assert_eq!(election.handle(Event::Timer, us(4_609_375)), []);
    let takeover = effects(&election.handle(Event::Timer, us(7_609_375)));
    assert_eq!(takeover, [Action::Advertise(priority(100)), Action::TakeAddresses], "its own timer does fire");

    // Active_Down_Timer of a Backup that has become Active by Priority 0.
    let mut election = backup();
    election.handle(advert("10.77.0.1", 0, us(2_800_000)), us(2_800_000));
    election.handle(Event::Timer, us(3_409_375));
    assert_eq!((election.state().name(), election.deadline()), (StateName::Active, Some(us(4_409_375))));
    assert_eq!(election.handle(Event::Timer, us(3_609_375)), []);

    // Both, of a router that has left.
    for mut election in [backup(), active()] {
        election.handle(Event::Shutdown, us(3_609_375));
        assert_eq!(election.handle(Event::Timer, us(100_000_000)), []);
    }
}

/// §6.4.2: Active_Down_Timer fires: advert first, then the addresses; Adver_Timer counts the own interval.
/// Rows: +C8 -C8
#[test]
fn backup_takes_over_when_the_timer_fires() {
    let mut election = backup();
    assert_eq!(election.handle(Event::Timer, us(3_609_374)), [], "early");
    let actions = election.handle(Event::Timer, us(3_609_375));
    assert_eq!(effects(&actions), [Action::Advertise(priority(100)), Action::TakeAddresses]);
    assert_eq!(election.deadline(), Some(us(4_609_375)));
}

/// As many intervals without an advert as were chosen, and not one less.
/// Rows: +Q4 -Q4
#[test]
fn backup_waits_for_as_many_adverts_as_it_was_told() {
    let mut election = started(Parameters { down_timer_adverts: 5, ..parameters(100) });
    assert_eq!(election.handle(Event::Timer, us(5_609_374)), [], "early");
    assert_eq!(election.state().name(), StateName::Backup);
    let actions = election.handle(Event::Timer, us(5_609_375));
    assert_eq!(effects(&actions), [Action::Advertise(priority(100)), Action::TakeAddresses]);
}

/// The wait counts from the arrival of the advert, not from when a busy host got to handle it.
#[test]
fn a_late_look_at_an_advert_does_not_lengthen_the_wait() {
    let mut election = backup();
    election.handle(advert("10.77.0.1", 200, us(1_000_000)), us(3_000_000));
    assert_eq!(election.deadline(), Some(us(4_609_375)));
    election.handle(advert("10.77.0.1", 200, us(9_000_000)), us(4_000_000));
    assert_eq!(election.deadline(), Some(us(7_609_375)), "an arrival in the future counts as one now");
}

/// §6.1, §6.4.2: the Active Router's interval is learned, up to the limit.
/// Rows: +C10
#[test]
fn the_interval_is_learned_and_limited() {
    // (limit, advertised ms, microseconds to the takeover)
    let cases =
        [(Some(2), 1_500, 5_414_062), (Some(2), 40_950, 7_218_750), (None, 40_950, 147_803_906), (Some(2), 10, 36_093)];
    for (limit_s, interval_ms, takeover_us) in cases {
        let learned_interval_max = limit_s.map(Duration::from_secs);
        let mut election = started(Parameters { learned_interval_max, ..parameters(100) });
        let advert = Advert {
            source: "10.77.0.1".parse().unwrap(),
            priority: priority(200),
            max_advertise_interval: Duration::from_millis(interval_ms),
            received_at: START,
        };
        election.handle(Event::Advert(advert), START);
        let wait = election.deadline().unwrap().since(START);
        assert_eq!(wait.as_micros(), takeover_us, "{interval_ms} ms, limit {limit_s:?}");
    }
}

/// §6.4.2: after Priority 0 the wait is Skew_Time of the learned interval.
#[test]
fn skew_time_follows_the_learned_interval() {
    let mut election = backup();
    let short = Advert {
        source: "10.77.0.1".parse().unwrap(),
        priority: priority(200),
        max_advertise_interval: Duration::from_millis(10),
        received_at: START,
    };
    election.handle(Event::Advert(short), START);
    election.handle(advert("10.77.0.1", 0, START), START);
    assert_eq!(election.deadline().unwrap().since(START), Duration::from_nanos(6_093_750));
}

/// Where Skew_Times are close, one that may not be the best of those who are left waits longer.
#[test]
fn the_third_lets_the_second_be_first() {
    let short = Advert {
        source: "10.77.0.1".parse().unwrap(),
        priority: priority(200),
        max_advertise_interval: Duration::from_millis(10),
        received_at: START,
    };
    for (stagger_ms, goodbye_ns, silence_ns) in [(0, 6_093_750, 36_093_750), (20, 26_093_750, 56_093_750)] {
        let mut election = started(Parameters { stagger: Duration::from_millis(stagger_ms), ..parameters(100) });
        election.handle(Event::Advert(short), START);
        assert_eq!(election.deadline().unwrap().since(START), Duration::from_nanos(silence_ns));
        election.handle(advert("10.77.0.1", 0, START), START);
        assert_eq!(election.deadline().unwrap().since(START), Duration::from_nanos(goodbye_ns));
    }
}

/// A stream of goodbyes does not put the takeover off.
/// Rows: -C9
#[test]
fn repeated_goodbyes_give_no_more_time() {
    let mut election = backup();
    for at_ms in 0..600 {
        let now = START + Duration::from_millis(at_ms);
        election.handle(advert("10.77.0.1", 0, now), now);
        assert_eq!(election.deadline(), Some(us(609_375)), "{at_ms} ms");
    }
}

/// §6.4.2, §6.4.3: leaving on purpose. Nothing is said after it, whatever comes.
/// Rows: +C7 -C7 +C15 -C15
#[test]
fn shutdown_says_goodbye_only_when_active() {
    let mut election = backup();
    assert_eq!(effects(&election.handle(Event::Shutdown, us(1))), []);
    assert_eq!(election.state(), &State::Initialize(Waiting::ForStartup));
    let mut election = active();
    let actions = election.handle(Event::Shutdown, us(4_000_000));
    assert_eq!(effects(&actions), LEAVING);
    assert_eq!((election.state(), election.deadline()), (&State::Initialize(Waiting::ForStartup), None));
    let now = us(4_609_375);
    for event in [Event::Timer, Event::Shutdown, advert("10.77.0.1", 0, now), advert("10.77.0.1", 50, now)] {
        assert_eq!(election.handle(event, now), [], "{event:?}");
    }
}

/// §6.4.3: Adver_Timer fires on schedule, without drift and without a burst to catch up.
/// Rows: +C16 -C16
#[test]
fn active_advertises_on_schedule() {
    let mut election = active();
    assert_eq!(election.handle(Event::Timer, us(4_609_374)), [], "early");
    assert_eq!(election.handle(Event::Timer, us(4_609_400)), [Action::Advertise(priority(100))]);
    assert_eq!(election.deadline(), Some(us(5_609_375)), "no drift");
    assert_eq!(election.handle(Event::Timer, us(9_000_000)), [Action::Advertise(priority(100))]);
    assert_eq!(election.deadline(), Some(us(9_609_375)), "one advert for all that were missed, and still in step");
}

/// §6.4.3: what one advert does to an Active of priority 100 and address 10.77.0.2.
/// Rows: +C18 -C18 -C20
#[test]
fn active_yields_to_the_better_router_only() {
    use StateName::{Active, Backup};
    let cases = [
        ("higher priority", "10.77.0.1", 101, Backup),
        ("equal priority, greater address", "10.77.0.3", 100, Backup),
        ("equal priority, greater first byte", "128.0.0.1", 100, Backup),
        ("equal priority, smaller address", "10.77.0.1", 100, Active),
        ("equal priority, smaller first byte", "9.255.255.255", 100, Active),
        ("lower priority, greater address", "10.77.0.3", 99, Active),
        ("priority 0", "10.77.0.3", 0, Active),
    ];
    for (case, source, advertised, state) in cases {
        // Preempt_Mode counts in Backup only.
        for preempt_after in [Some(Duration::ZERO), None] {
            let mut election = started(Parameters { preempt_after, ..parameters(100) });
            election.handle(Event::Timer, us(3_609_375));
            let now = us(4_000_000);
            let actions = effects(&election.handle(advert(source, advertised, now), now));
            assert_eq!(election.state().name(), state, "{case}");
            if state == Backup {
                // The last word makes the better router announce the addresses.
                assert_eq!(actions, [Action::Advertise(priority(100)), Action::ReleaseAddresses], "{case}");
                assert_eq!(election.deadline(), Some(us(7_609_375)), "{case}");
            } else {
                assert_eq!(actions.first(), Some(&Action::Advertise(priority(100))), "{case}");
            }
        }
    }
}

/// §6.4.3: IPv6 addresses are compared as unsigned numbers too.
/// Rows: +C18 -C18
#[test]
fn the_tie_break_compares_ipv6_addresses() {
    let mut election = active();
    election.handle(Event::PrimaryAddress("fe80::80".parse().unwrap()), us(3_700_000));
    election.handle(advert("fe80::7f", 100, us(3_700_000)), us(3_700_000));
    assert_eq!(election.state().name(), StateName::Active);
    election.handle(advert("fe80::81", 100, us(3_700_000)), us(3_700_000));
    assert_eq!(election.state().name(), StateName::Backup);
}

/// §6.4.3: Priority 0 is answered at once and restarts Adver_Timer; a losing advert is answered and leaves it alone.
/// Rows: +C17 +C19
#[test]
fn active_answers_at_once() {
    let now = us(4_000_000);
    let mut election = active();
    assert_eq!(election.handle(advert("10.77.0.1", 0, now), now), [Action::Advertise(priority(100))]);
    assert_eq!(election.deadline(), Some(us(5_000_000)));

    let mut election = active();
    assert_eq!(election.handle(advert("10.77.0.1", 50, now), now), [Action::Advertise(priority(100))]);
    assert_eq!(election.deadline(), Some(us(4_609_375)));
}

/// A losing advert long after the takeover: its sender may have announced the addresses, so they are announced again,
/// once a second at most.
#[test]
fn a_losing_advert_is_followed_by_an_announcement() {
    let mut election = active();
    let both = [Action::Advertise(priority(100)), Action::Announce];
    let now = us(4_609_375);
    election.handle(Event::Timer, now);
    assert_eq!(election.handle(advert("10.77.0.1", 50, now), now), both);
    let soon = us(5_600_000);
    assert_eq!(election.handle(advert("10.77.0.1", 50, soon), soon), [Action::Advertise(priority(100))]);
    let later = us(5_609_375);
    assert_eq!(election.handle(advert("10.77.0.1", 50, later), later), both);
}

/// A stream of forged adverts earns four answers an interval, and cannot postpone the regular advert.
/// Rows: -C17 -C19
#[test]
fn answers_are_limited() {
    for forged in [0, 50] {
        let mut election = active();
        let mut sent = 0;
        for step in 0..1_000 {
            let now = us(3_609_375 + step * 1_000);
            sent += effects(&election.handle(advert("10.77.0.1", forged, now), now))
                .iter()
                .filter(|action| matches!(action, Action::Advertise(_)))
                .count();
        }
        assert_eq!(sent, 4, "priority {forged}");
        let regular = election.deadline().unwrap();
        assert!(regular <= us(4_612_375 + 1_000_000), "priority {forged}: {regular:?}");
        assert_eq!(election.handle(Event::Timer, regular), [Action::Advertise(priority(100))]);
    }
}

/// Every change of state is reported with its reason.
#[test]
fn transitions_carry_their_reason() {
    let mut election = backup();
    election.handle(advert("10.77.0.1", 0, us(0)), us(0));
    let reason = |actions: Vec<Action>| {
        actions.into_iter().find_map(|action| match action {
            Action::Report(transition) => Some((transition.from, transition.to, transition.reason)),
            Action::Advertise(_)
            | Action::Hasten(_)
            | Action::TakeAddresses
            | Action::Announce
            | Action::ReleaseAddresses => None,
        })
    };
    let now = us(609_375);
    let expected = (StateName::Backup, StateName::Active, Reason::ActiveLeft);
    assert_eq!(reason(election.handle(Event::Timer, now)), Some(expected));
    let better = Reason::BetterRouter { source: "10.77.0.1".parse().unwrap(), priority: priority(200).unwrap() };
    let expected = (StateName::Active, StateName::Backup, better);
    assert_eq!(reason(election.handle(advert("10.77.0.1", 200, now), now)), Some(expected));
    let later = us(10_000_000);
    let expected = (StateName::Backup, StateName::Active, Reason::ActiveSilent);
    assert_eq!(reason(election.handle(Event::Timer, later)), Some(expected));
}
