//! `vrrp_sync_group`.

use super::{report, unknown, value};
use crate::import::{
    model::{Kind, Reports, SyncGroup},
    note::{At, Notes},
    tree::Statement,
};

/// The members that a group lists.
pub(super) fn members(statement: &Statement) -> Vec<At<String>> {
    let lists = statement.block.iter().filter(|line| line.keyword() == "group");
    let listed = lists.flat_map(Statement::listed);
    listed.map(|(name, place)| At { value: name.to_owned(), place: place.clone() }).collect()
}

/// Reads a group; `None` where keepalived has none either.
pub(super) fn read(statement: &Statement, notes: &mut Notes) -> Option<SyncGroup> {
    let name = value::text(statement, notes)?;
    let members = members(statement);
    let mut group = SyncGroup { name, members, weights_count: false, tracks: Vec::new(), reports: Reports::default() };
    for line in &statement.block {
        match line.keyword() {
            "group" => {}
            "track_interface" => value::tracks(&mut group.tracks, Kind::Interface, line, notes),
            "track_script" => value::tracks(&mut group.tracks, Kind::Script, line, notes),
            "track_file" => value::tracks(&mut group.tracks, Kind::File, line, notes),
            "track_process" => value::tracks(&mut group.tracks, Kind::Process, line, notes),
            "track_bfd" => notes.lost(&line.place, "vipd speaks no BFD", "leave it out, with a shorter advert_int"),
            // The latter is what it was called first.
            "sync_group_tracking_weight" | "global_tracking" => group.weights_count = true,
            _ if report(line, &mut group.reports, notes) => {}
            _ => unknown(line, notes),
        }
    }
    if group.members.is_empty() {
        let what = format!("sync group {:?} has no members", group.name.value);
        notes.ignored(&statement.place, what, "keepalived removes it too; list them in group { ... }");
        return None;
    }
    Some(group)
}
