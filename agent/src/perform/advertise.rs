//! Sends adverts: one raw socket for each interface and family, whatever the number of virtual routers.

use std::{
    io,
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    libc,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, sendmmsg},
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use vrrp::{
    Family, Version,
    auth::{Key, Sequence},
    message::{ChecksumForm, Endpoints, Message, version_2},
};
use vrrp_wire::{
    judge::{GROUP_IPV4, GROUP_IPV6, TTL},
    parse::IP_PROTO_VRRP,
};

use super::outbox::Letter;

/// Network control, as every router marks its own protocols. RFC 4594 §3.1.
const CLASS_SELECTOR_6: u32 = 0xc0;

/// How the adverts of a virtual router are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Which version of VRRP.
    pub version: Version,
    /// What the checksum of adverts of version 3 over IPv4 covers.
    pub checksum: ChecksumForm,
    /// What adverts of version 2 carry.
    pub authentication: version_2::Authentication,
}

impl Dialect {
    /// The bytes of `message`, signed where there is something to sign with and the version knows signatures.
    #[must_use]
    pub fn encode(&self, message: &Message, endpoints: &Endpoints, signature: Option<(&Key, Sequence)>) -> Vec<u8> {
        let form = match endpoints.family() {
            Family::Ipv4 => self.checksum,
            Family::Ipv6 => ChecksumForm::PseudoHeader,
        };
        match (self.version, signature) {
            (Version::V2, _) => version_2::encode(message, &self.authentication),
            (Version::V3, Some((key, sequence))) => message.encode_signed(endpoints, form, key, sequence),
            (Version::V3, None) => message.encode(endpoints, form),
        }
    }
}

/// Sends the adverts of one family on one interface, and is a member of the VRRP group there.
#[derive(Debug)]
pub struct Advertiser {
    socket: Socket,
    ifindex: u32,
}

impl Advertiser {
    /// Opens the socket and joins the group; needs `CAP_NET_RAW`.
    ///
    /// The socket also keeps the kernel from answering unicast adverts with "protocol unreachable". It receives
    /// nothing: adverts come through the datapath.
    pub fn open(interface: &str, ifindex: u32, family: Family) -> io::Result<Self> {
        let advertiser = Self::outside(interface, ifindex, family)?;
        match family {
            Family::Ipv4 => {
                let index = InterfaceIndexOrAddress::Index(ifindex);
                advertiser.socket.join_multicast_v4_n(&GROUP_IPV4, &index)?;
            }
            Family::Ipv6 => advertiser.socket.join_multicast_v6(&GROUP_IPV6, ifindex)?,
        }
        Ok(advertiser)
    }

    /// [`Advertiser::open`] without joining the group, which sending does not need.
    pub fn outside(interface: &str, ifindex: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(IP_PROTO_VRRP))))?;
        let drop_all = SockFilter::new(u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap_or_default(), 0, 0, 0);
        socket.attach_filter(&[drop_all])?;
        socket.bind_device(Some(interface.as_bytes()))?;
        match family {
            Family::Ipv4 => {
                socket.set_multicast_ttl_v4(u32::from(TTL))?;
                socket.set_ttl_v4(u32::from(TTL))?;
                socket.set_tos_v4(CLASS_SELECTOR_6)?;
                socket.set_multicast_loop_v4(false)?;
            }
            Family::Ipv6 => {
                socket.set_multicast_hops_v6(u32::from(TTL))?;
                socket.set_unicast_hops_v6(u32::from(TTL))?;
                socket.set_tclass_v6(CLASS_SELECTOR_6)?;
                socket.set_multicast_loop_v6(false)?;
            }
        }
        Ok(Self { socket, ifindex })
    }

    /// A socket that the program before has [opened](Self::open).
    #[must_use]
    pub fn adopt(ifindex: u32, socket: OwnedFd) -> Self {
        Self { socket: socket.into(), ifindex }
    }

    /// Sends adverts, all of one source, in their order; says how many it could send before one failed. That the first
    /// fails is an error. Never waits.
    pub fn send(&self, letters: &[Letter]) -> io::Result<usize> {
        let Some(first) = letters.first() else { return Ok(0) };
        match first.endpoints {
            Endpoints::Ipv4 { source, .. } => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: self.ifindex.cast_signed(),
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = |letter: &Letter| match letter.endpoints {
                    Endpoints::Ipv4 { destination, .. } => Some(SocketAddrV4::new(destination, 0).into()),
                    Endpoints::Ipv6 { .. } => None,
                };
                let space = nix::cmsg_space!(libc::in_pktinfo);
                self.send_all::<SockaddrIn>(letters, to, ControlMessage::Ipv4PacketInfo(&info), space)
            }
            Endpoints::Ipv6 { source, .. } => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: self.ifindex,
                };
                let to = |letter: &Letter| match letter.endpoints {
                    Endpoints::Ipv6 { destination, .. } => {
                        Some(SocketAddrV6::new(destination, 0, 0, self.ifindex).into())
                    }
                    Endpoints::Ipv4 { .. } => None,
                };
                let space = nix::cmsg_space!(libc::in6_pktinfo);
                self.send_all::<SockaddrIn6>(letters, to, ControlMessage::Ipv6PacketInfo(&info), space)
            }
        }
    }

    fn send_all<A: SockaddrLike + Copy>(
        &self,
        letters: &[Letter],
        to: impl Fn(&Letter) -> Option<A>,
        info: ControlMessage<'_>,
        space: Vec<u8>,
    ) -> io::Result<usize> {
        let parts: Vec<_> = letters.iter().map(|letter| [io::IoSlice::new(&letter.bytes)]).collect();
        let to: Vec<_> = letters.iter().map(to).collect();
        let mut headers = MultiHeaders::preallocate(parts.len(), Some(space));
        let sent = sendmmsg(self.socket.as_raw_fd(), &mut headers, &parts, to, [info], MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    }
}

impl AsFd for Advertiser {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The datagram addresses from `source` to `destination`; `None` where they are of different families.
#[must_use]
pub fn endpoints(source: IpAddr, destination: IpAddr) -> Option<Endpoints> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Endpoints::Ipv4 { source, destination }),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Endpoints::Ipv6 { source, destination }),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}
