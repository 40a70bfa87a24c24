//! What asks for virtual addresses, in a process of its own with real-time priority, and prints who answers.
//!
//! A client sends echo requests to wherever its kernel believes an address to be. A witness asks everybody where it is, and keeps
//! nothing in mind: it sees all who would answer a newcomer.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
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
    poll::{PollFd, PollFlags, ppoll},
    sys::socket::{MsgFlags, recv, send},
    unistd::getpid,
};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
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
    SockRef::from(&listener).attach_filter(&filter())?;
    let asker = match options.part {
        Part::Client => Asker::echo(&options.targets)?,
        Part::Witness => Asker::resolve(options),
    };
    let (sender, seen) = channel();
    let printer = thread::spawn(move || print(&seen));
    prefer_this_thread();
    let mut probe = Probe { asker, asked: BTreeMap::new(), sequence: 0, identifier: identifier()? };
    let mut next = now();
    while !printer.is_finished() {
        if now() >= next {
            for &target in &options.targets {
                probe.ask(&listener, target);
            }
            probe.sequence = probe.sequence.wrapping_add(1);
            // Whoever was held up does not ask twice as fast afterwards.
            next = (next + options.part.interval()).max(now());
        }
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let _ = ppoll(&mut ready, Some(next.saturating_sub(now()).into()), None);
        probe.look(&listener, &sender);
    }
    Ok(())
}

/// ARP, ICMP and ICMPv6: a flood of anything else shall not reach this process.
fn filter() -> [SockFilter; 10] {
    let load_half = |offset| SockFilter::new(0x28, 0, 0, offset);
    let load_byte = |offset| SockFilter::new(0x30, 0, 0, offset);
    let is = |value, yes, no| SockFilter::new(0x15, yes, no, value);
    let answer = |length| SockFilter::new(0x06, 0, 0, length);
    [
        load_half(12),
        is(0x0806, 6, 0),
        is(0x0800, 0, 2),
        load_byte(23),
        is(1, 3, 4),
        is(0x86dd, 0, 3),
        load_byte(20),
        is(58, 0, 1),
        answer(0xffff),
        answer(0),
    ]
}

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
    sequence: u16,
    identifier: u16,
}

impl Probe {
    fn ask(&mut self, listener: &impl AsRawFd, target: IpAddr) {
        self.asked.insert((target, self.sequence), now());
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

    fn look(&self, listener: &impl AsRawFd, sender: &Sender<Sighting>) {
        let mut buffer = [0; 2048];
        while let Ok(len) = recv(listener.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            if let Some(sighting) = buffer.get(..len).and_then(|frame| self.sighting(frame, now())) {
                // Its end ends the process.
                let _ = sender.send(sighting);
            }
        }
    }

    fn sighting(&self, frame: &[u8], at: Duration) -> Option<Sighting> {
        if let Some(said) = decode::announcement(frame) {
            return Some(Sighting { address: said.address, mac: said.mac.0, at, asked: None });
        }
        let (address, mac) = (neighbor::answers_for(frame)?, neighbor::sender(frame)?.0);
        let sequence = match (&self.asker, neighbor::echo_reply(frame)) {
            (Asker::Echo(_), Some((identifier, sequence))) if identifier == self.identifier => sequence,
            (Asker::Resolve(_), None) => self.sequence.wrapping_sub(1),
            _ => return None,
        };
        let asked = *self.asked.get(&(address, sequence))?;
        Some(Sighting { address, mac, at, asked: Some(asked) })
    }
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
        let program: Vec<_> = filter().iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(program.len(), 10);
        let field = |text: &str, name: &str| -> u32 {
            let rest = text.split(&format!("{name}: ")).nth(1).unwrap();
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let text = &program[at];
            let [code, yes, no, k] = ["code", "jt", "jf", "k"].map(|name| field(text, name));
            let byte = |offset: u32| u32::from(frame.get(offset as usize).copied().unwrap_or(0));
            at += 1;
            match code {
                0x28 => accumulator = byte(k) << 8 | byte(k + 1),
                0x30 => accumulator = byte(k),
                0x15 => at += if accumulator == k { yes as usize } else { no as usize },
                0x06 => return k != 0,
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
