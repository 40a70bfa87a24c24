//! What happened, as people and programs are told of it.

use std::{fmt, net::IpAddr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use vrrp::election::{Cause, Reason, StateName};

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts the events that one run of the agent has told of, from 1 on.
    pub sequence: u64,
    /// When, by the wall clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: OffsetDateTime,
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// On which node.
    pub node: Arc<str>,
    /// What changed.
    #[serde(flatten)]
    pub subject: Arc<Subject>,
    /// The state before.
    pub from: Condition,
    /// The state after.
    pub to: Condition,
    /// Why, for people.
    pub reason: String,
    /// Why, for programs.
    pub cause: CauseData,
    /// Effective priority of a virtual router then; 0 for a group, as keepalived has it.
    pub priority: u8,
    /// How bad it is.
    pub severity: Severity,
}

/// What changes its state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A virtual router of one family.
    Router {
        /// Name in the configuration, which both families share.
        name: String,
        /// `IPv4` or `IPv6`.
        #[schemars(extend("enum" = ["IPv4", "IPv6"]))]
        family: String,
        /// VRID.
        vrid: u8,
        /// Its interface.
        interface: String,
    },
    /// A group of virtual routers that move together.
    Group {
        /// Name in the configuration.
        name: String,
    },
}

impl Subject {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Router { name, .. } | Self::Group { name } => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router { name, family, .. } => write!(f, "{name}/{family}"),
            Self::Group { name } => write!(f, "group {name}"),
        }
    }
}

/// A state, or the end of all states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Condition {
    /// Not taking part yet.
    Initialize,
    /// Listening to the Active Router.
    Backup,
    /// Serving the virtual addresses.
    Active,
    /// Not able to serve.
    Fault,
    /// The agent has ended.
    Stopped,
    /// The configuration has it no more.
    Deleted,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Initialize, Self::Backup, Self::Active, Self::Fault, Self::Stopped, Self::Deleted];

    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Active => "Active",
            Self::Fault => "Fault",
            Self::Stopped => "Stopped",
            Self::Deleted => "Deleted",
        }
    }
}

impl From<StateName> for Condition {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Initialize => Self::Initialize,
            StateName::Backup => Self::Backup,
            StateName::Active => Self::Active,
            StateName::Fault => Self::Fault,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How bad a change is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    #[default]
    Info,
    /// Something went wrong and was coped with: a peer fell silent, this node was too late.
    Warning,
    /// This node cannot serve.
    Critical,
}

impl Severity {
    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CauseData {
    /// One word: `active_silent`, `better_router`, `link` and so on.
    pub kind: String,
    /// The other router, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<IpAddr>,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u8>,
}

impl From<Reason> for CauseData {
    fn from(reason: Reason) -> Self {
        let (source, priority) = match reason {
            Reason::BetterRouter { source, priority } => (Some(source), Some(priority.get())),
            Reason::WasSilent { source } => (Some(source), None),
            Reason::Startup
            | Reason::Shutdown
            | Reason::AddressOwner
            | Reason::ActiveSilent
            | Reason::ActiveLeft
            | Reason::Slept
            | Reason::Relieved
            | Reason::Follows
            | Reason::HandedOver
            | Reason::NotTaken
            | Reason::Fault(_)
            | Reason::Recovered(_) => (None, None),
        };
        Self { kind: kind(reason).to_owned(), source, priority }
    }
}

/// Why a state changed, in one word.
#[must_use]
pub const fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "startup",
        Reason::Shutdown => "shutdown",
        Reason::AddressOwner => "address_owner",
        Reason::ActiveSilent => "active_silent",
        Reason::ActiveLeft => "active_left",
        Reason::BetterRouter { .. } => "better_router",
        Reason::WasSilent { .. } => "was_silent",
        Reason::Slept => "slept",
        Reason::Relieved => "relieved",
        Reason::Follows => "follows",
        Reason::HandedOver => "handed_over",
        Reason::NotTaken => "not_taken",
        Reason::Fault(cause) => match cause {
            Cause::Link => "link",
            Cause::PrimaryAddress => "primary_address",
            Cause::VirtualAddresses => "virtual_addresses",
            Cause::Clock => "clock",
            Cause::Ipv6Source => "ipv6_source",
            Cause::Check => "check",
            Cause::Unchecked => "unchecked",
            Cause::Member => "member",
            Cause::MemberWaits => "member_waits",
        },
        Reason::Recovered(_) => "recovered",
    }
}

/// How bad a change for `reason` to `to` is. That nobody is heard means something only where somebody was: `has_heard`.
#[must_use]
pub fn severity(to: Condition, reason: Reason, has_heard: bool) -> Severity {
    match reason {
        _ if to == Condition::Fault => Severity::Critical,
        Reason::ActiveSilent if has_heard => Severity::Warning,
        Reason::WasSilent { .. } | Reason::Slept | Reason::Relieved | Reason::NotTaken => Severity::Warning,
        Reason::ActiveSilent
        | Reason::Startup
        | Reason::Shutdown
        | Reason::AddressOwner
        | Reason::ActiveLeft
        | Reason::BetterRouter { .. }
        | Reason::Follows
        | Reason::HandedOver
        | Reason::Fault(_)
        | Reason::Recovered(_) => Severity::Info,
    }
}

impl fmt::Display for Event {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, node, subject, from, to, reason, .. } = self;
        write!(f, "{} #{sequence} {node}: {subject} {from} -> {to}: {reason}", self.time_text())
    }
}

impl Event {
    /// When, as RFC 3339 has it, in UTC.
    #[must_use]
    pub fn time_text(&self) -> String {
        // Only a year beyond 9999 cannot be written.
        self.time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use vrrp::Priority;

    use super::*;

    /// An event of the virtual router `name` over IPv4, at a second after 1970 that is its number.
    pub(crate) fn event(sequence: u64, name: &str, from: Condition, to: Condition) -> Event {
        Event {
            sequence,
            time: OffsetDateTime::from_unix_timestamp(i64::try_from(sequence).unwrap()).unwrap(),
            cluster: "ingress".into(),
            node: "n1".into(),
            subject: Arc::new(Subject::Router {
                name: name.to_owned(),
                family: "IPv4".to_owned(),
                vrid: 51,
                interface: "vsw0".to_owned(),
            }),
            from,
            to,
            reason: "no advert from an Active Router".to_owned(),
            cause: CauseData::from(Reason::ActiveSilent),
            priority: 200,
            severity: Severity::Warning,
        }
    }

    #[test]
    fn programs_read_one_flat_object() {
        let event = event(7, "web-a", Condition::Backup, Condition::Active);
        let json = concat!(
            r#"{"sequence":7,"time":"1970-01-01T00:00:07Z","cluster":"ingress","node":"n1","kind":"router","#,
            r#""name":"web-a","family":"IPv4","vrid":51,"interface":"vsw0","from":"Backup","to":"Active","#,
            r#""reason":"no advert from an Active Router","cause":{"kind":"active_silent"},"priority":200,"#,
            r#""severity":"warning"}"#
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
        let text = "1970-01-01T00:00:07Z #7 n1: web-a/IPv4 Backup -> Active: no advert from an Active Router";
        assert_eq!(event.to_string(), text);
    }

    #[test]
    fn a_group_has_no_vrid() {
        let mut event = event(7, "web-a", Condition::Backup, Condition::Active);
        event.subject = Subject::Group { name: "both".to_owned() }.into();
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(r#""node":"n1","kind":"group","name":"both","from""#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn causes_name_the_other_router() {
        let source = IpAddr::from([10, 77, 0, 2]);
        let better = CauseData::from(Reason::BetterRouter { source, priority: Priority::new(150).unwrap() });
        let json = r#"{"kind":"better_router","source":"10.77.0.2","priority":150}"#;
        assert_eq!(serde_json::to_string(&better).unwrap(), json);
        assert_eq!(CauseData::from(Reason::Fault(Cause::Link)).kind, "link");
    }

    #[test]
    fn what_went_wrong_is_worse_than_what_was_wanted() {
        let link = Reason::Fault(Cause::Link);
        for (to, reason, has_heard, expected) in [
            (Condition::Fault, link, true, Severity::Critical),
            (Condition::Initialize, Reason::Fault(Cause::Ipv6Source), true, Severity::Info),
            (Condition::Active, Reason::ActiveSilent, true, Severity::Warning),
            (Condition::Active, Reason::ActiveSilent, false, Severity::Info),
            (Condition::Active, Reason::ActiveLeft, true, Severity::Info),
            (Condition::Backup, Reason::Relieved, true, Severity::Warning),
            (Condition::Stopped, Reason::Shutdown, true, Severity::Info),
        ] {
            assert_eq!(severity(to, reason, has_heard), expected, "{to} for {reason}");
        }
    }
}
