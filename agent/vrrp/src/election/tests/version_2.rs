//! Where RFC 3768 says otherwise.

use super::*;

fn version_2(priority: u8) -> Parameters {
    Parameters { version: Version::V2, ..parameters(priority) }
}

/// RFC 3768 §6.4.3: a losing advert is discarded; Priority 0 is answered.
/// Rows: +E7 -E7
#[test]
fn an_active_is_silent_about_losing_adverts() {
    let mut election = started(version_2(100));
    election.handle(Event::Timer, us(3_609_375));
    let now = us(4_000_000);
    assert_eq!(election.handle(advert("10.77.0.1", 50, now), now), []);
    assert_eq!(election.deadline(), Some(us(4_609_375)));
    assert_eq!(election.handle(advert("10.77.0.1", 0, now), now), [Action::Advertise(priority(100))]);
}

/// RFC 3768 §7.1: the owner discards all adverts.
/// Rows: +E6 -E6
#[test]
fn the_owner_hears_nobody() {
    let mut election = started(version_2(255));
    for advertised in [0, 100, 255] {
        let now = us(500_000);
        assert_eq!(election.handle(advert("10.77.0.9", advertised, now), now), [], "{advertised}");
    }
    assert_eq!((election.state().name(), election.deadline()), (StateName::Active, Some(us(1_000_000))));
}

/// RFC 3768 §6.1: Skew_Time is a fraction of a second, and no interval is learned.
#[test]
fn the_interval_is_the_configured_one() {
    let five = Centiseconds::new(500).unwrap();
    let mut election = started(Parameters { advertisement_interval: five, ..version_2(100) });
    assert_eq!(election.deadline(), Some(us(15_609_375)));
    election.handle(advert("10.77.0.1", 200, us(1_000_000)), us(1_000_000));
    assert_eq!(election.deadline(), Some(us(16_609_375)));
    election.handle(advert("10.77.0.1", 0, us(2_000_000)), us(2_000_000));
    assert_eq!(election.deadline(), Some(us(2_609_375)));
}

/// And counts from the last advert when it is configured anew: 3 × 10 s and 609.375 ms after it.
#[test]
fn another_interval_counts_at_once() {
    let ten = Centiseconds::new(1_000).unwrap();
    let mut election = started(version_2(100));
    election.handle(advert("10.77.0.1", 200, us(1_000_000)), us(1_000_000));
    let other = Parameters { advertisement_interval: ten, ..version_2(100) };
    assert_eq!(election.handle(Event::Parameters(other), us(2_000_000)), []);
    assert_eq!(election.deadline(), Some(us(31_609_375)));
    election.handle(advert("10.77.0.1", 0, us(3_000_000)), us(3_000_000));
    assert_eq!(election.deadline(), Some(us(3_609_375)));
}
