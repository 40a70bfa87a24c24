//! The program of one side, while it runs.

use anyhow::{Context, Result, ensure};
use harness::{Agent, Frr, GENEROUS, Keepalived, Process};

use super::{record::of, served::Served};

/// How keepalived calls what it does not accept.
const COMPLAINTS: [&str; 9] = [
    "checksum",
    "discarding",
    "expect",
    "ignoring",
    "invalid",
    "mismatch",
    "not a unicast peer",
    "not present",
    "packet too",
];
/// How it calls what it discards because the protocol says so.
const NO_COMPLAINT: &str = "received lower priority";
/// How FRR does.
const FRR_COMPLAINTS: [&str; 2] = ["Datagram invalid", "but this VRRP instance has"];
/// And what it says though nothing is wrong: each of its virtual routers hears the adverts of all.
const NO_FRR_COMPLAINTS: [&str; 2] = ["Bad version", "does not match our instance"];
/// Verdicts on good adverts. The second is on unicast ones that come before vipd, which is starting, has told the guard
/// its own address.
const GOOD: [&str; 2] = ["admitted", "other_destination"];
/// What the guard counts beside adverts, while the addresses go from one to the other: announcements of the peer before
/// vipd has read that it is Active, what came for a Backup, and what a Backup was about to say.
const BESIDE: [&str; 4] = ["claims", "fenced_neighbor", "fenced_traffic", "held_back"];

pub(crate) enum Running {
    Vipd(Agent),
    Keepalived(Keepalived),
    Frr(Frr),
}

impl Running {
    /// The death of a machine.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self {
            Self::Vipd(agent) => agent.process.kill(),
            Self::Keepalived(keepalived) => keepalived.process.kill(),
            Self::Frr(frr) => frr.kill(),
        }
    }

    /// The stop of a service.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let process = match self {
            Self::Vipd(agent) => &mut agent.process,
            Self::Keepalived(keepalived) => &mut keepalived.process,
            Self::Frr(frr) => return frr.terminate(GENEROUS),
        };
        let status = process.terminate(GENEROUS)?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// The state of each virtual router, where it can be asked.
    pub(crate) fn states(&self, served: &[Served]) -> Result<Vec<Option<String>>> {
        ensure!(self.process().is_running(), "it has ended");
        Ok(match self {
            Self::Vipd(agent) => {
                let status = agent.status().ok();
                let state = |it: &Served| Some(status.as_ref()?.state(&it.name(), it.family)?.to_owned());
                served.iter().map(state).collect()
            }
            Self::Keepalived(keepalived) => {
                served.iter().map(|it| keepalived.state(it.vrid, it.family).map(str::to_owned)).collect()
            }
            Self::Frr(frr) => {
                let states = frr.states().ok();
                let state = |it: &Served| states.as_ref()?.get(&(it.vrid, it.family)).map(|&state| state.to_owned());
                served.iter().map(state).collect()
            }
        })
    }

    const fn process(&self) -> &Process {
        match self {
            Self::Vipd(agent) => &agent.process,
            Self::Keepalived(keepalived) => &keepalived.process,
            Self::Frr(frr) => &frr.process,
        }
    }

    /// Fails if it did not accept all that it heard.
    pub(crate) fn check(&self, served: &[Served]) -> Result<()> {
        match self {
            Self::Vipd(agent) => {
                let status = agent.status()?;
                for served in served {
                    let router = status.router(&served.name(), served.family);
                    let router = router.context("a virtual router is missing").context(of(served))?;
                    let counters = router["counters"].as_object().context("there are no counters")?;
                    let tally = &router["tally"];
                    let is_good = counters.keys().all(|name| GOOD.iter().chain(&BESIDE).any(|good| good == name))
                        && tally["adverts_refused"] == 0
                        && tally["address_list_differs"] == 0;
                    let what = || format!("vipd does not accept everything: {router:#}");
                    is_good.then_some(()).with_context(what).context(of(served))?;
                }
            }
            Self::Keepalived(keepalived) => {
                let transcript = keepalived.process.transcript();
                let complaint = transcript.lines().find(|line| {
                    let text = line.to_lowercase();
                    !text.contains(NO_COMPLAINT) && COMPLAINTS.iter().any(|complaint| text.contains(complaint))
                });
                ensure!(complaint.is_none(), "keepalived complains: {complaint:?}");
            }
            Self::Frr(frr) => {
                let transcript = frr.process.transcript();
                let contains = |line: &str, texts: [&str; 2]| texts.iter().any(|text| line.contains(text));
                let is_complaint = |line: &&str| contains(line, FRR_COMPLAINTS) && !contains(line, NO_FRR_COMPLAINTS);
                let complaint = transcript.lines().find(is_complaint);
                ensure!(complaint.is_none(), "FRR complains: {complaint:?}");
            }
        }
        Ok(())
    }
}
