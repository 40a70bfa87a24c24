//! Read access to one received frame, the same for a packet in the kernel and a byte slice in the daemon.

/// One received Ethernet frame.
pub trait Frame {
    /// The `N` bytes at `offset`, or `None` where the frame, or what can be read of it, ends before them.
    ///
    /// Returns a reference on purpose: with `Option<[u8; N]>` LLVM may look at the bytes of a `None`, and the
    /// kernel's verifier then refuses the program.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]>;

    /// Control information of a VLAN tag that the kernel has taken out of the frame; 0 for none.
    #[inline(always)]
    fn stripped_tag(&self) -> u16 {
        0
    }
}

impl Frame for [u8] {
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.get(offset..)?.first_chunk()
    }
}
