//! Failover IPs and subnets: Robot's webservice, <https://robot.hetzner.com/doc/webservice/en.html#failover>.

use std::{net::IpAddr, time::Duration};

use hyper::StatusCode;
use serde::Deserialize;

use super::{
    access::Access,
    allowance::Allowance,
    api::{Body, Call, Reply, describe},
    plan::{Heard, Pace, Step, Trouble},
};

/// How long Robot may take to answer a request to switch: it answers when that is done, after up to a minute.
const SWITCH_PATIENCE: Duration = Duration::from_mins(3);
/// The longest span for which Robot's limits are said.
const INTERVAL_MAX: u64 = 24 * 3600;
/// What Robot is waited for where it says that it was asked too often, and not how often it may be.
const LIMITED: Duration = Duration::from_mins(2);

/// A failover IP, and the server that it is to be routed to.
#[derive(Clone, Debug)]
pub(super) struct Robot {
    pub(super) address: IpAddr,
    pub(super) server: IpAddr,
}

/// What Robot says of a failover IP.
#[derive(Debug, Deserialize)]
struct Answer {
    failover: Failover,
}

#[derive(Debug, Deserialize)]
struct Failover {
    ip: IpAddr,
    /// `null` where it is routed nowhere.
    active_server_ip: Option<IpAddr>,
}

/// Half of what Robot allows in an hour, 100 questions and 50 switches, for all of the file's entries; what is left is for other
/// nodes and other programs.
pub(super) fn pace(recheck: Duration, sharers: u32) -> Pace {
    let sharers = sharers.max(1);
    Pace {
        recheck,
        settle: Duration::from_mins(1),
        settle_every: Duration::from_secs(10),
        busy: Duration::from_secs(10),
        looks: Allowance::new((20 / sharers).max(4), Duration::from_secs(72) * sharers),
        asks: Allowance::new((10 / sharers).max(3), Duration::from_secs(144) * sharers),
    }
}

impl Robot {
    /// Does `step`.
    pub(super) async fn carry_out(&self, step: &Step, access: &Access) -> Result<Heard, Trouble> {
        match step {
            Step::Look => self.found(&access.send(&Call::get(self.path())).await?),
            Step::Ask(call) => accepted(&access.send(call).await?),
            // Robot has no actions.
            Step::Follow(_) => Ok(Heard::Done),
        }
    }

    fn path(&self) -> String {
        format!("/failover/{}", self.address)
    }

    fn remedy(&self) -> Call {
        let body = Body::Form(format!("active_server_ip={}", super::api::encoded(&self.server.to_string())));
        Call { patience: SWITCH_PATIENCE, ..Call::post(self.path(), body) }
    }

    /// Where the address is, by the answer to a question.
    fn found(&self, reply: &Reply) -> Result<Heard, Trouble> {
        if reply.status != StatusCode::OK {
            return Err(trouble(reply));
        }
        let Answer { failover } = reply.read()?;
        if failover.ip != self.address {
            let why = format!("the API was asked for {} and answers for {}", self.address, failover.ip);
            return Err(Trouble::Passing { why, after: None });
        }
        if failover.active_server_ip == Some(self.server) {
            return Ok(Heard::Here);
        }
        let holder = failover.active_server_ip.map(|server| server.to_string());
        Ok(Heard::Away { holder, remedy: self.remedy() })
    }
}

/// Whether a request to switch is accepted. That it is done says the next look.
fn accepted(reply: &Reply) -> Result<Heard, Trouble> {
    if reply.status.is_success() || reply.fault().code == "FAILOVER_ALREADY_ROUTED" {
        return Ok(Heard::Accepted(None));
    }
    Err(trouble(reply))
}

fn trouble(reply: &Reply) -> Trouble {
    let fault = reply.fault();
    let why = describe(reply.status, &fault);
    let remedy = match (reply.status.as_u16(), fault.code.as_str()) {
        (401, _) => {
            "compare username and password with the webservice user that Robot shows under \"Web service and app settings\"; after \
             three wrong logins Robot shuts this host out for ten minutes"
        }
        (_, "FAILOVER_NEW_SERVER_NOT_FOUND") => {
            "write into servers the main address of this node's server, as Robot shows it"
        }
        (404, _) => "failover_ip must be a failover IP, or the first address of a failover subnet, of this account",
        (_, "FAILOVER_LOCKED") => return Trouble::Busy(why),
        (_, "RATE_LIMIT_EXCEEDED") => {
            let span = fault.interval.zip(fault.max_request).map(|(interval, requests)| {
                // One in so long is what is allowed, whenever the span has begun.
                Duration::from_secs(interval.min(INTERVAL_MAX)) / u32::try_from(requests).unwrap_or(u32::MAX).max(1)
            });
            return Trouble::Limited { why, after: span.or(reply.retry_after).unwrap_or(LIMITED) };
        }
        _ => return reply.trouble(&fault),
    };
    Trouble::Operator { why, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests;
