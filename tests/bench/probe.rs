//! What asks for virtual addresses, in a process of its own with real-time priority, and prints who answers.
//!
//! A client sends echo requests to wherever its kernel believes an address to be. A witness asks everybody where it is, and keeps
//! nothing in mind: it sees all who would answer a newcomer.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, IoSliceMut, Write},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use harness::{
    Host, decode, listen_here,
    neighbor::{self, ARP_REQUEST, BROADCAST, Station},
    prefer_this_thread,
};
use nix::{
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg, send, setsockopt, sockopt},
        time::TimeSpec,
    },
    unistd::getpid,
};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use vipd::clock;
use vrrp_wire::MacAddr;

use crate::{moment::now, sighting::Sighting};

/// How long what was seen may lie before it is printed.
const FLUSH: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Client,
    Witness,
}

impl Part {
    /// How often it asks for each address.
    pub(crate) const fn interval(self) -> Duration {
        match self {
            Self::Client => Duration::from_millis(1),
            Self::Witness => Duration::from_millis(10),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    part: Part,
    /// The Ethernet address of this host.
    mac: MacAddr,
    /// Its addresses, IPv4 and IPv6.
    #[arg(num_args = 2)]
    own: Vec<IpAddr>,
    /// Virtual addresses.
    #[arg(long = "target", required = true)]
    targets: Vec<IpAddr>,
}

/// Asks until nobody reads any more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let listener = listen_here(Host::INTERFACE)?;
    SockRef::from(&listener)
        .attach_filter(&FILTER.map(|(code, yes, no, operand)| SockFilter::new(code, yes, no, operand)))?;
    setsockopt(&listener, sockopt::ReceiveTimestampns, &true).context("failed to have frames stamped")?;
    let asker = match options.part {
        Part::Client => Asker::echo(&options.targets)?,
        Part::Witness => Asker::resolve(options),
    };
    let (sender, seen) = channel();
    let printer = thread::spawn(move || print(&seen));
    prefer_this_thread();
    let mut probe =
        Probe { asker, asked: BTreeMap::new(), waiting: BTreeMap::new(), sequence: 0, identifier: identifier()? };
    let mut next = now();
    while !printer.is_finished() {
        // What comes meanwhile has the kernel's stamp. Whoever woke up for each frame would hold up those that are measured.
        thread::sleep(next.saturating_sub(now()));
        probe.look(&listener, &sender);
        for &target in &options.targets {
            probe.ask(&listener, target);
        }
        probe.sequence = probe.sequence.wrapping_add(1);
        // Whoever was held up does not ask twice as fast afterwards.
        next = (next + options.part.interval()).max(now());
    }
    Ok(())
}

/// ARP, ICMP and ICMPv6: a flood of anything else shall not reach this process. Classic BPF: code, jumps if true and if false, operand.
const FILTER: [(u16, u8, u8, u32); 10] = [
    (LOAD_HALF, 0, 0, 12),
    (IS_EQUAL, 6, 0, 0x0806),
    (IS_EQUAL, 0, 2, 0x0800),
    (LOAD_BYTE, 0, 0, 23),
    (IS_EQUAL, 3, 4, 1),
    (IS_EQUAL, 0, 3, 0x86dd),
    (LOAD_BYTE, 0, 0, 20),
    (IS_EQUAL, 0, 1, 58),
    (RETURN, 0, 0, 0xffff),
    (RETURN, 0, 0, 0),
];
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const IS_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

fn identifier() -> Result<u16> {
    // By which answers are told from those to another process.
    Ok(u16::try_from(getpid().as_raw() & 0xffff)?)
}

/// How it is asked.
enum Asker {
    /// A socket for each address.
    Echo(BTreeMap<IpAddr, Socket>),
    /// The frame for each address.
    Resolve(BTreeMap<IpAddr, Vec<u8>>),
}

impl Asker {
    fn echo(targets: &[IpAddr]) -> Result<Self> {
        let open = |&target: &IpAddr| -> Result<_> {
            let (domain, protocol) = match target {
                IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
                IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
            };
            let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
            socket.connect(&SocketAddr::new(target, 0).into())?;
            socket.set_nonblocking(true)?;
            // It only sends.
            socket.set_recv_buffer_size(1)?;
            Ok((target, socket))
        };
        Ok(Self::Echo(targets.iter().map(open).collect::<Result<_>>().context("failed to open a raw socket")?))
    }

    fn resolve(options: &Options) -> Self {
        let frame = |&target: &IpAddr| {
            let own = options.own.iter().find(|own| own.is_ipv4() == target.is_ipv4());
            let sender = Station { mac: options.mac, address: own.copied().unwrap_or(target) };
            let frame = match target {
                IpAddr::V4(target) => neighbor::arp(ARP_REQUEST, sender, target, BROADCAST),
                IpAddr::V6(target) => neighbor::solicitation(sender, target, None),
            };
            (target, frame)
        };
        Self::Resolve(options.targets.iter().map(frame).collect())
    }
}

struct Probe {
    asker: Asker,
    /// When each address was asked for, by the number of the question.
    asked: BTreeMap<(IpAddr, u16), Duration>,
    /// Since when an answer for an address is waited for: the first question after the last answer.
    waiting: BTreeMap<IpAddr, Duration>,
    sequence: u16,
    identifier: u16,
}

impl Probe {
    fn ask(&mut self, listener: &impl AsRawFd, target: IpAddr) {
        let at = now();
        self.asked.insert((target, self.sequence), at);
        self.waiting.entry(target).or_insert(at);
        // What cannot be sent is not answered.
        match &self.asker {
            Asker::Echo(sockets) => {
                if let Some(socket) = sockets.get(&target) {
                    let _ = socket.send(&neighbor::echo_request(target.is_ipv6(), self.identifier, self.sequence));
                }
            }
            Asker::Resolve(frames) => {
                if let Some(frame) = frames.get(&target) {
                    let _ = send(listener.as_raw_fd(), frame, MsgFlags::empty());
                }
            }
        }
    }

    fn look(&mut self, listener: &impl AsRawFd, sender: &Sender<Sighting>) {
        let mut buffer = [0; 2048];
        while let Some((len, at)) = receive(listener, &mut buffer) {
            if let Some(sighting) = buffer.get(..len).and_then(|frame| self.sighting(frame, at)) {
                // Its end ends the process.
                let _ = sender.send(sighting);
            }
        }
    }

    fn sighting(&mut self, frame: &[u8], at: Duration) -> Option<Sighting> {
        if let Some(said) = decode::announcement(frame) {
            return Some(Sighting { address: said.address, mac: said.mac.0, at, asked: None, waiting: None });
        }
        let (address, mac) = (neighbor::answers_for(frame)?, neighbor::sender(frame)?.0);
        let sequence = match (&self.asker, neighbor::echo_reply(frame)) {
            (Asker::Echo(_), Some((identifier, sequence))) if identifier == self.identifier => sequence,
            (Asker::Resolve(_), None) => self.sequence.wrapping_sub(1),
            _ => return None,
        };
        let asked = *self.asked.get(&(address, sequence))?;
        let waiting = self.waiting.remove(&address);
        Some(Sighting { address, mac, at, asked: Some(asked), waiting })
    }
}

/// The next frame that waits: its length, and when it came by the kernel's stamp. A process that is held up reads it later.
fn receive(listener: &impl AsRawFd, buffer: &mut [u8]) -> Option<(usize, Duration)> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(listener.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|it| {
        if let ControlMessageOwned::ScmTimestampns(stamp) = it { Some(Duration::from(stamp)) } else { None }
    });
    let age = stamp.map_or(Duration::ZERO, |stamp| clock::wall().saturating_sub(stamp));
    Some((message.bytes, now().saturating_sub(age)))
}

/// Prints what is seen, a line each.
fn print(seen: &Receiver<Sighting>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    while let Ok(first) = seen.recv() {
        thread::sleep(FLUSH);
        for sighting in std::iter::once(first).chain(seen.try_iter()) {
            serde_json::to_writer(&mut out, &sighting)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a classic BPF program as the kernel does.
    fn passes(frame: &[u8]) -> bool {
        let byte = |offset: u32| u32::from(frame.get(offset as usize).copied().unwrap_or(0));
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let (code, yes, no, operand) = FILTER[at];
            at += 1;
            match code {
                LOAD_HALF => accumulator = byte(operand) << 8 | byte(operand + 1),
                LOAD_BYTE => accumulator = byte(operand),
                IS_EQUAL => at += usize::from(if accumulator == operand { yes } else { no }),
                RETURN => return operand != 0,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn answers_and_announcements_pass_and_adverts_do_not() {
        let frame = |ethertype: [u8; 2], at: usize, protocol: u8| {
            let mut frame = vec![0; 60];
            frame[12..14].copy_from_slice(&ethertype);
            frame[at] = protocol;
            frame
        };
        for (frame, expected) in [
            (frame([0x08, 0x06], 14, 0), true),
            (frame([0x08, 0x00], 23, 1), true),
            (frame([0x08, 0x00], 23, 112), false),
            (frame([0x86, 0xdd], 20, 58), true),
            (frame([0x86, 0xdd], 20, 112), false),
            (frame([0x88, 0xb5], 20, 1), false),
        ] {
            assert_eq!(passes(&frame), expected, "{frame:x?}");
        }
    }
}
