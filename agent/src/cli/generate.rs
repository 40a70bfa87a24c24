//! `vipd generate`: pages and files that are made of the program itself, so that they cannot differ from it.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::ValueEnum;

use super::{manual, schema};
use crate::config::reference;

/// What can be made of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// A JSON Schema of what each command prints with `--json`.
    Schema,
    /// The reference of the configuration.
    Configuration,
    /// The manual pages.
    Man,
}

/// Writes the files of `document` into `directory`, which is made if it is not there.
pub(super) fn generate(document: Document, directory: &Path) -> anyhow::Result<ExitCode> {
    let files = match document {
        Document::Schema => schemas()?,
        Document::Configuration => vec![("configuration.md".to_owned(), reference::markdown().into_bytes())],
        Document::Man => manual::pages()?,
    };
    fs::create_dir_all(directory).with_context(|| format!("failed to make `{}`", directory.display()))?;
    for (name, content) in &files {
        let file = directory.join(name);
        fs::write(&file, content).with_context(|| format!("failed to write `{}`", file.display()))?;
    }
    writeln!(io::stdout(), "wrote {} files into {}", files.len(), directory.display())?;
    Ok(ExitCode::SUCCESS)
}

fn schemas() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let files = schema::schemas().into_iter().map(|(command, schema)| {
        let mut text = serde_json::to_vec_pretty(&schema)?;
        text.push(b'\n');
        Ok((format!("{command}.json"), text))
    });
    files.collect()
}
