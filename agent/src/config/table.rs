//! A TOML table, read key by key: what is unknown, missing or wrong goes into the report and reading goes on.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Fault, Place, Report},
    value::shown,
};

/// A value, and where it stands.
#[derive(Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What a key came to.
#[derive(Debug)]
pub(super) enum Field<T> {
    /// Not in the file; reported where the key is required.
    Absent,
    /// In the file, but wrong, which has been reported.
    Wrong,
    /// In the file and legal by itself.
    Given(Located<T>),
}

impl<T> Field<T> {
    pub(super) const fn given(&self) -> Option<&Located<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(super) fn value(&self) -> Option<&T> {
        self.given().map(|given| &given.value)
    }

    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// This field, unless it is wrong.
    pub(super) const fn unless_wrong(&self) -> Option<&Self> {
        if matches!(self, Self::Wrong) { None } else { Some(self) }
    }

    /// This field or, where it is absent, `other`.
    pub(super) const fn or<'a>(&'a self, other: &'a Self) -> &'a Self {
        if self.is_absent() { other } else { self }
    }
}

impl<T: Copy> Field<T> {
    /// The value, or `default` where the key is absent; `None` where the value is wrong.
    pub(super) fn or_default(&self, default: T) -> Option<T> {
        if self.is_absent() { Some(default) } else { self.value().copied() }
    }
}

/// A table that is being read. The keys asked for are the keys it knows.
pub(super) struct Table<'r, 't> {
    report: &'r mut Report<'t>,
    entries: &'r DeTable<'t>,
    heading: Place,
    known: Vec<&'static str>,
}

impl<'r, 't> Table<'r, 't> {
    pub(super) const fn new(report: &'r mut Report<'t>, entries: &'r DeTable<'t>, heading: Place) -> Self {
        Self { report, entries, heading, known: Vec::new() }
    }

    pub(super) const fn heading(&self) -> &Place {
        &self.heading
    }

    /// Reports each of `keys` that is missing.
    pub(super) fn require(&mut self, keys: &[&str]) {
        for key in keys {
            if !self.entries.contains_key(*key) {
                let remedy = if self.heading.line.is_some() {
                    format!("add {key} = ... to this table")
                } else {
                    format!("add the table [{}] with {key} = ...", self.heading.table)
                };
                self.report.error(&self.heading.key(key, self.heading.line), Fault::new("missing", remedy));
            }
        }
    }

    /// The value of `key`, as `read` understands it.
    pub(super) fn scalar<T>(&mut self, key: &'static str, read: fn(&DeValue<'_>) -> Result<T, Fault>) -> Field<T> {
        let Some((place, value)) = self.find(key) else { return Field::Absent };
        self.read(place, value, read).map_or(Field::Wrong, Field::Given)
    }

    /// The elements of the array `key`, without those that are wrong.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Field<Vec<Located<T>>> {
        let Some((place, value)) = self.find(key) else { return Field::Absent };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(&place, value, "an array", format!("write {key} = [...]"));
        };
        let mut elements = Vec::new();
        for element in array {
            let place = self.place(key, element);
            elements.extend(self.read(place, element, read));
        }
        if elements.is_empty() && !array.is_empty() {
            Field::Wrong
        } else {
            Field::Given(Located { value: elements, place })
        }
    }

    /// The entries of the table `key`, in the order of the file, without those that are wrong.
    pub(super) fn map<T>(
        &mut self,
        key: &'static str,
        read: fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Field<Vec<(String, Located<T>)>> {
        let Some((place, value)) = self.find(key) else { return Field::Absent };
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(&place, value, "a table", format!("write {key} = {{ NAME = ... }}"));
        };
        let mut pairs: Vec<_> = table.iter().collect();
        pairs.sort_by_key(|(name, _)| name.span().start);
        let mut entries = Vec::new();
        for (name, value) in pairs {
            let place = self.place(&format!("{key}.{}", written(name.get_ref())), value);
            entries.extend(self.read(place, value, read).map(|value| (name.to_string(), value)));
        }
        if entries.is_empty() && !table.is_empty() {
            Field::Wrong
        } else {
            Field::Given(Located { value: entries, place })
        }
    }

    /// Reads the table `[key]`; one that is missing is read as an empty one.
    pub(super) fn table<T>(&mut self, key: &'static str, read: fn(&mut Table<'_, '_>) -> T) -> T {
        let found = self.find(key);
        let heading =
            Place { line: found.as_ref().and_then(|(place, _)| place.line), table: key.to_owned(), ..Place::default() };
        let empty = DeTable::new();
        let entries = match found {
            None => &empty,
            Some((place, value)) => value.get_ref().as_table().unwrap_or_else(|| {
                self.wrong::<T>(&place, value, "a table", format!("write [{key}] and its keys below it"));
                &empty
            }),
        };
        Table::new(self.report, entries, heading).read_whole(read)
    }

    /// Reads the table `[key]` if it is there.
    pub(super) fn optional_table<T>(&mut self, key: &'static str, read: fn(&mut Table<'_, '_>) -> T) -> Field<T> {
        let Some((place, value)) = self.find(key) else { return Field::Absent };
        let Some(entries) = value.get_ref().as_table() else {
            return self.wrong(&place, value, "a table", format!("write [{key}] and its keys below it"));
        };
        let heading = Place { line: place.line, table: key.to_owned(), ..Place::default() };
        Field::Given(Located { value: Table::new(self.report, entries, heading).read_whole(read), place })
    }

    /// Reads each table `[[key]]`, called by its name or else by its number.
    pub(super) fn tables<T>(&mut self, key: &'static str, read: fn(&mut Table<'_, '_>) -> T) -> Vec<T> {
        match self.array(key, read) {
            Field::Given(tables) => tables.value,
            Field::Absent | Field::Wrong => Vec::new(),
        }
    }

    /// The elements of the array of tables `key`, without those that are wrong.
    pub(super) fn array<T>(&mut self, key: &'static str, read: fn(&mut Table<'_, '_>) -> T) -> Field<Vec<T>> {
        let Some((place, value)) = self.find(key) else { return Field::Absent };
        let (dot, space) = if self.heading.table.is_empty() { ("", "") } else { (".", ": ") };
        // A table of an array is called by its name too.
        let table = self.heading.table.split(' ').next().unwrap_or_default();
        let (path, parent) = (format!("{table}{dot}{key}"), format!("{}{space}", self.heading.table));
        let remedy = || format!("write [[{path}]] and its keys below it");
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(&place, value, "an array of tables", remedy());
        };
        let mut tables = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let Some(entries) = element.get_ref().as_table() else {
                self.wrong::<T>(&self.place(key, element), element, "a table", remedy());
                continue;
            };
            let title = match entries.get("name").and_then(|name| name.get_ref().as_str()) {
                Some(name) if !name.is_empty() => format!("{parent}{key} {name:?}"),
                Some(_) | None => format!("{parent}{key} {}", index + 1),
            };
            let heading = Place { table: title, key: String::new(), ..self.place(key, element) };
            tables.push(Table::new(self.report, entries, heading).read_whole(read));
        }
        if tables.is_empty() && !array.is_empty() {
            Field::Wrong
        } else {
            Field::Given(Located { value: tables, place })
        }
    }

    /// Reads the table by `read`, then reports the keys that `read` did not ask for.
    pub(super) fn read_whole<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let read = read(&mut self);
        for key in self.entries.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let near = self.known.iter().map(|known| (distance(known, key.get_ref()), known));
            let near = near.filter(|(distance, known)| *distance <= (known.len() / 3).max(1)).min();
            let remedy = match near {
                Some((_, near)) => format!("did you mean {near:?}?"),
                None => format!("remove it; the keys here are {}", self.known.join(", ")),
            };
            let place = self.place(&written(key.get_ref()), key);
            self.report.error(&place, Fault::new("unknown key", remedy));
        }
        read
    }

    fn find(&mut self, key: &'static str) -> Option<(Place, &'r Spanned<DeValue<'t>>)> {
        self.known.push(key);
        let (written, value) = self.entries.get_key_value(key)?;
        Some((self.place(key, written), value))
    }

    fn place<T>(&self, key: &str, at: &Spanned<T>) -> Place {
        self.heading.key(key, Some(self.report.line(at.span().start)))
    }

    fn read<T>(
        &mut self,
        place: Place,
        value: &Spanned<DeValue<'_>>,
        read: fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Located<T>> {
        match read(value.get_ref()) {
            Ok(value) => Some(Located { value, place }),
            Err(fault) => {
                self.report.error(&place, fault);
                None
            }
        }
    }

    fn wrong<T>(&mut self, place: &Place, value: &Spanned<DeValue<'_>>, expected: &str, remedy: String) -> Field<T> {
        self.report.error(place, Fault::new(format!("{} is not {expected}", shown(value.get_ref())), remedy));
        Field::Wrong
    }
}

/// A key as the file may have it: in quotes where it has more than letters, digits, - and _.
fn written(key: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { format!("{key:?}") }
}

/// How many bytes to insert, remove or change to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
