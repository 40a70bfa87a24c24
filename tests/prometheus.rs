//! Prometheus scrapes a cluster, and Alertmanager hears of what goes wrong, and of nothing else. Every query of the dashboard finds
//! something.
//!
//! Time runs five times as fast: each span in the rules is a fifth, and agents are scraped each second instead of every five.

#[path = "prometheus/drawing.rs"]
mod drawing;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use harness::{Alertmanager, Cluster, ClusterConfig, GENEROUS, Injector, Lab, Prometheus, frame::Advert, lab, until};
use serde_json::Value;
use vrrp_wire::{Family, MacAddr};

const FASTER: u64 = 5;
/// Where the picture for docs/metrics.md is put, if that is wanted.
const PICTURE: &str = "VIPD_DASHBOARD_PICTURE";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// `text` with each span after one of `marks` a fifth of what it was.
fn faster(text: &str, marks: [&str; 2]) -> Result<String> {
    let mut fast = String::new();
    let mut rest = text;
    loop {
        let next = marks.iter().filter_map(|mark| rest.find(mark).map(|at| at + mark.len())).min();
        let Some(at) = next else { return Ok(fast + rest) };
        let (before, after) = rest.split_at(at);
        let digits = after.find(|char: char| !char.is_ascii_digit()).unwrap_or(0);
        let Ok(number) = after[..digits].parse::<u64>() else {
            fast += before;
            rest = after;
            continue;
        };
        let seconds = match after[digits..].chars().next() {
            Some('s') => number,
            Some('m') => number * 60,
            Some('h') => number * 3600,
            Some('d') => number * 86_400,
            unit => anyhow::bail!("a span in {unit:?}"),
        };
        fast.extend([before, &(seconds * 1000 / FASTER).to_string(), "ms"]);
        rest = &after[digits + 1..];
    }
}

fn configuration(lab: &Lab) -> Result<String> {
    lab.secret("scrape-password", "s3cret\n")?;
    let config = ClusterConfig { interval: "500ms", preferred: &[0, 1, 2], ..ClusterConfig::default() }.text(3)?;
    let config = config.replace("nodes = [", "checks = [\"link\"]\nnodes = [");
    Ok(config
        + "[metrics]\nlisten = \"node:9650\"\nusername = \"prometheus\"\npassword = \"/run/lab/scrape-password\"\n\
           [[check]]\nname = \"link\"\ninterface = \"vsw0\"\n\
           [[notify]]\nname = \"script\"\nexec = [\"/bin/true\"]\n")
}

fn prometheus(lab: &Lab, cluster: &Cluster) -> Result<Prometheus> {
    let rules = fs::read_to_string(path("deploy/prometheus/alerts.yaml"))?;
    let rules = lab.write("alerts.yaml", &faster(&rules, ["for: ", "["])?)?;
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [{}]\n\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: [\"127.0.0.1:9093\"] }}] }}] }}\n\
         scrape_configs:\n\
         - job_name: vipd\n  basic_auth: {{ username: prometheus, password_file: /run/lab/scrape-password }}\n  \
         static_configs: [{{ targets: [\"10.77.0.1:9650\", \"10.77.0.2:9650\", \"10.77.0.3:9650\"] }}]\n",
        rules.display()
    );
    cluster.client.prometheus(&config)
}

/// Waits until `expression` finds something.
fn wait_for(prometheus: &Prometheus, what: &str, expression: &str) -> Result<Vec<Value>> {
    let found = until(what, GENEROUS * 2, || Ok(Some(prometheus.query(expression)?).filter(|found| !found.is_empty())));
    found.with_context(|| format!("`{expression}`; alerts: {:?}", prometheus.alerts()))
}

/// Nothing has fired since Prometheus was started, but `expected`.
fn fired(prometheus: &Prometheus, expected: &[&str]) -> Result<()> {
    let found = prometheus.query("count by (alertname) (max_over_time(ALERTS{alertstate=\"firing\"}[10m]))")?;
    let mut names: Vec<_> = found.iter().filter_map(|series| series["metric"]["alertname"].as_str()).collect();
    names.sort_unstable();
    ensure!(names == expected, "{names:?} have fired, not {expected:?}: {:?}", prometheus.alerts()?);
    Ok(())
}

fn wait_for_alert(alertmanager: &Alertmanager, name: &str) -> Result<()> {
    until(&format!("{name} to come to Alertmanager"), GENEROUS * 2, || {
        Ok(alertmanager.alerts()?.iter().any(|alert| alert == name).then_some(()))
    })
}

/// Twenty adverts of a stranger to everybody.
fn attack(cluster: &Cluster) -> Result<()> {
    let wire = Injector::on(cluster.attacker.namespace(), "vsw0")?;
    let source = [10, 77, 0, 66].into();
    let vips = Cluster::addresses(0);
    for _ in 0..20 {
        wire.send(&Advert::new(MacAddr([2, 0, 0, 0, 0, 66]), source, Cluster::VRIDS[0], 255, &vips[..1]).frame())?;
    }
    Ok(())
}

/// Every query of the dashboard, by its panel.
fn queries() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path("deploy/grafana/vipd.json"))?)?;
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        ensure!(panel["datasource"]["uid"] == "${datasource}", "{panel} has a data source of its own");
        for target in panel["targets"].as_array().context("no targets")? {
            let (title, expression) = (panel["title"].as_str(), target["expr"].as_str());
            let expression = expression.context("no expression")?;
            let expression = expression.replace("$__rate_interval", "20s").replace("$cluster", "test");
            queries.push((title.context("no title")?.to_owned(), expression));
        }
    }
    Ok(queries)
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

#[test]
fn what_goes_wrong_is_heard_and_nothing_else() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::with_config(&lab, 3, configuration(&lab)?)?;
    cluster.start_all()?;
    let alertmanager = cluster.client.alertmanager()?;
    let prometheus = prometheus(&lab, &cluster)?;
    wait_for(&prometheus, "all agents to be scraped", "count(up{job=\"vipd\"} == 1) == 3")?;
    let start = now()?;
    // The rules about increases need something to compare with.
    wait_for(&prometheus, "some scrapes", "min(count_over_time(vipd_drained[1m])) > 8")?;

    // A planned handover wakes nobody.
    cluster.agent(0)?.run(&["transfer", Cluster::ROUTERS[0], "--to", "n2"])?;
    let active = |node: &str| {
        format!(
            "(vipd_virtual_router_state{{virtual_router=\"web-a\",family=\"IPv4\",state=\"Active\"}} == 1) \
             * on (job, instance) group_left (node) vipd_node_info{{node=\"{node}\"}}"
        )
    };
    wait_for(&prometheus, "n2 to serve", &format!("count_over_time(({})[8s:1s]) >= 8", active("n2")))?;
    cluster.agent(0)?.run(&["undrain"])?;
    wait_for(&prometheus, "n1 to serve again", &format!("count_over_time(({})[8s:1s]) >= 8", active("n1")))?;
    fired(&prometheus, &[])?;
    ensure!(alertmanager.alerts()?.is_empty(), "somebody was woken: {:?}", alertmanager.alerts()?);

    // The Active is killed: its agent is missed, and its addresses are not.
    cluster.take(0)?.process.kill()?;
    wait_for_alert(&alertmanager, "VipdAgentDown")?;
    ensure!(alertmanager.alerts()? == ["VipdAgentDown"], "{:?}", alertmanager.alerts()?);
    fired(&prometheus, &["VipdAgentDown"])?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state(Cluster::ROUTERS[0], Family::Ipv4, "Active")?;
    wait_for(&prometheus, "n1 to be scraped again", "count(up{job=\"vipd\"} == 1) == 3")?;

    // While its agent was away its host was kept from answering for what n2 had taken.
    wait_for_alert(&alertmanager, "VipdFenceClosed")?;

    attack(&cluster)?;
    wait_for_alert(&alertmanager, "VipdAdvertsRejected")?;
    for (panel, query) in queries()? {
        wait_for(&prometheus, &format!("an answer for panel `{panel}`"), &query)?;
    }
    fired(&prometheus, &["VipdAdvertsRejected", "VipdAgentDown", "VipdFenceClosed"])?;
    if let Some(file) = env::var_os(PICTURE) {
        wait_for(
            &prometheus,
            "n1 to have served for a while",
            &format!("count_over_time(({})[10s:1s]) >= 10", active("n1")),
        )?;
        drawing::draw(&prometheus, start, now()?, Path::new(&file))?;
    }
    Ok(())
}

#[test]
fn spans_are_a_fifth() -> Result<()> {
    let text = "expr: increase(x[5m]) + y[20s] > 5\nfor: 4h\nz: [a, b]\n";
    ensure!(faster(text, ["for: ", "["])? == "expr: increase(x[60000ms]) + y[4000ms] > 5\nfor: 2880000ms\nz: [a, b]\n");
    Ok(())
}
