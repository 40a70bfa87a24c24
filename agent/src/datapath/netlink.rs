//! The few questions and orders for rtnetlink that go with attaching: put synchronously, since the kernel answers within
//! the call.

use std::io;

use nix::{errno::Errno, libc};
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage, LinkXdp},
        tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

/// Where a classifier sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What the interface receives.
    Ingress,
    /// What it sends.
    Egress,
}

impl Side {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    const fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Ingress => TcHandle::MIN_INGRESS,
            Self::Egress => TcHandle::MIN_EGRESS,
        };
        TcHandle { major: TcHandle::CLSACT.major, minor }
    }
}

/// The interface `ifindex`.
pub(super) fn link(ifindex: u32) -> io::Result<LinkMessage> {
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let answers = ask(RouteNetlinkMessage::GetLink(request), NLM_F_REQUEST)?;
    let link = |it| if let RouteNetlinkMessage::NewLink(link) = it { Some(link) } else { None };
    answers.into_iter().find_map(link).ok_or_else(|| Errno::ENODEV.into())
}

/// The filters on one side of `ifindex`, by the names of their programs, others by their kind.
pub(super) fn filters(ifindex: u32, side: Side) -> io::Result<Vec<String>> {
    let mut request = TcMessage::with_index(index(ifindex)?);
    request.header.parent = side.parent();
    let answers = ask(RouteNetlinkMessage::GetTrafficFilter(request), NLM_F_REQUEST | NLM_F_DUMP)?;
    let name = |it| if let RouteNetlinkMessage::NewTrafficFilter(filter) = it { filter_name(&filter) } else { None };
    Ok(answers.into_iter().filter_map(name).collect())
}

/// The program of a filter, else its kind. The kernel also lists each priority without a filter of its own.
fn filter_name(filter: &TcMessage) -> Option<String> {
    if filter.header.handle == TcHandle::UNSPEC {
        return None;
    }
    let options = |it: &TcAttribute| if let TcAttribute::Options(options) = it { options.clone() } else { Vec::new() };
    let program = |it| {
        if let TcOption::Bpf(TcFilterBpfOption::ProgName(name)) = it { Some(name) } else { None }
    };
    let kind = |it: &TcAttribute| if let TcAttribute::Kind(kind) = it { Some(format!("{kind} filter")) } else { None };
    let mut options = filter.attributes.iter().flat_map(options);
    options.find_map(program).or_else(|| filter.attributes.iter().find_map(kind))
}

/// Removes the queueing discipline `clsact`.
pub(super) fn remove_clsact(ifindex: u32) -> io::Result<()> {
    let mut request = TcMessage::with_index(index(ifindex)?);
    request.header.parent = TcHandle::CLSACT;
    request.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
    request.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    ask(RouteNetlinkMessage::DelQueueDiscipline(request), NLM_F_REQUEST | NLM_F_ACK).map(drop)
}

/// Takes the XDP program with the file descriptor `program` off `ifindex`, where netlink and no link holds it; any other
/// program stays. `mode` is one of the kernel's `XDP_FLAGS_…_MODE`.
pub fn remove_xdp(ifindex: u32, program: libc::c_int, mode: u32) -> io::Result<()> {
    const XDP_FLAGS_REPLACE: u32 = 1 << 4;
    let expected = u32::try_from(program).map_err(|_| io::Error::from(Errno::EBADF))?;
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let orders = [LinkXdp::Fd(-1), LinkXdp::Flags(mode | XDP_FLAGS_REPLACE), LinkXdp::ExpectedFd(expected)];
    request.attributes.push(LinkAttribute::Xdp(orders.into()));
    ask(RouteNetlinkMessage::SetLink(request), NLM_F_REQUEST | NLM_F_ACK).map(drop)
}

fn index(ifindex: u32) -> io::Result<i32> {
    i32::try_from(ifindex).map_err(|_| Errno::ENODEV.into())
}

/// Sends one request and reads everything that the kernel answers.
fn ask(request: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut request = NetlinkMessage::from(request);
    request.header.flags = flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            let len = usize::try_from(message.header.length).map_err(io::Error::other)?.next_multiple_of(4);
            rest = rest.get(len..).unwrap_or_default();
            // Nothing else is an answer to what is asked here.
            if let NetlinkPayload::InnerMessage(answer) = message.payload {
                answers.push(answer);
                if !is_dump {
                    return Ok(answers);
                }
            } else if let NetlinkPayload::Error(error) = message.payload {
                return if error.code.is_some() { Err(error.to_io()) } else { Ok(answers) };
            } else if let NetlinkPayload::Done(_) = message.payload {
                return Ok(answers);
            }
        }
    }
}
