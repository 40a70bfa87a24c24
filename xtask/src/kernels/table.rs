//! What the guests said, as one table.

use anyhow::{Context, Result, bail};

use crate::table::{Cell, Outcome, Row, Table};

/// What one kernel can do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// As the matrix calls it.
    name: String,
    /// Its version, if it came up.
    version: Option<String>,
    cells: Vec<(String, Cell)>,
}

impl Column {
    /// Reads lines of a feature, `ok`, `no` or `failed`, and a detail, with tabs between; the first gives the version
    /// and the last says that nothing is missing.
    pub(super) fn read(name: &str, said: &str) -> Result<Self> {
        let mut column = Self { name: name.to_owned(), version: None, cells: vec![] };
        let mut complete = false;
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let mut fields = line.trim_end().splitn(3, '\t');
            let (Some(feature), Some(outcome)) = (fields.next(), fields.next()) else {
                bail!("the guest said `{line}`, which is no result");
            };
            let detail = fields.next().unwrap_or_default().to_owned();
            match (feature, Outcome::read(outcome)) {
                ("kernel", _) => column.version = Some(outcome.to_owned()),
                ("end", _) => complete = true,
                (_, Some(outcome)) => column.cells.push((feature.to_owned(), Cell { outcome, detail })),
                (_, None) => bail!("the guest said `{line}`, which is no result"),
            }
        }
        if !complete {
            let last = column.cells.last().map(|(feature, _)| feature.as_str());
            bail!("the program in the guest ended after `{}`", last.unwrap_or("nothing"));
        }
        column.version.is_some().then_some(column).context("the guest did not say what it is")
    }

    /// A kernel of which nothing is known, and why.
    pub(super) fn lost(name: &str, why: &str) -> Self {
        let why = why.lines().next().unwrap_or_default();
        let cell = Cell { outcome: Outcome::Failed, detail: why.to_owned() };
        Self { name: name.to_owned(), version: None, cells: vec![("comes up".to_owned(), cell)] }
    }

    fn title(&self) -> &str {
        self.version.as_deref().unwrap_or(&self.name)
    }

    fn cell(&self, feature: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| name == feature).map(|(_, cell)| cell)
    }
}

/// All kernels side by side.
pub(super) fn side_by_side(columns: &[Column]) -> Table {
    let mut features: Vec<&str> = vec![];
    for (feature, _) in columns.iter().flat_map(|column| &column.cells) {
        if !features.contains(&feature.as_str()) {
            features.push(feature);
        }
    }
    let rows = features.into_iter().map(|feature| Row {
        titles: vec![feature.to_owned()],
        cells: columns.iter().map(|column| column.cell(feature).cloned()).collect(),
    });
    let titles = columns.iter().map(|column| column.title().to_owned());
    Table { head: [String::new()].into_iter().chain(titles).collect(), rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "kernel\t5.10.262\nobject loads\tok\t912 instructions\r\ntcx\tno\tneeds 6.6\nend\tok\n";
    const NEW: &str =
        "kernel\t7.2.13\nobject loads\tok\t900 instructions\ntcx\tok\nring buffer\tfailed\tsilent\nend\tok\n";

    #[test]
    fn kernels_stand_side_by_side_and_reasons_below() {
        let table = side_by_side(&[Column::read("5.10", OLD).unwrap(), Column::read("newest", NEW).unwrap()]);
        assert_eq!(
            table.to_string(),
            "|  | 5.10.262 | 7.2.13 |\n\
             | --- | --- | --- |\n\
             | object loads | 912 instructions | 900 instructions |\n\
             | tcx | no (1) | yes |\n\
             | ring buffer |  | **failed** (2) |\n\
             \n\
             1. needs 6.6\n\
             2. silent\n"
        );
        assert!(!table.passed());
        assert!(side_by_side(&[Column::read("5.10", OLD).unwrap()]).passed(), "what a kernel lacks is no failure");
    }

    #[test]
    fn half_a_result_is_none() {
        let cases = [
            ("kernel\t5.10\ntcx\tok\n", "the program in the guest ended after `tcx`"),
            ("", "the program in the guest ended after `nothing`"),
            ("end\tok\n", "the guest did not say what it is"),
            ("kernel\t5.10\ntcx\tmaybe\nend\tok\n", "the guest said `tcx\tmaybe`, which is no result"),
            ("kernel\t5.10\noops\nend\tok\n", "the guest said `oops`, which is no result"),
        ];
        for (said, expected) in cases {
            assert_eq!(Column::read("5.10", said).unwrap_err().to_string(), expected);
        }
        assert!(!side_by_side(&[Column::lost("5.10", "no boot\nmore")]).passed());
    }
}
