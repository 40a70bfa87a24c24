//! The rules of nftables, and what becomes of a packet on its way through them.

use serde_json::Value;
use vrrp_wire::Family;

use super::expression::Packet;

/// The elements of a set or map that has none: nft does not print them.
static NO_ELEMENTS: Value = Value::Array(Vec::new());

/// Chains that jump to each other are followed so far; the kernel allows 16.
const DEPTH_MAX: usize = 16;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    Drops(By),
    /// It may be dropped.
    Unclear(By),
}

/// What decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By {
    /// In words.
    pub(super) place: String,
    /// Family, table and name of the chain, as nft takes them.
    pub(super) chain: String,
}

impl By {
    fn new(what: &str, chain: &Value) -> Self {
        let word = |key: &str| chain[key].as_str().unwrap_or_default();
        let chain = format!("{} {} {}", word("family"), word("table"), word("name"));
        Self { place: format!("{what} of chain {chain}"), chain }
    }
}

/// All rules.
#[derive(Clone, Debug)]
pub(super) struct Ruleset(Vec<Value>);

/// What a rule does with what fits.
enum Verdict<'v> {
    Accept,
    Drop,
    Return,
    Jump(&'v str),
    Goto(&'v str),
    /// It depends.
    Unclear,
    /// It goes on.
    Continue,
}

/// How the walk through a chain ends.
enum End {
    Accept,
    Drop(By),
    Unclear(By),
    /// The packet leaves at its end.
    Through,
}

impl Ruleset {
    /// What `nft --json list ruleset` has printed.
    pub(super) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let value: Value = serde_json::from_slice(text)?;
        Ok(Self(value["nftables"].as_array().cloned().unwrap_or_default()))
    }

    /// What becomes of `packet` in all chains that hang on `hooks`.
    pub(super) fn fate(&self, hooks: &[&str], packet: &Packet) -> Fate {
        let packet = &Packet { is_tracked: !self.lets_some_untracked(), ..packet.clone() };
        let mut fate = Fate::Passes;
        for chain in self.all("chain").filter(|chain| is_on_way(chain, hooks, packet)) {
            match self.walk(chain, packet, 0) {
                // nft 1.0 does not say which interface such a chain is on.
                End::Drop(by) if chain["family"] == "inet" && chain["hook"] == "ingress" && chain["dev"].is_null() => {
                    fate = Fate::Unclear(by);
                }
                // One chain is enough.
                End::Drop(by) => return Fate::Drops(by),
                End::Unclear(by) => fate = Fate::Unclear(by),
                End::Accept | End::Through => {}
            }
        }
        fate
    }

    /// Whether a rule, on the way or not, keeps packets from the table of connections.
    fn lets_some_untracked(&self) -> bool {
        let statements = self.all("rule").filter_map(|rule| rule["expr"].as_array()).flatten();
        statements.into_iter().any(|statement| statement.get("notrack").is_some())
    }

    fn all<'v>(&'v self, what: &str) -> impl Iterator<Item = &'v Value> {
        self.0.iter().filter_map(move |entry| entry.get(what))
    }

    fn walk(&self, chain: &Value, packet: &Packet, depth: usize) -> End {
        let mut doubt = None;
        for rule in self.all("rule").filter(|rule| rule["chain"] == chain["name"] && is_in_table(rule, chain)) {
            let by = || By::new(&format!("rule {}", rule["handle"]), chain);
            let Some(is_certain) = self.fits(rule, packet) else { continue };
            let verdict = self.verdict(rule, packet);
            let end = match verdict {
                Verdict::Continue => continue,
                Verdict::Accept => End::Accept,
                Verdict::Drop => End::Drop(by()),
                Verdict::Return => End::Through,
                Verdict::Unclear => End::Unclear(by()),
                Verdict::Jump(target) | Verdict::Goto(target) => match self.follow(rule, target, packet, depth) {
                    End::Through if matches!(verdict, Verdict::Jump(_)) => continue,
                    end @ (End::Through | End::Accept | End::Drop(_) | End::Unclear(_)) => end,
                },
            };
            match (end, is_certain, &doubt) {
                (end, true, None) => return leave(chain, end),
                (End::Unclear(by), ..) => doubt = Some(by),
                // Whether it was let pass or dropped before depends.
                (_, true, Some(_)) => break,
                (_, false, _) => doubt = Some(by()),
            }
        }
        match doubt {
            Some(by) => End::Unclear(by),
            None => leave(chain, End::Through),
        }
    }

    fn follow(&self, rule: &Value, target: &str, packet: &Packet, depth: usize) -> End {
        let chain = self.all("chain").find(|chain| chain["name"] == target && is_in_table(chain, rule));
        match chain.filter(|_| depth < DEPTH_MAX) {
            Some(chain) => self.walk(chain, packet, depth + 1),
            None => End::Through,
        }
    }

    /// Whether a rule fits, and whether that is certain; `None`: it does not.
    fn fits(&self, rule: &Value, packet: &Packet) -> Option<bool> {
        let set = |name: &str| self.elements("set", name, rule);
        let mut is_certain = true;
        for expression in rule["expr"].as_array().into_iter().flatten() {
            if let Some(fit) = expression.get("match") {
                match packet.fits(fit, set) {
                    Some(true) => {}
                    Some(false) => return None,
                    None => is_certain = false,
                }
            } else {
                // What iptables-nft cannot say in the words of nftables, and what counts packets.
                is_certain &= !["xt", "limit", "quota", "ct count", "fib", "socket", "meter"]
                    .iter()
                    .any(|it| expression.get(it).is_some());
                // What is put into a set may have a limit of its own.
                is_certain &= expression["set"]["stmt"].is_null();
            }
        }
        Some(is_certain)
    }

    /// What a rule that fits does with the packet.
    fn verdict<'v>(&'v self, rule: &'v Value, packet: &Packet) -> Verdict<'v> {
        let statements = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
        let decides = |statement: &'v Value| match statement.get("vmap") {
            Some(map) => Some(self.mapped(map, rule, packet)),
            None => verdict(statement),
        };
        if let Some(verdict) = statements.iter().find_map(decides) {
            return verdict;
        }
        // A target of iptables-nft, REJECT say, for which nftables has no word.
        let is_foreign = statements.last().is_some_and(|last| last.get("xt").is_some());
        if is_foreign { Verdict::Unclear } else { Verdict::Continue }
    }

    /// What a map of verdicts has for the packet.
    fn mapped<'v>(&'v self, map: &'v Value, rule: &Value, packet: &Packet) -> Verdict<'v> {
        let named = map["data"].as_str().and_then(|name| name.strip_prefix('@'));
        let elements = match named {
            Some(name) => self.elements("map", name, rule),
            None => map["data"].get("set"),
        };
        let Some(elements) = elements.and_then(Value::as_array) else { return Verdict::Unclear };
        let (mut is_known, mut otherwise) = (true, Verdict::Continue);
        for element in elements {
            let verdict = verdict(&element[1]).unwrap_or(Verdict::Unclear);
            if element[0] == "*" {
                otherwise = verdict;
                continue;
            }
            match packet.is(&map["key"], &element[0]) {
                Some(true) => return verdict,
                Some(false) => {}
                None => is_known = false,
            }
        }
        if is_known { otherwise } else { Verdict::Unclear }
    }

    /// The elements of the named set or map (`kind`) in the table of `rule`; `None`: there is none of this name.
    fn elements<'v>(&'v self, kind: &str, name: &str, rule: &Value) -> Option<&'v Value> {
        let found = self.all(kind).find(|it| it["name"] == name && is_in_table(it, rule))?;
        Some(found.get("elem").unwrap_or(&NO_ELEMENTS))
    }
}

/// The end of `chain`: its policy decides over what leaves at the end, where it is the first of its hook.
fn leave(chain: &Value, end: End) -> End {
    match end {
        End::Through if chain["policy"] == "drop" => End::Drop(By::new("the policy", chain)),
        End::Through | End::Accept | End::Drop(_) | End::Unclear(_) => end,
    }
}

/// The verdict that a statement is, if it is one.
fn verdict(statement: &Value) -> Option<Verdict<'_>> {
    let (word, value) = statement.as_object()?.iter().next()?;
    match (word.as_str(), value["target"].as_str()) {
        ("accept", _) => Some(Verdict::Accept),
        ("drop" | "reject", _) => Some(Verdict::Drop),
        ("return", _) => Some(Verdict::Return),
        ("continue", _) => Some(Verdict::Continue),
        ("jump", Some(target)) => Some(Verdict::Jump(target)),
        ("goto", Some(target)) => Some(Verdict::Goto(target)),
        ("queue", _) => Some(Verdict::Unclear),
        _ => None,
    }
}

/// Whether the packet goes through this chain.
fn is_on_way(chain: &Value, hooks: &[&str], packet: &Packet) -> bool {
    let is_family = match chain["family"].as_str() {
        Some("inet") => chain["dev"].is_null() || is_device(&chain["dev"], &packet.interface),
        Some("ip") => packet.family == Family::Ipv4,
        Some("ip6") => packet.family == Family::Ipv6,
        Some("netdev") => is_device(&chain["dev"], &packet.interface),
        _ => false,
    };
    // What a chain of the type `nat` drops it would only be asked about once; it has no business with adverts.
    is_family && chain["type"] == "filter" && chain["hook"].as_str().is_some_and(|hook| hooks.contains(&hook))
}

fn is_device(device: &Value, interface: &str) -> bool {
    let is_it = |value: &Value| value.as_str() == Some(interface);
    is_it(device) || device.as_array().is_some_and(|list| list.iter().any(is_it))
}

/// Whether `one` is in the table of `other`.
fn is_in_table(one: &Value, other: &Value) -> bool {
    one["family"] == other["family"] && one["table"] == other["table"]
}

#[cfg(test)]
mod tests;
