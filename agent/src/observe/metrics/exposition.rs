//! The text that metrics are told in: OpenMetrics, and what Prometheus had before.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use tracing::error;

use super::families::{self, Family, Kind, Sample, Value};
use crate::observe::{Distribution, Snapshot};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus 0.0.4: for people, and for older readers.
    Plain,
}

impl Format {
    /// The one for a client that accepts these media types.
    pub fn of<'a>(mut accepted: impl Iterator<Item = &'a str>) -> Self {
        let wants_open_metrics = accepted.any(|types| types.contains("application/openmetrics-text"));
        if wants_open_metrics { Self::OpenMetrics } else { Self::Plain }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics of `snapshot` in `format`.
#[must_use]
pub fn encode(snapshot: &Snapshot, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(snapshot.clone())));
    let mut text = String::new();
    if text::encode(&mut text, &registry).is_err() {
        // Writing to a string does not fail.
        error!("metrics cannot be encoded");
    }
    match format {
        Format::OpenMetrics => text,
        Format::Plain => plain(&text),
    }
}

#[derive(Debug)]
struct Metrics(Snapshot);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in families::all() {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut encoder = encoder.encode_descriptor(family.base(), family.help, None, kind)?;
            for sample in family.samples(&self.0) {
                encode_sample(&mut encoder, family, &sample)?;
            }
        }
        Ok(())
    }
}

fn encode_sample(encoder: &mut MetricEncoder<'_>, family: &Family, sample: &Sample) -> fmt::Result {
    let names = family.labels().into_iter();
    let labels: Vec<_> = names.zip(sample.labels.iter().map(String::as_str)).collect();
    if family.kind == Kind::Info {
        return encoder.encode_info(&labels);
    }
    if labels.is_empty() {
        return encode_value(encoder, family.kind, &sample.value);
    }
    encode_value(&mut encoder.encode_family(&labels)?, family.kind, &sample.value)
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (value, kind) {
        (Value::Count(count), Kind::Counter) => encoder.encode_counter(count, None::<&Exemplar<NoLabelSet, u64>>),
        (Value::Count(count), _) => encoder.encode_gauge(count),
        (Value::Integer(number), _) => encoder.encode_gauge(number),
        (Value::Seconds(seconds), _) => encoder.encode_gauge(seconds),
        (Value::Distribution(distribution), _) => {
            let (sum, count, buckets) = histogram(distribution);
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }
    }
}

/// Sum in seconds, count, and the upper end of each bucket in seconds with what is in it.
fn histogram(distribution: &Distribution) -> (f64, u64, Vec<(f64, u64)>) {
    let buckets = distribution.buckets.iter().map(|bucket| (families::seconds(bucket.up_to_us), bucket.count));
    let buckets = buckets.chain([(f64::INFINITY, distribution.longer)]).collect();
    (families::seconds(distribution.sum_us), distribution.count(), buckets)
}

/// What was there before OpenMetrics: counters are described under their whole names, information is a gauge, and nothing marks
/// the end.
fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let (mut help, mut name_of_help) = ("", "");
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            (name_of_help, help) = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (suffix, kind) = match rest.strip_prefix(name_of_help).map_or("", str::trim) {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            let name = format!("{name_of_help}{suffix}");
            text.extend(["# HELP ", &name, " ", help, "\n# TYPE ", &name, " ", kind, "\n"]);
        } else if line != "# EOF" {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests;
