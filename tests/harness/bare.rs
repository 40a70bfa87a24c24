//! Programs that only return, written by hand: `r0 = VERDICT; exit` in the smallest ELF object that there is.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{SchedClassifier, Xdp},
};

/// Of the kernel's interface: the frame ends here.
pub const XDP_DROP: u32 = 1;
/// The frame goes on.
pub const XDP_PASS: u32 = 2;
/// The frame goes on, and no other classifier is asked.
pub const TC_ACT_OK: u32 = 0;
/// The frame ends here.
pub const TC_ACT_SHOT: u32 = 2;
/// The next classifier decides.
pub const TC_ACT_UNSPEC: u32 = u32::MAX;

const NAME: &str = "bare";

/// The loaded programs.
pub struct Bare {
    pass: Ebpf,
    drop: Ebpf,
    ok: Ebpf,
}

impl Bare {
    /// Has the kernel take them.
    pub fn load() -> Result<Self> {
        let mut bare = Self {
            pass: Ebpf::load(&object("xdp", XDP_PASS))?,
            drop: Ebpf::load(&object("xdp", XDP_DROP))?,
            ok: Ebpf::load(&object("classifier", TC_ACT_OK))?,
        };
        bare.xdp(XDP_PASS)?.load()?;
        bare.xdp(XDP_DROP)?.load()?;
        bare.classifier(TC_ACT_OK)?.load()?;
        Ok(bare)
    }

    /// The XDP program that returns this verdict.
    pub fn xdp(&mut self, verdict: u32) -> Result<&mut Xdp> {
        let object = if verdict == XDP_DROP { &mut self.drop } else { &mut self.pass };
        Ok(object.program_mut(NAME).context("no program")?.try_into()?)
    }

    /// The classifier, which returns [`TC_ACT_OK`].
    pub fn classifier(&mut self, _verdict: u32) -> Result<&mut SchedClassifier> {
        Ok(self.ok.program_mut(NAME).context("no program")?.try_into()?)
    }
}

/// An object whose only program stands in `section`.
fn object(section: &str, verdict: u32) -> Vec<u8> {
    const HEADER_LEN: usize = 64;
    const EM_BPF: u8 = 247;
    let [v0, v1, v2, v3] = verdict.to_le_bytes();
    let program = [0xb7, 0, 0, 0, v0, v1, v2, v3, 0x95, 0, 0, 0, 0, 0, 0, 0];
    // Names of sections and symbols alike: at 1 the program's, at 6 the section's, at 20 and 28 those of the tables.
    let names = format!("\0{NAME}\0{section:\0<14}.symtab\0.strtab\0");
    // One empty symbol, one global function in section 1.
    let mut symbols = vec![0; 24];
    symbols.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
    symbols.extend([0_u64, 16].map(u64::to_le_bytes).as_flattened());

    let start = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, EM_BPF, 0, 1, 0, 0, 0];
    let mut object = start.to_vec();
    let parts = [&program[..], &symbols, names.as_bytes()];
    let sections_at = HEADER_LEN + parts.concat().len();
    object.extend([0, 0, sections_at as u64].map(u64::to_le_bytes).as_flattened());
    // Flags; lengths of the headers; four sections, the names in the last.
    object.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 4, 0, 3, 0]);
    object.extend(parts.concat());
    // (name, kind, flags, link, info, alignment, length of an entry)
    let sections = [(6, 1, 6, 0, 0, 8, 0), (20, 2, 0, 3, 1, 8, 24), (28, 3, 0, 0, 0, 1, 0)];
    object.extend([0; 64]);
    let mut at = HEADER_LEN;
    for ((name, kind, flags, link, info, alignment, entry_len), part) in sections.into_iter().zip(parts) {
        object.extend([name, kind].map(u32::to_le_bytes).as_flattened());
        object.extend([flags, 0, at as u64, part.len() as u64].map(u64::to_le_bytes).as_flattened());
        object.extend([link, info].map(u32::to_le_bytes).as_flattened());
        object.extend([alignment, entry_len].map(u64::to_le_bytes).as_flattened());
        at += part.len();
    }
    object
}
