//! Two nodes on a LAN that serve a task, a client, a witness, an attacker, and what they see.

use std::{
    collections::BTreeSet,
    io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harness::{Host, HostOptions, Lab, Lan, until};
use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp_wire::MacAddr;

use crate::{
    client::Client,
    cost::{self, Cost},
    holders::Holders,
    moment::now,
    probe::Part,
    sighting::{Sighting, View},
    subject::{Daemon, Subject, Task},
};

/// Longer than anything takes: clients of a peer wait for the expiry of their neighbour entries.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Protocol number and IPv4 group of adverts. RFC 9568 §5.1.1.
const VRRP: i32 = 112;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

pub(crate) struct Stage {
    pub(crate) subject: Subject,
    pub(crate) task: Task,
    pub(crate) lan: Lan,
    pub(crate) nodes: Vec<Host>,
    pub(crate) attacker: Host,
    pub(crate) daemons: [Option<Daemon>; 2],
    pub(crate) client: Client,
    pub(crate) witness: Client,
    pub(crate) holders: Holders,
    /// What is asked for.
    pub(crate) targets: Vec<IpAddr>,
}

impl Stage {
    /// Starts everything, and waits until the first node serves. At most `asked` addresses are asked for.
    pub(crate) fn set(lab: &Lab, subject: Subject, task: Task, asked: usize) -> Result<Self> {
        let mut lan = lab.lan()?;
        let mut host = |name: &str, number: u8| {
            let own = own(number).map(|own| format!("{own}/{}", if own.is_ipv4() { 16 } else { 64 }));
            let options =
                HostOptions { mac: MacAddr([2, 0, 0, 0, 0, number]), addresses: &own.each_ref().map(|own| &**own) };
            lan.host(name, &options)
        };
        let nodes = vec![host("n1", 1)?, host("n2", 2)?];
        let (client, witness, attacker) = (host("client", 50)?, host("witness", 60)?, host("attacker", 66)?);
        for host in [&client, &witness] {
            host.run("ip", &["route", "add", "10.78.0.0/16", "dev", Host::INTERFACE])?;
        }
        let holders = Holders::follow(&nodes)?;
        let daemons = [0, 1].map(|node| Daemon::start(subject, &nodes[node], node, &task));
        let [first, second] = daemons;
        let daemons = [Some(first?), Some(second?)];
        let mut targets = task.targets();
        targets.truncate(asked);
        let client = Client::start(&client, Part::Client, own(50), &targets)?;
        let witness = Client::start(&witness, Part::Witness, own(60), &targets)?;
        let mut stage = Self { subject, task, lan, nodes, attacker, daemons, client, witness, holders, targets };
        stage.settle()?;
        stage.rest()?;
        Ok(stage)
    }

    /// Waits until the first node holds everything alone, and has for two intervals.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.wait_for_holders(&[0])?;
        let span = (self.task.interval * 2).max(Duration::from_millis(300));
        self.client.wait_steady(&self.targets, span, PATIENCE).context("after settling")?;
        Ok(())
    }

    /// Nobody asks for anything until [`Stage::wake`], so that others have the machine for themselves.
    pub(crate) fn rest(&self) -> Result<()> {
        self.client.rest()?;
        self.witness.rest()
    }

    /// Client and witness ask again.
    pub(crate) fn wake(&self) -> Result<()> {
        self.client.wake()?;
        self.witness.wake()
    }

    /// Waits until `nodes`, and no others, hold all addresses.
    pub(crate) fn wait_for_holders(&self, nodes: &[usize]) -> Result<()> {
        let expected: BTreeSet<_> = nodes.iter().map(|&node| self.nodes[node].name().to_owned()).collect();
        let targets = self.task.targets();
        until(&format!("{} with {expected:?} as holders", self.subject.name()), PATIENCE, || {
            let holders = self.lan.holders_of(&targets)?;
            let are_all = holders.into_iter().all(|of| of.into_iter().collect::<BTreeSet<_>>() == expected);
            Ok(are_all.then_some(()))
        })
    }

    /// Waits until the second node has got all addresses since `start`, by what its kernel tells: who asks takes time and locks from those
    /// that are measured.
    pub(crate) fn wait_for_second(&self, start: Duration) -> Result<()> {
        let wanted: BTreeSet<_> = self.task.targets().into_iter().collect();
        until(&format!("n2 of {} to hold everything", self.subject.name()), PATIENCE, || {
            let changes = self.holders.since(start);
            let held: BTreeSet<_> =
                changes.iter().filter(|it| it.node == 1 && it.is_held).map(|it| it.address).collect();
            Ok(held.is_superset(&wanted).then_some(()))
        })
    }

    /// Waits for the next IPv4 advert that the second node hears of the first, but not for long; says whether there was one.
    pub(crate) fn wait_for_advert(&self) -> Result<bool> {
        let limit = self.task.interval * 2 + Duration::from_millis(100);
        self.nodes[1].namespace().enter(|| hear_advert(limit))?.context("failed to listen for adverts")
    }

    /// What the daemon of a node has used so far.
    pub(crate) fn cost(&self, node: usize) -> Result<Cost> {
        cost::of(&self.daemon(node)?.pids())
    }

    /// The daemon of a node, which runs.
    pub(crate) fn daemon(&self, node: usize) -> Result<&Daemon> {
        self.daemons[node].as_ref().with_context(|| format!("{} does not run", self.subject.name()))
    }

    /// The daemon of a node, to be ended.
    pub(crate) fn take(&mut self, node: usize) -> Result<Daemon> {
        self.daemons[node].take().with_context(|| format!("{} does not run", self.subject.name()))
    }

    /// Starts the daemon of a node.
    pub(crate) fn start(&mut self, node: usize) -> Result<()> {
        self.daemons[node] = Some(Daemon::start(self.subject, &self.nodes[node], node, &self.task)?);
        Ok(())
    }

    /// What client and witness have seen since `start`.
    pub(crate) fn record(&self, start: Duration) -> Record {
        let end = now();
        Record { client: self.client.sightings(), witness: self.witness.sightings(), start, end }
    }
}

/// Waits for an advert of the first node in the calling thread's namespace.
fn hear_advert(limit: Duration) -> io::Result<bool> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(VRRP)))?;
    let ifindex = if_nametoindex(Host::INTERFACE)?;
    socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(ifindex))?;
    let (end, mut buffer) = (Instant::now() + limit, [MaybeUninit::uninit(); 1_500]);
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        socket.set_read_timeout(Some(rest))?;
        let from = match socket.recv_from(&mut buffer) {
            Ok((_, from)) => from,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        if from.as_socket().is_some_and(|from| own(1).contains(&from.ip())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The addresses of a host of the LAN.
fn own(number: u8) -> [IpAddr; 2] {
    [[10, 77, 0, number].into(), [0xfd77, 0, 0, 0, 0, 0, 0, u16::from(hexadecimal(number))].into()]
}

/// `fd77::50` is 50 to the eye.
const fn hexadecimal(number: u8) -> u8 {
    number / 10 * 16 + number % 10
}

/// What was seen in a span of time.
pub(crate) struct Record {
    client: Vec<Sighting>,
    witness: Vec<Sighting>,
    start: Duration,
    end: Duration,
}

impl Record {
    pub(crate) fn client(&self, address: IpAddr) -> View<'_> {
        View::new(&self.client, address, self.start, self.end)
    }

    pub(crate) fn witness(&self, address: IpAddr) -> View<'_> {
        View::new(&self.witness, address, self.start, self.end)
    }
}
