//! Somebody who asks a node for virtual addresses, and hears what it says.

use std::{
    net::{IpAddr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harness::{
    Capture, Captured, GENEROUS, Host, Injector, Lan, decode, ip,
    neighbor::{self, ARP_REQUEST, BROADCAST, Station},
};
use vrrp_wire::MacAddr;

/// Questions between two looks whether the node keeps up.
const BURST: usize = 50;
/// Of the echo requests to the node's own address; those to virtual addresses have 0.
const IDENTIFIER: u16 = 0x5a5a;

/// The client, on the cable of one node: its questions come to that node alone, and all that the node says is heard.
pub(crate) struct Asker<'a> {
    pub(crate) capture: Capture,
    injector: Injector,
    node: &'a Host,
    client: &'a Host,
    echoes: u16,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(lan: &Lan, node: &'a Host, client: &'a Host) -> Result<Self> {
        Ok(Self {
            capture: Capture::start(lan.namespace(), node.name())?,
            injector: Injector::on(lan.namespace(), node.name())?,
            node,
            client,
            echoes: 0,
        })
    }

    /// Every way to ask where `vip` is: everybody, the node alone, and in the name of nobody.
    pub(crate) fn neighbor_questions(&self, vip: IpAddr) -> Vec<Vec<u8>> {
        let (client, node) = (self.client(vip), self.node.mac());
        match vip {
            IpAddr::V4(vip) => {
                let nobody = Station { address: [0; 4].into(), ..client };
                [(client, BROADCAST), (client, node), (nobody, BROADCAST)]
                    .map(|(from, to)| neighbor::arp(ARP_REQUEST, from, vip, to))
                    .to_vec()
            }
            IpAddr::V6(vip) => {
                let nobody = Station { address: Ipv6Addr::UNSPECIFIED.into(), ..client };
                [(client, None), (client, Some(node)), (nobody, None)]
                    .map(|(from, to)| neighbor::solicitation(from, vip, to))
                    .to_vec()
            }
        }
    }

    /// Traffic of whoever believes that `vip` is at the node.
    pub(crate) fn echoes(&self, vip: IpAddr) -> Vec<Vec<u8>> {
        vec![neighbor::echo(self.client(vip), Station { mac: self.node.mac(), address: vip }, 0, 0)]
    }

    /// Asks `questions` in turn, `count` altogether, and says how many frames came back in the name of `vip`.
    ///
    /// The node answers for its own address all the while, which also shows that it has dealt with what came before.
    pub(crate) fn answered(&mut self, vip: IpAddr, questions: &[Vec<u8>], count: usize) -> Result<usize> {
        self.hear_from_the_node(vip)?;
        let before = self.answers(vip).len();
        for (number, question) in questions.iter().cycle().take(count).enumerate() {
            self.injector.send(question)?;
            if number % BURST == BURST - 1 {
                self.hear_from_the_node(vip)?;
            }
        }
        // Twice: what two CPUs deal with at the same time may change places once.
        self.hear_from_the_node(vip)?;
        self.hear_from_the_node(vip)?;
        Ok(self.answers(vip).len() - before)
    }

    fn hear_from_the_node(&mut self, family_of: IpAddr) -> Result<()> {
        let number = &self.node.name()[1..];
        let own = if family_of.is_ipv4() { format!("10.77.0.{number}") } else { format!("fd77::{number}") };
        let own = Station { mac: self.node.mac(), address: ip(&own) };
        self.echoes += 1;
        let expected = Some((IDENTIFIER, self.echoes));
        self.injector.send(&neighbor::echo(self.client(family_of), own, IDENTIFIER, self.echoes))?;
        let what = format!("an answer from {}", own.address);
        let from_the_node = |frame: &Captured| !frame.outgoing && neighbor::echo_reply(&frame.bytes) == expected;
        self.capture.wait_for(&what, GENEROUS, from_the_node).map(drop)
    }

    /// Asks everything for `vips` every few milliseconds until `is_over`.
    pub(crate) fn ask_until(&self, vips: &[IpAddr], mut is_over: impl FnMut() -> Result<bool>) -> Result<()> {
        const EVERY: Duration = Duration::from_millis(2);
        let deadline = Instant::now() + GENEROUS;
        let questions: Vec<_> = vips.iter().flat_map(|&vip| self.neighbor_questions(vip)).collect();
        thread::scope(|scope| -> Result<()> {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let asking = scope.spawn(move || -> Result<()> {
                while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    questions.iter().try_for_each(|question| self.injector.send(question))?;
                    thread::sleep(EVERY);
                }
                Ok(())
            });
            let mut outcome = is_over();
            while matches!(outcome, Ok(false)) && Instant::now() < deadline {
                thread::sleep(EVERY);
                outcome = is_over();
            }
            if matches!(outcome, Ok(true)) {
                // Long enough for answers that come late.
                thread::sleep(Duration::from_millis(500));
            }
            drop(stop);
            asking.join().ok().context("whoever asks panicked")??;
            anyhow::ensure!(outcome?, "waited {GENEROUS:?} in vain");
            Ok(())
        })
    }

    /// When the node has answered for `vip`, or said anything else in its name.
    pub(crate) fn answers(&self, vip: IpAddr) -> Vec<Instant> {
        let frames = self.capture.frames();
        let in_its_name =
            |frame: &&Captured| self.is_from_node(frame) && neighbor::spoken_for(&frame.bytes).contains(&vip);
        frames.iter().filter(in_its_name).map(|frame| frame.at).collect()
    }

    /// How many frames to `vip` the node has put back on the LAN.
    pub(crate) fn sent_on(&self, vip: IpAddr) -> usize {
        let frames = self.capture.frames();
        let is_to_vip = |frame: &Captured| match vip {
            IpAddr::V4(vip) => frame.bytes[12..14] == [8, 0] && frame.bytes.get(30..34) == Some(&vip.octets()),
            IpAddr::V6(vip) => frame.bytes[12..14] == [0x86, 0xdd] && frame.bytes.get(38..54) == Some(&vip.octets()),
        };
        frames.iter().filter(|frame| self.is_from_node(frame) && is_to_vip(frame)).count()
    }

    /// Everything that the node has said in the name of a virtual address, and its adverts.
    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        let vips = harness::Cluster::addresses(0);
        let is_said = |frame: &Captured| {
            self.is_from_node(frame)
                && (decode::advertisement(&frame.bytes).is_some()
                    || neighbor::spoken_for(&frame.bytes).iter().any(|address| vips.contains(address)))
        };
        self.capture.frames().into_iter().filter(is_said).map(|frame| frame.bytes).collect()
    }

    /// The first frame to or from the node that satisfies `condition`.
    pub(crate) fn first(&self, condition: impl Fn(&Captured) -> bool) -> Result<Captured> {
        self.capture.wait_for("a frame", GENEROUS, condition)
    }

    fn is_from_node(&self, frame: &Captured) -> bool {
        let mac: Option<MacAddr> = neighbor::sender(&frame.bytes);
        !frame.outgoing && mac == Some(self.node.mac())
    }

    fn client(&self, family_of: IpAddr) -> Station {
        let address = if family_of.is_ipv4() { ip("10.77.0.50") } else { ip("fd77::50") };
        Station { mac: self.client.mac(), address }
    }
}
