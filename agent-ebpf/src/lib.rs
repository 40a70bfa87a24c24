//! What vipd's XDP program and its daemon agree on: the layout of every map, how a frame is read, and how an
//! advertisement is judged.
//!
//! The same [`judge::examine`] runs in the kernel over a packet and in the daemon over a byte slice, so that both
//! reach the same verdict about the same bytes. Nothing here does IO, allocates or reads a clock.
#![no_std]

pub mod abi;
pub mod ethernet;
pub mod fence;
pub mod frame;
pub mod hmac;
pub mod judge;
pub mod neighbor;
pub mod parse;
pub mod recipient;
pub mod sequence;
#[cfg(test)]
mod testing;
pub mod units;

pub use units::{Centiseconds, Family, MacAddr, Priority, Version, Vrid};
