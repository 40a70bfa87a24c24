//! Metrics: what they tell of an election and an attack, that counters go on, and that no client of theirs disturbs an election.

#[path = "metrics/hostile.rs"]
mod hostile;

use std::{
    fs,
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use harness::{
    Certificate, Cluster, ClusterConfig, GENEROUS, Host, HttpAnswer, Scrape, Siege, Status, frame::Advert, get, lab,
    until,
};
use vipd::client::{Server, Trust};
use vrrp_wire::Family;

const ROUTER: &str = Cluster::ROUTERS[0];
/// Scrapes that a crowd may keep from being answered, of twenty that are.
const REFUSED_MAX: u32 = 10;
const IPV4: &str = "virtual_router=\"web-a\",vrid=\"51\",family=\"IPv4\",interface=\"vsw0\"";

fn plain(address: &str) -> Result<Server> {
    Server::of(&format!("http://{address}").parse()?, Trust::Host).context("no server")
}

fn local(host: &Host, path: &str, headers: &[&str]) -> Result<HttpAnswer> {
    get(host, &plain("127.0.0.1:9650")?, path, headers)
}

/// Whether the agent tells that metrics are not served.
fn is_told(status: &Status) -> bool {
    let alarms = status.0["alarms"].as_array().map_or(&[][..], Vec::as_slice);
    alarms.iter().any(|alarm| alarm["kind"] == "metrics_unavailable")
}

/// Sends adverts of strangers, each from an address of its own, and waits until all are dropped.
fn attack(siege: &Siege, strangers: u8) -> Result<()> {
    let wire = siege.wire(0)?;
    let before = siege.cluster.nodes[0].scrape()?.value("vipd_adverts_dropped_total", &[IPV4]).context("no counter")?;
    for stranger in 1..=strangers {
        let good = siege.advert(1, Family::Ipv4, 150);
        wire.send(&Advert { source: [10, 77, 1, stranger].into(), ..good }.frame())?;
    }
    until("the adverts of strangers to be dropped", GENEROUS, || {
        let now = siege.cluster.nodes[0].scrape()?.value("vipd_adverts_dropped_total", &[IPV4]);
        Ok((now >= Some(before + f64::from(strangers))).then_some(()))
    })
}

#[test]
fn metrics_tell_of_an_election_and_of_an_attack() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let (n1, n2) = (&siege.cluster.nodes[0], &siege.cluster.nodes[1]);
    for (host, state) in [(n1, "Active"), (n2, "Backup")] {
        let scrape = host.scrape()?;
        for family in ["family=\"IPv4\"", "family=\"IPv6\""] {
            for known in ["Initialize", "Backup", "Active", "Fault"] {
                let label = format!("state=\"{known}\"");
                let value = scrape.value("vipd_virtual_router_state", &[family, &label]);
                ensure!(
                    value == Some(if known == state { 1.0 } else { 0.0 }),
                    "{} {family} {label}: {value:?}",
                    host.name()
                );
            }
        }
        ensure!(scrape.value("vipd_interface_attach_mode", &["mode=\"native\""]) == Some(1.0), "{scrape:?}");
        ensure!(scrape.value("vipd_virtual_router_nodes", &[IPV4]) == Some(2.0), "{scrape:?}");
        for path in ["/healthz", "/readyz"] {
            let answer = local(host, path, &[])?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
        }
    }
    let heard = until("n2 to hear n1 twice", GENEROUS, || {
        let scrape = n2.scrape()?;
        Ok((scrape.value("vipd_advert_gap_seconds_count", &[IPV4]) > Some(0.0)).then_some(scrape))
    })?;
    ensure!(heard.value("vipd_peer_adverts_total", &[IPV4, "peer=\"n1\""]) > Some(1.0), "{heard:?}");
    let takeover = n1.scrape()?;
    ensure!(takeover.value("vipd_transitions_total", &[IPV4, "to=\"Active\""]) == Some(1.0), "{takeover:?}");
    ensure!(takeover.value("vipd_last_takeover_seconds", &[IPV4, "phase=\"held\""]) > Some(0.0), "{takeover:?}");
    let hash = |scrape: &Scrape, host: &Host| -> Result<String> {
        let page = local(host, "/metrics", &[])?.body;
        let line = page.lines().find(|line| line.starts_with("vipd_configuration_info{")).context("no hash")?;
        ensure!(!scrape.is_empty());
        Ok(line.to_owned())
    };
    ensure!(hash(&takeover, n1)? == hash(&heard, n2)?, "the nodes have the same file");

    let before = n1.scrape()?;
    attack(&siege, 20)?;
    let after = n1.scrape()?;
    let rejected = after.value("vipd_adverts_rejected_total", &[IPV4, "reason=\"unknown_source\"", "where=\"kernel\""]);
    ensure!(rejected == Some(20.0), "{after:?}");
    ensure!(after.len() == before.len() + 1, "strangers made {} series of {}", after.len(), before.len());

    // What was asked for is what is served.
    let open = local(n1, "/metrics", &["Accept: application/openmetrics-text;version=1.0.0"])?;
    ensure!(open.head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{}", open.head);
    ensure!(open.body.ends_with("# EOF\n"), "{}", open.body);
    let page = lab.write("metrics", &local(n1, "/metrics", &[])?.body)?;
    n1.run("sh", &["-c", &format!("promtool check metrics < {}", page.display())])?;
    let shown = n1.run("curl", &["--silent", "--fail", "http://127.0.0.1:9650/metrics"])?;
    ensure!(shown.contains("vipd_node_info"), "{shown}");
    for (request, status) in [("/", 404), ("/metrics/x", 404)] {
        ensure!(local(n1, request, &[])?.status == status, "{request}");
    }
    siege.was_in_vain()
}

/// A `vipd restart` loses no scrape and no counter; after a kill those of the kernel go on.
#[test]
fn counters_go_on() -> Result<()> {
    let lab = lab!();
    let mut siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    attack(&siege, 5)?;
    let host = siege.cluster.nodes[0].clone();
    let counters = [
        ("vipd_adverts_rejected_total", &[IPV4, "reason=\"unknown_source\""][..]),
        ("vipd_adverts_dropped_total", &[IPV4]),
        ("vipd_adverts_sent_total", &[IPV4]),
        ("vipd_transitions_total", &[IPV4, "to=\"Active\""]),
        ("vipd_advert_send_lateness_seconds_count", &[]),
    ];
    let read = |scrape: &Scrape| counters.map(|(name, labels)| scrape.value(name, labels));
    let before = read(&host.scrape()?);
    ensure!(before.iter().all(|value| *value > Some(0.0)), "{before:?}");

    let over = AtomicBool::new(false);
    let scrapes = thread::scope(|scope| -> Result<u32> {
        let scraper = scope.spawn(|| -> Result<u32> {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                let answer = local(&host, "/metrics", &[]).context("a scrape was lost")?;
                ensure!(answer.status == 200, "{answer:?}");
                count += 1;
            }
            Ok(count)
        });
        let restarted = (0..2).try_for_each(|_| siege.cluster.agent(0)?.run(&["restart"]).map(drop));
        over.store(true, Ordering::Relaxed);
        let count = scraper.join().map_err(|_| anyhow::anyhow!("the scraper panicked"))?;
        restarted.and(count)
    })?;
    eprintln!("restart: {scrapes} scrapes meanwhile, none was lost");
    let after = read(&host.scrape()?);
    let goes_on = before.iter().zip(&after).all(|(before, after)| after >= before);
    ensure!(goes_on, "restart: {before:?} became {after:?}");

    siege.cluster.take(0)?.process.kill()?;
    siege.cluster.start(0)?;
    siege.cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    let after = read(&host.scrape()?);
    ensure!(after[..2] == before[..2], "kill: {before:?} became {after:?}");
    // What only the agent counts begins anew.
    ensure!(after[3] == Some(1.0), "{after:?}");
    Ok(())
}

/// Certificates, passwords and addresses, and another of each by reload.
#[test]
fn who_may_read_can_change() -> Result<()> {
    let lab = lab!();
    let certificate = Certificate::new("10.77.0.1")?;
    let certificate_file = lab.write("certificate.pem", &certificate.pem)?;
    lab.secret("key.pem", &certificate.key_pem)?;
    lab.secret("password", "s3cret\n")?;
    let tls = "certificate_file = \"/run/lab/certificate.pem\"\nkey_file = \"/run/lab/key.pem\"";
    let login = "username = \"prometheus\"\npassword = \"/run/lab/password\"";
    let text = ClusterConfig::default().text(1)?;
    let with = |lines: &str| format!("{text}\n[metrics]\n{lines}\n");
    let mut cluster = Cluster::with_config(&lab, 1, with(&format!("listen = \"node:9650\"\n{tls}\n{login}")))?;
    cluster.start(0)?;
    let (agent, host, client) = (cluster.agent(0)?, &cluster.nodes[0], &cluster.client);
    agent.wait_for_state(ROUTER, Family::Ipv4, "Active")?;

    let url = "https://10.77.0.1:9650".parse()?;
    let server = Server::of(&url, Trust::File(certificate_file.clone())).context("no server")?;
    // printf 'prometheus:s3cret' | base64
    let right = "Authorization: Basic cHJvbWV0aGV1czpzM2NyZXQ=";
    until("metrics over TLS", GENEROUS, || Ok(get(client, &server, "/metrics", &[right]).ok()))?;
    for (headers, status) in [
        (&[right][..], 200),
        (&["authorization: basic cHJvbWV0aGV1czpzM2NyZXQ="], 200),
        (&[], 401),
        (&["Authorization: Basic cHJvbWV0aGV1czpzM2NyZXR0"], 401),
        (&["Authorization: Basic cHJvbWV0aGV1czpzM2NyZX"], 401),
        (&["Authorization: Bearer s3cret"], 401),
        (&["Authorization: Basic"], 401),
    ] {
        let answer = get(client, &server, "/metrics", headers)?;
        ensure!(answer.status == status, "{headers:?}: {answer:?}");
        ensure!(
            (status == 401) == answer.head.to_lowercase().contains("www-authenticate: basic realm=\"vipd\""),
            "{answer:?}"
        );
        ensure!((status == 200) == answer.body.contains("vipd_node_info"), "{answer:?}");
    }
    ensure!(get(client, &server, "/healthz", &[])?.status == 200, "a probe needs no password");
    ensure!(get(client, &plain("10.77.0.1:9650")?, "/metrics", &[right]).is_err(), "it answers without TLS");

    let whole = fs::read(&certificate_file)?;
    fs::write(&certificate_file, "no certificate\n")?;
    ensure!(get(client, &server, "/metrics", &[right]).is_err(), "it has a certificate");
    let told = agent.wait_for("the failure to be told", is_told)?;
    ensure!(told.0["alarms"].to_string().contains("mend `certificate_file` and `key_file` in [metrics]"), "{told:?}");
    fs::write(&certificate_file, whole)?;
    ensure!(get(client, &server, "/metrics", &[right])?.status == 200, "a certificate that was mended counts");
    agent.wait_for("the failure to be over", |status| !is_told(status))?;

    lab.secret("password", "another\n")?;
    ensure!(get(client, &server, "/metrics", &[right])?.status == 401, "the old password counts");

    let reload = |lines: &str, expected: &str| -> Result<()> {
        agent.rewrite(&with(lines))?;
        let said = agent.run(&["reload"])?;
        ensure!(said.contains(expected), "{said}");
        Ok(())
    };
    reload("listen = \"127.0.0.1:9651\"", "~ [metrics]: served at 127.0.0.1:9651")?;
    let moved = plain("127.0.0.1:9651")?;
    let page = until("metrics at the other port", GENEROUS, || Ok(get(host, &moved, "/metrics", &[]).ok()))?;
    let scrape = Scrape::parse(&page.body)?;
    ensure!(scrape.value("vipd_config_last_reload_successful", &[]) == Some(1.0), "{page:?}");
    ensure!(get(client, &server, "/metrics", &[]).is_err(), "the old port is open");
    agent.rewrite(&with("listen = 1"))?;
    ensure!(agent.run(&["reload"]).is_err(), "a wrong file was taken");
    until("a reload that failed to be told", GENEROUS, || {
        let scrape = Scrape::parse(&get(host, &moved, "/metrics", &[])?.body)?;
        Ok((scrape.value("vipd_config_last_reload_successful", &[]) == Some(0.0)).then_some(()))
    })?;
    reload("listen = \"off\"", "~ [metrics]: served no more")?;
    ensure!(get(host, &moved, "/metrics", &[]).is_err(), "it is not off");
    ensure!(agent.status()?.state(ROUTER, Family::Ipv4) == Some("Active"), "the election was disturbed");
    Ok(())
}

/// Probes tell who lives from who takes part.
#[test]
fn a_node_that_waits_is_alive_and_not_ready() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "startup_delay = \"3s\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 1, &config)?;
    cluster.start(0)?;
    let host = &cluster.nodes[0];
    let probe = |path: &str| Ok(local(host, path, &[]).ok().map(|answer| (answer.status, answer.body)));
    let ready = until("a probe to be answered", GENEROUS, || probe("/readyz"))?;
    let reason = "its start is delayed (startup_delay)";
    ensure!(ready == (503, format!("web-a/IPv4: {reason}\nweb-a/IPv6: {reason}\n")), "{ready:?}");
    ensure!(probe("/healthz")?.is_some_and(|(status, _)| status == 200), "it does not live");
    until("the node to be ready", GENEROUS, || Ok(probe("/readyz")?.filter(|(status, _)| *status == 200)))?;
    ensure!(cluster.agent(0)?.status()?.all_in(&["Backup", "Active"]), "it takes no part");
    Ok(())
}

/// A port that another program has keeps nobody from serving; it is taken as soon as it is free.
#[test]
fn a_port_in_use_is_waited_for() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let host = cluster.nodes[0].clone();
    let other = host.namespace().enter(|| TcpListener::bind("127.0.0.1:9650"))??;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    agent.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    let told = agent.wait_for("the failure to be told", is_told)?;
    ensure!(told.0["alarms"].to_string().contains("metrics are not served at 127.0.0.1:9650"), "{told:?}");
    drop(other);
    agent.wait_for("the failure to be over", |status| !is_told(status))?;
    ensure!(host.scrape()?.value("vipd_alarms", &["metrics_unavailable"]) == Some(0.0), "the alarm is still told");
    Ok(())
}

/// Clients that are slow, talk nonsense, or come in great numbers keep neither an advert nor a scraper waiting.
#[test]
fn hostile_clients_disturb_nobody() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let host = &siege.cluster.nodes[0];
    host.scrape()?;
    let over = AtomicBool::new(false);
    let attackers = [hostile::crowd, hostile::endless, hostile::garbage, hostile::deaf];
    let outcome = thread::scope(|scope| -> Result<()> {
        for attacker in attackers {
            let over = &over;
            scope.spawn(move || host.namespace().enter(|| attacker(over)));
        }
        let outcome = (|| {
            let agent = siege.cluster.agent(1)?;
            let heard = agent.status()?.tally(ROUTER, Family::Ipv4, "adverts_received");
            agent.wait_for("ten adverts more", |status| {
                status.tally(ROUTER, Family::Ipv4, "adverts_received") >= heard.map(|heard| heard + 10)
            })?;
            let mut refused = 0;
            for _ in 0..20 {
                while local(host, "/metrics", &[]).is_err() {
                    refused += 1;
                    ensure!(refused < REFUSED_MAX, "scrapes are refused");
                }
            }
            eprintln!("hostile clients: {refused} scrapes were refused, 20 answered");
            Ok(())
        })();
        over.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    if !siege.cluster.agent(0)?.process.is_running() {
        bail!("the agent has ended");
    }
    let scrape = host.scrape()?;
    let late = scrape.value("vipd_advert_send_lateness_seconds_sum", &[]);
    let sent = scrape.value("vipd_advert_send_lateness_seconds_count", &[]);
    eprintln!("hostile clients: adverts late by {late:?} s together, of {sent:?}");
    let in_time = scrape.value("vipd_advert_send_lateness_seconds_bucket", &["le=\"0.25\""]);
    ensure!(in_time.is_some() && in_time == sent, "{sent:?} adverts, {in_time:?} in time");
    siege.was_in_vain()
}
