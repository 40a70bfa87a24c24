//! What every key of the configuration means, for people: the reference page and the manual page are made of it.
//!
//! The tables are described in files of their own beside this one. Tests hold them against what reads the configuration: no key is
//! without a description, none is described that is not read, and each default, range, choice and example is what it says.

mod manual;

use std::fmt::Write as _;

use serde::Deserialize;

pub use self::manual::manual;

/// The tables, in the order of the page.
const SOURCES: [&str; 16] = [
    include_str!("reference/cluster.toml"),
    include_str!("reference/manner.toml"),
    include_str!("reference/node.toml"),
    include_str!("reference/virtual_router.toml"),
    include_str!("reference/route.toml"),
    include_str!("reference/rule.toml"),
    include_str!("reference/group.toml"),
    include_str!("reference/auth.toml"),
    include_str!("reference/key.toml"),
    include_str!("reference/check.toml"),
    include_str!("reference/kubernetes.toml"),
    include_str!("reference/notify.toml"),
    include_str!("reference/hetzner.toml"),
    include_str!("reference/metrics.toml"),
    include_str!("reference/guard.toml"),
    include_str!("reference/process.toml"),
];

/// A table of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    /// The tables that have these keys, by the way to them: `virtual_router.routes`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests try the keys there"))]
    pub(super) tables: Vec<String>,
    /// What is above them on the page.
    pub(super) heading: String,
    /// What it is for.
    pub(super) about: String,
    /// Other lines of the table, with which the examples are correct.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests try the keys there"))]
    pub(super) with: String,
    /// The keys, in the order in which they are read.
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
}

/// A key of a table. Values are written as in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) name: String,
    /// What kind of value it has, where `choices` do not say it.
    #[serde(default)]
    pub(super) form: String,
    /// The only values.
    #[serde(default)]
    pub(super) choices: Vec<String>,
    /// The least and the greatest value.
    pub(super) range: Option<[String; 2]>,
    /// What the key is without being given.
    pub(super) default: Option<String>,
    /// The same where no value says it.
    pub(super) otherwise: Option<String>,
    /// Whether a table without it is wrong.
    #[serde(default)]
    pub(super) required: bool,
    pub(super) example: String,
    /// Other lines of the table, in the place of its own, with which this example is correct.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests try the keys there"))]
    pub(super) with: Option<String>,
    /// Keys that do not go together with it.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests try the keys without them"))]
    pub(super) without: Vec<String>,
    pub(super) about: String,
}

/// Every table. A source that is wrong is left out, which the tests notice.
pub(super) fn sections() -> Vec<Section> {
    SOURCES.into_iter().filter_map(|source| toml::from_str(source).ok()).collect()
}

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# The configuration, key by key\n\n\
         Made by `vipd generate configuration docs` of what the program reads; change `agent/src/config/reference`, not this page.\n\n\
         The file is [TOML](https://toml.io) and the same on every node: `/etc/vipd/vipd.toml`, or what `--config` says. A key that is not \
         listed here is a mistake, and `vipd check` reports every mistake at once. Time spans are a number and its unit in quotes, \
         `\"100ms\"` or `\"1.5s\"`. Secrets are not in this file, but for the `password` of version 2, which everybody on the LAN can read anyway. It \
         says where they are: keys of `[auth]` by the path of a file of mode 0600, all others by such a path, \
         `\"credential:NAME\"` for a credential of systemd, or `\"env:NAME\"`.\n",
    );
    for section in sections() {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {}\n\n{}\n", section.heading, section.about.trim_end());
        for key in &section.keys {
            let _ = write!(
                page,
                "\n- **`{}`**: {}.\n  {}\n",
                key.name,
                key.terms(),
                key.about.trim_end().replace('\n', "\n  ")
            );
            let _ = write!(page, "\n      {} = {}\n", key.name, key.example);
        }
    }
    page
}

impl Key {
    /// Kind of value, range and default, in words.
    fn terms(&self) -> String {
        let mut terms = vec![];
        if self.choices.is_empty() {
            terms.push(self.form.clone());
        } else {
            let choices: Vec<_> = self.choices.iter().map(|choice| format!("`{choice}`")).collect();
            terms.push(choices.join(", "));
        }
        if let Some([least, greatest]) = &self.range {
            terms.push(format!("from `{least}` to `{greatest}`"));
        }
        let kind = terms.join(", ");
        match (self.required, &self.default, &self.otherwise) {
            (true, _, _) => format!("{kind}; required"),
            (false, Some(default), None) => format!("{kind}; default `{default}`"),
            (false, Some(default), Some(otherwise)) => format!("{kind}; default `{default}`, {otherwise}"),
            (false, None, Some(otherwise)) => format!("{kind}; {otherwise}"),
            (false, None, None) => format!("{kind}; optional"),
        }
    }
}
