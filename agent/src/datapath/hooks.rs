//! Puts the programs on interfaces, and takes them off again. Never touches a program, link, filter or queueing
//! discipline of anybody else.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::PathBuf,
};

use anyhow::{Context, anyhow, bail};
use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode,
        links::FdLink,
        loaded_programs,
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, qdisc_add_clsact, qdisc_detach_program},
    },
};
use nix::errno::Errno;
use tracing::{debug, warn};
use vrrp_wire::abi::program;

use super::{
    attach::{Hook, Seat},
    netlink::{self, Side, filters},
    nic::{Nic, name_of},
    object::Object,
    pins::Pins,
    preflight::Occupant,
};

/// The priority of a filter that comes before all others, as far as it is free.
const FIRST_PRIORITY: u16 = 1;

/// The programs of the object, and where they are attached.
pub struct Programs {
    object: Object,
    /// Programs that were loaded, or refused for a reason.
    loaded: Vec<(&'static str, Result<(), String>)>,
    pins: Option<Pins>,
    /// Links of an earlier run that this one may take over.
    inherited: Vec<(Seat, FdLink)>,
    held: Vec<(Seat, Hold)>,
}

/// What keeps a program attached.
enum Hold {
    /// Gone when the file descriptor is closed and the file is removed.
    Link { _link: FdLink, pin: Option<PathBuf> },
    /// Removed on drop.
    Filter { filter: SchedClassifierLink, name: String, made_qdisc: bool },
}

impl Programs {
    /// The programs of `object`. Each is loaded, and verified by the kernel, when it is first needed: that takes half a second,
    /// unless it was [rehearsed](super::object::rehearse).
    pub(super) fn new(object: Object, pins: Option<Pins>) -> Self {
        let inherited = pins.as_ref().map(Pins::links).unwrap_or_default();
        Self { object, loaded: Vec::new(), pins, inherited, held: Vec::new() }
    }

    /// Loads the program `name`, unless that was tried before; an error says why the kernel refuses it.
    fn load(&mut self, name: &'static str) -> anyhow::Result<()> {
        if let Some((_, outcome)) = self.loaded.iter().find(|(known, _)| *known == name) {
            return outcome.clone().map_err(|why| anyhow!("{why}"));
        }
        let outcome = self.object.load(name).map_err(|error| format!("{error:#}"));
        self.loaded.push((name, outcome.clone()));
        outcome.map_err(|why| anyhow!("{why}"))
    }

    /// Takes over what was [rehearsed](super::object::rehearse) for this program file.
    pub(super) fn use_rehearsed(&mut self) {
        if let Some(pins) = &self.pins {
            self.object.use_rehearsed(pins);
        }
    }

    /// The number of a program that was rehearsed, if there is one.
    pub(super) fn rehearsed_id(&self) -> Option<u32> {
        self.object.rehearsed_id()
    }

    /// The loaded object.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        self.object.ebpf_mut()
    }

    /// The XDP program.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        self.load(program::XDP)?;
        self.object.xdp()
    }

    /// The classifier `name`, one of [`program::INGRESS`] and [`program::EGRESS`].
    pub fn classifier(&mut self, name: &'static str) -> anyhow::Result<&mut SchedClassifier> {
        self.load(name)?;
        self.object.classifier(name)
    }

    /// Puts a program on one side of `nic`: the link of an earlier run gets it if there is one, atomically. Says whether
    /// there was. What else an earlier run has left there is removed.
    pub fn attach(&mut self, nic: &Nic, side: Side, hook: Hook) -> anyhow::Result<bool> {
        let seat = Seat { ifindex: nic.ifindex, side, hook };
        if self.held.iter().any(|(held, _)| *held == seat) {
            return Ok(false);
        }
        let name = self.program_of(seat)?;
        if let Some(hold) = self.renew(seat, nic) {
            self.held.push((seat, hold));
            self.give_up(|other| other.ifindex == seat.ifindex && other.side == side);
            remove_ours(&nic.name, side);
            return Ok(true);
        }
        // An interface has one XDP program, and filters of ours are known by their name.
        self.give_up(|other| {
            other.ifindex == seat.ifindex && other.side == side && other.hook.is_xdp() && hook.is_xdp()
        });
        remove_ours(&nic.name, side);
        let hold = match hook {
            Hook::Native => self.attach_xdp(seat, nic, XdpMode::Driver),
            Hook::Generic => self.attach_xdp(seat, nic, XdpMode::Skb),
            Hook::Tcx => self.attach_tcx(seat, nic, name),
            Hook::Clsact => self.attach_filter(seat, nic, name),
        }?;
        self.held.push((seat, hold));
        self.give_up(|other| other.ifindex == seat.ifindex && other.side == side);
        Ok(false)
    }

    /// How an earlier run was attached to one side of `ifindex`.
    #[must_use]
    pub fn inherits(&self, ifindex: u32, side: Side) -> Option<Hook> {
        let is_there = |seat: &Seat| seat.ifindex == ifindex && seat.side == side;
        self.inherited.iter().map(|(seat, _)| *seat).find(is_there).map(|seat| seat.hook)
    }

    /// Takes the programs off one side of `ifindex`.
    pub fn detach(&mut self, ifindex: u32, side: Side) {
        let is_meant = |seat: &Seat| seat.ifindex == ifindex && seat.side == side;
        for (seat, hold) in self.held.extract_if(.., |(seat, _)| is_meant(seat)) {
            release(seat, hold, self.pins.as_ref());
        }
        self.give_up(|seat| is_meant(&seat));
    }

    /// Removes what an earlier run has left on interfaces that this one does not serve.
    pub fn drop_leftovers(&mut self) {
        self.give_up(|_| true);
        let Some(pins) = &self.pins else { return };
        for ifindex in pins.noted_filters() {
            let is_held = |(seat, _): &(Seat, _)| seat.ifindex == ifindex && seat.hook == Hook::Clsact;
            if self.held.iter().any(is_held) {
                continue;
            }
            if let Some(name) = name_of(ifindex) {
                remove_filters(&name, ifindex, pins.made_qdisc(ifindex));
            }
            pins.forget_filters(ifindex);
        }
    }

    /// The XDP program of somebody else that is on `nic`.
    #[must_use]
    pub(super) fn occupant(&self, nic: &Nic) -> Option<Occupant> {
        let id = nic.xdp?;
        let is_held = self.held.iter().any(|(seat, _)| seat.ifindex == nic.ifindex && seat.hook.is_xdp());
        let is_inherited = self.inherited.iter().any(|(seat, link)| seat.hook.is_xdp() && program_id(link) == Some(id));
        if is_held || is_inherited {
            return None;
        }
        Some(Occupant { id, name: program_name(id) })
    }

    /// The name of the program for `seat`, if the kernel has taken it.
    fn program_of(&mut self, seat: Seat) -> anyhow::Result<&'static str> {
        let name = match (seat.hook, seat.side) {
            (Hook::Native | Hook::Generic, Side::Ingress) => program::XDP,
            (Hook::Native | Hook::Generic, Side::Egress) => bail!("XDP does not see what is sent"),
            (Hook::Tcx | Hook::Clsact, Side::Ingress) => program::INGRESS,
            (Hook::Tcx | Hook::Clsact, Side::Egress) => program::EGRESS,
        };
        self.load(name)?;
        Ok(name)
    }

    /// Gives the program to the link of an earlier run.
    fn renew(&mut self, seat: Seat, nic: &Nic) -> Option<Hold> {
        let at = self.inherited.iter().position(|(known, _)| *known == seat)?;
        let (_, link) = self.inherited.swap_remove(at);
        let pin = self.pins.as_ref()?.link(seat);
        match self.update(seat, nic, link) {
            Ok(link) => Some(Hold::Link { _link: link, pin: Some(pin) }),
            Err(error) => {
                // Its interface is gone, most of all.
                debug!(interface = nic.name, hook = %seat.hook, "a pinned link is of no use: {error:#}");
                let _ = fs::remove_file(pin);
                None
            }
        }
    }

    fn update(&mut self, seat: Seat, nic: &Nic, link: FdLink) -> anyhow::Result<FdLink> {
        let program = program_id(&link).context("it has no program")?;
        // The file names the interface by its index, which is another one's in another network namespace.
        let is_there = if seat.hook.is_xdp() {
            nic.xdp == Some(program)
        } else {
            // Without CAP_SYS_ADMIN nobody lets us know.
            SchedClassifier::query_tcx(&nic.name, attach_type(seat.side))
                .map_or(true, |(_, programs)| programs.iter().any(|it| it.id() == program))
        };
        if !is_there {
            bail!("it is not on this interface");
        }
        if seat.hook.is_xdp() {
            let xdp = self.object.xdp()?;
            let id = xdp.attach_to_link(link.try_into()?)?;
            return Ok(xdp.take_link(id)?.try_into()?);
        }
        let name = self.program_of(seat)?;
        let classifier = self.object.classifier(name)?;
        let id = classifier.attach_to_link(link.try_into()?)?;
        Ok(classifier.take_link(id)?.try_into()?)
    }

    fn attach_xdp(&mut self, seat: Seat, nic: &Nic, mode: XdpMode) -> anyhow::Result<Hold> {
        let program = self.object.xdp()?;
        let id = program.attach_to_if_index(seat.ifindex, mode).map_err(|error| attach_error(error, seat.hook, nic))?;
        let Ok(link) = FdLink::try_from(program.take_link(id)?) else {
            // aya attaches over netlink where the kernel refuses a link. That would outlive this process.
            let fd = program.fd()?.as_fd().as_raw_fd();
            netlink::remove_xdp(seat.ifindex, fd, mode_flag(mode))
                .context("the kernel offers no bpf_link for XDP, and what was attached without one stays")?;
            bail!("the kernel offers no bpf_link for XDP");
        };
        self.hold_link(seat, link)
    }

    fn attach_tcx(&mut self, seat: Seat, nic: &Nic, name: &str) -> anyhow::Result<Hold> {
        let classifier = self.object.classifier(name)?;
        let mut attach =
            |order| classifier.attach_with_options(&nic.name, attach_type(seat.side), TcAttachOptions::TcxOrder(order));
        // A program that ends the chain in front of ours would hide frames from it.
        let id = attach(LinkOrder::first()).or_else(|_| attach(LinkOrder::default()));
        let id = id.map_err(|error| attach_error(error, seat.hook, nic))?;
        let link = classifier.take_link(id)?.try_into()?;
        self.hold_link(seat, link)
    }

    fn attach_filter(&mut self, seat: Seat, nic: &Nic, name: &str) -> anyhow::Result<Hold> {
        let made = match qdisc_add_clsact(&nic.name) {
            Ok(()) => true,
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(Errno::EEXIST as i32) => false,
            Err(error) => return Err(anyhow!(error).context("failed to add the queueing discipline `clsact`")),
        };
        let made_qdisc =
            made || self.pins.as_ref().is_some_and(|pins| pins.made_qdisc(seat.ifindex)) || self.made_qdisc(seat);
        if let Some(pins) = &self.pins
            && let Err(error) = pins.note_filters(seat.ifindex, made_qdisc)
        {
            warn!(interface = nic.name, %error, "`vipd detach` will not know of the filters there");
        }
        let classifier = self.object.classifier(name)?;
        let mut attach = |priority| {
            let options = TcAttachOptions::Netlink(NlOptions { priority, ..NlOptions::default() });
            classifier.attach_with_options(&nic.name, attach_type(seat.side), options)
        };
        // A filter that ends the chain in front of ours would hide frames from it. A priority is for filters of one kind; 0 leaves
        // the choice to the kernel, which puts ours behind those that have a small one.
        let mut attached = attach(FIRST_PRIORITY);
        for priority in [FIRST_PRIORITY + 1, 0] {
            attached = attached.or_else(|_| attach(priority));
        }
        let filter =
            attached.map_err(|error| attach_error(error, seat.hook, nic)).and_then(|id| Ok(classifier.take_link(id)?));
        if filter.is_err() && made_qdisc {
            remove_empty_qdisc(seat.ifindex);
        }
        Ok(Hold::Filter { filter: filter?, name: nic.name.clone(), made_qdisc })
    }

    /// Whether the queueing discipline on an interface came with our filter on the other side.
    fn made_qdisc(&self, seat: Seat) -> bool {
        let is_ours = |hold: &Hold| matches!(hold, Hold::Filter { made_qdisc: true, .. });
        self.held.iter().any(|(held, hold)| held.ifindex == seat.ifindex && is_ours(hold))
    }

    fn hold_link(&self, seat: Seat, link: FdLink) -> anyhow::Result<Hold> {
        let Some(pins) = &self.pins else { return Ok(Hold::Link { _link: link, pin: None }) };
        let path = pins.link(seat);
        let _ = fs::remove_file(&path);
        let link = link.pin(&path).with_context(|| format!("failed to pin `{}`", path.display()))?;
        Ok(Hold::Link { _link: link.into(), pin: Some(path) })
    }

    /// Removes inherited links.
    fn give_up(&mut self, is_meant: impl Fn(Seat) -> bool) {
        let Some(pins) = &self.pins else { return };
        for (seat, _) in self.inherited.extract_if(.., |(seat, _)| is_meant(*seat)) {
            if let Err(error) = fs::remove_file(pins.link(seat)) {
                warn!(ifindex = seat.ifindex, hook = %seat.hook, %error, "failed to remove the link of an earlier run");
            }
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for (seat, hold) in self.held.drain(..) {
            release(seat, hold, self.pins.as_ref());
        }
    }
}

fn release(seat: Seat, hold: Hold, pins: Option<&Pins>) {
    match hold {
        Hold::Link { pin, .. } => {
            if let Some(pin) = pin {
                // What is left is replaced by the next run, or removed by `vipd detach`.
                let _ = fs::remove_file(pin);
            }
        }
        Hold::Filter { filter, name, made_qdisc } => {
            drop(filter);
            if made_qdisc {
                remove_empty_qdisc(seat.ifindex);
            }
            let is_free = |side| filters(seat.ifindex, side).is_ok_and(|found| !found.iter().any(|it| is_ours(it)));
            if let Some(pins) = pins.filter(|_| Side::BOTH.into_iter().all(is_free)) {
                debug!(interface = name, "no filter of ours is left");
                pins.forget_filters(seat.ifindex);
            }
        }
    }
}

/// Removes the filters of ours on an interface, and the queueing discipline if it is ours and nobody else uses it.
pub(super) fn remove_filters(name: &str, ifindex: u32, made_qdisc: bool) {
    for side in Side::BOTH {
        remove_ours(name, side);
    }
    if made_qdisc {
        remove_empty_qdisc(ifindex);
    }
}

fn remove_ours(name: &str, side: Side) {
    let program = match side {
        Side::Ingress => program::INGRESS,
        Side::Egress => program::EGRESS,
    };
    // There are none, or no queueing discipline that could have any.
    let _ = qdisc_detach_program(name, attach_type(side), program);
}

fn remove_empty_qdisc(ifindex: u32) {
    // The filters of others would go with it.
    if Side::BOTH.into_iter().all(|side| filters(ifindex, side).is_ok_and(|found| found.is_empty()))
        && let Err(error) = netlink::remove_clsact(ifindex)
    {
        debug!(ifindex, %error, "failed to remove the queueing discipline `clsact`");
    }
}

/// What others have in traffic control of `nic`, by name, as far as the kernel lets us know.
#[must_use]
pub(super) fn neighbours(nic: &Nic) -> Vec<String> {
    let mut names = Vec::new();
    for side in Side::BOTH {
        names.extend(filters(nic.ifindex, side).unwrap_or_default());
        if let Ok((_, programs)) = SchedClassifier::query_tcx(&nic.name, attach_type(side)) {
            names.extend(programs.iter().filter_map(|program| program.name_as_str().map(str::to_owned)));
        }
    }
    names.retain(|name| !is_ours(name));
    names.sort();
    names.dedup();
    names
}

fn is_ours(name: &str) -> bool {
    [program::INGRESS, program::EGRESS].contains(&name)
}

const fn attach_type(side: Side) -> TcAttachType {
    match side {
        Side::Ingress => TcAttachType::Ingress,
        Side::Egress => TcAttachType::Egress,
    }
}

const fn mode_flag(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Default => 0,
        XdpMode::Skb => 1 << 1,
        XdpMode::Driver => 1 << 2,
        XdpMode::Hardware => 1 << 3,
    }
}

/// The program that a link holds.
fn program_id(link: &FdLink) -> Option<u32> {
    link.info().ok().map(|info| info.program_id())
}

/// The name of a program, where the kernel lets us know.
pub(super) fn program_name(id: u32) -> Option<String> {
    let info = loaded_programs().find_map(|info| info.ok().filter(|info| info.id() == id))?;
    info.name_as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The kernel says no more than a number, unless the driver has refused XDP as invalid.
fn attach_error(error: ProgramError, hook: Hook, nic: &Nic) -> anyhow::Error {
    let number = if let ProgramError::SyscallError(error) = &error {
        error.io_error.raw_os_error()
    } else if let ProgramError::TcError(TcError::NetlinkError(error)) = &error {
        error.raw_os_error()
    } else {
        None
    };
    let Some(number) = number else { return anyhow!(error).context(format!("the kernel refused (MTU {})", nic.mtu)) };
    let errno = Errno::from_raw(number);
    let meaning = if hook.is_xdp() && [Errno::EBUSY, Errno::EEXIST].contains(&errno) {
        "another XDP program is attached there".to_owned()
    } else if hook == Hook::Native && errno == Errno::EOPNOTSUPP {
        "the driver has no native XDP".to_owned()
    } else if hook.is_xdp() && errno == Errno::ERANGE {
        format!("the MTU of {} is too large for XDP in this driver", nic.mtu)
    } else if hook == Hook::Tcx && errno == Errno::EINVAL {
        "this kernel has no tcx, which came with Linux 6.6".to_owned()
    } else if errno == Errno::EPERM {
        "not allowed (it needs CAP_NET_ADMIN and CAP_BPF)".to_owned()
    } else {
        "the kernel refused".to_owned()
    };
    anyhow!("{meaning} ({})", io::Error::from_raw_os_error(number))
}
