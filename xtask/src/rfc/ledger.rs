//! The rows of the ledger.

use std::{collections::BTreeSet, fmt};

use anyhow::{Result, ensure};
use serde::Deserialize;

/// All rows, in the order of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    #[serde(rename = "row")]
    pub(super) rows: Vec<Row>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) level: Level,
    /// Of RFC 9568 unless another one is named.
    pub(super) section: String,
    pub(super) rule: String,
    /// Why neither side has a test.
    pub(super) excuse: Option<String>,
    no_positive: Option<String>,
    no_negative: Option<String>,
}

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Must,
    Should,
    May,
    Practice,
}

/// What a test shows of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// What it wants happens.
    Positive,
    /// What it forbids has no effect.
    Negative,
}

impl Ledger {
    /// Reads the rows; each has an identifier of its own and one kind of reason.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let ledger: Self = toml::from_str(text)?;
        let mut seen = BTreeSet::new();
        for row in &ledger.rows {
            ensure!(seen.insert(&row.id), "row `{}` is there twice", row.id);
            let has_half = row.no_positive.is_some() || row.no_negative.is_some();
            ensure!(row.excuse.is_none() || !has_half, "row `{}` is excused twice", row.id);
        }
        Ok(ledger)
    }

    pub(super) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }
}

impl Row {
    /// Why one side has no test.
    pub(super) fn reason(&self, side: Side) -> Option<&str> {
        let half = match side {
            Side::Positive => &self.no_positive,
            Side::Negative => &self.no_negative,
        };
        half.as_deref().or(self.excuse.as_deref())
    }
}

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Must, Self::Should, Self::May, Self::Practice];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
            Self::Practice => "practice",
        })
    }
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Positive, Self::Negative];
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Positive => "+",
            Self::Negative => "-",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(keys: &str) -> String {
        let row = |id: &str, keys: &str| {
            format!("[[row]]\nid = \"{id}\"\nlevel = \"must\"\nsection = \"1\"\nrule = \"r\"\n{keys}\n")
        };
        Ledger::parse(&(row("A1", "") + &row("A2", keys))).unwrap_err().to_string()
    }

    #[test]
    fn a_row_is_there_once_and_excused_once() {
        assert_eq!(
            refused("[[row]]\nid = \"A1\"\nlevel = \"may\"\nsection = \"1\"\nrule = \"r\""),
            "row `A1` is there twice"
        );
        assert_eq!(refused("excuse = \"x\"\nno_negative = \"y\""), "row `A2` is excused twice");
        assert!(refused("excuses = \"x\"").contains("excuses"));
    }
}
