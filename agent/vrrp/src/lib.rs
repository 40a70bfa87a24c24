//! The VRRP protocol, RFC 9568, without IO: events and the time go in, ordered actions come out.
//!
//! [`Election::handle`](election::Election::handle) takes one [`Event`](election::Event) and the current
//! [`Instant`], and returns what the caller must do, in that order. It cannot fail, for any event in any state.
//! [`Election::deadline`](election::Election::deadline) says when to call it with
//! [`Event::Timer`](election::Event::Timer); an early call does nothing. No socket, no clock, no thread is touched
//! here; [`message`], [`auth`], [`frame`] and [`neighbor`] turn values into bytes and back.

pub mod auth;
pub mod election;
pub mod frame;
pub mod group;
mod instant;
pub mod message;
pub mod neighbor;
mod parameters;
mod timing;
pub mod track;

pub use instant::Instant;
pub use parameters::Parameters;
pub use vrrp_wire::{Centiseconds, Family, MacAddr, Priority, Version, Vrid};
