//! Why a virtual router is in its state, and what would change that, with the numbers.

use std::time::Duration;

use vrrp::{
    Instant, Priority,
    election::{Active, Backup, Expects, State, Waiting},
};

use super::VirtualRouter;
use crate::{check::board::Standings, observe::Explanation};

impl VirtualRouter {
    /// Why it is in its state, and what would change that.
    #[must_use]
    pub fn explain(&self, checks: &Standings, now: Instant) -> Explanation {
        let mut because = vec![self.reason().unwrap_or_else(|| "the agent has just started".to_owned())];
        let mut until = Vec::new();
        match self.election.state() {
            State::Initialize(Waiting::ForDelay { until: end }) => {
                until.push(format!("it becomes Backup in {}", in_words(end.since(now))));
            }
            State::Initialize(_) => until.push("it becomes Backup as soon as that is over".to_owned()),
            State::Fault { retry_at } => until.push(match retry_at {
                Some(at) => format!("it tries again in {}, as Backup", in_words(at.since(now))),
                None => "it becomes Backup as soon as that is mended".to_owned(),
            }),
            State::Backup(backup) => self.explain_backup(*backup, now, &mut because, &mut until),
            State::Active(active) => self.explain_active(*active, now, &mut because, &mut until),
        }
        because.extend(self.explain_checks(checks, now));
        if self.is_drained {
            because.push(
                "the node is drained: it serves only where nobody else does (`vipd undrain` ends that)".to_owned(),
            );
        }
        Explanation { router: self.name(), state: self.election.state().name().to_string(), because, until }
    }

    fn explain_backup(&self, backup: Backup, now: Instant, because: &mut Vec<String>, until: &mut Vec<String>) {
        let parameters = self.election.parameters();
        let interval = backup.active_adver_interval;
        let own = parameters.priority;
        if let Some(advert) = self.election.last_advert() {
            let (source, ago) = (advert.source, in_words(now.since(advert.received_at)));
            let priority = advert.priority.map_or(0, Priority::get);
            because.push(format!("{source} advertised priority {priority} {ago} ago, and this node has {own}"));
        }
        if self.is_overdue(now) {
            until.push(
                "nobody is heard for it any more: it takes over as soon as that is so for its whole group".to_owned(),
            );
            return;
        }
        let left = in_words(backup.active_down_at.since(now));
        let silent = in_words(interval * u32::from(parameters.down_timer_adverts));
        let (skew, turn) = (parameters.skew_time(interval), parameters.turn_time(interval));
        let skew = match turn.saturating_sub(skew) {
            Duration::ZERO => in_words(skew),
            more => format!("{} and {} for better nodes to be first", in_words(skew), in_words(more)),
        };
        until.push(match backup.expects {
            Expects::Advert => format!(
                "it takes over in {left} unless an advert comes before: Active_Down_Interval is {} intervals of {}, {silent}, \
                 and Skew_Time, {}",
                parameters.down_timer_adverts,
                in_words(interval),
                skew
            ),
            Expects::Turn => format!(
                "the Active Router has left: it takes over in {left} (Skew_Time is {skew}) unless a better Backup is first"
            ),
            Expects::Successor => format!("it serves again in {left} if nobody else has taken over by then"),
        });
        until.push(match parameters.preempts_after() {
            _ if self.election.stands_aside() => {
                "it has handed over, so it preempts nobody (`vipd undrain` ends that)".to_owned()
            }
            None => "it preempts nobody (preempt = false)".to_owned(),
            Some(Duration::ZERO) => format!("it does not heed adverts of a priority below {own} (preempt = true)"),
            Some(after) => {
                format!("it heeds adverts of a priority below {own} for {} (preempt = {{ after }})", in_words(after))
            }
        });
    }

    fn explain_active(&self, active: Active, now: Instant, because: &mut Vec<String>, until: &mut Vec<String>) {
        let parameters = self.election.parameters();
        let (own, interval) = (parameters.priority, self.interval());
        because.push(format!(
            "it advertises priority {own} every {}, next in {}",
            in_words(interval),
            in_words(active.adver_at.since(now))
        ));
        if active.rival_silent_at.is_some()
            && let Some(rival) = self.election.last_advert()
        {
            let priority = rival.priority.map_or(0, Priority::get);
            because.push(format!("{} advertises too, with priority {priority}, and loses", rival.source));
        }
        let source = self
            .own_address
            .map_or_else(String::new, |address| format!(", or of {own} from an address above {address}"));
        until.push(format!("it gives way to an advert of a priority above {own}{source}"));
        until.push("it leaves when its interface, its address or the agent goes".to_owned());
    }
}

/// A span as it is said.
fn in_words(span: Duration) -> String {
    // Nobody reads digits below the microsecond.
    format!("{:?}", Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
}
