//! Watches interfaces, their addresses, routes and rules through rtnetlink, and tells the election thread and those who hold
//! something what changed.

mod dump;
mod removals;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use futures_util::{FutureExt, Stream, StreamExt};
use rtnetlink::{
    Handle, MulticastGroup, new_connection, new_multicast_connection,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::AddressMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage},
    },
    sys::AsyncSocket,
};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, warn};
use vrrp::MacAddr;

use self::dump::dump;
pub use self::removals::{Removal, Removals};
use crate::{
    mailbox::{Mail, Mailbox},
    perform::{
        address::{address, is_marked, is_unfit},
        holdings::Subject,
        netlink::make_room,
        route,
        rule::Rule,
    },
};

/// How long until the interfaces are read again after the kernel refused.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Memory of the kernel for notifications that wait, in bytes: about a thousand. Of more the oldest news is that some were
/// lost, and everything is read again.
const NEWS_MAX: usize = 1024 * 1024;

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Names of interfaces.
    pub interfaces: BTreeSet<String>,
    /// Virtual addresses: on an interface or not, they are nobody's primary address.
    pub virtual_addresses: BTreeSet<IpAddr>,
    /// Whether routes are: a router of the Internet's hears of many.
    pub routes: bool,
    /// Whether rules are.
    pub rules: bool,
}

impl Watched {
    fn groups(&self) -> Vec<MulticastGroup> {
        let mut groups = vec![MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        if self.routes {
            groups.extend([MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route]);
        }
        if self.rules {
            groups.extend([MulticastGroup::Ipv4Rule, MulticastGroup::Ipv6Rule]);
        }
        groups
    }

    /// Watches what `others` does as well.
    pub fn extend(&mut self, others: Self) {
        self.interfaces.extend(others.interfaces);
        self.virtual_addresses.extend(others.virtual_addresses);
        self.routes |= others.routes;
        self.rules |= others.rules;
    }
}

/// How often there was more news than was taken in.
#[derive(Clone, Debug, Default)]
pub struct Resyncs(Arc<AtomicU64>);

impl Resyncs {
    /// So often, since the start of this program.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// An interface, as far as elections care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Its name.
    pub interface: String,
    /// Its index; 0 while there is no such interface.
    pub ifindex: u32,
    /// Whether it is up and has carrier.
    pub up: bool,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Bytes that an IP datagram may have on it.
    pub mtu: u32,
    /// Addresses that can be used now: none that is tentative, a duplicate or virtual.
    pub addresses: Vec<IpAddr>,
}

impl LinkState {
    /// That of an interface that is not there.
    #[must_use]
    pub fn absent(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            ifindex: 0,
            up: false,
            mac: MacAddr([0; 6]),
            mtu: 0,
            addresses: Vec::new(),
        }
    }

    /// The first link-local IPv6 address.
    #[must_use]
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }
}

/// Reads the state of the watched interfaces.
pub async fn read(handle: &Handle, watched: &Watched) -> anyhow::Result<Vec<LinkState>> {
    let mut states: BTreeMap<&str, _> =
        watched.interfaces.iter().map(|name| (name.as_str(), LinkState::absent(name))).collect();
    let is_watched = |link: &&LinkMessage| link_name(link).is_some_and(|name| watched.interfaces.contains(name));
    for link in links(handle, |link| Some(link).filter(is_watched).cloned()).await? {
        if let Some(state) = link_name(&link).and_then(|name| states.get_mut(name)) {
            state.ifindex = link.header.index;
            state.up = link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
            state.mac = link_mac(&link).unwrap_or(state.mac);
            state.mtu = link_mtu(&link).unwrap_or(0);
        }
    }
    let placed = |message: &AddressMessage| {
        let address = usable_address(message).filter(|address| !watched.virtual_addresses.contains(address))?;
        Some((message.header.index, address))
    };
    for (ifindex, address) in addresses(handle, placed).await? {
        if let Some(state) = states.values_mut().find(|state| state.ifindex == ifindex) {
            state.addresses.push(address);
        }
    }
    Ok(states.into_values().collect())
}

/// Addresses of this host, on whatever interface, and the names of its interfaces.
pub async fn survey(handle: &Handle) -> anyhow::Result<(Vec<IpAddr>, Vec<String>)> {
    let names = links(handle, |link| link_name(link).map(str::to_owned)).await?;
    Ok((addresses(handle, usable_address).await?, names))
}

/// The interfaces of this host: their indices by name.
pub async fn indices(handle: &Handle) -> anyhow::Result<BTreeMap<String, u32>> {
    let index = |link: &LinkMessage| Some((link_name(link)?.to_owned(), link.header.index));
    Ok(links(handle, index).await?.into_iter().collect())
}

/// What `pick` makes of all interfaces.
async fn links<T>(handle: &Handle, pick: impl Fn(&LinkMessage) -> Option<T>) -> anyhow::Result<Vec<T>> {
    let pick = |message| if let RouteNetlinkMessage::NewLink(link) = message { pick(&link) } else { None };
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    dump(handle, &request, pick).await.context("failed to read the interfaces")
}

/// What `pick` makes of all addresses.
async fn addresses<T>(handle: &Handle, pick: impl Fn(&AddressMessage) -> Option<T>) -> anyhow::Result<Vec<T>> {
    let pick = |message| if let RouteNetlinkMessage::NewAddress(message) = message { pick(&message) } else { None };
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    dump(handle, &request, pick).await.context("failed to read the addresses")
}

/// Tells `mailbox` of every change since `states`, and `disturbances` whenever what is held may have been removed, for ever.
/// What is `watched` may change meanwhile. Losses of news are counted.
///
/// Questions go by a connection of their own. News has the number of the order that made it, and where that is the number of a
/// question, it would pass for the whole answer; and the kernel refuses a second list while it gives the first.
pub async fn watch(
    mut watched: watch::Receiver<Watched>,
    mut states: Vec<LinkState>,
    mailbox: Mailbox,
    disturbances: watch::Sender<Removals>,
    resyncs: Resyncs,
) -> anyhow::Result<()> {
    let (asking, handle, _) = new_connection().context("failed to open a netlink socket")?;
    tokio::spawn(asking);
    loop {
        let current = watched.borrow().clone();
        let (mut connection, _, messages) =
            new_multicast_connection(&current.groups()).context("failed to subscribe to changes of interfaces")?;
        make_room(connection.socket_mut().socket_mut(), NEWS_MAX).context("failed to make room for notifications")?;
        let subscription = Subscription { of: current, handle: handle.clone(), messages, resyncs: resyncs.clone() };
        let connection = tokio::spawn(connection);
        subscription.follow(&mut watched, &mut states, &mailbox, &disturbances).await?;
        connection.abort();
        // What is removed between two subscriptions nobody hears.
        disturbances.send_modify(|_| {});
    }
}

/// Notifications that the kernel sends.
struct Subscription<M> {
    of: Watched,
    handle: Handle,
    messages: M,
    resyncs: Resyncs,
}

impl<M: Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, A)> + Unpin, A> Subscription<M> {
    /// Tells of changes until others are wanted than it has.
    async fn follow(
        mut self,
        watched: &mut watch::Receiver<Watched>,
        states: &mut Vec<LinkState>,
        mailbox: &Mailbox,
        disturbances: &watch::Sender<Removals>,
    ) -> anyhow::Result<()> {
        loop {
            let current = watched.borrow_and_update().clone();
            if (current.routes, current.rules) != (self.of.routes, self.of.rules) {
                return Ok(());
            }
            // First read, then wait: what changed before the subscription is not lost.
            match read(&self.handle, &current).await {
                Ok(now) => {
                    for state in now.iter().filter(|state| !states.contains(state)) {
                        debug!(?state, "interface changed");
                        mailbox.send(Mail::Link(state.clone())).await;
                    }
                    *states = now;
                }
                Err(error) => {
                    warn!("{error:#}; trying again in {READ_AGAIN:?}");
                    sleep(READ_AGAIN).await;
                    continue;
                }
            }
            let mut news = News::default();
            while !news.of_links {
                let (message, _) = tokio::select! {
                    message = self.messages.next() => message.ok_or_else(|| anyhow!("netlink ended its connection"))?,
                    Ok(()) = watched.changed() => break,
                };
                news.add(&message, states, &current);
                // Everything that waits is answered by the one reading.
                while let Some(Some((message, _))) = self.messages.next().now_or_never() {
                    news.add(&message, states, &current);
                }
                if std::mem::take(&mut news.of_removals) {
                    let removed = std::mem::take(&mut news.removed);
                    disturbances.send_modify(|removals| removals.note_all(removed));
                }
            }
            self.resyncs.add(news.losses);
            // An interface that was in another network namespace meanwhile is back with its index, and without what was on it.
            for state in states.iter_mut().filter(|state| news.gone.contains(&state.ifindex)) {
                *state = LinkState::absent(&state.interface);
                mailbox.send(Mail::Link(state.clone())).await;
            }
        }
    }
}

/// What notifications are about.
#[derive(Clone, Debug, Default)]
struct News {
    /// What elections see of an interface may have changed.
    of_links: bool,
    /// How often some of them were lost.
    losses: u64,
    /// Something that is held may have been removed or spoilt.
    of_removals: bool,
    /// What has been, and by whom.
    removed: Vec<(Subject, String)>,
    /// Who is behind the netlink ports that removed something.
    owners: BTreeMap<u32, String>,
    /// Indices of watched interfaces that have left this network namespace.
    gone: BTreeSet<u32>,
}

impl News {
    /// Takes in `message`, as far as it is of one of the interfaces in `states`, or of a link of such a name. That a virtual
    /// address was added is none, unless it cannot be used.
    fn add(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>, states: &[LinkState], watched: &Watched) {
        let port = message.header.port_number;
        let NetlinkPayload::InnerMessage(message) = &message.payload else {
            // An overrun, most of all: notifications were lost.
            (self.of_links, self.of_removals) = (true, true);
            self.losses += 1;
            return;
        };
        let is_watched = |ifindex| states.iter().any(|state| state.ifindex == ifindex);
        let is_virtual = |message: &AddressMessage| {
            is_marked(message) || address(message).is_some_and(|address| watched.virtual_addresses.contains(&address))
        };
        let is_named = |link| link_name(link).is_some_and(|name| states.iter().any(|state| state.interface == name));
        if let RouteNetlinkMessage::NewAddress(message) = message {
            self.of_links |= is_watched(message.header.index) && !is_virtual(message);
            self.of_removals |= is_virtual(message) && is_unfit(message);
        } else if let RouteNetlinkMessage::DelAddress(message) = message {
            // One with the Virtual Router MAC Address is on another interface than those that are watched.
            self.of_links |= is_watched(message.header.index) && !is_virtual(message);
            if is_virtual(message) {
                self.add_removal(address(message).map(Subject::Address), port);
            }
        } else if let RouteNetlinkMessage::DelRoute(message) = message {
            if route::is_marked(message) {
                self.add_removal(route::destination(message).map(|(to, table)| Subject::Route(to, table)), port);
            }
        } else if let RouteNetlinkMessage::DelRule(message) = message {
            // A rule of somebody else that was like ours may have stood for it.
            self.add_removal(Rule::of(message).map(Subject::Rule), port);
        } else if let RouteNetlinkMessage::NewLink(link) = message {
            // A link that was down for a moment has lost its IPv6 addresses.
            let ours = is_watched(link.header.index) || is_named(link);
            (self.of_links, self.of_removals) = (self.of_links | ours, self.of_removals | ours);
        } else if let RouteNetlinkMessage::DelLink(link) = message {
            let is_watched = is_watched(link.header.index);
            let ours = is_watched || is_named(link);
            (self.of_links, self.of_removals) = (self.of_links | ours, self.of_removals | ours);
            self.gone.extend(is_watched.then_some(link.header.index));
        }
    }

    /// Takes in a removal. Whoever asked for it through `port` may soon be gone, so the name is looked up at once.
    fn add_removal(&mut self, subject: Option<Subject>, port: u32) {
        self.of_removals = true;
        let by = self.owners.entry(port).or_insert_with(|| removals::owner(port));
        self.removed.extend(subject.map(|subject| (subject, by.clone())));
    }
}

fn link_name(link: &LinkMessage) -> Option<&str> {
    link.attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.as_str()) } else { None })
}

fn link_mac(link: &LinkMessage) -> Option<MacAddr> {
    let bytes = link
        .attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::Address(bytes) = attribute { Some(bytes) } else { None })?;
    bytes.as_slice().try_into().ok().map(MacAddr)
}

fn link_mtu(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| if let &LinkAttribute::Mtu(mtu) = attribute { Some(mtu) } else { None })
}

/// The address in `message`, unless it is tentative, a duplicate, or one that vipd added.
fn usable_address(message: &AddressMessage) -> Option<IpAddr> {
    if is_unfit(message) || is_marked(message) { None } else { address(message) }
}
