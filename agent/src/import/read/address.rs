//! A line of `virtual_ipaddress`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::import::{
    note::{At, Notes, Place},
    tree::Statement,
};

/// The address of a line; `None` where it cannot be on the interface of the virtual router.
pub(super) fn read(line: &Statement, interface: Option<&str>, notes: &mut Notes) -> Option<At<IpNet>> {
    let place = &line.place;
    let Some(net) = parse(line.keyword()) else {
        let what = format!("{:?} is not an address", line.keyword());
        notes.ignored(place, what, "keepalived does not take it either");
        return None;
    };
    let address = net.addr();
    let mut words = line.arguments().into_iter();
    let (mut is_elsewhere, mut preferred) = (false, false);
    while let Some(word) = words.next() {
        match word {
            "dev" => {
                let device = words.next().unwrap_or_default();
                if interface.is_some_and(|own| own != device) {
                    is_elsewhere = true;
                    let what = format!(
                        "{address} is on {device}, and vipd puts addresses on the virtual router's interface alone"
                    );
                    notes.lost(place, what, format!("make a virtual router on {device} for it"));
                }
            }
            "peer" => {
                let what = format!("{address} is one end of a point-to-point link, which vipd does not set up");
                notes.lost(place, what, "give it a prefix length instead of a peer");
                words.next();
            }
            "use_vmac" => notes.lost(place, format!("{address} has a macvlan of its own"), "use_vmac for the instance"),
            "preferred_lft" => preferred |= words.next() == Some("forever"),
            "brd" | "broadcast" | "label" | "scope" | "track_group" => {
                let value = words.next().unwrap_or_default();
                notes.ignored(
                    place,
                    format!("{word} {value} of {address} is not set"),
                    "nothing, unless a program goes by it",
                );
            }
            "no_track" => {
                let what = format!("{address} is put back when something removes it");
                notes.changed(place, what, "nothing");
            }
            "home" | "-nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin" => {
                notes.ignored(place, format!("{word} of {address} is not set"), "nothing, unless a program goes by it");
            }
            _ => notes.ignored(place, format!("{word:?} means nothing behind {address}"), "check how it is written"),
        }
    }
    if address.is_ipv6() && net.prefix_len() == 128 && !preferred {
        let what =
            format!("keepalived adds {address}/128 so that the host does not choose it to send from; vipd does not");
        notes.changed(place, what, "where that matters choose the source in the programs or by a route");
    }
    (!is_elsewhere).then(|| At { value: net, place: place.clone() })
}

/// An address with its prefix length, by default that of the address alone.
pub(super) fn parse(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => text.parse().ok(),
    }
}

/// The address that `text` is; says where it is none.
pub(super) fn host(text: &str, place: &Place, notes: &mut Notes) -> Option<At<IpAddr>> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        notes.ignored(place, format!("{text:?} is not an address"), "keepalived does not take it either");
    }
    Some(At { value: parsed?, place: place.clone() })
}
