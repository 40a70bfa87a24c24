//! Settings of the kernel that must hold on an interface while virtual addresses are held there.
//!
//! Where that is, and what the settings were before, is kept in a file, so that a run after one that was killed puts them
//! back, and `vipd detach` finds the interfaces on which something may be left.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tracing::{info, warn};

use super::sysctl::Setting;

/// On which occasion which setting must hold: the least value that does, and the value that is set otherwise.
///
/// Below a Virtual Router MAC Address: answer only for addresses of the interface that a request came to; never ask in the name
/// of another interface's. RFC 9568 §8.1.2. With virtual addresses among others: whoever removes the first address of a subnet
/// must not remove all others of it.
const IMPOSED: [(Occasion, Setting, i32, i32); 3] = [
    (Occasion::VirtualMacAbove, Setting::ARP_IGNORE, 1, 1),
    (Occasion::VirtualMacAbove, Setting::ARP_ANNOUNCE, 2, 2),
    (Occasion::VirtualAddresses, Setting::PROMOTE_SECONDARIES, 1, 1),
];

/// How long a look at an interface is good for: hundreds of virtual routers that take over together need one.
const LOOK_HOLDS: Duration = Duration::from_secs(1);

/// What is held on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// Virtual addresses on itself.
    VirtualAddresses,
    /// A Virtual Router MAC Address, on an interface above it.
    VirtualMacAbove,
}

impl Occasion {
    const fn reason(self) -> &'static str {
        match self {
            Self::VirtualAddresses => "for virtual addresses beside others",
            Self::VirtualMacAbove => "for the Virtual Router MAC Address",
        }
    }
}

/// Values by interface and setting.
type Values = BTreeMap<String, BTreeMap<String, i32>>;

/// The settings that were changed.
#[derive(Debug)]
pub struct Settings {
    file: PathBuf,
    before: Mutex<Values>,
    /// When an interface, by its index, was lately seen to be fit, and for what.
    looks: Mutex<HashMap<(u32, Occasion), Instant>>,
}

impl Settings {
    /// Those in `file`, which an earlier run has left there when it was killed.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        let before = match read(&file) {
            Ok(before) => before,
            Err(error) => {
                warn!("{error:#}; the settings of an earlier run stay as they are");
                Values::new()
            }
        };
        Self { file, before: Mutex::new(before), looks: Mutex::default() }
    }

    /// Keeps that something may be held on `interface`, if that is not kept yet. To be done before it is.
    pub fn note(&self, interface: &str) -> anyhow::Result<()> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.contains_key(interface) {
            return Ok(());
        }
        before.insert(interface.to_owned(), BTreeMap::new());
        keep(&self.file, &before).inspect_err(|_| drop(before.remove(interface)))
    }

    /// Makes `interface`, which has the index `ifindex` now, fit for `occasion`.
    pub fn impose(&self, interface: &str, ifindex: u32, occasion: Occasion) -> anyhow::Result<()> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, at| at.elapsed() < LOOK_HOLDS);
        if let Entry::Vacant(look) = looks.entry((ifindex, occasion)) {
            self.look(interface, occasion)?;
            look.insert(Instant::now());
        }
        Ok(())
    }

    fn look(&self, interface: &str, occasion: Occasion) -> anyhow::Result<()> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, setting, least, value) in IMPOSED.into_iter().filter(|&(of, ..)| of == occasion) {
            if setting.effective(interface)? >= least {
                continue;
            }
            let present = setting.read(interface)?;
            before.entry(interface.to_owned()).or_default().entry(setting.name().to_owned()).or_insert(present);
            // First kept, then changed: a run that is killed in between has only kept too much.
            keep(&self.file, &before)?;
            setting.write(interface, value)?;
            info!(interface, setting = setting.name(), before = present, now = value, "{}", occasion.reason());
        }
        Ok(())
    }

    /// The interfaces that something is or was held on, those of a run that was killed too.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Puts back what was changed, by this run or by one that was killed. Goes on after an error; what could not be put
    /// back is kept for the next time.
    pub fn restore(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (interface, values) in before.iter_mut() {
            values.retain(|name, value| match put_back(interface, name, *value) {
                Ok(()) => false,
                Err(error) => {
                    warn!("failed to put {value} back: {error}");
                    true
                }
            });
        }
        before.retain(|_, values| !values.is_empty());
        if let Err(error) = keep(&self.file, &before) {
            warn!("{error:#}");
        }
    }
}

/// Puts `value` back into the setting `name`, unless somebody who knows better has set it since, or the interface is gone.
fn put_back(interface: &str, name: &str, value: i32) -> io::Result<()> {
    let Some((_, setting, _, imposed)) = IMPOSED.iter().find(|(_, setting, ..)| setting.name() == name) else {
        return Ok(());
    };
    match setting.read(interface) {
        Ok(present) if present == *imposed => setting.write(interface, value),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn read(file: &Path) -> anyhow::Result<Values> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Values::new()),
        text => text.with_context(|| format!("failed to read `{}`", file.display()))?,
    };
    toml::from_str(&text).with_context(|| format!("`{}` holds no settings", file.display()))
}

/// Writes the whole file or none of it; no values, no file.
fn keep(file: &Path, values: &Values) -> anyhow::Result<()> {
    let write = || {
        if values.is_empty() {
            return match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = file.with_extension("new");
        fs::write(&new, toml::to_string(values).map_err(io::Error::other)?)?;
        fs::rename(new, file)
    };
    write().with_context(|| format!("failed to write `{}`", file.display()))
}
