//! A LAN of up to eight virtual routers in virtual time: the real election, messages, authentication, judge and fence,
//! and everything around them that can fail.
//!
//! A seed draws the routers and their history, so that every run can be repeated from its number. What must hold is in
//! the oracle's module.

mod attacker;
mod clock;
mod host;
mod kernel;
pub mod model;
mod network;
mod oracle;
mod scenario;
mod world;

pub use self::{oracle::Violation, world::Summary};

/// Runs the history of `seed` to its end, or to the first rule that does not hold.
pub fn run(seed: u64) -> Result<Summary, Violation> {
    world::World::new(seed, None).run()
}

/// Runs the history of `seed` and tells it.
pub fn tell(seed: u64) -> (String, Result<Summary, Violation>) {
    let mut story = String::new();
    let outcome = world::World::new(seed, Some(&mut story)).run();
    (story, outcome)
}
