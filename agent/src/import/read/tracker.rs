//! `vrrp_script`, `track_file` and `vrrp_track_process`.

use super::{unknown, value};
use crate::import::{
    model::{Script, TrackFile, TrackProcess, Trackers, Weight},
    note::Notes,
    tree::Statement,
    words::command_line,
};

/// Reads a `vrrp_script`.
pub(super) fn script(statement: &Statement, trackers: &mut Trackers, notes: &mut Notes) {
    let Some(name) = value::text(statement, notes) else { return };
    let mut script = Script {
        command: Vec::new(),
        interval: 1_000_000,
        timeout: None,
        weight: Weight::default(),
        rise: 1,
        fall: 1,
        user: None,
        fails_at_first: false,
        place: statement.place.clone(),
    };
    for line in &statement.block {
        match line.keyword() {
            "script" => {
                script.command = match line.words.get(1..) {
                    Some([one]) => command_line(one),
                    Some(words) => words.iter().map(|word| word.text.clone()).collect(),
                    None => Vec::new(),
                }
            }
            "interval" => script.interval = value::span(line, 3600, notes).map_or(script.interval, |span| span.value),
            "timeout" => script.timeout = value::span(line, 3600, notes).map(|span| span.value),
            "weight" => script.weight = weight(line, 253, notes).unwrap_or_default(),
            "rise" => script.rise = value::number(line, &(1..=1000), notes).map_or(1, |rise| rise.value),
            "fall" => script.fall = value::number(line, &(1..=1000), notes).map_or(1, |fall| fall.value),
            "user" => script.user = value::user(line, 1),
            "init_fail" => script.fails_at_first = true,
            _ => unknown(line, notes),
        }
    }
    if script.command.first().is_none_or(String::is_empty) {
        notes.ignored(&statement.place, format!("script {:?} names no program", name.value), "keepalived skips it too");
    } else {
        trackers.scripts.insert(name.value, script);
    }
}

/// Reads a `track_file`.
pub(super) fn file(statement: &Statement, trackers: &mut Trackers, notes: &mut Notes) {
    let Some(name) = value::text(statement, notes) else { return };
    let mut weight = Weight { points: 1, reverse: false };
    let mut path = None;
    for line in &statement.block {
        match line.keyword() {
            "file" => path = value::text(line, notes),
            "weight" => weight = self::weight(line, 254, notes).unwrap_or(weight),
            "init_file" => {
                let what = "vipd writes nothing into the file; without it, its number is 0";
                notes.changed(&line.place, what, "write it at the start of the host, with tmpfiles.d say");
            }
            _ => unknown(line, notes),
        }
    }
    if let Some(path) = path {
        let place = statement.place.clone();
        trackers.files.insert(name.value, TrackFile { path: path.value, weight, place });
    } else {
        notes.ignored(
            &statement.place,
            format!("track_file {:?} names no file", name.value),
            "keepalived skips it too",
        );
    }
}

/// Reads a `vrrp_track_process`.
pub(super) fn process(statement: &Statement, trackers: &mut Trackers, notes: &mut Notes) {
    let Some(name) = value::text(statement, notes) else { return };
    let mut process = TrackProcess {
        program: String::new(),
        weight: Weight::default(),
        min: None,
        max: None,
        rise_delay: 0,
        fall_delay: 0,
        place: statement.place.clone(),
    };
    for line in &statement.block {
        match line.keyword() {
            "process" => {
                line.word(1).unwrap_or_default().clone_into(&mut process.program);
                if line.words.len() > 2 {
                    let what = format!(
                        "only processes with certain arguments count, and vipd goes by {:?} alone",
                        process.program
                    );
                    notes.lost(&line.place, what, "write a vrrp_script that looks for them: pgrep -f");
                }
            }
            "param_match" => {
                let what = "vipd does not look at the arguments of processes";
                notes.lost(&line.place, what, "write a vrrp_script that looks for them: pgrep -f");
            }
            "full_command" => {
                let what = "vipd goes by the path of a program where one is given, and by its name otherwise";
                notes.changed(
                    &line.place,
                    what,
                    "check that process = ... is what `ps -o comm` shows, or a whole path",
                );
            }
            "weight" => process.weight = weight(line, 254, notes).unwrap_or(process.weight),
            "quorum" => process.min = value::number(line, &(1..=65_535), notes).map(|min| min.value),
            "quorum_max" => process.max = value::number(line, &(0..=65_535), notes).map(|max| max.value),
            "fork_delay" => process.rise_delay = value::span(line, 3600, notes).map_or(0, |span| span.value),
            "terminate_delay" => process.fall_delay = value::span(line, 3600, notes).map_or(0, |span| span.value),
            "delay" => {
                process.fall_delay = value::span(line, 3600, notes).map_or(0, |span| span.value);
                process.rise_delay = process.fall_delay;
            }
            _ => unknown(line, notes),
        }
    }
    if process.program.is_empty() {
        notes.ignored(&statement.place, format!("{:?} names no process", name.value), "keepalived skips it too");
    } else {
        trackers.processes.insert(name.value, process);
    }
}

fn weight(line: &Statement, max: i64, notes: &mut Notes) -> Option<Weight> {
    let points = value::weight(line.word(1)?, max, &line.place, notes)?;
    Some(Weight { points, reverse: line.arguments().contains(&"reverse") })
}
