//! Checks: of which kind each is, what goes with that kind, and which virtual routers go by it.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;
use vrrp::{
    Priority,
    track::{Contribution, Effect, Reading},
};

use super::{check_unique, kubernetes, repeated, warn_of_private_directory};
use crate::{
    check::{Check, GrpcRequest, HttpRequest, Neighbor, Processes, Subject, Tracked, Who},
    client::{Endpoint, Server, Trust},
    config::{
        diagnostic::{Fault, Place, Report},
        file::{self, File},
        health,
        table::{Field, Located},
    },
    program::Program,
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// `rise` and `fall` where the file gives none: a request may get lost, or be late.
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;
/// The same for what is known for sure.
const DEFAULT_OF_SURE: u32 = 1;

/// What is looked at, by the key that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Tcp,
    Grpc,
    Command,
    Process,
    File,
    Interface,
    Address,
    Pods,
    Node,
}

impl Kind {
    const fn key(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
            Self::Command => "command",
            Self::Process => "process",
            Self::File => "file",
            Self::Interface => "interface",
            Self::Address => "address",
            Self::Pods => "pods",
            Self::Node => "node",
        }
    }

    /// Whether a look cannot err: it goes by what the kernel has said, or the API of Kubernetes.
    const fn is_sure(self) -> bool {
        matches!(self, Self::Process | Self::File | Self::Interface) || self.asks_kubernetes()
    }

    const fn asks_kubernetes(self) -> bool {
        matches!(self, Self::Pods | Self::Node)
    }
}

/// All checks of the file that are legal, as `node` has them. Reports what is wrong with any.
pub(super) fn checks(file: &File, node: Option<&str>, report: &mut Report<'_>) -> Vec<Check> {
    check_unique(file.checks.iter().map(|check| &check.name), report);
    kubernetes::check_nodes(file, report);
    let checks = file.checks.iter().filter_map(|written| check(written, file, node, report)).collect();
    warn_of_unused(file, report);
    checks
}

/// Reports what is wrong with `references`, names of checks.
pub(super) fn check_references(references: &Field<Vec<Located<String>>>, file: &File, report: &mut Report<'_>) {
    let Some(references) = references.value() else { return };
    for (again, _) in repeated(references, |reference| reference.value.as_str()) {
        report.error(&again.place, Fault::new(format!("{:?} is listed twice", again.value), "list each check once"));
    }
    let known: Vec<_> = file.checks.iter().filter_map(|check| check.name.value()).map(String::as_str).collect();
    // A check without a legal name is the mistake where there is one.
    if known.len() < file.checks.len() {
        return;
    }
    for reference in references.iter().filter(|reference| !known.contains(&reference.value.as_str())) {
        let remedy = match known.as_slice() {
            [] => format!("add a [[check]] with name = {:?}", reference.value),
            _ => format!("choose one of {}, or add a [[check]]", known.join(", ")),
        };
        report.error(&reference.place, Fault::new(format!("there is no check {:?}", reference.value), remedy));
    }
}

/// What `entry` goes by: its own checks and, in a group, those of the group and of all members. So a weight moves all of them, and
/// none has another priority than the others because of it.
pub(super) fn tracked(entry: &file::VirtualRouter, file: &File) -> Option<Vec<Tracked>> {
    let mut tracked: Vec<Tracked> = Vec::new();
    for references in shared(entry, file).into_iter().filter(|references| !references.is_absent()) {
        for reference in references.value()? {
            if !tracked.iter().any(|known| known.check == reference.value) {
                tracked.push(track(reference, file)?);
            }
        }
    }
    Some(tracked)
}

/// Where the checks of `entry` are listed.
fn shared<'f>(entry: &'f file::VirtualRouter, file: &'f File) -> Vec<&'f Field<Vec<Located<String>>>> {
    let mut lists = vec![&entry.checks];
    let lists_name = |group: &&file::Group, name: &String| {
        group.virtual_routers.value().is_some_and(|members| members.iter().any(|member| member.value == *name))
    };
    let group = entry.name.value().and_then(|name| file.groups.iter().find(|group| lists_name(group, name)));
    if let Some(group) = group {
        lists.push(&group.checks);
        let is_member = |other: &&file::VirtualRouter| other.name.value().is_some_and(|name| lists_name(&group, name));
        lists.extend(file.virtual_routers.iter().filter(is_member).map(|member| &member.checks));
    }
    lists
}

fn track(reference: &Located<String>, file: &File) -> Option<Tracked> {
    let check = file.checks.iter().find(|check| check.name.value() == Some(&reference.value))?;
    Some(Tracked { check: reference.value.clone(), effect: effect(check)? })
}

fn effect(check: &health::Check) -> Option<Effect> {
    let weight = if check.weight.is_absent() { None } else { Some(*check.weight.value()?) };
    Some(Effect { weight, reverse: check.reverse.or_default(false)? })
}

/// Says where the weights of `checks` are too small to move anything: whatever the checks say on nodes of these `priorities`,
/// the best stays the best.
pub(super) fn idle(checks: &[Tracked], priorities: &[Priority], file: &File) -> Option<Fault> {
    let is_file = |name: &str| {
        let named = |check: &&health::Check| check.name.value().is_some_and(|own| own == name);
        file.checks.iter().find(named).is_none_or(|check| !check.file.is_absent())
    };
    let weighty = checks.iter().filter(|tracked| tracked.effect.weight.is_some());
    let (mut least, mut most, mut names) = (0, 0, Vec::new());
    for Tracked { check, effect } in weighty {
        if is_file(check) {
            // A value may be anything.
            return None;
        }
        names.push(check.as_str());
        let points = [Reading::Passing, Reading::Failing].map(|reading| match effect.contribution(Some(reading)) {
            Contribution::Points(points) => points,
            Contribution::Fault | Contribution::Waiting => 0,
        });
        least += points[0].min(points[1]);
        most += points[0].max(points[1]);
    }
    let mut order: Vec<_> = priorities.iter().map(|priority| i32::from(priority.get())).collect();
    order.sort_unstable_by_key(|&priority| std::cmp::Reverse(priority));
    let [best, second, ..] = order[..] else { return None };
    if names.is_empty() || best + least <= second + most {
        return None;
    }
    let what = format!(
        "the weights of {} are too small: the first node has at least {}, and the second at most {}",
        names.join(" and "),
        best + least,
        second + most
    );
    Some(Fault::new(what, "give weights that change the order of the nodes, or none for Fault"))
}

fn warn_of_unused(file: &File, report: &mut Report<'_>) {
    for check in &file.checks {
        let Some(name) = check.name.value() else { continue };
        let is_used = file.references().any(|reference| reference.value == *name);
        if !is_used {
            let what = "no virtual router goes by it, so it does not run";
            report.warning(&check.heading, Fault::new(what, format!("name it: checks = [{name:?}]; or remove it")));
        }
    }
}

fn check(written: &health::Check, file: &File, node: Option<&str>, report: &mut Report<'_>) -> Option<Check> {
    let kind = kind(written, report)?;
    check_keys(written, kind, report);
    check_times(written, report);
    let subject = subject(written, kind, file, node, report)?;
    let default = |otherwise| if kind.is_sure() { DEFAULT_OF_SURE } else { otherwise };
    for path in [&written.file, &written.socket] {
        warn_of_private_directory(path, report);
    }
    let interval = written.interval.or_default(DEFAULT_INTERVAL)?;
    Some(Check {
        name: written.name.value()?.clone(),
        subject,
        interval,
        timeout: written.timeout.or_default(interval)?,
        rise: written.rise.or_default(default(DEFAULT_RISE))?,
        fall: written.fall.or_default(default(DEFAULT_FALL))?,
        start: if written.start.is_absent() {
            kind.asks_kubernetes().then_some(harmless(written)?)
        } else {
            Some(*written.start.value()?)
        },
    })
}

/// What keeps no router from serving. That is what a check counts for until the API has been heard: the election waits for none.
fn harmless(written: &health::Check) -> Option<Reading> {
    Some(if written.reverse.or_default(false)? { Reading::Failing } else { Reading::Passing })
}

/// The one kind that a check is of.
fn kind(written: &health::Check, report: &mut Report<'_>) -> Option<Kind> {
    let kinds = [
        (Kind::Http, written.http.is_absent()),
        (Kind::Tcp, written.tcp.is_absent()),
        (Kind::Grpc, written.grpc.is_absent()),
        (Kind::Command, written.command.is_absent()),
        (Kind::Process, written.process.is_absent()),
        (Kind::File, written.file.is_absent()),
        (Kind::Interface, written.interface.is_absent()),
        (Kind::Address, written.address.is_absent()),
        (Kind::Pods, written.pods.is_absent()),
        (Kind::Node, written.node.is_absent()),
    ];
    let given: Vec<_> = kinds.into_iter().filter(|(_, is_absent)| !is_absent).map(|(kind, _)| kind).collect();
    match given.as_slice() {
        [kind] => Some(*kind),
        [] => {
            let remedy = "add one of http, tcp, grpc, command, process, file, interface, address, pods, node";
            report.error(&written.heading, Fault::new("it says nothing to look at", remedy));
            None
        }
        several => {
            let keys: Vec<_> = several.iter().map(|kind| kind.key()).collect();
            let what = format!("{} are given, and a check looks at one thing", keys.join(" and "));
            report.error(
                &written.heading,
                Fault::new(what, "make a [[check]] of each: a virtual router may go by several"),
            );
            None
        }
    }
}

/// Reports keys that mean nothing for a check of this kind.
fn check_keys(written: &health::Check, kind: Kind, report: &mut Report<'_>) {
    use Kind::{Address, Command, Grpc, Http, Interface, Node, Pods, Process, Tcp};
    let that_take_time = [Http, Tcp, Grpc, Command, Process, Interface, Address];
    let all_but_file = [Http, Tcp, Grpc, Command, Process, Interface, Address, Pods, Node];
    let keys: [(Option<&Place>, &[Kind]); 15] = [
        (place(&written.status), &[Http]),
        (place(&written.body), &[Http]),
        (place(&written.host), &[Http]),
        (place(&written.socket), &[Http, Grpc]),
        (place(&written.ca_file), &[Http, Grpc]),
        (place(&written.verify), &[Http, Grpc]),
        (place(&written.service), &[Grpc]),
        (place(&written.user), &[Command]),
        (place(&written.group), &[Command]),
        (place(&written.min), &[Process, Pods]),
        (place(&written.max), &[Process]),
        (place(&written.through), &[Address]),
        (place(&written.namespace), &[Pods]),
        (place(&written.timeout), &that_take_time),
        (place(&written.start), &all_but_file),
    ];
    for (place, kinds) in keys {
        if let Some(place) = place.filter(|_| !kinds.contains(&kind)) {
            let of: Vec<_> = kinds.iter().map(|kind| kind.key()).collect();
            let what = format!("means nothing for a check of kind {}", kind.key());
            report.error(place, Fault::new(what, format!("remove it; it goes with {}", of.join(", "))));
        }
    }
}

fn place<T>(field: &Field<T>) -> Option<&Place> {
    field.given().map(|given| &given.place)
}

fn check_times(written: &health::Check, report: &mut Report<'_>) {
    let (Some(timeout), Some(interval)) = (written.timeout.given(), written.interval.or_default(DEFAULT_INTERVAL))
    else {
        return;
    };
    if timeout.value > interval {
        let what =
            format!("{:?} is longer than the interval, {interval:?}: the next look would be due before", timeout.value);
        report.error(&timeout.place, Fault::new(what, "give at most the interval, or a longer interval"));
    }
}

fn subject(
    written: &health::Check,
    kind: Kind,
    file: &File,
    node: Option<&str>,
    report: &mut Report<'_>,
) -> Option<Subject> {
    Some(match kind {
        Kind::Http => Subject::Http(http(written, report)?),
        Kind::Tcp => Subject::Tcp(written.tcp.value()?.clone()),
        Kind::Grpc => {
            let url = written.grpc.value()?;
            check_path(written, url, report);
            let server = server(written, url, report)?;
            let service = if written.service.is_absent() { String::new() } else { written.service.value()?.clone() };
            Subject::Grpc(GrpcRequest { server, service })
        }
        Kind::Command => Subject::Command(command(written, report)?),
        Kind::Process => Subject::Process(processes(written, report)?),
        Kind::File => Subject::File(written.file.value()?.clone()),
        Kind::Interface => Subject::Interface(written.interface.value()?.clone()),
        Kind::Address => Subject::Address(neighbor(written, file, report)?),
        Kind::Pods => kubernetes::ask(kubernetes::pods(written, report)?, file, node)?,
        Kind::Node => kubernetes::ask(kubernetes::node(written)?, file, node)?,
    })
}

fn http(written: &health::Check, report: &mut Report<'_>) -> Option<HttpRequest> {
    let url = written.http.value()?;
    let status = match written.status.given() {
        None if written.status.is_absent() => vec![200..=399],
        None => return None,
        Some(given) if given.value.is_empty() => {
            let what = "no status would be a good one, so the check could never pass";
            report.error(&given.place, Fault::new(what, "list at least one, such as 200, or remove it for 200 to 399"));
            return None;
        }
        Some(given) => given.value.iter().map(|status| status.value.clone()).collect(),
    };
    let mut server = server(written, url, report)?;
    let mut host = url.authority().map(ToString::to_string).unwrap_or_default();
    if !written.host.is_absent() {
        host.clone_from(written.host.value()?);
        // The certificate is that of the host which is asked for, wherever it is.
        if let Some(tls) = &mut server.tls {
            without_port(&host).clone_into(&mut tls.server);
        }
    }
    Some(HttpRequest {
        server,
        host,
        path: url.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        status,
        body: if written.body.is_absent() { None } else { Some(written.body.value()?.clone()) },
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => {
            name.trim_start_matches('[').trim_end_matches(']')
        }
        Some(_) | None => host,
    }
}

/// gRPC has its own path.
fn check_path(written: &health::Check, url: &Uri, report: &mut Report<'_>) {
    if url.path_and_query().is_some_and(|path| path != "/")
        && let Some(place) = place(&written.grpc)
    {
        let what = format!("the path {:?} is not that of a gRPC server", url.path());
        report.error(place, Fault::new(what, "end it after the port; `service` says which service is asked for"));
    }
}

/// Who is asked, and how TLS is agreed upon with it, if it is.
fn server(written: &health::Check, url: &Uri, report: &mut Report<'_>) -> Option<Server> {
    let is_secure = url.scheme_str() == Some("https");
    let mut server = Server::of(url, if is_secure { trust(written, report)? } else { Trust::Host })?;
    if !is_secure {
        for place in [place(&written.ca_file), place(&written.verify)].into_iter().flatten() {
            report.error(place, Fault::new("means nothing without TLS", "remove it, or write https:// in the URL"));
        }
    }
    if !written.socket.is_absent() {
        server.endpoint = Endpoint::Unix(written.socket.value()?.clone());
    }
    Some(server)
}

fn trust(written: &health::Check, report: &mut Report<'_>) -> Option<Trust> {
    let verifies = written.verify.or_default(true)?;
    match (written.ca_file.given(), verifies) {
        (Some(ca), false) => {
            let what = "verify = false believes every certificate, whoever has signed it";
            report.error(&ca.place, Fault::new(what, "remove one of the two"));
            None
        }
        (None, _) if !written.ca_file.is_absent() => None,
        (None, false) => Some(Trust::Anybody),
        (None, true) => Some(Trust::Host),
        (Some(ca), true) => Some(Trust::File(ca.value.clone())),
    }
}

fn command(written: &health::Check, report: &mut Report<'_>) -> Option<Program> {
    let given = written.command.given()?;
    let [program, arguments @ ..] = given.value.as_slice() else {
        let remedy = r#"write the program and its arguments: ["/usr/local/bin/check", "--quick"]"#;
        report.error(&given.place, Fault::new("there is no program", remedy));
        return None;
    };
    let path = PathBuf::from(&program.value);
    if !path.is_absolute() {
        let remedy = "write the whole path of the program, from / on; no shell is there to find it";
        report.error(&program.place, Fault::new(format!("{:?} is not an absolute path", program.value), remedy));
        return None;
    }
    Some(Program {
        path,
        arguments: arguments.iter().map(|argument| argument.value.clone()).collect(),
        user: written.user.unless_wrong()?.value().cloned(),
        group: written.group.unless_wrong()?.value().cloned(),
    })
}

fn processes(written: &health::Check, report: &mut Report<'_>) -> Option<Processes> {
    let min = written.min.or_default(usize::from(written.max.is_absent() || written.max.value() != Some(&0)))?;
    let max = if written.max.is_absent() { None } else { Some(*written.max.value()?) };
    if let Some(max) = max.filter(|&max| max < min) {
        let place = place(&written.max)?;
        let what = format!("at least {min} and at most {max} processes are never there, so the check could never pass");
        report.error(place, Fault::new(what, "give a max that is not below min"));
        return None;
    }
    if let (0, None, Some(given)) = (min, max, written.min.given()) {
        let what = "any number of processes would do, so the check could never fail";
        report.error(&given.place, Fault::new(what, "give at least 1, or a max as well"));
        return None;
    }
    Some(Processes { program: written.process.value()?.clone(), min, max })
}

fn neighbor(written: &health::Check, file: &File, report: &mut Report<'_>) -> Option<Neighbor> {
    let given = written.address.given()?;
    let who = given.value;
    if let Who::Address(address) = who {
        let is_it = |entry: &&file::VirtualRouter| {
            let extra = entry.extra_addresses.value().into_iter().flatten();
            entry.addresses.value().into_iter().flatten().chain(extra).any(|own| own.value.addr() == address)
        };
        if let Some(entry) = file.virtual_routers.iter().find(is_it) {
            let what = format!(
                "{address} is a virtual address of {}: nobody answers for it before somebody serves",
                entry.heading.table_and_line()
            );
            report.error(&given.place, Fault::new(what, "give the address of a host that is always there"));
            return None;
        }
    }
    let interface = match (who, written.through.is_absent()) {
        (Who::Gateway(_), true) => None,
        (Who::Address(_), true) => Some(file.cluster.interface.value().cloned().or_else(|| {
            if file.cluster.interface.is_absent() {
                let what = "it is not said on which interface, and [cluster] names none";
                report.error(&given.place, Fault::new(what, "add through = ... with the name of the interface"));
            }
            None
        })?),
        (_, false) => Some(written.through.value()?.clone()),
    };
    Some(Neighbor { who, interface })
}
