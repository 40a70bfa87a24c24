//! Does what a plan says, for one address.

use std::sync::Arc;

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};
use vrrp_wire::Family;

use super::{
    access::Access,
    alias::Alias,
    board::Board,
    cloud,
    floating::Floating,
    plan::{Heard, Pace, Place, Plan, Step, Trouble},
    robot::{self, Robot},
    roles::Roles,
};
use crate::{
    chance,
    config::hetzner::{Hetzner, Route},
    observe::RoutingState,
};

/// Whom is asked, and for what.
enum Provider {
    Robot(Robot),
    Floating(Floating),
    Alias(Alias),
}

impl Provider {
    /// That of `config`, and how it wants to be treated.
    fn new(config: &Hetzner) -> (Self, Pace) {
        match config.route.clone() {
            Route::Failover { address, server, sharers } => {
                (Self::Robot(Robot { address, server }), robot::pace(config.recheck, sharers))
            }
            Route::Floating { address, server } => {
                (Self::Floating(Floating { address, server }), cloud::pace(config.recheck))
            }
            Route::Alias { address, network, server } => {
                (Self::Alias(Alias { address, network, server }), cloud::pace(config.recheck))
            }
        }
    }

    async fn carry_out(&self, step: &Step, access: &Access) -> Result<Heard, Trouble> {
        match self {
            Self::Robot(robot) => robot.carry_out(step, access).await,
            Self::Floating(floating) => floating.carry_out(step, access).await,
            Self::Alias(alias) => alias.carry_out(step, access).await,
        }
    }
}

/// Has the address of `config` routed here while this node is Active by `roles`, until the other end of `ended` is gone.
pub(super) async fn run(
    config: Hetzner,
    roles: watch::Receiver<Roles>,
    nudges: watch::Receiver<()>,
    board: Arc<Board>,
    ended: oneshot::Receiver<()>,
) {
    let (provider, pace) = Provider::new(&config);
    let mut task =
        Task { access: Access::new(&config), provider, plan: Plan::new(pace), role: Role::new(&config, roles), board };
    tokio::select! {
        () = task.work(&config, nudges) => {}
        // Nothing is ever sent: this waits for the other end to go.
        _ = ended => {}
    }
}

struct Task {
    access: Access,
    provider: Provider,
    plan: Plan,
    role: Role,
    board: Arc<Board>,
}

impl Task {
    async fn work(&mut self, config: &Hetzner, mut nudges: watch::Receiver<()>) {
        loop {
            let now = Instant::now();
            self.plan.turn(self.role.is_active(), now);
            self.show();
            let Some((step, at)) = self.plan.next(now) else {
                self.role.changed().await;
                continue;
            };
            let step = step.clone();
            tokio::select! {
                biased;
                () = self.role.changed() => continue,
                Ok(()) = nudges.changed() => {
                    self.plan.nudge(Instant::now());
                    continue;
                }
                () = sleep_until(at) => {}
            }
            self.plan.begin(Instant::now());
            debug!(hetzner = config.name, ?step, "begins");
            tokio::select! {
                biased;
                // What is under way is given up: it is dropped, and its connection with it.
                () = self.role.changed() => {}
                heard = self.provider.carry_out(&step, &self.access) => self.hear(config, heard),
            }
        }
    }

    fn hear(&mut self, config: &Hetzner, heard: Result<Heard, Trouble>) {
        let Hetzner { name, route, .. } = config;
        debug!(hetzner = name, ?heard, "heard");
        match &heard {
            Ok(Heard::Here) if *self.plan.place() != Place::Here => {
                info!(hetzner = name, "{route} is routed here, to {}", route.server());
            }
            Ok(Heard::Away { holder, .. }) if *self.plan.place() != Place::Away(holder.clone()) => {
                info!(hetzner = name, "{route} is routed to {}", holder.as_deref().unwrap_or("nobody"));
            }
            Ok(Heard::Accepted(_)) => self.board.count_switch(),
            Ok(Heard::Failed(trouble)) | Err(trouble) if self.plan.trouble() != Some(trouble) => {
                warn!(hetzner = name, "{trouble}");
            }
            Ok(_) | Err(_) => {}
        }
        self.plan.hear(heard, Instant::now(), chance::share());
    }

    /// Shows people how it does.
    fn show(&self) {
        let (state, holder) = match (self.plan.is_active(), self.plan.place()) {
            (false, _) => (RoutingState::Idle, None),
            (true, Place::Unknown) => (RoutingState::Unknown, None),
            (true, Place::Here) => (RoutingState::Here, None),
            (true, Place::Away(holder)) => (RoutingState::Away, holder.clone()),
        };
        let trouble = self.plan.trouble().map(ToString::to_string);
        self.board.show(state, holder, trouble, self.plan.alarm_at());
    }
}

/// Whether this node is Active for what an address follows.
struct Role {
    router: String,
    family: Family,
    roles: watch::Receiver<Roles>,
    was_active: bool,
}

impl Role {
    fn new(config: &Hetzner, roles: watch::Receiver<Roles>) -> Self {
        Self { router: config.router.clone(), family: config.route.family(), roles, was_active: false }
    }

    fn is_active(&mut self) -> bool {
        self.was_active = self.roles.borrow_and_update().is_active(&self.router, self.family);
        self.was_active
    }

    /// Waits until it is another one. Nothing is lost where that is given up.
    async fn changed(&mut self) {
        let Self { router, family, roles, was_active } = self;
        let differs = |roles: &Roles| roles.is_active(router, *family) != *was_active;
        if roles.wait_for(differs).await.is_err() {
            // Nobody keeps the roles: it is about to be stopped.
            std::future::pending::<()>().await;
        }
    }
}
