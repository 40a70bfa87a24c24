//! What outlives a run that is killed: maps, links and notes in the BPF file system. A run that ends in good order leaves
//! nothing there; one that starts takes over what fits.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapInfo},
    programs::links::{FdLink, PinnedLink},
};
use vrrp_wire::abi::{LAYOUT, Settings, map, program};

use super::{
    attach::{Hook, Seat},
    hooks::remove_filters,
    netlink::Side,
    nic::name_of,
};

/// The directory of one agent in the BPF file system.
#[derive(Clone, Debug)]
pub struct Pins(PathBuf);

/// The maps that an earlier run has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// None.
    Nothing,
    /// They cannot be used again, and why.
    Unfit(String),
    /// They are what this run needs.
    Fit,
}

impl Pins {
    /// Makes the directory, unless it is there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self(dir.to_owned()))
    }

    /// Compares the maps of an earlier run with those of the object that was just loaded: layout, kind and sizes.
    #[must_use]
    pub fn earlier(&self, fresh: &Ebpf) -> Earlier {
        if !map::ALL.iter().any(|name| self.map(name).exists()) {
            return Earlier::Nothing;
        }
        match self.compare(fresh) {
            Ok(()) => Earlier::Fit,
            Err(reason) => Earlier::Unfit(format!("{reason:#}")),
        }
    }

    fn compare(&self, fresh: &Ebpf) -> anyhow::Result<()> {
        for name in map::ALL {
            let pinned = MapInfo::from_pin(self.map(name)).with_context(|| format!("map `{name}` is missing"))?;
            let wanted =
                fresh.map(name).and_then(data).ok_or_else(|| anyhow!("no map `{name}` in the object"))?.info()?;
            if shape(&pinned)? != shape(&wanted)? {
                return Err(anyhow!("map `{name}` has another shape"));
            }
        }
        let settings = Array::<_, Settings>::try_from(Map::Array(MapData::from_pin(self.map(map::SETTINGS))?))?;
        let layout = settings.get(&0, 0)?.layout;
        if layout == LAYOUT { Ok(()) } else { Err(anyhow!("layout {layout}, and this version has {LAYOUT}")) }
    }

    /// Lets `loader` use the maps that are pinned here.
    pub fn offer(&self, loader: &mut EbpfLoader<'_>) {
        for name in map::ALL {
            loader.map_pin_path(name, self.map(name));
        }
    }

    /// Pins every map, in the place of an earlier run's.
    pub fn pin_maps(&self, ebpf: &Ebpf) -> anyhow::Result<()> {
        for name in map::ALL {
            let path = self.map(name);
            remove(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
            let map = ebpf.map(name).ok_or_else(|| anyhow!("no map `{name}` in the object"))?;
            map.pin(&path).with_context(|| format!("failed to pin `{}`", path.display()))?;
        }
        Ok(())
    }

    fn map(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the link of `seat` is pinned.
    #[must_use]
    pub fn link(&self, seat: Seat) -> PathBuf {
        // Without the interface's name: the BPF file system allows no dot, and names change.
        self.0.join(format!("link_{}_{}_{}", seat.ifindex, SideName(seat.side), seat.hook))
    }

    /// The links of an earlier run. One that cannot be opened is removed.
    #[must_use]
    pub fn links(&self) -> Vec<(Seat, FdLink)> {
        let mut links = Vec::new();
        for name in self.names() {
            let Some(seat) = seat(&name) else { continue };
            match PinnedLink::from_pin(self.link(seat)) {
                Ok(link) => links.push((seat, link.into())),
                Err(_) => drop(remove(&self.link(seat))),
            }
        }
        links
    }

    /// The names of the programs that links and noted filters hold.
    #[must_use]
    pub fn attached_programs(&self) -> BTreeSet<&'static str> {
        let of = |seat: &Seat| match (seat.hook, seat.side) {
            (Hook::Native | Hook::Generic, _) => program::XDP,
            (Hook::Tcx | Hook::Clsact, Side::Ingress) => program::INGRESS,
            (Hook::Tcx | Hook::Clsact, Side::Egress) => program::EGRESS,
        };
        let mut programs: BTreeSet<_> =
            self.names().iter().filter_map(|name| seat(name)).map(|seat| of(&seat)).collect();
        if !self.noted_filters().is_empty() {
            programs.extend([program::INGRESS, program::EGRESS]);
        }
        programs
    }

    /// Where a program waits for the process that becomes the program file with this `fingerprint`.
    #[must_use]
    pub fn rehearsed(&self, program: &str, fingerprint: u64) -> PathBuf {
        self.0.join(format!("{REHEARSED}{program}_{fingerprint:016x}"))
    }

    /// Removes what waits for such a process.
    pub fn forget_rehearsed(&self) {
        for name in self.names().iter().filter(|name| name.starts_with(REHEARSED)) {
            let _ = remove(&self.0.join(name));
        }
    }

    /// Notes that filters of ours are on `ifindex`, which would outlive any process, and whether the queueing discipline
    /// that they need is ours as well.
    pub fn note_filters(&self, ifindex: u32, made_qdisc: bool) -> io::Result<()> {
        let note = self.filters(ifindex);
        fs::DirBuilder::new().recursive(true).create(if made_qdisc { note.join(QDISC) } else { note })
    }

    /// Whether filters are noted on `ifindex` that came with a queueing discipline of ours.
    #[must_use]
    pub fn made_qdisc(&self, ifindex: u32) -> bool {
        self.filters(ifindex).join(QDISC).is_dir()
    }

    /// The interfaces with a note of filters.
    #[must_use]
    pub fn noted_filters(&self) -> Vec<u32> {
        self.names().iter().filter_map(|name| name.strip_prefix(FILTERS)?.parse().ok()).collect()
    }

    /// Removes the note.
    pub fn forget_filters(&self, ifindex: u32) {
        // It is empty but for the other note.
        let _ = fs::remove_dir_all(self.filters(ifindex));
    }

    fn filters(&self, ifindex: u32) -> PathBuf {
        self.0.join(format!("{FILTERS}{ifindex}"))
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// Removes everything: maps and links that nobody else holds are gone with it, and so are noted filters.
    pub fn remove(self) -> io::Result<()> {
        for ifindex in self.noted_filters() {
            if let Some(name) = name_of(ifindex) {
                remove_filters(&name, ifindex, self.made_qdisc(ifindex));
            }
        }
        fs::remove_dir_all(self.0)
    }
}

/// Prefix of programs that wait.
const REHEARSED: &str = "rehearsed_";
/// Prefix of the notes on filters.
const FILTERS: &str = "filters_";
/// The note that the queueing discipline is ours.
const QDISC: &str = "qdisc";

/// Removes what a run has pinned in `dir`; says whether there was anything.
pub fn unpin(dir: &Path) -> io::Result<bool> {
    if !dir.try_exists()? {
        return Ok(false);
    }
    Pins(dir.to_owned()).remove().map(|()| true)
}

struct SideName(Side);

impl fmt::Display for SideName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Side::Ingress => "ingress",
            Side::Egress => "egress",
        })
    }
}

/// What the file name of a link says.
fn seat(name: &str) -> Option<Seat> {
    let mut parts = name.strip_prefix("link_")?.split('_');
    let ifindex = parts.next()?.parse().ok()?;
    let (side, hook) = (parts.next()?, parts.next()?);
    let side = Side::BOTH.into_iter().find(|&known| SideName(known).to_string() == side)?;
    let hook = Hook::ALL.into_iter().find(|known| known.to_string() == hook)?;
    parts.next().is_none().then_some(Seat { ifindex, side, hook })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The map of one of the kinds that the object has.
fn data(map: &Map) -> Option<&MapData> {
    if let Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data) =
        map
    {
        Some(data)
    } else {
        None
    }
}

/// What must agree before a map is used again: buffers are sized by one and filled by the other.
fn shape(map: &MapInfo) -> anyhow::Result<(u32, u32, u32, u32, u32)> {
    Ok((map.map_type()? as u32, map.key_size(), map.value_size(), map.max_entries(), map.map_flags()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_found_again_by_its_file_name() {
        let pins = Pins(PathBuf::from("/sys/fs/bpf/vipd"));
        let cases = [
            (Side::Ingress, Hook::Native, "link_7_ingress_native"),
            (Side::Ingress, Hook::Tcx, "link_7_ingress_tcx"),
            (Side::Egress, Hook::Tcx, "link_7_egress_tcx"),
        ];
        for (side, hook, name) in cases {
            let expected = Seat { ifindex: 7, side, hook };
            assert_eq!(pins.link(expected), Path::new("/sys/fs/bpf/vipd").join(name));
            assert_eq!(seat(name), Some(expected), "{name}");
        }
        for other in ["settings", "link_", "link_x_ingress_tcx", "link_7_ingress_tcx_2", "link_7_up_tcx", "filters_7"] {
            assert_eq!(seat(other), None, "{other}");
        }
    }
}
