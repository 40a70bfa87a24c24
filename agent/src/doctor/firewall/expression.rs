//! Whether an expression of nftables fits an advert: yes, no, or not to be known from outside.
//!
//! The forms are those of libnftables-json(5).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use vrrp_wire::Family;

/// VRRP's number among the protocols of IP, and the name that nft may print for it.
const VRRP: &str = "112";
const VRRP_NAME: &str = "vrrp";

/// What makes another number of what a packet has, by libnftables-json(5).
const ARITHMETIC: [&str; 5] = ["&", "|", "^", "<<", ">>"];

/// An advert, as far as rules look at it. `None`: not known.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) family: Family,
    pub(super) interface: String,
    pub(super) is_sent: bool,
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    pub(super) is_multicast: bool,
    /// Whether the table of connections certainly has it.
    pub(super) is_tracked: bool,
}

/// What a packet has where an expression looks.
enum Fact {
    /// One of these words, which mean the same.
    Words(Vec<String>),
    Address(IpAddr),
    /// A packet of another kind would have something there.
    Absent,
    Unknown,
}

impl Packet {
    /// Whether the match of a rule fits; `None`: not known. `set` finds the elements of a named set.
    pub(super) fn fits<'v>(&self, fit: &'v Value, set: impl Fn(&str) -> Option<&'v Value>) -> Option<bool> {
        let is_wanted = match fit["op"].as_str()? {
            "==" | "in" => true,
            "!=" => false,
            _ => return None,
        };
        let mut right = &fit["right"];
        if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
            right = set(name)?;
        }
        // A rule about another protocol's header fits no packet without one, whatever its operator.
        let is_absent = matches!(self.fact(&fit["left"]), Fact::Absent);
        if is_absent { Some(false) } else { self.is(&fit["left"], right).map(|is| is == is_wanted) }
    }

    /// Whether what `left` looks at is `right`, or one of its values; `None`: not known.
    pub(super) fn is(&self, left: &Value, right: &Value) -> Option<bool> {
        match self.fact(left) {
            Fact::Unknown => None,
            Fact::Absent => Some(false),
            Fact::Words(words) => among(right, &|value| is_word(value, &words)),
            Fact::Address(address) => among(right, &|value| is_address(value, address)),
        }
    }

    fn fact(&self, left: &Value) -> Fact {
        let words = |words: &[&str]| Fact::Words(words.iter().map(ToString::to_string).collect());
        if let Some(key) = left["meta"]["key"].as_str() {
            let here = || words(&[&self.interface]);
            return match (key, self.is_sent, self.family) {
                ("oifname" | "oif", true, _) | ("iifname" | "iif", false, _) => here(),
                ("iifname" | "iif", true, _) | ("oifname" | "oif", false, _) => words(&[""]),
                ("l4proto", ..) => words(&[VRRP, VRRP_NAME]),
                ("nfproto", _, Family::Ipv4) => words(&["ipv4"]),
                ("nfproto", _, Family::Ipv6) => words(&["ipv6"]),
                ("protocol", _, Family::Ipv4) => words(&["ip", "0x0800", "2048"]),
                ("protocol", _, Family::Ipv6) => words(&["ip6", "0x86dd", "34525"]),
                ("pkttype", false, _) if self.is_multicast => words(&["multicast"]),
                _ => Fact::Unknown,
            };
        }
        if left["ct"]["key"] == "state" {
            // Nobody answers a group, so a connection to it is new for ever.
            return if self.is_multicast && self.is_tracked { words(&["new"]) } else { Fact::Unknown };
        }
        if let Some(operand) = ARITHMETIC.iter().find_map(|operator| left[operator].as_array()?.first()) {
            return if matches!(self.fact(operand), Fact::Absent) { Fact::Absent } else { Fact::Unknown };
        }
        let payload = &left["payload"];
        let (Some(protocol), Some(field)) = (payload["protocol"].as_str(), payload["field"].as_str()) else {
            return Fact::Unknown;
        };
        match (protocol, self.family, field) {
            ("ip", Family::Ipv4, "protocol") | ("ip6", Family::Ipv6, "nexthdr") => words(&[VRRP, VRRP_NAME]),
            ("ip", Family::Ipv4, "ttl") | ("ip6", Family::Ipv6, "hoplimit") => words(&["255"]),
            ("ip", Family::Ipv4, "saddr") | ("ip6", Family::Ipv6, "saddr") => {
                self.source.map_or(Fact::Unknown, Fact::Address)
            }
            ("ip", Family::Ipv4, "daddr") | ("ip6", Family::Ipv6, "daddr") => {
                self.destination.map_or(Fact::Unknown, Fact::Address)
            }
            ("ip" | "ip6", ..) if (protocol == "ip") != (self.family == Family::Ipv4) => Fact::Absent,
            (
                "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "th" | "igmp" | "esp" | "ah" | "arp",
                ..,
            ) => Fact::Absent,
            _ => Fact::Unknown,
        }
    }
}

/// Whether one of the values is what is meant; `None` where one of them cannot be read and no other is.
fn among(right: &Value, is_meant: &dyn Fn(&Value) -> Option<bool>) -> Option<bool> {
    let list = right.as_array().or_else(|| right["set"].as_array()).or_else(|| right["elem"].as_array());
    let Some(list) = list else { return is_meant(right) };
    let mut is_known = true;
    for value in list {
        // An element with a timeout or a counter has its value inside.
        let value = value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value);
        match is_meant(value) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(false)
}

fn is_word(value: &Value, words: &[String]) -> Option<bool> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return range(value, words),
    };
    let is_one = |word: &String| match text.strip_suffix('*') {
        Some(begin) => word.starts_with(begin),
        None => *word == text,
    };
    Some(words.iter().any(is_one))
}

/// A range of numbers.
fn range(value: &Value, words: &[String]) -> Option<bool> {
    let bounds = value["range"].as_array()?;
    let (low, high) = (bounds.first()?.as_u64()?, bounds.get(1)?.as_u64()?);
    let number = words.iter().find_map(|word| word.parse::<u64>().ok())?;
    Some((low..=high).contains(&number))
}

fn is_address(value: &Value, address: IpAddr) -> Option<bool> {
    if let Some(text) = value.as_str() {
        return Some(text.parse::<IpAddr>().ok()? == address);
    }
    if let Some(prefix) = value.get("prefix") {
        let net = IpNet::new(prefix["addr"].as_str()?.parse().ok()?, prefix["len"].as_u64()?.try_into().ok()?).ok()?;
        return Some(net.contains(&address));
    }
    let bounds = value["range"].as_array()?;
    let bound = |at: usize| bounds.get(at)?.as_str()?.parse::<IpAddr>().ok();
    Some((bound(0)?..=bound(1)?).contains(&address))
}
