//! A table of outcomes in Markdown, with the reasons below it, and its place in a document.

use std::{fmt, fs};

use anyhow::{Context, Result};

use crate::process;

/// How something fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It works.
    Works,
    /// It cannot be had there.
    Absent,
    /// It should work, and does not.
    Failed,
}

impl Outcome {
    /// What a test calls it: `ok`, `no` or `failed`.
    pub(crate) fn read(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Works),
            "no" => Some(Self::Absent),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// One outcome, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
}

/// A row: what it is about, and a cell for each of the other columns, as far as there is one.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) titles: Vec<String>,
    pub(crate) cells: Vec<Option<Cell>>,
}

/// Displays as Markdown, with the details that matter below.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Whether nothing failed.
    pub(crate) fn passed(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| &row.cells).flatten();
        cells.all(|cell| cell.outcome != Outcome::Failed)
    }

    /// Puts the table between the two marks of a document, which is named from the top of the repository.
    pub(crate) fn write_into(&self, document: &str) -> Result<()> {
        let path = process::workspace().join(document);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{document}`"))?;
        let updated = between_marks(&text, &self.to_string())
            .with_context(|| format!("`{document}` lacks the marks between which the table stands"))?;
        fs::write(&path, updated).with_context(|| format!("failed to write `{document}`"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "| {} |", vec!["---"; self.head.len()].join(" | "))?;
        let mut notes: Vec<&str> = vec![];
        for row in &self.rows {
            let mut cells = row.titles.clone();
            for cell in &row.cells {
                cells.push(match cell {
                    None => String::new(),
                    Some(Cell { outcome: Outcome::Works, detail }) if detail.is_empty() => "yes".to_owned(),
                    Some(Cell { outcome: Outcome::Works, detail }) => detail.clone(),
                    Some(Cell { outcome, detail }) => {
                        let known = notes.iter().position(|note| note == detail);
                        let number = known.unwrap_or(notes.len()) + 1;
                        if known.is_none() {
                            notes.push(detail);
                        }
                        let word = if *outcome == Outcome::Absent { "no" } else { "**failed**" };
                        format!("{word} ({number})")
                    }
                });
            }
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        if !notes.is_empty() {
            writeln!(f)?;
        }
        for (number, note) in (1..).zip(notes) {
            writeln!(f, "{number}. {note}")?;
        }
        Ok(())
    }
}

fn between_marks(text: &str, table: &str) -> Option<String> {
    const BEGIN: &str = "<!-- table -->\n";
    const END: &str = "<!-- end -->\n";
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, table, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = "# Kernels\n<!-- table -->\nold\n<!-- end -->\nafter\n";
        let expected = "# Kernels\n<!-- table -->\nnew\n<!-- end -->\nafter\n";
        assert_eq!(between_marks(text, "new\n").as_deref(), Some(expected));
        for broken in ["<!-- table -->\nno end\n", "no begin\n<!-- end -->\n", "<!-- end -->\n<!-- table -->\n"] {
            assert_eq!(between_marks(broken, "new\n"), None, "{broken}");
        }
    }

    #[test]
    fn one_reason_is_one_note() {
        let cell = |outcome, detail: &str| Some(Cell { outcome, detail: detail.to_owned() });
        let row = |title: &str, cells| Row { titles: vec![title.to_owned()], cells };
        let rows = vec![
            row("a", vec![cell(Outcome::Works, ""), cell(Outcome::Absent, "too old")]),
            row("b", vec![cell(Outcome::Failed, "silent"), cell(Outcome::Absent, "too old")]),
            row("c", vec![None, cell(Outcome::Works, "12 frames")]),
        ];
        let mut table = Table { head: ["", "x", "y"].map(str::to_owned).to_vec(), rows };
        assert_eq!(
            table.to_string(),
            "|  | x | y |\n\
             | --- | --- | --- |\n\
             | a | yes | no (1) |\n\
             | b | **failed** (2) | no (1) |\n\
             | c |  | 12 frames |\n\
             \n\
             1. too old\n\
             2. silent\n"
        );
        assert!(!table.passed());
        table.rows.remove(1);
        assert!(table.passed(), "what cannot be had is no failure");
    }
}
