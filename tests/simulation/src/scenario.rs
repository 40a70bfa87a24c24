//! What a seed stands for: the routers of a LAN, and the faults that happen to them.

mod upkeep;

use std::{net::IpAddr, time::Duration};

use rand::{Rng, RngExt, seq::IndexedRandom};
use vrrp::{Centiseconds, Family, Parameters, Priority, Version};

use crate::{
    clock::{Clock, Time, nanoseconds},
    dice::{Stream, dice},
};

/// How adverts are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Off,
    /// By the password of version 2.
    Password,
    /// Signed; unsigned ones are accepted too.
    Permissive,
    /// Signed, and nothing else is accepted.
    Enforce,
}

impl Auth {
    pub(crate) const fn signs(self) -> bool {
        matches!(self, Self::Permissive | Self::Enforce)
    }
}

/// One router of the LAN.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) address: IpAddr,
    pub(crate) parameters: Parameters,
    pub(crate) clock: Clock,
}

impl Router {
    pub(crate) fn interval(&self) -> Time {
        nanoseconds(self.parameters.advertisement_interval.duration())
    }
}

/// A state and the address that goes with it may differ for 50 ms; this is half of that, less the steps of time.
const LATENCY_MAX: Time = 24_000_000;

/// Something that happens to the network or to a host.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// Of a hundred frames from one to the other, so many are lost, and as many come twice.
    Impair {
        from: usize,
        to: usize,
        lost: u8,
        twice: u8,
    },
    /// Frames take up to so much longer on all ways, and overtake each other.
    Jitter {
        most: Time,
    },
    /// A bit of one in so many frames is turned.
    Noise {
        once_in: u32,
    },
    /// Whatever is sent between the routers of the list and the others is lost.
    Partition {
        side: Vec<usize>,
    },
    /// The daemon does not run, and neither ends nor knows.
    Freeze {
        host: usize,
    },
    Thaw {
        host: usize,
    },
    /// The daemon is gone without a word; the host goes on.
    Kill {
        host: usize,
    },
    /// The daemon leaves in order.
    Stop {
        host: usize,
    },
    /// The daemon starts, unless it runs.
    Start {
        host: usize,
    },
    /// The configuration is read again: the daemon starts anew with this priority.
    Reload {
        host: usize,
        priority: Priority,
    },
    /// The same, and the daemon goes on with this priority and this interval.
    Reconfigure {
        host: usize,
        priority: Priority,
        interval: Centiseconds,
    },
    /// Another router is to serve.
    HandOver {
        host: usize,
    },
    /// It may preempt again.
    Reclaim {
        host: usize,
    },
    /// The host does nothing, hears nothing, and its clock stands still.
    Suspend {
        host: usize,
    },
    Resume {
        host: usize,
    },
    /// The host is without power.
    PowerLoss {
        host: usize,
    },
    PortDown {
        host: usize,
    },
    PortUp {
        host: usize,
    },
    /// The next attempt to hold the virtual address fails.
    AddressFailure {
        host: usize,
    },
    /// The wall clock is so far ahead from now on.
    WallClock {
        host: usize,
        ahead: i64,
    },
    /// A step of the change from one key to the next.
    Keys {
        host: usize,
        step: u8,
    },
    /// Somebody who is no router of this LAN sends adverts.
    Forge {
        times: u32,
        every: Time,
    },
    /// Somebody sends adverts in the name of a router to the Active Router that it must answer: losing ones, or ones that
    /// say that their sender leaves.
    Assail {
        times: u32,
        every: Time,
        leaving: bool,
    },
    /// All that was broken is mended; no fault follows until the end of what is expected.
    Calm,
    /// What must have become of the calm by now has.
    Settled,
    /// The Active Router is lost.
    LoseActive {
        how: Loss,
    },
    /// Another one stands in for it by now.
    Replaced,
}

/// How an Active Router is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its host loses power.
    Dies,
    /// It stops in order.
    Stops,
    /// It hands over on request.
    HandsOver,
    /// It hangs, and its supervisor leaves in its name.
    IsRelieved,
}

/// A LAN and its history.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) family: Family,
    pub(crate) version: Version,
    pub(crate) auth: Auth,
    /// Adverts are believed from the MAC addresses of the routers only.
    pub(crate) pins_macs: bool,
    pub(crate) routers: Vec<Router>,
    /// The longest that a frame takes on an undisturbed way.
    pub(crate) delay: Time,
    /// The longest that a daemon takes to act on what it knows.
    pub(crate) latency: Time,
    /// A daemon that hangs is made to leave by its supervisor.
    pub(crate) is_supervised: bool,
    pub(crate) happenings: Vec<(Time, Happening)>,
}

impl Scenario {
    /// What `seed` stands for.
    pub(crate) fn new(seed: u64) -> Self {
        let (dice, upkeep) = (&mut dice(seed, Stream::Scenario), &mut dice(seed, Stream::Upkeep));
        let version = if dice.random_ratio(1, 4) { Version::V2 } else { Version::V3 };
        let family = if version == Version::V3 && dice.random() { Family::Ipv6 } else { Family::Ipv4 };
        let auth = match version {
            Version::V2 => *[Auth::Off, Auth::Password].choose(dice).unwrap_or(&Auth::Off),
            Version::V3 => *[Auth::Off, Auth::Permissive, Auth::Enforce].choose(dice).unwrap_or(&Auth::Off),
        };
        let mut routers = routers(version, family, dice);
        if seed.is_multiple_of(3) {
            stagger(&mut routers);
        }
        let shortest = routers.iter().map(Router::interval).min().unwrap_or(0);
        let mut scenario = Self {
            family,
            version,
            auth,
            pins_macs: dice.random_ratio(1, 3),
            routers,
            delay: shortest / 50,
            latency: (shortest / 50).min(LATENCY_MAX),
            is_supervised: upkeep.random_ratio(1, 3),
            happenings: Vec::new(),
        };
        let mut at = 0;
        for _ in 0..dice.random_range(1..=3) {
            let begins = at;
            at = scenario.storm(at, dice);
            scenario.upkeep(begins, at, upkeep);
            at = scenario.calm(at, dice, upkeep);
        }
        scenario.happenings.sort_by_key(|&(at, _)| at);
        scenario
    }

    /// A number that stands for the whole of it: FNV-1a of its text.
    pub(crate) fn fingerprint(&self) -> u64 {
        let text = format!("{self:?}");
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The longest interval.
    pub(crate) fn interval(&self) -> Time {
        self.routers.iter().map(Router::interval).max().unwrap_or(0)
    }

    /// How long two routers that hear each other may both be Active.
    pub(crate) fn contest(&self) -> Time {
        2 * self.interval() + 4 * (self.delay + self.latency)
    }

    /// How long a LAN without faults may take to find its Active Router.
    pub(crate) fn settling(&self) -> Time {
        let most = |span: fn(&Parameters) -> Duration| {
            self.routers.iter().map(|router| nanoseconds(span(&router.parameters))).max().unwrap_or(0)
        };
        let silence = most(|parameters| {
            let interval = parameters.advertisement_interval.duration();
            (interval * u32::from(parameters.down_timer_adverts)).max(Duration::from_millis(10))
        });
        let skew = if self.version == Version::V2 { 1_000_000_000 } else { self.interval() };
        let waits = most(|parameters| parameters.startup_delay + parameters.spread + 2 * parameters.stagger);
        let preemption = most(|parameters| parameters.preempt_after.unwrap_or_default());
        2 * (silence.max(self.silence()) + skew) + waits + preemption + 2 * self.contest()
    }

    /// The longest that the Backups wait for the Active Router, skew apart.
    fn silence(&self) -> Time {
        let adverts = self.routers.iter().map(|router| router.parameters.down_timer_adverts).max().unwrap_or(3);
        self.interval() * Time::from(adverts)
    }

    fn storm(&mut self, begins: Time, dice: &mut impl Rng) -> Time {
        let span = self.interval() * dice.random_range(4..24);
        for _ in 0..dice.random_range(1..=8) {
            let at = begins + dice.random_range(0..span);
            let until = at + dice.random_range(0..span);
            for (at, happening) in self.fault(at, until, dice) {
                self.happenings.push((at.min(begins + span - 1), happening));
            }
        }
        begins + span
    }

    fn calm(&mut self, begins: Time, dice: &mut impl Rng, upkeep: &mut impl Rng) -> Time {
        self.happenings.push((begins, Happening::Calm));
        let settled = begins + self.settling();
        self.happenings.push((settled, Happening::Settled));
        let mut at = settled + dice.random_range(0..2 * self.interval());
        // Nothing but a signature tells such adverts from those of a router.
        if matches!(self.auth, Auth::Off | Auth::Permissive) && dice.random_ratio(1, 4) {
            at = self.assault(at, dice);
        }
        if dice.random_ratio(1, 4) {
            return at;
        }
        let how = match (dice.random(), upkeep.random_ratio(1, 3)) {
            (true, true) => Loss::HandsOver,
            (true, false) => Loss::Stops,
            (false, true) if self.is_supervised => Loss::IsRelieved,
            (false, _) => Loss::Dies,
        };
        self.happenings.push((at, Happening::LoseActive { how }));
        let replaced = at + self.settling();
        self.happenings.push((replaced, Happening::Replaced));
        replaced
    }

    fn assault(&mut self, begins: Time, dice: &mut impl Rng) -> Time {
        let span = self.interval() * dice.random_range(1..16);
        let times = u32::try_from(span / self.interval()).unwrap_or(1) * dice.random_range(2..40);
        let every = span / Time::from(times);
        self.happenings.push((begins, Happening::Assail { times, every, leaving: dice.random() }));
        begins + span + self.interval()
    }

    /// A fault, and what undoes it.
    fn fault(&self, at: Time, until: Time, dice: &mut impl Rng) -> Vec<(Time, Happening)> {
        let count = self.routers.len();
        let host = dice.random_range(0..count);
        let to = (host + dice.random_range(1..count)) % count;
        let interval = self.interval();
        match dice.random_range(0..17) {
            0 => vec![(at, Happening::Impair { from: host, to, lost: 100, twice: 0 })],
            1 | 2 => {
                let (lost, twice) = (dice.random_range(0..80), dice.random_range(0..80));
                (0..count)
                    .flat_map(|from| (0..count).map(move |to| (from, to)))
                    .filter(|(from, to)| from != to)
                    .map(|(from, to)| (at, Happening::Impair { from, to, lost, twice }))
                    .collect()
            }
            3 => vec![(at, Happening::Jitter { most: dice.random_range(1..2 * interval) })],
            4 => vec![(at, Happening::Noise { once_in: dice.random_range(1..8) })],
            5 | 6 => {
                let side = (0..count).filter(|_| dice.random()).collect();
                vec![(at, Happening::Partition { side })]
            }
            7 => vec![(at, Happening::Freeze { host }), (until, Happening::Thaw { host })],
            8 => vec![(at, Happening::Kill { host }), (until, Happening::Start { host })],
            9 => vec![(at, Happening::Stop { host }), (until, Happening::Start { host })],
            10 => vec![(at, Happening::PowerLoss { host }), (until, Happening::Start { host })],
            11 => vec![(at, Happening::PortDown { host }), (until, Happening::PortUp { host })],
            12 => {
                let own = self.routers[host].parameters.priority;
                let other = Priority::new(dice.random_range(1..255)).unwrap_or(own);
                vec![
                    (at, Happening::Reload { host, priority: other }),
                    (until, Happening::Reload { host, priority: own }),
                ]
            }
            13 | 16 if self.auth.signs() => self.trouble_with_time_or_keys(at, until, dice),
            14 if interval >= 1_000_000_000 => vec![(at, Happening::AddressFailure { host })],
            13..=16 => {
                let times = dice.random_range(1..40);
                let every = (until - at) / Time::from(times) + 1;
                vec![(at, Happening::Forge { times, every })]
            }
            _ => Vec::new(),
        }
    }

    fn trouble_with_time_or_keys(&self, at: Time, until: Time, dice: &mut impl Rng) -> Vec<(Time, Happening)> {
        const SECOND: i64 = 1_000_000_000;
        let hosts = 0..self.routers.len();
        if dice.random() {
            let host = dice.random_range(hosts);
            let ahead = *[-3600 * SECOND, -2 * SECOND, SECOND, 2 * SECOND, 3600 * SECOND].choose(dice).unwrap_or(&0);
            let back = Happening::WallClock { host, ahead: 0 };
            return vec![(at, Happening::WallClock { host, ahead }), (until, back)];
        }
        // Every host has the new key before the first one signs with it, and none signs with the old one when it goes.
        let third = (until - at) / 3 + 1;
        let step = |step: u8, host| (at + third * Time::from(step), Happening::Keys { host, step });
        (0..3)
            .flat_map(|number| hosts.clone().map(move |host| (number, host)))
            .map(|(number, host)| step(number, host))
            .collect()
    }
}

fn routers(version: Version, family: Family, dice: &mut impl Rng) -> Vec<Router> {
    let intervals: &[u16] = match version {
        Version::V2 => &[100, 200],
        Version::V3 => &[1, 3, 10, 100],
    };
    let interval = *intervals.choose(dice).unwrap_or(&100);
    let is_mixed = version == Version::V3 && dice.random_ratio(1, 5);
    let has_owner = dice.random_ratio(1, 6);
    let down_timer_adverts = if dice.random_ratio(1, 8) { dice.random_range(2..6) } else { 3 };
    let preempts = dice.random_ratio(3, 4);
    let startup_delay = Duration::from_millis(u64::from(interval) * 10 * dice.random_range(0..3));
    let spread = Duration::from_millis(u64::from(interval) * 10) * dice.random_range(0..32) / 32;
    let limited = dice.random_ratio(1, 3);
    let count = dice.random_range(2..=8_u8);
    let owners = if version == Version::V2 { 1 } else { dice.random_range(1..=2) };
    (1..=count)
        .map(|number| {
            let factor = if is_mixed { dice.random_range(1..=3) } else { 1 };
            let interval = Centiseconds::new(interval * factor).unwrap_or(Centiseconds::MAX);
            let drawn = *[50, 99, 100, 101, 150, 200, 254].choose(dice).unwrap_or(&100);
            let priority = if has_owner && number <= owners { 255 } else { drawn };
            let patience = dice.random_ratio(1, 5).then(|| interval.duration() * dice.random_range(1..8));
            let parameters = Parameters {
                version,
                priority: Priority::new(priority).unwrap_or(Priority::OWNER),
                advertisement_interval: interval,
                preempt_after: (preempts || dice.random()).then(|| patience.unwrap_or_default()),
                startup_delay,
                spread,
                down_timer_adverts,
                learned_interval_max: limited.then(|| interval.duration() * 2),
                stagger: Duration::ZERO,
                breaks_ties: true,
            };
            let clock = Clock {
                boot: dice.random_range(1..1 << 50),
                drift_ppm: dice.random_range(-500..=500),
                wall_ahead: dice.random_range(-50_000_000..=50_000_000),
                stood: 0,
                stands_since: None,
            };
            Router { address: address(family, number), parameters, clock }
        })
        .collect()
}

/// Lets each router wait for those that are better, but for the one that was Active.
fn stagger(routers: &mut [Router]) {
    let priorities: Vec<_> = routers.iter().map(|router| router.parameters.priority).collect();
    for router in routers {
        let better = priorities.iter().filter(|&&priority| priority > router.parameters.priority).count();
        router.parameters.stagger = Duration::from_millis(20) * u32::try_from(better.saturating_sub(1)).unwrap_or(0);
    }
}

/// The address of a host.
pub(crate) fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::from([192, 0, 2, number]),
        Family::Ipv6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(number)]),
    }
}
