//! Programs of Python, in the environment that `cargo xtask setup` makes.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Reads YAML, as many documents as there are, and TOML.
const YAML_TO_JSON: &str = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
const TOML_TO_JSON: &str = "import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)";

/// Runs a program of the environment with `input`; answers what it printed. The error has that, too.
pub fn run_python(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin").join(program);
    let mut command = Command::new(&path);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let hint = || format!("failed to start `{}`; `cargo xtask setup` installs it", path.display());
    let mut child = command.spawn().with_context(hint)?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    // What fits into no pipe is written while the program reads it; one that reads nothing says why itself.
    let writer = std::thread::spawn({
        let input = input.to_owned();
        move || stdin.write_all(input.as_bytes())
    });
    let output = child.wait_with_output()?;
    let _ = writer.join();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        bail!("`{} {}` failed with {}: {said}", path.display(), arguments.join(" "), output.status);
    }
    Ok(said)
}

/// The documents in a text of YAML.
pub fn yaml(text: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&run_python("python", &["-c", YAML_TO_JSON], text)?)?)
}

/// What a text of TOML says.
pub fn toml(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(&run_python("python", &["-c", TOML_TO_JSON], text)?)?)
}
