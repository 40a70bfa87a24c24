//! What the documents say is true of the program.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use harness::{Lab, lab, vipd};
use vipd::{cli::Cli, doctor::Kind, observe::event::Event};
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
    let output = Command::new(vipd()?).arg("check").arg("--config").arg(file).args(["--node", "n1"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("takes part in 2 virtual routers"), "{said}");
    Ok(())
}

/// `vipd check` finds nothing wrong, and nothing to warn of, in any configuration of the pages.
#[test]
fn the_configurations_in_the_pages_are_correct() -> Result<()> {
    let lab = lab!();
    let mut pages = String::new();
    for entry in fs::read_dir(format!("{}/../docs", env!("CARGO_MANIFEST_DIR")))? {
        let path = entry?.path();
        // The examples of the reference are read where it is made.
        if path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("configuration.md") {
            pages += &fs::read_to_string(path)?;
        }
    }
    let blocks: Vec<_> =
        pages.split("<!-- complete -->\n```toml\n").skip(1).filter_map(|after| after.split("```").next()).collect();
    let shown = pages.matches("```toml").count();
    ensure!(shown == blocks.len() && shown >= 4, "{} of {shown} configurations can be checked", blocks.len());
    lab.private_etc()?;
    fs::create_dir_all("/etc/vipd/keys")?;
    fs::copy(lab.secret("key", "a key of thirty-two characters at least\n")?, "/etc/vipd/keys/1")?;
    for (block, node) in blocks.into_iter().flat_map(|block| [(block, "n1"), (block, "n2")]) {
        let file = lab.write("protocol.toml", block)?;
        let output = Command::new(vipd()?).arg("check").arg("--config").arg(file).args(["--node", node]).output()?;
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

/// README shows what `vipd import` says of the three hosts of the page on migration.
#[test]
fn the_import_in_the_readme_is_what_is_said() -> Result<()> {
    let folder = format!("{}/migration", env!("CARGO_MANIFEST_DIR"));
    let hosts = ["n1=n1.conf", "n2=n2.conf", "n3=n3.conf"];
    let output = Command::new(vipd()?).arg("import").args(hosts).current_dir(folder).output()?;
    let said = String::from_utf8(output.stderr)? + "...\n" + &String::from_utf8(output.stdout)?;
    let readme = read("README.md")?;
    let shown = block(&readme, "import")?;
    // Notes that differ in their place alone, and tables like the one before, are left out in README.
    let mut rest = said.as_str();
    for piece in shown.split("...\n").filter(|piece| !piece.is_empty()) {
        let (_before, after) = rest.split_once(piece).with_context(|| format!("not said:\n{piece}\nbut:\n{said}"))?;
        rest = after;
    }
    ensure!(shown.lines().count() > 20, "README shows too little");
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

/// The page on `vipd doctor` lists every finding with its severity, and no other.
#[test]
fn the_findings_in_the_page_on_the_doctor_are_those_of_the_program() -> Result<()> {
    let page = read("docs/doctor.md")?;
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
    };
    let shown: Vec<_> = page.lines().filter_map(row).collect();
    let expected: Vec<_> = Kind::ALL.iter().map(|kind| (kind.name().to_owned(), kind.severity().to_string())).collect();
    ensure!(shown == expected, "the page shows {shown:?}, the program has {expected:?}");
    Ok(())
}

/// What the page shows of `vipd doctor` is what it says of such findings.
#[test]
fn the_example_in_the_page_on_the_doctor_is_of_this_version() -> Result<()> {
    let page = read("docs/doctor.md")?;
    let lines: Vec<_> = block(&page, "doctor")?.lines().collect();
    let mut checked = 0;
    for (line, why) in lines.iter().zip(lines.iter().skip(1)) {
        let Some(why) = why.strip_prefix("  why: ") else { continue };
        let known = |kind: &&Kind| line.starts_with(&format!("{}: {}: ", kind.severity(), kind.name()));
        let kind = Kind::ALL.iter().find(known).with_context(|| format!("no finding begins like `{line}`"))?;
        ensure!(kind.why() == why, "{kind} says `{}`, the page `{why}`", kind.why());
        checked += 1;
    }
    ensure!(checked >= 3, "only {checked} findings are shown");
    Ok(())
}

/// Runs `vipd` with `arguments`, and fails where it does.
fn run(arguments: &[&str]) -> Result<Output> {
    let output = Command::new(vipd()?).args(arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// The files that `vipd generate WHAT` writes, by name and text.
fn generated(lab: &Lab, what: &str) -> Result<Vec<(PathBuf, String)>> {
    let directory = lab.write("generate", "")?.with_file_name(what);
    run(&["generate", what, directory.to_str().context("not UTF-8")?])?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        files.push((path.clone(), fs::read_to_string(&path)?));
    }
    files.sort();
    Ok(files)
}

/// The pages that are made of the program are those in the repository.
#[test]
fn the_pages_that_are_made_of_the_program_are_up_to_date() -> Result<()> {
    let lab = lab!();
    for (what, folder, count) in [("schema", "docs/schema", 6), ("configuration", "docs", 1)] {
        let files = generated(&lab, what)?;
        ensure!(files.len() == count, "{} files of {what}", files.len());
        for (path, text) in files {
            let name = Path::new(folder).join(path.file_name().context("no name")?);
            let remedy = format!("run `cargo run -p vipd -- generate {what} {folder}`");
            ensure!(read(&name.to_string_lossy())? == text, "{} is out of date: {remedy}", name.display());
        }
    }
    let schemas = fs::read_dir(format!("{}/../docs/schema", env!("CARGO_MANIFEST_DIR")))?.count();
    ensure!(schemas == 6, "{schemas} files in docs/schema");
    Ok(())
}

/// groff, which shows manual pages, finds nothing odd in them; each command that is not hidden has one.
#[test]
fn the_manual_pages_are_correct() -> Result<()> {
    let lab = lab!();
    let pages = generated(&lab, "man")?;
    for (path, _) in &pages {
        let output = Command::new("groff").args(["-man", "-ww", "-K", "utf8", "-T", "utf8"]).arg(path).output();
        let output = output.context("failed to start groff; `cargo xtask setup` installs it")?;
        let odd = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && odd.is_empty(), "{}: {odd}", path.display());
        ensure!(!output.stdout.is_empty(), "{} shows nothing", path.display());
    }
    let names: Vec<_> = pages.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    let shown = Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).count();
    ensure!(names.len() == shown + 2 && names.contains(&"vipd.1") && names.contains(&"vipd-top.1"), "{names:?}");
    ensure!(!names.contains(&"vipd-generate.1"), "{names:?}");
    let (_, page) = pages.iter().find(|(path, _)| path.ends_with("vipd.toml.5")).context("no vipd.toml.5")?;
    ensure!(page.contains("advertisement_interval"), "{page}");
    Ok(())
}

/// What bash would offer for the last of `words`.
fn completed(words: &[&str]) -> Result<Vec<String>> {
    let [before @ .., last] = words else { anyhow::bail!("nothing is typed") };
    let previous = before.last().context("one word is typed")?;
    // Which bash has only where it completes by itself.
    let script = format!(
        "compopt() {{ :; }}\nsource <(\"$VIPD\" completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_vipd vipd '{last}' '{previous}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        before.len()
    );
    let output = Command::new("bash").args(["-c", &script]).env("VIPD", vipd()?).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && complaint.is_empty(), "{words:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// bash completes commands and options; what other shells read is there.
#[test]
fn shells_complete_what_is_typed() -> Result<()> {
    let lab = lab!();
    for (words, expected) in [
        (&["vipd", "sta"][..], &["status"][..]),
        (&["vipd", "status", "--wa"], &["--watch"]),
        (&["vipd", "status", "--color", "al"], &["always"]),
        (&["vipd", "gen"], &[]),
    ] {
        let offered: Vec<_> = completed(words)?.into_iter().filter(|word| !word.is_empty()).collect();
        ensure!(offered == expected, "for {words:?} bash offers {offered:?}");
    }
    let toml = lab.write("a-configuration.toml", "")?;
    let beginning = toml.with_file_name("a-conf");
    let beginning = beginning.to_str().context("not UTF-8")?;
    let offered = completed(&["vipd", "check", "--config", beginning])?;
    ensure!(offered == [toml.to_str().context("not UTF-8")?], "of files bash offers {offered:?}");
    for shell in ["zsh", "fish"] {
        let script = String::from_utf8(run(&["completions", shell])?.stdout)?;
        ensure!(script.contains("watch") && script.contains("undrain"), "{shell}: {script}");
    }
    Ok(())
}

/// The tests that the page on security calls as witnesses exist.
#[test]
fn the_tests_that_the_security_page_names_exist() -> Result<()> {
    let page = read("docs/security.md")?;
    let is_name =
        |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_of_a_test = |word: &&str| word.starts_with("row_") || word.matches('_').count() >= 3;
    let named: BTreeSet<_> = page.split('`').skip(1).step_by(2).filter(is_name).filter(is_of_a_test).collect();
    ensure!(named.len() >= 20, "only {} tests are named", named.len());
    let mut sources = String::new();
    for folder in ["tests", "agent/src", "agent-ebpf/src"] {
        gather(Path::new(&format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR"))), &mut sources)?;
    }
    for name in named {
        ensure!(
            sources.contains(&format!("#[test]\nfn {name}()"))
                || sources.contains(&format!("#[test]\n    fn {name}()")),
            "there is no test `{name}`"
        );
    }
    Ok(())
}

/// Adds all source files below `folder` to `text`.
fn gather(folder: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &fs::read_to_string(path)?;
        }
    }
    Ok(())
}

/// The unit of a named agent is that of the only one, but for the name.
#[test]
fn the_units_differ_in_the_name_alone() -> Result<()> {
    let unit = read("deploy/systemd/vipd.service")?;
    let changes = [
        ("Description=VRRP failover agent", "Description=VRRP failover agent %i"),
        ("/etc/vipd/vipd.toml", "/etc/vipd/%i.toml"),
        ("vipd run", "vipd run --instance %i --config /etc/vipd/%i.toml"),
        ("vipd reload", "vipd reload --instance %i"),
        ("vipd release", "vipd release --instance %i"),
        ("RuntimeDirectory=vipd", "RuntimeDirectory=vipd@%i"),
        ("StateDirectory=vipd", "StateDirectory=vipd@%i"),
    ];
    let named = changes.iter().fold(unit, |unit, (alone, named)| unit.replace(alone, named));
    ensure!(read("deploy/systemd/vipd@.service")? == named, "vipd@.service is not {named}");
    Ok(())
}

/// systemd understands every line of the unit and of the drop-ins of its page, and the unit allows no more than the page says.
#[test]
fn systemd_understands_the_unit() -> Result<()> {
    let lab = lab!();
    let (unit, page) = (read("deploy/systemd/vipd.service")?, read("docs/systemd.md")?);
    let program = vipd()?;
    let drop_ins = [block(&page, "drop-in restart_grace")?, block(&page, "drop-in credentials")?].concat();
    let installed = unit.replace("/usr/bin/vipd", &program.to_string_lossy()).replace("man:vipd(1) ", "") + &drop_ins;
    // It never gives up, so it has to pause.
    ensure!(unit.contains("\nStartLimitIntervalSec=0\n"), "it gives up");
    let pauses = installed.lines().filter_map(|line| line.strip_prefix("RestartSec="));
    ensure!(pauses.eq(["2s", "100ms"]), "it does not pause between two starts: {installed}");
    let file = lab.write("vipd.service", &installed)?;
    let analyze = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {said}");
        Ok(said)
    };
    analyze(&["security", "--offline=true", "--threshold=38"])?;
    let complaints = analyze(&["verify", "--man=no"])?;
    ensure!(complaints.is_empty(), "{complaints}");
    Ok(())
}
