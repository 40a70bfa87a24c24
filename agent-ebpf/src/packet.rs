//! The packets that the programs see: the only raw packet pointers of the project.

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use vrrp_wire::frame::Frame;

/// A frame and where it is.
pub(crate) trait Packet: Frame {
    /// The context of the program, for its log.
    type Context: EbpfContext;

    /// The context of the program.
    fn context(&self) -> &Self::Context;
    /// The interface that receives or sends it.
    fn ifindex(&self) -> u32;
    /// Bytes of the frame.
    fn frame_len(&self) -> usize;
    /// Makes `len` bytes of the frame readable, or as many as it has, if that can be done.
    fn make_readable(&self, len: usize);
}

/// A packet in the driver, or as generic XDP sees it, readable between the kernel's two bounds.
pub(crate) struct XdpPacket(pub(crate) XdpContext);

impl XdpPacket {
    /// The context as the kernel hands it over.
    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut xdp_md {
        self.0.ctx
    }
}

impl Packet for XdpPacket {
    type Context = XdpContext;

    #[inline(always)]
    fn context(&self) -> &XdpContext {
        &self.0
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // aya widens the kernel's 32 bits.
        u32::try_from(self.0.ingress_ifindex()).unwrap_or(0)
    }

    /// Of a frame in several buffers, only what is in the first.
    #[inline(always)]
    fn frame_len(&self) -> usize {
        self.0.data_end() - self.0.data()
    }

    #[inline(always)]
    fn make_readable(&self, _: usize) {}
}

impl Frame for XdpPacket {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        bytes(self.0.data(), self.0.data_end(), offset)
    }
}

/// A packet in traffic control.
pub(crate) struct TcPacket(pub(crate) TcContext);

impl TcPacket {
    /// The context as the kernel hands it over.
    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut __sk_buff {
        self.0.skb.skb
    }

    #[inline(always)]
    fn field<T>(&self, read: impl Fn(&__sk_buff) -> T) -> T {
        // SAFETY: the kernel hands the program a valid context, which outlives it.
        read(unsafe { &*self.0.skb.skb })
    }
}

impl Packet for TcPacket {
    type Context = TcContext;

    #[inline(always)]
    fn context(&self) -> &TcContext {
        &self.0
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.field(|skb| skb.ifindex)
    }

    #[inline(always)]
    fn frame_len(&self) -> usize {
        self.field(|skb| skb.len) as usize
    }

    #[inline(always)]
    fn make_readable(&self, len: usize) {
        let wanted = len.min(self.frame_len());
        if self.0.data_end() - self.0.data() < wanted {
            // Where memory is short the bytes stay unreadable, and the frame passes.
            let _ = self.0.pull_data(wanted as u32);
        }
    }
}

impl Frame for TcPacket {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        bytes(self.0.data(), self.0.data_end(), offset)
    }

    #[inline(always)]
    fn stripped_tag(&self) -> u16 {
        self.field(|skb| if skb.vlan_present == 0 { 0 } else { skb.vlan_tci as u16 })
    }
}

/// The `N` bytes at `offset` of the packet between `start` and `end`.
#[inline(always)]
fn bytes<'a, const N: usize>(start: usize, end: usize, offset: usize) -> Option<&'a [u8; N]> {
    let start = start + offset;
    if start + N > end {
        return None;
    }
    // SAFETY: the N bytes lie inside the packet (checked above), and `[u8; N]` has alignment 1.
    Some(unsafe { &*(start as *const [u8; N]) })
}
