//! What the interface below a Virtual Router MAC Address must not do while one is held: answer for virtual addresses, or
//! ask in their name, with its own MAC address. RFC 9568 §8.1.2.
//!
//! What the settings were before is kept in a file, so that a run after one that was killed puts them back.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use tracing::{info, warn};

use super::sysctl::Setting;

/// What must hold: the setting, the least value that does, and the value that is set otherwise.
///
/// Answer only for addresses of the interface that a request came to; never ask in the name of another interface's.
const IMPOSED: [(Setting, i32, i32); 2] = [(Setting::ARP_IGNORE, 1, 1), (Setting::ARP_ANNOUNCE, 2, 2)];

/// Values by interface and setting.
type Values = BTreeMap<String, BTreeMap<String, i32>>;

/// The settings that were changed.
#[derive(Debug)]
pub struct ArpSettings {
    file: PathBuf,
    before: Mutex<Values>,
}

impl ArpSettings {
    /// Those in `file`, which an earlier run has left there when it was killed.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        let before = match read(&file) {
            Ok(before) => before,
            Err(error) => {
                warn!("{error:#}; the ARP settings of an earlier run stay as they are");
                Values::new()
            }
        };
        Self { file, before: Mutex::new(before) }
    }

    /// Changes what `interface` must not do.
    pub fn impose(&self, interface: &str) -> anyhow::Result<()> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (setting, least, value) in IMPOSED {
            let present = setting.read(interface)?;
            if present >= least {
                continue;
            }
            before.entry(interface.to_owned()).or_default().entry(setting.name().to_owned()).or_insert(present);
            // First kept, then changed: a run that is killed in between has only kept too much.
            keep(&self.file, &before).with_context(|| format!("failed to write `{}`", self.file.display()))?;
            setting.write(interface, value)?;
            info!(
                interface,
                setting = setting.name(),
                before = present,
                now = value,
                "for the Virtual Router MAC Address"
            );
        }
        Ok(())
    }

    /// Puts back what was changed, by this run or by one that was killed. Goes on after an error.
    pub fn restore(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (interface, values) in std::mem::take(&mut *before) {
            for (setting, _, imposed) in IMPOSED {
                // Somebody who has set it since knows better.
                let Some(&value) = values.get(setting.name()) else { continue };
                match setting.read(&interface) {
                    Ok(present) if present == imposed => {}
                    Ok(_) => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        warn!("failed to read {error}");
                        continue;
                    }
                }
                if let Err(error) = setting.write(&interface, value) {
                    warn!("failed to put {value} back into {error}");
                }
            }
        }
        if let Err(error) = keep(&self.file, &before) {
            warn!("failed to remove `{}`: {error}", self.file.display());
        }
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
    if values.is_empty() {
        return match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, toml::to_string(values)?)?;
    fs::rename(new, file)?;
    Ok(())
}
