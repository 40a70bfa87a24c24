//! Moments at which a test can have the agent killed, by the variable [`VARIABLE`]: what is left then must be known to the next
//! start. Builds without debug assertions have none.

/// The variable that names a moment.
pub const VARIABLE: &str = "VIPD_KILL_AT";

/// A moment between an election and its last effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The first advert as Active has been sent.
    Advertised,
    /// The supervisor and the guard have been told that this node is Active.
    RoleNoted,
    /// The interface is ready for the addresses.
    Prepared,
    /// Addresses, routes and rules are on the host.
    Added,
    /// The first announcements have been sent.
    Announced,
    /// The role has been given up, and everything is on the host still.
    Left,
    /// Nothing is on the host any more.
    Removed,
}

impl Moment {
    /// All, in their order.
    pub const ALL: [Self; 7] =
        [Self::Advertised, Self::RoleNoted, Self::Prepared, Self::Added, Self::Announced, Self::Left, Self::Removed];

    /// Its name in the variable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advertised => "advertised",
            Self::RoleNoted => "role-noted",
            Self::Prepared => "prepared",
            Self::Added => "added",
            Self::Announced => "announced",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }
}

/// Passes `moment`, or ends here.
#[cfg(debug_assertions)]
pub fn pass(moment: Moment) {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    if std::env::var_os(VARIABLE).is_some_and(|name| name == moment.name()) {
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

/// Passes `moment`.
#[cfg(not(debug_assertions))]
pub const fn pass(_moment: Moment) {}
