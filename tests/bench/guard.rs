//! What the guard costs a frame, in nanoseconds, by `BPF_PROG_TEST_RUN`; beside programs that only return.
//!
//! The kernel repeats a program over one frame and gives the mean. All kinds of frame take turns, so that whatever else
//! the machine does meets all of them alike; the table has the median of the rounds and how far they are apart.

mod frames;

use std::{
    io::{self, Write},
    net::IpAddr,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use aya::programs::{TestRun, TestRunOptions};
use clap::Args;
use harness::bare::{self, Bare};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use vipd::datapath::guard::Guard;
use vrrp_wire::{
    Family,
    abi::{Fence, Heartbeat, Peer, PeerKey, Role, Router, RouterKey, Settings, VipKey, address_bytes, program},
    hmac::Midstates,
};

use crate::{progress::Workload, result::Row, turns::Output};

use self::frames::{ACTIVE, KEY, NOW, NOW_NS, PEER_MAC, PLAIN, REPLAYED, SIGNED, TO_ANSWER, host, kinds};

/// The loopback interface, where `BPF_PROG_TEST_RUN` lets frames arrive.
const IFINDEX: u32 = 1;
/// An hour, in nanoseconds and as a difference of sequences: nothing grows old here.
const HOUR_NS: u64 = 3_600_000_000_000;
const HOUR: u64 = 3600 << 32;
/// The ring buffer holds 339 long records; one that is full would make adverts cheaper.
const RECORDS: u32 = 128;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds, in each of which every kind of frame is measured once.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Runs over a frame in a round; 512 where each leaves a record that has to be read.
    #[arg(long, default_value_t = REPEAT)]
    repeat: u32,
}

/// Which program, and in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    /// A program that returns at once; the XDP guard's neighbour in the table.
    BareXdp(u32),
    /// The same in traffic control.
    BareTc(u32),
    Xdp,
    Ingress,
    Egress,
    /// XDP, with the fence of another virtual router closed.
    Fenced,
}

/// A line of the table.
struct Kind {
    hook: Hook,
    name: &'static str,
    frame: Vec<u8>,
    /// What the program returns.
    returns: u32,
    /// Whether each run leaves a record.
    records: bool,
}

/// Runs over a frame in a round, unless it is said.
const REPEAT: u32 = 20_000;
const SCENARIO: &str = "what the guard costs a frame";
/// About how long a round takes.
const ROUND: Duration = Duration::from_secs(1);

/// Prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.repeat > 0, "--rounds and --repeat must be 1 or more");
    let mut bench = Bench::new()?;
    let kinds = kinds();
    let step = |round| drop(write!(io::stderr(), "\r{} of {}", round + 1, options.rounds));
    let rounds =
        thread::scope(|scope| scope.spawn(|| bench.rounds(&kinds, options.rounds, options.repeat, step)).join())
            .map_err(|_| anyhow!("a round panicked"))??;
    let _ = writeln!(io::stderr());
    print(&kinds, rounds)?;
    bench.print_sizes()
}

pub(crate) fn workload(count: u32) -> Workload {
    Workload::of(count, ROUND)
}

/// Adds what it measures to `output`, so many rounds.
pub(crate) fn part(count: u32, output: &mut Output) -> Result<()> {
    let mut bench = Bench::new()?;
    let (kinds, before) = (kinds(), output.results.rows.len());
    let step = |_| output.progress.step(SCENARIO, ROUND);
    let rounds = thread::scope(|scope| scope.spawn(|| bench.rounds(&kinds, count as usize, REPEAT, step)).join())
        .map_err(|_| anyhow!("a round panicked"))??;
    for (kind, values) in kinds.iter().zip(rounds) {
        let Place { program, fate } = kind.place();
        let (subject, measure) = if kind.is_bare() {
            ("bare program", kind.name.to_owned())
        } else {
            ("vipd", format!("{}, {program}, {fate}", kind.name))
        };
        output.results.rows.push(Row {
            values,
            transport: String::new(),
            family: String::new(),
            ..Row::new(SCENARIO, subject, &measure, "ns")
        });
    }
    output.conclude(before)
}

fn print(kinds: &[Kind], rounds: Vec<Vec<f64>>) -> Result<()> {
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<8} {:<34} {:<5} {:>9} {:>9} {:>9} {:>9}",
        "PROGRAM", "FRAME", "", "MIN", "MEDIAN", "MAX", "MORE"
    )?;
    let mut bare = 0.0;
    for (kind, mut spans) in kinds.iter().zip(rounds) {
        spans.sort_by(f64::total_cmp);
        let [min, median, max] = [0, spans.len() / 2, spans.len() - 1].map(|at| spans[at]);
        let Place { program, fate } = kind.place();
        // A drop is compared with the pass that it is in place of.
        if kind.is_bare() && kind.returns != bare::XDP_DROP {
            bare = median;
        }
        writeln!(
            out,
            "{program:<8} {:<34} {fate:<5} {min:>6.1} ns {median:>6.1} ns {max:>6.1} ns {:>6.1} ns",
            kind.name,
            median - bare
        )?;
    }
    Ok(())
}

/// Which program judges a frame, and what becomes of it.
struct Place {
    program: &'static str,
    fate: &'static str,
}

impl Kind {
    const fn is_bare(&self) -> bool {
        matches!(self.hook, Hook::BareXdp(_) | Hook::BareTc(_))
    }

    fn place(&self) -> Place {
        let (program, drop) = match self.hook {
            Hook::BareXdp(_) | Hook::BareTc(_) => return Place { program: "none", fate: "" },
            Hook::Xdp | Hook::Fenced => ("xdp", bare::XDP_DROP),
            Hook::Ingress => ("ingress", bare::TC_ACT_SHOT),
            Hook::Egress => ("egress", bare::TC_ACT_SHOT),
        };
        Place { program, fate: if self.returns == drop { "drop" } else { "pass" } }
    }
}

/// The loaded programs.
struct Bench {
    guard: Guard,
    /// The same, with a closed fence.
    fenced: Guard,
    bare: Bare,
}

impl Bench {
    fn new() -> Result<Self> {
        Ok(Self { guard: guard()?, fenced: fenced()?, bare: Bare::load()? })
    }

    /// Prints how many instructions the kernel has looked at to verify each program.
    fn print_sizes(&mut self) -> Result<()> {
        let programs = self.guard.programs();
        let infos = [
            (program::XDP, programs.xdp()?.info()?),
            (program::INGRESS, programs.classifier(program::INGRESS)?.info()?),
            (program::EGRESS, programs.classifier(program::EGRESS)?.info()?),
        ];
        for (name, info) in infos {
            let count =
                info.verified_instruction_count().map_or_else(|| "unknown".to_owned(), |count| count.to_string());
            writeln!(io::stdout(), "{name}: {count} instructions verified")?;
        }
        Ok(())
    }

    /// Nanoseconds for a run of each of `kinds`, round by round. Stays on the CPU where it begins.
    fn rounds(
        &mut self,
        kinds: &[Kind],
        rounds: usize,
        repeat: u32,
        mut step: impl FnMut(usize),
    ) -> Result<Vec<Vec<f64>>> {
        stay_on_one_cpu()?;
        let mut spans = vec![Vec::with_capacity(rounds); kinds.len()];
        for round in 0..rounds {
            step(round);
            for (kind, spans) in kinds.iter().zip(&mut spans) {
                spans.push(self.measure(kind, repeat).with_context(|| kind.name)?);
            }
        }
        Ok(spans)
    }

    /// Nanoseconds for a run.
    fn measure(&mut self, kind: &Kind, repeat: u32) -> Result<f64> {
        // The kernel takes long to begin: a few runs must do.
        let (batches, repeat) = if kind.records { (4, RECORDS) } else { (1, repeat) };
        let mut total_ns = 0;
        for _ in 0..batches {
            // Who has slept for an interval is woken by any advert; and copies of a signed one are no later sign of life.
            self.guard.set_heartbeat(heartbeat()?)?;
            for family in [Family::Ipv4, Family::Ipv6] {
                self.guard.set_peer(peer_key(family, SIGNED), peer())?;
            }
            let options = TestRunOptions { data_in: Some(&kind.frame), repeat, ..TestRunOptions::new() };
            let result = match kind.hook {
                Hook::BareXdp(verdict) => self.bare.xdp(verdict)?.test_run(options),
                Hook::BareTc(verdict) => self.bare.classifier(verdict)?.test_run(options),
                Hook::Xdp => self.guard.programs().xdp()?.test_run(options),
                Hook::Ingress => self.guard.programs().classifier(program::INGRESS)?.test_run(options),
                Hook::Egress => self.guard.programs().classifier(program::EGRESS)?.test_run(options),
                Hook::Fenced => self.fenced.programs().xdp()?.test_run(options),
            };
            let result = result.context("BPF_PROG_TEST_RUN failed")?;
            ensure!(result.return_value == kind.returns, "the program returned {}", result.return_value);
            total_ns += result.duration.as_nanos();
            let records = std::iter::from_fn(|| self.guard.next_advert()).count();
            let expected = if kind.records { usize::try_from(RECORDS)? } else { 0 };
            ensure!(records == expected, "{records} records of {repeat} runs");
        }
        Ok(f64::from(u32::try_from(total_ns)?) / f64::from(batches))
    }
}

fn stay_on_one_cpu() -> Result<()> {
    let mut one = CpuSet::new();
    one.set(sched_getcpu()?)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("failed to stay on one CPU")
}

fn now_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

/// A daemon that is awake.
fn heartbeat() -> Result<Heartbeat> {
    let beat_ns = now_ns()?;
    Ok(Heartbeat { beat_ns, wall_offset_ns: NOW_NS - beat_ns })
}

/// Four virtual routers of each family: one is Backup, one Active, one takes signed adverts, one has just had the one that comes again.
fn guard() -> Result<Guard> {
    let mut guard = Guard::load(None)?;
    guard.set_settings(Settings { enforce: 1, ..Settings::default() })?;
    guard.set_key(1, Midstates::new(&KEY))?;
    guard.set_heartbeat(heartbeat()?)?;
    for family in [Family::Ipv4, Family::Ipv6] {
        guard.add_counters(key(family, 0))?;
        for vrid in [PLAIN, ACTIVE, SIGNED, REPLAYED] {
            configure(&mut guard, family, vrid)?;
        }
        guard.set_mark(peer_key(family, REPLAYED), NOW)?;
    }
    Ok(guard)
}

fn configure(guard: &mut Guard, family: Family, vrid: u8) -> Result<()> {
    let router = Router {
        own_address: address_bytes(host(family, 1)),
        window: HOUR,
        auth: if [PLAIN, ACTIVE].contains(&vrid) { Router::AUTH_OFF } else { Router::AUTH_REQUIRED },
        fence: 1,
        ..Router::default()
    };
    guard.set_router(key(family, vrid), router)?;
    let active = u8::from(![PLAIN, SIGNED].contains(&vrid));
    guard.set_role(key(family, vrid), Role { stale_after_ns: HOUR_NS, active: active.into(), padding: 0 })?;
    guard.set_peer(peer_key(family, vrid), peer())?;
    guard.set_vip(vip_key(host(family, TO_ANSWER)), key(family, vrid))?;
    Ok(())
}

/// The peer of all virtual routers, which has not been heard yet.
fn peer() -> Peer {
    Peer { mac: PEER_MAC.0, mac_pinned: 1, ..Peer::default() }
}

/// The daemon is silent, and a peer has been heard.
fn fenced() -> Result<Guard> {
    let mut fenced = guard()?;
    for family in [Family::Ipv4, Family::Ipv6] {
        fenced.set_role(key(family, PLAIN), Role { stale_after_ns: 0, active: 1, padding: 0 })?;
        let advert = frames::advert(family, PLAIN);
        let options = TestRunOptions { data_in: Some(&advert), ..TestRunOptions::new() };
        fenced.programs().xdp()?.test_run(options)?;
        let fence = fenced.fence(&key(family, PLAIN)).context("no fence")?;
        ensure!(fence.closings == 1, "the fence did not close");
        fenced.set_fence(key(family, PLAIN), Fence { closed_until_ns: u64::MAX, ..fence })?;
    }
    Ok(fenced)
}

const fn key(family: Family, vrid: u8) -> RouterKey {
    RouterKey { ifindex: IFINDEX, vlan: 0, family: family.number(), vrid }
}

fn peer_key(family: Family, vrid: u8) -> PeerKey {
    PeerKey { router: key(family, vrid), source: address_bytes(host(family, 2)) }
}

fn vip_key(address: IpAddr) -> VipKey {
    let family = if address.is_ipv4() { 4 } else { 6 };
    VipKey { ifindex: IFINDEX, vlan: 0, family, padding: 0, address: address_bytes(address) }
}
