//! What people see of the addresses.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    config::hetzner::Hetzner,
    observe::{Alarm, HetznerStatus, RoutingState, milliseconds},
};

/// What one address shows people.
#[derive(Debug)]
pub(super) struct Board(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    status: HetznerStatus,
    since: Instant,
    alarm_at: Option<Instant>,
}

impl Board {
    pub(super) fn new(config: &Hetzner) -> Self {
        let status = HetznerStatus {
            name: config.name.clone(),
            kind: config.route.key().to_owned(),
            address: config.route.address(),
            router: config.router.clone(),
            server: config.route.server(),
            state: RoutingState::Idle,
            holder: None,
            since_ms: 0,
            switches: 0,
            trouble: None,
            last_error: None,
        };
        Self(Mutex::new(Shown { status, since: Instant::now(), alarm_at: None }))
    }

    /// Shows where the address is, and from when on that is an alarm.
    pub(super) fn show(
        &self,
        state: RoutingState,
        holder: Option<String>,
        trouble: Option<String>,
        alarm_at: Option<Instant>,
    ) {
        let mut shown = self.lock();
        if (shown.status.state, &shown.status.holder) != (state, &holder) {
            shown.since = Instant::now();
        }
        (shown.status.state, shown.status.holder, shown.alarm_at) = (state, holder, alarm_at);
        if trouble.is_some() {
            shown.status.last_error.clone_from(&trouble);
        }
        shown.status.trouble = trouble;
    }

    /// Counts a request that was accepted.
    pub(super) fn count_switch(&self) {
        self.lock().status.switches += 1;
    }

    pub(super) fn status(&self) -> HetznerStatus {
        let shown = self.lock();
        HetznerStatus { since_ms: milliseconds(shown.since.elapsed()), ..shown.status.clone() }
    }

    /// The alarm, if it is one now.
    pub(super) fn alarm(&self) -> Option<Alarm> {
        let is_due = self.lock().alarm_at.is_some_and(|at| at.elapsed() > Duration::ZERO);
        is_due.then(|| self.status().alarm())
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        // Nothing that is done under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How each address does.
#[derive(Clone, Debug, Default)]
pub struct Boards(Arc<Mutex<Vec<Arc<Board>>>>);

impl Boards {
    /// In the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<HetznerStatus> {
        self.lock().iter().map(|board| board.status()).collect()
    }

    /// For which of them people should do something.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.lock().iter().filter_map(|board| board.alarm()).collect()
    }

    /// Shows these and no others.
    pub(super) fn set(&self, boards: Vec<Arc<Board>>) {
        *self.lock() = boards;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Board>>> {
        // The list is exchanged as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
