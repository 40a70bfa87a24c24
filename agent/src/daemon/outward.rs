//! Who tells people what goes on, and what they may ask about.

use anyhow::Context;
use tokio::sync::watch;

use crate::{
    check::Checks,
    clock,
    config::Config,
    hetzner::Routing,
    link::Resyncs,
    mailbox::Mailbox,
    observe::{
        ConfigurationStatus,
        journal::{Intake, Journal},
        metrics::{self, Metrics},
        notify::Notifications,
        overview::Overview,
    },
    restart::Memory,
};

/// All of it.
pub(super) struct Outward {
    pub(super) notifications: Notifications,
    pub(super) routing: Routing,
    pub(super) overview: Overview,
    pub(super) metrics: Metrics,
    pub(super) loaded: watch::Sender<ConfigurationStatus>,
}

impl Outward {
    pub(super) fn new(
        config: &Config,
        memory: &Memory,
        mailbox: &Mailbox,
        checks: &Checks,
        (journal, intake): (Journal, Intake),
    ) -> anyhow::Result<Self> {
        let notifications = Notifications::start(config.notify.clone(), journal, intake, &memory.notify)
            .context("failed to make notifications ready")?;
        let routing = Routing::new(mailbox.clone(), &notifications);
        let (loaded, configuration) = watch::channel(loaded(config));
        let overview = Overview {
            mailbox: mailbox.clone(),
            journal: notifications.journal().clone(),
            boards: notifications.boards().clone(),
            hetzner: routing.boards().clone(),
            checks: checks.board().clone(),
            configuration,
            resyncs: Resyncs::default(),
            metrics: metrics::Board::default(),
        };
        let metrics = Metrics::new(overview.clone(), &memory.descriptors.metrics).context("failed to serve metrics")?;
        Ok(Self { notifications, routing, overview, metrics, loaded })
    }
}

/// What people see of a configuration that has just been taken over.
pub(crate) fn loaded(config: &Config) -> ConfigurationStatus {
    let (fingerprint, loaded_at) = (config.fingerprint.clone(), clock::date(clock::wall()));
    ConfigurationStatus { fingerprint, loaded_at, reload_successful: true }
}
