//! What a virtual router holds changes while it holds it, as a reload has it: the task that looks after it, without an agent.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use harness::{Capture, Cluster, ClusterConfig, GENEROUS, Host, Process, decode, ip, lab, until};
use tokio::{
    runtime::Builder,
    sync::watch,
    time::{sleep, timeout},
};
use vipd::{
    link::Removals,
    mailbox::{Inbox, Mail, mailbox},
    perform::{
        Performer, Place, Wish, announce::Announcer, dispatch::Dispatch, holdings::Holdings, order_queue::OrderQueue,
        route::Route, rule::Rule, settings::Settings, survey::Surveyor,
    },
    supervisor::vitals::{Standing, Vitals},
};

fn holdings(addresses: &[&str], via: &str) -> Result<Holdings> {
    let route =
        Route { to: "192.0.2.0/24".parse()?, via: Some(ip(via)), source: None, metric: 0, table: 100, on_link: false };
    Ok(Holdings {
        addresses: addresses.iter().map(|address| Ok(address.parse()?)).collect::<Result<_>>()?,
        routes: vec![route],
        rules: vec![Rule { from: Some("10.77.0.102/32".parse()?), to: None, table: 100, priority: 1000 }],
        ..Holdings::default()
    })
}

/// What the task says became of the wish.
async fn report(inbox: &mut Inbox) -> Result<Result<(), String>> {
    let wait = async {
        loop {
            if let Some(Mail::Addresses { outcome, .. }) = inbox.take() {
                return outcome;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GENEROUS, wait).await.context("no report")
}

async fn wait_for<F: Future<Output = ()>>(condition: impl Fn() -> Result<bool>, tick: impl Fn() -> F) -> Result<()> {
    for _ in 0..GENEROUS.as_millis() / 5 {
        if condition()? {
            return Ok(());
        }
        tick().await;
    }
    bail!("waited {GENEROUS:?} in vain")
}

/// What is new is there and announced before what is gone goes, and what stays is not touched. Where a change cannot be made,
/// nothing is left. What ends with the task goes with it.
#[test]
fn what_is_held_changes_without_a_gap() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = &cluster.nodes[0];
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let mut command = node.namespace().command("ip");
    command.args(["monitor", "address", "route", "rule"]);
    let monitor = Process::spawn("ip monitor", command)?;
    until("the monitor to hear", GENEROUS, || {
        node.run("ip", &["addr", "replace", "10.77.0.99/24", "dev", Host::INTERFACE])?;
        Ok(monitor.transcript().contains("10.77.0.99").then_some(()))
    })?;
    node.namespace()
        .enter(|| Builder::new_current_thread().enable_all().build()?.block_on(change(node, &monitor)))??;
    let told = capture.frames();
    let is_told = |of: &str| {
        told.iter().any(|frame| decode::announcement(&frame.bytes).is_some_and(|told| told.address == ip(of)))
    };
    ensure!(is_told("10.77.0.101") && is_told("10.77.0.102") && is_told("10.77.0.103"));
    Ok(())
}

async fn change(node: &Host, monitor: &Process) -> Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    let (mailbox, mut inbox) = mailbox()?;
    let ifindex = node.ifindex()?;
    let announcer = Arc::new(Announcer::open(ifindex)?);
    let (_place, place) =
        watch::channel(Place { ifindex, mac: node.mac(), link_local: None, announcer: Some(announcer) });
    let (_disturb, disturbances) = watch::channel(Removals::default());
    let (orders, followed) = watch::channel(holdings(&["10.77.0.101/24", "10.77.0.102/24"], "10.77.0.50")?);
    let (wish, wishes) = watch::channel(Wish::Release);
    let (rehearse, rehearsals) = watch::channel(());
    let standing = Standing::new(Arc::new(Vitals::create(Path::new("/run/vitals"), 1)?), 0);
    standing.set_active(true)?;
    let (order_queue, tasks) = OrderQueue::begin()?;
    let performer = Performer {
        router: 0,
        holdings: followed,
        virtual_mac: None,
        interface: Host::INTERFACE.to_owned(),
        settings: Arc::new(Settings::new("/run/settings.toml".into())),
        rehearsals,
        place,
        disturbances,
        handle,
        orders: order_queue,
        surveyor: Surveyor::begin(&tasks),
        dispatch: Dispatch::begin()?,
        gateways: Arc::default(),
        mailbox,
        standing,
    };
    let task = tasks.spawn(performer.run(wishes));
    let tick = || sleep(Duration::from_millis(5));

    wish.send_replace(Wish::Hold { term: 1, announcement: 0 });
    ensure!(report(&mut inbox).await? == Ok(()));
    wait_for(|| Ok(monitor.transcript().contains("from 10.77.0.102 lookup 100")), tick).await?;
    let before = monitor.transcript().len();
    // Of what is held, a rehearsal touches nothing.
    rehearse.send_replace(());
    orders.send_replace(holdings(&["10.77.0.102/24", "10.77.0.103/24"], "10.77.0.50")?);
    wait_for(|| Ok(monitor.transcript()[before..].contains("inet 10.77.0.101/24")), tick).await?;
    let said = monitor.transcript()[before..].to_owned();
    let (added, removed) = (said.find("inet 10.77.0.103/24"), said.find("inet 10.77.0.101/24"));
    ensure!(added.is_some() && added < removed, "{said}");
    ensure!(!said.contains("inet 10.77.0.102") && !said.contains("192.0.2.0/24") && !said.contains("lookup"), "{said}");

    orders.send_replace(holdings(&["10.77.0.102/24", "10.77.0.103/24"], "203.0.113.1")?);
    let refused = report(&mut inbox).await?;
    let expected =
        "failed to add route to 192.0.2.0/24 via 203.0.113.1 in table 100: Network is unreachable (os error 101)";
    ensure!(refused == Err(expected.to_owned()), "{refused:?}");
    for vip in ["10.77.0.102", "10.77.0.103"] {
        ensure!(!node.has_address(ip(vip))?, "{vip} is left");
    }
    ensure!(!node.run("ip", &["rule"])?.contains("lookup 100"), "the rule is left");

    orders.send_replace(holdings(&["10.77.0.102/24"], "10.77.0.50")?);
    wish.send_replace(Wish::Hold { term: 2, announcement: 0 });
    ensure!(report(&mut inbox).await? == Ok(()));
    ensure!(node.has_address(ip("10.77.0.102"))? && !node.has_address(ip("10.77.0.103"))?);
    drop(wish);
    timeout(GENEROUS, task).await.context("the task does not end")???;
    ensure!(!node.has_address(ip("10.77.0.102"))?, "an address is left");
    Ok(())
}
