//! Where Hetzner routes addresses, for people.

use std::{fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Alarm, AlarmKind, text::span};

/// An address that Hetzner is to route to this node while it is Active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HetznerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `failover_ip`, `floating_ip` or `alias_ip`.
    #[schemars(extend("enum" = ["failover_ip", "floating_ip", "alias_ip"]))]
    pub kind: String,
    /// The address.
    pub address: IpAddr,
    /// The virtual router or group that it follows.
    pub router: String,
    /// This node's server, as Hetzner knows it.
    pub server: String,
    /// Where it is routed.
    pub state: RoutingState,
    /// To whom, where that is somebody else and known.
    pub holder: Option<String>,
    /// How long that has been so, in milliseconds.
    pub since_ms: u64,
    /// Requests to route it here that Hetzner has accepted, since the start.
    pub switches: u64,
    /// What keeps it from being here at the moment, or from being looked after.
    pub trouble: Option<String>,
    /// What went wrong last, perhaps long ago.
    pub last_error: Option<String>,
}

/// Where an address is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoutingState {
    /// This node is not Active: nobody looks.
    Idle,
    /// This node is Active, and it is not known where the address is.
    Unknown,
    /// To this node's server, as the API says.
    Here,
    /// Somewhere else, or nowhere; it is asked for.
    Away,
}

impl HetznerStatus {
    /// The alarm that this node is Active without the address.
    #[must_use]
    pub fn alarm(&self) -> Alarm {
        let Self { name, kind, address, router, server, .. } = self;
        let why = self.trouble.clone().unwrap_or_else(|| self.place());
        let what = format!(
            "{name}: this node is Active for {router}, and {kind} {address} is not known to be routed to {server}; {why}"
        );
        Alarm { kind: AlarmKind::HetznerUnrouted, router: Some(router.clone()), peer: None, what }
    }

    fn place(&self) -> String {
        match (self.state, &self.holder) {
            (RoutingState::Idle, _) => "not looked after, since this node is not Active".to_owned(),
            (RoutingState::Unknown, _) => "it is not known yet where it is".to_owned(),
            (RoutingState::Here, _) => "routed here".to_owned(),
            (RoutingState::Away, Some(holder)) => format!("routed to {holder}"),
            (RoutingState::Away, None) => "routed to nobody".to_owned(),
        }
    }
}

impl fmt::Display for HetznerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, address, router, server, since_ms, switches, trouble, .. } = self;
        write!(
            f,
            "hetzner {name} ({kind} {address} to {server}, follows {router}): {} for {}",
            self.place(),
            span(*since_ms)
        )?;
        write!(f, ", {switches} requests accepted")?;
        match trouble {
            Some(trouble) => write!(f, "; {trouble}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_where_an_address_is_and_why() {
        let status = HetznerStatus {
            name: "web".to_owned(),
            kind: "failover_ip".to_owned(),
            address: [203, 0, 113, 9].into(),
            router: "web-a".to_owned(),
            server: "198.51.100.1".to_owned(),
            state: RoutingState::Away,
            holder: Some("198.51.100.2".to_owned()),
            since_ms: 2_000,
            switches: 1,
            trouble: Some("the API answers 409 FAILOVER_LOCKED".to_owned()),
            last_error: None,
        };
        assert_eq!(
            status.to_string(),
            "hetzner web (failover_ip 203.0.113.9 to 198.51.100.1, follows web-a): routed to 198.51.100.2 for 2.0 s, 1 requests \
             accepted; the API answers 409 FAILOVER_LOCKED"
        );
        assert_eq!(
            HetznerStatus { trouble: None, ..status }.alarm().what,
            "web: this node is Active for web-a, and failover_ip 203.0.113.9 is not known to be routed to 198.51.100.1; routed to \
             198.51.100.2"
        );
    }
}
