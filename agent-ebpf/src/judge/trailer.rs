//! The trailer that authenticates an advert, as draft-cassen-vrrp-auth-hmac and keepalived 2.4 have it.

use core::hint::black_box;

use super::{Finding, Speaker, TRAILER_LEN, Tables, VERSION_3, is_equal};
use crate::{
    abi::Verdict,
    frame::Frame,
    hmac::INPUT_MAX,
    parse::Facts,
    sequence::{is_replayed, is_within},
};

/// HMAC-SHA256, the first 128 bits of it.
const EXTENSION_TYPE: u8 = 1;
/// Bytes of the trailer before the code.
const HEADER_LEN: usize = 12;
/// Bytes of the code.
const CODE_LEN: usize = 16;
/// Bytes of the pseudo-header: IP version, VRRP version, VRID, 0, source address.
const PSEUDO_HEADER_LEN: usize = 20;
/// Longest message, trailer included, that is verified in the kernel.
pub const SIGNED_MAX: usize = INPUT_MAX - PSEUDO_HEADER_LEN;
/// The word of the message that holds the checksum in its lower half.
const CHECKSUM_WORD: usize = 4;

/// What a trailer says.
pub(super) struct Trailer {
    /// Identifier of the key by which its code is to be verified.
    pub(super) key: u8,
    pub(super) sequence: u64,
    /// As in [`Finding`].
    pub(super) is_copy: bool,
}

/// Judges the trailer of a message that has one, and whose length is right, by everything but its code.
#[inline(always)]
pub(super) fn check<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    facts: &Facts,
    window: u64,
    speaker: &Speaker,
    tables: &T,
) -> Result<Trailer, Verdict> {
    let &Speaker { mark, last_sequence, .. } = speaker;
    let trailer = before_end(facts, TRAILER_LEN).and_then(|offset| frame.bytes::<HEADER_LEN>(offset));
    let Some(&[kind, id, r0, r1, s0, s1, s2, s3, f0, f1, c0, c1]) = trailer else {
        return Err(Verdict::Truncated);
    };
    if kind != EXTENSION_TYPE || r0 != 0 || r1 != 0 {
        return Err(Verdict::AuthMalformed);
    }
    if tables.key(id).is_none() {
        return Err(Verdict::AuthUnknownKey);
    }
    let now = tables.wall_clock().ok_or(Verdict::Unverified)?;
    let sequence = u64::from_be_bytes([s0, s1, s2, s3, f0, f1, c0, c1]);
    if !is_within(sequence, now, window) {
        return Err(Verdict::AuthStale);
    }
    if mark != 0 && is_replayed(sequence, mark, now, window) {
        return Err(Verdict::AuthReplayed);
    }
    let is_copy = last_sequence != 0 && is_replayed(sequence, last_sequence, now, window);
    Ok(Trailer { key: id, sequence, is_copy })
}

/// Verifies the code of an advert that [`judge`](super::judge) has left to be verified. One that is too long stays
/// [`Verdict::Unverified`].
#[inline(always)]
pub fn verify<F: Frame + ?Sized, T: Tables>(frame: &F, finding: &mut Finding, tables: &T) {
    let facts = &finding.facts;
    if finding.key == 0 || facts.message_len < TRAILER_LEN || !has_room(facts) {
        return;
    }
    let Some(key) = tables.key(finding.key) else { return };
    let Some(expected) = fill_in(frame, facts, tables).and_then(|len| tables.code(key, len)) else { return };
    // Not before: the verifiers of Linux 5.10 and 6.1 forget the bounds of what is kept on the stack meanwhile.
    let Some(code) = before_end(facts, CODE_LEN).and_then(|offset| frame.bytes::<CODE_LEN>(offset)) else { return };
    let is_right = is_equal(u128::from_ne_bytes(expected), u128::from_ne_bytes(*code));
    finding.verdict = if is_right { Verdict::Admitted } else { Verdict::AuthCode };
}

/// Whether the message is short enough to be verified.
#[inline(always)]
pub(super) const fn has_room(facts: &Facts) -> bool {
    facts.message_len <= SIGNED_MAX
}

/// Puts pseudo-header, message and trailer, the checksum and the code read as zero, into the workspace; returns their
/// length.
#[expect(clippy::many_single_char_names, reason = "the sixteen bytes of an address")]
#[inline(always)]
fn fill_in<F: Frame + ?Sized, T: Tables>(frame: &F, facts: &Facts, tables: &T) -> Option<usize> {
    let mut workspace = tables.workspace()?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = facts.source;
    let pseudo_header =
        [[facts.family.number(), VERSION_3, facts.vrid, 0], [a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
    let mut at = 0;
    for word in pseudo_header {
        workspace.put(at, word);
        at += 4;
    }
    let covered = facts.message_len - CODE_LEN;
    let mut offset = 0;
    while offset < INPUT_MAX {
        if offset >= workspace.forgotten(covered) {
            break;
        }
        let &[a, b, c, d] = frame.bytes::<4>(opaque(facts.message_offset + offset))?;
        let word = if offset == CHECKSUM_WORD { [a, b, 0, 0] } else { [a, b, c, d] };
        workspace.put(PSEUDO_HEADER_LEN + offset, word);
        offset += 4;
    }
    for at in [0, 4, 8, 12] {
        workspace.put(PSEUDO_HEADER_LEN + offset + at, [0; 4]);
    }
    Some(PSEUDO_HEADER_LEN + facts.message_len)
}

/// Where the last `len` bytes of the message begin. The verifiers of Linux 5.10 and 6.1 take the difference for possibly
/// negative, and none lets a packet be read where its bounds were checked beyond 64 KiB.
#[inline(always)]
fn before_end(facts: &Facts, len: usize) -> Option<usize> {
    const FARTHEST: usize = 0x7fff;
    let offset = opaque(facts.message_offset + facts.message_len - len);
    (offset <= FARTHEST).then_some(offset)
}

/// `offset`, of which LLVM must not know how it was computed: it would take the subtraction into the packet pointer, and
/// the verifier bounds no pointer from below.
#[inline(always)]
fn opaque(offset: usize) -> usize {
    black_box(offset)
}
