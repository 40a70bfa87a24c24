//! Files to lines: comments removed, `include` followed, `@id` decided, `$VARIABLES`, `~SEQ` and `~LST` put in.

mod series;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use self::series::Series;
use super::{
    files::{self, Files},
    note::{Class, Notes, Place},
    words::{Token, tokens, without_comment},
};

/// How many lines and replacements a file may come to: what recursive definitions and long sequences would exceed.
const STEPS_MAX: usize = 20_000;
/// How long a line may be to count as one step, in bytes.
const STEP_LEN: usize = 256;
/// The longest line that replacements may make, in bytes.
const LINE_LEN_MAX: usize = 4 << 10;
/// The longest text that all lines of a host may come to, in bytes.
const TEXT_LEN_MAX: usize = 8 << 20;
/// How deep files may include each other.
const INCLUDES_MAX: usize = 20;
/// What includes a file, under which conditions.
const INCLUDE: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// A line that means something.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) place: Place,
}

/// What is still to be read, the next one last.
enum Pending {
    Line(Line),
    /// A file that is included, and where.
    File(PathBuf, Place),
    /// The rest of a line, for each of several values.
    Series {
        series: Series,
        rest: Line,
    },
    EndOfFile,
}

/// The lines of `file` and of all that it includes, as keepalived with the config-id `id` reads them.
pub(super) fn read(files: &dyn Files, file: &Path, id: &str, notes: &mut Notes) -> std::io::Result<Vec<Line>> {
    let mut reader = Reader {
        files,
        id,
        notes,
        definitions: BTreeMap::new(),
        pending: Vec::new(),
        open: Vec::new(),
        lines: Vec::new(),
        steps: 0,
        text_len: 0,
    };
    reader.open_file(file)?;
    reader.run();
    Ok(reader.lines)
}

struct Reader<'r> {
    files: &'r dyn Files,
    id: &'r str,
    notes: &'r mut Notes,
    definitions: BTreeMap<String, Vec<Line>>,
    pending: Vec<Pending>,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    lines: Vec<Line>,
    steps: usize,
    text_len: usize,
}

impl Reader<'_> {
    fn open_file(&mut self, path: &Path) -> std::io::Result<()> {
        let text = self.files.read(path)?;
        let file: Rc<str> = path.to_string_lossy().into();
        self.open.push(path.to_owned());
        self.pending.push(Pending::EndOfFile);
        let lines = text.lines().enumerate().filter_map(|(index, line)| {
            let place = Place { file: Rc::clone(&file), line: index + 1 };
            let text = without_comment(line);
            // A comment in a definition of several lines does not end it.
            let goes_on = line.trim_end().ends_with('\\') && !text.ends_with('\\');
            let text = if goes_on { format!("{text} \\") } else { text };
            (!text.is_empty()).then_some(Pending::Line(Line { text, place }))
        });
        let lines: Vec<_> = lines.collect();
        self.pending.extend(lines.into_iter().rev());
        Ok(())
    }

    fn run(&mut self) {
        while let Some(pending) = self.pending.pop() {
            self.steps += 1;
            match pending {
                Pending::EndOfFile => {
                    self.open.pop();
                }
                Pending::File(path, place) => self.included(&path, &place),
                Pending::Series { mut series, rest } => {
                    if let Some(values) = series.next() {
                        for (name, value) in values {
                            let line = Line { text: value, place: rest.place.clone() };
                            self.definitions.insert(name, vec![line]);
                        }
                        self.pending.push(Pending::Series { series, rest: rest.clone() });
                        self.pending.push(Pending::Line(rest));
                    }
                }
                Pending::Line(line) => {
                    self.steps += line.text.len() / STEP_LEN;
                    let place = line.place.clone();
                    self.line(line);
                    if self.steps > STEPS_MAX || self.text_len > TEXT_LEN_MAX {
                        let what = "definitions and sequences come to too much here; the rest is not read";
                        self.notes.lost(&place, what, "check that no definition contains itself, or shorten sequences");
                        return;
                    }
                }
            }
        }
    }

    fn line(&mut self, Line { text, place }: Line) {
        let text = text.trim();
        if let Some(conditional) = text.strip_prefix('@') {
            let (id, rest) = conditional.split_once(char::is_whitespace).unwrap_or((conditional, ""));
            let applies = match id.strip_prefix('^') {
                Some(other) => other != self.id,
                None => id == self.id,
            };
            if applies && !rest.is_empty() {
                self.pending.push(Pending::Line(Line { text: rest.to_owned(), place }));
            }
        } else if let Some((name, value)) = definition(text) {
            self.define(name, value, place);
        } else if text.starts_with("~SEQ") || text.starts_with("~LST") {
            self.series(text, place);
        } else if let Some(replaced) = self.replace_first(text, &place) {
            self.pending.extend(replaced.into_iter().rev().map(Pending::Line));
        } else if let Some(pattern) = include(text) {
            self.include(&pattern, &place);
        } else if !text.is_empty() {
            self.text_len += text.len();
            self.lines.push(Line { text: special_characters(text), place });
        }
    }

    fn define(&mut self, name: &str, value: &str, place: Place) {
        let mut lines = Vec::new();
        let mut last = Line { text: value.to_owned(), place };
        while let Some(text) = last.text.strip_suffix('\\') {
            let text = text.trim();
            if !text.is_empty() {
                lines.push(Line { text: text.to_owned(), place: last.place.clone() });
            }
            let Some(Pending::Line(next)) = self.pending.pop_if(|next| matches!(next, Pending::Line(_))) else {
                last.text.clear();
                break;
            };
            last = next;
        }
        last.text = last.text.trim().into();
        if lines.is_empty() || !last.text.is_empty() {
            lines.push(last);
        }
        self.definitions.insert(name.to_owned(), lines);
    }

    fn series(&mut self, text: &str, place: Place) {
        let Some((parameters, rest)) = text.split_once(')') else {
            self.notes.ignored(&place, "the series has no closing parenthesis", "mend the line");
            return;
        };
        // Bounds may be variables.
        if let Some(replaced) = self.replace_first(&format!("{parameters})"), &place) {
            let parameters = replaced.first().map(|line| line.text.as_str()).unwrap_or_default();
            self.push(format!("{parameters}{rest}"), place);
            return;
        }
        match Series::parse(parameters) {
            Some(series) => {
                let rest = Line { text: rest.trim().to_owned(), place };
                self.pending.push(Pending::Series { series, rest });
            }
            None => {
                let what = format!("{parameters}) is no series of values");
                self.notes.ignored(
                    &place,
                    what,
                    "write ~SEQ(VARIABLE, START, STEP, END) or ~LST(VARIABLE, VALUE, ...)",
                );
            }
        }
    }

    fn push(&mut self, text: String, place: Place) {
        self.pending.push(Pending::Line(Line { text, place }));
    }

    /// `text` with its first variable replaced, which may make several lines of it; `None` where it has none that is known.
    fn replace_first(&mut self, text: &str, place: &Place) -> Option<Vec<Line>> {
        if text.len() > LINE_LEN_MAX {
            let what = format!("a line of {} bytes: its variables are not replaced", text.len());
            self.notes.lost(place, what, "check that no definition contains itself");
            return None;
        }
        for (at, _) in text.match_indices('$') {
            let Some((name, len)) = variable(&text[at..]) else { continue };
            let (before, after) = (&text[..at], &text[at + len..]);
            let line = |value: &str| vec![Line { text: format!("{before}{value}{after}"), place: place.clone() }];
            if let Some(value) = self.built_in(name, place) {
                return Some(line(&value));
            }
            match self.definitions.get(name).map(Vec::as_slice) {
                None => {}
                Some([value]) => return Some(line(&value.text)),
                Some(lines) => {
                    // Lines belong at the end of a line.
                    if !after.is_empty() {
                        continue;
                    }
                    let mut lines = lines.to_vec();
                    if let Some(first) = lines.first_mut() {
                        first.text = format!("{before}{}", first.text);
                    }
                    return Some(lines);
                }
            }
        }
        None
    }

    /// The value of what keepalived itself defines.
    fn built_in(&mut self, name: &str, place: &Place) -> Option<String> {
        let mut words = name.split_whitespace();
        match words.next()? {
            "_PWD" => self.directory().map(|path| path.to_string_lossy().into_owned()),
            "_INSTANCE" => Some(self.id.to_owned()),
            "_RANDOM" => {
                let least = words.next().unwrap_or("0").to_owned();
                let what = format!("${{{name}}} is another number each time keepalived reads it; {least} is taken");
                self.notes.changed(place, what, "write the number that is wanted");
                Some(least)
            }
            "_ENV" => {
                let what = format!("${{{name}}} comes from the environment that keepalived is started in");
                self.notes.add(Class::Missing, place, what, "write the value into the file, and import it again");
                Some(String::new())
            }
            _ => None,
        }
    }

    fn directory(&self) -> Option<&Path> {
        self.open.last().and_then(|file| file.parent())
    }

    fn include(&mut self, pattern: &str, place: &Place) {
        let found = files::matching(self.files, self.directory().unwrap_or(Path::new("")), pattern);
        // Read in order: the first one has to be pushed last.
        self.pending.extend(found.iter().rev().map(|path| Pending::File(path.clone(), place.clone())));
        if found.is_empty() {
            self.notes.ignored(
                place,
                format!("there is no file {pattern:?}"),
                "copy what keepalived includes here too",
            );
        }
    }

    fn included(&mut self, path: &Path, place: &Place) {
        if self.open.iter().any(|open| open == path) {
            self.notes.lost(place, format!("{} includes itself", path.display()), "remove one of the includes");
        } else if self.open.len() > INCLUDES_MAX {
            let what = format!("{} is included by more than {INCLUDES_MAX} files in a row", path.display());
            self.notes.lost(place, what, "put what it says into one of them");
        } else if let Err(error) = self.open_file(path) {
            let what = format!("{} cannot be read: {error}", path.display());
            self.notes.lost(place, what, "copy what keepalived includes to this machine too");
        }
    }
}

/// `${_HASH}` and `${_BANG}` would begin a comment anywhere else.
fn special_characters(text: &str) -> String {
    text.replace("${_HASH}", "#").replace("${_BANG}", "!")
}

/// `$NAME=VALUE`.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.strip_prefix('$')?.split_once('=')?;
    (is_name(name)).then_some((name, value.trim()))
}

fn is_name(name: &str) -> bool {
    let is_inside = |char: char| char.is_ascii_alphanumeric() || char == '_';
    name.chars().next().is_some_and(|first| !first.is_ascii_digit()) && name.chars().all(is_inside)
}

/// The name of the variable that `text` begins with, and the length of all of it. Without braces white space must follow.
fn variable(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    if let Some(braced) = rest.strip_prefix('{') {
        let (name, _) = braced.split_once('}').filter(|(name, _)| name.len() < LINE_LEN_MAX)?;
        let is_built_in = name.starts_with("_RANDOM ") || name.starts_with("_ENV ");
        return (is_name(name) || is_built_in).then_some((name, name.len() + 3));
    }
    let len = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(len);
    (is_name(name) && !after.starts_with(|char: char| !char.is_whitespace())).then_some((name, len + 1))
}

/// The pattern of an `include`.
fn include(text: &str) -> Option<String> {
    let mut words = tokens(text.get(..text.find(char::is_whitespace)?)?).into_iter();
    let Some(Token::Word(word)) = words.next() else { return None };
    let pattern = text[text.find(char::is_whitespace)?..].trim().trim_matches('"');
    INCLUDE.contains(&word.text.as_str()).then(|| pattern.to_owned())
}
