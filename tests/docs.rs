//! What the documents say is true of the program.

use std::fs;

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use harness::{lab, vipd};
use vipd::{cli::Cli, observe::event::Event};
use vrrp_wire::abi::Verdict;

fn read(name: &str) -> Result<String> {
    let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))
}

/// The code block after the mark `<!-- NAME -->`.
fn block<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let after = text.split(&format!("<!-- {name} -->\n```")).nth(1).with_context(|| format!("no block `{name}`"))?;
    let (_language, body) = after.split_once('\n').context("an empty block")?;
    body.split("```").next().context("an open block")
}

/// `vipd check` finds nothing wrong in the configuration that README shows.
#[test]
fn the_configuration_in_the_readme_is_correct() -> Result<()> {
    let lab = lab!();
    let file = lab.write("readme.toml", block(&read("README.md")?, "config")?)?;
    let output =
        std::process::Command::new(vipd()?).arg("check").arg("--config").arg(file).args(["--node", "n1"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("takes part in 2 virtual routers"), "{said}");
    Ok(())
}

/// `vipd check` finds nothing wrong, and nothing to warn of, in any configuration of the pages on the protocol, on checks, on Hetzner and on metrics.
#[test]
fn the_configurations_in_the_pages_are_correct() -> Result<()> {
    let lab = lab!();
    let page =
        read("docs/protocol.md")? + &read("docs/checks.md")? + &read("docs/hetzner.md")? + &read("docs/metrics.md")?;
    let blocks: Vec<_> =
        page.split("<!-- complete -->\n```toml\n").skip(1).filter_map(|after| after.split("```").next()).collect();
    let shown = page.matches("```toml").count();
    ensure!(shown == blocks.len() && shown >= 3, "{} of {shown} configurations can be checked", blocks.len());
    for (block, node) in blocks.into_iter().flat_map(|block| [(block, "n1"), (block, "n2")]) {
        let file = lab.write("protocol.toml", block)?;
        let output = std::process::Command::new(vipd()?)
            .arg("check")
            .arg("--config")
            .arg(file)
            .args(["--node", node])
            .output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success() && !said.contains("warning"), "{said}\n{block}");
    }
    Ok(())
}

/// The counters that README shows are the program's, in its order.
#[test]
fn the_counters_in_the_readme_are_those_of_the_program() -> Result<()> {
    let readme = read("README.md")?;
    let shown: Vec<_> = block(&readme, "bpftool")?
        .split_once("\"value\"")
        .context("no value is shown")?
        .1
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('"').map(|(name, _)| name))
        .collect();
    let counters = Verdict::ALL.iter().map(|verdict| verdict.name());
    let others = ["record_lost", "dropped", "would_drop", "claims", "fenced_neighbor", "fenced_traffic", "held_back"];
    let expected: Vec<_> = counters.chain(others).collect();
    ensure!(shown == expected, "README shows {shown:?}, the program has {expected:?}");
    Ok(())
}

/// The event that the page on notifications shows is one.
#[test]
fn the_event_in_the_notifications_page_is_one() -> Result<()> {
    let page = read("docs/notifications.md")?;
    let event: Event = serde_json::from_str(block(&page, "event")?)?;
    let values = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    ensure!(values(&serde_json::to_string(&event)?)? == values(block(&page, "event")?)?, "it has more than {event:?}");
    Ok(())
}

/// Each command line `vipd …` of README that stands alone on its line can be typed.
#[test]
fn the_commands_in_the_readme_exist() -> Result<()> {
    let readme = read("README.md")?;
    let mut checked = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("    vipd ")) {
        let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let parsed = Cli::command().try_get_matches_from(["vipd"].into_iter().chain(words));
        ensure!(parsed.is_ok(), "`vipd {line}`: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        checked += 1;
    }
    ensure!(checked >= 3, "only {checked} commands were found");
    Ok(())
}
