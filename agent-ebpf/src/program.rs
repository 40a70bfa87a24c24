//! The entry points.

use aya_ebpf::{
    bindings::{
        __sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC,
        xdp_action::{XDP_DROP, XDP_PASS},
        xdp_md,
    },
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::{
    guard::{Action, Stages, arriving, leaving, stage},
    packet::{TcPacket, XdpPacket},
};

/// Meets what the interface receives, in the driver. Never aborts, transmits or redirects.
#[xdp(frags)]
fn vipd_guard(ctx: XdpContext) -> u32 {
    match arriving(&XdpPacket(ctx)) {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
    }
}

/// The same in traffic control, where XDP cannot be had, and on a VLAN sub-interface.
#[classifier]
fn vipd_ingress(ctx: TcContext) -> i32 {
    traffic_control(arriving(&TcPacket(ctx)))
}

/// Meets what this host sends.
#[classifier]
fn vipd_egress(ctx: TcContext) -> i32 {
    traffic_control(leaving(&TcPacket(ctx)))
}

/// The stages of [`arriving`], for one kind of packet.
///
/// Each is a function with a name of its own: the verifier walks through it once, whatever its callers know, and it has
/// the stack for itself.
macro_rules! stages {
    ($packet:ident($context:ident($raw:ty)): $find:ident, $judge:ident, $verify:ident, $conclude:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn $find(ctx: $raw) -> u32 {
            stage::find(&$packet($context::new(ctx))) as u32
        }

        #[unsafe(no_mangle)]
        extern "C" fn $judge(ctx: $raw) -> u32 {
            stage::judge(&$packet($context::new(ctx)))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $verify(ctx: $raw) -> u32 {
            stage::verify(&$packet($context::new(ctx)))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $conclude(ctx: $raw) -> u32 {
            stage::conclude(&$packet($context::new(ctx))) as u32
        }

        impl Stages for $packet {
            #[inline(always)]
            fn find(&self) -> u32 {
                $find(self.raw())
            }

            #[inline(always)]
            fn judge(&self) -> u32 {
                $judge(self.raw())
            }

            #[inline(always)]
            fn verify(&self) -> u32 {
                $verify(self.raw())
            }

            #[inline(always)]
            fn conclude(&self) -> u32 {
                $conclude(self.raw())
            }
        }
    };
}

stages!(XdpPacket(XdpContext(*mut xdp_md)): vipd_find_xdp, vipd_judge_xdp, vipd_verify_xdp, vipd_conclude_xdp);
stages!(TcPacket(TcContext(*mut __sk_buff)): vipd_find_tc, vipd_judge_tc, vipd_verify_tc, vipd_conclude_tc);

/// What passes goes on to the next program or filter, whosever it is.
#[inline(always)]
const fn traffic_control(action: Action) -> i32 {
    match action {
        Action::Pass => TC_ACT_UNSPEC,
        Action::Drop => TC_ACT_SHOT,
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in these programs panics; the verifier refuses an endless loop that could be reached.
    loop {}
}

/// The helpers that vipd uses are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
