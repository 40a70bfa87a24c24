//! The state of everything: what the election thread says of its own, and what the boards of the others show.

use tokio::sync::watch;

use super::{ConfigurationStatus, Snapshot, journal::Journal, metrics, notify::Boards};
use crate::{
    check::board::Board,
    hetzner,
    link::Resyncs,
    mailbox::{Mail, Mailbox},
};

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The election thread's.
    pub mailbox: Mailbox,
    /// What happens.
    pub journal: Journal,
    /// How those who are told of it do.
    pub boards: Boards,
    /// Where Hetzner routes addresses.
    pub hetzner: hetzner::Boards,
    /// What the checks have come to.
    pub checks: Board,
    /// The configuration that holds.
    pub configuration: watch::Receiver<ConfigurationStatus>,
    /// How often news of interfaces was lost.
    pub resyncs: Resyncs,
    /// Where metrics are not served although they should be.
    pub metrics: metrics::Board,
}

impl Overview {
    /// Everything at this moment; an error where the election thread does not say it.
    pub async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let snapshot = self.mailbox.ask(Mail::Status).await?;
        Ok(Snapshot {
            alarms: [snapshot.alarms, self.hetzner.alarms(), self.metrics.alarms()].concat(),
            notifications: self.boards.status(),
            events_lost: self.journal.lost(),
            checks: self.checks.status(),
            hetzner: self.hetzner.status(),
            configuration: self.configuration.borrow().clone(),
            netlink_resyncs: self.resyncs.count(),
            ..snapshot
        })
    }
}
