//! Rules of policy routing that come and go with the virtual addresses, as rtnetlink has them.

use std::{fmt, io, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::RouteProtocol,
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use super::{
    MARK,
    netlink::{self, Order},
    route::family,
};
use serde::{Deserialize, Serialize};

/// Which packets are routed by which table. At least one of `from` and `to` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Those that come from there.
    pub from: Option<IpNet>,
    /// Those that go there.
    pub to: Option<IpNet>,
    /// The number of the table.
    pub table: u32,
    /// Its place among the rules; the main table has 32766.
    pub priority: u32,
}

impl Rule {
    /// Adds it, unless it is there already.
    #[must_use]
    pub fn put(&self) -> Order {
        Order { message: RouteNetlinkMessage::NewRule(self.message()), flags: NLM_F_CREATE | NLM_F_EXCL }
    }

    /// Removes it, and nobody else's.
    #[must_use]
    pub fn take_off(&self) -> Order {
        Order { message: RouteNetlinkMessage::DelRule(self.message()), flags: 0 }
    }

    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        let header = &mut message.header;
        header.family = self.from.or(self.to).map_or(AddressFamily::Unspec, family);
        header.src_len = self.from.map_or(0, |net| net.prefix_len());
        header.dst_len = self.to.map_or(0, |net| net.prefix_len());
        header.action = RuleAction::ToTable;
        let attributes = &mut message.attributes;
        attributes.extend(self.from.map(|net| RuleAttribute::Source(net.network())));
        attributes.extend(self.to.map(|net| RuleAttribute::Destination(net.network())));
        attributes.push(RuleAttribute::Priority(self.priority));
        attributes.push(RuleAttribute::Table(self.table));
        attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(MARK)));
        message
    }

    /// Whether `message` is this rule, whoever has added it.
    #[must_use]
    pub fn is(&self, message: &RuleMessage) -> bool {
        Self::of(message) == Some(*self)
    }

    /// The rule of `message`, if it is one of this kind.
    #[must_use]
    pub fn of(message: &RuleMessage) -> Option<Self> {
        let (mut from, mut to, mut table, mut priority) = (None, None, u32::from(message.header.table), 0);
        for attribute in &message.attributes {
            if let &RuleAttribute::Source(address) = attribute {
                from = Some(address);
            } else if let &RuleAttribute::Destination(address) = attribute {
                to = Some(address);
            } else if let &RuleAttribute::Table(number) = attribute {
                table = number;
            } else if let &RuleAttribute::Priority(number) = attribute {
                priority = number;
            }
        }
        let net = |address: Option<IpAddr>, len| address.and_then(|address| IpNet::new(address, len).ok());
        let (from, to) = (net(from, message.header.src_len), net(to, message.header.dst_len));
        let is_ours = message.header.action == RuleAction::ToTable && (from.is_some() || to.is_some());
        is_ours.then_some(Self { from, to, table, priority })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rule")?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        write!(f, " lookup {} priority {}", self.table, self.priority)
    }
}

/// Whether vipd has added the rule.
#[must_use]
pub fn is_marked(message: &RuleMessage) -> bool {
    message.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::Other(MARK)))
}

/// The rules of both families. Blocks.
pub fn list() -> io::Result<Vec<RuleMessage>> {
    let mut rules = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RuleMessage::default();
        request.header.family = family;
        let message = |it| if let RouteNetlinkMessage::NewRule(message) = it { Some(message) } else { None };
        rules.extend(netlink::dump(&RouteNetlinkMessage::GetRule(request))?.into_iter().filter_map(message));
    }
    Ok(rules)
}

/// Removes a rule as [`list`] returned it.
#[must_use]
pub const fn take_off_message(message: RuleMessage) -> Order {
    Order { message: RouteNetlinkMessage::DelRule(message), flags: 0 }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::NetlinkSerializable;

    use super::*;

    /// `struct fib_rule_hdr`: AF_INET is 2, FR_ACT_TO_TBL 1. FRA_DST is 1, FRA_SRC 2, FRA_PRIORITY 6, FRA_TABLE 15,
    /// FRA_PROTOCOL 21.
    #[test]
    fn a_rule_is_what_rtnetlink_expects() {
        let from = Some("10.77.0.101/32".parse().unwrap());
        let rule = Rule { from, to: Some("192.0.2.0/24".parse().unwrap()), table: 300, priority: 1000 };
        let order = rule.put();
        let mut bytes = vec![0; order.message.buffer_len()];
        order.message.serialize(&mut bytes);
        let expected = [
            &[2, 24, 32, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
            &[8, 0, 2, 0, 10, 77, 0, 101],
            &[8, 0, 1, 0, 192, 0, 2, 0],
            &[8, 0, 6, 0, 0xe8, 3, 0, 0],
            &[8, 0, 15, 0, 0x2c, 1, 0, 0],
            &[5, 0, 21, 0, 112, 0, 0, 0],
        ];
        assert_eq!((bytes, order.flags), (expected.concat(), 0x600));
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let rule = Rule { from: None, to: Some("fd77::101/128".parse().unwrap()), table: 100, priority: 1 };
        let message = rule.message();
        assert_eq!(Rule::of(&message), Some(rule));
        assert!(is_marked(&message) && rule.is(&message));
        assert!(!Rule { priority: 2, ..rule }.is(&message));
        // The rule that leads everybody to the main table.
        let mut main = RuleMessage::default();
        (main.header.action, main.header.table) = (RuleAction::ToTable, 254);
        assert_eq!(Rule::of(&main), None);
    }
}
