//! The table in docs/interop.md, as far as it depends on what is tested.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};

use super::{
    scenes::{Case, Scene},
    terms::{Peer, Side},
};

/// Fails unless there is a case of every scene with each of the two in the leading part, and the table has a row for each
/// of them and each dialect, and for no other.
pub(crate) fn check(peer: Peer, cases: &[Case]) -> Result<()> {
    for (first, scene) in [Side::Vipd, Side::Peer].into_iter().flat_map(|side| Scene::ALL.map(|scene| (side, scene))) {
        let count = cases.iter().filter(|case| (case.first, case.scene) == (first, scene)).count();
        ensure!(count == 1, "{count} tests of {scene:?} with {first:?} first");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/interop.md");
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"))?;
    let table = text.split_once("<!-- table -->\n").and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    let (table, _) = table.context("no table stands between marks")?;
    let mut rows = table.lines().filter(|line| line.starts_with('|')).map(cells);

    let titles = Scene::ALL.map(Scene::title);
    let head = rows.next().context("the table is empty")?;
    ensure!(head[3..] == titles, "the table has the scenes {:?}, the tests {titles:?}", &head[3..]);
    let rows: Vec<_> = rows.skip(1).collect();
    for row in &rows {
        let is_known = [Peer::Keepalived, Peer::Frr].iter().any(|peer| is_of(*peer, row));
        ensure!(is_known && row.len() == 3 + titles.len(), "{row:?} is no row of a peer");
        ensure!(row.iter().all(|cell| !cell.is_empty()), "{row:?} lacks results: run `cargo xtask interop --write`");
    }
    let listed: BTreeSet<_> = rows.iter().filter(|row| is_of(peer, row)).map(|row| (row[1], row[2])).collect();
    let first = [Side::Vipd.name(), peer.name()];
    let dialects = peer.served().iter().map(|served| served.dialect);
    let tested: BTreeSet<_> = dialects.flat_map(|dialect| first.map(|first| (first, dialect))).collect();
    ensure!(
        listed == tested,
        "the table has {listed:#?}\nthe tests have {tested:#?}\nrun `cargo xtask interop --write`"
    );
    Ok(())
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The first cell is the peer and its version.
fn is_of(peer: Peer, row: &[&str]) -> bool {
    row.first().and_then(|cell| cell.strip_prefix(peer.name())).is_some_and(|version| version.starts_with(' '))
}
