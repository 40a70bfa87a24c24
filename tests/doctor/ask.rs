//! Calls `vipd doctor` on a host, and reads what it says.

use std::{ffi::OsString, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use harness::{Host, vipd};
use serde_json::Value;

/// How `vipd doctor` is called.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call<'a> {
    /// The agent's `--instance`.
    pub(crate) instance: Option<&'a str>,
    /// Commands of the shell that go before, in a mount namespace of their own.
    pub(crate) before: &'a str,
    /// A program with arguments that starts it.
    pub(crate) through: &'a [&'a str],
}

/// What it said.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) status: Option<i32>,
    pub(crate) said: Value,
}

/// Asks on `host` about the node `node` of the configuration `file`.
pub(crate) fn ask(host: &Host, file: &Path, node: &str, call: Call<'_>) -> Result<Diagnosis> {
    let mut command = command(host, file, node, call)?;
    let output = command.arg("--json").output().context("failed to start vipd")?;
    let said = serde_json::from_slice(&output.stdout);
    let said = said.with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Diagnosis { status: output.status.code(), said })
}

/// The command that [`ask`] carries out, without `--json`.
pub(crate) fn command(host: &Host, file: &Path, node: &str, call: Call<'_>) -> Result<Command> {
    let mut words: Vec<OsString> = call.through.iter().map(Into::into).collect();
    words.extend([vipd()?.into(), "doctor".into(), "--config".into(), file.into(), "--node".into(), node.into()]);
    if let Some(instance) = call.instance {
        words.extend(["--instance".into(), instance.into()]);
    }
    let mut command = host.namespace().command("unshare");
    command.args(["--mount", "sh", "-e", "-c", &format!("{}\nexec \"$@\"", call.before), "sh"]).args(words);
    Ok(command)
}

impl Diagnosis {
    /// The ids of what is amiss, `severity` or worse left out.
    pub(crate) fn ids(&self, severities: &[&str]) -> Vec<&str> {
        let findings = self.said["findings"].as_array().map_or(&[][..], Vec::as_slice);
        let of = |finding: &&Value| finding["severity"].as_str().is_some_and(|it| severities.contains(&it));
        findings.iter().filter(of).filter_map(|finding| finding["id"].as_str()).collect()
    }

    /// Fails unless there is a finding of this id that says `text`.
    pub(crate) fn expect(&self, id: &str, text: &str) -> Result<()> {
        let findings = self.said["findings"].as_array().map_or(&[][..], Vec::as_slice);
        let says = |finding: &Value| {
            let all = ["what", "remedy"].map(|key| finding[key].as_str().unwrap_or_default());
            finding["id"] == id && all.concat().contains(text)
        };
        ensure!(findings.iter().any(says), "no `{id}` that says `{text}`: {:#}", self.said);
        Ok(())
    }

    /// Fails if there is a finding of this id.
    pub(crate) fn expect_none(&self, id: &str) -> Result<()> {
        ensure!(!self.ids(&["error", "warning", "note"]).contains(&id), "`{id}` is found: {:#}", self.said);
        Ok(())
    }
}
