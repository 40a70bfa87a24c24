//! `[auth]`: which keys there are, and which of them signs.

use std::time::Duration;

use vrrp::auth::Keyring;

use super::{check_unique, repeated, router::Router};
use crate::config::{
    Auth, AuthMode, KeyFile,
    diagnostic::{Fault, Report},
    file::{self, File},
    table::{Field, Located},
};

/// The shortest window that is chosen without being asked for.
const DEFAULT_WINDOW_MIN: Duration = Duration::from_secs(5);
/// How long an unsynchronised clock keeps a node Backup, where the file does not say it.
const DEFAULT_CLOCK_GRACE: Duration = Duration::from_mins(1);

/// The checked form of `[auth]`; `None` where it is absent, or wrong, which has been reported.
pub(super) fn check(file: &File, routers: &[Router<'_>], report: &mut Report<'_>) -> Option<Auth> {
    let auth = file.auth.value()?;
    check_keys(auth, report);
    check_active_key(auth, report);
    let longest = routers.iter().filter_map(|router| router.manner.advertisement_interval).max();
    let default_window = (longest?.duration() * 3).max(DEFAULT_WINDOW_MIN);
    let key_file = |key: &file::KeyFile| Some(KeyFile { id: *key.id.value()?, file: key.file.value()?.clone() });
    Some(Auth {
        mode: *auth.mode.value()?,
        active_key: auth.active_key.value().copied(),
        keys: auth.keys.value()?.iter().map(key_file).collect::<Option<_>>()?,
        window: auth.window.or_default(default_window)?,
        clock_grace: auth.clock_grace.or_default(DEFAULT_CLOCK_GRACE)?,
    })
}

/// Whether nothing but signed adverts counts; `None` where the file is wrong there, which has been reported.
pub(super) fn enforces(auth: &Field<file::Auth>) -> Option<bool> {
    if auth.is_absent() {
        return Some(false);
    }
    auth.value()?.mode.value().map(|mode| *mode == AuthMode::Enforce)
}

fn check_keys(auth: &file::Auth, report: &mut Report<'_>) {
    let Some(Located { value: keys, place }) = auth.keys.given() else { return };
    if keys.is_empty() {
        let remedy = r#"write keys = [{ id = 1, file = "/etc/vipd/keys/1" }]"#;
        report.error(place, Fault::new("there is no key", remedy));
    }
    if keys.len() > Keyring::KEYS_MAX {
        let what = format!("there are {} keys", keys.len());
        let remedy = format!("keep at most {}: remove those that no node signs with", Keyring::KEYS_MAX);
        report.error(place, Fault::new(what, remedy));
    }
    check_unique(keys.iter().map(|key| &key.id), report);
    let files = keys.iter().filter_map(|key| key.file.given());
    for (again, first) in repeated(files, |file| &file.value) {
        let what = format!("\"{}\" is the file of {} too", again.value.display(), first.place.table_and_line());
        report.warning(&again.place, Fault::new(what, "give each key a file of its own, or they are one key"));
    }
}

/// A mode that signs needs a key to sign with.
fn check_active_key(auth: &file::Auth, report: &mut Report<'_>) {
    let keys = auth.keys.value().into_iter().flatten();
    let ids: Vec<_> = keys.clone().filter_map(|key| key.id.value()).collect();
    // Where a key has no legal id, that is the mistake.
    let all_known = !ids.is_empty() && ids.len() == keys.count();
    let listed = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (&auth.active_key, auth.mode.value()) {
        (Field::Absent, Some(mode)) if mode.signs() => {
            let place = auth.heading.key("active_key", auth.heading.line);
            let what = format!("missing, but mode = \"{mode}\" signs adverts");
            let remedy = if all_known {
                format!("add active_key = the id of the key to sign with: {listed}")
            } else {
                "add active_key = the id of the key to sign with".to_owned()
            };
            report.error(&place, Fault::new(what, remedy));
        }
        (Field::Given(active), _) if all_known && !ids.contains(&&active.value) => {
            let what = format!("{} is none of the keys", active.value);
            report.error(&active.place, Fault::new(what, format!("choose one of {listed}, or add it to keys")));
        }
        (Field::Absent | Field::Wrong | Field::Given(_), _) => {}
    }
}
