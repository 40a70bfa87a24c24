//! What the agent says of itself, where one runs; and what one that was killed has left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use vrrp_wire::Family;

use super::{kind::Kind, report::Report};
use crate::{
    claims,
    config::{Config, Peer, PeerSource, VirtualRouter},
    inspect::{PinnedMaps, SpeakerRow, Speakers, View},
    instance::Instance,
    observe::{RouterStatus, Snapshot, control, milliseconds},
};

/// What a takeover may take on a busy host, in milliseconds, besides the intervals that it waits for.
const TAKEOVER_MS: u64 = 1_000;

/// What there is of an agent.
#[derive(Debug)]
pub(super) enum Agent {
    /// None.
    Absent,
    /// One that does not answer, and how that shows.
    Hanging(String),
    /// One that this process may not ask.
    Unknown(String),
    /// One that answers.
    Running(Box<Snapshot>),
}

impl Agent {
    /// Asks.
    pub(super) fn ask(instance: &Instance) -> Self {
        let socket = instance.socket();
        match control::connect(&socket) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Self::Absent;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Self::Hanging("it lets nobody in any more".to_owned());
            }
            Err(error) => return Self::Unknown(format!("`{}`: {error}", socket.display())),
        }
        match control::ask_status(&socket) {
            Ok(snapshot) => Self::Running(Box::new(snapshot)),
            Err(error) => Self::Hanging(format!("{error:#}")),
        }
    }

    /// What it said, if it did.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        if let Self::Running(snapshot) = self { Some(snapshot) } else { None }
    }

    /// Its process id, where processes of this number are seen from here.
    pub(super) fn process(&self) -> Option<u32> {
        let pid = self.snapshot()?.pid;
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "vipd").then_some(pid)
    }

    /// What it says of a virtual router.
    pub(super) fn router(&self, router: &VirtualRouter) -> Option<&RouterStatus> {
        let family = router.family.to_string();
        self.snapshot()?.virtual_routers.iter().find(|status| {
            (status.vrid, &status.family, &status.interface) == (router.vrid.get(), &family, &router.interface)
        })
    }
}

/// Looks at the agent.
pub(super) fn look(report: &mut Report, agent: &Agent, config: Option<&Config>, instance: &Instance) {
    let mut area = report.area("agent");
    let pins = instance.pin_dir();
    match agent {
        Agent::Unknown(why) => area.miss(format!("whether it runs, and what it says: {why}")),
        Agent::Absent => {
            area.find(
                Kind::AgentNotRunning,
                format!("no agent runs as {instance}"),
                "start the service, or `vipd run`",
            );
            match fs::read_dir(&pins).map(|mut entries| entries.next().is_some()) {
                Ok(true) => {
                    let what = format!("maps and programs are pinned in `{}`, and no agent runs", pins.display());
                    let remedy = format!("start the agent again, or {}", command("detach", instance));
                    area.find(Kind::PinsLeft, what, remedy);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    area.miss(format!("what is pinned in `{}`: {error}", pins.display()));
                }
                Ok(false) | Err(_) => {}
            }
        }
        Agent::Hanging(why) => {
            let what = format!("somebody listens on `{}` and does not answer: {why}", instance.socket().display());
            area.find(Kind::AgentHangs, what, "look into its log, then end the process and start it again");
        }
        Agent::Running(snapshot) => {
            if snapshot.pid == 1 {
                area.find(Kind::AgentIsInit, "its process id is 1", "start an init in front of it, such as tini");
            }
            let own = env!("CARGO_PKG_VERSION");
            if snapshot.version != own {
                let what = format!("the agent is vipd {}, and this is vipd {own}", snapshot.version);
                area.find(Kind::AgentOtherVersion, what, command("restart", instance));
            }
        }
    }
    if let (Some(config), Agent::Absent) = (config, agent) {
        let claimed = claims::claimed().unwrap_or_default();
        let names: BTreeSet<_> = config.virtual_routers.iter().map(|router| &router.interface).collect();
        for name in names.into_iter().filter(|name| claimed.contains(*name)) {
            let what = format!("another agent serves `{name}`, and {instance} is to serve it too");
            let remedy = "stop that agent, or ask about it by --instance; `ls -d /run/vipd*` shows their names";
            area.find(Kind::InterfaceClaimed, what, remedy);
        }
    }
    if let Agent::Running(snapshot) = agent {
        area.conclude(format!("vipd {} runs as {instance} (process {}) and answers", snapshot.version, snapshot.pid));
        look_at_alarms(report, snapshot, instance);
    }
    if let Some(config) = config {
        look_at_peers(report, agent, config, instance);
    }
}

fn look_at_alarms(report: &mut Report, snapshot: &Snapshot, instance: &Instance) {
    let mut area = report.area("virtual routers");
    for router in &snapshot.virtual_routers {
        let name = format!("{}/{}", router.name, router.family);
        let why = router.reason.as_deref().unwrap_or("it does not say why");
        if router.state == "Fault" {
            area.find(Kind::RouterFault, format!("{name} is in Fault: {why}"), command("explain", instance));
        }
        let unsent = router.tally.adverts_unsent;
        if unsent > 0 {
            let what = format!("{unsent} adverts of {name} could not be sent since the start");
            area.find(Kind::AdvertsUnsent, what, "look for the reason in the agent's log");
        }
    }
    for alarm in &snapshot.alarms {
        let mut parts = vec![alarm.kind.to_string()];
        parts.extend([&alarm.router, &alarm.peer].into_iter().flatten().cloned());
        let what = format!("{}: {}", parts.join(": "), alarm.what);
        area.find(Kind::AgentAlarm, what, command("status", instance));
    }
    let active = snapshot.virtual_routers.iter().filter(|router| router.state == "Active").count();
    let count = snapshot.virtual_routers.len();
    area.conclude(format!("{active} of {count} are Active here, none is in Fault, and there is no alarm"));
}

/// Who should be heard, and who is.
fn look_at_peers(report: &mut Report, agent: &Agent, config: &Config, instance: &Instance) {
    let mut area = report.area("peers");
    let speakers = match speakers(&instance.pin_dir(), instance) {
        Ok(Some(speakers)) => Some(speakers),
        Ok(None) => None,
        Err(error) => {
            area.miss(format!("whom the guard has heard: {error:#}"));
            None
        }
    };
    for router in &config.virtual_routers {
        let Some(status) = agent.router(router) else { continue };
        let name = format!("{}/{}", router.name, router.family);
        // One that is better takes over within Active_Down_Interval and what `preempt` has it wait for.
        let Some(waits) = router.preempt_after else { continue };
        let patience_ms = TAKEOVER_MS + 4 * status.advertisement_interval_ms + milliseconds(waits);
        if status.state != "Active" || status.since_ms <= patience_ms {
            continue;
        }
        for peer in router.peers.iter().filter(|peer| peer.priority.get() > status.configured_priority) {
            let what = format!(
                "{name} is Active here with priority {}, and {} has {}",
                status.configured_priority,
                peer.node,
                peer.priority.get()
            );
            area.find(Kind::PreferredPeerSilent, what, format!("`vipd explain {}` on {}", router.name, peer.node));
        }
    }
    let Some(speakers) = speakers else { return };
    let peers = || config.virtual_routers.iter().flat_map(|router| router.peers.iter().map(move |peer| (router, peer)));
    let nodes: BTreeSet<_> = peers().map(|(_, peer)| peer.node.as_str()).collect();
    let heard: BTreeSet<_> = peers()
        .filter(|(router, peer)| speakers.iter().any(|row| is_of(row, router.family, peer)))
        .map(|(_, peer)| peer.node.as_str())
        .collect();
    for node in nodes.difference(&heard) {
        let what = format!("no advert of {node} has come since the guard is there");
        area.find(Kind::PeerUnheard, what, format!("`vipd status` on {node}; {} here", command("speakers", instance)));
    }
    let heard: Vec<_> = heard.into_iter().collect();
    area.conclude(if heard.is_empty() { "there are none".to_owned() } else { format!("heard: {}", heard.join(", ")) });
}

/// Whom the guard has heard; `None` where there is no guard.
fn speakers(pins: &Path, instance: &Instance) -> anyhow::Result<Option<Vec<SpeakerRow>>> {
    if !pins.try_exists()? {
        return Ok(None);
    }
    let maps = PinnedMaps::open(instance)?;
    Ok(Some(Speakers::new(&maps.sources()?, &BTreeMap::new(), &View::present()).speakers))
}

/// Whether a speaker is this peer, for whichever virtual router.
fn is_of(row: &SpeakerRow, family: Family, peer: &Peer) -> bool {
    let is_family = row.source.is_ipv4() == (family == Family::Ipv4);
    is_family
        && match peer.source {
            PeerSource::Address(address) => row.source == address,
            PeerSource::Mac(mac) => row.mac == mac.to_string(),
        }
}

/// What is typed to have the agent of `instance` asked.
pub(super) fn command(name: &str, instance: &Instance) -> String {
    let words: Vec<_> = ["vipd", name].into_iter().chain(instance.arguments()).collect();
    format!("`{}`", words.join(" "))
}
