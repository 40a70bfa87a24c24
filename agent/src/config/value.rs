//! One TOML value to one checked value: types, ranges and forms, as far as the value alone can tell.

pub(super) mod health;
pub(super) mod hetzner;
pub(super) mod kubernetes;
pub(super) mod metrics;
pub(super) mod notify;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use toml::de::DeValue;
use vrrp::{
    auth::KeyId,
    message::{ChecksumForm, version_2::Password},
};
use vrrp_wire::{Centiseconds, MacAddr, Priority, Version, Vrid};

use super::{
    Attach, AuthMode, Fence, Mode, Transport, VlanGuard,
    diagnostic::Fault,
    file::{Preempt, Rate, Refresh},
};

/// Longest name of a Linux network interface, in bytes.
const INTERFACE_NAME_MAX: usize = 15;
/// Frames of announcements in a second that can be asked for: more than so many there is no timer for.
const RATE_MAX: u32 = 30_000;

/// A name of something in the configuration: any text that can be printed, but a blank one.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = printable(text(value, "n1")?)?;
    if name.trim().is_empty() {
        return Err(Fault::new(format!("{name:?} is blank"), "give it a name"));
    }
    Ok(name.to_owned())
}

/// The name of a network interface, as Linux allows it.
pub(super) fn interface(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = text(value, "vsw0")?;
    let allowed = |char: char| !char.is_whitespace() && !char.is_control() && char != '/' && char != ':';
    if name.is_empty() || name.len() > INTERFACE_NAME_MAX || matches!(name, "." | "..") || !name.chars().all(allowed) {
        return Err(Fault::new(
            format!("{name:?} cannot be the name of an interface"),
            "give 1 to 15 bytes without white space, / and :, as `ip link` shows them",
        ));
    }
    Ok(name.to_owned())
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| Fault::new(format!("{} is not a boolean", shown(value)), "write true or false"))
}

/// `true`, `false`, or `{ after = "30s" }`.
pub(super) fn preempt(value: &DeValue<'_>) -> Result<Preempt, Fault> {
    let remedy = r#"write true, false, or { after = "30s" }"#;
    let Some(table) = value.as_table() else {
        let fault = |_| Fault::new(format!("{} is not a boolean, nor a table with `after`", shown(value)), remedy);
        let preempts = boolean(value).map_err(fault)?;
        return Ok(if preempts { Preempt::After(Duration::ZERO) } else { Preempt::Never });
    };
    if let Some(unknown) = table.keys().find(|key| key.get_ref() != "after") {
        return Err(Fault::new(format!("unknown key {:?} beside `after`", unknown.get_ref()), remedy));
    }
    let after = table.get("after").ok_or_else(|| Fault::new("`after` is missing", remedy))?;
    span(after.get_ref(), "30s", &(Duration::ZERO..=Duration::from_hours(1))).map(Preempt::After)
}

/// The version of VRRP.
pub(super) fn version(value: &DeValue<'_>) -> Result<Version, Fault> {
    match byte(value) {
        Some(2) => Ok(Version::V2),
        Some(3) => Ok(Version::V3),
        Some(_) | None => {
            let remedy = "write 3, or 2 for peers that have no other (IPv4 only)";
            Err(Fault::new(format!("{} is not a version of VRRP", shown(value)), remedy))
        }
    }
}

/// The simple password of version 2. It is not quoted: whoever reads the message need not know it.
pub(super) fn password(value: &DeValue<'_>) -> Result<Password, Fault> {
    let text = unquoted(value, "s3cret")?;
    Password::new(text).ok_or_else(|| {
        let what = format!("a password of {} bytes does not fit", text.len());
        Fault::new(what, "give 1 to 8 bytes, as the peers have it; of a longer one keepalived takes the first 8")
    })
}

/// How many intervals without an advert are borne.
pub(super) fn down_timer_adverts(value: &DeValue<'_>) -> Result<u8, Fault> {
    let remedy = "give a whole number from 1 to 100; the RFC has 3";
    let fault = || Fault::new(format!("{} is no number of adverts that may be missed", shown(value)), remedy);
    byte(value).filter(|count| (1..=100).contains(count)).ok_or_else(fault)
}

/// A priority under SCHED_FIFO.
pub(super) fn realtime_priority(value: &DeValue<'_>) -> Result<u8, Fault> {
    let remedy = "give a whole number from 1 to 99; 50 is that of the kernel's own interrupt threads";
    let fault = || Fault::new(format!("{} is no real-time priority", shown(value)), remedy);
    byte(value).filter(|priority| (1..=99).contains(priority)).ok_or_else(fault)
}

/// The number of a CPU.
pub(super) fn cpu(value: &DeValue<'_>) -> Result<u16, Fault> {
    let number = value.as_integer().and_then(|number| u16::from_str_radix(number.as_str(), number.radix()).ok());
    let fault =
        || Fault::new(format!("{} is no CPU", shown(value)), "give numbers from 0 to 1023, as `lscpu` shows them");
    number.filter(|&number| number < 1024).ok_or_else(fault)
}

pub(super) fn checksum(value: &DeValue<'_>) -> Result<ChecksumForm, Fault> {
    choice(value, &[("pseudo-header", ChecksumForm::PseudoHeader), ("rfc9568", ChecksumForm::MessageOnly)])
}

/// The least TTL or Hop Limit of a unicast advert.
pub(super) fn min_ttl(value: &DeValue<'_>) -> Result<u8, Fault> {
    let remedy = "give a whole number from 1 to 255; 255 believes only what comes from this link";
    byte(value).filter(|&ttl| ttl > 0).ok_or_else(|| Fault::new(format!("{} is not a TTL", shown(value)), remedy))
}

/// How long the agent waits at its start before it takes part.
pub(super) fn startup_delay(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "10s", &(Duration::ZERO..=Duration::from_hours(1)))
}

/// How long the supervisor waits for another run of an agent that is gone.
pub(super) fn restart_grace(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "2s", &(Duration::ZERO..=Duration::from_mins(1)))
}

/// How often an Active announces its addresses while nothing happens.
pub(super) fn announcement_refresh(value: &DeValue<'_>) -> Result<Refresh, Fault> {
    if value.as_str() == Some("off") {
        return Ok(Refresh::Never);
    }
    let (text, duration) = duration(value, "60s")?;
    if !(Duration::from_secs(1)..=Duration::from_hours(1)).contains(&duration) {
        let what = format!("{text:?} is outside 1s to 3600s");
        return Err(Fault::new(what, r#"give a time span from 1s to 3600s, or "off""#));
    }
    Ok(Refresh::Every(duration))
}

/// Frames of announcements that may leave in a second.
pub(super) fn announcement_rate(value: &DeValue<'_>) -> Result<Rate, Fault> {
    if value.as_str() == Some("off") {
        return Ok(Rate::Unlimited);
    }
    let rate = number(value).and_then(NonZeroU32::new);
    let rate = rate.filter(|rate| rate.get() <= RATE_MAX);
    let fault = || {
        Fault::new(
            format!("{} is no rate", shown(value)),
            format!("give frames in a second, a whole number from 1 to {RATE_MAX}, or \"off\""),
        )
    };
    rate.map(Rate::PerSecond).ok_or_else(fault)
}

pub(super) fn mode(value: &DeValue<'_>) -> Result<Mode, Fault> {
    choice(value, &[("enforce", Mode::Enforce), ("observe", Mode::Observe)])
}

pub(super) fn attach(value: &DeValue<'_>) -> Result<Attach, Fault> {
    let xdp = [("native", Attach::Native), ("generic", Attach::Generic)];
    let tc = [("tcx", Attach::Tcx), ("clsact", Attach::Clsact)];
    choice(value, &[("auto", Attach::Auto), xdp[0], tc[0], tc[1], xdp[1], ("off", Attach::Off)])
}

pub(super) fn vlan(value: &DeValue<'_>) -> Result<VlanGuard, Fault> {
    choice(value, &[("sub-interface", VlanGuard::SubInterface), ("parent", VlanGuard::Parent)])
}

pub(super) fn fence(value: &DeValue<'_>) -> Result<Fence, Fault> {
    choice(value, &[("auto", Fence::Auto), ("off", Fence::Off)])
}

pub(super) fn auth_mode(value: &DeValue<'_>) -> Result<AuthMode, Fault> {
    let receive_only = ("receive-only", AuthMode::ReceiveOnly);
    choice(value, &[receive_only, ("permissive", AuthMode::Permissive), ("enforce", AuthMode::Enforce)])
}

/// The number by which a signed advert names its key.
pub(super) fn key_id(value: &DeValue<'_>) -> Result<KeyId, Fault> {
    let fault = || Fault::new(format!("{} is not the id of a key", shown(value)), "give a whole number from 1 to 255");
    byte(value).and_then(KeyId::new).ok_or_else(fault)
}

/// The path of a file, which must not depend on the agent's working directory.
pub(super) fn absolute_path(value: &DeValue<'_>) -> Result<PathBuf, Fault> {
    let text = printable(text(value, "/etc/vipd/keys/1")?)?;
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Err(Fault::new(format!("{text:?} is not an absolute path"), "write the whole path, from / on"));
    }
    Ok(path)
}

/// How far the time in a signed advert may be from ours.
pub(super) fn window(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "5s", &(Duration::from_secs(1)..=Duration::from_mins(5)))
}

/// How long an unsynchronised clock keeps a node Backup.
pub(super) fn clock_grace(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "60s", &(Duration::ZERO..=Duration::from_hours(1)))
}

pub(super) fn transport(value: &DeValue<'_>) -> Result<Transport, Fault> {
    choice(value, &[("multicast", Transport::Multicast), ("unicast", Transport::Unicast)])
}

pub(super) fn vrid(value: &DeValue<'_>) -> Result<Vrid, Fault> {
    let remedy = "give a whole number from 1 to 255 that no other virtual router on the LAN has";
    byte(value).and_then(Vrid::new).ok_or_else(|| Fault::new(format!("{} is not a VRID", shown(value)), remedy))
}

pub(super) fn priority(value: &DeValue<'_>) -> Result<Priority, Fault> {
    let remedy = "give a whole number from 1 to 254, or 255 to the node whose own the addresses are";
    byte(value).and_then(Priority::new).ok_or_else(|| Fault::new(format!("{} is not a priority", shown(value)), remedy))
}

/// A time span with its unit, `ms` or `s`, that VRRP can carry.
pub(super) fn interval(value: &DeValue<'_>) -> Result<Centiseconds, Fault> {
    let (text, duration) = duration(value, "1s")?;
    Centiseconds::from_duration(duration).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is outside 10ms to 40.95s, or not a whole number of hundredths of a second"),
            "VRRP counts in hundredths of a second: give a multiple of 10ms from 10ms to 40.95s",
        )
    })
}

/// A node's own IPv4 address.
pub(super) fn address(value: &DeValue<'_>) -> Result<Ipv4Addr, Fault> {
    let text = text(value, "10.77.0.1")?;
    let remedy = "give the node's primary IPv4 address on the interface, without prefix length";
    let address: Ipv4Addr = text.parse().map_err(|_| Fault::new(format!("{text:?} is not an IPv4 address"), remedy))?;
    match never_a_host(address.into()) {
        Some(kind) => Err(Fault::new(format!("{text:?} is {kind}"), remedy)),
        None => Ok(address),
    }
}

/// A node's own IPv6 address of wider scope than the link.
pub(super) fn address6(value: &DeValue<'_>) -> Result<Ipv6Addr, Fault> {
    let text = text(value, "fd77::1")?;
    let address = ipv6(text)?;
    let link_local = address.is_unicast_link_local().then_some("a link-local address, whose key is link_local");
    match never_a_host(address.into()).or(link_local) {
        Some(kind) => {
            Err(Fault::new(format!("{text:?} is {kind}"), "give the node's global or unique local IPv6 address"))
        }
        None => Ok(address),
    }
}

/// A node's own IPv6 link-local address.
pub(super) fn link_local(value: &DeValue<'_>) -> Result<Ipv6Addr, Fault> {
    let text = text(value, "fe80::1")?;
    let address = ipv6(text)?;
    if !address.is_unicast_link_local() {
        return Err(Fault::new(
            format!("{text:?} is not in fe80::/10"),
            "give the link-local address that `ip -6 address` shows on the node's interface",
        ));
    }
    Ok(address)
}

/// The MAC address of a node.
pub(super) fn mac(value: &DeValue<'_>) -> Result<MacAddr, Fault> {
    let text = text(value, "02:00:00:00:00:01")?;
    let remedy = "give the address that `ip link` shows for the node's interface, such as 02:00:00:00:00:01";
    let mac: MacAddr = text.parse().map_err(|error| Fault::new(format!("{text:?} is {error}"), remedy))?;
    let group = mac.0[0] & 1 == 1;
    if group || mac.0 == [0; 6] {
        return Err(Fault::new(format!("{text:?} is not the address of one station"), remedy));
    }
    Ok(mac)
}

/// An address of a virtual router, with the prefix length it is added with.
pub(super) fn virtual_address(value: &DeValue<'_>) -> Result<IpNet, Fault> {
    let text = text(value, "10.77.0.100/24")?;
    if text.parse::<IpAddr>().is_ok() {
        return Err(Fault::new(
            format!("{text:?} has no prefix length"),
            format!("add that of the LAN, such as \"{text}/{}\"", if text.contains(':') { 64 } else { 24 }),
        ));
    }
    let net: IpNet = text.parse().map_err(|_| {
        Fault::new(format!("{text:?} is not an ADDRESS/PREFIX"), r#"write it as in "10.77.0.100/24" or "fd77::100/64""#)
    })?;
    let hosts = net.max_prefix_len() - net.prefix_len();
    let reserved = match net {
        _ if net.prefix_len() == 0 => Some("in no network: its prefix length is 0"),
        // RFC 3021 and RFC 6164: networks of two or fewer addresses have no address but those of hosts.
        _ if hosts < 2 => None,
        IpNet::V4(net) if net.addr() == net.broadcast() => Some("the broadcast address of its network"),
        _ if net.addr() == net.network() => Some("the address of the network itself"),
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    match never_a_host(net.addr()).or(reserved) {
        Some(kind) => Err(Fault::new(format!("{text:?} is {kind}"), "give an unused host address of the LAN")),
        None => Ok(net),
    }
}

/// Where a route leads: "default" (`None`), an address, or a network.
pub(super) fn destination(value: &DeValue<'_>) -> Result<Option<IpNet>, Fault> {
    if value.as_str() == Some("default") { Ok(None) } else { network(value).map(Some) }
}

/// An address, or a network by the first of its addresses.
pub(super) fn network(value: &DeValue<'_>) -> Result<IpNet, Fault> {
    let text = text(value, "10.77.0.0/24")?;
    let net: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => text.parse().map_err(|_| {
            let remedy = r#"write it as in "10.77.0.0/24", "10.77.0.101" or "fd77::/64""#;
            Fault::new(format!("{text:?} is neither an address nor a network"), remedy)
        })?,
    };
    if net.addr() != net.network() {
        let what = format!("{text:?} has bits of a host beyond its prefix length");
        return Err(Fault::new(
            what,
            format!("write \"{}\", or \"{}\" for the address alone", net.trunc(), net.addr()),
        ));
    }
    if net.addr().is_multicast() {
        return Err(Fault::new(format!("{text:?} is multicast"), "give a network of hosts"));
    }
    Ok(net)
}

/// An address of a host, without prefix length.
pub(super) fn host(value: &DeValue<'_>) -> Result<IpAddr, Fault> {
    let text = text(value, "10.77.0.1")?;
    let remedy = "give the address of a host, without prefix length";
    let address: IpAddr = text.parse().map_err(|_| Fault::new(format!("{text:?} is not an address"), remedy))?;
    match never_a_host(address) {
        Some(kind) => Err(Fault::new(format!("{text:?} is {kind}"), remedy)),
        None => Ok(address),
    }
}

/// The metric of a route. The kernel takes 0 for an IPv6 route without one.
pub(super) fn metric(value: &DeValue<'_>) -> Result<u32, Fault> {
    let fault = || Fault::new(format!("{} is not a metric", shown(value)), "give a whole number from 1 to 4294967295");
    number(value).filter(|&metric| metric > 0).ok_or_else(fault)
}

/// The number of a routing table; that of the kernel's own is none of vipd's.
pub(super) fn table(value: &DeValue<'_>) -> Result<u32, Fault> {
    let remedy =
        "give a whole number from 1 to 4294967295, such as 100; 254 is the main table, and 255 the kernel's own";
    let fault = || Fault::new(format!("{} is not a routing table", shown(value)), remedy);
    number(value).filter(|table| !matches!(table, 0 | 255)).ok_or_else(fault)
}

/// The place of a rule among the others.
pub(super) fn rule_priority(value: &DeValue<'_>) -> Result<u32, Fault> {
    let remedy = "give a whole number from 1 to 4294967295; rules beyond 32766 come after the main table";
    let fault = || Fault::new(format!("{} is not the priority of a rule", shown(value)), remedy);
    number(value).filter(|&priority| priority > 0).ok_or_else(fault)
}

/// The value as the file has it, to quote it; arrays and tables by their kind only.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    let fault =
        || Fault::new(format!("{} is not a string", shown(value)), format!("write it in quotes: \"{example}\""));
    value.as_str().ok_or_else(fault)
}

/// The same of what may be a secret: what is wrong is not quoted.
fn unquoted<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    let fault = || Fault::new("it is not a string", format!("write it in quotes: \"{example}\""));
    value.as_str().ok_or_else(fault)
}

/// `text` without control characters, which would garble every line that it is shown in.
fn printable(text: &str) -> Result<&str, Fault> {
    if text.contains(char::is_control) {
        return Err(Fault::new(format!("{text:?} has a control character in it"), "leave it out"));
    }
    Ok(text)
}

fn byte(value: &DeValue<'_>) -> Option<u8> {
    let number = value.as_integer()?;
    u8::from_str_radix(number.as_str(), number.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, Fault> {
    let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
    chosen.map(|(_, chosen)| *chosen).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        Fault::new(format!("{} is not one of the choices", shown(value)), format!("write {}", words.join(" or ")))
    })
}

/// A time span within `allowed`.
fn span(value: &DeValue<'_>, example: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    let (text, duration) = duration(value, example)?;
    if allowed.contains(&duration) {
        return Ok(duration);
    }
    let (min, max) = (allowed.start().as_secs(), allowed.end().as_secs());
    Err(Fault::new(format!("{text:?} is outside {min}s to {max}s"), format!("give a time span from {min}s to {max}s")))
}

/// A number and its unit, `ms` or `s`: as written, and the time span that it is.
fn duration<'v>(value: &'v DeValue<'_>, example: &str) -> Result<(&'v str, Duration), Fault> {
    let text = text(value, example)?;
    let fault = || {
        Fault::new(
            format!("{text:?} is not a time span"),
            r#"give a number and its unit, ms or s, such as "100ms" or "0.5s""#,
        )
    };
    nanoseconds(text).map(|nanoseconds| (text, Duration::from_nanos(nanoseconds))).ok_or_else(fault)
}

/// Exact; what is finer than a nanosecond is no time span here.
fn nanoseconds(text: &str) -> Option<u64> {
    let (number, decimals) = match text.strip_suffix("ms") {
        Some(number) => (number, 6),
        None => (text.strip_suffix('s')?, 9),
    };
    let number = number.trim_end();
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty()
        || fraction.len() > decimals
        || !(whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

fn ipv6(text: &str) -> Result<Ipv6Addr, Fault> {
    let remedy = "give an IPv6 address without prefix length and interface";
    text.parse().map_err(|_| Fault::new(format!("{text:?} is not an IPv6 address"), remedy))
}

/// What kind of address `address` is, if it is of a kind that no host may have.
fn never_a_host(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else {
        None
    }
}
