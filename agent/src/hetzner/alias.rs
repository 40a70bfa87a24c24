//! Alias IPs in private networks of Cloud. One server has an alias at a time: it must be taken from that one first.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access,
    api::{Body, Call, encoded},
    cloud::{self, PrivateNet, Server},
    plan::{Heard, Step, Trouble},
};

/// An alias IP, its network, and the server that is to have it.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    pub(super) address: Ipv4Addr,
    pub(super) network: String,
    pub(super) server: String,
}

#[derive(Debug, Deserialize)]
struct Servers {
    servers: Vec<Server>,
}

#[derive(Debug, Deserialize)]
struct Networks {
    networks: Vec<Network>,
}

#[derive(Debug, Deserialize)]
struct Network {
    id: u64,
    name: String,
}

impl Alias {
    /// Does `step`.
    pub(super) async fn carry_out(&self, step: &Step, access: &Access) -> Result<Heard, Trouble> {
        match step {
            Step::Look => self.look(access).await,
            Step::Ask(call) => cloud::ask(access, call).await,
            Step::Follow(action) => cloud::follow(access, *action).await,
        }
    }

    async fn look(&self, access: &Access) -> Result<Heard, Trouble> {
        let query = format!("name={}&", encoded(&self.network));
        let pages: Vec<Networks> = cloud::list(access, "/networks", &query).await?;
        let network = pages.iter().flat_map(|page| &page.networks).find(|network| network.name == self.network);
        let Some(network) = network else {
            let why = format!("there is no network {:?} in the project", self.network);
            let remedy = "write into network the name that Cloud shows, and make sure that the token is of its project";
            return Err(Trouble::Operator { why, remedy: remedy.to_owned() });
        };
        let pages: Vec<Servers> = cloud::list(access, "/servers", "").await?;
        let servers: Vec<_> = pages.into_iter().flat_map(|page| page.servers).collect();
        self.found(network.id, &servers)
    }

    fn found(&self, network: u64, servers: &[Server]) -> Result<Heard, Trouble> {
        let alias = self.address.to_string();
        let in_network = servers.iter().filter_map(|server| Some((server, place(server, network)?)));
        let in_network: Vec<_> = in_network.collect();
        if let Some((server, _)) = in_network.iter().find(|(_, place)| place.ip == alias) {
            let why = format!("{alias} is the server {:?}'s own address in the network, and no alias", server.name);
            let remedy = "give alias_ip an address of a subnet that no server has".to_owned();
            return Err(Trouble::Operator { why, remedy });
        }
        let Some((own, own_place)) = in_network.iter().find(|(server, _)| server.name == self.server) else {
            if servers.iter().any(|server| server.name == self.server) {
                let why = format!("the server {:?} is not in the network {:?}", self.server, self.network);
                let remedy = "attach it to the network".to_owned();
                return Err(Trouble::Operator { why, remedy });
            }
            return Err(cloud::no_server(&self.server));
        };
        let holder = in_network.iter().find(|(_, place)| place.alias_ips.contains(&alias));
        match holder {
            Some((holder, _)) if holder.id == own.id => Ok(Heard::Here),
            Some((holder, place)) => {
                let rest: Vec<_> = place.alias_ips.iter().filter(|ip| **ip != alias).cloned().collect();
                let holder_name = Some(format!("server {:?}", holder.name));
                Ok(Heard::Away { holder: holder_name, remedy: change(holder, network, &rest) })
            }
            None => {
                let all: Vec<_> = own_place.alias_ips.iter().cloned().chain([alias]).collect();
                Ok(Heard::Away { holder: None, remedy: change(own, network, &all) })
            }
        }
    }
}

fn place(server: &Server, network: u64) -> Option<&PrivateNet> {
    server.private_net.iter().find(|place| place.network == network)
}

/// Gives a server this list of aliases, in place of the one that it has.
fn change(server: &Server, network: u64, aliases: &[String]) -> Call {
    let body = Body::Json(json!({ "network": network, "alias_ips": aliases }));
    Call::post(format!("/servers/{}/actions/change_alias_ips", server.id), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: u64, name: &str, ip: &str, aliases: &[&str]) -> Server {
        let alias_ips = aliases.iter().map(ToString::to_string).collect();
        let elsewhere = PrivateNet { network: 1, ip: "10.9.0.9".to_owned(), alias_ips: vec!["10.0.0.9".to_owned()] };
        let private_net = vec![elsewhere, PrivateNet { network: 4711, ip: ip.to_owned(), alias_ips }];
        Server { id, name: name.to_owned(), private_net }
    }

    fn look(servers: &[Server]) -> Result<Heard, Trouble> {
        let alias = Alias { address: [10, 0, 0, 9].into(), network: "lan".to_owned(), server: "n1".to_owned() };
        alias.found(4711, servers)
    }

    fn asks(path: &str, aliases: &[&str]) -> Call {
        Call::post(path.to_owned(), Body::Json(json!({ "network": 4711, "alias_ips": aliases })))
    }

    #[test]
    fn an_alias_is_taken_from_one_server_and_then_given_to_the_other() {
        let own = server(42, "n1", "10.0.0.2", &["10.0.0.7"]);
        let other = |aliases: &[&str]| server(43, "n2", "10.0.0.3", aliases);
        let away = Heard::Away {
            holder: Some("server \"n2\"".to_owned()),
            remedy: asks("/servers/43/actions/change_alias_ips", &["10.0.0.8"]),
        };
        assert_eq!(look(&[own.clone(), other(&["10.0.0.8", "10.0.0.9"])]), Ok(away));
        let free = Heard::Away {
            holder: None,
            remedy: asks("/servers/42/actions/change_alias_ips", &["10.0.0.7", "10.0.0.9"]),
        };
        assert_eq!(look(&[own, other(&["10.0.0.8"])]), Ok(free));
        assert_eq!(look(&[server(42, "n1", "10.0.0.2", &["10.0.0.9"]), other(&[])]), Ok(Heard::Here));
    }

    #[test]
    fn what_cannot_be_is_for_the_operator() {
        let mut outside = server(42, "n1", "10.0.0.2", &[]);
        outside.private_net.truncate(1);
        for (servers, expected) in [
            (vec![outside], "the server \"n1\" is not in the network \"lan\""),
            (vec![server(43, "n2", "10.0.0.3", &[])], "there is no server \"n1\" in the project"),
            (
                vec![server(42, "n1", "10.0.0.2", &[]), server(43, "n2", "10.0.0.9", &[])],
                "10.0.0.9 is the server \"n2\"'s own address in the network, and no alias",
            ),
        ] {
            assert!(matches!(look(&servers), Err(Trouble::Operator { why, .. }) if why == expected), "{expected}");
        }
    }
}
