//! The packet that an XDP program sees: the only raw packet pointer of the project.

use aya_ebpf::programs::XdpContext;
use vrrp_wire::frame::Frame;

/// A received packet, readable between the kernel's two bounds.
pub(crate) struct Packet<'a>(pub(crate) &'a XdpContext);

impl Packet<'_> {
    /// The interface that received it.
    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        // aya widens the kernel's 32 bits.
        u32::try_from(self.0.ingress_ifindex()).unwrap_or(0)
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        let start = self.0.data() + offset;
        if start + N > self.0.data_end() {
            return None;
        }
        // SAFETY: the N bytes lie inside the packet (checked above), and `[u8; N]` has alignment 1.
        Some(unsafe { &*(start as *const [u8; N]) })
    }
}
