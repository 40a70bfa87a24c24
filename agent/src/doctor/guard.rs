//! What the guard will meet on each interface, and how it does where one is there.

use super::{
    agent::Agent,
    host::Host,
    interface::by_interface,
    kind::Kind,
    report::{Area, Report},
};
use crate::{
    config::{Attach, Config},
    datapath::prospect::Prospect,
    instance::Instance,
};

/// Looks at each interface of the configuration.
pub(super) fn look(report: &mut Report, host: &Host, agent: &Agent, config: &Config, instance: &Instance) {
    for name in by_interface(config).into_keys() {
        let Some(link) = host.link(name) else { continue };
        let mut area = report.area(format!("guard on {name}"));
        if config.guard.attach == Attach::Off {
            area.conclude("none is wanted (attach = \"off\")");
            continue;
        }
        match Prospect::look(link.ifindex, &config.guard) {
            Ok(prospect) => look_at(&mut area, &prospect),
            Err(error) => area.miss(format!("what is attached there: {error}")),
        }
        let status = agent.snapshot().and_then(|snapshot| snapshot.interfaces.iter().find(|it| it.name == name));
        if let Some((status, why)) = status.and_then(|status| Some((status, status.attach_reason.as_ref()?))) {
            let remedy = format!("mend what is named, then restart the agent: `systemctl restart {instance}`");
            area.find(Kind::GuardDegraded, format!("adverts are judged by {}: {why}", status.attach), remedy);
        }
        area.conclude(match status {
            Some(status) => format!("adverts are judged by {}", status.attach),
            None => "nothing speaks against it".to_owned(),
        });
    }
}

fn look_at(area: &mut Area<'_>, prospect: &Prospect) {
    let name = &prospect.nic.name;
    if let Some(occupant) = prospect.occupant.as_ref().filter(|it| it.name.is_none()) {
        area.miss(format!("whose XDP program is on `{name}` ({occupant}): its name is seen with CAP_SYS_ADMIN"));
    } else if let Some(occupant) = &prospect.occupant {
        let what = format!("another XDP program is on `{name}`: {occupant}");
        area.find(
            Kind::XdpOccupied,
            what,
            format!("ip link set {name} xdp off, if nobody needs it; else attach = \"tcx\""),
        );
    }
    if prospect.nic.offloads.is_some_and(|offloads| offloads.lro) {
        area.find(
            Kind::LroOn,
            format!("large receive offload of `{name}` is on"),
            format!("ethtool -K {name} lro off"),
        );
    }
    for reason in &prospect.missing {
        area.find(Kind::VlanTagsHidden, reason, "end what is named, or leave `[guard] vlan` out");
    }
    for note in &prospect.notes {
        area.find(Kind::AttachNote, note, "nothing has to be done");
    }
    if !prospect.neighbours.is_empty() {
        let what = format!("traffic control of `{name}` has programs of others: {}", prospect.neighbours.join(", "));
        area.find(Kind::TrafficControlShared, what, format!("`bpftool net show dev {name}` shows their order"));
    }
}
