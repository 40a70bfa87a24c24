//! A mistake in the configuration: where it stands, what is wrong, and what to do about it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What a diagnostic means for the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, though perhaps not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One mistake in a configuration file.
///
/// Prints as two lines without a line end: `error: FILE:LINE: KEY: WHAT`, then the remedy, indented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration is refused for it.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, counted from 1; `None` where the mistake is that something is not there.
    pub line: Option<usize>,
    /// Path of the key, such as `virtual_router "web-a": vrid`; empty where the file is not TOML.
    pub key: String,
    /// What is wrong, with the value given.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}:", self.severity, self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}\n  help: {}", self.what, self.remedy)
    }
}

/// Where something stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The line, counted from 1.
    pub(super) line: Option<usize>,
    /// The table, such as `node "n1"`; empty for the file itself.
    pub(super) table: String,
    /// The key in the table; empty for the table itself.
    pub(super) key: String,
}

impl Place {
    /// The place of `key` in this table, on `line`.
    pub(super) fn key(&self, key: &str, line: Option<usize>) -> Self {
        Self { line, table: self.table.clone(), key: key.to_owned() }
    }

    /// The table with its line, to refer to it from elsewhere.
    pub(super) fn table_and_line(&self) -> String {
        match self.line {
            Some(line) => format!("{} (line {line})", self.table),
            None => self.table.clone(),
        }
    }

    fn path(&self) -> String {
        let separator = if self.table.is_empty() || self.key.is_empty() { "" } else { ": " };
        format!("{}{separator}{}", self.table, self.key)
    }
}

/// What is wrong, and the remedy.
#[derive(Debug)]
pub(super) struct Fault {
    what: String,
    remedy: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// The mistakes found so far in one file.
pub(super) struct Report<'t> {
    file: &'t Path,
    text: &'t str,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Report<'t> {
    pub(super) const fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, diagnostics: Vec::new() }
    }

    pub(super) const fn text(&self) -> &'t str {
        self.text
    }

    /// The line, counted from 1, of the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn error(&mut self, place: &Place, fault: Fault) {
        self.add(Severity::Error, place, fault);
    }

    pub(super) fn warning(&mut self, place: &Place, fault: Fault) {
        self.add(Severity::Warning, place, fault);
    }

    /// Everything found, by line; what concerns the whole file comes first.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.line);
        self.diagnostics
    }

    /// Says the same thing once only: the IPv4 and the IPv6 half of an entry share their mistakes.
    fn add(&mut self, severity: Severity, place: &Place, Fault { what, remedy }: Fault) {
        let (file, line, key) = (self.file.to_owned(), place.line, place.path());
        let diagnostic = Diagnostic { severity, file, line, key, what, remedy };
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}
