//! HMAC-SHA256 cut to 128 bits, from the precomputed midstates of a key. RFC 2104, FIPS 180-4.
//!
//! Made for a BPF program, whose stack of 512 bytes holds no SHA-256 and which must not panic: all memory is a
//! [`Workspace`] that the caller owns, and every index is masked. The kernel's verifier must not walk through this once for
//! each length of input: see [`Workspace::forgotten`].

use core::{
    fmt,
    hint::black_box,
    sync::atomic::{Ordering, compiler_fence},
};

/// Blocks that a workspace holds, padding included.
pub const BLOCKS_MAX: usize = 8;
/// Longest input, in bytes.
pub const INPUT_MAX: usize = INPUT_WORDS_MAX * 4;

const BLOCK_WORDS: usize = 16;
/// Three words of the last block are padding: a single bit, and the length in two.
const INPUT_WORDS_MAX: usize = BLOCKS_MAX * BLOCK_WORDS - 3;
/// The bit that follows the input, and zeros.
const PADDING: u32 = 0x8000_0000;
const BLOCK_BITS: u32 = 512;
/// The inner digest in the outer message, which ends with it.
const DIGEST_WORDS: usize = 8;

/// First words of the fractions of the square roots of the first eight primes. FIPS 180-4 §5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// First words of the fractions of the cube roots of the first 64 primes. FIPS 180-4 §4.2.2.
#[rustfmt::skip]
static ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// What SHA-256 has become after the first block of either half of HMAC: all of the key that computing tags needs.
///
/// As secret as the key, since tags can be made with it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Midstates {
    /// After the key with every byte XORed with 0x36.
    pub inner: [u32; 8],
    /// After the key with every byte XORed with 0x5c.
    pub outer: [u32; 8],
}

impl Midstates {
    /// The midstates of `key`, of which the first 64 bytes count.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { inner: midstate(key, 0x36), outer: midstate(key, 0x5c) }
    }
}

impl fmt::Debug for Midstates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Midstates").finish_non_exhaustive()
    }
}

fn midstate(key: &[u8], pad: u8) -> [u32; 8] {
    let mut workspace = Workspace::new();
    for at in (0..BLOCK_WORDS * 4).step_by(4) {
        let byte = |offset| key.get(at + offset).map_or(pad, |byte| byte ^ pad);
        workspace.put(at, [byte(0), byte(1), byte(2), byte(3)]);
    }
    workspace.state = INITIAL;
    compress(&mut workspace, 0);
    workspace.state
}

/// The memory that a tag is computed in: the input, and SHA-256's own.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Workspace {
    /// Input as big-endian words; each block turns into its message schedule when it is compressed.
    blocks: [[u32; BLOCK_WORDS]; BLOCKS_MAX],
    /// The hash so far.
    state: [u32; 8],
    /// Where [`Workspace::forgotten`] passes values through.
    scratch: usize,
}

impl Workspace {
    /// A workspace whose input is zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { blocks: [[0; BLOCK_WORDS]; BLOCKS_MAX], state: [0; 8], scratch: 0 }
    }

    /// Sets the four bytes of input at `at`, a multiple of 4; `false` beyond [`INPUT_MAX`], where nothing is set.
    #[inline(always)]
    pub const fn put(&mut self, at: usize, word: [u8; 4]) -> bool {
        if at >= INPUT_MAX {
            return false;
        }
        *self.word(at / 4) = u32::from_be_bytes(word);
        true
    }

    #[inline(always)]
    const fn word(&mut self, at: usize) -> &mut u32 {
        &mut self.blocks[(at / BLOCK_WORDS) & (BLOCKS_MAX - 1)][at & (BLOCK_WORDS - 1)]
    }

    /// `value`, through memory of which the verifier knows nothing.
    ///
    /// A BPF program compares with the copy where a loop may end: then the verifier learns nothing about `value` from
    /// the comparison, and what follows the loop looks the same to it wherever the loop ended.
    #[inline(always)]
    pub fn forgotten(&mut self, value: usize) -> usize {
        self.scratch = value;
        black_box(self).scratch
    }

    /// Ends an input of `words` as FIPS 180-4 §5.1.1 says, after one block that went before it; returns its blocks.
    ///
    /// Without a branch, which would double what the verifier has to walk through.
    #[expect(clippy::cast_possible_truncation, reason = "all ones, or a length below 2¹²")]
    #[inline(always)]
    const fn pad(&mut self, words: usize) -> usize {
        let last = ((words + 2) / BLOCK_WORDS) & (BLOCKS_MAX - 1);
        let mut at = 0;
        while at < BLOCK_WORDS {
            // All ones where the place lies before the end of the input, zero elsewhere.
            let kept = (last * BLOCK_WORDS + at).wrapping_sub(words).cast_signed() >> (isize::BITS - 1);
            *self.word(last * BLOCK_WORDS + at) &= kept.cast_unsigned() as u32;
            at += 1;
        }
        *self.word(words) = PADDING;
        // In the block before the last where the bit was that one's last word but one.
        *self.word(words + 1) = 0;
        *self.word(last * BLOCK_WORDS + BLOCK_WORDS - 1) = BLOCK_BITS + (words * 32) as u32;
        last + 1
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// The tag of the first `len` bytes of input under `key`: the first sixteen bytes of their HMAC. Uses the input up.
///
/// `len` is a multiple of 4 up to [`INPUT_MAX`]; anything else gives the tag of no input at all, which fits nothing
/// that is ever sent.
#[inline(always)]
#[must_use]
pub fn tag(workspace: &mut Workspace, key: &Midstates, len: usize) -> [u8; 16] {
    let is_valid = len <= INPUT_MAX && len.is_multiple_of(4);
    let words = workspace.forgotten(if is_valid { len / 4 } else { 0 });
    digest(workspace, key, words & (BLOCKS_MAX * BLOCK_WORDS - 1));
    let mut tag = [0; 16];
    for (bytes, word) in tag.as_chunks_mut().0.iter_mut().zip(workspace.state) {
        *bytes = word.to_be_bytes();
    }
    tag
}

/// Leaves the HMAC of the first `words` of input in the state.
#[inline(never)]
fn digest(workspace: &mut Workspace, key: &Midstates, words: usize) {
    // Or else the compiler, which knows that there are no more than eight, ends the loop by `!=`, from which the
    // verifiers of Linux 5.10 and 6.1 learn nothing.
    let blocks = black_box(workspace.pad(words));
    workspace.state = key.inner;
    for block in 0..BLOCKS_MAX {
        if block >= blocks {
            break;
        }
        compress(workspace, block);
    }
    workspace.blocks[0].split_at_mut(DIGEST_WORDS).0.copy_from_slice(&workspace.state);
    workspace.pad(DIGEST_WORDS);
    workspace.state = key.outer;
    compress(workspace, 0);
}

/// Takes one block into the state. FIPS 180-4 §6.2.2.
#[expect(clippy::many_single_char_names, reason = "the working variables' names in FIPS 180-4")]
#[inline(never)]
fn compress(workspace: &mut Workspace, block: usize) {
    let words = &mut workspace.blocks[block & (BLOCKS_MAX - 1)];
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = workspace.state;
    let mut first = 0;
    macro_rules! round {
        ($place:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            if first > 0 {
                schedule(words, $place);
            }
            // Or else the compiler keeps words of other rounds in registers, which BPF has too few of: on the stack.
            compiler_fence(Ordering::SeqCst);
            let t1 = $h
                .wrapping_add(rotations($e, [6, 11, 25]))
                .wrapping_add($g ^ ($e & ($f ^ $g)))
                .wrapping_add(ROUNDS[first + $place])
                .wrapping_add(words[$place]);
            $d = $d.wrapping_add(t1);
            $h = t1.wrapping_add(rotations($a, [2, 13, 22])).wrapping_add(($a & $b) | ($c & ($a | $b)));
        };
    }
    // Every round moves the names of the variables on by one, so that nothing else has to move.
    macro_rules! eight_rounds {
        ($place:expr) => {
            round!($place, a b c d e f g h);
            round!($place + 1, h a b c d e f g);
            round!($place + 2, g h a b c d e f);
            round!($place + 3, f g h a b c d e);
            round!($place + 4, e f g h a b c d);
            round!($place + 5, d e f g h a b c);
            round!($place + 6, c d e f g h a b);
            round!($place + 7, b c d e f g h a);
        };
    }
    while first < ROUNDS.len() {
        eight_rounds!(0);
        eight_rounds!(8);
        first += BLOCK_WORDS;
    }
    // Read again, so that the stack does not have to keep it.
    let state = &mut black_box(workspace).state;
    for (word, working) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(working);
    }
}

/// Replaces the word of the message schedule at `place` by the one that is needed sixteen rounds later. FIPS 180-4
/// §6.2.2, step 1.
#[inline(always)]
fn schedule(words: &mut [u32; BLOCK_WORDS], place: usize) {
    let (early, late) = (words[(place + 1) & 15], words[(place + 14) & 15]);
    words[place] = words[place]
        .wrapping_add(rotations(early, [7, 18]) ^ (early >> 3))
        .wrapping_add(words[(place + 9) & 15])
        .wrapping_add(rotations(late, [17, 19]) ^ (late >> 10));
}

/// XOR of `word` rotated to the right by each of `counts`. BPF has no rotation; out of a doubled word, each is one shift.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is the word")]
#[inline(always)]
fn rotations<const N: usize>(word: u32, counts: [u32; N]) -> u32 {
    let twice = u64::from(word) << 32 | u64::from(word);
    counts.into_iter().fold(0, |xor, count| xor ^ (twice >> count)) as u32
}

#[cfg(test)]
mod tests;
