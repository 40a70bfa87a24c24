//! How a virtual router works: what its entry says of it, else `[cluster]`, else the default, and what does not go
//! together.

use std::time::Duration;

use vrrp::{
    Parameters,
    message::{ChecksumForm, version_2::Authentication},
};
use vrrp_wire::{Centiseconds, Family, Priority, Version, judge::TTL};

use super::router::Router;
use crate::config::{
    Fence, Transport,
    diagnostic::{Fault, Report},
    file::{self, Preempt, Rate, Refresh},
    table::{Field, Located},
};

/// `Advertisement_Interval` where the file gives none.
const DEFAULT_INTERVAL: Centiseconds = Centiseconds::new(100).unwrap();
/// `announcement_refresh` where the file gives none: switches forget an address that they have not seen for five minutes, some
/// for less.
const DEFAULT_REFRESH: Refresh = Refresh::Every(Duration::from_mins(1));

/// Every key with its default filled in; what is `None` is wrong in the file and has been reported.
pub(super) struct Manner {
    pub(super) advertisement_interval: Option<Centiseconds>,
    pub(super) preempt: Option<Preempt>,
    pub(super) transport: Option<Transport>,
    pub(super) fence: Option<Fence>,
    pub(super) version: Option<Version>,
    pub(super) authentication: Option<Authentication>,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) checksum: Option<ChecksumForm>,
    pub(super) accept: Option<bool>,
    pub(super) virtual_mac: Option<bool>,
    pub(super) min_ttl: Option<u8>,
    pub(super) virtual_link_local: Option<bool>,
    pub(super) announcement_refresh: Option<Refresh>,
    pub(super) announcement_rate: Option<Rate>,
}

impl Manner {
    pub(super) fn new(entry: &file::Manner, cluster: &file::Manner) -> Self {
        let transport = entry.transport.or(&cluster.transport).or_default(Transport::default());
        let password = entry.password.or(&cluster.password);
        let version = entry.version.or(&cluster.version).or_default(Version::V3);
        // The password of [cluster] is for those of its virtual routers that are of version 2.
        let is_unused = version != Some(Version::V2) || password.is_absent();
        Self {
            advertisement_interval: (entry.advertisement_interval.or(&cluster.advertisement_interval))
                .or_default(DEFAULT_INTERVAL),
            preempt: entry.preempt.or(&cluster.preempt).or_default(Preempt::After(Duration::ZERO)),
            transport,
            fence: entry.fence.or(&cluster.fence).or_default(Fence::default()),
            version,
            authentication: if is_unused {
                Some(Authentication::None)
            } else {
                password.value().copied().map(Authentication::Password)
            },
            down_timer_adverts: (entry.down_timer_adverts.or(&cluster.down_timer_adverts))
                .or_default(Parameters::DOWN_TIMER_ADVERTS),
            checksum: entry.checksum.or(&cluster.checksum).or_default(ChecksumForm::PseudoHeader),
            accept: entry.accept.or(&cluster.accept).or_default(true),
            virtual_mac: entry.virtual_mac.or(&cluster.virtual_mac).or_default(false),
            min_ttl: match transport {
                Some(Transport::Multicast) => Some(TTL),
                Some(Transport::Unicast) | None => entry.min_ttl.or(&cluster.min_ttl).or_default(TTL),
            },
            virtual_link_local: entry.virtual_link_local.or(&cluster.virtual_link_local).or_default(true),
            announcement_refresh: (entry.announcement_refresh.or(&cluster.announcement_refresh))
                .or_default(DEFAULT_REFRESH),
            announcement_rate: entry.announcement_rate.or(&cluster.announcement_rate).or_default(Rate::Unlimited),
        }
    }
}

/// Reports what does not go together in `router`.
pub(super) fn check(router: &Router<'_>, cluster: &file::Manner, report: &mut Report<'_>) {
    match router.manner.version {
        Some(Version::V2) => check_version_2(router, cluster, report),
        Some(Version::V3) => check_version_3(router, report),
        None => {}
    }
    check_transport(router, report);
    check_owner(router, report);
}

/// Where a key of the entry or, failing that, of `[cluster]` stands.
fn given<'f, T>(entry: &'f Field<T>, cluster: &'f Field<T>) -> Option<&'f Located<T>> {
    entry.or(cluster).given()
}

/// RFC 3768 knows IPv4, whole seconds, and no keys.
fn check_version_2(router: &Router<'_>, cluster: &file::Manner, report: &mut Report<'_>) {
    let entry = &router.entry.manner;
    let Some(version) = given(&entry.version, &cluster.version) else { return };
    let name = router.entry.heading.table_and_line();
    if router.family == Family::Ipv6 {
        let what = format!("2 is for IPv4 only, and {name} lists IPv6 addresses");
        let remedy = "write version = 3 there, or leave its IPv6 addresses out";
        report.error(&version.place, Fault::new(what, remedy));
        return;
    }
    if !router.auth.is_absent() {
        let what = format!("2 cannot be signed, so anyone could forge the adverts of {name}");
        report.error(&version.place, Fault::new(what, "write version = 3 there, or leave [auth] out until all do"));
    }
    let interval = given(&entry.advertisement_interval, &cluster.advertisement_interval);
    if let Some(interval) = interval.filter(|interval| !interval.value.get().is_multiple_of(100)) {
        let what = format!("{:?} is no whole number of seconds, and {name} is of version 2", interval.value.duration());
        report.error(&interval.place, Fault::new(what, "give whole seconds, 1s to 40s, as the peers have it"));
    }
    if let Some(checksum) = entry.checksum.given() {
        let what = "changes nothing: version 2 has one form of the checksum";
        report.warning(&checksum.place, Fault::new(what, "remove it"));
    }
}

fn check_version_3(router: &Router<'_>, report: &mut Report<'_>) {
    if let Some(password) = router.entry.manner.password.given() {
        let what = "version 3 has no passwords";
        let remedy = "remove it and authenticate with [auth], or write version = 2";
        report.error(&password.place, Fault::new(what, remedy));
    }
}

/// Adverts of the group come from this link; only unicast may pass a router.
fn check_transport(router: &Router<'_>, report: &mut Report<'_>) {
    let Some(min_ttl) = router.entry.manner.min_ttl.given().filter(|min_ttl| min_ttl.value != TTL) else { return };
    if router.manner.transport == Some(Transport::Multicast) {
        let what = format!("{} is for unicast: multicast adverts have a TTL of 255", min_ttl.value);
        report.error(&min_ttl.place, Fault::new(what, r#"remove it, or write transport = "unicast""#));
    }
}

/// The owner has the addresses on its interface, under the MAC address of that, and accepts what is sent to them.
fn check_owner(router: &Router<'_>, report: &mut Report<'_>) {
    let entry = &router.entry.manner;
    if !router.members.iter().any(|member| member.priority == Priority::OWNER) {
        return;
    }
    if router.manner.virtual_mac == Some(true) {
        let place = entry.virtual_mac.given().map_or(&router.entry.heading, |given| &given.place);
        let what = "the owner's addresses are on its interface, and cannot have the Virtual Router MAC Address";
        report.error(place, Fault::new(what, "write virtual_mac = false here, or give at most priority 254"));
    }
    if let Some(accept) = entry.accept.given().filter(|accept| !accept.value) {
        let what = "the owner accepts all the same: the addresses are its own";
        report.warning(&accept.place, Fault::new(what, "remove it, unless it is meant for the other nodes"));
    }
}
