//! Two routers that both think that they own the addresses: RFC 9568 erratum 8298.

use super::*;

/// The owner of the smaller address yields, learns, and stays Backup; when the other is gone it takes over again. Nobody
/// else holds it back, though Preempt_Mode is false: RFC 9568 §6.1.
/// Rows: +B8 -B8 +C20
#[test]
fn of_two_owners_one_stays() {
    let mut election = started(Parameters { preempt_after: None, ..parameters(255) });
    let now = us(500_000);
    assert_eq!(effects(&election.handle(advert("10.77.0.1", 255, now), now)), [Action::Advertise(priority(255))]);
    assert_eq!(election.state().name(), StateName::Active, "the greater address stays");
    let gives_way = [Action::Advertise(priority(255)), Action::ReleaseAddresses];
    assert_eq!(effects(&election.handle(advert("10.77.0.3", 255, now), now)), gives_way);
    assert_eq!(election.deadline(), Some(us(3_503_906)).map(|at| at + Duration::from_nanos(250)));
    election.handle(advert("10.77.0.3", 255, us(1_500_000)), us(1_500_000));
    election.handle(advert("10.77.0.9", 254, us(2_000_000)), us(2_000_000));
    let takeover = us(4_503_906) + Duration::from_nanos(250);
    assert_eq!(election.deadline(), Some(takeover), "adverts of others do not hold it back");
    assert_eq!(effects(&election.handle(Event::Timer, takeover))[0], Action::Advertise(priority(255)));
}
