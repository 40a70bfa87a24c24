//! Statements to keepalived's model, with what is wrong with them and what has no place in vipd.

mod address;
mod draft;
mod globals;
mod group;
mod hmac;
mod instance;
mod route;
mod tracker;
mod value;

pub(super) use self::instance::family_of;
use super::{
    model::{Keepalived, Program, Reports},
    note::{Class, Notes},
    tree::Statement,
    words::command_line,
};

/// What virtual servers are made of.
const VIRTUAL_SERVERS: [&str; 4] = ["virtual_server", "virtual_server_group", "real_server", "SSL"];
/// What the host itself has to be given, whether or not it serves.
const STATIC: [&str; 3] = ["static_ipaddress", "static_routes", "static_rules"];
/// Words of the top level on which no virtual router depends.
const WITHOUT_EFFECT: [&str; 9] = [
    "linkbeat_use_polling",
    "linkbeat_interfaces",
    "net_namespace_ipvs",
    "namespace_with_ipsets",
    "use_pid_dir",
    "instance",
    "child_wait_time",
    "garp_group",
    "include_check",
];

/// The configuration that `statements` are; instances on other interfaces than `interface`, where one is given, are left out.
pub(super) fn configuration(statements: &[Statement], interface: Option<&str>, notes: &mut Notes) -> Keepalived {
    let mut read = Keepalived { elsewhere: elsewhere(statements, interface), ..Keepalived::default() };
    let is_elsewhere =
        |name: Option<&str>, read: &Keepalived| read.elsewhere.iter().any(|other| Some(other.as_str()) == name);
    for statement in statements.iter().filter(|statement| statement.keyword() == "global_defs") {
        globals::read(&mut read.globals, &statement.block, notes);
    }
    for statement in statements {
        let place = &statement.place;
        match statement.keyword() {
            "global_defs" => {}
            "vrrp_instance" if is_elsewhere(statement.word(1), &read) => {}
            "vrrp_instance" => read.instances.extend(instance::read(statement, &read.globals, notes)),
            "vrrp_sync_group" => {
                let is_here = group::members(statement).iter().any(|it| !is_elsewhere(Some(&it.value), &read));
                if is_here || read.elsewhere.is_empty() {
                    read.groups.extend(group::read(statement, notes));
                }
            }
            "vrrp_script" => tracker::script(statement, &mut read.trackers, notes),
            "track_file" | "vrrp_track_file" => tracker::file(statement, &mut read.trackers, notes),
            "vrrp_track_process" => tracker::process(statement, &mut read.trackers, notes),
            "bfd_instance" => notes.ignored(place, "vipd speaks no BFD", "short advertisement_interval is its way"),
            "net_namespace" => {
                let what = "vipd runs in the network namespace that it is started in";
                notes.changed(place, what, "start it there: NetworkNamespacePath= of systemd, or ip netns exec");
            }
            "interface_up_down_delays" => {
                let what = "an interface counts as down, and as up, as soon as the kernel says so";
                notes.changed(place, what, "for a tracked one give its [[check]] fall and rise");
            }
            "track_group" => {
                let what = "static addresses, routes and rules are not vipd's, and no group of them either";
                notes.ignored(place, what, "configure them with the host's network");
            }
            word if STATIC.contains(&word) => {
                let what = format!("{word} is the host's own, and vipd does not set it");
                notes.changed(place, what, "move it to the host's network configuration before keepalived goes");
            }
            word if VIRTUAL_SERVERS.contains(&word) => {
                if read.virtual_servers.is_none() {
                    let what = "IPVS is NOT taken over: vipd has no virtual servers";
                    notes.changed(place, what, "keep a keepalived with nothing but these (keepalived --check)");
                }
                read.virtual_servers.get_or_insert_with(|| place.clone());
            }
            word if WITHOUT_EFFECT.contains(&word) => ignored(statement, notes),
            _ => unknown(statement, notes),
        }
    }
    if read.instances.is_empty() {
        let what = match (&read.virtual_servers, interface) {
            (Some(_), _) => "there is no vrrp_instance, only virtual servers, which are not taken over".to_owned(),
            (None, Some(interface)) => format!("there is no vrrp_instance on {interface}"),
            (None, None) => "there is no vrrp_instance".to_owned(),
        };
        let remedy = "import a file with one; for IPVS keepalived has to stay";
        match &read.virtual_servers {
            Some(place) => notes.lost(place, what, remedy),
            None => notes.add_general(Class::Lost, what, remedy),
        }
    }
    read
}

/// The names of the instances that are on other interfaces than `interface`.
fn elsewhere(statements: &[Statement], interface: Option<&str>) -> Vec<String> {
    let Some(interface) = interface else { return Vec::new() };
    let is_other = |instance: &&Statement| {
        let own = instance.block.iter().rev().find(|line| line.keyword() == "interface");
        instance.keyword() == "vrrp_instance" && own.and_then(|line| line.word(1)).is_some_and(|own| own != interface)
    };
    let others = statements.iter().filter(is_other);
    others.filter_map(|instance| instance.word(1).map(str::to_owned)).collect()
}

/// Notes that a word is not keepalived's. What is in a block of such a name may be anything.
fn unknown(statement: &Statement, notes: &mut Notes) {
    let what = match statement.keyword() {
        "" => "a block without a keyword".to_owned(),
        keyword => format!("{keyword:?} is no keyword here"),
    };
    if !statement.block.is_empty() {
        let what = format!("{what}, and nothing that stands in its block is imported");
        notes.lost(&statement.place, what, "check how it is written, and the braces before it");
        return;
    }
    notes.add(Class::Unknown, &statement.place, what, "keepalived skips it as well; check how it is written");
}

/// Notes that nothing depends on a word.
fn ignored(statement: &Statement, notes: &mut Notes) {
    let what = format!("{} has no counterpart, and no advert and no address depends on it", statement.keyword());
    notes.ignored(&statement.place, what, "nothing");
}

/// Reads `notify...` and `smtp_alert`; whether `statement` is one of them.
fn report(statement: &Statement, reports: &mut Reports, notes: &mut Notes) -> bool {
    let on = match statement.keyword() {
        "notify" => None,
        "notify_master" => Some("Active"),
        "notify_backup" => Some("Backup"),
        "notify_fault" => Some("Fault"),
        "notify_stop" => Some("Stopped"),
        "notify_deleted" => Some("Deleted"),
        "smtp_alert" => {
            reports.mail = value::boolean(statement, notes).map(|wanted| wanted.value);
            return true;
        }
        "notify_master_rx_lower_pri" | "notify_priority_changes" => {
            let what = format!("{} is not told to programs", statement.keyword());
            notes.ignored(&statement.place, what, "vipd events and the log have it");
            return true;
        }
        _ => return false,
    };
    match statement.words.get(1) {
        Some(word) => reports.programs.push(Program {
            on,
            command: command_line(word),
            user: value::user(statement, 2),
            place: statement.place.clone(),
        }),
        None if on == Some("Deleted") => {}
        None => notes.ignored(&statement.place, "no program is named", "nothing: keepalived runs none"),
    }
    true
}
