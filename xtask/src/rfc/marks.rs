//! The marks by which tests name the rows that they show.

use anyhow::{Context, Result, bail, ensure};

use super::ledger::Side;

/// What begins the line of a doc comment that names rows.
const MARK: &str = "/// Rows:";

/// A test that shows one side of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) row: String,
    pub(super) side: Side,
    /// The name of the test.
    pub(super) test: String,
}

/// The marks in the text of a source file. One that stands before anything but a test is a mistake.
pub(super) fn marks(text: &str) -> Result<Vec<Mark>> {
    let mut marks = Vec::new();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(rows) = line.strip_prefix(MARK) else { continue };
        let name = test_after(lines.get(at + 1..).unwrap_or_default()).with_context(|| format!("line {}", at + 1))?;
        for row in rows.split_whitespace() {
            let (side, row) = side_and_row(row).with_context(|| format!("line {}", at + 1))?;
            marks.push(Mark { row: row.to_owned(), side, test: name.to_owned() });
        }
    }
    Ok(marks)
}

/// The name of the test whose doc comment ends before `lines`.
fn test_after<'a>(lines: &[&'a str]) -> Result<&'a str> {
    let attributes = lines.iter().take_while(|line| line.starts_with("#[")).count();
    let (attributes, rest) = lines.split_at(attributes);
    ensure!(attributes.contains(&"#[test]"), "rows are named by tests, in the last line of their doc comment");
    let name = rest.first().and_then(|line| line.trim_start_matches("pub ").strip_prefix("fn ")?.split('(').next());
    name.context("a test has a name")
}

fn side_and_row(mark: &str) -> Result<(Side, &str)> {
    if let Some(row) = mark.strip_prefix('+') {
        return Ok((Side::Positive, row));
    }
    if let Some(row) = mark.strip_prefix('-') {
        return Ok((Side::Negative, row));
    }
    bail!("`{mark}` is no row after `+` or `-`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_names_rows_in_its_doc_comment() {
        let text = "/// Something.\n/// Rows: +A1 -B12\n#[test]\nfn it_works() {}\n\n    /// Rows: +C3\n    #[cfg(unix)]\n    \
                    #[test]\n    fn inside(a in 0..9) {}\n";
        let mark = |row: &str, side, test: &str| Mark { row: row.to_owned(), side, test: test.to_owned() };
        assert_eq!(
            marks(text).unwrap(),
            [
                mark("A1", Side::Positive, "it_works"),
                mark("B12", Side::Negative, "it_works"),
                mark("C3", Side::Positive, "inside"),
            ]
        );
    }

    #[test]
    fn a_mark_elsewhere_is_a_mistake() {
        for (text, what) in [
            ("/// Rows: +A1\nfn helper() {}", "rows are named by tests"),
            ("/// Rows: +A1\n/// More.\n#[test]\nfn works() {}", "rows are named by tests"),
            ("/// Rows: A1\n#[test]\nfn works() {}", "`A1` is no row"),
        ] {
            let error = format!("{:#}", marks(text).unwrap_err());
            assert!(error.contains(what) && error.starts_with("line 1"), "{error}");
        }
    }
}
