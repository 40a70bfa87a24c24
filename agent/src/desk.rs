//! What every virtual router of the agent works with, handed to it with each event.

use crate::{
    authentication::Authentication,
    check::board::Standings,
    datapath::Datapath,
    observe::journal::Reporter,
    perform::{neighbours::Neighbours, outbox::Outbox},
};

/// What virtual routers share.
#[derive(Debug)]
pub struct Desk {
    /// Where adverts come from, and where the guard is told what to let through.
    pub datapath: Datapath,
    /// How adverts are authenticated; `None` where they are not.
    pub authentication: Option<Authentication>,
    /// Adverts that leave at the end of the turn.
    pub outbox: Outbox,
    /// Where peers are told of that adverts go to.
    pub neighbours: Neighbours,
    /// Where changes are written down for whoever is told of them.
    pub reporter: Reporter,
    /// What the checks have come to that virtual routers go by.
    pub checks: Standings,
}

impl Desk {
    /// Whether nothing but signed adverts counts now.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.authentication.as_ref().is_some_and(Authentication::enforces)
    }
}
