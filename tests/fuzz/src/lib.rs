//! What must hold for any bytes whatever, one module for each kind of input.
//!
//! `run` takes the bytes and panics where something does not hold. libFuzzer calls it to search (`cargo xtask fuzz`); the
//! tests call it with every file in `corpus`.

pub mod advert;
pub mod configuration;
pub mod control;
pub mod election;
pub mod import;
mod input;
mod judge;
pub mod trailer;
mod wire;

/// Takes any bytes, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// The targets, by the names of their programs and corpora.
pub const TARGETS: [(&str, Target); 6] = [
    ("advert", advert::run),
    ("configuration", configuration::run),
    ("control", control::run),
    ("election", election::run),
    ("import", import::run),
    ("trailer", trailer::run),
];
