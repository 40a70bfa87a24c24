//! `vipd status` and `vipd explain` for people.

mod page;

use std::{collections::BTreeMap, fmt};

pub use self::page::{Page, Paper, Tone};
use super::{
    AuthenticationStatus, Explanation, FenceStatus, GroupStatus, InterfaceStatus, LatenessStatus, RouterStatus,
    Snapshot, TargetStatus,
};

/// Where there are more virtual routers than this, only what is odd is shown of them.
const ROUTERS_MAX: usize = 20;
/// Addresses of a virtual router that are shown until the others are only counted.
const ADDRESSES_MAX: usize = 4;
/// How far the details of a virtual router are indented.
const INDENT: usize = 4;

/// How much of a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Of many virtual routers those that are odd, and of many addresses the first.
    Summary,
    /// Everything.
    All,
}

impl Snapshot {
    /// The status for people: what is wrong, the virtual routers, everything else.
    #[must_use]
    pub fn page(&self, extent: Extent) -> Page {
        let mut page = Page::default();
        self.write_verdict(&mut page);
        page.gap();
        self.write_routers(&mut page, extent);
        page.gap();
        self.write_facts(&mut page);
        page
    }

    /// How many virtual routers are in each state.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&str, usize> {
        let mut states = BTreeMap::new();
        for router in &self.virtual_routers {
            *states.entry(router.state.as_str()).or_insert(0) += 1;
        }
        states
    }

    fn write_verdict(&self, page: &mut Page) {
        let troubles = self.troubles();
        let verdict = match (troubles.len(), troubles.iter().any(|trouble| trouble.is_bad)) {
            (0, _) => (Tone::Good, "nothing is wrong".to_owned()),
            (1, is_bad) => (tone_of(is_bad), "one thing is wrong".to_owned()),
            (count, is_bad) => (tone_of(is_bad), format!("{count} things are wrong")),
        };
        let states: Vec<_> = self.states().iter().map(|(state, count)| format!("{count} {state}")).collect();
        let who = format!("{} of cluster {}: {}; ", self.node, self.cluster, states.join(", "));
        page.line(INDENT, [(Tone::Plain, who), verdict]);
        for trouble in troubles {
            let what = format!(" {}", trouble.what);
            page.line(INDENT, [(tone_of(trouble.is_bad), trouble.word.to_owned()), (Tone::Plain, what)]);
        }
    }

    fn write_routers(&self, page: &mut Page, extent: Extent) {
        let is_whole = extent == Extent::All || self.virtual_routers.len() <= ROUTERS_MAX;
        let is_shown = |router: &&RouterStatus| is_whole || self.is_odd(router);
        let mut shown: Vec<_> = self.virtual_routers.iter().filter(is_shown).collect();
        let usual = self.virtual_routers.len() - shown.len();
        let mut more = 0;
        if !is_whole {
            shown.sort_by_key(|router| matches!(router.state.as_str(), "Active" | "Backup"));
            more = shown.len().saturating_sub(ROUTERS_MAX);
            shown.truncate(ROUTERS_MAX);
        }
        let width = shown.iter().map(|router| router.name.chars().count()).max().unwrap_or(0).max(16);
        if !shown.is_empty() {
            let head = format!(
                "{:<width$} {:>4} {:<6} {:<10} {:>8}  {:<8} WHY",
                "VIRTUAL ROUTER", "VRID", "FAMILY", "STATE", "PRIORITY", "SINCE"
            );
            page.line(INDENT, [(Tone::Head, head)]);
        }
        for router in &shown {
            router.write(page, width, extent);
        }
        if more > 0 {
            let what =
                format!("{more} more virtual routers are odd, or have changed within a minute; --all shows them");
            page.line(INDENT, [(Tone::Warning, what)]);
        }
        if usual > 0 {
            let what =
                format!("{usual} virtual routers have been as they should for a minute or more; --all shows them");
            page.line(INDENT, [(Tone::Good, what)]);
        }
        for GroupStatus { name, state, since_ms, members, .. } in self.groups.iter().filter(|group| group.is_listed) {
            let members = if extent == Extent::All { members.join(", ") } else { super::trouble::list(members) };
            let rest = format!(" for {}; {members}", span(*since_ms));
            let pieces =
                [(Tone::Plain, format!("group {name}: ")), (state_tone(state), state.clone()), (Tone::Plain, rest)];
            page.line(INDENT, pieces);
        }
    }

    /// What is looked up, not looked at.
    fn write_facts(&self, page: &mut Page) {
        let mut fact = |text: String| page.line(INDENT, [(Tone::Plain, text)]);
        let supervisor = self.supervisor.map_or_else(|| "no supervisor".to_owned(), |pid| format!("supervisor {pid}"));
        fact(format!("vipd {} (pid {}, {supervisor}), guard {}", self.version, self.pid, self.guard));
        let LatenessStatus { adverts, p50_us, p99_us, max_us, .. } = &self.send_lateness;
        if *adverts > 0 {
            fact(format!(
                "{adverts} adverts sent late by {p50_us} µs (half of them), {p99_us} µs (99%), {max_us} µs (all)"
            ));
        }
        self.authentication.iter().for_each(|authentication| fact(authentication.to_string()));
        self.interfaces.iter().for_each(|interface| fact(interface.to_string()));
        self.checks.iter().for_each(|check| fact(check.to_string()));
        self.hetzner.iter().for_each(|hetzner| fact(hetzner.to_string()));
        self.notifications.iter().for_each(|target| fact(target.to_string()));
    }
}

impl RouterStatus {
    fn write(&self, page: &mut Page, width: usize, extent: Extent) {
        let before = format!("{:<width$} {:>4} {:<6} ", self.name, self.vrid, self.family);
        let state = (state_tone(&self.state), format!("{:<10}", self.state));
        let why = self.reason.as_deref().unwrap_or_default();
        let after = format!(" {:>8}  {:<8} {why}", self.priority, span(self.since_ms));
        page.line(INDENT, [(Tone::Plain, before), state, (Tone::Plain, after)]);
        let details = format!("{:INDENT$}{}", "", self.details(extent).join("; "));
        page.line(INDENT, [(Tone::Detail, details)]);
    }

    fn details(&self, extent: Extent) -> Vec<String> {
        let count = if extent == Extent::All { self.addresses.len() } else { self.addresses.len().min(ADDRESSES_MAX) };
        let more = self.addresses.len() - count;
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let mut details = vec![format!("{}{and_more}", self.addresses[..count].join(", "))];
        details.push(match self.own_address {
            Some(source) => format!("adverts from {source}"),
            None => "no address to advertise from yet".to_owned(),
        });
        if let (Some(from), Some(ms)) = (self.last_advert_from, self.last_advert_ms) {
            let priority = self.last_advert_priority.unwrap_or_default();
            details.push(format!("last heard {from} (priority {priority}) {} ago", span(ms)));
        }
        if let Some(ms) = self.takeover_confirmed_ms {
            details.push(format!("takeover confirmed after {}", span(ms)));
        }
        if let Some(dropped) = self.counters.get("dropped").or_else(|| self.counters.get("would_drop")) {
            details.push(format!("{dropped} bad adverts"));
        }
        details.push(fence(self));
        if self.priority != self.configured_priority {
            details.push(format!("priority {} configured", self.configured_priority));
        }
        if !self.checks.is_empty() {
            let checks: Vec<_> = self.checks.iter().map(ToString::to_string).collect();
            details.push(format!("checks: {}", checks.join(", ")));
        }
        details
    }
}

const fn tone_of(is_bad: bool) -> Tone {
    if is_bad { Tone::Bad } else { Tone::Warning }
}

fn state_tone(state: &str) -> Tone {
    match state {
        "Active" => Tone::Good,
        "Fault" => Tone::Bad,
        "Initialize" => Tone::Warning,
        _ => Tone::Plain,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is in {}", self.router, self.state)?;
        for because in &self.because {
            writeln!(f, "  because {because}")?;
        }
        for until in &self.until {
            writeln!(f, "  until   {until}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AuthenticationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(u8::to_string).collect();
        write!(f, "authentication {}: keys {}", self.mode, keys.join(", "))?;
        if let Some(active) = self.active_key {
            write!(f, ", signing with {active}")?;
        }
        write!(f, ", clock {}", if self.clock_synchronised { "synchronised" } else { "not synchronised" })
    }
}

impl fmt::Display for InterfaceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = if self.up { "up" } else { "down" };
        write!(f, "interface {}: {link}, adverts judged by {}", self.name, judge(&self.attach))?;
        match &self.attach_reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TargetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, delivered, failed, waiting, last_error } = self;
        write!(f, "notify {name} by {kind}: {delivered} told, {waiting} waiting, {failed} given up")?;
        match last_error {
            Some(error) => write!(f, "; last error: {error}"),
            None => Ok(()),
        }
    }
}

fn judge(attach: &str) -> &str {
    match attach {
        "native" => "XDP in the driver",
        "generic" => "generic XDP",
        "tcx" => "a tcx program",
        "clsact" => "a clsact classifier",
        _ => "the agent on a packet socket",
    }
}

fn fence(router: &RouterStatus) -> String {
    let stopped = |name| router.counters.get(name).copied().unwrap_or(0);
    match router.fence {
        FenceStatus::Off => "no fence".to_owned(),
        FenceStatus::Absent => "no fence, since no guard is in the kernel".to_owned(),
        FenceStatus::Observing => "fence only observing".to_owned(),
        FenceStatus::Ready { closings: 0 } => "fence ready".to_owned(),
        FenceStatus::Ready { closings } => format!(
            "fence closed {closings} times, {} ARP or ND and {} other frames stopped",
            stopped("fenced_neighbor"),
            stopped("fenced_traffic")
        ),
    }
}

/// A span in the unit that reads best.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000.. => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests;
