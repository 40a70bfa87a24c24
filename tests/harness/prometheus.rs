//! Prometheus and Alertmanager on a host of the lab.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vipd::client::{Server, Trust};

use crate::{GENEROUS, Host, Process, get, lab, until};

/// A Prometheus that listens at 127.0.0.1, port 9090.
#[derive(Debug)]
pub struct Prometheus {
    /// The daemon, to be stopped and killed.
    pub process: Process,
    host: Host,
}

/// An Alertmanager that listens at 127.0.0.1, port 9093.
#[derive(Debug)]
pub struct Alertmanager {
    /// The daemon, to be stopped and killed.
    pub process: Process,
    host: Host,
}

impl Host {
    /// Starts Prometheus with this configuration, and waits until it answers.
    pub fn prometheus(&self, config: &str) -> Result<Prometheus> {
        let directory = lab::directory(&format!("prometheus-{}", self.name()))?;
        let file = lab::write("prometheus.yaml", config)?;
        let mut command = self.namespace().command("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.display()))
            .args(["--web.listen-address=127.0.0.1:9090", "--log.level=warn"]);
        let process =
            Process::spawn("prometheus", command).context("is prometheus installed? `cargo xtask setup` does that")?;
        let prometheus = Prometheus { process, host: self.clone() };
        until("Prometheus to be ready", GENEROUS, || {
            ensure!(prometheus.process.is_running(), "it has ended:\n{}", prometheus.process.transcript());
            Ok(ask(self, 9090, "/-/ready").is_ok().then_some(()))
        })?;
        Ok(prometheus)
    }

    /// Starts an Alertmanager that tells nobody, and waits until it answers.
    pub fn alertmanager(&self) -> Result<Alertmanager> {
        let directory = lab::directory(&format!("alertmanager-{}", self.name()))?;
        let file = lab::write("alertmanager.yaml", "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")?;
        let mut command = self.namespace().command("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", directory.display()))
            .args(["--web.listen-address=127.0.0.1:9093", "--cluster.listen-address=", "--log.level=warn"]);
        let process = Process::spawn("alertmanager", command)
            .context("is prometheus-alertmanager installed? `cargo xtask setup` does that")?;
        let alertmanager = Alertmanager { process, host: self.clone() };
        until("Alertmanager to be ready", GENEROUS, || {
            ensure!(alertmanager.process.is_running(), "it has ended:\n{}", alertmanager.process.transcript());
            Ok(ask(self, 9093, "/-/ready").is_ok().then_some(()))
        })?;
        Ok(alertmanager)
    }
}

impl Prometheus {
    /// What an expression comes to now: the series, with labels and values.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        self.result(&format!("/api/v1/query?query={}", encoded(expression)))
    }

    /// What an expression came to from `start` to `end`, in seconds since 1970, every `step` seconds.
    pub fn query_range(&self, expression: &str, start: f64, end: f64, step: f64) -> Result<Vec<Value>> {
        let query = encoded(expression);
        self.result(&format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}"))
    }

    /// The names of the alerts that wait or fire, by the state in which they are.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let answer = ask(&self.host, 9090, "/api/v1/alerts")?;
        Ok(answer["data"]["alerts"].as_array().cloned().unwrap_or_default())
    }

    fn result(&self, path: &str) -> Result<Vec<Value>> {
        let answer = ask(&self.host, 9090, path)?;
        ensure!(answer["status"] == "success", "{answer}");
        answer["data"]["result"].as_array().cloned().with_context(|| format!("{answer} has no result"))
    }
}

impl Alertmanager {
    /// The names of the alerts that it has, each once.
    pub fn alerts(&self) -> Result<Vec<String>> {
        let answer = ask(&self.host, 9093, "/api/v2/alerts")?;
        let alerts = answer.as_array().with_context(|| format!("{answer} is no list"))?;
        let names = alerts.iter().filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned));
        Ok(names.collect::<std::collections::BTreeSet<_>>().into_iter().collect())
    }
}

fn ask(host: &Host, port: u16, path: &str) -> Result<Value> {
    let server = Server::of(&format!("http://127.0.0.1:{port}").parse()?, Trust::Host).context("no server")?;
    let answer = get(host, &server, path, &["Connection: close"])?;
    // What says that it is ready is no JSON.
    if path == "/-/ready" {
        ensure!(answer.status == 200, "{answer:?}");
        return Ok(Value::Null);
    }
    let body = if answer.head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        joined(&answer.body)?
    } else {
        answer.body
    };
    serde_json::from_str(&body).with_context(|| format!("`{path}` is answered with `{body}`"))
}

/// The chunks of a body as one text.
fn joined(chunks: &str) -> Result<String> {
    let (mut text, mut rest) = (String::new(), chunks);
    loop {
        let (length, after) = rest.split_once("\r\n").context("a chunk without its length")?;
        let length = usize::from_str_radix(length.trim(), 16)?;
        if length == 0 {
            return Ok(text);
        }
        text += after.get(..length).context("a chunk that is cut off")?;
        rest = after.get(length + 2..).context("a chunk without its end")?;
    }
}

/// An expression as a part of a URL.
fn encoded(expression: &str) -> String {
    expression.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'~' => text + &char::from(byte).to_string(),
        _ => format!("{text}%{byte:02X}"),
    })
}
