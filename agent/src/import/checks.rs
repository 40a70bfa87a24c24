//! Trackers to `[[check]]`.

use super::{
    Host,
    model::{Instance, Kind, Script, SyncGroup, Track, TrackProcess, User, Weight},
    note::Notes,
    toml::{Keys, array, quoted, span},
};

/// The checks of all hosts, by name.
#[derive(Default)]
pub(super) struct Checks {
    tables: Vec<(String, Keys)>,
}

impl Checks {
    /// Every check, in the order of its first use.
    pub(super) fn tables(&self) -> &[(String, Keys)] {
        &self.tables
    }

    /// Takes back all but the first `count`.
    pub(super) fn forget(&mut self, count: usize) {
        self.tables.truncate(count);
    }

    /// The names of the checks for `tracks` of `host`: for an instance on `interface`, in `group` if it is a member of one.
    pub(super) fn of(
        &mut self,
        tracks: &[Track],
        interface: Option<&str>,
        group: Option<&SyncGroup>,
        host: &Host,
        notes: &mut Notes,
    ) -> Vec<String> {
        let mut names = Vec::new();
        for track in tracks {
            let Some((weight, keys)) = keys(track, host, notes) else { continue };
            let Some(weight) = weight_of(track, weight, interface, group, notes) else { continue };
            let name = self.register(&track.name, with_weight(keys, weight));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The name of the check that is as `keys` say, which is added where there is none.
    fn register(&mut self, base: &str, keys: Keys) -> String {
        if let Some((name, _)) = self.tables.iter().find(|(_, own)| *own == keys) {
            return name.clone();
        }
        let is_free = |name: &String| self.tables.iter().all(|(own, _)| own != name);
        let candidates = std::iter::once(base.to_owned()).chain((2_u32..).map(|count| format!("{base}-{count}")));
        let name = candidates.into_iter().find(is_free).unwrap_or_default();
        self.tables.push((name.clone(), keys));
        name
    }
}

/// Whether the priority of `instance` of `host`, which is in `group`, depends on what it or the group tracks.
pub(super) fn move_priority(instance: &Instance, group: Option<&SyncGroup>, host: &Host) -> bool {
    // What there is to say of them is said where they become checks.
    let mut notes = Notes::default();
    let interface = Some(instance.interface.value.as_str());
    let of_group = group.map_or(&[][..], |group| &group.tracks);
    let tracks = instance.tracks.iter().map(|track| (track, interface));
    tracks.chain(of_group.iter().map(|track| (track, None))).any(|(track, interface)| {
        let own = keys(track, host, &mut notes).map(|(own, _)| own);
        let weight = own.and_then(|own| weight_of(track, own, interface, group, &mut notes));
        weight.is_some_and(|weight| weight.points != 0)
    })
}

/// The tracker's own weight, and what is looked at.
fn keys(track: &Track, host: &Host, notes: &mut Notes) -> Option<(Weight, Keys)> {
    let trackers = &host.read.trackers;
    let found = match track.kind {
        Kind::Interface => Some((Weight::default(), vec![("interface", quoted(&track.name))])),
        Kind::Script => trackers.scripts.get(&track.name).map(|script| (script.weight, command(script, host, notes))),
        Kind::File => trackers.files.get(&track.name).map(|file| {
            if !file.path.starts_with('/') {
                let what = format!("{:?} is no whole path", file.path);
                notes.changed(&file.place, what, "write it from / on; vipd check refuses it so");
            }
            (file.weight, vec![("file", quoted(&file.path))])
        }),
        Kind::Process => trackers.processes.get(&track.name).map(|it| (it.weight, process(it, notes))),
    };
    if found.is_none() {
        let what = format!("{:?} is tracked, but defined nowhere", track.name);
        notes.ignored(&track.place, what, "keepalived does not track it either; define it, or remove the line");
    }
    found
}

/// What counts in the end; `None` where nothing does.
fn weight_of(
    track: &Track,
    own: Weight,
    interface: Option<&str>,
    group: Option<&SyncGroup>,
    notes: &mut Notes,
) -> Option<Weight> {
    let weight = Weight { points: track.points.unwrap_or(own.points), reverse: track.reverse.unwrap_or(own.reverse) };
    if track.kind == Kind::Interface && interface == Some(track.name.as_str()) {
        if weight.points != 0 {
            let what =
                format!("{} is the interface of the instance itself, without which it is in Fault anyway", track.name);
            notes.changed(&track.place, what, "nothing");
        }
        return None;
    }
    if weight.points == 0 || group.is_none_or(|group| group.weights_count) {
        return Some(weight);
    }
    if track.kind == Kind::Process {
        let what = format!(
            "the weight of {} moves all members of the group, and with keepalived the instance alone",
            track.name
        );
        notes.changed(&track.place, what, "nothing, or track it in every member");
        return Some(weight);
    }
    let is_dropped = track.kind == Kind::Script || (track.kind == Kind::File && weight.points.abs() != 1);
    if is_dropped {
        let what = format!("{} has a weight, so that keepalived does not track it in a sync group", track.name);
        notes.changed(
            &track.place,
            what,
            "list it in checks of the [[group]] if it is to count: weights move all members",
        );
        return None;
    }
    let what = format!("the weight of {} is ignored in a sync group: its failure means Fault", track.name);
    notes.changed(&track.place, what, "give the check a weight if points were meant: they move all members");
    Some(Weight { points: 0, reverse: weight.reverse })
}

fn with_weight(mut keys: Keys, weight: Weight) -> Keys {
    if weight.points != 0 {
        keys.push(("weight", weight.points.to_string()));
    }
    if weight.reverse {
        keys.push(("reverse", "true".to_owned()));
    }
    keys
}

/// The keys for a script.
fn command(script: &Script, host: &Host, notes: &mut Notes) -> Keys {
    let (mut keys, runs_program) = subject(script, notes);
    let interval = match script.timeout.filter(|&timeout| timeout > script.interval) {
        Some(timeout) if runs_program => {
            let what = "vipd looks again at the interval, so that a timeout cannot be longer: the interval becomes the timeout";
            notes.changed(&script.place, what, "shorten both, for a failure to be seen sooner");
            timeout
        }
        Some(_) | None => script.interval,
    };
    keys.push(("interval", span(interval.max(10_000))));
    if let Some(timeout) = script.timeout.filter(|&timeout| timeout < interval) {
        keys.push(("timeout", span(timeout.max(10_000))));
    }
    keys.push(("rise", script.rise.to_string()));
    keys.push(("fall", script.fall.to_string()));
    if script.fails_at_first {
        keys.push(("start", quoted("failing")));
    }
    if runs_program {
        keys.extend(user(script.user.as_ref().or(host.read.globals.script_user.as_ref())));
        if script.user.is_none() && host.read.globals.script_user.is_none() {
            no_user(&script.place, notes);
        }
    }
    keys
}

/// What a script looks at, and whether a program is run for that.
fn subject(script: &Script, notes: &mut Notes) -> (Keys, bool) {
    let words: Vec<_> = script.command.iter().map(String::as_str).collect();
    let program = words.first().copied().unwrap_or_default();
    let looked_for = match words[..] {
        ["killall" | "/usr/bin/killall", "-0", name] | ["pidof" | "/bin/pidof" | "/usr/bin/pidof", name] => Some(name),
        _ => None,
    };
    if let Some(name) = looked_for {
        let what = format!("{program} is not run: vipd sees by itself whether a process {name} is there");
        notes.changed(&script.place, what, "nothing");
        return (vec![("process", quoted(name))], false);
    }
    if let Some((host, port)) = program.strip_prefix("</dev/tcp/").and_then(|rest| rest.split_once('/')) {
        let what = format!("{program} takes a shell, which keepalived does not use since 2.0; vipd connects by itself");
        notes.changed(&script.place, what, "see whether the service answers there: the check counts from now on");
        return (vec![("tcp", quoted(&format!("{host}:{port}")))], false);
    }
    (vec![("command", array(runnable(&script.command)))], true)
}

/// A command line whose program is found without a search.
pub(super) fn runnable(command: &[String]) -> Vec<String> {
    let is_searched = command.first().is_some_and(|program| !program.contains('/'));
    let prefix = is_searched.then(|| "/usr/bin/env".to_owned());
    prefix.into_iter().chain(command.iter().cloned()).collect()
}

/// `user` and `group`.
pub(super) fn user(user: Option<&User>) -> Keys {
    let Some(user) = user else { return Keys::new() };
    let group = user.group.as_ref().map(|group| ("group", quoted(group)));
    std::iter::once(("user", quoted(&user.name))).chain(group).collect()
}

/// Notes who runs a program that no user is given for.
pub(super) fn no_user(place: &super::note::Place, notes: &mut Notes) {
    let what = "no user is given: keepalived takes keepalived_script where the host has it, and vipd runs it as itself";
    notes.changed(place, what, "add user = \"keepalived_script\" if the host has one");
}

fn process(process: &TrackProcess, notes: &mut Notes) -> Keys {
    let mut keys = vec![("process", quoted(&process.program))];
    keys.extend(process.min.map(|min| ("min", min.to_string())));
    keys.extend(process.max.map(|max| ("max", max.to_string())));
    // One look more than the intervals that pass meanwhile.
    for (key, delay) in [("rise", process.rise_delay), ("fall", process.fall_delay)] {
        if delay > 0 {
            keys.push((key, (delay.div_ceil(1_000_000) + 1).min(1000).to_string()));
            let what = format!("the delay of {} becomes a number of looks, a second apart", process.program);
            notes.changed(&process.place, what, "nothing");
        }
    }
    keys
}
