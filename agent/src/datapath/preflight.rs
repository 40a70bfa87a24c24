//! What speaks against XDP in the driver of an interface, and what is worth knowing: decided from facts, in words.

use super::{attach::Hook, nic::Nic};

/// Drivers that take the link down for a moment, or rebuild their queues, when a program is attached. The canary sees to
/// it that the carrier comes back.
const RESETTING: [&str; 9] = ["bnxt_en", "i40e", "ice", "igb", "igc", "ixgbe", "mlx4_en", "mlx5_core", "nfp"];

/// Drivers that let other interfaces run the program: it sees theirs, and not the one that it was attached to.
const DELEGATING: [&str; 2] = ["bonding", "hv_netvsc"];

/// An XDP program that is there already, with its name where the kernel lets us know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// Its identifier.
    pub id: u32,
    /// Its name.
    pub name: Option<String>,
}

impl std::fmt::Display for Occupant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` (id {})", self.id),
            None => write!(f, "id {}", self.id),
        }
    }
}

/// Why native XDP is not even tried.
#[must_use]
pub(super) fn obstacles(nic: &Nic, occupant: Option<&Occupant>) -> Vec<String> {
    let mut obstacles = Vec::new();
    if let Some(occupant) = occupant {
        obstacles.push(format!("another XDP program is attached there: {occupant}"));
    }
    if nic.offloads.is_some_and(|offloads| offloads.lro) {
        let name = &nic.name;
        obstacles.push(format!("large receive offload is on (`ethtool -K {name} lro off` turns it off)"));
    }
    if let Some(driver) = nic.driver.as_deref().filter(|driver| DELEGATING.contains(driver)) {
        obstacles.push(format!("the driver {driver} has the program run on the interfaces below `{}`", nic.name));
    }
    obstacles
}

/// Why the VLAN of `child` cannot be told apart on `parent`.
#[must_use]
pub(super) fn vlan_obstacle(parent: &Nic) -> Option<String> {
    let name = &parent.name;
    match parent.offloads {
        Some(offloads) if offloads.rxvlan => Some(format!(
            "`{name}` takes VLAN tags out of frames before XDP sees them (`ethtool -K {name} rxvlan off` ends that)"
        )),
        Some(_) => None,
        None => Some(format!("`{name}` does not say whether it takes VLAN tags out of frames")),
    }
}

/// What is worth knowing before a program is attached to the driver.
#[must_use]
pub(super) fn notes(nic: &Nic, hook: Hook) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(driver) = nic.driver.as_deref().filter(|driver| hook == Hook::Native && RESETTING.contains(driver)) {
        notes.push(format!("the driver {driver} interrupts the link for a moment when XDP is attached"));
    }
    if hook == Hook::Native && nic.offloads.is_some_and(|offloads| offloads.rxvlan) {
        let name = &nic.name;
        notes.push(format!(
            "`{name}` takes VLAN tags out of frames before XDP sees them: adverts of its VLANs look untagged \
             (`ethtool -K {name} rxvlan off`, or attach = \"tcx\", ends that)"
        ));
    }
    if !nic.has_carrier {
        notes.push("without carrier now".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::nic::Offloads;

    fn nic(offloads: Option<Offloads>) -> Nic {
        Nic { name: "eth0".to_owned(), ifindex: 2, mtu: 1500, has_carrier: true, offloads, ..Nic::default() }
    }

    #[test]
    fn an_occupant_is_named_and_lro_comes_with_its_remedy() {
        let quiet = Offloads::default();
        assert_eq!(obstacles(&nic(None), None), Vec::<String>::new());
        assert_eq!(obstacles(&nic(Some(quiet)), None), Vec::<String>::new());
        let named = Occupant { id: 42, name: Some("cil_xdp".to_owned()) };
        let found = obstacles(&nic(Some(Offloads { lro: true, ..quiet })), Some(&named));
        assert_eq!(
            found,
            [
                "another XDP program is attached there: `cil_xdp` (id 42)",
                "large receive offload is on (`ethtool -K eth0 lro off` turns it off)",
            ]
        );
        let nameless = obstacles(&nic(None), Some(&Occupant { id: 7, name: None }));
        assert_eq!(nameless, ["another XDP program is attached there: id 7"]);
    }

    #[test]
    fn a_driver_that_runs_the_program_elsewhere_is_an_obstacle() {
        let of = |driver: &str| obstacles(&Nic { driver: Some(driver.to_owned()), ..nic(None) }, None);
        assert_eq!(of("bonding"), ["the driver bonding has the program run on the interfaces below `eth0`"]);
        assert_eq!(of("hv_netvsc").len(), 1);
        assert_eq!(of("veth"), Vec::<String>::new());
    }

    #[test]
    fn a_vlan_needs_its_tag() {
        let stripping = Some(Offloads { rxvlan: true, lro: false });
        let told = vlan_obstacle(&nic(stripping)).unwrap();
        assert!(told.contains("ethtool -K eth0 rxvlan off"), "{told}");
        assert!(vlan_obstacle(&nic(None)).is_some(), "a driver that does not say is trusted");
        assert_eq!(vlan_obstacle(&nic(Some(Offloads::default()))), None);
    }

    #[test]
    fn a_driver_that_resets_is_announced() {
        assert_eq!(notes(&nic(None), Hook::Native), Vec::<String>::new());
        let i40e = Nic { driver: Some("i40e".to_owned()), has_carrier: false, ..nic(None) };
        assert_eq!(
            notes(&i40e, Hook::Native),
            ["the driver i40e interrupts the link for a moment when XDP is attached", "without carrier now",]
        );
        let veth = Nic { driver: Some("veth".to_owned()), ..nic(None) };
        assert_eq!(notes(&veth, Hook::Native), Vec::<String>::new());
    }

    #[test]
    fn a_tag_that_xdp_will_not_see_is_announced() {
        let stripping = nic(Some(Offloads { rxvlan: true, lro: false }));
        let told = notes(&stripping, Hook::Native);
        assert!(told.len() == 1 && told[0].contains("ethtool -K eth0 rxvlan off"), "{told:?}");
        for (nic, hook) in [(&stripping, Hook::Tcx), (&nic(Some(Offloads::default())), Hook::Native)] {
            assert_eq!(notes(nic, hook), Vec::<String>::new());
        }
    }
}
