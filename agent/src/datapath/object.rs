//! The object with the programs and maps: how it comes into the kernel.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, SchedClassifier, Xdp},
    util::KernelVersion,
};
use aya_obj::programs::XdpAttachType;
use nix::errno::Errno;
use tracing::{debug, info, warn};
use vrrp_wire::abi::program;

use super::pins::{Earlier, Pins};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vipd-guard"));

/// The programs, each of which the kernel verifies before it can be attached.
pub(super) struct Object {
    ebpf: Ebpf,
    /// Programs that another process has loaded, and the kernel verified, beforehand.
    rehearsed: Rehearsed,
}

#[derive(Default)]
struct Rehearsed {
    xdp: Option<Xdp>,
    classifiers: HashMap<&'static str, SchedClassifier>,
}

impl Object {
    pub(super) fn new(ebpf: Ebpf) -> Self {
        Self { ebpf, rehearsed: Rehearsed::default() }
    }

    pub(super) const fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Takes over the programs that were [`rehearse`]d for this program file, and no other.
    pub(super) fn use_rehearsed(&mut self, pins: &Pins) {
        let path = |name| pins.rehearsed(name, fingerprint());
        self.rehearsed.xdp = Xdp::from_pin(path(program::XDP), XdpAttachType::Interface).ok();
        for name in [program::INGRESS, program::EGRESS] {
            let program = SchedClassifier::from_pin(path(name)).ok();
            self.rehearsed.classifiers.extend(program.map(|program| (name, program)));
        }
        let count = usize::from(self.rehearsed.xdp.is_some()) + self.rehearsed.classifiers.len();
        debug!(count, "programs were verified beforehand");
        pins.forget_rehearsed();
    }

    /// The number of a program that was rehearsed, if there is one.
    pub(super) fn rehearsed_id(&self) -> Option<u32> {
        let xdp = self.rehearsed.xdp.iter().map(Xdp::info);
        let mut found = xdp.chain(self.rehearsed.classifiers.values().map(SchedClassifier::info));
        found.find_map(|info| Some(info.ok()?.id()))
    }

    /// Loads the program `name`; an error says why the kernel refuses it.
    pub(super) fn load(&mut self, name: &str) -> anyhow::Result<()> {
        if name == program::XDP {
            return if self.rehearsed.xdp.is_some() { Ok(()) } else { self.xdp()?.load().map_err(load_error) };
        }
        if self.rehearsed.classifiers.contains_key(name) {
            return Ok(());
        }
        self.classifier(name)?.load().map_err(load_error)
    }

    /// The XDP program.
    pub(super) fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        match &mut self.rehearsed.xdp {
            Some(program) => Ok(program),
            None => xdp(&mut self.ebpf),
        }
    }

    /// The classifier `name`.
    pub(super) fn classifier(&mut self, name: &str) -> anyhow::Result<&mut SchedClassifier> {
        match self.rehearsed.classifiers.get_mut(name) {
            Some(program) => Ok(program),
            None => classifier(&mut self.ebpf, name),
        }
    }
}

/// Has the kernel verify the programs that are attached in `pin_dir`, as this program file has them, and leaves them there for
/// the process that becomes this program. Where the maps there do not fit, that process makes new ones, and loads again.
pub fn rehearse(pin_dir: &Path) -> anyhow::Result<()> {
    if !pin_dir.is_dir() {
        return Ok(());
    }
    let pins = Pins::open(pin_dir)?;
    let fresh = loader().load(&object()).context(REFUSED)?;
    if pins.earlier(&fresh) != Earlier::Fit {
        return Ok(());
    }
    let mut loader = loader();
    pins.offer(&mut loader);
    let mut object = Object::new(loader.load(&object()).context(REFUSED)?);
    pins.forget_rehearsed();
    for name in pins.attached_programs() {
        object.load(name)?;
        let path = pins.rehearsed(name, fingerprint());
        if name == program::XDP { object.xdp()?.pin(&path)? } else { object.classifier(name)?.pin(&path)? }
    }
    Ok(())
}

const REFUSED: &str = "the kernel refused a map of the guard";

/// A loader that does without the kernel's own type information: the programs go by no structure of the kernel's, and reading it takes
/// megabytes that are never given back.
fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// Tells the object of one program file from that of another.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    OBJECT.hash(&mut hasher);
    hasher.finish()
}

/// Makes the maps, or opens those of an earlier run; says where they are pinned, and whether they are an earlier run's.
pub(super) fn load_maps(pin_dir: Option<&Path>) -> anyhow::Result<(Ebpf, Option<Pins>, bool)> {
    let fresh = loader().load(&object()).context(REFUSED)?;
    let Some(pins) = pin_dir.and_then(open) else { return Ok((fresh, None, false)) };
    match pins.earlier(&fresh) {
        Earlier::Fit => {
            drop(fresh);
            let mut loader = loader();
            pins.offer(&mut loader);
            info!("going on with the maps of an earlier run");
            return Ok((loader.load(&object()).context(REFUSED)?, Some(pins), true));
        }
        Earlier::Unfit(reason) => info!(reason, "the maps of an earlier run are replaced"),
        Earlier::Nothing => {}
    }
    if let Err(error) = pins.pin_maps(&fresh) {
        warn!("maps are not pinned, bpftool cannot name them: {error:#}");
        let _ = pins.remove();
        return Ok((fresh, None, false));
    }
    Ok((fresh, Some(pins), false))
}

/// The object as the kernel takes it: before Linux 5.18 it knows no XDP over frames of several buffers, which the section
/// of the program asks for. Without, the driver refuses the program where the MTU is large.
fn object() -> Cow<'static, [u8]> {
    const SECTION: &[u8] = b"xdp.frags";
    const PLAIN: &[u8] = b"xdp\0frags";
    if KernelVersion::current().is_ok_and(|running| running >= KernelVersion::new(5, 18, 0)) {
        return OBJECT.into();
    }
    let mut object = OBJECT.to_vec();
    while let Some(at) = object.windows(SECTION.len()).position(|window| window == SECTION) {
        object[at..at + SECTION.len()].copy_from_slice(PLAIN);
    }
    object.into()
}

fn open(dir: &Path) -> Option<Pins> {
    Pins::open(dir)
        .inspect_err(|error| warn!("maps are not pinned, bpftool cannot name them: {}: {error}", dir.display()))
        .ok()
}

fn xdp(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let name = program::XDP;
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("no program `{name}` in the object"))?;
    Ok(program.try_into()?)
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("no program `{name}` in the object"))?;
    Ok(program.try_into()?)
}

/// The last lines of the verifier's log say why it refused.
fn load_error(error: ProgramError) -> anyhow::Error {
    const LINES: usize = 8;
    if let ProgramError::LoadError { io_error, verifier_log } = &error {
        let log = verifier_log.to_string();
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("; ");
        if io_error.raw_os_error() == Some(Errno::EPERM as i32) {
            return anyhow!("not allowed to load a BPF program (it needs CAP_BPF and CAP_NET_ADMIN)");
        }
        return anyhow!("the kernel refused the program: {io_error}: {tail}");
    }
    error.into()
}
