//! Floating IPs of Cloud.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access,
    api::{Body, Call},
    cloud::{self, Server},
    plan::{Heard, Step, Trouble},
};

/// A floating IP, and the server that it is to be assigned to.
#[derive(Clone, Debug)]
pub(super) struct Floating {
    pub(super) address: IpAddr,
    pub(super) server: String,
}

#[derive(Debug, Deserialize)]
struct FloatingIps {
    floating_ips: Vec<FloatingIp>,
}

#[derive(Debug, Deserialize)]
struct FloatingIp {
    id: u64,
    /// An address, or over IPv6 a network.
    ip: String,
    /// `null` where it is assigned to none.
    server: Option<u64>,
}

impl Floating {
    /// Does `step`.
    pub(super) async fn carry_out(&self, step: &Step, access: &Access) -> Result<Heard, Trouble> {
        match step {
            Step::Look => self.look(access).await,
            Step::Ask(call) => cloud::ask(access, call).await,
            Step::Follow(action) => cloud::follow(access, *action).await,
        }
    }

    async fn look(&self, access: &Access) -> Result<Heard, Trouble> {
        let server = cloud::server(access, &self.server).await?;
        let pages: Vec<FloatingIps> = cloud::list(access, "/floating_ips", "").await?;
        self.found(&server, pages.iter().flat_map(|page| &page.floating_ips))
    }

    fn found<'l>(&self, server: &Server, mut listed: impl Iterator<Item = &'l FloatingIp>) -> Result<Heard, Trouble> {
        let Some(floating) = listed.find(|floating| has(&floating.ip, self.address)) else {
            let why = format!("there is no floating IP {} in the project", self.address);
            let remedy = "floating_ip must be one of the project whose token this is".to_owned();
            return Err(Trouble::Operator { why, remedy });
        };
        if floating.server == Some(server.id) {
            return Ok(Heard::Here);
        }
        let path = format!("/floating_ips/{}/actions/assign", floating.id);
        let remedy = Call::post(path, Body::Json(json!({ "server": server.id })));
        Ok(Heard::Away { holder: floating.server.map(|id| format!("server {id}")), remedy })
    }
}

/// Whether `address` is what `ip` says, or in it.
fn has(ip: &str, address: IpAddr) -> bool {
    let net = ip.parse::<IpNet>();
    net.map_or_else(|_| ip.parse() == Ok(address), |net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation, shortened, and one of IPv6.
    const LIST: &str = r#"{"floating_ips": [
        {"id": 4711, "name": "web", "type": "ipv4", "ip": "131.232.99.1", "server": 42, "blocked": false},
        {"id": 4712, "name": "six", "type": "ipv6", "ip": "2001:db8:1::/64", "server": null, "blocked": false}
    ]}"#;

    fn look(address: &str, own_id: u64) -> Result<Heard, Trouble> {
        let list: FloatingIps = serde_json::from_str(LIST).unwrap();
        let floating = Floating { address: address.parse().unwrap(), server: "n1".to_owned() };
        let server = Server { id: own_id, name: "n1".to_owned(), private_net: Vec::new() };
        floating.found(&server, list.floating_ips.iter())
    }

    #[test]
    fn an_address_is_found_by_itself_or_in_its_network() {
        assert_eq!(look("131.232.99.1", 42), Ok(Heard::Here));
        for (address, holder, path) in [
            ("131.232.99.1", Some("server 42"), "/floating_ips/4711/actions/assign"),
            ("2001:db8:1::5", None, "/floating_ips/4712/actions/assign"),
        ] {
            let remedy = Call::post(path.to_owned(), Body::Json(json!({ "server": 43 })));
            let expected = Heard::Away { holder: holder.map(str::to_owned), remedy };
            assert_eq!(look(address, 43), Ok(expected), "{address}");
        }
    }

    #[test]
    fn an_address_that_is_not_listed_is_for_the_operator() {
        let why = "there is no floating IP 131.232.99.2 in the project";
        assert!(matches!(look("131.232.99.2", 42), Err(Trouble::Operator { why: said, .. }) if said == why));
    }
}
