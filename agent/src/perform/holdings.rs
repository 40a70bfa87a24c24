//! What a virtual router holds while it is Active, and how one such list becomes another.

use std::{fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{address, netlink::Order, route::Route, rule::Rule};

/// What a virtual router holds while it is Active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The addresses of its advert, in that order.
    pub addresses: Vec<IpNet>,
    /// Addresses that are held and announced like those, and not advertised.
    pub extra_addresses: Vec<IpNet>,
    /// Routes through its interface.
    pub routes: Vec<Route>,
    /// Rules of policy routing.
    pub rules: Vec<Rule>,
    /// The addresses are the host's own, and stay where they are.
    pub owned: bool,
    /// How often the addresses are announced while nothing happens; `None` for never.
    pub announcement_refresh: Option<Duration>,
    /// Frames of announcements that leave the interface in a second at most; `None` for as many as it takes.
    pub announcement_rate: Option<NonZeroU32>,
    /// Who is asked for an answer after a takeover; `None`: the next hops of routes through the interface.
    pub gateways: Option<Vec<IpAddr>>,
}

impl Holdings {
    /// All addresses that are announced.
    pub fn announced(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().chain(&self.extra_addresses).copied()
    }

    /// What comes and goes with the role, in the order in which it is added: routes may name the addresses.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        let addresses = if self.owned { &[][..] } else { &self.addresses };
        let addresses = addresses.iter().chain(&self.extra_addresses).copied().map(Item::Address);
        let routes = self.routes.iter().copied().map(Item::Route);
        addresses.chain(routes).chain(self.rules.iter().copied().map(Item::Rule)).collect()
    }

    /// How what is `held` becomes this.
    #[must_use]
    pub fn change(&self, held: &[Item]) -> Change {
        let items = self.items();
        let added: Vec<_> = items.iter().filter(|item| !held.contains(item)).copied().collect();
        let is_own = |item: &Item| self.owned && matches!(item, Item::Address(net) if self.addresses.contains(net));
        let gone = held.iter().filter(|&item| !items.contains(item) && !is_own(item)).copied();
        let (first, last) = gone.partition(|item| added.iter().any(|new| new.displaces(item)));
        Change { first, added, last }
    }
}

/// How what a virtual router holds is changed while it holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What must go before anything is added.
    pub first: Vec<Item>,
    /// What is added.
    pub added: Vec<Item>,
    /// What goes after that.
    pub last: Vec<Item>,
}

/// One thing that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A virtual address.
    Address(IpNet),
    /// A route.
    Route(Route),
    /// A rule of policy routing.
    Rule(Rule),
}

/// The interface that items are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Its index.
    pub ifindex: u32,
    /// It is there for this virtual router alone.
    pub is_own: bool,
}

/// By what notifications tell items apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An address.
    Address(IpAddr),
    /// A destination and the number of its table.
    Route(IpNet, u32),
    /// A rule.
    Rule(Rule),
}

impl Item {
    /// Adds it, or makes what is there already its like.
    #[must_use]
    pub fn put(&self, ground: Ground) -> Order {
        match self {
            Self::Address(net) => address::put(ground, *net),
            Self::Route(route) => route.put(ground),
            Self::Rule(rule) => rule.put(),
        }
    }

    /// Removes it.
    #[must_use]
    pub fn take_off(&self, ground: Ground) -> Order {
        match self {
            Self::Address(net) => address::take_off(ground, *net),
            Self::Route(route) => route.take_off(ground),
            Self::Rule(rule) => rule.take_off(),
        }
    }

    /// Whether `error`, of [`Item::put`], says that it is there already.
    #[must_use]
    pub fn is_there(&self, error: Errno) -> bool {
        error == Errno::EEXIST && !matches!(self, Self::Address(_))
    }

    /// Whether `error`, of [`Item::take_off`], says that it is not there, or its interface is gone: the kernel has a word of
    /// its own for each kind.
    #[must_use]
    pub const fn is_gone(error: Errno) -> bool {
        matches!(error, Errno::EADDRNOTAVAIL | Errno::ESRCH | Errno::ENOENT | Errno::ENODEV | Errno::ENXIO)
    }

    /// The address, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpNet> {
        match self {
            Self::Address(net) => Some(*net),
            Self::Route(_) | Self::Rule(_) => None,
        }
    }

    /// By what notifications name it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Address(net) => Subject::Address(net.addr()),
            Self::Route(route) => Subject::Route(route.to, route.table),
            Self::Rule(rule) => Subject::Rule(*rule),
        }
    }

    /// Whether the kernel has only one of both: an interface has an IPv6 address once, whatever its prefix length, and a
    /// route once, whatever its source.
    fn displaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one.addr().is_ipv6() && one.addr() == other.addr(),
            (Self::Route(one), Self::Route(other)) => {
                (one.to, one.table, one.metric) == (other.to, other.table, other.metric)
            }
            (Self::Address(_) | Self::Route(_) | Self::Rule(_), _) => false,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(net) => net.fmt(f),
            Self::Route(route) => route.fmt(f),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(address: &str) -> Item {
        Item::Address(address.parse().unwrap())
    }

    fn rule(from: &str) -> Rule {
        Rule { from: Some(from.parse().unwrap()), to: None, table: 100, priority: 1000 }
    }

    fn holdings(addresses: &[&str], rules: &[Rule]) -> Holdings {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Holdings { addresses, rules: rules.to_vec(), ..Holdings::default() }
    }

    #[test]
    fn a_change_leaves_alone_what_is_held_before_and_after() {
        let held = holdings(&["10.77.0.101/24", "10.77.0.102/24"], &[rule("10.77.0.101/32")]).items();
        let new = holdings(&["10.77.0.102/24", "10.77.0.103/24"], &[rule("10.77.0.101/32"), rule("10.77.0.103/32")]);
        let change = new.change(&held);
        assert_eq!(change.first, []);
        assert_eq!(change.added, [item("10.77.0.103/24"), Item::Rule(rule("10.77.0.103/32"))]);
        assert_eq!(change.last, [item("10.77.0.101/24")]);
    }

    /// The kernel would take the removal of the old one, which comes last, for that of the new one.
    #[test]
    fn an_ipv6_address_of_another_prefix_length_makes_way_first() {
        let held = holdings(&["fd77::101/64", "fd77::102/64"], &[]).items();
        let change = holdings(&["fd77::101/80"], &[]).change(&held);
        assert_eq!(change.first, [item("fd77::101/64")]);
        assert_eq!((change.added, change.last), (vec![item("fd77::101/80")], vec![item("fd77::102/64")]));
        let held = holdings(&["10.77.0.101/24"], &[]).items();
        assert_eq!(holdings(&["10.77.0.101/25"], &[]).change(&held).first, []);
    }

    #[test]
    fn what_is_owned_neither_comes_nor_goes() {
        let owner = Holdings { owned: true, ..holdings(&["10.77.0.1/24"], &[rule("10.77.0.1/32")]) };
        assert_eq!(owner.items(), [Item::Rule(rule("10.77.0.1/32"))]);
        assert_eq!(owner.change(&[item("10.77.0.1/24"), item("10.77.0.2/24")]).last, [item("10.77.0.2/24")]);
    }
}
