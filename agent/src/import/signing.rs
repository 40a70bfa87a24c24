//! `auth_hmac` to `[auth]`. No note and no comment quotes a key.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{
    cluster::Entry,
    model::Hmac,
    note::{At, Notes},
    toml::{Keys, Table, inline, quoted},
};

/// Where keys lie unless it is said.
pub(super) const KEYS: &str = "/etc/vipd/keys";

/// A key that has to be in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The file.
    pub file: PathBuf,
    /// Its line, without a line end.
    pub contents: Zeroizing<String>,
}

/// The table for the signatures of all virtual routers, and the files that it names.
pub(super) fn table(
    entries: &[Entry<'_>],
    directory: Option<&Path>,
    notes: &mut Notes,
) -> (Option<Table>, Vec<KeyFile>) {
    let Some(At { value: hmac, place }) = entries.iter().find_map(|entry| entry.lead().hmac.as_ref()) else {
        return (None, Vec::new());
    };
    for entry in entries {
        let lead = entry.lead();
        let why = match (lead.version.value, &lead.hmac) {
            (2, _) => "is of version 2, which cannot be signed",
            (_, None) => "is not signed, and in a file of vipd all are or none",
            (_, Some(other)) if other.value != *hmac => "is signed otherwise, and a file of vipd has one set of keys",
            (_, Some(_)) => continue,
        };
        let what = format!("{} {why}", entry.name);
        notes.lost(&lead.name.place, what, "sign all instances alike, on every host; the first auth_hmac is imported");
    }
    let (mut listed, mut files) = (Vec::new(), Vec::new());
    for (id, key) in &hmac.keys {
        let file = match key.strip_prefix("file:") {
            Some(path) if path.starts_with('/') => PathBuf::from(path),
            Some(_) => {
                let what = format!("key {id} is in a file that only keepalived's service finds");
                notes.lost(place, what, "write its whole path, or the key itself");
                continue;
            }
            None => {
                let file = directory.unwrap_or(Path::new(KEYS)).join(id.to_string());
                files.push(KeyFile { file: file.clone(), contents: key.clone() });
                file
            }
        };
        listed.push(inline([("id", id.to_string()), ("file", quoted(&file.to_string_lossy()))]));
    }
    if directory.is_none() && !files.is_empty() {
        let what = format!("keys are not written: each belongs into a file of its own in {KEYS}, mode 0600");
        let remedy = "import with --keys DIRECTORY, or write each key into the file that [auth] names, on every node";
        notes.add(super::Class::Missing, place, what, remedy);
    }
    let mut keys: Keys = vec![("mode", quoted(&hmac.mode))];
    keys.extend(hmac.active_key.map(|active| ("active_key", active.to_string())));
    keys.push(("keys", format!("[{}]", listed.join(", "))));
    keys.extend(window(hmac, entries).map(|window| ("window", window)));
    (Some(Table { heading: "[auth]", comments: Vec::new(), keys }), files)
}

/// keepalived's default counts whole seconds of the interval; vipd's is the same where intervals are whole.
fn window(hmac: &Hmac, entries: &[Entry<'_>]) -> Option<String> {
    let longest = entries.iter().map(|entry| entry.lead().interval.value).max().unwrap_or(100);
    let default = (!longest.is_multiple_of(100)).then(|| (u64::from(longest) / 100 * 3).max(5));
    hmac.window_s.or(default).map(|window| quoted(&format!("{window}s")))
}
