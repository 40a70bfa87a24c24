//! Opens the pinned maps and reads what is in them.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
};
use vrrp_wire::abi::{CLAIMS_MAX, Claim, ClaimKey, LAYOUT, Reject, SOURCES_MAX, Settings, Source, SourceKey, map};

use crate::instance::Instance;

/// The maps that a guard has pinned, whether or not its daemon still runs.
#[derive(Debug)]
pub struct PinnedMaps {
    dir: PathBuf,
}

impl PinnedMaps {
    /// Finds the maps of `instance`, which must be of the layout that this program knows.
    pub fn open(instance: &Instance) -> anyhow::Result<Self> {
        let maps = Self { dir: instance.pin_dir() };
        let settings = maps.dir.join(map::SETTINGS);
        match settings.try_exists() {
            Ok(true) => {}
            Ok(false) => bail!(nothing_pinned(instance, &maps.dir)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                bail!("only root may look into `{}`", maps.dir.display())
            }
            Err(error) => Err(error).with_context(|| format!("failed to look into `{}`", maps.dir.display()))?,
        }
        let settings: Array<MapData, Settings> = maps.open_map(map::SETTINGS)?;
        let layout = settings.get(&0, 0).context("failed to read map `settings`")?.layout;
        ensure!(
            layout == LAYOUT,
            "the maps in `{}` have layout {layout} and this program knows {LAYOUT}: use the vipd that made them",
            maps.dir.display()
        );
        Ok(maps)
    }

    /// The bad frames that each CPU has kept, in the order in which they came.
    pub fn rejects(&self) -> anyhow::Result<Vec<Reject>> {
        let map: PerCpuArray<MapData, Reject> = self.open_map(map::REJECTS)?;
        let mut rejects = Vec::new();
        for entry in map.iter() {
            let of_each_cpu = entry.with_context(|| format!("failed to read map `{}`", map::REJECTS))?;
            rejects.extend(of_each_cpu.iter().filter(|reject| reject.at_ns != 0));
        }
        rejects.sort_by_key(|reject: &Reject| reject.at_ns);
        Ok(rejects)
    }

    /// The speakers of VRRP and CARP.
    pub fn sources(&self) -> anyhow::Result<BTreeMap<SourceKey, Source>> {
        self.entries(map::SOURCES, SOURCES_MAX)
    }

    /// The claims of virtual addresses by strangers.
    pub fn claims(&self) -> anyhow::Result<BTreeMap<ClaimKey, Claim>> {
        self.entries(map::CLAIMS, CLAIMS_MAX)
    }

    /// Everything in the map `name`, which has room for `room` entries.
    fn entries<K: Pod + Ord, V: Pod>(&self, name: &str, room: usize) -> anyhow::Result<BTreeMap<K, V>> {
        let map: HashMap<MapData, K, V> = self.open_map(name)?;
        // The kernel begins anew where the key is gone that it was to go on from: in a flood, perhaps for ever.
        let entries = map.iter().take(2 * room).collect::<Result<_, MapError>>();
        entries.with_context(|| format!("failed to read map `{name}`"))
    }

    fn open_map<T: TryFrom<Map, Error = MapError>>(&self, name: &str) -> anyhow::Result<T> {
        let path = self.dir.join(name);
        let map = MapData::from_pin(&path).and_then(Map::from_map_data).and_then(T::try_from);
        map.with_context(|| format!("failed to open the map `{}`; are you root?", path.display()))
    }
}

fn nothing_pinned(instance: &Instance, dir: &Path) -> String {
    format!(
        "no guard of `{instance}` has maps in `{}`: none runs under this name (see --instance), or it could not pin them, \
         or its agent judges adverts on packet sockets and keeps neither bad frames nor speakers",
        dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_pins_the_error_names_the_instance_and_the_place() {
        let instance: Instance = "no-such-agent-at-all".parse().unwrap();
        let error = PinnedMaps::open(&instance).unwrap_err().to_string();
        assert!(error.contains("no guard of `vipd@no-such-agent-at-all`"), "{error}");
        assert!(error.contains("`/sys/fs/bpf/vipd@no-such-agent-at-all`"), "{error}");
    }
}
