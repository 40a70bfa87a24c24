//! Where one agent keeps its run-time files; several agents on one machine have one name each.

use std::{fmt, path::PathBuf, str::FromStr};

/// The agent of this machine, or a named one of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance(Option<String>);

impl Instance {
    /// Directory of the control socket and the lock: `/run/vipd`, or `/run/vipd@NAME`.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        PathBuf::from("/run").join(self.to_string())
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("vipd.sock")
    }

    /// Held as long as the agent runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.run_dir().join("vipd.lock")
    }

    /// There while the node is drained, until it is booted again.
    #[must_use]
    pub fn drained(&self) -> PathBuf {
        self.run_dir().join("drained")
    }

    /// What the supervisor watches.
    #[must_use]
    pub fn vitals(&self) -> PathBuf {
        self.run_dir().join("vitals")
    }

    /// How virtual routers are left by who outlives the agent.
    #[must_use]
    pub fn will(&self) -> PathBuf {
        self.run_dir().join("will.json")
    }

    /// What is typed to name this agent.
    #[must_use]
    pub fn arguments(&self) -> Vec<&str> {
        self.0.as_ref().map_or_else(Vec::new, |name| vec!["--instance", name])
    }

    /// Directory of what outlives a run: `/var/lib/vipd`, or `/var/lib/vipd@NAME`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        PathBuf::from("/var/lib").join(self.to_string())
    }

    /// The last sequence of signed adverts.
    #[must_use]
    pub fn sequence(&self) -> PathBuf {
        self.state_dir().join("sequence")
    }

    /// The kernel's settings of interfaces before they were changed.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.state_dir().join("settings.toml")
    }

    /// The table of nftables that refuses what is sent to virtual addresses: `vipd`, or `vipd-NAME`.
    #[must_use]
    pub fn table(&self) -> String {
        self.to_string().replace('@', "-")
    }

    /// Directory of the pinned maps: `/sys/fs/bpf/vipd`, or `/sys/fs/bpf/vipd@NAME`.
    #[must_use]
    pub fn pin_dir(&self) -> PathBuf {
        PathBuf::from("/sys/fs/bpf").join(self.to_string())
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "vipd@{name}"),
            None => f.write_str("vipd"),
        }
    }
}

impl FromStr for Instance {
    type Err = String;

    /// A name becomes part of paths: letters, digits, `-` and `_`, 64 at most.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Self(Some(name.to_owned())))
        } else {
            Err("an instance name has 1 to 64 letters, digits, `-` or `_`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_part_of_every_path() {
        let plain = Instance::default();
        assert_eq!(plain.socket(), PathBuf::from("/run/vipd/vipd.sock"));
        assert_eq!(plain.pin_dir(), PathBuf::from("/sys/fs/bpf/vipd"));
        let named: Instance = "n1".parse().unwrap();
        assert_eq!(named.lock(), PathBuf::from("/run/vipd@n1/vipd.lock"));
        assert_eq!(named.sequence(), PathBuf::from("/var/lib/vipd@n1/sequence"));
        assert_eq!(named.table(), "vipd-n1");
        assert_eq!(named.settings(), PathBuf::from("/var/lib/vipd@n1/settings.toml"));
        assert_eq!(named.pin_dir(), PathBuf::from("/sys/fs/bpf/vipd@n1"));
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for wrong in ["", "../x", "a/b", "a.b", &"x".repeat(65)] {
            assert!(wrong.parse::<Instance>().is_err(), "{wrong:?}");
        }
    }
}
