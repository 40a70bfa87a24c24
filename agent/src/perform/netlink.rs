//! Many orders for rtnetlink in one write, and questions that the kernel answers within the call.
//!
//! Both block for as long as the kernel takes, which is not for the agent's main thread.

use std::{borrow::Borrow, io};

use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt},
};
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

/// Bytes of orders in one write. The kernel takes more; the refusals of so many, about 1 KiB of its memory each, fit into
/// [`ANSWERS_MAX`].
const WRITE_MAX: usize = 32 * 1024;
/// Memory of the kernel for answers that wait, in bytes.
const ANSWERS_MAX: usize = 2 * 1024 * 1024;
/// Where the flags stand in a message: after its length and type.
const FLAGS_AT: usize = 6;
/// The kernel's mark on the answers to a question that was changed while it was answered.
pub const NLM_F_DUMP_INTR: u16 = 0x10;
/// How often such a question is put again.
pub const QUESTIONS_MAX: usize = 5;

/// One change of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is to be changed.
    pub message: RouteNetlinkMessage,
    /// How, by the kernel's `NLM_F_…`; [`NLM_F_REQUEST`] goes without saying.
    pub flags: u16,
}

/// That an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands among the orders.
    pub at: usize,
    /// Why.
    pub error: Errno,
}

/// Has the kernel carry out `orders` one after the other, and returns those that it refused: they do not stop those behind.
pub fn carry_out<O: Borrow<Order>>(orders: &[O]) -> io::Result<Vec<Refused>> {
    let mut refused = Vec::new();
    if orders.is_empty() {
        return Ok(refused);
    }
    let socket = open()?;
    make_room(&socket, ANSWERS_MAX)?;
    socket.set_cap_ack(true)?;
    let mut done = 0;
    while let Some(rest) = orders.get(done..).filter(|rest| !rest.is_empty()) {
        let (bytes, count) = encode(rest, done);
        socket.send(&bytes, 0)?;
        done += count;
        refused.extend(refusals(&socket, done)?);
    }
    Ok(refused)
}

/// The first of `orders`, as many as one write may have, and how many these are. Each has its place among all as its sequence
/// number, counted from 1, where `done` have gone before; the last one alone is to be confirmed.
fn encode<O: Borrow<Order>>(orders: &[O], done: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut count, mut last) = (Vec::new(), 0, 0);
    for (sequence, order) in (done + 1..).zip(orders) {
        let order = order.borrow();
        let mut message = NetlinkMessage::from(order.message.clone());
        message.header.flags = order.flags | NLM_F_REQUEST;
        message.header.sequence_number = u32::try_from(sequence).unwrap_or(u32::MAX);
        message.finalize();
        let (start, end) = (bytes.len(), bytes.len() + message.buffer_len());
        if end.next_multiple_of(4) > WRITE_MAX && count > 0 {
            break;
        }
        bytes.resize(end.next_multiple_of(4), 0);
        message.serialize(bytes.get_mut(start..end).unwrap_or_default());
        (last, count) = (start, count + 1);
    }
    if let Some(flags) = bytes.get_mut(last + FLAGS_AT..).and_then(|rest| rest.first_chunk_mut()) {
        *flags = (u16::from_ne_bytes(*flags) | NLM_F_ACK).to_ne_bytes();
    }
    (bytes, count)
}

/// Reads up to the answer to the order with the sequence number `last`.
fn refusals(socket: &Socket, last: usize) -> io::Result<Vec<Refused>> {
    let mut refused = Vec::new();
    loop {
        for message in receive(socket)? {
            let NetlinkPayload::Error(answer) = message.payload else { continue };
            let sequence = usize::try_from(message.header.sequence_number).map_err(io::Error::other)?;
            if answer.code.is_some() {
                let error = Errno::from_raw(answer.raw_code().saturating_abs());
                refused.push(Refused { at: sequence.saturating_sub(1), error });
            }
            if sequence == last {
                return Ok(refused);
            }
        }
    }
}

/// Everything that the kernel lists for `request`. An interface that it names and that is gone has nothing.
pub fn dump(request: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    for _ in 0..QUESTIONS_MAX {
        match dump_once(request) {
            Ok(Some(answers)) => return Ok(answers),
            Ok(None) => {}
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("what is asked changes all the time"))
}

/// `None` where something changed meanwhile, and may be missing.
fn dump_once(request: &RouteNetlinkMessage) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
    let socket = open()?;
    // With it the kernel lists only what the request names; whoever asks must look all the same.
    let _ = socket.set_netlink_get_strict_chk(true);
    let mut request = NetlinkMessage::from(request.clone());
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (mut answers, mut is_whole) = (Vec::new(), true);
    loop {
        for message in receive(&socket)? {
            is_whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
            if let NetlinkPayload::InnerMessage(answer) = message.payload {
                answers.push(answer);
            } else if let NetlinkPayload::Error(error) = message.payload {
                return Err(error.to_io());
            } else if let NetlinkPayload::Done(_) = message.payload {
                return Ok(is_whole.then_some(answers));
            }
        }
    }
}

/// Gives `socket` so many bytes of the kernel's memory for what waits to be read; who may not change the network, no more
/// than `net.core.rmem_max`.
pub fn make_room(socket: &Socket, bytes: usize) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::RcvBufForce, &bytes).or_else(|_| setsockopt(socket, sockopt::RcvBuf, &bytes))?)
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// The messages of the next datagram.
fn receive(socket: &Socket) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
    let (datagram, _) = socket.recv_from_full()?;
    let mut messages = Vec::new();
    let mut rest = datagram.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
        let len = usize::try_from(message.header.length).map_err(io::Error::other)?.next_multiple_of(4);
        rest = rest.get(len..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perform::{address, holdings::Ground};

    fn orders(count: u16) -> Vec<Order> {
        let ground = Ground { ifindex: 7, is_own: false };
        let address = |number: u16| format!("10.{}.{}.1/24", number >> 8, number & 0xff).parse().unwrap();
        (0..count).map(|number| address::put(ground, address(number))).collect()
    }

    /// Flags and sequence number of each message.
    fn headers(mut bytes: &[u8]) -> Vec<(u16, u32)> {
        let mut headers = Vec::new();
        while !bytes.is_empty() {
            let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            headers.push((u16::from_ne_bytes(bytes[6..8].try_into().unwrap()), word(8)));
            bytes = &bytes[word(0) as usize..];
        }
        headers
    }

    /// NLM_F_REQUEST is 1, NLM_F_ACK 4, NLM_F_REPLACE 0x100, NLM_F_CREATE 0x400.
    #[test]
    fn only_the_last_order_of_a_write_is_confirmed() {
        let (bytes, count) = encode(&orders(3), 40);
        assert_eq!(count, 3);
        assert_eq!(headers(&bytes), [(0x501, 41), (0x501, 42), (0x505, 43)]);
    }

    /// An IPv4 address takes 64 bytes: 512 of them are 32 KiB.
    #[test]
    fn what_does_not_fit_into_one_write_goes_with_the_next() {
        let orders = orders(1000);
        let (bytes, count) = encode(&orders, 0);
        assert_eq!((bytes.len(), count), (32_768, 512));
        let (bytes, count) = encode(&orders[512..], 512);
        assert_eq!((bytes.len(), count), (31_232, 488));
        assert_eq!(headers(&bytes).last(), Some(&(0x505, 1000)));
    }
}
