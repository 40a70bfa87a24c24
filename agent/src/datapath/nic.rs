//! What is known of an interface before a program is put on it. Nothing here changes it.

use std::{ffi::CStr, io, os::fd::AsRawFd};

use nix::{libc, net::if_::if_indextoname};
use rtnetlink::packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, VlanProtocol,
};
use socket2::{Domain, Socket, Type};

use super::netlink;

/// An interface, as far as attaching cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Bytes that an IP datagram may have on it.
    pub mtu: u32,
    /// Whether it is up and has carrier.
    pub has_carrier: bool,
    /// Name of its driver, where that says.
    pub driver: Option<String>,
    /// What the hardware does to frames before anybody sees them; `None` where the driver does not say.
    pub offloads: Option<Offloads>,
    /// Identifier of the XDP program that is on it.
    pub xdp: Option<u32>,
    /// What it is a VLAN of.
    pub vlan: Option<Vlan>,
}

/// What the hardware does to received frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Large receive offload: it makes one frame of several.
    pub lro: bool,
    /// It takes VLAN tags out of frames.
    pub rxvlan: bool,
}

/// An 802.1Q VLAN of another interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Index of that interface; `None` where it is in another network namespace.
    pub parent: Option<u32>,
    /// VLAN identifier.
    pub id: u16,
}

impl Nic {
    /// Asks the kernel about the interface `ifindex` of this network namespace.
    pub fn read(ifindex: u32) -> io::Result<Self> {
        let link = netlink::link(ifindex)?;
        let mut nic = Self {
            ifindex: link.header.index,
            has_carrier: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            vlan: vlan(&link),
            ..Self::default()
        };
        for attribute in &link.attributes {
            if let LinkAttribute::IfName(name) = attribute {
                nic.name.clone_from(name);
            } else if let LinkAttribute::Mtu(mtu) = attribute {
                nic.mtu = *mtu;
            } else if let LinkAttribute::Xdp(facts) = attribute {
                nic.xdp = facts.iter().find_map(|it| if let LinkXdp::ProgId(id) = it { Some(*id) } else { None });
            }
        }
        nic.driver = driver(&nic.name).ok();
        nic.offloads = offloads(&nic.name).ok();
        Ok(nic)
    }
}

/// What an interface is a VLAN of. That of a provider (802.1ad) is none: its frames are not told apart by their tags.
pub(crate) fn vlan(link: &LinkMessage) -> Option<Vlan> {
    let mut parent = None;
    let mut id = None;
    for attribute in &link.attributes {
        if let LinkAttribute::Link(index) = attribute {
            parent = Some(*index);
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            id = infos.iter().find_map(vlan_id);
        }
    }
    let is_elsewhere = link.attributes.iter().any(|it| matches!(it, LinkAttribute::LinkNetNsId(_)));
    Some(Vlan { parent: parent.filter(|_| !is_elsewhere), id: id? })
}

fn vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(facts)) = info else { return None };
    if facts.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad)) {
        return None;
    }
    facts.iter().find_map(|fact| if let InfoVlan::Id(id) = fact { Some(*id) } else { None })
}

/// `struct ethtool_drvinfo`: the command, five texts of 32 bytes, reserved bytes, five numbers.
fn driver(name: &str) -> io::Result<String> {
    const ETHTOOL_GDRVINFO: u32 = 3;
    let mut request = [0; 49];
    request[0] = ETHTOOL_GDRVINFO;
    ethtool(name, &mut request)?;
    let text: Vec<u8> = request[1..=8].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    let text = CStr::from_bytes_until_nul(&text).map_err(io::Error::other)?;
    Ok(text.to_string_lossy().into_owned())
}

/// `struct ethtool_value`: the command, and flags.
fn offloads(name: &str) -> io::Result<Offloads> {
    const ETHTOOL_GFLAGS: u32 = 0x25;
    const RXVLAN: u32 = 1 << 8;
    const LRO: u32 = 1 << 15;
    let mut request = [ETHTOOL_GFLAGS, 0];
    ethtool(name, &mut request)?;
    let [_, flags] = request;
    Ok(Offloads { lro: flags & LRO != 0, rxvlan: flags & RXVLAN != 0 })
}

/// The name of the interface `ifindex`; nix has an empty one for an interface that is not there.
#[must_use]
pub fn name_of(ifindex: u32) -> Option<String> {
    if_indextoname(ifindex).ok()?.into_string().ok().filter(|name| !name.is_empty())
}

/// Puts a question to the driver, which writes its answer over it.
fn ethtool<const WORDS: usize>(name: &str, request: &mut [u32; WORDS]) -> io::Result<()> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    for (to, from) in ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from.cast_signed();
    }
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data: request.as_mut_ptr().cast() };
    let mut ifreq = libc::ifreq { ifr_name, ifr_ifru };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // SAFETY: the socket is open; `ifreq` is valid and names memory that is as long as the command's structure, which
    // both callers state, and outlives the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut ifreq) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
