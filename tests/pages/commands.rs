//! The commands in README and the pages of `docs/`: what stands in blocks of `sh`, and nowhere else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

/// What a command of an operator begins with.
const PROGRAMS: [&str; 20] = [
    "apt",
    "apt-get",
    "bpftool",
    "cargo",
    "curl",
    "docker",
    "dpkg",
    "helm",
    "ip",
    "journalctl",
    "kubectl",
    "nft",
    "ping",
    "promtool",
    "scp",
    "ssh",
    "sysctl",
    "systemctl",
    "tc",
    "vipd",
];
/// Languages of blocks that would be another way to show a command.
const OTHER_SHELLS: [&str; 5] = ["", "bash", "console", "shell", "shell-session"];

/// A command as it stands in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What is typed, of several lines perhaps.
    pub(crate) command: String,
    /// File and line.
    pub(crate) place: String,
}

/// The top of this repository.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands of README and of all pages, in their order.
pub(crate) fn of_pages() -> Result<Vec<Typed>> {
    let docs = fs::read_dir(workspace().join("docs"))?.collect::<Result<Vec<_>, _>>()?;
    let names = docs.iter().filter_map(|entry| entry.file_name().into_string().ok());
    let mut pages: Vec<_> = names
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.sort();
    pages.insert(0, "README.md".to_owned());
    let mut commands = Vec::new();
    for page in pages {
        let text = fs::read_to_string(workspace().join(&page)).with_context(|| format!("failed to read `{page}`"))?;
        commands.extend(of_page(&page, &text)?);
    }
    Ok(commands)
}

/// The commands of one page. A line that begins with spaces goes on with the command before it; comments are left out.
fn of_page(page: &str, text: &str) -> Result<Vec<Typed>> {
    let mut commands: Vec<Typed> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut is_first = true;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{page}:{}", number + 1);
        match (fence, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                ensure!(!OTHER_SHELLS.contains(&language), "{place}: a block needs a language; commands stand in `sh`");
                fence = Some(language);
                is_first = true;
            }
            (Some(_), Some(_)) => fence = None,
            (Some("sh"), None) if line.starts_with('#') || line.trim().is_empty() => {}
            (Some("sh"), None) if line.starts_with(' ') => {
                let last = commands
                    .last_mut()
                    .filter(|_| !is_first)
                    .with_context(|| format!("{place}: goes on with nothing"))?;
                last.command.push('\n');
                last.command.push_str(line);
            }
            (Some("sh"), None) => {
                commands.push(Typed { command: line.to_owned(), place });
                is_first = false;
            }
            (Some(_), None) => {}
            (None, None) => refuse_stray(line, &place)?,
        }
    }
    if fence.is_some() {
        bail!("{page}: a block is never closed");
    }
    Ok(commands)
}

/// Refuses a command in a block that is only indented.
fn refuse_stray(line: &str, place: &str) -> Result<()> {
    let indented = line.strip_prefix("    ").unwrap_or_default();
    let program = indented.trim_start_matches(['$', '#', ' ']).split(' ').next().unwrap_or_default();
    ensure!(!PROGRAMS.contains(&program), "{place}: commands stand in a block of `sh`");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_with_their_places() -> Result<()> {
        let page = "Say:\n\n```sh\n# first\nvipd status\nbpftool map dump | jq '\n  .[]'   # fields\n\nvipd check\n```\n\n\
                    ```text\nvipd 0.1.0 goes on\n```\n\n    mode = \"enforce\"\n";
        let found = of_page("p.md", page)?;
        let found: Vec<_> = found.iter().map(|typed| (typed.command.as_str(), typed.place.as_str())).collect();
        let expected = [
            ("vipd status", "p.md:5"),
            ("bpftool map dump | jq '\n  .[]'   # fields", "p.md:6"),
            ("vipd check", "p.md:9"),
        ];
        assert_eq!(found, expected);
        Ok(())
    }

    #[test]
    fn commands_elsewhere_are_refused() {
        for (page, reason) in [
            ("    vipd status\n", "p.md:1: commands stand in a block of `sh`"),
            ("    $ cargo xtask demo\n", "p.md:1: commands stand in a block of `sh`"),
            ("a\n```console\n$ vipd status\n```\n", "p.md:2: a block needs a language; commands stand in `sh`"),
            ("```\nvipd status\n```\n", "p.md:1: a block needs a language; commands stand in `sh`"),
            ("```sh\n  vipd status\n```\n", "p.md:2: goes on with nothing"),
            ("```sh\nvipd status\n", "p.md: a block is never closed"),
        ] {
            assert_eq!(of_page("p.md", page).unwrap_err().to_string(), reason, "{page}");
        }
    }
}
