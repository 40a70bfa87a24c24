//! Random frames, as many as a million of each kind: kernel and user space agree about every advert, and everything
//! else passes.

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::lab;
use vrrp::auth::{AuthError, Clock, Key, KeyId, Keyring, Sequence, Signed};
use vrrp_wire::{
    abi::{Fence, Heartbeat, Verdict, address_from_bytes},
    judge::{Finding, Tables, sender},
};

use crate::{
    dice::{Dice, Forger, not_vrrp},
    frames::{FRAME_MIN, advert},
    kernel::{
        Action, CAPTURED, CONFIGURED, FAMILIES, Hook, KEY_1, KEY_7, Kernel, MULTICAST, SECOND, SIGNED, key, now_ns,
        peer_key,
    },
};

/// How many frames, where it shall not be what each test does every day.
const FRAMES: &str = "VIPD_TESTS_FRAMES";

fn frames(every_day: usize) -> Result<usize> {
    match env::var(FRAMES) {
        Ok(number) => number.parse().with_context(|| format!("`{FRAMES}` is `{number}`, and not a number")),
        Err(_) => Ok(every_day),
    }
}

/// The kernel comes to the same verdict about the same bytes as the library in user space, signed and unsigned.
#[test]
fn kernel_and_user_space_agree_about_mutated_adverts() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for family in FAMILIES {
        kernel.set_mark(peer_key(family, SIGNED), CAPTURED - SECOND)?;
    }
    let mut forger = Forger::new(0x9e37_79b9_7f4a_7c15);
    let daemon = Daemon::new()?;
    let mut seen = BTreeMap::new();
    let (frames, start) = (frames(50_000)?, Instant::now());
    for number in 0..frames {
        if number % 1000 == 0 {
            kernel.settle()?;
        }
        let frame = forger.next();
        let is_for_ingress = number % 4 == 0 && Kernel::takes(Hook::Ingress, &frame);
        let hook = if is_for_ingress { Hook::Ingress } else { Hook::Xdp };
        let finding = kernel.finds(hook, &frame).with_context(|| format!("frame {number}"))?;
        if let Some(finding) = &finding {
            daemon.agrees(&kernel, &frame, finding).with_context(|| format!("frame {number}: {finding:?}"))?;
        }
        let verdict = finding.map(|finding| finding.verdict);
        *seen.entry(verdict.map_or("nothing", |verdict| verdict.name())).or_insert(0_usize) += 1;
    }
    kernel.settle()?;
    eprintln!("{frames} frames in {:.1} s: {seen:?}", start.elapsed().as_secs_f64());
    let rare = Verdict::ALL.iter().filter(|verdict| !seen.contains_key(verdict.name()));
    let rare: Vec<_> = rare.map(|verdict| verdict.name()).collect();
    ensure!(frames < 50_000 || rare.is_empty(), "no frame was {rare:?}");
    Ok(())
}

/// What verifies trailers once more, with code of others.
struct Daemon(Keyring);

impl Daemon {
    fn new() -> Result<Self> {
        let key = |id, bytes: &[u8]| Ok::<_, anyhow::Error>(Key::new(KeyId::new(id).context("0 is no key")?, bytes)?);
        Ok(Self(Keyring::new(vec![key(1, &KEY_1)?, key(7, KEY_7)?])?))
    }

    /// Fails unless the trailer, where `finding` is about one, is right or wrong for the same reason.
    fn agrees(&self, kernel: &Kernel, frame: &[u8], finding: &Finding) -> Result<()> {
        let has_no_trailer = matches!(finding.verdict, Verdict::AuthMissing | Verdict::AuthType | Verdict::Password);
        let is_refused = finding.verdict.is_of_authentication() && !has_no_trailer;
        let is_about_a_trailer = is_refused || finding.verdict == Verdict::Admitted && finding.key != 0;
        if !is_about_a_trailer {
            return Ok(());
        }
        let facts = &finding.facts;
        let message = frame.get(facts.message_offset..).and_then(|rest| rest.get(..facts.message_len));
        let (message, trailer) = message.and_then(|message| message.split_last_chunk()).context("no trailer")?;
        let source = address_from_bytes(facts.source, facts.family);
        let clock = Clock { now: Duration::from_nanos(kernel.unix_ns()?), window: Duration::from_secs(5) };
        let mark = sender(facts, finding.router, &kernel.tables).and_then(|(key, _)| kernel.tables.mark(&key));
        let said = self.0.verify(&Signed { source, message, trailer }, &clock, mark.map(Sequence::new));
        let expected = match said {
            Ok(_) => Verdict::Admitted,
            Err(AuthError::Malformed { .. }) => Verdict::AuthMalformed,
            Err(AuthError::UnknownKey(_)) => Verdict::AuthUnknownKey,
            Err(AuthError::Stale { .. }) => Verdict::AuthStale,
            Err(AuthError::Replayed { .. }) => Verdict::AuthReplayed,
            Err(AuthError::Tag(_)) => Verdict::AuthCode,
        };
        ensure!(finding.verdict == expected, "the daemon says {said:?}");
        Ok(())
    }
}

/// What is neither VRRP nor about our virtual addresses passes and leaves no trace, whatever this node is: Active, Backup,
/// hung, and behind a closed fence.
#[test]
fn everything_else_passes_untouched() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let mut dice = Dice::new(0x2545_f491_4f6c_dd1d);
    let (frames, start) = (frames(1_000_000)?, Instant::now());
    for number in 0..frames {
        if number % (frames / 4).max(1) == 0 {
            become_another(&mut kernel, number / (frames / 4).max(1))?;
        }
        let frame = not_vrrp(&mut dice);
        let hook = dice.pick(&[Hook::Xdp, Hook::Xdp, Hook::Ingress, Hook::Egress]);
        let hook = if Kernel::takes(hook, &frame) { hook } else { Hook::Xdp };
        ensure!(kernel.run(hook, &frame)? == Action::Pass, "frame {number}, {hook:?}: {frame:02x?}");
    }
    eprintln!("{frames} frames in {:.1} s", start.elapsed().as_secs_f64());
    kernel.settle()?;
    ensure!(kernel.guard.claims().is_empty() && kernel.guard.next_advert().is_none());
    Ok(())
}

/// Active, Backup, hung, fenced.
fn become_another(kernel: &mut Kernel, turn: usize) -> Result<()> {
    let active = u32::from(turn % 4 != 1);
    let is_hung = turn % 4 >= 2;
    let now_ns = now_ns()?;
    for (family, vrid) in FAMILIES.into_iter().flat_map(|family| CONFIGURED.map(|vrid| (family, vrid))) {
        kernel.set_role(key(family, vrid), active, 3_000_000_000)?;
    }
    let beat_ns = if is_hung { now_ns - 10_000_000_000 } else { now_ns + 3_600_000_000_000 };
    kernel.set_heartbeat(Heartbeat { beat_ns, wall_offset_ns: 1 })?;
    if turn % 4 == 3 {
        for family in FAMILIES {
            kernel.expect(key(family, MULTICAST), |counters| counters.admitted += 1);
            let mut advert = advert(family);
            advert.interval_cs = 4095;
            kernel.run(Hook::Xdp, &advert.frame())?;
            kernel.guard.next_advert().context("a good advert is not recorded")?;
            let fence = kernel.guard.fence(&key(family, MULTICAST)).context("no fence")?;
            ensure!(fence.closings == 1 && fence.closed_until_ns > now_ns, "the fence is open: {fence:?}");
            kernel.guard.set_fence(key(family, MULTICAST), Fence { closed_until_ns: u64::MAX, ..fence })?;
        }
    }
    Ok(())
}

/// The shortest frame that there is in an Ethernet, and shorter ones.
#[test]
fn the_shortest_frames_pass() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in [Hook::Xdp, Hook::Ingress, Hook::Egress] {
        for ethertype in [[0x08, 0x00], [0x08, 0x06], [0x86, 0xdd], [0x81, 0x00], [0x88, 0xa8], [0, 0]] {
            for len in FRAME_MIN..=64 {
                let mut frame = vec![0; len];
                frame[12..14].copy_from_slice(&ethertype);
                if !Kernel::takes(hook, &frame) {
                    continue;
                }
                ensure!(kernel.run(hook, &frame)? == Action::Pass, "{len} bytes of {ethertype:02x?}, {hook:?}");
            }
        }
    }
    kernel.settle()
}
