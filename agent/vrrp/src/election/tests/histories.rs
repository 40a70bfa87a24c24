//! Random histories keep the invariants.

use proptest::prelude::*;

use super::*;

fn any_cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::Link),
        Just(Cause::PrimaryAddress),
        Just(Cause::VirtualAddresses),
        Just(Cause::Clock),
        Just(Cause::Ipv6Source),
        Just(Cause::Member),
        Just(Cause::MemberWaits),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let advert = (any::<[u8; 4]>(), any::<u8>(), any::<u64>(), any::<u64>()).prop_map(|(source, priority, ns, at)| {
        Event::Advert(Advert {
            source: source.into(),
            priority: Priority::new(priority),
            max_advertise_interval: Duration::from_nanos(ns),
            received_at: Instant::from_nanos(at),
        })
    });
    prop_oneof![
        2 => Just(Event::Startup),
        1 => Just(Event::Shutdown),
        8 => Just(Event::Timer),
        8 => advert,
        1 => any::<[u8; 4]>().prop_map(|address| Event::PrimaryAddress(address.into())),
        1 => any_cause().prop_map(Event::Fault),
        2 => any_cause().prop_map(Event::Recovered),
        1 => Just(Event::AddressesHeld),
        1 => prop_oneof![Just(Event::HandOver(Audience::All)), Just(Event::HandOver(Audience::One)), Just(Event::Reclaim), Just(Event::Relieved)],
        1 => prop_oneof![Just(Event::Follow(Parting::Goodbye)), Just(Event::Follow(Parting::Silence))],
        1 => (0..u64::MAX / 2).prop_map(|ns| Event::AdvertiseBy(Instant::from_nanos(ns))),
        1 => (0..u64::MAX / 2).prop_map(|ns| Event::Rival(Instant::from_nanos(ns))),
        1 => any::<u32>().prop_map(|ns| Event::Slept(Duration::from_nanos(u64::from(ns) * 4))),
        1 => (1..u8::MAX, 1..200_u16).prop_map(|(priority, interval)| Event::Parameters(Parameters {
            advertisement_interval: Centiseconds::new(interval).unwrap(),
            ..parameters(priority)
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens, at whatever time: no panic; the addresses are held in Active and nowhere else; Backup and
    /// Active always have a timer; state changes are reported, once each, and chain. Adverts say the router's own priority
    /// while it is Active and when it gives way, and Priority 0 when it leaves that state, and at no other time.
    /// Rows: +A8 -A8
    #[test]
    fn invariants_hold(
        priority in 1..=u8::MAX,
        is_version_2: bool,
        preempt_after in proptest::option::of((0..20_u64).prop_map(Duration::from_secs)),
        delay in 0..3_u64,
        limited: bool,
        history in proptest::collection::vec((any_event(), 0..5_000_000_000_u64), 1..60),
        start in prop_oneof![Just(0), Just(1_000_000_000_000), Just(u64::MAX - 1_000)],
    ) {
        let learned_interval_max = limited.then_some(Duration::from_secs(2));
        let version = if is_version_2 { Version::V2 } else { Version::V3 };
        let startup_delay = Duration::from_secs(delay);
        let rest = parameters(priority);
        let mut election =
            Election::new(Parameters { version, preempt_after, startup_delay, learned_interval_max, ..rest });
        let mut now = Instant::from_nanos(start);
        let mut holding = false;
        let mut state = StateName::Initialize;
        let mut is_running = false;
        for (event, pause_ns) in history {
            now = now + Duration::from_nanos(pause_ns);
            let before = state;
            let mut said = Vec::new();
            let mut hastened = None;
            for action in election.handle(event, now) {
                match action {
                    Action::TakeAddresses => holding = true,
                    Action::ReleaseAddresses => holding = false,
                    Action::Report(transition) => {
                        prop_assert_eq!(transition.from, state);
                        state = transition.to;
                    }
                    Action::Announce => prop_assert!(holding),
                    Action::Advertise(priority) => said.push(priority),
                    Action::Hasten(priority) => hastened = Some(priority),
                }
            }
            is_running = (is_running || event == Event::Startup) && event != Event::Shutdown;
            prop_assert_eq!(election.state().name(), state, "unreported after {:?}", event);
            if is_running && state == StateName::Initialize && election.causes().count() == 0 {
                prop_assert!(election.deadline().is_some(), "stuck after {:?}", event);
            }
            prop_assert_eq!(holding, state == StateName::Active, "after {:?}", event);
            let own = election.parameters().priority;
            for said in said {
                let may_serve = before == StateName::Active || state == StateName::Active;
                prop_assert!(said.is_none_or(|said| said == own) && may_serve, "after {:?}", event);
                prop_assert!(said.is_some() || state != StateName::Active, "goodbye after {:?}", event);
                let falls_back = state == StateName::Active && hastened.is_some_and(|was| was > own);
                prop_assert!(said.is_none() || hastened.is_none() || falls_back, "no goodbye after {:?}", event);
            }
            let is_goodbye = |said| said == own && state != StateName::Active;
            let falls_back = |said| said > own && state == StateName::Active && matches!(event, Event::Parameters(_));
            prop_assert!(hastened.is_none_or(|said| is_goodbye(said) || falls_back(said)), "after {:?}", event);
            if matches!(state, StateName::Backup | StateName::Active) {
                prop_assert!(election.deadline().is_some());
                prop_assert_eq!(election.causes().count(), 0);
            }
            if state == StateName::Fault {
                prop_assert!(election.causes().any(Cause::is_fault));
                let curable = election.causes().any(|cause| cause == Cause::VirtualAddresses);
                prop_assert_eq!(election.deadline().is_some(), curable, "stuck after {:?}", event);
            }
        }
    }
}
