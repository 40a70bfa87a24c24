//! Nodes that run a group each on one lossy LAN, in virtual time: whatever has happened to them, once it is over one of them
//! is Active for all members, and stays.

use std::{collections::BTreeMap, mem, net::IpAddr};

use proptest::{collection::vec, prelude::*};

use super::*;
const DELAY: Duration = Duration::from_micros(300);
const CAUSES: [Cause; 3] = [Cause::Link, Cause::Ipv6Source, Cause::VirtualAddresses];

/// A node with its members. What it hears while it hangs it handles when it goes on.
struct Node {
    members: Vec<Election>,
    hangs: bool,
    inbox: Vec<(usize, Advert)>,
    transitions: usize,
}

impl Node {
    /// When it wants to run: as vipd's election thread does, it does not look at the timers of single Backups.
    fn deadline(&self) -> Option<Instant> {
        let own = self.members.iter().filter(|member| member.state().name() != StateName::Backup);
        own.filter_map(Election::deadline).chain(takeover_at(&self.members)).min().filter(|_| !self.hangs)
    }

    fn states(&self) -> Vec<StateName> {
        self.members.iter().map(|member| member.state().name()).collect()
    }

    fn is_all(&self, state: StateName) -> bool {
        self.states().iter().all(|&other| other == state)
    }
}

/// How a LAN is set up.
#[derive(Clone, Debug)]
struct Setup {
    /// The priority of each node.
    priorities: Vec<u8>,
    /// Interval in centiseconds, Preempt_Mode and version of each member, the same on all nodes.
    members: Vec<(u16, Option<Duration>, Version)>,
    startup_delay: Duration,
}

/// What happens, to one node or to one way of one member.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Of a hundred adverts, so many are lost.
    Lose {
        member: usize,
        from: usize,
        to: usize,
        percent: u8,
    },
    Fault {
        node: usize,
        member: usize,
        cause: Cause,
    },
    Recover {
        node: usize,
        member: usize,
        cause: Cause,
    },
    /// Something befalls all members of a node.
    All {
        node: usize,
        event: Event,
    },
    Hang {
        node: usize,
        hangs: bool,
    },
    Restart {
        node: usize,
    },
    Priority {
        node: usize,
        priority: u8,
    },
}

struct Lan {
    setup: Setup,
    nodes: Vec<Node>,
    now: Instant,
    /// Of a hundred adverts, so many are lost: (member, from, to).
    lost: BTreeMap<(usize, usize, usize), u8>,
    underway: Vec<(Instant, usize, usize, Advert)>,
    dice: u64,
}

/// The addresses of the nodes are in another order for each member.
fn address(node: usize, member: usize) -> IpAddr {
    let host = if member.is_multiple_of(2) { node } else { 9 - node };
    [10, 77, u8::try_from(member).unwrap(), u8::try_from(host).unwrap()].into()
}

impl Lan {
    fn new(setup: Setup, dice: u64) -> Self {
        let node = |_| Node { members: Vec::new(), hangs: false, inbox: Vec::new(), transitions: 0 };
        let nodes = (0..setup.priorities.len()).map(node).collect();
        let mut lan = Self { setup, nodes, now: START, lost: BTreeMap::new(), underway: Vec::new(), dice: dice | 1 };
        (0..lan.nodes.len()).for_each(|node| lan.start(node));
        lan
    }

    fn parameters(&self, member: usize, priority: u8) -> Parameters {
        let (interval, preempt_after, version) = self.setup.members[member];
        Parameters {
            version,
            priority: Priority::new(priority).unwrap(),
            advertisement_interval: Centiseconds::new(interval).unwrap(),
            preempt_after,
            startup_delay: self.setup.startup_delay,
            stagger: Duration::ZERO,
            breaks_ties: member == 0,
            ..parameters()
        }
    }

    fn start(&mut self, node: usize) {
        let (priority, members) = (self.setup.priorities[node], 0..self.setup.members.len());
        self.nodes[node].members =
            members.clone().map(|member| Election::new(self.parameters(member, priority))).collect();
        for member in members {
            self.tell(node, member, Event::PrimaryAddress(address(node, member)));
            self.tell(node, member, Event::Startup);
        }
    }

    fn tell_all(&mut self, node: usize, event: Event) {
        (0..self.setup.members.len()).for_each(|member| self.tell(node, member, event));
    }

    /// Tells a member of an event, and sends what comes of it.
    fn tell(&mut self, node: usize, member: usize, event: Event) {
        let election = &mut self.nodes[node].members[member];
        let interval = election.parameters().advertisement_interval.duration();
        for action in election.handle(event, self.now) {
            match action {
                Action::Advertise(priority) => self.send(node, member, priority, interval),
                Action::Hasten(priority) => self.send(node, member, Some(priority), Centiseconds::MIN.duration()),
                Action::Report(_) => self.nodes[node].transitions += 1,
                Action::TakeAddresses | Action::Announce | Action::ReleaseAddresses => {}
            }
        }
    }

    fn send(&mut self, from: usize, member: usize, priority: Option<Priority>, max_advertise_interval: Duration) {
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            if self.dice % 100 >= u64::from(self.lost.get(&(member, from, to)).copied().unwrap_or(0)) {
                let (source, received_at) = (address(from, member), self.now + DELAY);
                let advert = Advert { source, priority, max_advertise_interval, received_at };
                self.underway.push((received_at, to, member, advert));
            }
        }
    }

    /// One turn of a node's election thread.
    fn turn(&mut self, node: usize) {
        if self.nodes[node].hangs {
            return;
        }
        for (member, advert) in mem::take(&mut self.nodes[node].inbox) {
            self.tell(node, member, Event::Advert(advert));
        }
        self.settle(node);
        let takes_over = takeover_at(&self.nodes[node].members).is_some_and(|at| at <= self.now);
        for member in 0..self.setup.members.len() {
            let is_backup = self.nodes[node].members[member].state().name() == StateName::Backup;
            if takes_over || !is_backup {
                self.tell(node, member, Event::Timer);
            }
        }
        self.settle(node);
    }

    fn settle(&mut self, node: usize) {
        for Order { member, event, .. } in orders(self.nodes[node].members.iter()) {
            self.tell(node, member, event);
        }
        let node = &self.nodes[node];
        assert_eq!(orders(node.members.iter()), [], "carried out once, nothing is left");
        let is_torn = node.states().contains(&StateName::Active) && !node.is_all(StateName::Active);
        assert!(!is_torn, "{:?}", node.members);
        let interval = |member: &Election| member.parameters().advertisement_interval;
        let adverts: BTreeMap<_, _> = node.members.iter().map(|member| (interval(member), member.adver_at())).collect();
        let is_in_step = |member: &Election| adverts[&interval(member)] == member.adver_at();
        assert!(node.members.iter().all(is_in_step), "{:?}", node.members);
    }

    fn run_until(&mut self, end: Instant) {
        let mut turns = 0;
        loop {
            let arrival = self.underway.iter().map(|&(at, ..)| at).min();
            let next = self.nodes.iter().filter_map(Node::deadline).chain(arrival).min();
            let Some(next) = next.filter(|&at| at <= end) else { break };
            turns = if next > self.now { 0 } else { turns + 1 };
            assert!(turns < 20, "the deadline {next:?} comes again and again");
            self.now = self.now.max(next);
            let (arrived, underway): (Vec<_>, _) =
                mem::take(&mut self.underway).into_iter().partition(|&(at, ..)| at <= self.now);
            self.underway = underway;
            for (_, to, member, advert) in arrived {
                self.nodes[to].inbox.push((member, advert));
            }
            (0..self.nodes.len()).for_each(|node| self.turn(node));
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, happening: Happening) {
        let (nodes, members) = (self.nodes.len(), self.setup.members.len());
        match happening {
            Happening::Lose { member, from, to, percent } => {
                self.lost.insert((member % members, from % nodes, to % nodes), percent);
            }
            Happening::Fault { node, member, cause } => {
                self.tell(node % nodes, member % members, Event::Fault(cause));
            }
            Happening::Recover { node, member, cause } => {
                self.tell(node % nodes, member % members, Event::Recovered(cause));
            }
            Happening::All { node, event } => self.tell_all(node % nodes, event),
            Happening::Hang { node, hangs } => self.nodes[node % nodes].hangs = hangs,
            Happening::Restart { node } => self.start(node % nodes),
            Happening::Priority { node, priority } => self.set_priority(node % nodes, priority),
        }
        (0..nodes).for_each(|node| self.turn(node));
    }

    fn set_priority(&mut self, node: usize, priority: u8) {
        for member in 0..self.setup.members.len() {
            self.tell(node, member, Event::Parameters(self.parameters(member, priority)));
        }
    }

    /// All that was broken is mended.
    fn calm(&mut self) {
        self.lost.clear();
        for node in 0..self.nodes.len() {
            self.nodes[node].hangs = false;
            self.set_priority(node, self.setup.priorities[node]);
            for cause in CAUSES {
                self.tell_all(node, Event::Recovered(cause));
            }
            self.tell_all(node, Event::Reclaim);
            self.turn(node);
        }
    }

    /// The longest that routers without faults may take to find their Active Router.
    fn settling(&self) -> Duration {
        let longest = self.setup.members.iter().map(|&(interval, after, _)| {
            Duration::from_millis(u64::from(interval) * 10) * 5 + Duration::from_secs(2) + after.unwrap_or_default()
        });
        longest.max().unwrap_or_default() * 3 + self.setup.startup_delay
    }
}

fn any_setup() -> impl Strategy<Value = Setup> {
    let preempt_after = prop_oneof![
        4 => Just(Some(Duration::ZERO)),
        1 => Just(None),
        1 => (1..3_000_u64).prop_map(|ms| Some(Duration::from_millis(ms)))
    ];
    // How an interval is written on the wire of version 2 is the configuration's business.
    let version = prop_oneof![4 => Just(Version::V3), 1 => Just(Version::V2)];
    let member = (prop_oneof![Just(10_u16), Just(30), Just(100)], preempt_after, version);
    let priority = prop_oneof![Just(100_u8), Just(150), Just(200)];
    let delay = prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(1))];
    (vec(priority, 2..4), vec(member, 2..4), delay).prop_map(|(priorities, members, startup_delay)| Setup {
        priorities,
        members,
        startup_delay,
    })
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let cause = || (0..CAUSES.len()).prop_map(|at| CAUSES[at]);
    let event = prop_oneof![
        Just(Event::HandOver(Audience::All)),
        Just(Event::Relieved),
        (0..10_000_u64).prop_map(|ms| Event::Slept(Duration::from_millis(ms))),
    ];
    let (node, member, percent) = (0..6_usize, 0..6_usize, prop_oneof![Just(100_u8), 1..100_u8]);
    prop_oneof![
        6 => (member.clone(), node.clone(), node.clone(), percent)
            .prop_map(|(member, from, to, percent)| Happening::Lose { member, from, to, percent }),
        3 => (node.clone(), member.clone(), cause())
            .prop_map(|(node, member, cause)| Happening::Fault { node, member, cause }),
        3 => (node.clone(), member, cause())
            .prop_map(|(node, member, cause)| Happening::Recover { node, member, cause }),
        3 => (node.clone(), event).prop_map(|(node, event)| Happening::All { node, event }),
        4 => (node.clone(), any::<bool>()).prop_map(|(node, hangs)| Happening::Hang { node, hangs }),
        1 => node.clone().prop_map(|node| Happening::Restart { node }),
        2 => (node, prop_oneof![Just(1_u8), Just(100), Just(150), Just(250)])
            .prop_map(|(node, priority)| Happening::Priority { node, priority }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// At any time a node is Active for all members or for none, and runs when there is something to be done. In the calm that
    /// follows one node is Active for all, the others are Backup for all, nobody changes its state any more, and none that
    /// would preempt is passed over.
    #[test]
    fn members_are_active_on_one_node_and_stay_there(
        setup in any_setup(),
        dice: u64,
        history in vec((any_happening(), 0..4_000_u64), 0..40),
    ) {
        let mut lan = Lan::new(setup.clone(), dice);
        for (happening, pause_ms) in history {
            lan.happen(happening);
            lan.run_until(lan.now + Duration::from_millis(pause_ms));
        }
        lan.calm();
        lan.run_until(lan.now + lan.settling());
        let states: Vec<_> = lan.nodes.iter().map(Node::states).collect();
        let actives: Vec<_> = (0..lan.nodes.len()).filter(|&at| lan.nodes[at].is_all(StateName::Active)).collect();
        prop_assert_eq!(actives.len(), 1, "{:?}", states);
        let backups = lan.nodes.iter().filter(|node| node.is_all(StateName::Backup)).count();
        prop_assert_eq!(backups, lan.nodes.len() - 1, "{:?}", states);
        let preempts = setup.members.iter().all(|(_, after, _)| after.is_some());
        let best = setup.priorities.iter().max();
        prop_assert!(!preempts || Some(&setup.priorities[actives[0]]) == best, "passed over: {:?}", states);
        let count = |lan: &Lan| -> usize { lan.nodes.iter().map(|node| node.transitions).sum() };
        let before = count(&lan);
        lan.run_until(lan.now + Duration::from_secs(30));
        prop_assert_eq!(count(&lan), before, "it goes on and on");
    }
}
