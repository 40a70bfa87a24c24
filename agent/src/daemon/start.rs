//! Makes everything ready that the agent runs with, from nothing or from what another program in this process has left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File, TryLockError},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{fs::DirBuilderExt as _, net::UnixListener},
    },
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use rtnetlink::Handle;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::{info, warn};
use vrrp::{Family, auth::Sequence};

use super::{
    Agent, Origin, RELEASE_PATIENCE, leftovers,
    outward::Outward,
    scope::{check_mtu, refused, watched},
};
use crate::{
    authentication::Authentication,
    check::Checks,
    claims,
    clock::{self, Alarm},
    config::{self, Config},
    datapath::Datapath,
    desk::Desk,
    instance::Instance,
    keys,
    link::{self, LinkState, Removals, Watched},
    mailbox::{Mailbox, mailbox},
    observe::{
        ConfigurationStatus, LatenessStatus, Snapshot, control,
        journal::{Reporter, journal},
    },
    operator::{Operator, Signals},
    perform::{
        crew::{Crew, Hands},
        dispatch::Dispatch,
        neighbours::Neighbours,
        order_queue::OrderQueue,
        outbox::Outbox,
        refusal::Refusal,
        settings::Settings,
        sockets::Sockets,
        survey::Surveyor,
        sysctl::Setting,
    },
    reactor::{Interface, Reactor, readiness::Readiness},
    realtime::Lateness,
    restart::{self, Memory, Successor, adopt},
    router::{VirtualRouter, memory::Interlude},
    sequence_file,
    supervisor::{
        keeper::{Custody, Keeper},
        supervised::{Supervised, Supervisor},
        vitals::{self, Vitals},
    },
    watchman::Watchman,
};

/// What the agent stands on.
struct Base {
    lock: File,
    vitals: Arc<Vitals>,
    signals: Signals,
    handle: Handle,
    links: Vec<LinkState>,
    claims: BTreeMap<String, UnixListener>,
}

impl Base {
    /// Makes sure that this agent is alone, and that nothing of an earlier run is on the host.
    async fn lay(config: &Config, instance: &Instance, lock: File, memory: &Memory) -> anyhow::Result<Self> {
        let vitals = vitals(config, instance, memory)?;
        let signals = Signals::watch()?;
        restart::take_signals()?;
        let (connection, handle, _) = rtnetlink::new_connection().context("failed to open a netlink socket")?;
        tokio::spawn(connection);
        let links = read_links(&handle, &watched(config)).await?;
        let claims = links.iter().map(|link| Ok((link.interface.clone(), resume_claim(link, memory)?)));
        let claims: BTreeMap<_, _> = claims.collect::<anyhow::Result<_>>()?;
        // What the configuration has no more would stay open for good.
        for (_, &descriptor) in memory.descriptors.claims.iter().filter(|(name, _)| !claims.contains_key(*name)) {
            drop(adopt(descriptor)?);
        }
        leftovers::sweep(config, memory, &links, &handle).await?;
        Ok(Self { lock, vitals, signals, handle, links, claims })
    }
}

/// The lock of the instance: that of the program before, or this one's.
pub(super) fn take_lock(instance: &Instance, memory: Option<&Memory>) -> anyhow::Result<File> {
    match memory.and_then(|memory| memory.descriptors.lock) {
        Some(descriptor) => Ok(File::from(adopt(descriptor)?)),
        None => lock(instance),
    }
}

/// Makes the agent and its elections, which have not begun.
pub(super) async fn prepare(
    config: Config,
    origin: Origin,
    instance: &Instance,
    lock: File,
    memory: &Memory,
) -> anyhow::Result<(Agent, Reactor)> {
    let successor = Successor::of_this_program()?;
    let Base { lock, vitals, signals, handle, links, claims } = Base::lay(&config, instance, lock, memory).await?;
    let (mailbox, inbox) = mailbox().context("failed to make the election thread's mailbox")?;
    let (reporter, journal, intake) = journal(&config.cluster, &config.node, memory.journal.clone());
    let checks = Checks::new(&config.checks, &memory.checks).context("failed to start the thread of checks")?;
    let mut desk = desk(&config, instance, memory, reporter, &checks, &handle)?;
    let kept = keep_sequence(&desk, instance);
    let interfaces = attach(&links, &mut desk)?;
    let settings = settings(instance, memory);
    let refusal = Refusal::install(instance.table(), &refused(&config))?;
    let (mut crew, disturb, hands) = crew(&handle, &mailbox, &settings, &vitals, memory)?;
    let mut sockets = sockets(memory, &links)?;
    let routers = build_routers(&config, memory, &interfaces, &mut sockets, &mut crew, &mut desk)?;
    let (listener, control) = listener(instance, memory)?;
    let (supervised, custody) = supervision(&config, instance, memory, vitals, &mailbox)?;
    let reactor = Reactor {
        desk,
        routers,
        departing: Vec::new(),
        groups: Vec::new(),
        interfaces,
        sockets,
        crew,
        inbox,
        alarm: Alarm::new().context("failed to make the election thread's timer")?,
        about: about(&config, instance),
        watchman: watchman(&config, memory),
        places: HashMap::new(),
        readiness: Readiness::default(),
        lateness: Lateness::new(memory.lateness.clone())?,
        supervised,
    };
    let (watch_others, watched) = watch::channel(watched(&config));
    let Outward { notifications, routing, overview, metrics, loaded } =
        Outward::new(&config, memory, &mailbox, &checks, (journal, intake))?;
    let operator = Operator {
        config,
        origin,
        instance: instance.clone(),
        handle,
        mailbox: mailbox.clone(),
        claims,
        watched: watch_others,
        refusal,
        lock,
        control,
        successor,
        routing,
        notifications,
        checks,
        metrics,
        loaded,
    };
    let agent = Agent {
        operator,
        signals,
        mailbox,
        overview,
        listener,
        links,
        watched,
        disturb,
        hands,
        settings,
        kept,
        custody,
    };
    Ok((agent, reactor))
}

/// Who performs for virtual routers, how they are disturbed, and where their tasks are heard of.
fn crew(
    handle: &Handle,
    mailbox: &Mailbox,
    settings: &Arc<Settings>,
    vitals: &Arc<Vitals>,
    memory: &Memory,
) -> anyhow::Result<(Crew, watch::Sender<Removals>, Hands)> {
    let (disturb, disturbances) = watch::channel(Removals::default());
    let (hired, hands) = mpsc::unbounded_channel();
    let (orders, runtime) = OrderQueue::begin().context("failed to start the thread that changes the host")?;
    let crew = Crew {
        surveyor: Surveyor::begin(&runtime),
        runtime,
        netlink: handle.clone(),
        dispatch: Dispatch::begin().context("failed to start the thread that announces")?,
        gateways: Arc::default(),
        orders,
        mailbox: mailbox.clone(),
        disturbances,
        settings: Arc::clone(settings),
        vitals: Arc::clone(vitals),
        hired,
        count: memory.routers.iter().map(|router| router.slot() + 1).max().unwrap_or(0),
    };
    Ok((crew, disturb, Hands::new(hands)))
}

fn desk(
    config: &Config,
    instance: &Instance,
    memory: &Memory,
    reporter: Reporter,
    checks: &Checks,
    handle: &Handle,
) -> anyhow::Result<Desk> {
    Ok(Desk {
        datapath: Datapath::open(&config.guard, &instance.pin_dir(), memory.is_resumed()),
        authentication: authentication(config, instance, memory)?,
        outbox: Outbox::default(),
        neighbours: Neighbours::begin(handle.clone()),
        reporter,
        checks: checks.board().standings(),
    })
}

/// What interfaces must do while addresses are held on them; what a run that was killed has changed for that is put back.
fn settings(instance: &Instance, memory: &Memory) -> Arc<Settings> {
    let settings = Settings::new(instance.settings());
    if !memory.is_resumed() {
        // What needed them has been removed.
        settings.restore();
    }
    Arc::new(settings)
}

/// The sockets that the program before has left open, on interfaces that still have virtual routers.
fn sockets(memory: &Memory, links: &[LinkState]) -> anyhow::Result<Sockets> {
    let mut sockets = Sockets::default();
    for &(ifindex, is_ipv6, descriptor) in &memory.descriptors.advertisers {
        let socket = adopt(descriptor)?;
        if links.iter().any(|link| link.ifindex == ifindex) {
            sockets.adopt(ifindex, if is_ipv6 { Family::Ipv6 } else { Family::Ipv4 }, socket);
        }
    }
    Ok(sockets)
}

/// Where control clients connect, and a second descriptor of it for the next program.
fn listener(instance: &Instance, memory: &Memory) -> anyhow::Result<(tokio::net::UnixListener, OwnedFd)> {
    let listener = match memory.descriptors.control {
        Some(descriptor) => control::listen_on(adopt(descriptor)?)?,
        None => control::listen(&instance.socket())?,
    };
    let second = listener.as_fd().try_clone_to_owned()?;
    Ok((listener, second))
}

/// Who looks whether the clock may be gone by. A node that has been trusted to stand is not asked again.
fn watchman(config: &Config, memory: &Memory) -> Watchman {
    let signs = config.auth.as_ref().filter(|auth| auth.mode.signs() && !memory.is_resumed());
    Watchman::new(signs.map(|auth| auth.clock_grace))
}

/// What the elections have to do with the supervisor, and who keeps one: that of the program before, or a new one.
fn supervision(
    config: &Config,
    instance: &Instance,
    memory: &Memory,
    vitals: Arc<Vitals>,
    mailbox: &Mailbox,
) -> anyhow::Result<(Supervised, Custody)> {
    let resumed = memory.descriptors.supervisor.map(Supervisor::resume).transpose()?;
    let mut supervised = Supervised::new(vitals, config.restart_grace);
    if let Some(supervisor) = &resumed {
        supervised.turn_to(supervisor.clone());
    }
    let testaments = supervised.testaments();
    let custody = Keeper::begin(instance.clone(), mailbox.clone(), testaments, config.supervisor, resumed)
        .context("failed to watch for the end of child processes")?;
    Ok((supervised, custody))
}

/// Makes what the supervisor watches, when that of an earlier run has done its work; a program that goes on in
/// the same process has what is there.
fn vitals(config: &Config, instance: &Instance, memory: &Memory) -> anyhow::Result<Arc<Vitals>> {
    let path = instance.vitals();
    if memory.is_resumed() {
        return Ok(Arc::new(Vitals::open(&path).with_context(|| format!("failed to open `{}`", path.display()))?));
    }
    let hint = || format!("failed to make `{}`", path.display());
    if !vitals::wait_for_supervisor(&path, RELEASE_PATIENCE).with_context(hint)? {
        warn!("the supervisor of an earlier run does not end; it may take addresses from this one");
    }
    // None of the earlier run may be carried out for this one.
    let _ = fs::remove_file(instance.will());
    Ok(Arc::new(Vitals::create(&path, config.virtual_routers.len()).with_context(hint)?))
}

/// How adverts are authenticated, if they are: with the keys in their files, after what an earlier run has sent.
fn authentication(config: &Config, instance: &Instance, memory: &Memory) -> anyhow::Result<Option<Authentication>> {
    let Some(auth) = &config.auth else { return Ok(None) };
    // What is in the file may be a little older.
    let kept = memory.sequence.map(Sequence::new).or_else(|| sequence_file::read(&instance.sequence()));
    Ok(Some(Authentication::new(auth, keys::load(auth)?, kept)?))
}

/// Keeps what is sent for the next run.
fn keep_sequence(desk: &Desk, instance: &Instance) -> Option<JoinHandle<()>> {
    let sent = desk.authentication.as_ref()?.sent();
    let dir = instance.state_dir();
    if let Err(error) = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir) {
        warn!(%error, "failed to create `{}`; the sequence of signed adverts does not survive a restart", dir.display());
    }
    Some(tokio::spawn(sequence_file::keep(instance.sequence(), sent)))
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

/// The state of every interface that the configuration names. One that does not exist is told of, and keeps no other from
/// being served.
pub(crate) async fn read_links(handle: &Handle, watched: &Watched) -> anyhow::Result<Vec<LinkState>> {
    let links = link::read(handle, watched).await?;
    let absent: Vec<_> = links.iter().filter(|link| link.ifindex == 0).map(|link| &link.interface).collect();
    if !absent.is_empty() {
        let (_, present) = link::survey(handle).await?;
        for interface in absent {
            warn!(
                "there is no interface `{interface}`: its virtual routers stay in Fault until there is one; there are: {}",
                present.join(", ")
            );
        }
    }
    Ok(links)
}

/// Begins to hear the interfaces that are there; the others are attached when they appear.
fn attach(links: &[LinkState], desk: &mut Desk) -> anyhow::Result<Vec<Interface>> {
    if let Some(authentication) = &desk.authentication {
        desk.datapath.set_keys(authentication.midstates())?;
    }
    let attach = |link: &LinkState| {
        if link.ifindex == 0 {
            return Ok(Interface::absent(&link.interface));
        }
        let attachment = desk.datapath.attach(&link.interface, link.ifindex)?;
        Ok(Interface { ifindex: link.ifindex, link: link.clone(), attachment, again_at: None })
    };
    links.iter().map(attach).collect()
}

/// [Claims](claims::claim) the interface, unless the program before has.
fn resume_claim(link: &LinkState, memory: &Memory) -> anyhow::Result<UnixListener> {
    match memory.descriptors.claims.get(&link.interface) {
        Some(&descriptor) => Ok(adopt(descriptor)?.into()),
        None => claims::claim(&link.interface),
    }
}

/// Makes the virtual routers, and for each a task that keeps its addresses. The guard forgets all others.
fn build_routers(
    config: &Config,
    memory: &Memory,
    interfaces: &[Interface],
    sockets: &mut Sockets,
    crew: &mut Crew,
    desk: &mut Desk,
) -> anyhow::Result<Vec<VirtualRouter>> {
    // The supervisor goes on until this program's first sign of life.
    let covered_until = memory.descriptors.supervisor.map(|_| clock::now());
    let deaf_until = |interface: &Interface, desk: &Desk| {
        (!desk.datapath.has_gone_on_hearing(interface.attachment.mode)).then(clock::now)
    };
    let build = |entry: &config::VirtualRouter| {
        let interface = interfaces.iter().find(|interface| interface.link.interface == entry.interface);
        let interface = interface.ok_or_else(|| anyhow!("no state of interface `{}`", entry.interface))?;
        if interface.ifindex != 0 {
            check_mtu(entry, &interface.link, config.auth.is_some())?;
        }
        let interlude = Interlude { covered_until, deaf_until: deaf_until(interface, desk) };
        let known = memory.router(&entry.identity()).map(|router| (router, interlude));
        let mut entry = entry.clone();
        if memory.is_of_this_process() {
            // The agent has started long ago.
            entry.startup_delay = Duration::ZERO;
        }
        VirtualRouter::build(entry, interface, sockets, crew, desk, known)
    };
    let routers = config.virtual_routers.iter().map(build).collect::<anyhow::Result<_>>()?;
    desk.datapath.drop_leftovers()?;
    tell_of_router_flag(config);
    Ok(routers)
}

/// Says where the kernel's answers to Neighbor Solicitations lack the Router flag that RFC 9568 §6.4.3 wants: where it does
/// not forward. Harmless for the addresses of services, and not for those of a gateway.
fn tell_of_router_flag(config: &Config) {
    let answered_by_host = |router: &&config::VirtualRouter| router.family == Family::Ipv6 && !router.virtual_mac;
    let interfaces: BTreeSet<_> =
        config.virtual_routers.iter().filter(answered_by_host).map(|router| &router.interface).collect();
    for interface in interfaces {
        if Setting::FORWARDING_IPV6.read(interface).is_ok_and(|forwarding| forwarding == 0) {
            info!(
                interface,
                "net.ipv6.conf.{interface}.forwarding is 0: the kernel answers Neighbor Solicitations without the Router \
                 flag, which hosts only need where the virtual router is their gateway"
            );
        }
    }
}

pub(crate) fn about(config: &Config, instance: &Instance) -> Snapshot {
    Snapshot {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: config.cluster.clone(),
        node: config.node.clone(),
        pid: std::process::id(),
        drained: instance.drained().exists(),
        supervisor: None,
        guard: config.guard.mode.to_string(),
        authentication: None,
        clock_synchronised: false,
        configuration: ConfigurationStatus::default(),
        netlink_resyncs: 0,
        send_lateness: LatenessStatus::default(),
        alarms: Vec::new(),
        notifications: Vec::new(),
        events_lost: 0,
        interfaces: Vec::new(),
        checks: Vec::new(),
        hetzner: Vec::new(),
        virtual_routers: Vec::new(),
        groups: Vec::new(),
    }
}
