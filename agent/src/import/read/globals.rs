//! `global_defs`.

use super::{ignored, unknown, value};
use crate::import::{
    model::Globals,
    note::{At, Notes},
    tree::Statement,
};

/// How often gratuitous ARP is sent, which vipd has its own plan for.
const ANNOUNCEMENTS: [&str; 7] = [
    "vrrp_garp_master_delay",
    "vrrp_garp_master_repeat",
    "vrrp_garp_master_refresh_repeat",
    "vrrp_garp_lower_prio_delay",
    "vrrp_garp_lower_prio_repeat",
    "vrrp_min_garp",
    "vrrp_garp_extra_if",
];
/// What vipd does anyway, or has no use for.
const WITHOUT_EFFECT: [&str; 64] = [
    "vrrp_lower_prio_no_advert",
    "vrrp_higher_prio_send_advert",
    "vrrp_check_unicast_src",
    "vrrp_skip_check_adv_addr",
    "vrrp_owner_ignore_adverts",
    "vrrp_notify_priority_changes",
    "fifo_write_vrrp_states_on_reload",
    "startup_script_timeout",
    "shutdown_script_timeout",
    "dynamic_interfaces",
    "log_unknown_vrids",
    "disable_local_igmp",
    "vrrp_priority",
    "vrrp_rlimit_rttime",
    "vrrp_rlimit_rtime",
    "max_auto_priority",
    "min_auto_priority_delay",
    "process_name",
    "process_names",
    "vrrp_process_name",
    "use_symlink_paths",
    "set_supplementary_groups",
    "smtp_helo_name",
    "smtp_connect_timeout",
    "snmp_socket",
    "enable_traps",
    "enable_snmp_vrrp",
    "enable_snmp_keepalived",
    "enable_snmp_checker",
    "enable_snmp_rfc",
    "enable_snmp_rfcv2",
    "enable_snmp_rfcv3",
    "enable_dbus",
    "dbus_service_name",
    "dbus_no_interface_name",
    "vrrp_netlink_cmd_rcv_bufs",
    "vrrp_netlink_cmd_rcv_bufs_force",
    "vrrp_netlink_monitor_rcv_bufs",
    "vrrp_netlink_monitor_rcv_bufs_force",
    "process_monitor_rcv_bufs",
    "process_monitor_rcv_bufs_force",
    "vrrp_rx_bufs_policy",
    "vrrp_rx_bufs_multiplier",
    "umask",
    "random_seed",
    "reload_check_config",
    "reload_time_file",
    "reload_repeat",
    "reload_file",
    "include_check",
    "config_save_dir",
    "tmp_config_directory",
    "data_use_instance",
    "json_version",
    "iproute_usr_dir",
    "iproute_etc_dir",
    "state_dump_file",
    "stats_dump_file",
    "json_dump_file",
    "vmac_prefix",
    "vmac_addr_prefix",
    "rs_init_notifies",
    "no_checker_emails",
    "smtp_alert_checker",
];
/// Families of words of checkers, BFD and IPVS.
const OF_OTHERS: [&str; 5] = ["bfd_", "checker_", "lvs_", "nftables", "snmp_"];
/// What keeps packets from addresses by a firewall; vipd has a table of its own where it is wanted.
const FIREWALL: [&str; 2] = ["vrrp_iptables", "vrrp_ipsets"];

/// Reads the block of a `global_defs`.
pub(super) fn read(globals: &mut Globals, block: &[Statement], notes: &mut Notes) {
    for statement in block {
        if protocol(globals, statement, notes) || process(globals, statement, notes) || mail(globals, statement, notes)
        {
            continue;
        }
        let place = &statement.place;
        match statement.keyword() {
            "startup_script" | "shutdown_script" => {
                let what = format!("{} is not run by vipd", statement.keyword());
                notes.changed(place, what, "run it from the service: ExecStartPre= or ExecStopPost= of systemd");
            }
            word if ANNOUNCEMENTS.contains(&word) => announcements(statement, notes),
            word if WITHOUT_EFFECT.contains(&word) || FIREWALL.contains(&word) => ignored(statement, notes),
            word if OF_OTHERS.iter().any(|prefix| word.starts_with(prefix)) => ignored(statement, notes),
            _ => unknown(statement, notes),
        }
    }
}

/// Notes how announcements differ.
pub(super) fn announcements(statement: &Statement, notes: &mut Notes) {
    let what = format!("{}: vipd announces addresses at once, and after 0.1, 1 and 5 s", statement.keyword());
    notes.ignored(&statement.place, what, "nothing; announcement_refresh says how often they are repeated");
}

/// What decides about adverts; whether `statement` is such a word.
fn protocol(globals: &mut Globals, statement: &Statement, notes: &mut Notes) -> bool {
    let place = &statement.place;
    match statement.keyword() {
        "router_id" => globals.router_id = value::text(statement, notes),
        "vrrp_version" => globals.version = value::number(statement, &(2..=3), notes).map(|version| version.value),
        "default_interface" => {
            let what = "default_interface is for static addresses and routes, which are not vipd's";
            notes.ignored(&statement.place, what, "nothing: an instance needs its own in keepalived too");
        }
        "vrrp_strict" => globals.strict = value::boolean(statement, notes),
        "v3_checksum_as_v2" => globals.checksum_as_v2 = value::boolean(statement, notes),
        "vrrp_garp_master_refresh" => globals.refresh = value::number(statement, &(0..=u64::from(u32::MAX)), notes),
        "vrrp_garp_interval" | "vrrp_gna_interval" => {
            let given = value::span(statement, 1, notes);
            let known = globals.announcement_spacing.take();
            globals.announcement_spacing = [given, known].into_iter().flatten().max_by_key(|spacing| spacing.value);
        }
        "vrrp_down_timer_adverts" => globals.down_timer_adverts = value::number(statement, &(1..=100), notes),
        "vrrp_startup_delay" => globals.startup_delay = value::span(statement, 3600, notes),
        "vrrp_delay_after_boot" => {
            let what = "vipd knows no delay that counts from the boot of the machine";
            notes.changed(place, what, "write startup_delay, which counts from the start of vipd");
        }
        "vrrp_mcast_group4" => multicast_group(statement, "224.0.0.18", notes),
        "vrrp_mcast_group6" => multicast_group(statement, "ff02::12", notes),
        "lvs_sync_daemon" => {
            let what = "IPVS connections are not synchronised by vipd";
            notes.changed(place, what, "keep a keepalived for IPVS, or run ipvsadm --start-daemon by notifications");
        }
        _ => return false,
    }
    true
}

/// Refuses any other group than VRRP's own.
pub(super) fn multicast_group(statement: &Statement, own: &str, notes: &mut Notes) {
    if let Some(group) = value::text(statement, notes).filter(|group| group.value != own) {
        let what = format!("adverts go to {}, and vipd sends them to {own} and nowhere else", group.value);
        notes.lost(&group.place, what, "remove it on every host first, or use unicast");
    }
}

/// How the program runs, and who runs programs.
fn process(globals: &mut Globals, statement: &Statement, notes: &mut Notes) -> bool {
    let place = &statement.place;
    match statement.keyword() {
        "script_user" => globals.script_user = value::user(statement, 1),
        "enable_script_security" => globals.checks_scripts = Some(place.clone()),
        "vrrp_rt_priority" => globals.realtime_priority = value::number(statement, &(1..=99), notes),
        "vrrp_no_swap" => globals.lock_memory = Some(place.clone()),
        "vrrp_cpu_affinity" => {
            let cpus: Vec<_> = statement.arguments().iter().filter_map(|cpu| cpu.parse().ok()).collect();
            globals.cpus = Some(At { value: cpus, place: place.clone() });
        }
        "notify_fifo" | "vrrp_notify_fifo" => globals.fifos.extend(value::text(statement, notes)),
        "notify_fifo_script" | "vrrp_notify_fifo_script" => {
            let what = "vipd starts no program that reads the pipe";
            notes.changed(place, what, "start it as a service of its own; lines wait in the pipe for it");
        }
        _ => return false,
    }
    true
}

fn mail(globals: &mut Globals, statement: &Statement, notes: &mut Notes) -> bool {
    let mail = &mut globals.mail;
    match statement.keyword() {
        "notification_email" => {
            let at = |(word, place): (&str, &_)| At { value: word.to_owned(), place: Clone::clone(place) };
            mail.to.extend(statement.listed().map(at));
        }
        "notification_email_from" => mail.from = value::text(statement, notes),
        "smtp_server" => {
            let server = value::text(statement, notes);
            mail.server = server.map(|server| {
                let host = if server.value.contains(':') { format!("[{}]", server.value) } else { server.value };
                let port = statement.word(2).unwrap_or("25");
                At { value: format!("{host}:{port}"), place: server.place }
            });
        }
        "smtp_alert" | "smtp_alert_vrrp" => {
            mail.by_default = value::boolean(statement, notes).filter(|wanted| wanted.value).map(|wanted| wanted.place);
        }
        "no_email_faults" => mail.without_faults = true,
        _ => return false,
    }
    true
}
