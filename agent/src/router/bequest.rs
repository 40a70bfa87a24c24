//! How a virtual router is left by whoever outlives the agent.

use ipnet::IpNet;
use vrrp::message::{ChecksumForm, version_2};

use super::VirtualRouter;
use crate::{config::Transport, perform::advertise::Dialect, supervisor::will::Bequest};

impl VirtualRouter {
    /// Where its role is in the vitals.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.reins.standing.slot()
    }

    /// What the will says of it; `None` while it has no interface, and so nothing to leave.
    #[must_use]
    pub fn bequest(&self) -> Option<Bequest> {
        let config = &self.config;
        let parameters = self.election.parameters();
        let is_framed = config.virtual_mac && config.transport == Transport::Multicast;
        (self.ifindex != 0).then(|| Bequest {
            slot: self.reins.standing.slot(),
            name: self.name(),
            interface: config.interface.clone(),
            ifindex: self.ifindex,
            family: config.family.number(),
            version: config.version.number(),
            vrid: config.vrid.get(),
            priority: parameters.priority.get(),
            source: self.own_address,
            destinations: self.destinations(),
            source_mac: is_framed.then_some(self.own_mac.0),
            addresses: config.addresses.iter().map(IpNet::addr).collect(),
            items: config.holdings().items(),
            virtual_mac: config.virtual_mac,
            interval_cs: config.advertisement_interval.get(),
            checksum_of_message_only: config.checksum == ChecksumForm::MessageOnly,
            password: match config.authentication {
                version_2::Authentication::None => None,
                version_2::Authentication::Password(_) => Some(config.authentication.data()),
            },
            hung_after: parameters.hung_after(),
            untaken_for: self.interval() * u32::from(parameters.down_timer_adverts),
        })
    }

    /// How its adverts are written.
    pub(super) const fn dialect(&self) -> Dialect {
        let config = &self.config;
        Dialect { version: config.version, checksum: config.checksum, authentication: config.authentication }
    }
}
