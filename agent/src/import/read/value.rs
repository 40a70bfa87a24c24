//! Words to values: what keepalived takes, within its bounds.

use std::ops::RangeInclusive;

use crate::import::{
    model::{Kind, Micros, Track, User},
    note::{At, Notes, Place},
    tree::Statement,
};

/// The first argument, if there is one.
pub(super) fn text(statement: &Statement, notes: &mut Notes) -> Option<At<String>> {
    match statement.word(1) {
        Some(word) if !word.is_empty() => Some(At { value: word.to_owned(), place: statement.place.clone() }),
        Some(_) | None => {
            notes.ignored(&statement.place, format!("{} without a value", statement.keyword()), "add one");
            None
        }
    }
}

/// A whole number within `range`. What is outside of it keepalived refuses too, and goes on with its default.
pub(super) fn number<T>(statement: &Statement, range: &RangeInclusive<T>, notes: &mut Notes) -> Option<At<T>>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let text = text(statement, notes)?;
    match text.value.parse() {
        Ok(value) if range.contains(&value) => Some(At { value, place: text.place }),
        Ok(_) | Err(_) => {
            let (keyword, min, max) = (statement.keyword(), range.start(), range.end());
            let what = format!("{keyword} {:?} is not a whole number from {min} to {max}", text.value);
            notes.ignored(&text.place, what, "keepalived does not take it either");
            None
        }
    }
}

/// A time span in seconds, with decimals.
pub(super) fn span(statement: &Statement, max_s: u64, notes: &mut Notes) -> Option<At<Micros>> {
    let text = text(statement, notes)?;
    match micros(&text.value).filter(|&span| span <= max_s * 1_000_000) {
        Some(value) => Some(At { value, place: text.place }),
        None => {
            let what = format!("{} {:?} is no time from 0 to {max_s} s", statement.keyword(), text.value);
            notes.ignored(&text.place, what, "keepalived does not take it either");
            None
        }
    }
}

/// Exact to the microsecond; what is finer is cut off.
fn micros(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    format!("{whole}{fraction}").parse().ok()
}

/// `on`, `off` and so on; the keyword alone is on.
pub(super) fn boolean(statement: &Statement, notes: &mut Notes) -> Option<At<bool>> {
    let at = |value| Some(At { value, place: statement.place.clone() });
    match statement.word(1) {
        None | Some("on" | "true" | "yes") => at(true),
        Some("off" | "false" | "no") => at(false),
        Some(other) => {
            let what = format!("{} {other:?} is neither on nor off", statement.keyword());
            notes.ignored(&statement.place, what, "keepalived does not take it either");
            None
        }
    }
}

/// The user and the group that stand at `index`.
pub(super) fn user(statement: &Statement, index: usize) -> Option<User> {
    let name = statement.word(index)?.to_owned();
    Some(User { name, group: statement.word(index + 1).map(str::to_owned) })
}

/// The points of `weight POINTS`.
pub(super) fn weight(text: &str, max: i64, place: &Place, notes: &mut Notes) -> Option<i64> {
    let points = text.parse::<i64>().ok().filter(|points| points.abs() <= max);
    if points.is_none() {
        let what = format!("weight {text:?} is not from -{max} to {max}");
        notes.ignored(place, what, "keepalived does not take it either");
    }
    points
}

/// Adds the lines of a `track_...` block to `tracks`, as far as keepalived takes them.
pub(super) fn tracks(tracks: &mut Vec<Track>, kind: Kind, statement: &Statement, notes: &mut Notes) {
    let max = match kind {
        Kind::Interface | Kind::Script => 253,
        Kind::File | Kind::Process => 254,
    };
    for line in &statement.block {
        let (name, place) = (line.keyword().to_owned(), line.place.clone());
        if tracks.iter().any(|other| other.kind == kind && other.name == name) {
            let what = format!("{name} is tracked already, and this line does not count");
            notes.ignored(&place, what, "keepalived goes by the first one too");
            continue;
        }
        let arguments = line.arguments();
        let (points, reverse) = match arguments[..] {
            [] => (None, None),
            ["weight", points, ref rest @ ..] => {
                (weight(points, max, &place, notes), rest.first().and_then(|word| reverse(word, &place, notes)))
            }
            [word, ..] => {
                let why = if word == "weight" {
                    "its weight has no value".to_owned()
                } else {
                    format!("{word:?} is no keyword behind the name of what is tracked")
                };
                let remedy = "keepalived does not track it either; write NAME weight POINTS, or one name a line";
                notes.ignored(&place, format!("{name} is not tracked: {why}"), remedy);
                continue;
            }
        };
        tracks.push(Track { kind, name, points, reverse, place });
    }
}

/// What stands behind the points.
fn reverse(word: &str, place: &Place, notes: &mut Notes) -> Option<bool> {
    match word {
        "reverse" => Some(true),
        "noreverse" => Some(false),
        _ => {
            notes.ignored(place, format!("{word:?} is no keyword behind a weight"), "keepalived skips it as well");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        let cases = [
            ("1", Some(1_000_000)),
            ("0.3", Some(300_000)),
            (".05", Some(50_000)),
            ("2.", Some(2_000_000)),
            ("0.0000019", Some(1)),
            ("", None),
            (".", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
