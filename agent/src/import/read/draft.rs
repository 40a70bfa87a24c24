//! The words of a `vrrp_instance`, as they come.

use zeroize::Zeroizing;

use super::{address, globals, hmac, ignored, report, unknown, value};
use crate::import::{
    model::{Hmac, Kind, Micros, Reports, Track},
    note::{At, Class, Notes, Place},
    tree::Statement,
};

/// Words on which neither adverts nor addresses depend, or that say what vipd does anyway.
const WITHOUT_EFFECT: [&str; 15] = [
    "promote_secondaries",
    "track_src_ip",
    "skip_check_adv_addr",
    "lower_prio_no_advert",
    "higher_prio_send_advert",
    "owner_ignore_adverts",
    "timer_expired_backup",
    "thread_timer_expired",
    "old_unicast_checksum",
    "native_ipv6",
    "debug",
    "linkbeat_use_polling",
    "kernel_rx_buf_size",
    "lvs_sync_daemon_interface",
    "use_vmac_addr",
];
/// How often gratuitous ARP is sent.
const ANNOUNCEMENTS: [&str; 7] = [
    "garp_master_delay",
    "garp_master_repeat",
    "garp_master_refresh_repeat",
    "garp_lower_prio_delay",
    "garp_lower_prio_repeat",
    "garp_extra_if",
    "vmac_garp_intvl",
];

/// What a block says, before it is known what goes together.
#[derive(Default)]
pub(super) struct Draft<'s> {
    pub(super) interface: Option<At<String>>,
    pub(super) vrid: Option<At<u8>>,
    pub(super) version: Option<At<u8>>,
    pub(super) interval: Option<At<Micros>>,
    pub(super) priority: Option<At<u8>>,
    pub(super) is_master: Option<Place>,
    pub(super) nopreempt: Option<Place>,
    pub(super) preempt_delay: Option<At<Micros>>,
    pub(super) addresses: Vec<&'s Statement>,
    pub(super) excluded: Vec<&'s Statement>,
    pub(super) routes: Vec<&'s Statement>,
    pub(super) rules: Vec<&'s Statement>,
    pub(super) source: Option<At<std::net::IpAddr>>,
    pub(super) unicast: Option<Place>,
    pub(super) needs_peer: Option<Place>,
    pub(super) checks_source: bool,
    pub(super) peers: Vec<At<std::net::IpAddr>>,
    /// The least of what peers have.
    pub(super) min_ttl: Option<At<u8>>,
    /// A peer from which any TTL is taken.
    pub(super) any_ttl: Option<Place>,
    pub(super) unicast_ttl: Option<At<u8>>,
    pub(super) password: Option<At<Zeroizing<String>>>,
    /// Whether `auth_type PASS` has it sent.
    pub(super) has_passwords: bool,
    pub(super) hmac: Option<At<Hmac>>,
    pub(super) accept: Option<At<bool>>,
    pub(super) strict: Option<At<bool>>,
    pub(super) virtual_mac: Option<Place>,
    pub(super) down_timer_adverts: Option<At<u8>>,
    pub(super) refresh: Option<At<u64>>,
    pub(super) checksum_as_v2: Option<At<bool>>,
    pub(super) tracks: Vec<Track>,
    pub(super) reports: Reports,
}

impl<'s> Draft<'s> {
    pub(super) fn read(block: &'s [Statement], notes: &mut Notes) -> Self {
        let mut draft = Self::default();
        for line in block {
            if !(draft.election(line, notes)
                || draft.unicast(line, notes)
                || draft.holdings(line, notes)
                || draft.tracking(line, notes)
                || report(line, &mut draft.reports, notes))
            {
                other(line, notes);
            }
        }
        draft
    }

    fn election(&mut self, line: &Statement, notes: &mut Notes) -> bool {
        let place = &line.place;
        match line.keyword() {
            "interface" => self.interface = value::text(line, notes),
            "virtual_router_id" => self.vrid = value::number(line, &(1..=255), notes),
            "version" => self.version = value::number(line, &(2..=3), notes),
            "advert_int" => self.interval = interval(line, notes),
            "priority" => {
                // One that keepalived does not take counts as its default, also beside `state MASTER`.
                let given = value::number(line, &(1..=255), notes);
                self.priority = given.or_else(|| Some(At { value: 100, place: place.clone() }));
            }
            "state" => self.is_master = (line.word(1) == Some("MASTER")).then(|| place.clone()),
            "nopreempt" => self.nopreempt = Some(place.clone()),
            "preempt" => self.nopreempt = None,
            "preempt_delay" => self.preempt_delay = value::span(line, 1000, notes),
            "down_timer_adverts" => self.down_timer_adverts = value::number(line, &(1..=100), notes),
            "strict_mode" => self.strict = value::boolean(line, notes),
            "accept" | "no_accept" => {
                self.accept = Some(At { value: line.keyword() == "accept", place: place.clone() });
            }
            "authentication" => self.authentication(line, notes),
            "auth_hmac" => self.hmac = Some(hmac::read(line, notes)),
            "v3_checksum_as_v2" => self.checksum_as_v2 = value::boolean(line, notes),
            _ => return false,
        }
        true
    }

    fn authentication(&mut self, block: &Statement, notes: &mut Notes) {
        for line in &block.block {
            match line.keyword() {
                "auth_type" => match line.word(1) {
                    Some("AH") => notes.lost(
                        &line.place,
                        "vipd does not offer the IP Authentication Header",
                        "change to auth_type PASS on every host first, or to version 3 and auth_hmac",
                    ),
                    Some("PASS") => self.has_passwords = true,
                    Some(_) | None => {
                        notes.ignored(&line.place, "auth_type is not PASS", "keepalived does not take it either");
                    }
                },
                "auth_pass" => {
                    let password = Zeroizing::new(line.word(1).unwrap_or_default().to_owned());
                    self.password = Some(At { value: password, place: line.place.clone() });
                }
                // The word may be a password.
                _ => notes.add(
                    Class::Unknown,
                    &line.place,
                    "this is no keyword of authentication",
                    "keepalived skips it as well; check how it is written",
                ),
            }
        }
    }

    fn unicast(&mut self, line: &Statement, notes: &mut Notes) -> bool {
        let place = &line.place;
        match line.keyword() {
            "unicast_src_ip" => {
                self.unicast.get_or_insert_with(|| place.clone());
                self.source = line.word(1).and_then(|word| address::host(word, place, notes));
            }
            "mcast_src_ip" => self.source = line.word(1).and_then(|word| address::host(word, place, notes)),
            "unicast_peer" => {
                self.unicast.get_or_insert_with(|| place.clone());
                for peer in &line.block {
                    self.peers.extend(address::host(peer.keyword(), &peer.place, notes));
                    let mut least = None;
                    for words in peer.arguments().chunks(2) {
                        match (words, words.get(1).and_then(|ttl| ttl.parse().ok())) {
                            (["min_ttl", _], Some(value)) => {
                                least = Some(At { value, place: peer.place.clone() });
                            }
                            (["max_ttl", _], _) => {
                                notes.ignored(&peer.place, "max_ttl: no TTL is too great for vipd", "nothing");
                            }
                            _ => notes.ignored(&peer.place, "this is no TTL", "check how it is written"),
                        }
                        self.checks_source = true;
                    }
                    match least.filter(|least: &At<u8>| least.value > 0) {
                        Some(least) if self.min_ttl.as_ref().is_none_or(|other| least.value < other.value) => {
                            self.min_ttl = Some(least);
                        }
                        Some(_) => {}
                        None => drop(self.any_ttl.get_or_insert_with(|| peer.place.clone())),
                    }
                }
            }
            "check_unicast_src" => self.checks_source = true,
            "unicast_fault_no_peer" => self.needs_peer = Some(place.clone()),
            "unicast_ttl" => self.unicast_ttl = value::number(line, &(0..=255), notes),
            "mcast_dst_ip" => {
                let own = if line.word(1).is_some_and(|group| group.contains(':')) { "ff02::12" } else { "224.0.0.18" };
                globals::multicast_group(line, own, notes);
            }
            _ => return false,
        }
        true
    }

    fn holdings(&mut self, line: &'s Statement, notes: &mut Notes) -> bool {
        let place = &line.place;
        match line.keyword() {
            "virtual_ipaddress" => self.addresses.extend(&line.block),
            "virtual_ipaddress_excluded" => self.excluded.extend(&line.block),
            "virtual_routes" => self.routes.extend(&line.block),
            "virtual_rules" => self.rules.extend(&line.block),
            "use_vmac" => {
                self.virtual_mac = Some(place.clone());
                if line.arguments().iter().any(|word| word.contains(':')) {
                    let what = "use_vmac with a MAC address of its own: vipd has that of RFC 9568 alone";
                    notes.lost(place, what, "remove the MAC address on every host first");
                } else if line.words.len() > 1 {
                    let what = "the macvlan of vipd is called vr4.VRID.IFINDEX or vr6.VRID.IFINDEX";
                    notes.changed(place, what, "use that name in firewall rules and the like");
                }
            }
            "vmac_xmit_base" => {
                let what = "multicast adverts come from the Virtual Router MAC Address too";
                notes.changed(place, what, "nothing, unless a switch port or a filter goes by MAC addresses");
            }
            "use_ipvlan" | "vrf" => {
                let what = format!("vipd has no {}", line.keyword());
                notes.lost(place, what, "leave it out on every host first, or keep keepalived for this one");
            }
            "garp_master_refresh" => self.refresh = value::number(line, &(0..=u64::from(u32::MAX)), notes),
            _ => return false,
        }
        true
    }

    fn tracking(&mut self, line: &Statement, notes: &mut Notes) -> bool {
        let kind = match line.keyword() {
            "track_interface" => Kind::Interface,
            "track_script" => Kind::Script,
            "track_file" => Kind::File,
            "track_process" => Kind::Process,
            "track_bfd" => {
                notes.lost(&line.place, "vipd speaks no BFD", "leave it out, with a shorter advert_int");
                return true;
            }
            "dont_track_primary" => {
                let what = "a virtual router whose interface has no carrier is in Fault, always: over a cable between two \
                            hosts, the loss of one takes the addresses off the other as well";
                notes.lost(&line.place, what, "put a switch between the hosts, or keep keepalived");
                return true;
            }
            _ => return false,
        };
        value::tracks(&mut self.tracks, kind, line, notes);
        true
    }
}

/// `advert_int`, which is 10 ms at least.
fn interval(line: &Statement, notes: &mut Notes) -> Option<At<Micros>> {
    let span = value::span(line, 255, notes)?;
    if span.value < 10_000 {
        notes.ignored(&span.place, "advert_int is less than 0.01 s", "keepalived does not take it either");
        return None;
    }
    Some(span)
}

fn other(line: &Statement, notes: &mut Notes) {
    match line.keyword() {
        "no_virtual_ipaddress" => {
            let what = "there is nothing to serve: vipd needs an address for each virtual router";
            notes.lost(&line.place, what, "leave the instance out, or give it an address");
        }
        word if ANNOUNCEMENTS.contains(&word) => globals::announcements(line, notes),
        word if WITHOUT_EFFECT.contains(&word) => ignored(line, notes),
        _ => unknown(line, notes),
    }
}
