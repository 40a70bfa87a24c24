//! The reference of the configuration says what the program does.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{
    super::reference::{Key, Section, markdown, sections},
    *,
};

/// A file in which there is something of everything that others refer to.
const WORLD: &str = r#"
[cluster]
name = "ingress"
interface = "vsw0"

[[node]]
name = "n1"
address = "10.77.0.1"
address6 = "fd77::1"
link_local = "fe80::1"

[[node]]
name = "n2"
address = "10.77.0.2"
address6 = "fd77::2"
link_local = "fe80::2"

[[check]]
name = "ingress"
tcp = "127.0.0.1:443"

[[virtual_router]]
name = "web-a"
vrid = 51
addresses = ["10.77.0.100/24", "fd77::100/64"]
nodes = ["n1", "n2"]

[[virtual_router]]
name = "web-b"
vrid = 52
addresses = ["10.77.0.101/24", "fd77::101/64"]
nodes = ["n1", "n2"]
checks = ["ingress"]
"#;
/// What a table with arrays of tables needs to have one, for the tests of those.
const PARENTS: [(&str, &str); 1] = [("auth", "mode = \"receive-only\"")];
/// A key that there is nowhere, nor one that looks like it.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

fn table(lines: &str) -> Table {
    lines.parse().unwrap_or_else(|error| panic!("{lines}: {error}"))
}

fn value(literal: &str) -> Value {
    table(&format!("value = {literal}")).remove("value").unwrap()
}

impl Section {
    /// Where its keys are tried: the last of its tables.
    fn table(&self) -> &str {
        self.tables.last().unwrap()
    }

    fn is_array(&self) -> bool {
        self.table().contains('.') || self.heading.contains(&format!("[[{}]]", self.table()))
    }

    /// The world with this section's table: what is there, `with`, and then what `change` makes of it.
    fn world(&self, with: &str, change: impl FnOnce(&mut Table)) -> String {
        let mut world = table(WORLD);
        let (parent, own) =
            self.table().split_once('.').map_or((None, self.table()), |(parent, own)| (Some(parent), own));
        let place = match parent {
            None => &mut world,
            Some(parent) => {
                let lines = PARENTS.iter().find(|(name, _)| *name == parent).map_or("", |(_, lines)| lines);
                let is_first_of_array = world.get(parent).is_some_and(Value::is_array);
                let made = world.entry(parent).or_insert_with(|| Value::Table(table(lines)));
                let made = if is_first_of_array { &mut made.as_array_mut().unwrap()[0] } else { made };
                made.as_table_mut().unwrap()
            }
        };
        // Checks are referred to by name, and there is one of all others that are referred to.
        let stays = matches!(own, "cluster" | "node" | "virtual_router");
        let empty = || {
            if self.is_array() { Value::Array(vec![Value::Table(Table::new())]) } else { Value::Table(Table::new()) }
        };
        if !stays {
            place.insert(own.to_owned(), empty());
        }
        let made = place.get_mut(own).unwrap();
        let made = if self.is_array() { &mut made.as_array_mut().unwrap()[0] } else { made };
        let made = made.as_table_mut().unwrap();
        made.extend(table(with));
        change(made);
        toml::to_string(&world).unwrap()
    }

    /// What becomes of the world with `key` as `literal`, or without it.
    fn tried(&self, key: &Key, literal: Option<&str>) -> Result<Config, String> {
        let with = key.with.as_deref().unwrap_or(&self.with);
        let text = self.world(with, |made| match literal {
            Some(literal) => {
                made.retain(|name, _| !key.without.iter().any(|other| other == name));
                made.insert(key.name.clone(), value(literal));
            }
            None => drop(made.remove(&key.name)),
        });
        let config = parse(&text, "n1").map_err(|error| format!("{error}\n{text}"))?;
        // Another text has another fingerprint, whatever it means.
        Ok(Config { warnings: vec![], fingerprint: String::new(), ..config })
    }
}

/// Fails with what `examine` finds wrong with keys, all of it.
fn each(examine: impl Fn(&Section, &Key) -> Result<(), String>) {
    let sections = sections();
    let keys = sections.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    let wrong: Vec<_> = keys
        .filter_map(|(section, key)| {
            Some(format!("{}: {}: {}", section.heading, key.name, examine(section, key).err()?))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The keys that are read in the table at `path`.
fn read_at(path: &str, is_array: bool) -> BTreeSet<String> {
    let unknown = format!("{UNKNOWN} = 1");
    let text = match path.split_once('.') {
        None if path.is_empty() => unknown,
        None if is_array => format!("[[{path}]]\n{unknown}"),
        None => format!("[{path}]\n{unknown}"),
        Some(("auth", key)) => format!("[auth]\n{key} = [{{ {unknown} }}]"),
        Some((parent, key)) => format!("[[{parent}]]\n{key} = [{{ {unknown} }}]"),
    };
    let told = parse(&text, "n1").unwrap_err().to_string();
    let remedy = told.lines().skip_while(|line| !line.contains(UNKNOWN)).nth(1).unwrap_or_else(|| panic!("{told}"));
    let (_, keys) = remedy.split_once("the keys here are ").unwrap_or_else(|| panic!("{told}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_that_is_read_is_described_and_no_other() {
    let sections = sections();
    let tables: BTreeSet<_> = sections.iter().flat_map(|section| section.tables.clone()).collect();
    let roots: BTreeSet<_> = tables.iter().filter(|table| !table.contains('.')).cloned().collect();
    assert_eq!(roots, read_at("", false), "the tables");
    for path in &tables {
        let of = || sections.iter().filter(|section| section.tables.contains(path));
        let names: Vec<_> = of().flat_map(|section| &section.keys).map(|key| key.name.clone()).collect();
        let is_array = of().any(|section| section.heading.contains(&format!("[[{path}]]")));
        let described: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(described.len(), names.len(), "{path}: a key is described twice");
        assert_eq!(described, read_at(path, is_array), "{path}");
    }
}

/// A table in a table is read key by key as well.
#[test]
fn arrays_of_tables_have_a_section() {
    let sections = sections();
    each(|section, key| {
        let example = value(&key.example);
        let is_array_of_tables = example.as_array().is_some_and(|elements| elements.iter().any(Value::is_table));
        let path = format!("{}.{}", section.table(), key.name);
        let is_there = sections.iter().any(|other| other.table() == path);
        ensure(is_there == is_array_of_tables, || {
            format!("{path} is an array of tables, or has a section, and not both")
        })
    });
}

#[test]
fn examples_are_correct() {
    each(|section, key| section.tried(key, Some(&key.example)).map(drop));
}

#[test]
fn a_default_is_what_a_key_is_that_is_not_there() {
    each(|section, key| {
        let Some(default) = &key.default else { return Ok(()) };
        let absent = section.tried(key, None)?;
        ensure(section.tried(key, Some(default))? == absent, || format!("{default} is something else"))?;
        ensure(section.tried(key, Some(&key.example))? != absent, || "the example is the default".to_owned())
    });
}

#[test]
fn required_keys_are_those_without_which_a_table_is_wrong() {
    each(|section, key| {
        let words = key.otherwise.as_deref().unwrap_or_default();
        let is_wrong = section.tried(key, None).is_err();
        // What is required only with another key is so beside the example.
        let is_needed = key.required || words.starts_with("one of");
        ensure(is_wrong == is_needed || words.starts_with("required"), || format!("required or not: {is_needed}"))
    });
}

#[test]
fn a_range_is_taken_to_its_ends_and_no_further() {
    each(|section, key| {
        let Some([least, greatest]) = &key.range else { return Ok(()) };
        for end in [least, greatest] {
            section.tried(key, Some(end))?;
        }
        for outside in [beyond(least, -1), beyond(greatest, 1)].into_iter().flatten() {
            ensure(section.tried(key, Some(&outside)).is_err(), || format!("{outside} is taken"))?;
        }
        Ok(())
    });
}

/// The value next to `end`, where there is one: of time spans, ten milliseconds away.
fn beyond(end: &str, direction: i32) -> Option<String> {
    match value(end) {
        Value::Integer(number) => Some((number + i64::from(direction)).to_string()),
        Value::String(span) => {
            let ms: f64 = match span.strip_suffix("ms") {
                Some(number) => number.parse().unwrap(),
                None => span.strip_suffix('s').unwrap().parse::<f64>().unwrap() * 1000.0,
            };
            let ms = ms + 10.0 * f64::from(direction);
            (ms >= 0.0).then(|| format!("\"{ms:.0}ms\""))
        }
        other @ (Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_)) => {
            panic!("{other} is no end of a range")
        }
    }
}

/// What is no choice is refused with a list of the choices.
#[test]
fn choices_are_all_that_there_are() {
    each(|section, key| {
        if key.choices.is_empty() {
            return Ok(());
        }
        for choice in &key.choices {
            let told = section.tried(key, Some(choice)).err().unwrap_or_default();
            ensure(!told.contains("is not one of the choices"), || format!("{choice}: {told}"))?;
        }
        let told = section.tried(key, Some("\"none of them\"")).err().unwrap_or_default();
        let list = format!("write {}\n", key.choices.join(" or "));
        ensure(told.contains(&list), || format!("{told} does not say {list}"))
    });
}

#[test]
fn the_kind_of_a_value_is_that_of_the_example() {
    const KINDS: [&str; 4] = ["boolean", "number", "array", "table"];
    each(|_, key| {
        let kind = match value(&key.example) {
            Value::Boolean(_) => Some("boolean"),
            Value::Integer(_) => Some("number"),
            Value::Array(_) => Some("array"),
            Value::Table(_) => Some("table"),
            Value::String(_) | Value::Float(_) | Value::Datetime(_) => None,
        };
        let stated = KINDS.into_iter().find(|kind| key.form.starts_with(kind));
        ensure(stated == kind, || format!("it is {:?}, and {} is not", key.form, key.example))
    });
}

#[test]
fn the_page_has_every_key_with_its_terms() {
    let page = markdown();
    let entry = "- **`down_timer_adverts`**: number, from `1` to `100`; default `3`.\n  So many adverts of the Active Router must be \
                 missing until a Backup takes over.\n\n      down_timer_adverts = 5\n";
    assert!(page.contains(entry), "{page}");
    assert!(page.contains("- **`mode`**: `\"receive-only\"`, `\"permissive\"`, `\"enforce\"`; required.\n"), "{page}");
    let count: usize = sections().iter().map(|section| section.keys.len()).sum();
    assert_eq!(page.matches("\n- **`").count(), count);
}
