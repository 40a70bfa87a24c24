//! `vipd import`: configurations of keepalived, one for each host, to the one configuration of a cluster.
//!
//! Files become lines ([`lines`]), lines become statements ([`tree`]), statements become what keepalived makes of them
//! ([`model`], [`read`]), and the hosts together become virtual routers ([`cluster`]) and tables. What is not taken over as it is
//! becomes a [`Note`]. Nothing here writes a file, and no note has a password or a key in it.

mod checks;
mod cluster;
mod files;
mod groups;
mod lines;
mod model;
mod nodes;
mod note;
mod read;
mod reports;
mod routers;
mod signing;
mod toml;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::IpAddr, path::PathBuf};

use self::{
    checks::Checks,
    cluster::Entry,
    groups::Group,
    model::{Globals, Keepalived},
    nodes::Node,
    note::{At, Notes},
    reports::{Saying, Targets},
    toml::{Keys, Table, array, quoted},
};
pub use self::{
    files::{Disk, Files},
    note::{Class, Note, Place},
    signing::KeyFile,
};

/// A host and its configuration of keepalived.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name of the node.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What `@id` lines are compared with.
    pub config_id: String,
    /// Addresses that adverts of the host come from, besides those that the files tell.
    pub addresses: Vec<IpAddr>,
}

/// What is imported, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only instances on this interface.
    pub interface: Option<String>,
    /// Where key files are to lie.
    pub keys: Option<PathBuf>,
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The configuration.
    pub toml: String,
    /// What an operator should know, the serious first.
    pub notes: Vec<Note>,
    /// Keys that the configuration names files for.
    pub keys: Vec<KeyFile>,
}

impl Import {
    /// Whether something is lost that decides which node serves, or what an address does.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.notes.iter().any(|note| note.class == Class::Lost)
    }

    /// The notes as text: those that differ in their places alone are one, which takes two lines.
    #[must_use]
    pub fn report(&self) -> String {
        let mut told: Vec<(&Note, Vec<String>)> = Vec::new();
        let mut known = HashMap::new();
        for note in &self.notes {
            let at = *known.entry((note.class, &note.what, &note.remedy)).or_insert(told.len());
            if at == told.len() {
                told.push((note, Vec::new()));
            }
            told[at].1.extend(note.place.as_ref().map(ToString::to_string));
        }
        told.into_iter().map(|(note, places)| note.shown(&places.join(", ")) + "\n").collect()
    }

    /// The notes as comments of TOML.
    #[must_use]
    pub fn comments(&self) -> String {
        let lines: Vec<_> = self.report().lines().map(str::to_owned).collect();
        let mut text = String::new();
        toml::comment(&mut text, &lines);
        text
    }
}

/// A host, and what its configuration says.
struct Host {
    name: String,
    addresses: Vec<IpAddr>,
    read: Keepalived,
}

/// Imports `sources`; fails where one of their files cannot be read.
pub fn import(files: &dyn Files, sources: &[Source], options: &Options) -> std::io::Result<Import> {
    let mut notes = Notes::default();
    let mut hosts = Vec::new();
    for source in sources {
        let lines = lines::read(files, &source.file, &source.config_id, &mut notes).map_err(|error| {
            std::io::Error::new(error.kind(), format!("failed to read `{}`: {error}", source.file.display()))
        })?;
        let statements = tree::parse(&lines, &mut notes);
        let read = read::configuration(&statements, options.interface.as_deref(), &mut notes);
        hosts.push(Host { name: source.name.clone(), addresses: source.addresses.clone(), read });
    }
    Ok(conclude(&hosts, options, notes))
}

/// The tables that `hosts` come to, and their notes.
fn conclude(hosts: &[Host], options: &Options, mut notes: Notes) -> Import {
    let notes_ref = &mut notes;
    let entries = cluster::entries(hosts, notes_ref);
    let known = nodes::nodes(hosts, &entries, notes_ref);
    cluster::preemption(&entries, hosts, &known, notes_ref);
    let mut checks = Checks::default();
    let mut groups = groups::groups(hosts, &entries, &mut checks, notes_ref);
    let mut routers = Vec::new();
    for entry in &entries {
        let listed = checks_of(entry, hosts, &mut checks, notes_ref);
        routers.extend(routers::routers(entry, &known, &listed, &mut groups, notes_ref));
    }
    let all: Vec<String> =
        routers.iter().map(|router| router.name.clone()).chain(groups.iter().map(|group| group.name.clone())).collect();
    let targets = targets(hosts, &entries, &groups, notes_ref).into_tables(&all, hosts, notes_ref);
    let (auth, keys) = signing::table(&entries, options.keys.as_deref(), notes_ref);
    let (common, virtual_routers) = routers::tables(routers);
    let mut tables = vec![cluster_table(hosts, common, notes_ref)];
    tables.extend(process_table(hosts, notes_ref));
    tables.extend(auth);
    tables.extend(nodes::tables(&known, &entries, notes_ref));
    tables.extend(virtual_routers);
    tables.extend(groups.iter().map(group_table));
    tables.extend(checks.tables().iter().map(|(name, keys)| Table {
        heading: "[[check]]",
        comments: Vec::new(),
        keys: std::iter::once(("name", quoted(name))).chain(keys.iter().cloned()).collect(),
    }));
    tables.extend(targets);
    general_notes(&entries, &known, notes_ref);
    let comments = [
        "From the configurations of keepalived: the same file goes to every node, as /etc/vipd/vipd.toml.",
        "`vipd check` says what is missing in it.",
    ];
    Import { toml: toml::text(&comments.map(str::to_owned), &tables), notes: notes.into_sorted(), keys }
}

/// The checks that an entry goes by. Where hosts track different things those of the first count.
fn checks_of(entry: &Entry<'_>, hosts: &[Host], checks: &mut Checks, notes: &mut Notes) -> Vec<String> {
    let mut first: Option<Vec<String>> = None;
    for (at, instance) in &entry.members {
        let host = &hosts[*at];
        let interface = Some(instance.interface.value.as_str());
        let before = checks.tables().len();
        let names = checks.of(&instance.tracks, interface, groups::of(host, instance), host, notes);
        let Some(first) = &first else {
            first = Some(names);
            continue;
        };
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        if sorted(first) != sorted(&names) {
            checks.forget(before);
            let place = instance.tracks.first().map_or(&instance.name.place, |track| &track.place);
            let what = format!(
                "{} tracks something else here than at {}, and all nodes of vipd go by the same checks",
                entry.name,
                entry.lead().tracks.first().map_or(&entry.lead().name.place, |track| &track.place)
            );
            notes.lost(
                place,
                what,
                "track the same on every host, with the same scripts; what the first tracks is imported",
            );
        }
    }
    first.unwrap_or_default()
}

/// Who is told. All nodes tell the same: what the first host says of a virtual router or a group counts.
fn targets(hosts: &[Host], entries: &[Entry<'_>], groups: &[Group], notes: &mut Notes) -> Targets {
    let mut targets = Targets::default();
    for entry in entries {
        let sayings = entry.members.iter().map(|(at, it)| Saying {
            host: &hosts[*at],
            place: &it.name.place,
            reports: &it.reports,
        });
        targets.add(&entry.name, sayings, notes);
    }
    for known in groups {
        let said = hosts.iter().filter_map(|host| Some((host, groups::named(host, &known.original)?)));
        let sayings = said.map(|(host, group)| Saying { host, place: &group.name.place, reports: &group.reports });
        targets.add(&known.name, sayings, notes);
    }
    targets
}

fn cluster_table(hosts: &[Host], common: Keys, notes: &mut Notes) -> Table {
    let id = |host: &Host| host.read.globals.router_id.as_ref().map(|id| id.value.clone());
    let shared = hosts.first().and_then(id).filter(|first| hosts.iter().all(|host| id(host).as_ref() == Some(first)));
    let shared = shared.filter(|id| !id.trim().is_empty() && !id.contains(char::is_control));
    let mut keys = vec![("name", quoted(shared.as_deref().unwrap_or("keepalived")))];
    keys.extend(common);
    let delays: Vec<_> = hosts.iter().filter_map(|host| host.read.globals.startup_delay.as_ref()).collect();
    if let Some(first) = delays.iter().max_by_key(|delay| delay.value) {
        keys.push(("startup_delay", toml::span(first.value)));
        if delays.len() < hosts.len() || delays.iter().any(|delay| delay.value != first.value) {
            notes.changed(
                &first.place,
                "not all hosts have this vrrp_startup_delay; the longest is for all",
                "nothing",
            );
        }
    }
    Table { heading: "[cluster]", comments: Vec::new(), keys }
}

fn process_table(hosts: &[Host], notes: &mut Notes) -> Option<Table> {
    let each =
        |key, of: fn(&Globals) -> Option<At<String>>| (key, hosts.iter().map(move |host| of(&host.read.globals)));
    let settings = [
        each("realtime_priority", |it| it.realtime_priority.as_ref().map(|it| it.with(it.value.to_string()))),
        each("lock_memory", |it| it.lock_memory.clone().map(|place| At { value: "true".to_owned(), place })),
        each("cpus", |it| it.cpus.as_ref().map(|it| it.with(list(&it.value)))),
    ];
    let mut keys = Keys::new();
    for (key, values) in settings {
        let values: Vec<_> = values.collect();
        let Some(first) = values.iter().flatten().next() else { continue };
        if values.iter().any(|other| other.as_ref().map(|other| &other.value) != Some(&first.value)) {
            notes.changed(&first.place, format!("not all hosts have this {key}, and all nodes of vipd do"), "nothing");
        }
        keys.push((key, first.value.clone()));
    }
    (!keys.is_empty()).then(|| Table { heading: "[process]", comments: Vec::new(), keys })
}

fn list(numbers: &[u16]) -> String {
    format!("[{}]", numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn group_table(group: &Group) -> Table {
    let mut keys = vec![("name", quoted(&group.name)), ("virtual_routers", array(&group.members))];
    if !group.checks.is_empty() {
        keys.push(("checks", array(&group.checks)));
    }
    Table { heading: "[[group]]", comments: Vec::new(), keys }
}

/// What is so for every configuration.
fn general_notes(entries: &[Entry<'_>], known: &[Node], notes: &mut Notes) {
    let Some(first) = entries.first() else { return };
    if let Some(address) = first.lead().addresses.first() {
        let what = "an address, route or rule that another program removes is put back; keepalived would leave MASTER";
        notes.changed(&address.place, what, "nothing");
    }
    if known.len() == 1 {
        let what = "no other node is known: the adverts of others would be dropped as those of strangers";
        let remedy =
            "import all hosts together: vipd import n1=FILE n2=FILE ...; or add a [[node]] for each, and its priority";
        notes.add(Class::Missing, &first.lead().name.place, what, remedy);
    }
}
