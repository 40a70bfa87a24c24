//! Who advertises a virtual router beside a better one, by the frames of each host's port.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Result, ensure};
use harness::{Capture, Captured, Lan, decode::advertisement};

use super::cluster::HOSTS;

/// How many adverts of a better router a host may have got and still advertise: the loser of a contest may have sent its own before
/// it reads the first of them. After three it would be as late as the protocol lets a router be silent.
const HEARD_MAX: usize = 3;

/// What comes and goes at the port of each host.
pub(crate) struct Contests(Vec<(IpAddr, Capture)>);

impl Contests {
    pub(crate) fn watch(lan: &Lan) -> Result<Self> {
        let port = |(name, number): (&&str, u8)| {
            let capture = Capture::start(lan.namespace(), name)?;
            Ok((Ipv4Addr::new(10, 77, 0, number).into(), capture))
        };
        HOSTS.iter().zip(1..).map(port).collect::<Result<_>>().map(Self)
    }

    /// Fails where two hosts have been Active side by side for longer than a contest takes.
    pub(crate) fn were_short(&self) -> Result<()> {
        for (host, capture) in &self.0 {
            let frames = capture.frames();
            let said = frames.iter().filter_map(|frame| advertisement(&frame.bytes)).filter(|it| it.source == *host);
            ensure!(said.count() > 0, "no advert of {host} was captured");
            overstays(*host, &frames)?;
        }
        Ok(())
    }
}

fn overstays(host: IpAddr, frames: &[Captured]) -> Result<()> {
    // By VRID and sender: its priority, and how many of its adverts came since it left for the last time.
    let mut heard: HashMap<(u8, IpAddr), (u8, usize)> = HashMap::new();
    for advert in frames.iter().filter_map(|frame| advertisement(&frame.bytes)) {
        let (vrid, priority) = (advert.vrid, advert.priority);
        if advert.source != host {
            let (of, count) = heard.entry((vrid, advert.source)).or_default();
            (*of, *count) = if priority == 0 { (0, 0) } else { (priority, *count + 1) };
        } else if priority > 0 {
            let better =
                heard.iter().find(|((of, _), (other, count))| *of == vrid && *other > priority && *count > HEARD_MAX);
            ensure!(better.is_none(), "{host} advertises {vrid} with {priority} beside {better:?}");
        }
    }
    Ok(())
}
