//! What attaching would meet on an interface, for who wants to know beforehand. Nothing is touched here.

use std::io;

use vrrp_wire::abi::program;

use super::{
    attach::rungs,
    hooks::{neighbours, program_name},
    nic::Nic,
    parent,
    preflight::{self, Occupant},
};
use crate::config;

/// What is known of the best way onto an interface.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// The interface that the program would sit on: the one that is served, or its parent.
    pub nic: Nic,
    /// The XDP program of somebody else that is there, where XDP is wanted.
    pub occupant: Option<Occupant>,
    /// Why better ways are left out.
    pub missing: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What others have in traffic control there, by name.
    pub neighbours: Vec<String>,
}

impl Prospect {
    /// Looks at the interface `ifindex`, onto which `guard` leads.
    pub fn look(ifindex: u32, guard: &config::Guard) -> io::Result<Self> {
        let nic = Nic::read(ifindex)?;
        let (rungs, missing) = rungs(guard.attach, &nic, parent(&nic, guard.vlan).as_ref());
        let Some(best) = rungs.into_iter().next() else {
            let neighbours = neighbours(&nic);
            return Ok(Self { nic, occupant: None, missing, notes: Vec::new(), neighbours });
        };
        let occupant = best.nic.xdp.filter(|_| best.hook.is_xdp());
        let occupant = occupant.map(|id| Occupant { id, name: program_name(id) });
        Ok(Self {
            // A guard of ours is known by its name: what it does there, its agent says.
            occupant: occupant.filter(|it| it.name.as_deref() != Some(program::XDP)),
            missing,
            notes: preflight::notes(&best.nic, best.hook),
            neighbours: neighbours(&best.nic),
            nic: best.nic,
        })
    }
}
