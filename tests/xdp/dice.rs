//! Random frames, the same ones in every run.

use std::net::IpAddr;

use harness::frame::{Advert, Checksum};
use vrrp_wire::{Family, MacAddr};

use crate::{
    frames::{self, FRAME_MIN, advert, carp},
    kernel::{
        CAPTURED, CONFIGURED, EITHER, FAMILIES, KEY_1, KEY_7, PEER_MAC, SECOND, SIGNED, STRANGER_MAC, UNICAST,
        VERSION_2, host,
    },
};

/// xorshift64.
pub(crate) struct Dice(u64);

impl Dice {
    /// `seed` is not 0.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or(0) % end
    }

    /// True once in `times` times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

/// Makes adverts.
pub(crate) struct Forger {
    dice: Dice,
    /// Frames with one thing wrong, or nothing.
    cases: Vec<Vec<u8>>,
}

impl Forger {
    /// `seed` is not 0.
    pub(crate) fn new(seed: u64) -> Self {
        let cases = FAMILIES.into_iter().flat_map(frames::cases).map(|case| case.frame).collect();
        Self { dice: Dice::new(seed), cases }
    }

    /// An advert in which any field may be wrong, signed or not, then changed at random; or bytes at random.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let dice = &mut self.dice;
        let family = dice.pick(&FAMILIES);
        let mut frame = match dice.below(32) {
            0 => {
                let len = dice.below(200);
                [&advert(family).frame()[..FRAME_MIN], &dice.bytes(len)].concat()
            }
            1 => carp(family).frame(),
            2 | 3 => dice.pick(&self.cases),
            _ => random_advert(dice, family).frame(),
        };
        for _ in 0..dice.below(4) {
            mutate(dice, &mut frame);
        }
        frame.resize(frame.len().max(FRAME_MIN), 0);
        frame
    }
}

fn random_advert(dice: &mut Dice, family: Family) -> Advert {
    let vrid = if dice.once_in(2) { dice.pick(&[SIGNED, EITHER]) } else { dice.pick(&CONFIGURED) };
    let addresses: Vec<_> = match dice.below(64) {
        0 => Vec::new(),
        1 => {
            // What a frame of 1,500 bytes holds.
            let most = if family == Family::Ipv4 { 255 } else { 90 };
            vec![host(family, 100); 1 + dice.below(most)]
        }
        2 => vec![frames::global(family); 1 + dice.below(3)],
        _ => vec![host(family, 100); 1 + dice.below(3)],
    };
    if vrid == VERSION_2 {
        return random_version_2(dice, family);
    }
    let mut sent = Advert { vrid, addresses, priority: dice.byte(), ..advert(family) };
    if vrid == UNICAST {
        sent.destination = host(family, 1);
    }
    if dice.once_in(4) {
        spoil(dice, &mut sent, family);
    }
    if dice.once_in(3) {
        return sent;
    }
    let (id, key) = match dice.below(8) {
        0 => (7, &KEY_1[..]),
        1 => (9, &KEY_1[..]),
        2..5 => (7, KEY_7),
        _ => (1, &KEY_1[..]),
    };
    let fraction = dice.next() & 0xffff_ffff;
    let ahead = dice.pick(&[0, 0, 0, 0, SECOND, 2 * SECOND, 6 * SECOND, 3600 * SECOND, 1 << 63]);
    let time = if dice.once_in(2) { CAPTURED.wrapping_add(ahead) } else { CAPTURED.wrapping_sub(ahead) };
    let mut sent = sent.signed(id, key, time.wrapping_add(fraction));
    if dice.once_in(8) {
        spoil(dice, &mut sent, family);
    }
    sent
}

/// An advert of version 2, in which a field may be wrong.
fn random_version_2(dice: &mut Dice, family: Family) -> Advert {
    let mut sent = Advert { priority: dice.byte(), ..frames::version_2(family) };
    match dice.below(6) {
        0 => spoil(dice, &mut sent, family),
        1 => sent.interval_cs ^= 1 << dice.below(16),
        2 => sent.trailer[dice.below(8)] ^= dice.byte(),
        _ => {}
    }
    sent
}

/// Puts one field wrong, or into another right form.
fn spoil(dice: &mut Dice, sent: &mut Advert, family: Family) {
    match dice.below(13) {
        0 => sent.ttl = dice.byte(),
        1 => sent.version = dice.byte() & 0x0f,
        2 => sent.packet_type = dice.byte() & 0x0f,
        3 => sent.vrid = dice.byte(),
        4 => sent.count = Some(dice.byte()),
        5 => sent.interval_cs = dice.pick(&[0, 1, 4095, 0xf000, 0xf064]),
        6 => sent.source = random_host(dice, family),
        7 => sent.destination = random_host(dice, family),
        8 => sent.source_mac = dice.pick(&[STRANGER_MAC, PEER_MAC, MacAddr::BROADCAST]),
        9 => sent.tags = vec![[dice.pick(&[0x8100, 0x88a8]), dice.pick(&[0, 0xe000, 5, 0xffff])]],
        10 => {
            sent.trailer = {
                let len = dice.below(60);
                dice.bytes(len)
            }
        }
        11 => sent.checksum = Checksum::Is(0),
        _ => sent.priority = dice.byte(),
    }
}

fn random_host(dice: &mut Dice, family: Family) -> IpAddr {
    let number = dice.pick(&[1, 2, 3, 66, 67]);
    host(family, number)
}

/// A byte replaced, a bit turned, a byte inserted or taken out, the end cut off or extended, a tag put in front, the
/// length in the IP header changed to what is there.
fn mutate(dice: &mut Dice, frame: &mut Vec<u8>) {
    if frame.len() < 24 {
        return;
    }
    let at = dice.below(frame.len());
    match dice.below(10) {
        0 | 1 => frame[at] = dice.byte(),
        2 | 3 => frame[at] ^= 1 << dice.below(8),
        4 => frame.insert(at, dice.byte()),
        5 => drop(frame.remove(at)),
        6 => frame.truncate(at.max(FRAME_MIN)),
        7 => {
            let len = dice.below(40);
            frame.extend(dice.bytes(len));
        }
        8 => drop(frame.splice(12..12, [0x81, 0x00, dice.byte() & 0xf0, dice.byte() & 0x01])),
        _ => {
            let is_ipv4 = frame[12..14] == [0x08, 0x00];
            let (length_at, from) = if is_ipv4 { (16, 14) } else { (18, 54) };
            let len = u16::try_from(frame.len().saturating_sub(from)).unwrap_or(u16::MAX);
            frame[length_at..length_at + 2].copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// Frames of anything but VRRP, of any length, with up to two VLAN tags; ARP and Neighbor Discovery about others.
pub(crate) fn not_vrrp(dice: &mut Dice) -> Vec<u8> {
    if dice.once_in(8) {
        return about_others(dice);
    }
    let mut frame = dice.bytes(12);
    for _ in 0..dice.below(3) {
        frame.extend([0x81, 0x00, dice.byte(), dice.byte()]);
    }
    let mut payload = vec![];
    let len = 48 + dice.below(256);
    payload.extend(dice.bytes(len));
    let protocol = dice.byte();
    match dice.below(5) {
        0 => {
            frame.extend([0x08, 0x00]);
            payload[0] = 0x45 + u8::try_from(dice.below(11)).unwrap_or(0);
            payload[9] = if protocol == 112 { 17 } else { protocol };
        }
        1 => {
            frame.extend([0x86, 0xdd]);
            payload[0] = 0x60;
            payload[6] = dice.pick(&[6, 17, 58, 50]);
        }
        2 => {
            frame.extend([0x86, 0xdd]);
            payload[0] = 0x60;
            payload[6] = dice.pick(&[0, 43, 44, 60]);
            payload[40] = 58;
        }
        3 => frame.extend([0x08, 0x06]),
        _ => frame.extend(dice.pick(&[[0x88, 0xcc], [0x88, 0x8e], [0x00, 0x27], [0x88, 0x47]])),
    }
    payload.truncate(dice.below(512));
    frame.extend(payload);
    frame.resize(frame.len().max(FRAME_MIN), 0);
    frame
}

/// What hosts without VRRP say to each other.
fn about_others(dice: &mut Dice) -> Vec<u8> {
    let family = dice.pick(&FAMILIES);
    let mac = MacAddr([0x02, 0x99, dice.byte(), dice.byte(), dice.byte(), dice.byte()]);
    // The virtual addresses are 151 to 157.
    let numbers = [dice.byte(), dice.byte()];
    let [one, other] = numbers.map(|number| host(family, if (151..=157).contains(&number) { 9 } else { number }));
    match dice.below(4) {
        0 => frames::question(mac, one, other),
        1 => frames::answer(mac, mac, one),
        2 => frames::announcement(mac, one),
        _ => frames::syn(mac, one, other),
    }
}
