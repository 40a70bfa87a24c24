//! Values of `[[check]]`.

use std::{
    net::{IpAddr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

use hyper::{Uri, header::HeaderValue};
use toml::de::DeValue;
use vrrp::{Family, track::Reading};

use super::{choice, duration, name, never_a_host, number, printable, shown, text};
use crate::{
    check::Who,
    client::{self, Endpoint},
    config::diagnostic::Fault,
};

/// Bounds of `interval` and `timeout`.
const SPANS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
/// Longest path of a Unix socket that the kernel takes, in bytes.
const SOCKET_PATH_MAX: usize = 107;

/// `http://…` or `https://…`.
pub(in crate::config) fn url(value: &DeValue<'_>) -> Result<Uri, Fault> {
    let text = printable(text(value, "http://127.0.0.1:80/healthz")?)?;
    let remedy = r#"write it as in "http://127.0.0.1:10254/healthz" or "https://127.0.0.1/""#;
    client::parse_url(text).map_err(|what| Fault::new(format!("{text:?}: {what}"), remedy))
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub(in crate::config) fn endpoint(value: &DeValue<'_>) -> Result<Endpoint, Fault> {
    let text = printable(text(value, "127.0.0.1:443")?)?;
    let remedy = r#"write host and port, as in "127.0.0.1:443", "[::1]:443" or "localhost:443""#;
    let fault = || Fault::new(format!("{text:?} is not HOST:PORT"), remedy);
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let port: u16 = port.parse().map_err(|_| fault())?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_legal = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']', '/']) && !host.contains(char::is_whitespace),
    };
    if port == 0 || !is_legal {
        return Err(fault());
    }
    Ok(Endpoint::Tcp(bracketed.unwrap_or(host).to_owned(), port))
}

/// A text that is not blank: an argument, a name of a service, what a body is to contain.
pub(in crate::config) fn words(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = text(value, "ok")?;
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(format!("{text:?} is empty, or has a zero byte in it"), "give a text"));
    }
    Ok(text.to_owned())
}

/// A header field Host.
pub(in crate::config) fn host_header(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = name(value)?;
    if HeaderValue::from_str(&text).is_err() || text.contains(char::is_whitespace) {
        return Err(Fault::new(
            format!("{text:?} cannot be sent as a host"),
            "give a name, such as \"www.example.org\"",
        ));
    }
    Ok(text)
}

/// The path of a Unix socket.
pub(in crate::config) fn socket(value: &DeValue<'_>) -> Result<std::path::PathBuf, Fault> {
    let path = super::absolute_path(value)?;
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        let what = format!("a path of {} bytes is too long for a Unix socket", path.as_os_str().len());
        return Err(Fault::new(what, format!("give one of {SOCKET_PATH_MAX} bytes at most")));
    }
    Ok(path)
}

/// A code of status, or a range of them: 200 or "200-299".
pub(in crate::config) fn status(value: &DeValue<'_>) -> Result<RangeInclusive<u16>, Fault> {
    let remedy = r#"write codes from 100 to 599 and ranges of them: [200, "300-399"]"#;
    let fault = || Fault::new(format!("{} is not a code of status", shown(value)), remedy);
    let range = match value.as_str() {
        Some(text) => {
            let (first, last) = text.split_once('-').ok_or_else(fault)?;
            first.trim().parse().ok().zip(last.trim().parse().ok()).ok_or_else(fault)?
        }
        None => {
            let code = number(value).and_then(|code| u16::try_from(code).ok()).ok_or_else(fault)?;
            (code, code)
        }
    };
    let codes = 100..=599;
    if range.0 > range.1 || !codes.contains(&range.0) || !codes.contains(&range.1) {
        return Err(fault());
    }
    Ok(range.0..=range.1)
}

/// A program by its path, or a process by its name.
pub(in crate::config) fn program(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = name(value)?;
    if !text.starts_with('/') && text.contains('/') {
        let remedy = "write the whole path of the program, from / on, or the name that `ps -o comm` shows";
        return Err(Fault::new(format!("{text:?} is neither a path nor a name"), remedy));
    }
    Ok(text)
}

/// "gateway", "gateway6", or an address on the link.
pub(in crate::config) fn who(value: &DeValue<'_>) -> Result<Who, Fault> {
    let text = text(value, "gateway")?;
    let remedy = r#"write "gateway", "gateway6" for that of IPv6, or the address of a host on the link"#;
    match text {
        "gateway" => return Ok(Who::Gateway(Family::Ipv4)),
        "gateway6" => return Ok(Who::Gateway(Family::Ipv6)),
        _ => {}
    }
    let address: IpAddr = text.parse().map_err(|_| Fault::new(format!("{text:?} is not an address"), remedy))?;
    match never_a_host(address) {
        Some(kind) => Err(Fault::new(format!("{text:?} is {kind}"), remedy)),
        None => Ok(Who::Address(address)),
    }
}

/// Time between two looks, or for one.
pub(in crate::config) fn time(value: &DeValue<'_>) -> Result<Duration, Fault> {
    let (text, span) = duration(value, "1s")?;
    if SPANS.contains(&span) {
        return Ok(span);
    }
    Err(Fault::new(format!("{text:?} is outside 10ms to 3600s"), "give a time span from 10ms to 3600s"))
}

/// How many looks in a row.
pub(in crate::config) fn looks(value: &DeValue<'_>) -> Result<u32, Fault> {
    let remedy = "give a whole number from 1 to 1000";
    let fault = || Fault::new(format!("{} is not a number of looks", shown(value)), remedy);
    number(value).filter(|looks| (1..=1000).contains(looks)).ok_or_else(fault)
}

/// How many processes or pods.
pub(in crate::config) fn quantity(value: &DeValue<'_>) -> Result<usize, Fault> {
    let remedy = "give a whole number from 0 to 100000";
    let fault = || Fault::new(format!("{} is not a number of processes or pods", shown(value)), remedy);
    number(value).filter(|&count| count <= 100_000).and_then(|count| usize::try_from(count).ok()).ok_or_else(fault)
}

/// What a check counts for before its first result.
pub(in crate::config) fn start(value: &DeValue<'_>) -> Result<Reading, Fault> {
    choice(value, &[("passing", Reading::Passing), ("failing", Reading::Failing)])
}

/// Points of priority.
pub(in crate::config) fn weight(value: &DeValue<'_>) -> Result<i16, Fault> {
    let points = value.as_integer().and_then(|number| i16::from_str_radix(number.as_str(), number.radix()).ok());
    match points {
        Some(0) => {
            let remedy = "leave it out: without a weight, a virtual router whose check fails is in Fault";
            Err(Fault::new("a weight of 0 changes nothing", remedy))
        }
        Some(points) if (-254..=254).contains(&points) => Ok(points),
        Some(_) | None => {
            let remedy = "give a whole number from -254 to 254: a positive one is added while the check passes, a negative one \
                          while it fails";
            Err(Fault::new(format!("{} is not a weight", shown(value)), remedy))
        }
    }
}
