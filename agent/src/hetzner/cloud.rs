//! What floating IPs and alias IPs have in common: the API of Hetzner Cloud, <https://docs.hetzner.cloud>.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    access::Access,
    allowance::Allowance,
    api::{Call, Reply, describe, encoded},
    plan::{Heard, Pace, Trouble},
};
use crate::clock;

/// How many items a page of a list has at most.
const PER_PAGE: u32 = 50;
/// Pages of a list that are read.
const PAGES_MAX: u32 = 100;
/// How long the API is waited for at most where it was asked too often: of what it allows in an hour, a second brings one back.
const LIMITED_MAX: Duration = Duration::from_mins(1);
/// How long where it does not say for how long.
const LIMITED: Duration = Duration::from_secs(10);

/// Cloud allows 3600 requests an hour, to all programs of a project; a look takes two or more.
pub(super) const fn pace(recheck: Duration) -> Pace {
    Pace {
        recheck,
        settle: Duration::from_secs(15),
        settle_every: Duration::from_secs(3),
        busy: Duration::from_secs(3),
        looks: Allowance::new(30, Duration::from_secs(5)),
        asks: Allowance::new(10, Duration::from_secs(20)),
    }
}

/// A server, as far as it is of interest.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Server {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) private_net: Vec<PrivateNet>,
}

/// A server's place in a network.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PrivateNet {
    pub(super) network: u64,
    pub(super) ip: String,
    #[serde(default)]
    pub(super) alias_ips: Vec<String>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(flatten)]
    list: T,
    meta: Option<Meta>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    pagination: Pagination,
}

#[derive(Debug, Deserialize)]
struct Pagination {
    next_page: Option<u32>,
}

/// Something that takes its time.
#[derive(Debug, Deserialize)]
struct Answer {
    action: Action,
}

#[derive(Debug, Deserialize)]
struct Action {
    id: u64,
    #[serde(default)]
    command: String,
    status: String,
    error: Option<super::api::Fault>,
}

/// All of a list, such as that of `/servers`, page by page.
pub(super) async fn list<T: DeserializeOwned>(access: &Access, path: &str, query: &str) -> Result<Vec<T>, Trouble> {
    let (mut lists, mut page) = (Vec::new(), 1);
    while page <= PAGES_MAX {
        let call = Call::get(format!("{path}?{query}per_page={PER_PAGE}&page={page}"));
        let reply = access.send(&call).await?;
        if !reply.status.is_success() {
            return Err(trouble(&reply));
        }
        let Page { list, meta } = reply.read()?;
        lists.push(list);
        match meta.and_then(|meta| meta.pagination.next_page) {
            // A list that leads back would never end.
            Some(next) if next > page => page = next,
            Some(_) | None => return Ok(lists),
        }
    }
    Ok(lists)
}

/// The server `name` of the project.
pub(super) async fn server(access: &Access, name: &str) -> Result<Server, Trouble> {
    #[derive(Deserialize)]
    struct Servers {
        servers: Vec<Server>,
    }
    let pages: Vec<Servers> = list(access, "/servers", &format!("name={}&", encoded(name))).await?;
    let mut servers = pages.into_iter().flat_map(|page| page.servers);
    servers.find(|server| server.name == name).ok_or_else(|| no_server(name))
}

pub(super) fn no_server(name: &str) -> Trouble {
    let remedy =
        "write into servers the name that Cloud shows, and make sure that the token is of the server's project";
    Trouble::Operator { why: format!("there is no server {name:?} in the project"), remedy: remedy.to_owned() }
}

/// Sends what changes something.
pub(super) async fn ask(access: &Access, call: &Call) -> Result<Heard, Trouble> {
    let reply = access.send(call).await?;
    if !reply.status.is_success() {
        return Err(trouble(&reply));
    }
    let Answer { action } = reply.read()?;
    let is_done = judge(&action)? == Heard::Done;
    Ok(Heard::Accepted((!is_done).then_some(action.id)))
}

/// Asks what has become of an action.
pub(super) async fn follow(access: &Access, action: u64) -> Result<Heard, Trouble> {
    let reply = access.send(&Call::get(format!("/actions/{action}"))).await?;
    if !reply.status.is_success() {
        return Err(trouble(&reply));
    }
    let Answer { action } = reply.read()?;
    Ok(judge(&action).unwrap_or_else(Heard::Failed))
}

/// What an action has come to; an error where it has failed.
fn judge(action: &Action) -> Result<Heard, Trouble> {
    match (action.status.as_str(), &action.error) {
        ("running", _) => Ok(Heard::Running),
        ("success", _) => Ok(Heard::Done),
        (_, error) => {
            let (code, message) = error.as_ref().map_or(("", ""), |error| (&error.code, &error.message));
            let why = format!("the action {} has failed: {code} ({message})", action.command);
            Err(if is_busy(code) { Trouble::Busy(why) } else { Trouble::Passing { why, after: None } })
        }
    }
}

/// Whether something else happens to the address or the server, or has happened in between.
fn is_busy(code: &str) -> bool {
    matches!(code, "locked" | "conflict" | "ip_not_available")
}

pub(super) fn trouble(reply: &Reply) -> Trouble {
    let fault = reply.fault();
    let why = describe(reply.status, &fault);
    let remedy = match (fault.code.as_str(), reply.status.as_u16()) {
        (code, _) if is_busy(code) => return Trouble::Busy(why),
        (_, 423) => return Trouble::Busy(why),
        ("rate_limit_exceeded", _) | (_, 429) => return Trouble::Limited { why, after: limited(reply) },
        ("resource_unavailable" | "service_error" | "robot_unavailable" | "maintenance" | "timeout", _) => {
            return Trouble::Passing { why, after: reply.retry_after };
        }
        ("unauthorized", _) | (_, 401) => {
            "make a token under \"API tokens\" of the project, and put it where token says"
        }
        ("token_readonly", _) | (_, 403) => "the token must be one that may read and write, not only read",
        _ => return reply.trouble(&fault),
    };
    Trouble::Operator { why, remedy: remedy.to_owned() }
}

/// How long to wait for what the API allows.
fn limited(reply: &Reply) -> Duration {
    let until_reset = || {
        let now = clock::wall().as_secs();
        reply.reset_at.map(|at| Duration::from_secs(at.saturating_sub(now)).min(LIMITED_MAX))
    };
    reply.retry_after.or_else(until_reset).unwrap_or(LIMITED).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
