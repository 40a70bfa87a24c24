//! What of VRRP reaches the host past the guard. Raw sockets see what the guard has let through, or has never seen, and
//! cost ordinary traffic nothing.

use std::{collections::HashSet, io, os::fd::AsRawFd};

use nix::{
    errno::Errno,
    sys::socket::{SockaddrStorage, recvfrom},
};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp::Family;
use vrrp_wire::{
    Vrid,
    abi::{RouterKey, address_bytes},
    judge::Tables as _,
    parse::IP_PROTO_VRRP,
};

use super::{attach::Scope, tables::UserTables};

/// Room for some twenty adverts: that some were heard is enough to know.
const RECEIVE_BUFFER: usize = 1 << 14;
/// Adverts that are read of one family at a time.
const ADVERTS_PER_LOOK: usize = 128;
/// The longest header of IPv4, and the beginning of an advert.
const BEGINNING: usize = 60 + 2;

/// Hears the adverts that reach the host by one interface.
#[derive(Debug)]
pub(super) struct Witness {
    sockets: Vec<(Family, Socket)>,
}

impl Witness {
    /// Listens on the interface `name`; needs `CAP_NET_RAW`.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let ipv4 = (Family::Ipv4, open(name, Domain::IPV4)?);
        // A host may do without IPv6.
        let ipv6 = open(name, Domain::IPV6).ok().map(|socket| (Family::Ipv6, socket));
        Ok(Self { sockets: [ipv4].into_iter().chain(ipv6).collect() })
    }

    /// The virtual routers, of those that `tables` have in `scope`, for which adverts of others have come since the last time; some,
    /// where there was no more room. Of what the host itself sends to the group it hears a copy that the guard does not see.
    pub(super) fn heard(&self, scope: Scope, tables: &UserTables) -> HashSet<RouterKey> {
        let mut heard = HashSet::new();
        for (family, socket) in &self.sockets {
            for _ in 0..ADVERTS_PER_LOOK {
                // A socket whose interface goes down says so once.
                let Ok(Some((vrid, source))) = next(socket, *family) else { break };
                let Some(key) = Vrid::new(vrid).map(|vrid| scope.key(*family, vrid)) else { continue };
                if tables.router(&key).is_some_and(|router| router.own_address != source) {
                    heard.insert(key);
                }
            }
        }
        heard
    }
}

fn open(name: &str, domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(IP_PROTO_VRRP))))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind_device(Some(name.as_bytes()))?;
    Ok(socket)
}

/// VRID and sender of the next advert that waits, if any. A datagram of IPv4 comes with its header, one of IPv6 without.
fn next(socket: &Socket, family: Family) -> io::Result<Option<(u8, [u8; 16])>> {
    let mut buffer = [0; BEGINNING];
    let source = match recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
        Ok((_, source)) => source,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let header_len = match family {
        Family::Ipv4 => usize::from(buffer[0] & 0x0f) * 4,
        Family::Ipv6 => 0,
    };
    let vrid = buffer.get(header_len + 1).copied().unwrap_or(0);
    let ipv4 = source.and_then(|source| Some(source.as_sockaddr_in()?.ip().into()));
    let address = ipv4.or_else(|| source.and_then(|source| Some(source.as_sockaddr_in6()?.ip().into())));
    Ok(Some((vrid, address.map(address_bytes).unwrap_or_default())))
}
