//! Adverts that nobody should believe: a few that are well made, and as many as one core can send, or two.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use harness::{
    Host, Injector, Lab,
    frame::{Advert, Checksum},
};
use vrrp_wire::{Family, MacAddr};

use crate::{
    moment::{milliseconds, now},
    probe::Part,
    progress::Workload,
    stage::{PATIENCE, Stage},
    subject::{Subject, Task, Variant},
    turns::{Figure, Output, Scene},
};

/// How long an attack lasts.
const SPAN: Duration = Duration::from_secs(5);
/// About how long a trial takes.
const TRIAL: Duration = Duration::from_secs(8);
/// Between two forged adverts.
const PAUSE: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_millis(100);
/// An ethertype for experiments. IEEE 802.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

#[derive(Clone, Debug, Args)]
#[group(id = "flood")]
pub(crate) struct Options {
    /// Some of the attacks.
    #[arg(long, value_delimiter = ',', value_enum)]
    attacks: Vec<Attack>,
    /// How many cores send a flood.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u8).range(1..))]
    cores: Vec<u8>,
}

impl Options {
    /// What is tried, and how many cores send where it is a flood.
    fn scenes(&self) -> impl Iterator<Item = (Attack, u8)> {
        let attacks = if self.attacks.is_empty() { Attack::value_variants() } else { &self.attacks };
        attacks.iter().flat_map(|&attack| {
            let cores = if attack.is_flood() { &self.cores } else { &[1][..] };
            cores.iter().map(move |&cores| (attack, cores))
        })
    }

    pub(crate) fn workload(&self, count: u32) -> Workload {
        let of = |attack| SUBJECTS.iter().filter(|&&(subject, _, variant)| suits(attack, subject, variant)).count();
        let trials = u32::try_from(self.scenes().map(|(attack, _)| of(attack)).sum::<usize>()).unwrap_or(u32::MAX);
        Workload::of(trials * count, TRIAL)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Attack {
    /// As fast as possible: frames that are no adverts, which show what the LAN itself can carry.
    Control,
    /// As fast as possible: a peer's adverts with a wrong checksum.
    WrongChecksum,
    /// As fast as possible: a peer's adverts of low priority.
    LowPriority,
    /// Priority 255 from the attacker's own address.
    OwnAddress,
    /// Priority 255 with the peer's address, from a MAC address of the attacker's.
    PeerAddress,
    /// Priority 255 with address and MAC address of the peer.
    Peer,
    /// Priority 0 with address and MAC address of the Active.
    Goodbye,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "flood of other frames",
            Self::WrongChecksum => "flood, wrong checksum",
            Self::LowPriority => "flood, low priority",
            Self::OwnAddress => "priority 255, own address",
            Self::PeerAddress => "priority 255, peer's address",
            Self::Peer => "priority 255, peer's address and MAC",
            Self::Goodbye => "priority 0, Active's address and MAC",
        })
    }
}

impl Attack {
    const fn is_flood(self) -> bool {
        matches!(self, Self::Control | Self::WrongChecksum | Self::LowPriority)
    }

    /// Whether it is worth trying on somebody who signs too.
    const fn is_for_signed(self) -> bool {
        matches!(self, Self::Peer | Self::Goodbye)
    }

    fn frame(self, stage: &Stage) -> Vec<u8> {
        let (active, peer) = (stage.nodes[0].mac(), stage.nodes[1].mac());
        let (mac, source, priority) = match self {
            Self::Control | Self::WrongChecksum => (peer, [10, 77, 0, 2], 150),
            Self::LowPriority => (peer, [10, 77, 0, 2], 1),
            Self::OwnAddress => (stage.attacker.mac(), [10, 77, 0, 66], 255),
            Self::PeerAddress => (MacAddr([2, 0, 0, 0, 0, 0x77]), [10, 77, 0, 2], 255),
            Self::Peer => (peer, [10, 77, 0, 2], 255),
            Self::Goodbye => (active, [10, 77, 0, 1], 0),
        };
        let mut advert = Advert::new(mac, source.into(), 1, priority, &stage.targets[..1]);
        advert.interval_cs = 10;
        if self == Self::WrongChecksum {
            advert.checksum = Checksum::Is(0xdead);
        }
        if self.is_flood() {
            // A switch would otherwise believe that the peer is where the attacker is.
            advert.source_mac = stage.attacker.mac();
        }
        let mut frame = advert.frame();
        if self == Self::Control {
            frame[12..14].copy_from_slice(&EXPERIMENT);
        }
        frame
    }
}

/// Whom, how it is called, and how it differs from its defaults.
const SUBJECTS: [(Subject, &str, Variant); 5] = [
    (Subject::Vipd, "vipd", Variant::Plain),
    (Subject::Vipd, "vipd, signed", Variant::Signed),
    (Subject::Vipd, "vipd, tcx", Variant::Tcx),
    (Subject::Keepalived, "keepalived", Variant::Plain),
    (Subject::Frr, "FRR", Variant::Plain),
];

fn suits(attack: Attack, subject: Subject, variant: Variant) -> bool {
    match (subject, variant) {
        // Its Backups answer while the bridge floods, so that gaps say nothing of it.
        (Subject::Frr, _) => attack.is_flood() && attack != Attack::Control,
        (_, Variant::Plain) => true,
        (_, Variant::Signed) => attack.is_for_signed(),
        (_, Variant::Tcx) => attack.is_flood(),
    }
}

/// Adds what it measures to `output`.
pub(crate) fn run(options: &Options, count: u32, output: &mut Output) -> Result<()> {
    let lab = Lab::new()?;
    lab.secret("key", "what all nodes know, and nobody else\n")?;
    let mut stages = Vec::new();
    for (subject, name, variant) in SUBJECTS {
        let task = Task { families: vec![Family::Ipv4], variant, ..Task::pair(INTERVAL, false) };
        stages.push((name, Stage::set(&lab, subject, task, 1).with_context(|| name)?));
    }
    for (attack, cores) in options.scenes() {
        let scenario = if cores == 1 { attack.to_string() } else { format!("{attack}, {cores} cores") };
        let scene = Scene { scenario, interval_ms: 100, transport: "multicast", count, span: TRIAL };
        let suits = |name: &str| {
            SUBJECTS.iter().any(|&(subject, known, variant)| known == name && suits(attack, subject, variant))
        };
        output.take_turns(&scene, &mut stages, suits, |stage, _| attempt(stage, attack, cores))?;
    }
    Ok(())
}

fn attempt(stage: &mut Stage, attack: Attack, cores: u8) -> Result<Vec<Figure>> {
    stage.settle()?;
    let frame = attack.frame(stage);
    stage.client.forget(now().saturating_sub(Duration::from_millis(200)));
    stage.witness.forget(now().saturating_sub(Duration::from_millis(200)));
    let (start, before) = (now(), [stage.cost(0)?, stage.cost(1)?]);
    let sent = if attack.is_flood() { flood(&stage.attacker, &frame, cores)? } else { forge(&stage.attacker, &frame)? };
    let (span, after) = (now().saturating_sub(start), [stage.cost(0)?, stage.cost(1)?]);
    let targets = stage.targets.clone();
    thread::sleep(INTERVAL * 10);
    stage.client.wait_steady(&targets, Duration::from_millis(500), PATIENCE)?;
    let record = stage.record(start);
    let (client, witness) = (record.client(targets[0]), record.witness(targets[0]));
    let changes = stage.holders.since(start);
    let takeovers = changes.iter().filter(|it| it.node == 1 && it.is_held && targets.contains(&it.address)).count();
    let mut figures = vec![
        Figure::new("outage", "ms", milliseconds(client.outage())),
        Figure::new("two answer", "ms", milliseconds(witness.contested(Part::Witness.interval()))),
        Figure::new("false takeovers", "", f64::from(u32::try_from(takeovers)?)),
    ];
    if attack.is_flood() {
        figures.push(Figure::new("frames per second", "kpps", f64::from(sent) / span.as_secs_f64() / 1_000.0));
        for (node, measure) in ["CPU, Active", "CPU, Backup"].into_iter().enumerate() {
            let used = after[node].cpu_since(&before[node]);
            figures.push(Figure::new(measure, "%", used.div_duration_f64(span) * 100.0));
        }
    }
    Ok(figures)
}

/// As fast as so many cores can; returns how many frames were sent.
fn flood(attacker: &Host, frame: &[u8], cores: u8) -> Result<u32> {
    let end = Instant::now() + SPAN;
    let send = || Injector::new(attacker)?.flood_until(end, &[frame.to_vec()]);
    let count = thread::scope(|scope| -> Result<u64> {
        let senders: Vec<_> = (0..cores).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?).sum()
    })?;
    Ok(u32::try_from(count)?)
}

fn forge(attacker: &Host, frame: &[u8]) -> Result<u32> {
    let (injector, end) = (Injector::new(attacker)?, Instant::now() + SPAN);
    let mut sent = 0;
    while Instant::now() < end {
        injector.send(frame)?;
        sent += 1;
        thread::sleep(PAUSE);
    }
    Ok(sent)
}
