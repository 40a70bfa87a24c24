//! What the tests wrote down, as one table.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::table::{Cell, Outcome, Row, Table};

/// What each row is about: who is Active first, or instead of the other one, and how the two speak.
const TITLES: [&str; 3] = ["peer", "first Active", "dialect"];

/// The text of all files in `folder`, in the order of their names: one file of each case, which sorts as the table does.
pub(super) fn read(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let read = |file| fs::read_to_string(file).with_context(|| format!("failed to read `{}`", Path::display(file)));
    files.iter().map(|file| read(file)).collect()
}

/// A row for each peer, first Active and dialect, a column for each scene. A line has these four, then `ok`, `no` or
/// `failed`, and why; tabs are between them.
pub(super) fn table(results: &str) -> Result<Table> {
    let mut scenes: Vec<&str> = vec![];
    let mut rows: Vec<Row> = vec![];
    for line in results.lines() {
        let no_result = || format!("a test wrote `{line}`, which is no result");
        let fields: Vec<_> = line.splitn(6, '\t').collect();
        let [titles @ .., scene, word, detail] = &fields[..] else { bail!(no_result()) };
        let outcome = Outcome::read(word).filter(|_| titles.len() == TITLES.len()).with_context(no_result)?;
        let column = scenes.iter().position(|known| known == scene).unwrap_or_else(|| {
            scenes.push(scene);
            scenes.len() - 1
        });
        let row = rows.iter().position(|row| row.titles == titles).unwrap_or_else(|| {
            rows.push(Row { titles: titles.iter().map(|&title| title.to_owned()).collect(), cells: vec![] });
            rows.len() - 1
        });
        let cells = &mut rows[row].cells;
        cells.resize(cells.len().max(column + 1), None);
        cells[column] = Some(Cell { outcome, detail: (*detail).to_owned() });
    }
    if rows.is_empty() {
        bail!("no test wrote a result");
    }
    for row in &mut rows {
        row.cells.resize(scenes.len(), None);
    }
    let head = TITLES.iter().chain(&scenes).map(|title| (*title).to_owned());
    Ok(Table { head: head.collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_a_row_and_a_scene_a_column() {
        let results = "k 2\tvipd\tv3\telection\tok\t\nk 2\tvipd\tv2\telection\tok\t\n\
                       k 2\tvipd\tv3\tdeath\tno\tits own fault\nk 2\tk\tv3\tdeath\tfailed\tnobody stood in\n";
        let table = table(results).unwrap();
        assert_eq!(
            table.to_string(),
            "| peer | first Active | dialect | election | death |\n\
             | --- | --- | --- | --- | --- |\n\
             | k 2 | vipd | v3 | yes | no (1) |\n\
             | k 2 | vipd | v2 | yes |  |\n\
             | k 2 | k | v3 |  | **failed** (2) |\n\
             \n\
             1. its own fault\n\
             2. nobody stood in\n"
        );
    }

    #[test]
    fn what_is_no_result_is_not_passed_over() {
        for (results, expected) in [
            ("", "no test wrote a result"),
            ("k\tvipd\telection\tok\t\n", "a test wrote `k\tvipd\telection\tok\t`, which is no result"),
            ("k\tvipd\tv3\telection\tok\n", "a test wrote `k\tvipd\tv3\telection\tok`, which is no result"),
            ("k\tvipd\tv3\telection\tgood\t\n", "a test wrote `k\tvipd\tv3\telection\tgood\t`, which is no result"),
        ] {
            assert_eq!(table(results).unwrap_err().to_string(), expected);
        }
    }
}
