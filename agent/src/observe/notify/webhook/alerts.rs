//! Alerts of Alertmanager: one fires as long as a virtual router is in a state that somebody wants to hear of, is said again
//! before it would time out, and is resolved when the state is left.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use crate::{
    clock,
    config::notify::Notify,
    observe::event::{Condition, Event, Severity, Subject},
};

/// After so many repetitions that do not come, an alert is over: when the agent was killed, say.
const REPETITIONS_MISSED: u32 = 4;

/// What fires, by what it is about.
pub(super) type Firing = BTreeMap<Arc<Subject>, Arc<Event>>;

/// What fires at Alertmanager.
#[derive(Debug)]
pub(super) struct Alerts {
    target: Arc<Notify>,
    repeat: Duration,
    firing: Firing,
    repeat_at: Option<Instant>,
}

impl Alerts {
    /// Nothing has been told yet, and `latest` are the last events of all that there is.
    pub(super) fn new(target: Arc<Notify>, repeat: Duration, latest: Vec<Arc<Event>>) -> Self {
        let mut alerts = Self { target, repeat, firing: Firing::new(), repeat_at: None };
        alerts.look(latest);
        alerts
    }

    /// Goes by the last events of all that there is. What does not fire any more is not said again, and so comes to its end.
    pub(super) fn look(&mut self, latest: Vec<Arc<Event>>) {
        let firing = latest.into_iter().filter(|event| self.target.wants(event));
        self.firing = firing.map(|event| (event.subject.clone(), event)).collect();
        self.repeat_at = (!self.firing.is_empty()).then(Instant::now);
    }

    /// When to say again what fires.
    pub(super) const fn repeat_at(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// What to send when `batch` has happened, and what fires when that was taken.
    pub(super) fn tell(&self, batch: &[Arc<Event>]) -> (Value, Firing) {
        let mut firing = self.firing.clone();
        // Of one thing in one state there is one alert, and the last word on it counts.
        let mut alerts: BTreeMap<(&Subject, Condition), Value> = BTreeMap::new();
        let until = now() + self.repeat * REPETITIONS_MISSED;
        let mut over = Vec::new();
        for event in batch {
            if firing.get(&event.subject).is_some_and(|known| known.sequence >= event.sequence) {
                continue;
            }
            over.extend(firing.remove(&event.subject).map(|known| (known, event.time)));
            if self.target.wants(event) {
                firing.insert(event.subject.clone(), Arc::clone(event));
            }
        }
        for (event, end) in &over {
            alerts.insert((&event.subject, event.to), alert(event, *end));
        }
        for event in firing.values() {
            alerts.insert((&event.subject, event.to), alert(event, until));
        }
        (alerts.into_values().collect(), firing.clone())
    }

    /// Takes in that `firing` was told.
    pub(super) fn told(&mut self, firing: Firing) {
        // What nobody will end is not said again: the agent is.
        self.firing = firing.into_iter().filter(|(_, event)| event.to != Condition::Stopped).collect();
        self.repeat_later();
    }

    /// Takes in that what fires was refused: the same again would be, too.
    pub(super) fn refused(&mut self) {
        self.repeat_later();
    }

    fn repeat_later(&mut self) {
        self.repeat_at = (!self.firing.is_empty()).then(|| Instant::now() + self.repeat);
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + clock::wall()
}

fn alert(event: &Event, ends_at: OffsetDateTime) -> Value {
    let mut labels = json!({
        "alertname": "VipdState",
        "cluster": event.cluster,
        "node": event.node,
        "state": event.to.name(),
        "severity": if event.to == Condition::Fault { Severity::Critical } else { event.severity },
    });
    match &*event.subject {
        Subject::Router { name, family, vrid, interface } => {
            labels["router"] = json!(name);
            labels["family"] = json!(family);
            labels["vrid"] = json!(vrid.to_string());
            labels["interface"] = json!(interface);
        }
        Subject::Group { name } => labels["group"] = json!(name),
    }
    json!({
        "labels": labels,
        "annotations": {
            "summary": format!("{} on {} is {}", event.subject, event.node, in_state(event.to)),
            "description": event.reason,
        },
        "startsAt": event.time_text(),
        // Only a year beyond 9999 cannot be written.
        "endsAt": ends_at.format(&Rfc3339).unwrap_or_default(),
    })
}

const fn in_state(condition: Condition) -> &'static str {
    match condition {
        Condition::Initialize => "in Initialize",
        Condition::Backup => "Backup",
        Condition::Active => "Active",
        Condition::Fault => "in Fault",
        Condition::Stopped => "stopped",
        Condition::Deleted => "no more configured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::notify::{Way, Webhook, WebhookFormat, WebhookTarget},
        observe::event::tests::event,
    };

    fn alerts(on: &[Condition], latest: &[Event]) -> Alerts {
        let webhook = Webhook {
            target: WebhookTarget::Url("http://127.0.0.1:9093".parse().unwrap()),
            format: WebhookFormat::Alertmanager,
            token: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
            retry: Duration::from_mins(1),
            digest: Duration::ZERO,
            repeat: Duration::from_mins(1),
        };
        let target = Notify {
            name: "am".to_owned(),
            about: None,
            on: on.iter().copied().collect(),
            severity: Severity::Info,
            way: Way::Webhook(webhook),
        };
        let latest = latest.iter().cloned().map(Arc::new).collect();
        Alerts::new(Arc::new(target), Duration::from_mins(1), latest)
    }

    /// Router, state, and when it ends, or `None` for "not yet", of each alert.
    fn said(value: &Value) -> Vec<(String, String, Option<String>)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let alert = |alert: &Value| {
            let ends_at = OffsetDateTime::parse(alert["endsAt"].as_str().unwrap(), &Rfc3339).unwrap();
            let ended = (ends_at < now()).then(|| text(&alert["endsAt"]));
            (text(&alert["labels"]["router"]), text(&alert["labels"]["state"]), ended)
        };
        value.as_array().unwrap().iter().map(alert).collect()
    }

    fn batch(events: &[(u64, &str, Condition)]) -> Vec<Arc<Event>> {
        events.iter().map(|&(at, name, to)| Arc::new(event(at, name, Condition::Backup, to))).collect()
    }

    fn fires(name: &str, state: &str) -> (String, String, Option<String>) {
        (name.to_owned(), state.to_owned(), None)
    }

    fn ended(name: &str, state: &str, at: &str) -> (String, String, Option<String>) {
        (name.to_owned(), state.to_owned(), Some(at.to_owned()))
    }

    #[test]
    fn an_alert_fires_and_is_resolved() {
        use Condition::{Active, Backup, Fault};
        let mut alerts = alerts(&[Fault], &[]);
        assert_eq!(alerts.repeat_at(), None);
        let (body, firing) = alerts.tell(&batch(&[(1, "a", Active), (2, "b", Fault), (3, "a", Fault)]));
        assert_eq!(said(&body), [fires("a", "Fault"), fires("b", "Fault")]);
        // Not taken: the same is said again.
        assert_eq!(said(&alerts.tell(&batch(&[(2, "b", Fault)])).0), [fires("b", "Fault")]);
        alerts.told(firing);
        assert!(alerts.repeat_at().is_some());
        assert_eq!(said(&alerts.tell(&[]).0), [fires("a", "Fault"), fires("b", "Fault")]);
        let (body, firing) = alerts.tell(&batch(&[(4, "a", Backup)]));
        assert_eq!(said(&body), [ended("a", "Fault", "1970-01-01T00:00:04Z"), fires("b", "Fault")]);
        alerts.told(firing);
        let (_, firing) = alerts.tell(&batch(&[(5, "b", Backup)]));
        alerts.told(firing);
        assert_eq!(alerts.repeat_at(), None);
    }

    #[test]
    fn what_comes_back_at_once_goes_on_firing() {
        use Condition::{Active, Backup, Fault};
        let alerts = alerts(&[Fault, Active], &[]);
        let (body, _) = alerts.tell(&batch(&[(1, "a", Fault), (2, "a", Backup), (3, "a", Fault)]));
        assert_eq!(said(&body), [fires("a", "Fault")]);
        let (body, _) = alerts.tell(&batch(&[(1, "a", Fault), (2, "a", Active)]));
        assert_eq!(said(&body), [fires("a", "Active"), ended("a", "Fault", "1970-01-01T00:00:02Z")]);
    }

    #[test]
    fn what_held_before_fires_too_and_old_news_are_none() {
        use Condition::{Backup, Fault, Stopped};
        let mut alerts = alerts(&[Fault, Stopped], &[event(9, "a", Backup, Fault), event(8, "b", Fault, Backup)]);
        assert!(alerts.repeat_at().is_some());
        for old in [&[(7, "a", Backup), (9, "a", Fault)][..], &[(7, "a", Backup)]] {
            assert_eq!(said(&alerts.tell(&batch(old)).0), [fires("a", "Fault")], "{old:?}");
        }
        alerts.look(batch(&[(9, "a", Fault), (10, "b", Fault)]));
        assert_eq!(said(&alerts.tell(&[]).0), [fires("a", "Fault"), fires("b", "Fault")]);
        alerts.look(batch(&[(9, "a", Fault), (11, "b", Backup)]));
        let (body, firing) = alerts.tell(&batch(&[(10, "a", Stopped)]));
        assert_eq!(said(&body), [ended("a", "Fault", "1970-01-01T00:00:10Z"), fires("a", "Stopped")]);
        alerts.told(firing);
        assert_eq!(alerts.repeat_at(), None);
    }

    #[test]
    fn an_alert_has_the_form_of_the_api() {
        let event = event(4, "a", Condition::Backup, Condition::Fault);
        let expected = json!({
            "labels": {
                "alertname": "VipdState", "cluster": "ingress", "node": "n1", "router": "a", "family": "IPv4", "vrid": "51",
                "interface": "vsw0", "state": "Fault", "severity": "critical",
            },
            "annotations": {
                "summary": "a/IPv4 on n1 is in Fault", "description": "no advert from an Active Router",
            },
            "startsAt": "1970-01-01T00:00:04Z",
            "endsAt": "1970-01-01T00:00:00Z",
        });
        assert_eq!(alert(&event, OffsetDateTime::UNIX_EPOCH), expected);
    }
}
