//! The ladder: which ways there are onto an interface, best first. Decided from facts; nothing is touched here.

use std::fmt;

use vrrp_wire::{Family, Vrid, abi::RouterKey};

use super::{netlink::Side, nic::Nic};
use crate::config::Attach;

/// How a program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// XDP in the driver.
    Native,
    /// XDP in the network stack; slower, works with every interface.
    Generic,
    /// A tcx link.
    Tcx,
    /// A classifier of the queueing discipline `clsact`.
    Clsact,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Native, Self::Generic, Self::Tcx, Self::Clsact];

    /// Whether an XDP program is attached so, of which an interface has one.
    #[must_use]
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::Native | Self::Generic)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// A place for one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The interface.
    pub ifindex: u32,
    /// Whether it meets what is received or what is sent.
    pub side: Side,
    /// How it is attached.
    pub hook: Hook,
}

/// Where adverts of an interface are judged, and so the beginning of the keys of its virtual routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The interface that the program or the socket is on.
    pub ifindex: u32,
    /// VLAN identifier of the frames that count there; 0 for untagged.
    pub vlan: u16,
}

impl Scope {
    /// The key of a virtual router there.
    #[must_use]
    pub const fn key(self, family: Family, vrid: Vrid) -> RouterKey {
        RouterKey { ifindex: self.ifindex, vlan: self.vlan, family: family.number(), vrid: vrid.get() }
    }
}

/// One way onto an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How.
    pub hook: Hook,
    /// On which interface: the one that is served, or its parent.
    pub nic: Nic,
    /// What the keys begin with then.
    pub scope: Scope,
}

/// The ways that `attach` allows onto `nic`, best first, and why others are left out.
///
/// `parent` is the interface that `nic` is a VLAN of, where XDP is wanted there; in its place may be the reason why it
/// cannot be.
#[must_use]
pub fn rungs(attach: Attach, nic: &Nic, parent: Option<&Result<Nic, String>>) -> (Vec<Rung>, Vec<String>) {
    let hooks: &[Hook] = match attach {
        Attach::Auto => &[Hook::Native, Hook::Tcx, Hook::Clsact],
        Attach::Native => &[Hook::Native],
        Attach::Generic => &[Hook::Generic],
        Attach::Tcx => &[Hook::Tcx],
        Attach::Clsact => &[Hook::Clsact],
        Attach::Off => &[],
    };
    let here = Scope { ifindex: nic.ifindex, vlan: 0 };
    let (mut rungs, mut reasons) = (Vec::new(), Vec::new());
    for &hook in hooks {
        match (hook, nic.vlan, parent) {
            (Hook::Native, Some(vlan), Some(Ok(parent))) => {
                let scope = Scope { ifindex: parent.ifindex, vlan: vlan.id };
                rungs.push(Rung { hook, nic: parent.clone(), scope });
            }
            (Hook::Native, Some(_), Some(Err(reason))) => reasons.push(format!("native: {reason}")),
            // That is how it is meant, unless native was asked for.
            (Hook::Native, Some(_), None) if attach == Attach::Auto => {}
            (Hook::Native, Some(_), None) => {
                reasons.push(format!("native: `{}` is a VLAN, whose driver has no XDP (see `[guard] vlan`)", nic.name));
            }
            (Hook::Native | Hook::Generic | Hook::Tcx | Hook::Clsact, ..) => {
                rungs.push(Rung { hook, nic: nic.clone(), scope: here });
            }
        }
    }
    (rungs, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::nic::Vlan;

    fn ways(attach: Attach, nic: &Nic, parent: Option<&Result<Nic, String>>) -> (Vec<(Hook, u32, u16)>, Vec<String>) {
        let (rungs, reasons) = rungs(attach, nic, parent);
        let ways = rungs.into_iter().map(|rung| {
            assert_eq!(rung.nic.ifindex, rung.scope.ifindex);
            (rung.hook, rung.scope.ifindex, rung.scope.vlan)
        });
        (ways.collect(), reasons)
    }

    #[test]
    fn an_ordinary_interface_is_tried_from_the_driver_down() {
        let nic = Nic { name: "eth0".to_owned(), ifindex: 2, ..Nic::default() };
        let cases: [(_, &[Hook]); 6] = [
            (Attach::Auto, &[Hook::Native, Hook::Tcx, Hook::Clsact]),
            (Attach::Native, &[Hook::Native]),
            (Attach::Generic, &[Hook::Generic]),
            (Attach::Tcx, &[Hook::Tcx]),
            (Attach::Clsact, &[Hook::Clsact]),
            (Attach::Off, &[]),
        ];
        for (attach, hooks) in cases {
            let expected = hooks.iter().map(|&hook| (hook, 2, 0)).collect();
            assert_eq!(ways(attach, &nic, None), (expected, Vec::new()), "{attach:?}");
        }
    }

    #[test]
    fn a_vlan_has_xdp_on_its_parent_or_not_at_all() {
        let parent = Nic { name: "eth0".to_owned(), ifindex: 2, ..Nic::default() };
        let vlan = Some(Vlan { parent: Some(2), id: 4000 });
        let nic = Nic { name: "eth0.4000".to_owned(), ifindex: 5, vlan, ..Nic::default() };
        let here = [(Hook::Tcx, 5, 0), (Hook::Clsact, 5, 0)];
        assert_eq!(ways(Attach::Auto, &nic, None), (here.into(), Vec::new()));
        let above = [(Hook::Native, 2, 4000), here[0], here[1]];
        assert_eq!(ways(Attach::Auto, &nic, Some(&Ok(parent.clone()))), (above.into(), Vec::new()));
        assert_eq!(ways(Attach::Native, &nic, Some(&Ok(parent))), (vec![above[0]], Vec::new()));
        let refused = ways(Attach::Auto, &nic, Some(&Err("tags are lost".to_owned())));
        assert_eq!(refused, (here.into(), vec!["native: tags are lost".to_owned()]));
        let (none, reasons) = ways(Attach::Native, &nic, None);
        assert_eq!((none, reasons.len()), (Vec::new(), 1));
        assert!(reasons[0].contains("`eth0.4000` is a VLAN"), "{reasons:?}");
        assert_eq!(ways(Attach::Generic, &nic, None), (vec![(Hook::Generic, 5, 0)], Vec::new()));
    }
}
