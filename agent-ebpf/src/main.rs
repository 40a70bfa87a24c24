//! `vipd-guard`: judges every VRRP advert where it enters the host.
//!
//! Everything that is not bad beyond doubt, for a virtual router that is configured here, passes. Builds to an empty
//! program outside BPF, so that the workspace compiles and the library's tests run on the host.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod guard;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
