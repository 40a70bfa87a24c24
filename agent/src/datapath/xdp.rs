//! The kernel's side: loads the XDP program, attaches it, fills its maps and reads its ring buffer.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, RingBuf},
    programs::{ProgramError, Xdp, XdpMode, links::FdLink},
};
use nix::errno::Errno;
use tracing::warn;
use vrrp_wire::abi::{
    AdvertRecord, Counters, MESSAGE_MAX, Peer, PeerKey, Router, RouterKey, Settings, XDP_PROGRAM, map,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vipd-guard"));

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the driver.
    Native,
    /// In the network stack; slower, works with every interface.
    Generic,
}

/// The XDP program and its maps. Attached programs detach when this is dropped, or its process ends in any way.
pub struct Guard {
    ebpf: Ebpf,
    settings: Array<MapData, Settings>,
    routers: HashMap<MapData, RouterKey, Router>,
    peers: HashMap<MapData, PeerKey, Peer>,
    counters: HashMap<MapData, RouterKey, Counters>,
    adverts: RingBuf<MapData>,
    /// Each attachment, for as long as the file descriptor is open.
    links: Vec<FdLink>,
    pins: Option<PathBuf>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("pins", &self.pins).finish_non_exhaustive()
    }
}

impl Guard {
    /// Loads the program, which the kernel verifies now, and pins its maps in `pin_dir`, replacing an earlier run's. That
    /// they cannot be pinned is reported, and no error.
    pub fn load(pin_dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the kernel refused a map of the XDP program")?;
        let program: &mut Xdp = program(&mut ebpf)?;
        program.load().map_err(load_error)?;
        let pins = pin_dir.filter(|dir| pin(&ebpf, dir)).map(PathBuf::from);
        Ok(Self {
            settings: take(&mut ebpf, map::SETTINGS)?,
            routers: take(&mut ebpf, map::ROUTERS)?,
            peers: take(&mut ebpf, map::PEERS)?,
            counters: take(&mut ebpf, map::COUNTERS)?,
            adverts: take(&mut ebpf, map::ADVERTS)?,
            ebpf,
            links: Vec::new(),
            pins,
        })
    }

    /// Attaches the program to the interface `ifindex`.
    pub fn attach(&mut self, ifindex: u32, hook: Hook) -> anyhow::Result<()> {
        let mode = match hook {
            Hook::Native => XdpMode::Driver,
            Hook::Generic => XdpMode::Skb,
        };
        let program = program(&mut self.ebpf)?;
        let id = program.attach_to_if_index(ifindex, mode).map_err(attach_error)?;
        // Where the kernel has no bpf_link for XDP, aya attaches over netlink, which would outlive this process. Such a
        // kernel has refused the program before: it has no multi-buffer XDP either.
        let link = FdLink::try_from(program.take_link(id)?).context("the kernel offers no bpf_link for XDP")?;
        self.links.push(link);
        Ok(())
    }

    /// Sets what holds for every interface.
    pub fn set_settings(&mut self, settings: Settings) -> Result<(), MapError> {
        self.settings.set(0, settings, 0)
    }

    /// Configures a virtual router, or changes it, and gives it counters.
    pub fn set_router(&mut self, key: RouterKey, router: Router) -> Result<(), MapError> {
        self.add_counters(key)?;
        self.routers.insert(key, router, 0)
    }

    /// Gives `key` counters, if it has none.
    pub fn add_counters(&mut self, key: RouterKey) -> Result<(), MapError> {
        match self.counters.get(&key, 0) {
            Err(MapError::KeyNotFound) => self.counters.insert(key, Counters::default(), 0),
            known => known.map(drop),
        }
    }

    /// Adds a sender to the allow-list.
    pub fn set_peer(&mut self, key: PeerKey, peer: Peer) -> Result<(), MapError> {
        self.peers.insert(key, peer, 0)
    }

    /// What is known of a sender; `None` where it is not in the allow-list.
    #[must_use]
    pub fn peer(&self, key: &PeerKey) -> Option<Peer> {
        self.peers.get(key, 0).ok()
    }

    /// The counters under `key`; all zero where there are none.
    #[must_use]
    pub fn counters(&self, key: &RouterKey) -> Counters {
        self.counters.get(key, 0).unwrap_or_default()
    }

    /// The oldest advert in the ring buffer.
    pub fn next_advert(&mut self) -> Option<AdvertRecord> {
        while let Some(item) = self.adverts.next() {
            if let Some(record) = read_record(&item) {
                return Some(record);
            }
        }
        None
    }

    /// The program, for `BPF_PROG_TEST_RUN`.
    pub fn program(&mut self) -> anyhow::Result<&mut Xdp> {
        program(&mut self.ebpf)
    }

    /// The loaded object, for aya-log.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

impl AsFd for Guard {
    /// Readable when the ring buffer holds an advert.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.adverts.as_fd()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(dir) = &self.pins {
            // What is left is replaced by the next run, or removed by `vipd detach`.
            let _ = unpin(dir);
        }
    }
}

/// Removes what a run has pinned in `dir`; says whether there was anything.
pub fn unpin(dir: &Path) -> io::Result<bool> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn program(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut(XDP_PROGRAM).ok_or_else(|| anyhow!("no program `{XDP_PROGRAM}` in the object"))?;
    Ok(program.try_into()?)
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<T> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("no map `{name}` in the object"))?;
    map.try_into().with_context(|| format!("map `{name}` is not of the expected kind"))
}

/// Pins every map; says whether it could, having undone what it did.
fn pin(ebpf: &Ebpf, dir: &Path) -> bool {
    let pinned = try_pin(ebpf, dir);
    if let Err(error) = &pinned {
        warn!("maps are not pinned, bpftool cannot name them: {error:#}");
        let _ = unpin(dir);
    }
    pinned.is_ok()
}

fn try_pin(ebpf: &Ebpf, dir: &Path) -> anyhow::Result<()> {
    unpin(dir).with_context(|| format!("failed to remove the maps of an earlier run in `{}`", dir.display()))?;
    fs::DirBuilder::new().mode(0o700).create(dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
    for name in map::ALL {
        let map = ebpf.map(name).ok_or_else(|| anyhow!("no map `{name}` in the object"))?;
        map.pin(dir.join(name)).with_context(|| format!("failed to pin map `{name}` in `{}`", dir.display()))?;
    }
    Ok(())
}

/// The last lines of the verifier's log say why it refused.
fn load_error(error: ProgramError) -> anyhow::Error {
    const LINES: usize = 8;
    if let ProgramError::LoadError { io_error, verifier_log } = &error {
        let log = verifier_log.to_string();
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("; ");
        if io_error.raw_os_error() == Some(Errno::EPERM as i32) {
            return anyhow!("not allowed to load an XDP program (it needs CAP_BPF and CAP_NET_ADMIN)");
        }
        return anyhow!("the kernel refused the XDP program: {io_error}: {tail}");
    }
    error.into()
}

/// The kernel says no more than a number.
fn attach_error(error: ProgramError) -> anyhow::Error {
    let number = if let ProgramError::SyscallError(error) = &error { error.io_error.raw_os_error() } else { None };
    let Some(number) = number else { return error.into() };
    let meanings = [
        (Errno::EBUSY, "another XDP program is attached there"),
        (Errno::EEXIST, "another XDP program is attached there"),
        (Errno::EOPNOTSUPP, "the driver has no native XDP"),
        (Errno::ERANGE, "the MTU is too large for XDP in this driver"),
        (Errno::EPERM, "not allowed (it needs CAP_NET_ADMIN and CAP_BPF)"),
        (Errno::ENODEV, "there is no such interface"),
    ];
    let meaning = meanings.into_iter().find(|&(errno, _)| errno == Errno::from_raw(number));
    anyhow!("{} ({})", meaning.map_or("the kernel refused", |(_, text)| text), io::Error::from_raw_os_error(number))
}

/// Reads a record out of the ring buffer's bytes; `None` where they are none, which no version of the program sends.
fn read_record(bytes: &[u8]) -> Option<AdvertRecord> {
    let mut rest = bytes;
    let record = AdvertRecord {
        received_at_ns: u64::from_ne_bytes(split(&mut rest)?),
        ifindex: u32::from_ne_bytes(split(&mut rest)?),
        message_len: u16::from_ne_bytes(split(&mut rest)?),
        vlan: u16::from_ne_bytes(split(&mut rest)?),
        family: u8::from_ne_bytes(split(&mut rest)?),
        ttl: u8::from_ne_bytes(split(&mut rest)?),
        source_mac: split(&mut rest)?,
        source: split(&mut rest)?,
        destination: split(&mut rest)?,
        message: split::<MESSAGE_MAX>(&mut rest)?,
    };
    (usize::from(record.message_len) <= MESSAGE_MAX).then_some(record)
}

fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
