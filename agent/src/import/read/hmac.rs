//! `auth_hmac`. No note quotes a key.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::value;
use crate::import::{
    model::Hmac,
    note::{At, Class, Notes},
    tree::Statement,
};

/// Reads an `auth_hmac` block.
pub(super) fn read(statement: &Statement, notes: &mut Notes) -> At<Hmac> {
    let mut hmac = Hmac { keys: BTreeMap::new(), active_key: None, window_s: None, mode: "enforce".to_owned() };
    for line in &statement.block {
        match line.keyword() {
            "key" => match (line.word(1).and_then(|id| id.parse().ok()).filter(|&id: &u8| id > 0), line.word(2)) {
                (Some(id), Some(key)) => {
                    hmac.keys.insert(id, Zeroizing::new(key.to_owned()));
                }
                _ => notes.lost(&line.place, "this key has no id from 1 to 255, or no value", "write key ID VALUE"),
            },
            "active_key" => hmac.active_key = value::number(line, &(1..=255), notes).map(|id| id.value),
            "time_window" => hmac.window_s = value::number(line, &(1..=300), notes).map(|window| window.value),
            "anti_replay" => {}
            "mode" => hmac.mode = line.word(1).unwrap_or("enforce").replace('_', "-"),
            // The word may be a key.
            _ => notes.add(
                Class::Unknown,
                &line.place,
                "this is no keyword of auth_hmac",
                "check how it is written: keepalived would go on without signatures",
            ),
        }
    }
    if !["receive-only", "permissive", "enforce"].contains(&hmac.mode.as_str()) {
        let remedy = "write receive-only, permissive or enforce";
        notes.lost(&statement.place, "auth_hmac has a mode that vipd does not know", remedy);
        "enforce".clone_into(&mut hmac.mode);
    }
    let is_there = hmac.active_key.is_some_and(|active| hmac.keys.contains_key(&active));
    if !is_there {
        let what = "auth_hmac names no active_key that it has, so that keepalived signs nothing and checks nothing";
        notes.lost(&statement.place, what, "give active_key the id of a key that is there, on every host");
    }
    At { value: hmac, place: statement.place.clone() }
}
