//! What the service manager is told, where one listens: systemd, by sd_notify(3).

use std::{collections::BTreeMap, env, fmt::Write as _, time::Duration};

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::mailbox::{Mail, Mailbox};

/// Names the socket of the service manager.
const SOCKET: &str = "NOTIFY_SOCKET";
/// How often `systemctl status` has news.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So many virtual routers of a state are named; of more there is only the number.
const NAMED_MAX: usize = 8;

/// Says that the agent serves: after the start, a reload or a restart, successful or not.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that another configuration or another program is being taken over.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
}

/// Says that the agent is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Keeps the service manager's watchdog quiet as long as the election thread answers, and says what it does. Ends at once where no
/// service manager listens.
pub async fn keep(mailbox: Mailbox) {
    if env::var_os(SOCKET).is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let mut looks = interval(watchdog.map_or(LOOK_EVERY, |patience| LOOK_EVERY.min(patience / 3)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        looks.tick().await;
        let Ok(snapshot) = mailbox.ask(Mail::Status).await else { continue };
        let routers = &snapshot.virtual_routers;
        let summary = summary(routers.iter().map(|router| (router.name.as_str(), router.state.as_str())));
        let news = (summary != said).then_some(NotifyState::Status(&summary));
        tell(&watchdog.map(|_| NotifyState::Watchdog).into_iter().chain(news).collect::<Vec<_>>());
        said = summary;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if states.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager does not hear");
    }
}

/// Which virtual routers, by name and state, are in which state, in one line; both families of an entry once.
fn summary<'a>(routers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut states: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, state) in routers {
        let names = states.entry(state).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut summary = String::new();
    for (state, names) in states {
        let separator = if summary.is_empty() { "" } else { "; " };
        let _ = match names.len() {
            0..=NAMED_MAX => write!(summary, "{separator}{state}: {}", names.join(", ")),
            count => write!(summary, "{separator}{state}: {count} virtual routers"),
        };
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn a_summary_has_one_line_however_many_there_are() {
        let routers = [("web-a", "Backup"), ("web-a", "Backup"), ("web-b", "Active"), ("web-c", "Backup")];
        assert_eq!(summary(routers.into_iter()), "Active: web-b; Backup: web-a, web-c");
        let names: Vec<_> = (1..=9).map(|number| format!("r{number}")).collect();
        let routers = names.iter().map(|name| (name.as_str(), "Active")).chain([("web", "Fault")]);
        assert_eq!(summary(routers), "Active: 9 virtual routers; Fault: web");
        assert_eq!(summary([].into_iter()), "");
    }
}
