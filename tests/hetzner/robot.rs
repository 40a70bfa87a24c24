//! Robot's failover IPs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Answer, Asked};

/// The failover IP.
pub(crate) const ADDRESS: &str = "203.0.113.9";
/// The main addresses of the account's servers; the first two are those of n1 and n2.
pub(crate) const SERVERS: [&str; 3] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
/// `#ws+x` and `s3cret`.
const AUTHORIZATION: &str = "Basic I3dzK3g6czNjcmV0";

#[derive(Debug, Default)]
pub(crate) struct Robot {
    /// Where the failover IP is routed.
    active: Option<&'static str>,
    /// Where it will be routed, and when.
    switching: Option<(&'static str, Instant)>,
    /// How long a switch takes.
    pub(crate) takes: Duration,
    /// Somebody else's request is under way.
    pub(crate) is_locked: bool,
    /// Switches that have begun.
    pub(crate) switches: usize,
}

impl Robot {
    /// Where the failover IP is routed now.
    pub(crate) fn active(&mut self) -> Option<&'static str> {
        if let Some((server, at)) = self.switching.filter(|&(_, at)| Instant::now() >= at) {
            let _ = at;
            (self.active, self.switching) = (Some(server), None);
        }
        self.active
    }

    pub(crate) fn answer(&mut self, asked: &Asked) -> Answer {
        if asked.authorization != AUTHORIZATION {
            return error(401, "UNAUTHORIZED", "Unauthorized");
        }
        if asked.path != format!("/failover/{ADDRESS}") {
            return error(404, "NOT_FOUND", "failover not found");
        }
        match asked.method.as_str() {
            "GET" => {
                let active = self.active();
                Answer::new(200, &failover(active))
            }
            "POST" => self.switch(&asked.body),
            _ => error(405, "METHOD_NOT_ALLOWED", "not allowed"),
        }
    }

    fn switch(&mut self, form: &str) -> Answer {
        let Some(server) = form.strip_prefix("active_server_ip=") else {
            return error(400, "INVALID_INPUT", "invalid input");
        };
        let Some(server) = SERVERS.into_iter().find(|known| *known == server) else {
            return error(404, "FAILOVER_NEW_SERVER_NOT_FOUND", "new server not found");
        };
        if self.active() == Some(server) {
            return error(409, "FAILOVER_ALREADY_ROUTED", "already routed");
        }
        if self.is_locked || self.switching.is_some() {
            return error(409, "FAILOVER_LOCKED", "locked");
        }
        self.switches += 1;
        let at = Instant::now() + self.takes;
        // What has begun goes on, whether somebody waits for the answer or not.
        self.switching = Some((server, at));
        Answer { at: Some(at), ..Answer::new(200, &failover(Some(server))) }
    }
}

fn failover(active: Option<&str>) -> Value {
    json!({"failover": {"ip": ADDRESS, "netmask": "255.255.255.255", "server_ip": SERVERS[2],
        "server_ipv6_net": "2001:db8:3::", "server_number": 321, "active_server_ip": active}})
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(status, &json!({"error": {"status": status, "code": code, "message": message}}))
}
