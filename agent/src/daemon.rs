//! Starts the agent's parts, waits for a signal, and stops them in good order.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fs::{self, File, TryLockError},
    hash::Hash,
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use rtnetlink::Handle;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::info;
use vrrp::Family;
use vrrp_wire::abi::Peer;

use crate::{
    config::Config,
    datapath::{Datapath, xdp},
    instance::Instance,
    link::{self, LinkState},
    mailbox::{Mail, Mailbox, mailbox},
    observe::{Snapshot, control},
    perform::{Performer, Place, Wish, advertise::Advertiser, announce::Announcer},
    reactor::{Interface, Reactor},
    router::VirtualRouter,
};

/// How long the removal of virtual addresses may take when the agent stops.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the agent until SIGTERM or SIGINT, then hands over and returns.
pub async fn run(config: Config, instance: &Instance) -> anyhow::Result<()> {
    let _lock = lock(instance)?;
    let (connection, handle, _) = rtnetlink::new_connection().context("failed to open a netlink socket")?;
    tokio::spawn(connection);
    let (mailbox, letterbox) = mailbox().context("failed to make the election thread's mailbox")?;

    let links = read_links(&handle, &config).await?;
    let mut datapath = Datapath::open(&config.guard, &instance.pin_dir());
    let mut tasks = JoinSet::new();
    let routers = build_routers(&config, &links, &handle, &mailbox, &mut datapath, &mut tasks).await?;
    let interfaces = links
        .iter()
        .map(|link| {
            let attachment = datapath.attach(&link.interface, link.ifindex)?;
            Ok(Interface { link: link.clone(), attachment })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;

    let listener = control::listen(&instance.socket())?;
    let reactor = Reactor { datapath, routers, interfaces, letterbox, about: about(&config) };
    let mut elections = spawn_elections(reactor)?;
    tokio::spawn(control::serve(listener, mailbox.clone()));
    let watcher = tokio::spawn(link::watch(links, mailbox.clone()));
    info!(node = config.node, virtual_routers = config.virtual_routers.len(), "running as {instance}");

    tokio::select! {
        ended = &mut elections => return ended.unwrap_or_else(|_| Err(anyhow!("the election thread panicked"))),
        stopped = watcher => bail!("interfaces are no longer watched: {}", describe(stopped)),
        () = stop_signal()? => mailbox.send(Mail::Shutdown).await,
    }
    elections.await.unwrap_or_else(|_| Err(anyhow!("the election thread panicked")))?;
    // The election thread has dropped the wishes: each task takes its addresses off and ends.
    if timeout(RELEASE_PATIENCE, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        bail!("virtual addresses could not be removed within {RELEASE_PATIENCE:?}");
    }
    let _ = fs::remove_file(instance.socket());
    info!("stopped");
    Ok(())
}

/// Makes sure that no other agent runs under this name, for as long as the file is open.
pub fn lock(instance: &Instance) -> anyhow::Result<File> {
    let (dir, path) = (instance.run_dir(), instance.lock());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("failed to create `{}`", dir.display()))?;
    let file = File::create(&path).with_context(|| format!("failed to create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another agent runs as {instance}; stop it, or use --instance"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock `{}`", path.display())),
    }
}

/// The state of every interface that the configuration names; one that does not exist is an error.
async fn read_links(handle: &Handle, config: &Config) -> anyhow::Result<Vec<LinkState>> {
    let names: BTreeSet<_> = config.virtual_routers.iter().map(|router| router.interface.clone()).collect();
    let links = link::read(handle, &Vec::from_iter(names)).await?;
    if let Some(absent) = links.iter().find(|link| link.ifindex == 0) {
        let (_, present) = link::survey(handle).await?;
        bail!("there is no interface `{}`; there are: {}", absent.interface, present.join(", "));
    }
    Ok(links)
}

/// Makes the virtual routers, and for each a task that keeps its addresses.
async fn build_routers(
    config: &Config,
    links: &[LinkState],
    handle: &Handle,
    mailbox: &Mailbox,
    datapath: &mut Datapath,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Vec<VirtualRouter>> {
    let mut sockets = Sockets::default();
    let mut routers = Vec::new();
    for (at, entry) in config.virtual_routers.iter().enumerate() {
        let link = links.iter().find(|link| link.interface == entry.interface);
        let link = link.ok_or_else(|| anyhow!("no state of interface `{}`", entry.interface))?;
        let (wishes, followed) = watch::channel(Wish::default());
        let place = Place { ifindex: link.ifindex, mac: link.mac, link_local: link.link_local() };
        let (places, place) = watch::channel(place);
        let performer = Performer {
            router: at,
            addresses: entry.addresses.clone(),
            owned: entry.priority == vrrp::Priority::OWNER,
            place,
            handle: handle.clone(),
            announcer: sockets.announcer(link)?,
            mailbox: mailbox.clone(),
        };
        // What a killed run has left must not answer while this one listens.
        performer.release().await;
        tasks.spawn(performer.run(followed));

        let advertiser = sockets.advertiser(link, entry.family)?;
        let router = VirtualRouter::new(entry.clone(), link.ifindex, advertiser, wishes, places);
        router.configure(datapath)?;
        for (key, mac) in router.peers() {
            datapath.set_peer(key, allowed(mac))?;
        }
        routers.push(router);
    }
    Ok(routers)
}

/// The sending sockets, which virtual routers share.
#[derive(Default)]
struct Sockets {
    advertisers: HashMap<(u32, Family), Arc<Advertiser>>,
    announcers: HashMap<u32, Arc<Announcer>>,
}

impl Sockets {
    fn advertiser(&mut self, link: &LinkState, family: Family) -> anyhow::Result<Arc<Advertiser>> {
        let open = || Advertiser::open(&link.interface, link.ifindex, family);
        shared(&mut self.advertisers, (link.ifindex, family), open).with_context(|| no_raw_socket(link))
    }

    fn announcer(&mut self, link: &LinkState) -> anyhow::Result<Arc<Announcer>> {
        shared(&mut self.announcers, link.ifindex, || Announcer::open(link.ifindex))
            .with_context(|| no_raw_socket(link))
    }
}

fn shared<K: Eq + Hash, T>(
    opened: &mut HashMap<K, Arc<T>>,
    key: K,
    open: impl FnOnce() -> io::Result<T>,
) -> io::Result<Arc<T>> {
    Ok(match opened.entry(key) {
        Entry::Occupied(entry) => Arc::clone(entry.get()),
        Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(open()?))),
    })
}

fn no_raw_socket(link: &LinkState) -> String {
    format!("failed to open a raw socket on `{}` (it needs CAP_NET_RAW)", link.interface)
}

/// A sender that has not been heard yet.
fn allowed(mac: Option<vrrp::MacAddr>) -> Peer {
    Peer {
        mac: mac.map_or([0; 6], |mac| mac.0),
        mac_pinned: u8::from(mac.is_some()),
        last_priority: 0,
        last_interval_cs: 0,
        adverts: 0,
        last_good_ns: 0,
    }
}

fn about(config: &Config) -> Snapshot {
    Snapshot {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: config.cluster.clone(),
        node: config.node.clone(),
        pid: std::process::id(),
        guard: config.guard.mode.to_string(),
        interfaces: Vec::new(),
        virtual_routers: Vec::new(),
    }
}

/// Starts the election thread; what it returns comes through the channel.
fn spawn_elections(reactor: Reactor) -> anyhow::Result<oneshot::Receiver<anyhow::Result<()>>> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("elections".to_owned())
        .spawn(move || {
            // Nobody listens only when the agent is ending anyway.
            let _ = sender.send(reactor.run());
        })
        .context("failed to start the election thread")?;
    Ok(receiver)
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to watch for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn describe(stopped: Result<anyhow::Result<()>, tokio::task::JoinError>) -> String {
    match stopped {
        Ok(Ok(())) => "the watch ended".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    }
}

/// The maps that a run has left pinned; refused while one runs.
pub fn detach(instance: &Instance) -> anyhow::Result<bool> {
    let _lock = lock(instance)?;
    remove_pins(&instance.pin_dir())
}

fn remove_pins(dir: &Path) -> anyhow::Result<bool> {
    xdp::unpin(dir).with_context(|| format!("failed to remove `{}`", dir.display()))
}
