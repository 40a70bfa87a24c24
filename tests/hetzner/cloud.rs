//! Floating IPs and alias IPs of Cloud.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::api::{Answer, Asked};

/// The floating IP.
pub(crate) const FLOATING: &str = "203.0.113.10";
/// The alias IP.
pub(crate) const ALIAS: &str = "10.0.0.9";
/// An alias that both servers have besides, each its own.
pub(crate) const OTHERS: [&str; 2] = ["10.0.0.21", "10.0.0.22"];
/// Numbers of the servers n1 and n2. They are on the second page of the list.
pub(crate) const SERVERS: [u64; 2] = [101, 102];
/// Number of the network.
const NETWORK: u64 = 4711;
const AUTHORIZATION: &str = "Bearer t0ken";

#[derive(Debug)]
pub(crate) struct Cloud {
    /// The server that has the floating IP.
    pub(crate) floating: Option<u64>,
    /// Alias IPs of servers, by number.
    aliases: BTreeMap<u64, Vec<String>>,
    actions: Vec<Action>,
    /// How long an action takes.
    pub(crate) takes: Duration,
    /// It accepts everything, says that it is done, and does nothing.
    pub(crate) lies: bool,
}

#[derive(Debug)]
struct Action {
    done_at: Instant,
    effect: Option<Effect>,
}

#[derive(Debug)]
enum Effect {
    Assign(u64),
    Aliases(u64, Vec<String>),
}

impl Default for Cloud {
    fn default() -> Self {
        let aliases = SERVERS.into_iter().zip(OTHERS).map(|(server, other)| (server, vec![other.to_owned()]));
        Self { floating: None, aliases: aliases.collect(), actions: Vec::new(), takes: Duration::ZERO, lies: false }
    }
}

impl Cloud {
    /// The alias IPs of a server.
    pub(crate) fn aliases(&self, server: u64) -> Vec<&str> {
        self.aliases.get(&server).into_iter().flatten().map(String::as_str).collect()
    }

    pub(crate) fn answer(&mut self, asked: &Asked, path: &str) -> Answer {
        if asked.authorization != AUTHORIZATION {
            return error(401, "unauthorized");
        }
        self.settle();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let words: Vec<_> = path.split('/').skip(1).collect();
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        match (asked.method.as_str(), words.as_slice()) {
            ("GET", ["servers"]) => page("servers", self.servers(), query),
            ("GET", ["networks"]) => {
                page("networks", vec![json!({"id": NETWORK, "name": "lan", "ip_range": "10.0.0.0/16"})], query)
            }
            ("GET", ["floating_ips"]) => {
                let other = json!({"id": 1, "name": "six", "type": "ipv6", "ip": "2001:db8:9::/64", "server": null});
                let own = json!({"id": 2, "name": "web", "type": "ipv4", "ip": FLOATING, "server": self.floating});
                page("floating_ips", vec![other, own], query)
            }
            ("GET", ["actions", action]) => {
                let index = action.parse::<usize>().ok().filter(|&index| index < self.actions.len());
                index.map_or_else(|| error(404, "not_found"), |index| self.action(200, index))
            }
            ("POST", ["floating_ips", "2", "actions", "assign"]) => match body["server"].as_u64() {
                Some(server) if SERVERS.contains(&server) => self.begin(Effect::Assign(server)),
                _ => error(404, "not_found"),
            },
            ("POST", ["servers", server, "actions", "change_alias_ips"]) => self.change_aliases(server, &body),
            _ => error(404, "not_found"),
        }
    }

    fn change_aliases(&mut self, server: &str, body: &Value) -> Answer {
        let list = body["alias_ips"].as_array().map(|list| list.iter().filter_map(Value::as_str));
        let (Ok(server), Some(list)) = (server.parse(), list) else { return error(422, "invalid_input") };
        let list: Vec<_> = list.map(str::to_owned).collect();
        if body["network"] != NETWORK {
            return error(404, "not_found");
        }
        let others = self.aliases.iter().filter(|(other, _)| **other != server);
        if others.flat_map(|(_, aliases)| aliases).any(|taken| list.contains(taken)) {
            return error(422, "ip_not_available");
        }
        self.begin(Effect::Aliases(server, list))
    }

    /// A running action locks what it is about; here, everything.
    fn begin(&mut self, effect: Effect) -> Answer {
        if self.actions.iter().any(|action| Instant::now() < action.done_at) {
            return error(423, "locked");
        }
        self.actions.push(Action { done_at: Instant::now() + self.takes, effect: Some(effect).filter(|_| !self.lies) });
        self.action(201, self.actions.len() - 1)
    }

    /// Lets take effect what is done.
    fn settle(&mut self) {
        for action in self.actions.iter_mut().filter(|action| Instant::now() >= action.done_at) {
            match action.effect.take() {
                Some(Effect::Assign(server)) => self.floating = Some(server),
                Some(Effect::Aliases(server, list)) => drop(self.aliases.insert(server, list)),
                None => {}
            }
        }
    }

    fn action(&self, status: u16, index: usize) -> Answer {
        let is_done = Instant::now() >= self.actions[index].done_at;
        let (state, progress) = if is_done { ("success", 100) } else { ("running", 0) };
        Answer::new(
            status,
            &json!({"action": {"id": index, "command": "some_action", "status": state, "progress": progress, "error": null,
                "resources": [], "started": "2016-01-30T23:50:00+00:00", "finished": null}}),
        )
    }

    fn servers(&self) -> Vec<Value> {
        let others = (1..=55).map(|id| json!({"id": id, "name": format!("other-{id}"), "private_net": []}));
        let own = SERVERS.into_iter().enumerate().map(|(at, id)| {
            let net = json!({"network": NETWORK, "ip": format!("10.0.0.{}", at + 2), "alias_ips": self.aliases(id)});
            json!({"id": id, "name": format!("n{}", at + 1), "status": "running", "private_net": [net]})
        });
        others.chain(own).collect()
    }
}

/// A page of a list, as the query asks for it.
fn page(name: &str, mut items: Vec<Value>, query: &str) -> Answer {
    let given = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    if let Some(wanted) = given("name") {
        items.retain(|item| item["name"] == wanted);
    }
    let number = |key, default| given(key).and_then(|text| text.parse::<usize>().ok()).unwrap_or(default);
    let (page, per_page) = (number("page", 1), number("per_page", 25).min(50));
    let total = items.len();
    let items: Vec<_> = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
    let next = (page * per_page < total).then_some(page + 1);
    let pagination = json!({"page": page, "per_page": per_page, "previous_page": null, "next_page": next,
        "last_page": total.div_ceil(per_page), "total_entries": total});
    Answer::new(200, &json!({name: items, "meta": {"pagination": pagination}}))
}

fn error(status: u16, code: &str) -> Answer {
    Answer::new(status, &json!({"error": {"code": code, "message": "said so", "details": null}}))
}
