//! What people see of all elections.

use vrrp::{Family, Instant};
use vrrp_wire::abi::RouterKey;

use super::{Interface, Reactor};
use crate::{
    clock,
    observe::{InterfaceStatus, RouterStatus, Snapshot, authentication_status},
};

impl Reactor {
    pub(super) fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.name_leaders();
        let interfaces = self.interfaces.iter().map(|interface| self.interface_status(interface)).collect();
        let routers: Vec<RouterStatus> = self.routers.iter().map(|router| router.status(&self.desk, now)).collect();
        let alarms = self.watchman.alarms().to_vec();
        let authentication = self.desk.authentication.as_ref().map(authentication_status);
        let (supervisor, send_lateness) = (self.supervised.supervisor(), self.lateness.status());
        Snapshot {
            supervisor,
            interfaces,
            virtual_routers: routers,
            groups: self.groups_status(now),
            alarms,
            authentication,
            send_lateness,
            clock_synchronised: clock::is_synchronised(),
            ..self.about.clone()
        }
    }

    fn interface_status(&self, Interface { link, attachment, .. }: &Interface) -> InterfaceStatus {
        let not_configured = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .map(|family| {
                self.desk.datapath.counters(&RouterKey::unconfigured(attachment.scope.ifindex, family)).not_configured
            })
            .sum();
        InterfaceStatus {
            name: link.interface.clone(),
            up: link.up,
            attach: attachment.mode.to_string(),
            attach_reason: attachment.reason.clone(),
            heard: self.desk.datapath.hears(&link.interface),
            not_configured,
        }
    }
}
