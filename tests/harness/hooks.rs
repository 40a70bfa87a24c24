use anyhow::Result;

use crate::Lab;

/// What programs do that misbehave, with their names.
const MISBEHAVING: [(&str, &str); 5] = [
    ("hangs", "trap '' TERM\nsleep 1000 &\nsleep 1000"),
    ("crashes", "kill -SEGV $$"),
    ("prints", "exec yes"),
    ("sleeps", "sleep 0.3"),
    ("forks", "sleep 20 &\nexit 1"),
];

/// Writes the programs of [`MISBEHAVING`]; returns the part of a configuration that runs each of them at every change.
pub fn misbehaving(lab: &Lab) -> Result<String> {
    let entry = |&(name, text): &(&str, &str)| {
        let path = lab.script(name, text)?;
        Ok(format!("[[notify]]\nname = \"{name}\"\nexec = [\"{}\"]\ntimeout = \"2s\"\n", path.display()))
    };
    MISBEHAVING.iter().map(entry).collect()
}
