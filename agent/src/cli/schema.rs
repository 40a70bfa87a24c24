//! What `--json` prints, described for programs by JSON Schema (draft 2020-12).

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

use super::events::JsonLine;
use crate::{
    inspect::{Rejects, Speakers},
    observe::{Explanation, Snapshot},
};

/// The command, and what it prints with `--json`; of `events` a line.
#[must_use]
pub fn schemas() -> [(&'static str, Schema); 5] {
    [
        ("status", of::<Snapshot>()),
        ("explain", of::<Vec<Explanation>>()),
        ("events", of::<JsonLine<'_>>()),
        ("rejects", of::<Rejects>()),
        ("speakers", of::<Speakers>()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
