//! Instructions of classic BPF, for the filters of packet sockets.

use nix::libc;

/// One instruction.
pub use socket2::SockFilter as Instruction;

fn instruction(code: u32, if_equal: u8, if_not: u8, constant: u32) -> Instruction {
    // Every code of classic BPF fits sixteen bits.
    Instruction::new(u16::try_from(code).unwrap_or_default(), if_equal, if_not, constant)
}

fn load(width: u32, offset: u32) -> Instruction {
    instruction(libc::BPF_LD | width | libc::BPF_ABS, 0, 0, offset)
}

/// Loads the byte at `offset`.
#[must_use]
pub fn load_byte(offset: u32) -> Instruction {
    load(libc::BPF_B, offset)
}

/// Loads the two bytes at `offset`.
#[must_use]
pub fn load_half(offset: u32) -> Instruction {
    load(libc::BPF_H, offset)
}

/// Loads what the kernel knows of the frame besides its bytes: one of its `SKF_AD_…`.
#[must_use]
pub fn load_ancillary(field: libc::c_int) -> Instruction {
    load(libc::BPF_W, (libc::SKF_AD_OFF + field).cast_unsigned())
}

/// Loads whether the kernel has taken a VLAN tag out of the frame.
#[must_use]
pub fn load_vlan_tag_present() -> Instruction {
    load_ancillary(libc::SKF_AD_VLAN_TAG_PRESENT)
}

/// Keeps only the bits of `mask`.
#[must_use]
pub fn and(mask: u32) -> Instruction {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask)
}

/// Skips `if_equal` instructions where what was loaded is `constant`, else `if_not`.
#[must_use]
pub fn jump_if(constant: u32, if_equal: u8, if_not: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, if_equal, if_not, constant)
}

/// Lets the whole frame through.
#[must_use]
pub fn accept() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX)
}

/// Lets nothing through.
#[must_use]
pub fn drop() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0)
}
