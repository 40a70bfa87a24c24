//! The will: how each virtual router is left by whoever outlives the agent.
//!
//! The agent writes it into its run directory whenever it changes; only root can read it. It holds no key: the supervisor
//! gets that over its line, and `vipd release` reads the file that the will names.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use vrrp::{
    Centiseconds, Family, MacAddr, Priority, Version, Vrid,
    message::{
        ChecksumForm,
        version_2::{Authentication, Password},
    },
};

use super::vitals::new_path;
use crate::{
    config::WireIdentity,
    perform::{advertise::Dialect, holdings::Item, virtual_mac::VirtualMac},
};

/// The form of the file. Another one is not understood.
const FORM: u32 = 2;

/// How all virtual routers of an agent are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Will {
    form: u32,
    /// How adverts are signed; `None` where they are not.
    pub signing: Option<Signing>,
    /// How long another run of the agent is waited for before they are left.
    pub restart_grace: Duration,
    /// The virtual routers, one for each slot that is in use.
    pub bequests: Vec<Bequest>,
}

/// How adverts are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The key that signs, 1 to 255.
    pub key: u8,
    /// The file that holds it.
    pub file: PathBuf,
    /// How far from their clock peers bear the time in an advert.
    pub window: Duration,
}

/// How one virtual router is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bequest {
    /// Where its role is in the vitals.
    pub slot: u32,
    /// What people call it.
    pub name: String,
    /// The interface of its adverts.
    pub interface: String,
    /// The index of that interface.
    pub ifindex: u32,
    /// The family's number, 4 or 6.
    pub family: u8,
    /// The version of VRRP, 2 or 3.
    pub version: u8,
    /// VRID.
    pub vrid: u8,
    /// This node's Priority.
    pub priority: u8,
    /// Where adverts come from; `None` while there is no such address, and nothing can be said.
    pub source: Option<IpAddr>,
    /// Where they go.
    pub destinations: Vec<IpAddr>,
    /// The MAC address that they come from, where it is not the interface's own.
    pub source_mac: Option<[u8; 6]>,
    /// The addresses of its adverts.
    pub addresses: Vec<IpAddr>,
    /// What is on the host while it is Active, in the order in which it was added.
    pub items: Vec<Item>,
    /// The items are on an interface of their own, with the Virtual Router MAC Address.
    pub virtual_mac: bool,
    /// Time between its adverts, in hundredths of a second.
    pub interval_cs: u16,
    /// Whether the checksum of adverts of version 3 over IPv4 covers the message alone.
    pub checksum_of_message_only: bool,
    /// The password that adverts of version 2 carry, filled up with zeros.
    pub password: Option<[u8; 8]>,
    /// How long the agent may give no sign of life.
    pub hung_after: Duration,
    /// How long nobody can have taken over after the last sign of life.
    pub untaken_for: Duration,
}

impl Will {
    /// The will that leaves `bequests`, each in a slot of its own.
    #[must_use]
    pub const fn new(signing: Option<Signing>, restart_grace: Duration, bequests: Vec<Bequest>) -> Self {
        Self { form: FORM, signing, restart_grace, bequests }
    }

    /// Reads the will in the file at `path`. One of another version of vipd is an error.
    pub fn read(path: &Path) -> io::Result<Self> {
        let will: Self = serde_json::from_slice(&fs::read(path)?)?;
        if will.form == FORM {
            return Ok(will);
        }
        let what = format!("it is of form {}, and this version knows {FORM}", will.form);
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Writes the whole file at `path`, or nothing of it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let new = new_path(path);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}

impl Bequest {
    /// What makes the virtual router the same one on the wire; `None` where the file has been tampered with.
    #[must_use]
    pub fn identity(&self) -> Option<WireIdentity> {
        Some(WireIdentity { interface: self.interface.clone(), family: self.family()?, vrid: self.vrid()? })
    }

    /// The interface of its own that the items are on, where they are on one.
    #[must_use]
    pub fn virtual_mac(&self) -> Option<VirtualMac> {
        let (family, vrid) = self.family().zip(self.vrid())?;
        self.virtual_mac.then_some(VirtualMac { family, vrid })
    }

    /// The family of adverts and addresses; `None` where the file has been tampered with.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        Family::from_number(self.family)
    }

    /// VRID; `None` where the file has been tampered with.
    #[must_use]
    pub const fn vrid(&self) -> Option<Vrid> {
        Vrid::new(self.vrid)
    }

    /// This node's Priority; `None` where the file has been tampered with.
    #[must_use]
    pub const fn priority(&self) -> Option<Priority> {
        Priority::new(self.priority)
    }

    /// Time between its adverts; the longest where the file has been tampered with.
    #[must_use]
    pub fn interval(&self) -> Centiseconds {
        Centiseconds::new(self.interval_cs).unwrap_or(Centiseconds::MAX)
    }

    /// Where multicast adverts come from, if not from the interface's own MAC address.
    #[must_use]
    pub fn source_mac(&self) -> Option<MacAddr> {
        self.source_mac.map(MacAddr)
    }

    /// How its adverts are written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect {
            version: if self.version == Version::V2.number() { Version::V2 } else { Version::V3 },
            checksum: if self.checksum_of_message_only {
                ChecksumForm::MessageOnly
            } else {
                ChecksumForm::PseudoHeader
            },
            authentication: self
                .password
                .map_or(Authentication::None, |password| Authentication::Password(Password::from_data(password))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn bequest() -> Bequest {
        Bequest {
            slot: 3,
            name: "web-a/IPv4".to_owned(),
            interface: "vsw0".to_owned(),
            ifindex: 7,
            family: 4,
            version: 3,
            vrid: 51,
            priority: 200,
            source: Some([10, 77, 0, 1].into()),
            destinations: vec![[224, 0, 0, 18].into()],
            source_mac: Some([0, 0, 0x5e, 0, 1, 51]),
            addresses: vec!["10.77.0.101".parse().unwrap()],
            items: vec![Item::Address("10.77.0.101/24".parse().unwrap())],
            virtual_mac: true,
            interval_cs: 100,
            checksum_of_message_only: true,
            password: None,
            hung_after: Duration::from_secs(2),
            untaken_for: Duration::from_secs(3),
        }
    }

    #[test]
    fn a_will_is_read_as_it_was_written_and_by_root_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("will.json");
        assert_eq!(Will::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let signing = Signing { key: 1, file: "/etc/vipd/keys/1".into(), window: Duration::from_secs(5) };
        let will = Will::new(
            Some(signing),
            Duration::from_secs(2),
            vec![bequest(), Bequest { source: None, slot: 4, ..bequest() }],
        );
        will.write(&path).unwrap();
        assert_eq!(Will::read(&path).unwrap(), will);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_will_of_another_version_is_not_carried_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("will.json");
        Will { form: FORM + 1, ..Will::new(None, Duration::ZERO, vec![bequest()]) }.write(&path).unwrap();
        assert_eq!(Will::read(&path).unwrap_err().to_string(), "it is of form 3, and this version knows 2");
    }

    #[test]
    fn adverts_are_written_as_the_agent_writes_them() {
        let version_3 = bequest().dialect();
        assert_eq!((version_3.version, version_3.checksum), (Version::V3, ChecksumForm::MessageOnly));
        let version_2 = Bequest { version: 2, password: Some(*b"s3cret\0\0"), ..bequest() }.dialect();
        let password = Password::new("s3cret").unwrap();
        assert_eq!((version_2.version, version_2.authentication), (Version::V2, Authentication::Password(password)));
    }
}
