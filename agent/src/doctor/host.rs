//! What is on this host: interfaces with their addresses, and the programs that share its network.

use std::{fs, io, net::IpAddr, path::Path};

use ipnet::IpNet;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoBridge, InfoData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};

use crate::{
    datapath::nic,
    perform::{
        address::{address, is_marked, is_unfit},
        netlink::dump,
    },
};

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) flags: LinkFlags,
    /// Bytes that an IP datagram may have on it.
    pub(super) mtu: u32,
    /// The index of the bridge, bond or the like that it is a port of.
    pub(super) controller: Option<u32>,
    /// What it is, such as `bridge`, `bond`, `vlan`; `None` for hardware.
    pub(super) kind: Option<String>,
    pub(super) bridge: Option<Bridge>,
    /// VLAN identifier, of an interface that is a VLAN of another.
    pub(super) vlan: Option<u16>,
    pub(super) addresses: Vec<Address>,
}

impl Link {
    /// Whether it has been switched on.
    pub(super) fn is_up(&self) -> bool {
        self.flags.contains(LinkFlags::Up)
    }

    /// Whether it is on and has carrier.
    pub(super) fn has_carrier(&self) -> bool {
        self.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
    }
}

/// What a bridge does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bridge {
    /// It forwards multicast only to those who have asked.
    pub(super) snoops: bool,
    /// It asks them.
    pub(super) asks: bool,
    /// How long it knows where a station is, in hundredths of a second.
    pub(super) ageing_cs: u32,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) net: IpNet,
    /// vipd has put it there.
    pub(super) is_ours: bool,
    /// It is being probed for, or another host has it.
    pub(super) is_unfit: bool,
    /// Who has put it there, by the kernel's `IFAPROT_…`.
    pub(super) protocol: Option<u8>,
}

/// A program in the network namespace of this one.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) pid: u32,
    /// Its name, of which the kernel keeps 15 bytes.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

impl Program {
    /// Whether its executable has this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name.get(..15).unwrap_or(name)
    }
}

/// What is on this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    pub(super) links: Vec<Link>,
    pub(super) programs: Vec<Program>,
    /// Programs of which this process may not know whether they share its network.
    pub(super) strangers: Vec<Program>,
    /// Whether there may be programs that are not seen at all.
    pub(super) is_contained: bool,
}

impl Host {
    /// Looks.
    pub(super) fn look() -> io::Result<Self> {
        let links = dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let link = |it| if let RouteNetlinkMessage::NewLink(message) = it { Some(link(&message)) } else { None };
        let mut links: Vec<_> = links.into_iter().filter_map(link).collect();
        for answer in dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
            let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
            let link = links.iter_mut().find(|link| link.ifindex == message.header.index);
            if let (Some(link), Some(address)) = (link, noted(&message)) {
                link.addresses.push(address);
            }
        }
        let proc = Path::new("/proc");
        let (programs, strangers) = programs(proc);
        Ok(Self { links, programs, strangers, is_contained: !is_in_first_pid_namespace(proc) })
    }

    /// The interface of this name.
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The interface that `link` is a port of.
    pub(super) fn controller(&self, link: &Link) -> Option<&Link> {
        self.links.iter().find(|other| Some(other.ifindex) == link.controller)
    }

    /// Where `address` is: the interfaces that have it.
    pub(super) fn holders(&self, address: IpAddr) -> impl Iterator<Item = (&Link, &Address)> {
        let of = move |link: &'_ Link| link.addresses.iter().position(|held| held.net.addr() == address);
        self.links.iter().filter_map(move |link| Some((link, link.addresses.get(of(link)?)?)))
    }

    /// The program of this name.
    pub(super) fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.is(name))
    }
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        ifindex: message.header.index,
        flags: message.header.flags,
        vlan: nic::vlan(message).map(|vlan| vlan.id),
        ..Link::default()
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = *mtu;
        } else if let LinkAttribute::Controller(index) = attribute {
            link.controller = Some(*index);
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            link.kind =
                infos.iter().find_map(|it| if let LinkInfo::Kind(kind) = it { Some(kind.to_string()) } else { None });
            link.bridge = infos.iter().find_map(bridge);
        }
    }
    link
}

fn bridge(info: &LinkInfo) -> Option<Bridge> {
    let LinkInfo::Data(InfoData::Bridge(facts)) = info else { return None };
    let mut bridge = Bridge::default();
    for fact in facts {
        if let InfoBridge::MulticastSnooping(is_on) = fact {
            bridge.snoops = *is_on;
        } else if let InfoBridge::MulticastQuerier(is_on) = fact {
            bridge.asks = *is_on;
        } else if let InfoBridge::AgeingTime(span) = fact {
            bridge.ageing_cs = *span;
        }
    }
    Some(bridge)
}

fn noted(message: &AddressMessage) -> Option<Address> {
    let protocol = message
        .attributes
        .iter()
        .find_map(|it| if let AddressAttribute::Protocol(protocol) = it { Some(u8::from(*protocol)) } else { None });
    let net = IpNet::new(address(message)?, message.header.prefix_len).ok()?;
    Some(Address { net, is_ours: is_marked(message), is_unfit: is_unfit(message), protocol })
}

/// The programs below `proc` that share the network namespace of this process, and those of which that is not known.
fn programs(proc: &Path) -> (Vec<Program>, Vec<Program>) {
    let namespace = |process: &Path| fs::read_link(process.join("ns/net"));
    let own = namespace(&proc.join("self")).ok();
    let (mut programs, mut strangers) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match namespace(&entry.path()) {
            Ok(of) if Some(&of) == own.as_ref() => programs.extend(program(pid, &entry.path())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                strangers.extend(program(pid, &entry.path()));
            }
            Ok(_) | Err(_) => {}
        }
    }
    (programs, strangers)
}

fn program(pid: u32, process: &Path) -> Option<Program> {
    let name = fs::read_to_string(process.join("comm")).ok()?.trim_end().to_owned();
    let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
    let arguments = arguments.split(|&byte| byte == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    Some(Program { pid, name, arguments })
}

/// Whether this process sees the programs of the whole host: the kernel gives the first PID namespace a fixed number.
fn is_in_first_pid_namespace(proc: &Path) -> bool {
    fs::read_link(proc.join("self/ns/pid")).is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}
