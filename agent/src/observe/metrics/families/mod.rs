//! Every metric: its name, type, labels and meaning, and where in a [`Snapshot`] it is.
//!
//! Labels have values from the configuration, or of a few known words. Nobody on the network adds a series.

mod node;
mod parts;
mod router;

use std::time::Duration;

use crate::observe::{
    CheckStatus, Distribution, GroupStatus, HetznerStatus, InterfaceStatus, RouterStatus, Snapshot, TargetStatus,
};

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name, with the suffix that its type demands.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    /// Labels beside those of what it is about.
    labels: &'static [&'static str],
    about: About,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It counts, and begins anew with the agent, or later.
    Counter,
    /// It is what is now.
    Gauge,
    /// Spans of time in buckets.
    Histogram,
    /// Always 1; what it says is in its labels.
    Info,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// What a metric is about, and how its samples are found.
#[derive(Debug)]
enum About {
    Node(fn(&Snapshot) -> Vec<Sample>),
    Router(fn(&RouterStatus) -> Vec<Sample>),
    Interface(fn(&InterfaceStatus) -> Vec<Sample>),
    Check(fn(&CheckStatus) -> Vec<Sample>),
    Target(fn(&TargetStatus) -> Vec<Sample>),
    Hetzner(fn(&HetznerStatus) -> Vec<Sample>),
    Group(fn(&GroupStatus) -> Vec<Sample>),
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// The values of the labels.
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Integer(i64),
    Seconds(f64),
    Distribution(Distribution),
}

/// Every metric, in the order in which they are told.
pub fn all() -> impl Iterator<Item = &'static Family> {
    [node::FAMILIES, router::FAMILIES, parts::FAMILIES].into_iter().flatten()
}

impl Family {
    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Vec<&'static str> {
        let subject: &[_] = match self.about {
            About::Node(_) => &[],
            About::Router(_) => &["virtual_router", "vrid", "family", "interface"],
            About::Interface(_) => &["interface"],
            About::Check(_) => &["check"],
            About::Target(_) => &["target", "kind"],
            About::Hetzner(_) => &["name", "kind", "address", "follows"],
            About::Group(_) => &["group"],
        };
        [subject, self.labels].concat()
    }

    /// Its name as OpenMetrics describes it.
    pub(super) fn base(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    pub(super) fn samples(&self, snapshot: &Snapshot) -> Vec<Sample> {
        match self.about {
            About::Node(samples) => samples(snapshot),
            About::Router(samples) => each(&snapshot.virtual_routers, router::labels, samples),
            About::Interface(samples) => each(&snapshot.interfaces, |it| vec![it.name.clone()], samples),
            About::Check(samples) => each(&snapshot.checks, |it| vec![it.name.clone()], samples),
            About::Target(samples) => {
                each(&snapshot.notifications, |it| vec![it.name.clone(), it.kind.clone()], samples)
            }
            About::Hetzner(samples) => each(&snapshot.hetzner, parts::labels_of_hetzner, samples),
            About::Group(samples) => {
                let groups = snapshot.groups.iter().filter(|group| group.is_listed);
                each(groups, |it| vec![it.name.clone()], samples)
            }
        }
    }
}

/// The samples of each of `things`, whose labels begin with its own.
fn each<'a, T: 'a>(
    things: impl IntoIterator<Item = &'a T>,
    labels: fn(&T) -> Vec<String>,
    samples: fn(&T) -> Vec<Sample>,
) -> Vec<Sample> {
    let of_one = |thing| {
        let own = labels(thing);
        let samples = samples(thing).into_iter();
        samples.map(move |sample| Sample { labels: [&own[..], &sample.labels].concat(), ..sample })
    };
    things.into_iter().flat_map(of_one).collect()
}

/// One value without labels of its own.
fn one(value: Value) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value }]
}

/// Values with a label each.
fn labelled<'a>(values: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<Sample> {
    values.into_iter().map(|(label, value)| Sample { labels: vec![label.to_owned()], value }).collect()
}

/// 1 for the one of `states` that holds, 0 for the others.
fn states(states: &[&str], holds: &str) -> Vec<Sample> {
    labelled(states.iter().map(|&state| (state, truth(state == holds))))
}

/// 1 for true, 0 for false.
fn truth(truth: bool) -> Value {
    Value::Count(u64::from(truth))
}

/// Seconds of so many milliseconds.
fn milliseconds(milliseconds: u64) -> Value {
    Value::Seconds(Duration::from_millis(milliseconds).as_secs_f64())
}

/// So many microseconds in seconds.
pub(super) fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}
