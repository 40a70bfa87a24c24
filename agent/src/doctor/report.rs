//! What was found, what is in order, and what could not be looked at; for people and as JSON.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::kind::{Kind, Severity};

/// Everything that was looked at.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Report {
    /// What is amiss.
    pub findings: Vec<Finding>,
    /// What is in order, a line for each area.
    pub in_order: Vec<Remark>,
    /// What could not be looked at, and why.
    pub not_looked_at: Vec<Remark>,
}

/// One thing that is amiss.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind of thing.
    #[serde(rename = "id")]
    #[schemars(with = "String")]
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub area: String,
    /// What is amiss, with the values that were found.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do: a command where there is one.
    pub remedy: String,
}

/// A line about an area.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remark {
    /// What was looked at.
    pub area: String,
    /// What there is to say.
    pub what: String,
}

impl Report {
    /// Begins to look at `area`.
    pub fn area(&mut self, area: impl Into<String>) -> Area<'_> {
        Area { name: area.into(), report: self, is_in_order: true }
    }

    /// Whether anything was found that is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether the configuration is refused.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == Kind::ConfigurationError)
    }

    /// Puts the worst first.
    pub fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.severity);
    }

    /// Leaves only the findings.
    pub fn forget_remarks(&mut self) {
        self.in_order.clear();
        self.not_looked_at.clear();
    }
}

/// One area, while it is looked at.
#[derive(Debug)]
pub struct Area<'r> {
    name: String,
    report: &'r mut Report,
    is_in_order: bool,
}

impl Area<'_> {
    /// Notes that something is amiss.
    pub fn find(&mut self, kind: Kind, what: impl Into<String>, remedy: impl Into<String>) {
        let severity = kind.severity();
        self.is_in_order &= severity == Severity::Note;
        let (area, what, remedy) = (self.name.clone(), what.into(), remedy.into());
        let finding = Finding { kind, severity, area, what, why: kind.why(), remedy };
        // The two families of an entry share most of what can be amiss.
        if !self.report.findings.contains(&finding) {
            self.report.findings.push(finding);
        }
    }

    /// Notes that something could not be looked at.
    pub fn miss(&mut self, what: impl Into<String>) {
        self.is_in_order = false;
        let remark = Remark { area: self.name.clone(), what: what.into() };
        if !self.report.not_looked_at.contains(&remark) {
            self.report.not_looked_at.push(remark);
        }
    }

    /// Ends with `what` to say if everything is in order.
    pub fn conclude(self, what: impl Into<String>) {
        if self.is_in_order {
            self.report.in_order.push(Remark { area: self.name, what: what.into() });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Remark { area, what } in &self.in_order {
            writeln!(f, "ok: {area}: {what}")?;
        }
        for Remark { area, what } in &self.not_looked_at {
            writeln!(f, "not looked at: {area}: {what}")?;
        }
        for Finding { kind, severity, area, what, why, remedy } in &self.findings {
            writeln!(f, "{severity}: {kind}: {area}: {what}\n  why: {why}\n  help: {remedy}")?;
        }
        let count = |severity: Severity| {
            let count = self.findings.iter().filter(|finding| finding.severity == severity).count();
            format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
        };
        let counts = [Severity::Error, Severity::Warning, Severity::Note].map(count);
        writeln!(f, "{}", counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_one_thing_is_said_once() {
        let mut report = Report::default();
        let mut area = report.area("interface vsw0");
        area.find(Kind::RpFilterStrict, "rp_filter is 1", "sysctl -w net/ipv4/conf/vsw0/rp_filter=2");
        area.find(Kind::InterfaceDown, "it is down", "ip link set vsw0 up");
        area.find(Kind::InterfaceDown, "it is down", "ip link set vsw0 up");
        area.conclude("all is well");
        report.area("kernel").conclude("Linux 6.12");
        report.area("rights").miss("only root may see that");
        report.sort();
        assert!(report.has_errors() && !report.is_misconfigured());
        let expected = "ok: kernel: Linux 6.12\n\
             not looked at: rights: only root may see that\n\
             error: interface_down: interface vsw0: it is down\n  \
             why: its virtual routers are in Fault while it is down or has no carrier\n  \
             help: ip link set vsw0 up\n\
             note: rp_filter_strict: interface vsw0: rp_filter is 1\n  \
             why: what comes to a virtual address from a sender that this host would answer through another interface is dropped\n  \
             help: sysctl -w net/ipv4/conf/vsw0/rp_filter=2\n\
             1 error, 0 warnings, 1 note\n";
        assert_eq!(report.to_string(), expected);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["findings"][0]["id"], "interface_down");
        assert_eq!(json["findings"][0]["severity"], "error");
        report.forget_remarks();
        assert!(report.to_string().starts_with("error:"));
    }

    #[test]
    fn ids_are_unlike() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
