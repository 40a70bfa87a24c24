//! The text of a keepalived.conf, as it is: whatever it says, what is printed is a configuration of vipd as far as it goes, and each
//! note leads somewhere.

use std::{
    io,
    path::{Path, PathBuf},
};

use vipd::{
    config::{Config, ConfigError, Diagnostic, Identity},
    import::{Files, Import, Note, Options, Source, import},
};

/// The file of both hosts, which may include itself and nothing else.
const FILE: &str = "/k.conf";

struct OneFile<'t>(&'t str);

impl Files for OneFile<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new(FILE) { Ok(self.0.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        if directory == Path::new("/") { vec!["k.conf".to_owned()] } else { Vec::new() }
    }
}

/// Imports `data` as the configuration of two hosts, which lines with `@n1` and `@n2` tell apart.
///
/// # Panics
///
/// Where a note or the configuration is not what it must be.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let sources = ["n1", "n2"].map(|name| Source {
        name: name.to_owned(),
        file: PathBuf::from(FILE),
        config_id: name.to_owned(),
        addresses: Vec::new(),
    });
    let options = Options { interface: None, keys: Some("/keys".into()) };
    let Ok(import) = import(&OneFile(text), &sources, &options) else { unreachable!("the file is there") };
    let lines = text.lines().count();
    for note in &import.notes {
        check_note(note, lines);
    }
    check_toml(&import);
}

/// A note is two lines, and its place is in the file.
fn check_note(note: &Note, lines: usize) {
    let place = note.place.as_ref();
    assert!(
        place.is_none_or(|place| *place.file == *FILE && (1..=lines).contains(&place.line)),
        "{lines} lines: {note:?}"
    );
    let shown = note.to_string();
    let (first, help) = shown.split_once("\n  help: ").unwrap_or_default();
    assert!(first.starts_with(note.class.name()), "{shown:?}");
    assert!(!help.is_empty() && !(first.to_owned() + help).contains(char::is_control), "not two lines: {shown:?}");
}

/// It is TOML, also with the notes below it, and every table and key in it is one of vipd's.
fn check_toml(import: &Import) {
    let annotated = format!("{}\n{}", import.toml, import.comments());
    let plain = diagnostics(&import.toml);
    assert_eq!(plain, diagnostics(&annotated), "{annotated}");
    for diagnostic in plain {
        let is_form = diagnostic.what.starts_with("not TOML") || diagnostic.what == "unknown key";
        assert!(!is_form, "{diagnostic}\n{}", import.toml);
    }
    // What is sure of all is sure of a configuration that nothing is missing in.
    let is_whole = import.notes.iter().all(|note| !["lost", "missing"].contains(&note.class.name()));
    assert!(!is_whole || import.toml.contains("[[virtual_router]]"), "{}", import.toml);
}

fn diagnostics(toml: &str) -> Vec<Diagnostic> {
    let identity = Identity { node: Some("n1".to_owned()), ..Identity::default() };
    match Config::parse(toml, Path::new("vipd.toml"), &identity) {
        Ok(config) => config.warnings,
        Err(ConfigError::Invalid(diagnostics)) => diagnostics,
        Err(ConfigError::Unreadable { .. }) => unreachable!("no file is read"),
    }
}
