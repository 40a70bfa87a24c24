//! Every input of the corpora, again. `found-…` are those that once broke something.

use std::{
    collections::BTreeSet,
    fs, io,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use vipd_fuzz::TARGETS;

/// The corpora of all targets.
fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What lies in `folder`, by name.
fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[test]
fn no_input_breaks_its_target() {
    let mut broken = vec![];
    for (target, run) in TARGETS {
        let folder = corpora().join(target);
        let names = names(&folder).unwrap();
        assert!(!names.is_empty(), "{} is empty", folder.display());
        for name in names {
            let input = fs::read(folder.join(&name)).unwrap();
            if catch_unwind(|| run(&input)).is_err() {
                broken.push(format!("{target}/{name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

/// An input in another place would never be tried.
#[test]
fn every_corpus_belongs_to_a_target() {
    let targets: BTreeSet<_> = TARGETS.into_iter().map(|(target, _)| target.to_owned()).collect();
    assert_eq!(names(&corpora()).unwrap(), targets);
}
