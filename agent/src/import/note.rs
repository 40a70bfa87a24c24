//! What is to be told about an import: where, how serious, and what to do.

use std::{collections::HashSet, fmt, rc::Rc};

/// Where something stands in keepalived's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Rc<str>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> At<T> {
    /// Another value in the same place.
    pub(super) fn with<U>(&self, value: U) -> At<U> {
        At { value, place: self.place.clone() }
    }
}

/// What becomes of something that is not taken over as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It changes which node serves or what an address does, so that nothing is imported unless that is allowed.
    Lost,
    /// keepalived's files do not say it, and vipd needs it.
    Missing,
    /// It is taken over in another form, or behaves otherwise.
    Changed,
    /// Neither adverts nor addresses depend on it.
    Ignored,
    /// keepalived knows no such word, and skips it.
    Unknown,
}

impl Class {
    /// The word for it in front of a note.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// How serious it is.
    pub class: Class,
    /// Where it comes from; `None` where it is about what no file says.
    pub place: Option<Place>,
    /// What becomes of it.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Note {
    /// The note as two lines, for `places`.
    pub(super) fn shown(&self, places: &str) -> String {
        let colon = if places.is_empty() { "" } else { ": " };
        let first = format!("{}: {places}{colon}{}", self.class.name(), self.what);
        format!("{}\n  help: {}", printable(&first), printable(&self.remedy))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(&self.place.as_ref().map(ToString::to_string).unwrap_or_default()))
    }
}

/// One line, whatever the files have in their words.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// The notes of an import, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: Vec<Note>,
    known: HashSet<Note>,
}

impl Notes {
    pub(super) fn add(&mut self, class: Class, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(Note { class, place: Some(place.clone()), what: what.into(), remedy: remedy.into() });
    }

    pub(super) fn add_general(&mut self, class: Class, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(Note { class, place: None, what: what.into(), remedy: remedy.into() });
    }

    pub(super) fn lost(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Class::Lost, place, what, remedy);
    }

    pub(super) fn changed(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Class::Changed, place, what, remedy);
    }

    pub(super) fn ignored(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Class::Ignored, place, what, remedy);
    }

    /// All of them, the serious ones first, then in the order of the files.
    pub(super) fn into_sorted(self) -> Vec<Note> {
        let mut notes = self.notes;
        notes.sort_by(|a, b| (a.class, &a.place).cmp(&(b.class, &b.place)));
        notes
    }

    fn push(&mut self, note: Note) {
        if self.known.insert(note.clone()) {
            self.notes.push(note);
        }
    }
}
